"""The NumPy table and iv.random through the whole path: compiled programs agree with NumPy."""

import numpy as np
import pytest

import iverson as iv
from tests.lang.numpy_cases import CASES
from tests.lang.test_numpy_table import compare
from tests.lang.test_random import EXACT, ROUNDED

FIRST = {}
for _function, _name, _program, _args in CASES:
    FIRST.setdefault(_function, (_name, _program, _args))


@pytest.mark.slow
@pytest.mark.parametrize(("program", "args"), [c[1:] for c in FIRST.values()], ids=[c[0] for c in FIRST.values()])
def test_name(program, args):
    with np.errstate(all="ignore"):
        expected = program(*args)
    compare(iv.jit(program)(*args), expected)


@pytest.mark.parametrize("name", ["bits", "uniform", "integers between", "permutation", "weighted choice"])
def test_random_bits_are_the_same_compiled(name):
    key = iv.random.key(2**40 + 7)
    expected, found = EXACT[name](key), iv.jit(EXACT[name])(key)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(found, expected)


def test_random_floats_are_the_same_compiled_up_to_rounding():
    key = iv.random.key(3)
    np.testing.assert_allclose(iv.jit(ROUNDED["normal"])(key), ROUNDED["normal"](key), rtol=1e-12)

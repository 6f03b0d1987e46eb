"""Exceptions of a staged program have the type that is raised, or its nearest base that a check can name."""

import numpy as np
import pytest

import iverson as iv


class TooLarge(KeyError):
    pass


@iv.jit
def guarded(x):
    if x > 1.0:
        raise TooLarge(f"{x} is too large")
    return x


def test_own_exceptions_are_their_builtin_base():
    assert guarded(1.0) == 1.0
    with pytest.raises(KeyError, match=r"2\.0 is too large"):
        guarded(2.0)


@pytest.mark.parametrize("function", [np.linalg.inv, np.linalg.cholesky])
def test_linear_algebra_raises_what_numpy_raises(function):
    with pytest.raises(np.linalg.LinAlgError) as expected:
        function(np.zeros((5, 5)))
    with pytest.raises(np.linalg.LinAlgError, match=str(expected.value)):
        iv.jit(function)(np.zeros((5, 5)))

"""Random programs: the compiled kernel agrees with the evaluator and leaks nothing, optimised or not."""

from __future__ import annotations

import numpy as np
import pytest

from iverson.core.evaluate import evaluate
from tests.backend import native
from tests.core.generate import random_function

SEEDS = range(80)


def run(seed: int, level: int, **options: int) -> None:
    function, args = random_function(seed, smooth=False, **options)
    want = evaluate(function, args).values
    got = native.Native(function, level)(*args)
    assert not native.LIVE
    for g, w in zip(got, want, strict=True):
        assert np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_random(seed: int) -> None:
    run(seed, 0)


@pytest.mark.parametrize("seed", range(100, 112))
def test_random_optimised(seed: int) -> None:
    run(seed, 3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 2000))
def test_random_deep(seed: int) -> None:
    run(seed, 0, depth=4, length=6)

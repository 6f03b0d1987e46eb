"""Indices from the end in sequential loops: found by a branch, tested on either side, and reported as they were."""

from __future__ import annotations

import numpy as np
import pytest

import iverson as iv

STEPS = np.array([2, -3, 1, -4, 0, 3, -1])
X = np.array([1.0, 2.0, 4.0, 8.0])


def chase(x, steps):
    """The place in x depends on the turn before."""
    at, total = 0, 0.0
    for k in steps:
        at = at // 2 + k
        at = max(min(at, 3), -4)
        total += x[at] * (total + 1.0)
    return total


def unguarded(x, steps):
    at, total = 0, 0.0
    while at < len(steps):
        total += x[steps[at]]
        at += 1
    return total


def test_either_side() -> None:
    assert "    if " in iv.show(chase, stage="loops")(X, STEPS)
    assert iv.jit(chase)(X, STEPS) == pytest.approx(chase(X, STEPS), rel=1e-14)
    h = 1e-6
    v = np.array([0.3, -1.0, 0.5, 0.2])
    slope = (chase(X + h * v, STEPS) - chase(X - h * v, STEPS)) / (2 * h)
    assert iv.grad(chase)(X, STEPS) @ v == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("bad", [4, -5, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_out_of_bounds(bad: int) -> None:
    steps = np.array([1, -1, bad])
    program = iv.jit(unguarded)
    assert program(X, steps[:2]) == 10.0
    with pytest.raises(IndexError, match=f"index {bad} is out of bounds for axis 0 with size 4"):
        program(X, steps)
    with pytest.raises(IndexError, match="out of bounds"):
        program(X[:0], np.array([0]))

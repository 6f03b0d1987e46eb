"""What stays true of integers from turn to turn: searches and rings need no tests of indices; others keep them."""

from __future__ import annotations

import numpy as np
import pytest

import iverson as iv
from tests.programs.whiles import binary_search

X = np.sort(np.random.default_rng(3).normal(size=37))


def between(x, v):
    low, high = 0, len(x) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if x[middle] > v:
            high = middle
        else:
            low = middle
    return low


def first_above(x, v):
    return binary_search(x, v)


def halving(x, v):
    """A number of turns that is known; steps down only where they stay inside."""
    at, step = 0, len(x) // 2
    for _ in range(20):
        if at + step < len(x) and x[at + step] <= v:
            at += step
        step = step // 2
    return at


def ring(x, v):
    at, total = 0, 0.0
    for k in range(3 * len(x)):
        total += x[at] * v
        at = (5 * at + k) % len(x)
    return total


def clipped(x, v):
    at, total = 0, 0.0
    for k in range(len(x)):
        total += x[at] * v
        at = min(max(at + int(x[k]), 0), len(x) - 1)
    return total


def unsafe(program, *args) -> int:
    """How many accesses of x are tested."""
    text = iv.show(program, stage="optimised")(*args)
    reads = [line.split("= x[")[1] for line in text.splitlines() if "= x[" in line]
    assert reads
    return sum("!" not in r for r in reads)


@pytest.mark.parametrize("program", [between, first_above, halving, ring, clipped])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 37])
def test_proven_and_right(program, n: int) -> None:
    assert unsafe(program, X, 0.3) == 0
    compiled = iv.jit(program)
    for v in (-9.0, -0.4, 0.0, 0.3, 9.0, np.nan):
        assert compiled(X[:n], v) == pytest.approx(program(X[:n], v), rel=1e-12, nan_ok=True)


def test_no_element() -> None:
    assert [iv.jit(f)(X[:0], 0.3) for f in (between, first_above, halving)] == [0, 0, 0]
    with pytest.raises(ZeroDivisionError):
        iv.jit(lambda x: sum(x[k % len(x)] for k in range(3)))(X[:0])


def too_far(x, v):
    low, high = 0, len(x)
    while high - low > 1:
        middle = (low + high) // 2 + 1
        if x[middle] > v:
            high = middle
        else:
            low = middle
    return low


def below(x, v):
    low, high = -1, len(x)
    while high - low > 1:
        middle = (low + high) // 2
        if x[middle - 1] > v:
            high = middle
        else:
            low = middle
    return high


def overflowing(x, v):
    """It wraps around, so no inequality holds."""
    at, total = 1, 0.0
    for _ in range(70):
        at = at * 3
        if at > 0:
            total += x[min(at, len(x)) - 1]
        else:
            total -= x[at % len(x)]
    return total + v


@pytest.mark.parametrize("program", [too_far, below])
def test_what_may_fail_is_tested(program) -> None:
    assert unsafe(program, X, 0.3) == 1
    with pytest.raises(IndexError, match="index 2 is out of bounds"):
        iv.jit(too_far)(X[:2], 9.0)
    assert iv.jit(below)(X, -9.0) == below(X, -9.0)


def test_wrapping_integers() -> None:
    total, at = 0.0, np.int64(1)
    with np.errstate(over="ignore"):
        for _ in range(70):
            at = at * np.int64(3)
            total += X[min(at, 37) - 1] if at > 0 else -X[at % 37]
    assert iv.jit(overflowing)(X, 0.0) == pytest.approx(total, rel=1e-12)

"""Loops over flattened arrays go row by row: the same numbers for every number of rows, and no division is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv

RNG = np.random.default_rng(3)


def gathered(x, where):
    return (2.0 * x[where] - x).ravel()


def weighted(x, where):
    flat = x.ravel()
    return sum(k * flat[k] for k in range(len(flat)))


def recurrence(x, where):
    """In order: each element adds the one before."""
    n = len(x)
    out = np.zeros(3 * n)
    for k in range(3 * n):
        out[k] = x[k // 3, k % 3] + 0.5 * out[max(k - 1, 0)]
    return out


def shared_places(x, where):
    """Turns of one row, and of several, add to one place; a row's parts are read across."""
    out = np.zeros(len(x) + 4)
    for k in range(len(x) * 3):
        out[where[k // 3] + k % 3] += x[k // 3, 2 - k % 3] * k
    return out


def several_divisors(x, where):
    return np.array([x[k // 3, k % 3] + (k // 2) * (k % 4) for k in range(len(x) * 3)])


def branching(x, where):
    return np.array([x[k // 3, 0] if k % 3 == 1 else x[k // 3, k % 3] ** 2 for k in range(len(x) * 3)])


@pytest.mark.parametrize("f", [gathered, weighted, recurrence, shared_places, several_divisors, branching])
def test_rows(f: Callable[..., Any]) -> None:
    compiled = iv.jit(f)
    for n in (0, 1, 2, 5, 40):
        x, where = RNG.normal(size=(n, 3)), RNG.integers(0, max(n, 1), size=n)
        np.testing.assert_allclose(compiled(x, where), f(x, where), rtol=1e-12, atol=1e-12)


def test_columns_of_a_jacobian() -> None:
    x, where = RNG.normal(size=(7, 3)), RNG.integers(0, 7, size=7)

    def scaled(s):
        return ((s[0] * x + s[1]) ** 2)[where].ravel()

    s = np.linspace(0.5, 1.5, 12)
    expected = np.zeros((21, 12))
    expected[:, 0] = (2.0 * (s[0] * x + s[1]) * x)[where].ravel()
    expected[:, 1] = (2.0 * (s[0] * x + s[1]))[where].ravel()
    np.testing.assert_allclose(iv.jacfwd(scaled)(s), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", [gathered, weighted, recurrence])
def test_nothing_is_divided(f: Callable[..., Any]) -> None:
    loops = iv.show(iv.jit(f, threads=False), stage="loops")(np.ones((5, 3)), np.arange(5))
    assert "mod(" not in loops and "floordiv(" not in loops


def test_what_has_no_rows_stays() -> None:
    """A length that isn't a multiple, and one that may wrap."""
    for f in (
        lambda x, n: sum(x[k // 3, k % 3] for k in range(n)),
        lambda x, n: sum(x[k // 3, k % 3] for k in range(n * 3)),
    ):
        loops = iv.show(iv.jit(f, threads=False), stage="loops")(np.ones((5, 3)), 4)
        assert "mod(" in loops
        assert iv.jit(f)(np.ones((5, 3)), 4) == f(np.ones((5, 3)), 4)

"""Nests whose turns share nothing run in any order: in lanes, whatever the direction; others stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import lanes


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    monkeypatch.setattr(lanes, "LANES", 4)
    monkeypatch.setattr(lanes, "NARROW", 2)
    yield


def columns(a, q):
    """A turn has a column of its own, behind the first."""
    n = a.shape[1]
    for k in range(n):
        for j in range(k + 1, n):
            s = 0.0
            for i in range(len(q)):
                s += q[i] * a[i, j]
            for i in range(len(q)):
                a[i, j] -= q[i] * s
    return a


def upper(a, q):
    """What is read lies left of what is written."""
    n = a.shape[1]
    for i in range(1, n):
        for j in range(i, n):
            s = 0.0
            for k in range(i):
                s += a[i, k] * a[k, j]
            a[i, j] -= s * q[0]
    return a


def backwards(a, q):
    n = a.shape[1]
    for t in range(n):
        j = n - 1 - t
        for i in range(1, len(q)):
            a[i, j] += q[i] * a[i - 1, j]
    return a


def rows_of_a_triangle(a, q):
    """Up to the smaller of two lengths."""
    m = min(len(q), a.shape[1])
    for i in range(1, m):
        for j in range(i, m):
            for k in range(min(i, m)):
                a[i, j] -= a[i, k] * a[k, j]
    return a


def chained(a, q):
    """A turn reads the column before."""
    for j in range(1, a.shape[1]):
        for i in range(len(q)):
            a[i, j] += q[i] * a[i, j - 1]
    return a


def crossing(a, q):
    """A turn reads a row that others write to."""
    n = a.shape[1]
    for j in range(n):
        for i in range(n):
            a[i, j] += q[i] * a[j, i]
    return a


PARALLEL = [columns, upper, backwards, rows_of_a_triangle]
IN_ORDER = [chained, crossing]


def arguments(n: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, n)) / (n + 1), rng.normal(size=n)


@pytest.mark.parametrize("f", [*PARALLEL, *IN_ORDER], ids=lambda f: f.__name__)
def test_values_and_gradients(f: Callable[..., Any]) -> None:
    compiled = iv.jit(f)
    gradient = iv.grad(lambda a, q, w: np.sum(w * f(a, q)), argnums=(0, 1))
    for n in (1, 2, 5, 8, 11):
        np.testing.assert_allclose(compiled(*arguments(n)), f(*arguments(n)), rtol=1e-12)
        w = np.random.default_rng(7).normal(size=(n, n))
        a, q = arguments(n)
        da, dq = gradient(a, q, w)
        rng, step = np.random.default_rng(8), 1e-6
        u, v = rng.normal(size=a.shape), rng.normal(size=q.shape)
        ends = [np.sum(w * f(a + s * step * u, q + s * step * v)) for s in (1, -1)]
        slope = np.sum(da * u) + np.sum(dq * v)
        assert abs((ends[0] - ends[1]) / (2 * step) - slope) <= 1e-6 * (1 + abs(slope))


@pytest.mark.parametrize("f", PARALLEL, ids=lambda f: f.__name__)
def test_run_in_lanes(f: Callable[..., Any]) -> None:
    assert " simd" in iv.show(f, stage="loops")(*arguments(9))


@pytest.mark.parametrize("f", IN_ORDER, ids=lambda f: f.__name__)
def test_stay_in_order(f: Callable[..., Any]) -> None:
    loops = iv.show(f, stage="loops")(*arguments(9)).splitlines()
    assert not any(" simd" in line for line in loops)
    assert any(line.endswith(" seq") for line in loops)

"""Loops in order whose columns are independent: chunks of columns, the same numbers; and loops that have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.lang import state
from tests.backend.test_threads import _always, _as_before, in_threads, loops, on_each  # noqa: F401 (fixtures)

RNG = np.random.default_rng(5)


def filtered(x):
    y = np.zeros(x.shape)
    for k in range(1, x.shape[1]):
        y[:, k] = 0.5 * x[:, k] + 0.3 * x[:, k - 1] + 0.2 * y[:, k - 1]
    return y


def swept(d):
    """Tridiagonal systems, one for each column, forth and back; a turn has arrays of its own."""
    n, m = d.shape
    c, x = np.zeros((n, m)), d.copy()
    for k in range(1, n):
        w = 1.0 / (4.0 - c[k - 1, 1:])
        c[k, 1:] = w
        x[k, :-1] = (x[k, 1:] + x[k - 1, :-1]) * w
    for k in range(n - 2, -1, -1):
        x[k] -= c[k] * x[k + 1]
    return x


def columns_of_blocks(x):
    """Columns that are matrices."""
    for k in range(1, len(x)):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                x[k, i, j] += 0.5 * x[k - 1, i, x.shape[2] - 1 - j]
    return x


def shifted(x):
    """What is column i here is column i + 2 there."""
    n, m = x.shape
    y = np.zeros((n, m + 2))
    for k in range(1, n):
        for i in range(m):
            y[k, i + 2] = y[k - 1, i + 2] + x[k, i]
        for i in range(1, m):
            x[k, i] = np.sin(y[k, i + 2]) * x[k - 1, i]
    return x, y


def checked(x):
    for k in range(1, x.shape[0]):
        for i in range(x.shape[1]):
            if x[k, i] < 0:
                raise ValueError(f"negative at {k}, {i}")
            x[k, i] += x[k - 1, i]
    return x


def heated(x):
    for _ in range(5):
        x[1:-1, 1:-1] = x[1:-1, 2:] + 0.1 * (x[2:, 1:-1] + x[1:-1, :-2])
    return x


def from_one(x):
    """All read the column that one of them writes."""
    for k in range(1, x.shape[0]):
        for i in range(x.shape[1]):
            x[k, i] += x[k - 1, 0]
    return x


def turned(x):
    """Columns become rows."""
    y = x.copy()
    for k in range(1, len(x)):
        for i in range(len(x)):
            y[k, i] = 0.5 * y[k - 1, i] + x[i, k - 1]
        for i in range(len(x)):
            x[i, k] = y[i, k] + 1.0
    return x


SIZES = ((0, 5), (1, 7), (5, 0), (5, 1), (6, 9), (9, 6), (17, 33))


def assert_as_plain(f: Callable[..., Any], make: Callable[[int, int], Any], within: bool) -> None:
    function, plain = iv.jit(f), iv.jit(f, threads=False)
    text = loops(function, make(6, 9))
    assert any(" seq" in line for line in in_threads(text)) == within
    for n, m in SIZES:
        x = make(n, m)
        first, *others = on_each(lambda x=x: function(x.copy()))
        expected = [np.asarray(e) for e in state.flatten(plain(x.copy()))[0]]
        for other in (*others, expected):
            assert [e.tobytes() for e in first] == [e.tobytes() for e in other]


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("f", [filtered, swept, columns_of_blocks, shifted], ids=lambda f: f.__name__)
def test_columns(f: Callable[..., Any]) -> None:
    shape = (5,) if f is columns_of_blocks else ()
    assert_as_plain(f, lambda n, m: RNG.normal(size=(n, m, *shape)), True)


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("f", [heated, from_one, turned], ids=lambda f: f.__name__)
def test_loops_that_have_none(f: Callable[..., Any]) -> None:
    assert_as_plain(f, lambda n, m: RNG.normal(size=(n, n if f is turned else m)), False)


@pytest.mark.usefixtures("_always")
def test_gradients() -> None:
    for f in (filtered, swept):
        gradient, plain = (iv.jit(iv.grad(lambda x: np.sum(np.sin(f(x)))), threads=t) for t in (True, False))  # noqa: B023
        assert any(" seq" in line for line in in_threads(loops(gradient, RNG.normal(size=(6, 9)))))
        x = RNG.normal(size=(17, 33))
        first, *others = on_each(lambda gradient=gradient, x=x: gradient(x))
        assert all(np.array_equal(first[0], other[0]) for other in others)
        np.testing.assert_allclose(first[0], plain(x), rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("_always")
def test_the_first_error() -> None:
    f, x = iv.jit(checked), RNG.uniform(1, 2, size=(9, 12))
    iv.set_threads(3)
    np.testing.assert_allclose(f(x.copy()), checked(x.copy()), rtol=1e-13)
    x[3, 11], x[5, 0] = -90.0, -90.0
    before = x.copy()
    with pytest.raises(ValueError, match="negative at 3, 11"):
        f(x)
    np.testing.assert_array_equal(x, before)

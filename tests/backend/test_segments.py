"""Turns that have segments of an array, between numbers that are known at run time: in chunks if these never fall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.lang import state
from tests.backend.test_threads import _always, _as_before, in_threads, loops, on_each  # noqa: F401 (fixtures)

RNG = np.random.default_rng(9)
pytestmark = pytest.mark.usefixtures("_always")


def normalised(values, starts):
    """Each row's exponentials, over their sum."""
    out = np.zeros(len(values))
    for i in range(len(starts) - 1):
        total = 0.0
        for p in range(starts[i], starts[i + 1]):
            total += np.exp(values[p])
        for p in range(starts[i], starts[i + 1]):
            out[p] += np.exp(values[p]) / total
    return out


def product(values, starts, columns, x):
    """Of a sparse matrix by rows and a vector."""
    y = np.zeros(len(starts) - 1)
    for i in range(len(y)):
        for p in range(starts[i], starts[i + 1]):
            y[i] += values[p] * x[columns[p]]
    return np.sum(np.sin(y))


def arguments(n: int, kind: type = np.int64) -> tuple[Any, ...]:
    starts = np.concatenate([[0], np.cumsum(RNG.integers(0, 4, size=n))]).astype(kind)
    return RNG.normal(size=starts[-1] + 1), starts


def same(f: Any, plain: Any, *args: Any) -> None:
    first, *others = on_each(lambda: f(*args))
    for other in others:
        assert [x.tobytes() for x in first] == [x.tobytes() for x in other]
    for x, y in zip(first, state.flatten(plain(*args))[0], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_rows(kind: type) -> None:
    f = iv.jit(normalised)
    values, starts = arguments(30, kind)
    text = loops(f, values, starts)
    assert "ascending" in text and any("exp" in line for line in in_threads(text))
    for n in (0, 1, 2, 5, 30, 200):
        same(f, normalised, *arguments(n, kind))
    for wrong in (starts[::-1].copy(), np.roll(starts, 7), np.where(starts > 20, starts - 9, starts), starts - 3):
        same(f, normalised, values, wrong)  # rows that have places in common, or none, or begin at the end
    late = starts.copy()
    late[-1] += 2
    with pytest.raises(IndexError):
        f(values, late)
    assert f(values, starts[:0]).tolist() == [0.0] * len(values)


def test_gradient_of_a_product() -> None:
    gradient, plain = (iv.jit(iv.grad(product, argnums=(0, 3)), threads=t) for t in (True, False))
    values, starts = arguments(60)
    columns, x = RNG.integers(-9, 9, size=len(values)), RNG.normal(size=9)
    assert "ascending" in loops(gradient, values, starts, columns, x)
    same(gradient, plain, values, starts, columns, x)
    same(gradient, plain, values, np.roll(starts, 5), columns, x)


def gapped(values, starts):
    """The segments of neighbours overlap."""
    out = np.zeros(len(values))
    for i in range(len(starts) - 2):
        for p in range(starts[i], starts[i + 2]):
            out[p] = out[p] * 0.5 + i
    return out


def moving(values, starts):
    """Where segments begin is written in the loop."""
    for i in range(len(starts) - 1):
        for p in range(starts[i], starts[i + 1]):
            values[p] = i
        starts[i + 1] -= starts[i] % 2
    return values


def test_loops_that_have_none() -> None:
    for f in (gapped, moving):
        values, starts = arguments(30)
        assert "ascending" not in loops(f, values, starts)
        np.testing.assert_allclose(iv.jit(f)(values.copy(), starts.copy()), f(values.copy(), starts.copy()))

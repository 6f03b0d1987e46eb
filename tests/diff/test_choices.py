"""What a turn asks of its results is kept as a bool: the results aren't, unless they are needed for more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iverson as iv


def longest(x):
    """Only which is larger is needed of the two sums."""
    y = x.copy()
    for i in range(1, len(y)):
        past = sum(y[j] * x[j] for j in range(i))
        rest = sum(x[j] for j in range(i, len(x)))
        y[i] = max(past, rest)
    return y[-1]


def shortest(x):
    y = x.copy()
    for i in range(1, len(y)):
        past = sum(y[j] * x[j] for j in range(i))
        rest = sum(x[j] for j in range(i, len(x)))
        y[i] = 3.0 - min(past + x[i], rest)
    return y[-1]


def branching(x):
    y = x.copy()
    for i in range(1, len(y)):
        past = sum(y[j] * x[j] for j in range(i))
        rest = sum(x[j] for j in range(i, len(x)))
        if past < rest:
            y[i] = 0.5 * x[i]
    return np.sum(y * y)


def squared(x):
    """The larger one's value is needed, too."""
    y = x.copy()
    for i in range(1, len(y)):
        past = sum(y[j] * x[j] for j in range(i))
        rest = sum(x[j] for j in range(i, len(x)))
        y[i] = max(past, rest) ** 2
    return y[-1]


def kept(f: Any, x: Any) -> list[int]:
    """The bytes of what a turn makes and keeps, for each turn."""
    found = [r for r in iv.cost(iv.grad(f))(x).residuals if r.how == "stored" and "function itself" not in r.why]
    return [r.bytes.value // (len(x) - 1) for r in found]


X = np.random.default_rng(3).uniform(-0.6, 0.8, 9)


@pytest.mark.parametrize("f", [longest, shortest, branching, squared])
def test_the_same_gradient(f: Any) -> None:
    np.testing.assert_allclose(iv.grad(f)(X), iv.grad(f, tape="store")(X), rtol=1e-14)
    iv.check_grads(f, (X,))


@pytest.mark.parametrize(("f", "sizes"), [(longest, [1]), (shortest, [1]), (branching, [1]), (squared, [8, 8])])
def test_what_is_compared_is_not_kept(f: Any, sizes: list[int]) -> None:
    assert kept(f, X) == sizes


def test_ties_and_nan() -> None:
    def f(x, y):
        total, z = 0.0, x.copy()
        for i in range(len(x)):
            a, b = sum(x[j] for j in range(i + 1)), sum(y[j] for j in range(i + 1))
            z[i] = max(a, b)
            total += min(b, a) + z[i]
        return total

    for x, y in ([1.0, 2.0], [1.0, 3.0]), ([np.nan, 1.0], [0.0, 2.0]), ([0.0, 1.0], [np.nan, 2.0]):
        given = np.array(x), np.array(y)
        both = (iv.grad(f, argnums=(0, 1), tape=tape)(*given) for tape in ("auto", "store"))
        for one, other in zip(*both, strict=True):
            np.testing.assert_array_equal(one, other)

"""once: elements that a turn updates several times are updated once; what can't be told apart stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import single_update, statements
from iverson.core.syntax import Function
from iverson.opt import bounds, branches, once, promote, simplify


def neighbours(x, w):
    for i in range(1, len(x) - 1):
        x[i] = max(x[i], x[i - 1])
        if w[i] > 0.0:
            x[i] += w[i] * x[i + 1]
            x[i] *= 0.5
        x[i] = max(x[i], w[i])
    return x


def both_sides(x, w):
    for i in range(len(x)):
        x[i] = x[i] * w[i]
        if w[i] > 0.0:
            x[i] += 1.0
        else:
            x[i] = x[i] / 3.0
        x[i] = x[i] - x[0] * w[i] if i > 0 else x[i]
    return x


def scattered(x, w):
    """Whether j is i can't be known: what is between stays."""
    n = len(x)
    for i in range(n):
        j = (3 * i) % n
        x[i] += w[i]
        x[j] *= 0.5
        x[i] = x[i] + x[j]
    return x


def overwritten(x, w):
    for i in range(len(x)):
        x[i] = w[i]
        y = x[i] * 2.0
        x[i] = y + w[len(x) - 1 - i]
    return x


def prepared(f: Callable[..., Any], *args: Any) -> Function:
    g = iv.jit(f).staged(args, {}).function
    for run in (simplify.primal, bounds.run, simplify.primal, branches.run, promote.run):
        g = run(g)
    return g


def updates(f: Function) -> int:
    return sum(single_update(let.op) is not None for let in statements(f.body))


@pytest.mark.parametrize(
    ("f", "left"), [(neighbours, 1), (both_sides, None), (scattered, None), (overwritten, 1)], ids=lambda f: str(f)[:20]
)
def test_same_values(f: Callable[..., Any], left: int | None) -> None:
    rng = np.random.default_rng(3)
    for n in (5, 8):
        x, w = rng.normal(size=n), rng.normal(size=n)
        before = prepared(f, x, w)
        after = once.run(before)
        check(after)
        found = [evaluate(g, [n, x, n, w]) for g in (before, after)]
        for a, b in zip(found[0].values, found[1].values, strict=True):
            np.testing.assert_array_equal(a, b)
        assert found[1].cost.work <= found[0].cost.work + 8
        assert updates(after) <= updates(before)
        assert left is None or updates(after) == left
        expected = f(x.copy(), w)
        assert np.allclose(iv.functional(f)(x, w)[0], expected)
    assert once.run(after) is after


def test_nan_and_infinity_go_where_they_went() -> None:
    x, w = np.array([np.nan, 1.0, -np.inf, 2.0, np.inf]), np.array([1.0, -1.0, np.nan, 0.5, 1.0])
    for f in (both_sides, overwritten):
        np.testing.assert_array_equal(iv.functional(f)(x, w)[0], f(x.copy(), w))


def test_an_index_out_of_bounds_is_met() -> None:
    def beyond(x, at):
        x[at] += 1.0
        x[at] *= 2.0
        return x

    with pytest.raises(IndexError, match="index 5"):
        iv.jit(beyond)(np.ones(3), 5)
    assert iv.jit(beyond)(np.ones(3), 2).tolist() == [1.0, 1.0, 4.0]


def test_gradients_keep_one_element_a_turn() -> None:
    x, w = np.linspace(0.3, 1.0, 7), np.linspace(-1.0, 1.2, 7)
    iv.check_grads(lambda x: np.sum(iv.functional(neighbours)(x, w)[0] ** 2), (x,))

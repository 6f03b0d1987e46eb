"""`iv.cost` and `iv.cheapness` as a user sees them."""

from __future__ import annotations

import numpy as np
import pytest

import iverson as iv
from iverson.core.evaluate import evaluate
from iverson.opt.pipeline import optimise


def kmeans(points, centres):
    n, d = points.shape
    k = len(centres)
    return sum(min(sum((points[i, c] - centres[j, c]) ** 2 for c in range(d)) for j in range(k)) for i in range(n))


def simulate(x, steps):
    y = x.copy()
    for _ in range(steps):
        for i in range(1, len(x) - 1):
            y[i] = np.sin(y[i - 1]) * y[i + 1]
    return np.sum(y)


def halve(x, bound):
    y = np.sum(x)
    while y > bound:
        y = y * 0.5
    return y


def counted(f, *args):
    """What the evaluator counts of the compiled program."""
    staged = iv.jit(f).staged(args, {})
    values = [np.shape(args[p.leaf])[p.axis] if p.kind == "extent" else args[p.leaf] for p in staged.params]
    return evaluate(optimise(staged.function), values).cost


def test_formulas_have_the_user_s_names():
    found = iv.cost(kmeans)(np.ones((10, 7)), np.ones((6, 7)))
    assert str(found.work) == "5·n·d·k + n·k + n"
    assert found.exact and str(found.memory) == "0" and found.sizes["k"] == 6
    assert found.work.value == int(found.work) == counted(kmeans, np.ones((10, 7)), np.ones((6, 7))).work
    assert found.work(n=100, d=9) == 5 * 100 * 9 * 6 + 100 * 6 + 100
    assert "work    5·n·d·k" in str(found) and "n = 10" in str(found)


def test_a_triangle_of_indices():
    def pairs(x):
        n = len(x)
        return sum(x[i] * x[j] for i in range(n) for j in range(i))

    found = iv.cost(pairs)(np.ones(20))
    assert found.exact and found.work(n=1000) == counted(pairs, np.ones(1000)).work
    assert "n²" in str(found.work)


@pytest.mark.parametrize(
    "f", [iv.grad(simulate), iv.value_and_grad(kmeans, argnums=(0, 1)), iv.hvp(lambda x: sum(x**3))]
)
def test_transforms_have_costs(f):
    two = np.ones((7, 6)), np.ones((5, 6))
    args = {"gradient(simulate)": (np.ones(9), 4), "value and gradient(kmeans)": two}.get(f.__name__, (np.ones(8),) * 2)
    found = iv.cost(f)(*args)
    want = counted(f, *args)
    got = found.work.value, found.span.value, found.memory.value
    assert got == (want.work, want.span, want.peak) if found.exact else got >= (want.work, want.span, want.peak)


def test_residuals_are_named_and_sized():
    found = iv.cost(iv.grad(simulate))(np.ones(20), 10)
    overwritten = next(r for r in found.residuals if r.how == "overwritten")
    assert overwritten.line == simulate.__code__.co_firstlineno + 4
    assert overwritten.elements.value == 180 and overwritten.bytes.value == 8 * 180
    assert overwritten.bytes(steps=100) == 8 * 18 * 100
    (winner,) = iv.cost(iv.grad(kmeans))(np.ones((10, 7)), np.ones((6, 7))).residuals
    assert winner.how == "winner" and str(winner.elements) == "n"


def test_a_log_is_as_long_as_a_while_turns():
    found = iv.cost(iv.grad(halve))(np.ones(6), 1.0)
    assert not iv.cost(halve)(np.ones(6), 1.0).exact
    with pytest.raises(TypeError, match="the data decide turns"):
        found.work()
    assert found.work(turns=1) > found.work(turns=0)

    def logistic(x, bound):
        y = x
        while y < bound:
            y = y * y
        return y

    found = iv.cost(iv.grad(logistic))(2.0, 100.0)
    (log,) = found.residuals
    assert str(log.bytes) == "8·turns" and log.bytes(turns=3) == 24 and "logged: turns elements" in str(log)


def test_lengths_that_the_data_decide():
    def rows(starts, data, x):
        n = len(x)
        total = 0.0
        for i in range(n):
            for k in range(starts[i], starts[i + 1]):
                total += data[k] * x[i]
        return total

    args = np.array([0, 1, 1, 4, 6, 7]), np.ones(7), np.ones(5)
    found = iv.cost(rows)(*args)
    assert not found.exact and list(found.unknown) == ["turns"] and found.unknown["turns"].site.line
    args = np.arange(0, 18, 3), np.ones(15), np.ones(5)  # as many in each row: the average is the number itself
    assert found.work(turns=3) == counted(rows, *args).work


def test_sizes_that_aren_t_there():
    with pytest.raises(TypeError, match="'m' is not a size of this program: it has n, d, k"):
        iv.cost(kmeans)(np.ones((10, 7)), np.ones((6, 7))).work(m=3)
    with pytest.raises(ValueError, match="stage is one of core, optimised"):
        iv.cost(kmeans, stage="llvm")


def test_the_gradient_beside_the_primal():
    found = iv.cheapness(kmeans, argnums=1)(np.ones((10, 7)), np.ones((6, 7)))
    assert found.limit == 1.0
    assert found() == found.gradient.work.value / found.primal.work.value
    assert 1.0 < found(n=10_000, k=1000) < 1.01
    halved = iv.cheapness(halve)(np.ones(6), 1.0)
    assert isinstance(halved.limit, str) and "turns" in halved.limit
    with pytest.raises(TypeError):
        iv.cheapness(lambda x: x * 1.0)(np.ones(6))


def test_a_length_that_is_one_of_two_is_at_most_the_larger_one():
    """Of three matrices both orders are in a gradient, one of them with sums of no length."""
    cost = iv.cost(iv.grad(lambda a, b, c: np.sum((a @ b @ c) ** 2)))(np.ones((6, 5)), np.ones((5, 7)), np.ones((7, 8)))
    assert "data decide" not in str(cost) and "an upper bound" in str(cost)

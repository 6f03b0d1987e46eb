"""winner: the same value and index as the pair reduction, ties, NaNs and empty ranges included."""

from __future__ import annotations

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, For, Function, Reduce, Scalar, Var
from iverson.opt import winner


def extremum(monoid: str) -> Function:
    b = Builder()
    n = Var(Scalar(I64), "n")
    x = Var(Array(F64, (n,)), "x")
    v, k = b.reduce(monoid, n, lambda i: (b.o.mul(b.read(x, i), 2.0), i))
    return b.function([n, x], [v, k])


@pytest.mark.parametrize("monoid", ["argmax", "argmin"])
@pytest.mark.parametrize(
    "x", [[], [3.0], [1.0, 5.0, 2.0, 5.0], [np.nan], [1.0, np.nan, 7.0, np.nan], [np.inf, -np.inf], [-np.inf, -np.inf]]
)
def test_same_winner(monoid: str, x: list[float]) -> None:
    before = extremum(monoid)
    after = winner.run(before)
    check(after)
    args = [len(x), np.array(x)]
    for a, b in zip(evaluate(before, args).values, evaluate(after, args).values, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_pair_is_left() -> None:
    lets = winner.run(extremum("argmax")).body.lets
    monoids = [y.monoid for let in lets if isinstance(let.op, For) for y in let.op.yields if isinstance(y, Reduce)]
    assert monoids == ["max", "min"]

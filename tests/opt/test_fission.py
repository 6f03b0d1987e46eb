"""fission: one place an array and loop, and the same sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import F64, I64, Array, Contribute, For, Function, Scalar, Var
from iverson.opt import fission


def stencil(dear: bool, flat: bool) -> Function:
    """acc[i] += u, acc[i + 1] += u (of two indices: rows k and k + 1), with a sum beside it."""
    b = Builder()
    n = Var(Scalar(I64), "n")
    x = Var(Array(F64, (n,)), "x")
    more = b.o.add(n, 1)

    def body(acc: Var) -> Any:
        def one(i: Var) -> Any:
            u = b.o.mul(b.read(x, i), 3.0)
            u = b.o.exp(u) if dear else u
            for at in (i, b.o.add(i, 1)):
                b.contribute(acc, [at, 0], u)
            return u

        def two(i: Var, j: Var) -> Any:
            u = b.o.mul(b.read(x, i), b.read(x, j))
            for at in (i, b.o.add(i, 1)):
                b.contribute(acc, [at, j], u)
            return ()

        if flat:
            return b.reduce("add", n, one)
        b.for_([n, n], two, ())
        return ()

    return b.function([n, x], b.accumulate([("add", [b.zeros([more, more], F64)])], body))


def sites(f: Function) -> list[int]:
    """How many contributions each innermost For makes."""
    inner = [let.op.body for let in statements(f.body) if isinstance(let.op, For)]
    counts = [sum(isinstance(let.op, Contribute) for let in block) for block in inner]
    return [n for n in counts if n]


@pytest.mark.parametrize("flat", [True, False])
def test_a_loop_for_each_place(flat: bool) -> None:
    f = stencil(False, flat)
    g = fission.run(f)
    check(g)
    assert sites(f) == [2] and sites(g) == [1, 1]
    for n in (0, 1, 5):
        args = [n, np.arange(1.0, n + 1)]
        for a, b in zip(evaluate(f, args).values, evaluate(g, args).values, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)


def test_what_is_dear_is_not_repeated() -> None:
    assert sites(fission.run(stencil(True, True))) == [2]


def edged(decided: str) -> Function:
    """acc[i] += u, and where it is not the first, acc[i - 1] += u; what decides that is the index, or a number."""
    b = Builder()
    n = Var(Scalar(I64), "n")
    x = Var(Array(F64, (n,)), "x")

    def body(acc: Var) -> Any:
        def one(i: Var) -> Any:
            u = b.o.mul(b.read(x, i), 3.0)
            inside = b.o.gt(i, 0) if decided == "index" else b.o.gt(u, 4.0)
            left = b.o.sub(i, 1)

            def to_the_left() -> Any:
                b.contribute(acc, [b.o.max(left, 0)], u)
                return ()

            b.if_(inside, to_the_left, lambda: ())
            b.contribute(acc, [i], u)
            return ()

        b.for_([n], one, ())
        return ()

    return b.function([n, x], b.accumulate([("add", [b.zeros([n], F64)])], body))


@pytest.mark.parametrize(("decided", "loops"), [("index", [1, 1]), ("number", [2])])
def test_updates_under_a_condition_on_the_index(decided: str, loops: list[int]) -> None:
    f = edged(decided)
    g = fission.run(f)
    check(g)
    fors = [let.op.body for let in statements(g.body) if isinstance(let.op, For) and not let.vars]
    assert [sum(isinstance(i.op, Contribute) for i in statements(block)) for block in fors] == loops
    for n in (0, 1, 2, 5):
        args = [n, np.arange(1.0, n + 1)]
        for a, b in zip(evaluate(f, args).values, evaluate(g, args).values, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)

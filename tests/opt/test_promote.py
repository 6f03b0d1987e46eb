"""Promotion: the same values, never more work, and gradients whose logs are short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Array, Function, Loop, Var
from iverson.opt import promote
from tests.core.generate import random_function
from tests.diff.oracle import array, check_gradient, program, size
from tests.diff.programs import normal


def array_carries(f: Function) -> int:
    return sum(
        isinstance(c.type, Array) for let in statements(f.body) if isinstance(let.op, Loop) for c in let.op.carry
    )


def loops(body: Callable[[Builder, Var, Var], Any], *params: Var) -> Function:
    n, x = params[:2]

    def whole(b: Builder) -> Any:
        a = body(b, n, x)
        extents = a.type.extents
        return b.reduce("add", extents, lambda *i: b.o.sin(b.read(a, *i)))

    return program(list(params), whole)


def matmul() -> tuple[Function, list[Any]]:
    n, p, q = size(), array(3, 4, hint="p"), array(4, 5, hint="q")
    x = array(3, 5)

    def body(b: Builder, n: Var, x: Var) -> Any:
        def add(i: Var, j: Var, k: Var, a: Var) -> Var:
            return b.set(a, [i, j], b.o.add(b.read(a, i, j), b.o.mul(b.read(p, i, k), b.read(q, k, j))))

        def row(i: Var, a: Var) -> Any:
            return b.loop(5, [a], lambda j, a: b.loop(4, [a], lambda k, a: add(i, j, k, a)))

        return b.loop(3, [x], row)[0]

    return loops(body, n, x, p, q), [1, normal(3, 5), normal(3, 4), normal(4, 5)]


def lower_triangle() -> tuple[Function, list[Any]]:
    n = size()
    x = array(n, n)

    def body(b: Builder, n: Var, x: Var) -> Any:
        def less(i: Var, j: Var, k: Var, a: Var) -> Var:
            s = b.o.sub(b.read(a, i, j), b.o.mul(b.read(a, i, k), b.read(a, j, k)))
            return b.set(a, [i, j], s)

        def row(i: Var, a: Var) -> Any:
            return b.loop(i, [a], lambda j, a: b.loop(j, [a], lambda k, a: less(i, j, k, a)))

        return b.loop(n, [x], row)[0]

    return loops(body, n, x), [6, normal(6, 6)]


def under_a_branch() -> tuple[Function, list[Any]]:
    n = size()
    x = array(n)

    def body(b: Builder, n: Var, x: Var) -> Any:
        def turn(k: Var, a: Var) -> Any:
            even = b.o.eq(b.o.mod(k, 2), 0)
            return b.if_(even, lambda: b.set(a, [0], b.o.mul(b.read(a, 0), 1.5)), lambda: a)

        return b.loop(n, [x], turn)[0]

    return loops(body, n, x), [5, normal(5)]


def maybe_no_turn() -> tuple[Function, list[Any]]:
    """The cell is out of bounds where the loop doesn't turn."""
    n, m = size(), size("m")
    x = array(n)

    def body(b: Builder, n: Var, x: Var) -> Any:
        last = b.o.sub(m, 1)
        return b.loop(m, [x], lambda k, a: b.set(a, [last], b.o.add(b.read(a, last), 1.0)))[0]

    return loops(body, n, x, m), [3, normal(3), 0]


PROMOTED = [matmul, lower_triangle, under_a_branch, maybe_no_turn]


@pytest.mark.parametrize("make", PROMOTED, ids=lambda m: m.__name__)
def test_promoted(make: Callable[[], tuple[Function, list[Any]]]) -> None:
    f, values = make()
    p = promote.run(f)
    check(p)
    assert array_carries(p) < array_carries(f)
    before, after = evaluate(f, values), evaluate(p, values)
    np.testing.assert_array_equal(before.values[0], after.values[0])
    assert after.cost.work <= before.cost.work + 2
    check_gradient(p, values)


def test_turns_and_none() -> None:
    f, (n, x, _) = maybe_no_turn()
    p = promote.run(f)
    for m in range(4):
        assert evaluate(f, [n, x, m]).values == evaluate(p, [n, x, m]).values
    with pytest.raises(IndexError):
        evaluate(p, [n, x, 4])


def test_triangles_gradient_is_cheaper_for_it() -> None:
    f, _ = lower_triangle()
    for n in (6, 12):
        values = [n, normal(n, n, scale=0.1)]
        assert check_gradient(promote.run(f), values).work < 0.96 * check_gradient(f, values).work


def test_a_read_that_may_be_of_the_cell_refuses() -> None:
    n = size()
    x = array(n)

    def body(b: Builder, n: Var, x: Var) -> Any:
        return b.loop(n, [x], lambda k, a: b.set(a, [2], b.o.add(b.read(a, 2), b.read(a, k))))[0]

    f = loops(body, n, x)
    assert array_carries(promote.run(f)) == 1


def test_random_programs() -> None:
    for seed in range(100):
        f, values = random_function(seed, depth=3)
        p = promote.run(f)
        check(p)
        before, after = evaluate(f, values), evaluate(p, values)
        for a, b in zip(before.values, after.values, strict=True):
            np.testing.assert_array_equal(a, b)
        assert after.cost.work <= before.cost.work + 2

"""Programs whose turns overwrite by several elements, under branches, and by as many as the turn says."""

from __future__ import annotations

from typing import Any

from iverson.core.build import Builder
from iverson.core.syntax import Atom, Function, Var
from tests.diff.cases import Args, case, normal, squares, vector
from tests.diff.oracle import array, program, size


def _region(b: Builder, a: Var, n: Atom, kind: str, each: Any) -> Var:
    """`a` with each(acc, k) for all k < n contributed at once."""

    def body(acc: Var) -> tuple[()]:
        def one(k: Var) -> tuple[()]:
            each(acc, k)
            return ()

        b.for_(n, one, ())
        return ()

    return b.accumulate([(kind, [a])], body)[0]


@case(6.0, copied=1.0)
def triangular_regions() -> tuple[Function, Args]:
    """Turn i adds to the first i elements: what is kept of them is ragged."""
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def turn(i: Var, a: Var) -> Var:
            pivot = b.o.tanh(b.read(a, i))
            return _region(b, a, i, "add", lambda acc, k: b.contribute(acc, [k], b.o.mul(pivot, b.read(x, k))))

        return squares(b, n, b.loop(n, [x], turn)[0])

    return program([n, x], body), vector


@case(6.0, copied=1.0)
def contributions_to_one_row() -> tuple[Function, Args]:
    """Each place is contributed to n times a turn: it is kept once."""
    n = size()
    x, y = array(n, n), array(n, n)

    def body(b: Builder) -> Atom:
        def turn(i: Var, a: Var) -> Var:
            def each(acc: Var, k: Var) -> None:
                def one(j: Var) -> tuple[()]:
                    b.contribute(acc, [i, j], b.o.mul(b.read(y, k, j), b.read(y, i, k)))
                    return ()

                b.for_(b.o.add(i, 1), one, ())

            shrunk = b.map(n, lambda j: b.o.tanh(b.read(a, i, j)))
            a = _region(b, a, n, "set", lambda acc, j: b.contribute(acc, [i, j], b.read(shrunk, j)))
            return _region(b, a, n, "add", each)

        a = b.loop(n, [x], turn)[0]
        return b.reduce("add", [n, n], lambda i, j: b.o.mul(b.read(a, i, j), b.read(a, i, j)))

    return program([n, x, y], body), lambda n: [n, normal(n, n), normal(n, n)]


@case(6.0, copied=1.0)
def exchange_of_neighbours() -> tuple[Function, Args]:
    """A pass of a bubble sort: two elements change places under a branch, in a loop in a loop."""
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def exchanged(a: Var, i: Var, j: Atom) -> Var:
            left, right = b.read(a, i), b.read(a, j)
            return b.set(b.set(a, [i], b.o.sin(right)), [j], left)

        def step(i: Var, a: Var) -> Any:
            j = b.o.add(i, 1)
            return b.if_(b.o.gt(b.read(a, i), b.read(a, j)), lambda: exchanged(a, i, j), lambda: a)

        def sweep(t: Var, a: Var) -> Any:
            return b.loop(b.o.sub(b.o.sub(n, t), 1), [a], step)

        return squares(b, n, b.loop(n, [x], sweep)[0])

    return program([n, x], body), vector


@case(5.0, copied=1.0)
def loops_under_a_branch() -> tuple[Function, Args]:
    """One side updates by a loop of a length of its own, the other one element; rows are read between."""
    n = size()
    x = array(n, n)

    def body(b: Builder) -> Atom:
        def turn(i: Var, a: Var) -> Any:
            row = b.read(a, i)
            first = b.read(row, 0)

            def scaled(j: Var, inner: Var) -> Var:
                return b.set(inner, [i, j], b.o.mul(b.read(inner, i, j), b.o.tanh(first)))

            def long() -> Any:
                return b.loop(b.o.add(i, 1), [a], scaled)

            def short() -> Any:
                return b.set(a, [i, i], b.o.mul(first, b.read(a, i, i)))

            return b.if_(b.o.eq(b.o.mod(i, 2), 0), long, short)

        a = b.loop(n, [x], turn)[0]
        return b.reduce("add", [n, n], lambda i, j: b.o.mul(b.read(a, i, j), b.read(a, i, j)))

    return program([n, x], body), lambda n: [n, normal(n, n)]

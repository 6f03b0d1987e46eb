"""Programs that trade arrays at run time: under branches, by loops of some number of turns, and give some up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iverson.core.build import Builder
from iverson.core.syntax import I64, Atom, Function, Var
from tests.diff.cases import Args, case, normal
from tests.diff.oracle import array, program, size

Turn = Callable[[Builder, Atom, Var, Var, Var], Any]


def _traded(turn: Turn, turns: Callable[[Builder, Atom], Atom] = lambda b, n: n) -> tuple[Function, Args]:
    """Three arrays go through the turns of a loop; in the end something of each is had."""
    n = size()
    xs = [array(n, hint=h) for h in "xyz"]
    at = array(n, hint="k", dtype=I64)

    def body(b: Builder) -> Atom:
        p, q, r = b.loop(turns(b, n), xs, lambda i, p, q, r: turn(b, b.o.mod(b.read(at, i), n), p, q, r))
        return b.reduce(
            "add", n, lambda i: b.o.mul(b.read(p, i), b.o.sub(b.read(q, i), b.o.mul(b.read(r, i), b.read(r, i))))
        )

    return program([n, *xs, at], body), lambda n: [n, normal(n), normal(n), normal(n), (normal(n) * 100).astype(int)]


def _touch(b: Builder, a: Var, i: Atom, other: Var) -> Var:
    """One element of `a` changed, by itself and one of the other's."""
    return b.set(a, [i], b.o.tanh(b.o.add(b.read(a, i), b.o.mul(b.read(other, i), b.read(a, i)))))


@case(5.0, copied=1.0)
def swap_under_a_condition() -> tuple[Function, Args]:
    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        p = _touch(b, p, i, q)
        p, q = b.if_(b.o.eq(b.o.mod(i, 3), 0), lambda: (q, p), lambda: (p, q))
        p = _touch(b, p, b.o.floordiv(i, 2), r)
        return p, _touch(b, q, i, p), r

    return _traded(turn)


@case(5.0, copied=1.0)
def swap_in_one_branch_and_updates_in_both() -> tuple[Function, Args]:
    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        def traded() -> Any:
            return _touch(b, q, i, r), _touch(b, p, b.o.floordiv(i, 2), r)

        return *b.if_(b.o.gt(b.read(p, i), b.read(q, i)), traded, lambda: (_touch(b, p, i, q), q)), r

    return _traded(turn)


@case(5.0, copied=1.0)
def swaps_in_an_inner_loop() -> tuple[Function, Args]:
    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        def inner(_: Var, p: Var, q: Var) -> Any:
            return q, _touch(b, p, i, q)

        p, q = b.loop(b.o.mod(i, 4), [p, q], inner)
        p = _touch(b, p, i, r)
        return p, q, _touch(b, r, i, p)

    return _traded(turn)


@case(6.0, copied=1.0)
def rotations_in_a_while_under_a_condition() -> tuple[Function, Args]:
    """Three arrays, turned by as many steps as the data say, on one side only."""

    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        def rotated() -> Any:
            return b.while_(
                [i, p, q, r],
                lambda k, p, q, r: b.o.gt(b.o.mod(k, 4), 0),
                lambda k, p, q, r: (b.o.floordiv(k, 2), q, r, _touch(b, p, i, q)),
            )[1:]

        return b.if_(b.o.lt(b.o.mod(i, 5), 3), rotated, lambda: (q, p, _touch(b, r, i, q)))

    return _traded(turn)


@case(6.5, copied=1.0)
def swaps_of_swaps() -> tuple[Function, Args]:
    """Conditions in conditions, in a loop in a loop."""

    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        def inner(j: Var, p: Var, q: Var, r: Var) -> Any:
            k = b.o.add(i, j)

            def some() -> Any:
                s, t = b.if_(b.o.eq(b.o.mod(k, 3), 0), lambda: (r, q), lambda: (q, _touch(b, r, i, q)))
                return _touch(b, s, i, t), p, t

            return b.if_(b.o.lt(b.o.mod(k, 4), 2), some, lambda: (p, _touch(b, r, i, q), q))

        return b.loop(b.o.mod(i, 3), [p, q, r], inner)

    return _traded(turn)


@case(6.0, copied=4.0)
def swaps_with_arrays_given_up() -> tuple[Function, Args]:
    """A few turns begin one array anew, and one takes another's place; the others trade."""

    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        n = p.type.extents[0]
        p = _touch(b, p, i, q)
        anew = b.o.eq(b.o.mod(i, b.o.add(b.o.floordiv(n, 2), 1)), 1)

        def fresh() -> Any:
            return b.map(n, lambda j: b.o.sin(b.o.add(b.read(p, j), b.read(q, j)))), r, p

        p, q, r = b.if_(anew, fresh, lambda: (q, p, r))
        p = _touch(b, p, i, r)
        return p, _touch(b, q, i, p), r

    return _traded(turn)


@case(6.0, copied=3.0)
def inner_loops_that_seldom_replace() -> tuple[Function, Args]:
    """An inner loop makes its array anew each turn, and has none in most turns of the outer one."""

    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        n = p.type.extents[0]
        p = _touch(b, p, i, q)
        few = b.o.int64(b.o.eq(b.o.mod(i, b.o.add(b.o.floordiv(n, 2), 1)), 1))

        def inner(_: Var, p: Var, q: Var) -> Any:
            return b.map(n, lambda j: b.o.mul(b.o.sin(b.read(p, j)), b.read(r, j))), p

        p, q = b.loop(few, [p, q], inner)
        return _touch(b, q, i, p), p, r

    return _traded(turn)


@case(6.5, copied=1.0)
def histograms_onto_arrays_that_trade() -> tuple[Function, Args]:
    """Contributions by loops and under conditions, at places that the arrays say: logged one by one."""

    def turn(b: Builder, i: Atom, p: Var, q: Var, r: Var) -> Any:
        n = p.type.extents[0]

        def contributions(acc: Var) -> tuple[()]:
            def one(j: Var) -> tuple[()]:
                at = b.o.mod(b.o.int64(b.o.mul(b.read(q, b.o.mod(b.o.add(i, j), n)), 10.0)), n)

                def put() -> tuple[()]:
                    b.contribute(acc, [at], b.o.sin(b.read(r, at)))
                    return ()

                b.if_(b.o.gt(at, 0), put, lambda: ())
                return ()

            b.for_(4, one, ())
            return ()

        p = b.accumulate([("add", [p])], contributions)[0]
        p, q = b.if_(b.o.eq(b.o.mod(i, 2), 0), lambda: (q, p), lambda: (p, q))
        return _touch(b, p, i, q), q, r

    return _traded(turn)

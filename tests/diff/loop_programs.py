"""Programs of loops, whiles and updates in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import F64, Atom, Function, Var
from tests.diff.cases import Args, case, contributions, normal, squares, vector
from tests.diff.oracle import array, program, real, size

# --- loops ------------------------------------------------------------------------------------------------------------


@case(5.3)
def scalar_recurrence() -> tuple[Function, Args]:
    n, x = size(), real()

    def body(b: Builder) -> Atom:
        return b.loop(n, [x, x], lambda i, s, t: [b.o.sin(b.o.mul(s, t)), b.o.add(t, s)])[0]

    return program([n, x], body), lambda n: [n, 0.3]


@case(3.5)
def emitting() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        _, e = b.loop(n, [0.5], lambda i, s: [b.o.sin(b.o.add(s, b.read(x, i))), b.o.mul(s, s)])
        return squares(b, n, e)

    return program([n, x], body), vector


@case(3.4, copied=1.0)
def in_place() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def turn(i: Var, a: Var) -> Var:
            j = b.o.mod(b.o.mul(i, 7), n)
            k = b.o.mod(b.o.add(j, 3), n)
            return b.set(a, [j], b.o.tanh(b.o.mul(b.read(a, j), b.read(a, k))))

        return squares(b, n, b.loop(n, [x], turn)[0])

    return program([n, x], body), vector


@case(4.2, copied=1.0)
def gauss_seidel() -> tuple[Function, Args]:
    n, t = size(), size("t")
    x = array(n, n)

    def body(b: Builder) -> Atom:
        def cell(i: Var, j: Var, a: Var) -> Var:
            near = b.o.add(b.read(a, i, b.o.mod(b.o.add(j, 1), n)), b.read(a, b.o.mod(b.o.add(i, 1), n), j))
            return b.set(a, [i, j], b.o.tanh(b.o.mul(b.read(a, i, j), near)))

        def sweep(_: Var, a: Var) -> Any:
            return b.loop(n, [a], lambda i, a: b.loop(n, [a], lambda j, a: cell(i, j, a)))

        a = b.loop(t, [x], sweep)[0]
        return b.reduce("add", [n, n], lambda i, j: b.o.mul(b.read(a, i, j), b.read(a, i, j)))

    return program([n, t, x], body), lambda n: [n, 3, normal(n, n)]


@case(6.0, copied=1.0, sizes=(3, 6, 9))
def cholesky() -> tuple[Function, Args]:
    n = size()
    x = array(n, n)

    def body(b: Builder) -> Atom:
        def entry(i: Var, j: Var, a: Var) -> Var:
            def less(k: Var, s: Atom) -> Atom:
                return b.o.sub(s, b.o.mul(b.read(a, i, k), b.read(a, j, k)))

            s = b.loop(j, [b.read(a, i, j)], less)[0]
            v = b.if_(b.o.eq(i, j), lambda: b.o.sqrt(s), lambda: b.o.div(s, b.read(a, j, j)))[0]
            return b.set(a, [i, j], v)

        low = b.loop(n, [x], lambda i, a: b.loop(b.o.add(i, 1), [a], lambda j, a: entry(i, j, a)))[0]
        return b.reduce("add", n, lambda i: b.o.log(b.read(low, i, i)))

    def args(n: int) -> list[Any]:
        a = normal(n, n)
        return [n, a @ a.T + n * np.eye(n)]

    return program([n, x], body), args


@case(4.6, copied=1.0)
def conditional_update() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def turn(i: Var, a: Var) -> Any:
            v = b.o.mul(b.read(a, i), b.read(a, b.o.mod(b.o.add(i, 1), n)))
            return b.if_(b.o.gt(v, 0.0), lambda: b.set(a, [i], b.o.sin(v)), lambda: a)

        return squares(b, n, b.loop(n, [x], turn)[0])

    return program([n, x], body), vector


@case(7.5, copied=9.0)
def best_so_far() -> tuple[Function, Args]:
    """A branch that gives up one array for a copy of another, three times."""
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def turn(i: Var, a: Var, best: Var) -> list[Var]:
            a2 = b.set(a, [i], b.o.sin(b.o.add(b.read(a, i), b.read(best, i))))
            better = b.o.eq(b.o.mod(i, b.o.add(b.o.floordiv(n, 3), 1)), 1)
            return [a2, b.if_(better, lambda: a2, lambda: best)[0]]

        a, best = b.loop(n, [x, x], turn)
        return b.reduce("add", n, lambda i: b.o.mul(b.read(a, i), b.read(best, i)))

    return program([n, x], body), vector


@case(3.3, copied=1.0)
def swap_in_place() -> tuple[Function, Args]:
    n = size()
    x, y = array(n), array(n, hint="y")

    def body(b: Builder) -> Atom:
        def turn(i: Var, p: Var, q: Var) -> list[Var]:
            v = b.o.sin(b.o.add(b.read(p, i), b.read(q, b.o.sub(b.o.sub(n, 1), i))))
            return [q, b.set(p, [b.o.mod(b.o.mul(3, i), n)], v)]

        p, q = b.loop(n, [x, y], turn)
        return b.reduce("add", n, lambda i: b.o.mul(b.read(p, i), b.read(q, i)))

    return program([n, x, y], body), lambda n: [n, normal(n), normal(n, scale=2.0)]


@case(3.0, copied=1.0)
def double_buffer() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def step(_: Var, a: Var) -> Var:
            return b.map(n, lambda i: b.o.sin(b.o.mul(b.read(a, i), b.read(a, b.o.mod(b.o.add(i, 1), n)))))

        a = b.loop(4, [x], step)[0]
        return b.reduce("add", n, lambda i: b.read(a, i))

    return program([n, x], body), vector


@case(6.5, copied=1.0)
def histogram_onto_a_carry() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def turn(t: Var, a: Var) -> Var:
            def each(acc: Var, i: Var) -> None:
                at = b.o.mod(b.o.add(b.o.mul(i, i), t), n)
                b.contribute(acc, [at], b.o.sin(b.read(x, b.o.mod(b.o.add(i, t), n))))

            a = b.accumulate([("add", [a])], contributions(b, 4, each))[0]
            return b.set(a, [b.o.mod(t, n)], b.o.sin(b.read(a, b.o.mod(b.o.mul(t, 3), n))))

        return squares(b, n, b.loop(n, [x], turn)[0])

    return program([n, x], body), vector


@case(3.6, copied=4.0)
def small_array_per_lane() -> tuple[Function, Args]:
    """A short recurrence over an array of its own in every lane."""
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def lane(i: Var) -> Atom:
            t = b.map(4, lambda j: b.o.mul(b.read(x, i), b.o.sin(b.read(x, b.o.mod(b.o.add(i, j), n)))))

            def turn(k: Var, t: Var) -> Var:
                at = b.o.add(k, 1)
                return b.set(t, [at], b.o.sin(b.o.mul(b.read(t, k), b.read(t, at))))

            return b.read(b.loop(3, [t], turn)[0], 3)

        return b.reduce("add", n, lane)

    return program([n, x], body), vector


@case(3.0)
def built_by_elements() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def lane(i: Var) -> Atom:
            t = b.zeros([4], F64)
            for k in range(4):
                t = b.set(t, [k], b.o.sin(b.o.mul(b.read(x, i), float(k + 1))))
            return b.reduce("mul", 4, lambda j: b.read(t, j))

        return b.reduce("add", n, lane)

    return program([n, x], body), vector


@case(3.4, copied=1.0)
def while_in_place() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def turn(i: Atom, s: Atom, a: Var) -> list[Atom]:
            v = b.o.sin(b.o.add(s, b.read(a, i)))
            return [b.o.add(i, 1), v, b.set(a, [b.o.mod(b.o.add(i, 2), n)], v)]

        _, s, a = b.while_([0, 0.5, x], lambda i, s, a: b.o.lt(i, b.o.sub(n, 2)), turn)
        return b.o.mul(s, squares(b, n, a))

    return program([n, x], body), vector


@case(4.2)
def while_per_lane() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def lane(i: Var) -> Atom:
            def more(k: Atom, s: Atom) -> Atom:
                return b.o.lt(k, b.o.add(b.o.mod(i, 4), 2))

            def turn(k: Atom, s: Atom) -> list[Atom]:
                return [b.o.add(k, 1), b.o.sin(b.o.mul(s, b.read(x, k)))]

            return b.while_([0, b.read(x, i)], more, turn)[1]

        return b.reduce("add", n, lane)

    return program([n, x], body), vector


@case(4.0, copied=1.0)
def while_over_whole_arrays() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def turn(k: Atom, a: Var) -> list[Atom]:
            return [b.o.add(k, 1), b.map(n, lambda i: b.o.sin(b.o.mul(b.read(a, i), squares(b, n, a))))]

        a = b.while_([0, x], lambda k, a: b.o.lt(k, 3), turn)[1]
        return b.reduce("add", n, lambda i: b.read(a, i))

    return program([n, x], body), lambda n: [n, normal(n, scale=0.3)]

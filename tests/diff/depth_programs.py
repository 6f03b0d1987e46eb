"""Programs whose loops and branches nest to any depth, with little work in the middle: what a level costs shows.

nested(kind, depth)     a function of n, t turns a loop, a scalar c and an array x[n], with `depth` loops
"""

from __future__ import annotations

from collections.abc import Callable

from iverson.core.build import Builder
from iverson.core.syntax import F64, Atom, Function, Var
from tests.diff.oracle import array, program, real, size

Body = Callable[["Middle", Var], Var]


class Middle:
    """What a turn may do to an array."""

    def __init__(self, b: Builder, n: Var, c: Var) -> None:
        self.b, self.n, self.c = b, n, c

    def below(self, a: Var, limit: float) -> Atom:
        return self.b.o.lt(self.b.read(a, 0), limit)

    def update(self, a: Var) -> Var:
        v = self.b.read(a, 0)
        return self.b.set(a, [0], self.b.o.sin(self.b.o.mul(v, v)))

    def squares(self, a: Var) -> Var:
        def square(i: Var) -> Atom:
            v = self.b.read(a, i)
            return self.b.o.mul(v, self.b.o.mul(v, self.c))

        return self.b.map(self.n, square)

    def either(self, a: Var, then: Body, limit: float = 5.0) -> Var:
        return self.b.if_(self.below(a, limit), lambda: then(self, a), lambda: self.update(a))[0]


def anew(m: Middle, a: Var) -> Var:
    """An array that is given up for another, under a condition."""
    return m.either(a, Middle.squares)


def anew_in_branches(m: Middle, a: Var) -> Var:
    """The same, under four."""
    body: Body = Middle.squares
    for limit in (5.0, 6.0, 7.0, 8.0):
        body = lambda m, a, then=body, limit=limit: m.either(a, then, limit)  # type: ignore[misc]  # noqa: E731
    return body(m, a)


def added_at_its_own_elements(m: Middle, a: Var) -> Var:
    """What is added is read from the array itself, so the primal copies it: at 1 an element."""

    def update(m: Middle, a: Var) -> Var:
        def block(acc: Var) -> tuple[()]:
            def turn(j: Var) -> tuple[()]:
                m.b.contribute(acc, [m.b.o.mod(m.b.o.mul(j, j), m.n)], m.b.o.sin(m.b.read(a, j)))
                return ()

            m.b.loop(3, [], turn)
            return ()

        return m.b.accumulate([("add", [a])], block)[0]

    return m.either(a, update)


def in_a_while(m: Middle, a: Var) -> Var:
    o = m.b.o
    return m.b.while_([2, a], lambda k, a: o.gt(k, 0), lambda k, a: [o.sub(k, 1), anew(m, a)])[1]


KINDS = {f.__name__: f for f in (anew, anew_in_branches, added_at_its_own_elements, in_a_while)}


def nested(kind: str, depth: int) -> Function:
    n, t, c = size(), size("t"), real("c")
    x = array(n)

    def body(b: Builder) -> Atom:
        middle = Middle(b, n, c)

        def level(k: int, a: Var) -> Var:
            return KINDS[kind](middle, a) if k == 0 else b.loop(t, [a], lambda i, a: level(k - 1, a))[0]

        return b.read(level(depth, x), 1)

    return program([n, t, c, x], body)


def triangle(depth: int, sequential: str) -> Function:
    """A recurrence of one multiplication, in loops whose turns are the index of the loop around them."""
    n, c = size(), real("c")

    def body(b: Builder) -> Atom:
        o = b.o

        def level(k: int, turns: Atom, s: Atom) -> Atom:
            if k == 0:
                return o.mul(s, s)
            if sequential == "loop":
                return b.loop(turns, [s], lambda i, s: level(k - 1, i, s))[0]
            return b.while_([0, s], lambda i, _: o.lt(i, turns), lambda i, s: [o.add(i, 1), level(k - 1, i, s)])[1]

        return level(depth, n, c)

    return program([n, c], body)


def updated_anew(where: str, how: str, times: int) -> Function:
    """An array that each turn begins anew and then updates, a few elements at a time, some times."""
    n, t, c = size(), size("t"), real("c")
    x = array(n)

    def body(b: Builder) -> list[Atom]:
        o = b.o

        def element(a: Var, at: Atom) -> Var:
            v = b.read(a, at)
            return b.set(a, [at], o.sin(o.mul(v, o.mul(v, c))))

        def some(a: Var, at: Atom) -> Var:
            place = lambda j: o.mod(o.add(at, j), n)  # noqa: E731
            values = b.map(2, lambda j: o.sin(o.mul(b.read(a, place(j)), c)))

            def block(acc: Var) -> tuple[()]:
                def one(j: Var) -> tuple[()]:
                    b.contribute(acc, [place(j)], b.read(values, j))
                    return ()

                b.for_(2, one, ())
                return ()

            return b.accumulate([("set", [a])], block)[0]

        def update(a: Var, at: Atom) -> Var:
            match how:
                case "slice":
                    return some(a, at)
                case "branch":
                    return b.if_(o.lt(b.read(a, at), 0.6), lambda: element(a, at), lambda: a)[0]
                case "loop":
                    return b.loop(2, [a], lambda j, a: element(a, o.mod(o.add(at, j), n)))[0]
                case _:
                    return element(a, at)

        def updates(a: Var) -> Var:
            for k in range(times):
                a = update(a, o.mod(k, n))
            return a

        def turn(_: Var, a: Var) -> list[Atom]:
            m = Middle(b, n, c)
            if where == "branch":
                return [m.either(a, lambda m, a: updates(m.squares(a)))]
            return [updates(m.squares(updates(a)))]

        def row(i: Var) -> Atom:
            a = updates(b.map(n, lambda j: b.o.mul(b.read(x, j), b.cast(b.o.add(i, j), F64))))
            return b.reduce("add", n, lambda j: b.o.mul(b.read(a, j), b.read(a, j)))

        if where == "for":
            return [b.reduce("add", t, row)]
        if where == "while":
            step = lambda k, a: [b.o.sub(k, 1), *turn(k, a)]  # noqa: E731
            a = b.while_([t, x], lambda k, a: b.o.gt(k, 0), step)[1]
        else:
            a = b.loop(t, [x], turn)[0]
        return [b.reduce("add", n, lambda j: b.read(a, j))]

    return program([n, t, c, x], body)

"""Programs of scalars, reductions, scans and accumulation."""

from __future__ import annotations

from typing import Any

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import F64, I64, Atom, Function, Var
from tests.diff.cases import Args, case, contributions, normal, squares, vector
from tests.diff.oracle import array, program, real, size

# --- scalars and reductions -------------------------------------------------------------------------------------------


@case(3.0)
def scalars() -> tuple[Function, Args]:
    x, y = real(), real("y")
    return program([x, y], lambda b: b.o.sin(b.o.mul(x, b.o.exp(y)))), lambda n: [0.3, 0.2]


@case(3.0)
def dot() -> tuple[Function, Args]:
    n = size()
    x, y = array(n), array(n, hint="y")
    f = program([n, x, y], lambda b: b.reduce("add", n, lambda i: b.o.mul(b.read(x, i), b.read(y, i))))
    return f, lambda n: [n, normal(n), normal(n, scale=2.0)]


@case(2.7, sizes=(3, 6, 9))
def matmul() -> tuple[Function, Args]:
    n = size()
    x, y = array(n, n), array(n, n, hint="y")

    def body(b: Builder) -> Atom:
        def entry(i: Var, j: Var) -> Atom:
            return b.reduce("add", n, lambda k: b.o.mul(b.read(x, i, k), b.read(y, k, j)))

        z = b.map([n, n], entry)
        return b.reduce("add", [n, n], lambda i, j: b.o.mul(b.read(z, i, j), b.read(z, j, i)))

    return program([n, x, y], body), lambda n: [n, normal(n, n), normal(n, n, scale=2.0)]


@case(2.6)
def logsumexp() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        m = b.reduce("max", n, lambda i: b.read(x, i))
        s = b.reduce("add", n, lambda i: b.o.exp(b.o.sub(b.read(x, i), m)))
        return b.o.add(b.o.log(s), m)

    return program([n, x], body), vector


def nest(depth: int) -> tuple[Function, Args]:
    """Imperfectly nested sums: each level does more with the sum of the next."""
    n = size()
    x = array(n)

    def level(b: Builder, d: int, scale: Atom) -> Atom:
        if d == 0:
            return scale
        return b.o.sin(b.reduce("add", n, lambda i: level(b, d - 1, b.o.mul(scale, b.read(x, i)))))

    return program([n, x], lambda b: level(b, depth, b.o.add(b.read(x, 0), 0.5))), vector


@case(3.0, sizes=(4, 8, 16))
def nest_1() -> tuple[Function, Args]:
    return nest(1)


@case(3.2, sizes=(3, 5, 8))
def nest_3() -> tuple[Function, Args]:
    return nest(3)


@case(3.3, sizes=(2, 3, 4))
def nest_5() -> tuple[Function, Args]:
    return nest(5)


@case(3.9)
def triangle() -> tuple[Function, Args]:
    """Ragged residuals: the inner ranges depend on the outer index."""
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def pair(i: Var, j: Var) -> Atom:
            s = b.reduce("add", j, lambda k: b.o.mul(b.read(x, j), b.read(x, k)))
            return b.o.sin(b.o.mul(b.read(x, i), s))

        return b.reduce("add", n, lambda i: b.o.sin(b.reduce("add", i, lambda j: pair(i, j))))

    return program([n, x], body), vector


@case(2.0)
def nearest() -> tuple[Function, Args]:
    n, k = size(), size("k")
    points, centres = array(n), array(k, hint="c")

    def body(b: Builder) -> Atom:
        def square(i: Var, j: Var) -> Atom:
            d = b.o.sub(b.read(points, i), b.read(centres, j))
            return b.o.mul(d, d)

        return b.reduce("add", n, lambda i: b.reduce("min", k, lambda j: square(i, j)))

    return program([n, k, points, centres], body), lambda n: [n, n // 2, normal(n), normal(n // 2)]


@case(3.3)
def a_product() -> tuple[Function, Args]:
    n = size()
    x = array(n)
    f = program([n, x], lambda b: b.reduce("mul", n, lambda i: b.read(x, i)))
    return f, lambda n: [n, 1.0 + normal(n, scale=0.1)]


@case(3.0)
def local_array_used_twice() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def row(i: Var) -> Atom:
            t = b.map(n, lambda j: b.o.mul(b.read(x, i), b.o.sin(b.read(x, j))))
            s = b.reduce("add", n, lambda j: b.o.mul(b.read(t, j), b.read(t, b.o.sub(b.o.sub(n, 1), j))))
            return b.o.sin(s)

        return b.reduce("add", n, row)

    return program([n, x], body), vector


@case(2.9, copied=1.0)
def rows() -> tuple[Function, Args]:
    """Rows read, copied, and yielded."""
    n = size()
    x = array(n, n)

    def body(b: Builder) -> Atom:
        def row(i: Var) -> Atom:
            r = b.read(x, i)
            return b.reduce("add", n, lambda j: b.o.mul(b.read(r, j), b.read(r, b.o.sub(b.o.sub(n, 1), j))))

        y = b.map(n, lambda i: b.copy(b.read(x, b.o.mod(b.o.add(i, 1), n))))
        z = b.map(n, lambda i: b.read(x, i))
        mixed = b.reduce("add", [n, n], lambda i, j: b.o.mul(b.read(y, i, j), b.o.sin(b.read(z, j, i))))
        return b.o.add(b.reduce("add", n, row), mixed)

    return program([n, x], body), lambda n: [n, normal(n, n)]


# --- scans and operators ----------------------------------------------------------------------------------------------


def scanned(monoid: Any) -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        y = b.scan(monoid, n, lambda i: b.o.mul(b.read(x, i), b.read(x, i)))
        return b.reduce("add", n, lambda i: b.o.mul(b.read(y, i), b.o.sin(b.read(x, i))))

    return program([n, x], body), lambda n: [n, 1.0 + normal(n, scale=0.1)]


@case(3.4)
def scan_add() -> tuple[Function, Args]:
    return scanned("add")


@case(5.1)
def scan_max() -> tuple[Function, Args]:
    return scanned("max")


@case(4.6)
def scan_mul() -> tuple[Function, Args]:
    return scanned("mul")


def recurrence(scan: bool) -> tuple[Function, Args]:
    """Linear functions composed, with a free variable in the operator."""
    n = size()
    x, a = array(n), real("a")

    def body(b: Builder) -> Atom:
        def compose(p: Atom, q: Atom, r: Atom, s: Atom) -> list[Atom]:
            return [b.o.mul(p, r), b.o.add(b.o.mul(r, q), b.o.mul(s, b.o.add(1.0, b.o.sub(a, a))))]

        op = b.operator([1.0, 0.0], compose)
        if not scan:
            return b.o.mul(*b.reduce(op, n, lambda i: [b.read(x, i), b.o.sin(b.read(x, i))]))
        p, s = b.scan(op, n, lambda i: [b.read(x, i), b.o.sin(b.read(x, i))])
        return b.reduce("add", n, lambda i: b.o.mul(b.read(p, i), b.read(s, i)))

    return program([n, x, a], body), lambda n: [n, 1.0 + normal(n, scale=0.1), 0.3]


@case(5.8)
def reduce_by_operator() -> tuple[Function, Args]:
    return recurrence(False)


@case(4.3)
def scan_by_operator() -> tuple[Function, Args]:
    return recurrence(True)


def of_rows(monoid: Any) -> tuple[Function, Args]:
    n = size()
    x = array(n, 3)

    def body(b: Builder) -> Atom:
        y = b.reduce(monoid, n, lambda i: b.map(3, lambda j: b.o.exp(b.read(x, i, j))))
        return squares(b, y.type.extents[0], y)

    return program([n, x], body), lambda n: [n, normal(n, 3, scale=0.3)]


@case(2.5)
def rows_added() -> tuple[Function, Args]:
    return of_rows("add")


@case(6.0)
def rows_multiplied() -> tuple[Function, Args]:
    return of_rows("mul")


@case(6.2)
def rows_maximum() -> tuple[Function, Args]:
    return of_rows("max")


# --- accumulation -----------------------------------------------------------------------------------------------------


def histogram(monoid: Any) -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        start = b.full([5], b.o.add(b.read(x, 0), 0.1))

        def each(acc: Var, i: Var) -> None:
            b.contribute(acc, [b.o.mod(i, 5)], b.o.exp(b.read(x, i)))

        h = b.accumulate([(monoid, [start])], contributions(b, n, each))[0]
        return b.reduce("add", 5, lambda i: b.o.mul(b.read(h, i), b.read(h, i)))

    return program([n, x], body), vector


@case(2.8)
def histogram_add() -> tuple[Function, Args]:
    return histogram("add")


@case(6.5)
def histogram_max() -> tuple[Function, Args]:
    return histogram("max")


@case(6.1)
def histogram_mul() -> tuple[Function, Args]:
    return histogram("mul")


@case(3.0)
def scatter_with_duplicates() -> tuple[Function, Args]:
    n = size()
    x, index = array(n), array(n, hint="k", dtype=I64)

    def body(b: Builder) -> Atom:
        y = b.map(n, lambda i: b.o.sin(b.read(x, i)))

        def each(acc: Var, i: Var) -> None:
            b.contribute(acc, [b.read(index, i)], b.o.exp(b.read(x, i)))

        z = b.accumulate([("set", [y])], contributions(b, n, each))[0]
        return squares(b, n, z)

    return program([n, x, index], body), lambda n: [n, normal(n), np.arange(n) ** 2 % n]


@case(3.0)
def every_second_element_set() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        y = b.map(n, lambda i: b.o.sin(b.read(x, i)))

        def each(acc: Var, i: Var) -> None:
            b.contribute(acc, [b.o.add(b.o.mul(i, 2), 0)], b.o.exp(b.read(x, i)))

        z = b.accumulate([("set", [y])], contributions(b, b.o.floordiv(n, 2), each))[0]
        return squares(b, n, z)

    return program([n, x], body), vector


@case(3.0)
def filtered() -> tuple[Function, Args]:
    n = size()
    x = array(n)

    def body(b: Builder) -> Atom:
        def each(acc: Var, i: Var) -> None:
            def keep() -> tuple[()]:
                b.contribute(acc, [], b.o.sin(b.read(x, i)))
                return ()

            b.if_(b.o.gt(b.read(x, i), 0.0), keep, lambda: ())

        length, kept = b.accumulate([("append", ())], contributions(b, n, each), [[F64]])
        return squares(b, length, kept)

    return program([n, x], body), vector

"""Reductions, scans and histograms over monoids of users, as core programs: each with a free variable a."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import F64, I64, Atom, Function, Literal, Monoid, Reduce, Scan, Var
from tests.diff.oracle import array, program, real, size

Values: TypeAlias = Sequence[Atom]


@dataclass(frozen=True)
class Example:
    """An operator on tuples, made from a builder and a scalar that it may use, and elements made from x[i] and y[i]."""

    name: str
    operator: Callable[[Builder, Atom], Monoid]
    element: Callable[[Builder, Atom, Atom], list[Atom]]


def _own(identity: Sequence[float], combine: Callable[..., list[Atom]]) -> Callable[[Builder, Atom], Monoid]:
    return lambda b, a: b.operator(identity, lambda *both: combine(b, a, *both))


def linear_functions(b: Builder, a: Atom, p: Atom, q: Atom, r: Atom, s: Atom) -> list[Atom]:
    return [b.o.mul(p, r), b.o.add(b.o.mul(r, q), s)]


def matrices(b: Builder, a: Atom, *both: Atom) -> list[Atom]:
    m, k = both[:4], both[4:]

    def entry(i: int, j: int) -> Atom:
        return b.o.add(b.o.mul(m[2 * i], k[j]), b.o.mul(m[2 * i + 1], k[2 + j]))

    return [entry(i, j) for i in (0, 1) for j in (0, 1)]


def log_sum_exp(b: Builder, a: Atom, m: Atom, s: Atom, k: Atom, t: Atom) -> list[Atom]:
    top = b.o.max(m, k)
    return [top, b.o.add(b.o.mul(s, b.o.exp(b.o.sub(m, top))), b.o.mul(t, b.o.exp(b.o.sub(k, top))))]


def sum_product_max(b: Builder, a: Atom, s: Atom, p: Atom, m: Atom, t: Atom, q: Atom, k: Atom) -> list[Atom]:
    return [b.o.add(s, t), b.o.mul(p, q), b.o.max(m, k)]


def saturating(b: Builder, a: Atom, x: Atom, y: Atom) -> list[Atom]:
    """min(x + y, 2 + a): associative on what isn't negative."""
    return [b.o.min(b.o.add(x, y), b.o.add(2.0, a))]


def with_free(b: Builder, a: Atom, x: Atom, y: Atom) -> list[Atom]:
    """x + y + a x y."""
    return [b.o.add(b.o.add(x, y), b.o.mul(a, b.o.mul(x, y)))]


def scaled_product(b: Builder, a: Atom) -> Monoid:
    """x y / a, whose identity is a."""
    return b.operator([a], lambda x, y: [b.o.div(b.o.mul(x, y), a)])


def polynomials(b: Builder, a: Atom, n: Atom, x: Atom, m: Atom, y: Atom) -> list[Atom]:
    """A power and a value: (n + m, x aᵐ + y), with an integer and a free variable."""
    return [b.o.add(n, m), b.o.add(b.o.mul(x, b.o.pow(a, b.cast(m, F64))), y)]


def with_a_loop(b: Builder, a: Atom, x: Atom, y: Atom) -> list[Atom]:
    """The product, with a sum and a branch inside."""
    half = b.reduce("add", 3, lambda i: b.o.div(b.o.mul(x, y), 3.0))
    return list(b.if_(b.o.gt(a, 0.0), lambda: half, lambda: b.o.mul(x, y)))


def nested(b: Builder, a: Atom, x: Atom, y: Atom) -> list[Atom]:
    """x + y + a x y by a reduction with an operator of its own inside."""
    inner = b.operator([0.0], lambda p, q: b.o.add(b.o.add(p, q), b.o.mul(a, b.o.mul(p, q))))
    return [b.reduce(inner, 2, lambda i: b.o.select(b.o.eq(i, 0), x, y))]


SMALL = 0.3


def _near_one(b: Builder, x: Atom) -> Atom:
    return b.o.add(1.0, b.o.mul(SMALL, x))


EXAMPLES = [
    Example("linear", _own([1.0, 0.0], linear_functions), lambda b, x, y: [_near_one(b, x), y]),
    Example(
        "matrices",
        _own([1.0, 0.0, 0.0, 1.0], matrices),
        lambda b, x, y: [_near_one(b, x), b.o.mul(SMALL, y), b.o.sin(x), _near_one(b, y)],
    ),
    Example("log_sum_exp", _own([-np.inf, 0.0], log_sum_exp), lambda b, x, y: [x, b.o.exp(y)]),
    Example("three", _own([0.0, 1.0, -np.inf], sum_product_max), lambda b, x, y: [x, _near_one(b, y), b.o.mul(x, y)]),
    Example("saturating", _own([0.0], saturating), lambda b, x, y: [b.o.mul(x, x)]),
    Example("free", _own([0.0], with_free), lambda b, x, y: [b.o.mul(SMALL, b.o.mul(x, y))]),
    Example("scaled", scaled_product, lambda b, x, y: [_near_one(b, x)]),
    Example(
        "polynomials",
        lambda b, a: b.operator([0, 0.0], lambda *both: polynomials(b, a, *both)),
        lambda b, x, y: [Literal(1, I64), b.o.mul(x, y)],
    ),
    Example("loop", _own([1.0], with_a_loop), lambda b, x, y: [_near_one(b, x)]),
    Example("nested", _own([0.0], nested), lambda b, x, y: [b.o.mul(SMALL, x)]),
    Example("mul", lambda b, a: "mul", lambda b, x, y: [_near_one(b, b.o.mul(a_few(b, x), y))]),
    Example("min", lambda b, a: "min", lambda b, x, y: [b.o.mul(x, y)]),
    Example("max", lambda b, a: "max", lambda b, x, y: [b.o.mul(x, y)]),
]


def a_few(b: Builder, x: Atom) -> Atom:
    return b.o.add(x, 0.1)


def parameters() -> tuple[Var, Var, Var, Var]:
    n = size()
    return n, array(n), array(n, hint="y"), real("a")


def arguments(n: int) -> list[Any]:
    rng = np.random.default_rng(n)
    return [n, rng.standard_normal(n), rng.standard_normal(n), 0.4]


def reduction(e: Example) -> Function:
    n, x, y, a = parameters()

    def body(b: Builder) -> list[Atom]:
        out = b.for_(n, lambda i: e.element(b, b.read(x, i), b.read(y, i)), [Reduce(e.operator(b, a))])
        return [b.o.mul(v, 1.5) for v in out if v.type.dtype is F64]

    return program([n, x, y, a], body)


def two_dimensions(e: Example) -> Function:
    """Over pairs of indices, of which the second is in the element as well."""
    n, x, y, a = parameters()

    def body(b: Builder) -> list[Atom]:
        def element(i: Var, j: Var) -> list[Atom]:
            return e.element(b, b.o.mul(b.read(x, i), 0.5), b.o.sub(b.read(y, i), b.o.mul(0.2, b.cast(j, F64))))

        out = b.for_([n, 2], element, [Reduce(e.operator(b, a))])
        return [v for v in out if v.type.dtype is F64]

    return program([n, x, y, a], body)


def scan(e: Example) -> Function:
    n, x, y, a = parameters()

    def body(b: Builder) -> list[Atom]:
        return list(b.for_(n, lambda i: e.element(b, b.read(x, i), b.read(y, i)), [Scan(e.operator(b, a))]))

    return program([n, x, y, a], body)


def many_short(e: Example) -> Function:
    """A reduction and a scan for every i, in a map."""
    n, x, y, a = parameters()

    def body(b: Builder) -> Atom:
        def one(i: Var) -> Atom:
            def element(j: Var) -> list[Atom]:
                return e.element(b, b.o.mul(b.read(x, i), b.read(x, j)), b.read(y, j))

            total = b.for_(n, element, [Reduce(e.operator(b, a))])[-1]
            prefix = b.for_(n, element, [Scan(e.operator(b, a))])[-1]
            return b.o.mul(total, b.read(prefix, b.o.floordiv(n, 2)))

        return b.map(n, one)

    return program([n, x, y, a], body)


def in_a_loop(e: Example) -> Function:
    """A reduction in every turn, that depends on the turn before."""
    n, x, y, a = parameters()

    def body(b: Builder) -> Any:
        def turn(t: Var, c: Var) -> Atom:
            def element(j: Var) -> list[Atom]:
                return e.element(b, b.o.mul(c, b.read(x, j)), b.read(y, j))

            return b.o.sin(b.for_(n, element, [Reduce(e.operator(b, c))])[-1])

        return b.loop(3, [a], turn)

    return program([n, x, y, a], body)


def histogram(e: Example, drops: bool = False, start: bool = False) -> Function:
    """In three bins, by an index that is read; `drops`: some are left out, `start`: with initial values."""
    n, x, y, a = parameters()
    where = array(n, hint="k", dtype=I64)

    def body(b: Builder) -> list[Atom]:
        m = e.operator(b, a)
        sample = e.element(b, a, b.o.add(a, 0.3))
        if start:
            inits: list[Atom] = [b.full([3], v) for v in sample]
        else:
            inits = [b.full([3], v) for v in units(m, sample)]

        def all_(acc: Var) -> tuple[()]:
            def one(i: Var) -> tuple[()]:
                def add() -> tuple[()]:
                    b.contribute(acc, [b.read(where, i)], *e.element(b, b.read(x, i), b.read(y, i)))
                    return ()

                if drops:
                    b.if_(b.o.gt(b.read(y, i), -0.5), add, tuple)
                else:
                    add()
                return ()

            b.for_(n, one, ())
            return ()

        return list(b.accumulate([(m, inits)], all_))

    return program([n, x, y, a, where], body)


def units(m: Monoid, sample: Sequence[Atom]) -> Sequence[Any]:
    if not isinstance(m, str):
        return m.identity
    return {"mul": [1.0], "min": [np.inf], "max": [-np.inf]}[m]


def places(n: int) -> Any:
    return np.random.default_rng(n + 7).integers(0, 3, size=n)

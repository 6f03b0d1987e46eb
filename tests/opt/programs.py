"""Hand-built programs like those the front end makes of the benchmarks' objectives."""

from __future__ import annotations

from typing import Any

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import F64, I64, Array, Atom, Function, Scalar, Var


def size(hint: str) -> Var:
    return Var(Scalar(I64), hint)


def array(hint: str, *extents: Atom) -> Var:
    return Var(Array(F64, extents), hint)


def kmeans() -> Function:
    """Sum over points of the squared distance to the nearest centre."""
    b, n, d, k = Builder(), size("n"), size("d"), size("k")
    points, centres = array("points", n, d), array("centres", k, d)
    o = b.o

    def distance(i: Var, j: Var) -> Any:
        def term(c: Var) -> Any:
            t = o.sub(b.read(points, i, c), b.read(centres, j, c))
            return o.mul(t, t)

        return b.reduce("add", d, term)

    total = b.reduce("add", n, lambda i: b.reduce("min", k, lambda j: distance(i, j)))
    return b.function([n, d, k, points, centres], [total], "kmeans")


def logsumexp_of(b: Builder, x: Var, n: Atom) -> Any:
    o = b.o
    top = b.reduce("max", n, lambda i: b.read(x, i))
    total = b.reduce("add", n, lambda i: o.exp(o.sub(b.read(x, i), top)))
    return o.add(top, o.log(total))


def logsumexp() -> Function:
    b, n = Builder(), size("n")
    x = array("x", n)
    return b.function([n, x], [logsumexp_of(b, x, n)], "logsumexp")


def gmm() -> Function:
    """The digits' log-likelihood and its prior."""
    b, n, d, k = Builder(), size("n"), size("d"), size("k")
    o = b.o
    alpha, mu, q = array("alpha", k), array("mu", k, d), array("q", k, d)
    lower, x = array("lower", k, d, d), array("x", n, d)
    scale = b.map([k, d], lambda c, a: o.exp(b.read(q, c, a)))

    def joint(i: Var, c: Var) -> Any:
        r = b.map(d, lambda a: o.sub(b.read(x, i, a), b.read(mu, c, a)))

        def row(a: Var) -> Any:
            rest = b.reduce("add", a, lambda e: o.mul(b.read(lower, c, a, e), b.read(r, e)))
            return o.add(o.mul(b.read(scale, c, a), b.read(r, a)), rest)

        y = b.map(d, row)
        logs = b.reduce("add", d, lambda a: b.read(q, c, a))

        def square(a: Var) -> Any:
            t = b.read(y, a)
            return o.mul(t, t)

        squares = b.reduce("add", d, square)
        return o.sub(o.add(b.read(alpha, c), logs), o.mul(squares, 0.5))

    likelihood = b.reduce("add", n, lambda i: logsumexp_of(b, b.map(k, lambda c: joint(i, c)), k))

    def squares(c: Var, a: Var) -> Any:
        s = b.read(scale, c, a)
        rest = b.reduce("add", a, lambda e: o.mul(b.read(lower, c, a, e), b.read(lower, c, a, e)))
        return o.add(o.mul(s, s), rest)

    frobenius = b.reduce("add", k, lambda c: b.reduce("add", d, lambda a: squares(c, a)))
    weights = o.mul(o.float64(n), logsumexp_of(b, alpha, k))
    value = o.neg(o.sub(o.sub(likelihood, weights), o.mul(frobenius, 0.5)))
    return b.function([n, d, k, alpha, mu, q, lower, x], [value], "gmm")


def arguments(f: Function, **sizes: int) -> list[Any]:
    """Deterministic arguments: sizes by name, standard normal arrays."""
    rng = np.random.default_rng(0)
    values: dict[Any, Any] = {}
    for p in f.params:
        if isinstance(p.type, Scalar):
            values[p] = sizes[p.hint]
        else:
            values[p] = rng.standard_normal([values[e] for e in p.type.extents])
    return list(values.values())


PROGRAMS = {"kmeans": kmeans, "logsumexp": logsumexp, "gmm": gmm}
SIZES = {"n": 6, "d": 3, "k": 4}

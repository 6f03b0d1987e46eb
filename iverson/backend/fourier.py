"""Discrete Fourier transforms as core programs: y[k] = sum_j x[j] w^(j k) with w = exp(+- 2 pi i / n).

    n a power of 2    Stockham's radix-2 algorithm: each stage is a pass from one array to another, in order in the end
    other n           Bluestein's: j k = (j^2 + k^2 - (k - j)^2) / 2 makes of it a convolution, of a power of 2 length

C. Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.syntax import F64, Atom, Var

Complex = tuple[Atom, Atom]


def transform(b: Builder, x: Atom, sign: float) -> Atom:
    """Of one row of complex numbers, [n, 2]."""
    n = extents_of(x)[0]
    power = b.o.eq(b.o.bit_and(n, b.o.sub(n, 1)), 0)
    return b.if_(power, lambda: _stockham(b, x, sign), lambda: _bluestein(b, x, sign))[0]


def _mul(b: Builder, p: Complex, q: Complex) -> Complex:
    o = b.o
    return o.sub(o.mul(p[0], q[0]), o.mul(p[1], q[1])), o.add(o.mul(p[0], q[1]), o.mul(p[1], q[0]))


def _read(b: Builder, x: Atom, *index: Atom) -> Complex:
    return b.read(x, *index, 0, safe=True), b.read(x, *index, 1, safe=True)


def _root(b: Builder, like: Atom, numerator: Atom, denominator: Atom, sign: float) -> Complex:
    """exp(sign pi i numerator / denominator), in the dtype of an array."""
    o, d = b.o, dtype_of(like)
    angle = o.div(o.mul(sign * math.pi, b.cast(numerator, F64)), b.cast(denominator, F64))
    return b.cast(o.cos(angle), d), b.cast(o.sin(angle), d)


def _stockham(b: Builder, x: Atom, sign: float) -> Atom:
    n = extents_of(x)[0]
    o = b.o
    half = o.shr(n, 1)
    turns = _filled(b, half, x, lambda j: _root(b, x, o.mul(j, 2), n, sign))

    def stage(groups: Atom, width: Atom, source: Atom, target: Atom) -> Outs:
        """Pairs that are half of the array apart become neighbours of a group: n = 2 groups width."""

        def butterflies(acc: Var) -> Outs:
            def group(j: Atom) -> Outs:
                w = _read(b, turns, o.mul(j, width))
                first, second = o.mul(j, width), o.mul(o.add(j, groups), width)
                lower = o.mul(o.mul(j, 2), width)

                def pair(k: Atom) -> Outs:
                    p, q = _read(b, source, o.add(first, k)), _read(b, source, o.add(second, k))
                    apart = _mul(b, w, (o.sub(p[0], q[0]), o.sub(p[1], q[1])))
                    place = o.add(lower, k)
                    for c in range(2):
                        b.contribute(acc, [place, c], o.add(p[c], q[c]), safe=True)
                        b.contribute(acc, [o.add(place, width), c], apart[c], safe=True)
                    return ()

                b.for_(width, pair, [])
                return ()

            b.for_(groups, group, [])
            return ()

        filled = b.accumulate([("set", [target])], butterflies)[0]
        return [o.shr(groups, 1), o.mul(width, 2), filled, source]

    start = [half, literal(1), b.copy(x), b.zeros(extents_of(x), dtype_of(x))]
    return b.while_(start, lambda groups, *_: o.gt(groups, 0), stage)[2]


def _filled(b: Builder, n: Atom, like: Atom, element: Callable[[Atom], Complex]) -> Var:
    """The complex numbers element(i), [n, 2], in the dtype of an array."""

    def fill(acc: Var) -> Outs:
        def at(i: Atom) -> Outs:
            for c, part in enumerate(element(i)):
                b.contribute(acc, [i, c], part, safe=True)
            return ()

        b.for_(n, at, [])
        return ()

    return b.accumulate([("set", [b.zeros([n, 2], dtype_of(like))])], fill)[0]


def _bluestein(b: Builder, x: Atom, sign: float) -> Atom:
    n = extents_of(x)[0]
    o, zero = b.o, literal(0.0, dtype_of(x))
    (size,) = b.while_([literal(1)], lambda m: o.lt(m, o.sub(o.mul(n, 2), 1)), lambda m: [o.mul(m, 2)])
    # k^2 modulo 2 n, for an angle that is small
    chirp = _filled(b, n, x, lambda k: _root(b, x, o.mod(o.mul(k, k), o.mul(n, 2)), n, sign))

    def operand(which: Atom, k: Atom) -> Complex:
        """The row times the chirp, and the chirp's conjugate around 0; zeros between."""

        def row() -> Outs:
            return b.if_(o.lt(k, n), lambda: _mul(b, _read(b, x, k), _read(b, chirp, k)), lambda: (zero, zero))

        def around() -> Outs:
            near = o.min(k, o.sub(size, k))

            def inside() -> Outs:
                re, im = _read(b, chirp, near)
                return re, o.neg(im)

            return b.if_(o.lt(near, n), inside, lambda: (zero, zero))

        re, im = b.if_(o.eq(which, 0), row, around)
        return re, im

    operands = b.map(2, lambda w: _stockham(b, _filled(b, size, x, lambda k: operand(w, k)), -1.0))
    first, second = (lambda k, c=c: _read(b, operands, literal(c), k) for c in range(2))
    product = _filled(b, size, x, lambda k: _mul(b, first(k), second(k)))
    whole = _stockham(b, product, 1.0)
    scale = b.cast(size, dtype_of(x))

    def element(k: Atom) -> Complex:
        re, im = _mul(b, _read(b, whole, k), _read(b, chirp, k))
        return o.div(re, scale), o.div(im, scale)

    return _filled(b, n, x, element)

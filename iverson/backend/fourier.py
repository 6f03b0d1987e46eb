"""Discrete Fourier transforms as core programs: y[k] = sum_j x[j] w^(j k) with w = exp(+- 2 pi i / n).

    n of small factors    Stockham's algorithm: a stage a factor, each a pass from one array to another
    other n               Bluestein's: j k = (j^2 + k^2 - (k - j)^2) / 2 makes of it a convolution, of length 2^p

C. Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.syntax import F64, Atom, Var

Complex = tuple[Atom, Atom]
ODD = (3, 5, 7)


def transform(b: Builder, x: Atom, sign: float) -> Atom:
    """Of one row of complex numbers, [n, 2]."""
    rest: Atom = extents_of(x)[0]
    for p in (2, *ODD):
        (rest,) = b.while_([rest], lambda m, p=p: _divides(b, p, m), lambda m, p=p: [b.o.floordiv(m, p)])
    return b.if_(b.o.le(rest, 1), lambda: _stockham(b, x, sign, ODD), lambda: _bluestein(b, x, sign))[0]


def _divides(b: Builder, p: int, m: Atom) -> Atom:
    return b.prim("and", b.o.gt(m, 0), b.o.eq(b.o.mod(m, p), 0))


def _mul(b: Builder, p: Complex, q: Complex) -> Complex:
    o = b.o
    return o.sub(o.mul(p[0], q[0]), o.mul(p[1], q[1])), o.add(o.mul(p[0], q[1]), o.mul(p[1], q[0]))


def _add(b: Builder, p: Complex, q: Complex) -> Complex:
    return b.o.add(p[0], q[0]), b.o.add(p[1], q[1])


def _sub(b: Builder, p: Complex, q: Complex) -> Complex:
    return b.o.sub(p[0], q[0]), b.o.sub(p[1], q[1])


def _read(b: Builder, x: Atom, *index: Atom) -> Complex:
    return b.read(x, *index, 0, safe=True), b.read(x, *index, 1, safe=True)


def _root(b: Builder, like: Atom, numerator: Atom, denominator: Atom, sign: float) -> Complex:
    """exp(sign pi i numerator / denominator), in the dtype of an array."""
    o, d = b.o, dtype_of(like)
    angle = o.div(o.mul(sign * math.pi, b.cast(numerator, F64)), b.cast(denominator, F64))
    return b.cast(o.cos(angle), d), b.cast(o.sin(angle), d)


def _stockham(b: Builder, x: Atom, sign: float, odd: Sequence[int] = ()) -> Atom:
    """Of a row whose length has the factors 2 and `odd`."""
    n = extents_of(x)[0]
    o = b.o
    radices = (2, *odd)
    used = o.select(o.eq(o.bit_and(n, o.sub(n, 1)), 0), o.shr(n, 1), n)  # where all factors are 2, half of the roots
    turns = _filled(b, used, x, lambda j: _root(b, x, o.mul(j, 2), n, sign))

    def stage(rest: Atom, width: Atom, source: Atom, target: Atom) -> Outs:
        """n = rest width: of each r-th part of what is left, r a factor of it, neighbours in groups of r."""

        def tuples(acc: Var, r: int) -> Outs:
            groups = o.floordiv(rest, r)

            def group(j: Atom) -> Outs:
                step = o.mul(j, width)
                roots = [_read(b, turns, o.mul(step, k)) for k in range(1, r)]

                def element(k: Atom) -> Outs:
                    parts = [_read(b, source, o.add(o.mul(o.add(j, o.mul(groups, q)), width), k)) for q in range(r)]
                    first, *others = _small(b, parts, sign)
                    place = o.add(o.mul(step, r), k)
                    _write(b, acc, place, first)
                    for m, (root, z) in enumerate(zip(roots, others, strict=True), 1):
                        _write(b, acc, o.add(place, o.mul(width, m)), _mul(b, root, z))
                    return ()

                b.for_(width, element, [])
                return ()

            b.for_(groups, group, [])
            return ()

        def fill(acc: Var, factors: Sequence[int] = radices) -> Outs:
            r, *others = factors
            if not others:
                return tuples(acc, r)
            b.if_(o.eq(o.mod(rest, r), 0), lambda: tuples(acc, r), lambda: fill(acc, others))
            return ()

        r = _factor(b, rest, radices)
        filled = b.accumulate([("set", [target])], fill)[0]
        return [o.floordiv(rest, r), o.mul(width, r), filled, source]

    start = [n, literal(1), b.copy(x), b.zeros(extents_of(x), dtype_of(x))]
    return b.while_(start, lambda rest, *_: o.gt(rest, 1), stage)[2]


def _factor(b: Builder, n: Atom, radices: Sequence[int]) -> Atom:
    """The first radix that divides n; the last is not tried."""
    factor: Atom = literal(radices[-1])
    for r in reversed(radices[:-1]):
        factor = b.o.select(b.o.eq(b.o.mod(n, r), 0), r, factor)
    return factor


def _small(b: Builder, x: Sequence[Complex], sign: float) -> list[Complex]:
    """The transform of a few numbers, written out; those of opposite places share their sums and differences."""
    o, r = b.o, len(x)
    if r == 2:
        return [_add(b, *x), _sub(b, *x)]
    half, zero = range(1, (r + 1) // 2), literal(0.0, dtype_of(x[0][0]))
    sums = {q: _add(b, x[q], x[r - q]) for q in half}
    differences = {q: _sub(b, x[q], x[r - q]) for q in half}
    found: list[Complex] = [x[0]] * r
    for q in half:
        found[0] = _add(b, found[0], sums[q])
    for k in half:
        even, turned = x[0], (zero, zero)
        for q in half:
            angle = 2 * math.pi * (q * k % r) / r
            c, s = math.cos(angle), sign * math.sin(angle)
            even = _add(b, even, (o.mul(c, sums[q][0]), o.mul(c, sums[q][1])))
            turned = _add(b, turned, (o.mul(-s, differences[q][1]), o.mul(s, differences[q][0])))
        found[k], found[r - k] = _add(b, even, turned), _sub(b, even, turned)
    return found


def _write(b: Builder, acc: Var, place: Atom, z: Complex) -> None:
    for c, part in enumerate(z):
        b.contribute(acc, [place, c], part, safe=True)


def _filled(b: Builder, n: Atom, like: Atom, element: Callable[[Atom], Complex]) -> Var:
    """The complex numbers element(i), [n, 2], in the dtype of an array."""

    def fill(acc: Var) -> Outs:
        def at(i: Atom) -> Outs:
            _write(b, acc, i, element(i))
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

"""Sorting as core programs: stable, NaN last.

    few elements     merge runs of 1, 2, 4, ... elements: a While around a Loop that emits the merged order
    many             by digits of 11 bits, the last first: count them, then move each element to its place

What is sorted by digits are the bits of the elements, changed so that they are ordered as unsigned integers.
"""

from __future__ import annotations

from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.syntax import F32, F64, I64, Atom, Var

DIGIT = 11
MANY = 200


def order(b: Builder, row: Atom) -> Var:
    """The places of a row's elements in their order."""
    (n,) = extents_of(row)
    (places,) = b.if_(b.o.lt(n, MANY), lambda: _merged(b, row), lambda: _by_digits(b, row))
    return places


# --- merging ----------------------------------------------------------------------------------------------------------


def _merged(b: Builder, row: Atom) -> Var:
    (n,) = extents_of(row)
    o = b.o

    def before(i: Atom, j: Atom) -> Atom:
        """Does element i come strictly before element j?"""
        x, y = b.read(row, i, safe=True), b.read(row, j, safe=True)
        less = o.lt(x, y)
        if not dtype_of(row).is_float:
            return less
        return b.prim("or", less, b.prim("and", o.isnan(y), b.prim("not", o.isnan(x))))

    def merge(run: Atom, order: Atom) -> Outs:
        """Each pair of neighbouring runs becomes one: k is the place to fill, i and j are the heads of the runs."""
        pair = o.mul(run, 2)

        def turn(k: Atom, i: Atom, j: Atom) -> Outs:
            offset = o.mod(k, pair)
            start = o.sub(k, offset)
            middle = o.min(o.add(start, run), n)
            end = o.min(o.add(start, pair), n)
            fresh = o.eq(offset, 0)
            i, j = o.select(fresh, start, i), o.select(fresh, middle, j)

            def compare() -> Outs:
                return before(b.read(order, j, safe=True), b.read(order, i, safe=True))

            (right,) = b.if_(o.lt(i, middle), lambda: b.if_(o.lt(j, end), compare, lambda: False)[0], lambda: True)
            taken = b.read(order, o.select(right, j, i), safe=True)
            return [o.select(right, i, o.add(i, 1)), o.select(right, o.add(j, 1), j), taken]

        merged = b.loop(n, [0, 0], turn)[2]
        return [pair, merged]

    start = b.map(n, lambda i: i)
    return b.while_([1, start], lambda run, order: o.lt(run, n), merge)[1]


# --- by digits --------------------------------------------------------------------------------------------------------


def _by_digits(b: Builder, row: Atom) -> Var:
    (n,) = extents_of(row)
    o = b.o
    bits = {F64: 64, I64: 64, F32: 32}.get(dtype_of(row), 32)
    shifts = range(0, bits, DIGIT)

    def digit(key: Atom, shift: int) -> Atom:
        width = min(DIGIT, bits - shift)
        return o.bit_and(o.shr(key, shift), (1 << width) - 1)

    keys: Atom = b.map(n, lambda i: _key(b, b.read(row, i, safe=True), bits))
    places: Atom = b.map(n, lambda i: i)
    other_keys, other_places = b.zeros([n], I64), b.zeros([n], I64)
    size = 1 << DIGIT

    def count(acc: Var) -> Outs:
        def element(i: Atom) -> Outs:
            key = b.read(keys, i, safe=True)
            for k, shift in enumerate(shifts):
                b.contribute(acc, [o.add(digit(key, shift), k * size)], 1, safe=True)
            return ()

        b.for_(n, element, [])
        return ()

    counts = b.accumulate([("add", [b.zeros([len(shifts) * size], I64)])], count)[0]
    for k, shift in enumerate(shifts):

        def counted(d: Atom, k: int = k) -> Atom:
            return b.read(counts, o.add(d, k * size), safe=True)

        ends = b.scan("add", size, counted)
        starts = b.map(size, lambda d, ends=ends, counted=counted: o.sub(b.read(ends, d, safe=True), counted(d)))

        def move(
            i: Atom, starts: Atom, to_keys: Atom, to_places: Atom,
            shift: int = shift, keys: Atom = keys, places: Atom = places,
        ) -> Outs:  # fmt: skip
            key = b.read(keys, i, safe=True)
            d = digit(key, shift)
            at = b.read(starts, d, safe=True)
            return [
                b.set(starts, [d], o.add(at, 1), safe=True),
                b.set(to_keys, [at], key, safe=True),
                b.set(to_places, [at], b.read(places, i, safe=True), safe=True),
            ]

        _, moved_keys, moved_places = b.loop(n, [starts, other_keys, other_places], move)
        keys, places, other_keys, other_places = moved_keys, moved_places, keys, places
    assert isinstance(places, Var)
    return places


def _key(b: Builder, x: Atom, bits: int) -> Atom:
    """The bits of a number, ordered as unsigned integers; zeros are equal, NaNs are the largest."""
    o, top = b.o, -(1 << 63) if bits == 64 else 1 << 31
    if not dtype_of(x).is_float:
        return o.bit_xor(b.cast(x, I64), top)
    same = o.bits(o.add(x, literal(0.0, dtype_of(x))))
    return o.select(o.isnan(x), -1, o.bit_xor(same, o.bit_or(o.shr(same, 63), top)))

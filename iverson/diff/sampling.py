"""Draws of a sketch: which elements are kept, or with which signs; functions of the key and of positions alone.

with replacement       place s of example e is word e k + s of the key, modulo d
without                of k strata, runs of d // k or one more elements, each gives one; the strata begin at a random
                       place r, from whose end they go on at the beginning
signs                  a bit of the word of the position

A stratum of n elements gives each with probability 1/n.  As r is uniform an element is in a stratum of length n with
probability n/d times how many there are, so it is kept with probability Σ n/d 1/n = k/d, and none is kept twice.  The
places go upwards (but once), cost a few operations each and depend on nothing but their number: loops over them
vectorise.  A sum over a smooth field is estimated with less variance than by places that are drawn from all of it
(Cochran: Sampling techniques, on stratified sampling).

Words are those of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iverson.core.build import Builder, dtype_of, literal
from iverson.core.sketch import Sketch
from iverson.core.syntax import F64, I64, Atom, Literal, Var
from iverson.diff.adjoints import flatten, product, unflatten

PLACES, SHIFTS, PARTS = range(1, 4)  # the streams of a key
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


def mix(b: Builder, z: Atom) -> Atom:
    """The finaliser of splitmix64: a permutation of 64 bits."""
    o = b.o
    z = o.mul(o.bit_xor(z, o.lshr(z, 30)), _FIRST)
    z = o.mul(o.bit_xor(z, o.lshr(z, 27)), _SECOND)
    return o.bit_xor(z, o.lshr(z, 31))


def word(b: Builder, seed: Atom, at: Atom) -> Atom:
    """Random bits of a position."""
    return mix(b, b.o.add(seed, b.o.mul(b.o.add(at, 1), _GOLDEN)))


def seed(b: Builder, key: Atom, stream: int) -> Atom:
    """Where a stream of a key begins."""
    return word(b, mix(b, b.o.bit_xor(key, _GOLDEN)), Literal(stream, I64))


def located(b: Builder, place: Atom, extents: Sequence[Atom]) -> list[Atom]:
    """The index of a place, by reciprocals: loops with integer divisions don't vectorise.

    (place + 1/2) / n is at least 1/2n from the next integer, and the product is wrong by less while place < 2^51.
    """
    o, index = b.o, list[Atom]()
    for n in reversed(extents[1:]):
        middle = o.add(b.cast(place, F64), 0.5)
        row = b.cast(o.mul(middle, o.div(1.0, b.cast(n, F64))), I64)
        index.insert(0, o.sub(place, o.mul(row, n)))
        place = row
    return [place, *index] if extents else []


class Draws:
    """The sample of one sketch where a builder stands.

    `k` of the `d` elements of an example are kept; `shape` are the extents of an example.
    """

    def __init__(self, b: Builder, of: Sketch, key: Atom, k: Atom, extents: Sequence[Atom]) -> None:
        self.b, self.of, self.k = b, of, k
        self.examples, self.shape = tuple(extents[: of.lead]), tuple(extents[of.lead :])
        self.d = product(b, self.shape)
        self.key = key

    @property
    def several(self) -> tuple[Atom, ...]:
        """The examples with samples of their own."""
        return self.examples if self.of.examples == "each" else ()

    # --- samples ------------------------------------------------------------------------------------------------------

    def places(self) -> Var:
        """Which elements are kept: [k], or [examples, k]."""
        draw = self._again() if self.of.replace else self._once()
        return self.b.map((*self.several, self.k), lambda *i: draw(i[0] if self.several else Literal(0, I64), i[-1]))

    def _again(self) -> Callable[[Atom, Atom], Atom]:
        b, o = self.b, self.b.o
        start = seed(b, self.key, PLACES)

        def draw(e: Atom, s: Atom) -> Atom:
            return o.mod(o.lshr(word(b, start, o.add(o.mul(e, self.k), s)), 1), self.d)

        return draw

    def _once(self) -> Callable[[Atom, Atom], Atom]:
        b, o, d, k = self.b, self.b.o, self.d, self.k
        short = o.floordiv(d, o.max(k, 1))
        longer = o.sub(d, o.mul(short, k))  # so many strata, the first ones, have an element more
        shifts, within = seed(b, self.key, SHIFTS), seed(b, self.key, PLACES)

        def draw(e: Atom, s: Atom) -> Atom:
            start = o.add(self.rotation(shifts, e), o.add(o.mul(s, short), o.min(s, longer)))
            length = o.add(short, o.select(o.lt(s, longer), 1, 0))
            drawn = o.lshr(word(b, within, o.add(o.mul(e, k), s)), 32)
            at = o.add(start, o.lshr(o.mul(drawn, length), 32))
            return o.select(o.ge(at, d), o.sub(at, d), at)

        return draw

    def rotation(self, shifts: Atom, e: Atom) -> Atom:
        """Where the strata of an example begin."""
        o = self.b.o
        return o.mod(o.lshr(word(self.b, shifts, e), 1), o.max(self.d, 1))

    def scale(self, like: Atom) -> Atom:
        """d/k."""
        o, dtype = self.b.o, dtype_of(like)
        if self.of.scale is not None:
            return literal(self.of.scale, dtype)
        return self.b.cast(o.div(self.b.cast(self.d, F64), self.b.cast(self.k, F64)), dtype)

    # --- projections --------------------------------------------------------------------------------------------------

    def signs(self, like: Atom) -> Var:
        """R: [d, k], or [examples, d, k]."""
        b, o, dtype = self.b, self.b.o, dtype_of(like)
        start = seed(b, self.key, PLACES)
        root = o.sqrt(b.cast(self.k, F64)) if self.of.scale is None else o.sqrt(b.cast(self.d, F64))
        size = b.cast(o.div(1.0, root), dtype)
        extents = (*self.several, self.d, self.k)

        def sign(*i: Atom) -> Atom:
            return o.select(o.lt(word(b, start, flatten(b, i, extents)), 0), o.neg(size), size)

        return b.map(extents, sign)

    # --- what is kept, and the estimate as a whole --------------------------------------------------------------------

    def keep(self, x: Var) -> Var:
        """What is kept of an array: [k], or [examples, k]."""
        b, o = self.b, self.b.o
        own = bool(self.several)
        if self.of.scheme == "projection":
            signs = self.signs(x)
            if self.of.examples == "shared" and len(self.shape) == 1:
                return b.library("matmul", x, signs)[0]

            def sum_of(*i: Atom) -> Atom:
                def part(j: Atom) -> Atom:
                    sign = b.read(signs, *(i[:1] if own else ()), j, i[-1], safe=True)
                    return o.mul(sign, b.read(x, *i[:-1], *unflatten(b, j, self.shape), safe=True))

                total: Atom = b.reduce("add", self.d, part)
                return total

            return b.map((*self.examples, self.k), sum_of)
        places, scale = self.places(), self.scale(x)

        def element(*i: Atom) -> Atom:
            at = b.read(places, *(i if own else i[-1:]), safe=True)
            return o.mul(scale, b.read(x, *i[:-1], *located(b, at, self.shape), safe=True))

        return b.map((*self.examples, self.k), element)

    def estimate(self, kept: Var) -> Var:
        """P x, all of it."""
        b, o = self.b, self.b.o
        own = bool(self.several)
        extents = (*self.examples, *self.shape)
        if self.of.scheme == "projection":
            signs = self.signs(kept)

            def entry(*i: Atom) -> Atom:
                lead, at = i[: len(self.examples)], flatten(b, i[len(self.examples) :], self.shape)

                def part(s: Atom) -> Atom:
                    sign = b.read(signs, *(lead if own else ()), at, s, safe=True)
                    return o.mul(sign, b.read(kept, *lead, s, safe=True))

                total: Atom = b.reduce("add", self.k, part)
                return total

            return b.map(extents, entry)
        places = self.places()

        def scatter(acc: Var) -> tuple[Atom, ...]:
            def one(*i: Atom) -> tuple[Atom, ...]:
                at = b.read(places, *(i if own else i[-1:]), safe=True)
                b.contribute(acc, (*i[:-1], *located(b, at, self.shape)), b.read(kept, *i, safe=True), safe=True)
                return ()

            b.for_((*self.examples, self.k), one, ())
            return ()

        return b.accumulate([("add", [b.zeros(extents, dtype_of(kept))])], scatter)[0]

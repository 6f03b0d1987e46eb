"""Draws of a sketch: which elements are kept, or with which signs; functions of the key and of positions alone.

with replacement       place s of example e is word e k + s of the key, modulo d
without                place s is pi(s) + r modulo d: r a word of the key, so that each element is kept with probability
                       k/d exactly, pi a keyed permutation of 0 ... d - 1 that costs O(1) an element
signs                  a bit of the word of the position

Words are those of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).  The
permutation is a Feistel network on pairs (l, r), l < a, r < b, a b >= d: l += f(r) mod a and r += g(l) mod b in turns;
what falls outside of 0 ... d - 1 goes through it again (Black and Rogaway: Ciphers with arbitrary finite domains,
CT-RSA 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iverson.core.build import Builder, dtype_of, literal
from iverson.core.sketch import Sketch
from iverson.core.syntax import BOOL, F64, I64, Atom, Literal, Var
from iverson.diff.adjoints import flatten, product, unflatten

PLACES, SHIFTS, ROUNDS, PARTS = range(1, 5)  # the streams of a key
TURNS = 6  # even
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
        b, o, d = self.b, self.b.o, self.d
        wide = o.max(o.int64(o.ceil(o.sqrt(b.cast(d, F64)))), 1)
        deep = o.floordiv(o.add(d, o.sub(wide, 1)), wide)
        shifts, rounds = seed(b, self.key, SHIFTS), seed(b, self.key, ROUNDS)

        def added(x: Atom, more: Atom, n: Atom) -> Atom:
            total = o.add(x, more)
            return o.select(o.ge(total, n), o.sub(total, n), total)

        def draw(e: Atom, s: Atom) -> Atom:
            own = word(b, rounds, e)

            def turn(r: Atom, this: Atom, other: Atom) -> list[Atom]:
                """this += the high half of a word, as a fraction of its length; then they change places."""
                n = o.select(o.eq(o.mod(r, 2), 0), wide, deep)
                drawn = o.lshr(word(b, own, o.add(o.mul(other, TURNS), r)), 32)
                return [other, added(this, o.lshr(o.mul(drawn, n), 32), n)]

            def step(x: Atom, _: Atom) -> list[Atom]:
                left, right = b.loop(TURNS, [o.floordiv(x, deep), o.mod(x, deep)], turn)
                x = o.add(o.mul(left, deep), right)
                return [x, o.ge(x, d)]

            x, _ = b.while_([s, Literal(True, BOOL)], lambda _, outside: outside, step)
            return added(x, o.mod(o.lshr(word(b, shifts, e), 1), d), d)

        return draw

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
            return o.mul(scale, b.read(x, *i[:-1], *unflatten(b, at, self.shape), safe=True))

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
                b.contribute(acc, (*i[:-1], *unflatten(b, at, self.shape)), b.read(kept, *i, safe=True), safe=True)
                return ()

            b.for_((*self.examples, self.k), one, ())
            return ()

        return b.accumulate([("add", [b.zeros(extents, dtype_of(kept))])], scatter)[0]

"""Draws of a sketch: which elements are kept, or with which signs; functions of the key and of positions alone.

with replacement       place s of example e is word e k + s of the key's stream, modulo d
without                place s is pi(s) + r modulo d: r a word of the key, so that each element is kept with probability
                       k/d exactly, pi a keyed permutation of 0 ... d - 1 that costs O(1) an element
signs                  bit of a hash of the key and the position

The permutation is a Feistel network on pairs (l, r), l < a, r < b, a b >= d: l += f(r) mod a and r += g(l) mod b in
turns; what falls outside of 0 ... d - 1 goes through it again (Black and Rogaway, Ciphers with arbitrary finite domains,
CT-RSA 2002).  The hash is the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core import philox
from iverson.core.build import Builder, dtype_of, literal
from iverson.core.sketch import Sketch
from iverson.core.syntax import F64, I64, Atom, Literal, Var
from iverson.diff.adjoints import flatten, product, unflatten

PLACES, SHIFTS = 16, 17  # streams of a key, apart from those of iv.random
ROUNDS = 3
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


class Draws:
    """The sample of one sketch where a builder stands.

    `k` of the `d` elements of an example are kept; `shape` are the extents of an example.
    """

    def __init__(self, b: Builder, of: Sketch, key: Atom, k: Atom, extents: Sequence[Atom]) -> None:
        self.b, self.of, self.k = b, of, k
        self.examples, self.shape = tuple(extents[: of.lead]), tuple(extents[of.lead :])
        self.d = product(b, self.shape)
        self.keys = philox.schedule(b.o, key)

    @property
    def several(self) -> tuple[Atom, ...]:
        """The examples with samples of their own."""
        return self.examples if self.of.examples == "each" else ()

    # --- samples ------------------------------------------------------------------------------------------------------

    def places(self) -> Var:
        """Which elements are kept: [k], or [examples, k]."""
        draw = self._again if self.of.replace else self._once()
        return self.b.map((*self.several, self.k), lambda *i: draw(i[0] if self.several else Literal(0, I64), i[-1]))

    def _again(self, e: Atom, s: Atom) -> Atom:
        o = self.b.o
        word = philox.block(o, self.keys, o.add(o.mul(e, self.k), s), PLACES)[0]
        return o.mod(o.lshr(word, 1), self.d)

    def _once(self):  # type: ignore[no-untyped-def]
        b, o, d = self.b, self.b.o, self.d
        wide = o.int64(o.ceil(o.sqrt(b.cast(d, F64))))
        wide = o.max(wide, 1)
        deep = o.floordiv(o.add(d, o.sub(wide, 1)), wide)

        def draw(e: Atom, s: Atom) -> Atom:
            shift, key = philox.block(o, self.keys, e, SHIFTS)

            def step(x: Atom) -> Atom:
                left, right = o.floordiv(x, deep), o.mod(x, deep)
                for k in range(ROUNDS):
                    left = self._added(left, _hash(o, key, right, 2 * k), wide)
                    right = self._added(right, _hash(o, key, left, 2 * k + 1), deep)
                return o.add(o.mul(left, deep), right)

            (x,) = b.while_([step(s)], lambda x: o.ge(x, d), step)
            return self._added(x, None, d, o.mod(o.lshr(shift, 1), d))

        return draw

    def _added(self, x: Atom, word: Atom | None, n: Atom, more: Atom | None = None) -> Atom:
        """x + more modulo n, where `more` is a word's high half, as a fraction of n."""
        o = self.b.o
        if word is not None:
            more = o.lshr(o.mul(o.lshr(word, 32), n), 32)
        total = o.add(x, more)
        return o.select(o.ge(total, n), o.sub(total, n), total)

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
        word = philox.block(o, self.keys, Literal(0, I64), SHIFTS)[0]
        root = o.sqrt(b.cast(self.k, F64)) if self.of.scale is None else o.sqrt(b.cast(self.d, F64))
        size = b.cast(o.div(1.0, root), dtype)
        extents = (*self.several, self.d, self.k)

        def sign(*i: Atom) -> Atom:
            z = _hash(o, word, flatten(b, i, extents), 0)
            return o.select(o.lt(z, 0), o.neg(size), size)

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


def _hash(o, key: Atom, x: Atom, turn: int) -> Atom:  # type: ignore[no-untyped-def]
    z = o.add(o.bit_xor(key, turn), o.mul(x, _GOLDEN))
    z = o.mul(o.bit_xor(z, o.lshr(z, 30)), _FIRST)
    z = o.mul(o.bit_xor(z, o.lshr(z, 27)), _SECOND)
    return o.bit_xor(z, o.lshr(z, 31))  # type: ignore[no-any-return]


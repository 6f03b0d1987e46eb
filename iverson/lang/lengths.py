"""Lengths that are computed in a comprehension and yet are the same for all its elements.

    [x[i : i + w] for i in range(len(x) - w + 1)]        max(min(i + w, len(x)) - i, 0)  is  w

The length is a size (core/sizes.py) in terms of what isn't size arithmetic; minima and maxima that the ranges of the
indices decide become one of their sides.  If then nothing of the comprehension is left in it, it is the same as a size
of outside.
"""

from __future__ import annotations

from collections.abc import Collection

from iverson.core.bounds import Sizes
from iverson.core.build import extents_of, literal
from iverson.core.sizes import ONE, Greatest, Least, Size, parts, size
from iverson.core.syntax import I64, Atom, Prim, Scalar, Var
from iverson.lang.errors import refusal
from iverson.lang.staging import builder, current


def outside(length: Atom, inner: Collection[Var]) -> Atom | None:
    """A length in terms of the outermost block alone, where that can be proven; None where it can't."""
    known = _Known()
    found = known.decided(known.of(length))
    if any(v in inner for v in found.variables()):
        return None
    return _emitted(found)


class _Known(Sizes):
    """What is known of integers that are being staged: their definitions, and the ranges of indices."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[Atom] = set()

    def of(self, atom: Atom) -> Size:
        self.learn(atom)
        return super().of(atom)

    def learn(self, atom: Atom) -> None:
        """Learn about an integer what staging knows, once."""
        if not isinstance(atom, Var) or atom in self.seen:
            return
        self.seen.add(atom)
        state = current()
        let = state.builder.made.get(atom)
        if let is not None and isinstance(let.op, Prim) and atom.type == Scalar(I64):
            self.bind(let)
        if atom in state.highs:
            base, offset = state.highs[atom]
            self._between(atom, (size(0) if base is None else _positive(self.of(base))) + offset)
        if atom in state.lows:
            self.fact(super().of(atom) - state.lows[atom])

    def decided(self, length: Size) -> Size:
        """The length without the minima and maxima that are decided."""
        for factor in list(length.factors()):
            if isinstance(factor, Least | Greatest):
                sides = [self.decided(s) for s in parts(factor)]
                sign = 1 if isinstance(factor, Least) else -1
                best = [s for s in sides if all(self.nonnegative((t - s) * sign) for t in sides)]
                if best:
                    return self.decided(length.replace(factor, best[0]))
        return length


def _positive(count: Size) -> Size:
    """A number of turns where there is one: max(n, 0) is n."""
    (factor, *more) = count.factors() or [None]
    if not isinstance(factor, Greatest) or more or count != size(factor):
        return count
    rest = [s for s in factor.items if s != size(0)]
    return rest[0] if len(rest) == 1 else count


def _emitted(length: Size) -> Atom | None:
    """A sum of products of sizes as size arithmetic of the outermost block; None if it is anything else."""
    total: Atom | None = literal(0)
    for monomial, coefficient in sorted(length.terms.items(), key=lambda term: term[0] == ONE):
        term: Atom | None = literal(abs(int(coefficient)))
        if abs(coefficient) != abs(int(coefficient)):
            return None
        for factor, power in monomial:
            for _ in range(power):
                term = _prim("mul", factor, term) if isinstance(factor, Var) else None
        total = _prim("add" if coefficient > 0 else "sub", total, term)
    return total


def _prim(name: str, x: Atom | None, y: Atom | None) -> Atom | None:
    return None if x is None or y is None else current().size_prim(name, x, y)


def rectangular(out: Atom, inner: set[Var]) -> Atom:
    """An element of a comprehension as an array whose lengths are known outside of it: its rows have one length."""
    if not any(n in inner for n in extents_of(out)):
        return out
    lengths = [outside(n, inner) if n in inner else n for n in extents_of(out)]
    if any(n is None for n in lengths):
        raise refusal(
            ValueError, "the rows of an array have an inhomogeneous shape: their length depends on the row's index"
        )
    return builder().map([n for n in lengths if n is not None], lambda *i: builder().read(out, *i, safe=True))

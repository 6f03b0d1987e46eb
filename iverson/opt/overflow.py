"""Does an integer surely not wrap around?  How large integers may be, in bits.

Integers of the program wrap, sizes don't: arithmetic that might overflow defines no size.  The extent of an argument is
below 2^48, since memory is; an index is below 2^60, since turns take time; the extent of another array, which may be
gone before it is made, can only be shifted by little.  What chooses one of its arguments, and a remainder, is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from iverson.core.bounds import Sizes
from iverson.core.sizes import Monomial, Size, divide, size
from iverson.core.syntax import BOOL, I32, I64, Array, Atom, Let, Literal, Prim, Scalar, Var
from iverson.opt.effects import extents

ADDRESS = 48  # bits of an extent
WORD = 62  # bits of an integer that surely didn't wrap
TURNS = 60  # bits of an index, or a counter: it takes that many turns to get there
STEP = 1 << 12  # a counter that moves by less can't wrap in any time there is

Shape: TypeAlias = tuple[Size, ...]


Sides: TypeAlias = tuple[int, int]  # bits of the least and of the greatest value, 0 for one that is never passed
ANY: Sides = (63, 63)


class Bits:
    """How far below and above 0 integers may be, in bits: 63 if nothing is known."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.known: dict[Atom, Sides] = {}
        self.ceiling: dict[Var, Size] = {}  # of an index: its extent
        self.shapes: set[Shape] = set()  # of the arguments
        self.local: set[Atom] = set()  # the extents of other arrays

    def of(self, a: Atom) -> int:
        return max(self.sides(a))

    def sides(self, a: Atom) -> Sides:
        if not isinstance(a, Literal):
            return self.known.get(a, ANY)
        return (-min(int(a.value), 0)).bit_length(), max(int(a.value), 0).bit_length()

    def argument(self, v: Var) -> None:
        """The extents of an argument fit memory, and so does their product."""
        if isinstance(v.type, Array):
            self.known.update((e, (0, ADDRESS)) for e in v.type.extents if isinstance(e, Var))
            self.shapes.add(tuple(map(self.sizes.of, v.type.extents)))

    def indices(self, index: Sequence[Var], extent: Sequence[Atom]) -> None:
        for i, n in zip(index, extent, strict=True):
            self.known[i] = 0, min(self.sides(n)[1], TURNS)
            self.ceiling[i] = self.sizes.of(n)

    def bind(self, let: Let) -> bool:
        """Learn what a statement binds; does its arithmetic surely not overflow?"""
        if not isinstance(let.op, Prim):
            self.local.update(e for v in let.vars for e in extents(v.type) if isinstance(e, Var))
            return True
        (v,), op = let.vars, let.op
        if v.type == Scalar(BOOL):
            return True
        sides = self.result(op) if v.type in (Scalar(I64), Scalar(I32)) else ANY
        fits = max(sides) <= WORD or self.exact(op)
        self.known[v] = (min(sides[0], 63), min(sides[1], 63)) if fits else ANY
        return fits

    def exact(self, op: Prim) -> bool:
        """Can it not overflow, whatever its arguments are?"""
        return op.name in _CHOICES or (op.name == "floordiv" and self.sides(op.args[1])[0] == 0)

    def result(self, op: Prim) -> Sides:
        each = [self.sides(a) for a in op.args]
        (low, high), (below, above) = each[0], each[-1]
        most = max(low, high)
        match op.name:
            case "add" | "sub":
                less = _sum(low, above), _sum(high, below)
                sides = (_sum(low, below), _sum(high, above)) if op.name == "add" else less
                shift = isinstance(op.args[1], Literal) and abs(int(op.args[1].value)) < STEP
                return (WORD, WORD) if shift and op.args[0] in self.local and max(sides) > WORD else sides
            case "mul":
                bits = most + max(below, above)
                bits = bits if bits <= WORD else self.volume(op.args)
                return 0 if low == below == 0 else bits, bits
            case "neg":
                return high, low
            case "abs":
                return 0, most
            case "min":
                return max(low, below), min(high, above)
            case "max":
                return min(low, below), max(high, above)
            case "mod":
                return below, above
            case "select":
                return max(each[1][0], below), max(each[1][1], above)
            case "floordiv":
                return (low, high) if below == 0 else (most, most)
            case "int64":
                t = op.args[0].type
                return {BOOL: (0, 1), I32: (31, 31)}.get(t.dtype, ANY) if isinstance(t, Scalar) else ANY
            case _:
                return ANY

    def volume(self, args: Sequence[Atom]) -> int:
        """A product of extents of one array, or of indices below them, is below the array's size."""
        total: Size = size(1)
        for a in args:
            total = total * self.sizes.of(a)
        for i in total.factors():
            if i in self.ceiling:
                total = total.replace(i, self.ceiling[i])
        small = sum(abs(float(c)) for c in total.terms.values()) < 256
        fits = all(any(_divides(m, shape) for shape in self.shapes) for m in total.terms)
        return WORD if small and fits else 63


_CHOICES = frozenset({"min", "max", "mod", "select"})


def _sum(a: int, b: int) -> int:
    """Bits of a sum of two numbers of the same sign."""
    return max(a, b) + 1 if a and b else max(a, b)


def _divides(m: Monomial, shape: Shape) -> bool:
    """Is the product m part of the product of a shape?"""
    volume: Size = size(1)
    for n in shape:
        volume = volume * n
    return any(divide(k, m) is not None for k in volume.terms) and len(volume.terms) == 1

"""What a statement does besides giving results: what it consumes, contributes to, may raise, and takes for granted.

A pass that moves statements keeps these orders:

    def             before  use
    reader of x     before  consumer of x                    else the consumer would copy
    set, append     before  set, append to the same accumulator
    may raise       before  may raise                        the first error stays the first
    may raise       before  trusts                           an unchecked access may rely on the checks before it

An access is *evident* if every index runs over the very extent it indexes.  One that is neither checked nor evident
trusts what ran before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from iverson.core.equalities import Equalities
from iverson.core.ownership import consumed, is_array
from iverson.core.rewrite import blocks, contributed, statements
from iverson.core.syntax import (
    Accumulator,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    Library,
    Literal,
    Loop,
    Op,
    Prim,
    Read,
    Scalar,
    Type,
    Var,
    While,
)

DIVISIONS = frozenset({"floordiv", "mod"})


class Effects:
    """The effects of the statements of one function; right for whatever is rebuilt from them, too."""

    def __init__(self, function: Function) -> None:
        self.extent: dict[Var, Atom] = {}
        self.base: dict[Var, Var] = {}  # row -> the array it shows
        self.equal = Equalities()  # for passes that move nothing before what they let it learn
        for let in statements(function.body):
            match let.op:
                case For(index, extent):
                    self.extent.update(zip(index, extent, strict=True))
                case Loop(index, extent):
                    self.extent[index] = extent
                case Read(array) if isinstance(let.vars[0].type, Array):
                    self.base[let.vars[0]] = self.root(array)
                case _:
                    pass

    def root(self, array: Var) -> Var:
        """The array that a name or a row of it shows."""
        return self.base.get(array, array)

    # --- errors -----------------------------------------------------------------------------------------------------

    def evident(self, index: tuple[Atom, ...], extents: tuple[Atom, ...]) -> bool:
        """Each index runs over the very extent it indexes."""
        return all(self._spans(i, n) for i, n in zip(index, extents, strict=False))

    def _spans(self, i: Atom, n: Atom) -> bool:
        if isinstance(i, Literal):
            return isinstance(n, Literal) and 0 <= i.value < n.value
        bound = self.extent.get(i)
        bound, n = None if bound is None else self.equal.name(bound), self.equal.name(n)
        if isinstance(bound, Literal) and isinstance(n, Literal):
            return bound.value <= n.value
        return bound is not None and bound == n

    def fails(self, op: Op) -> bool:
        """May it raise, or run for ever?"""
        return any(map(self._fails, _within(op)))

    def trusts(self, op: Op) -> bool:
        """Does it hold an unchecked access that isn't evident?"""
        return any(self._trusts(inner) for inner in _within(op))

    def risks(self, block: Block, own: Collection[Atom] = ()) -> int:
        """How many of its statements may fail or trust, themselves; but for what is as long as a name of the block, or
        one of its `own`, says: what an index was proven by is beside that."""
        local = {*own, *(v for let in statements(block) for v in let.vars)}
        return sum(self._fails(let.op) or self._trusts(let.op, local) for let in statements(block))

    def _fails(self, op: Op) -> bool:
        match op:
            case Read(array, index, safe):
                return not safe and not self.evident(index, extents(array.type))
            case Contribute(acc, index, _, safe):
                return not safe and not self.evident(index, extents(acc.type))
            case Prim(name, args):
                return _may_raise(name, args[-1])
            case Check() | While() | Library():
                return True
            case _:
                return False

    def _trusts(self, op: Op, own: Collection[Atom] = ()) -> bool:
        match op:
            case Read(array, index, True):
                axes = extents(array.type)
            case Contribute(acc, index, _, True):
                axes = extents(acc.type)
            case _:
                return False
        return not all(n in own or self._spans(i, n) for i, n in zip(index, axes, strict=False))

    # --- arrays and accumulators --------------------------------------------------------------------------------------

    def consumed(self, op: Op) -> dict[Var, None]:
        """The arrays an op consumes, itself or in its blocks."""
        found = dict.fromkeys(self.root(a) for a in consumed(op) if isinstance(a, Var) and is_array(a))
        for _, inner in blocks(op):
            for let in inner:
                found |= self.consumed(let.op)
            found |= dict.fromkeys(self.root(a) for a in inner.outs if isinstance(a, Var) and is_array(a))
        return found


def in_order(op: Op) -> list[Var]:
    """The accumulators from outside that an op contributes to and that see an order."""
    return [acc for acc in contributed(op) if not _commutes(acc)]


def extents(t: Type) -> tuple[Atom, ...]:
    """The extents of an array or accumulator."""
    return () if isinstance(t, Scalar) else t.extents


def _commutes(acc: Var) -> bool:
    assert isinstance(acc.type, Accumulator)
    return isinstance(acc.type.monoid, str) and acc.type.monoid not in ("set", "append")


def _may_raise(name: str, last: Atom) -> bool:
    """An integer division by what may be zero, an integer power with what may be negative."""
    if not isinstance(last.type, Scalar) or not last.type.dtype.is_int:
        return False
    known = last.value if isinstance(last, Literal) else None
    return (name in DIVISIONS and not known) or (name == "pow" and (known is None or known < 0))


def _within(op: Op) -> Iterator[Op]:
    yield op
    for _, inner in blocks(op):
        for let in statements(inner):
            yield let.op

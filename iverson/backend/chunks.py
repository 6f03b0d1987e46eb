"""A chunk of a loop on the pool: what it has of its own, and what becomes of that behind all chunks.

    carries, cells      partial[c], combined in the order of c
    arrays              copies[c - 1], the first chunk's being the array; taken in element by element, in that order,
                        by parts of the elements, which run on the pool.  Where a thread is alone with all chunks one
                        copy does: each chunk ends by taking it in
    work space          allocated by each chunk

A copy of a large array is made by parts, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from iverson.backend import loopir as ir
from iverson.backend.abi import ITEM_SIZE
from iverson.backend.loopir import Buffer, Carry, Cell, For, If, Load, Owner, Reg, Stmt, Store, Value, View
from iverson.backend.work import Work
from iverson.core import monoids
from iverson.core.syntax import BOOL, F64, I64, DType, Literal

MOST = 6  # binary logarithm of the number of chunks, at most
PARTS = 3  # that of the parts of what is behind them, at most
TAKEN = 0.3  # nanoseconds for an element of a copy to be taken in
PART = 4000.0  # nanoseconds for a part, at least
PIECE = 2**17  # bytes of a copy for a part, at least


@dataclass(eq=False)
class Chunk:
    """A chunk in the making: what is before and after its turns, and behind all chunks."""

    turn: Reg
    count: Value
    many: Value
    around: list[Stmt]  # before all chunks
    alone: Value | None = None  # does one thread run all of them, in order?
    before: list[Stmt] = field(default_factory=list)
    after: list[Stmt] = field(default_factory=list)
    behind: list[Stmt] = field(default_factory=list)
    copied: list[_Copies] = field(default_factory=list)

    def _partials(self, dtype: DType) -> Buffer:
        partials = Buffer(
            dtype, (ir.integer(2**MOST),), Reg(ir.POINTER, "partial"), hint="partial", stored=True, slot=Owner()
        )
        self.around.append(ir.Alloc(partials, stack=True))
        return partials

    def _combined(self, partials: Buffer, monoid: str, init: Value, out: Reg) -> None:
        """Behind the chunks: what they left, in their order."""
        c, part, total, new = Reg(I64, "chunk"), *(Reg(partials.dtype, h) for h in ("part", out.hint, out.hint))
        body: list[Stmt] = [Load(part, View(partials, (c,))), combined(monoid, new, total, part)]
        self.behind.append(For(c, ir.integer(0), self.count, body, [Carry(total, init, new, out)], "cold"))

    def carry(self, through: Sequence[Carry], monoid: str) -> None:
        """What the loops of a chunk hand on, one to the next."""
        first, last = through[0], through[-1]
        dtype = _dtype(first.reg)
        partials, init, out = self._partials(dtype), first.init, last.out
        first.init, last.out = identity(monoid, dtype), Reg(dtype, out.hint)
        self.after.append(Store(View(partials, (self.turn,)), last.out))
        self._combined(partials, monoid, init, out)

    def cell(self, cell: Cell, monoid: str, body: list[Stmt]) -> None:
        assert isinstance(cell.type, DType)
        own, partials = Cell(cell.type, cell.hint), self._partials(cell.type)
        for s in ir.walk(body):
            if isinstance(s, ir.Get | ir.Put) and s.cell is cell:
                s.cell = own
        left, init, out = (Reg(cell.type, cell.hint) for _ in range(3))
        self.before.append(ir.Put(own, identity(monoid, cell.type)))
        self.after += [ir.Get(left, own), Store(View(partials, (self.turn,)), left)]
        self.behind.append(ir.Get(init, cell))
        self._combined(partials, monoid, init, out)
        self.behind.append(ir.Put(cell, out))

    def array(self, buffer: Buffer, monoid: str, body: list[Stmt], clear: bool = True) -> None:
        """Each chunk but the first has a copy, which it clears itself unless that is done before."""
        dtype, extents = buffer.dtype, buffer.extents
        others, copied, before = Reg(I64, "others"), Reg(BOOL, "copied"), Reg(I64, "t")
        self.around.append(ir.Compute(others, "sub", (self.count, ir.integer(1))))
        self.before += [
            ir.Compute(copied, "gt", (self.turn, ir.integer(0))),
            ir.Compute(before, "sub", (self.turn, ir.integer(1))),
        ]
        held = self._unless_alone(self.around, others, 1)
        copies = Buffer(dtype, (held, *extents), Reg(ir.POINTER, "copies"), hint="copies", stored=True, slot=Owner())
        own = Buffer(dtype, extents, Reg(ir.POINTER, "own"), hint="own", stored=True)
        self.around.append(ir.Alloc(copies, when=self.many))
        mine = View(copies, (self._unless_alone(self.before, before, 0),))
        self.before.append(ir.Choose(own, copied, mine, View(buffer)))
        if clear:
            self.before.append(If(copied, cleared(own, monoid), []))
        else:
            self.around += cleared(copies, monoid)
        for s in ir.walk(body):
            if isinstance(s, Load | Store) and s.view.buffer is buffer:
                s.view = View(own, s.view.prefix)
        self.copied.append(_Copies(buffer, copies, others, monoid))
        if self.alone is not None:
            now = Reg(BOOL, "now")
            self.after += [ir.Compute(now, "and", (copied, self.alone)), If(now, _joined(buffer, own, monoid), [])]

    def _unless_alone(self, code: list[Stmt], v: Reg, other: int) -> Value:
        if self.alone is None:
            return v
        code.append(ir.Compute(chosen := Reg(I64, v.hint), "select", (self.alone, ir.integer(other), v)))
        return chosen

    def take_in(self, work: Work) -> list[Stmt]:
        """Behind all chunks: the copies into their arrays, by parts of the elements."""
        if not self.copied:
            return []
        sizes = [work.size(c.array.extents) for c in self.copied]
        total = work.times(work.plus(*map(work.number, sizes)), work.number(self.copied[0].others))
        shift = work.logarithm(work.times(total, Literal(TAKEN / PART, F64)))
        parts = _Parts(work, work.compute("min", I64, shift, ir.integer(PARTS)))
        for c, size in zip(self.copied, sizes, strict=True):
            parts.taken_in(c, size)
        several = self.many
        if self.alone is not None:
            several = work.compute("and", BOOL, self.many, work.compute("not", BOOL, self.alone))
        return [If(several, [parts.loop()], []), *(ir.Free(c.copies) for c in self.copied)]


@dataclass(frozen=True)
class _Copies:
    """An array, and what the chunks but the first have in its place."""

    array: Buffer
    copies: Buffer
    others: Value
    monoid: str


class _Parts:
    """A loop on the pool over parts of arrays, whose elements are taken one after the other."""

    def __init__(self, work: Work, shift: Value) -> None:
        self.shift = shift
        self.count = work.compute("shl", I64, ir.integer(1), shift)
        self.part = Reg(I64, "part")
        self.body: list[Stmt] = []

    def loop(self) -> For:
        return For(self.part, ir.integer(0), self.count, self.body, [], "thread")

    def range(self, size: Value) -> tuple[Value, Value]:
        """Where a part of so many elements begins and ends."""
        after = self._compute("add", self.part, ir.integer(1))
        low, high = (self._compute("shr", self._compute("mul", p, size), self.shift) for p in (self.part, after))
        return low, high

    def copy(self, stmt: ir.Copy, size: Value) -> None:
        low, high = self.range(size)
        length = self._compute("sub", high, low)
        target, source = (
            self._alias(View(self._alias(v, (size,)), (low,)), (length,)) for v in (stmt.target, stmt.source)
        )
        self.body.append(ir.Copy(View(target), View(source)))

    def taken_in(self, c: _Copies, size: Value) -> None:
        array, copies = self._alias(View(c.array), (size,)), self._alias(View(c.copies), (c.others, size))
        low, high = self.range(size)
        chunk, k = Reg(I64, "chunk"), Reg(I64, "k")
        old, part, new = (Reg(array.dtype, h) for h in (c.array.hint, "part", c.array.hint))
        body: list[Stmt] = [
            Load(old, View(array, (k,))),
            Load(part, View(copies, (chunk, k))),
            combined(c.monoid, new, old, part),
            Store(View(array, (k,)), new),
        ]
        self.body.append(For(chunk, ir.integer(0), c.others, [For(k, low, high, body, [], "apart")], [], "seq"))

    def _compute(self, name: str, *args: Value) -> Reg:
        out = Reg(I64, "at")
        self.body.append(ir.Compute(out, name, args))
        return out

    def _alias(self, view: View, extents: tuple[Value, ...]) -> Buffer:
        """The memory that begins there, with other extents."""
        b = view.buffer
        alias = Buffer(b.dtype, extents, Reg(ir.POINTER, b.hint), hint=b.hint, stored=b.stored)
        self.body.append(ir.Choose(alias, Literal(True, BOOL), view, view))
        return alias


def copied(stmt: ir.Copy) -> list[Stmt]:
    """A copy by parts, where it is large."""
    loop = For(Reg(I64, "part"), ir.integer(0), ir.integer(1), [stmt])
    work = Work(loop)
    size = work.size(stmt.target.extents)
    pieces = work.times(work.number(size), Literal(ITEM_SIZE[stmt.target.buffer.dtype] / PIECE, F64))
    parts = _Parts(work, work.compute("min", I64, work.logarithm(pieces), ir.integer(PARTS)))
    parts.copy(stmt, size)
    large = work.compute("gt", BOOL, parts.shift, ir.integer(0))
    return [*work.code, If(large, [parts.loop()], [stmt])]


def identity(monoid: str, dtype: DType) -> Literal:
    if monoid == "bit_or":
        return Literal(0, dtype)
    return Literal(monoids.identity(monoid, dtype)[0], dtype)


def combined(monoid: str, out: Reg, left: Value, right: Value, free: bool = False) -> Stmt:
    if monoid == "bit_or":
        return ir.Compute(out, "bit_or", (left, right))
    return ir.Combine(out, monoid, left, right, free)


def cleared(buffer: Buffer, monoid: str) -> list[Stmt]:
    index = [Reg(I64, "k") for _ in buffer.extents]
    return _each(buffer, index, [Store(View(buffer, tuple(index)), identity(monoid, buffer.dtype))])


def _joined(array: Buffer, part: Buffer, monoid: str) -> list[Stmt]:
    """An array with another one taken in, element by element."""
    index = [Reg(I64, "k") for _ in array.extents]
    here, there = View(array, tuple(index)), View(part, tuple(index))
    old, more, new = (Reg(array.dtype, h) for h in (array.hint, "part", array.hint))
    return _each(array, index, [Load(old, here), Load(more, there), combined(monoid, new, old, more), Store(here, new)])


def _each(buffer: Buffer, index: list[Reg], body: list[Stmt]) -> list[Stmt]:
    for k, extent in reversed(list(zip(index, buffer.extents, strict=True))):
        body = [For(k, ir.integer(0), extent, body, [], "apart" if k is index[-1] else "any")]
    return body


def _dtype(reg: Reg) -> DType:
    assert isinstance(reg.type, DType)
    return reg.type

"""Loops in order over loops that never leave their columns: the columns are independent, so chunks of them run apart.

    for k in 0..m seq:                           for c in 0..count thread:
        for i in 0..n apart:                         for k in 0..m seq:
            a[i, k] = f(a[i, k - 1])      ->             for i in max 0 low..min n high apart:
        for i in 1..n apart:                                 a[i, k] = f(a[i, k - 1])
            b[k, i - 1] = g(a[i, k])                     for i in max 1 low..min n high apart:
                                                             b[k, i - 1] = g(a[i, k])

where low..high are the chunk's part of all i.  What is written in the loop is found there, in each array, at an index
that is one function of i wherever it is.  So the chunks meet once, not in every turn.  There is one chunk if there is
too little work, and then the loop stays as it is.  Chunks follow from sizes alone (threads.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iverson.backend import loopir as ir
from iverson.backend.independence import Known
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import Buffer, For, If, Load, Reg, Stmt, Store, Value, View
from iverson.backend.places import Form
from iverson.backend.rewrite import compute
from iverson.backend.twin import Twin
from iverson.backend.work import Work
from iverson.core.syntax import BOOL, F64, I64, Literal

NARROW = 64  # columns of a chunk, at least, if they are worked on by loops without loops in them
LINE = 8  # elements of a cache line
MOST = 6  # binary logarithm of the number of chunks, at most
LARGEST = 200  # statements of a loop, which is compiled twice

_PLAIN = ir.Compute | ir.Combine | Load | Store | ir.Require | ir.Bound


def found(known: Known, loop: For) -> Columns | None:
    """The columns of a loop, if it has any."""
    if loop.tag != "seq" or loop.carries or sum(1 for _ in ir.walk(loop.body)) > LARGEST:
        return None
    columns = Columns(known, loop)
    return columns if columns.leaves and columns.independent() else None


@dataclass(frozen=True)
class _Place:
    """An access, and the index of the loop over columns that it is in; None if it is in none."""

    view: View
    written: bool
    column: Reg | None


class Columns:
    """A loop in order, and the loops over columns in it."""

    def __init__(self, known: Known, loop: For) -> None:
        self.known, self.loop = known, loop
        self.inside = frozenset(inner_registers(loop))
        self.leaves: list[For] = []
        self.shifts: dict[Reg, int] = {}  # by the index of a leaf: how many columns before its own
        self.own: set[Buffer] = set()  # a turn's, then each chunk's
        self.places: list[_Place] = []
        self.fits = self._walk(loop.body)

    def _walk(self, body: list[Stmt]) -> bool:
        """Find the loops over columns, the outermost that are in any order; is all else in order, and simple?"""
        for stmt in body:
            match stmt:
                case For(tag="any" | "apart", carries=[], whole=None):
                    self.leaves.append(stmt)
                    if not self._leaf(stmt.body, stmt.index):
                        return False
                case For(tag="seq" | "strip" | "cold", carries=[]):
                    if not self._walk(stmt.body):
                        return False
                case Load(_, view):
                    self.places.append(_Place(view, False, None))
                case ir.Alloc(buffer):
                    self.own.add(buffer)
                case ir.Compute() | ir.Require() | ir.Bound() | ir.Free():
                    pass
                case _:
                    return False
        return True

    def _leaf(self, body: list[Stmt], index: Reg) -> bool:
        for stmt in ir.walk(body):
            if not isinstance(stmt, _PLAIN | For | If):
                return False
            if isinstance(stmt, Load | Store):
                self.places.append(_Place(stmt.view, isinstance(stmt, Store), index))
        return True

    def independent(self) -> bool:
        """Is what is written always found in the column that wrote it?"""
        written = {p.view.buffer for p in self.places if p.written}
        touched = dict.fromkeys(p.view.buffer for p in self.places)
        foreign = any(b.pointer in self.inside for b in touched if b not in self.own)
        if not self.fits or foreign or not self._range():
            return False
        apart = all(o is b or self.known.places.disjoint(b, o) for b in written for o in touched)
        return apart and all(self._aligned(b) for b in touched if b in written)

    def _aligned(self, buffer: Buffer) -> bool:
        mine = [p for p in self.places if p.view.buffer is buffer]
        return any(self._one(mine, d) for d in range(min(len(p.view.prefix) for p in mine)))

    def _one(self, mine: list[_Place], d: int) -> bool:
        """Is an index of all accesses one function of the column?  Loops that are new here get their shifts."""
        column, shifts = Reg(I64, "column"), dict(self.shifts)
        first: Form | None = None
        for p in mine:
            form = self.known.places.form(p.view.prefix[d])
            if p.column is None or not form.coefficient(p.column):
                return False
            if any(r in self.inside for r, _ in form.terms if r is not p.column):
                return False
            form = form.with_(p.column, Form(((column, 1),)))
            if first is None:  # the index is this in a column
                first = form.with_(column, Form(((column, 1),), -shifts.setdefault(p.column, 0)))
            apart, step = form.plus(first, -1), form.coefficient(column)
            if apart.terms or apart.constant != step * shifts.setdefault(p.column, apart.constant // step):
                return False
        self.shifts = shifts
        return True

    def _range(self) -> bool:
        """Is it known before the loop which columns there are?"""
        self.ends = [(self._known(s.low, "max"), self._known(s.high, "min")) for s in self.leaves]
        return all(low is not None and high is not None for low, high in self.ends)

    def _known(self, end: Value, clipped: str) -> Value | None:
        """An end of a loop's range, or what it is clipped to."""
        if isinstance(end, Literal) or end not in self.inside:
            return end
        made = self.known.places.computed.get(end)
        fixed = [a for a in made.args if a not in self.inside] if made is not None and made.name == clipped else []
        return fixed[0] if len(fixed) == 1 else None

    # --- chunks -------------------------------------------------------------------------------------------------------

    def chunked(self, grain: float, least: float, alone: Callable[[], list[Stmt]]) -> list[Stmt]:
        """The loop in chunks; as it was, if there is work for one only."""
        work = Work(self.loop)
        base, top = self._all(work, "min", 0), self._all(work, "max", 1)
        width, total = work.compute("sub", I64, top, base), work.total()
        flat = not any(isinstance(s, For) for leaf in self.leaves for s in leaf.body)
        size = work.logarithm(work.times(total, Literal(1 / grain, F64)))
        wide = work.logarithm(work.times(work.number(width), Literal(1.0 / NARROW if flat else 0.5, F64)))
        size = work.compute("min", I64, work.compute("min", I64, size, wide), ir.integer(MOST))
        enough = work.compute("ge", BOOL, total, Literal(grain * least, F64))
        several = work.compute("and", BOOL, enough, work.compute("gt", BOOL, size, ir.integer(0)))
        count = work.compute("shl", I64, ir.integer(1), size)
        chunk, body = Reg(I64, "chunk"), list[Stmt]()
        ends = [self._begin(body, c, width, size, flat) for c in (chunk, compute(body, "add", chunk, ir.integer(1)))]
        low, high = (compute(body, "add", base, e) for e in ends)
        twin = Twin([self.loop])
        _clip(twin.body, {twin.reg(leaf.index): self.shifts.get(leaf.index, 0) for leaf in self.leaves}, low, high)
        chunks = For(chunk, ir.integer(0), count, [*body, *twin.body], [], "thread")
        # where flat loops have few columns or little work, so have their own chunks
        return [*work.code, If(several, [chunks], [self.loop] if flat else alone())]

    def _all(self, work: Work, name: str, end: int) -> Value:
        """The first column of all loops, or the end of the last."""
        found: list[Value] = []
        for leaf, ends in zip(self.leaves, self.ends, strict=True):
            value = ends[end]
            assert value is not None
            found.append(work.compute("add", I64, value, ir.integer(self.shifts.get(leaf.index, 0))))
        total, *others = dict.fromkeys(found)
        for v in others:
            total = work.compute(name, I64, total, v)
        return total

    def _begin(self, code: list[Stmt], chunk: Value, width: Value, size: Value, flat: bool) -> Value:
        """Where a chunk begins, from the first column on; if they are elements of a row, with a cache line."""
        offset = compute(code, "shr", compute(code, "mul", chunk, width), size)
        if not flat:
            return offset
        offset = compute(code, "add", offset, ir.integer(LINE - 1))
        return compute(code, "min", compute(code, "bit_and", offset, ir.integer(-LINE)), width)


def _clip(body: list[Stmt], shifts: dict[Reg, int], low: Value, high: Value) -> None:
    """Have loops over columns, by so many before their own, run over those of a chunk, in place."""
    for stmt in list(body):
        if isinstance(stmt, For) and stmt.index in shifts:
            ends, shift = list[Stmt](), ir.integer(shifts[stmt.index])
            first, last = (compute(ends, "sub", v, shift) if shift.value else v for v in (low, high))
            stmt.low, stmt.high = compute(ends, "max", stmt.low, first), compute(ends, "min", stmt.high, last)
            at = body.index(stmt)
            body[at:at] = ends
        elif isinstance(stmt, For):
            _clip(stmt.body, shifts, low, high)

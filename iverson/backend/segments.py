"""Segments: turn i has the places s[i] .. s[i + 1] - 1 of an array, as rows of sparse matrices and ragged lists do.

    for i in 0..n any:
        for j in 0..max (s[i + 1] - s[i]) 0: a[s[i] + j] = ..

If s never falls from one turn to the next, and begins with no negative number, no two turns have a place in common.
What s holds is known at run time only, so that is looked at then, at once, before the loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import Buffer, Carry, For, If, Load, Reg, Stmt, Store, Value, View
from iverson.backend.places import Form, Places
from iverson.backend.work import Work
from iverson.core.syntax import BOOL, I64, Literal


@dataclass(frozen=True)
class Segments:
    """Turn i begins at starts[i + offset], and ends at starts[i + offset + 1]."""

    starts: Buffer
    offset: int


def found(loop: For, views: Iterable[View], places: Places) -> Segments | None:
    """The segments that all accesses of an array are in, each in its turn's; None if there are none."""
    return _Search(loop, places).all(list(views))


class _Search:
    def __init__(self, loop: For, places: Places) -> None:
        self.loop, self.places = loop, places
        self.inside = inner_registers(loop)
        inner = list(ir.walk(loop.body))
        self.loads = {s.out: s.view for s in inner if isinstance(s, Load)}
        self.joins = {j.out: (s, j) for s in inner if isinstance(s, If) for j in s.joins}
        self.written = {s.view.buffer for s in inner if isinstance(s, Store)}
        self.written |= {s.target.buffer for s in inner if isinstance(s, ir.Copy)}

    def all(self, views: list[View]) -> Segments | None:
        for d in range(min((len(v.prefix) for v in views), default=0)):
            which = {self.one(self.unwrapped(v.prefix[d])) for v in views}
            if len(which) == 1 and None not in which:
                return which.pop()
        return None

    def unwrapped(self, index: Value) -> Value:
        """x of an index that is x, or x + n where x is negative."""
        made = self.places.computed.get(index) if isinstance(index, Reg) else None
        pred: Value | None = None
        if made is not None and made.name == "select":
            pred, _, index = made.args
        elif isinstance(index, Reg) and index in self.joins:
            branch, join = self.joins[index]
            pred, index = branch.pred, join.orelse
        test = self.places.computed.get(pred) if isinstance(pred, Reg) else None
        wraps = test is not None and test.name == "lt" and test.args == (index, ir.integer(0))
        return index if pred is None or wraps else ir.integer(0)

    def one(self, index: Value) -> Segments | None:
        """The segment that a place is in."""
        form = self.places.form(index)
        inner = [r for r, c in form.terms if c == 1 and r in self.places.loops]
        begins = [r for r, c in form.terms if c == 1 and self.load(r) is not None]
        if len(inner) != 1 or len(begins) != 1 or len(form.terms) != 2 or form.constant:
            return None
        loop, begin = self.places.loops[inner[0]], begins[0]
        ends = [r for r, c in self.length(loop.high).terms if c == 1 and self.load(r) is not None]
        if len(ends) != 1 or loop.low != ir.integer(0):
            return None
        (end,) = ends
        if self.length(loop.high).plus(Form(((end, 1),)), -1).plus(Form(((begin, 1),))) != Form():
            return None
        return self.neighbours(self.load(begin), self.load(end))

    def load(self, reg: Reg) -> View | None:
        """Where an integer was loaded, if it was."""
        made = self.places.computed.get(reg)
        if made is not None and made.name == "int64" and isinstance(made.args[0], Reg):
            reg = made.args[0]
        return self.loads.get(reg)

    def length(self, high: Value) -> Form:
        """Of a segment: what is counted to, or 0 if that is negative."""
        made = self.places.computed.get(high) if isinstance(high, Reg) else None
        if made is not None and made.name == "max" and ir.integer(0) in made.args:
            high = next(a for a in made.args if a != ir.integer(0))
        return self.places.form(high)

    def neighbours(self, begin: View | None, end: View | None) -> Segments | None:
        """Are they in one array, at i + offset and at i + offset + 1?"""
        if (
            begin is None
            or end is None
            or begin.buffer is not end.buffer
            or begin.buffer in self.written
            or len(begin.prefix) != 1
        ):
            return None
        if begin.buffer.pointer in self.inside:
            return None
        here, there = (self.places.form(v.prefix[0]) for v in (begin, end))
        if dict(here.terms) != {self.loop.index: 1} or there.plus(here, -1) != Form((), 1):
            return None
        return Segments(begin.buffer, here.constant)


def ascending(segments: Segments, work: Work, enough: Value) -> Value:
    """Where there is `enough` work to do so, look whether no segment reaches into another; false if it isn't done."""
    zero, one = ir.integer(0), ir.integer(1)
    first = work.compute("add", I64, work.loop.low, ir.integer(segments.offset))
    last = work.compute("add", I64, work.loop.high, ir.integer(segments.offset))
    tests = [
        work.compute("ge", BOOL, first, zero),
        work.compute("lt", BOOL, last, segments.starts.extents[0]),
        work.compute("gt", BOOL, work.trip, zero),
    ]
    for test in tests:
        enough = work.compute("and", BOOL, enough, test)
    k, after = Reg(I64, "k"), Reg(I64, "k")
    begin, end, rises = Reg(I64, "begin"), Reg(I64, "end"), Reg(BOOL, "rises")
    fine, still, so = Reg(BOOL, "fine"), Reg(BOOL, "fine"), Reg(BOOL, "fine")
    body: list[Stmt] = [
        ir.Compute(after, "add", (k, one)),
        *_loaded(segments.starts, k, begin),
        *_loaded(segments.starts, after, end),
        ir.Compute(rises, "le", (begin, end)),
        ir.Combine(still, "and", fine, rises),
    ]
    start, natural = Reg(I64, "begin"), Reg(BOOL, "natural")
    look = [
        *_loaded(segments.starts, first, start),
        ir.Compute(natural, "ge", (start, zero)),
        For(k, first, last, body, [Carry(fine, natural, still, so)], "any"),
    ]
    out = Reg(BOOL, "ascending")
    work.code.append(If(enough, look, [], [ir.Join(out, so, Literal(False, BOOL))]))
    return out


def _loaded(buffer: Buffer, at: Value, out: Reg) -> list[Stmt]:
    """An integer of 64 bits from an array."""
    if buffer.dtype is I64:
        return [Load(out, View(buffer, (at,)))]
    narrow = Reg(buffer.dtype, out.hint)
    return [Load(narrow, View(buffer, (at,))), ir.Compute(out, "int64", (narrow,))]

"""Loops whose turns meet only in rows of one number: whatever is done to a row, its owner does, in order.

    for i in 0..n any:                     for each tile of turns:
        k = key[i]                             for c in 0..8 thread:              whose the turns are
        v = f(i)                                   for i in turns of c: turns[c, owner(key[i])] <- i
        a[k, ..] = a[k, ..] <add> v    ->      for o in 0..16 thread:
        s = s <add> v                              for c in 0..8, i in turns[c, o]:
                                                       k = key[i]; v = f(i); a[k, ..] = a[k, ..] <add> v; terms[i] = v
                                               for i in the tile: s = s <add> terms[i]

A row sees the turns that have its number as the program has them, so the bits are those of one thread, and it may be
updated in whatever way.  The number must be quickly computed, first thing in a turn.  On one thread, and once most
turns of a tile had one owner, there are no lists: all turns of a tile have one.  (Not so on one thread if other arrays
are combined into, of which each owner has a copy: then the order of the turns matters.)

Where it pays that each chunk has a copy of the array (chunks.py) it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iverson.backend import loopir as ir
from iverson.backend import pool
from iverson.backend.chunks import Chunk, combined, identity
from iverson.backend.independence import Known, Plan, Sum
from iverson.backend.loopir import Buffer, Carry, Cell, For, If, Join, Load, Owner, Reg, Stmt, Store, Type, Value, View
from iverson.backend.twin import Twin
from iverson.backend.work import Work
from iverson.core.syntax import BOOL, F64, I32, I64, DType, Literal

LEAST = 2e5  # nanoseconds of work
DEAR, LISTED = 12.0, 16.0  # those of a turn, at least: finding its owner takes one or two; if that is always done
SHARE = 0.05  # of the work, what copies of other arrays may cost
TILE = 15  # binary logarithm of the turns of a tile
PARTS, OWNERS = 3, 3  # that of the lists that each owner has, and of the owners
MOSTLY = 3  # quarters of a tile's turns: if one owner has more, others have no part in it
COPY = 0.3  # nanoseconds for an element of a copy
LINE = 3  # binary logarithm of the elements of a cache line
HASH = 0x9E3779B97F4A7C15 - 2**64  # 2**64 / golden ratio
PRELUDE, LARGEST = 24, 200  # statements that compute the number of the row; those of a turn, which is compiled twice


def found(known: Known, loop: For, block: list[Stmt]) -> Owned | None:
    """How a loop is run by owners, if it may be."""
    small = sum(1 for _ in ir.walk(loop.body)) <= LARGEST
    if not small or loop.whole is not None or loop.tag not in ("any", "seq"):
        return None
    plan = Owned(known, loop, block)
    return plan if plan.legal() and plan.ready() else None


@dataclass(eq=False)
class Owned(Plan):
    """What that takes."""

    rows: list[View] = field(default_factory=list)  # an access to each array whose rows have owners

    def shares(self, buffer: Buffer, views: dict[View, bool], inner: list[Stmt]) -> bool:
        """Are all accesses in the row of one number, which is that of other arrays, too?  Or is it combined into?"""
        numbers = {self.known.places.form(v.prefix[0]) for v in (*views, *self.rows) if v.prefix}
        first = next(iter(views))
        here = any(first.prefix[0] in ir.defined(s) for s in self.loop.body) if first.prefix else False
        if here and len(numbers) == 1 and all(v.prefix for v in views):
            self.rows.append(first)
            return True
        return self._accumulates(buffer, inner, window=0)

    @property
    def others(self) -> list[Buffer]:
        """The arrays that owners have copies of."""
        return [s.into for s in self.sums if isinstance(s.into, Buffer)]

    def ready(self) -> bool:
        """Is the row's number quickly computed?  Then there are copies of what computes it, and of the turn."""
        prelude = self._prelude() if self.rows and not (self.space or self.passed or self.segments) else None
        if prelude is None:
            return False
        mine = [x for s in ir.walk(self.loop.body) for x in _cells(s)]
        self.finding = Twin(prelude, [self.loop.index])
        self.turn = Twin(self.loop.body, [self.loop.index, *(c.reg for c in self.loop.carries)], mine)
        self.outs = [c.out for c in self.loop.carries]
        for c in self.loop.carries:
            c.out = Reg(c.out.type, c.out.hint)  # where the loop itself runs
        return True

    def _prelude(self) -> list[Stmt] | None:
        """The statements that compute the number, and the checks that they rely on; None if there is more to it."""
        found: list[Stmt] = []
        needed: set[Value] = {self.rows[0].prefix[0]}
        for stmt in reversed(self.loop.body):
            checks = bool(found) and isinstance(stmt, ir.Bound | ir.Require)
            if checks or not needed.isdisjoint(ir.defined(stmt)):
                if not self._quick(stmt) or len(found) == PRELUDE:
                    return None
                found.insert(0, stmt)
                needed.update(ir.free_registers([stmt]))
        known = {r for s in found for r in ir.defined(s)} | {self.loop.index}
        return found if (needed & self.inside) <= known and not needed.isdisjoint(known) else None

    def _quick(self, stmt: Stmt) -> bool:
        match stmt:
            case Load(_, View(buffer)):
                written = any(buffer in _written(s) for s in ir.walk(self.loop.body))
                return not written and buffer.pointer not in self.inside
            case If():
                return all(self._quick(s) for block in ir.blocks(stmt) for s in block)
            case _:
                return isinstance(stmt, ir.Compute | ir.Bound | ir.Require)

    def written(self, alone: Value | None, instead: Callable[[], list[Stmt]]) -> list[Stmt]:
        """The loop by owners where it has work for them, and `alone` holds; else what is instead."""
        work = Work(self.loop)
        total, turns = work.total(), work.number(work.trip)
        tests = [
            work.compute("ge", BOOL, total, Literal(LEAST, F64)),
            work.compute("ge", BOOL, total, work.times(turns, Literal(LISTED if self.others else DEAR, F64))),
            *([] if alone is None else [alone]),
            *(work.compute("ge", BOOL, total, self._copies(b, work)) for b in self.others),
        ]
        pays = tests[0]
        for test in tests[1:]:
            pays = work.compute("and", BOOL, pays, test)
        tiles = _Tiles(self, work, pays)
        body = tiles.write()
        joins = [Join(*outs) for outs in zip(self.outs, tiles.outs, [c.out for c in self.loop.carries], strict=True)]
        return [*work.code, If(pays, body, instead(), joins)]

    def _copies(self, buffer: Buffer, work: Work) -> Value:
        """The least work for copies of an array."""
        size = work.number(work.size(buffer.extents))
        return work.times(size, Literal(COPY * (1 << OWNERS) / SHARE, F64))


def _written(stmt: Stmt) -> list[Buffer]:
    match stmt:
        case Store(view):
            return [view.buffer]
        case ir.Copy(target):
            return [target.buffer]
        case _:
            return []


def _cells(stmt: Stmt) -> list[Cell]:
    match stmt:
        case ir.Get(_, cell) | ir.Put(cell):
            return [cell]
        case ir.Grow(cell, capacity=capacity):
            return [cell, *([] if capacity is None else [capacity])]
        case _:
            return []


class _Code(list[Stmt]):
    """Statements in the making."""

    def compute(self, name: str, *args: Value, type: Type = I64) -> Reg:
        out = Reg(type, "at")
        self.append(ir.Compute(out, name, args))
        return out

    def load(self, view: View) -> Reg:
        out = Reg(view.buffer.dtype, view.buffer.hint)
        self.append(Load(out, view))
        return out

    def combine(self, monoid: str, total: Reg, value: Value) -> Reg:
        out = Reg(total.type, total.hint)
        self.append(combined(monoid, out, total, value, free=True))
        return out

    def loop(self, low: Value, high: Value, tag: str) -> tuple[Reg, _Code]:
        """A loop that carries nothing: its index and its body."""
        index, body = Reg(I64, "k"), _Code()
        self.append(For(index, low, high, body, [], tag))
        return index, body

    def chosen(self, pred: Value, then: _Code, value: Value, otherwise: Value) -> Reg:
        """A value that statements find where `pred` holds, or another."""
        out = Reg(ir.type_of(value), "at")
        self.append(If(pred, then, [], [Join(out, value, otherwise)]))
        return out


@dataclass(frozen=True)
class _Terms:
    """What the turns of a tile add to a sum."""

    sum: Sum
    array: Buffer
    total: Carry | None  # of the tiles: what a carry of the loop is for these


class _Tiles:
    """The loop over tiles; `outs` are what becomes of the loop's carries."""

    def __init__(self, plan: Owned, work: Work, pays: Value) -> None:
        self.plan, self.work, self.loop = plan, work, plan.loop
        parts = work.compute("select", I64, pays, ir.integer(1 << PARTS), ir.integer(0))  # where not, no memory
        owners, room = ir.integer(1 << OWNERS), work.compute("shl", I64, parts, ir.integer(TILE - PARTS))
        self.turns = _array(I32, "turns", parts, owners, ir.integer(1 << (TILE - PARTS)))
        self.counts = _array(I64, "counts", parts, owners)
        self.terms = [self._terms(s, room) for s in plan.sums if not isinstance(s.into, Buffer)]
        self.outs = [self._total(c).out for c in self.loop.carries]
        self.low, self.size = Reg(I64, "low"), Reg(I64, "size")  # of a tile
        self.owner, self.around = Reg(I64, "owner"), list[Stmt]()
        self.chunk = Chunk(self.owner, owners, Literal(True, BOOL), self.around)
        for s in plan.sums:
            if isinstance(s.into, Buffer):
                self.chunk.array(s.into, s.monoid, plan.turn.body, clear=False)

    def _terms(self, s: Sum, room: Value) -> _Terms:
        assert isinstance(s.into, Carry | Cell)
        kind = s.into.reg.type if isinstance(s.into, Carry) else s.into.type
        assert isinstance(kind, DType)
        total = (
            Carry(Reg(kind, "sum"), s.into.init, s.into.init, Reg(kind, "sum")) if isinstance(s.into, Carry) else None
        )
        return _Terms(s, _array(kind, "terms", room), total)

    def _total(self, carry: Carry) -> Carry:
        return next(t.total for t in self.terms if t.total is not None and t.sum.into is carry)

    def write(self) -> list[Stmt]:
        """Over tiles, whether no owner had most turns is carried, and the sums."""
        arrays = [self.turns, self.counts, *(t.array for t in self.terms)]
        work, tile, body = self.work, Reg(I64, "tile"), _Code()
        more = work.compute("add", I64, work.trip, ir.integer((1 << TILE) - 1))
        tiles = work.compute("shr", I64, more, ir.integer(TILE))
        start = body.compute("shl", tile, ir.integer(TILE))
        body += [
            ir.Compute(self.low, "add", (self.loop.low, start)),
            ir.Compute(self.size, "min", (body.compute("sub", work.trip, start), ir.integer(1 << TILE))),
        ]
        even = Reg(BOOL, "even")
        shared, still = self._shared(body, even)
        self._run(body, shared)
        for t in self.terms:
            self._add(body, t)
        carries = [Carry(even, Literal(True, BOOL), still, Reg(BOOL, "even"))]
        carries += [t.total for t in self.terms if t.total is not None]
        loop = For(tile, ir.integer(0), tiles, body, carries, "cold")
        end = Work(self.loop)
        taken = self.chunk.take_in(end)
        return [*map(ir.Alloc, arrays), *self.around, loop, *map(ir.Free, arrays), *end.code, *taken]

    # --- whose turns they are -----------------------------------------------------------------------------------------

    def _shared(self, body: _Code, even: Reg) -> tuple[Value, Value]:
        """Are there lists of a tile's turns?  And will there be for the next?"""
        workers, threads = Cell(I64, "workers"), Reg(I64, "threads")
        body += [ir.Call(pool.READY, (ir.ByReference(workers),)), ir.Get(threads, workers)]
        several = body.compute("gt", threads, ir.integer(1), type=BOOL)
        if self.plan.others:
            several = body.compute("ge", self.size, ir.integer(0), type=BOOL)
        wanted = body.compute("and", several, even, type=BOOL)
        code = _Code()
        part, lists = code.loop(ir.integer(0), ir.integer(1 << PARTS), "thread")
        self._list(lists, part)
        fair = self._fair(code)
        shared = body.chosen(wanted, code, fair, Literal(False, BOOL))
        alone = body.compute("not", several, type=BOOL)
        still = body.compute("and", even, body.compute("or", shared, alone, type=BOOL), type=BOOL)
        return shared, still

    def _list(self, code: _Code, part: Reg) -> None:
        """A part's turns, to the lists of their owners."""
        more = code.compute("add", self.size, ir.integer((1 << PARTS) - 1))
        length = code.compute("shr", more, ir.integer(PARTS))
        low = code.compute("min", code.compute("mul", part, length), self.size)
        high = code.compute("min", code.compute("add", low, length), self.size)
        owner, clear = code.loop(ir.integer(0), ir.integer(1 << OWNERS), "cold")
        clear.append(Store(View(self.counts, (part, owner)), ir.integer(0)))
        k, turn = code.loop(low, high, "seq")
        finding, row = self.plan.finding, self.plan.rows[0]
        turn += [ir.Compute(finding.reg(self.loop.index), "add", (self.low, k)), *finding.body]
        number: Value = row.prefix[0]
        number = finding.reg(number) if isinstance(number, Reg) else number
        if len(row.buffer.extents) == 1:
            number = turn.compute("shr", number, ir.integer(LINE))  # a cache line has one owner
        mine = turn.compute("lshr", turn.compute("mul", number, ir.integer(HASH)), ir.integer(64 - OWNERS))
        count = View(self.counts, (part, mine))
        at = turn.load(count)
        turn.append(Store(View(self.turns, (part, mine, at)), turn.compute("int32", k, type=I32)))
        turn.append(Store(count, turn.compute("add", at, ir.integer(1))))

    def _fair(self, code: _Code) -> Value:
        """Has no owner most of a tile's turns?"""
        owner, part, most, sum_ = (Reg(I64, h) for h in ("owner", "part", "most", "sum"))
        each, every = _Code(), _Code()
        total = each.compute("add", sum_, each.load(View(self.counts, (part, owner))))
        his, largest = Reg(I64, "sum"), Reg(I64, "most")
        carry = Carry(sum_, ir.integer(0), total, his)
        every.append(For(part, ir.integer(0), ir.integer(1 << PARTS), each, [carry], "cold"))
        carry = Carry(most, ir.integer(0), every.compute("max", most, his), largest)
        code.append(For(owner, ir.integer(0), ir.integer(1 << OWNERS), every, [carry], "cold"))
        quarters = code.compute("mul", self.size, ir.integer(MOSTLY))
        return code.compute("le", code.compute("shl", largest, ir.integer(2)), quarters, type=BOOL)

    # --- the turns ----------------------------------------------------------------------------------------------------

    def _run(self, code: _Code, shared: Value) -> None:
        """Every owner his turns, in order; or one all."""
        owners = code.compute("select", shared, ir.integer(1 << OWNERS), ir.integer(1))
        owner, region = self.owner, _Code(self.chunk.before)
        code.append(For(owner, ir.integer(0), owners, region, [], "thread"))
        parts = region.compute("select", shared, ir.integer(1 << PARTS), ir.integer(1))
        part, each = region.loop(ir.integer(0), parts, "cold")
        known = _Code()
        count = each.chosen(shared, known, known.load(View(self.counts, (part, owner))), self.size)
        k, turn = each.loop(ir.integer(0), count, self.loop.tag)
        listed = _Code()
        number = listed.load(View(self.turns, (part, owner, k)))
        k = turn.chosen(shared, listed, listed.compute("int64", number), k)
        self._turn(turn, k)

    def _turn(self, code: _Code, k: Reg) -> None:
        """A turn, and what it adds to the sums."""
        twin = self.plan.turn
        code.append(ir.Compute(twin.reg(self.loop.index), "add", (self.low, k)))
        neutral = {t.sum.into: identity(t.sum.monoid, t.array.dtype) for t in self.terms}
        code += [ir.Put(twin.cell(into), zero) for into, zero in neutral.items() if isinstance(into, Cell)]
        begun = {twin.reg(c.reg): neutral[c] for c in self.loop.carries}
        code += ir.renamed(twin.body, begun)
        for t in self.terms:
            if isinstance(t.sum.into, Cell):
                value = Reg(t.array.dtype, "term")
                code.append(ir.Get(value, twin.cell(t.sum.into)))
            else:
                value = twin.reg(t.sum.into.next)
            code.append(Store(View(t.array, (k,)), value))

    def _add(self, code: _Code, t: _Terms) -> None:
        """The terms of a tile, to their sum."""
        k, body = Reg(I64, "k"), _Code()
        total, out = Reg(t.array.dtype, "sum"), Reg(t.array.dtype, "sum")
        new = body.combine(t.sum.monoid, total, body.load(View(t.array, (k,))))
        if t.total is not None:
            before, t.total.next = t.total.reg, out
        else:
            before = Reg(t.array.dtype, "sum")
            code.append(ir.Get(before, t.sum.into))
        code.append(For(k, ir.integer(0), self.size, body, [Carry(total, before, new, out)], "any"))
        if t.total is None:
            code.append(ir.Put(t.sum.into, out))


def _array(dtype: DType, hint: str, *extents: Value) -> Buffer:
    return Buffer(dtype, extents, Reg(ir.POINTER, hint), hint=hint, stored=True, slot=Owner())

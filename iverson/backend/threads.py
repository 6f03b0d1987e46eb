"""Threads: the outermost loops whose turns are independent run in chunks on the pool.

    for i in 0..n any; s = s0:                count = 1 ... 64, by the work
        y[i] = f(x[i])                        for c in 0..count thread:
        a[k[i]] = a[k[i]] <add> g(x[i])           own = &a if c == 0 else &copies[c - 1], cleared
        s = s <add> x[i]                ->        for i in c n / count..(c + 1) n / count any; t = 0:
                                                      y[i] = f(x[i]);  own[k[i]] = own[k[i]] <add> g(x[i])
                                                      t = t <add> x[i]
                                                  partial[c] = t
                                              for c: s = s <add> partial[c];  for c > 0: a = a + copies[c - 1]

The chunks, and the order in which what they leave is combined, follow from sizes alone, never from the number of
threads: the results are the same bits for any.  With too little work there is one chunk, which is the loop as it was.

Which loops these are, backend/independence.py proves.  Arrays that turns combine into have a copy for each chunk but
the first, so there are few chunks where these are large.  Where only turns less than w apart have places in common, as
in stencils, no copies are needed: chunks are at least w turns long, the even ones run first, then the odd ones.  Arrays
that serve as work space for one turn at a time become the chunk's.

What runs the rest of a loop's turns (lanes.py) is run by the same chunks.  Blocks of turns in vector mode (vectors.py)
are independent, but for the last two, which are a chunk's.  Loops that call routines of BLAS and LAPACK are cut where
the arrays are so small that these don't use threads of their own.  A chunk that fails a check says no more than that:
the program is run again without threads (checks.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from iverson.backend import columns, owners, pool
from iverson.backend import loopir as ir
from iverson.backend.chunks import MOST, Chunk, copied
from iverson.backend.columns import Columns
from iverson.backend.independence import Known, Plan
from iverson.backend.loopir import Buffer, Carry, Cell, For, If, Program, Reg, Stmt, Value, View
from iverson.backend.owners import Owned
from iverson.backend.segments import ascending
from iverson.backend.work import Work
from iverson.core.syntax import BOOL, F64, I64, Literal

GRAIN = 12000.0  # nanoseconds of work for a chunk, at least
FEWEST, AWAKE = 4.0, 1.0  # chunks that there is work for, at least; where another loop has woken the workers
PART = 0.025  # of the work, what copies of arrays may cost
MOST_COPIED = 4  # the same as chunks.MOST, for loops whose chunks have copies
# the nanoseconds that an element of a copy takes to be cleared and taken in, if copies have so many elements in all,
# and how many chunks there are then at most
COPIES = ((0.25, 2**15, 64.0), (0.3, 2**20, 4.0), (3.0, 2**62, 64.0))
BLOCK = 64  # turns of a loop without loops in it, such that no vector is cut by the end of a chunk
INDEPENDENT = ("any", "apart", "tile", "wide")
EDGE = 64  # turns that are never enough

ROUTINE = 256.0  # elements of each array of a BLAS or LAPACK routine that uses no threads of its own, at most


def run(program: Program, reassociate: bool = True, lean: bool = False) -> None:
    """Rewrite a program in place; `lean`: only loops whose chunks take no memory."""
    pass_ = _Threads(program, reassociate, lean)
    program.body[:] = pass_.block(program.body, [])
    program.exact = program.exact and not pass_.checked


class _Threads:
    def __init__(self, program: Program, reassociate: bool, lean: bool) -> None:
        self.known, self.lean = Known(program, reassociate), lean
        self.checked = False  # does a chunk make checks?
        self.awake = False  # did a loop before have the workers?

    def block(self, body: list[Stmt], around: Sequence[Stmt]) -> list[Stmt]:
        out: list[Stmt] = []
        gone: set[int] = set()  # what chunks have in their place
        done: set[int] = set()
        for stmt in body:
            if id(stmt) in done:
                continue
            plan = self._plan(stmt, body, around)
            if plan is not None:
                pieces, lets = self._pieces(plan, around)
                loops = [p.loop for p in pieces]
                self._checks(loops)
                gone |= {m for p in pieces for m in p.moved}
                done |= {*map(id, loops), *map(id, lets)}
                region = _Region(pieces, AWAKE if self.awake or around else FEWEST)
                copies = len(pieces) == 1 and any(isinstance(s.into, Buffer) for s in plan.sums)
                owned = self._owned(stmt, body, around) if copies else None
                out += [*lets, *(region.write() if owned is None else region.unless(owned))]
                self.awake = True
                continue
            owned = self._owned(stmt, body, around)
            apart = self._columns(stmt, around) if owned is None else None
            if isinstance(stmt, ir.Copy) and _may_be_large(stmt, around):
                out += copied(stmt)
                self.awake = True
                continue
            inside = [*around, stmt] if isinstance(stmt, For | ir.While) and not _strips(stmt) else around
            alone = partial(self._within, stmt, inside)
            if owned is not None:
                out += owned.written(None, alone)
            elif apart is not None:
                out += apart.chunked(GRAIN, AWAKE if self.awake or around else FEWEST, alone)
                self.awake = True
            else:
                out += alone()
        return [s for s in out if id(s) not in gone]

    def _plan(self, stmt: Stmt, body: list[Stmt], around: Sequence[Stmt]) -> Plan | None:
        """How a loop runs in chunks, if it does."""
        if not isinstance(stmt, For) or not self._candidate(stmt, around):
            return None
        plan = Plan(self.known, stmt, body)
        return plan if plan.legal() and not (self.lean and plan.takes_memory()) else None

    def _owned(self, stmt: Stmt, body: list[Stmt], around: Sequence[Stmt]) -> Owned | None:
        """How owners of rows run a loop, if they do."""
        if self.lean or not isinstance(stmt, For) or not self._candidate(stmt, around, ("any", "seq")):
            return None
        found = owners.found(self.known, stmt, body)
        if found is not None:
            self._checks([stmt])
        return found

    def _within(self, stmt: Stmt, inside: Sequence[Stmt]) -> list[Stmt]:
        """A statement whose own loops are on the pool."""
        for inner in ir.blocks(stmt):
            inner[:] = self.block(inner, inside)
        return [stmt]

    def _columns(self, stmt: Stmt, around: Sequence[Stmt]) -> Columns | None:
        """The independent columns of a loop in order, if it has such."""
        if not isinstance(stmt, For) or any(map(_in_vectors, around)):
            return None
        found = columns.found(self.known, stmt)
        if found is None or (self.lean and found.own):
            return None
        self._checks([stmt])
        return found

    def _checks(self, loops: Sequence[For]) -> None:
        self.checked |= any(isinstance(s, ir.Require | ir.Bound) for s in ir.walk([*loops]))

    def _pieces(self, first: Plan, around: Sequence[Stmt]) -> tuple[list[Plan], list[Stmt]]:
        """The loops that run the rest of one's turns, if chunks may do with them what they do with it; what is between.

        Their turns are those of one loop: each is independent of the others' turns, too.
        """
        pieces = [first]
        lets: list[Stmt] = []
        pending: list[Stmt] = []
        at = next(k for k, s in enumerate(first.block) if s is first.loop)
        for stmt in first.block[at + 1 :]:
            made = {r for p in pieces for r in ir.defined(p.loop)}
            if any(id(stmt) in p.moved for p in pieces):
                continue
            if isinstance(stmt, ir.Compute | ir.Alloc) and not made & set(ir.used(stmt)):
                pending.append(stmt)
                continue
            plan = self._plan(stmt, first.block, around)
            if plan is None or not plan.follows(pieces[-1]):
                break
            if any(isinstance(s, ir.Alloc) and id(s) not in plan.moved for s in pending):
                break
            pieces.append(plan)
            lets += [s for s in pending if isinstance(s, ir.Compute)]
            pending.clear()
        return pieces, lets

    def _candidate(self, loop: For, around: Sequence[Stmt], tags: Sequence[str] = INDEPENDENT) -> bool:
        """May it run in parallel, and is what a dispatch costs sure to be small beside it?"""
        if loop.tag not in tags or any(map(_in_vectors, around)):
            return False
        flat = not any(isinstance(s, For | ir.While) for s in ir.walk(loop.body))
        if around and flat and (len(around) > 1 or loop.carries):
            return False
        bound = self.known.places.at_most(loop.high)
        if flat and loop.whole is None and bound is not None and bound <= EDGE:
            return False
        known = Work(loop).known
        return known is None or known >= GRAIN * AWAKE


def _strips(stmt: Stmt) -> bool:
    """Is it around loops that take turns, of which very long ones make all their turns at once?"""
    return isinstance(stmt, For) and stmt.tag == "strip"


def _in_vectors(stmt: Stmt) -> bool:
    """Does a loop run in vector registers, which the functions of loops within it couldn't be given?"""
    return isinstance(stmt, For) and stmt.tag == "wide"


def _may_be_large(stmt: ir.Copy, around: Sequence[Stmt]) -> bool:
    """Is it worth a look, which takes some nanoseconds, how large a copy is?"""
    extents = stmt.target.extents
    literal = all(isinstance(e, Literal) for e in extents)
    return not literal and len(around) <= min(len(extents), 2) and not any(map(_in_vectors, around))


class _Region:
    """The chunks of a loop, and of those that run the rest of its turns."""

    def __init__(self, pieces: list[Plan], least: float) -> None:
        self.pieces, self.first, self.least = pieces, pieces[0], least
        self.works = [Work(self.first.loop)]
        self.works += [Work(p.loop, self.works[0].code) for p in pieces[1:]]
        self.work = self.works[0]
        self.turn = Reg(I64, "chunk")
        self.starts: list[Stmt] = []  # of a chunk: where its turns begin and end
        self.shift = self._shift([s.into for s in self.first.sums if isinstance(s.into, Buffer)])

    def unless(self, owned: Owned) -> list[Stmt]:
        """The same where copies pay, or owners of rows don't."""
        single = self.work.compute("eq", BOOL, self.shift, ir.integer(0))
        estimate = list(self.work.code)
        self.work.code.clear()
        return [*estimate, *owned.written(single, self.write)]

    def write(self) -> list[Stmt]:
        """The statements that take the loops' place."""
        work, first, shift = self.work, self.first, self.shift
        loops = [p.loop for p in self.pieces]
        count, many = work.compute("shl", I64, ir.integer(1), shift), work.compute("gt", BOOL, shift, ir.integer(0))
        ends = [self._tiles(count, shift) if loops[0].tag == "wide" else self._bounds(count, shift)]
        ends += [self._rest(loop, w, shift) for loop, w in zip(loops[1:], self.works[1:], strict=True)]
        rounds = self._rounds(count, many) if first.window else None
        alone = None
        if rounds is None and any(isinstance(s.into, Buffer) for s in first.sums):
            alone = work.compute("and", BOOL, many, self._alone(many))
        chunk = Chunk(self.turn, count, many, work.code, alone)
        bodies = [s for loop in loops for s in loop.body]
        for s in first.sums:
            match s.into:
                case Carry() as carry:
                    k = loops[0].carries.index(carry)
                    chunk.carry([loop.carries[k] for loop in loops], s.monoid)
                case Cell() as cell:
                    chunk.cell(cell, s.monoid, bodies)
                case Buffer() as buffer:
                    chunk.array(buffer, s.monoid, bodies)
        space, moved = ([x for p in self.pieces for x in getattr(p, name)] for name in ("space", "moved"))
        for stmt in first.block:  # in the order in which they are
            if isinstance(stmt, ir.Alloc) and stmt in space:
                if stmt.when is None:  # the rest of the turns is the first chunk's, which the others need no memory for
                    low, high = next(e for p, e in zip(self.pieces, ends, strict=True) if stmt in p.space)
                    stmt.when = Reg(BOOL, "turns")
                    chunk.before.append(ir.Compute(stmt.when, "lt", (low, high)))
                chunk.before.append(stmt)
            elif isinstance(stmt, ir.Free) and id(stmt) in moved:
                chunk.after.append(stmt)
        for loop, (low, high) in zip(loops, ends, strict=True):
            loop.low, loop.high = low, high
        body = [*self.starts, *chunk.before, *loops, *chunk.after]
        taken = chunk.take_in(work)
        if rounds is None:
            high = count if alone is None else self._in_order(count, alone)
            return [*work.code, For(self.turn, ir.integer(0), high, body, [], "thread"), *chunk.behind, *taken]
        each, number, which, part = rounds
        inner = For(part, ir.integer(0), number, [*which, *body], [], "thread")
        return [*work.code, For(each[0], ir.integer(0), each[1], [inner], [], "cold"), *chunk.behind, *taken]

    def _alone(self, many: Value) -> Value:
        """Is there one thread for all chunks?"""
        workers, threads = Cell(I64, "workers"), Reg(I64, "threads")
        ask: list[Stmt] = [ir.Call(pool.READY, (ir.ByReference(workers),))]
        self.work.code += [ir.Put(workers, ir.integer(1)), If(many, ask, []), ir.Get(threads, workers)]
        return self.work.compute("le", BOOL, threads, ir.integer(1))

    def _in_order(self, count: Value, alone: Value) -> Value:
        """How many chunks, negative where they are to run one after the other."""
        return self.work.compute("select", I64, alone, self.work.compute("neg", I64, count), count)

    def _rounds(self, count: Value, many: Value) -> tuple[tuple[Reg, Value], Value, list[Stmt], Reg]:
        """Even chunks first, then odd ones: the rounds, how many chunks each has, and which chunk is which."""
        work, odd, part, twice = self.work, *(Reg(I64, h) for h in ("odd", "part", "t"))
        more = work.compute("int64", I64, many)
        rounds, number = work.compute("add", I64, more, ir.integer(1)), work.compute("shr", I64, count, more)
        which: list[Stmt] = [ir.Compute(twice, "mul", (part, rounds)), ir.Compute(self.turn, "add", (twice, odd))]
        return (odd, rounds), number, which, part

    def _shift(self, arrays: list[Buffer]) -> Value:
        """The logarithm of the number of chunks; 0 if there is too little work."""
        work, loop = self.work, self.first.loop
        total = work.plus(*(w.total() for w in self.works))
        size = work.logarithm(work.times(total, Literal(1 / GRAIN, F64)))
        size = work.compute("max", I64, size, ir.integer(2 if self.first.window else 1))  # two a round
        enough = work.compute("ge", BOOL, total, Literal(GRAIN * self.least, F64))
        if arrays:
            elements = work.plus(Literal(1.0, F64), *(self._elements(View(b), work) for b in arrays))
            chunks: Value = Literal(1.0, F64)
            for cost, near, most in COPIES:
                paid = work.compute("div", F64, total, self._scaled(elements, cost / PART))
                fits = work.compute("div", F64, Literal(float(near), F64), elements)
                here = work.compute("min", F64, work.compute("min", F64, paid, fits), Literal(most, F64))
                chunks = work.compute("max", F64, chunks, here)
            size = work.compute("min", I64, size, work.logarithm(chunks))
        turns = work.plus(*(work.number(w.trip) for w in self.works))
        if loop.tag == "wide":
            turns = work.plus(turns, Literal(-1.0, F64))
            size = work.compute("min", I64, size, work.logarithm(turns))
        elif self.first.window:
            size = work.compute("min", I64, size, work.logarithm(self._scaled(turns, 1 / self.first.window)))
        elif arrays or loop.tag == "tile":
            size = work.compute("min", I64, size, work.logarithm(self._scaled(turns, 2.0)))
        for view, inner in ((v, w) for p, w in zip(self.pieces, self.works, strict=True) for v in p.passed):
            small = work.compute("le", BOOL, self._elements(view, inner), Literal(ROUTINE, F64))
            enough = work.compute("and", BOOL, enough, small)
        for segments, inner in ((s, w) for p, w in zip(self.pieces, self.works, strict=True) for s in p.segments):
            some = work.compute("and", BOOL, enough, work.compute("gt", BOOL, size, ir.integer(0)))
            enough = ascending(segments, inner, some)
        few = work.compute("min", I64, size, ir.integer(MOST_COPIED if arrays else MOST))
        return work.compute("select", I64, enough, few, ir.integer(0))

    def _elements(self, view: View, work: Work) -> Value:
        return work.times(Literal(1.0, F64), *(work.number(work.lifted(e)) for e in view.extents))

    def _scaled(self, x: Value, times: float) -> Value:
        return self.work.times(x, Literal(times, F64))

    def _compute(self, name: str, *args: Value) -> Reg:
        out = Reg(I64, "at")
        self.starts.append(ir.Compute(out, name, args))
        return out

    def _bounds(self, count: Value, shift: Value) -> tuple[Value, Value]:
        """Where a chunk begins and ends."""
        work, loop = self.work, self.first.loop
        flat = not any(isinstance(s, For | ir.While) for s in loop.body) and not self.first.window
        if flat:
            size = work.compute("shr", I64, work.trip, shift)
            long = work.compute("ge", BOOL, size, ir.integer(BLOCK * BLOCK // 8))
            more = work.compute("select", I64, long, ir.integer(BLOCK - 1), ir.integer(0))
            mask = work.compute("sub", I64, ir.integer(-1), more)

        def begin(chunk: Value) -> Value:
            offset = self._compute("shr", self._compute("mul", chunk, work.trip), shift)
            if flat:
                offset = self._compute("bit_and", self._compute("add", offset, more), mask)
                offset = self._compute("min", offset, work.trip)
            return offset if loop.low == ir.integer(0) else self._compute("add", loop.low, offset)

        return begin(self.turn), begin(self._compute("add", self.turn, ir.integer(1)))

    def _tiles(self, count: Value, shift: Value) -> tuple[Value, Value]:
        """The same for blocks of turns; the last may run turns of the one before once more, so a chunk has both."""
        work = self.work
        units = work.compute("sub", I64, work.trip, ir.integer(1))
        last = work.compute("max", I64, work.compute("sub", I64, units, ir.integer(1)), ir.integer(0))
        half = work.compute("shr", I64, count, ir.integer(1))

        def begin(chunk: Value) -> Value:
            offset = self._compute("add", self._compute("mul", chunk, units), half)
            return self._compute("min", self._compute("shr", offset, shift), last)

        low, after = begin(self.turn), self._compute("add", self.turn, ir.integer(1))
        whole, high = Reg(BOOL, "last"), Reg(I64, "at")
        end = begin(after)
        self.starts.append(ir.Compute(whole, "eq", (after, count)))
        self.starts.append(ir.Compute(high, "select", (whole, work.trip, end)))
        return low, high

    def _rest(self, loop: For, work: Work, shift: Value) -> tuple[Value, Value]:
        """The same for what others left over, which the first chunk runs, none of the longest; all do if it is all."""
        ran = work.compute("gt", BOOL, self.work.trip, ir.integer(0))
        mine = work.compute("select", I64, ran, ir.integer(0), shift)
        parts = work.compute("shl", I64, ir.integer(1), mine)

        def begin(chunk: Value) -> Value:
            part = self._compute("mul", self._compute("min", chunk, parts), work.trip)
            return self._compute("add", loop.low, self._compute("shr", part, mine))

        return begin(self.turn), begin(self._compute("add", self.turn, ir.integer(1)))

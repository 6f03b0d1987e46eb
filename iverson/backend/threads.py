"""Threads: the outermost loops whose turns are independent run in chunks on the pool.

    for i in 0..n any; s = s0:                count = 1 or 8 ... 64, by the work
        y[i] = f(x[i])                        for c in 0..count thread:
        a[k[i]] = a[k[i]] <add> g(x[i])           own = &a if c == 0 else &copies[c - 1], cleared
        s = s <add> x[i]                ->        for i in c n / count..(c + 1) n / count any; t = 0:
                                                      y[i] = f(x[i]);  own[k[i]] = own[k[i]] <add> g(x[i])
                                                      t = t <add> x[i]
                                                  partial[c] = t
                                              for c: s = s <add> partial[c];  for c > 0: a = a + copies[c - 1]

The chunks, and the order in which what they leave is combined, follow from sizes alone, never from the number of
threads: the results are the same bits for any.  With too little work there is one chunk, which is the loop as it was.

Proven of each loop, or it stays: what its turns write is of their own (`Places`: they meet in equal turns only; a
block of places for a loop that was split), or only ever combined into what is there by one monoid.  Arrays of the
latter kind have a copy for each chunk but the first, so there are few chunks where these are large.  Where only turns
less than w apart have places in common, as in stencils, no copies are needed: chunks are at least w turns long, the
even ones run first, then the odd ones.  Arrays that serve as work space for one turn at a time become the chunk's.

Loops that call library routines stay, since these have threads of their own, and so do those in vector mode
(vectors.py).  A chunk that fails a check says no more than that: the program is run again without threads (checks.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import TypeAlias

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import Buffer, Carry, Cell, For, If, Load, Owner, Program, Reg, Stmt, Store, Value, View
from iverson.backend.places import Form, Places
from iverson.backend.work import Work
from iverson.core import monoids
from iverson.core.syntax import BOOL, F64, I64, DType, Literal

GRAIN = 6000.0  # nanoseconds of work for a chunk, at least
FEWEST, MOST = 3, 6  # binary logarithms of the number of chunks
EDGE = 64  # turns that are never enough
PART = 0.05  # of the work, what copies of arrays may cost
COPY = 3.0  # nanoseconds for an element of a copy, whose memory is cold, to be cleared and taken in

# what is understood here; a library routine has threads of its own
_KNOWN = (
    ir.Compute | ir.Combine | Load | Store | ir.Copy | ir.Get | ir.Put | For | ir.While | If
    | ir.Alloc | ir.Free | ir.Own | ir.Grow | ir.Require | ir.Bound
)  # fmt: skip


def run(program: Program, reassociate: bool = True) -> None:
    """Rewrite a program in place."""
    pass_ = _Threads(program, reassociate)
    program.body[:] = pass_.block(program.body, [])
    program.exact = program.exact and not pass_.checked


class _Threads:
    def __init__(self, program: Program, reassociate: bool) -> None:
        self.places = Places(program.body)
        self.reassociate = reassociate
        self.touched = Counter(x for s in ir.walk(program.body) for x in _touched(s))
        self.checked = False  # does a chunk make checks?

    def block(self, body: list[Stmt], around: Sequence[Stmt]) -> list[Stmt]:
        out: list[Stmt] = []
        gone: set[int] = set()
        for stmt in body:
            plan = _Plan(self, stmt, body) if isinstance(stmt, For) and self._candidate(stmt, around) else None
            if plan is not None and plan.legal():
                self.checked |= any(isinstance(s, ir.Require | ir.Bound) for s in ir.walk([stmt]))
                out += plan.write()
                gone |= plan.moved
                continue
            inside = [*around, stmt] if isinstance(stmt, For | ir.While) and not _strips(stmt) else around
            for inner in ir.blocks(stmt):
                inner[:] = self.block(inner, inside)
            out.append(stmt)
        return [s for s in out if id(s) not in gone]

    def _candidate(self, loop: For, around: Sequence[Stmt]) -> bool:
        """May it run in parallel, and is what a dispatch costs sure to be small beside it?"""
        if loop.tag not in ("any", "apart", "tile") or any(map(_in_vectors, [*around, *ir.walk(loop.body)])):
            return False
        flat = not any(isinstance(s, For | ir.While) for s in ir.walk(loop.body))
        if around and flat and (len(around) > 1 or loop.carries):
            return False
        bound = self.places.at_most(loop.high)
        if flat and bound is not None and bound <= EDGE:
            return False
        known = Work(loop).known
        return known is None or known >= GRAIN * 2**FEWEST


def _strips(stmt: Stmt) -> bool:
    """Is it around loops that take turns, of which very long ones make all their turns at once?"""
    return isinstance(stmt, For) and stmt.tag == "strip"


def _in_vectors(stmt: Stmt) -> bool:
    """Does a loop run in vector registers, which a function of its own isn't given?"""
    return isinstance(stmt, For) and stmt.tag == "wide"


def _touched(stmt: Stmt) -> list[Buffer | Cell]:
    """The buffers whose elements a statement touches, and the cells."""
    match stmt:
        case Load(_, view) | Store(view, _):
            return [view.buffer]
        case ir.Copy(target, source):
            return [target.buffer, source.buffer]
        case ir.Get(_, cell) | ir.Put(cell) | ir.Grow(cell):
            return [cell]
        case ir.Call(_, args):
            cells = [a.content for a in args if isinstance(a, ir.ByReference) and isinstance(a.content, Cell)]
            return [*(a.buffer for a in args if isinstance(a, View)), *cells]
        case _:
            return []


@dataclass(frozen=True, slots=True)
class _Near:
    """An array of which only neighbouring turns have places in common."""

    buffer: Buffer


_Into: TypeAlias = Carry | Cell | Buffer | _Near


@dataclass(eq=False)
class _Sum:
    """What the chunks combine: a carry of the loop, a cell, or an array."""

    monoid: str
    into: _Into


@dataclass(eq=False)
class _Plan:
    """What running a loop in chunks would take."""

    threads: _Threads
    loop: For
    block: list[Stmt]  # in which the loop is
    sums: list[_Sum] = field(default_factory=list)
    space: list[ir.Alloc] = field(default_factory=list)  # work space of a turn
    moved: set[int] = field(default_factory=set)  # the statements around the loop that go into its chunks
    uses: dict[Reg, list[Stmt]] = field(default_factory=dict)
    window: int = 0  # turns so far apart never meet; 0 if none do

    # --- may it? ------------------------------------------------------------------------------------------------------

    def legal(self) -> bool:
        inner = list(ir.walk(self.loop.body))
        if not all(isinstance(s, _KNOWN) for s in inner):
            return False
        if any(c.reg.type is ir.POINTER for c in self.loop.carries):
            return False
        self.inside = frozenset(inner_registers(self.loop))
        for s in (self.loop, *inner):
            for v in ir.used(s):
                if isinstance(v, Reg) and v in self.inside:
                    self.uses.setdefault(v, []).append(s)
        return self._carries() and self._cells(inner) and self._arrays(inner)

    def _carries(self) -> bool:
        for c in self.loop.carries:

            def ends(user: Stmt, reg: Reg, c: Carry = c) -> bool:
                return user is self.loop and c.next is reg

            if not self._sum(c.reg, ends, c):
                return False
        return True

    def _sum(self, reg: Reg, ends: Callable[[Stmt, Reg], bool], into: _Into) -> bool:
        """Does a register only take in terms, by one monoid, on its way to an end?"""
        found: set[str] = set()
        if not self._flows(reg, ends, found) or len(found) > 1:
            return False
        have = next((s for s in self.sums if s.into == into), None)
        monoid = next(iter(found), None)
        if monoid is None:
            return False
        if have is None:
            self.sums.append(_Sum(monoid, into))
        return have is None or have.monoid == monoid

    def _flows(self, reg: Reg, ends: Callable[[Stmt, Reg], bool], found: set[str]) -> bool:
        users = self.uses.get(reg, [])
        if len(users) != 1:
            return False
        (user,) = users
        if ends(user, reg):
            return True
        match user:
            case ir.Combine(out, monoid, left, right, free):
                rounds = isinstance(out.type, DType) and out.type.is_float and monoid in ("add", "mul")
                if (left is reg) == (right is reg) or (rounds and not (free and self.threads.reassociate)):
                    return False
                found.add(monoid)
                return self._flows(out, ends, found)
            case ir.Compute(out, "bit_or", (left, right)) if (left is reg) != (right is reg):
                found.add("bit_or")
                return self._flows(out, ends, found)
            case For(carries=carries) if user is not self.loop:
                through = [c for c in carries if c.init is reg]
                if len(through) != 1:
                    return False
                (c,) = through

                def turns(s: Stmt, r: Reg) -> bool:
                    return s is user and c.next is r

                return self._flows(c.reg, turns, found) and self._flows(c.out, ends, found)
            case _:
                return False

    def _cells(self, inner: list[Stmt]) -> bool:
        here = Counter(x for s in inner for x in _touched(s) if isinstance(x, Cell))
        for cell, count in here.items():
            if count == self.threads.touched[cell] and _opens(self.loop.body, cell, count):
                continue
            gets = [s for s in inner if isinstance(s, ir.Get) and s.cell is cell]
            puts = [s for s in inner if isinstance(s, ir.Put) and s.cell is cell]
            reached: list[Stmt] = []

            def ends(user: Stmt, reg: Reg, cell: Cell = cell, reached: list[Stmt] = reached) -> bool:
                if isinstance(user, ir.Put) and user.cell is cell:
                    reached.append(user)
                    return True
                return False

            if len(gets) + len(puts) != count or not all(self._sum(s.out, ends, cell) for s in gets):
                return False
            if len(set(map(id, reached))) != len(puts):
                return False
        return True

    def _arrays(self, inner: list[Stmt]) -> bool:
        own = self._own_pointers(inner)
        views: dict[Buffer, dict[View, bool]] = {}  # each view, and whether it is written
        for s in inner:
            match s:
                case Load(_, view):
                    views.setdefault(view.buffer, {}).setdefault(view, False)
                case Store(view, _):
                    views.setdefault(view.buffer, {})[view] = True
                case ir.Copy(target, source):
                    views.setdefault(target.buffer, {})[target] = True
                    views.setdefault(source.buffer, {}).setdefault(source, False)
        shared = {b: v for b, v in views.items() if b.pointer not in own}
        if any(b.pointer in self.inside for b in shared):
            return False
        written = [b for b, v in shared.items() if any(v.values())]
        for b in written:
            if self._is_space(b, inner):
                continue
            if not all(o is b or self.threads.places.disjoint(b, o) for o in shared):
                return False
            pairs = combinations_with_replacement(shared[b], 2)
            apart = self._aligned(shared[b]) or all(
                self._separate(x, y) for x, y in pairs if shared[b][x] or shared[b][y]
            )
            if not apart and not self._accumulates(b, inner, self._window(shared[b])):
                return False
        return True

    def _window(self, views: dict[View, bool]) -> int:
        """How many turns apart accesses of one array surely don't meet; 0 if that can't be said."""
        pairs = [(x, y) for x, y in combinations_with_replacement(views, 2) if views[x] or views[y]]
        return max((self._reach(x, y) for x, y in pairs), default=0) if all(self._reach(x, y) for x, y in pairs) else 0

    def _reach(self, a: View, b: View) -> int:
        i, form = self.loop.index, self.threads.places.form
        found = []
        for x, y in zip(map(form, a.prefix), map(form, b.prefix), strict=False):
            difference, step = x.plus(y, -1), x.coefficient(i)
            varying = any(r in self.inside for r, _ in x.terms if r is not i)
            if step and not difference.terms and not varying:
                found.append(1 + abs(difference.constant) // abs(step))
        return min(found, default=0)

    def _own_pointers(self, inner: list[Stmt]) -> set[Reg]:
        """The pointers to memory that a turn allocates."""
        own = {s.buffer.pointer for s in inner if isinstance(s, ir.Alloc)}
        shared_cells = {s.into for s in self.sums}
        own |= {s.out for s in inner if isinstance(s, ir.Get) and s.out.type is ir.POINTER
                and s.cell not in shared_cells}  # fmt: skip
        loops = [c for s in inner if isinstance(s, For | ir.While) for c in s.carries if c.reg.type is ir.POINTER]
        turning = {r for c in loops for r in (c.reg, c.out)}
        while True:
            foreign = {r for c in loops for v in (c.init, c.next) if v not in own | turning for r in (c.reg, c.out)}
            if not foreign & turning:
                return own | turning
            turning -= foreign

    def _aligned(self, views: Iterable[View]) -> bool:
        """Are all accesses in equal turns in the same row, one of its own for each turn?"""
        places = self.threads.places
        for at in zip(*(v.prefix for v in views), strict=False):
            form, *others = dict.fromkeys(map(places.form, at))
            rest = [r for r, _ in form.terms if r is not self.loop.index]
            own = not others and form.coefficient(self.loop.index) != 0
            if own and all(places.invariant(r, self.inside) for r in rest):
                return True
        return False

    def _separate(self, a: View, b: View) -> bool:
        """Do accesses of different turns never meet?"""
        places, i = self.threads.places, self.loop.index
        return places.meet_in_turn(a, i, b, i, self.inside) or any(
            self._in_blocks(places.form(x), places.form(y)) for x, y in zip(a.prefix, b.prefix, strict=False)
        )

    def _in_blocks(self, x: Form, y: Form) -> bool:
        """Are these in equal blocks of places, a block for each turn: c i + r, 0 <= r < c?"""
        c = x.coefficient(self.loop.index)
        if c <= 0 or y.coefficient(self.loop.index) != c:
            return False
        fixed, lowest, highest = [], [], []
        for form in (x, y):
            rest = [(r, k) for r, k in form.terms if r is not self.loop.index]
            fixed.append({r: k for r, k in rest if r not in self.inside})
            ranges = [self._range(r, k) for r, k in rest if r in self.inside]
            if None in ranges:
                return False
            lowest.append(form.constant + sum(p[0] for p in ranges if p))
            highest.append(form.constant + sum(p[1] for p in ranges if p))
        return fixed[0] == fixed[1] and max(highest) - min(lowest) < c

    def _range(self, reg: Reg, times: int) -> tuple[int, int] | None:
        """The least and greatest multiple of the index of a loop of known length."""
        loop = self.threads.places.loops.get(reg)
        if loop is None or not (isinstance(loop.low, Literal) and isinstance(loop.high, Literal)):
            return None
        ends = sorted([int(loop.low.value) * times, (int(loop.high.value) - 1) * times])
        return ends[0], ends[1]

    def _accumulates(self, buffer: Buffer, inner: list[Stmt], window: int) -> bool:
        """Is an array only combined into, element by element, each chain within one straight line?"""
        if not window and (buffer.strides is not None or any(e in self.inside for e in buffer.extents)):
            return False
        into = _Near(buffer) if window else buffer
        self.window = max(self.window, window)
        stores = [s for s in inner if isinstance(s, Store) and s.view.buffer is buffer]
        reached: set[int] = set()
        for s in inner:
            if isinstance(s, ir.Copy) and buffer in (s.target.buffer, s.source.buffer):
                return False
        for block in _blocks(self.loop.body):
            here = [s for s in block if isinstance(s, Store) and s.view.buffer is buffer]
            for load in [s for s in block if isinstance(s, Load) and s.view.buffer is buffer]:

                def ends(user: Stmt, reg: Reg, load: Load = load, here: Sequence[Stmt] = here) -> bool:
                    return user in here and isinstance(user, Store) and user.view == load.view and user.value is reg

                if not self._sum(load.out, ends, into):
                    return False
                reached |= {id(s) for s in here if isinstance(s, Store) and s.view == load.view}
        return bool(stores) and reached == {id(s) for s in stores}

    def _is_space(self, buffer: Buffer, inner: list[Stmt]) -> bool:
        """Is it allocated just for this loop, whose turns then can't leave each other anything in it?"""
        count = sum(x is buffer for s in inner for x in _touched(s))
        allocs = [s for s in self.block if isinstance(s, ir.Alloc) and s.buffer is buffer]
        if len(allocs) != 1 or count != self.threads.touched[buffer]:
            return False
        outside = [s for s in self.block if s is not self.loop]
        ends = [s for s in outside if isinstance(s, ir.Free) and s.buffer is buffer]
        uses = [s for s in ir.walk(outside) if buffer.pointer in ir.used(s) and s not in ends]
        if uses or not (allocs[0].stack or len(ends) == 1):
            return False
        self.space.append(allocs[0])
        self.moved |= {id(allocs[0]), *map(id, ends)}
        return True

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(self) -> list[Stmt]:
        """The statements that take the loop's place."""
        work = Work(self.loop)
        shift = self._shift(work, [s.into for s in self.sums if isinstance(s.into, Buffer)])
        count, many = work.compute("shl", I64, ir.integer(1), shift), work.compute("gt", BOOL, shift, ir.integer(0))
        turn = Reg(I64, "chunk")
        code, low, high = self._bounds(work, turn, shift)
        rounds = self._rounds(work, turn, count, many) if self.window else None
        chunk = _Chunk(turn, count, many, work.code)
        for s in self.sums:
            match s.into:
                case Carry() as carry:
                    chunk.carry(carry, s.monoid)
                case Cell() as cell:
                    chunk.cell(cell, s.monoid, self.loop.body)
                case Buffer() as buffer:
                    chunk.array(buffer, s.monoid, self.loop.body)
        for stmt in self.block:  # in the order in which they are
            if isinstance(stmt, ir.Alloc) and stmt in self.space:
                chunk.before.append(stmt)
            elif isinstance(stmt, ir.Free) and id(stmt) in self.moved:
                chunk.after.append(stmt)
        self.loop.low, self.loop.high = low, high
        body = [*code, *chunk.before, self.loop, *chunk.after]
        if rounds is None:
            return [*work.code, For(turn, ir.integer(0), count, body, [], "thread"), *chunk.behind]
        each, number, first, part = rounds
        inner = For(part, ir.integer(0), number, [*first, *body], [], "thread")
        return [*work.code, For(each[0], ir.integer(0), each[1], [inner], [], "cold"), *chunk.behind]

    def _rounds(
        self, work: Work, turn: Reg, count: Value, many: Value
    ) -> tuple[tuple[Reg, Value], Value, list[Stmt], Reg]:
        """Even chunks first, then odd ones: the rounds, how many chunks each has, and which chunk is which."""
        odd, part, twice = (Reg(I64, h) for h in ("odd", "part", "t"))
        more = work.compute("int64", I64, many)
        rounds, number = work.compute("add", I64, more, ir.integer(1)), work.compute("shr", I64, count, more)
        which: list[Stmt] = [ir.Compute(twice, "mul", (part, rounds)), ir.Compute(turn, "add", (twice, odd))]
        return (odd, rounds), number, which, part

    def _shift(self, work: Work, arrays: list[Buffer]) -> Value:
        """The logarithm of the number of chunks; 0 if there is too little work."""
        total = work.total()
        size = work.logarithm(work.times(total, Literal(1 / GRAIN, F64)))
        enough = work.compute("ge", BOOL, size, ir.integer(FEWEST))
        if arrays:
            elements: Value = Literal(1.0, F64)
            for b in arrays:
                product: Value = Literal(1.0, F64)
                for e in b.extents:
                    product = work.times(product, work.number(e))
                elements = work.plus(elements, product)
            copies = work.compute("div", F64, total, work.times(elements, Literal(COPY / PART, F64)))
            size = work.compute("min", I64, size, work.logarithm(copies))
        if self.window:
            size = work.compute("min", I64, size, work.logarithm(self._turns(work, 1 / self.window)))
        elif arrays or self.loop.tag == "tile":
            size = work.compute("min", I64, size, work.logarithm(self._turns(work, 2.0)))
        few = work.compute("min", I64, size, ir.integer(MOST))
        return work.compute("select", I64, enough, few, ir.integer(0))

    def _turns(self, work: Work, times: float) -> Value:
        return work.times(work.number(work.trip), Literal(times, F64))

    def _bounds(self, work: Work, turn: Reg, shift: Value) -> tuple[list[Stmt], Value, Value]:
        """Where a chunk begins and ends."""
        code: list[Stmt] = []

        def compute(name: str, *args: Value) -> Reg:
            code.append(ir.Compute(Reg(I64, "at"), name, args))
            return code[-1].out  # type: ignore[union-attr]

        def begin(chunk: Value) -> Value:
            offset = compute("shr", compute("mul", chunk, work.trip), shift)
            return offset if self.loop.low == ir.integer(0) else compute("add", self.loop.low, offset)

        low = begin(turn)
        return code, low, begin(compute("add", turn, ir.integer(1)))


@dataclass(eq=False)
class _Chunk:
    """A chunk in the making: what is before and after its turns, and behind all chunks."""

    turn: Reg
    count: Value
    many: Value
    around: list[Stmt]  # before all chunks
    before: list[Stmt] = field(default_factory=list)
    after: list[Stmt] = field(default_factory=list)
    behind: list[Stmt] = field(default_factory=list)

    def _partials(self, dtype: DType) -> Buffer:
        partials = Buffer(
            dtype, (ir.integer(2**MOST),), Reg(ir.POINTER, "partial"), hint="partial", stored=True, slot=Owner()
        )
        self.around.append(ir.Alloc(partials, stack=True))
        return partials

    def _combined(self, partials: Buffer, monoid: str, init: Value, out: Reg) -> None:
        """Behind the chunks: what they left, in their order."""
        c, part, total, new = Reg(I64, "chunk"), *(Reg(partials.dtype, h) for h in ("part", out.hint, out.hint))
        body: list[Stmt] = [Load(part, View(partials, (c,))), _combine(monoid, new, total, part)]
        self.behind.append(For(c, ir.integer(0), self.count, body, [Carry(total, init, new, out)], "cold"))

    def carry(self, carry: Carry, monoid: str) -> None:
        dtype = _dtype(carry.reg)
        partials, init, out = self._partials(dtype), carry.init, carry.out
        carry.init, carry.out = identity(monoid, dtype), Reg(dtype, out.hint)
        self.after.append(Store(View(partials, (self.turn,)), carry.out))
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

    def array(self, buffer: Buffer, monoid: str, body: list[Stmt]) -> None:
        dtype, extents = buffer.dtype, buffer.extents
        others, copied, before = Reg(I64, "others"), Reg(BOOL, "copied"), Reg(I64, "t")
        copies = Buffer(dtype, (others, *extents), Reg(ir.POINTER, "copies"), hint="copies", stored=True, slot=Owner())
        own = Buffer(dtype, extents, Reg(ir.POINTER, "own"), hint="own", stored=True)
        self.around += [ir.Compute(others, "sub", (self.count, ir.integer(1))), ir.Alloc(copies, when=self.many)]
        self.before += [
            ir.Compute(copied, "gt", (self.turn, ir.integer(0))),
            ir.Compute(before, "sub", (self.turn, ir.integer(1))),
            ir.Choose(own, copied, View(copies, (before,)), View(buffer)),
        ]
        clear = _each(extents, lambda at: [Store(View(own, at), identity(monoid, dtype))])
        self.before.append(If(copied, clear, []))
        for s in ir.walk(body):
            if isinstance(s, Load | Store) and s.view.buffer is buffer:
                s.view = View(own, s.view.prefix)
        c = Reg(I64, "chunk")

        def take_in(at: tuple[Value, ...]) -> list[Stmt]:
            old, part, new = (Reg(dtype, h) for h in (buffer.hint, "part", buffer.hint))
            parts: list[Stmt] = [Load(old, View(buffer, at)), Load(part, View(copies, (c, *at)))]
            return [*parts, _combine(monoid, new, old, part), Store(View(buffer, at), new)]

        taken: list[Stmt] = [For(c, ir.integer(0), others, _each(extents, take_in), [], "seq")]
        self.behind += [If(self.many, taken, []), ir.Free(copies)]


def identity(monoid: str, dtype: DType) -> Literal:
    if monoid == "bit_or":
        return Literal(0, dtype)
    return Literal(monoids.identity(monoid, dtype)[0], dtype)


def _combine(monoid: str, out: Reg, left: Value, right: Value) -> Stmt:
    if monoid == "bit_or":
        return ir.Compute(out, "bit_or", (left, right))
    return ir.Combine(out, monoid, left, right, free=False)


def _each(extents: Sequence[Value], make: Callable[[tuple[Value, ...]], list[Stmt]]) -> list[Stmt]:
    """A nest of loops over all elements."""
    index = [Reg(I64, "k") for _ in extents]
    body = make(tuple(index))
    for k, extent in reversed(list(zip(index, extents, strict=True))):
        body = [For(k, ir.integer(0), extent, body, [], "apart" if k is index[-1] else "any")]
    return body


def _opens(body: list[Stmt], cell: Cell, count: int) -> bool:
    """Is a cell set in a body before it is looked at, and all that touches it there?"""
    for stmt in body:
        if cell in _touched(stmt):
            begins = isinstance(stmt, ir.Put) or (isinstance(stmt, ir.Grow) and stmt.old is None)
            return begins and sum(cell in _touched(s) for s in ir.walk(body)) == count
        for inner in ir.blocks(stmt):
            if any(cell in _touched(s) for s in ir.walk(inner)):
                return _opens(inner, cell, count)
    return False


def _blocks(body: list[Stmt]) -> Iterable[list[Stmt]]:
    yield body
    for stmt in body:
        for inner in ir.blocks(stmt):
            yield from _blocks(inner)


def _dtype(reg: Reg) -> DType:
    assert isinstance(reg.type, DType)
    return reg.type

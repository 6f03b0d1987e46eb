"""Which loops have independent turns, so that chunks of them may run at the same time, and what it takes.

y[i] = ..                      every turn has places of its own (`Places`), or a block of them, also around the end
y[s[i] + j] = ..               and so if s[i] + j is below s[i + 1] (segments.py)
a[k[i]] = a[k[i]] <add> ..     only ever combined into, by one monoid: chunks have copies,
                               unless only turns less than w apart have places in common, as in stencils
s = s <add> ..                 a carry or a cell that is
t[..] = ..                     memory for one turn at a time: work space
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import TypeAlias

from iverson.backend import linear, segments
from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import Buffer, Carry, Cell, For, If, Load, Program, Reg, Stmt, Store, Value, View
from iverson.backend.places import Form, Places
from iverson.backend.segments import Segments
from iverson.backend.work import Work
from iverson.core.syntax import DType, Literal

# what is understood here
_KNOWN = (
    ir.Compute | ir.Combine | Load | Store | ir.Copy | ir.Get | ir.Put | For | ir.While | If
    | ir.Alloc | ir.Free | ir.Own | ir.Grow | ir.Require | ir.Bound | ir.Call
)  # fmt: skip


class Known:
    """What is known of a program."""

    def __init__(self, program: Program, reassociate: bool) -> None:
        self.places = Places(program.body)
        self.reassociate = reassociate
        self.touched = Counter(x for s in ir.walk(program.body) for x in _touched(s))
        self.used = Counter(v for s in ir.walk(program.body) for v in ir.used(s) if _is_pointer(v))


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
class Near:
    """An array of which only neighbouring turns have places in common."""

    buffer: Buffer


Into: TypeAlias = Carry | Cell | Buffer | Near


@dataclass(eq=False)
class Sum:
    """What the chunks combine: a carry of the loop, a cell, or an array."""

    monoid: str
    into: Into


@dataclass(eq=False)
class Plan:
    """What running a loop in chunks would take."""

    known: Known
    loop: For
    block: list[Stmt]  # in which the loop is
    sums: list[Sum] = field(default_factory=list)
    space: list[ir.Alloc] = field(default_factory=list)  # work space of a turn
    moved: set[int] = field(default_factory=set)  # the statements around the loop that go into its chunks
    uses: dict[Reg, list[Stmt]] = field(default_factory=dict)
    pointers: Counter[Value] = field(default_factory=Counter)  # how often each is used
    passed: list[View] = field(default_factory=list)  # what library routines are given
    segments: list[Segments] = field(default_factory=list)  # independent if none reaches into another
    window: int = 0  # turns so far apart never meet; 0 if none do

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
                if _is_pointer(v):
                    self.pointers[v] += 1
        arrays = self.loop.tag == "wide" or self._arrays(inner)  # such a loop wouldn't be if its turns met
        return self._calls(inner) and self._carries() and self._cells(inner) and arrays

    def _calls(self, inner: list[Stmt]) -> bool:
        """Are only routines of linear algebra called, with arrays of known sizes?"""
        calls = [s for s in inner if isinstance(s, ir.Call)]
        self.passed = [a for s in calls for a in s.args if isinstance(a, View)]
        sizes = [e for v in self.passed for e in v.extents if isinstance(e, Reg)]
        known = all(self.known.places.invariant(e, self.inside) for e in sizes) and Work(self.loop).knows(sizes)
        return known and all(s.symbol.startswith(linear.PREFIX) for s in calls)

    def _carries(self) -> bool:
        for c in self.loop.carries:

            def ends(user: Stmt, reg: Reg, c: Carry = c) -> bool:
                return user is self.loop and c.next is reg

            if not self._sum(c.reg, ends, c):
                return False
        return True

    def _sum(self, reg: Reg, ends: Callable[[Stmt, Reg], bool], into: Into) -> bool:
        """Does a register only take in terms, by one monoid, on its way to an end?"""
        found: set[str] = set()
        if not self._flows(reg, ends, found) or len(found) > 1:
            return False
        have = next((s for s in self.sums if s.into == into), None)
        monoid = next(iter(found), None)
        if monoid is None:
            return False
        if have is None:
            self.sums.append(Sum(monoid, into))
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
                if (left is reg) == (right is reg) or (rounds and not (free and self.known.reassociate)):
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
            if count == self.known.touched[cell] and _opens(self.loop.body, cell, count):
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
                case ir.Call(symbol, args):
                    for k, view in enumerate(a for a in args if isinstance(a, View)):
                        views.setdefault(view.buffer, {}).setdefault(view, False)
                        views[view.buffer][view] |= view.buffer.stored and k >= linear.only_read(symbol)
        shared = {b: v for b, v in views.items() if b.pointer not in own}
        if any(b.pointer in self.inside for b in shared):
            return False
        written = [b for b, v in shared.items() if any(v.values())]
        for b in written:
            if self._is_space(b, inner):
                continue
            if not all(o is b or self.known.places.disjoint(b, o) for o in shared):
                return False
            pairs = combinations_with_replacement(shared[b], 2)
            apart = self._aligned(shared[b]) or all(
                self._separate(x, y) for x, y in pairs if shared[b][x] or shared[b][y]
            )
            within = None if apart else segments.found(self.loop, shared[b], self.known.places)
            if within is not None:
                self.segments.append(within)
            elif not apart and not self.shares(b, shared[b], inner):
                return False
        return True

    def shares(self, buffer: Buffer, views: dict[View, bool], inner: list[Stmt]) -> bool:
        """May turns have places of an array in common?"""
        return self._accumulates(buffer, inner, self._window(views))

    def _window(self, views: dict[View, bool]) -> int:
        """How many turns apart accesses of one array surely don't meet; 0 if that can't be said."""
        pairs = [(x, y) for x, y in combinations_with_replacement(views, 2) if views[x] or views[y]]
        return max((self._reach(x, y) for x, y in pairs), default=0) if all(self._reach(x, y) for x, y in pairs) else 0

    def _reach(self, a: View, b: View) -> int:
        i, form = self.loop.index, self.known.places.form
        found = []
        for x, y in zip(map(form, a.prefix), map(form, b.prefix), strict=False):
            difference, step = x.plus(y, -1), x.coefficient(i)
            varying = any(r in self.inside for r, _ in x.terms if r is not i)
            if step and not difference.terms and not varying:
                found.append(1 + abs(difference.constant) // abs(step))
            elif (distance := self._around(x, y)) is not None:
                found.append(1 + abs(distance))
        return min(found, default=0)

    def _around(self, x: Form, y: Form) -> int | None:
        """How far apart the turns are that meet in (c + i) mod n and (d + i) mod n, if there are at most n turns.

        Those at both ends of the loop meet, too, but the first chunk and the last one run one after the other.
        """
        places, i = self.known.places, self.loop.index
        one, two = self._wrapped(x), self._wrapped(y)
        if one is None or two is None:
            return None
        (a, n), (b, m) = one, two
        spare = n.plus(places.form(self.loop.high), -1).plus(places.form(self.loop.low))
        apart = a.plus(b, -1)
        small = all(r is i or r in places.lengths or (r in places.loops and r not in self.inside) for r, _ in a.terms)
        if n != m or spare.terms or spare.constant < 0 or apart.terms or a.coefficient(i) not in (1, -1) or not small:
            return None
        return apart.constant

    def _wrapped(self, form: Form) -> tuple[Form, Form] | None:
        """(x, n) of what differs from x by a multiple of n: a remainder, or one as opt/remainders.py has it."""
        places = self.known.places
        made = places.computed.get(form.terms[0][0]) if form == Form(form.terms[:1]) and form.terms else None
        if made is None or form.terms[0][1] != 1:
            return None
        if made.name == "mod":
            x, n = map(places.form, made.args)
        elif made.name == "select":
            test = places.computed.get(made.args[0]) if isinstance(made.args[0], Reg) else None
            if test is None or test.name != "lt":
                return None
            x, (one, two) = places.form(test.args[0]), map(places.form, made.args[1:])
            n = one.plus(two, -1)
            if x not in (one, two):
                return None
        else:
            return None
        return None if any(r in self.inside for r, _ in n.terms) else (x, n)

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
        places = self.known.places
        for at in zip(*(v.prefix for v in views), strict=False):
            form, *others = dict.fromkeys(map(places.form, at))
            rest = [r for r, _ in form.terms if r is not self.loop.index]
            own = not others and form.coefficient(self.loop.index) != 0
            if own and all(places.invariant(r, self.inside) for r in rest):
                return True
        return False

    def _separate(self, a: View, b: View) -> bool:
        """Do accesses of different turns never meet?"""
        places, i = self.known.places, self.loop.index
        forms = [(places.form(x), places.form(y)) for x, y in zip(a.prefix, b.prefix, strict=False)]
        blocks = any(self._in_blocks(x, y) or self._around(x, y) == 0 for x, y in forms)
        return blocks or places.meet_in_turn(a, i, b, i, self.inside)

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
        loop = self.known.places.loops.get(reg)
        if loop is None or not (isinstance(loop.low, Literal) and isinstance(loop.high, Literal)):
            return None
        ends = sorted([int(loop.low.value) * times, (int(loop.high.value) - 1) * times])
        return ends[0], ends[1]

    def _accumulates(self, buffer: Buffer, inner: list[Stmt], window: int) -> bool:
        """Is an array only combined into, element by element, each chain within one straight line?"""
        if not window and (buffer.strides is not None or any(e in self.inside for e in buffer.extents)):
            return False
        into = Near(buffer) if window else buffer
        self.window = max(self.window, window)
        stores = [s for s in inner if isinstance(s, Store) and s.view.buffer is buffer]
        reached: set[int] = set()
        for s in inner:
            if isinstance(s, ir.Copy | ir.Call) and buffer in _touched(s):
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
        if len(allocs) != 1 or count != self.known.touched[buffer]:
            return False
        outside = [s for s in self.block if s is not self.loop]
        ends = [s for s in outside if isinstance(s, ir.Free) and s.buffer is buffer]
        used = self.known.used[buffer.pointer] - self.pointers[buffer.pointer] - len(ends)
        if used or not (allocs[0].stack or len(ends) == 1):
            return False
        self.space.append(allocs[0])
        self.moved |= {id(allocs[0]), *map(id, ends)}
        return True

    def takes_memory(self) -> bool:
        """Would chunks have arrays of their own?"""
        inner = any(isinstance(s, ir.Alloc | ir.Grow) for s in ir.walk(self.loop.body))
        return inner or bool(self.space) or any(isinstance(s.into, Buffer) for s in self.sums)

    def follows(self, before: Plan) -> bool:
        """Does the loop take up what another of the same turns leaves, and combine the same?"""
        mine, theirs = self.loop.carries, before.loop.carries
        alike = len(mine) == len(theirs) and all(c.init is d.out for c, d in zip(mine, theirs, strict=True))
        monoids = [[p.monoid_of(c) for c in p.loop.carries] for p in (self, before)]
        shared = [{s.into: s.monoid for s in p.sums if not isinstance(s.into, Carry)} for p in (self, before)]
        same = monoids[0] == monoids[1] and shared[0] == shared[1]
        rest = self.loop.whole is not None and self.loop.whole is before.loop.whole
        return rest and alike and same and not (self.window or before.window)

    def monoid_of(self, into: Into) -> str:
        return next(s.monoid for s in self.sums if s.into == into)


def _is_pointer(value: Value) -> bool:
    return isinstance(value, Reg) and value.type is ir.POINTER


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

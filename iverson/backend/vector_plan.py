"""What it takes to run a parallel loop in vector registers (backend/vectors.py): may it be, and does it pay?

A value *varies* if it is another one in another turn, an array is *wide* if it is a turn's own and holds such values.
The flow of control, sizes and checks must be the same for all turns; but for branches without effects, which are run
for all if for one.  What turns add to one place, as return sweeps do to the adjoint of what all turns read, is summed
over the lanes first.  It pays if there is enough to be done in vectors for what must be done lane by lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from iverson.backend import loopir as ir
from iverson.backend.instructions import NATIVE
from iverson.backend.invariance import inner_registers
from iverson.backend.lanes import Contribution, contributions
from iverson.backend.layouts import only_elements
from iverson.backend.loopir import (
    Buffer,
    Carry,
    Cell,
    Compute,
    For,
    Load,
    Program,
    Reg,
    Stmt,
    Store,
    Value,
    View,
    integer,
)
from iverson.core.syntax import BOOL, DType, Literal

LANES = 8
TURNS = 16  # what a loop of unknown length counts as
WORTH = 8.0  # so many varying operations pay for one that is done lane by lane
SUMMING = 1.0  # of what is done lane by lane, a sum over the lanes

PLAIN = (
    Compute | ir.Combine | Load | Store | ir.Copy | For | ir.While | ir.If
    | ir.Alloc | ir.Free | ir.Own | ir.Get | ir.Put | ir.Require | ir.Bound | ir.Call
)  # fmt: skip


@dataclass(eq=False)
class Plan:
    """What differs between the turns of a loop."""

    loop: For
    program: Program
    reassociate: bool = True
    lanes: int = field(default_factory=lambda: LANES)
    varying: set[Reg] = field(default_factory=set)
    wide: set[Reg] = field(default_factory=set)  # pointers to arrays in which turns differ
    same: dict[Reg, Reg] = field(default_factory=dict)  # pointer -> one that stands for all that may be the same
    own: set[Reg] = field(default_factory=set)  # those of arrays that a turn allocates
    made: dict[Reg, Compute] = field(default_factory=dict)
    cells: set[Cell] = field(default_factory=set)  # in which turns differ
    turned: dict[Buffer, int] = field(default_factory=dict)  # arrays whose parts of turns may get the turns' axis last
    sums: dict[int, Contribution] = field(default_factory=dict)  # what all turns add to one place, by its statements
    once: bool = False  # no turn may be run twice

    def legal(self) -> bool:
        loop = self.loop
        few = isinstance(loop.high, Literal) and loop.high.value < self.lanes
        if loop.tag != "any" or loop.carries or loop.low != integer(0) or few:
            return False
        inner = list(ir.walk(loop.body))
        if not all(isinstance(s, PLAIN) for s in inner) or not any(isinstance(s, For) for s in inner):
            return False
        self.made = {s.out: s for s in inner if isinstance(s, Compute)}
        self._join_pointers(inner)
        self.own = {self.root(s.buffer.pointer) for s in inner if isinstance(s, ir.Alloc)}
        self.own -= {self.root(r) for r in self._outside(inner)}
        self._vary()
        if self.reassociate:
            self._find_sums(inner)
        return all(map(self._fits, inner)) and self._apart(inner)

    def root(self, pointer: Reg) -> Reg:
        while pointer in self.same:
            pointer = self.same[pointer]
        return pointer

    def _join_pointers(self, inner: Sequence[Stmt]) -> None:
        for s in inner:
            groups: list[tuple[Value, ...]] = []
            if isinstance(s, For | ir.While):
                groups = [(c.reg, c.init, c.next, c.out) for c in s.carries if c.reg.type is ir.POINTER]
            elif isinstance(s, ir.If):
                groups = [(j.out, j.then, j.orelse) for j in s.joins if j.out.type is ir.POINTER]
            for group in groups:
                roots = list(dict.fromkeys(self.root(r) for r in group if isinstance(r, Reg)))
                self.same.update((r, roots[0]) for r in roots[1:])

    def _outside(self, inner: Sequence[Stmt]) -> Iterable[Reg]:
        """Pointers that come from elsewhere."""
        made = inner_registers(self.loop)
        for s in inner:
            for v in ir.used(s):
                if isinstance(v, Reg) and v.type is ir.POINTER and v not in made:
                    yield v
            if isinstance(s, ir.Get) and s.out.type is ir.POINTER:
                yield s.out

    def varies(self, value: Value) -> bool:
        return isinstance(value, Reg) and value in self.varying

    def is_wide(self, buffer: Buffer) -> bool:
        return self.root(buffer.pointer) in self.wide

    def _vary(self) -> None:
        self.varying = {self.loop.index}
        while True:
            before = len(self.varying) + len(self.wide) + len(self.cells)
            for s in ir.walk(self.loop.body):
                self._vary_by(s)
            if len(self.varying) + len(self.wide) + len(self.cells) == before:
                return

    def _vary_by(self, stmt: Stmt) -> None:
        match stmt:
            case For(carries=carries) | ir.While(carries=carries):
                for c in carries:
                    if any(map(self.varies, (c.reg, c.init, c.next))):
                        self.varying |= {c.reg, c.out}
            case ir.If(pred, _, _, joins):
                self.varying |= {j.out for j in joins if any(map(self.varies, (pred, j.then, j.orelse)))}
            case Load(out, view):
                if self.is_wide(view.buffer) or any(map(self.varies, view.prefix)):
                    self.varying.add(out)
            case Store(view, value):
                if self._is_own(view.buffer) and any(map(self.varies, (value, *view.prefix))):
                    self.wide.add(self.root(view.buffer.pointer))
            case ir.Copy(target, source):
                differ = self.is_wide(source.buffer) or any(map(self.varies, (*source.prefix, *target.prefix)))
                if differ and self._is_own(target.buffer):
                    self.wide.add(self.root(target.buffer.pointer))
            case ir.Put(cell, value):
                self.cells |= {cell} if self.varies(value) else set()
            case ir.Get(out, cell):
                self.varying |= {out} if cell in self.cells else set()
            case Compute() | ir.Combine():
                if any(map(self.varies, ir.used(stmt))):
                    self.varying.add(stmt.out)

    def _find_sums(self, inner: Sequence[Stmt]) -> None:
        """Contributions to places that are the same for all turns, of arrays that are used in no other way here."""
        found = [c for b in (self.loop.body, *(b for s in inner for b in ir.blocks(s))) for c in contributions(b)]
        users = Counter(v for s in inner for v in ir.used(s) if isinstance(v, Reg))
        places: dict[Buffer, list[Contribution]] = {}
        for load, add, store in found:
            alone = users[load.out] == users[add.out] == 1 and add.monoid == "add" and add.free
            if alone and not self._is_own(store.view.buffer) and not any(map(self.varies, store.view.prefix)):
                places.setdefault(store.view.buffer, []).append((load, add, store))
        for b, sums in places.items():
            named = sum(b.pointer in ir.used(s) for s in inner)
            if named == 2 * len(sums) and b.scoped and b.slot is not None and b.dtype is not BOOL:
                self.sums |= {id(s): c for c in sums for s in c}

    def _is_own(self, buffer: Buffer) -> bool:
        return self.root(buffer.pointer) in self.own

    def _fits(self, stmt: Stmt) -> bool:
        """The flow of control, sizes, checks and foreign calls are the same for all turns."""
        match stmt:
            case For(_, low, high, _, carries):
                return not self.varies(low) and not self.varies(high) and self._numbers(carries)
            case ir.While(carries, _, test):
                return not self.varies(test) and self._numbers(carries)
            case ir.If(pred, _, _, joins):
                free = not self.varies(pred) or self.masked(stmt)
                return free and all(j.out.type is not BOOL for j in joins if self.varies(j.out))
            case ir.Alloc(buffer, _, when) if self.is_wide(buffer):
                typed = buffer.dtype is not BOOL and buffer.strides is None
                return typed and not any(map(self.varies, (*buffer.extents, *(() if when is None else (when,)))))
            case ir.Call(_, args):
                views = [a for a in args if isinstance(a, View)]
                written = all(self._is_own(a.buffer) or not a.buffer.stored for a in views)
                return written and not any(self.is_wide(a.buffer) for a in views) and not self._any(stmt)
            case ir.Combine(_, monoid, _, _):
                return monoid in ("add", "mul") or not self.varies(stmt.out)
            case ir.Put(cell) | ir.Get(_, cell) if cell in self.cells:
                return isinstance(cell.type, DType) and cell.type is not BOOL and self._begins(cell)
            case Compute() | Load() | Store() | ir.Copy() | ir.Own() | ir.Free() | ir.Get():
                return True
            case _:
                return not self._any(stmt)

    def masked(self, stmt: ir.If) -> bool:
        """May a branch on which turns differ run for all of them, if for one of them?"""
        inner = [s for b in ir.blocks(stmt) for s in b]
        return (
            not stmt.orelse
            and all(
                isinstance(s, Compute | ir.Combine)
                or (isinstance(s, Load) and not any(map(self.varies, s.view.prefix)))
                for s in inner
            )
            and all(not isinstance(s, Compute) or s.name in NATIVE for s in inner)
        )

    def _any(self, stmt: Stmt) -> bool:
        return any(map(self.varies, ir.used(stmt)))

    def _begins(self, cell: Cell) -> bool:
        """Is a cell used in the loop only, where each turn first puts something in it?"""
        here = [s for s in ir.walk(self.loop.body) if isinstance(s, ir.Get | ir.Put) and s.cell is cell]
        everywhere = sum(isinstance(s, ir.Get | ir.Put | ir.Grow) and s.cell is cell for s in self.whole)
        return len(here) == everywhere and any(s is here[0] for s in self.loop.body) and isinstance(here[0], ir.Put)

    def _numbers(self, carries: Sequence[Carry]) -> bool:
        return all(isinstance(c.reg.type, DType) and c.reg.type is not BOOL for c in carries if self.varies(c.reg))

    def _apart(self, inner: Sequence[Stmt]) -> bool:
        """Of what isn't a turn's own each writes its part, and reads no other; but once, what it reads, it wrote."""
        accesses = [s for s in inner if isinstance(s, Load | Store) and not self._is_own(s.view.buffer)]
        accesses = [s for s in accesses if id(s) not in self.sums]
        self.once = bool(self.sums)
        written = dict.fromkeys(s.view.buffer for s in accesses if isinstance(s, Store))
        read = {s.view.buffer for s in accesses if isinstance(s, Load)}
        copied = [s for s in inner if isinstance(s, ir.Copy)]
        pointers = {b.pointer for b in written}
        if any(b.pointer in pointers and b not in written for b in read) or any(
            not self._is_own(s.target.buffer) or s.source.buffer.pointer in pointers for s in copied
        ):
            return False
        axes = {b: axis for b in written if (axis := self.axis(b)) is not None}
        if len(axes) < len(written) or any(not b.scoped or b.slot is None or b.dtype is BOOL for b in written):
            return False
        self.turned = axes
        if not self.pays():  # at best: what follows looks at the whole program
            return False
        elements = [b for b in axes if only_elements(self.whole, b)]
        self.turned = {b: axes[b] for b in elements if not self._streamed_elsewhere(b, axes[b])}
        self.once |= any(b in read and (b not in self.turned or self._written_elsewhere(b, inner)) for b in written)
        return True

    def _streamed_elsewhere(self, buffer: Buffer, axis: int) -> bool:
        """Does an innermost loop elsewhere compute with neighbours of an array, which wouldn't be any more?"""
        if axis == len(buffer.extents) - 1:
            return False
        here = {id(s) for s in ir.walk(self.loop.body)}
        for loop in self.whole:
            if not isinstance(loop, For) or loop is self.loop or id(loop) in here or any(map(_nests, loop.body)):
                continue
            moving = {loop.index, *(s.out for s in loop.body if isinstance(s, Compute) and loop.index in s.args)}
            views = [s.view for s in loop.body if isinstance(s, Load | Store) and s.view.buffer is buffer]
            computed = [s.out.type for s in loop.body if isinstance(s, Compute | ir.Combine)]
            if any(v.prefix[-1] in moving for v in views) and any(
                isinstance(t, DType) and t.is_float for t in computed
            ):
                return True
        return False

    def _written_elsewhere(self, buffer: Buffer, inner: Sequence[Stmt]) -> bool:
        mine = sum(isinstance(s, Store) and s.view.buffer is buffer for s in inner)
        return sum(isinstance(s, Store) and s.view.buffer is buffer for s in self.whole) != mine

    @cached_property
    def whole(self) -> list[Stmt]:
        """All statements of the program, those of the loop as they are here."""
        found: list[Stmt] = []

        def walk(body: list[Stmt]) -> None:
            for s in body:
                here = self.loop if isinstance(s, For) and s.index is self.loop.index else s
                found.append(here)
                for block in ir.blocks(here):
                    walk(block)

        walk(self.program.body)
        return found

    def axis(self, buffer: Buffer) -> int | None:
        """The axis of an array at which every access of the loop has the loop's index."""
        views = [s.view for s in ir.walk(self.loop.body) if isinstance(s, Load | Store) and s.view.buffer is buffer]
        return next((a for a in range(len(buffer.extents)) if all(v.prefix[a] is self.loop.index for v in views)), None)

    def pays(self) -> bool:
        """Is there enough to be done in vectors for what must be done lane by lane?"""
        lane_by_lane, vectors, private = self._weigh(self.loop.body, 1.0)
        return private and lane_by_lane * WORTH <= vectors and not self._streams()

    def _streams(self) -> bool:
        """Are all innermost loops vectors as they are, with nothing in them that is the same for all turns?  Then an
        array with the turns' axis last is only at strides for the loops around."""
        innermost = [f for f in ir.walk(self.loop.body) if isinstance(f, For) and not any(map(_nests, f.body))]
        return not self.wide and all(map(self._streamed, innermost))

    def _streamed(self, loop: For) -> bool:
        inner = {loop.index, *(r for s in loop.body for r in ir.defined(s))}
        summed = any(contributions(loop.body)) or bool(loop.carries)
        if loop.tag not in ("any", "apart") or isinstance(loop.high, Literal) or (summed and not self.reassociate):
            return False
        for s in loop.body:
            if isinstance(s, Load | Store):
                whole = len(s.view.prefix) == len(s.view.buffer.extents) and s.view.buffer.strides is None
                at = [k for k, v in enumerate(reversed(s.view.prefix)) if v in inner]
                if at and not (at == [0] and s.view.prefix[-1] is loop.index and whole):
                    return False
            elif not isinstance(s, Compute | ir.Combine) or not self.varies(s.out):
                return False
        return True

    def _weigh(self, body: list[Stmt], turns: float) -> tuple[float, float, bool]:
        single = vectors = 0.0
        private = False
        for s in body:
            times = turns
            if isinstance(s, For):
                times *= float(s.high.value) if isinstance(s.high, Literal) else TURNS
            for inner in ir.blocks(s):
                one, many, own = self._weigh(inner, times)
                single, vectors, private = single + one, vectors + many, private or own
            if id(s) in self.sums:
                single += SUMMING * turns * isinstance(s, Store)
            elif isinstance(s, Load | Store):
                varies = self.is_wide(s.view.buffer) or any(map(self.varies, s.view.prefix))
                own = self.is_wide(s.view.buffer) or (isinstance(s, Load) and s.view.buffer in self.turned)
                private |= own and turns > 1
                if varies and not self.contiguous(s.view):
                    single += turns * (0.25 if isinstance(s, Store) else 1.0)
                vectors += turns * varies
            elif isinstance(s, Compute | ir.Combine) and self.varies(s.out):
                native = isinstance(s, ir.Combine) or s.name in NATIVE
                single += turns * (not native)
                vectors += turns
        return single, vectors, private

    def contiguous(self, view: View) -> bool:
        """Are the lanes' elements neighbours?"""
        if self.is_wide(view.buffer):
            return not any(map(self.varies, view.prefix))
        if view.buffer in self.turned:
            return sum(map(self.varies, view.prefix)) == 1
        *before, last = view.prefix
        whole = len(view.prefix) == len(view.buffer.extents) and view.buffer.strides is None
        return whole and not any(map(self.varies, before)) and self._unit(last)

    def _unit(self, value: Value) -> bool:
        """Does an index grow by one from turn to turn?"""
        if value is self.loop.index:
            return True
        definition = self.made.get(value) if isinstance(value, Reg) else None
        if definition is None or definition.name not in ("add", "sub"):
            return False
        a, b = definition.args
        return (self._unit(a) and not self.varies(b)) or (
            definition.name == "add" and self._unit(b) and not self.varies(a)
        )


def _nests(stmt: Stmt) -> bool:
    return any(True for _ in ir.blocks(stmt))

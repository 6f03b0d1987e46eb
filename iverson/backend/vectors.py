"""Vector mode: a parallel loop whose turns differ in little runs eight turns at once, each number in a vector register.

    for k in 0..n any:                      for t in 0..(n + 7) // 8 wide: k = iota min(8 t, n - 8)
        a = alloc [m]                           a = alloc [m, 8]
        for j in 0..m:                  ->      for j in 0..m:
            p = sin(x[j])                           p = sin(x[j])
            a[j] = p * [j = k]                      a[j, 0..8] = splat p * select (eq j k) 1 0
        y[j, k] = ...                           y[j, k..k + 8] = ...

So the directions of a derivative are pushed together, as by hand with vectors of tangents: what all turns have in
common, the primal that a tangent needs, is computed once for all lanes, and the flow of control is theirs together.
Arrays of a turn's own in which turns differ get a last axis of lanes; an array of which every turn writes its own part
gets the turns' axis last, if nobody else sees its layout.  The last block is that of the last eight turns: some are run
twice, which changes nothing.  Fewer than eight turns run one by one.

Loops of a few turns around an inner loop become one inner loop with the accumulators of all (`jam`), for the machine
adds to several at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from iverson.backend import loopir as ir
from iverson.backend.compact import compacted
from iverson.backend.instructions import NATIVE
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import (
    Buffer,
    Carry,
    Cell,
    Compute,
    For,
    Load,
    Owner,
    Program,
    Reg,
    Stmt,
    Store,
    Value,
    Vector,
    View,
    integer,
)
from iverson.core.syntax import BOOL, I64, DType, Literal

LANES = 8
TURNS = 16  # what a loop of unknown length counts as
WORTH = 8.0  # so many varying operations pay for one that is done lane by lane
JAMMED = 12  # accumulators of a loop, at most

_PLAIN = (
    Compute | ir.Combine | Load | Store | ir.Copy | For | ir.While | ir.If | ir.Alloc | ir.Free | ir.Own | ir.Get | ir.Put
    | ir.Require | ir.Bound | ir.Call
)  # fmt: skip


def run(program: Program) -> None:
    """Rewrite the loops of a program for which it pays, in place."""
    program.body[:] = _block(program.body, program)


def _block(body: list[Stmt], program: Program) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For) and stmt.tag == "any" and not stmt.carries:
            plan = _Plan(replace(stmt, body=_elementwise(stmt.body, stmt.index)), program)
            if plan.legal() and plan.pays():
                plan.turn_last()
                out += _Writer(plan).run()
                continue
        for inner in ir.blocks(stmt):
            inner[:] = _block(inner, program)
        out.append(stmt)
    return out


def _elementwise(body: list[Stmt], turn: Reg) -> list[Stmt]:
    """A body with what it copies from or to a turn's part of an array copied by loops; all statements new."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, ir.Copy) and turn in (*stmt.target.prefix, *stmt.source.prefix):
            out += copy_loop(stmt, Reg(stmt.source.buffer.dtype, "x"))
        elif isinstance(stmt, For):
            out.append(replace(stmt, body=_elementwise(stmt.body, turn)))
        elif isinstance(stmt, ir.While):
            out.append(replace(stmt, cond=_elementwise(stmt.cond, turn), body=_elementwise(stmt.body, turn)))
        elif isinstance(stmt, ir.If):
            out.append(replace(stmt, then=_elementwise(stmt.then, turn), orelse=_elementwise(stmt.orelse, turn)))
        else:
            out.append(replace(stmt))
    return out


def copy_loop(stmt: ir.Copy, element: Reg) -> list[Stmt]:
    """A copy, element by element."""
    index = [Reg(I64, "i") for _ in stmt.source.extents]
    nest: list[Stmt] = [Load(element, stmt.source.at(index)), Store(stmt.target.at(index), element)]
    for i, n in reversed(list(zip(index, stmt.source.extents, strict=True))):
        nest = [For(i, integer(0), n, nest, [], "any")]
    return nest


# --- may it, and should it? -------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Plan:
    """What differs between the turns of a loop."""

    loop: For
    program: Program
    varying: set[Reg] = field(default_factory=set)
    wide: set[Reg] = field(default_factory=set)  # pointers to arrays in which turns differ
    same: dict[Reg, Reg] = field(default_factory=dict)  # pointer -> one that stands for all that may be the same
    own: set[Reg] = field(default_factory=set)  # those of arrays that a turn allocates
    made: dict[Reg, Compute] = field(default_factory=dict)
    cells: set[Cell] = field(default_factory=set)  # in which turns differ
    turned: dict[Buffer, int] = field(default_factory=dict)  # arrays whose parts of turns may get the turns' axis last

    def legal(self) -> bool:
        loop = self.loop
        few = isinstance(loop.high, Literal) and loop.high.value < LANES
        if loop.tag != "any" or loop.carries or loop.low != integer(0) or few:
            return False
        inner = list(ir.walk(loop.body))
        if not all(isinstance(s, _PLAIN) for s in inner) or not any(isinstance(s, For) for s in inner):
            return False
        self.made = {s.out: s for s in inner if isinstance(s, Compute)}
        self._join_pointers(inner)
        self.own = {self.root(s.buffer.pointer) for s in inner if isinstance(s, ir.Alloc)}
        self.own -= {self.root(r) for r in self._outside(inner)}
        self._vary()
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
        return not stmt.orelse and all(
            isinstance(s, Compute | ir.Combine) or (isinstance(s, Load) and not any(map(self.varies, s.view.prefix)))
            for s in inner
        ) and all(not isinstance(s, Compute) or s.name in NATIVE for s in inner)

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
        """Of what isn't a turn's own each writes its part, and reads no other; what it reads there, it wrote."""
        accesses = [s for s in inner if isinstance(s, Load | Store) and not self._is_own(s.view.buffer)]
        written = {s.view.buffer for s in accesses if isinstance(s, Store)}
        read = {s.view.buffer for s in accesses if isinstance(s, Load)}
        copied = [s for s in inner if isinstance(s, ir.Copy)]
        pointers = {b.pointer for b in written}
        if any(b.pointer in pointers and b not in written for b in read) or any(
            not self._is_own(s.target.buffer) or s.source.buffer.pointer in pointers for s in copied
        ):
            return False
        for b in written:
            axis = self.axis(b)
            if axis is None or not b.scoped or b.slot is None or b.dtype is BOOL:
                return False
            if _only_elements(self.whole, b):
                self.turned[b] = axis
            if b in read and (b not in self.turned or self._written_elsewhere(b, inner)):
                return False
        return True

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
        return private and lane_by_lane * WORTH <= vectors

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
            if isinstance(s, Load | Store):
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

    def turn_last(self) -> None:
        """Give the arrays that the turns fill the turns' axis last."""
        for b, axis in self.turned.items():
            order = [*(a for a in range(len(b.extents)) if a != axis), axis]
            for s in self.whole:
                if isinstance(s, Load | Store) and s.view.buffer is b:
                    s.view = View(b, tuple(s.view.prefix[a] for a in order))
            b.extents = tuple(b.extents[a] for a in order)


def _only_elements(whole: Sequence[Stmt], buffer: Buffer) -> bool:
    """Is all that is done to an array to load and store single elements?"""
    if buffer.strides is not None:
        return False
    for s in whole:
        if isinstance(s, Load | Store) and s.view.buffer.pointer is buffer.pointer:
            if s.view.buffer is not buffer or len(s.view.prefix) != len(buffer.extents):
                return False
        elif isinstance(s, ir.Alloc | ir.Free):
            if s.buffer.pointer is buffer.pointer and s.buffer is not buffer:
                return False
        elif buffer.pointer in ir.used(s):
            return False
    return True


# --- writing ----------------------------------------------------------------------------------------------------------


class _Writer:
    """The block of a loop's turns in vectors, and the loop for fewer turns."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self.loop = plan.loop
        self.env: dict[Reg, Value] = {}
        self.buffers: dict[Buffer, Buffer] = {}
        self.owners: dict[Owner, Owner] = {}
        self.cells: dict[Cell, Cell] = {}
        self.code: list[Stmt] = []

    def run(self) -> list[Stmt]:
        """The statements that take the loop's place."""
        before: list[Stmt] = []
        self.code = before
        high = self.loop.high
        enough = self.compute("ge", high, integer(LANES), dtype=BOOL)
        tiles = self.compute("floordiv", self.compute("add", high, integer(LANES - 1)), integer(LANES))
        tiles, rest = self.compute("select", enough, tiles, integer(0)), self.compute("select", enough, high, integer(0))
        last = self.compute("sub", high, integer(LANES))
        tile = Reg(I64, "tile")
        self.code = body = []
        base = self.compute("min", self.compute("mul", tile, integer(LANES)), last)
        self.env[self.loop.index] = self.vector("iota", I64, base)
        self.base = base
        self.block(self.loop.body)
        return [
            *before,
            For(tile, integer(0), tiles, compacted(_jammed(body)), [], "wide"),
            replace(self.loop, low=rest),
        ]

    # --- values -----------------------------------------------------------------------------------------------------

    def compute(self, name: str, *args: Value, dtype: DType = I64) -> Reg:
        out = Reg(dtype, "t")
        self.code.append(Compute(out, name, args))
        return out

    def vector(self, name: str, dtype: DType, *args: Value) -> Reg:
        out = Reg(Vector(dtype, LANES), "v")
        self.code.append(Compute(out, name, args))
        return out

    def value(self, value: Value) -> Value:
        return value if isinstance(value, Literal) else self.env.get(value, value)

    def wide(self, value: Value) -> Value:
        """A value as a vector."""
        new = self.value(value)
        if isinstance(new, Reg) and isinstance(new.type, Vector):
            return new
        dtype = new.dtype if isinstance(new, Literal) else new.type
        assert isinstance(dtype, DType)
        return self.vector("splat", dtype, new)

    def lane(self, value: Value, k: int) -> Value:
        """What a value is in a lane."""
        new = self.value(value)
        if not isinstance(new, Reg) or not isinstance(new.type, Vector):
            return new
        if value is self.loop.index:
            return self.compute("add", self.base, integer(k)) if k else self.base
        return self.compute("lane", new, integer(k), dtype=new.type.dtype)

    def fresh(self, reg: Reg) -> Reg:
        """The register that stands for one of the loop's."""
        kind = reg.type
        new = Reg(Vector(kind, LANES) if self.plan.varies(reg) and isinstance(kind, DType) else kind, reg.hint)
        self.env[reg] = new
        return new

    def cell(self, cell: Cell) -> Cell:
        if cell in self.plan.cells and isinstance(cell.type, DType):
            self.cells.setdefault(cell, Cell(Vector(cell.type, LANES), cell.hint))
        return self.cells.get(cell, cell)

    def buffer(self, b: Buffer) -> Buffer:
        pointer = self.env.get(b.pointer, b.pointer)
        if b not in self.buffers:
            if pointer is b.pointer:
                return b
            assert isinstance(pointer, Reg)
            extents = tuple(map(self.value, b.extents)) + ((integer(LANES),) if self.plan.is_wide(b) else ())
            slot = None if b.slot is None else self.owners.setdefault(b.slot, Owner())
            strides = None if b.strides is None else tuple(map(self.value, b.strides))
            self.buffers[b] = Buffer(b.dtype, extents, pointer, strides, b.hint, b.stored, b.scoped, slot)
        return self.buffers[b]

    def view(self, view: View) -> View:
        return View(self.buffer(view.buffer), tuple(map(self.value, view.prefix)))

    # --- statements ---------------------------------------------------------------------------------------------------

    def block(self, body: Sequence[Stmt]) -> None:
        for stmt in body:
            self.statement(stmt)

    def inner(self, body: Sequence[Stmt], ends: Callable[[], None] = lambda: None) -> list[Stmt]:
        outside, self.code = self.code, []
        self.block(body)
        ends()
        inside, self.code = self.code, outside
        return inside

    def statement(self, stmt: Stmt) -> None:
        match stmt:
            case Compute():
                self.computed(stmt)
            case ir.Combine(out, _, left, right):
                a, b = map(self.wide if self.plan.varies(out) else self.value, (left, right))
                self.code.append(replace(stmt, left=a, right=b, out=self.fresh(out)))
            case Load():
                self.load(stmt)
            case Store():
                self.store(stmt)
            case ir.Copy():
                self.copy(stmt)
            case For() | ir.While():
                self.turns(stmt)
            case ir.If():
                self.if_(stmt)
            case ir.Alloc(buffer):
                self.fresh(buffer.pointer)
                when = None if stmt.when is None else self.value(stmt.when)
                self.code.append(replace(stmt, buffer=self.buffer(buffer), when=when))
            case ir.Free(buffer) | ir.Own(buffer):
                self.code.append(replace(stmt, buffer=self.buffer(buffer)))
            case ir.Get(out, cell):
                self.code.append(replace(stmt, out=self.fresh(out), cell=self.cell(cell)))
            case ir.Put(cell, value):
                new = self.wide(value) if cell in self.plan.cells else self.value(value)
                self.code.append(ir.Put(self.cell(cell), new))
            case ir.Call(_, args):
                passed = [
                    self.view(a) if isinstance(a, View)
                    else ir.ByReference(self.value(a.content)) if isinstance(a.content, Reg | Literal)
                    else a
                    for a in args
                ]  # fmt: skip
                self.code.append(replace(stmt, args=tuple(passed)))
            case _:
                env = {r: v for r, v in self.env.items()}
                self.code += ir.renamed([stmt], env)

    def computed(self, stmt: Compute) -> None:
        if not self.plan.varies(stmt.out):
            args = tuple(map(self.value, stmt.args))
            self.code.append(Compute(self.fresh(stmt.out), stmt.name, args))
        elif stmt.name in NATIVE:
            wide = tuple(map(self.wide, stmt.args))
            self.code.append(Compute(self.fresh(stmt.out), stmt.name, wide))
        else:
            dtype = stmt.out.type
            assert isinstance(dtype, DType)
            each = [
                self.compute(stmt.name, *(self.lane(a, k) for a in stmt.args), dtype=dtype) for k in range(LANES)
            ]
            self.code.append(Compute(self.fresh(stmt.out), "vector", tuple(each)))

    def load(self, stmt: Load) -> None:
        view = stmt.view
        if not self.plan.varies(stmt.out):
            here = self.view(view)
            self.code.append(Load(self.fresh(stmt.out), here))
        elif self.plan.contiguous(view):
            first = self.first(view)
            self.code.append(Load(self.fresh(stmt.out), first))
        else:
            each = []
            for k in range(LANES):
                at = self.at(view, k)
                each.append(Reg(view.buffer.dtype, stmt.out.hint))
                self.code.append(Load(each[-1], at))
            self.code.append(Compute(self.fresh(stmt.out), "vector", tuple(each)))

    def store(self, stmt: Store) -> None:
        view, value = stmt.view, stmt.value
        wide = self.plan.is_wide(view.buffer)
        if not wide and not any(map(self.plan.varies, view.prefix)):
            self.code.append(Store(self.view(view), self.value(value)))
        elif self.plan.contiguous(view):
            whole = self.wide(value)
            self.code.append(Store(self.first(view), whole))
        else:
            for k in range(LANES):
                one = self.lane(value, k)
                self.code.append(Store(self.at(view, k), one))

    def first(self, view: View) -> View:
        """The elements of neighbouring lanes, by that of the first."""
        if self.plan.is_wide(view.buffer):
            return self.view(view).at([integer(0)])
        return self.at(view, 0)

    def at(self, view: View, k: int) -> View:
        """The element of a lane."""
        prefix = [self.lane(v, k) for v in view.prefix]
        return View(self.buffer(view.buffer), (*prefix, integer(k)) if self.plan.is_wide(view.buffer) else (*prefix,))

    def copy(self, stmt: ir.Copy) -> None:
        """As it is if lanes are alike or all in both; else element by element."""
        target, source = stmt.target, stmt.source
        places = (*target.prefix, *source.prefix)
        alike = self.plan.is_wide(target.buffer) == self.plan.is_wide(source.buffer)
        if alike and not any(map(self.plan.varies, places)):
            self.code.append(ir.Copy(self.view(target), self.view(source)))
            return
        element = Reg(source.buffer.dtype, "x")
        if self.plan.is_wide(source.buffer) or any(map(self.plan.varies, source.prefix)):
            self.plan.varying.add(element)
        self.block(copy_loop(stmt, element))

    def turns(self, stmt: For | ir.While) -> None:
        inits = [self.wide(c.init) if self.plan.varies(c.reg) else self.value(c.init) for c in stmt.carries]
        regs = [self.fresh(c.reg) for c in stmt.carries]
        nexts: list[Value] = []

        def ends() -> None:
            nexts.extend(self.wide(c.next) if self.plan.varies(c.reg) else self.value(c.next) for c in stmt.carries)

        if isinstance(stmt, For):
            low, high = self.value(stmt.low), self.value(stmt.high)
            index = self.fresh(stmt.index)
            body = self.inner(stmt.body, ends)
            parts = zip(regs, inits, nexts, [self.fresh(c.out) for c in stmt.carries], strict=True)
            self.code.append(For(index, low, high, body, [Carry(*p) for p in parts], stmt.tag))
        else:
            cond = self.inner(stmt.cond)
            test = self.value(stmt.test)
            body = self.inner(stmt.body, ends)
            parts = zip(regs, inits, nexts, [self.fresh(c.out) for c in stmt.carries], strict=True)
            self.code.append(ir.While([Carry(*p) for p in parts], cond, test, body))

    def mask(self, stmt: ir.If) -> None:
        """A branch on which lanes differ: taken if one takes it, and then it counts in these."""
        pred = self.value(stmt.pred)
        other = [self.wide(j.orelse) for j in stmt.joins]
        some = self.compute("some", pred, dtype=BOOL)
        chosen: list[Reg] = []

        def ends() -> None:
            for j, o in zip(stmt.joins, other, strict=True):
                dtype = j.out.type
                assert isinstance(dtype, DType)
                chosen.append(self.vector("select", dtype, pred, self.wide(j.then), o))

        then = self.inner(stmt.then, ends)
        joins = [ir.Join(self.fresh(j.out), c, o) for j, c, o in zip(stmt.joins, chosen, other, strict=True)]
        self.code.append(ir.If(some, then, [], joins))

    def if_(self, stmt: ir.If) -> None:
        if self.plan.varies(stmt.pred):
            self.mask(stmt)
            return
        sides: list[tuple[list[Stmt], list[Value]]] = []
        pred = self.value(stmt.pred)
        for body, values in ((stmt.then, [j.then for j in stmt.joins]), (stmt.orelse, [j.orelse for j in stmt.joins])):
            given: list[Value] = []

            def ends(values: list[Value] = values, given: list[Value] = given) -> None:
                for v, j in zip(values, stmt.joins, strict=True):
                    given.append(self.wide(v) if self.plan.varies(j.out) else self.value(v))

            sides.append((self.inner(body, ends), given))
        (then, left), (orelse, right) = sides
        joins = [ir.Join(self.fresh(j.out), a, b) for j, a, b in zip(stmt.joins, left, right, strict=True)]
        self.code.append(ir.If(pred, then, orelse, joins))


# --- jamming ----------------------------------------------------------------------------------------------------------


def _jammed(body: list[Stmt]) -> list[Stmt]:
    """Loops of a few turns that hold one reduction each, written out around one reduction of them all."""
    out: list[Stmt] = []
    for stmt in body:
        for inner in ir.blocks(stmt):
            inner[:] = _jammed(inner)
        out += (_jam(stmt) if isinstance(stmt, For) else None) or [stmt]
    return out


def _jam(loop: For) -> list[Stmt] | None:
    """The turns of a loop together; None if it isn't of that kind."""
    if loop.tag not in ("any", "apart") or not isinstance(loop.high, Literal) or loop.low != integer(0):
        return None
    turns = int(loop.high.value)
    loops = [s for s in loop.body if isinstance(s, For)]
    if len(loops) != 1 or not all(isinstance(s, Compute | ir.Combine | Load | Store | For) for s in loop.body):
        return None
    (inner,) = loops
    inside = inner_registers(loop)
    stored = {s.view.buffer for s in loop.body if isinstance(s, Store)}
    if (
        not 0 < turns * len(inner.carries) <= JAMMED
        or not all(isinstance(s, Compute | ir.Combine | Load | ir.If) for s in ir.walk(inner.body))
        or inner.low in inside
        or inner.high in inside
        or any(isinstance(s, Load) and s.view.buffer in stored for s in ir.walk(loop.body))
    ):
        return None
    at = loop.body.index(inner)
    before: list[Stmt] = []
    middle: list[Stmt] = []
    behind: list[Stmt] = []
    carries: list[Carry] = []
    state: dict[Reg, Value] = {c.reg: c.init for c in loop.carries}
    for k in range(turns):
        env: dict[Reg, Value] = {loop.index: integer(k), **state}
        before += _copied(loop.body[:at], env, k > 0)
        own = [
            Carry(Reg(c.reg.type, c.reg.hint), _now(c.init, env), c.next, Reg(c.out.type, c.out.hint))
            for c in inner.carries
        ]
        env |= {c.reg: o.reg for c, o in zip(inner.carries, own, strict=True)}
        middle += _copied(inner.body, env, k > 0)
        for c, o in zip(inner.carries, own, strict=True):
            o.next = _now(c.next, env)
            env[c.out] = o.out
        carries += own
        behind += _copied(loop.body[at + 1 :], env, False)
        state = {c.reg: _now(c.next, env) for c in loop.carries}
    needed = {v for s in (*before, *ir.walk(middle)) for v in ir.used(s)} | {c.init for c in carries}
    if any(r in needed for r in (*(c.out for c in carries), *(r for s in behind for r in ir.defined(s)))):
        return None
    made: list[Stmt] = [*before, replace(inner, body=_joined(middle), carries=carries), *behind]
    return [*made, *(Compute(c.out, "stop", (state[c.reg],)) for c in loop.carries)]


def _now(value: Value, env: dict[Reg, Value]) -> Value:
    return env.get(value, value) if isinstance(value, Reg) else value


def _copied(body: Sequence[Stmt], env: dict[Reg, Value], again: bool) -> list[Stmt]:
    """Statements with registers of their own, which `env` learns; what is the same in every turn isn't made `again`."""
    out: list[Stmt] = []
    for stmt in body:
        (new,) = ir.renamed([stmt], env)
        if new is stmt and not isinstance(stmt, Store):
            out += [] if again else [stmt]
            continue
        if isinstance(stmt, ir.If):
            inner = dict(env)
            sides = [_copied(b, inner, False) for b in ir.blocks(stmt)]
            joins = [ir.Join(Reg(j.out.type, j.out.hint), _now(j.then, inner), _now(j.orelse, inner)) for j in stmt.joins]
            env.update((j.out, new.out) for j, new in zip(stmt.joins, joins, strict=True))
            out.append(ir.If(_now(stmt.pred, env), sides[0], sides[1], joins))
            continue
        if isinstance(new, Compute | ir.Combine | Load):
            env[new.out] = Reg(new.out.type, new.out.hint)
            new = replace(new, out=env[new.out])
        out.append(replace(new) if new is stmt else new)
    return out


def _joined(body: list[Stmt]) -> list[Stmt]:
    """Branches by one decision are one, behind all else."""
    branches = [s for s in body if isinstance(s, ir.If)]
    rest = [s for s in body if not isinstance(s, ir.If)]
    results = {j.out for s in branches for j in s.joins}
    free = not any(v in results for s in [*rest, *(t for b in branches for t in ir.walk([*b.then, *b.orelse]))]
                   for v in ir.used(s))  # fmt: skip
    if len(branches) < 2 or not free or any(s.pred is not branches[0].pred for s in branches):
        return body
    then, orelse = ({id(t): t for s in branches for t in ir.blocks(s)[k]} for k in (0, 1))
    joins = [j for s in branches for j in s.joins]
    return [*rest, ir.If(branches[0].pred, list(then.values()), list(orelse.values()), joins)]

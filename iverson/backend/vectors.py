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
gets the turns' axis last, if nobody else sees its layout (backend/layouts.py).  The last block is that of the last
eight turns: some are run twice, which changes nothing.  Where it would, since turns add to what is there, what is left
over runs one by one; so do fewer than eight turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from iverson.backend import brackets
from iverson.backend import loopir as ir
from iverson.backend.compact import compacted
from iverson.backend.instructions import NATIVE
from iverson.backend.jam import jammed
from iverson.backend.layouts import drop_copies, turn_last
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
from iverson.backend.rows import handed_on
from iverson.backend.vector_plan import Plan
from iverson.core.syntax import BOOL, I64, DType, Literal


def run(program: Program, reassociate: bool = True) -> None:
    """Rewrite the loops of a program for which it pays, in place."""
    turned: list[Buffer] = []
    _block(program.body, program, turned, reassociate)
    drop_copies(program, turned)


def _block(body: list[Stmt], program: Program, turned: list[Buffer], reassociate: bool) -> None:
    """In place, since a plan looks at all of the program."""
    for stmt in list(body):
        if isinstance(stmt, For) and stmt.tag == "any" and not stmt.carries:
            copy = replace(stmt, body=_elementwise(stmt.body, stmt.index))
            if reassociate:
                brackets.sink(copy.body)
            plan = Plan(copy, program, reassociate)
            if plan.legal() and plan.pays():
                turn_last(plan.whole, plan.turned)
                turned += plan.turned
                at = body.index(stmt)
                body[at : at + 1] = _Writer(plan).run()
                continue
        for inner in ir.blocks(stmt):
            _block(inner, program, turned, reassociate)


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
            sides = [_elementwise(side, turn) for side in ir.blocks(stmt)]
            out.append(replace(stmt, then=sides[0], orelse=sides[1], joins=list(stmt.joins)))
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


# --- writing ----------------------------------------------------------------------------------------------------------


class _Writer:
    """The block of a loop's turns in vectors, and the loop for fewer turns."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = plan.loop
        self.lanes = plan.lanes
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
        tile = Reg(I64, "tile")
        tiles, rest, last = self.tiles(high)
        self.code = body = []
        base = self.compute("mul", tile, integer(self.lanes))
        base = base if self.plan.once else self.compute("min", base, last)
        self.env[self.loop.index] = self.vector("iota", I64, base)
        self.base = base
        self.block(self.loop.body)
        return [
            *before,
            For(tile, integer(0), tiles, handed_on(compacted(jammed(body))), [], "wide"),
            replace(self.loop, low=rest),
        ]

    def tiles(self, high: Value) -> tuple[Reg, Reg, Reg]:
        """How many blocks there are, where the turns begin that are run one by one, and where the last block may."""
        lanes = integer(self.lanes)
        last = self.compute("sub", high, lanes)
        if self.plan.once:
            tiles = self.compute("max", self.compute("floordiv", high, lanes), integer(0))
            return tiles, self.compute("mul", tiles, lanes), last
        enough = self.compute("ge", high, lanes, dtype=BOOL)
        tiles = self.compute("floordiv", self.compute("add", high, integer(self.lanes - 1)), lanes)
        some = self.compute("select", enough, tiles, integer(0))
        return some, self.compute("select", enough, high, integer(0)), last

    # --- values -----------------------------------------------------------------------------------------------------

    def compute(self, name: str, *args: Value, dtype: DType = I64) -> Reg:
        out = Reg(dtype, "t")
        self.code.append(Compute(out, name, args))
        return out

    def vector(self, name: str, dtype: DType, *args: Value) -> Reg:
        out = Reg(Vector(dtype, self.lanes), "v")
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
        new = Reg(Vector(kind, self.lanes) if self.plan.varies(reg) and isinstance(kind, DType) else kind, reg.hint)
        self.env[reg] = new
        return new

    def cell(self, cell: Cell) -> Cell:
        if cell in self.plan.cells and isinstance(cell.type, DType):
            self.cells.setdefault(cell, Cell(Vector(cell.type, self.lanes), cell.hint))
        return self.cells.get(cell, cell)

    def buffer(self, b: Buffer) -> Buffer:
        pointer = self.env.get(b.pointer, b.pointer)
        if b not in self.buffers:
            if pointer is b.pointer:
                return b
            assert isinstance(pointer, Reg)
            extents = tuple(map(self.value, b.extents)) + ((integer(self.lanes),) if self.plan.is_wide(b) else ())
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
        if id(stmt) in self.plan.sums:
            self.summed(stmt)
            return
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
                self.code += ir.renamed([stmt], self.env)

    def summed(self, stmt: Stmt) -> None:
        """What all lanes add to one place, where it is stored."""
        load, add, store = self.plan.sums[id(stmt)]
        if stmt is not store:
            return
        terms = self.wide(add.right)
        assert isinstance(terms, Reg) and isinstance(terms.type, Vector)
        dtype = terms.type.dtype
        parts = [self.compute("lane", terms, integer(k), dtype=dtype) for k in range(self.lanes)]
        while len(parts) > 1:
            parts = [self.added(add, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        self.code.append(Load(self.fresh(load.out), self.view(load.view)))
        self.code.append(Store(self.view(store.view), self.added(add, self.value(load.out), parts[0])))

    def added(self, like: ir.Combine, left: Value, right: Value) -> Reg:
        out = Reg(like.left.type if isinstance(like.left, Reg) else like.out.type, "sum")
        self.code.append(replace(like, out=out, left=left, right=right))
        return out

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
                self.compute(stmt.name, *(self.lane(a, k) for a in stmt.args), dtype=dtype) for k in range(self.lanes)
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
            for k in range(self.lanes):
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
            for k in range(self.lanes):
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

"""Loop, While and If.

Scalars are carried in SSA.  A carried array is in one of three states (backend/chains.py says which):

    in place    each turn leaves it in the memory of its init: nothing to do
    small       each turn's array is copied back into the memory of the init
    rotating    a turn makes a fresh array, in a spare buffer: the loop carries pointers, which change places
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from iverson.backend import loopir as ir
from iverson.backend.context import Context, Result
from iverson.backend.loopir import Buffer, Carry, Reg, View, integer
from iverson.core.syntax import Array, Atom, Block, If, Let, Literal, Loop, Var, While


@dataclass(eq=False, slots=True)
class _Place:
    """An array carry: `view` is what its name means inside; `source` the carry whose memory its next value is in."""

    number: int
    var: Var
    view: View
    mode: str  # "place", "small", "rotate"
    source: int | None = None
    target: View | None = None  # where a turn builds its next value
    pointer: Carry | None = None
    home: Buffer | None = None


@dataclass(eq=False, slots=True)
class _Spare:
    home: Buffer
    role: Buffer
    pointer: Carry


@dataclass(eq=False, slots=True)
class _Carries:
    """The carries of a loop while it is lowered."""

    ctx: Context
    let: Let
    op: Loop | While
    scalars: dict[int, Carry] = field(default_factory=dict)
    places: list[_Place] = field(default_factory=list)
    spares: list[_Spare] = field(default_factory=list)

    def open(self) -> None:
        """Before the loop: the inits."""
        ctx, op = self.ctx, self.op
        for k, (var, init) in enumerate(zip(op.carry, op.inits, strict=True)):
            if not isinstance(var.type, Array):
                value = ctx.value(init)
                reg = ctx.scalar(var)
                self.scalars[k] = Carry(reg, value, reg, Reg(reg.type, var.hint))
        arrays = [k for k, v in enumerate(op.carry) if isinstance(v.type, Array)]
        # copies before moves: an init may be copied and moved by the same statement
        for k in sorted(arrays, key=lambda k: not ctx.chains.copied(self.let, k)):
            self.places.append(self._place(k, op.carry[k], op.inits[k]))
        self.places.sort(key=lambda p: p.number)
        self._assign_spares()
        for p in self.places:
            ctx.bind(p.var, p.view)

    def _place(self, k: int, var: Var, init: Atom) -> _Place:
        ctx, op = self.ctx, self.op
        copied = ctx.chains.copied(self.let, k)
        if ctx.chains.stays(op, k):
            view = ctx.consume(init, copied, ctx.want(self.let.vars[k]))
            view.buffer.stored = True
            in_place = ctx.chains.origin(op.body, k) is var
            return _Place(k, var, view, "place" if in_place else "small")
        view = ctx.consume(init, copied)
        if not ctx.owns(view.buffer) or view.prefix:
            view = ctx.duplicate(view)
        role, pointer = self._role(view.buffer, var.hint)
        return _Place(k, var, View(role), "rotate", pointer=pointer, home=view.buffer)

    def _role(self, home: Buffer, hint: str) -> tuple[Buffer, Carry]:
        """A name inside the loop for a buffer that changes from turn to turn."""
        reg = Reg(ir.POINTER, hint)
        role = Buffer(home.dtype, home.extents, reg, hint=hint, stored=True, scoped=False, slot=home.slot)
        home.scoped = False
        return role, Carry(reg, home.pointer, reg, Reg(ir.POINTER, hint))

    def _assign_spares(self) -> None:
        rotating = {p.var: p for p in self.places if p.mode == "rotate"}
        for p in self.places:
            if p.mode == "small":
                buffer = p.view.buffer
                p.target = self.ctx.allocate(buffer.dtype, p.view.extents, p.var.hint)
            elif p.mode == "rotate":
                origin = self.ctx.chains.origin(self.op.body, p.number)
                if origin in rotating:
                    p.source = rotating[origin].number
                else:
                    view = self.ctx.allocate(p.view.buffer.dtype, p.view.extents, p.var.hint)
                    role, pointer = self._role(view.buffer, p.var.hint)
                    self.spares.append(_Spare(view.buffer, role, pointer))
                    p.target = View(role)

    def wants(self) -> list[View | None]:
        targets = {p.number: p.target for p in self.places}
        return [targets.get(k) for k in range(len(self.op.carry))]

    def close(self, outs: Sequence[Result]) -> None:
        """At the end of a turn: the next values."""
        for k, carry in self.scalars.items():
            value = outs[k]
            assert not isinstance(value, View)
            carry.next = value
        for p in self.places:
            if p.mode == "small":
                assert p.target is not None
                self.ctx.copy(p.view, p.target)
        self._rotate()

    def _rotate(self) -> None:
        """Each pointer becomes the one its next value is at; a buffer nobody took becomes a spare."""
        rotating = {p.number: p for p in self.places if p.mode == "rotate"}
        taker = {p.source: p for p in rotating.values() if p.source is not None}
        spares = {id(s.role): s for s in self.spares}
        for p in rotating.values():
            assert p.pointer is not None
            if p.source is not None:
                p.pointer.next = rotating[p.source].view.buffer.pointer
                continue
            assert p.target is not None
            p.pointer.next = p.target.buffer.pointer
            left = p
            while left.number in taker:
                left = taker[left.number]
            spares[id(p.target.buffer)].pointer.next = left.view.buffer.pointer

    def all(self) -> list[Carry]:
        pointers = [p.pointer for p in self.places if p.pointer is not None]
        return [*self.scalars.values(), *pointers, *(s.pointer for s in self.spares)]

    def finish(self) -> None:
        """Behind the loop: the finals get their names."""
        ctx, op = self.ctx, self.op
        for p in self.places:
            ctx.release(p.var)
        for p in self.places:
            view = p.view
            if p.pointer is not None and p.home is not None:
                view = View(self._behind(p.home, p.pointer))
            ctx.bind(self.let.vars[p.number], view)
        for spare in self.spares:
            self._behind(spare.home, spare.pointer)
        for k, carry in self.scalars.items():
            ctx.env[self.let.vars[k]] = carry.out
        for var in op.carry:
            ctx.env.pop(var)

    def _behind(self, home: Buffer, pointer: Carry) -> Buffer:
        final = Buffer(home.dtype, home.extents, pointer.out, hint=home.hint, stored=True, scoped=False, slot=home.slot)
        self.ctx.disown(home)
        self.ctx.own(final)
        return final


def lower_loop(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Loop)
    width = len(op.carry)
    carries = _Carries(ctx, let, op)
    carries.open()
    emits = let.vars[width:]
    index, extent = ctx.scalar(op.index), ctx.value(op.extent)
    if emits:
        ctx.counts([extent], let.site)
    stacks = [ctx.destination(v) for v in emits]
    wants = carries.wants()
    for stack, atom in zip(stacks, op.body.outs[width:], strict=True):
        wants.append(stack.at([index]) if isinstance(atom.type, Array) else None)
    body: list[ir.Stmt] = []
    with ctx.into(body), ctx.turn():
        outs = ctx.block(op.body, wants)
        for stack, value in zip(stacks, outs[width:], strict=True):
            if not isinstance(value, View):
                ctx.store(stack.at([index]), value)
        carries.close(outs)
    ctx.emit(ir.For(index, integer(0), extent, body, carries.all(), "seq"))
    carries.finish()
    for var, stack in zip(emits, stacks, strict=True):
        ctx.bind(var, stack)


def lower_while(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, While)
    carries = _Carries(ctx, let, op)
    carries.open()
    cond: list[ir.Stmt] = []
    body: list[ir.Stmt] = []
    with ctx.into(cond), ctx.turn():
        (test,) = ctx.block(op.cond)
    with ctx.into(body), ctx.turn():
        carries.close(ctx.block(op.body, carries.wants()))
    assert not isinstance(test, View)
    ctx.emit(ir.While(carries.all(), cond, test, body))
    carries.finish()


def lower_if(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, If)
    if isinstance(op.pred, Literal):
        _inline(ctx, let, op.then if op.pred.value else op.orelse)
        return
    homes = ctx.chains.home(op.then, op.orelse)
    places: list[View | None] = []
    for var, home in zip(let.vars, homes, strict=True):
        if not isinstance(var.type, Array):
            places.append(None)
        else:
            places.append(ctx.destination(var) if home is None else ctx.view(home))
    then, then_outs = _branch(ctx, op.then, places, homes)
    orelse, else_outs = _branch(ctx, op.orelse, places, homes)
    joins = []
    for var, place, a, b in zip(let.vars, places, then_outs, else_outs, strict=True):
        if place is None:
            assert not isinstance(a, View) and not isinstance(b, View)
            joins.append(ir.Join(ctx.scalar(var), a, b))
        else:
            ctx.bind(var, place)
    ctx.emit(ir.If(ctx.value(op.pred), then, orelse, joins))


def _branch(
    ctx: Context, block: Block, places: Sequence[View | None], homes: Sequence[Var | None]
) -> tuple[list[ir.Stmt], list[Result]]:
    """One side of an If, leaving its arrays in their places.

    A place that is an array's from before may be built in only where the side doesn't read that array.
    """
    code: list[ir.Stmt] = []
    used = ctx.chains.uses(block)
    early = [None if home in used else place for place, home in zip(places, homes, strict=True)]
    with ctx.into(code), ctx.turn():
        outs = ctx.block(block, early)
        for place, out in zip(places, outs, strict=True):
            if place is not None and isinstance(out, View) and out != place:
                ctx.copy(place, out)
    return code, outs


def _inline(ctx: Context, let: Let, block: Block) -> None:
    outs = ctx.block(block, [ctx.want(v) for v in let.vars])
    for var, out in zip(let.vars, outs, strict=True):
        if isinstance(out, View):
            ctx.bind(var, out)
        else:
            ctx.env[var] = out

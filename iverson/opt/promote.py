"""A cell that a loop keeps updating becomes a scalar carry.

    Loop (k < n) [A] { ... A[e] ... A' = A with [e] op= v; ... } yields A'
        ->  s0 = A[e];  Loop (k < n) [s = s0] { ... s ... s' = s op v; ... } yields s';  A with [e] := s'

for e that doesn't change in the loop, where every other read of A in it is proven to be at another index.  Updates may
be under branches, and loops in loops are promoted from the inside out.  If n may be 0 and e may be out of bounds, the
first and last access are made only where n > 0.

The work never grows while the loop turns; and in reverse mode the log of what the loop overwrites is one element long
instead of n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from iverson.core.bounds import Sizes
from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import (
    atoms,
    blocks,
    free,
    lookup,
    map_op,
    single_update,
    statements,
    with_body,
    with_lets,
    with_op,
)
from iverson.core.syntax import (
    I64,
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Op,
    Prim,
    Read,
    Scalar,
    Var,
)

Index = tuple[Atom, ...]


def run(function: Function) -> Function:
    return with_body(function, _Promotion(Sizes(function)).block(function.body))


class Refused(Exception):
    """The loop does something else with the array."""


class _Promotion:
    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            for new in self.statement(with_op(let, self.inside(let.op))):
                lets.append(new)
                self.sizes.bind(new)
        return with_lets(block, lets)

    def inside(self, op: Op) -> Op:
        def scoped(block: Block) -> Block:
            with self.sizes.inside(op, block):
                return self.block(block)

        return map_op(op, lambda a: a, scoped)

    def statement(self, let: Let) -> list[Let]:
        if isinstance(let.op, Loop):
            for k in range(len(let.op.carry)):
                promoted = self.promote(let, let.op, k)
                if promoted is not None:
                    before, loop, after = promoted
                    return [*before, *self.statement(loop), *after]
        return [let]

    def promote(self, let: Let, op: Loop, k: int) -> tuple[list[Let], Let, list[Let]] | None:
        """What comes before, the loop with a scalar for carry k, what comes after; None where that isn't so."""
        carry, array = op.carry[k], op.inits[k]
        if not isinstance(array, Var) or not isinstance(carry.type, Array) or carry.type.dtype is I64:
            return None
        index = next(updated(op.body, {carry}), None)
        if index is None or not _outside(index, op) or array in free(op.body, (op.index, *op.carry)):
            return None
        cell = Cell(self.sizes, array, index, carry)
        try:
            with self.sizes.inside(op, op.body):
                body = cell.block(op.body)
        except Refused:
            return None
        outs = op.body.outs
        if outs[k] not in cell.scalars or any(o in cell.scalars for j, o in enumerate(outs) if j != k):
            return None
        final = Var(Scalar(dtype_of(array)), let.vars[k].hint)
        start, before, after = self.ends(op, array, index, final, let.vars[k])
        loop = replace(
            op,
            carry=tuple(cell.start if c is carry else c for c in op.carry),
            inits=tuple(start if j == k else a for j, a in enumerate(op.inits)),
            body=body,
        )
        turned = Let(tuple(final if j == k else v for j, v in enumerate(let.vars)), loop, let.site)
        return before, turned, after

    def ends(self, op: Loop, array: Var, index: Index, final: Var, result: Var) -> tuple[Atom, list[Let], list[Let]]:
        """The cell's first value, and the statements that read it and write it back, where the loop turns."""
        b = Builder()
        turns = self.sizes.le(Literal(1, I64), op.extent)
        if turns or all(self.sizes.within(i, n) for i, n in zip(index, extents_of(array), strict=True)):
            with b.scope() as before:
                start: Atom = b.read(array, *index)
            return start, before, [Let((result,), _set(array, index, final))]
        with b.scope() as before:
            some = b.o.gt(op.extent, 0)
            blank = literal(0, dtype_of(array))
            start = b.if_(some, lambda: b.read(array, *index), lambda: blank)[0]
        new = Var(result.type, result.hint)
        written = Block((Let((new,), _set(array, index, final)),), (new,))
        return start, before, [Let((result,), If(some, written, Block((), (array,))))]


def _set(array: Var, index: Index, value: Atom) -> Accumulate:
    acc = Var(Accumulator("set", (dtype_of(array),), extents_of(array)), "acc")
    return Accumulate((acc,), ((array,),), Block((Let((), Contribute(acc, index, (value,))),), ()))


def updated(block: Block, versions: set[Var]) -> Iterator[Index]:
    """Where the versions of an array are updated, following them; `versions` grows."""
    for let in block:
        update = single_update(let.op)
        if update is not None and isinstance(let.op, Accumulate) and let.op.inits[0][0] in versions:
            versions.add(let.vars[0])
            yield update.index
        elif isinstance(let.op, If):
            yield from updated(let.op.then, versions)
            yield from updated(let.op.orelse, versions)
            sides = zip(let.vars, let.op.then.outs, let.op.orelse.outs, strict=True)
            versions.update(v for v, a, b in sides if a in versions or b in versions)


def _outside(index: Index, op: Loop) -> bool:
    """Is an index the same at every turn?"""
    bound = {op.index, *op.carry}
    for let in statements(op.body):
        bound.update(let.vars)
        for binders, _ in blocks(let.op):
            bound.update(binders)
    return not any(a in bound for a in index)


class Cell:
    """A loop's body with one element of an array, wherever it is read or written, as a scalar."""

    def __init__(self, sizes: Sizes, array: Var, index: Index, carry: Var) -> None:
        self.sizes = sizes
        self.array = array
        self.index = index
        self.start = Var(Scalar(dtype_of(carry)), carry.hint)
        self.scalars: dict[Var, Atom] = {carry: self.start}  # version of the array -> the element in it
        self.env: dict[Var, Atom] = {}  # what was read from the element -> the scalar

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            new = self.statement(let)
            if new is not None:
                lets.append(new)
                self.sizes.bind(new)
        return Block(tuple(lets), tuple(self.now(a) for a in block.outs))

    def now(self, a: Atom) -> Atom:
        return self.scalars.get(a, lookup(a, self.env)) if isinstance(a, Var) else a

    def statement(self, let: Let) -> Let | None:
        op = let.op
        if isinstance(op, Read) and op.array in self.scalars:
            return self.read(let, op)
        update = single_update(op)
        if update is not None and isinstance(op, Accumulate) and op.inits[0][0] in self.scalars:
            return self.update(let, update, op.inits[0][0])
        if any(a in self.scalars for a in atoms(op)):
            raise Refused
        if isinstance(op, If):
            return self.branches(let, op)
        for _, inner in blocks(op):
            if any(out in self.scalars for out in inner.outs):
                raise Refused
        return Let(let.vars, map_op(op, self.now, lambda b: self.inside(op, b)), let.site)

    def inside(self, op: Op, block: Block) -> Block:
        with self.sizes.inside(op, block):
            return self.block(block)

    def read(self, let: Let, op: Read) -> Let | None:
        if len(op.index) == len(self.index) and self.sizes.same_all(op.index, self.index):
            self.env[let.vars[0]] = self.scalars[op.array]
            return None
        apart = (self.sizes.of(a) - self.sizes.of(b) for a, b in zip(op.index, self.index, strict=False))
        if any(self.sizes.nonnegative(d - 1) or self.sizes.nonnegative(-d - 1) for d in apart):
            return Let(let.vars, Read(self.array, tuple(map(self.now, op.index)), op.safe), let.site)
        raise Refused

    def update(self, let: Let, c: Contribute, array: Atom) -> Let | None:
        monoid = c.acc.type.monoid if isinstance(c.acc.type, Accumulator) else None
        if not self.sizes.same_all(c.index, self.index) or monoid not in ("set", "add", "mul", "min", "max"):
            raise Refused
        assert isinstance(array, Var)
        value = self.now(c.values[0])
        if monoid == "set":
            self.scalars[let.vars[0]] = value
            return None
        new = Var(self.start.type, let.vars[0].hint)
        old = self.scalars[let.vars[0]] = new
        return Let((old,), Prim(monoid, (self.scalars[array], value)), let.site)

    def branches(self, let: Let, op: If) -> Let:
        then, orelse = self.inside(op, op.then), self.inside(op, op.orelse)
        names: list[Var] = []
        for v, a, b in zip(let.vars, op.then.outs, op.orelse.outs, strict=True):
            if (a in self.scalars) != (b in self.scalars):
                raise Refused
            names.append(Var(self.start.type, v.hint) if a in self.scalars else v)
            if a in self.scalars:
                self.scalars[v] = names[-1]
        return Let(tuple(names), If(self.now(op.pred), then, orelse), let.site)

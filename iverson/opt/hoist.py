"""hoist: what is the same in every turn is computed before the loop.

    For [i < n] { a = e; B }                         ->   a = e; For [i < n] { B }              e without i
    For [i < n] { For [c < k] { a = e(c); B } }      ->   t = For [c < k] { e(c) } yields [Map]
                                                          For [i < n] { For [c < k] { a = t[c]; B } }

and so for Loop and While.  The second equation is for what is dear: a Reduce of scalars, or a transcendental function;
the extents (k) are the same in every turn.  Of several Reduces in one For, those that are the same in every turn get a
For of their own first: so what is primal leaves a loop over tangents.

What moves can't raise, trusts no check, and is not consumed inside.  But where a loop surely runs, what comes before
all that may raise in a turn does so before the loop as well; and what the function checks before all loops, that two
extents are equal, needs no trust.

Invariant: if the loop runs, the count falls by what moved from all turns but one, and rises by two per element of t.
If it doesn't run, it rises by at most the cost of one turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from iverson.core import prims
from iverson.core.dce import dce
from iverson.core.rewrite import (
    blocks,
    contributed,
    dependents,
    free,
    map_op,
    needed,
    rename,
    rename_op,
    uses,
    with_body,
    with_lets,
    with_op,
)
from iverson.core.syntax import (
    Array,
    Atom,
    Block,
    For,
    Function,
    Let,
    Literal,
    Loop,
    Map,
    Op,
    Prim,
    Read,
    Reduce,
    Scalar,
    Var,
    While,
    width,
)
from iverson.opt.effects import Effects
from iverson.opt.substitute import Substitution

CHEAP = frozenset({"sqrt", "floor", "ceil", "round", "trunc", "fma", "copysign"})


def run(f: Function) -> Function:
    """Out of the innermost loops first: what has left one may leave the next."""
    return dce(with_body(f, _Hoister(Effects(f)).outermost(f.body)))


class _Hoister:
    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    def outermost(self, block: Block) -> Block:
        """The function's own block: what it checks holds in all that follows, and nothing moves further out."""
        lets: list[Let] = []
        for let in block:
            self.effects.equal.learn(let)
            lets += self.block(Block((let,), ()))
        return with_lets(block, lets)

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            op = map_op(let.op, lambda a: a, self.block)
            if isinstance(op, For | Loop | While):
                mover = _Mover(self.effects, op)
                op = mover.loop(op)
                lets += mover.before
            lets.append(with_op(let, op))
        return with_lets(block, lets)


@dataclass(frozen=True)
class _Path:
    """The loops crossed inside the loop that is left, and what depends on nothing else that varies."""

    index: tuple[Var, ...] = ()
    extent: tuple[Atom, ...] = ()
    steady: tuple[Let, ...] = ()


class _Mover:
    """Takes what can leave one loop out of its body."""

    def __init__(self, effects: Effects, loop: For | Loop | While) -> None:
        self.effects = effects
        self.before: list[Let] = []
        self.env: dict[Var, Atom] = {}  # what has left the loops inside has another name
        self.varying: set[Var] = set(loop.index if isinstance(loop, For) else loop.carry)
        if isinstance(loop, Loop):
            self.varying.add(loop.index)
        self.consumed = effects.consumed(loop)

    def loop(self, loop: For | Loop | While) -> For | Loop | While:
        """The loop's own body: invariant statements go out as they are."""
        kept: list[Let] = []
        first = _runs(loop)
        for let in self.unzipped(loop.body):
            if self.invariant(let) and self.may_move(let, first) and self.consumed.keys().isdisjoint(let.vars):
                self.before.append(let)
            else:
                first = first and not self.effects.fails(let.op)
                self.varying.update(let.vars)
                kept.append(self.inner(let, _Path()))
        body = Substitution(self.env).block(with_lets(loop.body, kept))
        return loop if body is loop.body else replace(loop, body=body)

    def inner(self, let: Let, path: _Path) -> Let:
        """A statement that stays: what is dear and the same in every turn leaves its loops."""
        op = let.op
        if isinstance(op, For):
            index, extent = op.index, op.extent
        elif isinstance(op, Loop):
            index, extent = (op.index,), (op.extent,)
            self.varying.update(op.carry)
        else:
            self.bind_inside(op)
            return let
        if self.varying.isdisjoint(extent) and not set(path.index).intersection(extent):
            path = replace(path, index=(*path.index, *index), extent=(*path.extent, *extent))
        else:
            self.varying.update(index)
        body = self.nested(op.body, path)
        return let if body is op.body else Let(let.vars, replace(op, body=body), let.site)

    def nested(self, block: Block, path: _Path) -> Block:
        lets: list[Let] = []
        for let in self.unzipped(block):
            if not self.invariant(let) or not self.may_move(let):
                self.varying.update(let.vars)
                lets.append(self.inner(let, path))
                continue
            if _dear(let):
                let = self.stored(let, path)
            path = replace(path, steady=(*path.steady, let))
            lets.append(let)
        return with_lets(block, lets)

    def unzipped(self, block: Block) -> Iterator[Let]:
        """The block's statements, as `varying` is known of those before; what can be split is."""
        for let in block:
            op = let.op
            steady = self.steady_sums(op) if isinstance(op, For) and len(let.vars) > 1 and self.may_move(let) else []
            if not isinstance(op, For) or not 0 < len(steady) < len(let.vars):
                yield let
                continue
            rest = [k for k in range(len(let.vars)) if k not in steady]
            yield Let(tuple(let.vars[k] for k in steady), _part(op, steady), let.site)
            yield Let(tuple(let.vars[k] for k in rest), rename_op(_part(op, rest), {}), let.site)

    def steady_sums(self, op: For) -> list[int]:
        """Which results of a For of Reduces to scalars are the same in every turn."""
        if not all(isinstance(y, Reduce) and width(y) == 1 for y in op.yields) or not self.varying.isdisjoint(
            op.extent
        ):
            return []
        varying = dependents(op.body, self.varying)
        return [k for k, out in enumerate(op.body.outs) if out not in varying and isinstance(out.type, Scalar)]

    def stored(self, let: Let, path: _Path) -> Let:
        """A dear statement becomes a read of what it is at every index of the path that it depends on."""
        block = _slice(let, path.steady)
        used = free(block)
        axes = [(i, n) for i, n in zip(path.index, path.extent, strict=True) if i in used]
        result = let.vars[0]
        assert isinstance(result.type, Scalar)
        if not axes:
            moved = rename(block, self.env)
            self.before += moved.lets
            self.env[result] = moved.outs[0]
            return let
        own = {i: Var(i.type, i.hint) for i, _ in axes}
        extent = tuple(n for _, n in axes)
        table = Var(Array(result.type.dtype, extent), result.hint)
        op = For(tuple(own.values()), extent, rename(block, {**self.env, **own}), (Map(),))
        self.before.append(Let((table,), op, let.site))
        return Let(let.vars, Read(table, tuple(own), safe=True), let.site)

    def invariant(self, let: Let) -> bool:
        return self.varying.isdisjoint(uses(let))

    def may_move(self, let: Let, first: bool = False) -> bool:
        """`first`: it runs before anything of the loop that may raise, and does run."""
        return not contributed(let.op) and (first or not (self.effects.fails(let.op) or self.effects.trusts(let.op)))

    def bind_inside(self, op: Op) -> None:
        """Everything bound inside an op that isn't crossed varies."""
        for binders, inner in blocks(op):
            self.varying.update(binders)
            for let in inner:
                self.varying.update(let.vars)
                self.bind_inside(let.op)


def _runs(loop: For | Loop | While) -> bool:
    """Is there certainly a turn?"""
    extents = loop.extent if isinstance(loop, For) else (loop.extent,) if isinstance(loop, Loop) else (None,)
    return all(isinstance(n, Literal) and n.value > 0 for n in extents)


def _dear(let: Let) -> bool:
    """A Reduce to one scalar, or a transcendental function."""
    op = let.op
    if isinstance(op, For):
        return len(let.vars) == 1 and isinstance(op.yields[0], Reduce) and isinstance(let.vars[0].type, Scalar)
    return isinstance(op, Prim) and op.name not in CHEAP and prims.TABLE[op.name].recipe.startswith(("call:", "llvm:"))


def _part(op: For, chosen: Sequence[int]) -> For:
    """A For of some of the results alone; its body has no effects."""
    outs = tuple(op.body.outs[k] for k in chosen)
    lets = needed(op.body.lets, outs)
    return replace(op, body=Block(tuple(lets), outs), yields=tuple(op.yields[k] for k in chosen))


def _slice(let: Let, steady: Sequence[Let]) -> Block:
    """A statement with the statements of the path that it needs, to be run elsewhere."""
    return Block((*needed(steady, uses(let)), let), (let.vars[0],))

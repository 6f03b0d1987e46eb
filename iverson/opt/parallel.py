"""parallel: a Loop that only accumulates is a For.

    s = Loop (i < n) [c = c0] { B; c' = c m e } (c')
        ->   s = Accumulate [acc = m c0] { For [i < n] { B; acc[] <- e } }

    x = Loop (i < n) [a = a0] { B; a' = Accumulate [acc = m a] { C } } (a')
        ->   x = Accumulate [acc = m a0] { For [i < n] { B; C } }

and so where the update stands in a branch, and for several in a row with one m: every carry must reach its next value
by updates of a single monoid and be used nowhere else.  What the Loop emits, the For maps; if it carries nothing, it is
that For.  (A For that contributes to `set` sees its indices in order, so nothing needs to be known about where the
turns write.)

Invariant: the count is the same.  Sums may be reassociated by whoever runs the For.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from iverson.core.build import dtype_of
from iverson.core.dce import dce
from iverson.core.rewrite import atoms, blocks, free, map_blocks, type_atoms, with_body, with_lets
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    Function,
    If,
    Let,
    Loop,
    Map,
    Monoid,
    Prim,
    Var,
)
from iverson.opt.effects import extents
from iverson.opt.substitute import Substitution

COMMUTING = frozenset({"add", "mul", "min", "max", "and", "or"})


def run(f: Function) -> Function:
    """Innermost loops first: what they accumulate, the loops around them accumulate."""
    return dce(with_body(f, accumulated(f.body)))


def accumulated(block: Block) -> Block:
    """A block whose Loops are Fors where they may."""
    lets: list[Let] = []
    for let in block:
        new = map_blocks(let, accumulated)
        instead = _accumulated(new, new.op) if isinstance(new.op, Loop) else None
        lets.append(instead or new)
    return with_lets(block, lets)


def _accumulated(let: Let, loop: Loop) -> Let | None:
    """The Accumulate that a Loop is, if it is one."""
    places: dict[Var, Var] = {}
    accs: list[Var] = []
    for k, carry in enumerate(loop.carry):
        chain = _Chain()
        if chain.follow(loop.body, carry) != k or chain.monoid is None:
            return None
        accs.append(Var(Accumulator(chain.monoid, (dtype_of(carry),), extents(carry.type)), carry.hint))
        places.update(dict.fromkeys(chain.names, accs[-1]))
    strip = _Strip(places)
    body = strip.block(loop.body, range(len(loop.carry), len(loop.body.outs)))
    emits = tuple(Var(v.type, v.hint) for v in let.vars[len(accs) :])
    inner = Let(emits, For((loop.index,), (loop.extent,), Substitution(strip.env).block(body), (Map(),) * len(emits)))
    if not accs:
        return replace(let, op=inner.op)
    return replace(let, op=Accumulate(tuple(accs), tuple((a,) for a in loop.inits), Block((inner,), emits)))


# --- following a carry ------------------------------------------------------------------------------------------------


@dataclass
class _Chain:
    """The updates that lead from a carry to its next value."""

    monoid: Monoid | None = None
    names: list[Var] = field(default_factory=list)  # the carry and its versions

    def follow(self, block: Block, version: Var) -> int | None:
        """The out of the block that a name becomes by updates alone, each version being used nowhere else."""
        users = _users(block)
        while True:
            self.names.append(version)
            if len(users.get(version, ())) != 1:
                return None
            (user,) = users[version]
            if isinstance(user, int):
                return user
            updated = self.update(user, version)
            if updated is None:
                return None
            version = updated

    def update(self, let: Let, version: Var) -> Var | None:
        """The version that a statement makes of this one."""
        match let.op:
            case Prim(name, (x, y)) if name in COMMUTING and x != y and self.joins(cast(Monoid, name)):
                return let.vars[0]
            case Accumulate(_, _, body) if version not in free(body):
                return self.accumulated(let, let.op, version)
            case If(pred, then, orelse) if pred is not version:
                k = self.follow(then, version)
                return let.vars[k] if k is not None and self.follow(orelse, version) == k else None
            case _:
                return None

    def accumulated(self, let: Let, op: Accumulate, version: Var) -> Var | None:
        at = 0
        for acc, init in zip(op.accs, op.inits, strict=True):
            assert isinstance(acc.type, Accumulator)
            if init == (version,):
                return let.vars[at] if self.joins(acc.type.monoid) else None
            at += len(acc.type.dtypes) + (acc.type.monoid == "append")
        return None

    def joins(self, monoid: Monoid) -> bool:
        """One monoid throughout."""
        self.monoid = self.monoid or monoid
        return self.monoid == monoid


def _users(block: Block) -> dict[Var, list[Let | int]]:
    """By name, the statements of a block, or the numbers of its outs, that mention it; one entry for each mention."""
    users: dict[Var, list[Let | int]] = {}
    for let in block:
        inner: dict[Var, None] = {}
        for binders, nested in blocks(let.op):
            inner |= free(nested, binders)
        types = [a for v in let.vars for a in type_atoms(v.type)]
        for a in (*atoms(let.op), *inner, *types):
            if isinstance(a, Var):
                users.setdefault(a, []).append(let)
    for k, out in enumerate(block.outs):
        if isinstance(out, Var):
            users.setdefault(out, []).append(k)
    return users


# --- taking the carries out -------------------------------------------------------------------------------------------


class _Strip:
    """Rebuilds a body whose updates contribute; `env` learns what results are called now."""

    def __init__(self, places: dict[Var, Var]) -> None:
        self.places = places  # the versions of a carry -> its accumulator
        self.env: dict[Var, Atom] = {}

    def block(self, block: Block, kept: Collection[int]) -> Block:
        lets = tuple(new for let in block for new in self.let(let))
        return Block(lets, tuple(out for k, out in enumerate(block.outs) if k in kept))

    def let(self, let: Let) -> Sequence[Let]:
        op = let.op
        if self.places.keys().isdisjoint(let.vars):
            return (let,)
        if isinstance(op, Prim):
            x, y = op.args
            value = y if x in self.places else x
            return (Let((), Contribute(self.places[let.vars[0]], (), (value,)), let.site),)
        kept = [k for k, v in enumerate(let.vars) if v not in self.places]
        if isinstance(op, If):
            new = If(op.pred, self.block(op.then, kept), self.block(op.orelse, kept))
            return (Let(tuple(let.vars[k] for k in kept), new, let.site),)
        assert isinstance(op, Accumulate)
        return self.accumulate(let, op, kept)

    def accumulate(self, let: Let, op: Accumulate, kept: Sequence[int]) -> Sequence[Let]:
        """An Accumulate without the accumulators that are now further out."""
        accs, inits = [], []
        for acc, init in zip(op.accs, op.inits, strict=True):
            if init and init[0] in self.places:
                self.env[acc] = self.places[cast(Var, init[0])]
            else:
                accs.append(acc)
                inits.append(init)
        if accs:
            return (Let(tuple(let.vars[k] for k in kept), replace(op, accs=tuple(accs), inits=tuple(inits)), let.site),)
        self.env.update(zip((let.vars[k] for k in kept), op.body.outs, strict=True))
        return op.body.lets

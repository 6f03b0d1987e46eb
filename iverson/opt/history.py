"""What may have written into an array that a loop carries, at each of its versions; to which places it surely did not.

    h = History(sizes, {carry: (Turns(loop),)})
    with sizes.inside(loop, loop.body):
        h.follows(loop, k)          the versions of carry k in a turn; False if the array is used in another way
        h.spares(past, place)       has what ran before surely not written to a place?

Used by opt/initial.py, opt/distribute.py and opt/right_looking.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from iverson.core.bounds import Sizes
from iverson.core.rewrite import atoms, blocks, fresh_all, lookup, map_op
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    If,
    Let,
    Loop,
    Op,
    Prim,
    Read,
    Var,
)
from iverson.opt.written import Update, update

EFFORT = 16  # for a proof


@dataclass(frozen=True, eq=False)  # the same only as itself: the hash of a statement is that of all it contains
class Turns:
    """The turns of a loop before the one at hand."""

    loop: Loop


@dataclass(frozen=True, eq=False)
class Done:
    """A statement that has run."""

    let: Let


Past: TypeAlias = tuple[Turns | Done, ...]


class _Refused(Exception):
    """The array is used in another way."""


@dataclass
class History:
    """What becomes of an array in a loop."""

    sizes: Sizes
    past: dict[Var, Past]  # each version of the array, and what may have written into it
    accs: set[Var] = field(default_factory=set)  # of its updates
    updates: dict[tuple[Var, ...], Update | None] = field(default_factory=dict)  # by what their statements bind

    # --- its versions -------------------------------------------------------------------------------------------------

    def follows(self, op: Loop, k: int) -> bool:
        """Find all versions; False if the array is used in another way."""
        try:
            self.enter(op.body, {k})
        except _Refused:
            return False
        return op.body.outs[k] in self.past

    def enter(self, block: Block, at: set[int]) -> None:
        """A block that gives versions for its outs at these positions and no others."""
        for let in block:
            self.statement(let, let.op)
        if any(out in self.past for k, out in enumerate(block.outs) if k not in at):
            raise _Refused

    def statement(self, let: Let, op: Op) -> None:
        taken = [a for a in atoms(op) if a in self.past]
        match op:
            case Read(array) if taken == [array]:
                return
            case Accumulate(accs, inits, body):
                self.accumulate(let, accs, inits)
                self.enter(body, set())
            case Loop(_, _, carry, inits, body) if len(taken) <= 1:
                at = {k for k, a in enumerate(inits) if a in self.past}
                turns, done = Turns(op), Done(let)
                for k in at:
                    before = self.past[inits[k]]  # type: ignore[index]
                    self.past[carry[k]] = (*before, turns)
                    self.past[let.vars[k]] = (*before, done)
                self.enter(body, at)
                if any(body.outs[k] not in self.past for k in at):
                    raise _Refused
            case If(_, then, orelse) if not taken:
                before, done = tuple(dict.fromkeys(p for past in self.past.values() for p in past)), Done(let)
                for inner in (then, orelse):
                    self.enter(inner, set(range(len(inner.outs))))
                for v, one, two in zip(let.vars, then.outs, orelse.outs, strict=True):
                    if (one in self.past) != (two in self.past):
                        raise _Refused
                    if one in self.past:
                        self.past[v] = (*before, done)
            case _ if taken:
                raise _Refused
            case _:
                for _, inner in blocks(op):
                    self.enter(inner, set())

    def accumulate(self, let: Let, accs: Sequence[Var], inits: Sequence[Sequence[Atom]]) -> None:
        at, done = 0, Done(let)
        for acc, init in zip(accs, inits, strict=True):
            assert isinstance(acc.type, Accumulator)
            if any(a in self.past for a in init):
                if len(init) != 1 or not isinstance(acc.type.monoid, str):
                    raise _Refused
                self.accs.add(acc)
                self.updates[let.vars] = update(let, acc)
                self.past[let.vars[at]] = (*self.past[init[0]], done)  # type: ignore[index]
            at += len(acc.type.dtypes) + (acc.type.monoid == "append")

    # --- where it was written -----------------------------------------------------------------------------------------

    def spares(self, past: Turns | Done, place: Sequence[Atom]) -> bool:
        """Has something that ran surely not written to a place?"""
        if isinstance(past, Done):
            block, env, turns = Block((past.let,), ()), dict[Var, Atom](), None
        else:
            block, env = past.loop.body, dict[Var, Atom]()
            (j, *_) = fresh_all((past.loop.index, *past.loop.carry), env)
            turns = For((j,), (past.loop.index,), block, ())
        with self.sizes.inside(turns or Accumulate((), (), block), block):
            return self.apart(block, env, place)

    def apart(self, block: Block, env: dict[Var, Atom], place: Sequence[Atom]) -> bool:
        """Does a block, as it ran with other names, write to other places only?"""
        for let in block:
            op = let.op
            mine = isinstance(op, Contribute) and op.acc in self.accs
            written = [lookup(w, env) for w in op.index] if mine else []  # type: ignore[union-attr]
            if mine and not any(self.differ(e, w) for e, w in zip(place, written, strict=False)):
                return False
            for binders, inner in blocks(op):
                fresh_all(binders, env)
                here = self.renamed(op, env, inner)
                with self.sizes.inside(here, inner):
                    if not self.apart(inner, env, place):
                        return False
            new = fresh_all(let.vars, env)
            if isinstance(op, Prim):
                self.sizes.bind(Let(new, map_op(op, lambda a: lookup(a, env), lambda b: b)))
        return True

    def renamed(self, op: Op, env: dict[Var, Atom], block: Block) -> Op:
        """What bounds the indices in a block of an op."""
        match op:
            case For(index, extent, body) if block is body:
                names = tuple(env[i] for i in index)
                return For(names, tuple(lookup(n, env) for n in extent), block, ())  # type: ignore[arg-type]
            case Loop(index, extent):
                return For((env[index],), (lookup(extent, env),), block, ())  # type: ignore[arg-type]
            case If(pred, then):
                empty = Block((), ())
                return If(lookup(pred, env), block if block is then else empty, empty)
            case _:
                return Accumulate((), (), block)

    def differ(self, e: Atom, w: Atom) -> bool:
        apart = self.sizes.of(e) - self.sizes.of(w)
        return self.sizes.nonnegative(apart - 1, EFFORT) or self.sizes.nonnegative(-apart - 1, EFFORT)

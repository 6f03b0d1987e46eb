"""branches: an element that both sides update is updated once, after them.

    y = If p { A; x' = Accumulate [acc = m x] { acc[e] <- v } } (x') else { B; x' = .. { acc[f] <- w } } (x')
    ->  u, g = If p { A } (v, e) else { B } (w, f);  y = Accumulate [acc = m x] { acc[g] <- u }

where x' is used nowhere else.  Then the update derives from x without a branch: a Loop around it is seen to write one
element a turn.

Invariant: the count is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from iverson.core.dce import dce
from iverson.core.rewrite import free, map_blocks, single_update, with_body, with_lets, with_op
from iverson.core.syntax import I64, Accumulate, Accumulator, Block, Contribute, Function, If, Let, Scalar, Var


def run(f: Function) -> Function:
    """Innermost branches first, so that what leaves one may leave the next."""
    return dce(with_body(f, _block(f.body)))


@dataclass(frozen=True)
class _Update:
    """The update of one place that a branch ends with."""

    at: int  # its statement
    array: Var
    acc: Var
    one: Contribute

    def fits(self, other: _Update) -> bool:
        """Do they update one array by one monoid?"""
        a, b = self.acc.type, other.acc.type
        assert isinstance(a, Accumulator) and isinstance(b, Accumulator)
        return self.array is other.array and isinstance(a.monoid, str) and a.monoid == b.monoid


def _block(block: Block) -> Block:
    lets: list[Let] = []
    for let in block:
        new = map_blocks(let, _block)
        lets += _after(new, new.op) if isinstance(new.op, If) else (new,)
    return with_lets(block, lets)


def _after(let: Let, op: If) -> list[Let]:
    """The branch without the updates that both sides make, and these."""
    updates: list[Let] = []
    for k, v in enumerate(let.vars):
        then, orelse = _update(op.then, k), _update(op.orelse, k)
        if then is None or orelse is None or not then.fits(orelse):
            continue
        axes = [a for a, (i, j) in enumerate(zip(then.one.index, orelse.one.index, strict=True)) if i != j]
        index = list(then.one.index)
        for a in axes:
            index[a] = Var(Scalar(I64), "i")
        value = Var(_scalar(then), v.hint)
        op = If(op.pred, _without(op.then, k, then, axes), _without(op.orelse, k, orelse, axes))
        moved = tuple(i for a in axes if isinstance(i := index[a], Var))
        let = replace(let, vars=(*let.vars[:k], value, *let.vars[k + 1 :], *moved))
        one = replace(then.one, index=tuple(index), values=(value,), safe=then.one.safe and orelse.one.safe)
        body = Block((Let((), one, let.site),), ())
        updates.append(Let((v,), Accumulate((then.acc,), ((then.array,),), body), let.site))
    return [with_op(let, op), *updates]


def _scalar(update: _Update) -> Scalar:
    t = update.acc.type
    assert isinstance(t, Accumulator)
    return Scalar(t.dtypes[0])


def _update(block: Block, k: int) -> _Update | None:
    """The update that makes out k of a branch, if that is all there is to the out."""
    out = block.outs[k]
    for at, let in enumerate(block):
        one = single_update(let.op) if let.vars == (out,) else None
        if one is None:
            continue
        assert isinstance(let.op, Accumulate) and isinstance(let.op.inits[0][0], Var)
        array = let.op.inits[0][0]
        rest = Block((*block.lets[:at], *block.lets[at + 1 :]), (*block.outs[:k], *block.outs[k + 1 :]))
        if out in free(rest) or any(array in other.vars for other in block):
            return None
        return _Update(at, array, one.acc, one)
    return None


def _without(block: Block, k: int, update: _Update, axes: Sequence[int]) -> Block:
    """A branch that gives the new value, and the indices along `axes`, instead of the updated array."""
    lets = (*block.lets[: update.at], *block.lets[update.at + 1 :])
    index = tuple(update.one.index[a] for a in axes)
    return Block(lets, (*block.outs[:k], update.one.values[0], *block.outs[k + 1 :], *index))

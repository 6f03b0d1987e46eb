"""branches: an update that both sides make of one place is made once, after them.

    y = If p { A; x' = Accumulate [acc = m x] { acc[e] <- v } } (x') else { B; x' = .. { acc[e] <- w } } (x')
    ->  u = If p { A } (v) else { B } (w);  y = Accumulate [acc = m x] { acc[e] <- u }

where x' is used nowhere else, and e is known outside.  Then the update derives from x without a branch: a Loop around
it is seen to write one place a turn.

Invariant: the count is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from iverson.core.dce import dce
from iverson.core.rewrite import free, map_op
from iverson.core.syntax import Accumulate, Accumulator, Array, Block, Contribute, Function, If, Let, Scalar, Var


def run(f: Function) -> Function:
    """Innermost branches first, so that what leaves one may leave the next."""
    return dce(replace(f, body=_block(f.body)))


@dataclass(frozen=True)
class _Update:
    """The update of one place that a branch ends with."""

    at: int  # its statement
    array: Var
    acc: Var
    one: Contribute

    def same_place(self, other: _Update) -> bool:
        a, b = self.acc.type, other.acc.type
        assert isinstance(a, Accumulator) and isinstance(b, Accumulator)
        same = self.array is other.array and self.one.index == other.one.index
        return same and isinstance(a.monoid, str) and a.monoid == b.monoid


def _block(block: Block) -> Block:
    lets: list[Let] = []
    for let in block:
        new = Let(let.vars, map_op(let.op, lambda a: a, _block), let.site)
        lets += _after(new, new.op) if isinstance(new.op, If) else (new,)
    return Block(tuple(lets), block.outs)


def _after(let: Let, op: If) -> list[Let]:
    """The branch without the updates that both sides make of one place, and these."""
    updates: list[Let] = []
    for k, v in enumerate(let.vars):
        if not isinstance(v.type, Array):
            continue
        then, orelse = _update(op.then, k), _update(op.orelse, k)
        if then is None or orelse is None or not then.same_place(orelse):
            continue
        new = Var(_scalar(then), v.hint)
        op = If(op.pred, _without(op.then, k, then), _without(op.orelse, k, orelse))
        let = replace(let, vars=(*let.vars[:k], new, *let.vars[k + 1 :]))
        one = replace(then.one, values=(new,), safe=then.one.safe and orelse.one.safe)
        body = Block((Let((), one, let.site),), ())
        updates.append(Let((v,), Accumulate((then.acc,), ((then.array,),), body), let.site))
    return [replace(let, op=op), *updates]


def _scalar(update: _Update) -> Scalar:
    t = update.acc.type
    assert isinstance(t, Accumulator)
    return Scalar(t.dtypes[0])


def _update(block: Block, k: int) -> _Update | None:
    """The update that makes out k of a branch, if that is all there is to the out and it can be made outside."""
    out = block.outs[k]
    bound = {v for let in block for v in let.vars}
    for at, let in enumerate(block):
        if let.vars != (out,) or not isinstance(let.op, Accumulate) or len(let.op.body.lets) != 1:
            continue
        (array,), (acc,) = let.op.inits[0], let.op.accs
        one = let.op.body.lets[0].op
        if not isinstance(one, Contribute) or len(one.values) != 1 or one.acc is not acc or let.op.body.outs:
            return None
        rest = Block((*block.lets[:at], *block.lets[at + 1 :]), (*block.outs[:k], *block.outs[k + 1 :]))
        if bound.intersection((array, *one.index)) or out in free(rest):
            return None
        assert isinstance(array, Var)
        return _Update(at, array, acc, one)
    return None


def _without(block: Block, k: int, update: _Update) -> Block:
    lets = (*block.lets[: update.at], *block.lets[update.at + 1 :])
    return Block(lets, (*block.outs[:k], update.one.values[0], *block.outs[k + 1 :]))

"""gather: contributions whose places are known become Maps and Reduces (scatter to gather).

    For [i < n] { B; acc[e] <- v } yields Y     ->   r = For [i < n] { B } yields Y, [Reduce m] v;  acc[e] <- r
                                                     where e is fixed in the For and in bounds even if n = 0

    acc[e] <- v; acc[e] <- w                    ->   acc[e] <- v m w

    x = Accumulate [acc = m x0] { acc[] <- v }  ->   x = x0 m v, or v if x0 is m's identity

    x = Accumulate [acc = m zero] { For [i < n] { For [j < k] { B; acc[i, j] <- v } } }
                                                ->   x = For [i < n] { For [j < k] { B } yields v } yields [Map]
                                                     where acc has extents [n, k], nothing else is contributed to it,
                                                     and zero holds m's identity everywhere (or m is set: any zero)

The monoids m commute; floating-point sums are reassociated, and a sum of zeros may be another zero.

Invariant: the count rises by at most one for each run of a For that gets a Reduce; the others don't raise it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.core import monoids
from iverson.core.build import literal
from iverson.core.dce import dce
from iverson.core.rewrite import map_blocks, statements, uses, with_body, with_lets
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    DType,
    For,
    Function,
    Let,
    Literal,
    Map,
    Prim,
    Reduce,
    Var,
)
from iverson.opt.effects import Effects

COMMUTING = frozenset({"add", "mul", "min", "max", "and", "or"})


def run(f: Function) -> Function:
    """Innermost loops first, so that what they reduce is contributed further out, and reduced again."""
    return dce(with_body(f, Gather(f).block(f.body)))


class Gather:
    def __init__(self, f: Function) -> None:
        self.effects = Effects(f)
        self.fills: dict[Var, Literal] = {}  # arrays that hold one value
        for let in statements(f.body):
            if isinstance(let.op, For) and let.op.yields == (Map(),) and isinstance(let.op.body.outs[0], Literal):
                self.fills[let.vars[0]] = let.op.body.outs[0]

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            new = map_blocks(let, self.block)
            if isinstance(new.op, For):
                lets += self.reduced(new)
            elif isinstance(new.op, Accumulate):
                lets += self.gathered(new)
            else:
                lets.append(new)
        return with_lets(block, self.combined(lets))

    # --- a For that contributes to one place --------------------------------------------------------------------------

    def reduced(self, let: Let) -> list[Let]:
        """A For, then the contributions that it made to fixed places."""
        op = let.op
        assert isinstance(op, For)
        bound = {*op.index, *(v for inner in op.body for v in inner.vars)}
        kept, after, results = [], [], []
        for inner in op.body:
            c = inner.op
            if isinstance(c, Contribute) and c.acc not in bound and self.fixed(c, bound):
                r = Var(c.values[0].type, c.acc.hint)
                results.append((r, Reduce(_accumulator(c.acc).monoid), c.values[0]))
                after.append(Let((), replace(c, values=(r,)), inner.site))
            else:
                kept.append(inner)
        if not results:
            return [let]
        body = Block(tuple(kept), (*op.body.outs, *(v for _, _, v in results)))
        new = For(op.index, op.extent, body, (*op.yields, *(y for _, y, _ in results)))
        return [Let((*let.vars, *(r for r, _, _ in results)), new, let.site), *after]

    def fixed(self, c: Contribute, bound: set[Var]) -> bool:
        t = _accumulator(c.acc)
        return t.monoid in COMMUTING and not bound.intersection(c.index) and self.effects.evident(c.index, t.extents)

    def combined(self, lets: list[Let]) -> list[Let]:
        """Contributions of one block to one place, combined where the last of them stands."""
        out: list[Let | None] = []
        pending: dict[tuple[Atom, ...], int] = {}
        for let in lets:
            c = let.op
            if isinstance(c, Contribute) and _accumulator(c.acc).monoid in COMMUTING and not self.effects.fails(c):
                place = (c.acc, *c.index)
                earlier = out[pending[place]] if place in pending else None
                if earlier is not None and isinstance(earlier.op, Contribute):
                    both = Var(c.values[0].type, c.acc.hint)
                    sum_ = Prim(str(_accumulator(c.acc).monoid), (*earlier.op.values, *c.values))
                    out[pending[place]] = None
                    out.append(Let((both,), sum_, let.site))
                    let = Let((), replace(c, values=(both,)), let.site)
                pending[place] = len(out)
            out.append(let)
        return [let for let in out if let is not None]

    # --- an Accumulate whose places are known -------------------------------------------------------------------------

    def gathered(self, let: Let) -> list[Let]:
        """An Accumulate without the accumulators that needn't be any."""
        op = let.op
        assert isinstance(op, Accumulate)
        finals, others = let.vars[: len(let.vars) - len(op.body.outs)], let.vars[len(let.vars) - len(op.body.outs) :]
        body, after, accs, inits = op.body, [], [], []
        left: list[Var] = []
        for acc, init in zip(op.accs, op.inits, strict=True):
            t = _accumulator(acc)
            count = len(t.dtypes) + (t.monoid == "append")
            mine, finals = finals[:count], finals[count:]
            found = self.mapped(body, acc, init) if count == 1 else None
            if found is None and count == 1:
                found = _scalar(body, acc)
            if found is None:
                accs.append(acc)
                inits.append(init)
                left += mine
                continue
            body, value = found
            if t.extents or init[0] == unit(str(t.monoid), t.dtypes[0]):
                others = (*others, mine[0])
            else:
                r = Var(mine[0].type, acc.hint)
                others = (*others, r)
                after.append(Let(mine, Prim(str(t.monoid), (init[0], r)), let.site))
            body = Block(body.lets, (*body.outs, value))
        if len(accs) == len(op.accs):
            return [let]
        new = Accumulate(tuple(accs), tuple(inits), body)
        return [Let((*left, *others), new, let.site), *after]

    def mapped(self, body: Block, acc: Var, init: Sequence[Atom]) -> tuple[Block, Atom] | None:
        """The body without its contributions to acc, and the array they make."""
        t = _accumulator(acc)
        if not t.extents or not (t.monoid == "set" or (t.monoid in COMMUTING and self.is_identity(t, init[0]))):
            return None
        return _stack(body, acc, (), ())

    def is_identity(self, t: Accumulator, init: Atom) -> bool:
        return isinstance(init, Var) and self.fills.get(init) == unit(str(t.monoid), t.dtypes[0])


def unit(monoid: str, dtype: DType) -> Literal:
    return literal(monoids.identity(monoid, dtype)[0], dtype)


def _accumulator(acc: Var) -> Accumulator:
    assert isinstance(acc.type, Accumulator)
    return acc.type


def _stack(body: Block, acc: Var, index: tuple[Atom, ...], extents: tuple[Atom, ...]) -> tuple[Block, Atom] | None:
    """A block without its one contribution to acc[index], and what was contributed: a scalar, or an array over the
    indices of the Fors it stood in."""
    users = [k for k, let in enumerate(body) if acc in uses(let)]
    if len(users) != 1:
        return None
    (k,) = users
    let, t = body.lets[k], _accumulator(acc)
    if isinstance(let.op, Contribute):
        if not index or let.op.index != index or t.extents != extents:
            return None
        return Block((*body.lets[:k], *body.lets[k + 1 :]), body.outs), let.op.values[0]
    if not isinstance(let.op, For):
        return None
    op = let.op
    inner = _stack(op.body, acc, (*index, *op.index), (*extents, *op.extent))
    if inner is None:
        return None
    block, element = inner
    result = Var(Array(t.dtypes[0], t.extents[len(extents) :]), acc.hint)
    new = For(op.index, op.extent, Block(block.lets, (*block.outs, element)), (*op.yields, Map()))
    lets = (*body.lets[:k], Let((*let.vars, result), new, let.site), *body.lets[k + 1 :])
    return Block(lets, body.outs), result


def _scalar(body: Block, acc: Var) -> tuple[Block, Atom] | None:
    """A block without its one contribution to a scalar accumulator, which always happens, and its value."""
    t = _accumulator(acc)
    users = [k for k, let in enumerate(body) if acc in uses(let)]
    if t.extents or t.monoid not in COMMUTING or len(users) != 1:
        return None
    (k,) = users
    c = body.lets[k].op
    if not isinstance(c, Contribute):
        return None
    return Block((*body.lets[:k], *body.lets[k + 1 :]), body.outs), c.values[0]

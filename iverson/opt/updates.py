"""updates: an element that is set to itself and something more is added to.

    v = a[e];  s = v m u;  Accumulate [acc = set a] { acc[e] <- s }    ->    Accumulate [acc = m a] { acc[e] <- u }

for the monoids m that commute, where v and s are used for nothing else, and e is in bounds or nothing between raises.

Invariant: the count falls.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.core.build import dtype_of
from iverson.core.dce import dce
from iverson.core.rewrite import atoms, blocks, free, map_blocks, single_update, type_atoms, with_body, with_lets
from iverson.core.syntax import Accumulate, Accumulator, Atom, Block, Contribute, Function, Let, Prim, Read, Var
from iverson.opt.effects import Effects, extents

COMMUTING = ("add", "mul", "min", "max")


def run(f: Function) -> Function:
    return dce(with_body(f, _Updates(f).block(f.body)))


class _Updates:
    def __init__(self, f: Function) -> None:
        self.effects = Effects(f)

    def block(self, block: Block) -> Block:
        lets = [map_blocks(let, self.block) for let in block]
        made = {v: k for k, let in enumerate(lets) for v in let.vars}
        for at, let in enumerate(lets):
            c = single_update(let.op)
            if c is not None and c.acc.type.monoid == "set":  # type: ignore[union-attr]
                lets[at] = self.updated(lets, block.outs, made, let, c) or let
        return with_lets(block, lets)

    def updated(
        self, lets: list[Let], outs: tuple[Atom, ...], made: dict[Var, int], let: Let, c: Contribute
    ) -> Let | None:
        """The update by m, if it is one."""
        op = let.op
        assert isinstance(op, Accumulate)
        ((array,),), (value,) = op.inits, c.values
        combined = lets[made[value]].op if isinstance(value, Var) and value in made else None
        if not isinstance(combined, Prim) or combined.name not in COMMUTING:
            return None
        for old, more in (combined.args, combined.args[::-1]):
            read = lets[made[old]].op if isinstance(old, Var) and old in made else None
            if not isinstance(read, Read) or read.array is not array or read.index != c.index:
                continue
            if _mentions(lets, outs, old) != 1 or _mentions(lets, outs, value) != 1:
                continue
            assert isinstance(old, Var)
            between = lets[made[old] + 1 : made[let.vars[0]]]
            if self.effects.fails(read) and any(self.effects.fails(other.op) for other in between):
                continue
            t = Accumulator(combined.name, (dtype_of(array),), extents(array.type))  # type: ignore[arg-type]
            acc = Var(t, c.acc.hint)
            body = Block((Let((), replace(c, acc=acc, values=(more,))),), ())
            return Let(let.vars, Accumulate((acc,), op.inits, body), let.site)
        return None


def _mentions(lets: list[Let], outs: tuple[Atom, ...], v: Atom) -> int:
    """In how many statements and outs of a block a name stands."""
    count = sum(out is v for out in outs)
    for let in lets:
        inner = {a for binders, b in blocks(let.op) for a in free(b, binders)}
        types = {a for w in let.vars for a in type_atoms(w.type)}
        count += sum(a is v for a in atoms(let.op)) + (v in inner) + (v in types)
    return count

"""distribute: what makes sums in a loop that updates arrays in order leaves it, where the order doesn't matter.

What is added to an array last in each turn, and read or set in no later one, is added after the loop:

    x = Loop (i < n) [a = a0] { B; b = ..a..; a' = Accumulate [acc = m b] { C } } (a')
        ->   y = Loop (i < n) [a = a0] { B; b = ..a..; C' } (b)
             x = Accumulate [acc = m y] { For [i < n] { B; C } }

where b is an update of a, B and C need nothing that the loop carries, and no place that a turn reads or updates
otherwise has been contributed to in a turn before: rows that are scaled and added to, say.  C' is what of C may raise,
so that the loop meets the errors, in their order, and the For none.  Only where turns of a For in C contribute to one
place: then C is what takes the time.

What is contributed to arrays from outside, and needs of what is carried only elements that are as they were before the
loop, is contributed before it, as in return sweeps of such loops:

    Loop (i < n) [a = a0] { B; For [..] { .. a[e] ..; out[f] <- v }; .. }
        ->   For [i < n] { B; For [..] { .. a0[e] ..; out[f] <- v } };  Loop (i < n) [a = a0] { B; .. }

if only one of them may raise, and it is a nest.  All monoids are ones that commute.  What leaves may be a product of
matrices (opt/contract.py).

Invariant: the count rises by what B and C' need once more, a part of C.  The order in which a place is updated stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from iverson.core.bounds import Sizes
from iverson.core.build import Builder, dtype_of
from iverson.core.dce import dce
from iverson.core.rewrite import (
    atoms,
    blocks,
    contributed,
    free,
    map_blocks,
    map_op,
    needed,
    operators,
    rename,
    statements,
    with_body,
    with_lets,
)
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Loop,
    Monoid,
    Prim,
    Read,
    Var,
)
from iverson.opt.effects import Effects, extents
from iverson.opt.history import History, Turns
from iverson.opt.initial import COMMUTING


def run(f: Function) -> Function:
    if not any(isinstance(s.op, Loop) for s in statements(f.body)):
        return f
    body = _Distribute(f).block(f.body)
    return f if body is f.body else dce(with_body(f, body))


class _Distribute:
    def __init__(self, f: Function) -> None:
        self.sizes = Sizes(f)
        self.effects = Effects(f)

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            for new in self.parts(let):
                lets.append(self.within(new))
                self.sizes.bind(lets[-1])
        return with_lets(block, lets)

    def within(self, let: Let) -> Let:
        def walk(inner: Block) -> Block:
            with self.sizes.inside(let.op, inner):
                return self.block(inner)

        return map_blocks(let, walk)

    def parts(self, let: Let) -> list[Let]:
        """What a statement becomes."""
        if not isinstance(let.op, Loop) or let.op.tape is not None:
            return [let]
        for k in range(len(let.op.carry)):
            found = self.added_last(let, let.op, k)
            if found:
                return [*self.parts(found[0]), found[1]]
        for s in let.op.body:
            found = self.contributed_first(let, let.op, s, s.op) if isinstance(s.op, For) and not s.vars else None
            if found:
                return [found[0], *self.parts(found[1])]
        return [let]

    def spared(self, op: Loop, block: Block, met: Collection[Var], accs: Collection[Var]) -> bool:
        """Do reads and updates of some arrays, in a part of a turn, miss all that earlier turns contributed?"""
        history = History(self.sizes, {}, set(accs))

        def clear(inner: Block) -> bool:
            for s in inner:
                of = s.op.array if isinstance(s.op, Read) else s.op.acc if isinstance(s.op, Contribute) else None
                if of in met and not history.spares(Turns(op), s.op.index):  # type: ignore[union-attr, arg-type]
                    return False
                for _, nested in blocks(s.op):
                    with self.sizes.inside(s.op, nested):
                        if not clear(nested):
                            return False
                self.sizes.bind(s)
            return True

        with self.sizes.inside(op, op.body):
            return clear(block)

    # --- after the loop -----------------------------------------------------------------------------------------------

    def added_last(self, let: Let, op: Loop, k: int) -> tuple[Let, Let] | None:
        """The loop without its last update of an array, and that."""
        versions = _versions(op, k)
        last = _last(op, versions)
        if last is None:
            return None
        assert isinstance(last.op, Accumulate)
        (acc,) = last.op.accs
        others = tuple(s for s in op.body if s is not last)
        shared = needed(others, free(last.op.body))
        added = Block((*shared, *last.op.body), ())
        if not free(added).keys().isdisjoint(op.carry) or not all(map(self.simple, statements(added))):
            return None
        own = [a for s in others if isinstance(s.op, Accumulate) and s.vars[0] in versions for a in s.op.accs]
        if not _repeated(added, acc) or not self.spared(op, Block(others, ()), [*versions, *own], [acc]):
            return None
        both = {id(s) for s in shared}
        body: list[Let] = []
        for s in op.body:
            part = last.op.body if s is last else Block((s,), ())
            body += self.raising(part, acc) if s is last or id(s) in both else [s]
        (before,) = last.op.inits[0]
        outs = tuple(before if at == k else out for at, out in enumerate(op.body.outs))
        final = let.vars[k]
        first = Var(final.type, final.hint)
        names = tuple(first if v is final else v for v in let.vars)
        total = Var(Accumulator(_monoid(acc), (dtype_of(final),), extents(final.type)), acc.hint)
        turns = For((op.index,), (op.extent,), Block(tuple(map(_proven, added)), ()), ())
        inner = rename(Block((Let((), turns, last.site),), ()), {acc: total})
        return (
            Let(names, replace(op, body=Block(tuple(body), outs)), let.site),
            Let((final,), Accumulate((total,), ((first,),), inner), let.site),
        )

    # --- before the loop ----------------------------------------------------------------------------------------------

    def contributed_first(self, let: Let, op: Loop, s: Let, nest: For) -> tuple[Let, Let] | None:
        """What a For in the loop contributes, and the loop without it."""
        accs = contributed(nest)
        rest = tuple(other for other in op.body if other is not s)
        left = Let(let.vars, replace(op, body=Block(rest, op.body.outs)), let.site)
        if (
            not accs
            or any(_monoid(a) not in COMMUTING for a in accs)
            or not accs.keys().isdisjoint(contributed(left.op))
        ):
            return None
        moved = Block((*needed(rest, free(nest.body, nest.index)), s), ())
        nested = any(isinstance(t.op, For) for t in statements(nest.body))
        if not nested or not all(map(self.simple, statements(moved))):
            return None
        env: dict[Var, Atom] = {}
        for k, carry in enumerate(op.carry):
            if carry in free(moved):
                versions = _versions(op, k)
                own = [a for t in rest if isinstance(t.op, Accumulate) and t.vars[0] in versions for a in t.op.accs]
                if not versions or not self.spared(op, moved, [carry], own):
                    return None
                env[carry] = op.inits[k]
        if any(self.effects.fails(t.op) for t in moved) and self.effects.fails(left.op):
            return None
        turns = rename(Block((Let((), For((op.index,), (op.extent,), moved, ()), s.site),), ()), env)
        return turns.lets[0], left

    def simple(self, s: Let) -> bool:
        """May a statement run twice, and is a check all that it can raise by?"""
        if operators(s.op):
            return False
        return isinstance(s.op, Read | For | If | Contribute | Check) or (
            isinstance(s.op, Prim) and not self.effects.fails(s.op)
        )

    def raising(self, block: Block, acc: Var) -> list[Let]:
        """A block without its contributions, and with a check of each access that isn't known to be in bounds."""
        b = Builder()
        with b.scope() as lets:
            for s in block:
                if isinstance(s.op, Read | Contribute) and self.effects.fails(s.op):
                    b.site = s.site
                    _check(b, s.op)
                if not isinstance(s.op, Contribute) or s.op.acc is not acc:
                    b.let(map_blocks(s, lambda inner: Block(tuple(self.raising(inner, acc)), inner.outs)))
        return lets


def _check(b: Builder, op: Read | Contribute) -> None:
    t = op.array.type if isinstance(op, Read) else op.acc.type
    for axis, (i, n) in enumerate(zip(op.index, extents(t), strict=False)):
        inside = b.prim("and", b.o.ge(i, 0), b.o.lt(i, n))
        b.check(inside, f"index {{}} is out of bounds for axis {axis} with size {{}}", i, n, error="IndexError")


def _proven(s: Let) -> Let:
    """A statement that raises nothing, since all that it may raise has been tested."""

    def block(inner: Block) -> Block:
        return Block(tuple(_proven(x) for x in inner if not isinstance(x.op, Check)), inner.outs)

    op = map_op(s.op, lambda a: a, block)
    return replace(s, op=replace(op, safe=True) if isinstance(op, Read | Contribute) else op)


def _monoid(acc: Var) -> Monoid:
    assert isinstance(acc.type, Accumulator)
    return acc.type.monoid


def _repeated(block: Block, acc: Var) -> bool:
    """Is there a For whose turns contribute to the same places?"""
    made = {v: s for s in statements(block) for v in s.vars}

    def moves(index: Sequence[Atom], i: Var) -> bool:
        return any(a is i or (a in made and moves(atoms(made[a].op), i)) for a in index)  # type: ignore[index]

    return any(
        any(
            isinstance(c.op, Contribute) and c.op.acc is acc and not moves(c.op.index, i) for c in statements(s.op.body)
        )
        for s in statements(block)
        if isinstance(s.op, For)
        for i in s.op.index
    )


# --- the array in a turn ----------------------------------------------------------------------------------------------


def _versions(op: Loop, k: int) -> list[Var]:
    """What a carry is in a turn, up to its next value, if it is only read and updated one update after the other."""
    found = [op.carry[k]]
    for s in op.body:
        if isinstance(s.op, Accumulate) and found[-1] in atoms(s.op):
            if len(s.op.accs) != 1 or s.op.inits != ((found[-1],),) or len(s.vars) != 1:
                return []
            found.append(s.vars[0])
    plain = all(_reads_only(s, found) for s in statements(op.body))
    once = [out for out in op.body.outs if out in found] == [op.body.outs[k]] == found[-1:]
    return found if plain and once else []


def _reads_only(s: Let, versions: Collection[Atom]) -> bool:
    """Is an array only read, or updated, in a statement and what its blocks give?"""
    used = [a for a in atoms(s.op) if a in versions]
    given = any(out in versions for _, inner in blocks(s.op) for out in inner.outs)
    as_array = isinstance(s.op, Read) and used == [s.op.array]
    return not given and (not used or as_array or (isinstance(s.op, Accumulate) and s.vars[0] in versions))


def _last(op: Loop, versions: Sequence[Var]) -> Let | None:
    """The last update, if it is by a monoid that commutes, and no read sees what it does in its turn."""
    let = next((s for s in op.body if len(versions) > 2 and versions[-1] in s.vars), None)
    if let is None or not isinstance(let.op, Accumulate):
        return None
    later = any(isinstance(s.op, Read) and s.op.array is versions[-1] for s in statements(op.body))
    return let if _monoid(let.op.accs[0]) in COMMUTING and not later else None

"""Sums of tangents leave out what a direction doesn't reach: Iverson's bracket [k in S_b].

    Σ_b w[v, b] ẋ[b]        ->      Σ_b if k in S_b: w[v, b] ẋ[b] else 0

where S_b are the inputs that x[b] depends on, found by one run of the program of sets (dependence.py), before and
outside of the directions.  A bone of a hand moves with few of the joints, a subtree with those above it, whatever the
program says of which.  Done where an array whose dependences the run decides, one that a loop or an accumulation made,
is summed over its first index again and again, for each element of another.  A set is of inputs modulo 64.

The test of a term costs 3, so the count may rise by that part of it; in vectors of directions the terms that count are
listed once for all sums (backend/compact.py).  What isn't reached counts for nothing, not even as 0 * inf.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.dce import dce
from iverson.core.rewrite import blocks, map_blocks, statements, with_lets
from iverson.core.syntax import (
    I64,
    Accumulate,
    Array,
    Atom,
    Block,
    For,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Map,
    Prim,
    Read,
    Reduce,
    Scalar,
    Var,
    While,
)
from iverson.diff.activity import active
from iverson.diff.adjoints import flatten
from iverson.diff.dependence import Sets

GROUPS = 64


@dataclass(frozen=True)
class Reach:
    """The sums of a program of tangents that may leave something out, and how to find out what."""

    sums: Mapping[int, tuple[Var, ...]]  # the id of a For -> the arrays of tangents it sums over
    sets: Function  # (parameters of the program, sets of the direction's elements) -> for each array its rows' sets
    arrays: tuple[Var, ...]
    moving: set[Var]  # what depends on the direction

    def bracketed(self, block: Block, member: Callable[[Builder, tuple[Var, ...], Atom], Atom]) -> Block:
        """The block with its sums left out where `member` (of arrays and the row) doesn't hold."""

        def let(x: Let) -> Let:
            arrays = self.sums.get(id(x.op))
            if arrays is None or not isinstance(x.op, For):
                return map_blocks(x, lambda inner: self.bracketed(inner, member))
            return Let(x.vars, replace(x.op, body=self._bracket(x.op, arrays, member)), x.site)

        return with_lets(block, [let(x) for x in block])

    def _bracket(
        self, op: For, arrays: tuple[Var, ...], member: Callable[[Builder, tuple[Var, ...], Atom], Atom]
    ) -> Block:
        b = Builder()
        inner = tuple(let for let in op.body if any(v in self.moving for v in let.vars))
        outs = [o for o in op.body.outs if o in self.moving]
        with b.scope() as lets:
            for let in op.body:
                if let not in inner:
                    b.let(let)
            reached = member(b, arrays, op.index[0])
            zeros = tuple(literal(0.0, dtype_of(o)) for o in outs)
            results = tuple(Var(o.type, "d") for o in outs)
            b.let(Let(results, If(reached, Block(inner, tuple(outs)), Block((), zeros))))
        env = dict(zip(outs, results, strict=True))
        return Block(tuple(lets), tuple(env.get(o, o) for o in op.body.outs))


def reach(g: Function, direction: Var) -> Reach | None:
    """What a program of tangents may leave out, of which `direction` is the parameter; None if there is nothing."""
    moving = active(g.body, [direction])
    sums: dict[int, tuple[Var, ...]] = {}
    found = _Structured(g, moving)
    for let in g.body:
        if isinstance(let.op, For):
            _find(let.op.body, let.op.index, found, moving, sums)
    arrays = tuple(dict.fromkeys(v for vs in sums.values() for v in vs))
    return Reach(sums, _sets(g, direction, arrays, moving), arrays, moving) if arrays else None


def seeds(b: Builder, like: Atom) -> Atom:
    """The sets of the elements of a parameter: each of itself."""
    extents = extents_of(like)
    return b.map(extents, lambda *i: one(b, flatten(b, i, extents))) if extents else literal(1, I64)


def one(b: Builder, k: Atom) -> Atom:
    """The set of the input k."""
    return b.o.shl(1, b.o.bit_and(k, GROUPS - 1))


def _sets(g: Function, direction: Var, arrays: Sequence[Var], moving: set[Var]) -> Function:
    sets = Sets(moving, {}, order=1)
    (given,) = sets.dual(direction)
    for let in g.body:
        sets.let(let)
    rows = [_rows(sets, sets.set(a)) for a in arrays]
    return dce(sets.b.function((*g.params, given), rows, f"{g.name}_reach"))


def _rows(sets: Sets, found: Atom) -> Atom:
    """The complement of the union of each row."""
    b, (n, *rest) = sets.b, extents_of(found)

    def row(i: Atom) -> Atom:
        if not rest:
            return b.read(found, i, safe=True)
        union: Atom = b.reduce(sets.unite(()), rest, lambda *j: b.read(found, i, *j, safe=True))
        return union

    return b.map(n, lambda i: b.prim("bit_not", row(i)))


class _Structured:
    """The arrays of tangents at the top of a program whose dependences the run decides."""

    def __init__(self, g: Function, moving: set[Var]) -> None:
        self.arrays: set[Var] = set()
        for let in g.body:
            if isinstance(let.op, Loop | While | Accumulate):
                some = True
            else:
                some = isinstance(let.op, For) and set(let.op.yields) == {Map()} and self.follows(let.op.body)
            if some:
                self.arrays |= {v for v in let.vars if v in moving and isinstance(v.type, Array)}

    def follows(self, body: Block) -> bool:
        """Does it read such an array, and sum over no long axis?"""
        inner = list(statements(body))
        sums = [
            let.op for let in inner if isinstance(let.op, For) and any(isinstance(y, Reduce) for y in let.op.yields)
        ]
        return all(isinstance(n, Literal) for op in sums for n in op.extent) and any(
            isinstance(let.op, Read) and let.op.array in self.arrays for let in inner
        )


def _find(
    block: Block, outer: Sequence[Var], found: _Structured, moving: set[Var], sums: dict[int, tuple[Var, ...]]
) -> None:
    for let in block:
        op = let.op
        if isinstance(op, For) and (arrays := _summed(op, outer, found, moving)):
            sums[id(op)] = arrays
        else:
            for _, inner in blocks(op):
                _find(inner, outer, found, moving, sums)


def _summed(op: For, outer: Sequence[Var], found: _Structured, moving: set[Var]) -> tuple[Var, ...]:
    """The arrays over whose first index a For sums tangents, each turn's term being from there alone; else none."""
    if len(op.index) != 1 or any(y != Reduce("add") for y in op.yields) or isinstance(op.extent[0], Literal):
        return ()
    terms = [let for let in op.body if any(v in moving for v in let.vars)]
    own = {v for let in terms for v in let.vars}
    floats = [o for o in op.body.outs if o in moving]
    if not floats or any(not isinstance(o.type, Scalar) or o not in own for o in floats):
        return ()
    arrays: dict[Var, None] = {}
    for let in terms:
        match let.op:
            case Read(array, index) if array in moving:
                rows = index[0] is op.index[0] and array in found.arrays and len(index) == len(extents_of(array))
                if not rows or any(i in outer for i in index):
                    return ()
                arrays[array] = None
            case Prim(_, args):
                if any(a in moving and a not in own for a in args):
                    return ()
            case _:
                return ()
    plain = all(a.type == Scalar(I64) for let in terms if isinstance(let.op, Read) for a in let.op.index)
    return tuple(arrays) if plain else ()

"""twice: what a loop keeps twice is kept once.

    r, s = Loop (t < n) { c = For [i < m] { x[i] }; .. d = For [j < k] { x[j + 1] }; .. } emits c, d
    .. s[t, j] ..      ->      .. r[t, j + 1] ..

where d is made of elements of an array that the loop emits, or of one that it emits a copy of, and all that is read of
s is elements.  A step of a simulation begins so with a copy, then updates parts of what it copied; reverse mode keeps
the copy, and what was overwritten.

Invariant: the count falls by the elements of s, and rises by an addition for each index of a read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iverson.core.build import extents_of, results
from iverson.core.dce import dce
from iverson.core.rewrite import lookup, map_blocks, map_op, needed, with_body, with_lets
from iverson.core.syntax import I64, Atom, Block, For, Function, Let, Loop, Map, Prim, Read, Scalar, Var
from iverson.opt import simplify
from iverson.opt.stacked import Maker, Stacks

ADDITIVE = ("add", "sub")


def run(f: Function) -> Function:
    """One array after the other."""
    new = f
    while (found := next(_found(Stacks(new)), None)) is not None:
        new = dce(with_body(new, found.applied(new.body)))
    return f if new is f else simplify.run(new)


@dataclass(frozen=True)
class _Element:
    """An element of an array, at a place that additions make of the indices of a map."""

    array: Var
    place: tuple[Atom, ...]
    index: tuple[Var, ...]  # of the map
    lets: tuple[Let, ...]  # the additions


@dataclass(frozen=True)
class _Twice:
    """An array whose elements are those of another one, both from one loop."""

    array: Var
    other: Var
    element: _Element
    maker: Maker

    def applied(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            if isinstance(let.op, Read) and let.op.array is self.array:
                lets += self.read(let, let.op)
            else:
                lets.append(map_blocks(let, self.applied))
        return with_lets(block, lets)

    def read(self, let: Let, read: Read) -> list[Let]:
        turn, *rest = read.index
        env: dict[Var, Atom] = dict(zip(self.element.index, rest, strict=True))
        env[self.maker.index[0]] = turn
        lets = []
        for x in self.element.lets:
            op = map_op(x.op, lambda a: lookup(a, env), lambda b: b)
            (v,) = results(op)
            env[x.vars[0]] = v
            lets.append(Let((v,), op, let.site))
        place = tuple(lookup(a, env) for a in self.element.place)
        return [*lets, Let(let.vars, Read(self.other, (turn, *place), safe=True), let.site)]


def _found(stacks: Stacks) -> Iterator[_Twice]:
    for maker in {id(m): m for m in stacks.makers.values() if isinstance(m.op, Loop) and len(m.stacked) > 1}.values():
        elements = {s: e for s, given in maker.stacked.items() if (e := _element(given, maker, stacks)) is not None}
        emitted = {given: s for s, given in maker.stacked.items()}
        copies = {e.array: s for s, e in elements.items() if _whole(e, maker.stacked[s])}
        for s, e in elements.items():
            other = emitted.get(e.array) or copies.get(e.array)
            if other is not None and other is not s and _by_elements(s, stacks):
                yield _Twice(s, other, e, maker)


def _element(given: Atom, maker: Maker, stacks: Stacks) -> _Element | None:
    """Of which array a turn gives elements, and at which places."""
    let = stacks.made[given][0] if isinstance(given, Var) else None
    if let is None or not any(let is x for x in maker.op.body):
        return None
    op, out, lets = let.op, given, list[Let]()
    index: tuple[Var, ...] = ()
    if isinstance(op, For):
        at = let.vars.index(given)
        if not all(isinstance(y, Map) for y in op.yields):
            return None
        out, index = op.body.outs[at], op.index
        lets = needed(op.body.lets, (out,))
        if not lets or lets[-1].vars != (out,):
            return None
        op, lets = lets[-1].op, lets[:-1]
    prims = [x.op for x in lets if isinstance(x.op, Prim) and x.op.name in ADDITIVE and x.vars[0].type == Scalar(I64)]
    if not isinstance(op, Read) or not isinstance(out.type, Scalar) or len(prims) < len(lets):
        return None
    inner = {*index, *maker.index, *(x.vars[0] for x in lets)}
    used = (*op.index, *(a for p in prims for a in p.args))
    if any(isinstance(a, Var) and a not in inner and not stacks.known(a, maker) for a in used):
        return None
    return _Element(op.array, op.index, index, tuple(lets))


def _whole(e: _Element, given: Atom) -> bool:
    """Are they all elements of the array, in order?"""
    return e.place == e.index and extents_of(e.array) == extents_of(given)


def _by_elements(s: Var, stacks: Stacks) -> bool:
    """Is all that is done to an array to read elements that it surely has?"""
    users = stacks.users.get(s, [])
    reads = [by[0].op for by in users if by is not None]
    rank = len(extents_of(s))
    return 0 < len(reads) == len(users) and all(
        isinstance(r, Read) and r.array is s and s not in r.index and r.safe and len(r.index) == rank for r in reads
    )

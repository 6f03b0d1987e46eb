"""siblings: two loops over the same indices become one.

    let p.. = For [i < n] A yields [..]                 let p.., q.. = For [i < n] { A; B' } yields [.., ..]
    ...                                          ->     ...
    let q.. = For [i < n] B yields [..]                 where B' is B with p[i] replaced by what A yields at i

    let p.. = For [i < n] A                             let x, p.. = Accumulate [acc = x0] { p.. = For [i < n] A;
    let x = Accumulate [acc = x0] { For [i < n] B }  ->                                       For [i < n] B } (p..)

and so for an Accumulate before a For, and for two of them: then the first equation applies inside.  The second may use
the first only by reading what it maps at its own index.  What lies between moves out of the way, in the orders of
effects.py.  This is how the forward and the return sweep of one nest become one loop.

Invariant: the count falls.  Loops are merged only where the second reads, at its own index, what the first maps, or
where both read one element, at any depth of common loops: then simplify makes the two reads one.  No copy is added: no
reader of an array moves past its consumer.  What picks elements of an array stays where that lives (picked.py).  A loop
that must run in order (a Scan) is not merged with one that needn't.  Two that may raise are merged where the second
can't raise any more, since it only repeats what the first did (repeats.py); what it repeats, goes.  But products of
matrices stay by themselves (contract.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from iverson.core.dce import dce
from iverson.core.rewrite import atoms, blocks, free, map_blocks, type_atoms, uses, with_body, with_lets
from iverson.core.syntax import (
    Accumulate,
    Array,
    Atom,
    Block,
    For,
    Function,
    Let,
    Literal,
    Map,
    Op,
    Prim,
    Read,
    Scan,
    Var,
    width,
)
from iverson.opt.common import once
from iverson.opt.contract import multiplies
from iverson.opt.effects import Effects, in_order
from iverson.opt.numbering import sequential
from iverson.opt.picked import picked
from iverson.opt.repeats import Repeats
from iverson.opt.substitute import Substitution

Signature: TypeAlias = tuple[object, ...]


def run(f: Function) -> Function:
    """Loops merged, outermost blocks first, so that what comes together inside is merged in turn."""
    return dce(with_body(f, _Siblings(Effects(f)).block(f.body)))


class _Siblings:
    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    def block(self, block: Block) -> Block:
        if sum(isinstance(let.op, For | Accumulate) for let in block) > 1:
            graph = _Graph(block, self.effects)
            env: dict[Var, Atom] = {}
            lets = _regroup(graph, env)
            if env:
                block = Substitution(env).block(Block(tuple(lets), block.outs))
            else:
                block = with_lets(block, lets)
        return with_lets(block, [map_blocks(let, self.block) for let in block])


# --- which may be merged ----------------------------------------------------------------------------------------------


class _Graph:
    """The statements of a block, what must come before what, and the groups that are to become one statement."""

    def __init__(self, block: Block, effects: Effects) -> None:
        self.lets, self.outs = list(block.lets), block.outs
        self.effects = effects
        self.before: list[dict[int, bool]] = []  # earlier statements, and whether the two may still share a loop
        self.reach: list[int] = []  # by group: the groups it comes after, as bits
        self.group: list[int] = []
        self.nesting: list[int] = []  # the statements that hold loops
        self.defined: dict[Var, int] = {}
        self.readers: dict[Var, list[int]] = {}
        self.last: dict[object, int] = {}
        self.repeats = Repeats(self.lets, effects)
        for k, let in enumerate(self.lets):
            self.add(k, let)

    def add(self, k: int, let: Let) -> None:
        self.before.append(self.dependences(k, let))
        self.group.append(k)
        self.reach.append(self.past(self.before[k]))
        merged = self.partner(k)
        if merged is not None:
            self.join(k, merged)
        self.defined.update(dict.fromkeys(let.vars, k))

    def dependences(self, k: int, let: Let) -> dict[int, bool]:
        op, effects = let.op, self.effects
        before: dict[int, bool] = {}
        used = uses(let)
        for v in used:
            if v in self.defined:
                at = self.defined[v]
                before[at] = before.get(at, True) and _aligned(self.lets[at], v, let)
        for v in effects.consumed(op):
            before.update(dict.fromkeys(self.readers.get(v, ()), False))
        for v in used:
            if isinstance(v.type, Array):
                self.readers.setdefault(effects.root(v), []).append(k)
        ordered: list[object] = list(in_order(op))
        fails = effects.fails(op)
        if (fails or effects.trusts(op)) and "error" in self.last:
            last = self.last["error"]
            again = bool(_nests(op) and _nests(self.lets[last].op)) and self.repeats.only(k, last)
            again = again and not any(multiplies(s, effects) for s in (self.lets[last], let))
            fails = fails and not again
            before[last] = before.get(last, True) and again
        if fails:
            ordered.append("error")
        for order in ordered:
            before.update({self.last[order]: False} if order in self.last else {})
            self.last[order] = k
        return before

    def past(self, before: dict[int, bool]) -> int:
        bits = 0
        for j in before:
            bits |= self.reach[self.group[j]] | 1 << self.group[j]
        return bits

    def partner(self, k: int) -> int | None:
        """An earlier group that statement k may join."""
        let = self.lets[k]
        if not _nests(let.op):
            return None
        nesting = self.nesting[:]
        self.nesting.append(k)
        for g in sorted({self.group[j] for j in nesting}, reverse=True):
            members = [j for j in nesting if self.group[j] == g]
            if (
                self.free_to_join(k, g)
                and any(_gains(self.lets[j], let) or self.turns_alike(j, k) for j in members)
                and not any(self.prolongs(j, k) for j in members)
            ):
                return g
        return None

    def turns_alike(self, j: int, k: int) -> bool:
        """Do two loops, of the same indices, hold sequential loops that compute the same?"""
        pairs = [(one, two) for one in _nests(self.lets[j].op) for two in _nests(self.lets[k].op)]
        pairs = [(one, two) for one, two in pairs if one.extent == two.extent and _in_order(one) == _in_order(two)]
        pairs = [pair for pair in pairs if all(any(map(sequential, loop.body)) for loop in pair)]
        if pairs:
            self.repeats.number(k)
        return any(not self.repeats.computed(one).isdisjoint(self.repeats.computed(two)) for one, two in pairs)

    def prolongs(self, j: int, k: int) -> bool:
        """Would an array live on for elements that statement j picks from it, if that came to statement k?"""
        arrays = {v for op in _nests(self.lets[j].op) for v in picked(op) if v in self.defined}
        if not arrays or not any(isinstance(v.type, Array) for let in self.lets[j + 1 : k] for v in let.vars):
            return False
        behind = Block(tuple(self.lets[k:]), self.outs)
        return not arrays <= free(behind).keys()

    def free_to_join(self, k: int, g: int) -> bool:
        """Nothing comes after the group and before k, and what k uses of the group it uses at its own index."""
        return all(
            may_share if self.group[j] == g else not self.reach[self.group[j]] >> g & 1
            for j, may_share in self.before[k].items()
        )

    def join(self, k: int, g: int) -> None:
        self.group[k] = g
        self.reach[g] |= self.reach[k] & ~(1 << g)
        for h in range(k):
            if self.reach[h] >> g & 1:
                self.reach[h] |= self.reach[g]

    # --- the order that results -----------------------------------------------------------------------------------

    def ordered(self) -> Iterator[list[int]]:
        """Groups, each after what it needs, else in the program's order."""
        members: dict[int, list[int]] = {}
        for k, g in enumerate(self.group):
            members.setdefault(g, []).append(k)
        waits = {g: {self.group[j] for k in ks for j in self.before[k]} - {g} for g, ks in members.items()}
        after: dict[int, list[int]] = {}
        for g, needed in waits.items():
            for j in needed:
                after.setdefault(j, []).append(g)
        ready = [g for g, needed in waits.items() if not needed]
        heapq.heapify(ready)
        while ready:
            g = heapq.heappop(ready)
            yield members[g]
            for h in after.get(g, ()):
                waits[h].discard(g)
                if not waits[h]:
                    heapq.heappush(ready, h)


def _nests(op: Op) -> list[For]:
    """The loops of a statement that may be merged with another's."""
    match op:
        case For():
            return [op]
        case Accumulate(_, _, body):
            return [let.op for let in body if isinstance(let.op, For)]
        case _:
            return []


def _aligned(first: Let, v: Var, second: Let) -> bool:
    """`second` may share a loop with `first` though it uses its result v."""
    if isinstance(first.op, For) and isinstance(second.op, For):
        return _is_mapped(first, v) and _reads_only_at(v, second.op)
    if isinstance(first.op, Accumulate) and first.op.body.outs:
        inits = [a for init in second.op.inits for a in init] if isinstance(second.op, Accumulate) else []
        return v in first.vars[len(first.vars) - len(first.op.body.outs) :] and v not in inits
    if isinstance(second.op, Accumulate):
        return isinstance(first.op, For) and all(v is not a for init in second.op.inits for a in init)
    return False


def _is_mapped(let: Let, v: Var) -> bool:
    assert isinstance(let.op, For)
    at = 0
    for y in let.op.yields:
        if v in let.vars[at : at + width(y)]:
            return isinstance(y, Map)
        at += width(y)
    return False


def _reads_only_at(v: Var, loop: For) -> bool:
    """All uses of v in the loop's body are reads at the loop's own index."""

    def only(block: Block) -> bool:
        for let in block:
            op = let.op
            own = isinstance(op, Read) and op.array is v and op.index[: len(loop.index)] == loop.index
            if not own and any(a is v for a in atoms(op)):
                return False
            if any(a is v for w in let.vars for a in type_atoms(w.type)):
                return False
            if not all(only(inner) for _, inner in blocks(op)):
                return False
        return all(a is not v for a in block.outs)

    return v not in loop.extent and only(loop.body)


def _gains(first: Let, second: Let) -> bool:
    """Some pair of their loops has the same indices, and something to share."""
    return any(_shares(first, one, two) for one in _nests(first.op) for two in _nests(second.op))


def _shares(first: Let, one: For, two: For) -> bool:
    if one.extent != two.extent or _in_order(one) != _in_order(two):
        return False
    if isinstance(first.op, For) and any(v in free(two.body) for v in first.vars):
        return True
    return not _elements(one).isdisjoint(_elements(two))


def _in_order(loop: For) -> bool:
    return any(isinstance(y, Scan) for y in loop.yields)


def _elements(loop: For) -> set[Signature]:
    """The elements that a loop reads, its indices named by their place: reads that merging makes one."""
    found: set[Signature] = set()
    names: dict[Atom, object] = {}

    def walk(nest: For, depth: int) -> None:
        names.update({i: (depth, k, n) for k, (i, n) in enumerate(zip(nest.index, nest.extent, strict=True))})
        for let in nest.body:
            match let.op:
                case Read(array, index):
                    signature = (names.get(array, array), *(names.get(i, i) for i in index))
                    names[let.vars[0]] = signature
                    found.add(signature)
                case Prim(name, args):
                    names[let.vars[0]] = hash((name, *(names.get(a, a) for a in args)))
                case For():
                    walk(let.op, depth + 1)
                case _:
                    pass

    walk(loop, 0)
    return {s for s in found if not all(isinstance(i, Literal | Var) for i in s[1:])}


# --- merging ----------------------------------------------------------------------------------------------------------


def _regroup(graph: _Graph, env: dict[Var, Atom]) -> list[Let]:
    lets: list[Let] = []
    for members in graph.ordered():
        merged = graph.lets[members[0]]
        for k in members[1:]:
            merged = _merge(merged, graph.lets[k], env, graph.effects)
        lets.append(merged)
    return lets


def _merge(first: Let, second: Let, env: dict[Var, Atom], effects: Effects) -> Let:
    if isinstance(first.op, For) and isinstance(second.op, For):
        return merge_fors(first, second, env, effects)
    return _merge_accumulates(first, second)


def merge_fors(first: Let, second: Let, env: dict[Var, Atom], effects: Effects) -> Let:
    """One For that does what two do."""
    one, two = first.op, second.op
    assert isinstance(one, For) and isinstance(two, For)
    mapped: dict[Var, Atom] = {}
    at = 0
    for y in one.yields:
        if isinstance(y, Map):
            mapped[first.vars[at]] = one.body.outs[at]
        at += width(y)

    def own(let: Let, sub: Substitution) -> Sequence[Let] | None:
        if not isinstance(let.op, Read) or let.op.array not in mapped:
            return None
        element, rest = mapped[let.op.array], let.op.index[len(one.index) :]
        if not rest:
            sub.env[let.vars[0]] = element
            return ()
        assert isinstance(element, Var)
        return (Let(sub.binders(let.vars), replace(let.op, array=element, index=rest), let.site),)

    body = Substitution(dict(zip(two.index, one.index, strict=True)), own).block(two.body)
    both = once(Block((*one.body.lets, *body.lets), (*one.body.outs, *body.outs)), effects)
    return Let((*first.vars, *second.vars), For(one.index, one.extent, both, (*one.yields, *two.yields)), first.site)


def _merge_accumulates(first: Let, second: Let) -> Let:
    """One Accumulate around what both do; a For among them goes inside."""
    one, two = _as_accumulate(first), _as_accumulate(second)
    assert isinstance(one.op, Accumulate) and isinstance(two.op, Accumulate)
    finals, others = _split(one)
    finals2, others2 = _split(two)
    results = dict(zip(others, one.op.body.outs, strict=True))
    body = Substitution(results).block(two.op.body)
    both = Block((*one.op.body.lets, *body.lets), (*one.op.body.outs, *body.outs))
    op = Accumulate((*one.op.accs, *two.op.accs), (*one.op.inits, *two.op.inits), both)
    return Let((*finals, *finals2, *others, *others2), op, first.site)


def _as_accumulate(let: Let) -> Let:
    if isinstance(let.op, Accumulate):
        return let
    inner = tuple(Var(v.type, v.hint) for v in let.vars)
    return Let(let.vars, Accumulate((), (), Block((Let(inner, let.op, let.site),), inner)), let.site)


def _split(let: Let) -> tuple[tuple[Var, ...], tuple[Var, ...]]:
    """The finals of an Accumulate, and its block's outs."""
    assert isinstance(let.op, Accumulate)
    count = len(let.vars) - len(let.op.body.outs)
    return let.vars[:count], let.vars[count:]

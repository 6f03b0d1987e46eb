"""fuse: producers into their consumers.

    let a = For [i < n] {e(i)} yields [Map]
    ... let c = ... Read a[k] ...                ->   ... let c = ... e(k) ...

where the elements of `a` are used nowhere else, and each at most once, or `e` costs no more than the read did; k is in
bounds; nothing between the two consumes an array that `e` reads; and if `e` may raise, every element is read and
nothing between the two raises or trusts what `e` checks.  Maps of maps, as comprehensions in comprehensions make them,
count as one over all their indices.

Elements that are picked from an array by data are fetched while it lives (picked.py).

Invariant: the count of the cost model never rises; it falls by the array that is no longer made.  No copy is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.core import prims
from iverson.core.dce import dce
from iverson.core.equalities import Equalities
from iverson.core.rewrite import (
    atoms,
    blocks,
    contributed,
    free,
    map_blocks,
    map_op,
    needed,
    rename,
    statements,
    type_atoms,
    with_body,
    with_lets,
)
from iverson.core.syntax import (
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
    Op,
    Prim,
    Read,
    Var,
    While,
)
from iverson.opt.effects import Effects, extents
from iverson.opt.picked import picked
from iverson.opt.substitute import Substitution

Crossed: TypeAlias = tuple[Var, ...]


def run(f: Function) -> Function:
    """Every producer that qualifies, innermost blocks first, inlined where it is read."""
    return dce(with_body(f, _Fuser(f).block(f.body)))


@dataclass(frozen=True)
class _Place:
    """What lies between a block and something nested in it."""

    at: int  # the statement of the block that holds it
    crossed: Crossed = ()  # the indices of the Fors around it
    repeated: bool = False  # inside a Loop, While or operator: run once a turn
    conditional: bool = False


_Site: TypeAlias = tuple[_Place, Read]


@dataclass
class _Uses:
    """How the statements of a block use the arrays bound there."""

    reads: dict[Var, list[_Site]] = field(default_factory=dict)
    otherwise: set[Var] = field(default_factory=set)
    consumed: list[dict[Var, None]] = field(default_factory=list)  # by statement
    guards: list[bool] = field(default_factory=list)  # by statement: it may raise, or trusts an earlier check
    makes: list[bool] = field(default_factory=list)  # by statement: it makes an array
    last: dict[Var, int] = field(default_factory=dict)  # the last statement that mentions a name


class _Fuser:
    def __init__(self, f: Function) -> None:
        self.effects = Effects(f)
        self.templates: dict[Var, For] = {}
        self.params = set(f.params)
        self.defined = {let.vars[0]: let.op for let in statements(f.body) if isinstance(let.op, Prim)}

    # --- rewriting ----------------------------------------------------------------------------------------------------

    def block(self, block: Block) -> Block:
        """Inner blocks first, then this one's producers in order, so that chains of them inline as one."""
        before = self.effects.equal
        self.effects.equal = Equalities(before)  # nothing leaves an inner block: there all checks so far are behind
        lets = []
        for let in block:
            lets.append(map_blocks(let, self.block))
            self.effects.equal.learn(let)
        self.effects.equal = before
        inner = with_lets(block, lets)
        uses = self.uses(inner)
        kept = []
        for at, let in enumerate(inner):
            op = self.flattened(let.op) if isinstance(let.op, For) else None
            if op is not None and let.vars and self.qualifies(at, let.vars[0], op, uses):
                self.templates[let.vars[0]] = replace(op, body=self.vouched(op.body))
                if self.fails(op.body):
                    uses.guards[uses.reads[let.vars[0]][0][0].at] = True
            else:
                kept.append(let)
        if len(kept) == len(inner.lets):
            return inner
        return Substitution({}, self.inline).block(Block(tuple(kept), inner.outs))

    def inline(self, let: Let, sub: Substitution) -> Sequence[Let] | None:
        """A read of a fused producer becomes the producer's body at that index."""
        if not isinstance(let.op, Read) or let.op.array not in self.templates:
            return None
        producer = self.templates[let.op.array]
        body = rename(producer.body, dict(zip(producer.index, let.op.index, strict=True)))
        if not let.op.safe and not self.effects.evident(let.op.index, producer.extent):
            body = _checked(body)
        lets = sub.lets(body.lets)
        sub.env[let.vars[0]] = sub.atom(body.outs[0])
        return lets

    def vouched(self, block: Block) -> Block:
        """A producer's body at an index known to be in bounds: so are the accesses at it."""

        def mark(let: Let) -> Let:
            op = map_op(let.op, _same, self.vouched)
            if isinstance(op, Read) and self.effects.evident(op.index, extents(op.array.type)):
                op = replace(op, safe=True)
            return Let(let.vars, op, let.site)

        return Block(tuple(map(mark, block)), block.outs)

    def flattened(self, op: For) -> For:
        """A map of nothing but a map as one over the indices of both, unless its elements are sums, dear ones; scalars
        that were needed before don't count."""
        if op.yields != (Map(),):
            return op
        lets = needed(op.body.lets, op.body.outs)
        dead = [let for let in op.body if not any(let is other for other in lets)]
        if len(lets) != 1 or any(not isinstance(let.op, Prim) or self.effects.fails(let.op) for let in dead):
            return op
        (let,) = lets
        if not isinstance(let.op, For) or op.body.outs != let.vars or set(op.index) & set(let.op.extent):
            return op
        inner = self.flattened(let.op)
        if inner.yields != (Map(),) or any(isinstance(s.op, For) for s in inner.body):
            return op
        return replace(inner, index=(*op.index, *inner.index), extent=(*op.extent, *inner.extent))

    # --- what may be inlined ------------------------------------------------------------------------------------------

    def qualifies(self, at: int, array: Var, op: For, uses: _Uses) -> bool:
        if op.yields != (Map(),) or isinstance(op.body.outs[0].type, Array) or contributed(op):
            return False
        sites = uses.reads.get(array, [])
        if not sites or array in uses.otherwise:
            return False
        if any(len(read.index) != len(op.index) or not self.in_bounds(read, op) for _, read in sites):
            return False
        if self.edged(op) and any(place.conditional and not {*place.crossed}.issuperset(r.index) for place, r in sites):
            return False  # an edge within an edge: neither could be peeled
        if self.cost(op.body) > 1 and (len(sites) > 1 or not self.once(*sites[0])):
            return False
        between = range(at + 1, max(place.at for place, _ in sites) + 1)
        if self.fails(op.body) and not (
            len(sites) == 1 and self.covers(*sites[0], op) and not any(uses.guards[k] for k in between)
        ):
            return False
        if self.prolongs(op, between, uses):
            return False
        needed = self.needed(op.body)
        return not any(v in needed for k in between for v in uses.consumed[k])

    def prolongs(self, op: For, between: range, uses: _Uses) -> bool:
        """Would an array live on for elements that are picked from it?"""
        if not any(uses.makes[k] for k in between[:-1]):
            return False
        lasts = (uses.last.get(a) for a in picked(op) if a not in self.params and a not in self.templates)
        return any(last is not None and last < between[-1] for last in lasts)

    def needed(self, body: Block) -> set[Var]:
        """The arrays a body reads once the producers it reads are inlined."""
        found: set[Var] = set()
        for v in free(body):
            producer = self.templates.get(v)
            found |= self.needed(producer.body) if producer else {self.effects.root(v)}
        return found

    def fails(self, body: Block) -> bool:
        """May computing an element raise, the producers it reads inlined?"""
        for let in statements(body):
            producer = self.templates.get(let.op.array) if isinstance(let.op, Read) else None
            if self.fails(producer.body) if producer else self.effects.fails(let.op):
                return True
        return False

    def cost(self, body: Block) -> int:
        """Primitives and reads of one element, the producers it reads inlined; anything nested is dear."""
        total = 0
        for let in body:
            if isinstance(let.op, Read) and let.op.array in self.templates:
                total += self.cost(self.templates[let.op.array].body)
            elif isinstance(let.op, Prim):
                total += prims.TABLE[let.op.name].cost
            else:
                total += 1 if isinstance(let.op, Read) else 10
        return total

    def in_bounds(self, read: Read, producer: For) -> bool:
        """The index surely lies within the producer's extents, or the producer's own read will check it as well."""
        return read.safe or self.effects.evident(read.index, producer.extent) or self.rechecks(producer)

    def rechecks(self, producer: For) -> bool:
        """The producer only copies an array whose read, in its place, checks the index: it stays, or is such a copy."""
        copied = _copied(producer)
        below = self.templates.get(copied) if copied else None
        return copied is not None and (below is None or self.rechecks(below))

    def once(self, place: _Place, read: Read) -> bool:
        """Each element is read at most once: each loop index crossed is, but for a shift, an index of the read, or two
        of them are its quotient and remainder."""
        shown = {self.shifted(i, place.crossed) for i in read.index}
        return not place.repeated and (shown | self.divided(read.index)).issuperset(place.crossed)

    def divided(self, index: Sequence[Atom]) -> set[Atom]:
        """What the quotients and remainders among indices are of."""
        made = [self.defined.get(i) for i in index if isinstance(i, Var)]
        parts = [op for op in made if op is not None and op.name in ("floordiv", "mod")]
        return {q.args[0] for q in parts for r in parts if q.name != r.name and q.args == r.args}

    def shifted(self, index: Atom, crossed: Crossed) -> Atom | None:
        """The loop index that this index is, plus or minus what is the same in every turn."""
        if isinstance(index, Literal) or index in crossed:
            return index
        op = self.defined.get(index)
        if op is None or op.name not in ("add", "sub"):
            return None
        varying = [a for a in op.args if not isinstance(a, Literal) and a not in self.params]
        return self.shifted(varying[0], crossed) if len(varying) == 1 else None

    def edged(self, producer: For) -> bool:
        """Does an index decide on what an element is?"""
        preds = [let.op.pred for let in producer.body if isinstance(let.op, If)]
        tests = [self.defined[p] for p in preds if isinstance(p, Var) and p in self.defined]
        return any(not {*producer.index}.isdisjoint(t.args) for t in tests)

    def covers(self, place: _Place, read: Read, producer: For) -> bool:
        """All of the producer's elements are read, whenever the consumer runs."""
        return not place.conditional and not place.repeated and self.effects.evident(read.index, producer.extent)

    # --- how arrays are used ------------------------------------------------------------------------------------------

    def uses(self, block: Block) -> _Uses:
        found = _Uses()
        for at, let in enumerate(block):
            found.consumed.append(self.effects.consumed(let.op))
            found.guards.append(self.effects.fails(let.op) or self.effects.trusts(let.op))
            found.makes.append(any(isinstance(v.type, Array) for v in let.vars))
            _collect(let.op, _Place(at), found)
            _note(found, let.vars)
        _mention(found, block.outs, len(block.lets))
        return found


def _same(a: Atom) -> Atom:
    return a


def _note(found: _Uses, bound: Iterable[Var]) -> None:
    for v in bound:
        found.otherwise |= {a for a in type_atoms(v.type) if isinstance(a, Var)}


def _mention(found: _Uses, names: Iterable[Atom], at: int) -> None:
    some = [a for a in names if isinstance(a, Var)]
    found.otherwise.update(some)
    found.last.update((a, at) for a in some)


def _collect(op: Op, where: _Place, found: _Uses) -> None:
    if isinstance(op, Read):
        found.reads.setdefault(op.array, []).append((where, op))
        found.last[op.array] = where.at
        _mention(found, op.index, where.at)
        return
    _mention(found, atoms(op), where.at)
    for binders, inner in blocks(op):
        own = isinstance(op, For) and inner is op.body
        here = replace(
            where,
            crossed=(*where.crossed, *op.index) if isinstance(op, For) and own else where.crossed,
            repeated=where.repeated or isinstance(op, Loop | While) or (isinstance(op, For) and not own),
            conditional=where.conditional or isinstance(op, If),
        )
        _note(found, binders)
        for let in inner:
            _collect(let.op, here, found)
            _note(found, let.vars)
        _mention(found, inner.outs, where.at)


def _checked(copy: Block) -> Block:
    """A producer that only copies an array, read where nobody knows the index to be in bounds."""
    (let,) = copy.lets
    assert isinstance(let.op, Read)
    return Block((Let(let.vars, replace(let.op, safe=False), let.site),), copy.outs)


def _copied(producer: For) -> Var | None:
    """The array of the same extents that the producer only copies, if it does."""
    if len(producer.body.lets) != 1:
        return None
    (let,) = producer.body.lets
    if not isinstance(let.op, Read) or producer.body.outs != let.vars or let.op.index != producer.index:
        return None
    return let.op.array if extents(let.op.array.type) == producer.extent else None

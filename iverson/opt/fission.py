"""fission: an innermost For that adds to several places of one array becomes a For for each.

    For [i < n] { B; acc[e] <- u; acc[f] <- v }
        ->   For [i < n] { B'; acc[e] <- u };  For [i < n] { B''; acc[f] <- v }

B' and B'' are what u and v need of B.  A loop with one such update is a loop over lanes; with two, one turn's place may
be the other's of the next turn, and it isn't.  Of several indices the last one's loop is split.  Updates under a
condition on the indices, as at the edges of a stencil, go together: If p { .. acc[f] <- v }.

Invariant: the count rises by at most the reads and cheap scalars of B once more for each place (other sites of B are
not repeated: a For whose places share anything dear is left alone).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from iverson.core.dce import dce
from iverson.core.rewrite import blocks, contributed, map_blocks, rename, uses, with_body, with_lets
from iverson.core.syntax import (
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    For,
    Function,
    If,
    Let,
    Prim,
    Read,
    Scalar,
    Var,
)

CHEAP = frozenset({"add", "sub", "mul", "neg", "abs", "min", "max", "select", "float64", "int64", "and", "or", "not"})
COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


def run(f: Function) -> Function:
    return dce(with_body(f, _block(f.body)))


def _block(block: Block) -> Block:
    lets: list[Let] = []
    for let in block:
        new = map_blocks(let, _block)
        lets += split(new, new.op) if isinstance(new.op, For) else [new]
    return with_lets(block, lets)


def split(let: Let, op: For) -> list[Let]:
    """The Fors that a For becomes; itself, if it isn't to be split."""
    body = op.body.lets
    conditions = _regular(body)
    if not all(_is_flat(i) or (isinstance(i.op, If) and _is_edge(i.op, conditions)) for i in body):
        return [let]
    if len(op.index) > 1 and op.yields:
        return [let]
    groups = _groups([i for i in body if isinstance(i.op, Contribute | If) and not i.vars])
    groups.sort(key=lambda group: not _moves(group, op.index[-1]))
    if len(groups) < 2:
        return [let]
    outs: list[tuple[Atom, ...]] = [op.body.outs, *(() for _ in groups[1:])]
    parts = [_slice(body, group, out) for group, out in zip(groups, outs, strict=True)]
    seen: set[Var] = set()
    for part in parts:
        made = {v: i for i in part for v in i.vars}
        if not all(is_cheap(made[v]) for v in seen & made.keys()):
            return [let]
        seen |= made.keys()
    *outer, last = zip(op.index, op.extent, strict=True)
    inner: list[Let] = []
    for k, part in enumerate(parts):
        names = let.vars if not outer and not k else ()
        yields = op.yields if not k else ()
        new = For((last[0],), (last[1],), Block(tuple(part), outs[k]), yields)
        inner.append(Let(names, new, let.site))
    if not outer:
        return [inner[0], *_fresh(inner[1:])]
    nest = For(tuple(i for i, _ in outer), tuple(n for _, n in outer), Block((inner[0], *_fresh(inner[1:])), ()), ())
    return [Let((), nest, let.site)]


def _fresh(lets: Iterable[Let]) -> tuple[Let, ...]:
    return rename(Block(tuple(lets), ()), {}).lets


def _groups(sites: list[Let]) -> list[list[Let]]:
    """Contributions, no two of one group to different places of one array."""
    groups: list[list[Let]] = []
    for site in sites:
        fitting = (g for g in groups if not any(_conflict(site, other) for other in g))
        found = next(fitting, None)
        if found is None:
            groups.append([site])
        else:
            found.append(site)
    return groups


def _moves(group: list[Let], index: Var) -> bool:
    """Does every turn of an index have places of its own?  (Such loops come first: they may be one again, in lanes.)"""
    return all(index in c.index for site in group for c in _contributions(site))


def _conflict(a: Let, b: Let) -> bool:
    return any(_elsewhere(x, y) for x in _contributions(a) for y in _contributions(b))


def _elsewhere(x: Contribute, y: Contribute) -> bool:
    assert isinstance(x.acc.type, Accumulator)
    return x.acc is y.acc and x.acc.type.monoid == "add" and x.index != y.index


def _contributions(site: Let) -> list[Contribute]:
    lets = [site, *(i for _, inner in blocks(site.op) for i in inner)]
    return [i.op for i in lets if isinstance(i.op, Contribute)]


def _regular(body: Iterable[Let]) -> set[Atom]:
    """The scalars that are made of indices, and of what is the same in every turn."""
    inner: set[Atom] = {v for let in body for v in let.vars}
    found: set[Atom] = set()
    for let in body:
        if isinstance(let.op, Prim) and inner.isdisjoint(let.op.args):
            found.update(let.vars)
            inner.difference_update(let.vars)
    return found


def _is_edge(op: If, conditions: Collection[Atom]) -> bool:
    """Is a branch that the indices alone decide a scalar, or does it just contribute, to one place of an array?"""
    flat = all(_is_flat(let) for _, inner in blocks(op) for let in inner)
    whole = Let((), op)
    scalar = all(isinstance(o.type, Scalar) for o in op.then.outs) and not contributed(op)
    plain = scalar if op.then.outs else not _conflict(whole, whole)
    return flat and op.pred in conditions and plain


def _slice(body: Iterable[Let], sites: list[Let], outs: tuple[Atom, ...]) -> list[Let]:
    """What contributions and outs need of a body."""
    needed = {a for a in outs if isinstance(a, Var)}
    found: list[Let] = []
    for let in reversed(list(body)):
        if any(let is s for s in sites) or needed.intersection(let.vars):
            found.insert(0, let)
            needed.update(uses(let))
    return found


def is_cheap(let: Let) -> bool:
    if isinstance(let.op, If):
        return all(is_cheap(i) for _, inner in blocks(let.op) for i in inner)
    return isinstance(let.op, Read) or (isinstance(let.op, Prim) and let.op.name in CHEAP | COMPARISONS)


def _is_flat(let: Let) -> bool:
    """A scalar, or a contribution."""
    return isinstance(let.op, Prim | Read | Contribute) and not is_row(let)


def is_row(let: Let) -> bool:
    return isinstance(let.op, Read) and isinstance(let.vars[0].type, Array)

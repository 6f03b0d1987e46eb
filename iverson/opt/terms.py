"""terms: a nest of loops as sums of single terms, in which opt/contract.py looks for products of matrices.

    s = For [k] { .. } reduce add u;  acc[e] <- w s + r     ->   For [k] { ..; acc[e] <- w u };  acc[e] <- r
    For [k] { ..; acc[e] <- u + v }                         ->   For [k] { ..; acc[e] <- u; acc[e] <- v }
    s, t = For [k] { .. } reduce add u; reduce add v        ->   s = For [k] { .. };  t = For [k] { .. }
    x = For [j] { B } map u;  For [j'] { .. x[j'] .. }      ->   For [j] { B; .. u .. }

in nests in which nothing raises (opt/calm.py) and all accumulators add.  The result computes the same with other
additions; it isn't better as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import atoms, blocks, free, needed, rename, statements
from iverson.core.syntax import (
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    Let,
    Map,
    Op,
    Prim,
    Read,
    Reduce,
    Var,
)
from iverson.opt.substitute import Substitution

MOST = 6  # terms of a value

Term: TypeAlias = tuple[tuple[Atom, ...], Atom]  # factors from outside, and what they are multiplied with


def adds(nest: Let) -> bool:
    """Are all that a nest contributes sums of floats?"""
    accs = {s.op.acc.type for s in statements(Block((nest,), ())) if isinstance(s.op, Contribute)}
    return all(isinstance(t, Accumulator) and t.monoid == "add" and t.dtypes[0].is_float for t in accs)


@dataclass
class Spread:
    """Makes terms of what innermost loops sum up, but for those of `left`."""

    left: set[Var]  # indices of innermost loops that stay
    made: dict[Var, list[Let]] = field(default_factory=dict)  # by the index of such a loop: what it has become

    def nest(self, let: Let) -> Let:
        op = let.op
        assert isinstance(op, For)
        lets = list(_forwarded(op.body))
        for s in list(lets):
            if isinstance(s.op, For) and not _flat(s.op) and self.left.isdisjoint(_indices(s)):
                lets = _pushed(lets, op.body.outs, s, s.op)
        lets = [self.nest(s) if isinstance(s.op, For) and not _flat(s.op) else s for s in lets]
        for s in list(lets):
            if isinstance(s.op, For) and _flat(s.op) and _sums(s.op) and s.op.index[0] not in self.left:
                lets = self.terms(lets, op.body.outs, s, s.op)
        return replace(let, op=replace(op, body=Block(tuple(lets), op.body.outs)))

    def terms(self, lets: list[Let], outs: Sequence[Atom], s: Let, op: For) -> list[Let]:
        """The statements of a block, with the sums of one of its loops taken apart."""
        contributions = [c for c in op.body if isinstance(c.op, Contribute)]
        body = [c for c in op.body if not isinstance(c.op, Contribute)]
        inside = {v: c.op for c in body for v in c.vars}
        inner, reduced = list[Let](), list[Let]()
        b = Builder()
        for c in contributions:
            inner += _contributed(b, c, c.op.values[0], (), inside)  # type: ignore[union-attr]
        for v, value in zip(s.vars, op.body.outs, strict=True):
            flow = _flow(lets, outs, v)
            if flow is None:
                reduced += _reduced(b, s, op, v, _terms(value, inside))
            else:
                inner += _contributed(b, flow[0], value, flow[1], inside)
                lets = _without(lets, flow[0], flow[2])
        sums = [r for r in reduced if isinstance(r.op, For)]
        if len(sums) == len(s.vars) <= 1 and not (sums and inner) and len(inner) == len(contributions):
            return lets
        nest = replace(op, body=Block((*body, *inner), ()), yields=())
        new = [rename(Block((Let((), nest, s.site),), ()), {}).lets[0]] if inner else []
        self.made[op.index[0]] = [*new, *sums]
        return _placed(lets, s, reduced, new)


def _indices(nest: Let) -> set[Var]:
    return {i for s in statements(Block((nest,), ())) if isinstance(s.op, For) for i in s.op.index}


def _pushed(lets: list[Let], outs: Sequence[Atom], s: Let, op: For) -> list[Let]:
    """The statements of a block, with what a loop of loops sums up contributed in it, where it is contributed after."""
    b, before = Builder(), lets
    body, kept, inner = list(op.body.lets), [], list[Let]()
    if any(y != Reduce("add") for y in op.yields):
        return lets
    for k, (v, value) in enumerate(zip(s.vars, op.body.outs, strict=True)):
        flow = _flow(lets, outs, v) if isinstance(value, Var) and not extents_of(value) else None
        if flow is None:
            kept.append(k)
            continue
        inner += _contributed(b, flow[0], value, flow[1], {})
        lets = _without(lets, flow[0], flow[2])
    if not inner:
        return lets
    yields, values = tuple(op.yields[k] for k in kept), tuple(op.body.outs[k] for k in kept)
    nest = Let(tuple(s.vars[k] for k in kept), replace(op, body=Block((*body, *inner), values), yields=yields), s.site)
    new = _placed(lets, s, (), (nest,))
    early = new[: next(k for k, t in enumerate(new) if t is nest)]
    return before if any(v in free(Block(tuple(early), ())) for v in nest.vars) else new


def _placed(lets: Sequence[Let], s: Let, here: Sequence[Let], later: Sequence[Let]) -> list[Let]:
    """Statements in the place of one, and others as soon as what they use is there."""
    where = next(k for k, t in enumerate(lets) if t is s)
    after, used = lets[where + 1 :], free(Block(tuple(later), ())).keys()
    last = max((k + 1 for k, t in enumerate(after) if not used.isdisjoint(t.vars)), default=0)
    return [*lets[:where], *here, *after[:last], *later, *after[last:]]


def _flat(op: For) -> bool:
    return all(isinstance(s.op, Prim | Read | Contribute) for s in op.body)


def _sums(op: For) -> bool:
    """Does a loop over one index do nothing but add up numbers?"""
    plain = all(y == Reduce("add") for y in op.yields) and all(dtype_of(o).is_float for o in op.body.outs)
    return plain and len(op.index) == 1 and not any(map(extents_of, op.body.outs))


# --- sums -------------------------------------------------------------------------------------------------------------


def _terms(value: Atom, inside: dict[Var, Op]) -> list[Term]:
    """A value as a sum of terms."""
    op = inside.get(value) if isinstance(value, Var) else None
    if not isinstance(op, Prim):
        return [((), value)]
    minus = (literal(-1.0, dtype_of(value)),)
    found: list[Term] = [((), value)]
    if op.name in ("add", "sub"):
        one, two = (_terms(a, inside) for a in op.args)
        found = [*one, *((minus + f, t) if op.name == "sub" else (f, t) for f, t in two)]
    elif op.name == "mul" and any(a not in inside for a in op.args):
        x, y = op.args if op.args[1] in inside else op.args[::-1]
        more = _terms(y, inside)
        found = [((x, *f), t) for f, t in more] if len(more) > 1 else found
    return found if len(found) <= MOST else [((), value)]


def _times(b: Builder, factors: Sequence[Atom], value: Atom) -> Atom:
    for f in factors:
        value = b.o.mul(f, value)
    return value


def _contributed(b: Builder, c: Let, value: Atom, factors: Sequence[Atom], inside: dict[Var, Op]) -> list[Let]:
    """A value contributed term by term, to where a contribution goes."""
    out: list[Let] = []
    assert isinstance(c.op, Contribute)
    for more, term in _terms(value, inside):
        with b.scope() as lets:
            total = _times(b, [*factors, *more], term)
        out += [*lets, Let((), replace(c.op, values=(total,)), c.site)]
    return out


def _reduced(b: Builder, s: Let, op: For, v: Var, terms: Sequence[Term]) -> list[Let]:
    """A sum as one or several sums, and what adds them up."""
    body = tuple(c for c in op.body if not isinstance(c.op, Contribute))

    def alone(term: Atom) -> Var:
        nest = replace(op, body=Block(body, (term,)), yields=(Reduce("add"),))
        part = Var(v.type, v.hint)
        return b.splice(rename(Block((Let((part,), nest, s.site),), (part,)), {}))[0]  # type: ignore[return-value]

    b.site = s.site
    with b.scope() as lets:
        first, *others = (_times(b, factors, alone(term)) for factors, term in terms)
        for other in others:
            first = b.o.add(first, other)
    return [*lets[:-1], replace(lets[-1], vars=(v,))]


# --- where a sum goes -------------------------------------------------------------------------------------------------


def _flow(lets: Sequence[Let], outs: Sequence[Atom], v: Var) -> tuple[Let, list[Atom], dict[Var, Atom | None]] | None:
    """The contribution that a sum is a term of, with which factors, and what becomes of the values between."""
    factors: list[Atom] = []
    env: dict[Var, Atom | None] = {}  # None: nothing is left of it
    others = False
    while True:
        users = [s for s in lets if v in atoms(s.op) or any(v in free(inner, bs) for bs, inner in blocks(s.op))]
        if len(users) != 1 or v in outs:
            return None
        (user,) = users
        op = user.op
        if isinstance(op, Contribute):
            return (user, factors, env) if op.values == (v,) and _adds(op) else None
        if not isinstance(op, Prim) or op.name not in ("add", "sub", "mul", "neg") or op.args.count(v) != 1:
            return None
        other = next((a for a in op.args if a is not v), literal(-1.0, dtype_of(v)))
        if op.name in ("mul", "neg"):
            factors.append(other)
            if not others:
                env[user.vars[0]] = None
        else:
            if op.name == "sub" and op.args[1] is v:
                factors.append(literal(-1.0, dtype_of(v)))
            if not others and not (op.name == "sub" and op.args[0] is v):
                env[user.vars[0]] = other
            elif not others:
                return None
            others = True
        v = user.vars[0]


def _adds(op: Contribute) -> bool:
    return isinstance(op.acc.type, Accumulator) and op.acc.type.monoid == "add"


def _without(lets: Sequence[Let], into: Let, env: dict[Var, Atom | None]) -> list[Let]:
    """The statements without one term of what is contributed."""
    kept = [s for s in lets if not env.keys() & set(s.vars)]
    rest = {v: a for v, a in env.items() if a is not None}
    if not rest:
        return [s for s in kept if s is not into]
    sub = Substitution(dict(rest))
    return [s if rest.keys().isdisjoint(atoms(s.op)) else sub.lets([s])[0] for s in kept]


# --- rows -------------------------------------------------------------------------------------------------------------


def _forwarded(block: Block) -> Sequence[Let]:
    """The statements of a block; what a loop makes for one other loop, element by element, is made there."""
    lets = list(block.lets)
    for s in block:
        for v in s.vars if isinstance(s.op, For) else ():
            at = next((k for k, t in enumerate(lets) if v in t.vars), None)
            lets = lets if at is None or v in block.outs else _taken(lets, at, v) or lets
    return lets


def _taken(lets: list[Let], at: int, v: Var) -> list[Let] | None:
    """The statements with a row's elements made where they are read."""
    first = lets[at].op
    users = [k for k, s in enumerate(lets) if k != at and v in free(Block((s,), ()))]
    second = lets[users[0]].op if len(users) == 1 else None
    if not isinstance(first, For) or not isinstance(second, For) or second.extent != first.extent:
        return None
    k, (to,) = lets[at].vars.index(v), users
    if not _maps_row(first, k, lets[at].vars) or not _reads_own(second, v):
        return None
    value = first.body.outs[k]
    made = needed(first.body.lets, [value])
    rest = Block(first.body.lets, tuple(o for n, o in enumerate(first.body.outs) if n != k))
    left = Let(
        tuple(w for w in lets[at].vars if w is not v),
        replace(first, body=rest, yields=tuple(y for n, y in enumerate(first.yields) if n != k)),
        lets[at].site,
    )
    if all(isinstance(s.op, Prim | Read) for s in made):
        copy = rename(Block(tuple(made), (value,)), {first.index[0]: second.index[0]})
        lets[to] = replace(lets[to], op=_with_elements(second, v, copy))
        return [*lets[:at], left, *lets[at + 1 :]]
    if left.vars:
        return None
    moved = Substitution({first.index[0]: second.index[0]}).block(Block(first.body.lets, (value,)))
    lets[to] = replace(lets[to], op=_with_elements(second, v, moved))
    return [*lets[:at], *lets[at + 1 :]]


def _maps_row(op: For, k: int, results: Sequence[Var]) -> bool:
    """Is a loop's result a row of scalars, one a turn?"""
    return (
        len(op.index) == 1
        and len(results) == len(op.yields)
        and op.yields[k] == Map()
        and len(extents_of(results[k])) == 1
    )


def _reads_own(op: For, v: Var) -> bool:
    """Does each turn read the element of a row that is its own, and no other?"""
    others = [s for s in op.body if not (isinstance(s.op, Read) and s.op.array is v and s.op.index == op.index)]
    return v not in free(Block(tuple(others), op.body.outs))


def _with_elements(op: For, v: Var, made: Block) -> For:
    """A loop with what computes its own elements of a row."""
    reads = {s.vars[0]: made.outs[0] for s in op.body if isinstance(s.op, Read) and s.op.array is v}
    rest = Block(tuple(s for s in op.body if not reads.keys() & set(s.vars)), op.body.outs)
    inner = Substitution(dict(reads)).block(rest)
    return replace(op, body=Block((*made.lets, *inner.lets), inner.outs))

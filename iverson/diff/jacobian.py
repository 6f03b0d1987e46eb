"""Jacobians: a For over unit tangents of forward mode, or over unit cotangents of reverse mode.

    jacfwd f = primal; For [k < inputs]  yields Map: tangents of f at e_k        transposed to [outputs..., inputs...]
    jacrev f = forward sweep; For [k < outputs] yields Map: return sweep at e_k

e_k is Iverson's bracket [j = k]: a term of a sum that is multiplied by it is chosen, so that where it doesn't hold
nothing counts, not even as 0 * inf, and sums over the inputs are single terms (opt/indicator.py).  What doesn't depend
on k is computed once, before the For: the primal, whose statements then give tangents alone, and the forward sweep.  (A
tangent's own scope still runs its scalars again.)  Indices are tested there as well: what a tangent reads is in bounds
where the primal's was.
Work: that of the primal, and inputs (outputs) times that of the one product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.dce import dce
from iverson.core.rewrite import (
    dependents,
    lookup,
    map_blocks,
    rename,
    rename_function,
    rename_let,
    statements,
    type_atoms,
    uses,
)
from iverson.core.syntax import Atom, Block, Check, DType, For, Function, Let, Literal, Map, Op, Prim, Read, Reduce, Var
from iverson.diff import forward, reverse
from iverson.diff.activity import active
from iverson.diff.adjoints import flatten
from iverson.diff.checked import checked, unchecked
from iverson.diff.reach import Reach, one, reach, seeds
from iverson.diff.tape import AUTO, Policy


def jacfwd(f: Function, wrt: Sequence[int]) -> Function:
    """params -> for each float out, for each parameter of `wrt`: the array [out extents..., parameter extents...]."""
    f = dce(rename_function(f))
    f = checked(f, active(f.body, [f.params[w] for w in wrt]))
    b = Builder()
    outs = computed_outs(f, b.splice(f.body))
    floats = len(outs)
    by_parameter = []
    preds = {let.op.pred for let in statements(f.body) if isinstance(let.op, Check)}
    for w in wrt:
        param, g = f.params[w], forward.pushforward(f, [w])
        shared = _shared(f.body, g.body) if _several(extents_of(param)) else set()
        sums = reach(g, g.params[-1]) if shared else None
        rows = {} if sums is None else _rows(b, sums, unchecked(sums.sets.body, preds), param, shared)

        def column(
            *index: Atom,
            param: Var = param,
            g: Function = g,
            shared: set[Var] = shared,
            sums: Reach | None = sums,
            rows: dict[Var, Atom] = rows,
        ) -> tuple[Atom, ...]:
            tangent = _unit(b, extents_of(param), dtype_of(param), index)
            dual = g.body
            if sums is not None:
                own = one(b, flatten(b, index, extents_of(param)))
                dual = sums.bracketed(dual, lambda b, arrays, i: _any(b, [rows[a] for a in arrays], i, own))
            if shared:
                dual = unchecked(dual, preds)
            if len(index) == 1:
                dual = _bracketed(b, dual, g.params[-1], index[0])
            return like(b, outs, _tangents(b, dual, {g.params[-1]: tangent}, shared)[-floats:])

        columns = _each(b, extents_of(param), floats, column) if floats else ()
        by_parameter.append([_transposed(b, c, len(extents_of(param))) for c in columns])
    return dce(b.function(f.params, [j for row in zip(*by_parameter, strict=True) for j in row], f"jacfwd_{f.name}"))


def _rows(b: Builder, sums: Reach, sets: Block, param: Var, shared: set[Var]) -> dict[Var, Atom]:
    """Which directions don't reach the rows of the arrays that are summed over, by the name of each."""
    found = _tangents(b, sets, {sums.sets.params[-1]: seeds(b, param)}, shared)
    return dict(zip(sums.arrays, found, strict=True))


def _any(b: Builder, rows: Sequence[Atom], i: Atom, own: Atom) -> Atom:
    """Does a direction reach a row of one of these arrays?  (An equality is what LLVM makes masked sums of.)"""
    holds = [b.prim("eq", b.o.bit_and(b.read(r, i, safe=True), own), literal(0)) for r in rows]
    total = holds[0]
    for h in holds[1:]:
        total = b.prim("or", total, h)
    return total


def _bracketed(b: Builder, block: Block, direction: Var, k: Atom, sums: frozenset[Var] = frozenset()) -> Block:
    """A dual program in which the terms of sums that are products with an element of e_k are chosen: [j = k]."""
    read: dict[Atom, Atom] = {}
    with b.scope() as lets:
        for let in block:
            op = let.op
            if isinstance(op, Read) and op.array is direction and op.safe and op.index[0] in sums:
                read[let.vars[0]] = op.index[0]
            chosen = [a for a in op.args if a in read] if isinstance(op, Prim) and op.name == "mul" else []
            if len(chosen) == 1 and isinstance(op, Prim):
                (factor,) = [a for a in op.args if a is not chosen[0]]
                holds = b.prim("eq", read[chosen[0]], k)
                b.let(Let(let.vars, Prim("select", (holds, factor, literal(0.0, dtype_of(factor)))), let.site))
                continue
            within = frozenset(op.index) if _adds_up(op) and isinstance(op, For) else frozenset[Var]()
            b.let(map_blocks(let, partial(_bracketed, b, direction=direction, k=k, sums=within)))
    return Block(tuple(lets), block.outs)


def _adds_up(op: Op) -> bool:
    """Is it a sum over one index?"""
    return isinstance(op, For) and len(op.index) == 1 and all(isinstance(y, Reduce) for y in op.yields)


def _several(extents: Sequence[Atom]) -> bool:
    """More than one direction: for one, tangents had better run with the primal."""
    return any(not isinstance(n, Literal) or n.value != 1 for n in extents)


def _shared(primal: Block, dual: Block) -> set[Var]:
    """What the primal's statements bind, and the dual's as well: none of it, if a tangent's extent is among it."""
    names = {v for let in primal for v in let.vars}
    for let in dual:
        if any(names.intersection(type_atoms(v.type), let.vars) for v in let.vars if v not in names):
            return set()
    return names


def _tangents(b: Builder, dual: Block, env: dict[Var, Atom], shared: set[Var]) -> tuple[Atom, ...]:
    """The statements of a dual program that give something beside what is `shared`, which stands outside."""
    for let in dual:
        if shared.issuperset(let.vars):
            continue
        b.let(rename_let(let, env))
        for v in shared.intersection(let.vars):
            del env[v]
    return tuple(lookup(out, env) for out in dual.outs)


def jacrev(f: Function, wrt: Sequence[int], policy: Policy = AUTO) -> Function:
    """As jacfwd, by reverse mode: best where there are fewer outputs than inputs."""
    b = Builder()
    g = reverse.vjp(f, wrt, policy)
    params, extra = g.params[: len(f.params)], g.params[len(f.params) :]
    back = _steady(b, g.body, extra)
    outs = [out for out in g.body.outs[: len(f.body.outs)] if dtype_of(out).is_float]
    cotangents = [p for p in extra if dtype_of(p).is_float]
    computed = dict(pair for c, out in zip(cotangents, outs, strict=True) for pair in computed_extents(c, out))
    jacobians: list[Atom] = []
    for chosen in range(len(outs)):

        def row(*index: Atom, chosen: int = chosen) -> tuple[Atom, ...]:
            seeds = {
                c: _unit(b, extents_of(out), dtype_of(out), index)
                if k == chosen
                else b.zeros(extents_of(out), dtype_of(out))
                for k, (c, out) in enumerate(zip(cotangents, outs, strict=True))
            }
            return b.splice(rename(back, {**computed, **seeds}))[-len(wrt) :]

        jacobians += _each(b, extents_of(outs[chosen]), len(wrt), row)
    return dce(b.function(params, jacobians, f"jacrev_{f.name}"))


def _steady(b: Builder, block: Block, varying: Sequence[Var]) -> Block:
    """Emit what doesn't depend on the names `varying`; give what does."""
    inner = dependents(block, varying)
    rest: list[Let] = []
    for let in block:
        if inner.isdisjoint(uses(let)):
            b.let(let)
        else:
            rest.append(let)
    return Block(tuple(rest), block.outs)


def computed_outs(f: Function, outs: Sequence[Atom]) -> list[Atom | None]:
    """For each float out, if f computes extents of it, the out itself."""
    known = {*f.params}
    return [
        out if any(isinstance(e, Var) and e not in known for e in extents_of(out)) else None
        for out in outs
        if dtype_of(out).is_float
    ]


def like(b: Builder, outs: Sequence[Atom | None], tangents: Sequence[Atom]) -> tuple[Atom, ...]:
    """Tangents under the extents of these outs, which are known outside of the products."""

    def settled(out: Atom | None, tangent: Atom) -> Atom:
        return tangent if out is None else b.map(extents_of(out), lambda *i: b.read(tangent, *i))

    return tuple(settled(out, t) for out, t in zip(outs, tangents, strict=True))


def computed_extents(cotangent: Var, out: Atom) -> Iterator[tuple[Var, Atom]]:
    """The parameters that stand for an out's computed extents, and those extents."""
    for parameter, extent in zip(extents_of(cotangent), extents_of(out), strict=True):
        if isinstance(parameter, Var):
            yield parameter, extent


def _each(b: Builder, extents: Sequence[Atom], count: int, body: Callable[..., tuple[Atom, ...]]) -> tuple[Atom, ...]:
    """body at every index, stacked; for a scalar, body itself."""
    return b.for_(extents, body, [Map()] * count) if extents else body()


def _unit(b: Builder, extents: Sequence[Atom], dtype: DType, index: Sequence[Atom]) -> Atom:
    """[j = index] for all j; 1 for a scalar."""
    one, zero = literal(1.0, dtype), literal(0.0, dtype)
    if not extents:
        return one

    def bracket(*j: Atom) -> Atom:
        holds: Atom = literal(True)
        for left, right in zip(j, index, strict=True):
            holds = b.prim("and", holds, b.prim("eq", left, right))
        return b.prim("select", holds, one, zero)

    return b.map(extents, bracket)


def _transposed(b: Builder, array: Atom, leading: int) -> Atom:
    """The first `leading` axes moved to the end."""
    extents = extents_of(array)
    if leading in (0, len(extents)):
        return array
    order = [*range(leading, len(extents)), *range(leading)]

    def element(*i: Atom) -> Atom:
        at = dict(zip(order, i, strict=True))
        return b.read(array, *(at[k] for k in range(len(extents))), safe=True)

    return b.map([extents[k] for k in order], element)

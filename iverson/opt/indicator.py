"""indicator: a sum of which a bracket leaves one term is that term.

    s = For [j < n] { B; d = select (eq j k) v 0 } yields [Reduce add] d        ->        B[j := k]; s = v[j := k]

where k is the index of a For of the same extent, so that it is among the j, and B has no effects.  The brackets may be
several, and what is added any statement of them that is 0 where none holds.  So a column of the derivative of a sum
over the inputs costs what a term does.

Invariant: the count falls by all turns but one.  What the bracket leaves out counts for nothing, as before; a sum of
zeros may be another zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.rewrite import lookup, rename_let, with_body
from iverson.core.syntax import Atom, For, Function, Let, Literal, Prim, Read, Reduce, Var
from iverson.opt.effects import Effects
from iverson.opt.substitute import Substitution

LINEAR = frozenset({"add", "sub", "neg"})  # of zeros these are zero


def run(f: Function) -> Function:
    effects = Effects(f)

    def rule(let: Let, names: Substitution) -> Sequence[Let] | None:
        return _term(let, let.op, names, effects) if isinstance(let.op, For) else None

    return with_body(f, Substitution({}, rule).block(f.body))


def _term(let: Let, op: For, names: Substitution, effects: Effects) -> Sequence[Let] | None:
    """The term that is left of a For; None if it is no such sum."""
    sums = op.yields and all(isinstance(y, Reduce) and y.monoid == "add" for y in op.yields)
    if not sums or len(op.index) != 1 or not all(isinstance(i.op, Prim | Read) for i in op.body) or effects.fails(op):
        return None
    place = _place(op)
    if place is None or not effects.evident((place,), op.extent):
        return None
    env: dict[Var, Atom] = {op.index[0]: place}
    lets = names.lets([rename_let(i, env) for i in op.body])
    names.env.update((v, names.atom(lookup(o, env))) for v, o in zip(let.vars, op.body.outs, strict=True))
    return lets


def _place(op: For) -> Atom | None:
    """The index at which the bracket of a sum holds, outside of which all that is added is 0."""
    (j,) = op.index
    inside = {j, *(v for let in op.body for v in let.vars)}
    tests: dict[Var, Atom] = {}
    places: set[Atom] = set()
    zero: set[Atom] = set()

    def is_zero(a: Atom) -> bool:
        return a in zero or (isinstance(a, Literal) and a.value == 0)

    for let in op.body:
        v, prim = let.vars[0], let.op
        if not isinstance(prim, Prim):
            continue
        if prim.name == "eq" and j in prim.args:
            (other,) = [a for a in prim.args if a is not j] or [j]
            if other not in inside:
                tests[v] = other
        elif prim.name == "select" and is_zero(prim.args[2]) and isinstance(p := prim.args[0], Var) and p in tests:
            places.add(tests[p])
            zero.add(v)
        elif prim.name in LINEAR and all(map(is_zero, prim.args)):
            zero.add(v)
    return next(iter(places)) if len(places) == 1 and all(map(is_zero, op.body.outs)) else None

"""Reductions and scans taken apart from what they range over, so that their rules see arrays of elements.

    For i { B } yields Map u, Reduce m e    ->   u, a = For i { B } yields Map u, Map e;   For i yields Reduce m a[i]

    For i, j yields Reduce m a[i, j]        ->   For i yields Reduce m (For j yields Reduce m a[i, j])

    For i yields Reduce m a[i]              ->   For j yields Map (For i yields Reduce m' a[i, j])
                                                 where the elements are rows, and m works on each of theirs as m'

So for Scan, and where m is a user's operator, a built-in on rows, or a product, minimum or maximum that is scanned,
which becomes an operator.  What B yields as an element of an array already is that array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.core.build import Builder, dtype_of, extents_of, literal, stacked
from iverson.core.equalities import Equalities
from iverson.core.monoids import identity
from iverson.core.rewrite import free, lookup, rename_let, rename_monoid, uses
from iverson.core.syntax import (
    Atom,
    Block,
    For,
    Let,
    Map,
    Monoid,
    Operator,
    Prim,
    Read,
    Reduce,
    Scalar,
    Scan,
    Var,
    Yield,
    width,
)

SCANNED = ("mul", "min", "max")


def apart(b: Builder, let: Let, active: set[Var], equal: Equalities) -> dict[Var, Atom]:
    """Emit a For, the reductions and scans that need it by themselves; what their results have become."""
    op = let.op
    assert isinstance(op, For)
    vs: list[Var] = []
    outs: list[Atom] = []
    yields: list[Yield] = []
    folds: list[tuple[Reduce | Scan, list[Var], tuple[Var, ...]]] = []
    at = 0
    for y in op.yields:
        elements, names = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
        at += width(y)
        if isinstance(y, Map) or not _has_a_rule_of_its_own(y, names, active):
            vs += names
            outs += elements
            yields.append(y)
            continue
        arrays: list[Var] = []
        for e in elements:
            array = element_of(op, e, equal)
            if array is None:
                array = Var(stacked(op.extent, e.type), "e")
                vs.append(array)
                outs.append(e)
                yields.append(Map())
            arrays.append(array)
        folds.append((y, arrays, names))
    if not folds or vs or _acts(op.body):
        b.let(Let(tuple(vs), For(op.index, op.extent, Block(op.body.lets, tuple(outs)), tuple(yields)), let.site))
    found: dict[Var, Atom] = {}
    for y, arrays, names in folds:
        found.update(zip(names, fold(b, y, op.extent, arrays), strict=True))
    return found


def _has_a_rule_of_its_own(y: Reduce | Scan, names: Sequence[Var], active: set[Var]) -> bool:
    if not any(v in active for v in names):
        return False
    if isinstance(y.monoid, Operator) or (y.monoid in SCANNED and isinstance(y, Scan)):
        return True
    return y.monoid != "add" and len(extents_of(names[0])) > isinstance(y, Scan)


def _acts(block: Block) -> bool:
    """Does a body do more than give values?"""
    return any(not isinstance(let.op, Prim | Read) for let in block)


def element_of(op: For, out: Atom, equal: Equalities) -> Var | None:
    """The array that a For's body reads `out` from, if it is its element at the For's own index."""
    for let in op.body:
        if isinstance(let.op, Read) and let.vars[0] is out and let.op.index == op.index:
            array = let.op.array
            if equal.same(extents_of(array)[: len(op.index)], op.extent) and array in free(op.body):
                return array
    return None


def fold(b: Builder, y: Reduce | Scan, extents: Sequence[Atom], arrays: Sequence[Var]) -> tuple[Var, ...]:
    """The elements of the arrays combined over all indices."""
    first, *inner = extents
    if inner:
        parts = b.for_(first, lambda i: fold(b, y, inner, [b.read(a, i, safe=True) for a in arrays]), _maps(arrays))
        return fold(b, replace(y, monoid=rename_monoid(y.monoid, {})), [first], parts)
    if row := extents_of(arrays[0])[1:]:
        columns = _Columns.of(y.monoid)
        if columns is not None:
            return _by_column(b, y, first, row, arrays, columns)
    elif isinstance(y, Scan) and isinstance(y.monoid, str) and y.monoid in SCANNED:
        dtype, name = dtype_of(arrays[0]), y.monoid
        unit = literal(identity(name, dtype)[0], dtype)
        y = Scan(b.operator([unit], lambda left, right: b.prim(name, left, right)))
    return b.for_(first, lambda i: [b.read(a, i, safe=True) for a in arrays], [y])


def _maps(of: Sequence[object]) -> list[Yield]:
    return [Map()] * len(of)


# --- rows -------------------------------------------------------------------------------------------------------------


def _by_column(
    b: Builder, y: Reduce | Scan, n: Atom, row: Sequence[Atom], arrays: Sequence[Var], columns: _Columns
) -> tuple[Var, ...]:
    """The elements, which are rows, combined column by column."""

    def column(*j: Var) -> tuple[Var, ...]:
        elements = b.for_(n, lambda i: [b.read(a, i, *j, safe=True) for a in arrays], _maps(arrays))
        return fold(b, replace(y, monoid=columns.monoid(b, j)), [n], elements)

    found = b.for_(row, column, _maps(arrays))
    if isinstance(y, Reduce):
        return found
    return b.for_((n, *row), lambda i, *j: [b.read(v, *j, i, safe=True) for v in found], _maps(found))


class _Columns:
    """A monoid on rows that works on them element by element."""

    def __init__(self, m: Monoid) -> None:
        self.m = m

    @classmethod
    def of(cls, m: Monoid) -> _Columns | None:
        return None if isinstance(m, Operator) and not _is_elementwise(m) else cls(m)

    def monoid(self, b: Builder, at: Sequence[Var]) -> Monoid:
        """What it is on the elements at one place."""
        m = self.m
        if not isinstance(m, Operator):
            return m
        unit = [b.read(u, *at, safe=True) for u in m.identity]
        operands = {v: Var(Scalar(dtype_of(v)), v.hint) for v in (*m.left, *m.right)}
        env: dict[Var, Atom] = {}
        lets: list[Let] = []
        for let in m.body:
            if not isinstance(let.op, For):
                lets.append(rename_let(let, env))
                continue
            env.update(zip(let.op.index, at, strict=True))
            for inner in let.op.body:
                if isinstance(inner.op, Read) and inner.op.array in operands:
                    env[inner.vars[0]] = operands[inner.op.array]
                else:
                    lets.append(rename_let(inner, env))
            env.update((v, lookup(out, env)) for v, out in zip(let.vars, let.op.body.outs, strict=True))
        left, right = (tuple(operands[v] for v in vs) for vs in (m.left, m.right))
        body = Block(tuple(lets), tuple(lookup(out, env) for out in m.body.outs))
        return Operator(tuple(unit), left, right, body)


def _is_elementwise(m: Operator) -> bool:
    """Are its results maps over the row, that use the operands at their own index only?"""
    operands = {*m.left, *m.right}
    row = extents_of(m.left[0])
    made: set[Atom] = set()
    if any(extents_of(v) != row for v in operands):
        return False
    for let in m.body:
        if not isinstance(let.op, For):
            if not isinstance(let.op, Prim):
                return False
            continue
        if let.op.extent != row or any(not isinstance(y, Map) for y in let.op.yields):
            return False
        if any(extents_of(v) != row for v in let.vars) or made & free(let.op.body).keys():
            return False
        for inner in let.op.body:
            own = isinstance(inner.op, Read) and inner.op.array in operands and inner.op.index == let.op.index
            if not own and operands & uses(inner).keys():
                return False
        made.update(let.vars)
    return all(out in made for out in m.body.outs)

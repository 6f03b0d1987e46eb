"""A sum under Iverson's bracket adds only where the bracket holds.

    if p: t = f(i)                   if p: s' = s <add> f(i)
    else: t = 0              ->      else: s' = s
    s' = s <add> t

(A sum of zeros may be another zero.)  In blocks of vectors only: elsewhere LLVM vectorises the sum of a select.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.backend import loopir as ir
from iverson.backend.loopir import Combine, For, If, Join, Reg, Stmt
from iverson.core import monoids
from iverson.core.syntax import DType, Literal


def sink(body: list[Stmt]) -> None:
    """Move the steps of sums into the branches that decide on their terms, in place."""
    for stmt in list(ir.walk(body)):
        if isinstance(stmt, For) and stmt.carries:
            _sink(stmt.body)


def _sink(body: list[Stmt]) -> None:
    for step in [s for s in body if isinstance(s, Combine)]:
        for term, other in ((step.right, step.left), (step.left, step.right)):
            found = _bracket(body, step, term, other)
            if found is not None:
                chosen, join = found
                total = Reg(step.out.type, step.out.hint)
                chosen.then.append(Combine(total, step.monoid, *_sides(step, join, other), step.free))
                chosen.joins[chosen.joins.index(join)] = Join(step.out, total, other)
                body.remove(step)
                break


def _sides(step: Combine, join: Join, other: ir.Value) -> tuple[ir.Value, ir.Value]:
    return (join.then, other) if step.left is join.out else (other, join.then)


def _bracket(body: Sequence[Stmt], step: Combine, term: ir.Value, other: ir.Value) -> tuple[If, Join] | None:
    """The branch that gives a step its term, if that is nothing on the other side, and needed for nothing else."""
    for stmt in body:
        if not isinstance(stmt, If) or stmt.orelse:
            continue
        join = next((j for j in stmt.joins if j.out is term), None)
        if join is None:
            continue
        users = [s for s in ir.walk(list(body)) if any(v is term for v in ir.used(s))]
        late = [r for s in body[body.index(stmt) :] for r in ir.defined(s)]
        return (stmt, join) if users == [step] and other not in late and _nothing(step, join) else None
    return None


def _nothing(step: Combine, join: Join) -> bool:
    """Is the other side the neutral element?"""
    kind = step.out.type
    if not isinstance(join.orelse, Literal) or not isinstance(kind, DType) or step.monoid != "add" or not step.free:
        return False
    (neutral,) = monoids.identity("add", kind)
    return bool(join.orelse.value == neutral)

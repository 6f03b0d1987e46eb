"""A search whose next place a comparison decides runs without branches while its table is near.

    while high - low > 1                        if the table is small:
        m = (low + high) // 2                       the same with  high = choice p m high;  low = choice p low m
        p = table[m] > x                  ->    else:
        if p: high, low <- m, low                   the same
        else: high, low <- high, m

A processor guesses wrong every other turn, which costs more than to wait for an element in one of its nearer caches,
while it begins the next searches; it waits longer for memory, and does better to read on where it guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import PURE, inner_registers
from iverson.backend.loopir import Compute, If, Join, Load, Program, Reg, Stmt, Value, While
from iverson.backend.rewrite import compute, rewrite
from iverson.core.syntax import BOOL, I64, Literal

NEAR = 1 << 17  # elements of a table that is near: of 8 bytes, half to all of the second cache
MOST = 24  # statements of a turn


def run(program: Program) -> None:
    """Rewrite searches, in place."""
    rewrite(program.body, lambda stmt: _search(stmt) if isinstance(stmt, While) else None, wide=False)


def _search(loop: While) -> list[Stmt] | None:
    """The search in two ways, and the decision between them; None if it isn't one."""
    body = loop.body
    plain = all(isinstance(s, Compute | Load | If | ir.Bound) for s in (*loop.cond, *ir.walk(body)))
    if not plain or len(loop.cond) + len(body) > MOST:
        return None
    made = {r: s for s in body for r in ir.defined(s)}
    tables = [table for s in body if isinstance(s, If) and _chooses(s) for table in _looked_up(s, loop, made)]
    inside = inner_registers(loop)
    extents = [e for table in tables for e in table.view.buffer.extents]
    if not tables or any(e in inside for e in extents):
        return None
    code: list[Stmt] = []
    near: Value = Literal(True, BOOL)
    for load in tables:
        size: Value = ir.integer(1)
        for e in load.view.buffer.extents:
            size = compute(code, "mul", size, e)
        near = compute(code, "and", near, compute(code, "le", size, ir.integer(NEAR), dtype=BOOL), dtype=BOOL)
    (other,) = ir.renamed([loop], {r: Reg(r.type, r.hint) for r in inside})
    assert isinstance(other, While)
    joins = []
    for c, o in zip(loop.carries, other.carries, strict=True):
        out, c.out, o.out = c.out, Reg(c.out.type, c.out.hint), Reg(c.out.type, c.out.hint)
        joins.append(Join(out, c.out, o.out))
    chosen = replace(loop, body=_chosen(body))
    return [*code, If(near, [chosen], [other], joins)]


def _looked_up(branch: If, loop: While, made: dict[Reg, Stmt]) -> list[Load]:
    """What is read to decide, at places that depend on earlier decisions."""
    outs = {j.out for j in branch.joins}
    carried: set[Value] = {c.reg for c in loop.carries if c.next in outs and c.reg.type is I64}
    found: list[Load] = []
    open_ = [branch.pred]
    while open_:
        stmt = made.get(v) if isinstance(v := open_.pop(), Reg) else None
        if isinstance(stmt, Compute):
            open_ += stmt.args
        elif isinstance(stmt, Load) and any(_depends(i, made, carried) for i in stmt.view.prefix):
            found.append(stmt)
    return found


def _depends(value: Value, made: dict[Reg, Stmt], carried: set[Value]) -> bool:
    stmt = made.get(value) if isinstance(value, Reg) else None
    return value in carried or (isinstance(stmt, Compute) and any(_depends(a, made, carried) for a in stmt.args))


def _chooses(branch: If) -> bool:
    """May both sides be computed, to choose from?"""
    return all(isinstance(s, Compute) and s.name in PURE for s in (*branch.then, *branch.orelse))


def _chosen(body: Sequence[Stmt]) -> list[Stmt]:
    """A body without the branches that only choose."""
    out: list[Stmt] = []
    for s in body:
        if isinstance(s, If) and _chooses(s):
            out += [*s.then, *s.orelse, *(Compute(j.out, "choice", (s.pred, j.then, j.orelse)) for j in s.joins)]
        else:
            out.append(s)
    return out

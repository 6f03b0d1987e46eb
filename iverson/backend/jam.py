"""Loops of a few turns that hold one reduction each are written out around one reduction of them all.

    for i in 0..3 any:                         for k; s0, s1, s2:
        for k; s: s' = s <add> f(i, k)    ->       s0' = s0 <add> f(0, k); s1' = s1 <add> f(1, k); s2' = ...
        y[i] = s                               y[0] = s0; y[1] = s1; y[2] = s2

The machine adds to several accumulators at once, where one would wait for each addition; what doesn't depend on i is
computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.loopir import Carry, Compute, For, Get, Load, Put, Reg, Require, Stmt, Store, Value, integer
from iverson.backend.rewrite import rewrite
from iverson.core.syntax import Literal

JAMMED = 12  # accumulators of a loop, at most

_INNER = Compute | ir.Combine | Load | ir.If | ir.Bound
_OUTER = Compute | ir.Combine | Load | Store | For | Get | Put | ir.Bound | Require


def jammed(body: list[Stmt]) -> list[Stmt]:
    """The body with its loops of a few turns that hold one reduction each written out around one reduction of them."""
    rewrite(body, lambda stmt: together(stmt) if isinstance(stmt, For) else None)
    return body


def together(loop: For) -> list[Stmt] | None:
    """The turns of a loop together; None if it isn't of that kind.

    Checks that may fail in other turns first only ask for another run of the program (backend/checks.py).
    """
    if loop.tag not in ("any", "apart") or not isinstance(loop.high, Literal) or loop.low != integer(0):
        return None
    turns = int(loop.high.value)
    loops = [s for s in loop.body if isinstance(s, For)]
    if len(loops) != 1 or not all(isinstance(s, _OUTER) for s in loop.body):
        return None
    (inner,) = loops
    at = loop.body.index(inner)
    varying: set[Value] = {loop.index, *(c.reg for c in loop.carries)}
    follow(loop.body, varying)
    if not _may_check(loop.body[:at], [*ir.walk(inner.body), *loop.body[at:]], varying):
        return None
    stored = [s.view.buffer for s in loop.body if isinstance(s, Store)]
    loaded = [s.view.buffer for s in ir.walk(loop.body) if isinstance(s, Load)]
    if (
        not 0 < turns * len(inner.carries) <= JAMMED
        or not all(isinstance(s, _INNER) for s in ir.walk(inner.body))
        or inner.low in varying
        or inner.high in varying
        or any(a.pointer is b.pointer or not (a.scoped or b.scoped) for a in loaded for b in stored)
    ):
        return None
    before: list[Stmt] = []
    middle: list[Stmt] = []
    behind: list[Stmt] = []
    carries: list[Carry] = []
    state: dict[Reg, Value] = {c.reg: c.init for c in loop.carries}
    for k in range(turns):
        env: dict[Reg, Value] = {loop.index: integer(k), **state}
        before += copied(loop.body[:at], env, k > 0)
        own = [
            Carry(Reg(c.reg.type, c.reg.hint), now(c.init, env), c.next, Reg(c.out.type, c.out.hint))
            for c in inner.carries
        ]
        env |= {c.reg: o.reg for c, o in zip(inner.carries, own, strict=True)}
        middle += copied(inner.body, env, k > 0)
        for c, o in zip(inner.carries, own, strict=True):
            o.next = now(c.next, env)
            env[c.out] = o.out
        carries += own
        behind += copied(loop.body[at + 1 :], env, False)
        state = {c.reg: now(c.next, env) for c in loop.carries}
    needed = {v for s in (*before, *ir.walk(middle)) for v in ir.used(s)} | {c.init for c in carries}
    if any(r in needed for r in (*(c.out for c in carries), *(r for s in behind for r in ir.defined(s)))):
        return None
    made: list[Stmt] = [*before, replace(inner, body=_joined(middle), carries=carries), *behind]
    return [*made, *(Compute(c.out, "stop", (state[c.reg],)) for c in loop.carries)]


def follow(body: Iterable[Stmt], found: set[Value]) -> None:
    """Find what else the statements of a body compute from what was found."""
    for stmt in body:
        if not found.isdisjoint(ir.used(stmt)):
            found.update(ir.defined(stmt))
        for inner in ir.blocks(stmt):
            follow(inner, found)


def _may_check(before: Sequence[Stmt], later: Sequence[Stmt], varying: set[Value]) -> bool:
    """Are checks the same in all turns, and come first, or only ask?  A flag is lowered first, and looked at last."""
    return (
        all(varying.isdisjoint(ir.used(s)) or _asks(s) for s in before if isinstance(s, ir.Bound | Require))
        and all(_asks(s) for s in later if isinstance(s, ir.Bound | Require))
        and all(isinstance(s.value, Literal) for s in before if isinstance(s, Put))
        and not any(isinstance(s, Get) for s in before)
        and not any(isinstance(s, Put) for s in later)
    )


def _asks(check: ir.Bound | Require) -> bool:
    """Does a check only ask for another run of the program?"""
    return check.site == 0


def now(value: Value, env: dict[Reg, Value]) -> Value:
    return env.get(value, value) if isinstance(value, Reg) else value


def copied(body: Sequence[Stmt], env: dict[Reg, Value], again: bool) -> list[Stmt]:
    """Statements with registers of their own, which `env` learns; what is the same in every turn isn't made `again`."""
    out: list[Stmt] = []
    for stmt in body:
        (new,) = ir.renamed([stmt], env)
        if new is stmt and not isinstance(stmt, Store | Get | Put):
            out += [] if again else [stmt]
            continue
        if isinstance(stmt, ir.If):
            inner = dict(env)
            sides = [copied(b, inner, False) for b in ir.blocks(stmt)]
            joins = [ir.Join(Reg(j.out.type, j.out.hint), now(j.then, inner), now(j.orelse, inner)) for j in stmt.joins]
            env.update((j.out, new.out) for j, new in zip(stmt.joins, joins, strict=True))
            out.append(ir.If(now(stmt.pred, env), sides[0], sides[1], joins))
            continue
        if isinstance(new, Compute | ir.Combine | Load | Get):
            env[new.out] = Reg(new.out.type, new.out.hint)
            new = replace(new, out=env[new.out])
        out.append(replace(new) if new is stmt else new)
    return out


def _joined(body: list[Stmt]) -> list[Stmt]:
    """Branches by one decision are one, behind all else."""
    branches = [s for s in body if isinstance(s, ir.If)]
    rest = [s for s in body if not isinstance(s, ir.If)]
    results = {j.out for s in branches for j in s.joins}
    free = not any(v in results for s in [*rest, *(t for b in branches for t in ir.walk([*b.then, *b.orelse]))]
                   for v in ir.used(s))  # fmt: skip
    if len(branches) < 2 or not free or any(s.pred is not branches[0].pred for s in branches):
        return body
    then, orelse = ({id(t): t for s in branches for t in ir.blocks(s)[k]} for k in (0, 1))
    joins = [j for s in branches for j in s.joins]
    return [*rest, ir.If(branches[0].pred, list(then.values()), list(orelse.values()), joins)]

"""A loop that is decided by its index is two loops, without the decision.

    for j in a..b any:                        for j in a..m any: y[j] = u[j]
        if j < n: v = u[j]                    for j in m..b any: y[j] = w[j - n]
        else: v = w[j - n]             ->
        y[j] = v                              where m = n, in a..b; n is the same in every turn

So are the parts of what was joined copied, each as a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import folded, inner_registers
from iverson.backend.loopir import Compute, For, If, Load, Program, Reg, Stmt, Store, Value
from iverson.backend.rewrite import rewrite
from iverson.core.syntax import I64

MOST = 40  # statements of a loop that is doubled


def run(program: Program) -> None:
    """Rewrite the innermost loops of a program, in place."""
    rewrite(program.body, lambda stmt: _split(stmt) if isinstance(stmt, For) else None)


def _split(loop: For) -> list[Stmt]:
    """The loops that take the loop's place."""
    whole = list(ir.walk(loop.body))
    plain = all(isinstance(s, Compute | Load | Store | If) for s in whole) and len(whole) <= MOST
    if loop.carries or loop.tag not in ("any", "seq") or not plain:
        return [loop]
    inside = inner_registers(loop)
    tests = {
        s.out: s.args[1]
        for s in loop.body
        if isinstance(s, Compute) and s.name == "lt" and s.args[0] is loop.index and s.args[1] not in inside
    }
    chosen = next((s for s in loop.body if isinstance(s, If) and s.pred in tests), None)
    if chosen is None:
        return [loop]
    assert isinstance(chosen.pred, Reg)
    lets: list[Stmt] = []
    above = folded(lets, "max", tests[chosen.pred], loop.low, "above")
    middle = folded(lets, "min", above, loop.high, "middle")
    parts = [
        replace(loop, index=(index := Reg(I64, loop.index.hint)), low=low, high=high,
                body=_side(loop, chosen, side, index))
        for low, high, side in ((loop.low, middle, 0), (middle, loop.high, 1))
    ]  # fmt: skip
    return [*lets, *(s for part in parts for s in _split(part))]


def _side(loop: For, chosen: If, side: int, index: Reg) -> list[Stmt]:
    """The body of a loop with one side of an If in its place."""
    env: dict[Reg, Value] = {loop.index: index}
    at = loop.body.index(chosen)
    out = _copied([*loop.body[:at], *ir.blocks(chosen)[side]], env)
    for j in chosen.joins:
        value = j.orelse if side else j.then
        env[j.out] = env.get(value, value) if isinstance(value, Reg) else value
    return [*out, *_copied(loop.body[at + 1 :], env)]


def _copied(body: Sequence[Stmt], env: dict[Reg, Value]) -> list[Stmt]:
    """Statements with registers of their own; `env` learns them."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, If):
            inner = dict(env)
            sides = [_copied(b, inner) for b in ir.blocks(stmt)]
            (new,) = ir.renamed([replace(stmt, then=sides[0], orelse=sides[1])], inner)
            assert isinstance(new, If)
            env.update((j.out, Reg(j.out.type, j.out.hint)) for j in stmt.joins)
            out += ir.renamed([replace(new, joins=[replace(j, out=env[j.out]) for j in new.joins])], {})
            continue
        (new,) = ir.renamed([stmt], env)
        if isinstance(new, Compute | Load):
            env[new.out] = Reg(new.out.type, new.out.hint)
            new = replace(new, out=env[new.out])
        out.append(replace(new) if new is stmt else new)
    return out

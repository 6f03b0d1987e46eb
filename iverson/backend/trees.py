"""A short reduction in a sequential loop is a tree: the chain from turn to turn is shorter.

    for i seq; x = x0                                 for i seq; x = x0
        for k in 0..4 apart; s = 0:                       t0, t1, t2, t3 = f(0, x), f(1, x), f(2, x), f(3, x)
            s = s <add> f(k, x)               ->          s = ((0 <add> t0) <add> t1) <add> (t2 <add> t3)
        x = g(s)                                          x = g(s)

Only what may be reassociated; LLVM, which would unroll the inner loop itself, keeps its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend import unroll
from iverson.backend.loopir import Combine, For, Load, Program, Reg, Stmt, Value, While
from iverson.core.syntax import Literal


def run(program: Program) -> None:
    """Rewrite the short reductions of the sequential loops of a program, in place."""
    _block(program.body, sequential=False)


def _block(body: list[Stmt], sequential: bool) -> None:
    for stmt in body:
        for inner in ir.blocks(stmt):
            _block(inner, isinstance(stmt, While) or (isinstance(stmt, For) and stmt.tag == "seq"))
    if sequential:
        body[:] = [s for stmt in body for s in (_trees(stmt) if isinstance(stmt, For) else None) or [stmt]]


def _trees(loop: For) -> list[Stmt] | None:
    """A loop written out, with a tree for each of its carries; None if it is none of those that are meant."""
    if loop.tag not in ("any", "apart") or not loop.carries or not unroll.short(loop):
        return None
    assert isinstance(loop.low, Literal) and isinstance(loop.high, Literal)
    turns = range(int(loop.low.value), int(loop.high.value))
    if len(turns) < 3:
        return None
    steps = [unroll.reduction(loop, c) for c in loop.carries]
    if any(s is None for s in steps):
        return None
    combines = [s for s in steps if s is not None]
    rest = [s for s in loop.body if s not in combines]
    terms: list[list[Value]] = [[] for _ in combines]
    code: list[Stmt] = []
    for i in turns:
        turn: dict[Reg, Value] = {loop.index: ir.integer(i)}
        for stmt in rest:
            (new,) = ir.renamed([stmt], turn)
            if isinstance(new, ir.Compute | Combine | Load):
                turn[new.out] = Reg(new.out.type, new.out.hint)
                new = replace(new, out=turn[new.out])
            code.append(new)
        for c, step, found in zip(loop.carries, combines, terms, strict=True):
            term = step.right if step.left is c.reg else step.left
            found.append(turn.get(term, term) if isinstance(term, Reg) else term)
    for c, step, found in zip(loop.carries, combines, terms, strict=True):
        first = Reg(c.out.type, c.out.hint)
        code.append(replace(step, out=first, left=c.init, right=found[0]))
        code += _tree(step, [first, *found[1:]], c.out)
    return code


def _tree(step: Combine, terms: Sequence[Value], out: Reg) -> list[Stmt]:
    """Two terms or more, combined in order, by halves."""
    sides: list[Value] = []
    code: list[Stmt] = []
    for side in (terms[: (len(terms) + 1) // 2], terms[(len(terms) + 1) // 2 :]):
        value = side[0]
        if len(side) > 1:
            value = Reg(out.type, out.hint)
            code += _tree(step, side, value)
        sides.append(value)
    return [*code, replace(step, out=out, left=sides[0], right=sides[1])]

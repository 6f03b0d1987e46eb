"""Turns that look up at the same places, which the program finds in memory, run four at a time.

    for j in 0..n any: m                        for t in 0..n // 4: m
        for e: s                                    for e: s0, s1, s2, s3
            c = columns[e]                    ->        c = columns[e]
            s' = s <add> x[e] a[j, c]                   s0' = s0 <add> x[e] a[4 t, c];  s1' = ..
        m' = min(m, s)                              m' = min(m, s0);  m'' = min(m', s1); ..
                                                what is left over as before

The loop over e reads and tests c once for four uses of it.  A vector would gather its elements one after the other, and
rows of sparse arrays are short; four sums add as fast without.  (Writing out: backend/jam.py.)
"""

from __future__ import annotations

from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.checks import tested
from iverson.backend.invariance import inner_registers
from iverson.backend.jam import follow, together
from iverson.backend.loopir import Carry, Compute, For, Load, Program, Reg, Stmt, Value, integer
from iverson.backend.rewrite import is_wide
from iverson.core.syntax import I64, Literal

AT_ONCE = 4  # turns
MOST = 100  # statements of a loop that is written out


def run(program: Program) -> None:
    """Rewrite the loops within loops for which it pays, in place.  (What is outermost may run on threads.)"""
    program.body[:] = _block(program.body, inside=False)


def _block(body: list[Stmt], inside: bool) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        for inner in ir.blocks(stmt) if not is_wide(stmt) else ():
            inner[:] = _block(inner, inside or isinstance(stmt, For | ir.While))
        out += (_four(stmt) if inside and isinstance(stmt, For) and _pays(stmt) else None) or [stmt]
    return out


def _pays(loop: For) -> bool:
    """Does its only inner loop look things up, at places that are the same for all turns?"""
    loops = [s for s in loop.body if isinstance(s, For)]
    few = isinstance(loop.high, Literal) and loop.high.value < AT_ONCE
    if loop.tag != "any" or few or len(loops) != 1 or len(list(ir.walk(loop.body))) > MOST:
        return False
    (inner,) = loops
    own: set[Value] = {loop.index, *(c.reg for c in (*loop.carries, *inner.carries))}  # what is a turn's own
    follow(loop.body, own)
    found: set[Value] = {s.out for s in inner.body if isinstance(s, Load) and s.out not in own}
    follow(inner.body, found)
    return any(v in found - own for s in inner.body if isinstance(s, Load) for v in s.view.prefix)


def _four(loop: For) -> list[Stmt] | None:
    """The loop over fours of turns, and the loop over the rest."""
    tile, base, lane = Reg(I64, "tile"), Reg(I64, "base"), Reg(I64, "lane")
    start, turns, some, full = Reg(I64, "start"), Reg(I64, "turns"), Reg(I64, "some"), Reg(I64, "full")
    done, rest = Reg(I64, "done"), Reg(I64, "rest")
    through = [replace(c, init=Reg(c.reg.type, c.reg.hint), out=Reg(c.reg.type, c.reg.hint)) for c in loop.carries]
    own = [tested(s) if isinstance(s, For) else s for s in loop.body]
    body = [Compute(loop.index, "add", (base, lane)), *own]
    written = together(For(lane, integer(0), integer(AT_ONCE), body, through, loop.tag))
    if written is None:
        return None
    for stmt in written:
        if isinstance(stmt, For):
            stmt.tag = "few"
    carries = [
        Carry(t.init, c.init, t.out, Reg(c.reg.type, c.reg.hint))
        for c, t in zip(loop.carries, through, strict=True)
        if isinstance(t.init, Reg)
    ]
    whole = loop.whole or loop.index
    turn = [Compute(start, "mul", (tile, integer(AT_ONCE))), Compute(base, "add", (loop.low, start)), *written]
    fours = For(tile, integer(0), full, turn, carries, "tile")
    (fours,) = ir.renamed([fours], {r: Reg(r.type, r.hint) for r in inner_registers(fours)})
    assert isinstance(fours, For)
    left = [replace(c, init=f.out) for c, f in zip(loop.carries, carries, strict=True)]
    return [
        Compute(turns, "sub", (loop.high, loop.low)),
        Compute(some, "max", (turns, integer(0))),
        Compute(full, "floordiv", (some, integer(AT_ONCE))),
        replace(fours, whole=whole),
        Compute(done, "mul", (full, integer(AT_ONCE))),
        Compute(rest, "add", (loop.low, done)),
        replace(loop, low=rest, carries=left, whole=whole),
    ]

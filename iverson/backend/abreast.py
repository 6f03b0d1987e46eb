"""Turns of an outer loop run abreast: where sums of several loops, like a convolution's, would run in lanes.

    for p in 0..n any:                      for q in 0..n // 4: p = 4 q
        for j any:                              for j any:
            for k: for l: s += x[p, k, l] w[k, l, j]    for k: for l; s0, .. s3: v = w[k, l, j]
            y[p, j] = s                ->                   s0 += x[p, k, l] v; .. s3 += x[p + 3, k, l] v
                                                    y[p, j] = s0; .. y[p + 3, j] = s3

and what is left over as before.  The machine adds to several vectors at once, where one would wait for each addition,
and what doesn't depend on p is loaded once.  Nothing that the turns store is loaded in them, and each stores at p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.jam import copied, now
from iverson.backend.loopir import Carry, Compute, For, Load, Program, Reg, Stmt, Store, Value, integer
from iverson.backend.rewrite import rewrite
from iverson.core.syntax import I64, Literal

TURNS = 4


def run(program: Program, in_lanes: Callable[[For], bool]) -> set[For]:
    """Every loop of the kind, in place, if what it holds, and not the loop itself, would run in lanes.  The loops that
    do so for several turns now."""
    found: set[For] = set()

    def rule(stmt: Stmt) -> list[Stmt] | None:
        if not isinstance(stmt, For) or (loop := _held(stmt)) is None:
            return None
        return _abreast(stmt, found) if in_lanes(loop) and not in_lanes(stmt) else None

    rewrite(program.body, rule)
    return found


def _held(outer: For) -> For | None:
    """The loop that an outer one holds, if its turns may run abreast, and gain by it."""
    loops = [s for s in outer.body if isinstance(s, For)]
    few = isinstance(outer.high, Literal) and not 1 < outer.high.value <= TURNS and outer.high.value < 4 * TURNS
    if outer.tag not in ("any", "apart") or outer.carries or outer.low != integer(0) or few or len(loops) != 1:
        return None
    (loop,) = loops
    inner = list(ir.walk(outer.body))
    if loop.tag not in ("any", "apart") or loop.carries or not _sums(loop, 0):
        return None
    if not all(isinstance(s, Compute | ir.Combine | Load | Store | For) for s in inner):
        return None
    loaded = {s.view.buffer for s in inner if isinstance(s, Load)}
    stored = {s.view.buffer for s in inner if isinstance(s, Store)}
    at = all(any(v is outer.index for v in s.view.prefix) for s in inner if isinstance(s, Store))
    met = any(a.pointer is b.pointer or not (a.scoped or b.scoped) for a in loaded for b in stored)
    inside = inner_registers(outer)
    same = all(b not in inside for s in inner if isinstance(s, For) for b in (s.low, s.high))
    return loop if at and same and not met and _shares(outer, loop) else None


def _sums(loop: For, depth: int) -> bool:
    """Is all that it holds sums, two loops deep at least?"""
    loops = [s for s in loop.body if isinstance(s, For)]
    if not loops:
        return depth > 1
    (first, *others) = loops
    return not others and len(first.carries) == 1 and _sums(first, depth + 1)


def _shares(outer: For, loop: For) -> bool:
    """Does an innermost turn load what depends on the inner loop alone?"""
    varying: set[Value] = {outer.index}
    for s in ir.walk(outer.body):
        if isinstance(s, Compute | ir.Combine | Load) and not varying.isdisjoint(ir.used(s)):
            varying.add(s.out)
    last = loop
    while loops := [s for s in last.body if isinstance(s, For)]:
        (last,) = loops
    return any(isinstance(s, Load) and s.out not in varying and loop.index in s.view.prefix for s in last.body)


def _abreast(outer: For, found: set[For]) -> list[Stmt]:
    if isinstance(outer.high, Literal) and outer.high.value <= TURNS:
        return _turns(outer, [integer(k) for k in range(int(outer.high.value))], found)
    blocks, block, first, rest = (Reg(I64, h) for h in ("blocks", "block", "first", "rest"))
    places: list[Value] = [first, *(Reg(I64, outer.index.hint) for _ in range(1, TURNS))]
    body: list[Stmt] = [Compute(first, "mul", (block, integer(TURNS)))]
    body += [Compute(p, "add", (first, integer(k))) for k, p in enumerate(places) if k and isinstance(p, Reg)]
    return [
        Compute(blocks, "floordiv", (outer.high, integer(TURNS))),
        For(block, integer(0), blocks, [*body, *_turns(outer, places, found)], [], outer.tag),
        Compute(rest, "mul", (blocks, integer(TURNS))),
        replace(outer, low=rest),
    ]


def _turns(outer: For, places: Sequence[Value], found: set[For]) -> list[Stmt]:
    """The turns at these places, their loops together; registers that one defines have new names."""
    envs: list[dict[Reg, Value]] = [{outer.index: p} for p in places]
    fresh = {r: Reg(r.type, r.hint) for r in inner_registers(outer)}
    (whole,) = ir.renamed([replace(outer, body=_together(outer.body, envs))], fresh)
    assert isinstance(whole, For)
    found |= {s for s in whole.body if isinstance(s, For)}
    return whole.body


def _together(body: Sequence[Stmt], envs: Sequence[dict[Reg, Value]]) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        if not isinstance(stmt, For):
            for k, env in enumerate(envs):
                out += copied([stmt], env, k > 0)
            continue
        carries: list[Carry] = []
        for env in envs:
            for c in stmt.carries:
                own = Carry(Reg(c.reg.type, c.reg.hint), now(c.init, env), c.next, Reg(c.out.type, c.out.hint))
                env |= {c.reg: own.reg, c.out: own.out}
                carries.append(own)
        inner = _together(stmt.body, envs)
        for at, c in enumerate(carries):
            c.next = now(c.next, envs[at // len(stmt.carries)])
        out.append(replace(stmt, body=inner, carries=carries))
    return out

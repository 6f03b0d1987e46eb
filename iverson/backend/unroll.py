"""Loops of a few turns, known in number, written out; then arrays of a few elements are registers.

for k in 0..2; s = s0: s' = s <add> x[i, k]     ->     s1 = s0 <add> x[i, 0];  s2 = s1 <add> x[i, 1]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.loopir import Buffer, For, Load, Reg, Stmt, Store, Value
from iverson.core.syntax import Literal

TURNS = 8
ELEMENTS = 16  # of an array that is kept in registers


def short(loop: For) -> bool:
    """Is it a flat loop of so few turns that they are written out?"""
    low, high = loop.low, loop.high
    if loop.tag == "simd":
        return False
    plain = ir.Compute | ir.Combine | Load | Store
    if not (isinstance(low, Literal) and isinstance(high, Literal)) or not all(isinstance(s, plain) for s in loop.body):
        return False
    return int(high.value) - int(low.value) <= TURNS


def reduction(loop: For, carry: ir.Carry) -> ir.Combine | None:
    """The statement by which a carry takes in a turn's term, if nothing else sees it and the order is free."""
    steps = [s for s in loop.body if isinstance(s, ir.Combine) and s.out is carry.next and s.free]
    made = [s for s in steps if s.left is carry.reg or s.right is carry.reg]
    seen = [v for s in loop.body for v in ir.used(s) if v is carry.reg or v is carry.next]
    others = [c for c in loop.carries if c is not carry and c.next in (carry.reg, carry.next)]
    return made[0] if made and seen == [carry.reg] and not others else None


def written_out(body: Iterable[Stmt], outs: Sequence[Value] = ()) -> tuple[list[Stmt], list[Value]]:
    """Statements with the turns of their short loops one after the other, and what has become of some values."""
    out: list[Stmt] = []
    env: dict[Reg, Value] = {}
    for stmt in body:
        (stmt,) = ir.renamed([stmt], env)
        if not (isinstance(stmt, For) and short(stmt)):
            out.append(stmt)
            continue
        assert isinstance(stmt.low, Literal) and isinstance(stmt.high, Literal)
        state: dict[Reg, Value] = {c.reg: c.init for c in stmt.carries}
        for i in range(int(stmt.low.value), int(stmt.high.value)):
            turn: dict[Reg, Value] = {**state, stmt.index: ir.integer(i)}
            for inner in stmt.body:
                (new,) = ir.renamed([inner], turn)
                if isinstance(new, ir.Compute | ir.Combine | Load):
                    turn[new.out] = Reg(new.out.type, new.out.hint)
                    new = replace(new, out=turn[new.out])
                out.append(new)
            state = {c.reg: turn.get(c.next, c.next) if isinstance(c.next, Reg) else c.next for c in stmt.carries}
        env.update((c.out, state[c.reg]) for c in stmt.carries)
    return out, [env.get(v, v) if isinstance(v, Reg) else v for v in outs]


def in_registers(body: Sequence[Stmt], outs: Sequence[Value] = ()) -> tuple[list[Stmt], list[Value]]:
    """A straight line without the small arrays that it makes: each element of them is what was stored there last.

    An array stays that is used in another way, or at a place that isn't known.  Also what has become of some values.
    """
    made = [s.buffer for s in body if isinstance(s, ir.Alloc) and s.buffer.pointer not in outs]
    own = {b for b in made if _small(b) and _by_elements(body, b)}
    elements: dict[tuple[Buffer, tuple[Value, ...]], Value] = {}
    env: dict[Reg, Value] = {}
    out: list[Stmt] = []
    for stmt in body:
        (stmt,) = ir.renamed([stmt], env)
        match stmt:
            case Load(reg, view) if view.buffer in own:
                env[reg] = elements[view.buffer, view.prefix]
            case Store(view, value) if view.buffer in own:
                elements[view.buffer, view.prefix] = value
            case ir.Alloc(buffer) | ir.Free(buffer) if buffer in own:
                pass
            case _:
                out.append(stmt)
    return out, [env.get(v, v) if isinstance(v, Reg) else v for v in outs]


def _small(buffer: Buffer) -> bool:
    sizes = [int(e.value) for e in buffer.extents if isinstance(e, Literal)]
    return len(sizes) == len(buffer.extents) and math.prod(sizes) <= ELEMENTS and buffer.strides is None


def _by_elements(body: Sequence[Stmt], buffer: Buffer) -> bool:
    """Is an array used at known elements only, each stored before it is loaded?"""
    written: set[tuple[Value, ...]] = set()
    for stmt in body:
        if isinstance(stmt, Load | Store) and stmt.view.buffer is buffer:
            whole = len(stmt.view.prefix) == len(buffer.extents)
            if not whole or not all(isinstance(v, Literal) for v in stmt.view.prefix):
                return False
            if isinstance(stmt, Store):
                written.add(stmt.view.prefix)
            elif stmt.view.prefix not in written:
                return False
        elif not isinstance(stmt, ir.Alloc | ir.Free) and buffer.pointer in (*ir.used(stmt), *ir.defined(stmt)):
            return False
    return True

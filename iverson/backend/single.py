"""A loop of one turn is its body.

    for k in 0..1; s = s0: b(k, s); next s <- s1; out s2     ->     b(0, s0), and s1 wherever s2 was

Sizes that are known, as those of short axes are, make such loops: a convolution of 1 x 1 has two of them. They go when
loops have their schedule, for which sums of one term count as sums.
"""

from __future__ import annotations

from iverson.backend import loopir as ir
from iverson.backend.lengths import buffers
from iverson.backend.loopir import For, Program, Reg, Stmt, Value
from iverson.backend.rewrite import rewrite
from iverson.core.syntax import Literal


def run(program: Program) -> None:
    """Write out the loops of one turn, in place."""
    becomes: dict[Reg, Value] = {}

    def rule(stmt: Stmt) -> list[Stmt] | None:
        if not (isinstance(stmt, For) and _single(stmt)):
            return None
        becomes[stmt.index] = stmt.low
        for c in stmt.carries:
            becomes[c.reg], becomes[c.out] = c.init, c.next
        return stmt.body

    rewrite(program.body, rule)
    if not becomes:
        return

    def name(value: Value) -> Value:
        while value in becomes:
            value = becomes[value]
        return value

    for buffer in set(buffers(program.body)):
        buffer.extents = tuple(map(name, buffer.extents))
        buffer.strides = None if buffer.strides is None else tuple(map(name, buffer.strides))
        pointer = name(buffer.pointer)
        assert isinstance(pointer, Reg)
        buffer.pointer = pointer
    program.body[:] = ir.renamed(program.body, {reg: name(reg) for reg in becomes})


def _single(loop: For) -> bool:
    low, high = loop.low, loop.high
    return isinstance(low, Literal) and isinstance(high, Literal) and int(high.value) == int(low.value) + 1

"""Lengths that a check has found to be equal have one name behind it.

    require a = b                            require a = b
    for i < a any: t[i] = f(x[i])     ->     for i < a any: t[i] = f(x[i])
    for i < b any: y[i] = g(t[i])            for i < a any: y[i] = g(t[i])

Then loops over them are seen to have the same turns, and merge (backend/merge.py).  Only checks on the way that every
run takes count; the extents of a buffer change if it is first used behind the check.  The name is the one that loops
before the check have.
"""

from __future__ import annotations

from collections.abc import Iterable

from iverson.backend import loopir as ir
from iverson.backend.loopir import Buffer, Program, Reg, Stmt, Value, View
from iverson.core.syntax import I64


def run(program: Program) -> None:
    """Rename bounds of loops and extents of buffers, in place."""
    tests: dict[Value, tuple[Reg, Reg]] = {}
    names: dict[Value, Value] = {}
    seen: set[Buffer] = set()
    bounds: set[Value] = set()  # of loops so far

    def name(v: Value) -> Value:
        while v in names:
            v = names[v]
        return v

    for stmt in program.body:
        match stmt:
            case ir.Compute(out, "eq", (Reg(type=t) as a, Reg() as b)) if t is I64:
                tests[out] = a, b
            case ir.Require(pred, when=None) if pred in tests:
                one, two = map(name, tests[pred])
                if one in bounds or two not in bounds:
                    one, two = two, one
                if one is not two:
                    names[one] = two
            case _:
                pass
        for buffer in set(_buffers(stmt)) - seen:
            seen.add(buffer)
            buffer.extents = tuple(map(name, buffer.extents))
        for loop in ir.walk([stmt]):
            if isinstance(loop, ir.For):
                loop.low, loop.high = name(loop.low), name(loop.high)
                bounds.add(loop.high)


def _buffers(stmt: Stmt) -> Iterable[Buffer]:
    """Every buffer that a statement names, or one in it."""
    for s in ir.walk([stmt]):
        match s:
            case ir.Load(_, View(buffer)) | ir.Store(View(buffer), _):
                yield buffer
            case ir.Alloc(buffer) | ir.Mapped(buffer) | ir.Free(buffer) | ir.Own(buffer):
                yield buffer
            case ir.Copy(View(one), View(two)):
                yield from (one, two)
            case ir.Choose(buffer, _, View(one), View(two)):
                yield from (buffer, one, two)
            case ir.Call(_, args):
                yield from (a.buffer for a in args if isinstance(a, View))
            case _:
                pass

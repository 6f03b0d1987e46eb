"""Lengths that a check has found to be equal have one name behind it.

    require a = b                            require a = b
    for i < a any: t[i] = f(x[i])     ->     for i < a any: t[i] = f(x[i])
    for i < b any: y[i] = g(t[i])            for i < a any: y[i] = g(t[i])

Then loops over them are seen to have the same turns, and merge (backend/merge.py).  Only checks on the way that every
run takes count: what one in a loop says holds behind it in the turn, and in later loops that turn if that one does. The
extents of a buffer change if it is first used behind the check, and nowhere that the check doesn't reach.  The name is
the one that loops before the check have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from iverson.backend import loopir as ir
from iverson.backend.loopir import Buffer, Program, Reg, Stmt, Value, View
from iverson.core.syntax import I64

Names: TypeAlias = "dict[Value, Value]"
Tests: TypeAlias = "dict[Value, tuple[Reg, Reg]]"  # by what they give
Turns: TypeAlias = tuple[Value, Value]  # a loop's bounds


def run(program: Program) -> None:
    """Rename bounds of loops and extents of buffers, in place."""
    _block(program.body, {}, {}, {}, set(), set())


def _block(
    body: list[Stmt],
    known: Names,
    turning: dict[Turns, Names],
    tests: Tests,
    seen: set[Buffer],
    stops: set[Value],
) -> Names:
    """The same of a block, given what is known before it, and in loops of some bounds; what is known behind it.

    `seen` are buffers that live elsewhere too, `stops` upper bounds of loops so far.
    """
    names, turning, tests, mine = dict(known), dict(turning), dict(tests), set[Reg]()

    for stmt in body:
        match stmt:
            case ir.Compute(out, "eq", (Reg(type=t) as a, Reg() as b)) if t is I64:
                tests[out] = a, b
            case ir.Require(pred, when=None) if pred in tests:
                one, two = (_name(v, names) for v in tests[pred])
                if (one in mine, one not in stops) > (two in mine, two not in stops):
                    one, two = two, one
                if one is not two:
                    names[two] = one
            case ir.For(_, low, high, inner):
                bounds = _name(low, names), _name(high, names)
                there = _both(names, turning.get(bounds, {}))
                behind = _block(inner, there, turning, tests, _elsewhere(stmt, seen), stops)
                own = {v for s in ir.walk(inner) for v in (*ir.entered(s), *ir.defined(s))} | {stmt.index}
                turning[bounds] = {a: b for a, b in behind.items() if a not in own and b not in own}
            case ir.While():
                for inner in ir.blocks(stmt):
                    _block(inner, names, turning, tests, _elsewhere(stmt, seen), stops)
            case _:
                pass
        mine.update(ir.defined(stmt))
        for buffer in set(buffers([stmt])) - seen:
            seen.add(buffer)
            buffer.extents = tuple(_name(e, names) for e in buffer.extents)
        for loop in ir.walk([stmt]):
            if isinstance(loop, ir.For):
                loop.low, loop.high = _name(loop.low, names), _name(loop.high, names)
                stops.add(loop.high)
    return names


def _name(v: Value, names: Names) -> Value:
    while v in names:
        v = names[v]
    return v


def _both(names: Names, others: Names) -> Names:
    """What is known by both."""
    found = dict(names)
    for a, b in others.items():
        two, one = _name(a, found), _name(b, found)
        if one is not two:
            found[two] = one
    return found


def _elsewhere(stmt: Stmt, seen: set[Buffer]) -> set[Buffer]:
    """The buffers that a loop doesn't begin itself, and those seen before."""
    begun = {s.buffer for s in ir.walk([stmt]) if isinstance(s, ir.Alloc)}
    return seen | {b for b in buffers([stmt]) if b not in begun}


def buffers(body: list[Stmt]) -> Iterable[Buffer]:
    """Every buffer that statements name, or those in them."""
    for s in ir.walk(body):
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

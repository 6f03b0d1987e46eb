"""A loop over the elements of a flattened array goes row by row, and nothing is divided any more.

    for k in 0..n m:                               for q in 0..n:
        q = k // m                        ->           y[m q] = x[q, 0]
        r = k % m                                      y[m q + 1] = x[q, 1]
        y[k] = x[q, r]                                 ...

where m is a small number, as coordinates have.  What the elements of a row have in common is computed once.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import drop_unused
from iverson.backend.loopir import Carry, Compute, For, Program, Reg, Stmt, Value, integer
from iverson.backend.places import Places
from iverson.backend.rewrite import rewrite
from iverson.backend.unroll import short, written_out
from iverson.core.syntax import I64, Literal

STATEMENTS = 160  # of a row, at most

PARTS = ("floordiv", "mod")


def run(program: Program) -> None:
    """Rewrite the loops of a program, in place."""
    if any(isinstance(s, Compute) and s.name in PARTS for s in ir.walk(program.body)):
        places = Places(program.body)
        rewrite(program.body, lambda stmt: _unravelled(stmt, places))


def _unravelled(stmt: Stmt, places: Places) -> list[Stmt] | None:
    if not isinstance(stmt, For) or stmt.tag not in ("any", "seq") or stmt.low != integer(0):
        return None
    size = _rows(stmt, places)
    loop = None if size is None else _by_rows(stmt, *size)
    return None if loop is None else [loop]


def _rows(loop: For, places: Places) -> tuple[Value, Literal] | None:
    """How many rows a loop passes over, and of which length, if its index is taken apart."""
    made = places.computed.get(loop.high) if isinstance(loop.high, Reg) else None
    if made is None or made.name != "mul":
        return None
    divisors = {m for _, m in _parts(loop)}
    for n, m in (made.args, made.args[::-1]):
        if isinstance(m, Literal) and m in divisors and int(m.value) > 0 and _length(n, places):
            return n, m
    return None


def _parts(loop: For) -> dict[tuple[str, Value], list[Reg]]:
    """The quotients and remainders of a loop's index, by the divisor."""
    found: dict[tuple[str, Value], list[Reg]] = {}
    for s in loop.body:
        if isinstance(s, Compute) and s.name in PARTS and s.args[0] is loop.index:
            found.setdefault((s.name, s.args[1]), []).append(s.out)
    return found


def _length(n: Value, places: Places) -> bool:
    """Is it a length of an array, or several times one: not negative, and no product that wraps?"""
    if isinstance(n, Literal) or n in places.lengths:
        return True
    made = places.computed.get(n)
    return made is not None and made.name == "mul" and all(_length(a, places) for a in made.args)


def _by_rows(loop: For, n: Value, m: Literal) -> For | None:
    """The loop over rows, with the turns of a row written out; None if a turn isn't plain."""
    row, column, first = Reg(I64, "row"), Reg(I64, "column"), Reg(I64, "first")
    env: dict[Reg, Value] = {
        r: v for name, v in zip(PARTS, (row, column), strict=True) for r in _parts(loop).get((name, m), [])
    }
    body = ir.renamed([s for s in loop.body if not (isinstance(s, Compute) and s.out in env)], env)
    carries = [Carry(Reg(c.reg.type, "c"), c.init, Reg(c.out.type, "c"), c.out) for c in loop.carries]
    through = [
        Carry(c.reg, o.reg, env.get(c.next, c.next) if isinstance(c.next, Reg) else c.next, _reg(o.next))
        for c, o in zip(loop.carries, carries, strict=True)
    ]
    turn: list[Stmt] = [Compute(loop.index, "add", (first, column)), *body]
    turns = For(column, integer(0), m, turn, through, loop.tag)
    if not short(turns) or int(m.value) * len(turn) > STATEMENTS:
        return None
    out, ends = written_out([Compute(first, "mul", (row, m)), turns], [c.next for c in carries])
    drop_unused(out, set(ends))
    carries = [replace(c, next=v) for c, v in zip(carries, ends, strict=True)]
    return replace(loop, index=row, high=n, body=out, carries=carries)


def _reg(value: Value) -> Reg:
    assert isinstance(value, Reg)
    return value

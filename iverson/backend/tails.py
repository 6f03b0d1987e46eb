"""What a vector loop leaves over runs as a vector of half the width, where elementary functions make it dear.

    for i in 0..n apart:             for k in 0..n // 8: for lane in 0..8 simd: y[8 k + lane] = exp(x[8 k + lane])
        y[i] = exp(x[i])      ->     and so the next 4, if there are so many
                                     for i in what is left..n: as before

LLVM runs the last turns of a loop one by one: up to seven, each as long as a vector of eight.  Only in loops around
which others turn: they may be short, and then that is most of the time.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.arithmetic import is_elementary, vectorises
from iverson.backend.loopir import For, Program, Reg, Stmt, Value, integer
from iverson.backend.rewrite import is_wide
from iverson.core.syntax import F64, I64

WIDTH, HALF = 8, 4  # doubles in a vector, and in half of one


def run(program: Program) -> None:
    """Split the inner loops of a program for which it pays, in place."""
    _block(program.body, inside=False)


def _block(body: list[Stmt], inside: bool) -> None:
    out: list[Stmt] = []
    for stmt in body:
        for inner in ir.blocks(stmt) if not is_wide(stmt) else ():
            _block(inner, inside or isinstance(stmt, For | ir.While))
        out += _split(stmt) if inside and isinstance(stmt, For) and _pays(stmt) else [stmt]
    body[:] = out


def _pays(loop: For) -> bool:
    """Is it a flat loop of independent turns on doubles, with elementary functions, of a length that isn't known?"""
    flat = all(vectorises(s) and not isinstance(s, ir.Combine) for s in loop.body)
    dear = [s for s in loop.body if isinstance(s, ir.Compute) and is_elementary(s.name)]
    doubles = all(s.out.type is F64 for s in dear)
    return loop.tag == "apart" and flat and not loop.carries and bool(dear) and doubles and isinstance(loop.high, Reg)


def _split(loop: For) -> list[Stmt]:
    code: list[Stmt] = []

    def compute(name: str, *args: Value) -> Reg:
        out = Reg(I64, "t")
        code.append(ir.Compute(out, name, args))
        return out

    at: Value = loop.low
    vectors: list[Stmt] = []
    for width in (WIDTH, HALF):
        left = compute("max", compute("sub", loop.high, at), integer(0))
        count = compute("floordiv", left, integer(width))
        vectors.append(_vectors(loop, at, count, width))
        at = compute("add", at, compute("mul", count, integer(width)))
    return [*code, *vectors, replace(loop, low=at, tag="few")]


def _vectors(loop: For, begin: Value, count: Value, width: int) -> For:
    """The turns from one on, as so many vectors."""
    k, start, base, lane, i = (Reg(I64, h) for h in ("k", "t", "base", "lane", loop.index.hint))
    steps: list[Stmt] = [ir.Compute(i, "add", (base, lane)), *_copied(loop.body, {loop.index: i})]
    tile: list[Stmt] = [
        ir.Compute(start, "mul", (k, integer(width))),
        ir.Compute(base, "add", (begin, start)),
        For(lane, integer(0), integer(width), steps, [], "vector"),
    ]
    return For(k, integer(0), count, tile, [], "any")


def _copied(body: list[Stmt], env: dict[Reg, Value]) -> list[Stmt]:
    """A flat body with registers of its own."""
    out: list[Stmt] = []
    for stmt in body:
        (new,) = ir.renamed([stmt], env)
        if isinstance(new, ir.Compute | ir.Load):
            env[new.out] = Reg(new.out.type, new.out.hint)
            new = replace(new, out=env[new.out])
        out.append(new)
    return out

"""Elementary functions in a sequential loop, of what doesn't depend on the turn before, are computed beforehand.

    for i seq; s:                            for t seq; s:
        s' = g(s, exp(f(x[i])))     ->           for k in 0..64 apart: y[k] = exp(f(x[64 t + k]))
        next s <- s'                             for k in 0..64 seq; s: s' = g(s, y[k]); next s <- s'

So they run in vectors, and the chain from turn to turn has no calls in it.  Where the loop stores to an array, what it
loads of it isn't beforehand.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.arithmetic import is_elementary, vectorises
from iverson.backend.lanes import LANES
from iverson.backend.loopir import Buffer, Carry, Combine, Compute, For, Load, Program, Reg, Stmt, Store, Value, integer
from iverson.backend.places import Places
from iverson.backend.rewrite import compute, rewrite
from iverson.core.syntax import I64, DType, Literal

MOST = 6  # numbers of a turn that are kept
SHORT = 8  # turns, if known to be so few


def run(program: Program) -> None:
    """Rewrite the sequential loops of a program, in place."""
    if any(isinstance(s, Compute) and is_elementary(s.name) for s in ir.walk(program.body)):
        places = Places(program.body)
        rewrite(program.body, lambda stmt: _split(stmt, places) if isinstance(stmt, For) else None)


def _split(loop: For, places: Places) -> list[Stmt] | None:
    """The loop with its elementary functions beforehand, if there are any for it."""
    few = isinstance(loop.high, Literal) and loop.high.value <= SHORT
    flat = all(isinstance(s, Compute | Combine | Load | Store) for s in loop.body)
    if loop.tag != "seq" or not loop.carries or few or not flat:
        return None
    late = _late(loop, places)
    early = [s for s in loop.body if ir.defined(s) and late.isdisjoint(ir.defined(s))]
    dear: set[Reg] = set()  # what is made of elementary functions
    for s in early:
        function = isinstance(s, Compute) and is_elementary(s.name) and vectorises(s)
        if function or dear.intersection(_registers(s)):
            dear.update(ir.defined(s))
    rest = [s for s in loop.body if dear.isdisjoint(ir.defined(s))]
    users = [*(v for s in rest for v in _registers(s)), *(c.next for c in loop.carries)]
    kept = [v for v in dict.fromkeys(users) if isinstance(v, Reg) and v in dear]
    return _tiled(loop, early, rest, kept) if 0 < len(kept) <= MOST else None


def _registers(s: Stmt) -> list[Reg]:
    return [v for v in ir.used(s) if isinstance(v, Reg)]


def _late(loop: For, places: Places) -> set[Reg]:
    """What depends on the turn before, or on what the loop stores."""
    stored = {s.view.buffer for s in loop.body if isinstance(s, Store)}
    late = {c.reg for c in loop.carries}
    for s in loop.body:
        loads = isinstance(s, Load) and not all(places.disjoint(s.view.buffer, b) for b in stored)
        if loads or late.intersection(_registers(s)):
            late.update(ir.defined(s))
    return late


def _tiled(loop: For, early: list[Stmt], rest: list[Stmt], kept: list[Reg]) -> list[Stmt]:
    code: list[Stmt] = []

    rows: dict[Reg, Buffer] = {}
    for v in kept:
        assert isinstance(v.type, DType)
        rows[v] = Buffer(v.type, (integer(LANES),), Reg(ir.POINTER, "early"), hint="early", stored=True)
        code.append(ir.Alloc(rows[v], stack=True))
    turns = compute(code, "max", compute(code, "sub", loop.high, loop.low), integer(0))
    tiles = compute(code, "floordiv", compute(code, "add", turns, integer(LANES - 1)), integer(LANES))
    tile, body = Reg(I64, "tile"), list[Stmt]()
    base = compute(body, "mul", tile, integer(LANES))
    count = compute(body, "min", compute(body, "sub", turns, base), integer(LANES))
    begin = compute(body, "add", loop.low, base)
    wanted = _needed(early, set(kept))
    first, k = list[Stmt](), Reg(I64, loop.index.hint)
    env: dict[Reg, Value] = {loop.index: compute(first, "add", begin, k)}
    for s in wanted:
        (new,) = ir.renamed([s], env)
        assert isinstance(new, Compute | Combine | Load) and isinstance(s, Compute | Combine | Load)
        env[s.out] = out = Reg(s.out.type, s.out.hint)
        first.append(replace(new, out=out))
    first += [Store(ir.View(rows[v], (k,)), env[v]) for v in kept]
    body.append(For(k, integer(0), count, first, [], "apart"))
    later, m = list[Stmt](), Reg(I64, loop.index.hint)
    later.append(Compute(loop.index, "add", (begin, m)))
    later += [Load(v, ir.View(rows[v], (m,))) for v in kept]
    ends = [Reg(c.reg.type, c.reg.hint) for c in loop.carries]
    outer = [Carry(Reg(c.reg.type, c.reg.hint), c.init, end, c.out) for c, end in zip(loop.carries, ends, strict=True)]
    inner = [replace(c, init=o.reg, out=end) for c, o, end in zip(loop.carries, outer, ends, strict=True)]
    body.append(replace(loop, index=m, low=integer(0), high=count, body=[*later, *rest], carries=inner))
    return [*code, For(tile, integer(0), tiles, body, outer)]


def _needed(early: list[Stmt], wanted: set[Reg]) -> list[Stmt]:
    """The statements that registers are made by, in order."""
    found: list[Stmt] = []
    for s in reversed(early):
        if wanted.intersection(ir.defined(s)):
            found.insert(0, s)
            wanted.update(_registers(s))
    return found

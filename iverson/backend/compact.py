"""What is decided in the same way again and again is decided once.

    for v:                                      n' = 0; for b in 0..n: list[n'] = b; n' += p(b)
        for b in 0..n any; s:           ->      for v:
            if p(b): s' = f(v, b, s)                for a in 0..n' any; s: b = list[a]; s' = f(v, b, s)
            else: s' = s

where p doesn't depend on v.  Within blocks of vectors only: elsewhere the inner loop may better run over neighbours.
Where lanes agree on few turns each may have a list of its own (backend/lane_lists.py).
"""

from __future__ import annotations

from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.lane_lists import lane_lists, written
from iverson.backend.loopir import Buffer, Carry, Compute, For, If, Load, Owner, Reg, Stmt, Store, Value, View, integer
from iverson.core.syntax import I64


def compacted(body: list[Stmt]) -> list[Stmt]:
    """A body with what the loops of its nests decide alike decided before them."""
    out: list[Stmt] = []
    for stmt in body:
        if not isinstance(stmt, For):
            out.append(stmt)
            continue
        lists: list[Buffer] = []
        for inner in [s for s in ir.walk(stmt.body) if isinstance(s, For)]:
            decision = _decision(inner, stmt)
            if decision is not None:
                lists += _listed(inner, stmt, *decision, out)
        stmt.body[:] = compacted(stmt.body)
        out += [stmt, *map(ir.Free, lists)]
    return out


def _decision(loop: For, outer: For) -> tuple[If, list[Stmt]] | None:
    """The branch of a loop's turns, and the statements that decide it, if they are the same in all turns of `outer`."""
    branches = [s for s in loop.body if isinstance(s, If)]
    plain = all(isinstance(s, Compute | ir.Combine | Load | If) for s in loop.body)
    if loop is outer or not plain or len(branches) != 1 or loop.tag not in ("any", "apart") or loop.low != integer(0):
        return None
    (chosen,) = branches
    kept = {j.out: j.orelse for j in chosen.joins}
    ends = [kept.get(c.next) if isinstance(c.next, Reg) else None for c in loop.carries]
    if chosen.orelse or not ends or any(end is not c.reg for end, c in zip(ends, loop.carries, strict=True)):
        return None
    inside = inner_registers(outer) - {loop.index}
    stored = {s.view.buffer.pointer for s in ir.walk(outer.body) if isinstance(s, Store)}
    stored |= {s.target.buffer.pointer for s in ir.walk(outer.body) if isinstance(s, ir.Copy)}
    needed, slice_ = {chosen.pred}, list[Stmt]()
    for stmt in reversed(loop.body):
        if isinstance(stmt, Compute | Load) and stmt.out in needed:
            if isinstance(stmt, Load) and (stmt.view.buffer.pointer in stored or not stmt.view.buffer.scoped):
                return None
            needed |= set(ir.used(stmt))
            slice_.insert(0, stmt)
    made = {r for s in slice_ for r in ir.defined(s)}
    free = {v for v in (*needed, loop.high) if _is(v)} - made
    return (chosen, slice_) if free.isdisjoint(inside) and loop.index in needed else None


def _listed(loop: For, outer: For, chosen: If, slice_: list[Stmt], before: list[Stmt]) -> list[Buffer]:
    """Make the loop one of the turns that count; the arrays that this takes."""
    inside = inner_registers(outer)
    stored = {s.view.buffer.pointer for s in ir.walk(outer.body) if isinstance(s, Store)}
    found = lane_lists(loop, chosen, slice_, inside - {loop.index}, stored)
    if found is None:
        return [_list(loop, chosen, slice_, before)]
    union = replace(loop, body=list(loop.body), carries=[replace(c) for c in loop.carries])
    places = _list(union, chosen, slice_, before)
    pays, own = written(found, chosen, union.high, before)
    ends = [replace(c, out=Reg(c.out.type, c.out.hint)) for c in union.carries]
    joins = [ir.Join(c.out, a.out, b.out) for c, a, b in zip(loop.carries, own.carries, ends, strict=True)]
    block = next(b for s in ir.walk([outer]) for b in ir.blocks(s) if loop in b)
    block[block.index(loop)] = If(pays, [own], [replace(union, carries=ends)], joins)
    return [places, *found.arrays]


def _is(value: Value) -> bool:
    return isinstance(value, Reg)


def _list(loop: For, chosen: If, slice_: list[Stmt], before: list[Stmt]) -> Buffer:
    """Write down which turns count, and make the loop one of these."""
    places = Buffer(I64, (loop.high,), Reg(ir.POINTER, "list"), hint="list", stored=True, slot=Owner())
    count, following, total, one = (Reg(I64, hint) for hint in ("count", "count", "count", "one"))
    index = Reg(I64, loop.index.hint)
    env: dict[Reg, Value] = {loop.index: index}
    code: list[Stmt] = []
    for stmt in slice_:
        (new,) = ir.renamed([stmt], env)
        assert isinstance(new, Compute | Load)
        env[new.out] = Reg(new.out.type, new.out.hint)
        code.append(replace(new, out=env[new.out]))
    holds = env.get(chosen.pred, chosen.pred) if isinstance(chosen.pred, Reg) else chosen.pred
    code += [
        Store(View(places, (count,)), index),
        Compute(one, "int64", (holds,)),
        Compute(following, "add", (count, one)),
    ]
    before += [
        ir.Alloc(places),
        For(index, integer(0), loop.high, code, [Carry(count, integer(0), following, total)], "seq"),
    ]
    at = Reg(I64, "at")
    ends = {j.out: j.then for j in chosen.joins}
    rest = loop.body[loop.body.index(chosen) + 1 :]
    loop.body[:] = [Load(loop.index, View(places, (at,))), *loop.body[: loop.body.index(chosen)], *chosen.then,
                    *(Compute(out, "stop", (value,)) for out, value in ends.items()), *rest]  # fmt: skip
    loop.index, loop.high = at, total
    return places

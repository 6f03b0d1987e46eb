"""Accumulate and Contribute: in place, in the memory of the moved (or copied) init.

A scalar accumulator is a cell, which LLVM keeps in a register.  Append logs are lower_logs.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.backend import loopir as ir
from iverson.backend.context import Context, Filling, Log, Result, Target
from iverson.backend.loopir import Cell, Reg, Value, View
from iverson.backend.lower_logs import append, bind_log, open_log, put
from iverson.backend.lower_parallel import apply, combine, wins
from iverson.backend.rooms import room
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Contribute,
    Let,
    Operator,
    Var,
)


def lower_accumulate(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Accumulate)
    places = _inits(ctx, let, op)
    results = 0
    for acc, columns in zip(op.accs, places, strict=True):
        assert isinstance(acc.type, Accumulator)
        ctx.env[acc] = Target(acc.type.monoid, columns)
        results += len(acc.type.dtypes) + (acc.type.monoid == "append")
    outs = ctx.block(op.body, [ctx.want(v) for v in let.vars[results:]])
    names = iter(let.vars)
    for columns in places:
        if isinstance(columns, Log):
            bind_log(ctx, columns, next(names), [next(names) for _ in columns.dtypes])
            continue
        for place in columns:
            ctx.bind(next(names), ctx.get(place) if isinstance(place, Cell) else place)
    for out in outs:
        ctx.bind(next(names), out)


def _inits(ctx: Context, let: Let, op: Accumulate) -> list[tuple[View | Cell, ...] | Log]:
    """The memory of every accumulator: copies are made before moves."""
    flat: dict[int, tuple[Atom, Var]] = {}
    groups: list[list[int] | Log] = []
    result = 0
    for acc, columns in zip(op.accs, op.inits, strict=True):
        assert isinstance(acc.type, Accumulator)
        if acc.type.monoid == "append":
            groups.append(open_log(ctx, acc.type.dtypes, room(ctx, ctx.rooms.get(acc))))
            result += 1 + len(acc.type.dtypes)
            continue
        groups.append(list(range(len(flat), len(flat) + len(columns))))
        for atom in columns:
            flat[len(flat)] = (atom, let.vars[result])
            result += 1
    places: dict[int, View | Cell] = {}
    for k in sorted(flat, key=lambda k: not ctx.chains.copied(let, k)):
        atom, var = flat[k]
        places[k] = _place(ctx, atom, ctx.chains.copied(let, k), var)
    return [g if isinstance(g, Log) else tuple(places[k] for k in g) for g in groups]


def _place(ctx: Context, atom: Atom, copied: bool, result: Var) -> View | Cell:
    if isinstance(atom.type, Array):
        view = ctx.consume(atom, copied, ctx.want(result))
        view.buffer.stored = True
        return view
    value = ctx.value(atom)
    cell = Cell(value.type if isinstance(value, Reg) else value.dtype, result.hint)
    ctx.put(cell, value)
    return cell


def lower_contribute(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Contribute)
    target = ctx.env[op.acc]
    assert isinstance(target, Target)
    values = ctx.values(op.values)
    if isinstance(target.columns, Log):
        append(ctx, target.columns, values)
        return
    if isinstance(target.columns, Filling):
        put(ctx, target.columns, values)
        return
    places: Sequence[View | Cell] = target.columns
    if isinstance(places[0], View):
        index = ctx.values(op.index)
        ctx.bounds(let, index, places[0].extents, op.safe)
        places = [p.at(index) for p in places if isinstance(p, View)]
    if target.monoid in ("argmin", "argmax"):
        _keep_better(ctx, str(target.monoid), places, values)
        return
    new: Sequence[Value] = values
    if target.monoid != "set":
        old = [ctx.get(p) if isinstance(p, Cell) else ctx.load(p) for p in places]
        new = _combined(ctx, target, old, values)
    _write(ctx, places, new)


def _write(ctx: Context, places: Sequence[View | Cell], values: Sequence[Value]) -> None:
    for place, value in zip(places, values, strict=True):
        if isinstance(place, Cell):
            ctx.put(place, value)
        else:
            ctx.store(place, value)


def _keep_better(ctx: Context, monoid: str, places: Sequence[View | Cell], values: Sequence[Value]) -> None:
    """A pair that wins is written, others are not: of many, few win."""
    old = [ctx.get(p) if isinstance(p, Cell) else ctx.load(p) for p in places]
    stays = wins(ctx, monoid, old, values)
    with ctx.into([]) as write:
        _write(ctx, places, values)
    ctx.emit(ir.If(stays, [], write))


def _combined(ctx: Context, target: Target, old: Sequence[Value], values: Sequence[Value]) -> list[Value]:
    monoid = target.monoid
    if not isinstance(monoid, Operator):
        return combine(ctx, monoid, old, values)
    outs: list[Result] = apply(ctx, monoid, list(old), list(values))
    return [v for v in outs if not isinstance(v, View)]

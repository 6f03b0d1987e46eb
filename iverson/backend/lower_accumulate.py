"""Accumulate and Contribute: in place, in the memory of the moved (or copied) init.

A scalar accumulator is a cell, which LLVM keeps in a register.  An append log is a block per column, doubled when full.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.backend import loopir as ir
from iverson.backend.context import Context, Log, Result, Target
from iverson.backend.loopir import Buffer, Cell, Owner, Reg, Value, View, integer
from iverson.backend.lower_parallel import apply, combine
from iverson.core.syntax import (
    BOOL,
    I64,
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Contribute,
    DType,
    Let,
    Operator,
    Var,
)

FIRST = 64  # records in the first block of a log


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
            _bind_log(ctx, columns, next(names), [next(names) for _ in columns.dtypes])
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
            groups.append(_open_log(ctx, acc.type.dtypes))
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
        _append(ctx, target.columns, values)
        return
    places: Sequence[View | Cell] = target.columns
    if isinstance(places[0], View):
        index = ctx.values(op.index)
        ctx.bounds(let, index, places[0].extents, op.safe)
        places = [p.at(index) for p in places if isinstance(p, View)]
    new: Sequence[Value] = values
    if target.monoid != "set":
        old = [ctx.get(p) if isinstance(p, Cell) else ctx.load(p) for p in places]
        new = _combined(ctx, target, old, values)
    for place, value in zip(places, new, strict=True):
        if isinstance(place, Cell):
            ctx.put(place, value)
        else:
            ctx.store(place, value)


def _combined(ctx: Context, target: Target, old: Sequence[Value], values: Sequence[Value]) -> list[Value]:
    monoid = target.monoid
    if not isinstance(monoid, Operator):
        return combine(ctx, monoid, old, values)
    outs: list[Result] = apply(ctx, monoid, list(old), list(values))
    return [v for v in outs if not isinstance(v, View)]


# --- logs -------------------------------------------------------------------------------------------------------------


def _open_log(ctx: Context, dtypes: tuple[DType, ...]) -> Log:
    columns = tuple(Cell(ir.POINTER, "log") for _ in dtypes)
    log = Log(columns, dtypes, tuple(Owner() for _ in dtypes), Cell(I64, "length"), Cell(I64, "capacity"))
    for cell, dtype, owner in zip(columns, dtypes, log.owners, strict=True):
        ctx.emit(ir.Grow(cell, dtype, None, integer(FIRST), owner))
    ctx.put(log.length, integer(0))
    ctx.put(log.capacity, integer(FIRST))
    return log


def _append(ctx: Context, log: Log, values: Sequence[Value]) -> None:
    length, capacity = ctx.get(log.length), ctx.get(log.capacity)
    full = ctx.compute("ge", BOOL, length, capacity)
    more: list[ir.Stmt] = []
    with ctx.into(more):
        doubled = ctx.compute("mul", I64, capacity, integer(2))
        for cell, dtype, owner in zip(log.columns, log.dtypes, log.owners, strict=True):
            ctx.emit(ir.Grow(cell, dtype, length, doubled, owner))
        ctx.put(log.capacity, doubled)
    ctx.emit(ir.If(full, more, []))
    for column, value in zip(_columns(ctx, log, capacity), values, strict=True):
        ctx.store(View(column, (length,)), value)
    ctx.put(log.length, ctx.add(length, integer(1)))


def _columns(ctx: Context, log: Log, extent: Value) -> list[Buffer]:
    """The blocks of a log as they are now."""
    return [
        Buffer(dtype, (extent,), ctx.get(cell), hint="log", stored=True, scoped=False, slot=owner)
        for cell, dtype, owner in zip(log.columns, log.dtypes, log.owners, strict=True)
    ]


def _bind_log(ctx: Context, log: Log, length: Var, columns: Sequence[Var]) -> None:
    final = ctx.get(log.length)
    ctx.frames[-1].sizes.add(final)
    ctx.env[length] = final
    for var, buffer in zip(columns, _columns(ctx, log, final), strict=True):
        ctx.own(buffer)
        ctx.bind(var, View(buffer))

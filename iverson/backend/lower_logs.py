"""Append logs: a block per column, doubled when full.

A For that appends one record at each turn fills the log: room for all of them is made before, and each is stored at its
place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from iverson.backend import loopir as ir
from iverson.backend.context import Context, Filling, Log, Target
from iverson.backend.loopir import Buffer, Cell, Owner, Reg, Value, View, integer
from iverson.core.rewrite import atoms, statements
from iverson.core.syntax import BOOL, I64, Contribute, DType, For, Var


def open_log(ctx: Context, dtypes: tuple[DType, ...], first: Value) -> Log:
    """A log with room for its first records."""
    columns = tuple(Cell(ir.POINTER, "log") for _ in dtypes)
    log = Log(columns, dtypes, tuple(Owner() for _ in dtypes), Cell(I64, "length"), Cell(I64, "capacity"))
    for cell, dtype, owner in zip(columns, dtypes, log.owners, strict=True):
        ctx.emit(ir.Grow(cell, dtype, None, first, owner, log.capacity))
    ctx.put(log.length, integer(0))
    ctx.put(log.capacity, first)
    return log


def append(ctx: Context, log: Log, values: Sequence[Value]) -> None:
    length = ctx.get(log.length)
    after = ctx.add(length, integer(1))
    capacity = _room(ctx, log, length, after)
    _store(ctx, _columns(ctx, log, capacity), length, values)
    ctx.put(log.length, after)


def filled(ctx: Context, op: For) -> dict[Var, Log]:
    """The logs to which a For appends one record at each turn."""
    found: dict[Var, Log] = {}
    for let in op.body:
        if isinstance(let.op, Contribute):
            target = ctx.env[let.op.acc]
            once = sum(let.op.acc in atoms(inner.op) for inner in statements(op.body)) == 1
            if once and isinstance(target, Target) and isinstance(target.columns, Log):
                found[let.op.acc] = target.columns
    return found


@contextmanager
def filling(
    ctx: Context, acc: Var, log: Log, index: Sequence[Reg], extents: Sequence[Value]
) -> Iterator[list[ir.Stmt]]:
    """Make room for a record at each index; statements lowered inside are a turn, and are for the caller to place."""
    counts = [ctx.compute("max", I64, n, integer(0)) for n in extents]
    total: Value = counts[0]
    for n in counts[1:]:
        total = ctx.compute("mul", I64, total, n)
    length = ctx.get(log.length)
    after = ctx.add(length, total)
    _room(ctx, log, length, after)
    columns = tuple(_columns(ctx, log, after))
    ctx.put(log.length, after)
    target = ctx.env[acc]
    with ctx.into([]) as turn:
        at: Value = index[0]
        for i, n in zip(index[1:], counts[1:], strict=True):
            at = ctx.add(ctx.compute("mul", I64, at, n), i)
        ctx.env[acc] = Target("append", Filling(columns, ctx.add(length, at)))
    yield turn
    ctx.env[acc] = target


def put(ctx: Context, filling: Filling, values: Sequence[Value]) -> None:
    """Store the one record of this turn."""
    _store(ctx, filling.columns, filling.at, values)


def bind_log(ctx: Context, log: Log, length: Var, columns: Sequence[Var]) -> None:
    final = ctx.get(log.length)
    ctx.frames[-1].sizes.add(final)
    ctx.env[length] = final
    for var, buffer in zip(columns, _columns(ctx, log, final), strict=True):
        ctx.own(buffer)
        ctx.bind(var, View(buffer))


def _room(ctx: Context, log: Log, length: Value, needed: Value) -> Reg:
    """Make room for so many records; the capacity before."""
    capacity = ctx.get(log.capacity)
    more: list[ir.Stmt] = []
    with ctx.into(more):
        larger = ctx.compute("max", I64, ctx.compute("mul", I64, capacity, integer(2)), needed)
        for cell, dtype, owner in zip(log.columns, log.dtypes, log.owners, strict=True):
            ctx.emit(ir.Grow(cell, dtype, length, larger, owner))
        ctx.put(log.capacity, larger)
    ctx.emit(ir.If(ctx.compute("gt", BOOL, needed, capacity), more, []))
    return capacity


def _columns(ctx: Context, log: Log, extent: Value) -> list[Buffer]:
    """The blocks of a log as they are now."""
    return [
        Buffer(dtype, (extent,), ctx.get(cell), hint="log", stored=True, scoped=False, slot=owner)
        for cell, dtype, owner in zip(log.columns, log.dtypes, log.owners, strict=True)
    ]


def _store(ctx: Context, columns: Sequence[Buffer], at: Value, values: Sequence[Value]) -> None:
    for column, value in zip(columns, values, strict=True):
        ctx.store(View(column, (at,)), value)

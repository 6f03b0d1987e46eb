"""Calls of BLAS and LAPACK from a kernel: arguments by address, sizes as 32-bit integers, a status to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from iverson.backend import linear
from iverson.backend import loopir as ir
from iverson.backend.context import Context
from iverson.backend.loopir import Reg, Value, View, integer
from iverson.core.syntax import BOOL, I32, I64, DType, Literal, Site

LARGEST = 2**31 - 1

Params: TypeAlias = dict[str, object]  # and "used": of each result whether it is
Lowering: TypeAlias = Callable[[Context, list[View], list[View], Params, Site | None], None]


def call(ctx: Context, routine: str, dtype: DType, args: Sequence[ir.Passed]) -> None:
    ctx.emit(ir.Call(linear.symbol(routine, dtype), tuple(args)))


def size(ctx: Context, n: Value) -> ir.ByReference:
    """A dimension, as LAPACK takes it."""
    return ir.ByReference(ctx.compute("int32", I32, n))


def leading(ctx: Context, n: Value) -> ir.ByReference:
    return size(ctx, ctx.compute("max", I64, n, integer(1)))


def letter(c: str) -> ir.ByReference:
    return ir.ByReference(c)


def number(x: float, dtype: DType) -> ir.ByReference:
    return ir.ByReference(Literal(x, dtype))


def plus(ctx: Context, *terms: Value) -> Value:
    total: Value = integer(0)
    for t in terms:
        total = ctx.add(total, t)
    return total


def times(ctx: Context, *factors: Value) -> Value:
    product = factors[0]
    for f in factors[1:]:
        product = ctx.compute("mul", I64, product, f)
    return product


def scratch(ctx: Context, dtype: DType, extents: Sequence[Value], hint: str) -> View:
    """Memory that a routine writes."""
    view = ctx.allocate(dtype, extents, hint)
    view.buffer.stored = True
    return view


def workspace(
    ctx: Context, dtype: DType, n: Value, site: Site | None, hint: str = "work"
) -> tuple[View, ir.ByReference]:
    """Work space of n elements, at least one, and its length as LAPACK takes it."""
    n = ctx.compute("max", I64, n, integer(1))
    fits(ctx, n, site)
    return scratch(ctx, dtype, [n], hint), size(ctx, n)


def fits(ctx: Context, n: Value, site: Site | None) -> None:
    small = ctx.compute("le", BOOL, n, integer(LARGEST))
    ctx.require(small, "ValueError", "a matrix is too large for LAPACK", (), site)


def status(ctx: Context) -> tuple[ir.Cell, ir.ByReference]:
    """Where LAPACK says how it went."""
    cell = ir.Cell(I32, "info")
    ctx.put(cell, Literal(0, I32))
    return cell, ir.ByReference(cell)


def expect(ctx: Context, info: ir.Cell, message: str, site: Site | None) -> None:
    fine = ctx.compute("eq", BOOL, ctx.get(info), Literal(0, I32))
    ctx.require(fine, "LinAlgError", message, (), site)


def transpose(ctx: Context, target: View, source: View) -> None:
    def body(index: Sequence[Reg]) -> None:
        i, j = index
        ctx.store(target.at([i, j]), ctx.load(source.at([j, i])))

    ctx.each(target.extents, body)

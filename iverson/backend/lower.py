"""Core to loop IR: functions and the simple statements; the constructs with blocks have files of their own.

The arguments' pointers, extents and strides are read first, the results' slots written last (backend/abi.py).  A
donated array is updated in its own memory, unless the program can still fail after it has begun to: then in a copy,
which is committed at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from iverson.backend import abi, warning
from iverson.backend import loopir as ir
from iverson.backend.abi import Layout
from iverson.backend.chains import Chains
from iverson.backend.context import Context
from iverson.backend.loopir import Buffer, Reg, Value, View
from iverson.backend.lower_accumulate import lower_accumulate, lower_contribute
from iverson.backend.lower_control import lower_if, lower_loop, lower_while
from iverson.backend.lower_library import lower_library
from iverson.backend.lower_parallel import lower_for
from iverson.backend.rooms import rooms
from iverson.core import rewrite
from iverson.core.ownership import copies
from iverson.core.syntax import (
    BOOL,
    Accumulate,
    Array,
    Check,
    Contribute,
    DType,
    For,
    Function,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Prim,
    Read,
    Scalar,
    Var,
    While,
)

DIVISIONS = ("floordiv", "mod")


def lower_prim(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Prim)
    args = ctx.values(op.args)
    if can_raise(op):
        _guard(ctx, let, op.name, args[1])
    out = ctx.scalar(let.vars[0])
    ctx.emit(ir.Compute(out, op.name, args))


def can_raise(op: Prim) -> bool:
    """Integer division by what may be zero, an integer power with what may be negative."""
    t = op.args[-1].type
    if not isinstance(t, Scalar) or not t.dtype.is_int:
        return False
    known = op.args[-1].value if isinstance(op.args[-1], Literal) else None
    return (op.name in DIVISIONS and not known) or (op.name == "pow" and (known is None or known < 0))


def _guard(ctx: Context, let: Let, name: str, operand: Value) -> None:
    zero = Literal(0, operand.dtype if isinstance(operand, Literal) else _dtype(operand))
    if name == "pow":
        message = "Integers to negative integer powers are not allowed."
        ctx.require(ctx.compute("ge", BOOL, operand, zero), "ValueError", message, (), let.site)
    else:
        message = "integer division or modulo by zero"
        ctx.require(ctx.compute("ne", BOOL, operand, zero), "ZeroDivisionError", message, (), let.site)


def _dtype(reg: Reg) -> DType:
    assert isinstance(reg.type, DType)
    return reg.type


def lower_read(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Read)
    view = ctx.view(op.array)
    index = ctx.values(op.index)
    ctx.bounds(let, index, view.extents, op.safe)
    element = view.at(index)
    (var,) = let.vars
    if isinstance(var.type, Array):
        ctx.bind(var, element)
    else:
        ctx.emit(ir.Load(ctx.scalar(var), element))


def lower_check(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Check)
    if op.warns:
        warning.lower(ctx, let, op)
    else:
        ctx.require(ctx.value(op.pred), op.error, op.message, ctx.values(op.args), let.site)


RULES: Mapping[type, Callable[[Context, Let], None]] = {
    Prim: lower_prim,
    Read: lower_read,
    Check: lower_check,
    For: lower_for,
    Accumulate: lower_accumulate,
    Contribute: lower_contribute,
    Loop: lower_loop,
    While: lower_while,
    If: lower_if,
    Library: lower_library,
}


# --- functions --------------------------------------------------------------------------------------------------------


def lower(
    function: Function,
    *,
    layouts: Sequence[Layout] | None = None,
    committed: Mapping[int, int] | None = None,
    proven: Callable[[Let], bool] = lambda let: False,
) -> ir.Program:
    """The kernel of a function.

    `layouts`: of each parameter (all contiguous unless said); `committed`: outs whose final value is left in the memory
    of the donated parameter of that number; `proven`: statements whose indices are known to be in bounds.
    """
    ctx = Context(Chains(function, copies(function)), proven, RULES)
    ctx.rooms = rooms(function)
    chosen = layouts or [Layout.C] * len(function.params)
    homes = _arguments(ctx, function, chosen)
    for p in _shadowed(function, proven):
        ctx.bind(p, ctx.duplicate(ctx.view(p)))
    outs = ctx.block(function.body)
    _results(ctx, function, outs, homes, dict(committed or {}))
    return ir.Program(function.name, ctx.code, ctx.sites)


def _arguments(ctx: Context, function: Function, layouts: Sequence[Layout]) -> dict[Var, View]:
    """Give every parameter its meaning; the arrays' memory."""
    homes: dict[Var, View] = {}
    for var, slot, layout in zip(
        function.params, abi.param_offsets(p.type for p in function.params), layouts, strict=False
    ):
        if isinstance(var.type, Scalar):
            ctx.emit(ir.Argument(ctx.scalar(var), slot))
            continue
        assert isinstance(var.type, Array)
        pointer = Reg(ir.POINTER, var.hint)
        ctx.emit(ir.Argument(pointer, slot))
        strides = None
        if layout is Layout.ANY:
            strides = tuple(ctx.argument(slot + 1 + axis) for axis in range(var.type.rank))
        extents = ctx.values(var.type.extents)
        ctx.frames[-1].sizes.update(extents)
        homes[var] = View(Buffer(var.type.dtype, extents, pointer, strides, var.hint))
        ctx.bind(var, homes[var])
    return homes


def _shadowed(function: Function, proven: Callable[[Let], bool]) -> list[Var]:
    """The donated arrays that are written while the program can still fail."""
    if not function.donated:
        return []
    fails = [n for n, let in enumerate(function.body) if _can_fail(let, proven)]
    last = max(fails, default=-1)
    used: set[Var] = set()
    for let in function.body.lets[: last + 1]:
        if isinstance(let.op, Accumulate | Loop | While | If):
            used |= {a for a in rewrite.uses(let) if a in function.donated}
    return [p for p in function.params if p in used]


def _can_fail(let: Let, proven: Callable[[Let], bool]) -> bool:
    match let.op:
        case Prim() as op:
            return can_raise(op)
        case Read(_, _, safe) | Contribute(_, _, _, safe):
            return not safe and not proven(let)
        case Check() | Library():
            return True
        case op:
            return any(_can_fail(inner, proven) for _, block in rewrite.blocks(op) for inner in block)


def _results(
    ctx: Context, function: Function, outs: Sequence[Value | View], homes: dict[Var, View], committed: dict[int, int]
) -> None:
    """Commit donated arrays, then hand out the results."""
    own = {home.buffer for home in homes.values()}
    views = dict(enumerate(outs))
    for k, out in views.items():
        target = homes[function.params[committed[k]]] if k in committed else None
        if isinstance(out, View) and out != target and (out.buffer in own or target is None):
            given = {id(v.buffer) for j, v in views.items() if j < k and isinstance(v, View) and j not in committed}
            if out.buffer in own or out.prefix or id(out.buffer) in given or not ctx.owns(out.buffer):
                views[k] = ctx.duplicate(out)
    for k, number in committed.items():
        source, target = views[k], homes[function.params[number]]
        assert isinstance(source, View)
        if source != target:
            ctx.copy(target, source)
    slots = abi.result_offsets(function, frozenset(committed))
    kept: set[Buffer] = set()
    for k, out in views.items():
        if k in committed:
            continue
        if not isinstance(out, View):
            ctx.emit(ir.Result(slots[k], out))
            continue
        kept.add(out.buffer)
        for axis, value in enumerate((out.buffer.pointer, *out.extents)):
            ctx.emit(ir.Result(slots[k] + axis, value))
    for buffer in [b for b in ctx.frames[-1].owned if b not in kept]:
        ctx.free(buffer)

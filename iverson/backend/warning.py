"""Warnings: a check that doesn't hold, after which the program goes on.

    check p "message" Warning   ->   if not p { python_warn(text, failed, details...); require failed = 0 }

`python_warn` is Python: it issues the warning as of the user's line.  Where the user has made warnings errors it says
so in `failed`, and the program leaves as by any other check.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import warnings
from functools import cache
from typing import Any

from iverson.backend import loopir as ir
from iverson.backend.context import Context
from iverson.backend.loopir import Cell, integer
from iverson.core.build import dtype_of
from iverson.core.syntax import BOOL, I64, Check, DType, Let

SYMBOL = "python_warn"
DETAILS = 4  # numbers that a message may have
_C_TYPE: dict[DType, Any] = {
    DType.BOOL: ctypes.c_uint8,
    DType.I32: ctypes.c_int32,
    DType.I64: ctypes.c_int64,
    DType.F32: ctypes.c_float,
    DType.F64: ctypes.c_double,
}


def lower(ctx: Context, let: Let, op: Check) -> None:
    if len(op.args) > DETAILS:
        at = f"\n  at {let.site.file}:{let.site.line}, in {let.site.function}" if let.site else ""
        raise NotImplementedError(f"a warning shows at most {DETAILS} numbers of the program: give it fewer{at}")
    site = (let.site.file, let.site.line) if let.site else ("", 0)
    text = json.dumps([op.error, op.message, *site, *(dtype_of(a).value for a in op.args)]).encode()
    failed = Cell(I64, "failed")
    with ctx.into([]) as body:
        ctx.put(failed, integer(0))
        details = [ir.ByReference(v) for v in ctx.values(op.args)]
        unused = [ir.ByReference(failed)] * (DETAILS - len(details))
        ctx.emit(ir.Call(SYMBOL, (ir.ByReference(text), ir.ByReference(failed), *details, *unused)))
        fine = ctx.compute("eq", BOOL, ctx.get(failed), integer(0))
        ctx.require(fine, op.error, op.message, ctx.values(op.args), let.site)
    ctx.emit(ir.If(ctx.value(op.pred), [], body, []))


@ctypes.CFUNCTYPE(None, ctypes.c_char_p, *[ctypes.c_void_p] * (1 + DETAILS))
def _warn(text: bytes, failed: int, *details: int) -> None:
    kind, message, file, line, *dtypes = json.loads(text)
    values = [_C_TYPE[DType(d)].from_address(at).value for d, at in zip(dtypes, details, strict=False)]
    try:
        warnings.warn_explicit(message.format(*values), getattr(builtins, kind), file, line)
    except Warning:
        ctypes.c_int64.from_address(failed).value = 1


@cache
def address() -> int:
    """Where `python_warn` is in this process."""
    return ctypes.cast(_warn, ctypes.c_void_p).value or 0

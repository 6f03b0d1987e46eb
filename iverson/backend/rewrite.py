"""What passes over the loop IR are written with: a walk, and code that computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from iverson.backend import loopir as ir
from iverson.backend.loopir import Compute, For, Reg, Stmt, Value
from iverson.core.syntax import I64


def is_wide(stmt: Stmt) -> bool:
    """Is it a block of turns in vector registers, whose inner loops are as they should be?"""
    return isinstance(stmt, For) and stmt.tag == "wide"


def rewrite(body: list[Stmt], rule: Callable[[Stmt], list[Stmt] | None], wide: bool = True) -> None:
    """Rewrite a block in place, the blocks in it first.

    The rule gives what comes in a statement's place, or None if it stays.  Without `wide` it sees nothing of what is
    in vector registers.
    """
    out: list[Stmt] = []
    for stmt in body:
        for inner in ir.blocks(stmt) if wide or not is_wide(stmt) else ():
            rewrite(inner, rule, wide)
        new = rule(stmt)
        out += [stmt] if new is None else new
    body[:] = out


def compute(code: list[Stmt], name: str, *args: Value, dtype: ir.Type = I64, hint: str = "t") -> Reg:
    """The register of what is computed at the end of some code."""
    out = Reg(dtype, hint)
    code.append(Compute(out, name, args))
    return out


def fold(code: list[Stmt], name: str, values: Iterable[Value], dtype: ir.Type = I64) -> Value:
    """All values, combined by a primitive at the end of some code."""
    first, *rest = dict.fromkeys(values)
    for v in rest:
        first = compute(code, name, first, v, dtype=dtype)
    return first

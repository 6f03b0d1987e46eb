"""What a loop doesn't change, and how to compute it outside."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping

from iverson.backend import loopir as ir
from iverson.backend.loopir import Reg, Stmt, Value
from iverson.core.syntax import I64, Literal

# primitives that neither fail nor trap, so that they may run where the program wouldn't have
PURE = frozenset(
    [
        *("add", "sub", "mul", "neg", "min", "max", "floordiv", "mod", "select", "int64"),
        *("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"),
    ]
)

_INTEGERS: Mapping[str, Callable[[int, int], int]] = {"add": operator.add, "min": min, "max": max}


def folded(code: list[Stmt], name: str, a: Value, b: Value, hint: str) -> Value:
    """Of two integers; what computes it goes to `code`, unless both are known."""
    if isinstance(a, Literal) and isinstance(b, Literal):
        return ir.integer(_INTEGERS[name](int(a.value), int(b.value)))
    out = Reg(I64, hint)
    code.append(ir.Compute(out, name, (a, b)))
    return out


def inner_registers(stmt: Stmt) -> set[Reg]:
    """Every register that is assigned inside a loop."""
    found = set(ir.entered(stmt))
    for block in ir.blocks(stmt):
        for inner in ir.walk(block):
            found.update(ir.entered(inner))
            found.update(ir.defined(inner))
    return found


class Definitions:
    """The statements of a loop's body that compute registers from what is invariant in it."""

    def __init__(self, body: Iterable[Stmt], inside: set[Reg]) -> None:
        self.inside = inside
        self.by: dict[Reg, ir.Compute] = {s.out: s for s in body if isinstance(s, ir.Compute) and s.name in PURE}
        self._moved: set[Reg] = set()

    def invariant(self, value: Value) -> bool:
        return isinstance(value, Literal) or value not in self.inside

    def outside(self, values: Iterable[Value]) -> list[Stmt] | None:
        """The statements that must move out for the values to be known there, in order; None if that's impossible."""
        moved: list[Stmt] = []
        pending: set[Reg] = set()
        if not all(self._collect(v, moved, pending) for v in values):
            return None
        self._moved |= pending
        return moved

    def _collect(self, value: Value, moved: list[Stmt], pending: set[Reg]) -> bool:
        if isinstance(value, Literal) or value not in self.inside or value in self._moved or value in pending:
            return True
        definition = self.by.get(value)
        if definition is None or not all(self._collect(a, moved, pending) for a in definition.args):
            return False
        pending.add(value)
        moved.append(definition)
        return True


def drop_unused(body: list[Stmt], needed: set[Value] | None = None) -> None:
    """Remove the computations that nothing uses, in place."""
    live: set[Value] = set() if needed is None else needed
    kept: list[Stmt] = []
    for stmt in reversed(body):
        if isinstance(stmt, ir.Compute) and stmt.name in PURE and stmt.out not in live:
            continue
        live.update(ir.used(stmt))
        for inner in reversed(ir.blocks(stmt)):
            drop_unused(inner, live)
        kept.append(stmt)
    body[:] = reversed(kept)

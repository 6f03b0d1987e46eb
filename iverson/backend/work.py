"""How long a loop will take, in nanoseconds: trip counts times what the statements of a turn cost, roughly.

Code before the loop computes it, from sizes; an inner loop's bounds that depend on the turn are taken in the middle.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from iverson.backend import loopir as ir
from iverson.backend.arithmetic import is_elementary
from iverson.backend.invariance import PURE, inner_registers
from iverson.backend.loopir import For, Reg, Stmt, Type, Value
from iverson.core.syntax import F64, I64, Literal

TURNS = 16.0  # of a loop of which nothing is known


@dataclass(frozen=True, slots=True)
class Rates:
    """What statements cost, in nanoseconds."""

    operation: float
    integer: float  # an operation on integers: mostly indices
    function: float  # an elementary function
    load: float
    store: float
    allocation: float = 50.0
    routine: float = 500.0  # of BLAS or LAPACK, on small arrays

    def of(self, stmt: Stmt) -> float:
        match stmt:
            case ir.Compute(out, name):
                if is_elementary(name):
                    return self.function
                return self.integer if out.type is I64 else self.operation
            case ir.Combine():
                return self.operation
            case ir.Load():
                return self.load
            case ir.Store():
                return self.store
            case ir.Call():
                return self.routine
            case ir.Alloc(stack=False) | ir.Grow():
                return self.allocation
            case _:
                return 0.0


# what is read has often been there, or comes in time; what is written goes to memory and back
VECTORS = Rates(operation=0.02, integer=0.0, function=0.5, load=0.03, store=0.1)
SCALARS = Rates(operation=0.4, integer=0.2, function=6.0, load=0.4, store=0.4)
STRIDED = 1.5  # an access at strides

_EXACT: dict[str, Callable[..., Any]] = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


class Work:
    """The code that estimates a loop's work, and what it computes."""

    def __init__(self, loop: For, code: list[Stmt] | None = None) -> None:
        self.code: list[Stmt] = [] if code is None else code
        self.loop = loop
        self._inside = inner_registers(loop)
        self._made = {s.out: s for s in ir.walk(loop.body) if isinstance(s, ir.Compute) and s.name in PURE}
        self._lifted: dict[Reg, Value | None] = {}
        self._loops = {loop.index: loop} | {s.index: s for s in ir.walk(loop.body) if isinstance(s, For)}
        self.trip = self.compute("sub", I64, loop.high, loop.low)

    @property
    def known(self) -> float | None:
        """The work, if it is known when the program is compiled."""
        total = self.total()
        return float(total.value) if isinstance(total, Literal) else None

    def total(self) -> Value:
        return self.times(self.number(self.trip), self._cost(self.loop, self.loop.body))

    def logarithm(self, x: Value) -> Value:
        """Of a number, to base 2, rounded down; at least 0."""
        bits = self.compute("bits", I64, self.compute("max", F64, x, Literal(1.0, F64)))
        return self.compute("sub", I64, self.compute("lshr", I64, bits, ir.integer(52)), ir.integer(1023))

    def knows(self, values: Iterable[Value]) -> bool:
        """Is it known before the loop what these are in the middle turn?"""
        return all(self._lift(v) is not None for v in values)

    def lifted(self, value: Value) -> Value:
        found = self._lift(value)
        assert found is not None
        return found

    # --- code ---------------------------------------------------------------------------------------------------------

    def compute(self, name: str, type: Type, *args: Value) -> Value:
        known = [a.value for a in args if isinstance(a, Literal)]
        if name in _EXACT and len(known) == len(args):
            return Literal(_EXACT[name](*known), type)  # type: ignore[arg-type]
        neutral = {"add": 0, "sub": 0, "mul": 1}.get(name)
        for k in (1,) if name == "sub" else (1, 0):
            if neutral is not None and args[k] in (Literal(neutral, I64), Literal(float(neutral), F64)):
                return args[1 - k]
        out = Reg(type, "work")
        self.code.append(ir.Compute(out, name, args))
        return out

    def number(self, value: Value) -> Value:
        if isinstance(value, Literal):
            return Literal(float(value.value), F64)
        return self.compute("float64", F64, value)

    def times(self, *factors: Value) -> Value:
        first, *others = factors
        return self._over("mul", F64, first, others)

    def plus(self, *terms: Value) -> Value:
        first, *others = terms
        return self._over("add", F64, first, others)

    def size(self, extents: Iterable[Value]) -> Value:
        """How many elements there are."""
        return self._over("mul", I64, ir.integer(1), extents)

    def _over(self, name: str, type: Type, total: Value, others: Iterable[Value]) -> Value:
        for x in others:
            total = self.compute(name, type, total, x)
        return total

    # --- the estimate -------------------------------------------------------------------------------------------------

    def _cost(self, loop: For | ir.While | ir.If, body: list[Stmt]) -> Value:
        rates = VECTORS if isinstance(loop, For) and _in_vectors(loop) else SCALARS
        flat, total = 0.0, None
        for stmt in body:
            flat += STRIDED if isinstance(loop, For) and self._strides(stmt, loop.index) else rates.of(stmt)
            part = self._inner(stmt)
            if part is not None:
                total = part if total is None else self.plus(total, part)
        here = Literal(flat, F64)
        return here if total is None else self.plus(total, here)

    def _strides(self, stmt: Stmt, index: Reg) -> bool:
        """Does an access go from one cache line to another from turn to turn?"""
        return isinstance(stmt, ir.Load | ir.Store) and any(self._moves(v, index) for v in stmt.view.prefix[:-1])

    def _moves(self, value: Value, index: Reg) -> bool:
        made = self._made.get(value) if isinstance(value, Reg) else None
        return value is index or (made is not None and any(self._moves(a, index) for a in made.args))

    def _inner(self, stmt: Stmt) -> Value | None:
        match stmt:
            case For():
                low, high = self._lift(stmt.low), self._lift(stmt.high)
                trip = None if low is None or high is None else self.compute("sub", I64, high, low)
                turns = Literal(TURNS, F64) if trip is None else self.number(trip)
                return self.times(turns, self._cost(stmt, stmt.body))
            case ir.While():
                return self.times(self._cost(stmt, stmt.body), Literal(TURNS, F64))
            case ir.If():
                return self.plus(self._cost(stmt, stmt.then), self._cost(stmt, stmt.orelse))
            case ir.Copy(target):
                total: Value = Literal(VECTORS.store, F64)
                for e in target.extents:
                    lifted = self._lift(e)
                    total = self.times(total, Literal(TURNS, F64) if lifted is None else self.number(lifted))
                return total
            case _:
                return None

    def _middle(self, loop: For) -> Value | None:
        low, high = self._lift(loop.low), self._lift(loop.high)
        if low is None or high is None:
            return None
        return self.compute("shr", I64, self.compute("add", I64, low, high), ir.integer(1))

    def _lift(self, value: Value) -> Value | None:
        """What a value of a turn is in the middle one, known before the loop; None if it is not."""
        if isinstance(value, Literal) or value not in self._inside:
            return value
        if value in self._loops and value not in self._lifted:
            self._lifted[value] = self._middle(self._loops[value])
        if value not in self._lifted:
            made = self._made.get(value)
            args = [None] if made is None else [self._lift(a) for a in made.args]
            known = [a for a in args if a is not None]
            whole = made is not None and len(known) == len(made.args)
            self._lifted[value] = self.compute(made.name, value.type, *known) if made and whole else None
        return self._lifted[value]


def _in_vectors(loop: For) -> bool:
    """Is it a loop that LLVM will most probably vectorise?"""
    plain = ir.Compute | ir.Combine | ir.Load | ir.Store
    return loop.tag not in ("seq", "cold") and all(isinstance(s, plain) for s in loop.body)

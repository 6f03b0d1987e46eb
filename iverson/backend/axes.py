"""An array that loops pass over along another axis than its last one gets that axis last.

    p = alloc [m, n]                                  p = alloc [n, m]
    for i < m: for j < n: p[i, j] = 0                 for j < n: for i < m: p[j, i] = 0
    for j < n seq:                            ->      for j < n seq:
        for i < m: p[i, j] = f(p[i, j - 1])               for i < m: p[j, i] = f(p[j - 1, i])

where nobody else sees it, and all loops agree, but for those that fill it; of each access the innermost loop counts
that moves it.  What was loaded at strides are neighbours then, which vectorise.  Rows of a few elements stay: vectors
take them whole, the parts of complex numbers, say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.layouts import only_elements, turn_last
from iverson.backend.loopir import Buffer, For, Load, Program, Reg, Stmt, Store, While
from iverson.backend.places import Access, Places
from iverson.core.syntax import Literal

Loop: TypeAlias = For | While

UNKNOWN = -1
SHORT = 8  # elements of a row that vectors take whole


def run(program: Program) -> None:
    """Turn the arrays of a program, in place."""
    allocs = [s.buffer for s in program.body if isinstance(s, ir.Alloc) and not s.stack]
    passed = {b: _Passed() for b in allocs if len(b.extents) > 1 and b.strides is None}
    if not passed:
        return
    _Walk(passed, Places(program.body)).block(program.body, ())
    whole = list(ir.walk(program.body)) if any(found.turns(b) for b, found in passed.items()) else []
    turned = {b: found for b, found in passed.items() if found.turns(b) and only_elements(whole, b)}
    for found in turned.values():
        for nest in found.fills:
            _exchanged(nest[found.axis], nest[-1])
    turn_last(whole, {b: found.axis for b, found in turned.items()})


@dataclass
class _Passed:
    """The axes that loops pass over an array along, and the nests that only fill it: a loop for each axis."""

    axes: set[int] = field(default_factory=set)
    fills: list[list[For]] = field(default_factory=list)

    @property
    def axis(self) -> int:
        return next(iter(self.axes))

    def turns(self, buffer: Buffer) -> bool:
        """Is there one axis, and not the last, which is long?"""
        last = buffer.extents[-1]
        short = isinstance(last, Literal) and last.value <= SHORT
        return not short and len(self.axes) == 1 and 0 <= self.axis < len(buffer.extents) - 1


@dataclass
class _Walk:
    """Sees how the loops of a program pass over arrays."""

    passed: dict[Buffer, _Passed]
    places: Places
    made: dict[Loop, frozenset[Reg]] = field(default_factory=dict)

    def block(self, body: Sequence[Stmt], loops: tuple[Loop, ...]) -> None:
        """Of a block, `loops` being around it."""
        for stmt in body:
            if isinstance(stmt, Load | Store) and stmt.view.buffer in self.passed:
                found, fill = self.passed[stmt.view.buffer], _fill(stmt, loops)
                if fill is not None:
                    found.fills.append(fill)
                else:
                    found.axes.update(self.moving(stmt, loops))
            within = (*loops, stmt) if isinstance(stmt, For | While) else loops
            for inner in ir.blocks(stmt):
                self.block(inner, within)

    def moving(self, access: Access, loops: Sequence[Loop]) -> list[int]:
        """The axes that a loop moves an access along: the innermost of those that move it."""
        forms = [self.places.form(v) for v in access.view.prefix]
        used = {r for form in forms for r, _ in form.terms}
        for loop in reversed(loops):
            index = loop.index if isinstance(loop, For) else None
            moving = [a for a, form in enumerate(forms) if index is not None and form.coefficient(index)]
            others = used & self.inside(loop) - {index}
            if len(moving) > 1 or not all(self.places.invariant(r, self.inside(loop)) for r in others):
                return [UNKNOWN]
            if moving:
                return moving
        return []

    def inside(self, loop: Loop) -> frozenset[Reg]:
        if loop not in self.made:
            self.made[loop] = frozenset(inner_registers(loop))
        return self.made[loop]


def _fill(stmt: Access, around: Sequence[Loop]) -> list[For] | None:
    """The loops, one for each axis, of a nest that does nothing but store a constant at the place of their indices."""
    if not isinstance(stmt, Store) or not isinstance(stmt.value, Literal):
        return None
    index = stmt.view.prefix
    loops = [s for s in around[-len(index) :] if isinstance(s, For) and s.tag in ("any", "apart") and not s.carries]
    if [loop.index for loop in loops] != list(index) or loops[-1].body != [stmt]:
        return None
    alone = all(outer.body == [inner] for outer, inner in pairwise(loops))
    bounds = {v for loop in loops for v in (loop.low, loop.high)}
    return loops if alone and bounds.isdisjoint(index) else None


def _exchanged(one: For, other: For) -> None:
    """Let two loops of a nest trade places."""
    one.index, other.index = other.index, one.index
    one.low, other.low = other.low, one.low
    one.high, other.high = other.high, one.high

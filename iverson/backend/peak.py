"""How much memory a kernel allocates, without running it: its allocations, for given integers.

    peak(program, slots) -> Peak(bytes, exact, history)   the most bytes alive at once, results included, arguments not

The program is walked as it would run, integers and the sizes of blocks alone (64 bytes more each, for the allocator).
Of a loop in which memory is allocated two turns are walked: a turn frees what it allocates, or hands it on in place of
what it was handed.  Where data decide on a branch the larger side counts.  What isn't known then, the length of a log
that grows as a loop turns or an extent read from an array, makes the result a lower bound: `exact` says that there is
nothing of the kind.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from iverson.backend import loopir as ir
from iverson.backend.abi import ITEM_SIZE
from iverson.backend.loopir import Cell, Literal, Program, Reg, Stmt, Value
from iverson.backend.runtime import ALIGNMENT
from iverson.core import prims
from iverson.core.syntax import BOOL, F64, I64, Site


@dataclass(frozen=True)
class Peak:
    bytes: int
    exact: bool
    history: tuple[Event, ...]  # bytes alive after each allocation and release


@dataclass(frozen=True)
class Event:
    bytes: int
    name: str
    site: Site | None


def peak(program: Program, slots: Sequence[int | None], about: dict[int, About] | None = None) -> Peak:
    """`slots`: the integers in the table of arguments; None for anything else.

    `about` is what walks of this one program know of its statements, kept from walk to walk.
    """
    walk = _Walk(slots, _about={} if about is None else about)
    walk.block(program.body)
    events = (Event(live, hint, None if k is None else program.sites[k].site) for live, hint, k in walk.history)
    return Peak(walk.most, walk.exact, tuple(events))


def _wrapped(n: int) -> int:
    """As a machine's integer."""
    return (n + 2**63) % 2**64 - 2**63


@dataclass(eq=False)
class _Block:
    bytes: int


@dataclass(frozen=True)
class _AtMost:
    """A number that isn't known, and what it is at most."""

    bound: int


_Known = int | _Block | _AtMost | None
_QUICK: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "min": min,
    "max": max,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}


@dataclass(frozen=True)
class About:
    """What a statement does to memory."""

    quiet: bool  # allocates and frees none
    grows: bool  # lengthens a log
    assigned: tuple[Cell, ...]

    @staticmethod
    def of(stmt: Stmt) -> About:
        inner = list(ir.walk([stmt]))
        quiet = not any(isinstance(s, _ALLOCATING) and not (isinstance(s, ir.Alloc) and s.stack) for s in inner)
        cells = tuple(dict.fromkeys(s.cell for s in inner if isinstance(s, ir.Put)))
        return About(quiet, any(isinstance(s, ir.Grow) for s in inner), cells)


_ALLOCATING = (ir.Alloc, ir.Mapped, ir.Free, ir.Grow)


@dataclass
class _Walk:
    slots: Sequence[int | None]
    values: dict[Reg, _Known] = field(default_factory=dict)
    cells: dict[Cell, _Known] = field(default_factory=dict)
    live: int = 0
    most: int = 0
    exact: bool = True
    _about: dict[int, About] = field(default_factory=dict)
    history: list[tuple[int, str, int | None]] = field(default_factory=list)

    def of(self, v: Value) -> _Known:
        if isinstance(v, Literal):
            return None if v.dtype.is_float else int(v.value)
        return self.values.get(v)

    def number(self, v: Value) -> int | None:
        found = self.of(v)
        return found if isinstance(found, int) else None

    def block(self, body: Sequence[Stmt]) -> None:
        for stmt in body:
            rule = _RULES.get(type(stmt))
            if rule is not None:
                rule(self, stmt)

    def argument(self, stmt: ir.Argument) -> None:
        self.values[stmt.out] = self.slots[stmt.slot]

    def computed(self, stmt: ir.Compute) -> None:
        self.values[stmt.out] = self.compute(stmt.name, stmt.args)

    def combined(self, stmt: ir.Combine) -> None:
        self.values[stmt.out] = self.compute(stmt.monoid, (stmt.left, stmt.right))

    def get(self, stmt: ir.Get) -> None:
        self.values[stmt.out] = self.cells.get(stmt.cell)

    def put(self, stmt: ir.Put) -> None:
        self.cells[stmt.cell] = self.of(stmt.value)

    def bound(self, v: Value) -> int | None:
        """What a number is at most."""
        found = self.of(v)
        return found.bound if isinstance(found, _AtMost) else found if isinstance(found, int) else None

    def compute(self, name: str, args: Sequence[Value]) -> _Known:
        if name in ("min", "max") and _dtype(args[0]) is I64 and None in map(self.number, args):
            bounds = [b for b in map(self.bound, args) if b is not None]
            if name == "min":
                return _AtMost(min(bounds)) if bounds else None
            return _AtMost(max(bounds)) if len(bounds) == len(args) else None
        if name == "select" and (p := self.number(args[0])) is not None:
            return self.number(args[1 if p else 2])
        known = [self.number(a) for a in args]
        if None in known or name not in prims.TABLE:
            return None
        if name in _QUICK and _dtype(args[0]) is I64:
            return _wrapped(int(_QUICK[name](*known)))
        values = [np.bool_(k) if _dtype(a) is BOOL else np.int64(_wrapped(k)) for k, a in zip(known, args, strict=True)]
        try:
            found: Any = prims.TABLE[name].meaning(*values)
        except (ArithmeticError, TypeError, ValueError):
            return None
        return int(found) if np.asarray(found).dtype.kind in "bi" else None

    # --- memory -------------------------------------------------------------------------------------------------------

    def alloc(self, stmt: ir.Alloc) -> None:
        if not stmt.stack and (stmt.when is None or self.of(stmt.when) != 0):
            rooms = [[self.bound(e) for e in extents] for extents in (stmt.buffer.extents, *stmt.also)]
            largest = max(rooms, key=lambda extents: prod(max(e or 0, 0) for e in extents))
            self.values[stmt.buffer.pointer] = self.fresh(largest, stmt.buffer.dtype)
            self.history.append((self.live, stmt.buffer.hint, stmt.site))

    def mapped(self, stmt: ir.Mapped) -> None:
        self.values[stmt.buffer.pointer] = _Block(0)  # no memory that the system couldn't have back

    def release(self, stmt: ir.Free) -> None:
        self.free(self.values.get(stmt.buffer.pointer))
        self.history.append((self.live, stmt.buffer.hint, None))

    def fresh(self, extents: Sequence[int | None], dtype: Any) -> _Block:
        elements = 1
        for e in extents:
            self.exact = self.exact and e is not None
            elements *= max(e or 0, 0)
        block = _Block((-(-max(elements * ITEM_SIZE[dtype], 1) // ALIGNMENT) + 1) * ALIGNMENT)
        self.live += block.bytes
        self.most = max(self.most, self.live)
        return block

    def free(self, block: _Known) -> None:
        if isinstance(block, _Block):
            self.live -= block.bytes
            block.bytes = 0  # freed once, whatever else points to it

    def grow(self, stmt: ir.Grow) -> None:
        before = self.cells.get(stmt.cell)
        self.cells[stmt.cell] = self.fresh([self.bound(stmt.new)], stmt.dtype)
        self.free(before)

    # --- control ------------------------------------------------------------------------------------------------------

    def about(self, stmt: Stmt) -> About:
        if id(stmt) not in self._about:
            self._about[id(stmt)] = About.of(stmt)
        return self._about[id(stmt)]

    def branch(self, stmt: ir.If) -> None:
        taken = self.number(stmt.pred)
        sides = [stmt.then, stmt.orelse] if taken is None and not self.about(stmt).quiet else []
        if not sides:
            self.block(stmt.then if taken else stmt.orelse)
            first = bool(taken)
        else:
            first = self.larger(stmt)
        for j in stmt.joins:
            then, orelse = self.of(j.then), self.of(j.orelse)
            known = taken is not None or then is orelse or isinstance(then, _Block)
            self.values[j.out] = (then if first else orelse) if known else None

    def larger(self, stmt: ir.If) -> bool:
        """Walk both sides; go on from where more is alive."""
        then, orelse = self.copy(), self.copy()
        then.block(stmt.then)
        orelse.block(stmt.orelse)
        chosen = then if then.live >= orelse.live else orelse
        self.values, self.cells, self.live = chosen.values, chosen.cells, chosen.live
        self.history += chosen.history
        self.most, self.exact = max(then.most, orelse.most), then.exact and orelse.exact
        return chosen is then

    def copy(self) -> _Walk:
        """The same state, to be changed apart."""
        blocks = {b: _Block(b.bytes) for b in (*self.values.values(), *self.cells.values()) if isinstance(b, _Block)}

        def apart(of: Mapping[Any, _Known]) -> dict[Any, _Known]:
            return {k: blocks[v] if isinstance(v, _Block) else v for k, v in of.items()}

        return _Walk(self.slots, apart(self.values), apart(self.cells), self.live, self.most, self.exact, self._about)

    def loop(self, stmt: ir.For | ir.While) -> None:
        for c in stmt.carries:
            self.values[c.reg] = self.values[c.out] = self.of(c.init)
        about = self.about(stmt)
        self.exact = self.exact and not about.grows
        if about.quiet:  # not walked: what it assigns isn't known
            self.cells.update(dict.fromkeys(about.assigned))
            for c in stmt.carries:
                if not isinstance(self.values.get(c.out), _Block):
                    self.values[c.out] = None
            return
        turns = 2
        low = high = None
        if isinstance(stmt, ir.For):
            low, high = self.number(stmt.low), self.number(stmt.high)
            if low is not None and high is not None:
                turns = max(0, min(2, high - low))
        for turn in range(turns):
            if isinstance(stmt, ir.For):
                self.values[stmt.index] = None if low is None else low + turn
            else:
                self.block(stmt.cond)
                if self.of(stmt.test) == 0:
                    break
            self.block(stmt.body)
            following = [self.of(c.next) for c in stmt.carries]
            for c, v in zip(stmt.carries, following, strict=True):
                self.values[c.reg] = v
        for c in stmt.carries:
            last = self.values.get(c.reg)
            self.values[c.out] = last if isinstance(last, _Block) else None


_RULES: dict[type[Stmt], Callable[..., None]] = {
    ir.Argument: _Walk.argument,
    ir.Compute: _Walk.computed,
    ir.Combine: _Walk.combined,
    ir.Get: _Walk.get,
    ir.Put: _Walk.put,
    ir.Alloc: _Walk.alloc,
    ir.Mapped: _Walk.mapped,
    ir.Free: _Walk.release,
    ir.Grow: _Walk.grow,
    ir.If: _Walk.branch,
    ir.For: _Walk.loop,
    ir.While: _Walk.loop,
}


def _dtype(v: Value) -> Any:
    return v.dtype if isinstance(v, Literal) else v.type if isinstance(v, Reg) else F64

"""wave: loops that take turns become one loop, in which later ones lag behind earlier ones.

    for i in 0..n apart: b[i] = f(a[i])                     for s in l..h wave [b' = b[l - 1]]:
    for i in 1..n apart: c[i] = g(b[i - 1])      ->             b" = f(a[s])
    for i in 1..n apart: a[i - 1] = c[i]                        c" = g(b')
                                                                a[s - 1] = c"
                                                            next b' <- b"

An element is touched by each loop in some turn, and these turns are so many apart as the program says in numbers: what
one loop leaves and another needs is carried from turn to turn, which vectorises (a shift across two neighbours).  So
each element is loaded once and stored once; not at all if it belongs to these loops alone.

The wave is where all long loops have turns, l..h.  Before and behind it each loop has the rest of its turns, with what
is in memory: carries begin with what is there, and those that turns behind the wave need are written back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.backend import loopir as ir
from iverson.backend.arithmetic import is_elementary
from iverson.backend.loopir import Buffer, Carry, Compute, For, If, Load, Reg, Stmt, Store, Value, View, integer
from iverson.backend.places import Form, Places
from iverson.backend.rewrite import compute, fold
from iverson.backend.twin import Twin
from iverson.core.syntax import BOOL, I64

SHORTEST, LONGEST = 2**6, 2**18  # turns of a wave; longer loops had better run on several threads ..
TRAFFIC = 4  # .. but for cheap ones that touch memory so many times less often as a wave
CARRIES, STATEMENTS = 24, 240  # of a wave, at most


@dataclass
class Member:
    """A loop, by how many turns it lags behind, and where its turns are if they are few, at an edge."""

    loop: For
    lag: int
    edge: str = ""  # "first" or "last", if it is an edge


def written(members: Sequence[Member], own: set[Buffer], places: Places) -> list[Stmt] | None:
    """The loops as a wave, if they can be one and if that pays; nobody else looks into buffers in `own`."""
    turn = _Turn(places)
    if not all(turn.add(m) for m in members if not m.edge) or not turn.close(own):
        return None
    return _written(members, turn)


Line: TypeAlias = tuple[int, tuple[Form, ...]]  # an axis, and an index, but for a number along the axis


@dataclass
class _Version:
    """What an element is at a time: `value` in a turn s is that of the element at s + offset."""

    line: Line
    view: View
    offset: int
    value: Value
    delayed: list[Carry] = field(default_factory=list)  # by one turn, by two turns, ..

    def delay(self, turns: int, made: set[Reg]) -> Value | None:
        """The value of as many turns ago; None if it isn't made in a turn."""
        if turns < 0 or (turns and self.value not in made):
            return None
        while len(self.delayed) < turns:
            last = self.delayed[-1].reg if self.delayed else self.value
            kind = ir.type_of(last)
            self.delayed.append(Carry(Reg(kind, "carry"), integer(0), last, Reg(kind, "carry")))
        return self.delayed[turns - 1].reg if turns else self.value


class _Turn:
    """A turn of the wave."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.index = Reg(I64, "s")
        self.body: list[Stmt] = []
        self.made: set[Reg] = {self.index}
        self.given: set[Value] = set()  # what the loops find around them
        self.versions: list[_Version] = []
        self.now: dict[Buffer, _Version] = {}
        self.loads: dict[Buffer, dict[tuple[Line, int], Reg]] = {}  # from memory
        self.accesses = 0  # of the loops
        self.limited = True  # does it pay only where loops don't run on several threads?

    def add(self, m: Member) -> bool:
        """A turn of a loop behind what there is; False if it can't be."""
        if m.loop.tag != "apart":
            return False
        (loop,) = Twin([replace(m.loop, low=integer(0), high=integer(0))]).body
        assert isinstance(loop, For)
        self.places.learn(loop.body)
        self.given.update(ir.free_registers([m.loop]))
        self.body.append(Compute(loop.index, "sub", (self.index, integer(m.lag))))
        env: dict[Reg, Value] = {}
        for stmt in loop.body:
            self.made.update(ir.defined(stmt))
            (new,) = ir.renamed([stmt], env)
            if not isinstance(new, Load | Store):
                self.body.append(new)
                continue
            self.accesses += 1
            at = self.place(new.view, loop.index)
            line, offset = (at[0], at[1] - m.lag) if at is not None else (None, 0)
            if isinstance(new, Load):
                value = self.load(new, line, offset)
                if value is None:
                    return False
                env[new.out] = value
            elif not self.store(new, line, offset):
                return False
        self.made.add(loop.index)
        return len(self.body) <= STATEMENTS

    def place(self, view: View, index: Reg) -> tuple[Line, int] | None:
        """On which line a place is, and how far from a loop's turn; None if a loop doesn't move it along one."""
        forms = [self.places.form(p) for p in view.prefix]
        axes = [k for k, form in enumerate(forms) if form.coefficient(index)]
        if len(axes) != 1 or forms[axes[0]].coefficient(index) != 1:
            return None
        along = forms[axes[0]].with_(index, Form())
        forms[axes[0]] = replace(along, constant=0)
        return (axes[0], tuple(forms)), along.constant

    def load(self, stmt: Load, line: Line | None, offset: int) -> Value | None:
        """What an element is: as a turn has left it, or as it is in memory; None if that can't be said."""
        version = self.now.get(stmt.view.buffer)
        if version is None:
            loads = self.loads.setdefault(stmt.view.buffer, {})
            if line is None:
                loads[(0, ()), 0] = stmt.out
                self.body.append(stmt)
                return stmt.out
            if (line, offset) not in loads:
                loads[line, offset] = stmt.out
                self.body.append(stmt)
            return loads[line, offset]
        return version.delay(version.offset - offset, self.made) if line == version.line else None

    def store(self, stmt: Store, line: Line | None, offset: int) -> bool:
        buffer, before = stmt.view.buffer, self.now.get(stmt.view.buffer)
        if line is None or not all(form == line for form, _ in self.loads.get(buffer, ())):
            return False
        if any(at < offset for _, at in self.loads.get(buffer, ())) or (before and before.line != line):
            return False
        if before is not None and before.delay(before.offset - offset, self.made) is None:
            return False  # what a loop that ends earlier doesn't overwrite is written behind the wave
        if any(r not in self.given for form in line[1] for r, _ in form.terms):
            return False  # the ends of the wave couldn't say where the place is
        self.now[buffer] = _Version(line, stmt.view, offset, stmt.value)
        self.versions.append(self.now[buffer])
        return True

    def close(self, own: set[Buffer]) -> bool:
        """Store what is in memory behind the wave; False if there is no gain."""
        for buffer, v in self.now.items():
            if buffer not in own or buffer in self.loads:
                self.body.append(Store(v.view, v.value))
        carries = sum(len(v.delayed) for v in self.versions)
        left = sum(isinstance(s, Load | Store) for s in self.body)
        saved = self.accesses - left
        dear = any(isinstance(s, Compute) and is_elementary(s.name) for s in self.body)
        self.limited = dear or TRAFFIC * left > self.accesses
        return carries <= CARRIES and 3 * saved >= self.accesses and saved > carries

    def wave(self, first: Value, last: Value) -> list[Stmt]:
        """The turns from first to last, with what is loaded before and stored behind them."""
        before: list[Stmt] = []
        behind: list[Stmt] = []
        for v in self.versions:
            for k, c in enumerate(v.delayed, 1):
                c.init = Reg(c.reg.type, c.reg.hint)
                before.append(Load(c.init, self.view(before, v, first, k)))
                behind.append(Store(self.view(behind, v, last, k), c.out))
        carries = [c for v in self.versions for c in v.delayed]
        return [*before, For(self.index, first, last, self.body, carries, "wave"), *behind]

    def view(self, code: list[Stmt], v: _Version, turn: Value, ago: int) -> View:
        """Where the element is that a version is of, so many turns before a turn."""
        axis, forms = v.line
        prefix = []
        for k, form in enumerate(forms):
            total: Value = integer(form.constant)
            if k == axis:
                total = compute(code, "add", turn, integer(v.offset - ago))
            for reg, c in form.terms:
                total = compute(code, "add", total, compute(code, "mul", reg, integer(c)))
            prefix.append(total)
        return View(v.view.buffer, tuple(prefix))


def _written(members: Sequence[Member], turn: _Turn) -> list[Stmt]:
    """The wave where there is one, the loops where there is none."""
    code: list[Stmt] = []
    lows, highs = [], []
    for m in members:
        lows += [_place(code, m, m.loop.high if m.edge else m.loop.low)] if m.edge != "last" else []
        highs += [_place(code, m, m.loop.low if m.edge else m.loop.high)] if m.edge != "first" else []
    first, last = fold(code, "max", lows), fold(code, "min", highs)
    turns = compute(code, "sub", last, first)
    some = compute(code, "ge", turns, integer(SHORTEST), dtype=BOOL)
    if turn.limited:
        some = compute(code, "and", some, compute(code, "le", turns, integer(LONGEST), dtype=BOOL), dtype=BOOL)
    part = Reg(I64, "part")
    rest = _rest(members, part, first, last)
    begun = compute(rest, "eq", part, integer(0), dtype=BOOL)
    rest.append(If(begun, turn.wave(first, last), []))
    parts = For(part, integer(0), integer(2), rest)
    return [*code, If(some, [parts], [m.loop for m in members])]


def _place(code: list[Stmt], m: Member, turn: Value) -> Value:
    """Where the wave is in a loop's turn."""
    return compute(code, "add", turn, integer(m.lag)) if m.lag else turn


def _rest(members: Sequence[Member], part: Value, first: Value, last: Value) -> list[Stmt]:
    """The turns before the wave, and in another part those behind it."""
    code: list[Stmt] = []
    behind = compute(code, "gt", part, integer(0), dtype=BOOL)
    loops: list[Stmt] = []
    for m in members:
        begin = compute(code, "sub", first, integer(m.lag))
        end = compute(code, "sub", last, integer(m.lag))
        low = compute(code, "select", behind, compute(code, "max", m.loop.low, end), m.loop.low)
        high = compute(code, "select", behind, m.loop.high, compute(code, "min", m.loop.high, begin))
        loops += Twin([replace(m.loop, low=low, high=high, tag="cold")]).body
    return [*code, *loops]

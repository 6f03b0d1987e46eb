"""Loops that pass over the same arrays, one after the other, take turns: a strip of each at a time.

    for i in 0..n apart: b[i] = f(a[i])                     for s in 0..(n + 1 + w - 1) // w strip:
    for i in 1..n apart: c[i] = g(b[i - 1])      ->             for i in max 0 (s w)..min n (s w + w) apart: ...
    for i in 1..n apart: b[i - 1] = h(c[i], c[i - 1])           for i in max 1 (s w)..min n (s w + w) apart: ...
    for i in 0..n apart: a[i] = b[i]                            for i in max 1 (s w)..min n (s w + w) apart: ...
                                                                for i in max 0 (s w - 1)..min n (s w - 1 + w) apart: ...

So what one leaves is in the nearest cache when the next one needs it, however long the arrays are.  A loop lags behind
those before it as far as it must: where turn i of an earlier one and turn j of a later one touch one place, and one of
them writes it, i - j must be one number, and the later loop's lag is at least the earlier one's plus that.  Short
loops have one strip, since all is in a cache, and very long ones, since each had better run on several threads.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from iverson.backend import loopir as ir
from iverson.backend import wave
from iverson.backend.loopir import Buffer, Compute, For, Load, Program, Reg, Stmt, Store, Value, Vector, View, integer
from iverson.backend.places import Form, Places, accesses
from iverson.backend.rewrite import compute, fold, is_wide
from iverson.backend.wave import Member
from iverson.core.syntax import BOOL, I64, Literal

WIDTH = 512  # turns of a strip
SHORTEST, LONGEST = 2**11, 2**18  # turns of a loop that strips are made of
LOOPS, SHARED = 3, 2  # so many long loops, and arrays that several of them touch, are worth it
LAG, MOST = 32, 40  # turns and loops, at most

_FLAT = Compute | ir.Combine | Load | Store


def run(program: Program) -> None:
    """Rewrite a program in place."""
    _block(program.body, Places(program.body))


def _block(body: list[Stmt], places: Places) -> None:
    out: list[Stmt] = []
    group = _Group(places)
    for stmt in body:
        for inner in ir.blocks(stmt) if not is_wide(stmt) else ():
            _block(inner, places)
        if not group.add(stmt):
            out += group.written(body)
            group = _Group(places)
            if not group.add(stmt):
                out.append(stmt)
    body[:] = [*out, *group.written(body)]


@dataclass
class _Group:
    """Neighbouring loops, and what is between them, which goes before or behind."""

    places: Places
    whole: list[Stmt] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    before: list[Stmt] = field(default_factory=list)
    behind: list[ir.Free] = field(default_factory=list)

    def add(self, stmt: Stmt) -> bool:
        """Take in a statement, if it may be."""
        match stmt:
            case Compute():
                self.before.append(stmt)
            case ir.Alloc(buffer) if all(s.buffer.slot is not buffer.slot for s in self.behind):
                self.before.append(stmt)
            case ir.Free():
                self.behind.append(stmt)
            case For() | ir.Copy():
                loop = stmt if isinstance(stmt, For) else _copying(stmt)
                lag = self.lag(loop) if loop is not None and _plain(loop) else None
                if loop is None or lag is None or len(self.members) == MOST:
                    return False
                self.members.append(Member(loop, lag, _edge(loop, self.places)))
            case _:
                return False
        self.whole.append(stmt)
        return True

    def lag(self, loop: For) -> int | None:
        """How far a loop must lag behind those of the group; None if it can't be one of them."""
        lag = 0
        for m in self.members:
            for a in accesses([m.loop]):
                for b in accesses([loop]):
                    if isinstance(a, Load) and isinstance(b, Load):
                        continue
                    if a.view.buffer is not b.view.buffer:
                        if not self.places.disjoint(a.view.buffer, b.view.buffer):
                            return None
                        continue
                    distances = self.distances(a.view, m.loop.index, b.view, loop.index)
                    if distances is None:
                        return None
                    lag = max([lag, *(m.lag + d for d in distances)])
        return lag if lag <= LAG else None

    def distances(self, a: View, i: Reg, b: View, j: Reg) -> list[int] | None:
        """By how many turns i and j differ where two places are one: a number, or none; None if that isn't known."""
        found: list[int] | None = None
        for x, y in zip(map(self.places.form, a.prefix), map(self.places.form, b.prefix), strict=True):
            step = x.coefficient(i)
            aligned = y.coefficient(j) == step and not x.coefficient(j) and not y.coefficient(i)
            apart = y.with_(j, Form(((i, 1),))).plus(x, -1)
            if not aligned or apart.terms:
                continue
            if (apart.constant % step if step else apart.constant) != 0:
                return []
            found = [apart.constant // step] if step else found
        return found

    def pays(self) -> bool:
        long = [m.loop for m in self.members if not m.edge]
        touched = Counter(b for loop in long for b in {a.view.buffer for a in accesses([loop])})
        return len(long) >= LOOPS and sum(n > 1 for n in touched.values()) >= SHARED

    def own(self, body: list[Stmt]) -> set[Buffer]:
        """The arrays that are made here, and that nobody else looks into."""
        inside = {id(s) for s in ir.walk(self.whole)}
        made = {s.buffer for s in self.before if isinstance(s, ir.Alloc)}
        freed = {s.buffer for s in body if isinstance(s, ir.Free)}
        others = [s for s in ir.walk(body) if id(s) not in inside and not isinstance(s, ir.Free)]
        used = {v for s in others for v in ir.used(s)}
        return {b for b in made & freed if b.pointer not in used}

    def written(self, body: list[Stmt]) -> list[Stmt]:
        """The statements that the group becomes."""
        found = wave.written(self.members, self.own(body), self.places) if len(self.members) > 1 else None
        if found is not None:
            return [*self.before, *found, *self.behind]
        if not self.pays():
            return self.whole
        code = list(self.before)
        lows, highs = ({m.loop.low: None for m in self.members}, {m.loop.high: None for m in self.members})
        base, top = fold(code, "min", [*lows]), fold(code, "max", [*highs])
        length = compute(code, "sub", top, base)
        length = compute(code, "add", length, integer(max(m.lag for m in self.members)))
        many = compute(code, "ge", length, integer(SHORTEST), dtype=BOOL)
        few = compute(code, "le", length, integer(LONGEST), dtype=BOOL)
        some = compute(code, "and", many, few, dtype=BOOL)
        width = compute(code, "select", some, integer(WIDTH), compute(code, "max", length, integer(1)))
        more = compute(code, "sub", compute(code, "add", length, width), integer(1))
        count = compute(code, "floordiv", more, width)
        strip, body = Reg(I64, "strip"), list[Stmt]()
        start = compute(body, "add", base, compute(body, "mul", strip, width))
        starts: dict[int, tuple[Value, Value]] = {}
        for m in self.members:
            if m.lag not in starts:
                first = compute(body, "sub", start, integer(m.lag)) if m.lag else start
                starts[m.lag] = first, compute(body, "add", first, width)
            first, end = starts[m.lag]
            low, high = compute(body, "max", m.loop.low, first), compute(body, "min", m.loop.high, end)
            body.append(replace(m.loop, low=low, high=high))
        return [*code, For(strip, integer(0), count, body, [], "strip"), *self.behind]


def _plain(loop: For) -> bool:
    if loop.tag not in ("any", "apart") or loop.carries or not all(isinstance(s, _FLAT) for s in loop.body):
        return False
    return not any(isinstance(r.type, Vector) for s in loop.body for r in ir.defined(s))  # one place an access


def _edge(loop: For, places: Places) -> str:
    """At which end of its range does a loop have its few turns, if it has few?"""
    bound = places.at_most(loop.high)
    if bound is not None and bound < LAG:
        return "first"
    return "last" if _near(loop.low, loop.high, places) else ""


def _near(low: Value, high: Value, places: Places) -> bool:
    """Is the low end surely near the high one?"""
    made = places.computed.get(low) if isinstance(low, Reg) else None
    if low is high or made is None:
        return low is high
    if made.name == "add":
        return made.args[0] is high and isinstance(made.args[1], Literal) and int(made.args[1].value) > -LAG
    near = [_near(a, high, places) for a in made.args]
    return (made.name == "max" and any(near)) or (made.name == "min" and all(near))


def _copying(stmt: ir.Copy) -> For | None:
    """The loop that copies a row, element by element."""
    if len(stmt.source.extents) != 1:
        return None
    i, x = Reg(I64, "i"), Reg(stmt.source.buffer.dtype, "x")
    body: list[Stmt] = [Load(x, stmt.source.at([i])), Store(stmt.target.at([i]), x)]
    return For(i, integer(0), stmt.source.extents[0], body, [], "apart")

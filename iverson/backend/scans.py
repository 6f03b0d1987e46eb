"""A loop that reads what a scan leaves, element by element, follows it turn by turn.

    for i < n seq; s = s0:                       for i < n seq; s = s0:
        s' = f(s, i);  t[i] = s'                     s' = f(s, i)
        next s <- s'                       ->        y[i] = g(s', i)
    for i < n any:                                   next s <- s'
        y[i] = g(t[i], i)

and so where the second reads t[n - 1 - i]: it then runs from its last turn.  A scan waits for its own result most of
the time, in which the second loop's work is for nothing; and t, unless something else reads it, is not made.  Only
cheap work is taken along: what is dear runs better in lanes by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from iverson.backend import loopir as ir
from iverson.backend.loopir import (
    Alloc,
    Buffer,
    Compute,
    For,
    Free,
    Load,
    Program,
    Reg,
    Stmt,
    Store,
    Value,
    integer,
)
from iverson.backend.residuals import all_used, apart, changed_all, follows, plain

CHEAP = frozenset(
    [
        "add",
        "sub",
        "mul",
        "neg",
        "abs",
        "min",
        "max",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "not",
        "select",
        "isnan",
        "stop",
        "int64",
        "float64",
    ]
)


def run(program: Program) -> None:
    """Merge wherever it can be, outer blocks first."""
    _Merger(program).block(program.body)


@dataclass(frozen=True)
class _Meeting:
    """How the turns of two loops meet: what the second reads is what the first stores in the same turn."""

    values: dict[Buffer, Value]  # by array, what the first stores
    backwards: Reg | None  # the second's place in it, if that runs from the end
    last: Value | None  # n - 1


class _Merger:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.made = {s.out: s for s in ir.walk(program.body) if isinstance(s, Compute)}

    def block(self, body: list[Stmt]) -> None:
        at = 0
        while at < len(body):
            scan = body[at]
            if isinstance(scan, For) and scan.tag == "seq" and scan.carries and plain(scan):
                found = next((k for k in range(at + 1, len(body)) if self.merge(body, at, k)), None)
                if found is not None:
                    at = 0
                    continue
            at += 1
        for stmt in body:
            for inner in ir.blocks(stmt):
                self.block(inner)

    def merge(self, body: list[Stmt], first: int, second: int) -> bool:
        """Make one loop of two, if they may be."""
        one, two = body[first], body[second]
        assert isinstance(one, For)
        if not (isinstance(two, For) and two.tag == "any" and (two.low, two.high) == (one.low, one.high)):
            return False
        if one.low != integer(0) or not plain(two) or not _is_cheap(two):
            return False
        meeting = self.meeting(one, two)
        between = body[first + 1 : second]
        following = None if meeting is None else follows(one, between)
        if meeting is None or following is None:
            return False
        staying = [s for s in between if s not in following]
        results = {r for s in (one, *following) for r in ir.defined(s)}
        uses = {v for s in staying for v in all_used(s)}
        if any(b.pointer in uses for b in meeting.values):
            return False
        if results & set(all_used(two)) or not apart(one, two, staying, set(meeting.values)):
            return False
        body[first : second + 1] = [*staying, _merged(one, two, meeting), *following]
        self.forget(body, meeting)
        return True

    def meeting(self, one: For, two: For) -> _Meeting | None:
        """How two loops meet, if they do."""
        stores = [s for s in one.body if isinstance(s, Store)]
        shared = {s.view.buffer for s in stores} & {s.view.buffer for s in ir.walk(two.body) if isinstance(s, Load)}
        values = {s.view.buffer: s.value for s in stores if s.view.buffer in shared}
        loads = [s for s in ir.walk(two.body) if isinstance(s, Load) and s.view.buffer in shared]
        places = {s.view.prefix for s in loads}
        nested = sum(isinstance(s, Store) for s in ir.walk(one.body)) - len(stores)
        if len(places) != 1 or nested or any(s.view.prefix != (one.index,) for s in stores if s.view.buffer in shared):
            return None
        (place,) = places
        if place == (two.index,):
            return _Meeting(values, None, None)
        step = self.made.get(place[0]) if len(place) == 1 and isinstance(place[0], Reg) else None
        if step is None or step not in two.body or step.name != "sub" or step.args[1] is not two.index:
            return None
        last = self.made.get(step.args[0]) if isinstance(step.args[0], Reg) else None
        if last is None or last in two.body or (last.name, last.args) != ("sub", (one.high, integer(1))):
            return None
        return _Meeting(values, step.out, last.out)

    def forget(self, body: list[Stmt], meeting: _Meeting) -> None:
        """Arrays that nothing reads any more are not made."""
        read = {v for s in ir.walk(self.program.body) if not isinstance(s, Store | Free) for v in ir.used(s)}
        gone = {b for b in meeting.values if b.pointer not in read}
        here = [s.buffer for s in body if isinstance(s, Alloc)]
        gone = {b for b in gone if b in here}
        body[:] = _without(body, gone)


def _is_cheap(loop: For) -> bool:
    return all(s.name in CHEAP for s in ir.walk(loop.body) if isinstance(s, Compute)) and not any(
        isinstance(s, For) for s in loop.body
    )


def _merged(one: For, two: For, meeting: _Meeting) -> For:
    """The scan, each turn followed by the other loop's."""
    env: dict[Reg, Value] = {}
    start: list[Stmt] = []
    if meeting.backwards is None or meeting.last is None:
        env[two.index] = one.index
    else:
        env[meeting.backwards] = one.index
        start = [Compute(two.index, "sub", (meeting.last, one.index))]
    loads = [s for s in ir.walk(two.body) if isinstance(s, Load) and s.view.buffer in meeting.values]
    env |= {s.out: meeting.values[s.view.buffer] for s in loads}
    left = replace(two, body=_dropped(two.body, {*loads, *(s for s in two.body if _defines(s, meeting.backwards))}))
    (turn,) = changed_all([left], env, {})
    assert isinstance(turn, For)
    return replace(one, body=[*one.body, *start, *turn.body], carries=[*one.carries, *turn.carries])


def _defines(stmt: Stmt, reg: Reg | None) -> bool:
    return isinstance(stmt, Compute) and stmt.out is reg


def _dropped(body: list[Stmt], gone: set[Stmt]) -> list[Stmt]:
    """A body without some statements, at any depth."""
    kept = [s for s in body if s not in gone]
    return [
        replace(s, then=_dropped(s.then, gone), orelse=_dropped(s.orelse, gone)) if isinstance(s, ir.If) else s
        for s in kept
    ]


def _without(body: list[Stmt], buffers: set[Buffer]) -> list[Stmt]:
    """A body without the allocation and release of some arrays, and what its loops store there."""
    kept: list[Stmt] = []
    for s in body:
        if isinstance(s, Alloc | Free) and s.buffer in buffers:
            continue
        if isinstance(s, Store) and s.view.buffer in buffers:
            continue
        for inner in ir.blocks(s):
            inner[:] = _without(inner, buffers)
        kept.append(s)
    return kept

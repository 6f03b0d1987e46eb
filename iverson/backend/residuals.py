"""What one loop leaves for a later one stays within a turn: the loops become one, and the arrays between them private.

    for i < n any:                               for i < n any:
        for j: t[i, j] = ..                          t = alloc [m]
        s <+> ..                                     for j: t[j] = ..
    u = f(s)                               ->        for j: y[j] += g(t[j])
    for i < n any:                                   free t
        for j: y[j] += g(t[i, j])                    s <+> ..
                                                 u = f(s)

So a reverse sweep over points finds what the forward sweep kept in the cache, and schedules see one loop.  The first
loop moves down to the second: what is between them must leave alone what it touches, apart from scalars made of what it
carries, which follow the merged loop.  Nothing here fails, so the order of checks is what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend import schedule
from iverson.backend.loopir import (
    POINTER,
    Alloc,
    Buffer,
    For,
    Free,
    If,
    Load,
    Owner,
    Program,
    Reg,
    Stmt,
    Store,
    Value,
    View,
    integer,
)


def run(program: Program, reassociate: bool = True) -> None:
    """Merge where it makes an array private, and the merged loop will run in lanes; outer blocks first."""
    _Merger(program, reassociate).block(program.body)


class _Merger:
    def __init__(self, program: Program, reassociate: bool) -> None:
        self.program = program
        self.reassociate = reassociate
        self.mentions: dict[Reg, int] = {}  # how many statements name a pointer, but for its allocation
        self.touched: dict[For, tuple[set[Buffer], set[Buffer]]] = {}  # what a loop stores and what it loads
        self.count()

    def count(self) -> None:
        self.mentions.clear()
        for stmt in ir.walk(self.program.body):
            for v in {v for v in ir.used(stmt) if v.type is POINTER}:
                self.mentions[v] = self.mentions.get(v, 0) + 1

    def block(self, body: list[Stmt]) -> None:
        while self.merge_one(body):
            pass
        for stmt in body:
            for inner in ir.blocks(stmt):
                self.block(inner)

    def merge_one(self, body: list[Stmt]) -> bool:
        """Merge the last two loops that may be; were there any?"""
        nests = [k for k, stmt in enumerate(body) if _nest(stmt)]
        pairs = ((k, at) for j, at in reversed([*enumerate(nests)]) for k in reversed(nests[:j]))
        return any(self.merge(body, k, at) for k, at in pairs)

    def merge(self, body: list[Stmt], first: int, second: int) -> bool:
        """Make one of two loops of a body, if they may be."""
        one, two = body[first], body[second]
        assert isinstance(one, For) and isinstance(two, For)
        if one.high != two.high:
            return False
        allocs = [s for s in body[:first] if isinstance(s, Alloc) and s.buffer in self.left(one, two)]
        kept = {a: axis for a in allocs if (axis := self.axis(a.buffer, one, two, body)) is not None}
        if not kept or not plain(one) or not plain(two):
            return False
        between = body[first + 1 : second]
        following = follows(one, between)
        if following is None:
            return False
        staying = [s for s in between if s not in following]
        results = {r for s in (one, *following) for r in ir.defined(s)}
        if results & set(all_used(two)) or not apart(one, two, staying, {a.buffer for a in kept}):
            return False
        merged = _merged(one, two, kept)
        if not schedule.in_lanes(merged, schedule.Known(self.program), self.reassociate):
            return False
        body[first : second + 1] = [*staying, merged, *following]
        gone = [*kept, *(s for s in body if isinstance(s, Free) and any(s.buffer is a.buffer for a in kept))]
        body[:] = [s for s in body if s not in gone]
        self.count()
        return True

    def left(self, one: For, two: For) -> set[Buffer]:
        """What the first of two loops writes and the second reads."""
        for loop in (one, two):
            if loop not in self.touched:
                stores = {s.view.buffer for s in ir.walk(loop.body) if isinstance(s, Store)}
                self.touched[loop] = stores, {s.view.buffer for s in ir.walk(loop.body) if isinstance(s, Load)}
        return self.touched[one][0] & self.touched[two][1]

    def axis(self, b: Buffer, one: For, two: For, body: list[Stmt]) -> int | None:
        """If nothing else uses an array, and the loops do at their indices: that axis."""
        own = [(s.view.prefix, f.index) for f in (one, two) for s in _accesses(f.body) if s.view.buffer is b]
        axes = [a for a in range(len(b.extents)) if all(p[a] is i for p, i in own)]
        frees = sum(isinstance(s, Free) and s.buffer is b for s in body)
        local = frees == 1 and self.mentions[b.pointer] == len(own) + 1
        return axes[0] if axes and local and b.scoped and b.strides is None else None


# --- may they? --------------------------------------------------------------------------------------------------------


def _nest(stmt: Stmt) -> bool:
    """Is this a loop of loops?  Flat ones are merged before, where that is good."""
    return (
        isinstance(stmt, For)
        and stmt.tag == "any"
        and stmt.low == integer(0)
        and any(isinstance(s, For) for s in stmt.body)
    )


def plain(loop: For) -> bool:
    """A loop that only computes, and cannot fail."""
    known = ir.Compute | ir.Combine | Load | Store | For | If | Alloc | Free
    return all(
        isinstance(s, known)
        and not (isinstance(s, For) and any(c.reg.type is POINTER for c in s.carries))
        and not (isinstance(s, Alloc) and loop.index in ir.used(s))
        for s in ir.walk([loop])
    )


def follows(one: For, between: Iterable[Stmt]) -> list[Stmt] | None:
    """The scalars made of what a loop carries; None if other statements need them."""
    return _closure(set(ir.defined(one)), between)


def _closure(results: set[Reg], body: Iterable[Stmt]) -> list[Stmt] | None:
    """The scalar computations that depend on some registers; None if something else does."""
    found: list[Stmt] = []
    for stmt in body:
        if not results.isdisjoint(all_used(stmt)):
            if not isinstance(stmt, ir.Compute | ir.Combine):
                return None
            found.append(stmt)
            results = results | {stmt.out}
    return found


def apart(one: For, two: For, between: list[Stmt], kept: set[Buffer]) -> bool:
    """May the first loop's turns run behind what is between, each before a turn of the second loop?

    A written buffer whose pointer always means the same memory shares it with no other pointer.
    """
    if any(isinstance(s, ir.Grow | ir.Own) for s in ir.walk(between)):
        return False
    written = _written([one]), _written([*between, two])
    if not all(b.scoped for b in (*written[0], *written[1])):
        return False
    before, after = set(all_used(one)), {v for s in (*between, two) for v in all_used(s)}
    return all(b.pointer not in after for b in written[0] if b not in kept) and all(
        b.pointer not in before for b in written[1]
    )


def _written(body: list[Stmt]) -> set[Buffer]:
    """What statements write or free."""
    found: set[Buffer] = set()
    for stmt in ir.walk(body):
        match stmt:
            case Store(View(buffer), _) | ir.Copy(View(buffer), _) | Free(buffer):
                found.add(buffer)
            case ir.Call(_, args):
                found |= {v.buffer for v in args if isinstance(v, View)}
    return found


# --- merging ----------------------------------------------------------------------------------------------------------


def _merged(one: For, two: For, kept: Mapping[Alloc, int]) -> For:
    env: dict[Reg, Value] = {two.index: one.index}
    own = {a.buffer: replace(a, buffer=_part(a.buffer, axis)) for a, axis in kept.items()}
    parts = {a.buffer: (own[a.buffer].buffer, axis) for a, axis in kept.items()}
    last = _closure({c.reg for c in one.carries}, one.body) or []
    body = [
        *own.values(),
        *(s for s in one.body if s not in last),
        *two.body,
        *last,
        *(Free(a.buffer) for a in own.values()),
    ]
    return replace(one, body=changed_all(body, env, parts), carries=[*one.carries, *two.carries])


def _part(b: Buffer, axis: int) -> Buffer:
    """A turn's part of an array."""
    return replace(b, extents=_without(b.extents, axis), pointer=Reg(POINTER, b.hint), slot=Owner())


def _without(values: tuple[Value, ...], axis: int) -> tuple[Value, ...]:
    return values[:axis] + values[axis + 1 :]


def changed_all(body: list[Stmt], env: Mapping[Reg, Value], parts: Mapping[Buffer, tuple[Buffer, int]]) -> list[Stmt]:
    """Statements with registers replaced by others, and arrays by a turn's part of them."""

    def value(v: Value) -> Value:
        return env.get(v, v) if isinstance(v, Reg) else v

    def view(v: View) -> View:
        part, axis = parts.get(v.buffer, (v.buffer, None))
        prefix = tuple(map(value, v.prefix))
        return View(part, prefix if axis is None else _without(prefix, axis))

    def changed(stmt: Stmt) -> Stmt:
        match stmt:
            case Load(out, v):
                return Load(out, view(v))
            case Store(v, x):
                return Store(view(v), value(x))
            case ir.Compute(out, name, args):
                return ir.Compute(out, name, tuple(map(value, args)))
            case ir.Combine():
                return replace(stmt, left=value(stmt.left), right=value(stmt.right))
            case For():
                carries = [replace(c, init=value(c.init), next=value(c.next)) for c in stmt.carries]
                low, high = value(stmt.low), value(stmt.high)
                return replace(stmt, low=low, high=high, body=[changed(s) for s in stmt.body], carries=carries)
            case If(pred, then, orelse, joins):
                joins = [replace(j, then=value(j.then), orelse=value(j.orelse)) for j in joins]
                return If(value(pred), [changed(s) for s in then], [changed(s) for s in orelse], joins)
            case _:
                return stmt

    return [changed(s) for s in body]


def _accesses(body: list[Stmt]) -> Iterable[Load | Store]:
    return (s for s in ir.walk(body) if isinstance(s, Load | Store))


def all_used(stmt: Stmt) -> list[Value]:
    return [*ir.used(stmt), *(v for b in ir.blocks(stmt) for s in b for v in all_used(s))]

"""Loops over one range that pass over the same elements become one; what lives within a turn stays in registers.

    t = alloc [n]                                  for i < n any:
    for i < n any: t[i] = f(x[k, i])         ->        u = f(x[k, i])
    for i < n any: old[i] = x[m, i]                    v = x[m, i]
    for i < n any: x[m, i] = x[m, i] + t[i]            old[i] = v
    free t                                             x[m, i] = v + u

Turns of a loop tagged `any` may run in any order.  Two such loops are one if what both touch, and one of them writes,
is touched in equal turns (backend/places.py), and what lies between can go before or behind: checks that the second
loop relies on go before, which is why a program in which one moved is no longer exact.  The same holds of nests whose
only loops are perfectly nested.  Loops are merged only if they share an array and are of one kind: all lanes, or none.
Two recurrences of which neither touches what the other writes are one loop, too: the machine runs their chains at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import Alloc, Buffer, Cell, For, Free, Load, Program, Reg, Stmt, Store, Value
from iverson.backend.places import Access, Places, accesses, only
from iverson.backend.unroll import reduction, short, written_out

STATEMENTS, BUFFERS = 80, 16  # of a merged loop, at most
CHAINS = 4  # of each of two recurrences that become one loop


def run(program: Program) -> None:
    """Merge the loops of a program, outer ones first, in place."""
    merger = _Merger(program)
    merger.block(program.body)
    program.exact = program.exact and not merger.moved


class _Merger:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.places = Places(program.body)
        self.arguments = {s.out for s in program.body if isinstance(s, ir.Argument)}
        self.moved = False  # a check

    def block(self, body: list[Stmt]) -> None:
        at, loops = 0, list[int]()  # the places of the loops before
        while at < len(body):
            if not isinstance(body[at], For):
                at += 1
                continue
            first = next((k for k in reversed(loops) if self.merge(body, k, at)), None)
            if first is None:
                loops.append(at)
                at += 1
            else:
                at, loops = first, [k for k in loops if k < first]
        for stmt in body:
            for inner in ir.blocks(stmt):
                self.block(inner)
        self.contract(body)

    # --- which loops may be one ---------------------------------------------------------------------------------------

    def merge(self, body: list[Stmt], first: int, second: int) -> bool:
        """Make one of two loops of a body, if they may be and it pays."""
        one, two = body[first], body[second]
        if not (isinstance(one, For) and isinstance(two, For) and _alike(one, two) and self.pays(one, two)):
            return False
        parted = self.parted(one, two, body[first + 1 : second])
        if parted is None or not (self.strangers if one.tag == "seq" else self.legal)(one, two):
            return False
        before, behind = parted
        self.moved |= any(isinstance(s, ir.Require | ir.Bound) for s in before)
        merged = _merged(one, two)
        body[first : second + 1] = [*before, merged, *behind]
        self.places.learn([merged])
        return True

    def pays(self, one: For, two: For) -> bool:
        both = accesses([one, two])
        mine, yours = ({s.view.buffer for s in accesses([loop])} for loop in (one, two))
        small = len(both) <= STATEMENTS and len(mine | yours) <= BUFFERS
        return small and bool(mine & yours) and self.in_lanes(one) == self.in_lanes(two)

    def in_lanes(self, loop: For) -> bool:
        """Are all places affine in the loop's indices, and is nothing decided in it?"""
        if any(isinstance(s, ir.If | ir.Get | ir.Put) for s in ir.walk(loop.body)):
            return False
        indices = {s.index for s in ir.walk([loop]) if isinstance(s, For)}
        inside = inner_registers(loop)
        places = [self.places.form(index) for s in accesses([loop]) for index in s.view.prefix]
        return all(self.places.invariant(r, inside) for form in places for r, _ in form.terms if r not in indices)

    def strangers(self, one: For, two: For) -> bool:
        """Is each of two loops as it is without the other?"""
        results, theirs = {c.out for c in one.carries}, accesses([two])
        return not results.intersection(_all_used(two)) and all(
            self.places.disjoint(a.view.buffer, b.view.buffer) for a in accesses([one]) for b in theirs if _write(a, b)
        )

    def legal(self, one: For, two: For) -> bool:
        """Do they meet only in equal turns, at every depth, and need nothing of each other's carries?"""
        results = {c.out for c in one.carries}
        if any(v in results for v in _all_used(two) if isinstance(v, Reg)):
            return False
        mine, yours = _inner(one), _inner(two)
        ours, theirs = accesses([one]), accesses([two])
        if mine is not None and yours is not None:
            edges = [(a, b) for a in _edges(one, mine) for b in theirs]
            edges += [(a, b) for a in ours for b in _edges(two, yours)]
            if any(_write(a, b) and not self.places.disjoint(a.view.buffer, b.view.buffer) for a, b in edges):
                return False
            if not self.legal(mine, yours):
                return False
        return all(
            self.places.meet_in_turn(a.view, one.index, b.view, two.index) for a in ours for b in theirs if _write(a, b)
        )

    def parted(self, one: For, two: For, between: list[Stmt]) -> tuple[list[Stmt], list[Stmt]] | None:
        """What is between two loops, as what goes before and what behind; None if that can't be."""
        needed = {v for v in _all_used(two) if isinstance(v, Reg)}
        cells = _cells([two])
        made = {c.out for c in one.carries}
        before: list[Stmt] = []
        behind: list[Stmt] = []
        for stmt in reversed(between):
            check = isinstance(stmt, ir.Require | ir.Bound)
            wanted = any(r in needed for r in ir.defined(stmt)) or (isinstance(stmt, ir.Put) and stmt.cell in cells)
            if not (check or wanted):
                behind.insert(0, stmt)
                continue
            used = [v for v in ir.used(stmt) if isinstance(v, Reg)]
            if not isinstance(stmt, ir.Compute | ir.Combine | Load | Alloc | ir.Put) and not check:
                return None
            before.insert(0, stmt)
            needed.update(used)
        if made & needed or any(made & set(ir.used(s)) for s in before):
            return None
        early = [s for s in before if isinstance(s, Load)]
        if not self._passes([one, *behind], early) or not self._passes(behind, [two]):
            return None
        if cells & _cells([one, *behind]) or (self._lasting(two) and any(map(_leaves, behind))):
            return None
        return before, behind

    def _passes(self, these: Iterable[Stmt], others: list[Stmt]) -> bool:
        """May the others run before these?"""
        gone: set[Buffer] = set()
        for s in ir.walk(list(these)):
            if isinstance(s, ir.Copy | ir.Call | ir.Grow | ir.Own):
                return False
            if isinstance(s, Free):
                gone.add(s.buffer)
        theirs = accesses(others)
        if any(a.view.buffer is b or a.view.buffer.slot is b.slot for a in theirs for b in gone):
            return False
        return all(self.places.apart(a.view, b.view) for a in accesses(these) for b in theirs if _write(a, b))

    def _lasting(self, loop: For) -> bool:
        """Does it write what outlives a program that fails?"""
        return any(isinstance(s, Store) and s.view.buffer.pointer in self.arguments for s in ir.walk([loop]))

    # --- arrays that live within a turn -------------------------------------------------------------------------------

    def contract(self, body: list[Stmt]) -> None:
        """Drop the arrays of which every element is made and used in one turn of one loop of a body."""
        frees = {s.buffer: s for s in body if isinstance(s, Free)}
        for alloc in [s for s in body if isinstance(s, Alloc) and s.buffer in frees]:
            buffer = alloc.buffer
            lives = range(body.index(alloc), body.index(frees[buffer]))
            users = [k for k in lives if any(a.view.buffer is buffer for a in accesses([body[k]]))]
            loop = body[users[0]] if len(users) == 1 else None
            if isinstance(loop, For) and self._private(loop, buffer) and only(body, buffer, Load | Store | Free):
                body[users[0]] = _without(loop, buffer)
                self.places.learn([body[users[0]]])
                body[:] = [s for s in body if s is not alloc and not (isinstance(s, Free) and s.buffer is buffer)]

    def _private(self, loop: For, buffer: Buffer) -> bool:
        """Is each element that a turn reads written before in the turn, in the same straight line?"""
        used = [s for s in accesses([loop]) if s.view.buffer is buffer]
        here = [s for s in _innermost(loop).body if isinstance(s, Load | Store) and s.view.buffer is buffer]
        straight = len(here) == len(used) and isinstance(here[0], Store)
        return straight and all(self.places.same(here[0].view, s.view) for s in here)


# --- loops ------------------------------------------------------------------------------------------------------------


def _alike(one: For, two: For) -> bool:
    """Do two loops have the same turns and one shape: flat, or nests of alike loops?"""
    if one.tag != two.tag or one.low != two.low or one.high != two.high:
        return False
    if one.tag == "seq":
        return _recurrence(one) and _recurrence(two)
    if one.tag != "any":
        return False
    mine, yours = _inner(one), _inner(two)
    if mine is None or yours is None:
        return mine is yours and _flat(one) and _flat(two)
    return _elementwise(one) and _elementwise(two) and _alike(mine, yours)


def _flat(loop: For) -> bool:
    plain = ir.Compute | ir.Combine | Load | Store | ir.If | ir.Get | ir.Put
    return all(isinstance(s, plain) or (isinstance(s, For) and short(s)) for s in ir.walk(loop.body))


def _recurrence(loop: For) -> bool:
    """Is it a chain of a few numbers from turn to turn, which keeps it from running in lanes?"""
    plain = ir.Compute | ir.Combine | Load | Store
    chains = [c for c in loop.carries if reduction(loop, c) is None]
    return 1 <= len(chains) <= len(loop.carries) <= CHAINS and all(isinstance(s, plain) for s in loop.body)


def _inner(loop: For) -> For | None:
    """The only loop of a loop that isn't flat."""
    inner = [s for s in loop.body if not isinstance(s, ir.Compute | ir.Combine | Load | Store)]
    only = inner[0] if len(inner) == 1 else None
    return only if isinstance(only, For) and not short(only) else None


def _innermost(loop: For) -> For:
    inner = _inner(loop)
    return loop if inner is None else _innermost(inner)


def _elementwise(nest: For) -> bool:
    """Does each store of a nest have a place of its own for every turn of all its loops?"""
    loops = [s.index for s in ir.walk([nest]) if isinstance(s, For) and not short(s)]
    return all(set(loops) <= set(s.view.prefix) for s in ir.walk([nest]) if isinstance(s, Store))


def _edges(nest: For, inner: For) -> list[Access]:
    return accesses(s for s in nest.body if s is not inner)


def _write(a: Access, b: Access) -> bool:
    return isinstance(a, Store) or isinstance(b, Store)


def _cells(body: Iterable[Stmt]) -> set[Cell]:
    return {s.cell for s in ir.walk(list(body)) if isinstance(s, ir.Get | ir.Put)}


def _leaves(stmt: Stmt) -> bool:
    """May the program be left here?"""
    return any(isinstance(s, ir.Require | ir.Bound | Alloc | ir.Mapped | ir.Grow | ir.Poll) for s in ir.walk([stmt]))


def _all_used(stmt: Stmt) -> Iterable[Value]:
    return (v for s in ir.walk([stmt]) for v in ir.used(s))


# --- merging ----------------------------------------------------------------------------------------------------------


def _merged(one: For, two: For) -> For:
    """The turns of one, each followed by that of the other."""
    (two,) = ir.renamed([two], {two.index: one.index})
    assert isinstance(two, For)
    mine, yours = _inner(one), _inner(two)
    if mine is None or yours is None:
        carries = [*one.carries, *two.carries]
        body, ends = written_out([*one.body, *two.body], [c.next for c in carries])
        return replace(one, body=body, carries=[replace(c, next=v) for c, v in zip(carries, ends, strict=True)])
    k, m = one.body.index(mine), two.body.index(yours)
    body = [*one.body[:k], *two.body[:m], _merged(mine, yours), *one.body[k + 1 :], *two.body[m + 1 :]]
    return replace(one, body=body, carries=[*one.carries, *two.carries])


def _without(loop: For, buffer: Buffer) -> For:
    """The loop with what it stored in a buffer used where it was read."""
    env: dict[Reg, Value] = {}
    innermost, last, kept = _innermost(loop), None, []
    for stmt in innermost.body:
        if isinstance(stmt, Store) and stmt.view.buffer is buffer:
            last = env.get(stmt.value, stmt.value) if isinstance(stmt.value, Reg) else stmt.value
        elif isinstance(stmt, Load) and stmt.view.buffer is buffer:
            assert last is not None
            env[stmt.out] = last
        else:
            kept.append(stmt)
    innermost.body[:] = kept
    (new,) = ir.renamed([loop], env)
    assert isinstance(new, For)
    return new

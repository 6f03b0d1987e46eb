"""An array that is only a copy of another is read there; one that is only copied to the end of a log is made there.

    t = alloc [n, m]                               for ..: use(log[s + i m + j])
    for i < n: for j < m: t[i, j] = log[s + i m + j]     ->
    for ..: use(t[i, j])
    free t

    t = alloc [n, m]                               grow log by n m
    for ..: t[i, j] = ..                     ->    for ..: log[s + i m + j] = ..
    grow log by n m
    for i < n: for j < m: log[s + i m + j] = t[i, j]
    free t

Reverse mode lays the arrays of a sequential loop's turns end to end in logs; this is how they are filled and read in
place.  Each element is copied by one turn of a nest, next to the one before, so an access costs no more than it did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from iverson.backend import loopir as ir
from iverson.backend.loopir import Alloc, Buffer, Cell, For, Free, Load, Program, Reg, Stmt, Store, Value, View, integer
from iverson.backend.places import Places, accesses, only


def run(program: Program) -> None:
    """Rewrite a program in place."""
    copies = _Copies(program)
    copies.block(program.body)


@dataclass(frozen=True)
class _Nest:
    """t[i, j] = source[e(i, j)], or source[e(i, j)] = t[i, j], for all i, j: `lets` compute e."""

    indices: tuple[Reg, ...]
    lets: tuple[ir.Compute, ...]
    source: View

    def at(self, prefix: Iterable[Value]) -> tuple[list[Stmt], View]:
        """The place of t[prefix] in the source, and what computes it."""
        env: dict[Reg, Value] = dict(zip(self.indices, prefix, strict=True))
        lets: list[Stmt] = []
        for let in self.lets:
            (new,) = ir.renamed([let], env)
            assert isinstance(new, ir.Compute)
            env[let.out] = Reg(let.out.type, let.out.hint)
            lets.append(replace(new, out=env[let.out]))
        place = tuple(env.get(v, v) if isinstance(v, Reg) else v for v in self.source.prefix)
        return lets, View(self.source.buffer, place)


class _Copies:
    def __init__(self, program: Program) -> None:
        self.places = Places(program.body)

    def block(self, body: list[Stmt]) -> None:
        for alloc in [s for s in body if isinstance(s, Alloc)]:
            lived = _life(body, alloc)
            if lived is not None and not self.read_there(body, alloc, *lived):
                self.made_there(body, alloc, lived[0][-1])
        for stmt in body:
            for inner in ir.blocks(stmt):
                self.block(inner)

    # --- the two equations --------------------------------------------------------------------------------------------

    def read_there(self, body: list[Stmt], alloc: Alloc, users: list[int], free: int) -> bool:
        """Read a copy of an array in the array, if that stays as it is."""
        first, *rest = users
        nest = self.nest(body[first], alloc.buffer, Store)
        behind = body[first + 1 : free]
        stores = any(isinstance(s, Store) and s.view.buffer is alloc.buffer for s in ir.walk(behind))
        if nest is None or not rest or stores or not self.unchanged(nest.source.buffer, behind):
            return False
        _redirect(behind, alloc.buffer, nest)
        body[first + 1 : free] = behind
        self.drop(body, alloc, body[first])
        return True

    def made_there(self, body: list[Stmt], alloc: Alloc, last: int) -> bool:
        """Make an array at the end of the log to which it is copied."""
        copying = body[last]
        nest = self.nest(copying, alloc.buffer, Load)
        log = None if nest is None else self.places.logs.get(nest.source.buffer.pointer)
        if nest is None or log is None or not self.is_whole(nest, alloc.buffer):
            return False
        start = body.index(alloc)
        moved = _room(body[start + 1 : last], copying, log)
        if moved is None:
            return False
        between = [s for s in body[start + 1 : last] if s not in moved]
        if any(self.places.logs.get(s.view.buffer.pointer) is log for s in accesses(between)):
            return False
        _redirect(between, alloc.buffer, nest)
        body[start + 1 : last] = [*moved, *between]
        self.drop(body, alloc, copying)
        return True

    def drop(self, body: list[Stmt], alloc: Alloc, nest: Stmt) -> None:
        buffer = alloc.buffer
        body[:] = [
            s for s in body if s is not alloc and s is not nest and not (isinstance(s, Free) and s.buffer is buffer)
        ]
        self.places.learn(body)

    # --- when they hold -----------------------------------------------------------------------------------------------

    def nest(self, stmt: Stmt, buffer: Buffer, kind: type[Load | Store]) -> _Nest | None:
        """The statement as a nest that copies a whole array, element after element, to (Load) or from a place."""
        indices: list[Reg] = []
        inner: Stmt = stmt
        lets: list[ir.Compute] = []
        while isinstance(inner, For) and inner.low == integer(0) and inner.tag == "any" and not inner.carries:
            indices.append(inner.index)
            lets += [s for s in inner.body if isinstance(s, ir.Compute)]
            rest = [s for s in inner.body if not isinstance(s, ir.Compute)]
            if len(rest) == 2:
                load, store = rest
                if not (isinstance(load, Load) and isinstance(store, Store) and store.value is load.out):
                    return None
                ours, theirs = (load, store) if kind is Load else (store, load)
                plain = (
                    ours.view.buffer is buffer
                    and theirs.view.buffer is not buffer
                    and theirs.view.buffer.strides is None
                )
                if not plain or ours.view.prefix != tuple(indices) or not self.next_to(theirs.view, indices[-1]):
                    return None
                return _Nest(tuple(indices), tuple(lets), theirs.view)
            if len(rest) != 1:
                return None
            (inner,) = rest
        return None

    def is_whole(self, nest: _Nest, buffer: Buffer) -> bool:
        """Does a nest pass over all elements of an array?"""
        turns = [self.places.form(self.places.loops[i].high) for i in nest.indices]
        return turns == list(map(self.places.form, buffer.extents))

    def next_to(self, view: View, index: Reg) -> bool:
        *rows, last = [self.places.form(v) for v in view.prefix]
        return last.coefficient(index) == 1 and all(f.coefficient(index) == 0 for f in rows)

    def unchanged(self, buffer: Buffer, body: list[Stmt]) -> bool:
        """Do statements leave an array alone?"""
        log = self.places.logs.get(buffer.pointer)
        for s in ir.walk(body):
            match s:
                case Store(view, _) if not self.places.disjoint(view.buffer, buffer):
                    return False
                case ir.Copy() | ir.Call() | ir.Own():
                    return False
                case ir.Grow(cell) if cell is log:
                    return False
                case Free(freed) if freed is buffer or freed.slot is buffer.slot:
                    return False
        return True


def _life(body: list[Stmt], alloc: Alloc) -> tuple[list[int], int] | None:
    """Which statements of a body access an array element by element, and which frees it; None if others use it."""
    buffer, start = alloc.buffer, body.index(alloc)
    frees = [k for k, s in enumerate(body) if isinstance(s, Free) and s.buffer is buffer]
    if len(frees) != 1:
        return None
    lives = range(start, frees[0] + 1)
    users = [k for k in lives if any(a.view.buffer is buffer for a in accesses([body[k]]))]
    return (users, frees[0]) if users and only(body[start : lives.stop], buffer, Load | Store | Free) else None


def _room(body: list[Stmt], nest: Stmt, log: Cell) -> list[Stmt] | None:
    """The statements that make room in a log for what a nest puts there; None if they can't all be done first."""
    needed = {v for s in ir.walk([nest]) for v in ir.used(s) if isinstance(v, Reg)}
    cells = {log}
    moved: list[Stmt] = []
    while True:
        found = [s for s in body if any(r in needed for r in ir.defined(s)) or cells & _touched(s)]
        if len(found) == len(moved):
            break
        moved = found
        needed.update(v for s in ir.walk(moved) for v in ir.used(s) if isinstance(v, Reg))
        cells.update(*map(_touched, moved))
    simple = ir.Compute | ir.Get | ir.Put | ir.If | ir.Grow
    return moved if all(isinstance(s, simple) for s in ir.walk(moved)) else None


def _touched(stmt: Stmt) -> set[Cell]:
    return {s.cell for s in ir.walk([stmt]) if isinstance(s, ir.Get | ir.Put | ir.Grow)}


def _redirect(body: list[Stmt], buffer: Buffer, nest: _Nest) -> None:
    """Access the nest's source where a buffer was."""
    out: list[Stmt] = []
    for stmt in body:
        for inner in ir.blocks(stmt):
            _redirect(inner, buffer, nest)
        if isinstance(stmt, Load | Store) and stmt.view.buffer is buffer:
            lets, place = nest.at(stmt.view.prefix)
            out += [*lets, replace(stmt, view=place)]
        else:
            out.append(stmt)
    body[:] = out

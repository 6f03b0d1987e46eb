"""Loop nests that visit each element of an array in one turn alone.

for i in 0..n:  for j in 0..m:  .. a[n - 1 - i, j] ..
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import Buffer, For, Literal, Load, Reg, Stmt, Store, View
from iverson.backend.places import Access, Form, Places, accesses


@dataclass(frozen=True)
class Nest:
    """Loops, one in the other, and the innermost's body, in which all accesses to some arrays are."""

    loops: tuple[For, ...]
    body: list[Stmt]

    def once(self, among: Iterable[Access], places: Places) -> bool:
        """Are accesses at one place in a turn, and that in no other turn?"""
        views = [a.view for a in among]
        first, inside = views[0], frozenset(inner_registers(self.loops[0]))
        forms = [places.form(v) for v in first.prefix]
        moved = [[i for i in self.indices if f.coefficient(i)] for f in forms]
        others = {r for f in forms for r, _ in f.terms if r not in self.indices}
        return (
            all(list(map(places.form, v.prefix)) == forms for v in views)
            and sorted(len(m) for m in moved) == [1] * len(self.loops)
            and len({i for (i,) in moved}) == len(self.loops)
            and all(places.invariant(r, inside) for r in others)
        )

    def whole(self, view: View, places: Places) -> bool:
        """Do the turns pass over all of an array, if each visits one place, this?"""
        by = {loop.index: loop for loop in self.loops}
        for v, extent in zip(view.prefix, view.buffer.extents, strict=True):
            form, n = places.form(v), places.form(extent)
            (i,) = [i for i in self.indices if form.coefficient(i)]
            up = Form(((i, 1),))
            if by[i].low != ir.integer(0) or places.form(by[i].high) != n:
                return False
            if form not in (up, n.plus(Form((), -1)).plus(up, -1)):
                return False
        return True

    @property
    def indices(self) -> tuple[Reg, ...]:
        return tuple(loop.index for loop in self.loops)


def nest(stmt: Stmt, buffers: Iterable[Buffer], depth: int) -> Nest | None:
    """A nest of that depth that does all that a statement does with some arrays: it loads and stores elements."""
    buffers = list(buffers)
    pointers = {b.pointer for b in buffers}
    loops: list[For] = []
    users = [stmt]
    body: list[Stmt] = users
    while len(loops) < depth:
        if len(users) != 1 or not isinstance(users[0], For):
            return None
        loops.append(users[0])
        body = users[0].body
        users = [s for s in body if mentions(s, pointers)]
    named = [s for s in ir.walk(users) if pointers.intersection(v for v in ir.used(s) if isinstance(v, Reg))]
    plain = all(isinstance(s, Load | Store) and s.view.buffer in buffers for s in named)
    plain = plain and all(len(a.view.prefix) == depth for b in buffers for a in touching(users, b))
    return Nest(tuple(loops), body) if users and plain else None


def mentions(stmt: Stmt, pointers: Iterable[Reg]) -> bool:
    """Does a statement name a pointer, at any depth?"""
    wanted = set(pointers)
    return any(v in wanted for s in ir.walk([stmt]) for v in ir.used(s) if not isinstance(v, Literal))


def touching(body: Iterable[Stmt], buffer: Buffer) -> list[Access]:
    """The accesses to an array."""
    return [a for a in accesses(body) if a.view.buffer is buffer]

"""A second copy of statements, with registers, arrays and cells of its own for whatever they define inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from iverson.backend import loopir as ir
from iverson.backend.loopir import Buffer, Cell, Owner, Reg, Stmt, View


class Twin:
    """The copy, `body`, and what has become of registers (`reg`) and cells (`cell`).

    `given` are registers that the statements find around them and that the copy has others for; `cells` are those that
    the copy doesn't share.
    """

    def __init__(self, body: Sequence[Stmt], given: Iterable[Reg] = (), cells: Iterable[Cell] = ()) -> None:
        inside = dict.fromkeys(given)
        for stmt in ir.walk(list(body)):
            inside |= dict.fromkeys([*ir.entered(stmt), *ir.defined(stmt)])
        self._made: dict[Any, Any] = {r: Reg(r.type, r.hint) for r in inside}
        self._made |= {c: Cell(c.type, c.hint) for c in cells}
        self._slots = {slot for s in ir.walk(list(body)) if (slot := _slot(s)) is not None}
        self.body: list[Stmt] = self._of(list(body))

    def reg(self, reg: Reg) -> Reg:
        return self._of(reg)  # type: ignore[no-any-return]

    def cell(self, cell: Cell) -> Cell:
        return self._of(cell)  # type: ignore[no-any-return]

    def _of(self, x: Any) -> Any:
        if isinstance(x, Reg | Cell):
            return self._made.get(x, x)
        if isinstance(x, list | tuple):
            return type(x)(map(self._of, x))
        if isinstance(x, Owner):
            return self._made.setdefault(x, Owner()) if x in self._slots else x
        if isinstance(x, Buffer):
            if x not in self._made:
                self._made[x] = self._buffer(x)
            return self._made[x]
        if isinstance(x, View | ir.Carry | ir.Join | ir.ByReference | Stmt):
            return replace(x, **{f.name: self._of(getattr(x, f.name)) for f in fields(x)})
        return x

    def _buffer(self, b: Buffer) -> Buffer:
        """The array itself if nothing of it is made inside."""
        new = replace(b, **{f.name: self._of(getattr(b, f.name)) for f in fields(b)})
        same = all(getattr(new, f.name) == getattr(b, f.name) for f in fields(b))
        return b if same else new


def _slot(stmt: Stmt) -> Owner | None:
    match stmt:
        case ir.Alloc(buffer):
            return buffer.slot
        case ir.Grow(slot=slot):
            return slot
        case _:
            return None

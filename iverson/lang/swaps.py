"""Names that trade arrays in a loop: a permutation of storage cells.

    for ...: b[...] = f(a); a, b = b, a

Each name always denotes exactly one of the arrays, so the loop carries contents by name, and beside them, for each
name, the number of the array it denotes.  After the loop the contents of an array that others can see (an argument)
are those of the name that denotes it, decided by these numbers when somebody looks: `Cell.forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from iverson.core.build import literal
from iverson.core.syntax import Atom, Scalar, Var
from iverson.lang.branch import conditional
from iverson.lang.dtypes import INT64, core_dtype
from iverson.lang.errors import error
from iverson.lang.num import Num, constant, select
from iverson.lang.staging import Cell, Suite, current
from iverson.lang.trades import Origin, permuted
from iverson.lang.values import Arr, materialise, owned


@dataclass(eq=False)
class Trade:
    """One name of a permutation: its array at the start, and what it is bound to at the end of a turn."""

    name: str
    init: Cell
    holder: Cell
    next: Arr
    id: Var | None = None


def permutation(trades: Sequence[Trade]) -> list[Trade]:
    """Those trades that only exchange their arrays among each other; [] if any leaves the circle."""
    holders = [t.holder for t in trades]
    inside = [t for t in trades if _sources(t, holders)]
    fits = permuted([t.next.cell for t in inside], [t.holder for t in inside])  # type: ignore[misc]
    return inside if fits else []


def _sources(t: Trade, holders: list[Cell]) -> bool:
    cell = t.next.cell
    if cell is None or not t.next.whole:
        return False
    return cell in holders or (cell.origin is not None and all(c in holders for c in cell.origin.cells))


Carry = tuple[Var, Atom, Atom, Callable[[Atom], None]]


def numbers(trades: Sequence[Trade], finals: dict[str, Atom]) -> list[Carry]:
    """The carries that say which array each name denotes; emitted at the end of the turn."""
    int64 = Scalar(core_dtype(INT64))
    for t in trades:
        t.id = Var(int64, f"{t.name}_is")
    by_holder = {t.holder: t for t in trades}
    out: list[Carry] = []
    for k, t in enumerate(trades):
        cell = t.next.cell
        assert cell is not None and t.id is not None
        if cell in by_holder:
            after: Atom = by_holder[cell].id  # type: ignore[assignment]
        else:
            ids = [Num(by_holder[c].id, True) for c in cell.origin.cells]  # type: ignore[arg-type]
            chosen = ids[0]
            for j, other in enumerate(ids[1:], 1):
                chosen = select(constant(cell.origin.number == j), other, chosen)
            after = chosen.atom
        finals[t.name] = literal(k)
        out.append((t.id, literal(k), after, lambda v, t=t: finals.__setitem__(t.name, v)))
    return out


def settle(trades: Sequence[Trade], finals: dict[str, Atom], results: Sequence[Arr]) -> None:
    """After the loop: tie the arrays of before to those that the names denote now."""
    if any(isinstance(scope, Suite) for t in trades for scope in current().scopes[t.init.depth :]):
        raise error(
            ValueError,
            f"{trades[0].name} trades its array in a loop under a condition, and the array is an argument or has "
            "another name: bind it to a .copy() first",
        )
    cells = tuple(t.init for t in trades)
    group = object()
    ids = [Num(finals[t.name], True) for t in trades]
    for number, made in zip(ids, results, strict=True):
        made.cell.origin = Origin(group, cells, number)  # type: ignore[union-attr]
    for k, cell in enumerate(cells):
        cell.forward = lambda k=k, cell=cell: _look(k, cell, ids, results)


def _look(k: int, cell: Cell, ids: Sequence[Num], results: Sequence[Arr]) -> Atom:
    """What array number k holds now."""

    def among(j: int) -> Any:
        if j + 1 == len(ids):
            return results[j]
        return conditional(constant(ids[j] == k), lambda: _copy(results[j]), lambda: _copy(among(j + 1)))

    return materialise(among(0))


def _copy(x: Arr) -> Arr:
    """The contents as an array of the branch, so that it is a result of it."""
    return owned(materialise(x), x.dtype)

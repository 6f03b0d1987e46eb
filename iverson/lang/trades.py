"""Names that trade arrays under a condition: `if p: a, b = b, a`.

The contents of arrays that nobody else sees are moved, under each name: no copy.  The array that a name gets stands for
one of those before, by a number that the loop around uses to say what became of each (lang/swaps.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iverson.lang.dtypes import core_dtype
from iverson.lang.num import Num, constant, kind_of, select
from iverson.lang.shapes import certainly_differ, require_same, same
from iverson.lang.staging import Cell, tie
from iverson.lang.values import Arr

if TYPE_CHECKING:
    from iverson.lang.branch import Merge


@dataclass(frozen=True, eq=False)
class Origin:
    """After a loop or a condition that permutes arrays: which of `cells` this cell stands for."""

    group: object
    cells: tuple[Cell, ...]
    number: Num


def traded(merge: Merge, names: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Names that only exchange their arrays, with thunks for what they get."""
    sides = merge.then.after.names, merge.orelse.after.names
    before = {n: x.cell for n in names if isinstance(x := merge.then.before.names.get(n), Arr) and x.cell is not None}
    pairs = {n: (sides[0][n], sides[1][n]) for n in before if all(_whole(side.get(n)) for side in sides)}
    pairs = {n: xy for n, xy in pairs.items() if any(x.cell is not before[n] for x in xy)}
    cells = tuple(before[n] for n in pairs)
    own = all(c.depth <= merge.depth and not c.external and c.views.count == 1 for c in cells)
    circle = own and all(permuted([xy[k].cell for xy in pairs.values()], cells) for k in range(2))
    if not circle or not all(_alike(merge, x, y, cells) for x, y in pairs.values()):
        return {}
    group = object()
    return {n: _trade(merge, x, y, n, group, cells) for n, (x, y) in pairs.items()}


def _whole(x: Any) -> bool:
    return isinstance(x, Arr) and x.whole and x.cell is not None


def permuted(found: Sequence[Cell], cells: Sequence[Cell]) -> bool:
    """Whether cells are certain other ones, each once, in an order that may depend on conditions."""
    taken: list[Cell] = []
    groups: list[object] = []
    for c in found:
        if c in cells:
            taken.append(c)
        elif c.origin is not None and c.origin.group not in groups:
            groups.append(c.origin.group)
            taken += c.origin.cells
    return len(taken) == len(cells) == len({*map(id, taken)}) and all(c in cells for c in taken)


def _alike(merge: Merge, x: Arr, y: Arr, cells: Sequence[Cell]) -> bool:
    """Whether two arrays can change places: of one shape, or to be by the loop that carries them all."""
    if x.dtype != y.dtype or x.ndim != y.ndim or any(map(certainly_differ, x.shape, y.shape)):
        return False
    carried = all(c.deferred is not None for c in cells)
    return all(map(same, x.shape, y.shape)) or (carried and merge.comparable(x, y))


def _trade(merge: Merge, x: Arr, y: Arr, name: str, group: object, cells: tuple[Cell, ...]) -> Callable[[], Arr]:
    """An array with the contents of one of two, that stands for one of `cells`."""
    for m, n in zip(x.shape, y.shape, strict=True):
        require_same(m, n, f"{name} changes its shape in a loop")
    made = merge.contents(x, y, name)
    k = merge.add(lambda: which(x, cells).atom, lambda: which(y, cells).atom, core_dtype(kind_of(0).dtype))

    def result() -> Arr:
        out = made()
        cell = out.cell
        assert cell is not None
        cell.origin = Origin(group, cells, Num(merge.vars[k], True))
        cell.deferred = next((c.deferred for c in cells if c.deferred is not None), None)
        for other in {id(t): t for c in cells for t in c.tied}.values():
            tie(cell, other)
        return out

    return result


def which(x: Arr, cells: Sequence[Cell]) -> Num:
    """The number of the cell that an array is, or stands for."""
    if x.cell in cells:
        return constant(cells.index(x.cell))
    assert x.cell is not None
    origin = x.cell.origin
    number = constant(cells.index(origin.cells[0]))
    for j, c in enumerate(origin.cells[1:], 1):
        number = select(constant(origin.number == j), constant(cells.index(c)), number)
    return number

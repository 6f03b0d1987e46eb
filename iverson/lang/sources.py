"""Where the elements of an array come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from iverson.core.build import extents_of
from iverson.core.syntax import Atom
from iverson.lang.dtypes import is_complex
from iverson.lang.num import Num
from iverson.lang.shapes import Shape, extent_atom, from_atom, require_inside, same
from iverson.lang.staging import Cell, builder, current

Index: TypeAlias = Sequence[Any]


class Source:
    """Where a view reads from: a cell, or something computed from cells."""

    dtype: np.dtype[Any]

    def read(self, index: Index, safe: bool) -> Num:
        raise NotImplementedError

    def cells(self) -> list[Cell]:
        """The cells that it may be."""
        raise NotImplementedError


class Storage(Source):
    """A cell."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        return self.cell.dtype

    def read(self, index: Index, safe: bool) -> Num:
        return read(current().contents(self.cell), index, self.dtype, safe)

    def cells(self) -> list[Cell]:
        return [self.cell]


def read(var: Atom, index: Index, dtype: np.dtype[Any], safe: bool = True) -> Num:
    """One element of a core array; the scalar itself if there are no indices."""
    b = builder()
    at = [extent_atom(i) for i in index]
    if is_complex(dtype):
        return Num(b.read(var, *at, 0, safe=safe), False, b.read(var, *at, 1, safe=safe))
    return Num(b.read(var, *at, safe=safe) if at else var)


def enforce(source: Source, at: Index, index: Index, shape: Shape) -> None:
    """Check the indices of a view that lie `at` these places of its source.

    What a cell checks is its own bounds: that is enough where an index is passed on to an axis of the same length.
    """
    lengths: Sequence[Any] = ()
    if isinstance(source, Storage):
        lengths = [from_atom(n) for n in extents_of(current().contents(source.cell))]
    for axis, (i, n) in enumerate(zip(index, shape, strict=True)):
        if not any(j is i and same(n, m) for j, m in zip(at, lengths, strict=False)):
            require_inside(i, n, axis)

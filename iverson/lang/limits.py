"""Checks of indices against a view where the array that it is a view of goes on beyond it.

    x[1:][i]  ->  check 0 <= i < n - 1;  x[1 + i!]

An access checks its index against the array.  That is enough along an axis that a view has whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iverson.core.build import extents_of, literal
from iverson.core.syntax import Var
from iverson.lang.num import Num, constant, select
from iverson.lang.shapes import Extent, extent_atom, from_atom, is_inside, same
from iverson.lang.sources import Storage
from iverson.lang.staging import builder, current
from iverson.lang.values import Arr


def inside(a: Arr, index: Sequence[Any]) -> bool:
    """Check an index of an element if its access wouldn't; whether the element is certainly in the array, then."""
    if a.prefix is not None or all(_shared_ends(a)):
        return False
    for axis, (i, n) in enumerate(zip(index, a.shape, strict=True)):
        if not is_inside(i, n):
            check(i, select(constant(i < 0), i - n, i), axis, n)
    return True


def check(index: Any, given: Any, axis: int, length: Extent) -> None:
    """Check an index, which was written as `given`, against the length of an axis."""
    b = builder()
    i, n = extent_atom(index), extent_atom(length)
    holds = getattr(b.o, "and")(b.o.ge(i, 0), b.o.lt(i, n))
    message = f"index {{}} is out of bounds for axis {axis} with size {{}}"
    b.check(holds, message, extent_atom(given), n, error="IndexError")


def _shared_ends(a: Arr) -> list[bool]:
    """Of each axis of a view: whether it is a whole axis of the array."""
    if not isinstance(a.source, Storage):
        return [False] * a.ndim
    lengths = extents_of(current().contents(a.source.cell))
    probes = [Var(literal(0).type, "i") for _ in range(a.ndim)]
    with builder().scope():
        places = [extent_atom(i) for i in a.at(tuple(Num(p, True) for p in probes))]
    return [
        any(place is p and same(from_atom(m), n) for place, m in zip(places, lengths, strict=False))
        for p, n in zip(probes, a.shape, strict=True)
    ]

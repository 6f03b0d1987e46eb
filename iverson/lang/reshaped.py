"""Maps of indices between an array and the same elements in another shape, in row-major order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from iverson.lang.shapes import Extent, Shape, same
from iverson.lang.values import Arr


def is_(x: Any, value: int) -> bool:
    return isinstance(x, int) and x == value


def plus(x: Any, y: Any) -> Any:
    return y if is_(x, 0) else x + y


def ravel(index: Sequence[Any], shape: Sequence[Extent]) -> Any:
    """The position of an index in row-major order."""
    flat: Any = 0
    for i, n in zip(index, shape, strict=True):
        flat = plus(0 if is_(flat, 0) else flat * n, i)
    return flat


def unravel(flat: Any, shape: Sequence[Extent]) -> tuple[Any, ...]:
    """The index at a position in row-major order."""
    out: list[Any] = []
    for n in reversed(shape[1:]):
        out.append(flat % n)
        flat = flat // n
    return (flat, *reversed(out)) if shape else ()


def split(old: Shape, new: Sequence[Extent]) -> Callable[[Sequence[Any]], tuple[Any, ...]] | None:
    """The map of indices of a shape that splits one axis at most and adds or leaves out axes of length 1."""
    ours, theirs = ([k for k, n in enumerate(shape) if not is_(n, 1)] for shape in (old, new))
    pairs: list[tuple[int, int]] = []
    for end in (0, -1):
        while ours and theirs and same(old[ours[end]], new[theirs[end]]):
            pairs.append((ours.pop(end), theirs.pop(end)))
    if len(ours) > 1:
        return None

    def at(index: Sequence[Any]) -> tuple[Any, ...]:
        out: list[Any] = [0] * len(old)
        for k, j in pairs:
            out[k] = index[j]
        for k in ours:
            out[k] = ravel([index[j] for j in theirs], [new[j] for j in theirs])
        return tuple(out)

    return at


@dataclass(frozen=True)
class Reshaped:
    """The map of indices of an array of other lengths: reshaped again, it is a view of the same one."""

    of: Arr
    lengths: Shape

    def __call__(self, index: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.of.at(unravel(ravel(index, self.lengths), self.of.shape))

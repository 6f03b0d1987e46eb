"""What the evaluator counts, and how it collects what the turns of a For yield."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias

import numpy as np

from iverson.core.syntax import DType, Site

Frame: TypeAlias = list[Any]
Values: TypeAlias = tuple[Any, ...]
Combine: TypeAlias = Callable[[Frame, Values, Values], tuple[Values, int]]  # two elements; the combined one, the span


@dataclass(frozen=True)
class Cost:
    work: int
    copied: int
    span: int
    peak: int


class Meter:
    """The counts of one run, and the arrays it makes."""

    __slots__ = ("complex_step", "copied", "limit", "live", "peak", "work")

    def __init__(self, complex_step: bool) -> None:
        self.complex_step = complex_step
        self.reset(math.inf)

    def reset(self, limit: float) -> None:
        self.work = self.copied = self.live = self.peak = 0
        self.limit = limit

    def hold(self, size: int) -> None:
        """So many elements more are alive."""
        self.live += size
        self.peak = max(self.peak, self.live)

    def fresh(self, size: int) -> None:
        """An array is made."""
        self.work += size
        self.hold(size)

    def copy(self, array: Any) -> Any:
        self.fresh(array.size)
        self.copied += array.size
        return array.copy()

    def dtype(self, dtype: DType) -> np.dtype[Any]:
        """How arrays of a dtype are held."""
        return np.dtype("complex128" if self.complex_step and dtype.is_float else dtype.value)

    def stack(self, outer: tuple[int, ...], dtype: DType, inner: tuple[int, ...], site: Site | None) -> Any:
        """A destination.  Its size is charged here if its elements are scalars, else where they are made."""
        shape = outer + inner
        if min(shape) < 0:
            fail(ValueError(f"negative dimensions are not allowed: {shape}"), site)
        array = np.empty(shape, self.dtype(dtype))
        if not inner:
            self.fresh(array.size)
        return array


def fail(error: Exception, site: Site | None) -> NoReturn:
    """Raise an error of the program."""
    error.site = site  # type: ignore[attr-defined]
    raise error


def out_of_bounds(indices: Iterable[Any], shape: Sequence[int], site: Site | None) -> NoReturn:
    """Name the first index that is out of range.  The front end has added the size to a negative one."""
    for axis, (i, n) in enumerate(zip(indices, shape, strict=False)):
        if not 0 <= i < n:
            written = i if i >= 0 else i - n
            fail(IndexError(f"index {written} is out of bounds for axis {axis} with size {n}"), site)
    raise AssertionError("all indices are in bounds")


def levels(count: int) -> int:
    """The depth of a binary tree with so many leaves."""
    return max(count - 1, 0).bit_length()


# --- the yields of a For ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    """The element type of a yield; its shape is known where the For starts."""

    shape: Callable[[Frame], tuple[int, ...]]
    dtype: DType


class Sink(Protocol):
    """Collects one yield: `put` takes the k-th turn's values, `span` is the deepest combination so far."""

    span: int

    def put(self, f: Frame, k: int, values: Values) -> None: ...

    def finish(self) -> Values: ...


class Stack:
    """Map: the values, stacked."""

    def __init__(
        self, meter: Meter, elements: Sequence[Element], f: Frame, shape: tuple[int, ...], site: Site | None
    ) -> None:
        inner = [e.shape(f) for e in elements]
        self.span = 1
        self.arrays = [meter.stack(shape, e.dtype, s, site) for e, s in zip(elements, inner, strict=True)]
        self.rows = [a.reshape(math.prod(shape), *s) for a, s in zip(self.arrays, inner, strict=True)]

    def put(self, f: Frame, k: int, values: Values) -> None:
        for row, v in zip(self.rows, values, strict=True):
            row[k] = v

    def finish(self) -> Values:
        return tuple(self.arrays)


class Fold:
    """Reduce: the values combined from the left, beginning with a fresh identity."""

    def __init__(self, meter: Meter, combine: Combine, identity: Values) -> None:
        self.span = 1
        self.combine = combine
        self.total = identity
        for v in identity:
            if isinstance(v, np.ndarray):
                meter.fresh(v.size)

    def put(self, f: Frame, k: int, values: Values) -> None:
        self.total, span = self.combine(f, self.total, values)
        self.span = max(self.span, span)

    def finish(self) -> Values:
        return self.total


_NOTHING = np.empty(0)


class Prefixes:
    """Scan: what a fold has after each turn, stacked, of the components that are kept."""

    def __init__(self, stack: Stack, kept: Sequence[int], combine: Combine, identity: Values) -> None:
        self.span = 1
        self.kept = kept
        self.width = len(identity)
        self.combine = combine
        self.total = identity
        self.stack = stack

    def put(self, f: Frame, k: int, values: Values) -> None:
        self.total, span = self.combine(f, self.total, values)
        self.span = max(self.span, span)
        self.stack.put(f, k, tuple([self.total[c] for c in self.kept]))

    def finish(self) -> Values:
        made = dict(zip(self.kept, self.stack.finish(), strict=True))
        return tuple([made.get(c, _NOTHING) for c in range(self.width)])

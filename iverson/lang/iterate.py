"""What for statements and comprehensions go over: loops of the program, or Python's own iterables, which unroll."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from iverson.core.syntax import Tape
from iverson.lang.errors import error, refusal
from iverson.lang.num import Num, constant, is_scalar, known
from iverson.lang.ranges import affine, high_of, low_of
from iverson.lang.shapes import Extent, extent, maximum, minimum, require_inside, require_same
from iverson.lang.staging import builder
from iverson.lang.values import Arr, captured, stack


class Steps:
    """An iterable of the program: how many items, and the item at a position; the note of a loop over it."""

    def __init__(self, length: Extent, at: Callable[[Any], Any], tape: Tape | None = None) -> None:
        self.length = length
        self.at = at
        self.tape = tape

    def __iter__(self) -> Iterator[Any]:
        if not isinstance(self.length, int):
            raise error(
                TypeError,
                "the number of items is only known when the program runs, but Python iterates here itself (a list, "
                "unpacking, or a function without source): use a for statement or a comprehension",
            )
        return (self.at(k) for k in range(self.length))

    def __getitem__(self, k: Any) -> Any:
        from iverson.lang.indexing import wrap

        if isinstance(k, slice):
            raise refusal(TypeError, "a slice of a range whose length is only known when the program runs")
        index, safe = wrap(k, self.length)
        if not safe:
            require_inside(index, self.length, 0)
        return self.at(index)


def range_(*args: Any) -> Any:
    """range: Python's own where its bounds are known."""
    values = [_integer(a) for a in args]
    if not 1 <= len(values) <= 3:
        raise error(TypeError, f"range expected 1 to 3 arguments, got {len(values)}")
    if not any(isinstance(v, Num) for v in values):
        return range(*values)
    start, stop = (0, values[0]) if len(values) == 1 else values[:2]
    return _steps(start, stop, values[2] if len(values) == 3 else 1)


def _integer(value: Any) -> Any:
    value = known(value)
    if isinstance(value, Arr) and value.ndim == 0:
        value = value.item()
    if isinstance(value, Num):
        if value.dtype.kind != "i":
            raise error(TypeError, f"'{value.dtype.name}' object cannot be interpreted as an integer")
        return extent(value)
    return value.__index__()


def _steps(start: Any, stop: Any, step: Any) -> Steps:
    if isinstance(step, Num):
        builder().check(builder().o.ne(step.atom, 0), "range() arg 3 must not be zero")
    if isinstance(step, int) and step == 1:
        count = stop - start
    elif isinstance(step, int) and step == -1:
        count = start - stop
    else:
        count = -((start - stop) // step)
    length = maximum(extent(count), 0)
    return Steps(length, lambda k: _item(start, stop, step, k))


def _item(start: Any, stop: Any, step: Any, k: Any) -> Any:
    """start + k step, with the bounds that a range gives it."""
    if isinstance(start, int) and isinstance(step, int) and start == 0 and step == 1:
        return k
    value = start + k * step
    if not isinstance(value, Num) or not isinstance(step, int):
        return value
    first, last = constant(start), constant(stop)
    if step > 0:
        base, offset = affine(last.atom)
        low, high = low_of(first), (base, offset - 1)
    else:
        bottom = low_of(last)
        low, high = None if bottom is None else bottom + 1, high_of(first)
    return Num(value.atom, value.weak, None, low, high)


def steps(iterable: Any) -> Steps | None:
    """An iterable as a loop of the program; None if it is Python's own."""
    if isinstance(iterable, Steps):
        return iterable
    if isinstance(iterable, range):
        return Steps(len(iterable), lambda k: _item(iterable.start, iterable.stop, iterable.step, k))
    if isinstance(iterable, np.ndarray):
        iterable = captured(iterable)
    if isinstance(iterable, Arr):
        return Steps(iterable.length, lambda k: iterable[k])
    if hasattr(iterable, "staged_steps"):
        return iterable.staged_steps()
    return None


def enumerate_(iterable: Any, start: Any = 0) -> Any:
    found = steps(iterable)
    if found is None:
        return enumerate(iterable, start)
    first = isinstance(start, int) and start == 0
    return Steps(found.length, lambda k: (k if first else k + start, found.at(k)), found.tape)


def zip_(*iterables: Any, strict: bool = False) -> Any:
    """zip: of arrays, and of lists beside them."""
    found = [steps(i) for i in iterables]
    if all(f is None for f in found):
        return zip(*iterables, strict=strict)
    if not all(f is not None or _numbers(i) for f, i in zip(found, iterables, strict=True)):
        return _zip_static(iterables, found, strict)
    parts = [f or steps(stack(list(i))) for f, i in zip(found, iterables, strict=True)]
    if strict:
        for p in parts[1:]:
            require_same(parts[0].length, p.length, "zip(): an argument is shorter than another")  # type: ignore[union-attr]
    length: Any = parts[0].length  # type: ignore[union-attr]
    for p in parts[1:]:
        length = minimum(length, p.length)  # type: ignore[union-attr]
    note = next((p.tape for p in parts if p.tape is not None), None)  # type: ignore[union-attr]
    return Steps(length, lambda k: tuple(p.at(k) for p in parts), note)  # type: ignore[union-attr]


def _numbers(iterable: Any) -> bool:
    return isinstance(iterable, list | tuple) and len(iterable) > 0 and all(map(is_scalar, iterable))


def _zip_static(iterables: Any, found: list[Steps | None], strict: bool) -> Any:
    """Python's own containers beside arrays: as long as the shortest, which must be known."""
    lists = [list(i) if f is None else None for f, i in zip(found, iterables, strict=True)]
    lengths = [len(x) for x in lists if x is not None]
    lengths += [f.length for f in found if f is not None and isinstance(f.length, int)]
    n = min(lengths)
    items = []
    for k in range(n):
        items.append(tuple(x[k] if x is not None else f.at(k) for x, f in zip(lists, found, strict=True)))  # type: ignore[union-attr]
    return items


def reversed_(iterable: Any) -> Any:
    if isinstance(iterable, range):
        return iterable[::-1]
    found = steps(iterable)
    if found is None:
        return reversed(iterable)
    n = found.length
    return Steps(n, lambda k: found.at(_last(n, k)), found.tape)


def _last(n: Extent, k: Any) -> Any:
    return n - 1 - k

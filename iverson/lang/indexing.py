"""Indexing as NumPy does it: reads give elements, views and gathered copies; writes rebind the cell.

An index is first split by axis (`Item`s), with negative indices wrapped and slices clamped.  Integers, slices and None
make a view; integer arrays and masks (turned into integer arrays) gather.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iverson.core.syntax import Accumulate, Accumulator, Var
from iverson.lang.assumptions import is_one, may_stretch
from iverson.lang.dtypes import core_dtype
from iverson.lang.errors import error, refusal
from iverson.lang.num import Num, cast, constant, is_scalar, known, select
from iverson.lang.reshaped import Reshaped, is_, plus, split
from iverson.lang.shapes import (
    Extent,
    Shape,
    broadcast,
    extent,
    extent_atom,
    is_inside,
    maximum,
    minimum,
    never_negative,
    product,
    refuse,
    require_inside,
    require_same,
    same,
    stretch,
)
from iverson.lang.staging import builder, current
from iverson.lang.values import (
    Arr,
    Storage,
    copy,
    elementwise,
    generate,
    in_parallel,
    lift,
    owned,
)


@dataclass(frozen=True)
class At:
    """One element of an axis."""

    index: Any
    safe: bool
    given: Any = 0  # the index as it was written, for messages


@dataclass(frozen=True)
class Range:
    """A slice of an axis: start + step * k for k < length."""

    start: Any
    step: Any
    length: Extent


@dataclass(frozen=True)
class Gather:
    """The elements that an integer array chooses; several such axes broadcast together."""

    index: Arr


NEW = object()  # None: a new axis of length 1


# --- the index, axis by axis ------------------------------------------------------------------------------------------


def parse(a: Arr, index: Any) -> list[Any]:
    """An index as one item per axis of `a`, with NEW in between."""
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [_normal(p) for p in parts]
    used = sum(p.ndim if _is_mask(p) else 0 if p is None or p is Ellipsis else 1 for p in parts)
    if used > a.ndim:
        raise error(IndexError, f"too many indices for array: array is {a.ndim}-dimensional, but {used} were indexed")
    if sum(p is Ellipsis for p in parts) > 1:
        raise error(IndexError, "an index can only have a single ellipsis ('...')")
    if not any(p is Ellipsis for p in parts):
        parts.append(Ellipsis)
    items: list[Any] = []
    axis = 0
    for p in parts:
        if p is None:
            items.append(NEW)
        elif p is Ellipsis:
            for _ in range(a.ndim - used):
                items.append(Range(0, 1, a.shape[axis]))
                axis += 1
        elif _is_mask(p):
            for k in range(p.ndim):
                require_same(p.shape[k], a.shape[axis + k], "boolean index did not match indexed array", IndexError)
            items += [Gather(g) for g in where(p)]
            axis += p.ndim
        else:
            items.append(_item(p, a.shape[axis]))
            axis += 1
    return items


def _normal(part: Any) -> Any:
    """Arrays and lists of integers as Arr; 0-dimensional ones as numbers."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    x = lift(part) if not isinstance(part, str | bytes | dict | set) else np.str_(part)
    if isinstance(x, Arr) and x.ndim == 0:
        x = x.read(())
    dtype = x.dtype if isinstance(x, Arr | Num | np.generic) else np.asarray(x).dtype
    if dtype.kind == "b" and not isinstance(x, Arr):
        raise refusal(IndexError, "a single bool is not an index here")
    if dtype.kind not in "ib":
        raise error(
            IndexError,
            "only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid indices, "
            f"not {dtype.name}",
        )
    return x


def _is_mask(part: Any) -> bool:
    return isinstance(part, Arr) and part.dtype.kind == "b"


def _item(part: Any, length: Extent) -> Any:
    if isinstance(part, slice):
        return clamp(part, length)
    if isinstance(part, Arr):
        return Gather(part)
    return At(*wrap(part, length), known(part))


def wrap(index: Any, length: Extent) -> tuple[Any, bool]:
    """An index with negative ones counted from the end, and whether it is certainly inside."""
    index = known(index)
    if not isinstance(index, Num):
        index = int(index)
        if isinstance(length, int) and not -length <= index < length:
            return index, False  # an error when it runs, if it does
    if not never_negative(index):
        index = index + length if not isinstance(index, Num) else _wrapped(index, length)
    return index, is_inside(index, length)


def _wrapped(index: Num, length: Extent) -> Num:
    i = cast(index, np.dtype(np.int64), weak=True)
    return select(constant(i < 0), i + length, i)


def clamp(s: slice, length: Extent) -> Range:
    """A slice of an axis, as Python's slice.indices does it but with lengths of the program."""
    step = 1 if s.step is None else known(s.step)
    if isinstance(step, Num):
        return _run_time_step(s, extent(step), length)
    step = int(step)
    if step == 0:
        raise error(ValueError, "slice step cannot be zero")
    if step > 0:
        start = 0 if s.start is None else _bound(s.start, length, 0, length)
        stop = length if s.stop is None else _bound(s.stop, length, 0, length)
        span = _difference(stop, start)
    else:
        last = extent(length - 1)
        start = last if s.start is None else _bound(s.start, length, -1, last)
        stop = -1 if s.stop is None else _bound(s.stop, length, -1, last)
        span = _difference(start, stop)
    stride = abs(step)
    count = span if stride == 1 else extent((span + (stride - 1)) // stride)
    return Range(start, step, count)


def _run_time_step(s: slice, step: Extent, length: Extent) -> Range:
    """A slice whose step is only known when the program runs: it must be positive."""
    forward = clamp(slice(s.start, s.stop), length)
    if not never_negative(extent(step - 1)):
        message = "a slice step that is only known when the program runs must be positive, not {}"
        builder().check(builder().o.gt(extent_atom(step), 0), message, extent_atom(step))
    return Range(forward.start, step, extent((forward.length + (step - 1)) // step))


def _bound(value: Any, length: Extent, low: int, high: Extent) -> Extent:
    """A bound of a slice, wrapped and clamped to [low, high]."""
    bound = known(value)
    if isinstance(bound, float) or (isinstance(bound, Num) and bound.dtype.kind != "i"):
        raise error(TypeError, "slice indices must be integers or None")
    bound = extent(bound if not hasattr(bound, "__index__") or isinstance(bound, Num) else int(bound.__index__()))
    if not never_negative(bound):
        bound = extent(bound + length if isinstance(bound, int) else _wrapped(bound, length))
        bound = maximum(bound, low)
    return minimum(bound, high)


def _difference(stop: Extent, start: Extent) -> Extent:
    """max(stop - start, 0)."""
    return maximum(extent(stop - start), 0)


# --- views ------------------------------------------------------------------------------------------------------------


def view(a: Arr, items: Sequence[Any]) -> Arr:
    """The view that integers, slices and new axes make."""
    items = _checked(a, items)
    shape, at = _region(items)
    return a.view(shape, lambda index: tuple(at(index)[0]), _prefix(a, items))


def _prefix(a: Arr, items: Sequence[Any]) -> tuple[Any, ...] | None:
    """Leading integers followed by nothing but whole axes: a row of the array."""
    if a.prefix is None:
        return None
    lead = 0
    while lead < len(items) and isinstance(items[lead], At):
        lead += 1
    rest = items[lead:]
    for item, n in zip(rest, a.shape[lead:], strict=False):
        if not (isinstance(item, Range) and is_(item.start, 0) and is_(item.step, 1) and same(item.length, n)):
            return None
    return (*a.prefix, *(item.index for item in items[:lead])) if len(rest) == a.ndim - lead else None


def _checked(a: Arr, items: Sequence[Any]) -> list[Any]:
    """The items of a view, whose integers are checked where it is made: it may have no elements."""
    axes = [item for item in items if item is not NEW]
    for axis, item in enumerate(axes):
        if isinstance(item, At) and not item.safe:
            require_inside(item.index, a.shape[axis], axis, item.given)
    return [At(item.index, True) if isinstance(item, At) else item for item in items]


def reshape(a: Arr, shape: Any, order: str = "C") -> Arr:
    """Another shape: a view where the array is whole, or itself reshaped, or one axis is split; else of a copy."""
    if order not in ("C", "A"):
        raise error(NotImplementedError, "reshape: only order='C' is available in staged programs")
    lengths = _complete(a, shape if isinstance(shape, tuple | list) else (shape,))
    if isinstance(a.at, Reshaped):
        a = a.at.of.like(a)
    elif not a.whole:
        at = split(a.shape, lengths)
        if at is not None:
            return a.view(tuple(lengths), at)
        a = copy(a)
    if len(lengths) == a.ndim and all(same(m, n) for m, n in zip(lengths, a.shape, strict=True)):
        return a.view(tuple(lengths), lambda index: index, a.prefix)
    return Arr(a.source, tuple(lengths), Reshaped(a.shadow(), tuple(lengths)), None, a.readonly)


def _complete(a: Arr, shape: Sequence[Any]) -> list[Extent]:
    """The lengths of a shape with -1 worked out; their product is checked."""
    lengths = [extent(n) for n in shape]
    open_ = [k for k, n in enumerate(lengths) if isinstance(n, int) and n == -1]
    if len(open_) > 1:
        raise error(ValueError, "can only specify one unknown dimension")
    if open_:
        rest = [n for k, n in enumerate(lengths) if k not in open_]
        lengths[open_[0]] = _quotient(a, rest)
    if not same(product(lengths), a.size):
        _require_size(a, lengths)
    return lengths


def _require_size(a: Arr, lengths: list[Extent]) -> None:
    b = builder()
    wanted, have = extent_atom(product(lengths)), extent_atom(a.size)
    shape = ", ".join(["{}"] * len(lengths))
    message = f"cannot reshape array of size {{}} into shape ({shape})"
    b.check(b.o.eq(wanted, have), message, have, *map(extent_atom, lengths))


def _quotient(a: Arr, rest: list[Extent]) -> Extent:
    """size / product(rest), cancelling common lengths so that sizes stay simple."""
    own, left = list(a.shape), []
    for n in rest:
        match = next((k for k, m in enumerate(own) if same(m, n)), None)
        if match is None:
            left.append(n)
        else:
            del own[match]
    divisor = product(left)
    if isinstance(divisor, int) and divisor == 0:
        raise error(ValueError, "cannot reshape an array of size 0 with an unknown dimension")
    return extent(product(own) // divisor)


# --- reading ----------------------------------------------------------------------------------------------------------


def get(a: Arr, index: Any) -> Any:
    """a[index]."""
    items = parse(a, index)
    if any(isinstance(item, Gather) for item in items):
        return gather(a, items)
    if all(isinstance(item, At) for item in items):
        return a.read([item.index for item in items], all(item.safe for item in items))
    return view(a, items)


def gather(a: Arr, items: list[Any]) -> Any:
    """Reads through integer arrays: a new array."""
    shape, at = gathered(a, items)
    if not shape:
        return a.read(*at(()))
    return generate(shape, lambda *index: a.read(*at(index)), a.dtype)


def gathered(a: Arr, items: list[Any]) -> tuple[Shape, Callable[[Sequence[Any]], tuple[list[Any], bool]]]:
    """The shape of a[items], and the index into `a` (with: is it certainly inside) of each of its elements.

    Integer arrays broadcast together; their axes stand where the first of them stood, or in front if anything
    separates them, as in NumPy.
    """
    advanced = [k for k, item in enumerate(items) if isinstance(item, Gather | At)]
    arrays = [items[k].index if isinstance(items[k], Gather) else None for k in advanced]
    differ = "shape mismatch: indexing arrays could not be broadcast together with shapes"
    common = broadcast([x.shape for x in arrays if x is not None], differ, IndexError)
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    front = sum(1 for item in items[: advanced[0]] if not isinstance(item, At | Gather)) if together else 0
    basic = [1 if item is NEW else item.length for item in items if not isinstance(item, At | Gather)]
    shape = (*basic[:front], *common, *basic[front:])

    def at(index: Sequence[Any]) -> tuple[list[Any], bool]:
        shared = tuple(index[front : front + len(common)])
        own = iter((*index[:front], *index[front + len(common) :]))
        out: list[Any] = []
        safe = True
        for item in items:
            if item is NEW:
                next(own)
            elif isinstance(item, At):
                out.append(item.index)
                safe &= item.safe
            elif isinstance(item, Gather):
                chosen = item.index.read(stretch(shared, item.index.shape))
                i, inside = wrap(chosen, a.shape[len(out)])
                out.append(i)
                safe &= inside
            else:
                k = next(own)
                out.append(plus(item.start, k if is_(item.step, 1) else k * item.step))
        return out, safe

    return shape, at


def where(mask: Arr) -> list[Arr]:
    """np.nonzero: the indices where a mask holds, one array per axis, in row-major order."""
    int64 = core_dtype(np.dtype(np.int64))
    acc = Var(Accumulator("append", (int64,) * mask.ndim, ()), "found")
    state = current()

    def body(*index: Num) -> tuple[()]:
        p = cast(mask.read(index), np.dtype(np.bool_)).atom
        b = builder()

        def keep() -> tuple[()]:
            b.contribute(acc, (), *[extent_atom(i) for i in index])
            return ()

        b.if_(p, keep, tuple)
        return ()

    def block() -> tuple[()]:
        in_parallel(mask.shape, body, ())
        return ()

    found = builder().emit(Accumulate((acc,), ((),), builder().block(block)))
    assert state is current()
    arrays = [owned(v) for v in found[1:]]
    for x, n in zip(arrays, mask.shape, strict=True):
        x.source = Bounded(x.source, n)
    return arrays


class Bounded(Storage):
    """Indices that are certainly inside an axis."""

    __slots__ = ("length",)

    def __init__(self, source: Any, length: Extent) -> None:
        super().__init__(source.cell)
        self.length = length

    def read(self, index: Sequence[Any], safe: bool) -> Num:
        x = super().read(index, safe)
        base, offset = current().affine_of(extent_atom(self.length))
        return Num(x.atom, x.weak, None, 0, (base, offset - 1))


# --- writing ----------------------------------------------------------------------------------------------------------


def put(a: Arr, index: Any, value: Any) -> None:
    """a[index] = value."""
    _store(a, parse(a, index), value, "set")


def update(function: np.ufunc, a: Arr, index: Any, value: Any) -> None:
    """a[index] op= value: one accumulation for + and - on distinct elements, else read and write."""
    items = parse(a, index)
    operand = lift(value)
    additive = function in (np.add, np.subtract) and not any(isinstance(i, Gather) for i in items)
    if additive and _keeps_dtype(a, operand) and not _shares(a, operand):
        _store(a, items, operand if function is np.add else elementwise(np.negative, operand), "add")
        return
    if any(isinstance(i, Gather) for i in items):
        old: Any = gather(a, items)
    elif all(isinstance(i, At) for i in items):
        old = a.read([i.index for i in items], all(i.safe for i in items))
    else:
        old = view(a, items)
    new = function(old, operand)
    if isinstance(new, Arr) and not is_scalar(old):
        _same_kind(function, a.dtype, new.dtype)
    _store(a, items, new, "set")


def _sample(operand: Any) -> Any:
    """What stands for an operand in NumPy's promotion."""
    if isinstance(operand, Num) and operand.weak:
        return operand.dtype.type(0).item()
    return operand.dtype if isinstance(operand, Num | Arr | np.generic) else operand


def _same_kind(function: np.ufunc, old: np.dtype[Any], new: np.dtype[Any]) -> None:
    if not np.can_cast(new, old, "same_kind"):
        raise error(
            TypeError,
            f"Cannot cast ufunc '{function.__name__}' output from {new} to {old} with casting rule 'same_kind'",
        )


def _keeps_dtype(a: Arr, operand: Any) -> bool:
    if a.dtype.kind not in "if":
        return False
    return np.result_type(a.dtype, _sample(operand)) == a.dtype


def _shares(a: Arr, x: Any) -> bool:
    return isinstance(x, Arr) and (x.cell is None or x.cell is a.cell)


def _store(a: Arr, items: list[Any], value: Any, monoid: str) -> None:
    """Write into a's cell through its index map."""
    if a.readonly:
        raise error(ValueError, a.readonly)
    if a.cell is None:
        raise refusal(
            ValueError, "this array is one of two, depending on a condition: take a .copy() before writing it"
        )
    value = lift(value)
    if isinstance(value, Arr) and value.ndim == 0:
        value = value.read(())
    if any(isinstance(item, Gather) for item in items):
        shape, at = gathered(a, items)
    else:
        if any(isinstance(item, Range) for item in items):
            items = _checked(a, items)
        shape, at = _region(items)
    if isinstance(value, Arr):
        if _shares(a, value):
            value = copy(value)  # what is read must be what was there before
        value = _fit(value, shape)
    d = a.dtype
    if is_scalar(value) and not isinstance(value, Num) and not shape and monoid == "set":
        value = cast(value, d)

    def write(acc: Any, index: Sequence[Any]) -> None:
        where_, safe = at(index)
        x = value.read(stretch(index, value.shape)) if isinstance(value, Arr) else value
        contribute(acc, a.place(where_, safe), cast(x, d), safe)

    _accumulate(a, shape, write, monoid)


def contribute(acc: Var, index: Sequence[Any], x: Num, safe: bool = True) -> None:
    """acc[index] (+)= x, both parts of a complex number."""
    b = builder()
    at = [extent_atom(i) for i in index]
    if x.im is None:
        b.contribute(acc, at, x.atom, safe=safe)
    else:
        b.contribute(acc, [*at, 0], x.atom, safe=safe)
        b.contribute(acc, [*at, 1], x.im, safe=safe)


def _accumulate(a: Arr, shape: Shape, write: Callable[[Any, Sequence[Any]], None], monoid: str) -> None:
    """Open an accumulator on a's cell, and write every element of a region."""
    state, cell = current(), a.cell
    assert cell is not None
    state.writable(cell)
    before = state.contents(cell)

    def body(acc: Var) -> tuple[()]:
        if shape:
            in_parallel(shape, lambda *index: write(acc, index) or (), ())
        else:
            write(acc, ())
        return ()

    state.write(cell, builder().accumulate([(monoid, [before])], body)[0])  # type: ignore[list-item]


def _region(items: list[Any]) -> tuple[Shape, Callable[[Sequence[Any]], tuple[list[Any], bool]]]:
    """The shape of a basic index, and the index of each of its elements."""
    shape = tuple(1 if item is NEW else item.length for item in items if not isinstance(item, At))
    certain = all(item.safe for item in items if isinstance(item, At))

    def at(index: Sequence[Any]) -> tuple[list[Any], bool]:
        own = iter(index)
        out: list[Any] = []
        for item in items:
            if isinstance(item, At):
                out.append(item.index)
            elif item is NEW:
                next(own)
            else:
                k = next(own)
                out.append(plus(item.start, k if is_(item.step, 1) else k * item.step))
        return out, certain

    return shape, at


def _fit(value: Arr, shape: Shape) -> Arr:
    """A value as what a region of `shape` takes: fewer axes or lengths 1 broadcast, leading 1s vanish."""
    while value.ndim > len(shape) and is_one(value.shape[0]):
        value = value[0] if value.ndim > 1 else value.reshape(())
    if value.ndim > len(shape):
        may_stretch(value.shape[0])
        refuse("could not broadcast input array from shape {} into shape {}", value.shape, shape)
    for m, n in zip(reversed(value.shape), reversed(shape), strict=False):
        if not is_one(m):
            if not same(m, n):
                may_stretch(m)
            require_same(m, n, "could not broadcast input array: its length differs from the region's")
    return value

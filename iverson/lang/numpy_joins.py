"""NumPy's functions that build an array from the elements of others: joining, repeating, shifting, masking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from iverson.lang import shapes
from iverson.lang.assumptions import is_one, may_stretch
from iverson.lang.dtypes import INT64, supported
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, is_scalar, kind_of, known, select, ufunc
from iverson.lang.numpy_shapes import atleast_1d, atleast_2d, atleast_3d, diagonal, moveaxis, ravel
from iverson.lang.numpy_support import lazily, new_shape, require, sequence, static_int, store
from iverson.lang.shapes import Extent, axis_of, extent
from iverson.lang.table import implements
from iverson.lang.values import Arr, fold, generate, lift, lift_array, stack

# --- joining ----------------------------------------------------------------------------------------------------------


def choose(k: Any, bounds: Sequence[Any], alternatives: Sequence[Callable[[], Any]]) -> Any:
    """alternatives[j]() for the j with bounds[j] <= k < bounds[j + 1]: a tree of branches."""
    if len(alternatives) == 1:
        return alternatives[0]()
    half = len(alternatives) // 2
    return lazily(
        ufunc(np.less, k, bounds[half]),
        lambda: choose(k, bounds[: half + 1], alternatives[:half]),
        lambda: choose(k, bounds[half:], alternatives[half:]),
    )


def common_dtype(values: Sequence[Any]) -> np.dtype[Any]:
    """NumPy's promotion of arrays and scalars, as joining them does it."""
    return supported(np.result_type(*(v.dtype if isinstance(v, Arr) else _sample(v) for v in values)))


def _sample(value: Any) -> Any:
    kind = kind_of(value)
    return kind.dtype.type(0).item() if kind.weak else kind.dtype


@implements(np.concatenate)
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    parts = [lift_array(a) for a in sequence(arrays)]
    if not parts:
        raise error(ValueError, "need at least one array to concatenate")
    if axis is None:
        parts, axis = [ravel(a) for a in parts], 0
    first = parts[0]
    if first.ndim == 0:
        raise error(ValueError, "zero-dimensional arrays cannot be concatenated")
    k = axis_of(axis, first.ndim)
    lengths = list(first.shape)
    for a in parts[1:]:
        if a.ndim != first.ndim:
            raise error(
                ValueError,
                "all the input array dimensions must match: the arrays to concatenate have "
                f"{first.ndim} and {a.ndim} axes",
            )
        for j in range(first.ndim):
            if j != k:
                what = (
                    f"all the input array dimensions except for the concatenation axis must match, but axis {j} differs"
                )
                lengths[j] = shapes.require_same(lengths[j], a.shape[j], what)
    bounds: list[Any] = [0]
    for a in parts:
        bounds.append(extent(bounds[-1] + a.shape[k]))
    lengths[k] = bounds[-1]
    d = common_dtype(parts) if dtype is None else supported(dtype)
    joined = [(a, start) for a, start in zip(parts, bounds[:-1], strict=True) if not _is_zero(a.shape[k])]
    if not joined:
        return store(generate(lengths, lambda *_: d.type(0), d), out)
    edges = [start for _, start in joined] + [bounds[-1]]

    def element(*index: Any) -> Any:
        def of(a: Arr, start: Any) -> Callable[[], Any]:
            own = index[k] if _is_zero(start) else index[k] - start
            return lambda: cast(a.read((*index[:k], own, *index[k + 1 :])), d)

        return choose(index[k], edges, [of(a, start) for a, start in joined])

    return store(generate(lengths, element, d), out)


def _is_zero(n: Any) -> bool:
    return isinstance(n, int) and n == 0


@implements(np.stack)
def stack_(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [lift_array(a) for a in sequence(arrays)]
    if not parts:
        raise error(ValueError, "need at least one array to stack")
    d = common_dtype(parts) if dtype is None else supported(dtype)
    result = stack([a.astype(d, copy=False) for a in parts])
    return store(moveaxis(result, 0, axis_of(axis, result.ndim)), out)


def _list(values: Any, at_least: Callable[..., Any]) -> list[Any]:
    return [at_least(a) for a in sequence(values)]


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = _list(tup, atleast_1d)
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1, dtype=dtype)


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return concatenate(_list(tup, atleast_2d), 0, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    return concatenate(_list(tup, atleast_3d), 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    parts = [lift_array(a) for a in sequence(tup)]
    return concatenate([a if a.ndim > 1 else atleast_1d(a).reshape((-1, 1)) for a in parts], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate((arr, values), axis)


@implements(np.block)
def block(arrays: Any) -> Any:
    depth = _depth(arrays)
    return _block(arrays, depth, depth)


def _depth(arrays: Any) -> int:
    return 1 + max(map(_depth, arrays)) if isinstance(arrays, list) else 0


def _block(arrays: Any, level: int, depth: int) -> Any:
    if not isinstance(arrays, list):
        x = lift_array(arrays)
        for _ in range(depth - x.ndim):
            x = x[None]
        return x
    return concatenate([_block(a, level - 1, depth) for a in arrays], -level)


# --- repeating and shifting -------------------------------------------------------------------------------------------


@implements(np.take, method="take")
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    x = lift_array(a)
    if axis is None:
        x, axis = ravel(x), 0
    k = axis_of(axis, x.ndim)
    n, which = x.shape[k], lift(indices)
    if mode == "wrap":
        which = which % n
    elif mode == "clip":
        which = np.minimum(np.maximum(which, 0), n - 1)
    elif mode != "raise":
        raise error(ValueError, f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    return store(x[(*[slice(None)] * k, which)], out)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    x, which = lift_array(arr), lift_array(indices)
    if axis is None:
        x, axis = ravel(x), 0
    k = axis_of(axis, x.ndim)
    if which.ndim != x.ndim:
        raise error(ValueError, "`indices` and `arr` must have the same number of dimensions")
    grid: list[Any] = []
    for j in range(x.ndim):
        lengths = tuple(n if m == j else 1 for m, n in enumerate(x.shape))
        grid.append(which if j == k else generate(lengths, lambda *i, j=j: i[j], INT64))
    return x[tuple(grid)]


@implements(np.repeat, method="repeat")
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    x = lift_array(a)
    if axis is None:
        x, axis = ravel(x), 0
    k = axis_of(axis, x.ndim)
    times = lift(repeats)
    if isinstance(times, Arr) and times.ndim and not is_one(times.shape[0]):
        return _repeat_each(x, times, k)
    count = times.read((0,) * times.ndim) if isinstance(times, Arr) else times
    each = new_shape(count)[0]
    shape = tuple(extent(n * each) if j == k else n for j, n in enumerate(x.shape))
    return generate(shape, lambda *i: x.read((*i[:k], i[k] // each, *i[k + 1 :])), x.dtype)


def _repeat_each(x: Arr, times: Arr, k: int) -> Any:
    """Element j of the axis times[j] times: the ends of the runs, searched for each place."""
    from iverson.lang.numpy_searching import search
    from iverson.lang.numpy_support import scan

    may_stretch(times.shape[0])
    shapes.require_same(times.shape[0], x.shape[k], "repeats and the axis must have one length")
    least = fold("min", times.shape, lambda j: cast(times.read((j,)), INT64))
    require(constant(least >= 0), "repeats may not contain negative values.")
    ends = scan("add", times.shape[0], lambda j: times.read((j,)), INT64)
    n = fold("add", times.shape, lambda j: cast(times.read((j,)), INT64))
    shape = tuple(extent(n) if j == k else m for j, m in enumerate(x.shape))

    def element(*i: Any) -> Any:
        return x.read((*i[:k], search(ends, i[k], "right"), *i[k + 1 :]), safe=False)

    return generate(shape, element, x.dtype)


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    x = lift_array(A)
    counts = list(new_shape(reps))
    while x.ndim < len(counts):
        x = x[None]
    counts = [1] * (x.ndim - len(counts)) + counts
    shape = tuple(extent(n * r) for n, r in zip(x.shape, counts, strict=True))

    def element(*index: Any) -> Any:
        wrapped = (
            i if isinstance(r, int) and r == 1 else i % n for i, n, r in zip(index, x.shape, counts, strict=True)
        )
        return x.read(tuple(wrapped))

    return generate(shape, element, x.dtype)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = lift_array(a)
    if axis is None:
        return roll(ravel(x), shift, 0).reshape(x.shape)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    by = shift if isinstance(shift, tuple | list) else (shift,) * len(axes)
    if len(axes) == 1 and len(by) > 1:
        axes = tuple(axes) * len(by)
    moved: dict[int, Any] = {}
    for k, s in zip(axes, by, strict=True):
        j = axis_of(k, x.ndim)
        moved[j] = moved.get(j, 0) + s
    steps = {j: known(cast(by % shapes.maximum(x.shape[j], 1), INT64, weak=True)) for j, by in moved.items()}

    def element(*index: Any) -> Any:
        return x.read(tuple(_rolled(i, steps.get(j), n) for j, (i, n) in enumerate(zip(index, x.shape, strict=True))))

    return generate(x.shape, element, x.dtype)


def _rolled(i: Any, by: Any, n: Extent) -> Any:
    """(i - by) mod n for 0 <= by < n, without a division."""
    return i if by is None else select(constant(i < by), i - by + n, i - by)


# --- diagonals and triangles ------------------------------------------------------------------------------------------


@implements(np.diag)
def diag(v: Any, k: Any = 0) -> Any:
    x = lift_array(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise error(ValueError, "Input must be 1- or 2-d.")
    offset = static_int(k, "the offset of a diagonal")
    down, right = max(-offset, 0), max(offset, 0)
    n = extent(x.shape[0] + abs(offset))
    zero = x.dtype.type(0)

    def element(i: Any, j: Any) -> Any:
        on = ufunc(np.equal, i - down if down else i, j - right if right else j)
        if offset:
            on = ufunc(np.logical_and, on, ufunc(np.greater_equal, i if down else j, abs(offset)))
        return lazily(on, lambda: x.read((j - right if right else j,)), lambda: zero)

    return generate((n, n), element, x.dtype)


@implements(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> Any:
    return diag(ravel(lift_array(v)), k)


def _triangle(m: Any, k: Any, keep: np.ufunc) -> Any:
    x = lift_array(m)
    if x.ndim == 1:
        n = x.shape[0]
        x = x.view((n, n), lambda index: (index[1],))
    if x.ndim == 0:
        raise error(ValueError, "a triangle needs an array with axes")
    zero = x.dtype.type(0)

    def element(*index: Any) -> Any:
        i, j = index[-2:]
        edge = i if isinstance(k, int) and k == 0 else i + k
        return lazily(ufunc(keep, j, edge), lambda: x.read(index), lambda: zero)

    return generate(x.shape, element, x.dtype)


@implements(np.tril)
def tril(m: Any, k: Any = 0) -> Any:
    return _triangle(m, known(k), np.less_equal)


@implements(np.triu)
def triu(m: Any, k: Any = 0) -> Any:
    return _triangle(m, known(k), np.greater_equal)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    if not isinstance(a, Arr) or a.ndim < 2:
        raise error(ValueError, "array must be at least 2-d")
    if wrap:
        raise error(NotImplementedError, "fill_diagonal with wrap=True is not available in staged programs")
    n = a.shape[0]
    for m in a.shape[1:]:
        n = shapes.minimum(n, m)
    place = generate((n,), lambda i: i, INT64)
    value = lift(val)
    a[(place,) * a.ndim] = value if is_scalar(value) or value.ndim == 0 else value[:n]


# --- padding ----------------------------------------------------------------------------------------------------------


def _reflected(i: Any, n: Any, period: Any, edge: int) -> Any:
    """A place on a line that is folded at both ends."""
    j = i % period
    return ufunc(np.minimum, j, period - edge - j)


_PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "edge": lambda i, n: ufunc(np.minimum, ufunc(np.maximum, i, 0), n - 1),
    "wrap": lambda i, n: i % n,
    "reflect": lambda i, n: _reflected(i, n, ufunc(np.maximum, 2 * n - 2, 1), 0),
    "symmetric": lambda i, n: _reflected(i, n, 2 * n, 1),
}


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    x = lift_array(array)
    widths = _pairs(pad_width, x.ndim)
    if mode != "constant" and mode not in _PLACES:
        raise error(NotImplementedError, f"np.pad with mode={mode!r} is not available in staged programs")
    shape = tuple(extent(n + before + after) for n, (before, after) in zip(x.shape, widths, strict=True))
    padded = [j for j, w in enumerate(widths) if w != (0, 0)]
    if mode != "constant":
        for j in padded:
            require(ufunc(np.greater, x.shape[j], 0), f"can't extend empty axis {j} using modes other than 'constant'")

        def place(*index: Any) -> Any:
            own = tuple(
                _PLACES[mode](i - widths[j][0], x.shape[j]) if j in padded else i for j, i in enumerate(index)
            )  # fmt: skip
            return x.read(own)

        return generate(shape, place, x.dtype)
    values = _pairs(constant_values, x.ndim)

    def element(*index: Any) -> Any:
        own = tuple(i - before if before else i for i, (before, _) in zip(index, widths, strict=True))

        def inside(axes: Sequence[int]) -> Any:
            if not axes:
                return x.read(own)
            j = axes[-1]  # the last padded axis fills the corners
            low = ufunc(np.less, own[j], 0)
            high = ufunc(np.greater_equal, own[j], x.shape[j])
            rest = lambda: lazily(high, lambda: cast(values[j][1], x.dtype), lambda: inside(axes[:-1]))  # noqa: E731
            return lazily(low, lambda: cast(values[j][0], x.dtype), rest)

        return inside(padded)

    return generate(shape, element, x.dtype)


def _pairs(value: Any, rank: int) -> list[tuple[Any, Any]]:
    """The argument of np.pad that gives (before, after) for each axis."""
    if isinstance(value, dict):
        return [tuple(_pairs(value.get(j, value.get(j - rank, 0)), 1)[0]) for j in range(rank)]
    if isinstance(value, Num | Arr):
        raise error(TypeError, "the widths of np.pad must be known when the program is staged")
    if isinstance(value, tuple | list) and any(isinstance(v, Num) for v in value):
        return [tuple(value)] * rank
    return [tuple(row) for row in np.broadcast_to(np.asarray(value), (rank, 2)).tolist()]

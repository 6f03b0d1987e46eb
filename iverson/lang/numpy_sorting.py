"""NumPy's functions of sorted elements.  An order is a library operation; the elements are read in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.lang import shapes
from iverson.lang.dtypes import FLOAT64, INT64
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, select, ufunc
from iverson.lang.numpy_shapes import expand_dims, ravel
from iverson.lang.numpy_support import lazily, normal_axes, require, store
from iverson.lang.shapes import axis_of, extent
from iverson.lang.staging import builder
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, elementwise, generate, lift_array, materialise, owned


def _order(x: Arr) -> Arr:
    """The stable order of the elements along the last axis."""
    return owned(builder().library("argsort", materialise(x))[0], INT64)


def _last(a: Any, axis: Any) -> tuple[Arr, int]:
    """An array with the axis to be sorted moved to the end, and where that was."""
    x = lift_array(a)
    if axis is None:
        x, axis = ravel(x), -1
    k = axis_of(axis, x.ndim)
    return FUNCTIONS[np.moveaxis](x, k, -1), k


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """The elements read in their order: what is differentiated is the reading."""
    x, k = _last(a, axis)
    places = _order(x)
    out = generate(x.shape, lambda *i: x.read((*i[:-1], places.read(i))), x.dtype)
    return FUNCTIONS[np.moveaxis](out, -1, k)


@implements(np.argsort, method="argsort")
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x, k = _last(a, axis)
    return FUNCTIONS[np.moveaxis](_order(x), -1, k)


@implements(method="sort")
def sort_in_place(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    a[...] = sort(a, axis)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """Sorted, which is a partition at every place."""
    return sort(a, axis)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    return argsort(a, axis)


# --- quantiles --------------------------------------------------------------------------------------------------------


def _rows(a: Any, axis: Any) -> tuple[Arr, tuple[int, ...]]:
    """Sorted rows of floats: the axes that are reduced come last, as one."""
    x = lift_array(a)
    if x.dtype.kind == "c":
        raise error(TypeError, "complex numbers have no quantiles")
    axes = normal_axes(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in axes]
    moved = x.permuted((*kept, *axes))
    if len(axes) != 1:
        moved = moved.reshape((*(x.shape[k] for k in kept), shapes.product([x.shape[k] for k in axes])))
    rows = sort(moved)
    return rows if rows.dtype.kind == "f" else rows.astype(FLOAT64), axes


def _at_position(rows: Arr, index: tuple[Any, ...], place: Num) -> Num:
    """The element at a fractional place of a sorted row, by linear interpolation; NaN if the row has one."""
    last = extent(rows.shape[-1] - 1)
    low = cast(ufunc(np.floor, place), INT64)
    weight = cast(place - low, rows.dtype)
    below, above = rows.read((*index, low)), rows.read((*index, shapes.minimum(extent(low + 1), last)))
    top = rows.read((*index, last))
    step = above - below
    # from the nearer end, as NumPy does
    value = select(constant(weight >= 0.5), above - step * (1 - weight), below + step * weight)
    return select(constant(ufunc(np.isnan, top)), top, value)


def _quantiles(a: Any, q: Any, axis: Any, out: Any, keepdims: bool, method: str, whole: float) -> Any:
    """Quantiles at q / whole."""
    if method != "linear":
        raise error(NotImplementedError, f"quantiles with method={method!r} are not available in staged programs")
    rows, axes = _rows(a, axis)
    where = lift_array(q)
    n = rows.shape[-1]
    require(ufunc(np.greater, n, 0), "there is no quantile of an empty axis", IndexError)
    inside = elementwise(lambda p: ufunc(np.logical_and, p >= 0, p <= whole), where)
    builder().check(FUNCTIONS[np.all](inside).atom, "Quantiles must be in the range [0, 1] (percentiles: [0, 100])")

    def element(*index: Any) -> Any:
        p = cast(where.read(index[: where.ndim]), FLOAT64)
        share = p if whole == 1 else ufunc(np.true_divide, p, whole)
        return _at_position(rows, index[where.ndim :], constant(share * (n - 1)))

    shape = (*where.shape, *rows.shape[:-1])
    result = generate(shape, element, rows.dtype) if shape else element()
    if keepdims:
        result = expand_dims(result, tuple(where.ndim + k for k in axes))
    return store(result, out)


def _quantile(whole: float) -> Callable[..., Any]:
    def quantile(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
        keepdims: bool = False,
    ) -> Any:  # fmt: skip
        return _quantiles(a, q, axis, out, keepdims, method, whole)

    return quantile


implements(np.quantile)(_quantile(1.0))
implements(np.percentile)(_quantile(100.0))


@implements(np.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    rows, axes = _rows(a, axis)
    n = rows.shape[-1]
    half = extent(n // 2)
    odd = constant(ufunc(np.equal, n % 2, 1))

    def element(*index: Any) -> Any:
        return lazily(ufunc(np.greater, n, 0), lambda: middle(*index), lambda: rows.dtype.type(np.nan))

    def middle(*index: Any) -> Any:
        top = rows.read((*index, n - 1))
        high = rows.read((*index, half))
        two = lazily(odd, lambda: high, lambda: (rows.read((*index, half - 1)) + high) / 2)
        return select(constant(ufunc(np.isnan, top)), top, two)

    shape = rows.shape[:-1]
    result = generate(shape, element, rows.dtype) if shape else element()
    return store(expand_dims(result, axes) if keepdims else result, out)


# --- distinct elements ------------------------------------------------------------------------------------------------


@implements(np.unique)
def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: Any = None,
    *, equal_nan: bool = True, sorted: bool = True,
) -> Any:  # fmt: skip
    """The sorted distinct elements; where each is first, which of them each element is, how many there are of each."""
    if axis is not None:
        raise error(NotImplementedError, "np.unique is not available along an axis in staged programs")
    whole = lift_array(ar)
    flat = ravel(whole)
    places = _order(flat)
    n = flat.shape[0]
    x = generate((n,), lambda i: flat.read((places.read((i,)),)), flat.dtype)

    def first(i: Any) -> Any:
        def differs() -> Any:
            p, q = x.read((i,)), x.read((i - 1,))
            both = ufunc(np.logical_and, ufunc(np.isnan, p), ufunc(np.isnan, q)) if equal_nan else False
            return ufunc(np.logical_and, ufunc(np.not_equal, p, q), ufunc(np.logical_not, both))

        return lazily(ufunc(np.equal, i, 0), lambda: True, differs)

    begins = generate((n,), first, bool)
    starts = FUNCTIONS[np.nonzero](begins)[0]
    found = [x[starts]]
    if return_index:
        found.append(places[starts])
    if return_inverse:
        which = FUNCTIONS[np.cumsum](begins.astype(INT64)) - 1
        inverse = FUNCTIONS[np.zeros]((n,), INT64)
        inverse[places] = which
        found.append(FUNCTIONS[np.reshape](inverse, whole.shape))
    if return_counts:
        ends = FUNCTIONS[np.append](starts[1:], n)
        count = extent(starts.shape[0])
        found.append(generate((count,), lambda i: ends.read((i,)) - starts.read((i,)), INT64))
    return tuple(found) if len(found) > 1 else found[0]

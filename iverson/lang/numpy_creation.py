"""NumPy's functions that create arrays: from shapes, ranges, functions and other arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.lang import shapes
from iverson.lang.dtypes import BOOL_, FLOAT64, INT64, promote, supported
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, is_scalar, kind_of, known, select, ufunc
from iverson.lang.numpy_shapes import broadcast_to
from iverson.lang.numpy_support import expect_scalar, lazily, new_shape, require
from iverson.lang.shapes import extent, stretch
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, captured, copy, elementwise, generate, lift, lift_array
from iverson.lang.values import full as filled

_SMALL = 64  # constants up to this many elements are written out, longer ones are inputs


# --- one value --------------------------------------------------------------------------------------------------------


@implements(np.zeros, np.empty, np.ndarray)
def zeros(shape: Any, dtype: Any = float, order: str = "C", **_: Any) -> Any:
    return filled(new_shape(shape), 0, dtype or float)


@implements(np.ones)
def ones(shape: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    return filled(new_shape(shape), 1, dtype or float)


@implements(np.full)
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    lengths, value = new_shape(shape), lift(fill_value)
    if isinstance(value, Arr):
        return copy(broadcast_to(value if dtype is None else value.astype(dtype), lengths))
    return filled(lengths, value, dtype if dtype is not None else kind_of(value).dtype)


def _like(a: Any, dtype: Any, shape: Any) -> tuple[Any, Any]:
    """Shape and dtype of a prototype, unless others are given."""
    x = lift(a)
    own = x.shape if isinstance(x, Arr) else ()
    d = supported(dtype) if dtype is not None else x.dtype if isinstance(x, Arr) else kind_of(x).dtype
    return own if shape is None else new_shape(shape), d


@implements(np.zeros_like, np.empty_like)
def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
    lengths, d = _like(a, dtype, shape)
    return filled(lengths, 0, d)


@implements(np.ones_like)
def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
    lengths, d = _like(a, dtype, shape)
    return filled(lengths, 1, d)


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any
) -> Any:
    lengths, d = _like(a, dtype, shape)
    return full(lengths, fill_value, d)


# --- ranges -----------------------------------------------------------------------------------------------------------


@implements(np.arange)
def arange(start: Any = None, stop: Any = None, step: Any = 1, dtype: Any = None, **_: Any) -> Any:
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    low, high, by = (expect_scalar(v, "a bound of arange") for v in (start, stop, step))
    kind = promote([kind_of(v) for v in (low, high, by)])
    d = supported(dtype) if dtype is not None else kind.dtype if kind.dtype != BOOL_ else INT64
    n = _count(low, high, by, kind.dtype)
    first = cast(low, d) if d.kind == "i" else cast(low, kind.dtype)
    if kind.dtype.kind == "i":
        return generate((n,), lambda i: first + i * known(cast(by, first.dtype)), d)
    delta = ufunc(np.subtract, ufunc(np.add, low, by), low)  # NumPy's own rounding
    return generate((n,), lambda i: ufunc(np.add, low, ufunc(np.multiply, cast(i, kind.dtype), delta)), d)


def _count(low: Any, high: Any, by: Any, dtype: np.dtype[Any]) -> Any:
    """How many elements a range has."""
    by = known(by)
    if not isinstance(by, Num) and by == 0:
        raise error(ZeroDivisionError, "the step of arange is zero")
    if dtype.kind in "ib":
        start, stop = extent(low), extent(high)
        if isinstance(by, Num):
            n = -((start - stop) // by)
        elif by > 0:
            n = stop - start if by == 1 else (stop - start + (int(by) - 1)) // int(by)
        else:
            n = (start - stop + (-int(by) - 1)) // -int(by)
        return shapes.maximum(extent(n), 0)
    turns = ufunc(np.ceil, ufunc(np.true_divide, ufunc(np.subtract, high, low), by))
    return shapes.maximum(extent(cast(turns, INT64, weak=True)), 0)


def _steps(start: Any, stop: Any, num: Any, endpoint: bool) -> tuple[Any, Any, Any]:
    """The number of points, of intervals, and the length of an interval."""
    n = extent(num)
    if not shapes.never_negative(n):
        require(n >= 0, "Number of samples must be non-negative.")
    parts = shapes.maximum(extent(n - 1) if endpoint else n, 1)
    step = elementwise(lambda p, q: ufunc(np.true_divide, ufunc(np.subtract, q, p), cast(parts, FLOAT64)), start, stop)
    return n, parts, step


@implements(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: Any = 0, **_: Any,
) -> Any:  # fmt: skip
    n, parts, step = _steps(start, stop, num, endpoint)
    p, q, s = lift_array(start), lift_array(stop), lift_array(step)
    d = np.result_type(s.dtype, FLOAT64) if dtype is None else supported(dtype)

    def element(i: Any, *rest: Any) -> Any:
        first, last, delta = (x.read(stretch(rest, x.shape) if x.ndim else ()) for x in (p, q, s))
        value = ufunc(np.add, ufunc(np.multiply, cast(i, FLOAT64), delta), first)
        if endpoint:
            value = select(constant(ufunc(np.equal, i, parts)), cast(last, value.dtype), value)
        return ufunc(np.floor, value) if d.kind == "i" else value

    out = generate((n, *s.shape), element, d)
    if axis != 0:
        out = FUNCTIONS[np.moveaxis](out, 0, axis)
    return (out, step) if retstep else out


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: Any = 0
) -> Any:
    y = linspace(start, stop, num, endpoint, axis=axis)
    out = elementwise(lambda e: ufunc(np.power, base, e), y)
    return out if dtype is None else out.astype(dtype)


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: Any = 0) -> Any:
    """Between positive numbers; between negative ones with the sign taken off."""
    n, parts, _ = _steps(start, stop, num, endpoint)
    first, last = expect_scalar(start, "the start of geomspace"), expect_scalar(stop, "the stop of geomspace")
    ratio = ufunc(np.true_divide, last, first)

    def element(i: Any) -> Any:
        power = ufunc(np.true_divide, cast(i, FLOAT64), cast(parts, FLOAT64))
        value = ufunc(np.multiply, first, ufunc(np.power, ratio, power))
        return select(constant(ufunc(np.equal, i, parts)), cast(last, value.dtype), value) if endpoint else value

    return generate((n,), element, dtype)


# --- grids and matrices of indices ------------------------------------------------------------------------------------


@implements(np.eye)
def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, order: str = "C", **_: Any) -> Any:
    n, m = new_shape((N, N if M is None else M))
    offset = known(k)
    return generate((n, m), lambda i, j: ufunc(np.equal, j, i + offset), dtype or float)


@implements(np.identity)
def identity(n: Any, dtype: Any = None, **_: Any) -> Any:
    return eye(n, dtype=dtype)


@implements(np.tri)
def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, **_: Any) -> Any:
    n, m = new_shape((N, N if M is None else M))
    return generate((n, m), lambda i, j: ufunc(np.less_equal, j, i + k), dtype or float)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    if indexing not in ("xy", "ij"):
        raise error(ValueError, "Valid values for `indexing` are 'xy' and 'ij'.")
    lines = [lift_array(x).reshape((-1,)) for x in xi]
    order = list(range(len(lines)))
    if indexing == "xy" and len(lines) > 1:
        order[:2] = [1, 0]
    lengths = [lines[k].shape[0] for k in order]
    out = []
    for k, x in enumerate(lines):
        place = order.index(k)
        shape = tuple(n if j == place or not sparse else 1 for j, n in enumerate(lengths))
        view = x.view(shape, lambda index, place=place: (index[place],))
        out.append(view.copy() if copy else view)
    return tuple(out)


@implements(np.indices)
def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    shape = new_shape(dimensions)
    if sparse:
        return tuple(
            generate(tuple(n if j == k else 1 for j, n in enumerate(shape)), lambda *i, k=k: i[k], dtype)
            for k in range(len(shape))
        )
    return generate((len(shape), *shape), lambda which, *i: _pick(which, i), dtype)


def _pick(which: Any, values: Any) -> Any:
    """values[which] for a run-time number."""
    out = values[-1]
    for k in range(len(values) - 2, -1, -1):
        out = select(constant(ufunc(np.equal, which, k)), values[k], out)
    return out


def _grid(sparse: bool) -> Callable[[Any], Any]:
    """np.mgrid[...] and np.ogrid[...]: a slice an axis, whose imaginary step is a number of points."""

    def grid(key: Any) -> Any:
        slices = key if isinstance(key, tuple) else (key,)
        lines = []
        for s in slices:
            start = 0 if s.start is None else s.start
            if isinstance(s.step, complex):
                lines.append(linspace(start, s.stop, int(abs(s.step))))
            else:
                lines.append(arange(start, s.stop, s.step))
        if not isinstance(key, tuple):
            return lines[0]
        out = meshgrid(*lines, sparse=sparse, indexing="ij")
        return out if sparse else FUNCTIONS[np.stack](list(out))

    return grid


implements(np.mgrid)(_grid(sparse=False))
implements(np.ogrid)(_grid(sparse=True))


@implements(np.fromfunction)
def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    lengths = new_shape(shape)
    grids = [generate(lengths, lambda *i, k=k: i[k], dtype) for k in range(len(lengths))]
    return function(*grids, **kwargs)


@implements(np.diag_indices)
def diag_indices(n: Any, ndim: int = 2) -> Any:
    return (arange(n),) * ndim


@implements(np.tril_indices)
def tril_indices(n: Any, k: Any = 0, m: Any = None) -> Any:
    return FUNCTIONS[np.nonzero](tri(n, m, k=k, dtype=bool))


@implements(np.triu_indices)
def triu_indices(n: Any, k: Any = 0, m: Any = None) -> Any:
    return FUNCTIONS[np.nonzero](elementwise(lambda p: ufunc(np.logical_not, p), tri(n, m, k=k - 1, dtype=bool)))


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: Any = 0) -> Any:
    n, m = lift_array(arr).shape
    return tril_indices(n, k, m)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: Any = 0) -> Any:
    n, m = lift_array(arr).shape
    return triu_indices(n, k, m)


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    a = lift_array(x)
    m = a.shape[0] if N is None else new_shape(N)[0]
    last = extent(m - 1)
    d = a.dtype if a.dtype.kind in "fc" else INT64

    def element(i: Any, j: Any) -> Any:
        power = j if increasing else last - j
        return ufunc(np.power, cast(a.read((i,)), d), cast(power, d))

    return generate((a.shape[0], m), element, d)


# --- from other arrays ------------------------------------------------------------------------------------------------


def _constant(value: Any) -> np.ndarray[Any, Any] | None:
    """Lists of nothing but Python numbers, if they are long, as the NumPy array they are."""
    if not isinstance(value, list | tuple) or not _plain(value):
        return None
    found = np.array(value)
    return found if found.size > _SMALL else None


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return isinstance(value, bool | int | float | complex | np.generic | np.ndarray)


def as_array(value: Any, dtype: Any) -> Arr:
    """Anything array-like as an array of a dtype, itself if it is one."""
    long = _constant(value)
    if long is not None:
        return captured(long if dtype is None else long.astype(supported(dtype)))
    if isinstance(value, list | tuple) and not len(value):
        return filled((0,), 0, float if dtype is None else dtype)
    x = lift_array(value)
    return x if dtype is None else x.astype(dtype, copy=False)


@implements(np.array)
def array(
    object: Any, dtype: Any = None, *, copy: Any = True, order: str = "K", subok: bool = False, ndmin: int = 0, **_: Any
) -> Any:
    x = as_array(object, dtype)
    if copy and x is object:
        x = x.copy()
    while x.ndim < ndmin:
        x = x[None]
    return x


@implements(np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require)
def asarray(a: Any, dtype: Any = None, *_: Any, copy: Any = None, **__: Any) -> Any:
    x = as_array(a, dtype)
    return x.copy() if copy and x is a else x


@implements(np.copy)
def copy_(a: Any, order: str = "K", subok: bool = False) -> Any:
    return copy(lift_array(a))


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if where is True:
        dst[...] = src
    else:
        dst[...] = elementwise(lambda p, x, y: lazily(p, lambda: x, lambda: y), where, src, dst)


@implements(method="fill")
def fill(a: Any, value: Any) -> None:
    a[...] = value


@implements(method="__array_namespace__")
def namespace(a: Any, *, api_version: Any = None) -> Any:
    return np


def _caster(dtype: np.dtype[Any]) -> Callable[..., Any]:
    """np.float64(x) and its kin."""

    def convert(value: Any = 0) -> Any:
        x = lift(value)
        return cast(x, dtype) if is_scalar(x) else x.read(()).astype(dtype) if not x.ndim else x.astype(dtype)

    return convert


for _type in (np.bool_, np.int32, np.int64, np.float32, np.float64, np.complex64, np.complex128):
    implements(_type)(_caster(np.dtype(_type)))

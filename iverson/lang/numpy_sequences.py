"""NumPy's functions along a line: cumulative sums, differences, integrals, interpolation, convolution, histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.lang import indexing, shapes
from iverson.lang.dtypes import BOOL_, FLOAT64, INT32, INT64, supported
from iverson.lang.errors import error
from iverson.lang.num import cast, constant, is_scalar, known, select, ufunc
from iverson.lang.numpy_creation import linspace
from iverson.lang.numpy_joins import common_dtype, concatenate
from iverson.lang.numpy_linalg import contract
from iverson.lang.numpy_searching import search
from iverson.lang.numpy_shapes import ravel
from iverson.lang.numpy_support import NO_VALUE, expect_scalar, lazily, require, static_int, store
from iverson.lang.numpy_ufuncs import scan_axis
from iverson.lang.shapes import Extent, axis_of, extent
from iverson.lang.staging import builder
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, elementwise, fold, full, generate, lift, lift_array, total

# --- cumulative -------------------------------------------------------------------------------------------------------


def _cumulative(monoid: str, nan: bool) -> Callable[..., Any]:
    def cumulative(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        x = lift_array(a)
        if axis is None:
            x, axis = ravel(x), 0
        d = supported(dtype) if dtype is not None else INT64 if x.dtype in (BOOL_, INT32) else x.dtype
        neutral = x.dtype.type(0 if monoid == "add" else 1)
        skip = nan and x.dtype.kind == "f"
        clean = (lambda v: select(constant(ufunc(np.isnan, v)), neutral, v)) if skip else (lambda v: v)
        return store(scan_axis(monoid, x, axis, d, clean), out)

    return cumulative


implements(np.cumsum, method="cumsum")(_cumulative("add", nan=False))
implements(np.cumprod, method="cumprod")(_cumulative("mul", nan=False))
implements(np.nancumsum)(_cumulative("add", nan=True))
implements(np.nancumprod)(_cumulative("mul", nan=True))


def _with_initial(monoid: str) -> Callable[..., Any]:
    def cumulative(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        a = lift_array(x)
        if axis is None:
            if a.ndim != 1:
                raise error(ValueError, "For arrays which have more than one dimension ``axis`` argument is required.")
            axis = 0
        result = _cumulative(monoid, nan=False)(a, axis, dtype)
        if include_initial:
            k = axis_of(axis, a.ndim)
            first = full([1 if j == k else n for j, n in enumerate(a.shape)], 0 if monoid == "add" else 1, result.dtype)
            result = concatenate([first, result], k)
        return store(result, out)

    return cumulative


implements(np.cumulative_sum)(_with_initial("add"))
implements(np.cumulative_prod)(_with_initial("mul"))


# --- differences and integrals ----------------------------------------------------------------------------------------


def _part(x: Arr, axis: int, start: Any, stop: Any, step: Any = None) -> Any:
    return x[tuple(slice(start, stop, step) if k == axis else slice(None) for k in range(x.ndim))]


def _difference(x: Any, y: Any) -> Any:
    return elementwise(lambda p, q: ufunc(np.not_equal if p.dtype == BOOL_ else np.subtract, p, q), x, y)


@implements(np.diff)
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = NO_VALUE, append: Any = NO_VALUE) -> Any:
    order = static_int(n, "the order of a difference")
    if order < 0:
        raise error(ValueError, f"order must be non-negative but got {order!r}")
    x = lift_array(a)
    if order == 0:
        return x
    k = axis_of(axis, x.ndim)
    ends = [NO_VALUE if e is NO_VALUE else _end(e, x, k) for e in (prepend, append)]
    parts = [p for p in (ends[0], x, ends[1]) if p is not NO_VALUE]
    x = concatenate(parts, k) if len(parts) > 1 else x
    for _ in range(order):
        x = _difference(_part(x, k, 1, None), _part(x, k, None, -1))
    return x


def _end(value: Any, x: Arr, k: int) -> Arr:
    v = lift_array(value)
    return v if v.ndim else FUNCTIONS[np.broadcast_to](v, [1 if j == k else n for j, n in enumerate(x.shape)])


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    parts = [p if p is None else ravel(lift_array(p)) for p in (to_begin, diff(ravel(ary)), to_end)]
    found = [p for p in parts if p is not None]
    return concatenate(found) if len(found) > 1 else found[0]


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    x = lift_array(f)
    if x.dtype.kind in "ib":
        x = x.astype(FLOAT64)
    axes = (
        range(x.ndim) if axis is None else [axis_of(k, x.ndim) for k in (axis if isinstance(axis, tuple) else (axis,))]
    )
    steps = list(varargs) or [1.0]
    if len(steps) == 1:
        steps *= len(axes)
    if len(steps) != len(axes):
        raise error(TypeError, "invalid number of arguments")
    out = tuple(_slope(x, k, h, edge_order) for k, h in zip(axes, steps, strict=True))
    return out[0] if len(out) == 1 else out


def _slope(x: Arr, k: int, spacing: Any, edge_order: int) -> Arr:
    """Central differences inside, one-sided ones at the two ends."""
    if edge_order not in (1, 2):
        raise error(ValueError, "'edge_order' greater than 2 not supported")
    n = x.shape[k]
    shapes.require_same(
        shapes.minimum(n, edge_order + 1), edge_order + 1, "Shape of array too small to calculate a gradient"
    )
    last = extent(n - 1)
    h = lift(spacing)

    def element(*index: Any) -> Any:
        i = index[k]
        at = lambda j: x.read((*index[:k], j, *index[k + 1 :]))  # noqa: E731
        gap = (lambda j: h) if is_scalar(h) or not h.ndim else (lambda j: h.read((j + 1,)) - h.read((j,)))
        one_sided = _first_order if edge_order == 1 else _second_order
        ends = lazily(
            ufunc(np.equal, i, 0), lambda: one_sided(at, gap, 0, 1), lambda: one_sided(at, gap, last, -1)
        )  # fmt: skip
        inside = ufunc(np.logical_and, ufunc(np.greater, i, 0), ufunc(np.less, i, last))
        return lazily(inside, lambda: _central(at, gap, i, uniform=is_scalar(h) or not h.ndim), lambda: ends)

    return generate(x.shape, element, x.dtype)


def _central(at: Any, gap: Any, i: Any, uniform: bool) -> Any:
    if uniform:
        return (at(i + 1) - at(i - 1)) / (2.0 * gap(i))
    left, right = gap(i - 1), gap(i)
    return (
        -right / (left * (left + right)) * at(i - 1)
        + (right - left) / (left * right) * at(i)
        + left / (right * (left + right)) * at(i + 1)
    )


def _first_order(at: Any, gap: Any, i: Any, way: int) -> Any:
    low = i if way > 0 else i - 1
    return (at(low + 1) - at(low)) / gap(low)


def _second_order(at: Any, gap: Any, i: Any, way: int) -> Any:
    """The slope at an end of the parabola through three points."""
    near, far = (gap(i), gap(i + 1)) if way > 0 else (gap(i - 1), gap(i - 2))
    a = -(2.0 * near + far) / (near * (near + far))
    b, c = (near + far) / (near * far), -near / (far * (near + far))
    return (a * at(i) + b * at(i + way) + c * at(i + 2 * way)) * way


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    values = lift_array(y)
    k = axis_of(axis, values.ndim)
    if x is None:
        width = lift(dx)
    else:
        points = lift_array(x)
        width = diff(points, axis=0 if points.ndim == 1 else k)
        if width.ndim == 1:
            width = width.view(
                tuple(width.shape[0] if j == k else 1 for j in range(values.ndim)), lambda i: (i[k],)
            )  # fmt: skip
    strips = elementwise(
        lambda w, p, q: ufunc(np.true_divide, ufunc(np.multiply, w, ufunc(np.add, p, q)), 2.0),
        width,
        _part(values, k, 1, None),
        _part(values, k, None, -1),
    )
    return FUNCTIONS[np.sum](strips, axis=k)


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear interpolation, by bisection."""
    if period is not None:
        raise error(NotImplementedError, "np.interp with period= is not available in staged programs")
    points, values = lift_array(xp), lift_array(fp)
    n = shapes.require_same(points.shape[0], values.shape[0], "fp and xp are not of the same length")
    require(ufunc(np.greater, n, 0), "array of sample points is empty")
    last = extent(n - 1)

    def inside(v: Any) -> Any:
        found = ufunc(np.maximum, search(points, v, "right") - 1, 0)  # of points that don't increase, too
        j = shapes.minimum(extent(found), shapes.maximum(extent(n - 2), 0))
        up = shapes.minimum(extent(j + 1), last)
        x0, x1, y0, y1 = points.read((j,)), points.read((up,)), values.read((j,)), values.read((up,))
        return lazily(x0 == x1, lambda: y0, lambda: (y1 - y0) / (x1 - x0) * (v - x0) + y0)

    def at(v: Any) -> Any:
        v = constant(v)
        low = (lambda: values.read((0,))) if left is None else (lambda: constant(left))
        high = (lambda: values.read((last,))) if right is None else (lambda: constant(right))
        above = ufunc(np.greater, v, points.read((last,)))
        known_number = lambda: lazily(above, high, lambda: inside(v))  # noqa: E731
        ordered = lambda: lazily(ufunc(np.less, v, points.read((0,))), low, known_number)  # noqa: E731
        return cast(lazily(ufunc(np.isnan, v), lambda: v, ordered), FLOAT64)

    return elementwise(at, x)


# --- convolution ------------------------------------------------------------------------------------------------------


def _window(mode: Any, n: Extent, m: Extent) -> tuple[Any, Extent]:
    """Which part of the full convolution of n and m points a mode asks for: its start and length."""
    small, large = shapes.minimum(n, m), shapes.maximum(n, m)
    match mode:
        case "full" | 2:
            return 0, extent(n + m - 1)
        case "same" | 1:
            return extent((small - 1) // 2), large
        case "valid" | 0:
            return extent(small - 1), extent(large - small + 1)
    raise error(ValueError, f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")


def _convolve(x: Arr, y: Callable[[Any], Any], m: Extent, d: Any, start: Any, length: Extent) -> Any:
    n = x.shape[0]

    def element(k: Any) -> Any:
        k = k + start
        low = ufunc(np.maximum, k - (n - 1), 0)
        count = ufunc(np.minimum, m - 1, k) - low + 1
        return total(
            (extent(count),), lambda j: ufunc(np.multiply, cast(x.read((k - low - j,)), d), cast(y(low + j), d))
        )  # fmt: skip

    return generate((length,), element, d)


def _vectors(a: Any, v: Any) -> tuple[Arr, Arr]:
    x, y = (lift_array(s) for s in (a, v))
    for s in (x, y):
        if s.ndim > 1:
            raise error(ValueError, "object too deep for desired array")
        if s.ndim and isinstance(s.shape[0], int) and s.shape[0] == 0:
            raise error(ValueError, "a convolution needs arrays that aren't empty")
    return x if x.ndim else x.reshape((1,)), y if y.ndim else y.reshape((1,))


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    x, y = _vectors(a, v)
    n, m = x.shape[0], y.shape[0]
    return _convolve(x, lambda j: y.read((j,)), m, common_dtype([x, y]), *_window(mode, n, m))


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    x, y = _vectors(a, v)
    n, m = x.shape[0], y.shape[0]
    start, length = _window(mode, n, m)
    if mode in ("same", 1):  # NumPy swaps a shorter first argument, and centres the other way then
        small = shapes.minimum(n, m)
        shorter = constant(ufunc(np.less, n, m))
        start = known(select(shorter, constant(small - 1 - start), constant(start)))
    return _convolve(x, lambda j: y.read((m - 1 - j,)).conjugate(), m, common_dtype([x, y]), start, length)


# --- statistics -------------------------------------------------------------------------------------------------------


@implements(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    if fweights is not None or aweights is not None:
        raise error(NotImplementedError, "np.cov with weights is not available in staged programs")
    x = _observations(m, rowvar)
    if y is not None:
        x = concatenate([x, _observations(y, rowvar)], 0)
    x = x.astype(FLOAT64 if dtype is None and x.dtype.kind in "ib" else dtype or x.dtype, copy=False)
    n = x.shape[1]
    centred = x - FUNCTIONS[np.mean](x, axis=1, keepdims=True)
    correction = (0 if bias else 1) if ddof is None else ddof
    scale = ufunc(np.true_divide, 1.0, cast(ufunc(np.maximum, n - correction, 0), FLOAT64))
    other = elementwise(lambda v: v.conjugate(), centred) if x.dtype.kind == "c" else centred
    out = contract([centred, other], [("i", "k"), ("j", "k")], ("i", "j"))
    out = elementwise(lambda v: cast(ufunc(np.multiply, v, scale), x.dtype), out)
    return out[0, 0] if _single(m, y) else out


def _observations(m: Any, rowvar: bool) -> Arr:
    x = lift_array(m)
    if x.ndim > 2:
        raise error(ValueError, "m has more than 2 dimensions")
    if x.ndim < 2:
        return x.reshape((1, -1))
    return x if rowvar else x.T


def _single(m: Any, y: Any) -> bool:
    return y is None and lift_array(m).ndim < 2


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = cov(x, y, rowvar, dtype=dtype)
    if is_scalar(c):
        return c / c
    scale = elementwise(lambda v: ufunc(np.sqrt, v), FUNCTIONS[np.diagonal](c))
    n = c.shape[0]

    def element(i: Any, j: Any) -> Any:
        r = c.read((i, j)) / scale.read((i,)) / scale.read((j,))
        return ufunc(np.minimum, ufunc(np.maximum, r, -1.0), 1.0)

    return generate((n, n), element, c.dtype)


def scatter(size: Extent, dtype: Any, shape: Any, place: Callable[..., tuple[Any, Any, Any]]) -> Arr:
    """Zeros to which place(i, ...) = (whether, where, value) are added: reduce by index, others dropped."""
    out = full((size,), 0, dtype)

    def write(acc: Any, index: Any) -> None:
        inside, at, value = place(*index)

        def add() -> tuple[()]:
            indexing.contribute(acc, (at,), cast(value, out.dtype), True)
            return ()

        builder().if_(cast(inside, BOOL_).atom, add, tuple)

    indexing._accumulate(out, tuple(shape), write, "add")
    return out


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    a = lift_array(x)
    if a.dtype.kind not in "ib":
        raise error(TypeError, f"Cannot cast array data from {a.dtype} to int64 according to the rule 'safe'")
    at = lambda i: cast(a.read((i,)), INT64)  # noqa: E731
    least = fold("min", a.shape, at)
    builder().check(
        cast(ufunc(np.greater_equal, least, 0), BOOL_).atom, "'list' argument must have no negative elements"
    )
    top = fold("max", a.shape, at)
    size = shapes.maximum(extent(ufunc(np.maximum, top, -1) + 1), extent(minlength))
    if weights is None:
        return scatter(size, INT64, a.shape, lambda i: (True, at(i), 1))
    w = lift_array(weights)
    shapes.require_same(a.shape[0], w.shape[0], "The weights and list don't have the same length.")
    return scatter(size, FLOAT64, a.shape, lambda i: (True, at(i), w.read((i,))))


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    if isinstance(bins, str):
        raise error(NotImplementedError, "np.histogram needs a number of bins or their edges in staged programs")
    edges = lift(bins)
    if isinstance(edges, Arr) and edges.ndim:
        return edges
    low, high = _span(lift_array(a), range)
    require(ufunc(np.greater, edges, 0), "`bins` must be positive, when an integer")
    return linspace(low, high, extent(edges) + 1)


def _span(x: Arr, limits: Any) -> tuple[Any, Any]:
    """The range of a histogram: NumPy widens one without extent, and gives no data [0, 1]."""
    if limits is None:
        low, high = (cast(fold(m, x.shape, lambda *i: x.read(i)), FLOAT64) for m in ("min", "max"))
        empty = constant(ufunc(np.equal, x.size, 0))
        low, high = select(empty, 0.0, low), select(empty, 1.0, high)
    else:
        low, high = (cast(expect_scalar(v, "a limit of the range"), FLOAT64) for v in limits)
        builder().check(cast(low <= high, BOOL_).atom, "max must be larger than min in range parameter.")
    flat = constant(ufunc(np.equal, low, high))
    return select(flat, low - 0.5, low), select(flat, high + 0.5, high)


def _searched_bin(edges: Arr, last: Extent) -> Callable[[Any], Any]:
    require(ufunc(np.greater, last, 0), "np.histogram needs two edges at least in staged programs")
    rising = fold("and", (last,), lambda i: ufunc(np.less_equal, edges.read((i,)), edges.read((i + 1,))))
    require(constant(rising), "`bins` must increase monotonically, when an array")
    return lambda v: ufunc(np.maximum, ufunc(np.minimum, search(edges, v, "right") - 1, last - 1), 0)


def _uniform_bin(edges: Arr, last: Extent) -> Callable[[Any], Any]:
    """The bin by a division, moved by one where rounding put a value on the wrong side of an edge."""
    low, high = edges.read((0,)), edges.read((last,))
    scale = ufunc(np.true_divide, cast(last, FLOAT64), high - low)

    def find(v: Any) -> Any:
        guess = cast((v - low) * scale, INT64)
        k = ufunc(np.maximum, ufunc(np.minimum, guess, last - 1), 0)
        k = select(constant(v < edges.read((k,))), k - 1, k)
        up = ufunc(np.logical_and, v >= edges.read((k + 1,)), ufunc(np.less, k, last - 1))
        return select(constant(up), k + 1, k)

    return find


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    x = lift_array(a)
    edges = histogram_bin_edges(x, bins, range)
    last = extent(edges.shape[0] - 1)
    w = None if weights is None else lift_array(weights)
    d = INT64 if w is None else w.dtype if w.dtype.kind in "fc" else FLOAT64 if w.dtype.kind == "b" else INT64

    find = _uniform_bin(edges, last) if is_scalar(lift(bins)) else _searched_bin(edges, last)

    def place(*index: Any) -> tuple[Any, Any, Any]:
        v = x.read(index)
        inside = ufunc(np.logical_and, v >= edges.read((0,)), v <= edges.read((last,)))
        return inside, find(v), 1 if w is None else w.read(index)

    counts = scatter(last, d, x.shape, place)
    if not density:
        return counts, edges
    widths = diff(edges)
    whole = FUNCTIONS[np.sum](counts)
    return elementwise(lambda c, b: c / b / whole, counts, widths), edges

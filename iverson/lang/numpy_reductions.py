"""NumPy's reductions: one For over the axes that stay, around one over those that are reduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from iverson.core import monoids
from iverson.core.syntax import Monoid
from iverson.lang.dtypes import BOOL_, FLOAT64, INT32, INT64, core_dtype, is_complex, real_dtype, supported
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, select, ufunc
from iverson.lang.numpy_support import NO_VALUE, given, lazily, normal_axes, store, truth_of
from iverson.lang.shapes import Shape, broadcast, extent_atom, never_negative, product, stretch
from iverson.lang.staging import builder
from iverson.lang.table import implements
from iverson.lang.values import Arr, elementwise, fold, generate, lift_array, total

Element = Callable[[tuple[Any, ...]], Any]
Combine = Callable[[Shape, Callable[..., Any]], Any]


# --- the frame --------------------------------------------------------------------------------------------------------


def over(shape: Shape, axes: Sequence[int], element: Element, combine: Combine, keepdims: bool = False) -> Any:
    """combine(lengths, at) for every index of the axes that stay; at(i, ...) is an element of the others.

    `element` takes an index of the whole shape.  A Num if no axis stays.
    """
    kept = [k for k in range(len(shape)) if k not in axes]
    lengths = tuple(shape[k] for k in axes)

    def at_kept(*outer: Num) -> Any:
        place = dict(zip(kept, outer, strict=True))

        def at(*inner: Any) -> Any:
            index = place | dict(zip(axes, inner, strict=True))
            return element(tuple(index[k] for k in range(len(shape))))

        return combine(lengths, at)

    if not kept:
        value = at_kept()
        return value if not keepdims or not shape else generate((1,) * len(shape), lambda *_: value)
    out = generate([shape[k] for k in kept], at_kept)
    return _with_ones(out, kept, len(shape)) if keepdims else out


def _with_ones(x: Any, kept: Sequence[int], rank: int) -> Any:
    """The reduced axes back, with length 1."""
    if isinstance(x, tuple):
        return tuple(_with_ones(part, kept, rank) for part in x)
    place = {k: j for j, k in enumerate(kept)}
    shape = tuple(x.shape[place[k]] if k in place else 1 for k in range(rank))
    return x.view(shape, lambda index: tuple(index[k] for k in kept))


def masked(x: Arr, where: Any, otherwise: Any, f: Callable[[Num], Any] = lambda v: v) -> tuple[Shape, Element]:
    """The elements f(x[i]) where the mask holds, else `otherwise`; with the shape of both broadcast."""
    if where is True or where is NO_VALUE:
        return x.shape, lambda index: f(x.read(index))
    mask = lift_array(where)
    if mask.dtype != BOOL_:
        raise error(TypeError, f"where is an array of bools, not of {mask.dtype.name}")
    shape = broadcast([x.shape, mask.shape])

    def element(index: tuple[Any, ...]) -> Any:
        p = mask.read(stretch(index, mask.shape))
        return lazily(p, lambda: f(x.read(stretch(index, x.shape))), lambda: otherwise)

    return shape, element


def require_some(lengths: Shape, what: str) -> None:
    """Raise, now or when the program runs, if there is nothing to reduce."""
    message = f"zero-size array to reduction operation {what} which has no identity"
    for n in lengths:
        if isinstance(n, int) and n == 0:
            raise error(ValueError, message)
        if not isinstance(n, int) and not never_negative(n - 1):
            builder().check(builder().o.gt(extent_atom(n), 0), message)


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What sums and products of a dtype are computed in."""
    return INT64 if dtype in (BOOL_, INT32) else dtype


def _result_dtype(x: Arr, dtype: Any) -> np.dtype[Any]:
    return _wide(x.dtype) if dtype is None else supported(dtype)


# --- sums and products ------------------------------------------------------------------------------------------------


def _monoid(name: Monoid) -> Combine:
    return lambda lengths, at: fold(name, lengths, at)


def _summed(
    monoid: str, x: Any, axis: Any, dtype: Any, out: Any, keepdims: Any, initial: Any, where: Any, clean: Any = None
) -> Any:
    """A sum or product; `clean` replaces elements first."""
    a = lift_array(x)
    d = _result_dtype(a, dtype)
    neutral = d.type(0 if monoid == "add" else 1)

    def f(v: Num) -> Num:
        return cast(v if clean is None else select(ufunc(np.isnan, v), neutral, v), d)

    shape, element = masked(a, where, neutral, f)
    combine: Combine = total if monoid == "add" else _monoid("mul")
    result = over(shape, normal_axes(axis, len(shape)), element, combine, given(keepdims, False))
    start = given(initial, None)
    if start is not None:
        function = np.add if monoid == "add" else np.multiply
        result = elementwise(lambda v: ufunc(function, v, start), result, dtype=d)
    return store(result, out)


@implements(np.sum, method="sum")
def sum_(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:  # fmt: skip
    return _summed("add", a, axis, dtype, out, keepdims, initial, where)


@implements(np.prod, method="prod")
def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:  # fmt: skip
    return _summed("mul", a, axis, dtype, out, keepdims, initial, where)


@implements(np.nansum)
def nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:  # fmt: skip
    return _summed("add", a, axis, dtype, out, keepdims, initial, where, clean=True)


@implements(np.nanprod)
def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:  # fmt: skip
    return _summed("mul", a, axis, dtype, out, keepdims, initial, where, clean=True)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    x = lift_array(a)
    axes = normal_axes(axis, x.ndim)
    return over(x.shape, axes, lambda i: cast(truth_of(x.read(i)), INT64), _monoid("add"), keepdims)


# --- means and moments ------------------------------------------------------------------------------------------------


def _count(
    shape: Shape, axes: Sequence[int], where: Any, keepdims: bool, valid: Callable[..., Num] | None = None
) -> Any:
    """How many elements are reduced: a number, or an array where a mask decides."""
    if where is True and valid is None:
        return product([shape[k] for k in axes])
    mask = None if where is True else lift_array(where)

    def element(index: tuple[Any, ...]) -> Any:
        p = valid(index) if valid else True
        if mask is not None:
            p = ufunc(np.logical_and, p, mask.read(stretch(index, mask.shape)))
        return cast(p, INT64)

    return over(shape, axes, element, _monoid("add"), keepdims)


def _mean_dtype(x: Arr, dtype: Any) -> np.dtype[Any]:
    if dtype is not None:
        return supported(dtype)
    return x.dtype if x.dtype.kind in "fc" else FLOAT64


def _not_nan(x: Arr) -> Callable[..., Num]:
    return lambda index: ufunc(np.logical_not, ufunc(np.isnan, x.read(stretch(index, x.shape))))


def _mean(x: Arr, axis: Any, d: np.dtype[Any], keepdims: bool, where: Any, nan: bool = False) -> tuple[Any, Any]:
    """The mean and the number of elements."""
    skip = nan and x.dtype.kind in "fc"
    zero = d.type(0)
    shape, element = masked(
        x, where, zero, lambda v: cast(select(ufunc(np.isnan, v), zero, v) if skip else v, d)
    )  # fmt: skip
    axes = normal_axes(axis, len(shape))
    count = _count(shape, axes, where, keepdims, _not_nan(x) if skip else None)
    result = over(shape, axes, element, total, keepdims)
    real = real_dtype(d)
    return elementwise(lambda s, n: cast(ufunc(np.true_divide, s, cast(n, real)), d), result, count), count


@implements(np.mean, method="mean")
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    x = lift_array(a)
    return store(_mean(x, axis, _mean_dtype(x, dtype), given(keepdims, False), given(where, True))[0], out)


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    x = lift_array(a)
    return store(_mean(x, axis, _mean_dtype(x, dtype), given(keepdims, False), given(where, True), nan=True)[0], out)


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    if weights is None:
        x = lift_array(a)
        result, count = _mean(x, axis, _mean_dtype(x, None), given(keepdims, False), True)
    else:
        x, w = lift_array(a), lift_array(weights)
        if w.ndim == 1 and x.ndim > 1:
            (k,) = normal_axes(axis, x.ndim) if axis is not None else (-1,)
            if k < 0:
                raise error(TypeError, "Axis must be specified when shapes of a and weights differ.")
            w = w.view(tuple(w.shape[0] if j == k else 1 for j in range(x.ndim)), lambda i: (i[k],))
        keep = given(keepdims, False)
        full = broadcast([x.shape, w.shape])
        axes = normal_axes(axis, len(full))
        d = np.result_type(x.dtype, w.dtype, FLOAT64 if x.dtype.kind in "ib" else x.dtype)
        result = over(
            full, axes, lambda i: ufunc(np.multiply, cast(x.read(stretch(i, x.shape)), d), w.read(stretch(i, w.shape))),
            total, keep,
        )  # fmt: skip
        count = over(full, axes, lambda i: cast(w.read(stretch(i, w.shape)), d), total, keep)
        result = elementwise(lambda s, n: ufunc(np.true_divide, s, n), result, count)
    return (result, elementwise(lambda r, n: cast(n, r.dtype), result, count)) if returned else result


def _variance(
    a: Any, axis: Any, dtype: Any, out: Any, ddof: Any, keepdims: Any, where: Any, centre: Any, nan: bool, root: bool
) -> Any:
    x = lift_array(a)
    d = _mean_dtype(x, dtype)
    real = real_dtype(d)
    keep, where = given(keepdims, False), given(where, True)
    middle, _ = _mean(x, axis, d, True, where, nan)
    middle = lift_array(middle if centre is NO_VALUE else centre)
    shape = broadcast([x.shape] if where is True else [x.shape, lift_array(where).shape])
    skip = nan and x.dtype.kind in "fc"

    def square(index: tuple[Any, ...]) -> Num:
        v = x.read(stretch(index, x.shape))
        z = ufunc(np.subtract, cast(v, d), middle.read(stretch(index, middle.shape)))
        s = ufunc(np.square, z) if z.im is None else z.real * z.real + z.imag * z.imag
        return cast(select(ufunc(np.isnan, v), real.type(0), s) if skip else s, real)

    element: Element = square
    if where is not True:
        mask = lift_array(where)

        def element(index: tuple[Any, ...]) -> Any:
            return lazily(mask.read(stretch(index, mask.shape)), lambda: square(index), lambda: real.type(0))

    axes = normal_axes(axis, len(shape))
    count = _count(shape, axes, where, keep, _not_nan(x) if skip else None)
    result = over(shape, axes, element, total, keep)

    def finish(s: Any, n: Any) -> Num:
        divisor = ufunc(np.maximum, cast(n, real) - ddof, real.type(0))
        v = ufunc(np.true_divide, s, divisor)
        return cast(ufunc(np.sqrt, v) if root else v, real)

    return store(elementwise(finish, result, count), out)


def _moment(root: bool, nan: bool) -> Callable[..., Any]:
    def moment(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = True, mean: Any = NO_VALUE, correction: Any = NO_VALUE,
    ) -> Any:  # fmt: skip
        ddof = given(correction, ddof)
        return _variance(a, axis, dtype, out, ddof, keepdims, where, mean, nan, root)

    return moment


implements(np.var, method="var")(_moment(root=False, nan=False))
implements(np.std, method="std")(_moment(root=True, nan=False))
implements(np.nanvar)(_moment(root=False, nan=True))
implements(np.nanstd)(_moment(root=True, nan=True))


# --- extrema ----------------------------------------------------------------------------------------------------------


def _worst(name: str, dtype: np.dtype[Any]) -> Any:
    """The identity of min or max."""
    if dtype == BOOL_:
        return np.bool_(name == "min")
    return dtype.type(monoids.identity(name, core_dtype(dtype))[0])


def _extremum(name: str, nan: bool) -> Callable[..., Any]:
    function = np.minimum if name == "min" else np.maximum

    def extremum(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE, where: Any = True
    ) -> Any:
        x = lift_array(a)
        if is_complex(x.dtype):
            raise error(TypeError, f"np.{name} of complex numbers is not available: they have no order")
        if where is not True and where is not NO_VALUE and initial is NO_VALUE:
            raise error(ValueError, f"reduction operation '{function.__name__}' with a where mask needs initial=")
        worst = _worst(name, x.dtype)
        skip = nan and x.dtype.kind == "f"
        shape, element = masked(
            x, where, worst, lambda v: select(ufunc(np.isnan, v), worst, v) if skip else v
        )  # fmt: skip
        axes = normal_axes(axis, len(shape))
        if initial is NO_VALUE:
            require_some(tuple(shape[k] for k in axes), function.__name__)
        keep = given(keepdims, False)
        monoid = name if x.dtype != BOOL_ else "and" if name == "min" else "or"
        result = over(shape, axes, element, _monoid(monoid), keep)
        if skip:
            valid = _not_nan(x)
            any_valid = over(shape, axes, valid, _monoid("or"), keep)
            result = elementwise(lambda p, v: select(p, v, x.dtype.type(np.nan)), any_valid, result)
        if initial is not NO_VALUE:
            result = elementwise(lambda v: cast(ufunc(function, v, initial), x.dtype), result)
        return store(result, out)

    return extremum


implements(np.min, np.amin, method="min")(_extremum("min", nan=False))
implements(np.max, np.amax, method="max")(_extremum("max", nan=False))
implements(np.nanmin)(_extremum("min", nan=True))
implements(np.nanmax)(_extremum("max", nan=True))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    high = _extremum("max", nan=False)(a, axis, keepdims=keepdims)
    low = _extremum("min", nan=False)(a, axis, keepdims=keepdims)
    return store(elementwise(lambda p, q: ufunc(np.subtract, p, q), high, low), out)


def _arg(name: str, nan: bool) -> Callable[..., Any]:
    def arg(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        x = lift_array(a)
        axes = normal_axes(axis, x.ndim)
        lengths = tuple(x.shape[k] for k in axes)
        for n in lengths:
            if isinstance(n, int) and n == 0:
                raise error(ValueError, f"attempt to get {name} of an empty sequence")
        require_some(lengths, name)
        worst = _worst(name[3:], x.dtype)

        def value(index: tuple[Any, ...]) -> Num:
            v = x.read(index)
            v = select(ufunc(np.isnan, v), worst, v) if nan and x.dtype.kind == "f" else v
            return cast(v, INT64) if x.dtype == BOOL_ else v

        def best(shape: Shape, at: Callable[..., Any]) -> Any:
            if not shape:
                return np.int64(0)
            return fold(name, shape, lambda *i: (at(*i), flat_index(i, shape)))[1]

        return store(
            over(x.shape, axes, value, lambda shape, at: cast(best(shape, at), INT64), given(keepdims, False)), out
        )

    return arg


def flat_index(index: Sequence[Any], shape: Shape) -> Any:
    """The row-major position of an index."""
    place: Any = 0
    for i, n in zip(index, shape, strict=True):
        place = place * n + i
    return place


implements(np.argmin, method="argmin")(_arg("argmin", nan=False))
implements(np.argmax, method="argmax")(_arg("argmax", nan=False))
implements(np.nanargmin)(_arg("argmin", nan=True))
implements(np.nanargmax)(_arg("argmax", nan=True))


# --- truth ------------------------------------------------------------------------------------------------------------


def _quantifier(name: str) -> Callable[..., Any]:
    def quantifier(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        x = lift_array(a)
        shape, element = masked(x, where, np.bool_(name == "and"), truth_of)
        return store(over(shape, normal_axes(axis, len(shape)), element, _monoid(name), given(keepdims, False)), out)

    return quantifier


implements(np.any, method="any")(_quantifier("or"))
implements(np.all, method="all")(_quantifier("and"))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    x, y = lift_array(a1), lift_array(a2)
    if x.ndim != y.ndim:
        return False
    same = elementwise(lambda m, n: ufunc(np.equal, m, n), 0, 0)
    for m, n in zip(x.shape, y.shape, strict=True):
        same = ufunc(np.logical_and, same, ufunc(np.equal, m, n))
    same = constant(same)

    def equal(*index: Any) -> Any:
        p, q = x.read(index), y.read(index)
        both = ufunc(np.logical_and, ufunc(np.isnan, p), ufunc(np.isnan, q)) if equal_nan else False
        return ufunc(np.logical_or, ufunc(np.equal, p, q), both)

    return lazily(same, lambda: fold("and", x.shape, equal), lambda: np.bool_(False))

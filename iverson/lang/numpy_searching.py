"""NumPy's functions that choose: where, select, clip, searching, sorting, and comparisons with a tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from iverson.core.syntax import Atom
from iverson.lang import indexing, shapes
from iverson.lang.dtypes import BOOL_, FLOAT64, INT64
from iverson.lang.errors import error
from iverson.lang.num import Num, as_kind, cast, constant, integer, is_scalar, kind_of, promote, select, ufunc
from iverson.lang.numpy_joins import common_dtype
from iverson.lang.numpy_reductions import over
from iverson.lang.numpy_shapes import ravel
from iverson.lang.numpy_support import lazily, sequence, store, truth_of
from iverson.lang.shapes import extent_atom, stretch
from iverson.lang.staging import builder
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, copy, elementwise, fold, generate, lift, lift_array

# --- choosing ---------------------------------------------------------------------------------------------------------


def _reader(x: Any) -> Callable[[Sequence[Any]], Any]:
    """The element that belongs to an index of the broadcast result."""
    return (
        (lambda index: x.read(stretch(index, x.shape) if x.ndim else ())) if isinstance(x, Arr) else (lambda index: x)
    )


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """x where the condition holds, else y: the elements of the other are neither read nor computed."""
    if x is None and y is None:
        return nonzero(condition)
    if x is None or y is None:
        raise error(ValueError, "either both or neither of x and y should be given")
    return _choice([(lift(condition), lift(x))], lift(y))


def _choice(cases: Sequence[tuple[Any, Any]], default: Any) -> Any:
    """The value of the first case whose condition holds."""
    values = [v for _, v in cases] + [default]
    operands = [p for p, _ in cases] + values
    arrays = [v for v in operands if isinstance(v, Arr) and v.ndim]
    d = common_dtype(values)

    def element(*index: Any) -> Any:
        def of(k: int) -> Any:
            if k == len(cases):
                return cast(_reader(default)(index), d)
            p, v = cases[k]
            return lazily(cast(_reader(p)(index), BOOL_), lambda: cast(_reader(v)(index), d), lambda: of(k + 1))

        return of(0)

    if arrays:
        return generate(shapes.broadcast([a.shape for a in arrays]), element, d)
    weak = all(is_scalar(v) and kind_of(v).weak for v in values)
    return as_kind(element(), promote([kind_of(v) for v in values])) if weak else element()


@implements(np.select)
def select_(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    conditions, choices = sequence(condlist), sequence(choicelist)
    if len(conditions) != len(choices):
        raise error(ValueError, "list of cases must be same length as list of conditions")
    if not conditions:
        raise error(ValueError, "select with an empty condition list is not possible")
    return _choice([(lift(p), lift(v)) for p, v in zip(conditions, choices, strict=True)], lift(default))


@implements(np.choose, method="choose")
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    which, values = lift(a), [lift(v) for v in sequence(choices)]
    if mode == "wrap":
        which = which % len(values)
    elif mode == "clip":
        which = np.minimum(np.maximum(which, 0), len(values) - 1)
    else:
        _expect_choices(which, len(values))
    cases = [(elementwise(lambda i, k=k: ufunc(np.equal, i, k), which), v) for k, v in enumerate(values[:-1])]
    return store(_choice(cases, values[-1]) if cases else values[0], out)


def _expect_choices(which: Any, count: int) -> None:
    x = lift_array(which)
    fits = fold("and", x.shape, lambda *i: ufunc(np.logical_and, x.read(i) >= 0, x.read(i) < count))
    builder().check(cast(fits, BOOL_).atom, "invalid entry in choice array")


@implements(np.clip, method="clip")
def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None, **_: Any
) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    result = lift(a)
    if low is not None:
        result = elementwise(lambda v, m: ufunc(np.maximum, v, m), result, low)
    if high is not None:
        result = elementwise(lambda v, m: ufunc(np.minimum, v, m), result, high)
    return store(result, out)


# --- where something holds --------------------------------------------------------------------------------------------


@implements(np.nonzero, method="nonzero")
def nonzero(a: Any) -> Any:
    x = lift_array(a)
    mask = x if x.dtype == BOOL_ else elementwise(truth_of, x)
    return tuple(indexing.where(mask))


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    return nonzero(ravel(a))[0]


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    return FUNCTIONS[np.column_stack](nonzero(a))


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    return ravel(arr)[flatnonzero(condition)]


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    return store(FUNCTIONS[np.take](a, flatnonzero(condition), axis), out)


@implements(method="compress")
def compress_method(a: Any, condition: Any, axis: Any = None, out: Any = None) -> Any:
    return compress(condition, a, axis, out)


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    tests = ravel(test_elements)

    def found(v: Any) -> Any:
        p = fold("or", tests.shape, lambda j: ufunc(np.equal, v, tests.read((j,))))
        return ufunc(np.logical_not, p) if invert else p

    return elementwise(found, element)


# --- searching --------------------------------------------------------------------------------------------------------


def _before(x: Num, y: Num) -> Num:
    """x < y in the order of sorting, which puts NaN last."""
    less = ufunc(np.less, x, y)
    if x.dtype.kind != "f":
        return less
    return ufunc(
        np.logical_or, less, ufunc(np.logical_and, ufunc(np.isnan, y), ufunc(np.logical_not, ufunc(np.isnan, x)))
    )


def search(a: Arr, value: Any, side: str) -> Num:
    """The first place where `value` can be inserted into sorted `a` (side "left"), or the last one: by bisection."""
    d = common_dtype([a, value])
    wanted = cast(value, d)

    def go(low: Atom, high: Atom) -> Any:
        return builder().o.lt(low, high)

    def halve(low: Atom, high: Atom) -> Any:
        o = builder().o
        middle = o.floordiv(o.add(low, high), 2)
        x = cast(a.read((integer(middle),)), d)
        right = _before(x, wanted) if side == "left" else ufunc(np.logical_not, _before(wanted, x))
        return o.select(right.atom, o.add(middle, 1), low), o.select(right.atom, high, middle)

    return integer(builder().while_((0, extent_atom(a.shape[0])), go, halve, hints=("low", "high"))[0])


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    x = lift_array(a)
    if side not in ("left", "right"):
        raise error(ValueError, f"search side must be 'left' or 'right' (got {side!r})")
    if sorter is not None:
        x = x[lift(sorter)]
    return elementwise(lambda value: cast(search(x, value, side), INT64), v)


@implements(method="searchsorted")
def searchsorted_method(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    return searchsorted(a, v, side, sorter)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    edges = lift_array(bins)
    pairs = shapes.maximum(shapes.extent(edges.shape[0] - 1), 0)
    rising = fold("and", (pairs,), lambda i: ufunc(np.less_equal, edges.read((i,)), edges.read((i + 1,))))
    builder().check(cast(rising, BOOL_).atom, "bins must increase; falling ones are not available in staged programs")
    return searchsorted(edges, x, "left" if right else "right")


# --- elementwise, beyond ufuncs ---------------------------------------------------------------------------------------


@implements(np.round, np.around, method="round")
def round_(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    x = lift(a)
    dtype = x.dtype if isinstance(x, Arr) else kind_of(x).dtype
    if dtype.kind in "ib":
        if isinstance(decimals, int) and decimals >= 0:
            return store(copy(x) if isinstance(x, Arr) else x, out)
        raise error(NotImplementedError, "rounding integers to tens is not available in staged programs")
    if isinstance(decimals, int) and decimals == 0:
        return store(elementwise(lambda v: ufunc(np.rint, v), x), out)
    scale = ufunc(np.power, 10.0, decimals) if isinstance(decimals, Num) else 10.0 ** abs(decimals)
    up, down = (np.multiply, np.true_divide)
    if isinstance(decimals, int) and decimals < 0:
        up, down = down, up
    return store(elementwise(lambda v: ufunc(down, ufunc(np.rint, ufunc(up, v, scale)), scale), x), out)


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    return store(elementwise(lambda v: ufunc(np.trunc, v), x), out)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    def at(v: Any) -> Any:
        x = constant(v)
        x = cast(x, FLOAT64) if x.dtype.kind in "ib" else x
        turn = ufunc(np.arctan2, x.dtype.type(0) if x.im is None else x.imag, x.real)
        return ufunc(np.degrees, turn) if deg else turn

    return elementwise(at, z)


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x); guarded at 0, so that the slope there is 0 and not NaN."""

    def at(v: Any) -> Any:
        v = cast(v, FLOAT64) if constant(v).dtype.kind in "ib" else constant(v)
        zero = ufunc(np.equal, v, 0.0)
        y = ufunc(np.multiply, select(constant(zero), v.dtype.type(1), v), np.pi)
        return select(constant(zero), v.dtype.type(1), ufunc(np.true_divide, ufunc(np.sin, y), y))

    return elementwise(at, x)


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    def clean(v: Any) -> Any:
        v = constant(v)
        if v.dtype.kind != "f":
            return v
        info = np.finfo(v.dtype)
        high = v.dtype.type(info.max) if posinf is None else cast(posinf, v.dtype)
        low = v.dtype.type(info.min) if neginf is None else cast(neginf, v.dtype)
        finite = select(constant(v == np.inf), high, select(constant(v == -np.inf), low, v))
        return select(constant(ufunc(np.isnan, v)), cast(nan, v.dtype), finite)

    out = elementwise(clean, x)
    if copy:
        return out
    lift_array(x)[...] = out
    return x


def _signed_infinity(value: float) -> Callable[..., Any]:
    return lambda x, out=None: store(elementwise(lambda v: ufunc(np.equal, v, value), x), out)


implements(np.isposinf)(_signed_infinity(np.inf))
implements(np.isneginf)(_signed_infinity(-np.inf))


def _close(x: Any, y: Any, rtol: Any, atol: Any, equal_nan: bool) -> Any:
    p, q = (cast(v, FLOAT64) if constant(v).dtype.kind in "ib" else constant(v) for v in (x, y))
    bound = ufunc(np.add, atol, ufunc(np.multiply, rtol, ufunc(np.absolute, q)))
    near = ufunc(np.less_equal, ufunc(np.absolute, ufunc(np.subtract, p, q)), bound)
    out = ufunc(np.logical_or, ufunc(np.logical_and, near, ufunc(np.isfinite, q)), ufunc(np.equal, p, q))
    if equal_nan:
        out = ufunc(np.logical_or, out, ufunc(np.logical_and, ufunc(np.isnan, p), ufunc(np.isnan, q)))
    return out


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    return elementwise(lambda x, y: _close(x, y, rtol, atol, equal_nan), a, b)


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    x, y = lift_array(a), lift_array(b)
    shape = shapes.broadcast([x.shape, y.shape])
    near = lambda i: _close(x.read(stretch(i, x.shape)), y.read(stretch(i, y.shape)), rtol, atol, equal_nan)  # noqa: E731
    return over(shape, range(len(shape)), near, lambda lengths, at: fold("and", lengths, at))

"""NumPy's and SciPy's ufuncs on staged arrays: calls, and the methods reduce, accumulate, outer and at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.core.syntax import Monoid, Operator, Scalar, Var
from iverson.lang import indexing
from iverson.lang.dtypes import BOOL_, core_dtype, supported
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, kind_of, ufunc
from iverson.lang.numpy_reductions import over, require_some
from iverson.lang.numpy_support import NO_VALUE, given, lazily, normal_axes, scan, store
from iverson.lang.shapes import axis_of
from iverson.lang.staging import builder
from iverson.lang.table import FUNCTIONS, UFUNC_METHODS
from iverson.lang.values import Arr, elementwise, fold, generate, lift, lift_array, total

Implementation = Callable[..., Any]


def ufunc_method(how: str) -> Callable[[Implementation], Implementation]:
    """Enter the implementation of a ufunc method into the table."""

    def enter(implementation: Implementation) -> Implementation:
        UFUNC_METHODS[how] = implementation
        return implementation

    return enter


# --- calls ------------------------------------------------------------------------------------------------------------


@ufunc_method("__call__")
def call(
    function: np.ufunc, *inputs: Any, out: Any = None, where: Any = True, dtype: Any = None, casting: str = "same_kind",
    order: str = "K", subok: bool = True,
) -> Any:  # fmt: skip
    """A ufunc of broadcast operands."""
    if function.signature is not None:
        return store(FUNCTIONS[function](*inputs), out)
    if len(inputs) > function.nin:
        inputs, out = inputs[: function.nin], inputs[function.nin :]
    if len(inputs) < function.nin:
        raise error(
            TypeError, f"{function.__name__}() takes {function.nin} positional arguments, {len(inputs)} are given"
        )
    wanted = None if dtype is None else supported(dtype)

    def fn(*elements: Any) -> Any:
        if wanted is None:
            return ufunc(function, *elements)
        return cast(ufunc(function, *(cast(e, wanted) for e in elements)), wanted)

    if where is not True:
        return _call_where(fn, inputs, out, where)
    results = elementwise(fn, *inputs)
    if not isinstance(results, tuple):
        return store(results, out)
    targets = out if isinstance(out, tuple) else (None,) * len(results)
    return tuple(store(r, (t,)) for r, t in zip(results, targets, strict=True))


def _call_where(fn: Callable[..., Any], inputs: tuple[Any, ...], out: Any, where: Any) -> Any:
    """A ufunc where a mask holds; elsewhere what `out` held, or zeros."""
    target = out[0] if isinstance(out, tuple) else out
    old = 0 if target is None else target

    def chosen(p: Any, before: Any, *elements: Any) -> Any:
        return lazily(p, lambda: fn(*elements), lambda: before)

    return store(elementwise(chosen, where, old, *inputs), out)


# --- reductions -------------------------------------------------------------------------------------------------------

_BUILTIN: dict[np.ufunc, Monoid] = {
    np.add: "add",
    np.multiply: "mul",
    np.minimum: "min",
    np.maximum: "max",
    np.logical_and: "and",
    np.logical_or: "or",
}
_ON_BOOLS: dict[np.ufunc, Monoid] = {
    np.add: "or",
    np.multiply: "and",
    np.minimum: "and",
    np.maximum: "or",
    np.bitwise_and: "and",
    np.bitwise_or: "or",
}
_IDENTITIES: dict[np.ufunc, Any] = {
    np.logaddexp: -np.inf,
    np.logaddexp2: -np.inf,
    np.fmax: np.nan,
    np.fmin: np.nan,
    np.gcd: 0,
    np.lcm: 1,
    np.bitwise_and: -1,
    np.bitwise_or: 0,
    np.bitwise_xor: 0,
    np.logical_xor: False,
}
_TRUTH = (np.logical_and, np.logical_or, np.logical_xor)


def monoid_of(function: np.ufunc, dtype: np.dtype[Any]) -> Monoid:
    """The monoid that a ufunc is on a dtype."""
    table = _ON_BOOLS if dtype == BOOL_ else _BUILTIN
    found = table.get(function) or _BUILTIN.get(function)
    if found is not None and (dtype != BOOL_ or found in ("and", "or")):
        return found
    if function not in _IDENTITIES:
        raise error(
            NotImplementedError,
            f"np.{function.__name__} is not associative, or of these values not a reduction: write a loop",
        )
    d = core_dtype(dtype)
    b = builder()
    left, right = Var(Scalar(d), "l"), Var(Scalar(d), "r")
    unit = cast(np.bool_(True) if dtype == BOOL_ and function is np.bitwise_and else _IDENTITIES[function], dtype)
    body = b.block(lambda: (cast(ufunc(function, Num(left), Num(right)), dtype).atom,))
    return Operator((unit.atom,), (left,), (right,), body)


def _reduction_dtype(function: np.ufunc, x: Arr, dtype: Any) -> np.dtype[Any]:
    if function in _TRUTH:
        return BOOL_
    if dtype is not None:
        return supported(dtype)
    if function in (np.add, np.multiply):
        return np.dtype(np.int64) if x.dtype.kind in "ib" else x.dtype
    return ufunc(function, x.dtype.type(1), x.dtype.type(1)).dtype


@ufunc_method("reduce")
def reduce(
    function: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
    initial: Any = NO_VALUE, where: Any = True,
) -> Any:  # fmt: skip
    """function.reduce: any associative ufunc, along axes."""
    x = lift_array(array)
    d = _reduction_dtype(function, x, dtype)
    axes = normal_axes(axis, x.ndim)
    complex_sum = function is np.add and d.kind == "c"
    monoid = "add" if complex_sum else monoid_of(function, d)
    if function in (np.minimum, np.maximum) and initial is NO_VALUE:
        require_some(tuple(x.shape[k] for k in axes), function.__name__)
    if where is not True:
        raise error(NotImplementedError, f"np.{function.__name__}.reduce with where= is not available: use np.where")

    def combine(lengths: Any, at: Callable[..., Any]) -> Any:
        if complex_sum:
            return total(lengths, lambda *i: cast(at(*i), d))
        return fold(monoid, lengths, lambda *i: cast(at(*i), d))

    result = over(x.shape, axes, x.read, combine, given(keepdims, False))
    start = given(initial, None)
    if start is not None:
        result = elementwise(lambda v: cast(ufunc(function, v, start), d), result)
    return store(result, out)


@ufunc_method("accumulate")
def accumulate(function: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """function.accumulate: the inclusive scan along an axis."""
    x = lift_array(array)
    d = _reduction_dtype(function, x, dtype)
    return store(scan_axis(monoid_of(function, d), x, axis, d), out)


def scan_axis(
    monoid: Monoid, x: Arr, axis: Any, dtype: np.dtype[Any], clean: Callable[[Num], Any] = lambda v: v
) -> Arr:
    """The inclusive scan along one axis, as an array with the axes of x."""
    k = axis_of(axis, x.ndim)
    others = [n for j, n in enumerate(x.shape) if j != k]

    def row(*outer: Any) -> Arr:
        return scan(monoid, x.shape[k], lambda i: clean(x.read((*outer[:k], i, *outer[k:]))), dtype)

    if not others:
        return row()
    out = generate(others, row, dtype)
    last = x.ndim - 1
    return out.permuted(tuple(last if j == k else j - (j > k) for j in range(x.ndim)))


@ufunc_method("outer")
def outer(function: np.ufunc, a: Any, b: Any, *, dtype: Any = None, out: Any = None) -> Any:
    """function of all pairs."""
    x, y = lift_array(a), lift_array(b)
    wanted = None if dtype is None else supported(dtype)

    def pair(*index: Any) -> Any:
        return ufunc(function, x.read(index[: x.ndim]), y.read(index[x.ndim :]))

    shape = (*x.shape, *y.shape)
    result = generate(shape, pair, wanted) if shape else pair()
    return store(result, out)


@ufunc_method("at")
def at(function: np.ufunc, a: Any, indices: Any, b: Any = None) -> None:
    """function.at: an unbuffered update, where repeated indices count as often as they occur."""
    if not isinstance(a, Arr):
        raise error(TypeError, f"first operand of np.{function.__name__}.at must be an array")
    if function in (np.add, np.subtract, np.minimum, np.maximum, np.multiply) and b is not None:
        operand, monoid = lift(b), function
        if function is np.subtract:
            operand, monoid = elementwise(lambda v: ufunc(np.negative, v), operand), np.add
        result = np.result_type(a.dtype, operand.dtype if isinstance(operand, Arr) else kind_of(operand).dtype)
        weak = isinstance(operand, Num) and operand.weak
        if not weak and not np.can_cast(result, a.dtype, "same_kind"):
            raise error(TypeError, f"Cannot cast np.{function.__name__}.at output from {result} to {a.dtype}")
        indexing._store(a, indexing.parse(a, indices), operand, monoid_of(monoid, a.dtype))
        return
    raise error(
        NotImplementedError,
        f"np.{function.__name__}.at is available for add, subtract, multiply, minimum and maximum: write a loop",
    )

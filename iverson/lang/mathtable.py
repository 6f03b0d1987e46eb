"""Python's `math` module on staged scalars: results are Python numbers, as there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from iverson.lang import mathrows
from iverson.lang.dtypes import FLOAT64, INT64, python_kind
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, is_scalar, known
from iverson.lang.numpy_support import sequence
from iverson.lang.scalars import Emit
from iverson.lang.staging import builder
from iverson.lang.table import implements


def _scalars(function: Callable[..., Any], values: tuple[Any, ...]) -> list[Num]:
    values = tuple(map(known, values))
    for value in values:
        if not is_scalar(value):
            shape = getattr(value, "shape", None)
            what = f"an array of shape {shape}" if shape is not None else f"{type(value).__name__}"
            raise error(TypeError, f"math.{function.__name__} takes numbers, not {what}; np has it elementwise")
    return [constant(v) for v in values]


def _wrap(out: Any) -> Any:
    if isinstance(out, tuple):
        return tuple(_wrap(atom) for atom in out)
    return Num(out, weak=True)


def _known(function: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    """The function of Python numbers, now; None where one is staged, or where `math` would raise."""
    if any(python_kind(v) is None for v in values):
        return None
    try:
        return function(*values)
    except (ValueError, OverflowError):
        return None


def _of_floats(function: Callable[..., Any], emit: Emit) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        now = _known(function, values)
        if now is not None:
            return now
        nums = _scalars(function, values)
        if any(n.im is not None for n in nums):
            raise error(TypeError, f"math.{function.__name__} takes real numbers; np takes complex ones")
        return _wrap(emit(builder(), *(cast(n, FLOAT64, weak=True).atom for n in nums)))

    return call


def _of_integers(function: Callable[..., Any], emit: Emit) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        now = _known(function, values)
        if now is not None:
            return now
        nums = _scalars(function, values)
        if any(n.dtype.kind not in "ib" for n in nums):
            raise error(TypeError, f"math.{function.__name__} takes integers, not floats")
        return _wrap(emit(builder(), *(cast(n, INT64, weak=True).atom for n in nums)))

    return call


def _rounding(function: Callable[..., Any], emit: Emit) -> Callable[..., Any]:
    floats = _of_floats(function, emit)

    def call(value: Any) -> Any:
        now = _known(function, (value,))
        if now is not None:
            return now
        (num,) = _scalars(function, (value,))
        return cast(num, INT64, weak=True) if num.dtype.kind in "ib" else floats(num)

    return call


def _log(x: Any, base: Any = None) -> Any:
    row = _of_floats(math.log, mathrows.FLOATS[math.log])
    return row(x) if base is None else row(x, base)


def _ldexp(x: Any, n: Any) -> Any:
    number, power = _scalars(math.ldexp, (x, n))
    if power.dtype.kind not in "ib":
        raise error(TypeError, "math.ldexp takes an integer exponent")
    return _wrap(mathrows.ldexp(builder(), cast(number, FLOAT64).atom, cast(power, INT64).atom))


def _isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    return _of_floats(_math_isclose, mathrows.isclose)(a, b, rel_tol, abs_tol)


def _math_isclose(a: float, b: float, rel_tol: float, abs_tol: float) -> bool:
    return math.isclose(a, b, rel_tol=rel_tol, abs_tol=abs_tol)


def _dist(p: Any, q: Any) -> Any:
    left, right = sequence(p), sequence(q)
    if len(left) != len(right):
        raise error(ValueError, "both points must have the same number of dimensions")
    return math_hypot(*(x - y for x, y in zip(left, right, strict=True))) if left else 0.0


def _gcd_like(function: Callable[..., Any], emit: Emit, empty: int) -> Callable[..., Any]:
    row = _of_integers(function, emit)
    return lambda *values: row(*values) if values else empty


math_hypot = _of_floats(math.hypot, mathrows.FLOATS[math.hypot])

MATH: dict[Callable[..., Any], Callable[..., Any]] = {
    **{f: _of_floats(f, emit) for f, emit in mathrows.FLOATS.items()},
    **{f: _rounding(f, emit) for f, emit in mathrows.ROUNDING.items()},
    **{f: _of_integers(f, emit) for f, emit in mathrows.INTEGERS.items()},
    math.gcd: _gcd_like(math.gcd, mathrows.INTEGERS[math.gcd], 0),
    math.lcm: _gcd_like(math.lcm, mathrows.INTEGERS[math.lcm], 1),
    math.log: _log,
    math.ldexp: _ldexp,
    math.isclose: _isclose,
    math.dist: _dist,
}


for _function, _implementation in MATH.items():
    implements(_function)(_implementation)

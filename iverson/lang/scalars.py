"""What each NumPy ufunc does to one element, as core primitives.

A row takes the builder and atoms that already have the dtypes of NumPy's loop (`np.ufunc.resolve_dtypes` chose it) and
gives an atom, or one per output.  Formulas are chosen so that no derivative is NaN where the function is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from iverson.core.build import Builder, dtype_of
from iverson.core.syntax import BOOL, F64, I32, I64, Atom, Literal

Emit: TypeAlias = Callable[..., Any]  # (builder, *atoms) -> Atom, or a tuple of them

_LN2 = math.log(2.0)


# --- helpers ----------------------------------------------------------------------------------------------------------


def prim(name: str) -> Emit:
    """The primitive of that name."""
    return lambda b, *args: b.prim(name, *args)


def _typed(floats: str, ints: str | None = None, bools: str | None = None) -> Emit:
    """A primitive by the kind of dtype; without a name for the kind, the argument itself."""

    def emit(b: Builder, x: Atom, *rest: Atom) -> Atom:
        dtype = dtype_of(x)
        name = floats if dtype.is_float else bools if dtype is BOOL else ints
        return b.prim(name, x, *rest) if name else x

    return emit


def _predicate(name: str, otherwise: bool) -> Emit:
    """A test of floats that is constant on integers and bools."""
    return lambda b, x: b.prim(name, x) if dtype_of(x).is_float else Literal(otherwise, BOOL)


def truth(b: Builder, x: Atom) -> Atom:
    """x != 0, as a bool."""
    return x if dtype_of(x) is BOOL else b.o.ne(x, 0)


def _logical(name: str) -> Emit:
    return lambda b, *xs: b.prim(name, *(truth(b, x) for x in xs))


# --- arithmetic -------------------------------------------------------------------------------------------------------


def floor_divide(b: Builder, x: Atom, y: Atom) -> Atom:
    return b.o.floordiv(x, y)


def power(b: Builder, x: Atom, y: Atom) -> Atom:
    """Exponents 1 and 2, which programs are full of, need no call."""
    if isinstance(y, Literal) and y.value in (1, 2):
        return x if y.value == 1 else b.o.mul(x, x)
    return b.o.pow(x, y)


def _fmod(b: Builder, x: Atom, y: Atom) -> Atom:
    """The remainder with the sign of x, from the one with the sign of the divisor: both exact."""
    o = b.o
    size = o.abs(y)
    below = o.lt(x, 0)
    rest = o.mod(o.select(below, o.neg(x), x), size)
    return o.select(below, o.neg(rest), rest)


def _divmod(b: Builder, x: Atom, y: Atom) -> tuple[Atom, Atom]:
    return b.o.floordiv(x, y), b.o.mod(x, y)


def _modf(b: Builder, x: Atom) -> tuple[Atom, Atom]:
    o = b.o
    whole = o.trunc(x)
    return o.copysign(o.select(o.isinf(x), 0.0, o.sub(x, whole)), x), whole


def _reciprocal(b: Builder, x: Atom) -> Atom:
    """1 / x; for integers truncated towards zero, which leaves only 1 and -1."""
    o = b.o
    return o.div(1.0, x) if dtype_of(x).is_float else o.select(o.lt(x, 0), o.neg(o.floordiv(-1, x)), o.floordiv(1, x))


def _absolute(b: Builder, x: Atom) -> Atom:
    return x if dtype_of(x) is BOOL else b.o.abs(x)


def _signbit(b: Builder, x: Atom) -> Atom:
    return b.o.lt(b.o.copysign(1.0, x), 0.0)


def _extremum(name: str, bools: str, ignore_nan: bool = False) -> Emit:
    """maximum and minimum, which NaN wins; fmax and fmin, which it loses."""
    plain = _typed(name, name, bools)

    def emit(b: Builder, x: Atom, y: Atom) -> Atom:
        o = b.o
        best = plain(b, x, y)
        if not ignore_nan or not dtype_of(x).is_float:
            return best
        return o.select(o.isnan(x), y, o.select(o.isnan(y), x, best))

    return emit


def _heaviside(b: Builder, x: Atom, half: Atom) -> Atom:
    o = b.o
    step = b.cast(o.ge(x, 0.0), dtype_of(x))
    return o.select(o.isnan(x), x, o.select(o.eq(x, 0.0), half, step))


def _scaled(factor: float) -> Emit:
    return lambda b, x: b.o.mul(x, factor)


def _ldexp(b: Builder, x: Atom, n: Atom) -> Atom:
    """x 2^n, in two factors so that a subnormal result does not go through an overflowing one."""
    o = b.o
    half = o.shr(n, 1)
    first, second = (o.exp2(b.cast(part, dtype_of(x))) for part in (half, o.sub(n, half)))
    return o.mul(o.mul(x, first), second)


# --- logarithms of sums -----------------------------------------------------------------------------------------------


def _logaddexp(b: Builder, x: Atom, y: Atom) -> Atom:
    """hi + softplus(lo - hi), with both slopes 1/2 on a tie and infinities exact."""
    o = b.o
    first = o.ge(x, y)
    hi, lo = o.select(first, x, y), o.select(first, y, x)
    flat = getattr(o, "and")(o.isinf(hi), o.eq(lo, lo))
    return o.add(hi, o.softplus(o.select(flat, -math.inf, o.sub(lo, hi))))


def _logaddexp2(b: Builder, x: Atom, y: Atom) -> Atom:
    o = b.o
    return o.mul(_logaddexp(b, o.mul(x, _LN2), o.mul(y, _LN2)), 1 / _LN2)


# --- integers ---------------------------------------------------------------------------------------------------------


def _gcd(b: Builder, x: Atom, y: Atom) -> Atom:
    """Euclid's algorithm."""
    o = b.o
    return b.while_((o.abs(x), o.abs(y)), lambda p, q: o.ne(q, 0), lambda p, q: (q, o.mod(p, q)), hints=("p", "q"))[0]


def _lcm(b: Builder, x: Atom, y: Atom) -> Atom:
    o = b.o
    divisor = _gcd(b, x, y)
    return o.abs(o.mul(o.floordiv(x, o.select(o.eq(divisor, 0), 1, divisor)), y))


# --- the table --------------------------------------------------------------------------------------------------------

UFUNCS: dict[np.ufunc, Emit] = {
    np.add: _typed("add", "add", "or"),
    np.subtract: prim("sub"),
    np.multiply: _typed("mul", "mul", "and"),
    np.true_divide: prim("div"),
    np.floor_divide: floor_divide,
    np.remainder: prim("mod"),
    np.fmod: _fmod,
    np.divmod: _divmod,
    np.modf: _modf,
    np.power: power,
    np.float_power: power,
    np.negative: prim("neg"),
    np.positive: lambda b, x: x,
    np.conjugate: lambda b, x: x,
    np.absolute: _absolute,
    np.fabs: prim("abs"),
    np.sign: prim("sign"),
    np.signbit: _signbit,
    np.copysign: prim("copysign"),
    np.rint: prim("round"),
    np.floor: _typed("floor"),
    np.ceil: _typed("ceil"),
    np.trunc: _typed("trunc"),
    np.reciprocal: _reciprocal,
    np.square: lambda b, x: b.o.mul(x, x),
    np.ldexp: _ldexp,
    np.heaviside: _heaviside,
    np.maximum: _extremum("max", "or"),
    np.minimum: _extremum("min", "and"),
    np.fmax: _extremum("max", "or", ignore_nan=True),
    np.fmin: _extremum("min", "and", ignore_nan=True),
    np.sqrt: prim("sqrt"),
    np.cbrt: prim("cbrt"),
    np.exp: prim("exp"),
    np.exp2: prim("exp2"),
    np.expm1: prim("expm1"),
    np.log: prim("log"),
    np.log2: prim("log2"),
    np.log10: prim("log10"),
    np.log1p: prim("log1p"),
    np.logaddexp: _logaddexp,
    np.logaddexp2: _logaddexp2,
    np.sin: prim("sin"),
    np.cos: prim("cos"),
    np.tan: prim("tan"),
    np.arcsin: prim("asin"),
    np.arccos: prim("acos"),
    np.arctan: prim("atan"),
    np.arctan2: prim("atan2"),
    np.hypot: prim("hypot"),
    np.sinh: prim("sinh"),
    np.cosh: prim("cosh"),
    np.tanh: prim("tanh"),
    np.arcsinh: prim("asinh"),
    np.arccosh: prim("acosh"),
    np.arctanh: prim("atanh"),
    np.radians: _scaled(math.pi / 180),
    np.deg2rad: _scaled(math.pi / 180),
    np.degrees: _scaled(180 / math.pi),
    np.rad2deg: _scaled(180 / math.pi),
    np.equal: prim("eq"),
    np.not_equal: prim("ne"),
    np.less: prim("lt"),
    np.less_equal: prim("le"),
    np.greater: prim("gt"),
    np.greater_equal: prim("ge"),
    np.logical_and: _logical("and"),
    np.logical_or: _logical("or"),
    np.logical_xor: _logical("xor"),
    np.logical_not: _logical("not"),
    np.bitwise_and: _typed("", "bit_and", "and"),
    np.bitwise_or: _typed("", "bit_or", "or"),
    np.bitwise_xor: _typed("", "bit_xor", "xor"),
    np.invert: _typed("", "bit_not", "not"),
    np.left_shift: prim("shl"),
    np.right_shift: prim("shr"),
    np.gcd: _gcd,
    np.lcm: _lcm,
    np.isnan: _predicate("isnan", False),
    np.isinf: _predicate("isinf", False),
    np.isfinite: _predicate("isfinite", True),
}

# Loop dtypes that the core lacks, as NumPy picks them for bools and small integers, and what computes them instead.
WIDENED = {"float16": F64, "int8": I64, "int16": I32, "uint8": I64}

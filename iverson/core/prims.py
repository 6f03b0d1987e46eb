"""The primitives: one row each, and all there is to know about them.

A row's `linear` rules give its derivative.  Rule k, called as rule(o, t, *args, y), is t times the partial derivative
in argument k, written with the operations of `o`: a namespace with one method per primitive, taking atoms and Python
numbers.  A scalar partial is its own transpose, so one rule serves both modes: forward passes a tangent as t, reverse
the cotangent of y.  The rules are programs of primitives again, so they can be differentiated again.

    - A rule answers in t's dtype.  Only float casts have arguments and result of different float dtypes: there the
      transform casts the answer to the dtype of its destination (y's in forward mode, the argument's in reverse).
    - `None` is derivative zero: arguments that are always integers or bools, and step functions.  Rows that take both
      integers and floats are asked for a rule only where argument and result are floats.
    - Finite arguments in the domain give no NaN where the partial is finite, but for one case, accepted for the shared
      division: x / z with x = 0 and z so small that 1 / z overflows.
    - Kinks: abs at 0 has slope 0 (so have hypot and atan2 at the origin, copysign at 0); of min and max the first
      argument takes ties and NaN; x**z at x = 0 <= z has slope 0 in z; floor, sign, casts to integers: 0 everywhere.

A zero that min or max chooses between 0.0 and -0.0 may be either.  Python numbers get the dtype that
`argument_dtypes` gives to an open place.

Recipes, what the back end does for a row:

    op:NAME      one instruction, of integers or floats by the dtype (integers wrap)
    cmp:NAME     a comparison, ordered (`ne`: unordered); integers signed
    llvm:NAME    the floating-point intrinsic of that name
    cast         to the row's name, from the argument's dtype
    inline:NAME  a short sequence, given by the meaning
    call:NAME    an elementary or special function
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from iverson.core import special as s
from iverson.core.special import Meaning, Value, holomorphic, on_real
from iverson.core.syntax import DType, Literal


class Ops(Protocol):
    """A namespace with one method per primitive."""

    def __getattr__(self, name: str) -> Callable[..., Any]: ...


Rule: TypeAlias = Callable[..., Any]  # (o, t, *args, y) -> atom, linear in t
Interval: TypeAlias = tuple[float, float]

REALS: Interval = (-math.inf, math.inf)


@dataclass(frozen=True)
class Row:
    name: str
    arity: int
    domain: str  # the dtypes taken: float, int, bool, number (int or float), any
    result: str  # "same" as the arguments, which share one dtype; or a dtype's name
    meaning: Meaning  # on NumPy scalars and arrays; complex128 too where analytic
    linear: tuple[Rule | None, ...]
    recipe: str
    interval: tuple[Interval, ...]  # where it is defined and smooth up to isolated points: what the tests range over
    first: DType | None = None  # the first argument's dtype, where it isn't the shared one
    cost: int = 1

    @property
    def analytic(self) -> bool:
        """The complex step holds through `meaning`."""
        return self.domain not in ("int", "bool")


DOMAINS: dict[str, frozenset[DType]] = {
    "float": frozenset(d for d in DType if d.is_float),
    "int": frozenset(d for d in DType if d.is_int),
    "bool": frozenset({DType.BOOL}),
    "number": frozenset(d for d in DType if d is not DType.BOOL),
    "any": frozenset(DType),
}


def argument_dtypes(name: str, dtypes: Sequence[DType | None]) -> tuple[DType, ...]:
    """The dtypes of a primitive's arguments, open places (None: a Python number) filled in; TypeError if unfit."""
    row = TABLE.get(name)
    if row is None:
        raise TypeError(f"no primitive is called {name!r}")
    if len(dtypes) != row.arity:
        raise TypeError(f"{name} takes {row.arity} argument{'s' * (row.arity != 1)}, not {len(dtypes)}")
    lead, rest = ((), dtypes) if row.first is None else (dtypes[:1], dtypes[1:])
    if any(d not in (None, row.first) for d in lead):
        raise TypeError(f"the first argument of {name} is {row.first!r}, not {dtypes[0]!r}")
    shared = {d for d in rest if d is not None}
    if len(shared) > 1:
        raise TypeError(f"the arguments of {name} must have one dtype, not {', '.join(map(repr, rest))}")
    if not shared:
        raise TypeError(f"{name} of Python numbers alone has no dtype")
    (dtype,) = shared
    if dtype not in DOMAINS[row.domain]:
        raise TypeError(f"{name} takes {row.domain} arguments, not {dtype!r}")
    return (*(() if row.first is None else (row.first,)), *(dtype for _ in rest))


def result_dtype(name: str, dtypes: Sequence[DType]) -> DType:
    """The dtype of a primitive's result; TypeError if the arguments' dtypes don't fit."""
    shared = argument_dtypes(name, dtypes)[-1]
    result = TABLE[name].result
    return shared if result == "same" else DType(result)


# --- derivative rules too long for a lambda ---------------------------------------------------------------------------


def _both(o: Ops, p: Any, q: Any) -> Any:
    return getattr(o, "and")(p, q)


def _pow_base(o: Ops, t: Any, x: Any, z: Any, y: Any) -> Any:
    """t z x^(z-1), where 0 * 0^-1 is 0.  Guarding the exponent, not the product, keeps second derivatives right."""
    flat = _both(o, o.eq(x, 0.0), o.eq(z, 0.0))
    return o.mul(t, o.mul(z, o.pow(x, o.select(flat, 0.0, o.sub(z, 1.0)))))


def _pow_exponent(o: Ops, t: Any, x: Any, z: Any, y: Any) -> Any:
    """t y log x, which is 0 at x = 0 <= z."""
    flat = _both(o, o.eq(x, 0.0), o.ge(z, 0.0))
    return o.mul(t, o.mul(y, o.log(o.select(flat, 1.0, x))))


def is_one(x: Any) -> bool:
    """Is an operand the constant 1?"""
    value = x.value if isinstance(x, Literal) else x
    return isinstance(value, int | float) and value == 1


def _divisor(o: Ops, t: Any, x: Any, z: Any, y: Any) -> Any:
    """-t y / z, which needs no division where y is 1 / z."""
    return o.neg(o.mul(o.mul(t, y) if is_one(x) else o.div(t, z), y))


def _sqrt(o: Ops, t: Any, x: Any, y: Any) -> Any:
    """t / (2 y), by a reciprocal that all directions share, and the norms that are divided by as well."""
    return o.mul(o.mul(t, 0.5), o.div(1.0, y))


def _off_zero(o: Ops, y: Any) -> Any:
    """A norm as a divisor: at the origin 1, so that the direction there is 0."""
    return o.select(o.eq(y, 0.0), 1.0, y)


def _atan2(o: Ops, t: Any, x: Any, z: Any, other: Any) -> Any:
    """t other / (x^2 + z^2), in range whenever the quotient is."""
    h = _off_zero(o, o.hypot(x, z))
    return o.mul(o.div(t, h), o.div(other, h))


def _cosine(o: Ops, x: Any) -> Any:
    """sqrt(1 - x^2) without cancellation near 1."""
    return o.sqrt(o.mul(o.sub(1.0, x), o.add(x, 1.0)))


def _gaussian(o: Ops, t: Any, x: Any, scale: float) -> Any:
    return o.mul(t, o.mul(scale, o.exp(o.neg(o.mul(x, x)))))


def _j1(o: Ops, t: Any, x: Any, y: Any) -> Any:
    """t (j0(x) - j1(x) / x); near 0, where that and above all its derivatives cancel, a Taylor polynomial."""
    near = o.lt(o.abs(x), 4e-3)
    square = o.mul(x, x)
    taylor = o.add(o.mul(square, o.sub(o.mul(square, 5 / 384), 3 / 16)), 0.5)
    return o.mul(t, o.select(near, taylor, o.sub(o.j0(x), o.div(y, o.select(near, 1.0, x)))))


# --- the table --------------------------------------------------------------------------------------------------------

_LN2, _LN10 = math.log(2.0), math.log(10.0)
_ERF = 2 / math.sqrt(math.pi)
_UNIT: Interval = (-1.0, 1.0)
_POSITIVE: Interval = (0.0, math.inf)


def _unary(name: str, meaning: Meaning, rule: Rule, recipe: str = "", interval: Interval = REALS) -> Row:
    """A smooth function of one float."""
    return Row(name, 1, "float", "same", meaning, (rule,), recipe or f"call:{name}", (interval,))


def _step(name: str, ufunc: Meaning, recipe: str, domain: str = "float") -> Row:
    """A step function: derivative zero."""
    return Row(name, 1, domain, "same", on_real(ufunc), (None,), recipe, (REALS,))


def _comparison(name: str, ufunc: Meaning) -> Row:
    return Row(name, 2, "any", "bool", on_real(ufunc), (None, None), f"cmp:{name}", (REALS, REALS))


def _discrete(name: str, arity: int, domain: str, meaning: Meaning, recipe: str) -> Row:
    """Integer and bool rows: no derivative."""
    return Row(name, arity, domain, "same", meaning, (None,) * arity, recipe, (REALS,) * arity)


def _predicate(name: str, ufunc: Meaning) -> Row:
    return Row(name, 1, "float", "bool", on_real(ufunc), (None,), f"inline:{name}", (REALS,))


def _cast(name: str) -> Row:
    rule: Rule | None = (lambda o, t, x, y: t) if DType(name).is_float else None
    return Row(name, 1, "any", name, s.cast(name), (rule,), "cast", (REALS,))


def _binary(
    name: str, domain: str, meaning: Meaning, rules: tuple[Rule | None, Rule | None], recipe: str, *interval: Interval
) -> Row:
    return Row(name, 2, domain, "same", meaning, rules, recipe, interval or (REALS, REALS))


_ARITHMETIC = [
    _binary("add", "number", np.add, (lambda o, t, x, z, y: t, lambda o, t, x, z, y: t), "op:add"),
    _binary("sub", "number", np.subtract, (lambda o, t, x, z, y: t, lambda o, t, x, z, y: o.neg(t)), "op:sub"),
    _binary(
        "mul",
        "number",
        s.mul,
        (lambda o, t, x, z, y: o.mul(t, z), lambda o, t, x, z, y: o.mul(t, x)),
        "op:mul",
    ),
    _binary(
        "div",
        "float",
        s.div,
        (lambda o, t, x, z, y: o.div(t, z), _divisor),
        "op:div",
    ),
    _binary("floordiv", "number", s.floordiv, (None, None), "inline:floordiv"),
    _binary(
        "mod",
        "number",
        s.mod,
        (lambda o, t, x, z, y: t, lambda o, t, x, z, y: o.neg(o.mul(t, o.floordiv(x, z)))),
        "inline:mod",
    ),
    # integers: a negative exponent raises ValueError
    _binary("pow", "number", s.pow_, (_pow_base, _pow_exponent), "call:pow", _POSITIVE, REALS),
    Row("neg", 1, "number", "same", np.negative, (lambda o, t, x, y: o.neg(t),), "op:neg", (REALS,)),
    Row("abs", 1, "number", "same", s.abs_, (lambda o, t, x, y: o.mul(t, o.sign(x)),), "inline:abs", (REALS,)),
    _step("sign", np.sign, "inline:sign", "number"),  # sign(-0.0) = 0.0
    _step("floor", np.floor, "llvm:floor"),
    _step("ceil", np.ceil, "llvm:ceil"),
    _step("round", np.rint, "llvm:roundeven"),
    _step("trunc", np.trunc, "llvm:trunc"),
    _step("stop", np.positive, "op:stop"),  # x itself, taken as a constant by every derivative
    # x itself, which reverse mode stores, or computes again
    Row("keep", 1, "float", "same", np.positive, (lambda o, t, x, y: t,), "op:keep", (REALS,), cost=0),
    Row("recompute", 1, "float", "same", np.positive, (lambda o, t, x, y: t,), "op:recompute", (REALS,), cost=0),
    _binary(
        "min",
        "number",
        s.minimum,
        (
            lambda o, t, x, z, y: o.select(o.gt(x, z), 0.0, t),
            lambda o, t, x, z, y: o.select(o.gt(x, z), t, 0.0),
        ),
        "inline:min",
    ),
    _binary(
        "max",
        "number",
        s.maximum,
        (
            lambda o, t, x, z, y: o.select(o.lt(x, z), 0.0, t),
            lambda o, t, x, z, y: o.select(o.lt(x, z), t, 0.0),
        ),
        "inline:max",
    ),
    Row(
        "select",
        3,
        "any",
        "same",
        s.select,
        (None, lambda o, t, p, a, b, y: o.select(p, t, 0.0), lambda o, t, p, a, b, y: o.select(p, 0.0, t)),
        "op:select",
        (REALS, REALS, REALS),
        first=DType.BOOL,
    ),
    Row(
        "fma",
        3,
        "float",
        "same",
        s.fma,
        (
            lambda o, t, a, b, c, y: o.mul(t, b),
            lambda o, t, a, b, c, y: o.mul(t, a),
            lambda o, t, a, b, c, y: t,
        ),
        "llvm:fma",
        (REALS, REALS, REALS),
    ),
    _binary(
        "copysign",
        "float",
        s.copysign,
        (lambda o, t, x, z, y: o.mul(t, o.mul(o.sign(x), o.copysign(1.0, z))), None),
        "llvm:copysign",
    ),
]

_LOGIC = [
    _comparison("eq", np.equal),
    _comparison("ne", np.not_equal),
    _comparison("lt", np.less),
    _comparison("le", np.less_equal),
    _comparison("gt", np.greater),
    _comparison("ge", np.greater_equal),
    _discrete("and", 2, "bool", np.logical_and, "op:and"),
    _discrete("or", 2, "bool", np.logical_or, "op:or"),
    _discrete("xor", 2, "bool", np.logical_xor, "op:xor"),
    _discrete("not", 1, "bool", np.logical_not, "op:not"),
    _discrete("bit_and", 2, "int", np.bitwise_and, "op:and"),
    _discrete("bit_or", 2, "int", np.bitwise_or, "op:or"),
    _discrete("bit_xor", 2, "int", np.bitwise_xor, "op:xor"),
    _discrete("bit_not", 1, "int", np.invert, "op:not"),
    # A shift by a count outside 0 ... bits - 1 shifts everything out: 0, or for `shr` the sign.
    _discrete("shl", 2, "int", np.left_shift, "inline:shl"),
    _discrete("shr", 2, "int", np.right_shift, "inline:shr"),
    _discrete("lshr", 2, "int", s.lshr, "inline:lshr"),
    _discrete("umulhi", 2, "int", s.umulhi, "inline:umulhi"),  # the high half of the unsigned product
    Row("bits", 1, "float", "int64", on_real(s.bits), (None,), "inline:bits", (REALS,)),  # a float's, sign extended
    _predicate("isnan", np.isnan),
    _predicate("isinf", np.isinf),
    _predicate("isfinite", np.isfinite),
    *(_cast(d.value) for d in DType),
]

_ELEMENTARY = [
    _unary("sqrt", holomorphic(np.sqrt), _sqrt, "llvm:sqrt", _POSITIVE),
    _unary("cbrt", s.cbrt, lambda o, t, x, y: o.div(t, o.mul(3.0, o.mul(y, y)))),
    _unary("exp", holomorphic(np.exp), lambda o, t, x, y: o.mul(t, y)),
    _unary("exp2", holomorphic(np.exp2), lambda o, t, x, y: o.mul(t, o.mul(y, _LN2))),
    _unary("expm1", holomorphic(np.expm1), lambda o, t, x, y: o.mul(t, o.exp(x))),
    _unary("log", holomorphic(np.log), lambda o, t, x, y: o.div(t, x), interval=_POSITIVE),
    _unary("log2", holomorphic(np.log2), lambda o, t, x, y: o.div(o.mul(t, 1 / _LN2), x), interval=_POSITIVE),
    _unary("log10", holomorphic(np.log10), lambda o, t, x, y: o.div(o.mul(t, 1 / _LN10), x), interval=_POSITIVE),
    _unary("log1p", holomorphic(np.log1p), lambda o, t, x, y: o.div(t, o.add(x, 1.0)), interval=(-1.0, math.inf)),
    _unary("sin", holomorphic(np.sin), lambda o, t, x, y: o.mul(t, o.cos(x))),
    _unary("cos", holomorphic(np.cos), lambda o, t, x, y: o.neg(o.mul(t, o.sin(x)))),
    _unary("tan", holomorphic(np.tan), lambda o, t, x, y: o.mul(t, o.add(o.mul(y, y), 1.0))),
    _unary("asin", holomorphic(np.arcsin), lambda o, t, x, y: o.div(t, _cosine(o, x)), interval=_UNIT),
    _unary("acos", holomorphic(np.arccos), lambda o, t, x, y: o.neg(o.div(t, _cosine(o, x))), interval=_UNIT),
    _unary("atan", holomorphic(np.arctan), lambda o, t, x, y: o.div(t, o.add(o.mul(x, x), 1.0))),
    _unary("sinh", holomorphic(np.sinh), lambda o, t, x, y: o.mul(t, o.cosh(x))),
    _unary("cosh", holomorphic(np.cosh), lambda o, t, x, y: o.mul(t, o.sinh(x))),
    # tanh and sigmoid: right to an ulp of 1, not relatively where they saturate; exact tails would cost an exp
    _unary("tanh", holomorphic(np.tanh), lambda o, t, x, y: o.mul(t, o.sub(1.0, o.mul(y, y)))),
    _unary("asinh", holomorphic(np.arcsinh), lambda o, t, x, y: o.div(t, o.hypot(x, 1.0))),
    _unary(
        "acosh",
        holomorphic(np.arccosh),
        lambda o, t, x, y: o.div(t, o.mul(o.sqrt(o.sub(x, 1.0)), o.sqrt(o.add(x, 1.0)))),
        interval=(1.0, math.inf),
    ),
    _unary(
        "atanh",
        holomorphic(np.arctanh),
        lambda o, t, x, y: o.div(t, o.mul(o.sub(1.0, x), o.add(x, 1.0))),
        interval=_UNIT,
    ),
    _binary(
        "atan2",
        "float",
        s.atan2,
        (lambda o, t, x, z, y: _atan2(o, t, x, z, z), lambda o, t, x, z, y: o.neg(_atan2(o, t, x, z, x))),
        "call:atan2",
    ),
    _binary(
        "hypot",
        "float",
        s.hypot,
        (
            lambda o, t, x, z, y: o.mul(t, o.div(x, _off_zero(o, y))),
            lambda o, t, x, z, y: o.mul(t, o.div(z, _off_zero(o, y))),
        ),
        "call:hypot",
    ),
    _unary("sigmoid", s.sigmoid, lambda o, t, x, y: o.mul(t, o.mul(y, o.sub(1.0, y)))),
    _unary("softplus", s.softplus, lambda o, t, x, y: o.mul(t, o.sigmoid(x))),
]

_SPECIAL = [
    _unary("erf", s.erf, lambda o, t, x, y: _gaussian(o, t, x, _ERF)),
    _unary("erfc", s.erfc, lambda o, t, x, y: _gaussian(o, t, x, -_ERF)),
    _unary("erfinv", s.erfinv, lambda o, t, x, y: o.mul(t, o.mul(1 / _ERF, o.exp(o.mul(y, y)))), interval=_UNIT),
    _unary("lgamma", s.lgamma, lambda o, t, x, y: o.mul(t, o.digamma(x))),  # log |gamma|
    _unary("digamma", s.digamma, lambda o, t, x, y: o.mul(t, o.trigamma(x))),
    _unary("trigamma", s.trigamma, lambda o, t, x, y: o.mul(t, o.polygamma(2, x))),
    Row(
        "polygamma",
        2,
        "float",
        "same",
        s.polygamma,
        (None, lambda o, t, n, x, y: o.mul(t, o.polygamma(o.add(n, 1), x))),
        "call:polygamma",
        (_POSITIVE, REALS),
        first=DType.I64,
    ),
    _unary("j0", s.j0, lambda o, t, x, y: o.neg(o.mul(t, o.j1(x)))),
    _unary("j1", s.j1, _j1),
    _unary("y0", s.y0, lambda o, t, x, y: o.neg(o.mul(t, o.y1(x))), interval=_POSITIVE),
    _unary("y1", s.y1, lambda o, t, x, y: o.mul(t, o.sub(o.y0(x), o.div(y, x))), interval=_POSITIVE),
]

TABLE: dict[str, Row] = {row.name: row for row in [*_ARITHMETIC, *_LOGIC, *_ELEMENTARY, *_SPECIAL]}


_SLOPES = """
    div mod pow sqrt cbrt exp exp2 expm1 log log2 log10 log1p tan asin acos sinh cosh acosh atanh
    erfinv lgamma digamma trigamma polygamma y0 y1
"""
SINGULAR: frozenset[str] = frozenset(_SLOPES.split())  # those with infinite or undefined slopes somewhere


# --- the meanings as a namespace --------------------------------------------------------------------------------------


def _dtype_of(x: Any) -> DType | None:
    if isinstance(x, np.ndarray | np.generic):
        return DType.F64 if x.dtype.kind == "c" else DType(x.dtype.name)
    return None


class NumpyOps:
    """The primitives on NumPy values, typed as in a program.  Among Python numbers alone, each has its own dtype."""

    def __getattr__(self, name: str) -> Callable[..., Value]:
        if name not in TABLE:
            raise AttributeError(name)

        def op(*args: Any) -> Value:
            if not any(map(_dtype_of, args)):
                args = tuple(np.asarray(a)[()] for a in args)
            dtypes = argument_dtypes(name, [_dtype_of(a) for a in args])
            typed = [
                a if isinstance(a, np.ndarray | np.generic) else np.dtype(d.value).type(a)
                for a, d in zip(args, dtypes, strict=True)
            ]
            with np.errstate(all="ignore"):
                return TABLE[name].meaning(*typed)

        return op

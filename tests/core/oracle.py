"""Reference values of the primitives by mpmath, and forward mode by the table's own rules: shared by the tests."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

from iverson.core.prims import TABLE, NumpyOps

O = NumpyOps()
F = np.float64
TINY, HUGE = 5e-324, 1.7976931348623157e308


def call(name: str, *args: Any) -> Any:
    return getattr(O, name)(*args)


def slope(name: str, k: int, *args: Any) -> Any:
    rule = TABLE[name].linear[k]
    assert rule is not None
    return rule(O, type(args[k])(1), *args, call(name, *args))


def perturb(args: tuple[Any, ...], k: int, h: float) -> list[Any]:
    return [np.complex128(complex(a, h)) if i == k else a for i, a in enumerate(args)]


def step_size(*args: float) -> float:
    """Small beside 1 and beside every argument."""
    return 1e-40 * min([1.0, *(abs(float(a)) for a in args if a)])


def exact(f: Callable[..., Any], *args: float) -> float | None:
    """The reference, rounded to float64; None where it is infinite by a division."""
    try:
        v = f(*map(mp.mpf, args))
    except ZeroDivisionError:
        return None
    return math.nan if isinstance(v, mp.mpc) else float(v)


def agree(got: Any, want: float | None, rtol: float, atol: float = 0.0) -> bool:
    if want is None:
        return bool(np.isinf(got))
    if math.isnan(want):
        return bool(np.isnan(got))
    if math.isinf(want) or math.isinf(got):
        return bool(got == want)
    return bool(abs(got - want) <= rtol * abs(want) + atol + 2 * TINY)


# --- functions of one float -------------------------------------------------------------------------------------------


def logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def signed_cbrt(x: Any) -> Any:
    return mp.sign(x) * mp.cbrt(abs(x))


def log_abs_gamma(x: Any) -> Any:
    return mp.loggamma(x) if x > 0 else mp.log(abs(mp.gamma(x)))


def error_complement(x: Any) -> Any:
    return mp.erfc(x) if x < 1e10 else mp.mpf(0)


def gaussian(x: Any) -> Any:
    return 2 / mp.sqrt(mp.pi) * mp.exp(-x * x)


UNARY: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "neg": (lambda x: -x, lambda x: mp.mpf(-1)),
    "abs": (abs, mp.sign),
    "sqrt": (mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x))),
    "cbrt": (signed_cbrt, lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2)),
    "keep": (lambda x: x, lambda x: 1),
    "recompute": (lambda x: x, lambda x: 1),
    "exp": (mp.exp, mp.exp),
    "exp2": (lambda x: mp.mpf(2) ** x, lambda x: mp.mpf(2) ** x * mp.ln2),
    "expm1": (mp.expm1, mp.exp),
    "log": (mp.log, lambda x: 1 / x),
    "log2": (lambda x: mp.log(x) / mp.ln2, lambda x: 1 / x / mp.ln2),
    "log10": (lambda x: mp.log(x) / mp.ln10, lambda x: 1 / x / mp.ln10),
    "log1p": (mp.log1p, lambda x: 1 / (1 + x)),
    "sin": (mp.sin, mp.cos),
    "cos": (mp.cos, lambda x: -mp.sin(x)),
    "tan": (mp.tan, lambda x: mp.sec(x) ** 2),
    "asin": (mp.asin, lambda x: 1 / mp.sqrt((1 - x) * (1 + x))),
    "acos": (mp.acos, lambda x: -1 / mp.sqrt((1 - x) * (1 + x))),
    "atan": (mp.atan, lambda x: 1 / (1 + x * x)),
    "sinh": (mp.sinh, mp.cosh),
    "cosh": (mp.cosh, mp.sinh),
    "tanh": (mp.tanh, lambda x: mp.sech(x) ** 2),
    "asinh": (mp.asinh, lambda x: 1 / mp.sqrt(1 + x * x)),
    "acosh": (mp.acosh, lambda x: 1 / mp.sqrt((x - 1) * (x + 1))),
    "atanh": (mp.atanh, lambda x: 1 / ((1 - x) * (1 + x))),
    "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x)),
    "softplus": (lambda x: mp.log1p(mp.exp(-abs(x))) + max(x, 0), logistic),
    "erf": (mp.erf, gaussian),
    "erfc": (error_complement, lambda x: -gaussian(x)),
    "erfinv": (mp.erfinv, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(mp.erfinv(x) ** 2)),
    "lgamma": (log_abs_gamma, mp.digamma),
    "digamma": (mp.digamma, lambda x: mp.psi(1, x)),
    "trigamma": (lambda x: mp.psi(1, x), lambda x: mp.psi(2, x)),
    "j0": (lambda x: mp.besselj(0, x), lambda x: -mp.besselj(1, x)),
    "j1": (lambda x: mp.besselj(1, x), lambda x: (mp.besselj(0, x) - mp.besselj(2, x)) / 2),
    "y0": (lambda x: mp.bessely(0, x), lambda x: -mp.bessely(1, x)),
    "y1": (lambda x: mp.bessely(1, x), lambda x: (mp.bessely(0, x) - mp.bessely(2, x)) / 2),
}
BESSEL = {"j0", "j1", "y0", "y1"}
GAMMA = {"lgamma", "digamma", "trigamma"}

SIZES = [
    TINY,
    3e-310,
    2.3e-308,
    1e-300,
    1e-100,
    1e-20,
    1e-10,
    1e-5,
    1e-3,
    0.1,
    0.3,
    0.5,
    0.75,
    0.9,
    1,
    1.25,
    1.5,
    2,
    2.5,
]
SIZES += [
    3,
    3.9e-3,
    4.1e-3,
    5,
    7.3,
    10,
    20.5,
    26,
    30,
    100,
    300.7,
    709.7,
    745.2,
    1e4,
    1e8,
    1e15,
    1e100,
    1e154,
    1e300,
    HUGE,
]
SIZES += [1 - 2**-53, 1 + 2**-52, 1 - 1e-10, 1 + 1e-10, 1 - 1e-5, 1 + 1e-5, 0.999, 1.001]
POINTS = [0.0, -0.0, *SIZES, *(-x for x in SIZES)]


def points(name: str) -> list[float]:
    lo, hi = TABLE[name].interval[0]
    inside = [x for x in POINTS if lo <= x <= hi]
    if name in BESSEL:  # SciPy's phases are lost further out
        return [x for x in inside if abs(x) <= 1e4 and (x or name < "k")]
    if name in GAMMA:  # no poles
        return [x for x in inside if x > 0 or (x < 0 and x != round(x) and x > -1e5)]
    return inside


# --- functions of two floats ------------------------------------------------------------------------------------------

GRID = [0.0, 1e-200, 1e-12, 0.3, 1.0, 2.0, 3.7, 1e12, 1e200]
SIGNED = [*GRID, *(-x for x in GRID if x)]
PLANE = list(itertools.product(SIGNED, SIGNED))
POWERS = [(x, z) for x in GRID for z in (-300.5, -2.0, -1.0, -0.5, 0.0, 1e-9, 0.5, 1.0, 1.5, 2.0, 3.0, 31.0)]
POWERS += [(-x, z) for x in GRID[2:8] for z in (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)]
MODERATE = [(x, z) for x, z in PLANE if z and 1e-3 < abs(z) < 10 and abs(x) < 1e15]


def power_in_exponent(x: Any, z: Any) -> Any:
    if x == 0:
        return mp.mpf(0) if z >= 0 else -mp.inf
    return x**z * mp.log(x) if x > 0 else mp.nan


def power_in_base(x: Any, z: Any) -> Any:
    return mp.mpf(0) if z == 0 else z * x ** (z - 1)


def over_norm(x: Any, z: Any) -> Any:
    return x / mp.hypot(x, z) if x else mp.mpf(0)


def angular(x: Any, z: Any) -> Any:
    return x / (x * x + z * z) if x else mp.mpf(0)


Reference = tuple[Callable[..., Any], tuple[Callable[..., Any] | None, ...], list[tuple[float, float]]]
BINARY: dict[str, Reference] = {
    "add": (lambda x, z: x + z, (lambda x, z: mp.mpf(1), lambda x, z: mp.mpf(1)), PLANE),
    "sub": (lambda x, z: x - z, (lambda x, z: mp.mpf(1), lambda x, z: mp.mpf(-1)), PLANE),
    "mul": (lambda x, z: x * z, (lambda x, z: z, lambda x, z: x), PLANE),
    "div": (lambda x, z: x / z, (lambda x, z: 1 / z, lambda x, z: -x / z / z), [p for p in PLANE if p[1]]),
    "mod": (
        lambda x, z: x - z * mp.floor(x / z),
        (lambda x, z: mp.mpf(1), lambda x, z: -mp.floor(x / z)),
        MODERATE,
    ),
    "floordiv": (lambda x, z: mp.floor(x / z), (None, None), MODERATE),
    "pow": (lambda x, z: x**z, (power_in_base, power_in_exponent), POWERS),
    "min": (min, (lambda x, z: mp.mpf(x <= z), lambda x, z: mp.mpf(x > z)), PLANE),
    "max": (max, (lambda x, z: mp.mpf(x >= z), lambda x, z: mp.mpf(x < z)), PLANE),
    "copysign": (
        lambda x, z: abs(x) * (1 if z >= 0 else -1),
        (lambda x, z: mp.sign(x) * (1 if z >= 0 else -1), None),
        PLANE,
    ),
    "atan2": (mp.atan2, (lambda x, z: angular(z, x), lambda x, z: -angular(x, z)), PLANE),
    "hypot": (mp.hypot, (over_norm, lambda x, z: over_norm(z, x)), PLANE),
}


# --- the rules differentiated as programs -----------------------------------------------------------------------------


class Dual:
    def __init__(self, tag: Forward, value: Any, tangent: Any) -> None:
        self.tag, self.value, self.tangent = tag, value, tangent


class Forward:
    """Forward mode over another namespace, by the table's own rules."""

    def __init__(self, o: Any) -> None:
        self.o = o

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def op(*args: Any) -> Any:
            mine = [isinstance(a, Dual) and a.tag is self for a in args]
            values = [a.value if m else a for a, m in zip(args, mine, strict=True)]
            y = getattr(self.o, name)(*values)
            terms = [
                rule(self.o, a.tangent, *values, y)
                for a, m, rule in zip(args, mine, TABLE[name].linear, strict=True)
                if m and rule is not None
            ]
            return Dual(self, y, functools.reduce(self.o.add, terms)) if terms else y

        return op


def derivative(f: Callable[..., Any], o: Any, directions: tuple[int, ...], *args: Any) -> Any:
    """The mixed partial of f(o, *args) in the arguments `directions`, one level of Forward for each."""
    if not directions:
        return f(o, *args)
    level = Forward(o)
    k, *rest = directions
    duals = [Dual(level, a, F(1)) if i == k else a for i, a in enumerate(args)]
    out = derivative(f, level, tuple(rest), *duals)
    return out.tangent if isinstance(out, Dual) and out.tag is level else F(0)

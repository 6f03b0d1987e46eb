"""What the primitives mean on NumPy values, where NumPy's own function isn't already the meaning.

Every meaning takes NumPy scalars and arrays.  Those of floating-point rows also take complex128, for the complex step:
x + ih carries the value x and, in h, a first-order perturbation.  The real part of a result is always the real function
of the real parts, bit for bit, and a zero perturbation stays zero even where the derivative is infinite.  Comparisons
and roundings look at the real part; a choice carries the perturbation of the chosen side.

NumPy's floating-point warnings are the caller's business: evaluate under `np.errstate(all="ignore")`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import scipy.special as sp

Value: TypeAlias = Any  # a NumPy scalar or array
Meaning: TypeAlias = Callable[..., Value]

# --- the complex step -------------------------------------------------------------------------------------------------


def is_complex(x: Value) -> bool:
    return isinstance(x, complex) or (isinstance(x, np.ndarray) and x.dtype.kind == "c")


def pair(re: Value, im: Value) -> Value:
    """re + i im, without the NaN that re + 1j * im has at infinities."""
    if np.ndim(re) == 0 and np.ndim(im) == 0:
        return np.complex128(complex(re, im))
    out = np.empty(np.broadcast_shapes(np.shape(re), np.shape(im)), np.complex128)
    out.real, out.imag = re, im
    return out


def along(h: Value, slope: Value) -> Value:
    """The perturbation h times a slope; none stays none, however steep the slope."""
    if isinstance(h, float) and isinstance(slope, float):
        return h * slope if h else 0.0
    return np.where(h == 0, 0.0, h * slope)[()]


def on_real(f: Meaning) -> Meaning:
    """f of the real parts: comparisons, roundings and whatever else has derivative zero."""
    return lambda *args: f(*(a.real for a in args))


def perturbed(real: Meaning, imag: Meaning) -> Meaning:
    """`real` on reals; on complex its value at the real parts, beside the perturbation `imag(*args)`."""

    def meaning(*args: Value) -> Value:
        if not any(map(is_complex, args)):
            return real(*args)
        return pair(real(*(a.real for a in args)), imag(*args))

    return meaning


def holomorphic(real: Meaning, extension: Meaning | None = None) -> Meaning:
    """A function of one variable with an extension to the complex plane (NumPy's own, if not given)."""
    f = extension or real
    return perturbed(real, lambda z: np.where(z.imag == 0, 0.0, f(z).imag)[()])


def sloped(real: Meaning, slope: Meaning) -> Meaning:
    """A function of one variable without a complex extension at hand: its slope instead."""
    return perturbed(real, lambda z: along(z.imag, slope(z.real)))


# --- arithmetic -------------------------------------------------------------------------------------------------------


def _nonzero(f: Meaning) -> Meaning:
    """Integer division: a zero divisor raises.  (min // -1 wraps to min, min % -1 is 0.)"""

    def meaning(x: Value, z: Value) -> Value:
        if np.asarray(z).dtype.kind == "i" and np.any(z == 0):
            raise ZeroDivisionError("integer division or modulo by zero")
        return f(x, z)

    return meaning


def _pow_imag(x: Value, z: Value) -> Value:
    """(x + ih)^(z + ik): on the negative axis z is an integer, and the turn by pi is taken out of the logarithm."""
    flip = np.where(x.real < 0, -1.0, 1.0)
    turn = np.where((x.real < 0) & (np.mod(z.real, 2) == 1), -1.0, 1.0)
    step = turn * np.exp(z * np.log(flip * x)).imag
    step = np.where((x.real < 0) & (z.imag != 0), np.nan, step)
    return np.where((x == 0) & (z.real >= 0), 0.0, step)[()]


mul = perturbed(np.multiply, lambda x, z: along(x.imag, z.real) + along(z.imag, x.real))
div = perturbed(np.divide, lambda x, z: along(x.imag, 1 / z.real) - along(z.imag, x.real / z.real / z.real))
floordiv = on_real(_nonzero(np.floor_divide))
mod = perturbed(_nonzero(np.mod), lambda x, z: x.imag - along(z.imag, np.floor_divide(x.real, z.real)))
pow_ = perturbed(np.power, _pow_imag)
abs_ = perturbed(np.abs, lambda x: along(x.imag, np.sign(x.real)))
copysign = perturbed(np.copysign, lambda x, z: along(x.imag, np.sign(x.real) * np.copysign(1.0, z.real)))
# ties and NaN: the first argument, as in the derivative rules
minimum = perturbed(np.minimum, lambda x, z: np.where(x.real > z.real, z.imag, x.imag)[()])
maximum = perturbed(np.maximum, lambda x, z: np.where(x.real < z.real, z.imag, x.imag)[()])


def select(p: Value, a: Value, b: Value) -> Value:
    if isinstance(p, bool | np.bool_):
        return a if p else b
    return np.where(p, a, b)


def _fma(a: float, b: float, c: float, single: bool) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * b + c
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c  # a zero of the right sign
    try:
        near = float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
    if single and Fraction(near) != exact and np.float64(near).view(np.int64) % 2 == 0:
        # round to odd, so that the second rounding, to float32, is the only one that counts
        near = math.nextafter(near, math.inf if exact > Fraction(near) else -math.inf)
    return near


def _fma_real(a: Value, b: Value, c: Value) -> Value:
    dtype = np.result_type(a, b, c)
    exact = np.frompyfunc(lambda x, y, z: _fma(float(x), float(y), float(z), dtype == np.float32), 3, 1)
    return np.asarray(exact(a, b, c)).astype(dtype)[()]


fma = perturbed(_fma_real, lambda a, b, c: along(a.imag, b.real) + along(b.imag, a.real) + c.imag)

# --- bits -------------------------------------------------------------------------------------------------------------


def _unsigned(x: Value) -> Value:
    x = np.asarray(x)
    return x.view(f"u{x.dtype.itemsize}")


def lshr(x: Value, n: Value) -> Value:
    return np.right_shift(_unsigned(x), _unsigned(n)).view(np.asarray(x).dtype)[()]


def umulhi(x: Value, z: Value) -> Value:
    """The high half of the unsigned product, by halves of the operands."""
    dtype = np.asarray(x).dtype
    x, z = _unsigned(x), _unsigned(z)
    half = x.dtype.type(dtype.itemsize * 4)
    low = (x.dtype.type(1) << half) - x.dtype.type(1)
    x0, x1, z0, z1 = x & low, x >> half, z & low, z >> half
    middle = x1 * z0 + (x0 * z0 >> half)
    carry = x0 * z1 + (middle & low)
    return np.asarray(x1 * z1 + (middle >> half) + (carry >> half)).view(dtype)[()]


def bits(x: Value) -> Value:
    """The bits of a float as an integer, sign extended."""
    x = np.asarray(x)
    return x.view(np.dtype(f"i{x.itemsize}")).astype(np.int64)[()]


def cast(name: str) -> Meaning:
    """To int: truncation (out of range and NaN: some integer).  To bool: x != 0, NaN is true."""
    dtype = np.dtype(name)

    def meaning(x: Value) -> Value:
        if is_complex(x):
            re = x.real.astype(dtype)
            return pair(re, x.imag) if dtype.kind == "f" else re
        return np.asarray(x).astype(dtype)[()]

    return meaning


# --- functions --------------------------------------------------------------------------------------------------------


def _atan2_imag(y: Value, x: Value) -> Value:
    h = np.hypot(y.real, x.real)
    return along(y.imag, x.real / h / h) - along(x.imag, y.real / h / h)


def _hypot_imag(x: Value, z: Value) -> Value:
    h = np.hypot(x.real, z.real)
    return along(x.imag, x.real / h) + along(z.imag, z.real / h)


def _softplus_imag(z: Value) -> Value:
    decaying = np.where(z.real > 0, -z, z)
    return np.where(z.real > 0, z.imag, 0.0) + np.log1p(np.exp(decaying)).imag


def _cot_derivative(n: int, c: Value) -> Value:
    """d^n/dx^n cot(pi x) as a polynomial in c = cot(pi x), since dc/dx = -pi (1 + c^2); all its terms have one sign."""
    p = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        p = p.deriv() * np.polynomial.Polynomial([-math.pi, 0.0, -math.pi])
    return functools.reduce(lambda y, a: y * c + a, p.coef[::-1])


def _polygamma_real(n: Value, x: Value) -> Value:
    """The n-th derivative of digamma, n >= 0; left of 1/2 by reflection.  At a pole: the limit if both sides agree."""
    if np.ndim(n):
        return np.vectorize(_polygamma_real, otypes=[np.asarray(x).dtype])(n, x)
    if n < 0:
        return np.full_like(x, np.nan)[()]
    n, w = int(n), np.asarray(x, np.float64)
    sign = (-1.0) ** n
    right = np.where(w < 0.5, 1 - w, w)
    y = -sign * math.factorial(n) * sp.zeta(n + 1.0, right) if n else sp.psi(right)
    offset = np.where(w == 0, w, w - np.round(w))
    reflected = sign * y - np.pi * _cot_derivative(n, 1 / np.tan(np.pi * offset))
    if n % 2 == 0:
        reflected = np.where((offset == 0) & (w != 0), np.nan, reflected)
    return np.where(w < 0.5, reflected, y).astype(np.asarray(x).dtype)[()]


def _digamma_real(x: Value) -> Value:
    return _polygamma_real(0, x)


def _trigamma_real(x: Value) -> Value:
    return _polygamma_real(1, x)


def _lgamma_real(x: Value) -> Value:
    """log |gamma|; SciPy's overflows where 1/x does, and is -inf at -inf."""
    size = np.abs(x)
    return np.where(size < 1e-30, -np.log(size), np.where(size == np.inf, size, sp.gammaln(x)))[()]


def _erfinv_real(x: Value) -> Value:
    """SciPy's loses the sign of zero."""
    return np.copysign(sp.erfinv(x), x)


def _fading(f: Meaning, at: Meaning) -> Meaning:
    """A Bessel function, with its limit 0 at infinity (SciPy's: NaN)."""
    return lambda x: np.where(at(x), np.zeros_like(x), f(x))[()]


def _polygamma_imag(n: Value, x: Value) -> Value:
    return along(x.imag, _polygamma_real(n + 1, x.real))


cbrt = sloped(np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2))
atan2 = perturbed(np.arctan2, _atan2_imag)
hypot = perturbed(np.hypot, _hypot_imag)
sigmoid = holomorphic(sp.expit, lambda z: np.tanh(z / 2) / 2)
softplus = perturbed(lambda x: np.logaddexp(x, np.zeros_like(x)), _softplus_imag)
erf = holomorphic(sp.erf)
erfc = holomorphic(sp.erfc)
erfinv = sloped(_erfinv_real, lambda x: math.sqrt(math.pi) / 2 * np.exp(sp.erfinv(x) ** 2))
lgamma = sloped(_lgamma_real, _digamma_real)
digamma = sloped(_digamma_real, _trigamma_real)
trigamma = sloped(_trigamma_real, lambda x: _polygamma_real(2, x))
polygamma = perturbed(_polygamma_real, _polygamma_imag)
# SciPy's Bessel functions of a complex argument lose a small imaginary part
j0 = sloped(_fading(sp.j0, np.isinf), lambda x: -sp.j1(x))
j1 = sloped(_fading(sp.j1, np.isinf), lambda x: (sp.j0(x) - sp.jn(2, x)) / 2)
y0 = sloped(_fading(sp.y0, np.isposinf), lambda x: -sp.y1(x))
y1 = sloped(_fading(sp.y1, np.isposinf), lambda x: (sp.y0(x) - sp.yn(2, x)) / 2)

"""exp, log and their relatives, written to vectorise: straight-line code, selects for the edges, explicit FMAs.

Each function takes the `Code` and double-precision values; `backend/recipes.py` wraps them, for single precision too
(computed in double, then rounded: right to .51 ulp).  Polynomials are Chebyshev interpolants, near minimax, on the
intervals named; measured errors in ulp stand beside the names.  Right at NaN, infinities, both zeros and subnormals.
"""

from __future__ import annotations

from collections.abc import Callable

from iverson.backend.text import Code, Value

LOG2E = 1.4426950408889634
LN2, LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17
# the same, the head with 21 trailing zeros: its products with exponents are exact
LN2_SHORT, LN2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG10_2, LOG10_2_LOW = 0.3010299956639812, -2.8037281277851704e-18
INV_LN10, INV_LN10_LOW = 0.4342944819032518, 1.098319650216765e-17
INV_LN2_LOW = 2.0355273740931033e-17
INF, NAN = float("inf"), float("nan")
MAGIC, TWO_54 = 1.5 * 2.0**52, 2.0**54
ONE_BITS, SQRT_HALF_BITS = 0x3FF0000000000000, 0x3FE6A09E667F3BCD
EXPONENT_52, MANTISSA = 0x4330000000000000, 0x000FFFFFFFFFFFFF

# (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, to 2^-53
_EXP = (
    0.5000000000000001, 0.16666666666666669, 0.04166666666662399, 0.008333333333330051, 0.0013888888917281794,
    0.00019841269863105968, 2.480152119021773e-05, 2.7557268378684192e-06, 2.7620138719733994e-07,
    2.5100424157005067e-08,
)  # fmt: skip
# (2 atanh(s) / s - 2) / s^2 in s^2, for (1 + s) / (1 - s) in [sqrt(1/2), sqrt(2)], to 2^-51
_LOG = (
    0.666666666666667, 0.3999999999989889, 0.28571428626253836, 0.22222211089379496, 0.1818289243253687,
    0.15331611722055008, 0.14617807153417325,
)  # fmt: skip


def clamp(code: Code, x: Value, low: float, high: float) -> Value:
    """NaN stays."""
    below = code.select(x > high, high, x)
    return code.select(below < low, low, below)


def split(code: Code, x: Value, factor: float, bias: Value | float) -> tuple[Value, Value]:
    """(k, 2^(k + bias - 1023)) with k = round(x factor), a float; 0 < k + bias < 2047.

    Adding 1.5 * 2^52 leaves the rounded integer in the low bits, from where it is shifted to the exponent's place.
    """
    magic = bias + MAGIC
    shifted = code.fma(x, factor, magic)
    power = shifted.bits().op("shl", 52).convert("bitcast", "double")
    return shifted - magic, power


def reduce_ln2(code: Code, x: Value, bias: Value | float) -> tuple[Value, Value]:
    """x = k ln 2 + r with |r| <= ln(2)/2: (r, 2^(k + bias - 1023))."""
    k, power = split(code, x, LOG2E, bias)
    return code.fma(-k, LN2_LOW, code.fma(-k, LN2, x)), power


def expm1_near(code: Code, r: Value) -> Value:
    """e^r - 1 on |r| <= ln(2)/2."""
    square = r * r
    return code.fma(square, code.polynomial(r, square, _EXP), r)


def _unscaled(code: Code, x: Value) -> tuple[Value, Value]:
    """For the result 2^k p: the bias, and the factor that undoes it, one rounding short of overflow and subnormals."""
    tiny = x < -707.0
    return code.either(tiny, 1223.0, 1022.0), code.either(tiny, 2.0**-200, 2.0)


def exp(code: Code, x: Value, low: Value | None = None) -> Value:
    """.8: e^(x + low)"""
    x = clamp(code, x, -746.0, 710.0)
    bias, factor = _unscaled(code, x)
    r, power = reduce_ln2(code, x, bias)
    p = expm1_near(code, r if low is None else r + low)
    return code.fma(p, power, power) * factor


def exp2(code: Code, x: Value) -> Value:
    x = clamp(code, x, -1080.0, 1024.5)
    bias, factor = _unscaled(code, x)
    k, power = split(code, x, 1.0, bias)
    p = expm1_near(code, (x - k) * LN2)
    return code.fma(p, power, power) * factor


def expm1(code: Code, x: Value) -> Value:
    r, power = reduce_ln2(code, clamp(code, x, -40.0, 710.0), 1022.0)
    y = code.fma(power, expm1_near(code, r), power - 0.5) * 2.0
    return code.select(x.equals(0.0), x, y)


def log_parts(code: Code, x: Value) -> tuple[Value, Value]:
    """x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for 0 < x < inf: (k as a float, f)."""
    tiny = x < 2.2250738585072014e-308
    bits = code.select(tiny, x * TWO_54, x).bits() + (ONE_BITS - SQRT_HALF_BITS)
    # the biased exponent, set into the low bits of 2^52
    exponent = (bits.op("lshr", 52) | EXPONENT_52).convert("bitcast", "double")
    k = exponent - code.either(tiny, 2.0**52 + 1023 + 54, 2.0**52 + 1023)
    return k, ((bits & MANTISSA) + SQRT_HALF_BITS).convert("bitcast", "double") - 1.0


def _log_tail(code: Code, f: Value) -> tuple[Value, Value]:
    """log(1 + f) = f - h + t: (h, t) with h = f^2/2."""
    s = f / (f + 2.0)
    z = s * s
    h = f * f * 0.5
    return h, s * code.fma(z, code.polynomial(z, z * z, _LOG), h)


def log_edges(code: Code, x: Value, y: Value, pole: float = 0.0) -> Value:
    """y inside the domain; -inf at the pole, NaN below it, inf and NaN as they come."""
    y = code.select(x.equals(pole), -INF, y)
    y = code.select(x < pole, NAN, y)
    return code.select(x < INF, y, x)


def log(code: Code, x: Value) -> Value:
    """.8"""
    k, f = log_parts(code, x)
    h, t = _log_tail(code, f)
    low = code.fma(k, LN2_REST, t)
    return log_edges(code, x, code.fma(k, LN2_SHORT, f - (h - low)))


def log1p(code: Code, x: Value) -> Value:
    u = x + 1.0
    k, f = log_parts(code, u)
    # what u lost in rounding, relative to u
    large = x > 1.0
    lost = code.select(large, 1.0 - (u - x), x - (u - 1.0)) / u
    h, t = _log_tail(code, f)
    low = code.fma(k, LN2_REST, t + lost)
    y = code.fma(k, LN2_SHORT, f - (h - low))
    y = code.select(x.equals(0.0), x, y)
    return log_edges(code, x, y, -1.0)


def _log_base(code: Code, x: Value, inverse: float, inverse_low: float, digit: float, digit_low: float) -> Value:
    """log(x) in another base: k digit + log(1 + f) inverse, with the rounding of the large terms carried along."""
    k, f = log_parts(code, x)
    h, t = _log_tail(code, f)
    high = f - h
    low = (f - high) - h + t
    scaled = high * inverse
    rest = code.fma(high, inverse, -scaled) + code.fma(low, inverse, (low + high) * inverse_low)
    whole = k * digit
    rest = rest + code.fma(k, digit_low, code.fma(k, digit, -whole))
    total = whole + scaled
    return log_edges(code, x, total + (rest + ((whole - total) + scaled)))


def log2(code: Code, x: Value) -> Value:
    return _log_base(code, x, LOG2E, INV_LN2_LOW, 1.0, 0.0)


def log10(code: Code, x: Value) -> Value:
    return _log_base(code, x, INV_LN10, INV_LN10_LOW, LOG10_2, LOG10_2_LOW)


def tanh(code: Code, x: Value) -> Value:
    """2: with t = e^{2a} - 1 or e^{-2a} - 1, t / (t + 2) for small |x|, 1 - 2 / (t + 2) for large."""
    a = x.call("fabs")
    large = a >= 1.0
    twice = code.select(a > 22.0, 22.0, a) * 2.0
    t = expm1(code, code.select(large, twice, -twice))
    quotient = code.select(large, 2.0, -t) / (t + 2.0)
    y = code.select(large, 1.0 - quotient, quotient)
    return code.select(x.compare("uno", x), x, y.call("copysign", x))


def sigmoid(code: Code, x: Value) -> Value:
    e = exp(code, -x.call("fabs"))
    return code.select(x < 0.0, e, 1.0) / (e + 1.0)


def softplus(code: Code, x: Value) -> Value:
    """max(x, 0) + log(1 + e^-|x|)"""
    tail = log1p(code, exp(code, -x.call("fabs")))
    return code.select(x > 0.0, x, 0.0) + tail


def sinh(code: Code, x: Value) -> Value:
    """(t + t / (t + 1)) / 2 with t = e^a - 1; e^(a - ln 2) where that may overflow."""
    a = x.call("fabs")
    t = expm1(code, code.select(a > 709.0, 709.0, a))
    y = (t + t / (t + 1.0)) * 0.5
    y = code.select(a > 22.0, _half_exp(code, a), y)
    return code.select(x.compare("uno", x), x, y.call("copysign", x))


def cosh(code: Code, x: Value) -> Value:
    e = _half_exp(code, x.call("fabs"))
    return e + 0.25 / e


def _half_exp(code: Code, a: Value) -> Value:
    """e^a / 2 for a >= 0, finite as long as the result is."""
    r, power = reduce_ln2(code, code.select(a > 710.5, 710.5, a), 1021.0)
    return code.fma(expm1_near(code, r), power, power) * 2.0


def asinh(code: Code, x: Value) -> Value:
    """log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log(a) + ln 2 where squares would overflow."""
    a = x.call("fabs")
    huge = a > 268435456.0
    b = code.select(huge, 1.0, a)
    square = b * b
    inside = code.select(huge, a - 1.0, b + square / ((square + 1.0).call("sqrt") + 1.0))
    y = log1p(code, inside) + code.either(huge, LN2, 0.0)
    return y.call("copysign", x)


def acosh(code: Code, x: Value) -> Value:
    """log1p(t + sqrt(2 t + t^2)) with t = x - 1; log(x) + ln 2 where squares would overflow."""
    t = x - 1.0
    huge = x > 268435456.0
    b = code.select(huge, 1.0, t)
    inside = code.select(huge, t, b + code.fma(b, b, b * 2.0).call("sqrt"))
    y = log1p(code, inside) + code.either(huge, LN2, 0.0)
    return code.select(x < 1.0, NAN, y)


def atanh(code: Code, x: Value) -> Value:
    """log1p(2 a / (1 - a)) / 2"""
    a = x.call("fabs")
    y = log1p(code, (a + a) / (1.0 - a)) * 0.5
    return code.select(a > 1.0, NAN, y).call("copysign", x)


_ALL = (exp, exp2, expm1, log, log2, log10, log1p, tanh, sigmoid, softplus, sinh, cosh, asinh, acosh, atanh)
UNARY: dict[str, Callable[..., Value]] = {f.__name__: f for f in _ALL}

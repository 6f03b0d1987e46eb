"""exp, log and their relatives, written to vectorise: straight-line code, selects for the edges, explicit FMAs.

Each function takes the `Code` and a value of either floating-point type.  Errors in ulp, as measured, stand in the
docstrings.  Right at NaN, infinities, both zeros and subnormals.
"""

from __future__ import annotations

from collections.abc import Callable

from iverson.backend.formats import FORMATS, LN2, LOG2E, LOG10_2, LOG10E, Format
from iverson.backend.text import Code, Value

INF, NAN = float("inf"), float("nan")


def clamp(code: Code, x: Value, low: float, high: float) -> Value:
    """NaN stays."""
    below = code.select(x > high, high, x)
    return code.select(below < low, low, below)


def split(code: Code, x: Value, factor: float, bias: Value | float) -> tuple[Value, Value]:
    """(k, 2^(k + bias - b)) with k = round(x factor), a float; b is the format's bias and 0 < k + bias <= 2 b.

    Adding `magic` leaves the rounded integer in the low bits, from where it is shifted to the exponent's place.
    """
    form = FORMATS[x.type]
    magic = bias + form.magic
    shifted = code.fma(x, factor, magic)
    power = shifted.bits().op("shl", form.mantissa).convert("bitcast", form.type)
    return shifted - magic, power


def reduce_ln2(code: Code, x: Value, bias: Value | float) -> tuple[Value, Value]:
    """x = k ln 2 + r with |r| <= ln(2)/2: (r, 2^(k + bias - b))."""
    high, low = FORMATS[x.type].pair(LN2)
    k, power = split(code, x, LOG2E[0], bias)
    return code.fma(-k, low, code.fma(-k, high, x)), power


def expm1_near(code: Code, r: Value) -> Value:
    """e^r - 1 on |r| <= ln(2)/2."""
    square = r * r
    return code.fma(square, code.polynomial(r, square, FORMATS[r.type].exp_tail), r)


def _unscaled(code: Code, tiny: Value, form: Format) -> tuple[Value, Value]:
    """For a result 2^k p, the bias, and the factor that undoes it with the only rounding to a subnormal."""
    up = 2 * form.mantissa
    bias = code.either(form.type, tiny, float(form.bias + up), float(form.bias - 1))
    return bias, code.either(form.type, tiny, 2.0**-up, 2.0)


def exp(code: Code, x: Value, low: Value | None = None) -> Value:
    """1: e^(x + low)"""
    form = FORMATS[x.type]
    x = clamp(code, x, form.underflow, form.overflow)
    bias, factor = _unscaled(code, x < -(form.bias - 3) * LN2[0], form)
    r, power = reduce_ln2(code, x, bias)
    p = expm1_near(code, r if low is None else r + low)
    return code.fma(p, power, power) * factor


def exp2(code: Code, x: Value) -> Value:
    """1"""
    form = FORMATS[x.type]
    x = clamp(code, x, -(form.bias + form.mantissa + 1.5), form.bias + 1.25)
    bias, factor = _unscaled(code, x < -(form.bias - 3.0), form)
    k, power = split(code, x, 1.0, bias)
    p = expm1_near(code, (x - k) * LN2[0])
    return code.fma(p, power, power) * factor


def expm1(code: Code, x: Value) -> Value:
    """1.8"""
    form = FORMATS[x.type]
    limited = clamp(code, x, -(form.mantissa + 4.0), form.overflow)
    r, power = reduce_ln2(code, limited, form.bias - 1.0)
    y = code.fma(power, expm1_near(code, r), power - 0.5) * 2.0
    return code.select(x.call("fabs") < form.smallest_normal, x, y)


def log_parts(code: Code, x: Value) -> tuple[Value, Value]:
    """x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for 0 < x < inf: (k as a float, f)."""
    form = FORMATS[x.type]
    root = form.bits(0.5**0.5)
    tiny = x < form.smallest_normal
    up = form.mantissa + 2
    bits = code.select(tiny, x * 2.0**up, x).bits() + (form.bits(1.0) - root)
    # the biased exponent, set into the low bits of 2^mantissa
    place = 2.0**form.mantissa
    exponent = (bits.op("lshr", form.mantissa) | form.bits(place)).convert("bitcast", form.type)
    k = exponent - code.either(form.type, tiny, place + form.bias + up, place + form.bias)
    fraction = bits & ((1 << form.mantissa) - 1)
    return k, (fraction + root).convert("bitcast", form.type) - 1.0


def _log_tail(code: Code, f: Value, coefficients: tuple[float, ...] = ()) -> tuple[Value, Value]:
    """log(1 + f) = f - h + t: (h, t) with h = f^2/2."""
    s = f / (f + 2.0)
    z = s * s
    h = f * f * 0.5
    tail = code.polynomial(z, z * z, coefficients or FORMATS[f.type].log_tail)
    return h, s * code.fma(z, tail, h)


def log_edges(code: Code, x: Value, y: Value, pole: float = 0.0) -> Value:
    """y inside the domain; -inf at the pole, NaN below it, inf and NaN as they come."""
    y = code.select(x.equals(pole), -INF, y)
    y = code.select(x < pole, NAN, y)
    return code.select(x < INF, y, x)


def log(code: Code, x: Value) -> Value:
    """.8"""
    high, low = FORMATS[x.type].ln2_short
    k, f = log_parts(code, x)
    h, t = _log_tail(code, f)
    return log_edges(code, x, code.fma(k, high, f - (h - code.fma(k, low, t))))


def log1p(code: Code, x: Value) -> Value:
    """.8"""
    high, low = FORMATS[x.type].ln2_short
    u = x + 1.0
    k, f = log_parts(code, u)
    # what u lost in rounding, relative to u
    large = x > 1.0
    lost = code.select(large, 1.0 - (u - x), x - (u - 1.0)) / u
    h, t = _log_tail(code, f)
    y = code.fma(k, high, f - (h - code.fma(k, low, t + lost)))
    y = code.select(x.equals(0.0), x, y)
    return log_edges(code, x, y, -1.0)


def _log_base(code: Code, x: Value, inverse: tuple[float, float], digit: tuple[float, float]) -> Value:
    """log(x) in another base: k digit + log(1 + f) inverse, with the rounding of the large terms carried along."""
    k, f = log_parts(code, x)
    h, t = _log_tail(code, f)
    high = f - h
    low = (f - high) - h + t
    scaled = high * inverse[0]
    rest = code.fma(high, inverse[0], -scaled) + code.fma(low, inverse[0], (low + high) * inverse[1])
    whole = k * digit[0]
    rest = rest + code.fma(k, digit[1], code.fma(k, digit[0], -whole))
    total = whole + scaled
    return log_edges(code, x, total + (rest + ((whole - total) + scaled)))


def log2(code: Code, x: Value) -> Value:
    """.6"""
    return _log_base(code, x, FORMATS[x.type].pair(LOG2E), (1.0, 0.0))


def log10(code: Code, x: Value) -> Value:
    """.6"""
    form = FORMATS[x.type]
    return _log_base(code, x, form.pair(LOG10E), form.pair(LOG10_2))


def tanh(code: Code, x: Value) -> Value:
    """2: with t = e^2a - 1 or e^-2a - 1, t / (t + 2) for small |x|, 1 - 2 / (t + 2) for large."""
    most = FORMATS[x.type].saturated
    a = x.call("fabs")
    large = a >= 1.0
    twice = code.select(a > most, most, a) * 2.0
    t = expm1(code, code.select(large, twice, -twice))
    quotient = code.select(large, 2.0, -t) / (t + 2.0)
    y = code.select(large, 1.0 - quotient, quotient)
    return code.select(x.compare("uno", x), x, y.call("copysign", x))


def sigmoid(code: Code, x: Value) -> Value:
    """2: 1 / (1 + e^-x), or e^x / (1 + e^x) left of 0"""
    e = exp(code, -x.call("fabs"))
    return code.select(x < 0.0, e, 1.0) / (e + 1.0)


def softplus(code: Code, x: Value) -> Value:
    """1.5: max(x, 0) + log(1 + e^-|x|)"""
    f = exp(code, -x.call("fabs"))
    h, t = _log_tail(code, f, FORMATS[x.type].log_tail_wide)
    tail = f - (h - t)
    return code.select(x > 0.0, x, 0.0) + tail


def _half_exp(code: Code, a: Value) -> Value:
    """e^a / 2 for a >= 0, finite as long as the result is."""
    form = FORMATS[a.type]
    most = form.overflow + 0.66  # less than ln 2 more
    r, power = reduce_ln2(code, code.select(a > most, most, a), form.bias - 2.0)
    return code.fma(expm1_near(code, r), power, power) * 2.0


def sinh(code: Code, x: Value) -> Value:
    """1.9: (t + t / (t + 1)) / 2 with t = e^a - 1; e^a / 2 for large a."""
    form = FORMATS[x.type]
    a = x.call("fabs")
    large = a > form.saturated
    t = expm1(code, code.select(large, form.saturated, a))
    y = code.select(large, _half_exp(code, a), (t + t / (t + 1.0)) * 0.5)
    return code.select(x.compare("uno", x), x, y.call("copysign", x))


def cosh(code: Code, x: Value) -> Value:
    """1.6"""
    e = _half_exp(code, x.call("fabs"))
    return e + 0.25 / e


def asinh(code: Code, x: Value) -> Value:
    """1.9: log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log(a) + ln 2 where squares would overflow."""
    a = x.call("fabs")
    huge = a > FORMATS[x.type].squares
    b = code.select(huge, 1.0, a)
    square = b * b
    inside = code.select(huge, a - 1.0, b + square / ((square + 1.0).call("sqrt") + 1.0))
    y = log1p(code, inside) + code.either(x.type, huge, LN2[0], 0.0)
    return y.call("copysign", x)


def acosh(code: Code, x: Value) -> Value:
    """1.9: log1p(t + sqrt(2 t + t^2)) with t = x - 1; log(x) + ln 2 where squares would overflow."""
    t = x - 1.0
    huge = x > FORMATS[x.type].squares
    b = code.select(huge, 1.0, t)
    inside = code.select(huge, t, b + code.fma(b, b, b * 2.0).call("sqrt"))
    y = log1p(code, inside) + code.either(x.type, huge, LN2[0], 0.0)
    return code.select(x < 1.0, NAN, y)


def atanh(code: Code, x: Value) -> Value:
    """1.6: log1p(2 a / (1 - a)) / 2"""
    a = x.call("fabs")
    y = log1p(code, (a + a) / (1.0 - a)) * 0.5
    return code.select(a > 1.0, NAN, y).call("copysign", x)


_ALL = (exp, exp2, expm1, log, log2, log10, log1p, tanh, sigmoid, softplus, sinh, cosh, asinh, acosh, atanh)
UNARY: dict[str, Callable[..., Value]] = {f.__name__: f for f in _ALL}

"""pow, cbrt, hypot and fmod, written to vectorise; see `elementary.py` for the conventions."""

from __future__ import annotations

from iverson.backend.elementary import INF, NAN, exp, log, log_parts, split
from iverson.backend.formats import DOUBLE
from iverson.backend.text import Code, Value

# (2 atanh(s) / s - 2 - 2 s^2 / 3) / s^4 in s^2, for (1 + s) / (1 - s) in [sqrt(1/2), sqrt(2)], to 2^-51
_LOG_TAIL = (
    0.4000000000000003, 0.2857142857133801, 0.22222222271326808, 0.18181808210921882, 0.15385577463308145,
    0.13285868837545742, 0.1291471218413509,
)  # fmt: skip
TWO_THIRDS, TWO_THIRDS_LOW = 0.6666666666666666, 3.700743415417188e-17
# the cube root of 1 + f for 1 + f in [sqrt(1/2), sqrt(2)], to 2^-20
_CBRT = (
    0.999999843138507, 0.33333466414961627, -0.11108084330222154, 0.0616084004292981,
    -0.04196258340701144, 0.03305103372498255, -0.01926717343884374,
)  # fmt: skip
CBRT_2 = 1.2599210498948732
LN2_SHORT, LN2_REST = DOUBLE.ln2_short


def _log_pair(code: Code, a: Value) -> tuple[Value, Value]:
    """log(a) as an unevaluated sum, right to 2^-63 or so; a is positive and finite."""
    k, f = log_parts(code, a)
    d = f + 2.0
    d_low = (2.0 - d) + f
    inverse = 1.0 / d
    s = f * inverse
    s_low = (code.fma(-s, d, f) - s * d_low) * inverse
    z = s * s
    z_low = code.fma(s, s, -z) + (s + s) * s_low
    p = z * code.polynomial(z, z * z, _LOG_TAIL)
    t = p + TWO_THIRDS
    t_low = (TWO_THIRDS - t) + p + TWO_THIRDS_LOW
    cube = s * z
    cube_low = code.fma(s, z, -cube) + code.fma(s, z_low, s_low * z)
    u = cube * t
    u_low = code.fma(cube, t, -u) + code.fma(cube, t_low, cube_low * t)
    twice = s + s
    high = twice + u
    low = (twice - high) + u + (s_low + s_low + u_low)
    whole = k * LN2_SHORT
    total = whole + high
    return total, (whole - total) + high + code.fma(k, LN2_REST, low)


def _log_edges(code: Code, a: Value, high: Value) -> Value:
    high = code.select(a.equals(0.0), -INF, high)
    return code.select(a < INF, high, a)


def _power_edges(code: Code, x: Value, y: Value, magnitude: Value) -> Value:
    """|x|^y to x^y, as C's pow has it."""
    half = y * 0.5
    whole = y.call("floor").equals(y)
    odd = whole & ~half.call("floor").equals(half)
    negative = (x < 0.0) & (x > -INF)
    z = code.select(x.call("fabs").equals(1.0), 1.0, magnitude)
    z = code.select(negative & ~whole, NAN, z)
    z = code.select(odd, z.call("copysign", x), z)
    # an infinite exponent counts as whole and even
    return code.select(y.equals(0.0) | x.equals(1.0), 1.0, code.select(y.compare("uno", x), x + y, z))


def pow(code: Code, x: Value, y: Value) -> Value:
    """1: e^(y log |x|) with the logarithm and the product in twice the precision."""
    a = x.call("fabs")
    log_high, log_low = _log_pair(code, a)
    log_high = _log_edges(code, a, log_high)
    high = y * log_high
    low = code.fma(y, log_high, -high) + y * log_low
    low = code.select(high.call("fabs") < 800.0, low, 0.0)
    return _power_edges(code, x, y, exp(code, high, low))


def pow_single(code: Code, x: Value, y: Value) -> Value:
    """For operands and result of single precision."""
    return _power_edges(code, x, y, exp(code, y * log(code, x.call("fabs"))))


def cbrt(code: Code, x: Value) -> Value:
    """.5: from a polynomial by two Newton steps, the last with an exact residual."""
    a = x.call("fabs")
    k, f = log_parts(code, a)
    third, power = split(code, k, 1 / 3, 1023.0)
    rest = k - third * 3.0
    up, down = rest > 0.5, rest < -0.5
    m = (f + 1.0) * code.select(up, code.number("double", 2.0), code.either("double", down, 0.5, 1.0))
    t = code.polynomial(f, f * f, _CBRT)
    t = t * code.select(up, code.number("double", CBRT_2), code.either("double", down, 1 / CBRT_2, 1.0))
    t = t - code.fma(t * t, t, -m) / (t * t * 3.0)
    square = t * t
    residual = code.fma(-square, t, m) - code.fma(t, t, -square) * t
    y = (t + residual / (square * 3.0)) * power
    # zeros, infinities and NaN are their own roots
    return code.select((a > 0.0) & (a < INF), y.call("copysign", x), x)


def hypot(code: Code, x: Value, y: Value) -> Value:
    """1: squares of operands brought into range by a power of two."""
    a, b = x.call("fabs"), y.call("fabs")
    big = code.select(a > b, a, b)
    down = code.select(
        big > 2.0**500, code.number("double", 2.0**-600), code.either("double", big < 2.0**-450, 2.0**600, 1.0)
    )
    up = code.select(
        big > 2.0**500, code.number("double", 2.0**600), code.either("double", big < 2.0**-450, 2.0**-600, 1.0)
    )
    a, b = a * down, b * down
    h = code.fma(a, a, b * b).call("sqrt") * up
    infinite = a.equals(INF) | b.equals(INF)
    return code.select(infinite, INF, h)


def fmod(code: Code, a: Value, b: Value) -> Value:
    """Exact for quotients up to 2^52, which may round up to an integer that is one too many."""
    n = (a / b).call("trunc")
    r = code.fma(-n, b, a)
    over = code.select(a < 0.0, r > 0.0, r < 0.0)
    r = code.select(over, r + b.call("fabs").call("copysign", a), r)
    smaller = a.call("fabs") < b.call("fabs")  # b may be infinite
    return code.select(smaller, a, r.call("copysign", a))

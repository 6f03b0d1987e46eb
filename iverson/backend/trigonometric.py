"""sin, cos, tan and their inverses, written to vectorise; see `elementary.py` for the conventions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iverson.backend.elementary import INF, NAN
from iverson.backend.formats import DOUBLE
from iverson.backend.text import Code, Value

TWO_OVER_PI = 0.6366197723675814
# pi/2 in three parts
HALF_PI, HALF_PI_LOW, HALF_PI_LOWER = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33
PI, PI_LOW = 2 * HALF_PI, 2 * HALF_PI_LOW
# up to here k = round(2 x / pi) is near enough and x - k pi/2 is right to an ulp of itself
FAR = 2.0**40

# (sin(r) / r - 1) / r^2 and (cos(r) - 1 + r^2/2) / r^4, in r^2, for |r| <= pi/4, to 2^-55 and 2^-59
_SIN = (
    -0.16666666666666666, 0.008333333333330925, -0.00019841269836722418, 2.755731608381636e-06,
    -2.5051127944014188e-08, 1.5917848524808262e-10,
)  # fmt: skip
_COS = (
    0.041666666666666664, -0.0013888888888887382, 2.480158729874307e-05, -2.7557317260008837e-07,
    2.0876143827993133e-09, -1.1382456778061306e-11,
)  # fmt: skip
# (atan(r) / r - 1) / r^2 in r^2, for |r| <= sqrt(2) - 1, to 2^-55
_ATAN = (
    -0.3333333333333333, 0.1999999999999548, -0.14285714284657894, 0.11111111014561013, -0.09090904549884611,
    0.07692182535116648, -0.06664502215671447, 0.058580687568615106, -0.05085030492810941, 0.03921955253255129,
    -0.019162068915902573,
)  # fmt: skip
# (asin(r) / r - 1) / r^2 in r^2, for |r| <= 1/2, to 2^-56
_ASIN = (
    0.16666666666666669, 0.07499999999998425, 0.04464285714637338, 0.030381944137085216, 0.022372173002005596,
    0.017352391265909227, 0.013971235301124539, 0.011478952690257387, 0.010324318288744113, 0.00545087818772055,
    0.017419357964884856, -0.014881409392818066, 0.02877844261259304,
)  # fmt: skip


def _in_square(code: Code, r: Value, coefficients: Sequence[float]) -> tuple[Value, Value]:
    z = r * r
    return z, code.polynomial(z, z * z, coefficients)


def _quadrant(code: Code, x: Value) -> tuple[Value, Value]:
    """x = k pi/2 + r for |x| <= FAR: (k mod 4 in the low bits of an i64, r)."""
    shifted = code.fma(x, TWO_OVER_PI, DOUBLE.magic)
    k = shifted - DOUBLE.magic
    r = code.fma(-k, HALF_PI, x)
    r = code.fma(-k, HALF_PI_LOW, r)
    return shifted.bits(), code.fma(-k, HALF_PI_LOWER, r)


def _sin_cos(code: Code, r: Value) -> tuple[Value, Value]:
    z, s = _in_square(code, r, _SIN)
    c = code.fma(z, code.polynomial(z, z * z, _COS), -0.5)
    return code.fma(z * r, s, r), code.fma(z, c, 1.0)


def _signed(code: Code, y: Value, quadrant: Value) -> Value:
    """-y in quadrants 2 and 3."""
    sign = (quadrant & 2).op("shl", 62)
    return (y.bits() ^ sign).convert("bitcast", "double")


def _odd(quadrant: Value) -> Value:
    return (quadrant & 1).compare("ne", 0)


def sin(code: Code, x: Value) -> Value:
    quadrant, r = _quadrant(code, x)
    s, c = _sin_cos(code, r)
    y = _signed(code, code.select(_odd(quadrant), c, s), quadrant)
    return code.select(x.equals(0.0), x, y)


def cos(code: Code, x: Value) -> Value:
    quadrant, r = _quadrant(code, x)
    s, c = _sin_cos(code, r)
    return _signed(code, code.select(_odd(quadrant), s, c), quadrant + 1)


def tan(code: Code, x: Value) -> Value:
    quadrant, r = _quadrant(code, x)
    s, c = _sin_cos(code, r)
    odd = _odd(quadrant)
    y = code.select(odd, -c, s) / code.select(odd, s, c)
    return code.select(x.equals(0.0), x, y)


def atan(code: Code, x: Value) -> Value:
    """By halves of the octant: |x| or (a - 1) / (a + 1) or -1 / a is at most sqrt(2) - 1."""
    a = x.call("fabs")
    return _atan_quotient(code, a, code.number("double", 1.0)).call("copysign", x)


def _atan_quotient(code: Code, n: Value, d: Value) -> Value:
    """atan(n / d) for n, d >= 0."""
    high, middle = n > d * 2.414213562373095, n > d * 0.4142135623730951
    top = code.select(high, -d, code.select(middle, n - d, n))
    bottom = code.select(high, n, code.select(middle, n + d, d))
    r = top / bottom
    z, p = _in_square(code, r, _ATAN)
    base = code.select(
        high, code.number("double", HALF_PI), code.select(middle, code.number("double", HALF_PI / 2), 0.0)
    )
    low = code.select(
        high, code.number("double", HALF_PI_LOW), code.select(middle, code.number("double", HALF_PI_LOW / 2), 0.0)
    )
    return base + (code.fma(z * r, p, low) + r)


def atan2(code: Code, y: Value, x: Value) -> Value:
    n, d = y.call("fabs"), x.call("fabs")
    # neither extreme overflows in _atan_quotient, nor does inf / inf or 0 / 0 become NaN
    big = n.call("maximum", d)
    shrink = code.either("double", big > 1e300, 2.0**-60, 1.0)
    shrink = code.select(big < 1e-280, 2.0**100, shrink)
    both = code.select(n.equals(INF), code.select(d.equals(INF), 1.0, 0.0 * shrink), shrink)
    angle = _atan_quotient(
        code,
        code.select(n.equals(INF), 1.0, n * shrink),
        code.select(d.equals(INF), code.select(n.equals(INF), code.number("double", 1.0), INF), d * both),
    )
    angle = code.select(big.equals(0.0), 0.0, angle)
    negative = x.bits() < 0
    angle = code.select(negative, (PI - angle) + PI_LOW, angle)
    return code.select(big.compare("uno", big), NAN, angle.call("copysign", y))


def _asin_core(code: Code, r: Value) -> tuple[Value, Value]:
    """asin(r) - r for |r| <= 1/2, and r^2."""
    z, p = _in_square(code, r, _ASIN)
    return z * r * p, z


def asin(code: Code, x: Value) -> Value:
    """Above 1/2: pi/2 - 2 asin(sqrt((1 - a) / 2))."""
    a = x.call("fabs")
    large = a > 0.5
    half = (1.0 - a) * 0.5
    root = half.call("sqrt")
    r = code.select(large, root, a)
    tail, _ = _asin_core(code, r)
    rest = code.fma(-root, root, half) / (root + root)  # what the root lost
    rest = code.select(root.equals(0.0), 0.0, rest)
    upper = HALF_PI - ((tail + rest) * 2.0 - HALF_PI_LOW + r * 2.0)
    y = code.select(large, upper, r + tail)
    return code.select(a > 1.0, NAN, y).call("copysign", x)


def acos(code: Code, x: Value) -> Value:
    """2 asin(sqrt((1 - a) / 2)) near 1, pi minus that near -1, pi/2 - asin(x) between."""
    a = x.call("fabs")
    large = a > 0.5
    half = (1.0 - a) * 0.5
    root = half.call("sqrt")
    tail, _ = _asin_core(code, code.select(large, root, x))
    rest = code.fma(-root, root, half) / (root + root)
    rest = code.select(root.equals(0.0), 0.0, rest)
    near_one = (root + (tail + rest)) * 2.0
    outside = code.select(x < 0.0, PI - (near_one - PI_LOW), near_one)
    inside = HALF_PI - (x - (HALF_PI_LOW - tail))
    return code.select(a > 1.0, NAN, code.select(large, outside, inside))


# right up to FAR only
DIRECT: tuple[Callable[[Code, Value], Value], ...] = (sin, cos, tan)
INVERSE: dict[str, Callable[[Code, Value], Value]] = {"asin": asin, "acos": acos, "atan": atan}

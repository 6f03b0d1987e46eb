"""Functions that need control flow or foreign code: libm, SciPy, integer powers, polygamma.

The names of foreign symbols, their declarations and, at load time, their addresses.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Iterable
from functools import cache

from iverson.backend import runtime
from iverson.backend.text import Code, Value

PURE = "nounwind willreturn memory(none)"

# those of which single precision is used too
LIBM_BOTH = ("exp", "exp2", "log", "log2", "log10", "sin", "cos", "asin", "acos")
LIBM_DOUBLE = ("tan", "j0", "j1", "y0", "y1", "tgamma")
LIBM_BINARY = ("pow", "fmod")
# SciPy's, for what libm lacks: the capsule's name in scipy.special.cython_special, called with a trailing 0
SCIPY = {"iv_scipy_digamma": "__pyx_fuse_1psi", "iv_scipy_erfinv": "__pyx_fuse_0erfinv"}

DECLARATIONS: dict[str, str] = {
    **{name: f"declare double @{name}(double) {PURE}" for name in (*LIBM_BOTH, *LIBM_DOUBLE)},
    **{f"{name}f": f"declare float @{name}f(float) {PURE}" for name in LIBM_BOTH},
    **{name: f"declare double @{name}(double, double) {PURE}" for name in LIBM_BINARY},
    **{f"{name}f": f"declare float @{name}f(float, float) {PURE}" for name in LIBM_BINARY},
    **{name: f"declare double @{name}(double, i32) {PURE}" for name in SCIPY},
    "lgamma_r": "declare double @lgamma_r(double, ptr) nounwind willreturn memory(argmem: write)",
}


@cache
def _libm() -> ctypes.CDLL:
    everything = ctypes.CDLL(None)
    return everything if hasattr(everything, "j0") else ctypes.CDLL(ctypes.util.find_library("m"))


@cache
def _scipy(capsule: str) -> int:
    from scipy.special import cython_special

    table = cython_special.__pyx_capi__
    signature = b"double (double, int __pyx_skip_dispatch)"
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get(table[capsule], signature))


def addresses(symbols: Iterable[str]) -> dict[str, int]:
    """Where the foreign symbols of a module are in this process."""
    memory = runtime.symbols()
    found = {}
    for name in symbols:
        if name in memory:
            found[name] = memory[name]
        elif name in SCIPY:
            found[name] = _scipy(SCIPY[name])
        else:
            found[name] = int(ctypes.cast(getattr(_libm(), name), ctypes.c_void_p).value or 0)
    return found


def foreign(name: str, symbol: str, arity: int = 1) -> str:
    """`name` as a call of a foreign function of doubles, or of floats if it is called so."""
    type = "float" if name.endswith("f32") else "double"
    params = ", ".join(f"{type} %x{i}" for i in range(arity))
    extra = ", i32 0" if symbol in SCIPY else ""
    return (
        f"define internal {type} @{name}({params}) alwaysinline {PURE} {{\n"
        f"  %y = call {type} @{symbol}({params}{extra})\n  ret {type} %y\n}}\n"
    )


LGAMMA = f"""
define internal double @iv_lgamma_f64(double %x) {PURE} {{
  %sign = alloca i32
  %y = call double @lgamma_r(double %x, ptr %sign)
  ret double %y
}}
"""


def integer_power(type: str) -> str:
    """x^n by squaring, wrapping; 0 for n < 0, which the program has checked."""
    return f"""
define internal {type} @iv_pow_{type}({type} %x, {type} %n) {PURE} {{
entry:
  %negative = icmp slt {type} %n, 0
  br i1 %negative, label %none, label %head
none:
  ret {type} 0
head:
  %rest = phi {type} [%n, %entry], [%half, %turn]
  %base = phi {type} [%x, %entry], [%square, %turn]
  %power = phi {type} [1, %entry], [%next, %turn]
  %done = icmp eq {type} %rest, 0
  br i1 %done, label %out, label %turn
turn:
  %bit = trunc {type} %rest to i1
  %product = mul {type} %power, %base
  %next = select i1 %bit, {type} %product, {type} %power
  %square = mul {type} %base, %base
  %half = lshr {type} %rest, 1
  br label %head
out:
  ret {type} %power
}}
"""


def erfinv(code: Code, x: Value) -> Value:
    """SciPy's, but for the sign of zero."""
    y = code.let(f"call double @iv_scipy_erfinv(double {x.text}, i32 0)", "double")
    return code.select(x.equals(0.0), x, y)


# B_2j / (2j)!, j = 1, 2, ...
_EULER_MACLAURIN = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000, 43867 / 5109094217170944000, -174611 / 802857662698291200000,
)  # fmt: skip
_DIRECT = 12


def hurwitz(
    code: Code, s: Value, q: Value, negative_power: Callable[[Value], Value], lead: Callable[[Value], Value]
) -> Value:
    """zeta(s, q) = sum of (q + k)^-s for q >= 1/2 and s >= 2, by Euler and Maclaurin.

    negative_power(z) = z^-s and lead(z) = z^(1-s), which may be in range where z^-s isn't.
    """
    w = q + float(_DIRECT)
    at_w = negative_power(w)
    inverse = 1.0 / (w * w)
    term = at_w * s / w
    total = at_w * 0.5
    for j, c in enumerate(_EULER_MACLAURIN):
        total = code.fma(term, c, total)
        term = term * (s + (2.0 * j + 1.0)) * (s + (2.0 * j + 2.0)) * inverse
    total = total + lead(w) / (s - 1.0)
    for k in reversed(range(_DIRECT)):
        total = total + negative_power(q + float(k))
    infinite = q.equals(float("inf"))
    return code.select(infinite, 0.0, total)


def pole_sum(
    code: Code, s: Value, x: Value, odd: Value, zeta: Callable[[Value], Value], power: Callable[[Value], Value]
) -> Value:
    """The sum of (x + k)^-s over k >= 0 for any x; at poles with two signs NaN, but at 0 that of the zero.

    Left of 1/2, with w = x - round(x): from the pole next to x, those to its right, and the j = -round(x) to its left.
    """
    w = code.select(x.equals(0.0), x, x - x.call("roundeven"))
    left = x < 0.5
    others = zeta(1.0 - w) - zeta(code.select(left, 1.0 - x, 1.0))
    reflected = power(w) + (zeta(w + 1.0) + code.select(odd, -others, others))
    two_signed = odd & w.equals(0.0) & (x < 0.0)
    reflected = code.select(two_signed, float("nan"), reflected)
    return code.select(left, reflected, zeta(code.select(left, 1.0, x)))


def trigamma(code: Code, x: Value) -> Value:
    """The second derivative of log gamma: the pole sum with s = 2."""
    s = code.number("double", 2.0)

    def power(z: Value) -> Value:
        return 1.0 / (z * z)

    def zeta(q: Value) -> Value:
        return hurwitz(code, s, q, power, lambda z: 1.0 / z)

    y = pole_sum(code, s, x, code.number("i1", False), zeta, power)
    return code.select(x.compare("uno", x), x, y)


def hurwitz_function(code: Code, s: Value, q: Value) -> Value:
    def power(exponent: Value) -> Callable[[Value], Value]:
        return lambda z: code.invoke("pow", "double", z, exponent)

    return hurwitz(code, s, q, power(-s), power(1.0 - s))


def polygamma(code: Code, n: Value, x: Value) -> Value:
    """For n >= 1, as a float."""
    s = n + 1.0
    odd = (s * 0.5).compare("une", (s * 0.5).call("floor"))
    total = pole_sum(
        code,
        s,
        x,
        odd,
        lambda q: code.invoke("iv_hurwitz_f64", "double", s, q),
        lambda z: code.invoke("pow", "double", z, -s),
    )
    factorial = code.invoke("tgamma", "double", s)
    y = code.select(odd, -factorial, factorial) * total
    return code.select(x.compare("uno", x), x, y)

"""Complex scalars: what each ufunc does to pairs of reals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from iverson.core.build import dtype_of
from iverson.core.syntax import Atom, Literal
from iverson.lang.errors import error
from iverson.lang.staging import builder

Pair: TypeAlias = tuple[Atom, Atom]


def _o() -> Any:
    return builder().o


def _mul(x: Pair, y: Pair) -> Pair:
    o = _o()
    return o.sub(o.mul(x[0], y[0]), o.mul(x[1], y[1])), o.add(o.mul(x[0], y[1]), o.mul(x[1], y[0]))


def _div(x: Pair, y: Pair) -> Pair:
    """Smith's method: by way of the larger part, so that nothing overflows that need not.

    As NumPy does it, with two divisions; a real divisor divides both parts, and parts that are 0 take no arithmetic.
    """
    o = _o()
    if _is_zero(y[1]):
        return o.div(x[0], y[0]), o.div(x[1], y[0])
    wide = o.ge(o.abs(y[0]), o.abs(y[1]))
    big, small = o.select(wide, y[0], y[1]), o.select(wide, y[1], y[0])
    ratio = o.div(small, big)
    scale = o.div(1.0, o.add(big, o.mul(small, ratio)))
    if any(map(_is_zero, x)):
        re = o.select(wide, _plus(x[0], x[1], ratio), _plus(x[1], x[0], ratio))
        im = o.select(wide, _plus(x[1], x[0], o.neg(ratio)), o.neg(_plus(x[0], x[1], o.neg(ratio))))
    else:
        re = o.add(o.select(wide, x[0], x[1]), o.mul(o.select(wide, x[1], x[0]), ratio))
        straight, crossed = o.sub(x[1], o.mul(x[0], ratio)), o.sub(o.mul(x[1], ratio), x[0])
        im = o.select(wide, straight, crossed)
    return o.mul(re, scale), o.mul(im, scale)


def _is_zero(part: Atom) -> bool:
    return isinstance(part, Literal) and part.value == 0


def _plus(a: Atom, b: Atom, ratio: Atom) -> Atom:
    """a + b ratio, of numbers that may be known to be 0."""
    o = _o()
    if _is_zero(b):
        return a
    product = ratio if isinstance(b, Literal) and b.value == 1 else o.mul(b, ratio)
    return product if _is_zero(a) else o.add(a, product)


def _exp(x: Pair) -> Pair:
    o = _o()
    size = o.exp(x[0])
    return o.mul(size, o.cos(x[1])), o.mul(size, o.sin(x[1]))


def _log(x: Pair) -> Pair:
    o = _o()
    return o.log(o.hypot(x[0], x[1])), o.atan2(x[1], x[0])


def _sqrt(x: Pair) -> Pair:
    """The root with a real part that is not negative; the sign of zero decides on the cut."""
    o = _o()
    half = o.sqrt(o.mul(0.5, o.add(o.hypot(x[0], x[1]), o.abs(x[0]))))
    safe = o.select(o.eq(half, 0.0), 1.0, half)
    other = o.div(o.abs(x[1]), o.mul(2.0, safe))
    right = o.ge(x[0], 0.0)
    return o.select(right, half, other), o.copysign(o.select(right, other, half), x[1])


def _pow(x: Pair, y: Pair) -> Pair:
    """Small whole exponents by multiplication, others by exp(y log x)."""
    if isinstance(y[0], Literal) and isinstance(y[1], Literal) and y[1].value == 0:
        n = y[0].value
        if n == int(n) and 0 < abs(n) <= 64:
            out = _whole_power(x, abs(int(n)))
            return out if n > 0 else _div(_one(x), out)
        if n == 0:
            return _one(x)
    o = _o()
    zero = getattr(o, "and")(o.eq(x[0], 0.0), o.eq(x[1], 0.0))
    base = o.select(zero, 1.0, x[0]), x[1]
    out = _exp(_mul(y, _log(base)))
    return o.select(zero, 0.0, out[0]), o.select(zero, 0.0, out[1])


def _one(x: Pair) -> Pair:
    dtype = dtype_of(x[0])
    return Literal(1.0, dtype), Literal(0.0, dtype)


def _whole_power(x: Pair, n: int) -> Pair:
    out: Pair | None = None
    while n:
        if n & 1:
            out = x if out is None else _mul(out, x)
        x, n = (_mul(x, x), n >> 1) if n > 1 else (x, 0)
    assert out is not None
    return out


def _sin(x: Pair) -> Pair:
    o = _o()
    return o.mul(o.sin(x[0]), o.cosh(x[1])), o.mul(o.cos(x[0]), o.sinh(x[1]))


def _cos(x: Pair) -> Pair:
    o = _o()
    return o.mul(o.cos(x[0]), o.cosh(x[1])), o.neg(o.mul(o.sin(x[0]), o.sinh(x[1])))


def _sinh(x: Pair) -> Pair:
    o = _o()
    return o.mul(o.sinh(x[0]), o.cos(x[1])), o.mul(o.cosh(x[0]), o.sin(x[1]))


def _cosh(x: Pair) -> Pair:
    o = _o()
    return o.mul(o.cosh(x[0]), o.cos(x[1])), o.mul(o.sinh(x[0]), o.sin(x[1]))


def _both(name: str) -> Callable[..., Pair]:
    return lambda x, *y: tuple(_o().__getattr__(name)(*parts) for parts in zip(x, *y, strict=True))  # type: ignore[return-value]


def _any_part(name: str, join: str) -> Callable[[Pair], Atom]:
    return lambda x: getattr(_o(), join)(getattr(_o(), name)(x[0]), getattr(_o(), name)(x[1]))


def _equal(x: Pair, y: Pair) -> Atom:
    o = _o()
    return getattr(o, "and")(o.eq(x[0], y[0]), o.eq(x[1], y[1]))


_PAIRS: dict[np.ufunc, Callable[..., Pair]] = {
    np.add: _both("add"),
    np.subtract: _both("sub"),
    np.multiply: _mul,
    np.true_divide: _div,
    np.negative: _both("neg"),
    np.rint: _both("round"),
    np.positive: lambda x: x,
    np.conjugate: lambda x: (x[0], _o().neg(x[1])),
    np.square: lambda x: _mul(x, x),
    np.reciprocal: lambda x: _div(_one(x), x),
    np.power: _pow,
    np.exp: _exp,
    np.log: _log,
    np.sqrt: _sqrt,
    np.sin: _sin,
    np.cos: _cos,
    np.tan: lambda x: _div(_sin(x), _cos(x)),
    np.sinh: _sinh,
    np.cosh: _cosh,
    np.tanh: lambda x: _div(_sinh(x), _cosh(x)),
}
_REALS: dict[np.ufunc, Callable[..., Atom]] = {
    np.absolute: lambda x: _o().hypot(x[0], x[1]),
    np.equal: _equal,
    np.not_equal: lambda x, y: _o().__getattr__("not")(_equal(x, y)),
    np.isnan: _any_part("isnan", "or"),
    np.isinf: _any_part("isinf", "or"),
    np.isfinite: _any_part("isfinite", "and"),
}


def ufunc(function: np.ufunc, args: list[Any], weak: bool) -> Any:
    """A ufunc of complex numbers (Nums with an imaginary part)."""
    from iverson.lang.num import Num

    pairs = [(a.atom, a.im) for a in args]
    if function in _PAIRS:
        re, im = _PAIRS[function](*pairs)
        return Num(re, weak, im)
    if function in _REALS:
        return Num(_REALS[function](*pairs), weak)
    if function in (np.less, np.less_equal, np.greater, np.greater_equal, np.maximum, np.minimum):
        raise error(TypeError, "complex numbers have no order: '<' is not supported between instances of 'complex'")
    raise error(NotImplementedError, f"np.{function.__name__} of complex numbers is not available in staged programs")

"""What the functions of Python's `math` module do to scalars, as core primitives.

Unlike `math`, they follow NumPy at singularities: infinity or NaN, never a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

from iverson.core.build import Builder
from iverson.core.syntax import I64, Atom
from iverson.lang.scalars import Emit
from iverson.lang.specials import ROWS


def _row(name: str) -> Emit:
    """The ufunc of that name, on elements."""
    rows = {ufunc.__name__: emit for ufunc, emit in ROWS.items()}
    return rows[name]


def _to_integer(name: str) -> Emit:
    return lambda b, x: b.cast(b.prim(name, x), I64)


def _log(b: Builder, x: Atom, base: Atom | None = None) -> Atom:
    return b.o.log(x) if base is None else b.o.div(b.o.log(x), b.o.log(base))


def _hypot(b: Builder, *xs: Atom) -> Atom:
    return b.o.abs(xs[0]) if len(xs) == 1 else reduce(b.o.hypot, xs)


def _remainder(b: Builder, x: Atom, y: Atom) -> Atom:
    """x - n y for the integer n nearest to x / y, half to even: from fmod, which is exact."""
    o = b.o
    size = o.abs(y)
    rest = o.mod(o.abs(x), size)
    other = o.sub(size, rest)
    odd = o.ne(o.mod(o.floordiv(o.abs(x), size), 2.0), 0.0)
    down = b.prim("or", o.lt(rest, other), b.prim("and", o.eq(rest, other), b.prim("not", odd)))
    near = o.select(down, rest, o.neg(other))
    near = o.select(o.isinf(y), o.select(o.isinf(x), math.nan, o.abs(x)), near)
    return o.select(o.lt(x, 0.0), o.neg(near), near)


def _isqrt(b: Builder, n: Atom) -> Atom:
    """The floor of the root: the float's, which is at most one off, corrected."""
    o = b.o
    root = b.cast(o.sqrt(b.prim("float64", n)), I64)
    root = o.select(o.gt(o.mul(root, root), n), o.sub(root, 1), root)
    above = o.add(root, 1)
    return o.select(o.le(o.mul(above, above), n), above, root)


def _factorial(b: Builder, n: Atom) -> Atom:
    return b.reduce("mul", n, lambda i: b.o.add(i, 1))


def _comb(b: Builder, n: Atom, k: Atom) -> Atom:
    """n choose k: multiplied up so that every intermediate is itself a binomial coefficient."""
    o = b.o
    small = o.max(o.min(k, o.sub(n, k)), 0)
    product = b.loop(small, [1], lambda i, c: o.floordiv(o.mul(c, o.sub(n, i)), o.add(i, 1)), hints=("c",))[0]
    return o.select(o.gt(k, n), 0, product)


def _perm(b: Builder, n: Atom, k: Atom | None = None) -> Atom:
    return b.reduce("mul", n if k is None else k, lambda i: b.o.sub(n, i))


def _chained(name: str, empty: int) -> Emit:
    def emit(b: Builder, *xs: Atom) -> Atom:
        row = _row(name)
        return reduce(lambda x, y: row(b, x, y), xs) if len(xs) > 1 else row(b, xs[0], b.o.sub(xs[0], xs[0]))

    return emit


def isclose(b: Builder, x: Atom, y: Atom, rel_tol: Atom, abs_tol: Atom) -> Atom:
    o = b.o
    distance = o.abs(o.sub(x, y))
    bound = o.max(o.mul(rel_tol, o.max(o.abs(x), o.abs(y))), abs_tol)
    finite = b.prim("not", b.prim("or", o.isinf(x), o.isinf(y)))
    return b.prim("or", o.eq(x, y), b.prim("and", finite, o.le(distance, bound)))


ldexp = _row("ldexp")

_UFUNC_OF = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "pow": "power",
    "lgamma": "gammaln",
}
_ALIKE = """
    sqrt cbrt exp exp2 expm1 log2 log10 log1p sin cos tan sinh cosh tanh
    fabs fmod copysign degrees radians isnan isinf isfinite modf erf erfc gamma
"""

# Of floats; integers and bools become floats first.
FLOATS: dict[Callable[..., Any], Emit] = {
    **{getattr(math, name): _row(name) for name in _ALIKE.split()},
    **{getattr(math, name): _row(ufunc) for name, ufunc in _UFUNC_OF.items()},
    math.log: _log,
    math.hypot: _hypot,
    math.remainder: _remainder,
}

# Of floats with an integer result; of an integer, itself.
ROUNDING: dict[Callable[..., Any], Emit] = {
    math.floor: _to_integer("floor"),
    math.ceil: _to_integer("ceil"),
    math.trunc: _to_integer("trunc"),
}

# Of integers.
INTEGERS: dict[Callable[..., Any], Emit] = {
    math.gcd: _chained("gcd", 0),
    math.lcm: _chained("lcm", 1),
    math.isqrt: _isqrt,
    math.factorial: _factorial,
    math.comb: _comb,
    math.perm: _perm,
}

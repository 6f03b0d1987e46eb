"""What the ufuncs of `scipy.special` do to one element, as core primitives.  Rows as in `scalars.py`."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from iverson.core.build import Builder, dtype_of, literal
from iverson.core.syntax import Atom
from iverson.lang.scalars import UFUNCS, Emit, prim


def _all(b: Builder, first: Atom, *rest: Atom) -> Atom:
    for p in rest:
        first = b.prim("and", first, p)
    return first


def _logit(b: Builder, x: Atom) -> Atom:
    o = b.o
    return o.sub(o.log(x), o.log1p(o.neg(x)))


def _log_expit(b: Builder, x: Atom) -> Atom:
    o = b.o
    return o.neg(o.softplus(o.neg(x)))


def _ndtr(b: Builder, x: Atom) -> Atom:
    o = b.o
    return o.mul(0.5, o.erfc(o.mul(x, -math.sqrt(0.5))))


def _loggamma(b: Builder, x: Atom) -> Atom:
    o = b.o
    return o.select(o.lt(x, 0.0), math.nan, o.lgamma(x))


def _gammasgn(b: Builder, x: Atom) -> Atom:
    """The sign of gamma: negative between -1 and 0, then alternating; NaN at the poles below 0."""
    o = b.o
    below = o.floor(x)
    odd = o.ne(o.mod(below, 2.0), 0.0)
    pole = _all(b, o.lt(x, 0.0), o.eq(x, below))
    one = literal(1.0, dtype_of(x))
    sign = o.select(_all(b, o.lt(x, 0.0), odd), o.neg(one), one)
    return o.select(pole, math.nan, o.select(o.eq(x, 0.0), o.copysign(one, x), sign))


def _gamma(b: Builder, x: Atom) -> Atom:
    o = b.o
    return o.mul(o.exp(o.lgamma(x)), _gammasgn(b, x))


def _rgamma(b: Builder, x: Atom) -> Atom:
    o = b.o
    pole = _all(b, o.le(x, 0.0), o.eq(x, o.floor(x)))
    return o.select(pole, 0.0, o.mul(o.exp(o.neg(o.lgamma(x))), _gammasgn(b, x)))


def _betaln(b: Builder, x: Atom, y: Atom) -> Atom:
    o = b.o
    return o.sub(o.add(o.lgamma(x), o.lgamma(y)), o.lgamma(o.add(x, y)))


def _beta(b: Builder, x: Atom, y: Atom) -> Atom:
    o = b.o
    sign = o.mul(o.mul(_gammasgn(b, x), _gammasgn(b, y)), _gammasgn(b, o.add(x, y)))
    return o.mul(o.exp(_betaln(b, x, y)), sign)


def _times_log(b: Builder, x: Atom, y: Atom, log: str, lowest: float, one: float) -> Atom:
    """x log(y), 0 at x = 0: where the logarithm is infinite or NaN there, it is that of `one`, with slope 0."""
    o = b.o
    bad = _all(b, o.eq(x, 0.0), b.prim("or", o.le(y, lowest), o.isinf(y)))
    return o.mul(x, b.prim(log, o.select(bad, one, y)))


def _xlogy(b: Builder, x: Atom, y: Atom) -> Atom:
    return _times_log(b, x, y, "log", 0.0, 1.0)


def _entr(b: Builder, x: Atom) -> Atom:
    o = b.o
    return o.select(o.lt(x, 0.0), -math.inf, o.neg(_xlogy(b, x, x)))


def _rel_entr(b: Builder, x: Atom, y: Atom) -> Atom:
    """x log(x / y) where both are positive, 0 where x = 0 <= y, else infinite."""
    o = b.o
    inside = _all(b, o.gt(x, 0.0), o.gt(y, 0.0))
    value = o.mul(x, o.log(o.div(o.select(inside, x, 1.0), o.select(inside, y, 1.0))))
    zero = literal(0.0, dtype_of(x))
    edge = o.select(_all(b, o.eq(x, 0.0), o.ge(y, 0.0)), zero, math.inf)
    outside = o.select(b.prim("or", o.isnan(x), o.isnan(y)), math.nan, edge)
    return o.select(inside, value, outside)


def _kl_div(b: Builder, x: Atom, y: Atom) -> Atom:
    o = b.o
    return o.add(o.sub(_rel_entr(b, x, y), x), y)


def _huber(b: Builder, delta: Atom, r: Atom) -> Atom:
    o = b.o
    size = o.abs(r)
    square = o.mul(0.5, o.mul(r, r))
    line = o.mul(delta, o.sub(size, o.mul(0.5, delta)))
    return o.select(o.lt(delta, 0.0), math.inf, o.select(o.le(size, delta), square, line))


def _pseudo_huber(b: Builder, delta: Atom, r: Atom) -> Atom:
    """delta^2 (sqrt(1 + u) - 1) with u = (r / delta)^2, without cancellation: delta^2 u / (sqrt(1 + u) + 1)."""
    o = b.o
    u = o.div(r, o.select(o.eq(delta, 0.0), 1.0, delta))
    u = o.mul(u, u)
    value = o.div(o.mul(o.mul(delta, delta), u), o.add(o.sqrt(o.add(1.0, u)), 1.0))
    return o.select(o.lt(delta, 0.0), math.inf, o.select(o.eq(delta, 0.0), 0.0, value))


def _exp10(b: Builder, x: Atom) -> Atom:
    return b.o.pow(10.0, x)


SPECIAL: dict[np.ufunc, Emit] = {
    special.expit: prim("sigmoid"),
    special.logit: _logit,
    special.log_expit: _log_expit,
    special.erf: prim("erf"),
    special.erfc: prim("erfc"),
    special.erfinv: prim("erfinv"),
    special.ndtr: _ndtr,
    special.gammaln: prim("lgamma"),
    special.loggamma: _loggamma,
    special.gammasgn: _gammasgn,
    special.gamma: _gamma,
    special.rgamma: _rgamma,
    special.betaln: _betaln,
    special.beta: _beta,
    special.digamma: prim("digamma"),
    special.j0: prim("j0"),
    special.j1: prim("j1"),
    special.y0: prim("y0"),
    special.y1: prim("y1"),
    special.xlogy: _xlogy,
    special.xlog1py: lambda b, x, y: _times_log(b, x, y, "log1p", -1.0, 0.0),
    special.entr: _entr,
    special.rel_entr: _rel_entr,
    special.kl_div: _kl_div,
    special.huber: _huber,
    special.pseudo_huber: _pseudo_huber,
    special.exp2: prim("exp2"),
    special.exp10: _exp10,
    special.expm1: prim("expm1"),
    special.log1p: prim("log1p"),
    special.cbrt: prim("cbrt"),
}

ROWS: dict[np.ufunc, Emit] = UFUNCS | SPECIAL

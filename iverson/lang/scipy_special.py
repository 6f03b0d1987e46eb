"""The functions of `scipy.special` that are no ufuncs: sums of exponentials, and those with an integer parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from iverson.lang.dtypes import FLOAT64
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, kind_of, select, ufunc
from iverson.lang.numpy_reductions import over
from iverson.lang.numpy_support import lazily, normal_axes, static_int
from iverson.lang.shapes import broadcast, stretch
from iverson.lang.staging import builder
from iverson.lang.table import implements
from iverson.lang.values import Arr, elementwise, fold, lift_array, total


def _floats(a: Any) -> Arr:
    x = lift_array(a)
    if x.dtype.kind == "c":
        raise error(TypeError, "this function of complex numbers is not available in staged programs")
    return x if x.dtype.kind == "f" else x.astype(FLOAT64)


def _top(x: Arr, axes: tuple[int, ...]) -> Arr:
    """The largest element along axes, with the axes kept; 0 where it is infinite, so that nothing becomes inf - inf."""
    top = over(x.shape, axes, x.read, lambda lengths, at: fold("max", lengths, at), keepdims=True)
    return lift_array(elementwise(lambda v: select(constant(ufunc(np.isfinite, v)), v, x.dtype.type(0)), top))


@implements(special.logsumexp)
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """log(sum(b exp(a))), with the largest element taken out."""
    x = _floats(a)
    weights = None if b is None else _floats(b)
    shape = x.shape if weights is None else broadcast([x.shape, weights.shape])
    x = x if weights is None else _broadcast(x, shape)
    axes = normal_axes(axis, len(shape))
    top = _top(x, axes)

    def term(index: tuple[Any, ...]) -> Any:
        e = ufunc(np.exp, ufunc(np.subtract, x.read(index), top.read(stretch(index, top.shape))))
        if weights is None:
            return e
        w = weights.read(stretch(index, weights.shape))
        return lazily(ufunc(np.equal, w, 0.0), lambda: e.dtype.type(0), lambda: w * e)

    s = lift_array(over(shape, axes, term, total, keepdims=True))
    sign = elementwise(lambda v: ufunc(np.sign, v), s) if return_sign else None
    inner = elementwise(lambda v: ufunc(np.absolute, v), s) if return_sign else s
    out = elementwise(lambda v, m: ufunc(np.add, ufunc(np.log, v), m), inner, top)
    parts = [out] if sign is None else [out, sign]
    if not keepdims:
        parts = [_drop(p, axes) for p in parts]
    return parts[0] if sign is None else tuple(parts)


def _broadcast(x: Arr, shape: Any) -> Arr:
    return x.view(tuple(shape), lambda index: stretch(index, x.shape) if x.ndim else ())


def _drop(x: Any, axes: tuple[int, ...]) -> Any:
    """Reduced axes of length 1 removed; a number if none is left."""
    a = lift_array(x)
    kept = [k for k in range(a.ndim) if k not in axes]
    if not kept:
        return a.read((0,) * a.ndim)

    def at(index: tuple[Any, ...]) -> tuple[Any, ...]:
        place = dict(zip(kept, index, strict=True))
        return tuple(place.get(k, 0) for k in range(a.ndim))

    return a.view(tuple(a.shape[k] for k in kept), at)


def _softmax(log: bool) -> Callable[..., Any]:
    def softmax(x: Any, axis: Any = None) -> Any:
        a = _floats(x)
        axes = normal_axes(axis, a.ndim)
        top = _top(a, axes)
        shifted = lift_array(elementwise(lambda v, m: ufunc(np.subtract, v, m), a, top))
        if log:
            s = over(a.shape, axes, lambda i: ufunc(np.exp, shifted.read(i)), total, keepdims=True)
            return elementwise(lambda v, t: ufunc(np.subtract, v, ufunc(np.log, t)), shifted, s)
        e = lift_array(elementwise(lambda v: ufunc(np.exp, v), shifted))
        return elementwise(
            lambda v, t: ufunc(np.true_divide, v, t), e, over(a.shape, axes, e.read, total, keepdims=True)
        )

    return softmax


implements(special.softmax)(_softmax(log=False))
implements(special.log_softmax)(_softmax(log=True))


@implements(special.polygamma)
def polygamma(n: Any, x: Any) -> Any:
    """The derivative of order n of digamma."""
    order = static_int(n, "the order of polygamma")

    def at(v: Any) -> Num:
        atom = cast(v, FLOAT64).atom
        o = builder().o
        return Num(o.digamma(atom) if order == 0 else o.trigamma(atom) if order == 1 else o.polygamma(order, atom))

    return elementwise(at, x)


@implements(special.multigammaln)
def multigammaln(a: Any, d: Any) -> Any:
    """The logarithm of the multivariate gamma function of a known dimension."""
    order = static_int(d, "the dimension of multigammaln")
    offset = order * (order - 1) / 4 * math.log(math.pi)

    def at(v: Any) -> Any:
        x = cast(v, FLOAT64) if kind_of(v).dtype.kind in "ib" else v
        total_ = constant(offset)
        for j in range(order):
            total_ = total_ + ufunc(special.gammaln, x - j / 2)
        return total_

    return elementwise(at, a)


if hasattr(special, "softplus"):

    @implements(special.softplus)
    def softplus(x: Any, **_: Any) -> Any:
        def at(v: Any) -> Num:
            atom = cast(v, kind_of(v).dtype if kind_of(v).dtype.kind == "f" else FLOAT64).atom
            return Num(builder().o.softplus(atom))

        return elementwise(at, x)

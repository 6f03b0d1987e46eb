"""`scipy.signal`'s convolutions, of arrays of any rank: directly, or by Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import scipy.signal

from iverson.lang import shapes
from iverson.lang.dtypes import INT64
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, ufunc
from iverson.lang.numpy_fft import transforms
from iverson.lang.numpy_joins import common_dtype
from iverson.lang.numpy_sequences import convolve as convolve_lines
from iverson.lang.numpy_support import lazily
from iverson.lang.shapes import Extent, extent
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, elementwise, generate, lift_array, total


def _operands(in1: Any, in2: Any) -> tuple[Arr, Arr]:
    a, b = lift_array(in1), lift_array(in2)
    if a.ndim != b.ndim or not a.ndim:
        raise error(ValueError, "volume and kernel should have the same dimensionality")
    return a, b


def _full(a: Arr, b: Arr) -> list[Extent]:
    return [extent(n + m - 1) for n, m in zip(a.shape, b.shape, strict=True)]


def _window(a: Arr, b: Arr, mode: str) -> tuple[list[Any], list[Extent]]:
    """Where the wanted part of the full convolution starts on each axis, and how long it is."""
    pairs = list(zip(a.shape, b.shape, strict=True))
    match mode:
        case "full":
            return [0] * a.ndim, _full(a, b)
        case "same":
            return [(m - 1) // 2 for _, m in pairs], list(a.shape)
        case "valid":
            short = [shapes.minimum(n, m) for n, m in pairs]
            return [k - 1 for k in short], [extent(n + m - 2 * k + 1) for (n, m), k in zip(pairs, short, strict=True)]
    raise error(ValueError, "acceptable mode flags are 'valid', 'same', or 'full'")


def _directly(a: Arr, b: Arr, mode: str) -> Arr:
    start, shape = _window(a, b, mode)
    d = common_dtype([a, b])
    if a.ndim == 1:
        whole: Arr = convolve_lines(a, b)
        return _part(whole, start, shape)

    def element(*k: Num) -> Any:
        def term(*j: Num) -> Any:
            place = [p + s - q for p, s, q in zip(k, start, j, strict=True)]
            bounds = [ufunc(np.less, p, n) for p, n in zip(place, a.shape, strict=True)]
            bounds += [ufunc(np.greater_equal, p, 0) for p in place]
            inside = reduce(lambda x, y: ufunc(np.logical_and, x, y), bounds)
            return lazily(inside, lambda: cast(a.read(place, False), d) * cast(b.read(j), d), lambda: d.type(0))

        return total(b.shape, term)

    return generate(shape, element, d)


def _part(whole: Arr, start: Sequence[Any], shape: Sequence[Extent]) -> Arr:
    return generate(shape, lambda *i: whole.read([p + s for p, s in zip(i, start, strict=True)], False), whole.dtype)


def _by_transforms(a: Arr, b: Arr, mode: str) -> Arr:
    start, shape = _window(a, b, mode)
    sizes = [_power_of_two(n) for n in _full(a, b)]
    forward, back = transforms(real=all(x.dtype.kind != "c" for x in (a, b)))
    axes = tuple(range(a.ndim))
    spectrum = elementwise(lambda p, q: ufunc(np.multiply, p, q), forward(a, sizes, axes), forward(b, sizes, axes))
    return _part(back(spectrum, sizes, axes), start, shape)


def _power_of_two(n: Extent) -> Extent:
    """The smallest that isn't less."""
    power = ufunc(np.ceil, ufunc(np.log2, cast(n, np.dtype(float))))
    return extent(cast(ufunc(np.exp2, power), INT64))


@implements(scipy.signal.convolve)
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """method="auto" is the direct one."""
    a, b = _operands(in1, in2)
    return _by_transforms(a, b, mode) if method == "fft" else _directly(a, b, mode)


@implements(scipy.signal.fftconvolve)
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    if axes is not None:
        raise error(NotImplementedError, "scipy.signal.fftconvolve is of all axes in staged programs")
    return _by_transforms(*_operands(in1, in2), mode)


@implements(scipy.signal.correlate)
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    a, b = _operands(in1, in2)
    turned = FUNCTIONS[np.flip](b)
    if b.dtype.kind == "c":
        turned = elementwise(lambda v: v.conjugate(), turned)
    return convolve(a, turned, mode, method)

"""`np.fft` and `scipy.fft`: transforms of complex rows by the library, of other axes and real input by way of them.

Real input is transformed as complex numbers without an imaginary part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import scipy.fft

from iverson.lang import shapes
from iverson.lang.dtypes import core_dtype
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, select, ufunc
from iverson.lang.numpy_support import lazily, normal_axes, require
from iverson.lang.shapes import Extent, axis_of, extent
from iverson.lang.staging import builder
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, generate, lift_array, materialise, owned


def _complex(x: Arr) -> np.dtype[Any]:
    single = x.dtype in (np.dtype(np.float32), np.dtype(np.complex64))
    return np.dtype(np.complex64 if single else np.complex128)


def _resized(x: Arr, n: Extent, dtype: np.dtype[Any]) -> Arr:
    """Rows of n elements: cut off, or continued by zeros."""
    length = x.shape[-1]
    if shapes.same(length, n):
        return x.astype(dtype, copy=False)
    zero = cast(0.0, dtype)

    def element(*i: Num) -> Any:
        return lazily(ufunc(np.less, i[-1], length), lambda: cast(x.read(i, False), dtype), lambda: zero)

    return generate((*x.shape[:-1], n), element, dtype)


def _scale(n: Extent, norm: str | None, inverse: bool) -> Any:
    """What a transform that isn't scaled is multiplied by."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise error(ValueError, f'Invalid norm value {norm!r}; should be "backward", "ortho" or "forward".')
    if norm == "ortho":
        return ufunc(np.true_divide, 1.0, ufunc(np.sqrt, cast(n, np.dtype(float))))
    return ufunc(np.true_divide, 1.0, n) if inverse == (norm != "forward") else None


def _rows(x: Arr, n: Any, norm: str | None, inverse: bool) -> Arr:
    """The transforms of the last axis."""
    length = x.shape[-1] if n is None else extent(n)
    require(ufunc(np.greater, length, 0), "Invalid number of FFT data points (0) specified.")
    d = _complex(x)
    rows = _resized(x, length, d)
    out = owned(builder().library("fft", materialise(rows), inverse=inverse)[0], d)
    factor = _scale(length, norm, inverse)
    if factor is None:
        return out
    part = cast(factor, np.dtype(core_dtype(d).value))
    return generate(out.shape, lambda *i: out.read(i) * part, d)


def _no_out(values: Sequence[Any]) -> None:
    """SciPy's arguments for performance are taken; an array to write to is not."""
    if any(isinstance(v, Arr | np.ndarray) for v in values):
        raise error(NotImplementedError, "Fourier transforms take no out= in staged programs: assign the result")


def _along(a: Any, axis: Any, rows: Callable[[Arr], Arr]) -> Arr:
    x = lift_array(a)
    if not x.ndim:
        raise error(ValueError, "a Fourier transform needs an array with an axis")
    k = axis_of(axis, x.ndim)
    move = FUNCTIONS[np.moveaxis]
    out: Arr = move(rows(move(x, k, -1)), -1, k)
    return out


# --- along one axis ---------------------------------------------------------------------------------------------------


def _fft(a: Any, n: Any, axis: Any, norm: str | None, inverse: bool) -> Arr:
    return _along(a, axis, lambda x: _rows(x, n, norm, inverse))


def _rfft(a: Any, n: Any, axis: Any, norm: str | None) -> Arr:
    def rows(x: Arr) -> Arr:
        if x.dtype.kind == "c":
            raise error(TypeError, "a real Fourier transform takes real numbers")
        length = x.shape[-1] if n is None else extent(n)
        return _rows(x, n, norm, False)[..., : extent(length // 2 + 1)]

    return _along(a, axis, rows)


def _irfft(a: Any, n: Any, axis: Any, norm: str | None) -> Arr:
    def rows(x: Arr) -> Arr:
        given = x.shape[-1]
        length = extent(2 * (given - 1)) if n is None else extent(n)
        d = _complex(x)
        zero = cast(0.0, d)

        def element(*i: Num) -> Any:
            """The spectrum of a real row, from its first half; the ends of that are real."""
            k = i[-1]
            mirrored = constant(ufunc(np.greater, k * 2, length))
            place = select(mirrored, length - k, k)
            end = ufunc(np.logical_or, ufunc(np.equal, k, 0), ufunc(np.equal, k * 2, length))

            def value() -> Any:
                z = cast(x.read((*i[:-1], place), False), d)
                z = select(mirrored, z.conjugate(), z)
                return select(constant(end), cast(z.real, d), z)

            return lazily(ufunc(np.less, place, given), value, lambda: zero)

        return _rows(generate((*x.shape[:-1], length), element, d), None, norm, True).real

    return _along(a, axis, rows)


def _one(kind: str) -> Callable[..., Any]:
    """The transform of an axis, with NumPy's arguments."""
    by = {"fft": partial(_fft, inverse=False), "ifft": partial(_fft, inverse=True), "rfft": _rfft, "irfft": _irfft}

    def transform(a: Any, n: Any = None, axis: Any = -1, norm: str | None = None, *more: Any, **rest: Any) -> Any:
        _no_out((*more, *rest.values()))
        return by[kind](a, n, axis, norm)

    return transform


# --- along several ----------------------------------------------------------------------------------------------------


def _several(kind: str, default: Sequence[int] | None) -> Callable[..., Any]:
    def transform(a: Any, s: Any = None, axes: Any = default, norm: str | None = None, *more: Any, **rest: Any) -> Any:
        _no_out((*more, *rest.values()))
        x = lift_array(a)
        if axes is None:
            axes = range(x.ndim) if s is None else range(-len(s), 0)
        places = [axis_of(k, x.ndim) for k in axes]
        sizes = [None] * len(places) if s is None else [extent(n) for n in s]
        sizes = [None if isinstance(n, int) and n == -1 else n for n in sizes]
        pairs = list(zip(sizes, places, strict=True))
        if kind == "rfftn":
            x = _rfft(x, *pairs.pop(), norm)
        last = pairs.pop() if kind == "irfftn" else None
        for n, k in reversed(pairs):
            x = _fft(x, n, k, norm, kind.startswith("i"))
        return _irfft(x, *last, norm) if last else x

    return transform


def transforms(real: bool) -> tuple[Callable[..., Arr], Callable[..., Arr]]:
    """The transform of real or complex numbers along given axes, and its inverse: of (array, lengths, axes)."""
    kinds = ("rfftn", "irfftn") if real else ("fftn", "ifftn")
    return _several(kinds[0], None), _several(kinds[1], None)


for _module in (np.fft, scipy.fft):
    for _name in ("fft", "ifft", "rfft", "irfft"):
        implements(getattr(_module, _name))(_one(_name))
    for _kind in ("fftn", "ifftn", "rfftn", "irfftn"):
        implements(getattr(_module, _kind))(_several(_kind, None))
        implements(getattr(_module, _kind[:-1] + "2"))(_several(_kind, (-2, -1)))


# --- helpers ----------------------------------------------------------------------------------------------------------


@implements(np.fft.fftfreq)
def fftfreq(n: Any, d: Any = 1.0, device: Any = None) -> Any:
    length = extent(n)
    half = (length - 1) // 2 + 1
    step = ufunc(np.multiply, length, d)

    def element(i: Num) -> Any:
        k = select(constant(ufunc(np.less, i, half)), i, i - length)
        return ufunc(np.true_divide, k, step)

    return generate((length,), element, np.dtype(float))


@implements(np.fft.rfftfreq)
def rfftfreq(n: Any, d: Any = 1.0, device: Any = None) -> Any:
    length = extent(n)
    step = ufunc(np.multiply, length, d)
    return generate((extent(length // 2 + 1),), lambda i: ufunc(np.true_divide, i, step), np.dtype(float))


def _shifted(x: Any, axes: Any, by: Callable[[Extent], Any]) -> Any:
    a = lift_array(x)
    for k in normal_axes(axes, a.ndim):
        a = FUNCTIONS[np.roll](a, by(a.shape[k]), k)
    return a


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    return _shifted(x, axes, lambda n: n // 2)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    return _shifted(x, axes, lambda n: -(n // 2))

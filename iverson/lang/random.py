"""`iv.random`: random numbers as functions of a key.

A key is 64 bits, an int64 scalar; the same key gives the same numbers on every machine, eager or compiled, for any
number of threads.  Element i of a draw is a function of the key and of i alone (Philox4x32-10).  Use a key for one
draw: `split` gives new ones, as an int64 array, and `fold_in` the key of a step or a part.

    bits, integers, permutation, choice, uniform on [0, 1)     the same bits everywhere
    normal, uniform with other bounds                          the same up to rounding
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from iverson.core.build import dtype_of
from iverson.core.prims import NumpyOps
from iverson.core.syntax import I64
from iverson.lang import philox, shapes, staging
from iverson.lang.errors import error
from iverson.lang.num import Num, atom_of, cast, is_scalar, kind_of
from iverson.lang.shapes import shape_of
from iverson.lang.table import implements
from iverson.lang.values import Arr, elementwise, generate, lift, lift_array, owned

Sample: TypeAlias = Callable[[Any, Any, Any], Any]  # (operations, two random words of 64 bits) -> an element

# The streams of a key: what is drawn and what is derived never share a counter.
_DRAW, _SPLIT, _FOLD = 0, 1, 2

_OPS = NumpyOps()
_INT64 = np.dtype(np.int64)


# --- keys -------------------------------------------------------------------------------------------------------------


def key(seed: Any) -> Any:
    """The key of a seed, any integer."""
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return np.int64((int(seed) + 2**63) % 2**64 - 2**63)
    return _key(seed)


def split(key: Any, n: Any = 2) -> Any:
    """n new keys, as an int64 array."""
    return _draw(key, (n,), _SPLIT, lambda o, first, second: first)


def fold_in(key: Any, data: Any) -> Any:
    """The key of a part: an integer (a step, an index) mixed into a key."""
    if not _staged(key, data):
        return _words(_OPS, _key(key), np.int64(data), _FOLD)[0][()]
    b = staging.builder()
    return Num(_words(b.o, atom_of(_key(key), _INT64), atom_of(data, _INT64), _FOLD)[0])


def _staged(*values: Any) -> bool:
    return staging.active() or any(isinstance(v, Num | Arr) for v in values)


def _key(value: Any) -> Any:
    """A key, checked to be one."""
    staged = _staged(value)
    x = lift(value) if staged else np.asarray(value)[()]
    if isinstance(x, Arr) and not x.ndim:
        x = x.read(())
    if not is_scalar(x) or kind_of(x).dtype.kind != "i":
        raise error(TypeError, "a key of iv.random is one int64: iv.random.key(seed), or an element of iv.random.split")
    return cast(x, _INT64) if staged else np.int64(x)


# --- drawing ----------------------------------------------------------------------------------------------------------


def _words(o: Any, key: Any, index: Any, stream: int) -> tuple[Any, Any]:
    return philox.block(o, philox.schedule(o, key), index, stream)


def _draw(key: Any, shape: Any, stream: int, sample: Sample, dtype: np.dtype[Any] = _INT64) -> Any:
    """sample(two words) for each element of a shape; a scalar for the shape ()."""
    if not _staged(key, *_lengths(shape)):
        return _draw_now(key, tuple(_lengths(shape)), stream, sample, dtype)
    b = staging.builder()
    keys = philox.schedule(b.o, _key(key).atom)
    lengths = shape_of(shape)

    def element(*index: Any) -> Num:
        flat: Any = 0
        for i, n in zip(index, lengths, strict=True):
            flat = flat * n + i
        return Num(sample(b.o, *philox.block(b.o, keys, atom_of(flat, _INT64), stream)))

    return generate(lengths, element, dtype) if lengths else cast(element(), dtype)


def _draw_now(key: Any, lengths: tuple[int, ...], stream: int, sample: Sample, dtype: np.dtype[Any]) -> Any:
    size = math.prod(lengths)
    if any(n < 0 for n in lengths):
        raise ValueError("negative dimensions are not allowed")
    found = sample(_OPS, *_words(_OPS, _key(key), np.arange(size, dtype=np.int64), stream))
    return np.asarray(found).astype(dtype).reshape(lengths)[()]


def _lengths(shape: Any) -> tuple[Any, ...]:
    return tuple(shape) if isinstance(shape, tuple | list) else (shape,)


def _float_dtype(dtype: Any) -> np.dtype[Any]:
    d = np.dtype(dtype)
    if d.name not in ("float32", "float64"):
        raise error(TypeError, f"random floats are float32 or float64, not {d}")
    return d


def _unit(o: Any, word: Any) -> Any:
    """A multiple of 2^-53 in [0, 1)."""
    return o.mul(o.float64(o.lshr(word, 11)), 2.0**-53)


def _unit32(o: Any, word: Any) -> Any:
    """A multiple of 2^-24 in [0, 1)."""
    return o.mul(o.float32(o.lshr(word, 40)), 2.0**-24)


def _scaled(draw: Any, scale: Any, shift: Any) -> Any:
    """shift + scale * draw, exactly the draw where nothing is asked."""
    if isinstance(scale, int | float) and scale == 1 and isinstance(shift, int | float) and shift == 0:
        return draw
    if isinstance(draw, Num | Arr):
        return elementwise(lambda u, s, t: cast(t + s * u, draw.dtype), draw, scale, shift)
    return (shift + np.multiply(scale, draw)).astype(draw.dtype)


def bits(key: Any, shape: Any = ()) -> Any:
    """64 random bits an element, as int64."""
    return _draw(key, shape, _DRAW, lambda o, first, second: first)


def uniform(key: Any, shape: Any = (), low: Any = 0.0, high: Any = 1.0, dtype: Any = np.float64) -> Any:
    """Uniform on [low, high)."""
    d = _float_dtype(dtype)
    unit = _unit if d.itemsize == 8 else _unit32
    return _scaled(_draw(key, shape, _DRAW, lambda o, first, second: unit(o, first), d), _minus(high, low), low)


def _minus(high: Any, low: Any) -> Any:
    return elementwise(lambda x, y: x - y, high, low) if _staged(high, low) and not _plain(high, low) else high - low


def _plain(*values: Any) -> bool:
    return all(isinstance(v, int | float) for v in values)


def normal(key: Any, shape: Any = (), loc: Any = 0.0, scale: Any = 1.0, dtype: Any = np.float64) -> Any:
    """loc + scale z with z standard normal, by Box and Muller's transformation; differentiable in loc and scale."""

    def sample(o: Any, first: Any, second: Any) -> Any:
        radius = o.sqrt(o.mul(-2.0, o.log(o.sub(1.0, _unit(o, first)))))
        return o.mul(radius, o.cos(o.mul(_unit(o, second), 2 * math.pi)))

    return _scaled(_draw(key, shape, _DRAW, sample, _float_dtype(dtype)), scale, loc)


def integers(
    key: Any, low: Any, high: Any = None, shape: Any = (), dtype: Any = np.int64, endpoint: bool = False
) -> Any:
    """Integers from low to high - 1 (with `endpoint` to high), or from 0 to low - 1.

    They are biased by less than (high - low) / 2^63.
    """
    d = np.dtype(dtype)
    if d.name not in ("int32", "int64"):
        raise error(TypeError, f"random integers are int32 or int64, not {d}")
    first, last = (0, low) if high is None else (low, high)
    span = last - first + (1 if endpoint else 0)
    if not _staged(key, first, span, *_lengths(shape)):
        if span <= 0:
            raise ValueError("low >= high")
        width: Any = np.int64(span)
        start: Any = np.int64(first)
    else:
        b = staging.builder()
        width, start = atom_of(span, _INT64), atom_of(first, _INT64)
        b.check(b.o.gt(width, 0), "low >= high")

    def sample(o: Any, word: Any, _: Any) -> Any:
        return o.add(o.mod(o.lshr(word, 1), width), start)

    return _draw(key, shape, _DRAW, sample, d)


# --- orders and choices -----------------------------------------------------------------------------------------------


def permutation(key: Any, x: Any) -> Any:
    """0 ... x - 1, or the rows of an array, in random order (Fisher and Yates)."""
    if _staged(key, x):
        return _permutation_staged(key, lift(x))
    rows = np.asarray(x)
    if rows.ndim:
        return rows[permutation(key, len(rows))]
    n = int(rows)
    words = _words(_OPS, _key(key), np.arange(max(n, 0), dtype=np.int64), _DRAW)[0]
    swaps = (_OPS.mod(_OPS.lshr(words, 1), np.arange(1, n + 1)) if n > 0 else words).tolist()
    order = list(range(n))
    for i in range(1, n):
        j = swaps[i]
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


def _permutation_staged(key: Any, x: Any) -> Any:
    if isinstance(x, Arr) and x.ndim:
        return x[_permutation_staged(key, x.shape[0])]
    b = staging.builder()
    n = shapes.extent_atom(shapes.maximum(shapes.extent(x.read(()) if isinstance(x, Arr) else x), 0))
    keys = philox.schedule(b.o, _key(key).atom)

    def turn(i: Any, order: Any) -> Any:
        word = philox.block(b.o, keys, i, _DRAW)[0]
        j = b.o.mod(b.o.lshr(word, 1), b.o.add(i, 1))
        here, there = b.read(order, i, safe=True), b.read(order, j, safe=True)
        return b.set(b.set(order, [i], there), [j], here)

    start = b.map(n, lambda i: i)
    assert dtype_of(start) is I64
    return owned(b.loop(n, [start], turn, hints=("order",))[0])


def choice(key: Any, a: Any, shape: Any = (), replace: bool = True, p: Any = None) -> Any:
    """Elements (rows) of a, or of 0 ... a - 1, with replacement or not; `p` are their weights."""
    staged = _staged(key, a, *_lengths(shape))
    x = lift(a) if staged else np.asarray(a)
    n = x.shape[0] if isinstance(x, Arr | np.ndarray) and x.ndim else shapes.extent(x) if staged else int(x)
    if not replace:
        if p is not None:
            raise error(NotImplementedError, "choice without replacement takes no weights")
        places = _first(permutation(key, n), n, shape, staged)
    elif p is not None:
        places = _weighted(key, p, n, shape, staged)
    else:
        places = integers(key, 0, n, shape)
    return x[places] if isinstance(x, Arr | np.ndarray) and x.ndim else places


def _first(order: Any, n: Any, shape: Any, staged: bool) -> Any:
    """The first elements of a permutation, in a shape."""
    lengths = shape_of(shape) if staged else _lengths(shape)
    size = shapes.product(lengths) if staged else math.prod(lengths)
    short = "cannot take a larger sample than population without replacement"
    if staged:
        b = staging.builder()
        b.check(b.o.le(shapes.extent_atom(size), shapes.extent_atom(n)), short)
    elif size > n:
        raise ValueError(short)
    return order[0] if not lengths else order[:size].reshape(lengths)


def _weighted(key: Any, p: Any, n: Any, shape: Any, staged: bool) -> Any:
    """By bisection in the running sums of the weights."""
    u = uniform(key, shape)
    if not staged:
        ends = np.cumsum(np.asarray(p, np.float64))
        if len(ends) != n:
            raise ValueError("a and p must have same size")
        return np.minimum(np.searchsorted(ends, np.asarray(u) * ends[-1], side="right"), n - 1)
    from iverson.lang.numpy_searching import search
    from iverson.lang.numpy_support import scan

    weights = lift_array(p)
    shapes.require_same(weights.shape[0], n, "a and p must have same size")
    ends = scan("add", n, lambda i: cast(weights.read((i,)), np.dtype(np.float64)), np.dtype(np.float64))
    last = shapes.extent(n - 1)
    whole = ends.read((last,))
    return elementwise(lambda v: np.minimum(search(ends, v * whole, "right"), last), u)


for _function in (key, split, fold_in, bits, uniform, normal, integers, permutation, choice):
    implements(_function)(_function)

"""What the implementations of NumPy's names share: arguments as NumPy reads them, and a lazy choice of elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from iverson.core.syntax import Block, If, Map, Scan
from iverson.lang.dtypes import BOOL_, promote
from iverson.lang.errors import error
from iverson.lang.num import Num, as_kind, cast, constant, is_scalar, known, select, ufunc
from iverson.lang.shapes import Extent, Shape, axis_of, never_negative, shape_of
from iverson.lang.sinking import sunk
from iverson.lang.staging import builder, current
from iverson.lang.values import Arr, element, generate, in_parallel, lift, owned

NO_VALUE: Any = np._NoValue  # NumPy's own mark of an argument that wasn't given


def given(value: Any, default: Any) -> Any:
    """An argument, or its default where the caller left it out."""
    return default if value is NO_VALUE else value


def normal_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """The axis argument of a reduction: None is all of them; negative ones count from the end."""
    if axis is None or axis is NO_VALUE:
        return tuple(range(rank))
    axes = tuple(axis_of(known(a), rank) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) != len(axes):
        raise error(ValueError, "duplicate value in 'axis'")
    return tuple(sorted(axes))


def require(holds: Any, message: str, kind: type[Exception] = ValueError) -> None:
    """Raise unless a condition holds: now if it is known, else when the program runs."""
    p = known(holds)
    if isinstance(p, Num):
        builder().check(cast(p, BOOL_).atom, message, error=kind.__name__)
    elif not p:
        raise error(kind, message)


def new_shape(shape: Any) -> Shape:
    """The shape of an array to be made, whose lengths are not negative."""
    lengths = shape_of(shape)
    for n in lengths:
        if not never_negative(n):
            require(n >= 0, "negative dimensions are not allowed")
    return lengths


def static_int(value: Any, what: str) -> int:
    """An integer that must be known while the program is staged."""
    value = known(value)
    if isinstance(value, Num | Arr):
        raise error(TypeError, f"{what} must be known when the program is staged: make it a static argument")
    return int(value)


def store(result: Any, out: Any) -> Any:
    """The result, written into `out` if that was given."""
    target = out[0] if isinstance(out, tuple) else out
    if target is None or target is NO_VALUE:
        return result
    if not isinstance(target, Arr):
        raise error(TypeError, "out= must be an array of the staged program")
    have = lift(result)
    dtype = have.dtype if isinstance(have, Num | Arr) else np.asarray(have).dtype
    if not np.can_cast(dtype, target.dtype, "same_kind"):
        raise error(TypeError, f"Cannot cast output from {dtype} to {target.dtype} with casting rule 'same_kind'")
    if isinstance(have, Arr) and have.ndim > target.ndim:
        raise error(ValueError, f"out= has {target.ndim} axes, the result has {have.ndim}")
    target[...] = have
    return target


def truth_of(v: Any) -> Num:
    """v != 0, of complex numbers too."""
    x = constant(v)
    return constant(ufunc(np.not_equal, x, 0)) if x.im is not None else cast(x, BOOL_)


def lazily(p: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Num:
    """The scalar `then()` where p holds, else `orelse()`; only the taken side is computed (see `sinking`)."""
    p = known(p)
    if not isinstance(p, Num):
        return constant(then() if p else orelse())
    p = cast(p, BOOL_)
    b = builder()
    with b.scope() as left:
        x = _inside(then())
    with b.scope() as right:
        y = _inside(orelse())
    if not left and not right:
        return select(p, x, y)
    kind = promote((x.kind, y.kind))
    with b.into(left):
        x = as_kind(x, kind)
    with b.into(right):
        y = as_kind(y, kind)
    sides = [(n.atom,) if n.im is None else (n.atom, n.im) for n in (x, y)]
    outs = b.emit(If(p.atom, Block(tuple(left), sides[0]), Block(tuple(right), sides[1])))
    return Num(outs[0], kind.weak, outs[1] if len(outs) > 1 else None)


def _inside(value: Any) -> Num:
    """A scalar, computed in this scope as far as that matters."""
    x = constant(value)
    im = None if x.im is None else sunk(current(), x.im)
    return Num(sunk(current(), x.atom), x.weak, im, x.low)


def scan(monoid: Any, length: Extent, fn: Callable[[Any], Any], dtype: np.dtype[Any]) -> Arr:
    """The inclusive scan of fn(i), cast to dtype."""

    if dtype.kind == "c":
        return _complex_scan(monoid, length, fn, dtype)
    return owned(in_parallel((length,), lambda i: (cast(fn(i), dtype).atom,), (Scan(monoid),))[0], dtype)


def _complex_scan(monoid: Any, length: Extent, fn: Callable[[Any], Any], dtype: np.dtype[Any]) -> Arr:
    """Running sums of both parts."""
    if monoid != "add":
        raise error(NotImplementedError, "of the cumulative functions, only sums take complex numbers")

    def body(i: Num) -> Any:
        x = cast(fn(i), dtype)
        return x.atom, x.im

    re, im = (owned(v) for v in in_parallel((length,), body, (Scan("add"), Scan("add"))))
    return generate((length,), lambda i: Num(re.read((i,)).atom, False, im.read((i,)).atom), dtype)


def stacked(length: Extent, fn: Callable[[Any], Any], dtypes: Sequence[np.dtype[Any]]) -> tuple[Arr, ...]:
    """Several arrays over one index."""

    def body(i: Num) -> Any:
        return tuple(element(v, d) for v, d in zip(fn(i), dtypes, strict=True))

    outs = in_parallel((length,), body, tuple(Map() for _ in dtypes))
    return tuple(owned(v, d) for v, d in zip(outs, dtypes, strict=True))


def sequence(value: Any) -> list[Any]:
    """A tuple or list of arrays; the rows of an array, if their number is known."""
    if isinstance(value, Arr):
        return [value[k] for k in range(static_int(value.length, "the number of arrays"))]
    if isinstance(value, tuple | list):
        return list(value)
    raise error(TypeError, f"a sequence of arrays is needed, not {type(value).__name__}")


def expect_scalar(value: Any, what: str) -> Any:
    x = lift(value)
    if isinstance(x, Arr):
        if x.ndim:
            raise error(TypeError, f"{what} must be a number, not an array")
        return x.read(())
    assert is_scalar(x)
    return x

"""NumPy's functions that look at an array in another way: all but the explicit copies are views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from iverson.lang import shapes
from iverson.lang.assumptions import is_one, may_stretch
from iverson.lang.errors import error
from iverson.lang.num import Num, is_scalar, known
from iverson.lang.numpy_support import new_shape, normal_axes, require, sequence, static_int
from iverson.lang.shapes import Extent, Shape, axis_of, extent, shape_of
from iverson.lang.table import implements
from iverson.lang.values import Arr, copy, lift, lift_array

# --- asking -----------------------------------------------------------------------------------------------------------


@implements(np.shape)
def shape(a: Any) -> Shape:
    return () if is_scalar(a) else lift_array(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    return 0 if is_scalar(a) else lift_array(a).ndim


@implements(np.size)
def size(a: Any, axis: Any = None) -> Extent:
    lengths = shape(a)
    if axis is None:
        return shapes.product(lengths)
    return shapes.product([lengths[k] for k in normal_axes(axis, len(lengths))])


# --- another shape ----------------------------------------------------------------------------------------------------


@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, copy: Any = None) -> Any:
    x = lift_array(a)
    out = x.reshape(shape, order=order)
    return out.copy() if copy else out


@implements(np.ravel, method="ravel")
def ravel(a: Any, order: str = "C") -> Any:
    x = lift_array(a)
    return x if x.ndim == 1 else x.reshape((-1,), order="C" if order == "K" else order)


@implements(method="flatten")
def flatten(a: Any, order: str = "C") -> Any:
    return copy(ravel(a, order))


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    x = lift_array(a)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    new = normal_axes(axis, x.ndim + count)
    own = iter(x.shape)
    lengths = tuple(1 if k in new else next(own) for k in range(x.ndim + count))
    return x.view(lengths, lambda index: tuple(i for k, i in enumerate(index) if k not in new))


@implements(np.squeeze, method="squeeze")
def squeeze(a: Any, axis: Any = None) -> Any:
    x = lift_array(a)
    if axis is None:
        gone: tuple[int, ...] = tuple(k for k, n in enumerate(x.shape) if is_one(n))
        for k, n in enumerate(x.shape):
            if k not in gone:
                shapes.require_more(
                    n, "squeeze: a length is 1, which is only known when the program runs: name the axes, axis=..."
                )
    else:
        gone = normal_axes(axis, x.ndim)
        for k in gone:
            shapes.require_same(x.shape[k], 1, "cannot select an axis to squeeze out which has size not equal to one")
    return _without(x, gone)


def _without(x: Arr, gone: Sequence[int]) -> Arr:
    """Axes of length 1 removed."""
    kept = [k for k in range(x.ndim) if k not in gone]

    def at(index: tuple[Any, ...]) -> tuple[Any, ...]:
        place = dict(zip(kept, index, strict=True))
        return tuple(place.get(k, 0) for k in range(x.ndim))

    return x.view(tuple(x.shape[k] for k in kept), at)


@implements(np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    return _each(arrays, lambda x: x if x.ndim else expand_dims(x, 0))


@implements(np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    return _each(arrays, lambda x: x if x.ndim >= 2 else expand_dims(x, 0 if x.ndim else (0, 1)))


@implements(np.atleast_3d)
def atleast_3d(*arrays: Any) -> Any:
    new: dict[int, Any] = {0: (0, 1, 2), 1: (0, 2), 2: 2}
    return _each(arrays, lambda x: expand_dims(x, new[x.ndim]) if x.ndim in new else x)


def _each(arrays: Sequence[Any], f: Callable[[Arr], Arr]) -> Any:
    out = tuple(f(lift_array(a)) for a in arrays)
    return out[0] if len(out) == 1 else out


# --- the order of axes ------------------------------------------------------------------------------------------------


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    x = lift_array(a)
    if axes is None:
        return x.T
    order = tuple(axis_of(k, x.ndim) for k in axes)
    if sorted(order) != list(range(x.ndim)):
        raise error(ValueError, "axes don't match array")
    return x.permuted(order)


@implements(method="transpose")
def transpose_method(a: Any, *axes: Any) -> Any:
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
        return transpose(a, axes[0])
    return transpose(a, axes or None)


@implements(np.swapaxes, method="swapaxes")
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    x = lift_array(a)
    order = list(range(x.ndim))
    p, q = axis_of(axis1, x.ndim), axis_of(axis2, x.ndim)
    order[p], order[q] = order[q], order[p]
    return x.permuted(tuple(order))


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    return swapaxes(x, -1, -2)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    x = lift_array(a)
    origin = [axis_of(k, x.ndim) for k in (source if isinstance(source, tuple | list) else (source,))]
    target = [axis_of(k, x.ndim) for k in (destination if isinstance(destination, tuple | list) else (destination,))]
    if len(origin) != len(target):
        raise error(ValueError, "`source` and `destination` arguments must have the same number of elements")
    order = [k for k in range(x.ndim) if k not in origin]
    for place, k in sorted(zip(target, origin, strict=True)):
        order.insert(place, k)
    return x.permuted(tuple(order))


@implements(np.rollaxis)
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Any:
    x = lift_array(a)
    k = axis_of(axis, x.ndim)
    place = start + x.ndim if start < 0 else start
    return moveaxis(x, k, place - 1 if k < place else place)


# --- the order of elements --------------------------------------------------------------------------------------------


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = lift_array(m)
    axes = normal_axes(axis, x.ndim)
    last = {k: x.shape[k] - 1 for k in axes}
    return x.view(x.shape, lambda index: tuple(last[k] - i if k in last else i for k, i in enumerate(index)))


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    x = lift_array(m)
    p, q = (axis_of(a, x.ndim) for a in axes)
    if p == q:
        raise error(ValueError, "Axes must be different.")
    turns = static_int(k, "the number of turns") % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (p, q))
    return swapaxes(flip(x, q), p, q) if turns == 1 else flip(swapaxes(x, p, q), q)


@implements(np.diagonal, np.linalg.diagonal, method="diagonal")
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    x = lift_array(a)
    if x.ndim < 2:
        raise error(ValueError, "diag requires an array of at least two dimensions")
    p, q = axis_of(axis1, x.ndim), axis_of(axis2, x.ndim)
    if p == q:
        raise error(ValueError, "axis1 and axis2 cannot be the same")
    k = static_int(offset, "the offset of a diagonal")
    down, right = max(-k, 0), max(k, 0)
    length = shapes.minimum(extent(x.shape[p] - down), extent(x.shape[q] - right))
    others = [j for j in range(x.ndim) if j not in (p, q)]

    def at(index: tuple[Any, ...]) -> tuple[Any, ...]:
        place = dict(zip(others, index[:-1], strict=True)) | {p: index[-1] + down, q: index[-1] + right}
        return tuple(place[j] for j in range(x.ndim))

    if k:
        length = shapes.maximum(length, 0)
    view = x.view((*(x.shape[j] for j in others), length), at)
    view.readonly = view.readonly or "a diagonal is read-only: write a[i, i] in a loop or use np.fill_diagonal"
    return view


# --- broadcasting -----------------------------------------------------------------------------------------------------


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    x, lengths = lift_array(array), shape_of(shape)
    if x.ndim > len(lengths):
        raise error(ValueError, "input operand has more dimensions than allowed by the axis remapping")
    for m, n in zip(reversed(x.shape), reversed(lengths), strict=False):
        if not is_one(m):
            may_stretch(m)
            shapes.require_same(m, n, "operands could not be broadcast together with remapped shapes")
    view = x.view(lengths, lambda index: shapes.stretch(index, x.shape) if x.ndim else ())
    view.readonly = view.readonly or "a broadcast array is read-only: take a .copy() before writing it"
    return view


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    arrays = [lift_array(a) for a in args]
    lengths = shapes.broadcast([a.shape for a in arrays])
    return tuple(broadcast_to(a, lengths) for a in arrays)


@implements(np.broadcast_shapes)
def broadcast_shapes(*args: Any) -> Shape:
    return shapes.broadcast([shape_of(s) for s in args])


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    array = lift_array(x)
    widths = new_shape(window_shape)
    given = range(array.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(axis_of(known(k), array.ndim) for k in given)
    if len(widths) != len(axes):
        raise error(
            ValueError,
            "sliding_window_view needs a length of the window for each axis: "
            f"there are {len(widths)}, and {len(axes)} axes",
        )
    if writeable:
        raise error(NotImplementedError, "sliding_window_view with writeable=True: write the elements of the array")
    lengths = list(array.shape)
    for k, width in zip(axes, widths, strict=True):
        require(width <= lengths[k], "window shape cannot be larger than input array shape")
        lengths[k] = extent(lengths[k] - width + 1)

    def at(index: tuple[Any, ...]) -> tuple[Any, ...]:
        place = list(index[: array.ndim])
        for k, offset in zip(axes, index[array.ndim :], strict=True):
            place[k] = place[k] + offset
        return tuple(place)

    view = array.view((*lengths, *widths), at)
    view.readonly = view.readonly or "windows overlap, and are read-only: write the elements of the array"
    return view


# --- splitting --------------------------------------------------------------------------------------------------------


def _cut(x: Arr, axis: int, start: Any, stop: Any) -> Any:
    return x[tuple(slice(start, stop) if k == axis else slice(None) for k in range(x.ndim))]


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    x = lift_array(ary)
    k = axis_of(axis, x.ndim)
    if isinstance(indices_or_sections, tuple | list | np.ndarray):
        stops = [*indices_or_sections, None]
        return [_cut(x, k, start, stop) for start, stop in zip([0, *indices_or_sections], stops, strict=True)]
    sections = static_int(indices_or_sections, "the number of sections")
    if sections <= 0:
        raise error(ValueError, "number sections must be larger than 0.")
    n = x.shape[k]
    each, extra = n // sections, n % sections
    bounds = [each * j + shapes.minimum(extent(extra), j) for j in range(sections + 1)]
    return [_cut(x, k, bounds[j], bounds[j + 1]) for j in range(sections)]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    x = lift_array(ary)
    if not isinstance(indices_or_sections, tuple | list | np.ndarray):
        sections = static_int(indices_or_sections, "the number of sections")
        n = x.shape[axis_of(axis, x.ndim)]
        shapes.require_same(extent(n % sections), 0, "array split does not result in an equal division")
        each = extent(n // sections)
        return [_cut(x, axis_of(axis, x.ndim), each * j, each * (j + 1)) for j in range(sections)]
    return array_split(x, indices_or_sections, axis)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    x = lift_array(ary)
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return split(ary, indices_or_sections, 2)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: Any = 0) -> Any:
    return tuple(sequence(moveaxis(x, axis, 0)))


# --- parts of complex numbers -----------------------------------------------------------------------------------------


@implements(np.real)
def real(val: Any) -> Any:
    x = lift(val)
    return x.real if isinstance(x, Arr | Num) else np.real(x)


@implements(np.imag)
def imag(val: Any) -> Any:
    x = lift(val)
    return x.imag if isinstance(x, Arr | Num) else np.imag(x)


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    return lift(x).dtype.kind == "c"


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    return not iscomplexobj(x)

"""NumPy's products of arrays.  All are one construct, `contract`: a For over what stays, a sum over the rest.

Where that is a matrix product of floats, or a stack of them, it is the library's, unless an axis is known to be short.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from iverson.lang import contractions, shapes
from iverson.lang.assumptions import is_one
from iverson.lang.contractions import Label, Labels
from iverson.lang.dtypes import BOOL_, supported
from iverson.lang.errors import error
from iverson.lang.num import cast, constant, is_scalar, known, ufunc
from iverson.lang.numpy_creation import eye
from iverson.lang.numpy_joins import common_dtype
from iverson.lang.numpy_reductions import over
from iverson.lang.numpy_shapes import diagonal
from iverson.lang.numpy_support import normal_axes, static_int, store
from iverson.lang.shapes import Extent, axis_of, stretch
from iverson.lang.staging import builder
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, elementwise, fold, generate, lift, lift_array, materialise, owned, total

_BIG = 1000.0  # what an extent that isn't known weighs when contractions are ordered
_SHORT = 4  # axes up to this long are better served by loops


# --- the one construct ------------------------------------------------------------------------------------------------


def contract(
    operands: Sequence[Arr], inputs: Sequence[Labels], output: Labels, dtype: Any = None, stretch: bool = False
) -> Any:
    """The sum over all labels that `output` lacks of the product of the operands; a Num if `output` is empty.

    Axes of length 1 that aren't summed stretch; with `stretch` the others do, too.
    """
    d = common_dtype(operands) if dtype is None else supported(dtype)
    lengths = _lengths(operands, inputs, None if stretch else output)
    summed = [x for x in lengths if x not in output]
    if d.kind == "f" and len(operands) == 2 and len(summed) == 1 and not any(map(_is_short, lengths.values())):
        parts = _matrix_product(inputs, output, summed[0])
        if parts is not None:
            return _product(operands, inputs, output, parts, summed[0], d)

    def term(place: dict[Label, Any]) -> Any:
        factors = [_element(x, labels, place, d) for x, labels in zip(operands, inputs, strict=True)]
        return reduce(lambda p, q: ufunc(np.multiply, p, q), factors)

    def element(*outer: Any) -> Any:
        place = dict(zip(output, outer, strict=True))
        if not summed:
            return term(place)
        inner = tuple(lengths[x] for x in summed)
        body = lambda *index: term(place | dict(zip(summed, index, strict=True)))  # noqa: E731
        return fold("or", inner, body) if d == BOOL_ else total(inner, body)

    return generate([lengths[x] for x in output], element, d) if output else constant(element())


def _is_short(n: Extent) -> bool:
    return isinstance(n, int) and n <= _SHORT


def _matrix_product(inputs: Sequence[Labels], output: Labels, summed: Label) -> tuple[Label, Label] | None:
    """The labels of rows and columns: the last that an operand has for itself.  The others make a stack."""
    own = [[x for x in labels if x not in other] for labels, other in (inputs, reversed(inputs))]
    plain = all(len(labels) == len(set(labels)) and summed in labels for labels in inputs)
    return (own[0][-1], own[1][-1]) if plain and all(own) else None


def _product(
    operands: Sequence[Arr], inputs: Sequence[Labels], output: Labels, own: tuple[Label, Label], summed: Label, d: Any
) -> Arr:
    """A matrix product for each index of the other labels."""
    stack = [x for x in output if x not in own]
    pairs = list(zip(operands, inputs, own, strict=True))
    turned = output.index(own[0]) > output.index(own[1])
    factors, plain = [], []
    for place, (x, labels, mine) in enumerate(reversed(pairs) if turned else pairs):
        outer, inner = [y for y in stack if y in labels], [y for y in labels if y in (mine, summed)]
        moved = x.astype(d, copy=False).permuted(tuple(labels.index(y) for y in (*outer, *inner)))
        factors.append((moved, [stack.index(y) for y in outer]))
        plain.append(inner[place] == mine)
    flags = {"transpose_a": not plain[0], "transpose_b": not plain[1]}

    def one(*index: Any) -> Arr:
        rows = [x[stretch([index[k] for k in outer], x.shape[:-2])] if outer else x for x, outer in factors]
        a, b = map(materialise, rows)
        return owned(builder().library("matmul", a, b, **flags)[0], d)

    lengths = _lengths(operands, inputs)
    out = generate([lengths[x] for x in stack], one, d) if stack else one()
    labels = (*stack, *(reversed(own) if turned else own))
    return out.permuted(tuple(labels.index(x) for x in output))


def _lengths(operands: Sequence[Arr], inputs: Sequence[Labels], elastic: Labels | None = None) -> dict[Label, Extent]:
    """The extent of each label; one of length 1 stretches if it is `elastic` (None: all are)."""
    lengths: dict[Label, Extent] = {}
    what = "the operands of a product have axes that don't match: their lengths differ"
    for x, labels in zip(operands, inputs, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            if label in lengths and not (elastic is None or label in elastic):
                lengths[label] = shapes.require_same(lengths[label], n, what)
                continue
            known_n = lengths.get(label, 1)
            if is_one(known_n):
                lengths[label] = n
            elif not is_one(n):
                lengths[label] = shapes.stretched(known_n, n, what)
    return lengths


def _element(x: Arr, labels: Labels, place: dict[Label, Any], dtype: np.dtype[Any]) -> Any:
    index = [
        0 if is_one(n) else place[label] for label, n in zip(labels, x.shape, strict=True)
    ]  # fmt: skip
    return cast(x.read(index), dtype)


# --- einsum -----------------------------------------------------------------------------------------------------------


@implements(np.einsum)
def einsum(
    *operands: Any, out: Any = None, dtype: Any = None, order: str = "K", casting: str = "safe", optimize: Any = True
) -> Any:
    """General subscripts; three or more operands are contracted in pairs, in the best order unless optimize=False."""
    if isinstance(operands[0], str):
        subscripts, values = operands[0], list(operands[1:])
    else:
        subscripts, values = contractions.parse_sublists(operands)
    arrays = [lift_array(v) for v in values]
    inputs, output = contractions.parse(subscripts, [a.ndim for a in arrays])
    d = common_dtype(arrays) if dtype is None else supported(dtype)
    lengths = _lengths(arrays, inputs)
    if optimize is not False:
        weights = {x: float(n) if isinstance(n, int) else _BIG for x, n in lengths.items()}
        for i, j, labels in contractions.plan(inputs, output, weights):
            arrays.append(lift_array(contract([arrays[i], arrays[j]], [inputs[i], inputs[j]], labels, d, True)))
            inputs.append(labels)
        used = {k for pair in contractions.plan(inputs[: len(values)], output, weights) for k in pair[:2]}
        arrays = [a for k, a in enumerate(arrays) if k not in used]
        inputs = [labels for k, labels in enumerate(inputs) if k not in used]
    return store(contract(arrays, inputs, output, d, True), out)


# --- products ---------------------------------------------------------------------------------------------------------


def _letters(rank: int, offset: int = 0) -> Labels:
    return tuple(string.ascii_letters[offset : offset + rank])


def _times(a: Any, b: Any) -> Any:
    return elementwise(lambda p, q: ufunc(np.multiply, p, q), a, b)


@implements(np.dot, method="dot")
def dot(a: Any, b: Any, out: Any = None) -> Any:
    x, y = lift(a), lift(b)
    if is_scalar(x) or is_scalar(y) or not x.ndim or not y.ndim:
        return store(_times(x, y), out)
    left, right = list(_letters(x.ndim)), list(_letters(y.ndim, x.ndim))
    right[-2 if y.ndim > 1 else -1] = left[-1]
    kept = [z for z in left[:-1] + right if z != left[-1]]
    return store(contract([x, y], [tuple(left), tuple(right)], tuple(kept)), out)


@implements(np.matmul, np.linalg.matmul)
def matmul(x1: Any, x2: Any, /, out: Any = None, **_: Any) -> Any:
    x, y = lift_array(x1), lift_array(x2)
    if not x.ndim or not y.ndim:
        raise error(ValueError, "matmul: an operand is a scalar; use * instead")
    batch = max(x.ndim, y.ndim, 2) - 2
    stack = tuple(range(-batch, 0))
    left = (*stack[batch - max(x.ndim - 2, 0) :], "i", "k") if x.ndim > 1 else ("k",)
    right = (*stack[batch - max(y.ndim - 2, 0) :], "k", "j") if y.ndim > 1 else ("k",)
    output = (*stack, *(("i",) if x.ndim > 1 else ()), *(("j",) if y.ndim > 1 else ()))
    return store(contract([x, y], [left, right], output), out)


def _conjugate(x: Arr) -> Arr:
    return elementwise(lambda v: v.conjugate(), x) if x.dtype.kind == "c" else x


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    x, y = lift_array(a), lift_array(b)
    if x.ndim != y.ndim or x.ndim != 1:
        x, y = x.reshape((-1,)), y.reshape((-1,))
    return contract([_conjugate(x), y], [("i",), ("i",)], ())


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: Any = -1, **_: Any) -> Any:
    x, y = lift_array(x1), lift_array(x2)
    move = FUNCTIONS[np.moveaxis]
    x, y = move(x, axis, -1), move(y, axis, -1)
    left, right = (*range(1 - x.ndim, 0), "k"), (*range(1 - y.ndim, 0), "k")
    return contract([_conjugate(x), y], [left, right], tuple(range(1 - max(x.ndim, y.ndim), 0)))


@implements(np.matvec)
def matvec(x1: Any, x2: Any, /, **_: Any) -> Any:
    y = lift_array(x2)
    return matmul(x1, y[..., None])[..., 0]


@implements(np.vecmat)
def vecmat(x1: Any, x2: Any, /, **_: Any) -> Any:
    x = lift_array(x1)
    return matmul(_conjugate(x)[..., None, :], x2)[..., 0, :]


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    x, y = lift(a), lift(b)
    if is_scalar(x) or is_scalar(y) or not x.ndim or not y.ndim:
        return _times(x, y)
    left, right = _letters(x.ndim), (*_letters(y.ndim - 1, x.ndim), _letters(x.ndim)[-1])
    return contract([x, y], [left, right], (*left[:-1], *right[:-1]))


@implements(np.outer, np.linalg.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    x, y = lift_array(a).reshape((-1,)), lift_array(b).reshape((-1,))
    return store(contract([x, y], [("i",), ("j",)], ("i", "j")), out)


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    x, y = lift_array(a), lift_array(b)
    if isinstance(axes, tuple | list):
        first, second = (list(s) if isinstance(s, tuple | list) else [s] for s in axes)
    else:
        n = static_int(axes, "the number of axes")
        first, second = list(range(x.ndim - n, x.ndim)), list(range(n))
    first, second = [axis_of(k, x.ndim) for k in first], [axis_of(k, y.ndim) for k in second]
    if len(first) != len(second):
        raise error(ValueError, "shape-mismatch for sum: the numbers of axes differ")
    left, right = list(_letters(x.ndim)), list(_letters(y.ndim, x.ndim))
    for p, q in zip(first, second, strict=True):
        right[q] = left[p]
    summed = {left[p] for p in first}
    return contract([x, y], [tuple(left), tuple(right)], tuple(z for z in left + right if z not in summed))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    x, y = lift_array(a), lift_array(b)
    while x.ndim < y.ndim:
        x = x[None]
    while y.ndim < x.ndim:
        y = y[None]
    shape = tuple(shapes.extent(m * n) for m, n in zip(x.shape, y.shape, strict=True))
    d = common_dtype([x, y])

    def element(*index: Any) -> Any:
        outer_index = [i // n for i, n in zip(index, y.shape, strict=True)]
        inner_index = [i % n for i, n in zip(index, y.shape, strict=True)]
        return ufunc(np.multiply, cast(x.read(outer_index), d), cast(y.read(inner_index), d))

    return generate(shape, element, d)


@implements(np.cross, np.linalg.cross)
def cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    move = FUNCTIONS[np.moveaxis]
    x, y = lift_array(a), lift_array(b)
    x, y = move(x, axisa, -1), move(y, axisb, -1)
    for v in (x, y):
        if not (isinstance(v.shape[-1], int) and v.shape[-1] == 3):
            raise error(ValueError, "both arrays must be vectors of three components, known when the program is staged")
    batch = shapes.broadcast([x.shape[:-1], y.shape[:-1]])
    d = common_dtype([x, y])

    def element(*index: Any) -> Any:
        p = [cast(x.read((*shapes.stretch(index, x.shape[:-1]), c)), d) for c in range(3)]
        q = [cast(y.read((*shapes.stretch(index, y.shape[:-1]), c)), d) for c in range(3)]
        return tuple(p[i] * q[j] - p[j] * q[i] for i, j in ((1, 2), (2, 0), (0, 1)))

    parts = generate(batch, element, d)
    out = FUNCTIONS[np.stack](list(parts), axis=-1)
    return move(out, -1, axisc) if out.ndim > 1 else out


@implements(np.trace, method="trace")
def trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None) -> Any:
    return FUNCTIONS[np.sum](diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


@implements(np.linalg.trace)
def linalg_trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Any:
    return trace(x, offset, -2, -1, dtype)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    parts = [lift_array(a) for a in arrays]
    letters = string.ascii_letters
    labels: list[Labels] = [
        (letters[k + 1],) if a.ndim == 1 and k == 0 else tuple(letters[k : k + a.ndim]) for k, a in enumerate(parts)
    ]
    counts = [x for pair in labels for x in pair]
    output = "".join(str(x) for x in counts if counts.count(x) == 1)
    return einsum(",".join("".join(map(str, pair)) for pair in labels) + "->" + output, *parts, out=out)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    power = static_int(n, "the power of a matrix")
    x = lift_array(a)
    if power < 0:
        x, power = FUNCTIONS[np.linalg.inv](x), -power
    result = None
    while power:
        if power & 1:
            result = x if result is None else matmul(result, x)
        power >>= 1
        if power:
            x = matmul(x, x)
    return eye(x.shape[-1], dtype=x.dtype) if result is None else result


# --- norms ------------------------------------------------------------------------------------------------------------


def _square(v: Any) -> Any:
    return ufunc(np.square, v) if v.im is None else v.real * v.real + v.imag * v.imag


def _power_sum(x: Arr, axes: Sequence[int], keepdims: bool, order: Any) -> Any:
    s = over(x.shape, axes, lambda i: ufunc(np.power, ufunc(np.absolute, x.read(i)), order), total, keepdims)
    return elementwise(lambda v: ufunc(np.power, v, ufunc(np.true_divide, 1.0, order)), s)


def _vector_norm(x: Arr, axes: Sequence[int], keepdims: bool, order: Any) -> Any:
    order = known(order)
    if order is None or (not hasattr(order, "dtype") and order == 2):
        s = over(x.shape, axes, lambda i: _square(x.read(i)), total, keepdims)
        return elementwise(lambda v: ufunc(np.sqrt, v), s)
    if is_scalar(order) and not hasattr(order, "dtype") and order in (np.inf, -np.inf):
        monoid = "max" if order > 0 else "min"
        return over(x.shape, axes, lambda i: ufunc(np.absolute, x.read(i)), _fold(monoid), keepdims)
    if is_scalar(order) and not hasattr(order, "dtype") and order in (0, 1):
        f: Callable[[Any], Any] = (lambda v: ufunc(np.absolute, v)) if order else (lambda v: cast(v != 0, x.dtype))
        return over(x.shape, axes, lambda i: f(x.read(i)), total, keepdims)
    return _power_sum(x, axes, keepdims, order)


def _fold(monoid: Any) -> Callable[..., Any]:
    return lambda lengths, at: fold(monoid, lengths, at)


def _matrix_norm(x: Arr, axes: Sequence[int], keepdims: bool, order: Any) -> Any:
    if order in (None, "fro"):
        return _vector_norm(x, axes, keepdims, None)
    if order in (1, -1, np.inf, -np.inf):
        summed, best = axes if order in (1, -1) else tuple(reversed(axes))
        sums = over(x.shape, (summed,), lambda i: ufunc(np.absolute, x.read(i)), total, True)
        out = over(sums.shape, (best,), sums.read, _fold("max" if order > 0 else "min"), True)
        return out if keepdims else FUNCTIONS[np.squeeze](out, tuple(axes))[()]
    if order not in (2, -2, "nuc"):
        raise error(ValueError, "Invalid norm order for matrices.")
    from iverson.lang.numpy_decompositions import spectral_norm

    return spectral_norm(x, tuple(axes), keepdims, order)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    a = lift_array(x)
    if a.dtype.kind not in "fc":
        a = a.astype(np.float64)
    if axis is None and ord is None:
        return _vector_norm(a, range(a.ndim), keepdims, None)
    given_axes = range(a.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(axis_of(k, a.ndim) for k in given_axes)
    if len(axes) == 1:
        return _vector_norm(a, axes, keepdims, ord)
    if len(axes) == 2:
        return _matrix_norm(a, axes, keepdims, ord)
    raise error(ValueError, "Improper number of dimensions to norm.")


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    a = lift_array(x)
    return _vector_norm(a, normal_axes(axis, a.ndim), keepdims, ord)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(x, ord, (-2, -1), keepdims)


# --- what comes later -------------------------------------------------------------------------------------------------

_LATER = """
    eig eigvals
"""


def _later(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise error(
            NotImplementedError,
            f"np.linalg.{name} is not available in staged programs: use np.linalg.eigh where the matrix is symmetric "
            "(a general one's eigenvalues are complex, and have no derivative where they meet), or call it outside",
        )

    return refuse


for _name in _LATER.split():
    implements(getattr(np.linalg, _name))(_later(_name))

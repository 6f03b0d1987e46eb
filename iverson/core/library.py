"""Library rows: whole-array operations with a textbook algorithm.

A row says which types it gives, what it means on NumPy values and what it costs.  Values may be complex (the complex
step of the tests), so a meaning is analytic in its float arguments: nothing is conjugated, and order is by real part.
Arguments are only read; results are fresh.  Derivatives are core programs: diff/library.py.

    matmul (a, b; transpose_a, transpose_b)   [n, k] @ [k, m]; a rank-1 operand is a row on the left, a column on the
                                              right, and isn't transposed.  triangle_a, triangle_b: "lower" or "upper",
                                              what alone is looked at of an operand as it is stored, a square; scale: a
                                              constant factor.  Both are the optimiser's, and have no derivatives
    lu (a)                                    l and u of a p = l u in one matrix, u having ones on its diagonal, and the
                                              swaps of columns, counted from 0; a may be singular
    factored_solve (a, lu, pivots, b; transpose)     x with a x = b;  b is [n] or [n, m]
    det, logabsdet (a, lu, pivots)            the determinant, and the logarithm of its magnitude
    cholesky (a)                              the lower factor; only the lower triangle of a is read
    triangular_solve (a, b; lower, transpose, unit)
    qr (a), svd (a)                           of a matrix with no more columns than rows: q, r and u, s, v'
    eigh (a)                                  w, v': eigenvalues, and eigenvectors as rows; the lower triangle is read
    pinv (a, u, s, vt)                        the pseudoinverse, of the rank that s has
    gaps (w; message)                         1 / (w[j] - w[i]), 0 on the diagonal; raises where two are equal
    sort (x), argsort (x)                     along the last axis, stable, NaN last
    sort_by_bin (k, starts)                   the stable order of bins k, int64, all in bounds; bin b has its places
                                              from starts[b] on
    fft (x; inverse)                          of complex rows [..., n, 2]; the inverse is not scaled
    mapped (rows, x; directory)               zeros [*rows, *x] in a file without a name, mapped into memory, gone with
                                              the array.  Of rows and x only the extents count

Factors that are passed along with their matrix (lu, pivots, u, s, vt) are what is known of it, not variables of their
own: so a derivative of any order reuses one factorisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from iverson.core import decompositions
from iverson.core.syntax import I64, Array, Atom, DType, Literal, Scalar, Type

Values: TypeAlias = tuple[Any, ...]
Params: TypeAlias = Mapping[str, Any]
Shapes: TypeAlias = Sequence[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """One library operation.  `cost` and `span` are functions of the arguments' shapes."""

    types: Callable[[Sequence[Array], Params], list[Type]]
    meaning: Callable[..., Values]
    cost: Callable[[Shapes, Params], int]
    span: Callable[[Shapes], int]
    params: Mapping[str, object]  # the static parameters with their defaults


def result_types(name: str, args: Sequence[Atom], params: Sequence[tuple[str, object]]) -> list[Type]:
    """The types of what a library op binds; TypeError where its arguments don't fit."""
    if name not in TABLE:
        raise TypeError(f"no library operation is named {name!r}")
    arrays = [a.type for a in args if isinstance(a.type, Array)]
    if len(arrays) != len(args):
        raise TypeError(f"{name} takes arrays")
    return TABLE[name].types(arrays, with_defaults(name, params))


def with_defaults(name: str, params: Sequence[tuple[str, object]]) -> dict[str, Any]:
    row = TABLE[name]
    unknown = [k for k, _ in params if k not in row.params]
    if unknown:
        raise TypeError(f"{name} has no parameter {unknown[0]!r}")
    return {**row.params, **dict(params)}


# --- types ------------------------------------------------------------------------------------------------------------


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise TypeError(message)


def _float_dtype(name: str, args: Sequence[Array], count: int) -> DType:
    _expect(len(args) == count, f"{name} takes {count} array{'s' if count > 1 else ''}")
    dtype = args[0].dtype
    _expect(all(a.dtype is dtype for a in args) and dtype.is_float, f"{name} takes floats of one dtype")
    return dtype


def _matmul_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype = _float_dtype("matmul", args, 2)
    a, b = args
    _expect(a.rank <= 2 and b.rank <= 2, "matmul takes vectors and matrices")
    for x, triangle in ((a, params["triangle_a"]), (b, params["triangle_b"])):
        _expect(not triangle or x.rank == 2, "a triangle is a matrix")
    left = a.extents[::-1] if params["transpose_a"] else a.extents
    right = b.extents[::-1] if params["transpose_b"] else b.extents
    extents = (*left[:-1], *right[1:])
    return [Array(dtype, extents) if extents else Scalar(dtype)]


def _solve_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype = _float_dtype("a solve", args, 2)
    _expect(args[0].rank == 2 and args[1].rank <= 2, "a solve takes a matrix and one or many right-hand sides")
    return [Array(dtype, args[1].extents)]


def _factored_types(args: Sequence[Array], params: Params) -> list[Type]:
    _expect(len(args) == 4 and args[2].dtype is I64, "factored_solve takes a matrix, its factors and right-hand sides")
    return _solve_types((args[1], args[3]), params)


def _matrix(name: str, args: Sequence[Array]) -> tuple[DType, Atom, Atom]:
    dtype = _float_dtype(name, args, 1)
    _expect(args[0].rank == 2, f"{name} takes a matrix")
    return (dtype, *args[0].extents)  # type: ignore[return-value]


def _cholesky_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype, n, _ = _matrix("cholesky", args)
    return [Array(dtype, (n, n))]


def _lu_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype, n, _ = _matrix("lu", args)
    return [Array(dtype, (n, n)), Array(I64, (n,))]


def _det_types(args: Sequence[Array], params: Params) -> list[Type]:
    _expect(len(args) == 3 and args[2].dtype is I64, "a determinant takes a matrix and its factors")
    return [Scalar(_float_dtype("a determinant", args[:2], 2))]


def _qr_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype, m, n = _matrix("qr", args)
    return [Array(dtype, (m, n)), Array(dtype, (n, n))]


def _svd_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype, m, n = _matrix("svd", args)
    return [Array(dtype, (m, n)), Array(dtype, (n,)), Array(dtype, (n, n))]


def _eigh_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype, n, _ = _matrix("eigh", args)
    return [Array(dtype, (n,)), Array(dtype, (n, n))]


def _pinv_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype = _float_dtype("pinv", args, 4)
    return [Array(dtype, args[0].extents[::-1])]


def _gaps_types(args: Sequence[Array], params: Params) -> list[Type]:
    return [Array(_float_dtype("gaps", args, 1), args[0].extents * 2)]


def _sort_types(args: Sequence[Array], params: Params) -> list[Type]:
    _expect(len(args) == 1, "sort takes one array")
    return [args[0]]


def _argsort_types(args: Sequence[Array], params: Params) -> list[Type]:
    _expect(len(args) == 1, "argsort takes one array")
    return [Array(I64, args[0].extents)]


def _sort_by_bin_types(args: Sequence[Array], params: Params) -> list[Type]:
    _expect(len(args) == 2, "sort_by_bin takes two arrays")
    _expect(all(a.rank == 1 and a.dtype is I64 for a in args), "sort_by_bin takes vectors of int64")
    return [args[0]]


def _fft_types(args: Sequence[Array], params: Params) -> list[Type]:
    _float_dtype("fft", args, 1)
    _expect(args[0].rank >= 2 and args[0].extents[-1] == Literal(2, I64), "fft takes rows of complex numbers")
    return [args[0]]


def _mapped_types(args: Sequence[Array], params: Params) -> list[Type]:
    _expect(len(args) == 2, "mapped takes two arrays")
    return [Array(args[1].dtype, (*args[0].extents, *args[1].extents))]


# --- meanings ---------------------------------------------------------------------------------------------------------


def _matmul(
    a: Any,
    b: Any,
    *,
    transpose_a: bool,
    transpose_b: bool,
    triangle_a: str = "",
    triangle_b: str = "",
    scale: float = 1.0,
) -> Values:
    halves: dict[str, Callable[[Any], Any]] = {"": lambda x: x, "lower": np.tril, "upper": np.triu}
    a, b = halves[triangle_a](a), halves[triangle_b](b)
    product = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    return (product if scale == 1.0 else product * product.dtype.type(scale),)


def _argsort(x: Any) -> Values:
    return (np.argsort(x.real, axis=-1, kind="stable"),)


def _sort(x: Any) -> Values:
    return (np.take_along_axis(x, _argsort(x)[0], axis=-1),)


def _sort_by_bin(k: Any, starts: Any) -> Values:
    return (np.argsort(k, kind="stable"),)


def _fft(x: Any, *, inverse: bool) -> Values:
    if np.iscomplexobj(x):  # linear over the reals
        return (_fft(x.real, inverse=inverse)[0] + 1j * _fft(x.imag, inverse=inverse)[0],)
    if x.shape[-2] == 0:
        return (x.copy(),)
    z = x[..., 0] + 1j * x[..., 1]
    y = np.fft.ifft(z, norm="forward") if inverse else np.fft.fft(z)
    return (np.stack([y.real, y.imag], axis=-1).astype(x.dtype),)


def _mapped(rows: Any, x: Any, *, directory: str) -> Values:
    return (np.zeros((*rows.shape, *x.shape), x.dtype),)


# --- costs ------------------------------------------------------------------------------------------------------------


def _log2(n: int) -> int:
    return max(n - 1, 0).bit_length()


def _columns(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) == 2 else 1


def _matmul_cost(shapes: Shapes, params: Params) -> int:
    a, b = shapes
    return (
        (1 if params["triangle_a"] or params["triangle_b"] else 2)
        * math.prod(a)
        * (b[0 if params["transpose_b"] else 1] if len(b) == 2 else 1)
    )


def _solves(shapes: Shapes, params: Params) -> int:
    n = shapes[0][0]
    return n * n * _columns(shapes[-1])


def _tall(for_rows: int, for_columns: int) -> Callable[[Shapes, Params], int]:
    """For a matrix [m, n] a multiple of m n^2, and one of n^3."""

    def cost(shapes: Shapes, params: Params) -> int:
        m, n = shapes[0]
        return for_rows * m * n * n + for_columns * n**3

    return cost


def _sort_cost(shapes: Shapes, params: Params) -> int:
    (shape,) = shapes
    return math.prod(shape) * max(_log2(shape[-1]), 1)


def _sort_by_bin_cost(shapes: Shapes, params: Params) -> int:
    ((n,), (bins,)) = shapes
    return 4 * n + bins


def _fft_cost(shapes: Shapes, params: Params) -> int:
    (shape,) = shapes
    return 5 * math.prod(shape[:-1]) * max(_log2(shape[-2]), 1)


def _sequential(shapes: Shapes) -> int:
    n = min(shapes[0])
    return n * (1 + _log2(max(shapes[0])))


def _sort_span(shapes: Shapes) -> int:
    return _log2(shapes[0][-1]) ** 2 + 1


TABLE: dict[str, Row] = {
    "matmul": Row(
        _matmul_types,
        _matmul,
        _matmul_cost,
        lambda s: 1 + _log2(max(s[0])),
        {"transpose_a": False, "transpose_b": False, "triangle_a": "", "triangle_b": "", "scale": 1.0},
    ),
    "lu": Row(_lu_types, decompositions.lu, lambda s, _: 2 * s[0][0] ** 3 // 3, _sequential, {}),
    "factored_solve": Row(
        _factored_types,
        decompositions.factored_solve,
        lambda s, p: 2 * _solves(s, p),
        _sequential,
        {"transpose": False},
    ),
    "det": Row(_det_types, decompositions.determinant, lambda s, _: s[0][0], lambda s: 1 + _log2(s[0][0]), {}),
    "logabsdet": Row(
        _det_types, decompositions.logarithm_of_determinant, lambda s, _: 2 * s[0][0], lambda s: 1 + _log2(s[0][0]), {}
    ),
    "cholesky": Row(_cholesky_types, decompositions.cholesky, lambda s, _: s[0][0] ** 3 // 3, _sequential, {}),
    "triangular_solve": Row(
        _solve_types,
        decompositions.triangular_solve,
        _solves,
        _sequential,
        {"lower": True, "transpose": False, "unit": False},
    ),
    "qr": Row(_qr_types, decompositions.qr, _tall(4, 0), _sequential, {}),
    "eigh": Row(_eigh_types, decompositions.eigh, _tall(0, 9), _sequential, {}),
    "svd": Row(_svd_types, decompositions.svd, _tall(6, 20), _sequential, {}),
    "pinv": Row(_pinv_types, decompositions.pseudoinverse, _tall(2, 0), lambda s: 1 + _log2(max(s[0])), {}),
    "gaps": Row(
        _gaps_types,
        decompositions.gaps,
        lambda s, _: 2 * s[0][0] ** 2,
        lambda s: 1 + _log2(s[0][0]),
        {"message": "equal values"},
    ),
    "sort": Row(_sort_types, _sort, _sort_cost, _sort_span, {}),
    "argsort": Row(_argsort_types, _argsort, _sort_cost, _sort_span, {}),
    "sort_by_bin": Row(_sort_by_bin_types, _sort_by_bin, _sort_by_bin_cost, lambda s: _log2(s[0][0]) + 1, {}),
    "mapped": Row(
        _mapped_types, _mapped, lambda s, _: math.prod(s[0]) * math.prod(s[1]), lambda s: 1, {"directory": "."}
    ),
    "fft": Row(_fft_types, _fft, _fft_cost, lambda s: _log2(s[0][-2]) + 1, {"inverse": False}),
}

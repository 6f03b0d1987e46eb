"""Library rows: whole-array operations with a textbook algorithm.

A row says which types it gives, what it means on NumPy values and what it costs.  Values may be complex (the complex
step of the tests), so a meaning is analytic in its float arguments: nothing is conjugated, and order is by real part.
Arguments are only read; results are fresh.  Derivatives are core programs and live in `diff`.

    matmul (a, b)             [n, k] @ [k, m]; a rank-1 operand is a row on the left, a column on the right
    solve (a, b)              x with a x = b;  b is [n] or [n, m]
    cholesky (a)              the lower factor; only the lower triangle of a is read
    triangular_solve (a, b; lower, transpose, unit)
    sort (x), argsort (x)     along the last axis, stable, NaN last
    sort_by_bin (k, starts)   the stable order of bins k, int64, all in bounds; bin b has its places from starts[b] on
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.linalg

from iverson.core.syntax import I64, Array, Atom, DType, Scalar, Type

Values: TypeAlias = tuple[Any, ...]
Params: TypeAlias = Mapping[str, Any]
Shapes: TypeAlias = Sequence[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """One library operation.  `cost` and `span` are functions of the shapes of the arguments."""

    types: Callable[[Sequence[Array], Params], list[Type]]
    meaning: Callable[..., Values]
    cost: Callable[[Shapes], int]
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
    extents = (*a.extents[:-1], *b.extents[1:])
    return [Array(dtype, extents) if extents else Scalar(dtype)]


def _solve_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype = _float_dtype("solve", args, 2)
    _expect(args[0].rank == 2 and args[1].rank <= 2, "a solve takes a matrix and one or many right-hand sides")
    return [Array(dtype, args[1].extents)]


def _cholesky_types(args: Sequence[Array], params: Params) -> list[Type]:
    dtype = _float_dtype("cholesky", args, 1)
    _expect(args[0].rank == 2, "cholesky takes a matrix")
    return [Array(dtype, args[0].extents)]


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


# --- meanings ---------------------------------------------------------------------------------------------------------


def _solve(a: Any, b: Any) -> Values:
    return (np.linalg.solve(a, b if b.ndim == 2 else b[:, None]).reshape(b.shape),)


def _cholesky(a: Any) -> Values:
    if not np.iscomplexobj(a):
        return (np.linalg.cholesky(np.tril(a) + np.tril(a, -1).T),)
    factor = np.zeros_like(a)
    for j in range(len(a)):
        pivot = a[j, j] - factor[j, :j] @ factor[j, :j]
        if not pivot.real > 0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        factor[j, j] = np.sqrt(pivot)
        factor[j + 1 :, j] = (a[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]) / factor[j, j]
    return (factor,)


def _triangular_solve(a: Any, b: Any, *, lower: bool, transpose: bool, unit: bool) -> Values:
    if b.size == 0:
        return (b.copy(),)
    return (
        scipy.linalg.solve_triangular(
            a, b, lower=lower, trans=1 if transpose else 0, unit_diagonal=unit, check_finite=False
        ),
    )


def _argsort(x: Any) -> Values:
    return (np.argsort(x.real, axis=-1, kind="stable"),)


def _sort(x: Any) -> Values:
    return (np.take_along_axis(x, _argsort(x)[0], axis=-1),)


def _sort_by_bin(k: Any, starts: Any) -> Values:
    return (np.argsort(k, kind="stable"),)


# --- costs ------------------------------------------------------------------------------------------------------------


def _log2(n: int) -> int:
    return max(n - 1, 0).bit_length()


def _columns(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) == 2 else 1


def _matmul_cost(shapes: Shapes) -> int:
    (a, b) = shapes
    return 2 * math.prod(a) * _columns(b)


def _solve_cost(shapes: Shapes) -> int:
    n = shapes[0][0]
    return 2 * n**3 // 3 + 2 * n * n * _columns(shapes[1])


def _triangular_cost(shapes: Shapes) -> int:
    n = shapes[0][0]
    return n * n * _columns(shapes[1])


def _sort_cost(shapes: Shapes) -> int:
    (shape,) = shapes
    return math.prod(shape) * max(_log2(shape[-1]), 1)


def _sort_by_bin_cost(shapes: Shapes) -> int:
    ((n,), (bins,)) = shapes
    return 4 * n + bins


def _sequential(shapes: Shapes) -> int:
    return shapes[0][0] * (1 + _log2(shapes[0][0]))


TABLE: dict[str, Row] = {
    "matmul": Row(_matmul_types, lambda a, b: (a @ b,), _matmul_cost, lambda s: 1 + _log2(s[0][-1]), {}),
    "solve": Row(_solve_types, _solve, _solve_cost, _sequential, {}),
    "cholesky": Row(_cholesky_types, _cholesky, lambda s: s[0][0] ** 3 // 3, _sequential, {}),
    "triangular_solve": Row(
        _solve_types,
        _triangular_solve,
        _triangular_cost,
        _sequential,
        {"lower": True, "transpose": False, "unit": False},
    ),
    "sort": Row(_sort_types, _sort, _sort_cost, lambda s: _log2(s[0][-1]) ** 2 + 1, {}),
    "argsort": Row(_argsort_types, _argsort, _sort_cost, lambda s: _log2(s[0][-1]) ** 2 + 1, {}),
    "sort_by_bin": Row(_sort_by_bin_types, _sort_by_bin, _sort_by_bin_cost, lambda s: _log2(s[0][0]) + 1, {}),
}

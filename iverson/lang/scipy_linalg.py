"""The functions of `scipy.linalg`: those of `np.linalg` with SciPy's arguments, and solves by factors.

Arguments that only save time or memory in SciPy (overwrite_a, check_finite, lapack_driver, ...) are taken and change
nothing: inputs are never overwritten, and not checked for being finite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from iverson.lang import algebra, numpy_decompositions, shapes, small_matrices
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, select, ufunc
from iverson.lang.numpy_decompositions import eigh_one, lstsq_one, pinv_one, qr_one
from iverson.lang.numpy_linalg import norm
from iverson.lang.numpy_shapes import swapaxes
from iverson.lang.numpy_solvers import (
    cholesky_one,
    det,
    floats,
    inv,
    library,
    matrices,
    solve_one,
    square,
    stacked,
)
from iverson.lang.table import implements
from iverson.lang.values import Arr, generate, owned

_PERFORMANCE = {
    "overwrite_a", "overwrite_b", "overwrite_ab", "overwrite_x", "check_finite", "lapack_driver", "driver", "lwork",
}  # fmt: skip


def _only_performance(name: str, rest: dict[str, Any]) -> None:
    for key, value in rest.items():
        if key not in _PERFORMANCE and value not in (None, False):
            message = f"scipy.linalg.{name} with {key}={value!r} is not available in staged programs"
            raise error(NotImplementedError, message)


def _system(a: Any, b: Any, name: str) -> tuple[tuple[Arr, int], tuple[Arr, int]]:
    """A matrix and right-hand sides of one dtype, with their ranks; stacks as in NumPy."""
    x, y = square(a, f"scipy.linalg.{name}"), floats(b, f"scipy.linalg.{name}")
    rank = 1 if y.ndim == 1 else 2
    shapes.require_same(x.shape[-1], y.shape[-rank], "Input a has to have same number of rows as input b")
    d = np.result_type(x.dtype, y.dtype)
    return (x.astype(d, copy=False), 2), (y.astype(d, copy=False), rank)


def triangular_one(a: Arr, b: Arr, lower: bool, transpose: bool, unit: bool = False) -> Arr:
    if small_matrices.is_small(*a.shape, *b.shape[1:]):
        return small_matrices.triangular_solve(a, b, lower, transpose, unit)
    return owned(library("triangular_solve", a, b, lower=lower, transpose=transpose, unit=unit)[0], b.dtype)


# --- solvers ----------------------------------------------------------------------------------------------------------


@implements(scipy.linalg.solve)
def solve(
    a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
    check_finite: bool = True, assume_a: str | None = None, transposed: bool = False,
) -> Any:  # fmt: skip
    """assume_a="pos" is solved by Cholesky's factor, "sym" by that of the triangle that is stored."""
    kind = assume_a or "gen"

    def one(x: Arr, y: Arr) -> Arr:
        match kind:
            case "gen" | "general" | "diagonal" | "tridiagonal" | "banded":
                return solve_one(swapaxes(x, 0, 1) if transposed else x, y)
            case "sym" | "symmetric" | "her" | "hermitian":
                return solve_one(_mirrored(x, lower), y)
            case "pos" | "positive definite":
                return _by_cholesky(cholesky_one(x if lower else swapaxes(x, 0, 1)), y)
            case "lower triangular" | "upper triangular":
                return triangular_one(x, y, kind.startswith("lower"), transposed)
        raise error(ValueError, f"{kind} is not a recognized matrix structure")

    return stacked(one, *_system(a, b, "solve"))


def _mirrored(a: Arr, lower: bool) -> Arr:
    """The symmetric matrix of a triangle."""

    def element(i: Num, j: Num) -> Any:
        inside = constant(ufunc(np.greater_equal, i, j) if lower else ufunc(np.less_equal, i, j))
        return a.read((select(inside, i, j), select(inside, j, i)))

    return generate(a.shape, element, a.dtype)


def _by_cholesky(factor: Arr, b: Arr, lower: bool = True) -> Arr:
    first = triangular_one(factor, b, lower, transpose=not lower)
    return triangular_one(factor, first, lower, transpose=lower)


@implements(scipy.linalg.solve_triangular)
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, **rest: Any
) -> Any:
    _only_performance("solve_triangular", rest)
    transpose = trans in (1, 2, "T", "C")
    return stacked(
        lambda x, y: triangular_one(x, y, lower, transpose, unit_diagonal), *_system(a, b, "solve_triangular")
    )


@implements(scipy.linalg.cholesky)
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    x = square(a, "scipy.linalg.cholesky")
    factor = stacked(cholesky_one, (x if lower else swapaxes(x, -1, -2), 2))
    return factor if lower else swapaxes(factor, -1, -2)


@implements(scipy.linalg.cho_factor)
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The factor, with zeros where SciPy leaves what was there."""
    return cholesky(a, lower), lower


@implements(scipy.linalg.cho_solve)
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    factor, lower = c_and_lower
    return stacked(lambda c, y: _by_cholesky(c, y, bool(lower)), *_system(factor, b, "cho_solve"))


def _lu_one(a: Arr) -> tuple[Arr, Arr]:
    """L and U in one matrix, and LAPACK's row swaps: what the library finds of the transpose."""
    packed, pivots = map(owned, library("lu", swapaxes(a, 0, 1)))
    return swapaxes(packed, 0, 1), pivots


def _order(pivots: Arr) -> Arr:
    from iverson.lang.runtime import call

    order: Arr = call(algebra.order, pivots)
    return order


@implements(scipy.linalg.lu_factor)
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return _lu_one(_one_square(a, "lu_factor"))


def _one_square(a: Any, name: str) -> Arr:
    x = square(a, f"scipy.linalg.{name}")
    if x.ndim != 2:
        raise error(NotImplementedError, f"scipy.linalg.{name} takes one matrix in staged programs: loop over more")
    return x


@implements(scipy.linalg.lu_solve)
def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    packed, pivots = lu_and_piv
    (lu, _), (y, _) = _system(packed, b, "lu_solve")
    order = _order(pivots)
    if trans in (0, "N"):
        return triangular_one(lu, triangular_one(lu, y[order], True, False, unit=True), False, False)
    solved = triangular_one(lu, triangular_one(lu, y, False, True), True, True, unit=True)
    out = generate(y.shape, lambda *i: cast(0.0, y.dtype), y.dtype)
    out[order] = solved
    return out


@implements(scipy.linalg.lu)
def lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True, p_indices: bool = False
) -> Any:
    """a = p l u of a square matrix."""
    packed, pivots = _lu_one(_one_square(a, "lu"))
    d, shape, order = packed.dtype, packed.shape, _order(pivots)

    def lower(i: Num, j: Num) -> Any:
        below = select(constant(ufunc(np.greater, i, j)), packed.read((i, j)), d.type(0))
        return select(constant(ufunc(np.equal, i, j)), d.type(1), below)

    def upper(i: Num, j: Num) -> Any:
        return select(constant(ufunc(np.less_equal, i, j)), packed.read((i, j)), d.type(0))

    l_, u = generate(shape, lower, d), generate(shape, upper, d)
    places = generate(order.shape, lambda i: cast(0, order.dtype), order.dtype)
    places[order] = generate(order.shape, lambda i: i)
    if permute_l:
        return l_[places], u
    if p_indices:
        return places, l_, u
    is_place = lambda i, j: cast(ufunc(np.equal, places.read((i,)), j), d)  # noqa: E731
    return generate(shape, is_place, d), l_, u


# --- decompositions ---------------------------------------------------------------------------------------------------


@implements(scipy.linalg.qr)
def qr(
    a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False, **_: Any
) -> Any:
    x = matrices(a, "scipy.linalg.qr")
    if pivoting or mode not in ("economic", "r", "full"):
        raise error(NotImplementedError, "scipy.linalg.qr in staged programs is without pivoting: mode='economic'")
    if mode != "economic":
        what = f"scipy.linalg.qr with mode={mode!r} takes square matrices only in staged programs: use 'economic'"
        shapes.require_same(x.shape[-2], x.shape[-1], what, NotImplementedError)
    q, r = stacked(qr_one, (x, 2))
    return (r,) if mode == "r" else (q, r)


@implements(scipy.linalg.eigh)
def eigh(a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, **rest: Any) -> Any:
    _only_performance("eigh", {"b": b, **rest} if b is not None else rest)
    x = square(a, "scipy.linalg.eigh")
    w, v = stacked(eigh_one, (x if lower else swapaxes(x, -1, -2), 2))
    return w if eigvals_only else (w, v)


@implements(scipy.linalg.eigvalsh)
def eigvalsh(a: Any, b: Any = None, *, lower: bool = True, **rest: Any) -> Any:
    return eigh(a, b, lower=lower, eigvals_only=True, **rest)


@implements(scipy.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, **rest: Any) -> Any:
    _only_performance("svd", rest)
    found = numpy_decompositions.svd(a, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


@implements(scipy.linalg.svdvals)
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return numpy_decompositions.svd(a, compute_uv=False)


@implements(scipy.linalg.pinv)
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    x = matrices(a, "scipy.linalg.pinv")
    if atol is not None or return_rank:
        raise error(NotImplementedError, "scipy.linalg.pinv takes rtol only in staged programs")
    tolerance = numpy_decompositions.rounding(x) if rtol is None else rtol
    return stacked(lambda y: pinv_one(y, tolerance)[0], (x, 2))


@implements(scipy.linalg.lstsq)
def lstsq(a: Any, b: Any, cond: Any = None, **rest: Any) -> Any:
    _only_performance("lstsq", rest)
    x, y = matrices(a, "scipy.linalg.lstsq"), floats(b, "scipy.linalg.lstsq")
    shapes.require_same(x.shape[0], y.shape[0], "Shape mismatch: a and b should have the same number of rows")
    d = np.result_type(x.dtype, y.dtype)
    x, y = x.astype(d, copy=False), y.astype(d, copy=False)
    return lstsq_one(x, y, np.finfo(d).eps if cond is None else cond)


@implements(scipy.linalg.expm)
def expm(A: Any) -> Any:
    """By scaling and squaring; its derivative is that of the approximation."""
    from iverson.lang.runtime import call

    return stacked(lambda x: call(algebra.expm, x), (square(A, "scipy.linalg.expm"), 2))


# --- the same as NumPy's ----------------------------------------------------------------------------------------------


@implements(scipy.linalg.inv)
def scipy_inv(a: Any, overwrite_a: bool = False, check_finite: bool = True, **rest: Any) -> Any:
    _only_performance("inv", rest)
    return inv(a)


@implements(scipy.linalg.det)
def scipy_det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return det(a)


@implements(scipy.linalg.norm)
def scipy_norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    return norm(a, ord, axis, keepdims)

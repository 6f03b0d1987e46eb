"""`np.linalg`'s orthogonal decompositions, and what is computed by them: least squares, pseudoinverses, ranks, norms.

The library's are of matrices with no more columns than rows.  A wide matrix is decomposed by its transpose (SVD) or by
its first columns (QR); which it is may be known only when the program runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from iverson.lang import shapes
from iverson.lang.dtypes import INT64
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, known, select, ufunc
from iverson.lang.numpy_linalg import matmul, norm
from iverson.lang.numpy_shapes import swapaxes
from iverson.lang.numpy_solvers import floats, inv, library, matrices, square, stacked
from iverson.lang.numpy_support import NO_VALUE, lazily, require
from iverson.lang.table import FUNCTIONS, implements
from iverson.lang.values import Arr, elementwise, fold, generate, lift_array, materialise, owned, total

_QRResult: Any = type(np.linalg.qr(np.eye(1)))
_EighResult: Any = type(np.linalg.eigh(np.eye(1)))
_SVDResult: Any = type(np.linalg.svd(np.eye(1)))


# --- QR ---------------------------------------------------------------------------------------------------------------


def is_wide(a: Arr) -> Any:
    """Has a matrix more columns than rows?  Python's answer, or the program's."""
    m, n = a.shape
    return known(ufunc(np.less, m, n))


def qr_one(a: Arr) -> tuple[Arr, Arr]:
    (m, n), wide = a.shape, is_wide(a)
    k = shapes.minimum(m, n) if isinstance(wide, Num) else m if wide else n
    q, r = map(owned, library("qr", a if wide is False else a[:, :k]))
    if wide is False:
        return q, r

    def element(i: Num, j: Num) -> Any:
        right = lambda: total((m,), lambda c: q.read((c, i)) * a.read((c, j)))  # noqa: E731
        return lazily(ufunc(np.less, j, k), lambda: r.read((i, j), False), right)

    return q, generate((k, n), element, a.dtype)


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """q has min(m, n) columns.  The signs are those of Householder's method, as in NumPy."""
    if mode == "complete":
        raise error(
            NotImplementedError,
            "np.linalg.qr with mode='complete' is not available in staged programs: the columns of q beyond those of a "
            "tall matrix are not determined by it, and have no derivative (mode='reduced' has the others)",
        )
    if mode not in ("reduced", "r"):
        raise error(NotImplementedError, f"np.linalg.qr with mode={mode!r} is not available in staged programs")
    q, r = stacked(qr_one, (matrices(a, "np.linalg.qr"), 2))
    return r if mode == "r" else _QRResult(q, r)


# --- eigenvalues ------------------------------------------------------------------------------------------------------


def eigh_one(a: Arr) -> tuple[Arr, Arr]:
    """Eigenvalues in ascending order, and eigenvectors as columns; only the lower triangle is read."""
    w, vt = map(owned, library("eigh", a))
    return w, swapaxes(vt, 0, 1)


def _lower(a: Any, uplo: str, name: str) -> Arr:
    if uplo.upper() not in ("L", "U"):
        raise error(ValueError, "UPLO argument must be 'L' or 'U'")
    x = square(a, name)
    return swapaxes(x, -1, -2) if uplo.upper() == "U" else x


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    return _EighResult(*stacked(eigh_one, (_lower(a, UPLO, "np.linalg.eigh"), 2)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return stacked(lambda x: eigh_one(x)[0], (_lower(a, UPLO, "np.linalg.eigvalsh"), 2))


# --- singular values --------------------------------------------------------------------------------------------------


def _either(wide: Any, shape: shapes.Shape, one: Any, other: Any, dtype: np.dtype[Any]) -> Arr:
    """The array of `one` if a matrix is wide, else of `other`; indices are checked, as only one of the two has them."""
    return generate(shape, lambda i, j: lazily(wide, lambda: one(i, j), lambda: other(i, j)), dtype)


def upright(a: Arr) -> tuple[Arr, Any]:
    """The matrix, or its transpose if it is wide; and whether it is."""
    (m, n), wide = a.shape, is_wide(a)
    if not isinstance(wide, Num):
        return (swapaxes(a, 0, 1) if wide else a), wide
    shape = shapes.maximum(m, n), shapes.minimum(m, n)
    turned = _either(wide, shape, lambda i, j: a.read((j, i), False), lambda i, j: a.read((i, j), False), a.dtype)
    return turned, wide


def turned_back(x: Arr, wide: Any, shape: shapes.Shape) -> Arr:
    """What was computed of the transpose, for a matrix that is wide, transposed."""
    if not isinstance(wide, Num):
        return swapaxes(x, 0, 1) if wide else x
    return _either(wide, shape, lambda i, j: x.read((j, i), False), lambda i, j: x.read((i, j), False), x.dtype)


def svd_one(a: Arr) -> tuple[Arr, Arr, Arr]:
    m, n = a.shape
    tall, wide = upright(a)
    u, s, vt = map(owned, library("svd", tall))
    if not isinstance(wide, Num):
        return (swapaxes(vt, 0, 1), s, swapaxes(u, 0, 1)) if wide else (u, s, vt)
    k = tall.shape[1]
    left = _either(wide, (m, k), lambda i, j: vt.read((j, i), False), lambda i, j: u.read((i, j), False), a.dtype)
    right = _either(wide, (k, n), lambda i, j: u.read((j, i), False), lambda i, j: vt.read((i, j), False), a.dtype)
    return left, s, right


def svdvals_one(a: Arr) -> Arr:
    return owned(library("svd", upright(a)[0])[1])


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Vectors are unique up to their sign, which need not be NumPy's for wide matrices."""
    x = matrices(a, "np.linalg.svd")
    if not compute_uv:
        return stacked(svdvals_one, (x, 2))
    if full_matrices:
        what = "np.linalg.svd gives all the singular vectors of square matrices only: pass full_matrices=False"
        shapes.require_same(x.shape[-2], x.shape[-1], what, NotImplementedError)
    return _SVDResult(*stacked(svd_one, (x, 2)))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    return svd(x, compute_uv=False)


# --- what they are good for -------------------------------------------------------------------------------------------


def _cut(s: Arr, tolerance: Any) -> Arr:
    """Singular values, those up to a tolerance times the largest being zero."""
    largest = fold("max", s.shape, lambda i: s.read((i,)))
    limit = ufunc(np.multiply, cast(tolerance, s.dtype), largest)  # of nothing: minus infinity, and nothing to cut
    zero = s.dtype.type(0)
    return generate(s.shape, lambda i: select(constant(ufunc(np.greater, s.read((i,)), limit)), s.read((i,)), zero))


def _rank(s: Arr) -> Num:
    return total(s.shape, lambda i: cast(ufunc(np.greater, s.read((i,)), 0.0), INT64))


def pinv_one(a: Arr, tolerance: Any) -> tuple[Arr, Arr]:
    """The pseudoinverse, and the singular values."""
    m, n = a.shape
    tall, wide = upright(a)
    whole = materialise(tall)
    u, s, vt = library("svd", whole)
    values = owned(s)
    inverse = owned(library("pinv", whole, u, _cut(values, tolerance), vt)[0], a.dtype)
    return turned_back(inverse, wide, (n, m)), values


def rounding(a: Arr) -> Num:
    """The larger length times the rounding error."""
    longer = cast(constant(shapes.maximum(a.shape[-2], a.shape[-1])), a.dtype)
    return constant(ufunc(np.multiply, longer, np.finfo(a.dtype).eps))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NO_VALUE) -> Any:
    """The derivative is that among matrices of the same rank."""
    x = matrices(a, "np.linalg.pinv")
    tolerance = rcond
    if rcond is None:
        tolerance = 1e-15 if rtol is NO_VALUE else rounding(x) if rtol is None else rtol
    return stacked(lambda y: pinv_one(y, tolerance)[0], (x, 2))


def lstsq_one(a: Arr, b: Arr, rcond: Any) -> tuple[Any, Arr, Num, Arr]:
    m, n = a.shape
    tolerance = rounding(a) if rcond is None else rcond
    if not isinstance(rcond, Num) and rcond is not None and rcond < 0:
        tolerance = np.finfo(a.dtype).eps
    inverse, s = pinv_one(a, tolerance)
    x = matmul(inverse, b)
    rank = _rank(_cut(s, tolerance))
    away = elementwise(lambda p, q: ufunc(np.subtract, p, q), b, matmul(a, x))
    columns = b.shape[1] if b.ndim == 2 else 1
    exact = ufunc(np.logical_and, ufunc(np.equal, rank, n), ufunc(np.greater, m, n))
    count = shapes.extent(select(constant(exact), columns, 0))

    def residual(j: Num) -> Any:
        return total((m,), lambda i: ufunc(np.square, away.read((i, j) if b.ndim == 2 else (i,))))

    return x, generate((count,), residual, a.dtype), cast(rank, np.dtype(np.int32)), s


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """By the singular values: (solution of least norm, residuals, rank, singular values)."""
    x, y = matrices(a, "np.linalg.lstsq"), floats(b, "np.linalg.lstsq")
    if x.ndim != 2 or y.ndim not in (1, 2):
        raise error(np.linalg.LinAlgError, "np.linalg.lstsq takes a matrix and one or many right-hand sides")
    shapes.require_same(x.shape[0], y.shape[0], "Incompatible dimensions", np.linalg.LinAlgError)
    d = np.result_type(x.dtype, y.dtype)
    return lstsq_one(x.astype(d, copy=False), y.astype(d, copy=False), rcond)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    x = floats(A, "np.linalg.matrix_rank")
    if x.ndim < 2:
        return cast(FUNCTIONS[np.any](elementwise(lambda v: ufunc(np.not_equal, v, 0.0), x)), INT64)

    def one(a: Arr) -> Any:
        s = svdvals_one(a)
        if tol is None:
            return _rank(_cut(s, rounding(x) if rtol is None else rtol))
        return total(s.shape, lambda i: cast(ufunc(np.greater, s.read((i,)), tol), INT64))

    return stacked(one, (x, 2))


def _ends(s: Arr) -> tuple[Any, Any]:
    """The largest and the smallest of the last axis, which is sorted downwards."""
    require(ufunc(np.greater, s.shape[-1], 0), "an empty matrix has no largest singular value", np.linalg.LinAlgError)
    return s[..., 0], s[..., -1]


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    a = matrices(x, "np.linalg.cond")
    if p in (None, 2, -2):
        largest, smallest = _ends(svdvals(a))
        if p == -2:
            largest, smallest = smallest, largest
        return elementwise(lambda q, r: ufunc(np.true_divide, q, r), largest, smallest)
    axes = (-2, -1)
    return elementwise(lambda q, r: ufunc(np.multiply, q, r), norm(a, p, axes), norm(inv(a), p, axes))


def spectral_norm(x: Arr, axes: tuple[int, ...], keepdims: bool, order: Any) -> Any:
    """The matrix norms 2, -2 and "nuc": the largest, the smallest, and the sum of the singular values."""
    kept = tuple(k for k in range(x.ndim) if k not in axes)
    s = svdvals(x.permuted((*kept, *axes)))
    if order == "nuc":
        out = FUNCTIONS[np.sum](s, axis=-1)
    else:
        out = _ends(s)[0 if order == 2 else 1]
    return FUNCTIONS[np.expand_dims](lift_array(out), axes) if keepdims else out

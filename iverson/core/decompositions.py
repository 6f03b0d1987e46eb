"""What factorisations mean on NumPy values: LAPACK's for real ones, its analytic extension for complex ones.

A complex value here is a real one with an infinitesimal imaginary part, the complex step of the tests: nothing is
conjugated, and what the algorithm decides (pivots, signs, order) is decided by the real part.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

Values: TypeAlias = tuple[Any, ...]


def lu(a: Any) -> Values:
    """l and u of a p = l u in one matrix, u having the unit diagonal, and the swaps of columns: LAPACK's for a'."""
    n = len(a)
    packed = a.T.copy()
    pivots = np.arange(n)
    if not np.iscomplexobj(a):
        if n:
            packed, pivots, _ = lapack.get_lapack_funcs("getrf", (packed,))(packed)
        return np.ascontiguousarray(packed.T), np.asarray(pivots, np.int64)
    for k in range(n):
        p = k + int(np.argmax(np.abs(packed[k:, k].real)))
        pivots[k] = p
        packed[[k, p]] = packed[[p, k]]
        if packed[k, k] != 0:
            packed[k + 1 :, k] /= packed[k, k]
            packed[k + 1 :, k + 1 :] -= np.outer(packed[k + 1 :, k], packed[k, k + 1 :])
    return packed.T, pivots


def factored_solve(a: Any, packed: Any, pivots: Any, b: Any, *, transpose: bool) -> Values:
    if np.any(np.diagonal(packed) == 0):
        raise np.linalg.LinAlgError("Singular matrix")
    if b.size == 0:
        return (np.zeros(b.shape, np.result_type(packed, b)),)
    x = scipy.linalg.lu_solve((packed.T, pivots), b, trans=0 if transpose else 1, check_finite=False)
    return (np.ascontiguousarray(x),)


def determinant(a: Any, packed: Any, pivots: Any) -> Values:
    product = np.prod(np.diagonal(packed))
    return (-product if np.count_nonzero(pivots != np.arange(len(pivots))) % 2 else product,)


def logarithm_of_determinant(a: Any, packed: Any, pivots: Any) -> Values:
    diagonal = np.diagonal(packed)
    with np.errstate(divide="ignore"):
        return (np.sum(np.log(np.where(diagonal.real < 0, -diagonal, diagonal))),)


def cholesky(a: Any) -> Values:
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


def triangular_solve(a: Any, b: Any, *, lower: bool, transpose: bool, unit: bool) -> Values:
    if b.size == 0:
        return (b.copy(),)
    trans = 1 if transpose else 0
    x = scipy.linalg.solve_triangular(a, b, lower=lower, trans=trans, unit_diagonal=unit, check_finite=False)
    return (x,)


def qr(a: Any) -> Values:
    """A matrix with orthonormal columns times an upper triangle, with the signs that Householder's method gives."""
    if a.shape[1] == 0:
        return a.copy(), np.zeros((0, 0), a.dtype)
    q, r = np.linalg.qr(a.real)
    if np.iscomplexobj(a):  # a' a = r' r
        sign = np.where(np.diagonal(r) < 0, -1.0, 1.0)
        r = sign[:, None] * cholesky(a.T @ a)[0].T
        q = scipy.linalg.solve_triangular(r, a.T, trans=1, check_finite=False).T
    return q, r


def eigh(a: Any) -> Values:
    """Eigenvalues in ascending order, and eigenvectors as rows, of the matrix whose lower triangle is a's."""
    whole = np.tril(a) + np.tril(a, -1).T
    w, v = np.linalg.eigh(whole.real)
    if not np.iscomplexobj(a):
        return w, np.ascontiguousarray(v.T)
    change = v.T @ whole.imag @ v
    return w + 1j * np.diagonal(change), (v + 1j * v @ (change * _reciprocals(np.subtract.outer(w, w).T))).T


def svd(a: Any) -> Values:
    """u, s, v' of a matrix with no more columns than rows."""
    m, n = a.shape
    if n == 0:
        return a.copy(), np.zeros(0, a.dtype), np.zeros((0, 0), a.dtype)
    analytic = np.iscomplexobj(a)
    u, s, vt = np.linalg.svd(a.real, full_matrices=analytic)
    if not analytic:
        return u, s, vt
    # the eigenvectors of [0 a'; a 0] are (v, u) for s, (v, -u) for -s and (0, u) for 0
    half = np.sqrt(0.5)
    pairs = [half * np.hstack([vt, sign * u.T[:n]]) for sign in (1, -1)]
    basis = np.vstack([*pairs, np.hstack([np.zeros((m - n, n)), u.T[n:]])])
    change = np.zeros((n + m, n + m))
    change[:n, n:], change[n:, :n] = a.imag.T, a.imag
    inner = basis @ change @ basis.T
    values = np.concatenate([s, -s, np.zeros(m - n)])
    moved = (inner * _reciprocals(np.subtract.outer(values, values)))[:n] @ basis / half
    return u[:, :n] + 1j * moved[:, n:].T, s + 1j * np.diagonal(inner)[:n], vt + 1j * moved[:, :n]


def pseudoinverse(a: Any, u: Any, s: Any, vt: Any) -> Values:
    """The pseudoinverse of a, whose singular values are s, where those that count as zero are zero."""
    inverse = (vt.T.real * _reciprocals(s.real)) @ u.T.real
    if not np.iscomplexobj(a):
        return (np.ascontiguousarray(inverse),)
    e, p = a.imag.T, inverse
    column, row = e - (e @ a.real) @ p, e - p @ (a.real @ e)
    return (p + 1j * (-p @ a.imag @ p + p @ (p.T @ column) + row @ p.T @ p),)


def gaps(w: Any, *, message: str) -> Values:
    """1 / (w[j] - w[i]), 0 on the diagonal."""
    apart = w[None, :] - w[:, None]
    limit = len(w) * np.finfo(w.real.dtype).eps * np.max(np.abs(w), initial=0.0)
    if np.count_nonzero(np.abs(apart.real) <= limit) > len(w):
        raise np.linalg.LinAlgError(message)
    return (_reciprocals(apart),)


def _reciprocals(x: Any) -> Any:
    """1 / x, and 0 for 0."""
    return np.divide(1.0, x, out=np.zeros_like(x), where=x != 0)

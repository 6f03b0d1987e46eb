"""Linear algebra as plain programs: textbook loops on NumPy arrays, staged and differentiated like a user's own.

P a = L U     Gaussian elimination with partial pivoting
a = L Lᵀ      Cholesky, from the lower triangle
"""

from __future__ import annotations

from typing import Any

import numpy as np


def eliminated(a: Any) -> Any:
    """L (below the diagonal, ones on it) and U in one matrix, the order of the rows, and its sign."""
    n = a.shape[0]
    m = a.copy()
    order = np.arange(n)
    sign = 1.0
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(m[i, k]) > abs(m[p, k]):
                p = i
        if p != k:
            sign = -sign
            order[k], order[p] = order[p], order[k]
            for j in range(n):
                m[k, j], m[p, j] = m[p, j], m[k, j]
        if m[k, k] != 0:
            for i in range(k + 1, n):
                m[i, k] = m[i, k] / m[k, k]
                for j in range(k + 1, n):
                    m[i, j] -= m[i, k] * m[k, j]
    return m, order, sign


def solve(a: Any, b: Any) -> Any:
    """x with a x = b for the columns of b."""
    m, order, _ = eliminated(a)
    n, columns = b.shape
    for k in range(n):
        if m[k, k] == 0:
            raise np.linalg.LinAlgError("Singular matrix")
    x = np.zeros((n, columns), dtype=b.dtype)
    for c in range(columns):
        for i in range(n):
            x[i, c] = b[order[i], c] - sum(m[i, k] * x[k, c] for k in range(i))
        for i in range(n - 1, -1, -1):
            x[i, c] = (x[i, c] - sum(m[i, k] * x[k, c] for k in range(i + 1, n))) / m[i, i]
    return x


def det(a: Any) -> Any:
    m, _, sign = eliminated(a)
    return sign * np.prod(np.diagonal(m))


def slogdet(a: Any) -> Any:
    m, _, sign = eliminated(a)
    pivots = np.diagonal(m)
    return sign * np.prod(np.sign(pivots)), np.sum(np.log(np.abs(pivots)))


def cholesky(a: Any) -> Any:
    """The lower factor."""
    n = a.shape[0]
    factor = np.zeros((n, n), dtype=a.dtype)
    for j in range(n):
        pivot = a[j, j] - sum(factor[j, k] * factor[j, k] for k in range(j))
        if not pivot > 0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        factor[j, j] = np.sqrt(pivot)
        for i in range(j + 1, n):
            factor[i, j] = (a[i, j] - sum(factor[i, k] * factor[j, k] for k in range(j))) / factor[j, j]
    return factor

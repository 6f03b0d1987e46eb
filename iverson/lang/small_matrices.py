"""Linear algebra of matrices with at most four rows, written out in scalars: no call, no loop, no array in between.

solve, inverse    Gaussian elimination with partial pivoting
determinant       products of 2 x 2 minors, a polynomial: it has derivatives of every order, at singular matrices too
cholesky          the textbook formulas
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from iverson.lang.num import Num, cast, constant, select, ufunc
from iverson.lang.numpy_support import require
from iverson.lang.shapes import Extent
from iverson.lang.values import Arr, lift_array

LARGEST = 4

Rows: TypeAlias = list[list[Num]]


def is_small(*lengths: Extent) -> bool:
    """Are lengths known, and small?"""
    return all(isinstance(n, int) and 0 < n <= LARGEST for n in lengths)


def rows_of(x: Arr) -> Rows:
    n, m = x.shape
    assert isinstance(n, int) and isinstance(m, int)
    return [[x.read((i, j)) for j in range(m)] for i in range(n)]


def array_of(rows: Sequence[Sequence[Any]]) -> Arr:
    return lift_array([list(row) for row in rows])


def eliminated(rows: Rows, singular: bool = False) -> tuple[Rows, Num]:
    """The rows [a b] with zeros below a's diagonal, and the sign of the order that they are in.

    Where a may be `singular`, a pivot of zero, below which all are zero, is passed over; else it makes NaNs.
    """
    n = len(rows)
    rows = [list(row) for row in rows]
    sign = cast(constant(1.0), rows[0][0].dtype)
    for k in range(n):
        for i in range(k + 1, n):  # the largest comes up
            larger = constant(ufunc(np.greater, ufunc(np.absolute, rows[i][k]), ufunc(np.absolute, rows[k][k])))
            above, below = rows[k], rows[i]
            rows[k] = [*above[:k], *(select(larger, q, p) for p, q in zip(above[k:], below[k:], strict=True))]
            rows[i] = [*below[:k], *(select(larger, p, q) for p, q in zip(above[k:], below[k:], strict=True))]
            sign = select(larger, -sign, sign)
        pivot = rows[k][k]
        if singular:
            pivot = select(constant(ufunc(np.equal, pivot, 0.0)), cast(constant(1.0), pivot.dtype), pivot)
        for i in range(k + 1, n):
            factor = rows[i][k] / pivot
            rows[i] = [
                *rows[i][: k + 1],
                *(q - factor * p for p, q in zip(rows[k][k + 1 :], rows[i][k + 1 :], strict=True)),
            ]
    return rows, sign


def solved(rows: Rows) -> Rows:
    """x of a x = b, from the rows [a b]; LinAlgError where a is singular."""
    n = len(rows)
    rows, _ = eliminated(rows)
    regular = [ufunc(np.not_equal, rows[k][k], 0.0) for k in range(n)]
    require(reduce(_both, regular), "Singular matrix", np.linalg.LinAlgError)
    x: Rows = [[] for _ in range(n)]
    for i in reversed(range(n)):
        for c in range(len(rows[0]) - n):
            value = rows[i][n + c]
            for k in range(i + 1, n):
                value = value - rows[i][k] * x[k][c]
            x[i].append(value / rows[i][i])
    return x


def solve(a: Arr, b: Arr) -> Arr:
    """a x = b for a matrix b."""
    right = rows_of(b)
    return array_of(solved([p + q for p, q in zip(rows_of(a), right, strict=True)]))


def triangular_solve(a: Arr, b: Arr, lower: bool, transpose: bool, unit: bool) -> Arr:
    """a x = b, or a' x = b, reading one triangle of a."""
    rows = rows_of(a)
    n = len(rows)
    if transpose:
        rows, lower = [list(column) for column in zip(*rows, strict=True)], not lower
    if not unit:
        regular = [ufunc(np.not_equal, rows[k][k], 0.0) for k in range(n)]
        require(reduce(_both, regular), "singular matrix", np.linalg.LinAlgError)
    x: Rows = [[] for _ in range(n)]
    for i in range(n) if lower else reversed(range(n)):
        known = range(i) if lower else range(i + 1, n)
        for c, value in enumerate(rows_of(b)[i] if b.ndim == 2 else [b.read((i,))]):
            for k in known:
                value = value - rows[i][k] * x[k][c]
            x[i].append(value if unit else value / rows[i][i])
    return array_of(x) if b.ndim == 2 else array_of(x)[:, 0]


def _both(p: Any, q: Any) -> Any:
    return ufunc(np.logical_and, p, q)


def inverse(a: Arr) -> Arr:
    rows = rows_of(a)
    one, zero = (cast(constant(v), a.dtype) for v in (1.0, 0.0))
    n = len(rows)
    if n == 2:  # the adjugate
        (p, q), (r, s) = rows
        d = p * s - q * r
        require(ufunc(np.not_equal, d, 0.0), "Singular matrix", np.linalg.LinAlgError)
        return array_of([[s / d, -q / d], [-r / d, p / d]])
    return array_of(solved([row + [one if i == j else zero for j in range(n)] for i, row in enumerate(rows)]))


def determinant(a: Arr) -> Num:
    rows = rows_of(a)

    def minor(i: int, j: int, p: int, q: int) -> Any:
        return rows[i][p] * rows[j][q] - rows[i][q] * rows[j][p]

    match len(rows):
        case 1:
            return rows[0][0]
        case 2:
            return minor(0, 1, 0, 1)
        case 3:
            return rows[0][0] * minor(1, 2, 1, 2) - rows[0][1] * minor(1, 2, 0, 2) + rows[0][2] * minor(1, 2, 0, 1)
    pairs = [(0, 1, 2, 3, 1), (0, 2, 1, 3, -1), (0, 3, 1, 2, 1), (1, 2, 0, 3, 1), (1, 3, 0, 2, -1), (2, 3, 0, 1, 1)]
    terms = [minor(0, 1, p, q) * minor(2, 3, r, s) * sign for p, q, r, s, sign in pairs]
    total: Num = reduce(lambda x, y: x + y, terms)
    return total


def log_determinant(a: Arr) -> tuple[Any, Any]:
    """The sign of the determinant, and the logarithm of its magnitude."""
    rows, sign = eliminated(rows_of(a), singular=True)
    pivots = [rows[k][k] for k in range(len(rows))]
    signs = [ufunc(np.sign, p) for p in pivots]
    logs = [ufunc(np.log, ufunc(np.absolute, p)) for p in pivots]
    return reduce(lambda p, q: p * q, signs, sign), reduce(lambda p, q: p + q, logs)


def cholesky(a: Arr) -> Arr:
    rows = rows_of(a)
    n = len(rows)
    zero = cast(constant(0.0), a.dtype)
    factor: Rows = [[zero] * n for _ in range(n)]
    for j in range(n):
        pivot = rows[j][j]
        for k in range(j):
            pivot = pivot - factor[j][k] * factor[j][k]
        require(ufunc(np.greater, pivot, 0.0), "Matrix is not positive definite", np.linalg.LinAlgError)
        factor[j][j] = ufunc(np.sqrt, pivot)
        for i in range(j + 1, n):
            value = rows[i][j]
            for k in range(j):
                value = value - factor[i][k] * factor[j][k]
            factor[i][j] = value / factor[j][j]
    return array_of(factor)

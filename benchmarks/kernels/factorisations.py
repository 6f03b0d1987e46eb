"""Cholesky, LU, LU with solve, triangular solve: in place, row by row.

The adjoints need no record: a factor overwrites what no derivative asks for.  Cholesky's is the unblocked one of
Murray, "Differentiation of the Cholesky decomposition" (2016), by rows; the others follow the same pattern.
"""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, weights


def dominant(n):
    a = normal(n, n)
    return a @ a.T + n * np.eye(n)


def cholesky(A, w):
    A = A.copy()
    N = A.shape[0]
    A[0, 0] = np.sqrt(A[0, 0])
    for i in range(1, N):
        for j in range(i):
            A[i, j] -= np.dot(A[i, :j], A[j, :j])
            A[i, j] /= A[j, j]
        A[i, i] -= np.dot(A[i, :i], A[i, :i])
        A[i, i] = np.sqrt(A[i, i])
    return np.sum(w * A)


@hand
def cholesky_in_place(A):
    for i in range(len(A)):
        for j in range(i):
            s = A[i, j]
            for k in range(j):
                s -= A[i, k] * A[j, k]
            A[i, j] = s / A[j, j]
        s = A[i, i]
        for k in range(i):
            s -= A[i, k] * A[i, k]
        A[i, i] = np.sqrt(s)


@hand
def weighted(w, A):
    total = 0.0
    for i in range(len(A)):
        for j in range(A.shape[1]):
            total += w[i, j] * A[i, j]
    return total


@hand
def cholesky_primal(A, w):
    A = A.copy()
    cholesky_in_place(A)
    return weighted(w, A)


@hand
def cholesky_adjoint(A, w):
    L = A.copy()
    cholesky_in_place(L)
    value = weighted(w, L)
    B = w.copy()
    for i in range(len(L) - 1, -1, -1):
        B[i, i] /= 2.0 * L[i, i]
        g = 2.0 * B[i, i]
        for k in range(i):
            B[i, k] -= g * L[i, k]
        for j in range(i - 1, -1, -1):
            g = B[i, j] / L[j, j]
            B[i, j] = g
            B[j, j] -= g * L[i, j]
            for k in range(j):
                B[i, k] -= g * L[j, k]
                B[j, k] -= g * L[i, k]
    return value, B


def cholesky_jax(A, w):
    n = len(A)
    k = jnp.arange(n)

    def column(i, j, A):
        s = A[i, j] - jnp.dot(jnp.where(k < j, A[i], 0.0), jnp.where(k < j, A[j], 0.0))
        return A.at[i, j].set(s / A[j, j])

    def row(i, A):  # reverse mode wants bounds that are known: turns beyond the diagonal do nothing
        A = lax.fori_loop(0, n, lambda j, A: lax.cond(j < i, lambda A: column(i, j, A), lambda A: A, A), A)
        below = jnp.where(k < i, A[i], 0.0)
        return A.at[i, i].set(jnp.sqrt(A[i, i] - jnp.dot(below, below)))

    A = lax.fori_loop(0, n, row, A)
    return jnp.sum(w * A)


def lu(A, w):
    A = A.copy()
    N = A.shape[0]
    for i in range(N):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, N):
            A[i, j] -= A[i, :i] @ A[:i, j]
    return np.sum(w * A)


@hand
def lu_in_place(A):
    n = len(A)
    for i in range(n):
        for k in range(i):
            f = A[i, k] / A[k, k]
            A[i, k] = f
            for j in range(k + 1, n):
                A[i, j] -= f * A[k, j]


@hand
def lu_backwards(A, B):
    """The adjoint of `lu_in_place`: A are its factors, B their adjoint, which becomes the matrix's."""
    n = len(A)
    for i in range(n - 1, -1, -1):
        for k in range(i - 1, -1, -1):
            f, g = A[i, k], B[i, k]
            for j in range(k + 1, n):
                g -= B[i, j] * A[k, j]
                B[k, j] -= f * B[i, j]
            g /= A[k, k]
            B[i, k] = g
            B[k, k] -= g * f


@hand
def lu_primal(A, w):
    A = A.copy()
    lu_in_place(A)
    return weighted(w, A)


@hand
def lu_adjoint(A, w):
    A = A.copy()
    lu_in_place(A)
    value = weighted(w, A)
    B = w.copy()
    lu_backwards(A, B)
    return value, B


def lu_factors_jax(A):
    n = len(A)
    k = jnp.arange(n)

    def row(i, A):
        def column(j, A):
            s = A[i, j] - jnp.dot(jnp.where(k < jnp.minimum(i, j), A[i], 0.0), A[:, j])
            return A.at[i, j].set(jnp.where(j < i, s / A[j, j], s))

        return lax.fori_loop(0, n, column, A)

    return lax.fori_loop(0, n, row, A)


def lu_jax(A, w):
    return jnp.sum(w * lu_factors_jax(A))


def ludcmp(A, b, w):
    A = A.copy()
    n = len(b)
    x = np.zeros_like(b)
    y = np.zeros_like(b)
    for i in range(n):
        for j in range(i):
            A[i, j] = (A[i, j] - A[i, :j] @ A[:j, j]) / A[j, j]
        for j in range(i, n):
            A[i, j] -= A[i, :i] @ A[:i, j]
    for i in range(n):
        y[i] = b[i] - A[i, :i] @ y[:i]
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
    return np.sum(w * x)


@hand
def solve_in_place(A, y, x):
    """x from A's factors; y holds the right-hand side and becomes L⁻¹ times it."""
    n = len(y)
    for i in range(n):
        s = y[i]
        for k in range(i):
            s -= A[i, k] * y[k]
        y[i] = s
    for i in range(n - 1, -1, -1):
        s = y[i]
        for k in range(i + 1, n):
            s -= A[i, k] * x[k]
        x[i] = s / A[i, i]


@hand
def ludcmp_primal(A, b, w):
    A = A.copy()
    lu_in_place(A)
    y, x = b.copy(), np.zeros(len(b))
    solve_in_place(A, y, x)
    return np.sum(w * x)


@hand
def ludcmp_adjoint(A, b, w):
    n = len(b)
    A = A.copy()
    lu_in_place(A)
    y, x = b.copy(), np.zeros(n)
    solve_in_place(A, y, x)
    value = np.sum(w * x)
    B, xb, yb = np.zeros((n, n)), w.copy(), np.zeros(n)
    for i in range(n):
        g = xb[i] / A[i, i]
        yb[i] = g
        B[i, i] -= g * x[i]
        for k in range(i + 1, n):
            B[i, k] -= g * x[k]
            xb[k] -= g * A[i, k]
    for i in range(n - 1, -1, -1):
        g = yb[i]
        for k in range(i):
            B[i, k] -= g * y[k]
            yb[k] -= g * A[i, k]
    lu_backwards(A, B)
    return value, B


def ludcmp_jax(A, b, w):
    A = lu_factors_jax(A)
    n = len(b)
    k = jnp.arange(n)
    y = lax.fori_loop(0, n, lambda i, y: y.at[i].set(b[i] - jnp.dot(jnp.where(k < i, A[i], 0.0), y)), jnp.zeros(n))

    def back(t, x):
        i = n - 1 - t
        return x.at[i].set((y[i] - jnp.dot(jnp.where(k > i, A[i], 0.0), x)) / A[i, i])

    return jnp.sum(w * lax.fori_loop(0, n, back, jnp.zeros(n)))


def trisolv(L, b, w):
    x = np.zeros_like(b)
    for i in range(x.shape[0]):
        x[i] = (b[i] - L[i, :i] @ x[:i]) / L[i, i]
    return np.sum(w * x)


@hand
def trisolv_primal(L, b, w):
    n = len(b)
    x = np.zeros(n)
    for i in range(n):
        s = b[i]
        for k in range(i):
            s -= L[i, k] * x[k]
        x[i] = s / L[i, i]
    return np.sum(w * x)


@hand
def trisolv_adjoint(L, b, w):
    n = len(b)
    x = np.zeros(n)
    for i in range(n):
        s = b[i]
        for k in range(i):
            s -= L[i, k] * x[k]
        x[i] = s / L[i, i]
    value = np.sum(w * x)
    B, xb = np.zeros((n, n)), w.copy()
    for i in range(n - 1, -1, -1):
        g = xb[i] / L[i, i]
        B[i, i] = -g * x[i]
        for k in range(i):
            B[i, k] = -g * x[k]
            xb[k] -= g * L[i, k]
    return value, B


def trisolv_jax(L, b, w):
    n = len(b)
    k = jnp.arange(n)

    def row(i, x):
        return x.at[i].set((b[i] - jnp.dot(jnp.where(k < i, L[i], 0.0), x)) / L[i, i])

    return jnp.sum(w * lax.fori_loop(0, n, row, jnp.zeros(n)))


kernel(
    "cholesky",
    "loops",
    cholesky,
    cholesky_primal,
    cholesky_adjoint,
    cholesky_jax,
    args=lambda n: (dominant(n), weights(n, n)),
    size=200,
)
kernel("lu", "loops", lu, lu_primal, lu_adjoint, lu_jax, args=lambda n: (dominant(n), weights(n, n)), size=150)
kernel(
    "ludcmp",
    "loops",
    ludcmp,
    ludcmp_primal,
    ludcmp_adjoint,
    ludcmp_jax,
    args=lambda n: (dominant(n), normal(n), weights(n)),
    size=150,
)
kernel(
    "trisolv",
    "loops",
    trisolv,
    trisolv_primal,
    trisolv_adjoint,
    trisolv_jax,
    args=lambda n: (normal(n, n) / (n + 1) + 2 * np.eye(n), normal(n), weights(n)),
    size=1000,
)

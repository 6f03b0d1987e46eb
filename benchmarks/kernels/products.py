"""Triangular and symmetric matrix products, as loops of slices."""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, weights


def trmm(A, B, w, alpha):
    B = B.copy()
    for i in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[i, j] += np.dot(A[i + 1 :, i], B[i + 1 :, j])
    B *= alpha
    return np.sum(w * B)


@hand
def trmm_primal(A, B, w, alpha):
    m, n = B.shape
    B = B.copy()
    for i in range(m):
        for k in range(i + 1, m):
            f = A[k, i]
            for j in range(n):
                B[i, j] += f * B[k, j]
    total = 0.0
    for i in range(m):
        for j in range(n):
            total += w[i, j] * (alpha * B[i, j])
    return total


@hand
def trmm_adjoint(A, B, w, alpha):
    """In A: the rows below are as they were, since row i changes in turn i only."""
    m, n = B.shape
    value = trmm_primal(A, B, w, alpha)
    G = np.zeros(A.shape)
    for i in range(m):
        for k in range(i + 1, m):
            s = 0.0
            for j in range(n):
                s += w[i, j] * B[k, j]
            G[k, i] = alpha * s
    return value, G


def trmm_jax(A, B, w, alpha):
    k = jnp.arange(len(B))

    def row(i, B):
        below = jnp.where(k > i, A[:, i], 0.0)
        return lax.fori_loop(0, B.shape[1], lambda j, B: B.at[i, j].add(jnp.dot(below, B[:, j])), B)

    return jnp.sum(w * (alpha * lax.fori_loop(0, len(B), row, B)))


def symm(A, B, C, w, alpha, beta):
    C = C * beta
    temp2 = np.empty((C.shape[1],), dtype=C.dtype)
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[:i, j] += alpha * B[i, j] * A[i, :i]
            temp2[j] = B[:i, j] @ A[i, :i]
        C[i, :] += alpha * B[i, :] * A[i, i] + alpha * temp2
    return np.sum(w * C)


@hand
def symm_primal(A, B, C, w, alpha, beta):
    m, n = C.shape
    C = C * beta
    for i in range(m):
        for k in range(i):
            f = alpha * A[i, k]
            for j in range(n):
                C[k, j] += f * B[i, j]
                C[i, j] += f * B[k, j]
        f = alpha * A[i, i]
        for j in range(n):
            C[i, j] += f * B[i, j]
    return np.sum(w * C)


@hand
def symm_adjoint(A, B, C, w, alpha, beta):
    m, n = C.shape
    value = symm_primal(A, B, C, w, alpha, beta)
    G = np.zeros(A.shape)
    for i in range(m):
        for k in range(i):
            s = 0.0
            for j in range(n):
                s += w[k, j] * B[i, j] + w[i, j] * B[k, j]
            G[i, k] = alpha * s
        s = 0.0
        for j in range(n):
            s += w[i, j] * B[i, j]
        G[i, i] = alpha * s
    return value, G


def symm_jax(A, B, C, w, alpha, beta):
    m, n = C.shape
    k = jnp.arange(m)

    def row(i, C):
        left = jnp.where(k < i, A[i], 0.0)

        def column(j, state):
            C, temp = state
            return C.at[:, j].add(alpha * B[i, j] * left), temp.at[j].set(jnp.dot(B[:, j], left))

        C, temp = lax.fori_loop(0, n, column, (C, jnp.zeros(n)))
        return C.at[i].add(alpha * B[i] * A[i, i] + alpha * temp)

    return jnp.sum(w * lax.fori_loop(0, m, row, C * beta))


kernel(
    "trmm",
    "loops",
    trmm,
    trmm_primal,
    trmm_adjoint,
    trmm_jax,
    args=lambda n: (normal(n, n), normal(n, n + 20), weights(n, n + 20), 1.5),
    size=120,
    static=(3,),
)
kernel(
    "symm",
    "loops",
    symm,
    symm_primal,
    symm_adjoint,
    symm_jax,
    args=lambda n: (normal(n, n), normal(n, n + 20), normal(n, n + 20), weights(n, n + 20), 1.5, 1.2),
    size=120,
    static=(4, 5),
)

"""Gram-Schmidt, Durbin, Floyd-Warshall, Nussinov: what a turn leaves decides on the next."""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, rng, weights


def gramschmidt(A, w, v):
    A = A.copy()
    Q = np.zeros_like(A)
    R = np.zeros((A.shape[1], A.shape[1]), dtype=A.dtype)
    for k in range(A.shape[1]):
        nrm = np.dot(A[:, k], A[:, k])
        R[k, k] = np.sqrt(nrm)
        Q[:, k] = A[:, k] / R[k, k]
        for j in range(k + 1, A.shape[1]):
            R[k, j] = np.dot(Q[:, k], A[:, j])
            A[:, j] -= Q[:, k] * R[k, j]
    return np.sum(w * Q) + np.sum(v * R)


@hand
def gramschmidt_factors(A, Q, R):
    m, n = A.shape
    for k in range(n):
        s = 0.0
        for i in range(m):
            s += A[i, k] * A[i, k]
        R[k, k] = np.sqrt(s)
        for i in range(m):
            q = A[i, k] / R[k, k]
            Q[i, k] = q
            for j in range(k + 1, n):
                R[k, j] += q * A[i, j]
        for i in range(m):
            q = Q[i, k]
            for j in range(k + 1, n):
                A[i, j] -= q * R[k, j]


@hand
def gramschmidt_primal(A, w, v):
    A, Q, R = A.copy(), np.zeros(A.shape), np.zeros((A.shape[1], A.shape[1]))
    gramschmidt_factors(A, Q, R)
    return np.sum(w * Q) + np.sum(v * R)


@hand
def gramschmidt_adjoint(A, w, v):
    m, n = A.shape
    A, Q, R = A.copy(), np.zeros(A.shape), np.zeros((n, n))
    gramschmidt_factors(A, Q, R)
    value = np.sum(w * Q) + np.sum(v * R)
    # column k of A is finished when it is normalised; A[:, j] of turn k is A + Q[:, k] R[k, j] of the next: undone
    B, Qb, Rb = np.zeros((m, n)), w.copy(), v.copy()
    for k in range(n - 1, -1, -1):
        for i in range(m):
            q = Q[i, k]
            for j in range(k + 1, n):
                Rb[k, j] -= q * B[i, j]
                A[i, j] += q * R[k, j]
        s = 0.0
        for i in range(m):
            g, q = Qb[i, k], Q[i, k]
            for j in range(k + 1, n):
                g += Rb[k, j] * A[i, j] - R[k, j] * B[i, j]
                B[i, j] += q * Rb[k, j]
            Qb[i, k] = g
            s += g * q
        d = (Rb[k, k] - s / R[k, k]) / R[k, k]
        for i in range(m):
            B[i, k] = Qb[i, k] / R[k, k] + d * A[i, k]
    return value, B


def gramschmidt_jax(A, w, v):
    m, n = A.shape

    def column(k, state):
        A, Q, R = state
        R = R.at[k, k].set(jnp.sqrt(jnp.dot(A[:, k], A[:, k])))
        Q = Q.at[:, k].set(A[:, k] / R[k, k])

        def rest(j, state):
            A, R = state
            r = jnp.dot(Q[:, k], A[:, j])
            later = j > k
            R = R.at[k, j].set(jnp.where(later, r, R[k, j]))
            return A.at[:, j].add(jnp.where(later, -Q[:, k] * r, 0.0)), R

        A, R = lax.fori_loop(0, n, rest, (A, R))
        return A, Q, R

    A, Q, R = lax.fori_loop(0, n, column, (A, jnp.zeros((m, n)), jnp.zeros((n, n))))
    return jnp.sum(w * Q) + jnp.sum(v * R)


def durbin(r, w):
    y = np.empty_like(r)
    alpha = -r[0]
    beta = 1.0
    y[0] = -r[0]
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return np.sum(w * y)


@hand
def durbin_primal(r, w):
    n = len(r)
    y, z = np.empty(n), np.empty(n)
    alpha, beta = -r[0], 1.0
    y[0] = alpha
    for k in range(1, n):
        beta *= 1.0 - alpha * alpha
        s = r[k]
        for i in range(k):
            s += r[k - 1 - i] * y[i]
        alpha = -s / beta
        for i in range(k):
            z[i] = y[i] + alpha * y[k - 1 - i]
        for i in range(k):
            y[i] = z[i]
        y[k] = alpha
    return np.sum(w * y)


@hand
def durbin_adjoint(r, w):
    n = len(r)
    Y, betas = np.empty(n * (n + 1) // 2), np.empty(n)  # y as each turn leaves it: k + 1 numbers
    Y[0], betas[0] = -r[0], 1.0
    alpha = -r[0]
    for k in range(1, n):
        old, new = Y[k * (k - 1) // 2 :], Y[k * (k + 1) // 2 :]
        betas[k] = betas[k - 1] * (1.0 - alpha * alpha)
        s = r[k]
        for i in range(k):
            s += r[k - 1 - i] * old[i]
        alpha = -s / betas[k]
        for i in range(k):
            new[i] = old[i] + alpha * old[k - 1 - i]
        new[k] = alpha
    value = np.sum(w * Y[n * (n - 1) // 2 :])
    rb, yb, z = np.zeros(n), w.copy(), np.empty(n)
    ab, bb = 0.0, 0.0
    for k in range(n - 1, 0, -1):
        old = Y[k * (k - 1) // 2 :]
        alpha, before = Y[k * (k + 1) // 2 + k], old[k - 1]
        ab += yb[k]
        for i in range(k):
            ab += yb[i] * old[k - 1 - i]
        sb = -ab / betas[k]
        bb += ab * -alpha / betas[k]
        rb[k] += sb
        for i in range(k):
            z[i] = yb[i] + alpha * yb[k - 1 - i] + sb * r[k - 1 - i]
            rb[k - 1 - i] += sb * old[i]
        for i in range(k):
            yb[i] = z[i]
        ab = bb * betas[k - 1] * -2.0 * before
        bb *= 1.0 - before * before
    rb[0] -= ab + yb[0]
    return value, rb


def durbin_jax(r, w):
    n = len(r)
    i = jnp.arange(n)

    def turn(k, state):
        y, alpha, beta = state
        beta = beta * (1.0 - alpha * alpha)
        back = jnp.where(i < k, jnp.take(r, k - 1 - i, mode="clip"), 0.0)
        alpha = -(r[k] + jnp.dot(back, y)) / beta
        y = y + jnp.where(i < k, alpha * jnp.take(y, k - 1 - i, mode="clip"), 0.0)
        return y.at[k].set(alpha), alpha, beta

    y, _, _ = lax.fori_loop(1, n, turn, (jnp.zeros(n).at[0].set(-r[0]), -r[0], 1.0))
    return jnp.sum(w * y)


def floyd_warshall(path, w):
    path = path.copy()
    for k in range(path.shape[0]):
        path[:] = np.minimum(path[:], np.add.outer(path[:, k], path[k, :]))
    return np.sum(w * path)


@hand
def floyd_warshall_primal(path, w):
    n = len(path)
    path = path.copy()
    for k in range(n):
        for i in range(n):
            d = path[i, k]
            for j in range(n):
                path[i, j] = min(path[i, j], d + path[k, j])
    return np.sum(w * path)


@hand
def floyd_warshall_adjoint(path, w):
    """Distances are positive: turn k leaves row and column k alone, and a bit an element says which side was less."""
    n = len(path)
    path = path.copy()
    through = np.empty((n, n, n), np.bool_)
    for k in range(n):
        for i in range(n):
            d = path[i, k]
            for j in range(n):
                new = d + path[k, j]
                through[k, i, j] = new < path[i, j]
                path[i, j] = min(path[i, j], new)
    value = np.sum(w * path)
    B = w.copy()
    for k in range(n - 1, -1, -1):
        for i in range(n):
            s = 0.0
            for j in range(n):
                g = B[i, j] if through[k, i, j] else 0.0
                s += g
                B[k, j] += g
                B[i, j] -= g
            B[i, k] += s
    return value, B


def floyd_warshall_jax(path, w):
    def turn(k, path):
        return jnp.minimum(path, path[:, k][:, None] + path[k, :][None, :])

    return jnp.sum(w * lax.fori_loop(0, len(path), turn, path))


def nussinov(score, w):
    N = score.shape[0]
    table = np.zeros((N, N))
    for i in range(N - 1, -1, -1):
        for j in range(i + 1, N):
            table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < N:
                table[i, j] = max(table[i, j], table[i + 1, j])
                if i < j - 1:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1] + score[i, j])
                else:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1])
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return np.sum(w * table)


@hand
def nussinov_primal(score, w):
    n = len(score)
    table = np.zeros((n, n))
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            best = max(0.0, table[i, j - 1])
            if i + 1 < n:
                best = max(best, table[i + 1, j])
                best = max(best, table[i + 1, j - 1] + (score[i, j] if i < j - 1 else 0.0))
            for k in range(i + 1, j):
                best = max(best, table[i, k] + table[k + 1, j])
            table[i, j] = best
    return np.sum(w * table)


@hand
def nussinov_adjoint(score, w):
    """A number an element says where its maximum came from: -1 nowhere, k a split, n and more the neighbours."""
    n = len(score)
    table, source = np.zeros((n, n)), np.full((n, n), -1, np.int64)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            best, at = 0.0, -1
            if table[i, j - 1] > best:
                best, at = table[i, j - 1], n
            if i + 1 < n:
                if table[i + 1, j] > best:
                    best, at = table[i + 1, j], n + 1
                new = table[i + 1, j - 1] + (score[i, j] if i < j - 1 else 0.0)
                if new > best:
                    best, at = new, n + 2
            for k in range(i + 1, j):
                new = table[i, k] + table[k + 1, j]
                if new > best:
                    best, at = new, k
            table[i, j] = best
            source[i, j] = at
    value = np.sum(w * table)
    B, S = w.copy(), np.zeros((n, n))
    for i in range(n):
        for j in range(n - 1, i, -1):
            g, at = B[i, j], source[i, j]
            if at == n:
                B[i, j - 1] += g
            elif at == n + 1:
                B[i + 1, j] += g
            elif at == n + 2:
                B[i + 1, j - 1] += g
                if i < j - 1:
                    S[i, j] += g
            elif at >= 0:
                B[i, at] += g
                B[at + 1, j] += g
    return value, S


def nussinov_jax(score, w):
    n = len(score)
    k = jnp.arange(n)

    def row(t, table):
        i = n - 1 - t

        def column(j, table):
            best = jnp.maximum(table[i, j], table[i, j - 1])
            below = jnp.maximum(table[i + 1, j], table[i + 1, j - 1] + jnp.where(i < j - 1, score[i, j], 0.0))
            best = jnp.maximum(best, jnp.where(i + 1 < n, below, 0.0))
            split = jnp.where((k > i) & (k < j), table[i] + jnp.roll(table[:, j], -1), 0.0)
            best = jnp.maximum(best, jnp.max(split))
            return table.at[i, j].set(jnp.where(j > i, best, table[i, j]))

        return lax.fori_loop(1, n, column, table)

    return jnp.sum(w * lax.fori_loop(0, n, row, jnp.zeros((n, n))))


kernel(
    "gramschmidt",
    "loops",
    gramschmidt,
    gramschmidt_primal,
    gramschmidt_adjoint,
    gramschmidt_jax,
    args=lambda n: (normal(n + 20, n), weights(n + 20, n), weights(n, n)),
    size=100,
)
kernel(
    "durbin",
    "loops",
    durbin,
    durbin_primal,
    durbin_adjoint,
    durbin_jax,
    args=lambda n: (rng().uniform(-0.5, 0.5, size=n) / (n + 1), weights(n)),
    size=1000,
)
kernel(
    "floyd_warshall",
    "loops",
    floyd_warshall,
    floyd_warshall_primal,
    floyd_warshall_adjoint,
    floyd_warshall_jax,
    args=lambda n: (rng().uniform(0.1, 1.0, size=(n, n)), weights(n, n)),
    size=120,
)
kernel(
    "nussinov",
    "loops",
    nussinov,
    nussinov_primal,
    nussinov_adjoint,
    nussinov_jax,
    args=lambda n: (rng().normal(size=(n, n)), weights(n, n)),
    size=120,
)

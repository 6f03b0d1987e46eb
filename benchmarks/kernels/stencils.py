"""Jacobi in one and two dimensions, heat in three, FDTD, advection: slice statements, turn by turn.

The adjoints by hand gather: an adjoint of the inner points has a rim of zeros, what goes to the rim is kept apart.
"""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, rng, weights


def jacobi_1d(A, w, steps):
    A = A.copy()
    B = A.copy()
    for _ in range(steps):
        B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
        A[1:-1] = 0.33333 * (B[:-2] + B[1:-1] + B[2:])
    return np.sum(w * A)


@hand
def jacobi_1d_primal(A, w, steps):
    A = A.copy()
    B = A.copy()
    n = len(A)
    for _ in range(steps):
        for i in range(1, n - 1):
            B[i] = 0.33333 * (A[i - 1] + A[i] + A[i + 1])
        for i in range(1, n - 1):
            A[i] = 0.33333 * (B[i - 1] + B[i] + B[i + 1])
    return np.sum(w * A)


@hand
def jacobi_1d_adjoint(A, w, steps):
    value = jacobi_1d_primal(A, w, steps)
    n = len(A)
    G, H = w.copy(), np.zeros(n)
    first, last = G[0], G[n - 1]
    G[0] = G[n - 1] = 0.0
    for _ in range(steps):
        first += 0.33333 * G[1]
        last += 0.33333 * G[n - 2]
        for i in range(1, n - 1):
            H[i] = 0.33333 * (G[i - 1] + G[i] + G[i + 1])
        first += 0.33333 * H[1]
        last += 0.33333 * H[n - 2]
        for i in range(1, n - 1):
            G[i] = 0.33333 * (H[i - 1] + H[i] + H[i + 1])
    G[0], G[n - 1] = first, last
    return value, G


def jacobi_1d_jax(A, w, steps):
    def step(t, state):
        A, B = state
        B = B.at[1:-1].set(0.33333 * (A[:-2] + A[1:-1] + A[2:]))
        return A.at[1:-1].set(0.33333 * (B[:-2] + B[1:-1] + B[2:])), B

    return jnp.sum(w * lax.fori_loop(0, steps, step, (A, A))[0])


def jacobi_2d(A, w, steps):
    A = A.copy()
    B = A.copy()
    for _ in range(steps):
        B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-2, 1:-1])
    return np.sum(w * A)


@hand
def five_points(A, B):
    n = len(A)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            B[i, j] = 0.2 * (A[i, j] + A[i, j - 1] + A[i, j + 1] + A[i + 1, j] + A[i - 1, j])


@hand
def to_the_rim(G, rim):
    n = len(G)
    for k in range(1, n - 1):
        rim[0, k] += 0.2 * G[1, k]
        rim[1, k] += 0.2 * G[n - 2, k]
        rim[2, k] += 0.2 * G[k, 1]
        rim[3, k] += 0.2 * G[k, n - 2]


@hand
def jacobi_2d_primal(A, w, steps):
    A = A.copy()
    B = A.copy()
    for _ in range(steps):
        five_points(A, B)
        five_points(B, A)
    return np.sum(w * A)


@hand
def jacobi_2d_adjoint(A, w, steps):
    value = jacobi_2d_primal(A, w, steps)
    n = len(A)
    G, H, rim = w.copy(), np.zeros((n, n)), np.zeros((4, n))
    G[0] = G[n - 1] = 0.0
    G[:, 0] = G[:, n - 1] = 0.0
    for _ in range(steps):
        to_the_rim(G, rim)
        five_points(G, H)
        to_the_rim(H, rim)
        five_points(H, G)
    for k in range(1, n - 1):
        G[0, k], G[n - 1, k] = w[0, k] + rim[0, k], w[n - 1, k] + rim[1, k]
        G[k, 0], G[k, n - 1] = w[k, 0] + rim[2, k], w[k, n - 1] + rim[3, k]
    for i in (0, n - 1):
        for j in (0, n - 1):
            G[i, j] = w[i, j]
    return value, G


def jacobi_2d_jax(A, w, steps):
    def sweep(A, B):
        around = A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1]
        return B.at[1:-1, 1:-1].set(0.2 * around)

    def step(t, state):
        A, B = state
        B = sweep(A, B)
        return sweep(B, A), B

    return jnp.sum(w * lax.fori_loop(0, steps, step, (A, A))[0])


def heat_3d(A, w, steps):
    A = A.copy()
    B = A.copy()
    for _ in range(steps):
        B[1:-1, 1:-1, 1:-1] = (
            0.125 * (A[2:, 1:-1, 1:-1] - 2.0 * A[1:-1, 1:-1, 1:-1] + A[:-2, 1:-1, 1:-1])
            + 0.125 * (A[1:-1, 2:, 1:-1] - 2.0 * A[1:-1, 1:-1, 1:-1] + A[1:-1, :-2, 1:-1])
            + 0.125 * (A[1:-1, 1:-1, 2:] - 2.0 * A[1:-1, 1:-1, 1:-1] + A[1:-1, 1:-1, 0:-2])
            + A[1:-1, 1:-1, 1:-1]
        )
        A[1:-1, 1:-1, 1:-1] = (
            0.125 * (B[2:, 1:-1, 1:-1] - 2.0 * B[1:-1, 1:-1, 1:-1] + B[:-2, 1:-1, 1:-1])
            + 0.125 * (B[1:-1, 2:, 1:-1] - 2.0 * B[1:-1, 1:-1, 1:-1] + B[1:-1, :-2, 1:-1])
            + 0.125 * (B[1:-1, 1:-1, 2:] - 2.0 * B[1:-1, 1:-1, 1:-1] + B[1:-1, 1:-1, 0:-2])
            + B[1:-1, 1:-1, 1:-1]
        )
    return np.sum(w * A)


@hand
def seven_points(A, B):
    n = len(A)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            for k in range(1, n - 1):
                s = A[i + 1, j, k] + A[i - 1, j, k] + A[i, j + 1, k] + A[i, j - 1, k] + A[i, j, k + 1] + A[i, j, k - 1]
                B[i, j, k] = 0.125 * s + 0.25 * A[i, j, k]


@hand
def to_the_faces(G, faces):
    n = len(G)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            faces[0, i, j] += 0.125 * G[1, i, j]
            faces[1, i, j] += 0.125 * G[n - 2, i, j]
            faces[2, i, j] += 0.125 * G[i, 1, j]
            faces[3, i, j] += 0.125 * G[i, n - 2, j]
            faces[4, i, j] += 0.125 * G[i, j, 1]
            faces[5, i, j] += 0.125 * G[i, j, n - 2]


@hand
def heat_3d_primal(A, w, steps):
    A = A.copy()
    B = A.copy()
    for _ in range(steps):
        seven_points(A, B)
        seven_points(B, A)
    return np.sum(w * A)


@hand
def heat_3d_adjoint(A, w, steps):
    value = heat_3d_primal(A, w, steps)
    n = len(A)
    G, H, faces = np.zeros((n, n, n)), np.zeros((n, n, n)), np.zeros((6, n, n))
    G[1 : n - 1, 1 : n - 1, 1 : n - 1] = w[1 : n - 1, 1 : n - 1, 1 : n - 1]
    for _ in range(steps):
        to_the_faces(G, faces)
        seven_points(G, H)
        to_the_faces(H, faces)
        seven_points(H, G)
    for i in range(n):
        for j in range(n):
            G[0, i, j] = w[0, i, j] + faces[0, i, j]
            G[n - 1, i, j] = w[n - 1, i, j] + faces[1, i, j]
            if 0 < i < n - 1:
                G[i, 0, j] = w[i, 0, j] + faces[2, i, j]
                G[i, n - 1, j] = w[i, n - 1, j] + faces[3, i, j]
                if 0 < j < n - 1:
                    G[i, j, 0] = w[i, j, 0] + faces[4, i, j]
                    G[i, j, n - 1] = w[i, j, n - 1] + faces[5, i, j]
    return value, G


def heat_3d_jax(A, w, steps):
    def sweep(A, B):
        centre = A[1:-1, 1:-1, 1:-1]
        inner = (
            0.125 * (A[2:, 1:-1, 1:-1] - 2.0 * centre + A[:-2, 1:-1, 1:-1])
            + 0.125 * (A[1:-1, 2:, 1:-1] - 2.0 * centre + A[1:-1, :-2, 1:-1])
            + 0.125 * (A[1:-1, 1:-1, 2:] - 2.0 * centre + A[1:-1, 1:-1, :-2])
            + centre
        )
        return B.at[1:-1, 1:-1, 1:-1].set(inner)

    def step(t, state):
        A, B = state
        B = sweep(A, B)
        return sweep(B, A), B

    return jnp.sum(w * lax.fori_loop(0, steps, step, (A, A))[0])


def fdtd_2d(hz, ex, ey, pulse, w, steps):
    hz, ex, ey = hz.copy(), ex.copy(), ey.copy()
    for t in range(steps):
        ey[0, :] = pulse[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return np.sum(w * hz)


@hand
def fdtd_2d_primal(hz, ex, ey, pulse, w, steps):
    hz, ex, ey = hz.copy(), ex.copy(), ey.copy()
    m, n = hz.shape
    for t in range(steps):
        for j in range(n):
            ey[0, j] = pulse[t]
        for i in range(1, m):
            for j in range(n):
                ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
        for i in range(m):
            for j in range(1, n):
                ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
        for i in range(m - 1):
            for j in range(n - 1):
                hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])
    return np.sum(w * hz)


@hand
def fdtd_2d_adjoint(hz, ex, ey, pulse, w, steps):
    value = fdtd_2d_primal(hz, ex, ey, pulse, w, steps)
    m, n = hz.shape
    H, X, Y = w.copy(), np.zeros((m, n)), np.zeros((m, n))
    for _ in range(steps):
        for i in range(m):  # X[i, j] += .7 (H[i, j] - H[i, j - 1]) where they are updated
            if i < m - 1:
                X[i, 0] += 0.7 * H[i, 0]
                for j in range(1, n - 1):
                    X[i, j] += 0.7 * (H[i, j] - H[i, j - 1])
                X[i, n - 1] -= 0.7 * H[i, n - 2]
            if 0 < i < m - 1:
                for j in range(n - 1):
                    Y[i, j] += 0.7 * (H[i, j] - H[i - 1, j])
            elif i == 0:
                for j in range(n - 1):
                    Y[0, j] += 0.7 * H[0, j]
            else:
                for j in range(n - 1):
                    Y[i, j] -= 0.7 * H[i - 1, j]
        for i in range(m):
            H[i, 0] += 0.5 * X[i, 1]
            for j in range(1, n - 1):
                H[i, j] += 0.5 * (X[i, j + 1] - X[i, j])
            H[i, n - 1] -= 0.5 * X[i, n - 1]
        for i in range(m):
            if 0 < i < m - 1:
                for j in range(n):
                    H[i, j] += 0.5 * (Y[i + 1, j] - Y[i, j])
            elif i == 0:
                for j in range(n):
                    H[0, j] += 0.5 * Y[1, j]
            else:
                for j in range(n):
                    H[i, j] -= 0.5 * Y[i, j]
        for j in range(n):
            Y[0, j] = 0.0
    return value, H


def fdtd_2d_jax(hz, ex, ey, pulse, w, steps):
    def step(t, state):
        hz, ex, ey = state
        ey = ey.at[0, :].set(pulse[t])
        ey = ey.at[1:, :].add(-0.5 * (hz[1:, :] - hz[:-1, :]))
        ex = ex.at[:, 1:].add(-0.5 * (hz[:, 1:] - hz[:, :-1]))
        hz = hz.at[:-1, :-1].add(-0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]))
        return hz, ex, ey

    return jnp.sum(w * lax.fori_loop(0, steps, step, (hz, ex, ey))[0])


def advection(u, courant, w, steps):
    u = u.copy()
    new = np.empty_like(u)
    for _ in range(steps):
        new[1:] = u[1:] - courant[1:] * (u[1:] - u[:-1])
        new[0] = u[0]
        u, new = new, u
    return np.sum(w * u)


@hand
def advection_primal(u, courant, w, steps):
    u = u.copy()
    new = np.empty_like(u)
    for _ in range(steps):
        for i in range(1, len(u)):
            new[i] = u[i] - courant[i] * (u[i] - u[i - 1])
        new[0] = u[0]
        u, new = new, u
    return np.sum(w * u)


@hand
def advection_adjoint(u, courant, w, steps):
    value = advection_primal(u, courant, w, steps)
    n = len(u)
    G, H = w.copy(), np.empty(n)
    for _ in range(steps):
        H[0] = G[0] + courant[1] * G[1]
        for i in range(1, n - 1):
            H[i] = (1.0 - courant[i]) * G[i] + courant[i + 1] * G[i + 1]
        H[n - 1] = (1.0 - courant[n - 1]) * G[n - 1]
        G, H = H, G
    return value, G


def advection_jax(u, courant, w, steps):
    def step(t, u):
        return u.at[1:].set(u[1:] - courant[1:] * (u[1:] - u[:-1]))

    return jnp.sum(w * lax.fori_loop(0, steps, step, u))


def cube(n):
    return normal(n, n, n), weights(n, n, n), 10


kernel(
    "jacobi_1d",
    "stencils",
    jacobi_1d,
    jacobi_1d_primal,
    jacobi_1d_adjoint,
    jacobi_1d_jax,
    args=lambda n: (normal(n), weights(n), 100),
    size=4000,
    static=(2,),
)
kernel(
    "jacobi_2d",
    "stencils",
    jacobi_2d,
    jacobi_2d_primal,
    jacobi_2d_adjoint,
    jacobi_2d_jax,
    args=lambda n: (normal(n, n), weights(n, n), 20),
    size=200,
    static=(2,),
)
kernel("heat_3d", "stencils", heat_3d, heat_3d_primal, heat_3d_adjoint, heat_3d_jax, args=cube, size=40, static=(2,))
kernel(
    "fdtd_2d",
    "stencils",
    fdtd_2d,
    fdtd_2d_primal,
    fdtd_2d_adjoint,
    fdtd_2d_jax,
    args=lambda n: (normal(n, n + 30), normal(n, n + 30), normal(n, n + 30), np.arange(20.0), weights(n, n + 30), 20),
    size=200,
    static=(5,),
)
kernel(
    "advection",
    "stencils",
    advection,
    advection_primal,
    advection_adjoint,
    advection_jax,
    args=lambda n: (normal(n), rng().uniform(0.1, 0.9, size=n), weights(n), 100),
    size=4000,
    static=(3,),
)

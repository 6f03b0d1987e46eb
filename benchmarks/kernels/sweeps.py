"""Gauss-Seidel, alternating directions, Deriche's filter: recurrences along rows and columns, linear in the image.

None of the adjoints needs a record: they are sweeps in the other direction.
"""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, weights


def seidel_2d(A, w, steps):
    A = A.copy()
    N = A.shape[0]
    for _ in range(steps):
        for i in range(1, N - 1):
            A[i, 1:-1] += (
                A[i - 1, :-2] + A[i - 1, 1:-1] + A[i - 1, 2:] + A[i, 2:] + A[i + 1, :-2] + A[i + 1, 1:-1] + A[i + 1, 2:]
            )
            for j in range(1, N - 1):
                A[i, j] += A[i, j - 1]
                A[i, j] /= 9.0
    return np.sum(w * A)


def seidel_2d_by_elements(A, w, steps):
    A = A.copy()
    N = A.shape[0]
    for _ in range(steps):
        for i in range(1, N - 1):
            for j in range(1, N - 1):
                A[i, j] = (
                    A[i - 1, j - 1]
                    + A[i - 1, j]
                    + A[i - 1, j + 1]
                    + A[i, j - 1]
                    + A[i, j]
                    + A[i, j + 1]
                    + A[i + 1, j - 1]
                    + A[i + 1, j]
                    + A[i + 1, j + 1]
                ) / 9.0
    return np.sum(w * A)


@hand
def seidel_rows(A, steps):
    n = len(A)
    row = np.empty(n)
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                row[j] = A[i - 1, j - 1] + A[i - 1, j] + A[i - 1, j + 1] + A[i, j] + A[i, j + 1]
                row[j] += A[i + 1, j - 1] + A[i + 1, j] + A[i + 1, j + 1]
            left = A[i, 0]
            for j in range(1, n - 1):
                left = (row[j] + left) * (1.0 / 9.0)
                A[i, j] = left


@hand
def seidel_2d_primal(A, w, steps):
    A = A.copy()
    seidel_rows(A, steps)
    return np.sum(w * A)


@hand
def seidel_2d_adjoint(A, w, steps):
    A = A.copy()
    seidel_rows(A, steps)
    value = np.sum(w * A)
    n = len(A)
    B = w.copy()
    g = np.zeros(n)
    for _ in range(steps):
        for i in range(n - 2, 0, -1):
            right = 0.0
            for j in range(n - 2, 0, -1):
                right = (B[i, j] + right) * (1.0 / 9.0)
                g[j] = right
            B[i, 0] += g[1]
            B[i, n - 1] += g[n - 2]
            B[i - 1, 0] += g[1]
            B[i + 1, 0] += g[1]
            B[i - 1, n - 1] += g[n - 2]
            B[i + 1, n - 1] += g[n - 2]
            for j in range(1, n - 1):
                s = g[j - 1] + g[j] + g[j + 1]
                B[i - 1, j] += s
                B[i + 1, j] += s
                B[i, j] = g[j - 1] + g[j]
    return value, B


def seidel_2d_jax(A, w, steps):
    n = len(A)

    def row(i, A):
        rest = A[i - 1, :-2] + A[i - 1, 1:-1] + A[i - 1, 2:] + A[i, 2:] + A[i + 1, :-2] + A[i + 1, 1:-1] + A[i + 1, 2:]
        A = A.at[i, 1:-1].add(rest)
        return lax.fori_loop(1, n - 1, lambda j, A: A.at[i, j].set((A[i, j] + A[i, j - 1]) / 9.0), A)

    A = lax.fori_loop(0, steps, lambda t, A: lax.fori_loop(1, n - 1, row, A), A)
    return jnp.sum(w * A)


def adi(u, w, steps):
    u = u.copy()
    N = u.shape[0]
    v = np.empty(u.shape, dtype=u.dtype)
    p = np.empty(u.shape, dtype=u.dtype)
    q = np.empty(u.shape, dtype=u.dtype)
    DX, DY, DT = 1.0 / N, 1.0 / N, 1.0 / steps
    mul1, mul2 = 2.0 * DT / (DX * DX), 1.0 * DT / (DY * DY)
    a = c = -mul1 / 2.0
    b = 1.0 + mul1
    d = f = -mul2 / 2.0
    e = 1.0 + mul2
    for _ in range(steps):
        v[0, 1 : N - 1] = 1.0
        p[1 : N - 1, 0] = 0.0
        q[1 : N - 1, 0] = v[0, 1 : N - 1]
        for j in range(1, N - 1):
            p[1 : N - 1, j] = -c / (a * p[1 : N - 1, j - 1] + b)
            q[1 : N - 1, j] = (
                -d * u[j, 0 : N - 2] + (1.0 + 2.0 * d) * u[j, 1 : N - 1] - f * u[j, 2:N] - a * q[1 : N - 1, j - 1]
            ) / (a * p[1 : N - 1, j - 1] + b)
        v[N - 1, 1 : N - 1] = 1.0
        for j in range(N - 2, 0, -1):
            v[j, 1 : N - 1] = p[1 : N - 1, j] * v[j + 1, 1 : N - 1] + q[1 : N - 1, j]
        u[1 : N - 1, 0] = 1.0
        p[1 : N - 1, 0] = 0.0
        q[1 : N - 1, 0] = u[1 : N - 1, 0]
        for j in range(1, N - 1):
            p[1 : N - 1, j] = -f / (d * p[1 : N - 1, j - 1] + e)
            q[1 : N - 1, j] = (
                -a * v[0 : N - 2, j] + (1.0 + 2.0 * a) * v[1 : N - 1, j] - c * v[2:N, j] - d * q[1 : N - 1, j - 1]
            ) / (d * p[1 : N - 1, j - 1] + e)
        u[1 : N - 1, N - 1] = 1.0
        for j in range(N - 2, 0, -1):
            u[1 : N - 1, j] = p[1 : N - 1, j] * u[1 : N - 1, j + 1] + q[1 : N - 1, j]
    return np.sum(w * u)


@hand
def adi_coefficients(n, steps):
    """Both half steps have the same coefficients, and the elimination's are the same in every line."""
    mul = 2.0 / steps * n * n
    a, d = -mul / 2.0, -mul / 4.0
    b, e = 1.0 + mul, 1.0 + mul / 2.0
    p, s, pe, se = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for j in range(1, n - 1):
        s[j] = 1.0 / (a * p[j - 1] + b)
        p[j] = -a * s[j]
        se[j] = 1.0 / (d * pe[j - 1] + e)
        pe[j] = -d * se[j]
    return a, d, p, s, pe, se


@hand
def adi_steps(u, steps):
    n = len(u)
    a, d, p, s, pe, se = adi_coefficients(n, steps)
    v, q = np.ones((n, n)), np.ones((n, n))
    for _ in range(steps):
        for j in range(1, n - 1):  # q[j, i]: lines side by side
            for i in range(1, n - 1):
                x = -d * u[j, i - 1] + (1.0 + 2.0 * d) * u[j, i] - d * u[j, i + 1]
                q[j, i] = (x - a * q[j - 1, i]) * s[j]
        for j in range(n - 2, 0, -1):
            for i in range(1, n - 1):
                v[j, i] = p[j] * v[j + 1, i] + q[j, i]
        for i in range(1, n - 1):
            u[i, 0] = 1.0
            left = 1.0
            for j in range(1, n - 1):
                x = -a * v[i - 1, j] + (1.0 + 2.0 * a) * v[i, j] - a * v[i + 1, j]
                left = (x - d * left) * se[j]
                u[i, j] = left
            right = 1.0
            u[i, n - 1] = 1.0
            for j in range(n - 2, 0, -1):
                right = pe[j] * right + u[i, j]
                u[i, j] = right


@hand
def adi_primal(u, w, steps):
    u = u.copy()
    adi_steps(u, steps)
    return np.sum(w * u)


@hand
def adi_adjoint(u, w, steps):
    u = u.copy()
    adi_steps(u, steps)
    value = np.sum(w * u)
    n = len(u)
    a, d, p, s, pe, se = adi_coefficients(n, steps)
    U, V, g = w.copy(), np.zeros((n, n)), np.zeros(n)
    for _ in range(steps):
        V[:] = 0.0
        for i in range(n - 2, 0, -1):
            left = 0.0
            for j in range(1, n - 1):  # u = pe u[j + 1] + q
                left = U[i, j] + pe[j - 1] * left
                g[j] = left
            right = 0.0
            for j in range(n - 2, 0, -1):  # q = (x - d q[j - 1]) se
                right = (g[j] + right) * se[j]
                g[j] = right
                right *= -d
            for j in range(1, n - 1):
                V[i - 1, j] -= a * g[j]
                V[i, j] += (1.0 + 2.0 * a) * g[j]
                V[i + 1, j] -= a * g[j]
            for j in range(n):
                U[i, j] = 0.0
        for j in range(2, n - 1):
            for i in range(1, n - 1):
                V[j, i] += p[j - 1] * V[j - 1, i]
        for j in range(n - 2, 0, -1):
            for i in range(1, n - 1):
                g[i] = V[j, i] * s[j]
                V[j - 1, i] -= a * g[i]
            U[j, 0] -= d * g[1]
            U[j, n - 1] -= d * g[n - 2]
            g[0] = g[n - 1] = 0.0
            for i in range(1, n - 1):
                U[j, i] += -d * (g[i - 1] + g[i + 1]) + (1.0 + 2.0 * d) * g[i]
    return value, U


def adi_jax(u, w, steps):
    N = len(u)
    mul1, mul2 = 2.0 / steps * N * N, 1.0 / steps * N * N
    a = c = -mul1 / 2.0
    b = 1.0 + mul1
    d = f = -mul2 / 2.0
    e = 1.0 + mul2
    inner = slice(1, -1)

    def step(t, state):
        u, v, p, q = state
        v = v.at[0, inner].set(1.0)
        p = p.at[inner, 0].set(0.0)
        q = q.at[inner, 0].set(v[0, inner])

        def rows(j, pq):
            p, q = pq
            below = a * p[inner, j - 1] + b
            x = -d * u[j, :-2] + (1.0 + 2.0 * d) * u[j, inner] - f * u[j, 2:] - a * q[inner, j - 1]
            return p.at[inner, j].set(-c / below), q.at[inner, j].set(x / below)

        p, q = lax.fori_loop(1, N - 1, rows, (p, q))
        v = v.at[N - 1, inner].set(1.0)

        def up(k, v):
            j = N - 1 - k
            return v.at[j, inner].set(p[inner, j] * v[j + 1, inner] + q[inner, j])

        v = lax.fori_loop(1, N - 1, up, v)
        u = u.at[inner, 0].set(1.0)
        p = p.at[inner, 0].set(0.0)
        q = q.at[inner, 0].set(u[inner, 0])

        def columns(j, pq):
            p, q = pq
            below = d * p[inner, j - 1] + e
            x = -a * v[:-2, j] + (1.0 + 2.0 * a) * v[inner, j] - c * v[2:, j] - d * q[inner, j - 1]
            return p.at[inner, j].set(-f / below), q.at[inner, j].set(x / below)

        p, q = lax.fori_loop(1, N - 1, columns, (p, q))
        u = u.at[inner, N - 1].set(1.0)

        def left(k, u):
            j = N - 1 - k
            return u.at[inner, j].set(p[inner, j] * u[inner, j + 1] + q[inner, j])

        return lax.fori_loop(1, N - 1, left, u), v, p, q

    zeros = jnp.zeros_like(u)
    u, _, _, _ = lax.fori_loop(0, steps, step, (u, zeros, zeros, zeros))
    return jnp.sum(w * u)


def deriche_coefficients(alpha):
    k = (1.0 - np.exp(-alpha)) ** 2 / (1.0 + 2.0 * alpha * np.exp(-alpha) - np.exp(2.0 * alpha))
    a2 = k * np.exp(-alpha) * (alpha - 1.0)
    a3 = k * np.exp(-alpha) * (alpha + 1.0)
    return k, a2, a3, -k * np.exp(-2.0 * alpha), 2.0 ** (-alpha), -np.exp(-2.0 * alpha)


def deriche(image, w, alpha):
    a1, a2, a3, a4, b1, b2 = deriche_coefficients(alpha)
    y1 = np.empty_like(image)
    y1[:, 0] = a1 * image[:, 0]
    y1[:, 1] = a1 * image[:, 1] + a2 * image[:, 0] + b1 * y1[:, 0]
    for j in range(2, image.shape[1]):
        y1[:, j] = a1 * image[:, j] + a2 * image[:, j - 1] + b1 * y1[:, j - 1] + b2 * y1[:, j - 2]
    y2 = np.empty_like(image)
    y2[:, -1] = 0.0
    y2[:, -2] = a3 * image[:, -1]
    for j in range(image.shape[1] - 3, -1, -1):
        y2[:, j] = a3 * image[:, j + 1] + a4 * image[:, j + 2] + b1 * y2[:, j + 1] + b2 * y2[:, j + 2]
    out = y1 + y2
    y1[0, :] = a1 * out[0, :]
    y1[1, :] = a1 * out[1, :] + a2 * out[0, :] + b1 * y1[0, :]
    for i in range(2, image.shape[0]):
        y1[i, :] = a1 * out[i, :] + a2 * out[i - 1, :] + b1 * y1[i - 1, :] + b2 * y1[i - 2, :]
    y2[-1, :] = 0.0
    y2[-2, :] = a3 * out[-1, :]
    for i in range(image.shape[0] - 3, -1, -1):
        y2[i, :] = a3 * out[i + 1, :] + a4 * out[i + 2, :] + b1 * y2[i + 1, :] + b2 * y2[i + 2, :]
    return np.sum(w * (y1 + y2))


deriche_by_hand_coefficients = hand(deriche_coefficients)


@hand
def along_rows(x, y, alpha, transposed):
    """y = the filter of x along each row; transposed: its adjoint, which is the same filter with delays exchanged."""
    a1, a2, a3, a4, b1, b2 = deriche_by_hand_coefficients(alpha)
    m, n = x.shape
    for i in range(m):
        s1 = s2 = x1 = 0.0
        for j in range(n):
            if transposed:  # r = x + b1 r[-1] + b2 r[-2]; y = a3 r[-1] + a4 r[-2]
                y[i, j] = a3 * s1 + a4 * s2
                s1, s2 = x[i, j] + b1 * s1 + b2 * s2, s1
            else:
                s1, s2 = a1 * x[i, j] + a2 * x1 + b1 * s1 + b2 * s2, s1
                x1 = x[i, j]
                y[i, j] = s1
        s1 = s2 = x1 = x2 = 0.0
        for j in range(n - 1, -1, -1):
            if transposed:
                s1, s2 = x[i, j] + b1 * s1 + b2 * s2, s1
                y[i, j] += a1 * s1 + a2 * s2
            else:
                s1, s2 = a3 * x1 + a4 * x2 + b1 * s1 + b2 * s2, s1
                x2, x1 = x1, x[i, j]
                y[i, j] += s1


@hand
def along_columns(x, y, alpha, transposed):
    """The same along columns, all columns side by side."""
    a1, a2, a3, a4, b1, b2 = deriche_by_hand_coefficients(alpha)
    m, n = x.shape
    s = np.zeros((2, n))
    x1, x2 = np.zeros(n), np.zeros(n)
    for i in range(m):
        r, r2 = s[i % 2], s[(i + 1) % 2]  # r holds the one before last
        for j in range(n):
            if transposed:
                y[i, j] = a3 * r2[j] + a4 * r[j]
                r[j] = x[i, j] + b1 * r2[j] + b2 * r[j]
            else:
                r[j] = a1 * x[i, j] + a2 * x1[j] + b1 * r2[j] + b2 * r[j]
                x1[j] = x[i, j]
                y[i, j] = r[j]
    s[:] = 0.0
    x1[:] = 0.0
    for i in range(m - 1, -1, -1):
        r, r2 = s[i % 2], s[(i + 1) % 2]
        for j in range(n):
            if transposed:
                r[j] = x[i, j] + b1 * r2[j] + b2 * r[j]
                y[i, j] += a1 * r[j] + a2 * r2[j]
            else:
                r[j] = a3 * x1[j] + a4 * x2[j] + b1 * r2[j] + b2 * r[j]
                x2[j] = x1[j]
                x1[j] = x[i, j]
                y[i, j] += r[j]


@hand
def deriche_primal(image, w, alpha):
    out, y = np.empty_like(image), np.empty_like(image)
    along_rows(image, out, alpha, False)
    along_columns(out, y, alpha, False)
    return np.sum(w * y)


@hand
def deriche_adjoint(image, w, alpha):
    out, y = np.empty_like(image), np.empty_like(image)
    along_rows(image, out, alpha, False)
    along_columns(out, y, alpha, False)
    value = np.sum(w * y)
    along_columns(w, out, alpha, True)
    along_rows(out, y, alpha, True)
    return value, y


def deriche_jax(image, w, alpha):
    a1, a2, a3, a4, b1, b2 = deriche_coefficients(alpha)

    def filtered(x):
        n = x.shape[1]
        y1 = jnp.zeros_like(x).at[:, 0].set(a1 * x[:, 0])
        y1 = y1.at[:, 1].set(a1 * x[:, 1] + a2 * x[:, 0] + b1 * y1[:, 0])

        def forwards(j, y):
            return y.at[:, j].set(a1 * x[:, j] + a2 * x[:, j - 1] + b1 * y[:, j - 1] + b2 * y[:, j - 2])

        def backwards(t, y):
            j = n - 1 - t
            return y.at[:, j].set(a3 * x[:, j + 1] + a4 * x[:, j + 2] + b1 * y[:, j + 1] + b2 * y[:, j + 2])

        y2 = jnp.zeros_like(x).at[:, -2].set(a3 * x[:, -1])
        return lax.fori_loop(2, n, forwards, y1) + lax.fori_loop(2, n, backwards, y2)

    return jnp.sum(w * filtered(filtered(image).T).T)


for name, program in (("seidel_2d", seidel_2d), ("seidel_2d_by_elements", seidel_2d_by_elements)):
    kernel(
        name,
        "loops",
        program,
        seidel_2d_primal,
        seidel_2d_adjoint,
        seidel_2d_jax,
        args=lambda n: (normal(n, n), weights(n, n), 4),
        size=200,
        static=(2,),
    )
kernel(
    "adi",
    "loops",
    adi,
    adi_primal,
    adi_adjoint,
    adi_jax,
    args=lambda n: (normal(n, n), weights(n, n), 4),
    size=200,
    static=(2,),
)
kernel(
    "deriche",
    "loops",
    deriche,
    deriche_primal,
    deriche_adjoint,
    deriche_jax,
    args=lambda n: (normal(n, n + 40), weights(n, n + 40), 0.25),
    size=300,
    static=(2,),
)

"""Stencils and sweeps: constant and variable slices written into parameters, turn by turn."""

import numpy as np

from .registry import kernel


def square(n, rng):
    return rng.normal(size=(n, n))


@kernel(args=lambda n, rng: (4, rng.normal(size=n), rng.normal(size=n)), wrt=(1, 2), mutates=(1, 2))
def jacobi_1d(TSTEPS, A, B):
    for t in range(1, TSTEPS):
        B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
        A[1:-1] = 0.33333 * (B[:-2] + B[1:-1] + B[2:])


@kernel(args=lambda n, rng: (3, square(n, rng), np.zeros((n, n))), wrt=(1, 2), mutates=(1, 2), large=200)
def jacobi_2d(TSTEPS, A, B):
    for t in range(1, TSTEPS):
        B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-2, 1:-1])


@kernel(args=lambda n, rng: (2, n, square(n, rng)), wrt=(2,), mutates=(2,), large=60)
def seidel_2d(TSTEPS, N, A):
    for t in range(0, TSTEPS):
        for i in range(1, N - 1):
            A[i, 1:-1] += (
                A[i - 1, :-2] + A[i - 1, 1:-1] + A[i - 1, 2:] + A[i, 2:] + A[i + 1, :-2] + A[i + 1, 1:-1] + A[i + 1, 2:]
            )
            for j in range(1, N - 1):
                A[i, j] += A[i, j - 1]
                A[i, j] /= 9.0


@kernel(
    args=lambda n, rng: (rng.normal(size=(n, n, n)), rng.normal(size=(n, n, n))),
    wrt=(0, 1),
    mutates=(0, 1),
    large=24,
)
def heat_3d(A, B, steps=3, c=0.125):
    def second(U, axis):
        if axis == 0:
            return U[2:, 1:-1, 1:-1] - 2.0 * U[1:-1, 1:-1, 1:-1] + U[:-2, 1:-1, 1:-1]
        elif axis == 1:
            return U[1:-1, 2:, 1:-1] - 2.0 * U[1:-1, 1:-1, 1:-1] + U[1:-1, :-2, 1:-1]
        return U[1:-1, 1:-1, 2:] - 2.0 * U[1:-1, 1:-1, 1:-1] + U[1:-1, 1:-1, 0:-2]

    for _ in range(steps):
        B[1:-1, 1:-1, 1:-1] = c * second(A, 0) + c * second(A, 1) + c * second(A, 2) + A[1:-1, 1:-1, 1:-1]
        A[1:-1, 1:-1, 1:-1] = c * second(B, 0) + c * second(B, 1) + c * second(B, 2) + B[1:-1, 1:-1, 1:-1]


@kernel(
    args=lambda n, rng: (4, square(n, rng), square(n, rng), square(n, rng), np.arange(4.0)),
    wrt=(1, 2, 3, 4),
    mutates=(1, 2, 3),
    large=150,
    raises={0: IndexError},
)
def fdtd_2d(TMAX, ex, ey, hz, fict):
    for t in range(TMAX):
        ey[0, :] = fict[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])


@kernel(
    args=lambda n, rng: (rng.normal(size=(n + 4, n + 4, 3)), np.zeros((n, n, 3)), rng.normal(size=(n, n, 3))),
    wrt=(0, 2),
    mutates=(1,),
    large=60,
)
def horizontal_diffusion(in_field, out_field, coeff):
    I, J = out_field.shape[0], out_field.shape[1]
    lap = 4.0 * in_field[1 : I + 3, 1 : J + 3, :] - (
        in_field[2 : I + 4, 1 : J + 3, :]
        + in_field[0 : I + 2, 1 : J + 3, :]
        + in_field[1 : I + 3, 2 : J + 4, :]
        + in_field[1 : I + 3, 0 : J + 2, :]
    )
    res = lap[1:, 1 : J + 1, :] - lap[:-1, 1 : J + 1, :]
    flx = np.where((res * (in_field[2 : I + 3, 2 : J + 2, :] - in_field[1 : I + 2, 2 : J + 2, :])) > 0, 0, res)
    res = lap[1 : I + 1, 1:, :] - lap[1 : I + 1, :-1, :]
    fly = np.where((res * (in_field[2 : I + 2, 2 : J + 3, :] - in_field[2 : I + 2, 1 : J + 2, :])) > 0, 0, res)
    out_field[:, :, :] = in_field[2 : I + 2, 2 : J + 2, :] - coeff[:, :, :] * (
        flx[1:, :, :] - flx[:-1, :, :] + fly[:, 1:, :] - fly[:, :-1, :]
    )


@kernel(args=lambda n, rng: (0.25, square(n, rng), np.zeros((n, n))), wrt=(0, 1), mutates=(2,), large=120)
def recursive_filter(alpha, imgIn, y2):
    k = (1.0 - np.exp(-alpha)) ** 2 / (1.0 + 2.0 * alpha * np.exp(-alpha) - np.exp(2.0 * alpha))
    a1, a2 = k, k * np.exp(-alpha) * (alpha - 1.0)
    b1, b2 = 2.0 ** (-alpha), -np.exp(-2.0 * alpha)
    y1 = np.empty_like(imgIn)
    width = imgIn.shape[1]
    for j in range(width):
        if j < 2:
            y1[:, j] = a1 * imgIn[:, j]
        else:
            y1[:, j] = a1 * imgIn[:, j] + a2 * imgIn[:, j - 1] + b1 * y1[:, j - 1] + b2 * y1[:, j - 2]
    for j in range(width - 1, -1, -1):
        if j > width - 3:
            y2[:, j] = 0.0
        else:
            y2[:, j] = a1 * imgIn[:, j + 1] + a2 * imgIn[:, j + 2] + b1 * y2[:, j + 1] + b2 * y2[:, j + 2]
    return y1 + y2


@kernel(args=lambda n, rng: (3, square(n, rng)), wrt=(1,), mutates=(1,), large=60, raises={0: IndexError})
def alternating_directions(TSTEPS, u):
    N = u.shape[0]
    v = np.empty(u.shape, dtype=u.dtype)
    p = np.zeros_like(u)
    q = np.zeros_like(u)
    a, b, c = -0.3, 1.6, -0.3
    for t in range(1, TSTEPS + 1):
        v[0, :] = 1.0
        p[:, 0] = 0.0
        q[:, 0] = v[0, :]
        for j in range(1, N - 1):
            p[1:-1, j] = -c / (a * p[1:-1, j - 1] + b)
            q[1:-1, j] = (0.3 * u[j, :-2] + 0.4 * u[j, 1:-1] + 0.3 * u[j, 2:] - a * q[1:-1, j - 1]) / (
                a * p[1:-1, j - 1] + b
            )
        v[N - 1, :] = 1.0
        for j in range(N - 2, 0, -1):
            v[j, 1:-1] = p[1:-1, j] * v[j + 1, 1:-1] + q[1:-1, j]
        u[1:-1, 1:-1] = v[1:-1, 1:-1].T


@kernel(
    args=lambda n, rng: (rng.normal(size=n).astype(np.float32), np.float32(0.3)), wrt=(0,), tolerance=1e-5, large=300
)
def upwind_advection_float32(u0, courant, steps=6):
    u = u0.copy()
    unew = np.empty_like(u)
    for _ in range(steps):
        unew[1:] = u[1:] - courant * (u[1:] - u[:-1])
        unew[:1] = u[:1]
        u, unew = unew, u
    return u


def build_up_b(b, rho, dt, u, v, dx, dy):
    b[1:-1, 1:-1] = rho * (
        1 / dt * ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx) + (v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy))
        - ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 1:-1] - u[0:-2, 1:-1]) / (2 * dy) * (v[1:-1, 2:] - v[1:-1, 0:-2]) / (2 * dx))
        - ((v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy)) ** 2
    )


def pressure_poisson(nit, p, dx, dy, b):
    pn = np.empty_like(p)
    pn = p.copy()
    for q in range(nit):
        pn = p.copy()
        p[1:-1, 1:-1] = ((pn[1:-1, 2:] + pn[1:-1, 0:-2]) * dy**2 + (pn[2:, 1:-1] + pn[0:-2, 1:-1]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 1:-1]
        p[:, -1] = p[:, -2]
        p[0, :] = p[1, :]
        p[:, 0] = p[:, 1]
        p[-1, :] = 0


@kernel(
    args=lambda n, rng: (2, 3, 0.1 * square(n, rng), 0.1 * square(n, rng), 0.1, 0.5, 0.4, square(n, rng), 1.1),
    wrt=(2, 3, 4, 7, 8),
    mutates=(2, 3, 7),
    large=60,
    raises={0: IndexError, 1: IndexError},
)
def cavity_flow(nt, nit, u, v, dt, dx, dy, p, rho):
    b = np.zeros((u.shape[0], u.shape[1]))
    for n in range(nt):
        un = u.copy()
        vn = v.copy()
        build_up_b(b, rho, dt, u, v, dx, dy)
        pressure_poisson(nit, p, dx, dy, b)
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[1:-1, 0:-2])
            - dt / (2 * rho * dx) * (p[1:-1, 2:] - p[1:-1, 0:-2])
        )
        v[1:-1, 1:-1] = vn[1:-1, 1:-1] - dt / (2 * rho * dy) * (p[2:, 1:-1] - p[0:-2, 1:-1])
        u[0, :] = u[:, 0] = u[:, -1] = 0
        u[-1, :] = 1
        v[0, :] = v[-1, :] = v[:, 0] = v[:, -1] = 0


@kernel(args=lambda n, rng: (rng.normal(size=2 * n)[::2], rng.normal(size=n)[::-1]), wrt=(0, 1), mutates=(0, 1))
def wave_leapfrog_on_strided_arguments(u, u_prev):
    for _ in range(4):
        u_next = 2.0 * u - u_prev + 0.25 * (np.roll(u, 1) - 2.0 * u + np.roll(u, -1))
        u_prev[:] = u
        u[:] = u_next
    return np.sum(u * u)

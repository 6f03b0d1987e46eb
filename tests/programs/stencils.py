"""Stencils: in place and between two arrays, with loops and with slices."""

import math

import numpy as np

from .registry import program


@program(
    args=lambda n, rng: (3, rng.normal(size=n + 2), rng.normal(size=n + 2)),
    wrt=(1, 2),
    mutates=(1, 2),
    tags="loop slice update mutation inplace",
)
def jacobi_1d(steps, a, b):
    for _ in range(steps):
        b[1:-1] = 0.33333 * (a[:-2] + a[1:-1] + a[2:])
        a[1:-1] = 0.33333 * (b[:-2] + b[1:-1] + b[2:])


@program(
    args=lambda n, rng: (2, rng.normal(size=(n + 2, n + 3)), rng.normal(size=(n + 2, n + 3))),
    wrt=(1, 2),
    mutates=(1, 2),
    large=60,
    tags="loop slice update mutation inplace",
)
def jacobi_2d(steps, a, b):
    for _ in range(1, steps):
        b[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])
        a[1:-1, 1:-1] = 0.2 * (b[1:-1, 1:-1] + b[1:-1, :-2] + b[1:-1, 2:] + b[2:, 1:-1] + b[:-2, 1:-1])


@program(
    args=lambda n, rng: (2, rng.normal(size=(n, n))), wrt=(1,), mutates=(1,), large=40, tags="loop mutation inplace"
)
def seidel_2d(steps, a):
    n = len(a)
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                a[i, j] = (
                    a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1]
                    + a[i, j - 1] + a[i, j] + a[i, j + 1]
                    + a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]
                ) / 9.0  # fmt: skip


@program(
    args=lambda n, rng: (2, rng.normal(size=(n + 2, n + 2))),
    wrt=(1,),
    mutates=(1,),
    large=40,
    tags="loop slice mutation inplace",
)
def seidel_2d_half_vectorised(steps, a):
    n = len(a)
    for _ in range(steps):
        for i in range(1, n - 1):
            a[i, 1:-1] += a[i - 1, :-2] + a[i - 1, 1:-1] + a[i - 1, 2:] + a[i, 2:] + a[i + 1, :-2] + a[i + 1, 1:-1]
            for j in range(1, n - 1):
                a[i, j] += a[i, j - 1]
                a[i, j] /= 9.0


@program(args=lambda n, rng: (3, rng.normal(size=n), 0.1), wrt=(1, 2), tags="loop update inplace")
def gauss_seidel_nonlinear(sweeps, start, rate):
    u = start.copy()
    for _ in range(sweeps):
        for i in range(1, len(u) - 1):
            u[i] = (1.0 - rate) * u[i] + rate * math.tanh(u[i - 1] + u[i + 1])
    return u


@program(
    args=lambda n, rng: (4, rng.normal(size=(n + 2, n + 2)), 0.1), wrt=(1, 2), large=40, tags="loop inplace update"
)
def heat_in_place(steps, u0, kappa):
    u = u0.copy()
    n, m = u.shape
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] += kappa * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4.0 * u[i, j])
    return np.sum(u * u)


@program(
    args=lambda n, rng: (2, rng.normal(size=(n + 1, n, n + 2)), np.zeros((n + 1, n, n + 2))),
    wrt=(1,),
    mutates=(1, 2),
    sizes=(1, 2, 3, 5),
    large=15,
    tags="loop slice update mutation inplace",
)
def heat_3d(steps, a, b):
    for _ in range(1, steps + 1):
        b[1:-1, 1:-1, 1:-1] = (
            0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[:-2, 1:-1, 1:-1])
            + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[1:-1, :-2, 1:-1])
            + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[1:-1, 1:-1, :-2])
            + a[1:-1, 1:-1, 1:-1]
        )
        a[1:-1, 1:-1, 1:-1] = 0.9 * b[1:-1, 1:-1, 1:-1]


@program(
    args=lambda n, rng: (
        rng.normal(size=(n, n + 1)),
        rng.normal(size=(n, n + 1)),
        rng.normal(size=(n, n + 1)),
        rng.normal(size=3),
    ),
    wrt=(0, 1, 2, 3),
    mutates=(0, 1, 2),
    sizes=(1, 2, 5),
    large=40,
    tags="loop slice update mutation inplace",
)
def fdtd_2d(ex, ey, hz, fict):
    for t in range(len(fict)):
        ey[0, :] = fict[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])


@program(
    args=lambda n, rng: (2, rng.normal(size=(n, n))),
    wrt=(1,),
    sizes=(2, 3, 5),
    large=30,
    tags="loop slice update inplace",
)
def adi(steps, start):
    n = len(start)
    u = start.copy()
    v, p, q = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    a, b, c, d = -0.3, 1.6, -0.2, 0.5
    for _ in range(steps):
        v[0, 1 : n - 1] = 1.0
        p[1 : n - 1, 0] = 0.0
        q[1 : n - 1, 0] = v[0, 1 : n - 1]
        for j in range(1, n - 1):
            p[1 : n - 1, j] = -c / (a * p[1 : n - 1, j - 1] + b)
            q[1 : n - 1, j] = (
                -d * u[j, : n - 2] + (1.0 + 2.0 * d) * u[j, 1 : n - 1] - d * u[j, 2:n] - a * q[1 : n - 1, j - 1]
            ) / (a * p[1 : n - 1, j - 1] + b)
        v[n - 1, 1 : n - 1] = 1.0
        for j in range(n - 2, 0, -1):
            v[j, 1 : n - 1] = p[1 : n - 1, j] * v[j + 1, 1 : n - 1] + q[1 : n - 1, j]
        u[1 : n - 1, 1 : n - 1] = v[1 : n - 1, 1 : n - 1]
    return u


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 1)), 0.25),
    wrt=(0, 1),
    sizes=(1, 2, 5),
    large=40,
    tags="loop slice inplace",
)
def deriche(image, alpha):
    w, h = image.shape
    k = (1.0 - np.exp(-alpha)) ** 2 / (1.0 + alpha * np.exp(-alpha) - np.exp(2.0 * alpha))
    a1, a2, b1, b2 = k, k * np.exp(-alpha) * (alpha - 1.0), 2.0 ** (-alpha), -np.exp(-2.0 * alpha)
    y1 = np.empty_like(image)
    y1[:, 0] = a1 * image[:, 0]
    if h > 1:
        y1[:, 1] = a1 * image[:, 1] + a2 * image[:, 0] + b1 * y1[:, 0]
    for j in range(2, h):
        y1[:, j] = a1 * image[:, j] + a2 * image[:, j - 1] + b1 * y1[:, j - 1] + b2 * y1[:, j - 2]
    y2 = np.empty_like(image)
    y2[:, -1] = 0.0
    for j in range(h - 2, -1, -1):
        y2[:, j] = a1 * image[:, j + 1] + b1 * y2[:, j + 1]
    return y1 + y2


@program(
    args=lambda n, rng: (rng.normal(size=(n + 2, n + 3)), rng.normal(size=(3, 3))),
    wrt=(0, 1),
    large=40,
    tags="comprehension reduction sum contraction size",
)
def conv2d_comprehension(image, kernel):
    h, w = image.shape
    a, b = kernel.shape
    return np.array(
        [
            [sum(image[i + p, j + q] * kernel[p, q] for p in range(a) for q in range(b)) for j in range(w - b + 1)]
            for i in range(h - a + 1)
        ]
    )


@program(
    args=lambda n, rng: (rng.normal(size=(2, n + 2, n + 2, 3)), rng.normal(size=(3, 3, 3, 4))),
    wrt=(0, 1),
    large=20,
    tags="loop slice numpy update contraction set",
)
def conv2d_slices(images, weights):
    k = weights.shape[0]
    batch, h, w = images.shape[0], images.shape[1] - k + 1, images.shape[2] - k + 1
    out = np.empty((batch, h, w, weights.shape[3]))
    for i in range(h):
        for j in range(w):
            patch = images[:, i : i + k, j : j + k, :, np.newaxis]
            out[:, i, j, :] = np.sum(patch * weights[np.newaxis, :, :, :], axis=(1, 2, 3))
    return out


@program(
    args=lambda n, rng: (rng.normal(size=(n + 4, n + 5, 3)), rng.normal(size=(n, n + 1, 3))),
    wrt=(0, 1),
    large=25,
    tags="slice numpy branch map",
)
def horizontal_diffusion(field, coefficient):
    i, j = coefficient.shape[0], coefficient.shape[1]
    lap = 4.0 * field[1 : i + 3, 1 : j + 3] - (
        field[2 : i + 4, 1 : j + 3]
        + field[0 : i + 2, 1 : j + 3]
        + field[1 : i + 3, 2 : j + 4]
        + field[1 : i + 3, 0 : j + 2]
    )
    flux_x = lap[1:, 1 : j + 1] - lap[:-1, 1 : j + 1]
    flux_x = np.where(flux_x * (field[2 : i + 3, 2 : j + 2] - field[1 : i + 2, 2 : j + 2]) > 0, 0.0, flux_x)
    flux_y = lap[1 : i + 1, 1:] - lap[1 : i + 1, :-1]
    flux_y = np.where(flux_y * (field[2 : i + 2, 2 : j + 3] - field[2 : i + 2, 1 : j + 2]) > 0, 0.0, flux_y)
    return field[2 : i + 2, 2 : j + 2] - coefficient * (flux_x[1:, :] - flux_x[:-1, :] + flux_y[:, 1:] - flux_y[:, :-1])


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)), 3),
    wrt=(0,),
    sizes=(1, 2, 5),
    large=40,
    tags="numpy slice loop recurrence",
)
def periodic_diffusion(u, steps):
    for _ in range(steps):
        u = u + 0.1 * (np.roll(u, 1, axis=0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1) - 4 * u)
    return u


@program(
    args=lambda n, rng: (rng.choice([-1.0, 1.0], size=(n, n)), 0.7),
    wrt=(0, 1),
    sizes=(1, 2, 5),
    large=40,
    tags="loop sum index",
)
def ising_energy(spins, coupling):
    n, m = spins.shape
    energy = 0.0
    for i in range(n):
        for j in range(m):
            energy -= coupling * spins[i, j] * (spins[(i + 1) % n, j] + spins[i, (j + 1) % m] + 0.1 * spins[i - 1, j])
    return energy


@program(
    args=lambda n, rng: (rng.normal(size=(n + 1, n + 2)), rng.normal(size=(n + 3, n + 3))),
    wrt=(0, 1),
    sizes=(1, 2, 4),
    large=12,
    tags="numpy map sum contraction",
)
def windows_correlated(kernel, image):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return np.tanh(np.einsum("ijkl,kl->ij", windows, kernel))


@program(
    args=lambda n, rng: (rng.normal(size=(n + 4, n + 1)), 2),
    wrt=(0,),
    sizes=(1, 2, 5),
    large=40,
    tags="numpy map minmax loop alias update",
)
def moving_maximum(x, turns):
    y = x.copy()
    windows = np.lib.stride_tricks.sliding_window_view(y, 3, axis=0)
    for _ in range(turns):
        y[1:-1] = windows.max(axis=-1) - 0.5 * y[1:-1]
    return y

"""Particles, orbits and flows: columns as views, helpers that return tuples, loops until convergence."""

import math

import numpy as np

from .registry import kernel


def get_acc(pos, mass, G, softening):
    x = pos[:, 0:1]
    y = pos[:, 1:2]
    z = pos[:, 2:3]
    dx = x.T - x
    dy = y.T - y
    dz = z.T - z
    inv_r3 = dx**2 + dy**2 + dz**2 + softening**2
    inv_r3[inv_r3 > 0] = inv_r3[inv_r3 > 0] ** (-1.5)
    ax = G * (dx * inv_r3) @ mass
    ay = G * (dy * inv_r3) @ mass
    az = G * (dz * inv_r3) @ mass
    return np.hstack((ax, ay, az))


def get_energy(pos, vel, mass, G):
    KE = 0.5 * np.sum(mass * vel**2)
    x, y, z = pos[:, 0:1], pos[:, 1:2], pos[:, 2:3]
    r = np.sqrt((x.T - x) ** 2 + (y.T - y) ** 2 + (z.T - z) ** 2 + 0.01)
    PE = G * np.sum(np.triu(-(mass * mass.T) / r, 1))
    return KE, PE


@kernel(
    args=lambda n, rng: (rng.uniform(0.5, 1.0, size=(n, 1)), rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), 3),
    wrt=(0, 1, 2),
    mutates=(1, 2),
    large=60,
)
def nbody(mass, pos, vel, Nt, dt=0.01, G=1.0):
    KE = np.empty(Nt + 1)
    PE = np.empty(Nt + 1)
    KE[0], PE[0] = get_energy(pos, vel, mass, G)
    acc = get_acc(pos, mass, G, 0.1)
    for i in range(Nt):
        vel += acc * dt / 2.0
        pos += vel * dt
        acc = get_acc(pos, mass, G, 0.1)
        vel += acc * dt / 2.0
        KE[i + 1], PE[i + 1] = get_energy(pos, vel, mass, G)
    return KE, PE


@kernel(
    args=lambda n, rng: tuple(rng.uniform(0.1, 1.2, size=n) for _ in range(4)),
    wrt=(0, 1, 2, 3),
)
def arc_distance(theta_1, phi_1, theta_2, phi_2):
    temp = np.sin((theta_2 - theta_1) / 2) ** 2 + np.cos(theta_1) * np.cos(theta_2) * np.sin((phi_2 - phi_1) / 2) ** 2
    distance_matrix = 2 * (np.arctan2(np.sqrt(temp), np.sqrt(1 - temp)))
    return distance_matrix


@kernel(args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), large=200)
def go_fast(a):
    trace = 0.0
    for i in range(a.shape[0]):
        trace += np.tanh(a[i, i])
    return a + trace


@kernel(args=lambda n, rng: (rng.uniform(1.0, 2.0, size=(n + 2, n + 2)), 0.2), wrt=(0, 1), mutates=(0,), large=40)
def channel_flow_until_steady(u, nu):
    change = 1.0
    steps = 0
    while change > 0.01:
        un = u.copy()
        u[1:-1, 1:-1] = un[1:-1, 1:-1] + nu * (
            un[1:-1, 2:] + un[1:-1, :-2] + un[2:, 1:-1] + un[:-2, 1:-1] - 4.0 * un[1:-1, 1:-1]
        )
        change = (np.sum(np.abs(u)) - np.sum(np.abs(un))) / np.sum(un)
        steps += 1
        if steps >= 6:
            break
    return steps


@kernel(args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), 0.1), wrt=(0, 1, 2), mutates=(0, 1))
def rotate_and_drift(x, v, h):
    c, s = math.cos(h), math.sin(h)
    for q, p in zip(x, v):
        q += h * p
        p[0], p[1] = c * p[0] - s * p[1], s * p[0] + c * p[1]
        p[2] *= 1.0 - h


@kernel(args=lambda n, rng: (rng.normal(size=n), np.zeros(n), 2.0), wrt=(0, 1, 2), mutates=(0, 1), large=300)
def spring_chain(x, v, stiffness):
    def force(k):
        f = 0.0
        if k > 0:
            f += stiffness * (x[k - 1] - x[k])
        if k < len(x) - 1:
            f += stiffness * (x[k + 1] - x[k])
        return f

    def kick(dt):
        for k in range(len(x)):
            v[k] += dt * force(k)

    for _ in range(3):
        kick(0.05)
        x[:] = x + 0.1 * v
        kick(0.05)


@kernel(args=lambda n, rng: (rng.uniform(-2.0, 1.0, size=n), rng.uniform(-1.0, 1.0, size=n)), large=200)
def mandelbrot_counts(re, im, maxiter=20):
    counts = np.zeros(re.shape, dtype=np.int64)
    for i in range(re.shape[0]):
        zr = zi = 0.0
        k = 0
        while k < maxiter:
            zr2, zi2 = zr * zr, zi * zi
            if zr2 + zi2 > 4.0:
                break
            zi = 2.0 * zr * zi + im[i]
            zr = zr2 - zi2 + re[i]
            k += 1
        counts[i] = k
    return counts


@kernel(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), large=200)
def mandelbrot_orbits_complex(re, im, steps=3):
    c = 0.4 * (re + 1j * im)
    z = np.zeros(c.shape, dtype=np.complex128)
    for _ in range(steps):
        z = z**2 + c
    return np.abs(z + 3.0) ** 2, z.real, np.conj(z).imag

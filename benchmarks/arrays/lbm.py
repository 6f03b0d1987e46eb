"""LBM: a flow around an obstacle by the lattice Boltzmann method in two dimensions with nine velocities (D2Q9).

A turn streams what each cell's neighbours sent (obstacles throw it back), then relaxes it towards equilibrium (BGK).
The grid is periodic.  What is differentiated is the kinetic energy at the end, in the distributions at the start.
"""

from __future__ import annotations

import numpy as np

from benchmarks.kernels.registry import hand

# lists of Python numbers: what indexes them is written out
DX = [0, 1, 0, -1, 0, 1, -1, -1, 1]
DY = [0, 0, 1, 0, -1, 1, 1, -1, -1]
SHARES = [4 / 9] + 4 * [1 / 9] + 4 * [1 / 36]
BACK = [0, 3, 4, 1, 2, 7, 8, 5, 6]
DX_TABLE, DY_TABLE, SHARES_TABLE, BACK_TABLE = map(np.array, (DX, DY, SHARES, BACK))  # for Numba


def program(f, solid, rate, steps):
    _, n, m = f.shape
    f = f.copy()
    for _ in range(steps):
        g = np.empty_like(f)
        for i in range(n):
            for j in range(m):
                came = [f[k, (i - DX[k]) % n, (j - DY[k]) % m] for k in range(9)]
                if solid[i, j]:
                    for k in range(9):
                        g[k, i, j] = came[BACK[k]]
                else:
                    density = sum(came)
                    u = (came[1] + came[5] + came[8] - came[3] - came[6] - came[7]) / density
                    v = (came[2] + came[5] + came[6] - came[4] - came[7] - came[8]) / density
                    square = 1.5 * (u * u + v * v)
                    for k in range(9):
                        along = 3.0 * (DX[k] * u + DY[k] * v)
                        even = SHARES[k] * density * (1.0 + along + 0.5 * along * along - square)
                        g[k, i, j] = came[k] + rate * (even - came[k])
        f = g
    return energy(f)


def energy(f):
    """Of the motion of all cells."""
    _, n, m = f.shape
    total = 0.0
    for i in range(n):
        for j in range(m):
            density = sum(f[k, i, j] for k in range(9))
            along_x = sum(DX[k] * f[k, i, j] for k in range(9))
            along_y = sum(DY[k] * f[k, i, j] for k in range(9))
            total += 0.5 * (along_x * along_x + along_y * along_y) / density
    return total


def planes():
    """DX, DY and SHARES, to be multiplied with the distributions."""
    return tuple(np.array(x)[:, None, None] for x in (DX, DY, SHARES))


def vectorised(f, solid, rate, steps):
    """In whole arrays."""
    dx, dy, shares = planes()
    for _ in range(steps):
        came = np.stack([np.roll(f[k], (DX[k], DY[k]), (0, 1)) for k in range(9)])
        density = np.sum(came, axis=0)
        u, v = np.sum(dx * came, axis=0) / density, np.sum(dy * came, axis=0) / density
        along = 3.0 * (dx * u + dy * v)
        even = shares * density * (1.0 + along + 0.5 * along * along - 1.5 * (u * u + v * v))
        f = np.where(solid, came[BACK], came + rate * (even - came))
    density = np.sum(f, axis=0)
    return np.sum(0.5 * (np.sum(dx * f, axis=0) ** 2 + np.sum(dy * f, axis=0) ** 2) / density)


@hand
def stream(f, came, n, m):
    for k in range(9):
        for i in range(n):
            a = (i - DX_TABLE[k]) % n
            for j in range(m):
                b = j - DY_TABLE[k]
                if b < 0:
                    b += m
                elif b >= m:
                    b -= m
                came[k, i, j] = f[k, a, b]


@hand
def collide(came, f, solid, rate, n, m):
    for i in range(n):
        for j in range(m):
            if solid[i, j]:
                for k in range(9):
                    f[k, i, j] = came[BACK_TABLE[k], i, j]
            else:
                density = 0.0
                for k in range(9):
                    density += came[k, i, j]
                c1, c2, c3, c4 = came[1, i, j], came[2, i, j], came[3, i, j], came[4, i, j]
                c5, c6, c7, c8 = came[5, i, j], came[6, i, j], came[7, i, j], came[8, i, j]
                u = (c1 + c5 + c8 - c3 - c6 - c7) / density
                v = (c2 + c5 + c6 - c4 - c7 - c8) / density
                square = 1.5 * (u * u + v * v)
                for k in range(9):
                    along = 3.0 * (DX_TABLE[k] * u + DY_TABLE[k] * v)
                    even = SHARES_TABLE[k] * density * (1.0 + along + 0.5 * along * along - square)
                    f[k, i, j] = came[k, i, j] + rate * (even - came[k, i, j])


@hand
def energy_loops(f, n, m):
    total = 0.0
    for i in range(n):
        for j in range(m):
            density, along_x, along_y = 0.0, 0.0, 0.0
            for k in range(9):
                density += f[k, i, j]
                along_x += DX_TABLE[k] * f[k, i, j]
                along_y += DY_TABLE[k] * f[k, i, j]
            total += 0.5 * (along_x * along_x + along_y * along_y) / density
    return total


@hand
def loops(f, solid, rate, steps):
    _, n, m = f.shape
    f, came = f.copy(), np.empty_like(f)
    for _ in range(steps):
        stream(f, came, n, m)
        collide(came, f, solid, rate, n, m)
    return energy_loops(f, n, m)


@hand
def adjoint(f, solid, rate, steps):
    _, n, m = f.shape
    f, g, h = f.copy(), np.empty_like(f), np.empty_like(f)
    kept = np.empty((steps, 9, n, m))
    for t in range(steps):
        stream(f, kept[t], n, m)
        collide(kept[t], f, solid, rate, n, m)
    total = energy_loops(f, n, m)
    for i in range(n):
        for j in range(m):
            density, along_x, along_y = 0.0, 0.0, 0.0
            for k in range(9):
                density += f[k, i, j]
                along_x += DX_TABLE[k] * f[k, i, j]
                along_y += DY_TABLE[k] * f[k, i, j]
            less = 0.5 * (along_x * along_x + along_y * along_y) / density**2
            for k in range(9):
                g[k, i, j] = (DX_TABLE[k] * along_x + DY_TABLE[k] * along_y) / density - less
    for t in range(steps - 1, -1, -1):
        came = kept[t]
        for i in range(n):
            for j in range(m):
                if solid[i, j]:
                    for k in range(9):
                        h[BACK_TABLE[k], i, j] = g[k, i, j]
                else:
                    density = 0.0
                    for k in range(9):
                        density += came[k, i, j]
                    c1, c2, c3, c4 = came[1, i, j], came[2, i, j], came[3, i, j], came[4, i, j]
                    c5, c6, c7, c8 = came[5, i, j], came[6, i, j], came[7, i, j], came[8, i, j]
                    u = (c1 + c5 + c8 - c3 - c6 - c7) / density
                    v = (c2 + c5 + c6 - c4 - c7 - c8) / density
                    square = 1.5 * (u * u + v * v)
                    of_density, of_u, of_v = 0.0, 0.0, 0.0
                    for k in range(9):
                        along = 3.0 * (DX_TABLE[k] * u + DY_TABLE[k] * v)
                        seed = rate * SHARES_TABLE[k] * g[k, i, j]
                        of_density += seed * (1.0 + along + 0.5 * along * along - square)
                        of_along = seed * density * (1.0 + along)
                        of_u += 3.0 * DX_TABLE[k] * of_along - 3.0 * seed * density * u
                        of_v += 3.0 * DY_TABLE[k] * of_along - 3.0 * seed * density * v
                    of_density -= (of_u * u + of_v * v) / density
                    for k in range(9):
                        moved = (DX_TABLE[k] * of_u + DY_TABLE[k] * of_v) / density
                        h[k, i, j] = (1.0 - rate) * g[k, i, j] + of_density + moved
        for k in range(9):
            for i in range(n):
                a = (i + DX_TABLE[k]) % n
                for j in range(m):
                    b = j + DY_TABLE[k]
                    if b < 0:
                        b += m
                    elif b >= m:
                        b -= m
                    g[k, i, j] = h[k, a, b]
    return total, g


def jax_program():
    import jax.numpy as jnp
    from jax import lax

    dx, dy, shares = planes()

    def program(f, solid, rate, steps):
        def turn(_, f):
            came = jnp.stack([jnp.roll(f[k], (DX[k], DY[k]), (0, 1)) for k in range(9)])
            density = jnp.sum(came, axis=0)
            u, v = jnp.sum(dx * came, axis=0) / density, jnp.sum(dy * came, axis=0) / density
            along = 3.0 * (dx * u + dy * v)
            even = shares * density * (1.0 + along + 0.5 * along * along - 1.5 * (u * u + v * v))
            return jnp.where(solid, came[np.array(BACK)], came + rate * (even - came))

        f = lax.fori_loop(0, steps, turn, f)
        density = jnp.sum(f, axis=0)
        return jnp.sum(0.5 * (jnp.sum(dx * f, axis=0) ** 2 + jnp.sum(dy * f, axis=0) ** 2) / density)

    return program


def arguments(size: int, steps: int = 20):
    rng = np.random.default_rng(23)
    dx, _, shares = planes()
    f = shares * (1.0 + 0.05 * rng.uniform(size=(9, size, size)) + 0.1 * dx)
    i, j = np.arange(size)[:, None] - size / 3, np.arange(size) - size / 2
    return f, i * i + j * j < (size / 8) ** 2, 0.6, steps

"""Physics: particles, cameras, waves, transport."""

import math

import numpy as np

from .registry import program


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)) * 3.0, rng.uniform(0.5, 1.5, size=n)),
    wrt=(0, 1),
    large=60,
    tags="comprehension reduction clause sum",
)
def nbody_forces(position, mass):
    n = len(mass)

    def pull(i, j):
        r2 = sum((position[j, c] - position[i, c]) ** 2 for c in range(3)) + 0.01
        return mass[j] * r2**-1.5

    return [
        [sum(pull(i, j) * (position[j, c] - position[i, c]) for j in range(n) if j != i) for c in range(3)]
        for i in range(n)
    ]


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), rng.uniform(0.5, 1.5, size=(n, 1)), 3),
    wrt=(0, 1, 2),
    mutates=(0, 1),
    large=40,
    tags="numpy slice loop mutation update contraction",
)
def nbody_vectorised(position, velocity, mass, steps):
    for _ in range(steps):
        x, y, z = position[:, 0:1], position[:, 1:2], position[:, 2:3]
        dx, dy, dz = x.T - x, y.T - y, z.T - z
        inverse = (dx**2 + dy**2 + dz**2 + 0.1) ** (-1.5)
        acceleration = np.hstack(((dx * inverse) @ mass, (dy * inverse) @ mass, (dz * inverse) @ mass))
        velocity += acceleration * 0.01
        position += velocity * 0.01


@program(
    args=lambda n, rng: (rng.normal(size=(n, 2)) + np.arange(n)[:, None] * 1.5,),
    wrt=(0,),
    large=60,
    tags="loop sum size",
)
def lennard_jones_energy(r):
    energy = 0.0
    for i in range(len(r)):
        for j in range(i):
            d2 = (r[i, 0] - r[j, 0]) ** 2 + (r[i, 1] - r[j, 1]) ** 2 + 0.5
            s6 = 1.0 / d2**3
            energy += 4.0 * (s6 * s6 - s6)
    return energy


@program(
    args=lambda n, rng: (
        rng.normal(size=11) * 0.3 + np.array([0] * 5 + [5.0] + [500.0] + [0] * 4),
        rng.normal(size=(n, 3)),
        rng.normal(size=n),
        rng.normal(size=(n, 2)),
    ),
    wrt=(0, 1, 2, 3),
    tags="comprehension call math map branch",
)
def bundle_adjustment_residuals(camera, points, weights, features):
    def cross(a, b):
        return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])

    def residual(x, w, feature):
        r, v = camera[:3], x - camera[3:6]
        theta2 = r @ r
        if theta2 > 0.0:
            theta = math.sqrt(theta2)
            axis = r / theta
            rotated = (
                v * math.cos(theta) + cross(axis, v) * math.sin(theta) + axis * (axis @ v) * (1.0 - math.cos(theta))
            )
        else:
            rotated = v + cross(r, v)
        p = rotated[:2] / rotated[2]
        p2 = p @ p
        distortion = 1.0 + 1e-3 * camera[9] * p2 + 1e-3 * camera[10] * p2 * p2
        return w * (p * distortion * camera[6] + camera[7:9] - feature)

    errors = [residual(points[i], weights[i], features[i]) for i in range(len(points))]
    return errors, 1.0 - weights**2


@program(
    args=lambda n, rng: (rng.normal(size=n + 2), rng.normal(size=n + 2), 0.2),
    wrt=(0, 1, 2),
    tags="loop slice alias recurrence",
)
def wave_equation(before, now, c):
    for _ in range(4):
        after = np.zeros(len(now))
        after[1:-1] = 2.0 * now[1:-1] - before[1:-1] + c * (now[2:] - 2.0 * now[1:-1] + now[:-2])
        before, now = now, after
    return now, before


@program(
    args=lambda n, rng: (rng.uniform(0.5, 1.5, size=(n, n)), 3),
    wrt=(0,),
    sizes=(1, 2, 5),
    large=20,
    tags="loop numpy recurrence sum update",
)
def lattice_boltzmann(density, steps):
    cx, cy = (0, 1, 0, -1, 0), (0, 0, 1, 0, -1)
    w = (1.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0)
    f = np.stack([density * w[k] * (1.0 + 0.1 * k) for k in range(5)])
    for _ in range(steps):
        rho = f.sum(axis=0)
        ux, uy = (f[1] - f[3]) / rho, (f[2] - f[4]) / rho
        for k in range(5):
            equilibrium = w[k] * rho * (1.0 + 3.0 * (cx[k] * ux + cy[k] * uy))
            f[k] = np.roll(f[k] + 0.6 * (equilibrium - f[k]), (cx[k], cy[k]), axis=(0, 1))
    return f


@program(
    args=lambda n, rng: (
        np.sort(rng.uniform(0.0, 10.0, size=9)),
        rng.uniform(0.1, 1.0, size=(9, 3)),
        rng.uniform(0.5, 9.5, size=n),
        rng.uniform(size=(n, 3)),
    ),
    wrt=(1, 3),
    tags="loop while gather sum index",
)
def cross_section_lookup(grid, table, energies, densities):
    total = 0.0
    for s in range(len(energies)):
        low, high = 0, len(grid) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if grid[middle] > energies[s]:
                high = middle
            else:
                low = middle
        t = (energies[s] - grid[low]) / (grid[high] - grid[low])
        for k in range(3):
            total += densities[s, k] * ((1.0 - t) * table[low, k] + t * table[high, k]) ** 2
    return total


@program(
    args=lambda n, rng: (rng.uniform(0.5, 1.5, size=n), 20.0), wrt=(0, 1), tags="loop inplace branch while recurrence"
)
def adaptive_euler(rates, end):
    y = np.ones(len(rates))
    for i in range(len(rates)):
        t, h = 0.0, 0.5
        while t < end:
            step = min(h, end - t)
            full = y[i] + step * -rates[i] * y[i] * 0.1
            half = y[i] + 0.5 * step * -rates[i] * y[i] * 0.1
            double = half + 0.5 * step * -rates[i] * half * 0.1
            if abs(full - double) > 0.005:
                h = 0.5 * step
                continue
            y[i] = double
            t += step
            h = 1.5 * step
    return y


@program(args=lambda n, rng: (0.3, 1.0, -0.5, n + 3), wrt=(0, 1, 2), tags="comprehension loop recurrence numpy")
def option_binomial_tree(volatility, spot, strike_log, steps):
    up = math.exp(volatility / math.sqrt(steps))
    strike = math.exp(strike_log)
    q = (1.0 - 1.0 / up) / (up - 1.0 / up)
    value = np.array([max(spot * up ** (2.0 * k - steps) - strike, 0.0) for k in range(steps + 1)])
    for turn in range(steps, 0, -1):
        value[:turn] = q * value[1 : turn + 1] + (1.0 - q) * value[:turn]
    return value[0]


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=4), rng.integers(0, max(n, 1), size=(n, 2))),
    wrt=(0, 1),
    tags="comprehension gather call contraction",
)
def quaternion_springs(points, q, springs):
    w, x, y, z = q / np.sqrt(q @ q)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    moved = points @ rotation.T
    energy = sum(0.5 * sum((moved[a, c] - points[b, c]) ** 2 for c in range(3)) for a, b in springs)
    return moved, energy

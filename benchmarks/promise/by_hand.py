"""The same programs' gradients as one writes them by hand, for Numba: (value, gradients) in linear time."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.kernels.registry import hand


@hand
def tree(parent, theta):
    n = len(theta)
    s, g, slope = np.empty(n), np.empty(n), np.empty(n)
    s[0] = theta[0]
    for i in range(1, n):
        above = s[parent[i]]
        s[i] = 0.5 * above + theta[i] * (1.0 - above)
    total = 0.0
    for i in range(n):
        total += s[i] * s[i]
        g[i] = 2.0 * s[i]
    for i in range(n - 1, 0, -1):
        slope[i] = g[i] * (1.0 - s[parent[i]])
        g[parent[i]] += g[i] * (0.5 - theta[i])
    slope[0] = g[0]
    return total, slope


@hand
def downstream(runoff, down):
    q = runoff.copy()
    n = len(q)
    tanh = np.empty(n)
    for i in range(n - 1):
        tanh[i] = math.tanh(q[i])
        q[down[i]] += 0.5 * tanh[i]
    total, g = 0.0, 2.0 * q
    for i in range(n):
        total += q[i] * q[i]
    for i in range(n - 2, -1, -1):
        g[i] += 0.5 * (1.0 - tanh[i] * tanh[i]) * g[down[i]]
    return total, g


@hand
def seidel(x, sweeps):
    n = len(x)
    x = x.copy()
    kept = np.empty((sweeps, n))
    for t in range(sweeps):
        for i in range(1, n - 1):
            x[i] = math.tanh(0.5 * (x[i - 1] + x[i + 1]) + 0.1 * x[i])
            kept[t, i] = x[i]
    total, g = np.sum(x), np.ones(n)
    for t in range(sweeps - 1, -1, -1):
        for i in range(n - 2, 0, -1):
            slope = g[i] * (1.0 - kept[t, i] * kept[t, i])
            g[i] = 0.1 * slope
            g[i - 1] += 0.5 * slope
            g[i + 1] += 0.5 * slope
    return total, g


@hand
def product(x, turns):
    kept = np.empty(turns)
    y = 1.0
    for k in range(turns):
        kept[k] = y
        y = y * math.cos(y * x[k % 3]) + 0.5
    g, slope = 1.0, np.zeros(3)
    for k in range(turns - 1, -1, -1):
        before, factor = kept[k], x[k % 3]
        sine, cosine = math.sin(before * factor), math.cos(before * factor)
        slope[k % 3] -= g * before * before * sine
        g *= cosine - before * factor * sine
    return y, slope


@hand
def lookup(table, start, steps):
    n = len(table)
    before, tanh = np.empty(steps), np.empty(steps)
    x = start
    for t in range(steps):
        total = 0.0
        for k in range(8):
            total += table[(t * 7919 + k * 104729) % n] * x
        before[t], tanh[t] = x, math.tanh(total)
        x = tanh[t] + 0.5
    g, slope = 1.0, np.zeros(n)
    for t in range(steps - 1, -1, -1):
        seed = g * (1.0 - tanh[t] * tanh[t])
        g = 0.0
        for k in range(8):
            at = (t * 7919 + k * 104729) % n
            slope[at] += seed * before[t]
            g += seed * table[at]
    return x, slope


@hand
def soft_dtw(d):
    n, m = d.shape
    r, shares = np.full((n + 1, m + 1), 1e10), np.empty((n, m, 3))
    r[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            a, b, c = -r[i - 1, j - 1], -r[i - 1, j], -r[i, j - 1]
            top = max(a, b, c)
            a, b, c = math.exp(a - top), math.exp(b - top), math.exp(c - top)
            total = a + b + c
            r[i, j] = d[i - 1, j - 1] - (top + math.log(total))
            shares[i - 1, j - 1, 0], shares[i - 1, j - 1, 1], shares[i - 1, j - 1, 2] = a / total, b / total, c / total
    g = np.zeros((n + 1, m + 1))
    g[n, m] = 1.0
    for i in range(n, 0, -1):
        for j in range(m, 0, -1):
            g[i - 1, j - 1] += g[i, j] * shares[i - 1, j - 1, 0]
            g[i - 1, j] += g[i, j] * shares[i - 1, j - 1, 1]
            g[i, j - 1] += g[i, j] * shares[i - 1, j - 1, 2]
    return r[n, m], g[1:, 1:]


@hand
def _slope(x, y, z, sigma, rho, beta):
    return sigma * (y - x), x * (rho - z) - y, x * y - beta * z


@hand
def _pulled(a, b, c, x, y, z, sigma, rho, beta, slope):
    """The adjoint of _slope at (x, y, z) for a cotangent (a, b, c); the parameters' part is added to `slope`."""
    slope[0] += a * (y - x)
    slope[1] += b * x
    slope[2] -= c * z
    return -a * sigma + b * (rho - z) + c * y, a * sigma - b + c * x, -b * x - c * beta


@hand
def lorenz(state, parameters, steps, dt):
    x, y, z = state[0], state[1], state[2]
    s, r, b = parameters[0], parameters[1], parameters[2]
    kept = np.empty((steps, 3))
    for t in range(steps):
        kept[t, 0], kept[t, 1], kept[t, 2] = x, y, z
        k1x, k1y, k1z = _slope(x, y, z, s, r, b)
        k2x, k2y, k2z = _slope(x + dt / 2 * k1x, y + dt / 2 * k1y, z + dt / 2 * k1z, s, r, b)
        k3x, k3y, k3z = _slope(x + dt / 2 * k2x, y + dt / 2 * k2y, z + dt / 2 * k2z, s, r, b)
        k4x, k4y, k4z = _slope(x + dt * k3x, y + dt * k3y, z + dt * k3z, s, r, b)
        x += dt / 6 * (k1x + 2 * k2x + 2 * k3x + k4x)
        y += dt / 6 * (k1y + 2 * k2y + 2 * k3y + k4y)
        z += dt / 6 * (k1z + 2 * k2z + 2 * k3z + k4z)
    total = x * x + y * y + z * z
    gx, gy, gz, slope = 2 * x, 2 * y, 2 * z, np.zeros(3)
    for t in range(steps - 1, -1, -1):
        x, y, z = kept[t, 0], kept[t, 1], kept[t, 2]
        k1x, k1y, k1z = _slope(x, y, z, s, r, b)
        x2, y2, z2 = x + dt / 2 * k1x, y + dt / 2 * k1y, z + dt / 2 * k1z
        k2x, k2y, k2z = _slope(x2, y2, z2, s, r, b)
        x3, y3, z3 = x + dt / 2 * k2x, y + dt / 2 * k2y, z + dt / 2 * k2z
        k3x, k3y, k3z = _slope(x3, y3, z3, s, r, b)
        x4, y4, z4 = x + dt * k3x, y + dt * k3y, z + dt * k3z
        px, py, pz = dt / 6 * gx, dt / 6 * gy, dt / 6 * gz
        ax, ay, az = _pulled(px, py, pz, x4, y4, z4, s, r, b, slope)
        bx, by, bz = _pulled(2 * px + dt * ax, 2 * py + dt * ay, 2 * pz + dt * az, x3, y3, z3, s, r, b, slope)
        h = dt / 2
        cx, cy, cz = _pulled(2 * px + h * bx, 2 * py + h * by, 2 * pz + h * bz, x2, y2, z2, s, r, b, slope)
        dx, dy, dz = _pulled(px + h * cx, py + h * cy, pz + h * cz, x, y, z, s, r, b, slope)
        gx, gy, gz = gx + ax + bx + cx + dx, gy + ay + by + cy + dy, gz + az + bz + cz + dz
    return total, (np.array([gx, gy, gz]), slope)


@hand
def conditional(x, y):
    n = len(x)
    a, old = x.copy(), np.empty(n)
    for i in range(1, n):
        if y[i] > 0.0:
            old[i] = a[i]
            a[i] = a[i - 1] * y[i]
        else:
            old[i] = a[i - 1]
            a[i - 1] = a[i] + y[i]
    total, g, slope = 0.0, 2.0 * a, np.zeros(n)
    for i in range(n):
        total += a[i] * a[i]
    for i in range(n - 1, 0, -1):
        if y[i] > 0.0:
            a[i] = old[i]
            slope[i] = g[i] * a[i - 1]
            g[i - 1] += g[i] * y[i]
            g[i] = 0.0
        else:
            a[i - 1] = old[i]
            slope[i] = g[i - 1]
            g[i] += g[i - 1]
            g[i - 1] = 0.0
    return total, (g, slope)


@hand
def lanes(x, turns):
    total, g, kept = 0.0, np.empty(len(x)), np.empty(max(1, np.max(turns)))
    for i in range(len(x)):
        v = x[i]
        for k in range(turns[i]):
            kept[k] = v
            v += 0.1 * math.sin(v)
        total += v * v
        slope = 2.0 * v
        for k in range(turns[i] - 1, -1, -1):
            slope *= 1.0 + 0.1 * math.cos(kept[k])
        g[i] = slope
    return total, g


@hand
def rosenbrock(x):
    total, g = 0.0, np.zeros(len(x))
    for i in range(len(x) - 1):
        off, short = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        total += 100.0 * off * off + short * short
        g[i] -= 400.0 * off * x[i] + 2.0 * short
        g[i + 1] += 200.0 * off
    return total, g


ADJOINTS = {
    "tree recurrence": tree,
    "downstream accumulation": downstream,
    "Gauss-Seidel in place": seidel,
    "product, run-time bound": product,
    "nested loops, look-up": lookup,
    "soft-DTW in place": soft_dtw,
    "Lorenz RK4": lorenz,
    "conditional update": conditional,
    "while per lane": lanes,
    "Rosenbrock loop": rosenbrock,
}

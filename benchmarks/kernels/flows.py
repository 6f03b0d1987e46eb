"""Flow in a cavity and in a channel: explicit steps of Navier-Stokes with a pressure from a few Jacobi sweeps.

The adjoints keep the velocities of every step, all that the return sweep asks for.  Per point they are scatters over
the inner points; what is on the rim is swapped back before.
"""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, weights

RHO, NU, DT = 1.0, 0.1, 0.001


def pressure_source(b, dt, u, v, dx, dy):
    b[1:-1, 1:-1] = RHO * (
        1 / dt * ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx) + (v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy))
        - ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 1:-1] - u[0:-2, 1:-1]) / (2 * dy) * (v[1:-1, 2:] - v[1:-1, 0:-2]) / (2 * dx))
        - ((v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy)) ** 2
    )


def pressure_sweeps(sweeps, p, dx, dy, b):
    for _ in range(sweeps):
        pn = p.copy()
        p[1:-1, 1:-1] = ((pn[1:-1, 2:] + pn[1:-1, 0:-2]) * dy**2 + (pn[2:, 1:-1] + pn[0:-2, 1:-1]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 1:-1]
        p[:, -1] = p[:, -2]
        p[0, :] = p[1, :]
        p[:, 0] = p[:, 1]
        p[-1, :] = 0


def cavity_flow(u, v, p, w, steps, sweeps):
    u, v, p = u.copy(), v.copy(), p.copy()
    n = u.shape[0]
    dx = dy = 2.0 / (n - 1)
    b = np.zeros((n, n))
    for _ in range(steps):
        un = u.copy()
        vn = v.copy()
        pressure_source(b, DT, u, v, dx, dy)
        pressure_sweeps(sweeps, p, dx, dy, b)
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            - un[1:-1, 1:-1] * DT / dx * (un[1:-1, 1:-1] - un[1:-1, 0:-2])
            - vn[1:-1, 1:-1] * DT / dy * (un[1:-1, 1:-1] - un[0:-2, 1:-1])
            - DT / (2 * RHO * dx) * (p[1:-1, 2:] - p[1:-1, 0:-2])
            + NU
            * (
                DT / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, 0:-2])
                + DT / dy**2 * (un[2:, 1:-1] - 2 * un[1:-1, 1:-1] + un[0:-2, 1:-1])
            )
        )
        v[1:-1, 1:-1] = (
            vn[1:-1, 1:-1]
            - un[1:-1, 1:-1] * DT / dx * (vn[1:-1, 1:-1] - vn[1:-1, 0:-2])
            - vn[1:-1, 1:-1] * DT / dy * (vn[1:-1, 1:-1] - vn[0:-2, 1:-1])
            - DT / (2 * RHO * dy) * (p[2:, 1:-1] - p[0:-2, 1:-1])
            + NU
            * (
                DT / dx**2 * (vn[1:-1, 2:] - 2 * vn[1:-1, 1:-1] + vn[1:-1, 0:-2])
                + DT / dy**2 * (vn[2:, 1:-1] - 2 * vn[1:-1, 1:-1] + vn[0:-2, 1:-1])
            )
        )
        u[0, :] = 0
        u[:, 0] = 0
        u[:, -1] = 0
        u[-1, :] = 1
        v[0, :] = 0
        v[-1, :] = 0
        v[:, 0] = 0
        v[:, -1] = 0
    return np.sum(w * u)


@hand
def source_by_points(b, u, v, h):
    n = len(u)
    r = 1.0 / (2.0 * h)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            ux, uy = (u[i, j + 1] - u[i, j - 1]) * r, (u[i + 1, j] - u[i - 1, j]) * r
            vx, vy = (v[i, j + 1] - v[i, j - 1]) * r, (v[i + 1, j] - v[i - 1, j]) * r
            b[i, j] = RHO * ((ux + vy) / DT - ux * ux - 2.0 * uy * vx - vy * vy)


@hand
def source_backwards(B, u, v, U, V, h):
    n = len(u)
    r = 1.0 / (2.0 * h)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            ux, uy = (u[i, j + 1] - u[i, j - 1]) * r, (u[i + 1, j] - u[i - 1, j]) * r
            vx, vy = (v[i, j + 1] - v[i, j - 1]) * r, (v[i + 1, j] - v[i - 1, j]) * r
            g = RHO * r * B[i, j]
            gx, gy = g * (1.0 / DT - 2.0 * ux), g * (1.0 / DT - 2.0 * vy)
            U[i, j + 1] += gx
            U[i, j - 1] -= gx
            U[i + 1, j] -= 2.0 * g * vx
            U[i - 1, j] += 2.0 * g * vx
            V[i, j + 1] -= 2.0 * g * uy
            V[i, j - 1] += 2.0 * g * uy
            V[i + 1, j] += gy
            V[i - 1, j] -= gy


@hand
def pressure_by_points(p, pn, b, sweeps, h):
    n = len(p)
    for _ in range(sweeps):
        pn[:] = p
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                around = pn[i, j + 1] + pn[i, j - 1] + pn[i + 1, j] + pn[i - 1, j]
                p[i, j] = 0.25 * around - 0.25 * h * h * b[i, j]
        for i in range(n):
            p[i, n - 1] = p[i, n - 2]
        for j in range(n):
            p[0, j] = p[1, j]
        for i in range(n):
            p[i, 0] = p[i, 1]
        for j in range(n):
            p[n - 1, j] = 0.0


@hand
def pressure_backwards(P, Q, B, sweeps, h):
    """P is the pressure's adjoint, Q work space, B gathers the source's."""
    n = len(P)
    for _ in range(sweeps):
        for j in range(n):
            P[n - 1, j] = 0.0
        for i in range(n):
            P[i, 1] += P[i, 0]
            P[i, 0] = 0.0
        for j in range(n):
            P[1, j] += P[0, j]
            P[0, j] = 0.0
        for i in range(n):
            P[i, n - 2] += P[i, n - 1]
            P[i, n - 1] = 0.0
        # p[1:-1, 1:-1] was overwritten: what is on the rim stays, which is nothing now
        Q[0] = 0.0
        Q[n - 1] = 0.0
        for i in range(1, n - 1):
            Q[i, 0] = Q[i, n - 1] = 0.0
            for j in range(1, n - 1):
                Q[i, j] = 0.25 * P[i, j]
                B[i, j] -= h * h * Q[i, j]
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                P[i, j] = Q[i, j - 1] + Q[i, j + 1] + Q[i - 1, j] + Q[i + 1, j]
        for k in range(1, n - 1):
            P[0, k], P[n - 1, k], P[k, 0], P[k, n - 1] = Q[1, k], Q[n - 2, k], Q[k, 1], Q[k, n - 2]


@hand
def cavity_rim(u, v, lid):
    n = len(u)
    u[0] = 0.0
    u[:, 0] = 0.0
    u[:, n - 1] = 0.0
    u[n - 1] = lid
    v[0] = 0.0
    v[n - 1] = 0.0
    v[:, 0] = 0.0
    v[:, n - 1] = 0.0


@hand
def velocities(u, v, un, vn, p, h):
    n = len(u)
    c, d = DT / h, NU * DT / (h * h)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            x, y = un[i, j], vn[i, j]
            lap = un[i, j + 1] + un[i, j - 1] + un[i + 1, j] + un[i - 1, j] - 4.0 * x
            push = c * (x * (x - un[i, j - 1]) + y * (x - un[i - 1, j])) + 0.5 * c / RHO * (p[i, j + 1] - p[i, j - 1])
            u[i, j] = x - push + d * lap
            lap = vn[i, j + 1] + vn[i, j - 1] + vn[i + 1, j] + vn[i - 1, j] - 4.0 * y
            push = c * (x * (y - vn[i, j - 1]) + y * (y - vn[i - 1, j])) + 0.5 * c / RHO * (p[i + 1, j] - p[i - 1, j])
            v[i, j] = y - push + d * lap


@hand
def velocities_backwards(U, V, un, vn, P, UN, VN, h):
    """U, V are the adjoints after a step, zero on the rim; adds to those before it, and to the pressure's."""
    n = len(U)
    c, d = DT / h, NU * DT / (h * h)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            x, y = un[i, j], vn[i, j]
            g, f = U[i, j], V[i, j]
            UN[i, j] += g * (1.0 - c * (2.0 * x - un[i, j - 1] + y) - 4.0 * d) - f * c * (y - vn[i, j - 1])
            UN[i, j - 1] += g * (c * x + d)
            UN[i - 1, j] += g * (c * y + d)
            UN[i, j + 1] += d * g
            UN[i + 1, j] += d * g
            VN[i, j] += f * (1.0 - c * (2.0 * y - vn[i - 1, j] + x) - 4.0 * d) - g * c * (x - un[i - 1, j])
            VN[i, j - 1] += f * (c * x + d)
            VN[i - 1, j] += f * (c * y + d)
            VN[i, j + 1] += d * f
            VN[i + 1, j] += d * f
            e = 0.5 * c / RHO
            P[i, j + 1] -= e * g
            P[i, j - 1] += e * g
            P[i + 1, j] -= e * f
            P[i - 1, j] += e * f


@hand
def cavity_flow_primal(u, v, p, w, steps, sweeps):
    u, v, p = u.copy(), v.copy(), p.copy()
    n = len(u)
    h = 2.0 / (n - 1)
    b, pn = np.zeros((n, n)), np.empty((n, n))
    un, vn = np.empty((n, n)), np.empty((n, n))
    for _ in range(steps):
        un[:] = u
        vn[:] = v
        source_by_points(b, u, v, h)
        pressure_by_points(p, pn, b, sweeps, h)
        velocities(u, v, un, vn, p, h)
        cavity_rim(u, v, 1.0)
    return np.sum(w * u)


@hand
def cavity_flow_adjoint(u, v, p, w, steps, sweeps):
    n = len(u)
    h = 2.0 / (n - 1)
    us, vs, p = np.empty((steps + 1, n, n)), np.empty((steps + 1, n, n)), p.copy()
    us[0], vs[0] = u, v
    b, pn = np.zeros((n, n)), np.empty((n, n))
    for t in range(steps):
        source_by_points(b, us[t], vs[t], h)
        pressure_by_points(p, pn, b, sweeps, h)
        velocities(us[t + 1], vs[t + 1], us[t], vs[t], p, h)
        cavity_rim(us[t + 1], vs[t + 1], 1.0)
    value = np.sum(w * us[steps])
    U, V, P, B = w.copy(), np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    UN, VN = np.zeros((n, n)), np.zeros((n, n))
    for t in range(steps - 1, -1, -1):
        cavity_rim(U, V, 0.0)
        UN[:] = 0.0
        VN[:] = 0.0
        velocities_backwards(U, V, us[t], vs[t], P, UN, VN, h)
        B[:] = 0.0
        pressure_backwards(P, pn, B, sweeps, h)
        source_backwards(B, us[t], vs[t], UN, VN, h)
        U, UN = UN, U
        V, VN = VN, V
    return value, U


def cavity_flow_jax(u, v, p, w, steps, sweeps):
    n = len(u)
    h = 2.0 / (n - 1)
    inner = (slice(1, -1), slice(1, -1))

    def sweep(q, state):
        p, b = state
        around = p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1]
        p = p.at[inner].set(0.25 * around - 0.25 * h**2 * b)
        p = p.at[:, -1].set(p[:, -2])
        p = p.at[0, :].set(p[1, :])
        p = p.at[:, 0].set(p[:, 1])
        return p.at[-1, :].set(0.0), b

    def moved(x, u, v, push):
        centre = x[inner]
        lap = x[1:-1, 2:] + x[1:-1, :-2] + x[2:, 1:-1] + x[:-2, 1:-1] - 4.0 * centre
        drift = u[inner] * (centre - x[1:-1, :-2]) + v[inner] * (centre - x[:-2, 1:-1])
        return centre - DT / h * drift - DT / (2 * RHO * h) * push + NU * DT / h**2 * lap

    def step(t, state):
        u, v, p = state
        ux, uy = (u[1:-1, 2:] - u[1:-1, :-2]) / (2 * h), (u[2:, 1:-1] - u[:-2, 1:-1]) / (2 * h)
        vx, vy = (v[1:-1, 2:] - v[1:-1, :-2]) / (2 * h), (v[2:, 1:-1] - v[:-2, 1:-1]) / (2 * h)
        b = RHO * ((ux + vy) / DT - ux**2 - 2 * uy * vx - vy**2)
        p, _ = lax.fori_loop(0, sweeps, sweep, (p, b))
        after = u.at[inner].set(moved(u, u, v, p[1:-1, 2:] - p[1:-1, :-2]))
        v = v.at[inner].set(moved(v, u, v, p[2:, 1:-1] - p[:-2, 1:-1]))
        u = after.at[0, :].set(0.0).at[:, 0].set(0.0).at[:, -1].set(0.0).at[-1, :].set(1.0)
        return u, v.at[0, :].set(0.0).at[-1, :].set(0.0).at[:, 0].set(0.0).at[:, -1].set(0.0), p

    u, _, _ = lax.fori_loop(0, steps, step, (u, v, p))
    return jnp.sum(w * u)


kernel(
    "cavity_flow",
    "stencils",
    cavity_flow,
    cavity_flow_primal,
    cavity_flow_adjoint,
    cavity_flow_jax,
    args=lambda n: (0.1 * normal(n, n), 0.1 * weights(n, n), 0.1 * normal(n, n), weights(n, n), 5, 10),
    size=100,
    static=(4, 5),
)

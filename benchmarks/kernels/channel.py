"""Flow in a channel that is periodic along it: explicit steps of Navier-Stokes, as in benchmarks/kernels/flows.py.

Columns wrap around, walls are above and below.  The adjoint keeps the velocities of every step; per point it is a
scatter over the inner rows.
"""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, weights

RHO, NU, DT, FORCE = 1.0, 0.1, 0.001, 1.0


def build_up_b(rho, dt, dx, dy, u, v):
    b = np.zeros_like(u)
    b[1:-1, 1:-1] = rho * (
        1 / dt * ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx) + (v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy))
        - ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 1:-1] - u[0:-2, 1:-1]) / (2 * dy) * (v[1:-1, 2:] - v[1:-1, 0:-2]) / (2 * dx))
        - ((v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy)) ** 2
    )
    # periodic: the last column, then the first
    b[1:-1, -1] = rho * (
        1 / dt * ((u[1:-1, 0] - u[1:-1, -2]) / (2 * dx) + (v[2:, -1] - v[0:-2, -1]) / (2 * dy))
        - ((u[1:-1, 0] - u[1:-1, -2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, -1] - u[0:-2, -1]) / (2 * dy) * (v[1:-1, 0] - v[1:-1, -2]) / (2 * dx))
        - ((v[2:, -1] - v[0:-2, -1]) / (2 * dy)) ** 2
    )
    b[1:-1, 0] = rho * (
        1 / dt * ((u[1:-1, 1] - u[1:-1, -1]) / (2 * dx) + (v[2:, 0] - v[0:-2, 0]) / (2 * dy))
        - ((u[1:-1, 1] - u[1:-1, -1]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 0] - u[0:-2, 0]) / (2 * dy) * (v[1:-1, 1] - v[1:-1, -1]) / (2 * dx))
        - ((v[2:, 0] - v[0:-2, 0]) / (2 * dy)) ** 2
    )
    return b


def pressure_poisson_periodic(sweeps, p, dx, dy, b):
    for _ in range(sweeps):
        pn = p.copy()
        p[1:-1, 1:-1] = ((pn[1:-1, 2:] + pn[1:-1, 0:-2]) * dy**2 + (pn[2:, 1:-1] + pn[0:-2, 1:-1]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 1:-1]
        p[1:-1, -1] = ((pn[1:-1, 0] + pn[1:-1, -2]) * dy**2 + (pn[2:, -1] + pn[0:-2, -1]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, -1]
        p[1:-1, 0] = ((pn[1:-1, 1] + pn[1:-1, -1]) * dy**2 + (pn[2:, 0] + pn[0:-2, 0]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 0]
        p[-1, :] = p[-2, :]
        p[0, :] = p[1, :]


def moved(x, un, vn, dt, dx, dy, nu, centre, left, right):
    """A velocity after drift and friction, in columns whose neighbours are named; inner rows."""
    return (
        x[1:-1, centre]
        - un[1:-1, centre] * dt / dx * (x[1:-1, centre] - x[1:-1, left])
        - vn[1:-1, centre] * dt / dy * (x[1:-1, centre] - x[0:-2, centre])
        + nu
        * (
            dt / dx**2 * (x[1:-1, right] - 2 * x[1:-1, centre] + x[1:-1, left])
            + dt / dy**2 * (x[2:, centre] - 2 * x[1:-1, centre] + x[0:-2, centre])
        )
    )


def channel_flow(u, v, p, w, steps, sweeps):
    u, v, p = u.copy(), v.copy(), p.copy()
    n = u.shape[0]
    dx = dy = 2.0 / (n - 1)
    columns = ((slice(1, -1), slice(0, -2), slice(2, None)), (-1, -2, 0), (0, -1, 1))
    for _ in range(steps):
        un, vn = u.copy(), v.copy()
        b = build_up_b(RHO, DT, dx, dy, u, v)
        pressure_poisson_periodic(sweeps, p, dx, dy, b)
        for centre, left, right in columns:
            u[1:-1, centre] = (
                moved(un, un, vn, DT, dx, dy, NU, centre, left, right)
                - DT / (2 * RHO * dx) * (p[1:-1, right] - p[1:-1, left])
                + FORCE * DT
            )
            v[1:-1, centre] = moved(vn, un, vn, DT, dx, dy, NU, centre, left, right) - DT / (2 * RHO * dy) * (
                p[2:, centre] - p[0:-2, centre]
            )
        u[0, :] = 0
        u[-1, :] = 0
        v[0, :] = 0
        v[-1, :] = 0
    return np.sum(w * u)


@hand
def channel_source(b, u, v, h):
    n, r = len(u), 1.0 / (2.0 * h)
    for i in range(1, n - 1):
        for j in range(n):
            left, right = j - 1 if j > 0 else n - 1, j + 1 if j < n - 1 else 0
            ux, uy = (u[i, right] - u[i, left]) * r, (u[i + 1, j] - u[i - 1, j]) * r
            vx, vy = (v[i, right] - v[i, left]) * r, (v[i + 1, j] - v[i - 1, j]) * r
            b[i, j] = RHO * ((ux + vy) / DT - ux * ux - 2.0 * uy * vx - vy * vy)


@hand
def channel_source_backwards(B, u, v, U, V, h):
    n, r = len(u), 1.0 / (2.0 * h)
    for i in range(1, n - 1):
        for j in range(n):
            left, right = j - 1 if j > 0 else n - 1, j + 1 if j < n - 1 else 0
            ux, uy = (u[i, right] - u[i, left]) * r, (u[i + 1, j] - u[i - 1, j]) * r
            vx, vy = (v[i, right] - v[i, left]) * r, (v[i + 1, j] - v[i - 1, j]) * r
            g = RHO * r * B[i, j]
            gx, gy = g * (1.0 / DT - 2.0 * ux), g * (1.0 / DT - 2.0 * vy)
            U[i, right] += gx
            U[i, left] -= gx
            U[i + 1, j] -= 2.0 * g * vx
            U[i - 1, j] += 2.0 * g * vx
            V[i, right] -= 2.0 * g * uy
            V[i, left] += 2.0 * g * uy
            V[i + 1, j] += gy
            V[i - 1, j] -= gy


@hand
def channel_pressure(p, pn, b, sweeps, h):
    n = len(p)
    for _ in range(sweeps):
        pn[:] = p
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                around = pn[i, j + 1] + pn[i, j - 1] + pn[i + 1, j] + pn[i - 1, j]
                p[i, j] = 0.25 * around - 0.25 * h * h * b[i, j]
            around = pn[i, 0] + pn[i, n - 2] + pn[i + 1, n - 1] + pn[i - 1, n - 1]
            p[i, n - 1] = 0.25 * around - 0.25 * h * h * b[i, n - 1]
            around = pn[i, 1] + pn[i, n - 1] + pn[i + 1, 0] + pn[i - 1, 0]
            p[i, 0] = 0.25 * around - 0.25 * h * h * b[i, 0]
        p[n - 1] = p[n - 2]
        p[0] = p[1]


@hand
def channel_pressure_backwards(P, Q, B, sweeps, h):
    """P is the pressure's adjoint, Q work space whose outer rows are zero, B gathers the source's."""
    n = len(P)
    for _ in range(sweeps):
        for j in range(n):
            P[1, j] += P[0, j]
            P[n - 2, j] += P[n - 1, j]
        for i in range(1, n - 1):
            for j in range(n):
                Q[i, j] = 0.25 * P[i, j]
                B[i, j] -= h * h * Q[i, j]
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                P[i, j] = Q[i, j - 1] + Q[i, j + 1] + Q[i - 1, j] + Q[i + 1, j]
            P[i, 0] = Q[i, n - 1] + Q[i, 1] + Q[i - 1, 0] + Q[i + 1, 0]
            P[i, n - 1] = Q[i, n - 2] + Q[i, 0] + Q[i - 1, n - 1] + Q[i + 1, n - 1]
        P[0] = Q[1]
        P[n - 1] = Q[n - 2]


@hand
def channel_velocities(u, v, un, vn, p, h):
    n = len(u)
    c, d = DT / h, NU * DT / (h * h)
    for i in range(1, n - 1):
        for j in range(n):
            left, right = j - 1 if j > 0 else n - 1, j + 1 if j < n - 1 else 0
            x, y = un[i, j], vn[i, j]
            lap = un[i, right] + un[i, left] + un[i + 1, j] + un[i - 1, j] - 4.0 * x
            push = c * (x * (x - un[i, left]) + y * (x - un[i - 1, j])) + 0.5 * c / RHO * (p[i, right] - p[i, left])
            u[i, j] = x - push + d * lap + FORCE * DT
            lap = vn[i, right] + vn[i, left] + vn[i + 1, j] + vn[i - 1, j] - 4.0 * y
            push = c * (x * (y - vn[i, left]) + y * (y - vn[i - 1, j])) + 0.5 * c / RHO * (p[i + 1, j] - p[i - 1, j])
            v[i, j] = y - push + d * lap


@hand
def channel_velocities_backwards(U, V, un, vn, P, UN, VN, h):
    """U, V are the adjoints after a step, zero in the outer rows; adds to those before it, and to the pressure's."""
    n = len(U)
    c, d = DT / h, NU * DT / (h * h)
    e = 0.5 * c / RHO
    for i in range(1, n - 1):
        for j in range(n):
            left, right = j - 1 if j > 0 else n - 1, j + 1 if j < n - 1 else 0
            x, y = un[i, j], vn[i, j]
            g, f = U[i, j], V[i, j]
            UN[i, j] += g * (1.0 - c * (2.0 * x - un[i, left] + y) - 4.0 * d) - f * c * (y - vn[i, left])
            UN[i, left] += g * (c * x + d)
            UN[i - 1, j] += g * (c * y + d)
            UN[i, right] += d * g
            UN[i + 1, j] += d * g
            VN[i, j] += f * (1.0 - c * (2.0 * y - vn[i - 1, j] + x) - 4.0 * d) - g * c * (x - un[i - 1, j])
            VN[i, left] += f * (c * x + d)
            VN[i - 1, j] += f * (c * y + d)
            VN[i, right] += d * f
            VN[i + 1, j] += d * f
            P[i, right] -= e * g
            P[i, left] += e * g
            P[i + 1, j] -= e * f
            P[i - 1, j] += e * f


@hand
def channel_walls(u, v):
    n = len(u)
    u[0] = 0.0
    u[n - 1] = 0.0
    v[0] = 0.0
    v[n - 1] = 0.0


@hand
def channel_flow_primal(u, v, p, w, steps, sweeps):
    u, v, p = u.copy(), v.copy(), p.copy()
    n = len(u)
    h = 2.0 / (n - 1)
    b, pn = np.zeros((n, n)), np.empty((n, n))
    un, vn = np.empty((n, n)), np.empty((n, n))
    for _ in range(steps):
        un[:] = u
        vn[:] = v
        channel_source(b, u, v, h)
        channel_pressure(p, pn, b, sweeps, h)
        channel_velocities(u, v, un, vn, p, h)
        channel_walls(u, v)
    return np.sum(w * u)


@hand
def channel_flow_adjoint(u, v, p, w, steps, sweeps):
    n = len(u)
    h = 2.0 / (n - 1)
    us, vs, p = np.empty((steps + 1, n, n)), np.empty((steps + 1, n, n)), p.copy()
    us[0], vs[0] = u, v
    b, pn = np.zeros((n, n)), np.empty((n, n))
    for t in range(steps):
        channel_source(b, us[t], vs[t], h)
        channel_pressure(p, pn, b, sweeps, h)
        channel_velocities(us[t + 1], vs[t + 1], us[t], vs[t], p, h)
        channel_walls(us[t + 1], vs[t + 1])
    value = np.sum(w * us[steps])
    U, V, P, B = w.copy(), np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    UN, VN, Q = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    for t in range(steps - 1, -1, -1):
        channel_walls(U, V)
        UN[:] = 0.0
        VN[:] = 0.0
        channel_velocities_backwards(U, V, us[t], vs[t], P, UN, VN, h)
        B[:] = 0.0
        channel_pressure_backwards(P, Q, B, sweeps, h)
        channel_source_backwards(B, us[t], vs[t], UN, VN, h)
        U, UN = UN, U
        V, VN = VN, V
    return value, U


def channel_flow_jax(u, v, p, w, steps, sweeps):
    h = 2.0 / (len(u) - 1)

    def around(x):
        """Inner rows: left, right, below, above."""
        return jnp.roll(x, 1, axis=1)[1:-1], jnp.roll(x, -1, axis=1)[1:-1], x[:-2], x[2:]

    def sweep(q, state):
        p, b = state
        p = p.at[1:-1].set(0.25 * sum(around(p)) - 0.25 * h**2 * b)
        p = p.at[-1].set(p[-2])
        return p.at[0].set(p[1]), b

    def after(x, u, v, push):
        left, right, below, above = around(x)
        centre = x[1:-1]
        drift = u[1:-1] * (centre - left) + v[1:-1] * (centre - below)
        lap = left + right + below + above - 4.0 * centre
        return centre - DT / h * drift - DT / (2 * RHO * h) * push + NU * DT / h**2 * lap

    def step(t, state):
        u, v, p = state
        (ul, ur, ub, ua), (vl, vr, vb, va) = around(u), around(v)
        ux, uy, vx, vy = ((a - b) / (2 * h) for a, b in ((ur, ul), (ua, ub), (vr, vl), (va, vb)))
        b = RHO * ((ux + vy) / DT - ux**2 - 2 * uy * vx - vy**2)
        p, _ = lax.fori_loop(0, sweeps, sweep, (p, b))
        pl, pr, pb, pa = around(p)
        new = jnp.zeros_like(u).at[1:-1].set(after(u, u, v, pr - pl) + FORCE * DT)
        return new, jnp.zeros_like(v).at[1:-1].set(after(v, u, v, pa - pb)), p

    u, _, _ = lax.fori_loop(0, steps, step, (u, v, p))
    return jnp.sum(w * u)


kernel(
    "channel_flow",
    "stencils",
    channel_flow,
    channel_flow_primal,
    channel_flow_adjoint,
    channel_flow_jax,
    args=lambda n: (0.1 * normal(n, n), 0.1 * weights(n, n), 0.1 * normal(n, n), weights(n, n), 5, 10),
    size=100,
    static=(4, 5),
)

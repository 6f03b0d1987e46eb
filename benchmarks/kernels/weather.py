"""Horizontal diffusion and vertical advection, as in models of the weather."""

from __future__ import annotations

import numpy as np

from .registry import hand, jnp, kernel, lax, normal, rng, weights


def hdiff(field, coefficient, w):
    I, J = coefficient.shape[0], coefficient.shape[1]
    lap = 4.0 * field[1 : I + 3, 1 : J + 3, :] - (
        field[2 : I + 4, 1 : J + 3, :]
        + field[0 : I + 2, 1 : J + 3, :]
        + field[1 : I + 3, 2 : J + 4, :]
        + field[1 : I + 3, 0 : J + 2, :]
    )
    res = lap[1:, 1 : J + 1, :] - lap[:-1, 1 : J + 1, :]
    flx = np.where((res * (field[2 : I + 3, 2 : J + 2, :] - field[1 : I + 2, 2 : J + 2, :])) > 0, 0, res)
    res = lap[1 : I + 1, 1:, :] - lap[1 : I + 1, :-1, :]
    fly = np.where((res * (field[2 : I + 2, 2 : J + 3, :] - field[2 : I + 2, 1 : J + 2, :])) > 0, 0, res)
    out = field[2 : I + 2, 2 : J + 2, :] - coefficient * (
        flx[1:, :, :] - flx[:-1, :, :] + fly[:, 1:, :] - fly[:, :-1, :]
    )
    return np.sum(w * out)


@hand
def laplacian(f, lap):
    for i in range(lap.shape[0]):
        for j in range(lap.shape[1]):
            for k in range(lap.shape[2]):
                around = f[i + 2, j + 1, k] + f[i, j + 1, k] + f[i + 1, j + 2, k] + f[i + 1, j, k]
                lap[i, j, k] = 4.0 * f[i + 1, j + 1, k] - around


@hand
def hdiff_fluxes(f, I, J, K):
    lap = np.empty((I + 2, J + 2, K))
    laplacian(f, lap)
    flx, fly = np.empty((I + 1, J, K)), np.empty((I, J + 1, K))
    for i in range(I + 1):
        for j in range(J):
            for k in range(K):
                r = lap[i + 1, j + 1, k] - lap[i, j + 1, k]
                flx[i, j, k] = 0.0 if r * (f[i + 2, j + 2, k] - f[i + 1, j + 2, k]) > 0.0 else r
    for i in range(I):
        for j in range(J + 1):
            for k in range(K):
                r = lap[i + 1, j + 1, k] - lap[i + 1, j, k]
                fly[i, j, k] = 0.0 if r * (f[i + 2, j + 2, k] - f[i + 2, j + 1, k]) > 0.0 else r
    return flx, fly


@hand
def hdiff_sum(f, c, w, flx, fly):
    I, J, K = c.shape
    total = 0.0
    for i in range(I):
        for j in range(J):
            for k in range(K):
                flux = flx[i + 1, j, k] - flx[i, j, k] + fly[i, j + 1, k] - fly[i, j, k]
                total += w[i, j, k] * (f[i + 2, j + 2, k] - c[i, j, k] * flux)
    return total


@hand
def hdiff_primal(f, c, w):
    flx, fly = hdiff_fluxes(f, *c.shape)
    return hdiff_sum(f, c, w, flx, fly)


@hand
def hdiff_adjoint(f, c, w):
    I, J, K = c.shape
    flx, fly = hdiff_fluxes(f, I, J, K)
    value = hdiff_sum(f, c, w, flx, fly)
    L, F = np.zeros((I + 2, J + 2, K)), np.zeros(f.shape)
    for i in range(I + 1):  # the flux that is zero is limited, or was zero anyway
        for j in range(J):
            for k in range(K):
                g = (w[i, j, k] * c[i, j, k] if i < I else 0.0) - (w[i - 1, j, k] * c[i - 1, j, k] if i > 0 else 0.0)
                if flx[i, j, k] != 0.0:
                    L[i + 1, j + 1, k] += g
                    L[i, j + 1, k] -= g
    for i in range(I):
        for j in range(J + 1):
            for k in range(K):
                g = (w[i, j, k] * c[i, j, k] if j < J else 0.0) - (w[i, j - 1, k] * c[i, j - 1, k] if j > 0 else 0.0)
                if fly[i, j, k] != 0.0:
                    L[i + 1, j + 1, k] += g
                    L[i + 1, j, k] -= g
    for i in range(I):
        for j in range(J):
            for k in range(K):
                F[i + 2, j + 2, k] = w[i, j, k]
    for i in range(I + 2):
        for j in range(J + 2):
            for k in range(K):
                g = L[i, j, k]
                F[i + 1, j + 1, k] += 4.0 * g
                F[i + 2, j + 1, k] -= g
                F[i, j + 1, k] -= g
                F[i + 1, j + 2, k] -= g
                F[i + 1, j, k] -= g
    return value, F


def hdiff_jax(f, c, w):
    I, J = c.shape[0], c.shape[1]
    around = f[2 : I + 4, 1 : J + 3] + f[0 : I + 2, 1 : J + 3] + f[1 : I + 3, 2 : J + 4] + f[1 : I + 3, 0 : J + 2]
    lap = 4.0 * f[1 : I + 3, 1 : J + 3] - around
    res = lap[1:, 1 : J + 1] - lap[:-1, 1 : J + 1]
    flx = jnp.where((res * (f[2 : I + 3, 2 : J + 2] - f[1 : I + 2, 2 : J + 2])) > 0, 0.0, res)
    res = lap[1 : I + 1, 1:] - lap[1 : I + 1, :-1]
    fly = jnp.where((res * (f[2 : I + 2, 2 : J + 3] - f[2 : I + 2, 1 : J + 2])) > 0, 0.0, res)
    out = f[2 : I + 2, 2 : J + 2] - c * (flx[1:] - flx[:-1] + fly[:, 1:] - fly[:, :-1])
    return jnp.sum(w * out)


def vadv(u_stage, utens_stage, wcon, u_pos, utens, w, dtr):
    I, J, K = utens_stage.shape
    utens_stage = utens_stage.copy()
    ccol = np.empty((I, J, K))
    dcol = np.empty((I, J, K))
    gcv = 0.25 * (wcon[1:, :, 1] + wcon[:-1, :, 1])
    cs = gcv * 0.5
    ccol[:, :, 0] = gcv * 0.5
    bcol = dtr - ccol[:, :, 0]
    correction = -cs * (u_stage[:, :, 1] - u_stage[:, :, 0])
    dcol[:, :, 0] = dtr * u_pos[:, :, 0] + utens[:, :, 0] + utens_stage[:, :, 0] + correction
    divided = 1.0 / bcol
    ccol[:, :, 0] = ccol[:, :, 0] * divided
    dcol[:, :, 0] = dcol[:, :, 0] * divided
    for k in range(1, K - 1):
        gav = -0.25 * (wcon[1:, :, k] + wcon[:-1, :, k])
        gcv = 0.25 * (wcon[1:, :, k + 1] + wcon[:-1, :, k + 1])
        as_ = gav * 0.5
        cs = gcv * 0.5
        acol = gav * 0.5
        ccol[:, :, k] = gcv * 0.5
        bcol = dtr - acol - ccol[:, :, k]
        correction = -as_ * (u_stage[:, :, k - 1] - u_stage[:, :, k]) - cs * (u_stage[:, :, k + 1] - u_stage[:, :, k])
        dcol[:, :, k] = dtr * u_pos[:, :, k] + utens[:, :, k] + utens_stage[:, :, k] + correction
        divided = 1.0 / (bcol - ccol[:, :, k - 1] * acol)
        ccol[:, :, k] = ccol[:, :, k] * divided
        dcol[:, :, k] = (dcol[:, :, k] - dcol[:, :, k - 1] * acol) * divided
    k = K - 1
    gav = -0.25 * (wcon[1:, :, k] + wcon[:-1, :, k])
    as_ = gav * 0.5
    acol = gav * 0.5
    bcol = dtr - acol
    correction = -as_ * (u_stage[:, :, k - 1] - u_stage[:, :, k])
    dcol[:, :, k] = dtr * u_pos[:, :, k] + utens[:, :, k] + utens_stage[:, :, k] + correction
    divided = 1.0 / (bcol - ccol[:, :, k - 1] * acol)
    dcol[:, :, k] = (dcol[:, :, k] - dcol[:, :, k - 1] * acol) * divided
    data = dcol[:, :, K - 1]
    utens_stage[:, :, K - 1] = dtr * (data - u_pos[:, :, K - 1])
    for k in range(K - 2, -1, -1):
        data = dcol[:, :, k] - ccol[:, :, k] * data
        utens_stage[:, :, k] = dtr * (data - u_pos[:, :, k])
    return np.sum(w * utens_stage)


@hand
def vadv_column(u_stage, utens_stage, wcon, u_pos, utens, dtr, i, j, a, c, s):
    """The elimination of one column: a and c below and above the diagonal, s one over the pivots."""
    K = u_stage.shape[2]
    before = 0.0
    for k in range(K):
        a[k] = -0.125 * (wcon[i + 1, j, k] + wcon[i, j, k]) if k > 0 else 0.0
        g = 0.125 * (wcon[i + 1, j, k + 1] + wcon[i, j, k + 1]) if k < K - 1 else 0.0
        s[0, k] = 1.0 / (dtr - a[k] - g - (c[k - 1] * a[k] if k > 0 else 0.0))
        d = dtr * u_pos[i, j, k] + utens[i, j, k] + utens_stage[i, j, k]
        if k > 0:
            d -= a[k] * (u_stage[i, j, k - 1] - u_stage[i, j, k])
        if k < K - 1:
            d -= g * (u_stage[i, j, k + 1] - u_stage[i, j, k])
        c[k] = g * s[0, k]
        before = (d - before * a[k]) * s[0, k]
        s[1, k] = before


@hand
def vadv_sum(u_pos, w, dtr, i, j, c, s):
    K = u_pos.shape[2]
    data, total = 0.0, 0.0
    for k in range(K - 1, -1, -1):
        data = s[1, k] - c[k] * data
        total += w[i, j, k] * (dtr * (data - u_pos[i, j, k]))
    return total


@hand
def vadv_primal(u_stage, utens_stage, wcon, u_pos, utens, w, dtr):
    I, J, K = u_stage.shape
    a, c, s = np.empty(K), np.empty(K), np.empty((2, K))
    total = 0.0
    for i in range(I):
        for j in range(J):
            vadv_column(u_stage, utens_stage, wcon, u_pos, utens, dtr, i, j, a, c, s)
            total += vadv_sum(u_pos, w, dtr, i, j, c, s)
    return total


@hand
def vadv_adjoint(u_stage, utens_stage, wcon, u_pos, utens, w, dtr):
    I, J, K = u_stage.shape
    a, c, s, g = np.empty(K), np.empty(K), np.empty((2, K)), np.empty(K)
    G = np.zeros((I, J, K))
    total = 0.0
    for i in range(I):
        for j in range(J):
            vadv_column(u_stage, utens_stage, wcon, u_pos, utens, dtr, i, j, a, c, s)
            total += vadv_sum(u_pos, w, dtr, i, j, c, s)
            above = 0.0
            for k in range(K):  # data[k] = d[k] - c[k] data[k + 1]
                above = dtr * w[i, j, k] - (c[k - 1] * above if k > 0 else 0.0)
                g[k] = above
            below = 0.0
            for k in range(K - 1, -1, -1):  # d[k] = (x[k] - a[k] d[k - 1]) s[k]
                below = (g[k] + below) * s[0, k]
                g[k] = below
                below *= -a[k]
            for k in range(K):
                if k > 0:
                    G[i, j, k - 1] -= a[k] * g[k]
                    G[i, j, k] += a[k] * g[k]
                if k < K - 1:
                    h = c[k] / s[0, k] * g[k]
                    G[i, j, k + 1] -= h
                    G[i, j, k] += h
    return total, G


def vadv_jax(u_stage, utens_stage, wcon, u_pos, utens, w, dtr):
    K = utens_stage.shape[2]
    gcv = 0.25 * (wcon[1:, :, 1] + wcon[:-1, :, 1])
    correction = -gcv * 0.5 * (u_stage[:, :, 1] - u_stage[:, :, 0])
    right = dtr * u_pos + utens + utens_stage
    divided = 1.0 / (dtr - gcv * 0.5)
    ccol = jnp.zeros_like(utens).at[:, :, 0].set(gcv * 0.5 * divided)
    dcol = jnp.zeros_like(utens).at[:, :, 0].set((right[:, :, 0] + correction) * divided)

    def down(k, state):
        ccol, dcol = state
        acol = -0.125 * (wcon[1:, :, k] + wcon[:-1, :, k])
        c = 0.125 * (wcon[1:, :, k + 1] + wcon[:-1, :, k + 1])
        here = u_stage[:, :, k]
        correction = -acol * (u_stage[:, :, k - 1] - here) - c * (u_stage[:, :, k + 1] - here)
        divided = 1.0 / (dtr - acol - c - ccol[:, :, k - 1] * acol)
        ccol = ccol.at[:, :, k].set(c * divided)
        return ccol, dcol.at[:, :, k].set((right[:, :, k] + correction - dcol[:, :, k - 1] * acol) * divided)

    ccol, dcol = lax.fori_loop(1, K - 1, down, (ccol, dcol))
    k = K - 1
    acol = -0.125 * (wcon[1:, :, k] + wcon[:-1, :, k])
    correction = -acol * (u_stage[:, :, k - 1] - u_stage[:, :, k])
    divided = 1.0 / (dtr - acol - ccol[:, :, k - 1] * acol)
    data = (right[:, :, k] + correction - dcol[:, :, k - 1] * acol) * divided
    out = utens_stage.at[:, :, k].set(dtr * (data - u_pos[:, :, k]))

    def up(t, state):
        data, out = state
        k = K - 1 - t
        data = dcol[:, :, k] - ccol[:, :, k] * data
        return data, out.at[:, :, k].set(dtr * (data - u_pos[:, :, k]))

    _, out = lax.fori_loop(1, K, up, (data, out))
    return jnp.sum(w * out)


kernel(
    "hdiff",
    "stencils",
    hdiff,
    hdiff_primal,
    hdiff_adjoint,
    hdiff_jax,
    args=lambda n: (normal(n + 4, n + 4, 40), rng().uniform(0.1, 0.9, size=(n, n, 40)), weights(n, n, 40)),
    size=64,
)
kernel(
    "vadv",
    "stencils",
    vadv,
    vadv_primal,
    vadv_adjoint,
    vadv_jax,
    args=lambda n: (
        normal(n, n, 40),
        weights(n, n, 40),
        rng().uniform(0.1, 0.9, size=(n + 1, n, 40)),
        normal(n, n, 40),
        normal(n, n, 40),
        weights(n, n, 40),
        3.0 / 20.0,
    ),
    size=64,
    static=(6,),
)

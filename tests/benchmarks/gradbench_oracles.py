"""GradBench's evaluations once more, in NumPy on complex numbers: values, and derivatives by the complex step.

Each oracle is written from the mathematics, not from the program that it checks: whole arrays where that has loops,
closed forms where there are any.  The complex step Im f(x + ih) / h with h = 1e-30 is exact to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import multigammaln

STEP = 1e-30


def derivative(f: Callable[[np.ndarray], Any], x: Any) -> np.ndarray:
    """The Jacobian of f at x: [shape of f(x)..., shape of x...]."""
    x = np.asarray(x, dtype=float)
    columns = []
    for k in range(x.size):
        moved = x.astype(complex)
        moved.flat[k] += 1j * STEP
        columns.append(np.imag(f(moved)) / STEP)
    return np.moveaxis(np.array(columns), 0, -1).reshape(*np.shape(columns[0]), *x.shape)


def logsumexp(v, axis=-1):
    top = v.real.max(axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(v - top).sum(axis))


# --- one scalar of one or several arrays ------------------------------------------------------------------------------


def llsq(x, n):
    t = np.linspace(-1, 1, n)
    return 0.5 * ((np.sign(t) - np.polyval(x[::-1], t)) ** 2).sum()


def gmm(alpha, mu, q, l, x, gamma, m):
    (n, d), k = x.shape, len(alpha)
    factor = np.zeros((k, d, d), dtype=np.result_type(q, l))
    factor[:, np.arange(d), np.arange(d)] = np.exp(q)
    at = 0
    for column in range(d):
        factor[:, column + 1 :, column] = l[:, at : at + d - column - 1]
        at += d - column - 1
    y = np.einsum("kab,nkb->nka", factor, x[:, None] - mu)
    beta = alpha + q.sum(1) - 0.5 * (y**2).sum(2)
    nu = d + m + 1
    prior = k * (nu * d * np.log(gamma / np.sqrt(2)) - multigammaln(nu / 2, d))
    prior += m * q.sum() - 0.5 * gamma**2 * (factor**2).sum()
    return logsumexp(beta).sum() - n * logsumexp(alpha) - n * d / 2 * np.log(2 * np.pi) + prior


def lstm(main, extra, state, sequence):
    def sigmoid(v):
        return 0.5 * (1 + np.tanh(v / 2))

    b = extra.shape[1]
    said, kept = list(state[0::2]), list(state[1::2])
    losses = []
    for now, following in pairwise(sequence):
        x = now * extra[0]
        for i, (w, bias) in enumerate(zip(main[0::2], main[1::2], strict=True)):
            f, g, o, a = (w.reshape(4, b) * [x, said[i], x, said[i]] + bias.reshape(4, b)).reshape(4, b)
            kept[i] = sigmoid(f) * kept[i] + sigmoid(g) * np.tanh(a)
            x = said[i] = sigmoid(o) * np.tanh(kept[i])
        y = x * extra[1] + extra[2]
        losses.append((following * (y - np.log(2 + np.exp(y).sum()))).sum())
    return -np.mean(losses) / b


def ode(x, s):
    """One step of Runge-Kutta on a linear equation y' = A y + c is its Taylor series to fourth order."""
    n, h = len(x), 2 / s
    slope = np.zeros((n + 1, n + 1), dtype=x.dtype)  # of (y, 1)
    slope[np.arange(1, n), np.arange(n - 1)] = x[1:]
    slope[0, n] = x[0]
    step = sum(np.linalg.matrix_power(h * slope, k) / math.factorial(k) for k in range(5))
    return (np.linalg.matrix_power(step, s) @ np.eye(n + 1)[n])[:n]


def kmeans(points, centroids):
    """The cost, and centroids minus the means of their clusters: what Newton's method steps by."""
    distances = ((points[:, None] - centroids) ** 2).sum(2)
    nearest = distances.argmin(1)
    means = np.array([points[nearest == j].mean(0) for j in range(len(centroids))])
    return distances.min(1).sum(), centroids - means


# --- geometry ---------------------------------------------------------------------------------------------------------


def cross_matrix(r):
    return np.array([[0 * r[0], -r[2], r[1]], [r[2], 0 * r[0], -r[0]], [-r[1], r[0], 0 * r[0]]])


def rotation(r):
    """The exponential of a cross product's matrix, by Rodrigues' formula."""
    k = cross_matrix(r)
    angle = np.sqrt((r * r).sum())
    if angle == 0:
        return np.eye(3) + k
    return np.eye(3) + np.sin(angle) / angle * k + (1 - np.cos(angle)) / angle**2 * (k @ k)


def ba(camera, point, weight, feature):
    seen = rotation(camera[:3]) @ (point - camera[3:6])
    p = seen[:2] / seen[2]
    square = (p * p).sum()
    distortion = 1 + camera[9] * square + camera[10] * square**2
    return weight * (p * distortion * camera[6] + camera[7:9] - feature)


def ht(theta, us, data):
    model = data["model"]
    angles = np.zeros((22, 3), dtype=theta.dtype)
    for finger, first in enumerate(range(2, 22, 4)):
        given = theta[6 + 4 * finger : 10 + 4 * finger]
        angles[first : first + 3, 0] = given[[0, 2, 3]]
        angles[first, 1] = given[1]
    absolute: list[np.ndarray] = []
    for b, parent in enumerate(model["parents"]):
        turn = np.eye(4, dtype=theta.dtype)
        x, z, y = angles[b][:, None] * np.eye(3)[[0, 2, 1]]
        turn[:3, :3] = rotation(z) @ rotation(y) @ rotation(x)
        own = np.array(model["base_relatives"][b]) @ turn
        absolute.append(own if parent < 0 else absolute[parent] @ own)
    positions = 0
    base = np.array(model["base_positions"])
    for b in range(22):
        transform = absolute[b] @ np.array(model["inverse_base_absolutes"][b])
        positions = positions + np.array(model["weights"])[:, b, None] * (base @ transform.T)[:, :3]
    if model["is_mirrored"]:
        positions = positions * [-1, 1, 1]
    positions = positions @ rotation(theta[:3]).T + theta[3:6]
    if us is None:
        found = positions[data["correspondences"]]
    else:
        corners = positions[np.array(model["triangles"])[data["correspondences"]]]
        shares = np.stack([us[:, 0], us[:, 1], 1 - us[:, 0] - us[:, 1]], axis=1)
        found = np.einsum("nc,ncd->nd", shares, corners)
    return (np.array(data["points"]) - found).ravel()


# --- descents ---------------------------------------------------------------------------------------------------------


def descend(value_and_slope, x):
    """The descent of particle and saddle; what it compares are real parts."""
    value, slope = value_and_slope(x)
    rate, good = 1e-5, 0
    while True:
        if np.linalg.norm(slope.real) <= 1e-5:
            return x
        if good == 10:
            rate, good = 2 * rate, 0
            continue
        new = x - rate * slope
        if np.linalg.norm((x - new).real) <= 1e-5:
            return x
        new_value, new_slope = value_and_slope(new)
        if new_value.real < value.real:
            x, value, slope, good = new, new_value, new_slope, good + 1
        else:
            rate, good = rate / 2, 0


def by_complex_step(f):
    return lambda x: (f(x), derivative(f, x))


def particle(w):
    def miss(w):
        x, v = np.array([0.0, 8.0]) + 0 * w, np.array([0.75, 0.0]) + 0 * w
        while True:
            pull = sum((x - c) / ((x - c) ** 2).sum() ** 1.5 for c in (np.array([10, 10 - w[0]]), np.array([10, 0])))
            x = x + 0.1 * v
            if x[1].real <= 0:
                return (x[0] - x[1] / v[1] * v[0]) ** 2
            v = v + 0.1 * pull

    return descend(by_complex_step(miss), np.array([w]))[0]


def saddle(start):
    def highest(x):
        y = descend(lambda y: ((y * y).sum() - (x * x).sum(), 2 * y), start + 0 * x)
        return (x * x).sum() - (y * y).sum()

    x = descend(by_complex_step(highest), start)
    y = descend(lambda y: ((y * y).sum() - (x * x).sum(), 2 * y), start)
    return np.concatenate([x, y])

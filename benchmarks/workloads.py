"""The programs that are timed, as a user would write them, and beside each the same algorithm as loops for Numba."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A scalar objective, its arguments at a size, and the same as loops for `numba.njit(fastmath=True)`."""

    name: str
    objective: Callable[..., Any]
    wrt: int | tuple[int, ...]
    args: Callable[[int], tuple[Any, ...]]
    size: int
    loops: Callable[..., Any] | None = None  # None: the objective is loops already
    loop_args: Callable[[tuple[Any, ...]], tuple[Any, ...]] = lambda args: args
    growth: tuple[int, ...] = ()  # sizes for the growth of gradient/objective


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- comprehensions ---------------------------------------------------------------------------------------------------


def kmeans(points, centres):
    n, d = points.shape
    k = len(centres)
    return sum(min(sum((points[i, c] - centres[j, c]) ** 2 for c in range(d)) for j in range(k)) for i in range(n))


def kmeans_loops(points, centres):
    n, d = points.shape
    total = 0.0
    for i in range(n):
        best = np.inf
        for j in range(centres.shape[0]):
            s = 0.0
            for c in range(d):
                s += (points[i, c] - centres[j, c]) ** 2
            best = min(best, s)
        total += best
    return total


def logsumexp(x):
    top = max(x)
    return top + math.log(sum(math.exp(v - top) for v in x))


def logsumexp_loops(x):
    top = -np.inf
    for v in x:
        top = max(top, v)
    total = 0.0
    for v in x:
        total += math.exp(v - top)
    return top + math.log(total)


def gmm(mix, x, gamma, m):
    from examples.digits import negative_log_posterior

    return negative_log_posterior(mix, x, gamma, m)


def gmm_loops(alpha, mu, q, lower, x, gamma, m):
    n, d = x.shape
    k = len(alpha)
    scale = np.exp(q)
    joint, r = np.empty(k), np.empty(d)
    total = 0.0
    for i in range(n):
        for c in range(k):
            for a in range(d):
                r[a] = x[i, a] - mu[c, a]
            t = alpha[c]
            for a in range(d):
                y = scale[c, a] * r[a]
                for b in range(a):
                    y += lower[c, a, b] * r[b]
                t += q[c, a] - 0.5 * y * y
            joint[c] = t
        total += logsumexp_loops(joint)
    frobenius, logs = 0.0, 0.0
    for c in range(k):
        for a in range(d):
            logs += q[c, a]
            frobenius += scale[c, a] ** 2
            for b in range(a):
                frobenius += lower[c, a, b] ** 2
    constant = 0.5 * n * d * math.log(2 * math.pi)
    return -(total - n * logsumexp_loops(alpha) - constant + m * logs - 0.5 * gamma**2 * frobenius)


# --- sequential loops -------------------------------------------------------------------------------------------------


def lorenz(state, parameters, steps, dt):
    x, y, z = state[0], state[1], state[2]
    sigma, rho, beta = parameters[0], parameters[1], parameters[2]
    for _ in range(steps):
        k1x, k1y, k1z = sigma * (y - x), x * (rho - z) - y, x * y - beta * z
        a, b, c = x + dt / 2 * k1x, y + dt / 2 * k1y, z + dt / 2 * k1z
        k2x, k2y, k2z = sigma * (b - a), a * (rho - c) - b, a * b - beta * c
        a, b, c = x + dt / 2 * k2x, y + dt / 2 * k2y, z + dt / 2 * k2z
        k3x, k3y, k3z = sigma * (b - a), a * (rho - c) - b, a * b - beta * c
        a, b, c = x + dt * k3x, y + dt * k3y, z + dt * k3z
        k4x, k4y, k4z = sigma * (b - a), a * (rho - c) - b, a * b - beta * c
        x += dt / 6 * (k1x + 2 * k2x + 2 * k3x + k4x)
        y += dt / 6 * (k1y + 2 * k2y + 2 * k3y + k4y)
        z += dt / 6 * (k1z + 2 * k2z + 2 * k3z + k4z)
    return x * x + y * y + z * z


def heat(u, steps, rate):
    """In-place sweeps of an explicit heat step; the result of a sweep feeds the next."""
    n, m = u.shape
    u = u.copy()
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] += rate * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4 * u[i, j])
    s = 0.0
    for i in range(n):
        for j in range(m):
            s += u[i, j] * u[i, j]
    return s


def tree(parent, theta):
    n = len(theta)
    s = np.zeros(n)
    for i in range(n):
        if i == 0:
            s[i] = theta[i]
        else:
            s[i] = 0.5 * s[parent[i]] + theta[i] * (1.0 - s[parent[i]])
    total = 0.0
    for i in range(n):
        total += s[i] * s[i]
    return total


def seidel(x, sweeps):
    n = len(x)
    x = x.copy()
    for _ in range(sweeps):
        for i in range(1, n - 1):
            x[i] = math.tanh(0.5 * (x[i - 1] + x[i + 1]) + 0.1 * x[i])
    s = 0.0
    for i in range(n):
        s += x[i]
    return s


def conditional(x, y):
    n = len(x)
    a = x.copy()
    for i in range(1, n):
        if y[i] > 0.0:
            a[i] = a[i - 1] * y[i]
        else:
            a[i - 1] = a[i] + y[i]
    s = 0.0
    for i in range(n):
        s += a[i] * a[i]
    return s


def lookup(table, start, steps):
    n = len(table)
    x = start
    for t in range(steps):
        acc = 0.0
        for k in range(8):
            acc += table[(t * 7919 + k * 104729) % n] * x
        x = math.tanh(acc) + 0.5
    return x


def soft_dtw(d):
    n, m = d.shape
    r = np.full((n + 1, m + 1), 1e10)
    r[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            a, b, c = -r[i - 1, j - 1], -r[i - 1, j], -r[i, j - 1]
            top = max(a, b, c)
            r[i, j] = d[i - 1, j - 1] - (top + math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top)))
    return r[n, m]


# --- the table --------------------------------------------------------------------------------------------------------


def kalman(transition, observation, observed):
    mean, covariance, likelihood = np.zeros(2), np.eye(2), 0.0
    for t in range(len(observed)):
        mean = transition @ mean
        covariance = transition @ covariance @ transition.T + 0.1 * np.eye(2)
        residual = observed[t] - observation @ mean
        spread = observation @ covariance @ observation.T + 0.5 * np.eye(2)
        precision = np.linalg.inv(spread)
        gain = covariance @ observation.T @ precision
        likelihood -= 0.5 * (residual @ precision @ residual + np.log(np.linalg.det(spread)))
        mean = mean + gain @ residual
        covariance = covariance - gain @ observation @ covariance
    return likelihood


def _tree_args(n: int) -> tuple[Any, ...]:
    r = rng()
    parent = (r.random(n) * np.maximum(np.arange(n), 1)).astype(np.int64)
    return parent, r.normal(size=n) * 0.1


def _gmm_args(n: int) -> tuple[Any, ...]:
    from examples.digits import Mixture

    r, k, d = rng(), 10, 16
    mix = Mixture(r.normal(size=k), r.normal(size=(k, d)), 0.1 * r.normal(size=(k, d)), 0.1 * r.normal(size=(k, d, d)))
    return mix, r.normal(size=(n, d)), 1.0, 0


WORKLOADS = [
    Workload("digits objective", gmm, 0, _gmm_args, 1797, gmm_loops, lambda args: (*args[0], *args[1:])),
    Workload(
        "k-means cost",
        kmeans,
        1,
        lambda n: (rng().normal(size=(n, 16)), rng(1).normal(size=(100, 16))),
        10_000,
        kmeans_loops,
    ),
    Workload("log-sum-exp", logsumexp, 0, lambda n: (rng().normal(size=n),), 1_000_000, logsumexp_loops),
    Workload(
        "Lorenz RK4",
        lorenz,
        (0, 1),
        lambda n: (np.array([1.0, 1.0, 1.0]), np.array([10.0, 28.0, 8 / 3]), n, 1e-5),
        100_000,
        growth=(1_000, 10_000, 100_000),
    ),
    Workload("heat, in place", heat, 0, lambda n: (rng().normal(size=(512, 512)), n, 0.2), 100, growth=(2, 20, 200)),
    Workload("tree recurrence", tree, 1, _tree_args, 1_000_000, growth=(10_000, 100_000, 1_000_000)),
    Workload("Gauss-Seidel", seidel, 0, lambda n: (rng().normal(size=n), 4), 8_000, growth=(800, 8_000, 80_000)),
    Workload(
        "conditional update",
        conditional,
        (0, 1),
        lambda n: (rng().normal(size=n), rng(1).normal(size=n) * 0.5),
        8_000,
        growth=(800, 8_000, 80_000),
    ),
    Workload(
        "table look-up",
        lookup,
        0,
        lambda n: (rng().normal(size=100_000) * 0.1, 0.5, n),
        1_000,
        growth=(1_000, 10_000, 100_000),
    ),
    Workload(
        "Kalman filter",
        kalman,
        (0, 1),
        lambda n: (np.array([[1.0, 0.1], [0.0, 0.9]]), np.array([[1.0, 0.2], [0.1, 1.0]]), rng().normal(size=(n, 2))),
        10_000,
        growth=(1_000, 10_000, 100_000),
    ),
    Workload("soft-DTW", soft_dtw, 0, lambda n: (rng().random(size=(n, n)),), 128, growth=(30, 100, 300)),
]

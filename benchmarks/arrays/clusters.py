"""k-means: sparse points in compressed rows, and Newton's method on dense ones.

A sparse point's distance from a centre is what the centre's square and the point's own entries say, so a row costs as
many turns as it has entries.  Newton's method divides the gradient of the cost by the diagonal of its Hessian, which is
all of it; a step takes a centre to the mean of the points that are nearest to it.
"""

from __future__ import annotations

import numpy as np

import iverson as iv
from benchmarks.kernels.registry import hand

# --- sparse points ----------------------------------------------------------------------------------------------------


def sparse_cost(centres, values, columns, starts):
    k = len(centres)
    squares = np.sum(centres**2, axis=1)

    def distance(i, j):
        return squares[j] + sum(
            values[e] * (values[e] - 2.0 * centres[j, columns[e]]) for e in range(starts[i], starts[i + 1])
        )

    return sum(min(distance(i, j) for j in range(k)) for i in range(len(starts) - 1))


def sparse_cost_vectorised(centres, values, columns, starts):
    """By SciPy's sparse product."""
    from scipy.sparse import csr_array

    points = csr_array((values, columns, starts), shape=(len(starts) - 1, centres.shape[1]))
    squares = np.add.reduceat(np.append(values**2, 0.0), starts[:-1]) * (np.diff(starts) > 0)
    distances = np.sum(centres**2, axis=1) - 2.0 * (points @ centres.T)
    return np.sum(np.min(distances, axis=1) + squares)


@hand
def sparse_cost_loops(centres, values, columns, starts):
    k, d = centres.shape
    squares = np.zeros(k)
    for j in range(k):
        for a in range(d):
            squares[j] += centres[j, a] ** 2
    total = 0.0
    for i in range(len(starts) - 1):
        best = np.inf
        for j in range(k):
            distance = squares[j]
            for e in range(starts[i], starts[i + 1]):
                distance += values[e] * (values[e] - 2.0 * centres[j, columns[e]])
            best = min(best, distance)
        total += best
    return total


@hand
def sparse_cost_adjoint(centres, values, columns, starts):
    k, d = centres.shape
    squares, chosen = np.zeros(k), np.zeros(k)
    for j in range(k):
        for a in range(d):
            squares[j] += centres[j, a] ** 2
    total, slope = 0.0, np.zeros((k, d))
    for i in range(len(starts) - 1):
        best, nearest = np.inf, 0
        for j in range(k):
            distance = squares[j]
            for e in range(starts[i], starts[i + 1]):
                distance += values[e] * (values[e] - 2.0 * centres[j, columns[e]])
            if distance < best:
                best, nearest = distance, j
        total += best
        chosen[nearest] += 1.0
        for e in range(starts[i], starts[i + 1]):
            slope[nearest, columns[e]] -= 2.0 * values[e]
    for j in range(k):
        for a in range(d):
            slope[j, a] += 2.0 * chosen[j] * centres[j, a]
    return total, slope


def sparse_cost_jax():
    import jax
    import jax.numpy as jnp

    def program(centres, values, columns, starts):
        row = jnp.repeat(jnp.arange(len(starts) - 1), jnp.diff(starts), total_repeat_length=len(values))
        terms = values[:, None] * (values[:, None] - 2.0 * centres[:, columns].T)
        distances = jax.ops.segment_sum(terms, row, len(starts) - 1) + jnp.sum(centres**2, axis=1)
        return jnp.sum(jnp.min(distances, axis=1))

    return program


def sparse_arguments(points: int):
    rng = np.random.default_rng(24)
    k, d, most = (50, 2000, 60) if points > 100 else (4, 30, 6)
    counts = rng.integers(0, most, points)
    columns = np.concatenate([np.sort(rng.permutation(d)[:c]) for c in counts])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return rng.uniform(size=(k, d)) * 0.2, rng.exponential(size=len(columns)), columns, starts


# --- Newton's method --------------------------------------------------------------------------------------------------


def cost(centres, points):
    n, d = points.shape
    k = len(centres)
    return sum(min(sum((centres[j, a] - points[i, a]) ** 2 for a in range(d)) for j in range(k)) for i in range(n))


def newton(centres, points, steps):
    for _ in range(steps):
        gradient = iv.grad(lambda c: cost(c, points))
        slope, curvature = iv.jvp(gradient, (centres,), (np.ones_like(centres),))
        centres = centres - slope / np.where(curvature > 0.0, curvature, 1.0)
    return centres


def means_vectorised(centres, points, steps):
    """What Newton's steps come to, in whole arrays."""
    k = len(centres)
    for _ in range(steps):
        distances = np.sum(centres**2, axis=1) - 2.0 * points @ centres.T
        nearest = np.argmin(distances, axis=1)
        counts = np.bincount(nearest, minlength=k)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
    return centres


@hand
def means_loops(centres, points, steps):
    n, d = points.shape
    k = len(centres)
    centres = centres.copy()
    for _ in range(steps):
        sums, counts = np.zeros((k, d)), np.zeros(k)
        for i in range(n):
            best, nearest = np.inf, 0
            for j in range(k):
                distance = 0.0
                for a in range(d):
                    distance += (centres[j, a] - points[i, a]) ** 2
                if distance < best:
                    best, nearest = distance, j
            counts[nearest] += 1.0
            for a in range(d):
                sums[nearest, a] += points[i, a]
        for j in range(k):
            if counts[j] > 0.0:
                for a in range(d):
                    centres[j, a] = sums[j, a] / counts[j]
    return centres


def newton_jax():
    import jax
    import jax.numpy as jnp
    from jax import lax

    def cost(centres, points):
        distances = jnp.sum(centres**2, axis=1) - 2.0 * points @ centres.T
        return jnp.sum(jnp.min(distances, axis=1)) + jnp.sum(points**2)

    def program(centres, points, steps):
        def step(_, centres):
            gradient = jax.grad(lambda c: cost(c, points))
            slope, curvature = jax.jvp(gradient, (centres,), (jnp.ones_like(centres),))
            return centres - slope / jnp.where(curvature > 0.0, curvature, 1.0)

        return lax.fori_loop(0, steps, step, centres)

    return program


def dense_arguments(points: int, steps: int = 10):
    rng = np.random.default_rng(25)
    k, d = (50, 16) if points > 100 else (3, 4)
    x = rng.normal(size=(points, d))
    return x[-k:].copy(), x, steps

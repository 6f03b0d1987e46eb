"""Scans, prefix sums and products, dynamic programming over tables."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="scan numpy")
def cumulative_sums(x):
    return np.cumsum(x), np.cumsum(x[::-1])[::-1] * x, x.cumsum() ** 2


@program(args=lambda n, rng: (rng.normal(size=(n, 3)),), wrt=(0,), tags="scan numpy")
def cumulative_sums_along_axes(a):
    return np.cumsum(a, axis=0), np.cumsum(a, axis=1), a.cumsum(axis=-1)[:, -1], np.cumsum(a)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), large=100, tags="scan product numpy")
def cumulative_products(x):
    return np.cumprod(x), np.cumprod(1.0 + 0.1 * x)[::-1]


@program(
    args=lambda n, rng: (np.where(np.arange(n) == 2, 0.0, rng.normal(size=n)),),
    wrt=(0,),
    large=100,
    tags="scan product",
)
def cumulative_product_through_zero(x):
    return np.cumprod(x)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="scan minmax numpy")
def running_extrema(x):
    return np.maximum.accumulate(x), np.minimum.accumulate(x[::-1])


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="scan minmax loop set")
def running_maximum_loop(x):
    out = np.empty_like(x)
    top = -100.0
    for i in range(len(x)):
        top = max(top, x[i])
        out[i] = top
    return out


@program(args=lambda n, rng: (rng.normal(size=n), 0.9), wrt=(0, 1), tags="scan loop recurrence set")
def exponential_moving_average(x, keep):
    out = np.zeros(len(x))
    for i, v in enumerate(x):
        out[i] = v if i == 0 else keep * out[i - 1] + (1.0 - keep) * v
    return out


@program(args=lambda n, rng: (rng.uniform(0.5, 1.5, size=n),), wrt=(0,), tags="scan inplace product loop")
def exclusive_products(x):
    n = len(x)
    left, right = np.ones(n), np.ones(n)
    for i in range(1, n):
        left[i] = left[i - 1] * x[i - 1]
    for i in range(n - 2, -1, -1):
        right[i] = right[i + 1] * x[i + 1]
    return left * right


@program(args=lambda n, rng: (rng.normal(size=(n, n + 1)),), wrt=(0,), large=60, tags="scan inplace loop size")
def summed_area_table(a):
    n, m = a.shape
    s = np.zeros((n + 1, m + 1))
    for i in range(n):
        for j in range(m):
            s[i + 1, j + 1] = a[i, j] + s[i, j + 1] + s[i + 1, j] - s[i, j]
    return s


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n + 1), 0.7),
    wrt=(0, 1, 2),
    large=40,
    tags="loop inplace size",
)
def soft_dtw(x, y, gamma):
    n, m = len(x), len(y)
    r = np.full((n + 1, m + 1), 1e3)
    r[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            a, b, c = -r[i - 1, j - 1] / gamma, -r[i - 1, j] / gamma, -r[i, j - 1] / gamma
            top = max(a, b, c)
            soft = -gamma * (top + math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top)))
            r[i, j] = (x[i - 1] - y[j - 1]) ** 2 + soft
    return r[n, m]


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n + 1)), wrt=(0, 1), large=40, tags="loop inplace minmax"
)
def dynamic_time_warping(x, y):
    n, m = len(x), len(y)
    cost = np.full((n + 1, m + 1), 1e6)
    cost[0, 0] = 0.0
    for i in range(n):
        for j in range(m):
            step = min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
            cost[i + 1, j + 1] = abs(x[i] - y[j]) + step
    return cost[n, m]


@program(
    args=lambda n, rng: (rng.integers(0, 3, size=n), rng.integers(0, 3, size=n + 1)),
    large=60,
    tags="loop alias dtype minmax",
)
def levenshtein(a, b):
    before = np.arange(len(b) + 1)
    after = np.zeros(len(b) + 1, dtype=np.int64)
    for i in range(len(a)):
        after[0] = i + 1
        for j in range(len(b)):
            change = 0 if a[i] == b[j] else 1
            after[j + 1] = min(before[j + 1] + 1, after[j] + 1, before[j] + change)
        before, after = after, before
    return before[len(b)]


@program(
    args=lambda n, rng: (rng.integers(1, 6, size=n), rng.uniform(1.0, 9.0, size=n), 12),
    wrt=(1,),
    large=60,
    tags="loop inplace minmax branch",
)
def knapsack(weights, values, capacity):
    best = np.zeros(13)
    for i in range(len(weights)):
        for c in range(capacity, weights[i] - 1, -1):
            candidate = best[c - weights[i]] + values[i]
            if candidate > best[c]:
                best[c] = candidate
    return best[capacity]


@program(
    args=lambda n, rng: (rng.integers(0, 4, size=n),),
    sizes=(0, 1, 2, 5, 9),
    large=40,
    tags="loop inplace minmax size dtype",
)
def nussinov(sequence):
    n = len(sequence)
    table = np.zeros((n, n), dtype=np.int64)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            if j - 1 >= 0:
                table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < n:
                table[i, j] = max(table[i, j], table[i + 1, j])
            if j - 1 >= 0 and i + 1 < n:
                match = 1 if i < j - 1 and sequence[i] + sequence[j] == 3 else 0
                table[i, j] = max(table[i, j], table[i + 1, j - 1] + match)
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return table[0, n - 1] if n > 0 else 0


@program(
    args=lambda n, rng: (rng.normal(size=(n, 4)), rng.integers(1, 4, size=(n + 1) // 2)),
    wrt=(0,),
    large=100,
    tags="loop size inplace recurrence",
)
def ctc_like_alignment(scores, labels):
    t, s = scores.shape[0], len(labels)
    alpha = np.zeros(s + 1)
    alpha[0] = 1.0
    total = 0.0
    for i in range(t):
        p = np.exp(scores[i]) / np.sum(np.exp(scores[i]))
        for j in range(s, 0, -1):
            alpha[j] = alpha[j] * p[0] + alpha[j - 1] * p[labels[j - 1]]
        alpha[0] *= p[0]
        scale = alpha.sum()
        alpha /= scale
        total += np.log(scale)
    return total + np.log(alpha[s] + 1e-3)


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="scan recurrence loop")
def affine_maps_composed(a, b):
    scale, shift = 1.0, 0.0
    for i in range(len(a)):
        scale, shift = a[i] * scale, a[i] * shift + b[i]
    return scale, shift

"""Reductions: builtins over generators and NumPy's along axes."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="reduction sum")
def sum_of_squares(x):
    return sum(v * v for v in x)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), sizes=(1, 2, 5), tags="numpy sum minmax prim")
def log_sum_exp(x):
    top = np.max(x)
    return top + np.log(np.sum(np.exp(x - top)))


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), sizes=(1, 2, 5), tags="reduction loop minmax")
def log_sum_exp_loops(x):
    n = len(x)
    top = max(x[i] for i in range(n))
    total = 0.0
    for i in range(n):
        total += math.exp(x[i] - top)
    return top + math.log(total)


@program(args=lambda n, rng: (rng.normal(size=(n, 2)),), wrt=(0,), sizes=(1, 2, 5), tags="reduction minmax")
def bounding_box(points):
    n = points.shape[0]
    low = [min(points[i, c] for i in range(n)) for c in range(2)]
    high = [max(points[i, c] for i in range(n)) for c in range(2)]
    return low, high, (high[0] - low[0]) * (high[1] - low[1])


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="reduction product math")
def product(x):
    return math.prod(v for v in x) + np.prod(x)


@program(
    args=lambda n, rng: (np.where(np.arange(n) == n // 2, 0.0, rng.normal(size=n)),),
    wrt=(0,),
    tags="reduction product",
)
def product_with_one_zero(x):
    return math.prod(x[i] for i in range(len(x)))


@program(
    args=lambda n, rng: (np.where(np.arange(n) % 3 == 1, 0.0, rng.normal(size=n)),),
    wrt=(0,),
    tags="numpy product slice",
)
def products_with_two_zeros(x):
    return np.prod(x), np.prod(x[1:]), np.prod(x[::2])


@program(args=lambda n, rng: (rng.normal(size=(n, 4)), rng.normal(size=n)), wrt=(0, 1), tags="numpy product map")
def products_along_axes(a, w):
    return np.prod(a, axis=1) * w, np.prod(a, axis=0)


@program(args=lambda n, rng: (rng.normal(size=(n, n + 1)),), wrt=(0,), large=60, tags="numpy sum size")
def sums_along_axes(a):
    rows = a.sum(axis=1)
    columns = np.sum(a, axis=0, keepdims=True)
    return rows, columns, a.sum(), np.sum(a * columns, axis=-1)


@program(args=lambda n, rng: (rng.normal(size=(n, 3)),), wrt=(0,), sizes=(1, 2, 5), tags="numpy sum minmax slice")
def standardise(a):
    mean = a.mean(axis=0)
    spread = a.max(axis=0) - a.min(axis=0) + 1.0
    return (a - mean) / spread


@program(args=lambda n, rng: (rng.normal(size=(n, 4)),), wrt=(0,), sizes=(1, 2, 5), tags="numpy sum")
def moments(a):
    return np.mean(a), np.var(a), np.std(a, axis=1), a.var(axis=0, ddof=0), np.mean(a, axis=1, keepdims=True)


@program(args=lambda n, rng: (rng.normal(size=n),), tags="reduction clause dtype")
def any_and_all(x):
    some = any(v > 1.0 for v in x)
    every = all(-3.0 < v < 3.0 for v in x)
    none = not any(v > 100.0 for v in x if v > 0.0)
    return some, every, none, np.any(x < -1.0), np.all(x == x)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="reduction clause sum branch")
def sum_of_positives(x):
    return sum(v for v in x if v > 0.0), sum(1 for v in x if v > 0.0)


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="reduction clause minmax")
def guarded_minimum(x, y):
    n = len(x)
    nearest = min((abs(x[i] - y[j]) for i in range(n) for j in range(n) if i != j), default=7.0)
    return nearest, max((v for v in x), default=-1.0)


@program(args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), large=60, tags="reduction sum clause size loop")
def triangular_sums(a):
    n = len(a)
    lower = sum(a[i, j] for i in range(n) for j in range(i))
    upper = sum(a[i, j] ** 2 for i in range(n) for j in range(i, n))
    band = sum(a[i, j] for i in range(n) for j in range(max(0, i - 1), min(n, i + 2)))
    checker = sum(a[i, j] for i in range(n) for j in range(n) if (i + j) % 2 == 0)
    return lower, upper, band, checker


@program(
    args=lambda n, rng: (rng.normal(size=(n + 3, 3)), rng.normal(size=(n + 1, 3))),
    wrt=(0, 1),
    large=100,
    tags="reduction sum minmax comprehension",
)
def kmeans_cost(points, centres):
    n, d = points.shape
    k = len(centres)
    return sum(min(sum((points[i, c] - centres[j, c]) ** 2 for c in range(d)) for j in range(k)) for i in range(n))


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)),
    sizes=(1, 2, 5),
    tags="numpy reduction index",
)
def winners(x, y):
    return np.argmin(x), np.argmax(x), x.argmax(), x[np.argmax(y)]


@program(
    args=lambda n, rng: (rng.normal(size=(n, 5)), rng.normal(size=(n, 5))),
    wrt=(0, 1),
    tags="numpy index gather minmax",
)
def value_at_argmax(scores, values):
    n = len(scores)
    best = np.argmax(scores, axis=1)
    return sum(values[i, best[i]] * scores[i, best[i]] for i in range(n)), best


@program(args=lambda n, rng: (rng.normal(size=n), 0.3), wrt=(0, 1), tags="reduction sum prim comprehension")
def kernel_density(samples, bandwidth):
    grid = np.linspace(-2.0, 2.0, 5)
    return [sum(math.exp(-0.5 * ((g - s) / bandwidth) ** 2) for s in samples) / bandwidth for g in grid]

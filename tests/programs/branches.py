"""Branches: lazy conditionals, early values, the side not taken."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.uniform(-3.0, 3.0, size=n),), wrt=(0,), tags="branch comprehension call map")
def piecewise(x):
    def f(v):
        if v < -1.0:
            return v * v
        elif v < 1.0:
            if v > 0.0:
                return 1.0 + v
            return 1.0 - v**3
        else:
            return math.exp(-v)

    return [f(v) for v in x]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="branch comprehension map prim")
def relu_and_friends(x):
    leaky = [v if v > 0.0 else 0.01 * v for v in x]
    elu = [v if v > 0.0 else math.expm1(v) for v in x]
    hinge = sum(max(0.0, 1.0 - v) for v in x)
    return leaky, elu, hinge


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="branch nan map prim numpy")
def log_where_positive(x):
    return np.where(x > 0.0, np.log(x), 0.0), np.where(x > 0.0, np.sqrt(x), x)


@program(
    args=lambda n, rng: (rng.normal(size=n) * (np.arange(n) % 2),),
    wrt=(0,),
    smooth=False,
    tags="branch nan map prim",
)
def safe_reciprocal(x):
    return [1.0 / v if v != 0.0 else 0.0 for v in x], np.where(x != 0.0, np.divide(1.0, x), 0.0)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="branch nan loop sum")
def log_in_the_branch(x):
    total = 0.0
    for v in x:
        if v > 0.0:
            total += math.log(v)
        else:
            total -= math.sqrt(-v)
    return total


@program(args=lambda n, rng: (rng.normal(size=n), n), wrt=(0,), tags="branch index nan")
def out_of_range_on_the_other_side(x, n):
    previous = [x[i - 1] if i > 0 else 0.0 for i in range(n)]
    following = [x[i + 1] if i < n - 1 else 0.0 for i in range(n)]
    ends = x[0] * x[n - 1] if n > 0 and x[0] < 10.0 else -1.0
    guarded = 0.0
    for i in range(n):
        if i + 2 < n and x[i + 2] > 0.0:
            guarded += x[i + 2]
    return previous, following, ends, guarded


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)),
    wrt=(0, 1),
    tags="branch loop alias recurrence",
)
def best_so_far(x, y):
    best, where = -100.0, -1
    for i in range(len(x)):
        score = x[i] * y[i]
        better = score > best
        best = score if better else best
        where = i if better else where
    return best, where


@program(
    args=lambda n, rng: (rng.normal(size=(n + 1, 4)), rng.normal(size=4)),
    wrt=(0, 1),
    tags="branch loop alias recurrence",
)
def best_row_so_far(rows, target):
    best = rows[0]
    distance = np.sum((rows[0] - target) ** 2)
    for i in range(1, len(rows)):
        d = np.sum((rows[i] - target) ** 2)
        if d < distance:
            best, distance = rows[i] * 1.0, d
    return best, distance


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="branch alias numpy")
def conditional_swap_of_arrays(x, y):
    if np.sum(x) < np.sum(y):
        x, y = y, x
    return x - 0.5 * y


@program(args=lambda n, rng: (rng.normal(size=n), 3), wrt=(0,), tags="branch loop alias recurrence")
def alternating_buffers(x, turns):
    a, b = x * 1.0, x * 2.0
    for t in range(turns):
        if t % 2 == 0:
            a = a + np.sin(b)
        else:
            a, b = b, a * 0.5
    return a, b


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), tags="branch dtype map")
def chained_comparisons(x, y):
    inside = [-1.0 < a <= b < 2.0 for a, b in zip(x, y)]
    either = [a > 0.0 or b > 0.0 and not a < -1.0 for a, b in zip(x, y)]
    return inside, either, (x > y) & (y > -1.0), (x > y) | ~(y > 0.0), x != y, np.logical_xor(x > 0, y > 0)


@program(args=lambda n, rng: (n, 0.5), wrt=(1,), tags="branch size")
def branch_on_a_size(n, x):
    if n == 0:
        return 0.0
    if n == 1:
        return x
    return x * n + math.sin(x) if n % 2 else x**n


@program(args=lambda n, rng: (rng.normal(size=n), True, "sum", None), wrt=(0,), tags="branch unroll numpy")
def static_options(x, twice, how, weights):
    if weights is None:
        weights = np.ones(len(x))
    y = x * weights
    if twice:
        y = 2.0 * y
    return y.sum() if how == "sum" else y.mean()


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), mutates=(0,), tags="branch loop mutation inplace")
def conditional_update_in_place(u):
    for i in range(1, len(u)):
        if u[i - 1] * u[i] < 0.25:
            u[i] = u[i] + 0.3 * math.sin(u[i - 1])


@program(args=lambda n, rng: (rng.normal(size=(2, n)),), wrt=(0,), tags="branch alias inplace update")
def write_the_larger_row(a):
    a = a.copy()
    if a[0].sum() > a[1].sum():
        a[0] *= 0.5
        factor = 2.0
    else:
        a[1, :] = a[0] * a[1]
        factor = 3.0
    return factor * a


@program(args=lambda n, rng: (rng.uniform(-2.0, 2.0, size=n), 0.3), wrt=(0, 1), tags="branch loop sum math")
def huber_loss(residuals, delta):
    loss = 0.0
    for r in residuals:
        a = -r if r < 0.0 else r
        loss += 0.5 * r * r if a <= delta else delta * (a - 0.5 * delta)
    return loss

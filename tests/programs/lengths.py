"""Lengths that are computed, from those of arguments and from integers: some turn out to be 1, and stretch, or 0."""

import numpy as np

from .registry import program


def others(least, n):
    """How long the other operand is: as n says it, or `least`, so that at small n lengths are 1, or don't fit."""
    return max(least, n)


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=others(6, n - 4))),
    wrt=(0, 1),
    sizes=(4, 5, 6, 10, 11),
    raises={4: ValueError, 6: ValueError},
    tags="size slice map",
)
def rest_of_an_array_stretches(x, y):
    return x[4:] + y, y * x[4:]


@program(
    args=lambda n, rng: (rng.normal(size=(n, 5)), rng.normal(size=(others(6, n - 6), 5)), rng.normal(size=5)),
    wrt=(0, 1, 2),
    sizes=(6, 7, 12, 13),
    raises={7: ValueError},
    tags="size slice map sum",
)
def window_of_rows_stretches(a, b, w):
    rows = a[:-5] if len(a) < 12 else a[3:-3]
    return np.maximum(rows, b).sum(axis=0), (rows * b) @ w, np.where(b > 0.0, rows, w)


@program(
    args=lambda n, rng: (rng.normal(size=others(9, n)), n % 15 if n < 30 else -2, rng.normal(size=others(7, n - 2))),
    wrt=(0, 2),
    sizes=(0, 1, 2, 7, 16, 30),
    raises={0: ValueError, 2: ValueError},
    tags="size slice map",
)
def length_by_an_argument_stretches(x, k, y):
    return x[:k] * y


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(n // 5, 7))),
    wrt=(0, 1),
    sizes=(5, 9, 25, 32),
    tags="size slice map sum contraction",
)
def part_of_a_length_stretches(x, a):
    n = len(x) // 5
    outer = x[:n, None] * x[None, :n]
    return outer + x[:n], (a * x[:n][:, None]).sum(axis=1), x[:n] @ a


@program(
    args=lambda n, rng: (rng.normal(size=8), n, {2: 1, 1: 3, 5: 6}.get(n, n)),
    wrt=(0,),
    sizes=(0, 1, 2, 5, 7),
    raises={5: ValueError},
    tags="size map",
)
def two_lengths_by_arguments_meet(x, m, n):
    return np.ones(m) * np.full(n, 2.0) * x.sum()


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=others(7, n - 2))),
    wrt=(0, 1),
    sizes=(5, 6, 9, 10),
    raises={6: ValueError},
    tags="size update set accumulate inplace",
)
def computed_length_is_spread_over_a_region(x, y):
    out = y.copy()
    out[2:] = x[4:]
    out[1:-1] += x[4:]
    for k in range(3):
        out[k : k + len(y) - 2] *= x[4:]
    return out


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(6, others(5, n - 4)))),
    wrt=(0, 1),
    sizes=(5, 9),
    tags="size branch loop recurrence",
)
def computed_length_in_branches_and_loops(x, a):
    total = np.zeros(a.shape[1])
    if x[0] > 0.0:
        total = total + x[4:]
    else:
        total = np.sin(x[4:]) - total
    for row in a:
        total = total * 0.5 + row * x[len(x) - 1 :]
    return total


@program(args=lambda n, rng: (rng.normal(size=(n, 6)),), wrt=(0,), sizes=(5, 6), tags="size slice numpy")
def axes_that_may_vanish(a):
    return a[4:].squeeze().sum(axis=0), np.squeeze(a[4:5]), np.broadcast_to(a[len(a) - 1 :, :], (3, 6))


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=3), n),
    wrt=(0, 1),
    sizes=(5, 6, 8, 20),
    tags="size slice numpy reduction sum",
)
def computed_lengths_of_nothing(x, y, n):
    empty = x[n:]
    rest = x[len(x) - n :] if n > 6 else x[n - n :]
    few = x[5:]
    return (
        empty + x[n:],
        empty * y[1:2],
        (empty[:, None] * y).sum(axis=0),
        np.concatenate([empty, few, empty]),
        few.sum() + empty.sum() + np.prod(empty),
        rest,
        np.cumsum(empty),
        empty @ empty,
        np.outer(empty, y).shape[0],
    )

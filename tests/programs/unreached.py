"""Code that would raise an exception, decided by constants, where execution doesn't get."""

import numpy as np

from .registry import program


@program(
    args=lambda n, rng: (rng.normal(size=n), n),
    wrt=(0,),
    sizes=(0, 1, 2, 5, 6),
    tags="branch exit error size sum",
)
def constants_that_would_raise(x, n):
    if n < 5:
        return x.sum() * (2 % len(x) if len(x) > 1 else 3.0)
    rest = 7 // (len(x) - n + 1)
    total = 0.0
    for k in range(n - n):
        total += [x[0], 1.0][5] * k // 0
    if x.sum() > 1e300:
        total += x[:3].reshape(2, 2).sum() + 1 // (len(x[:2]) - 2)
    return total + rest + x.sum()


@program(
    args=lambda n, rng: (rng.normal(size=n), n - 5),
    wrt=(0,),
    sizes=(3, 4, 5, 6),
    raises={6: ZeroDivisionError},
    mutates=(0,),
    tags="loop error branch recurrence inplace",
)
def turns_that_would_raise(x, turns):
    s = 1.0
    for v in x:
        s = s * 0.5 + v
        x[0] = s
    if turns == 1:
        s += 1 // len(x[:0])
    while turns < 0:
        turns = turns + (1 if len(x) < 10 else [1][1])
        s *= 2.0
    values = [s * (v if len(x) else 1 // 0) for v in x]
    return s + (s > 1e300 and x[: len(x)] @ np.ones((len(x[:2]), 2))[0][:0].sum() > 0.0), np.sum(values)

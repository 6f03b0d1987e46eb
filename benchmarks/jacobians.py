"""`python -m benchmarks.jacobians`: Jacobians of 60 columns beside 60 products, and beside what they are of."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.__main__ import medians


def layers(x, w):
    return np.tanh(w @ np.tanh(w @ x))


def swept(x):
    """Sweeps over a chain, in place."""
    y = x.copy()
    for _ in range(20):
        for i in range(1, len(y) - 1):
            y[i] += 0.1 * np.sin(y[i - 1]) * y[i + 1]
    return y


def frames(x, weights):
    """Frames of a tree, blended."""
    n = len(x)
    found = np.zeros((n, 2, 2))
    for b in range(n):
        turn = np.array([[np.cos(x[b]), -np.sin(x[b])], [np.sin(x[b]), np.cos(x[b])]])
        found[b] = turn if b == 0 else found[(b - 1) // 2] @ turn
    return np.array([
        [[sum(weights[v, b] * found[b, i, j] for b in range(n)) for j in range(2)] for i in range(2)]
        for v in range(len(weights))
    ])  # fmt: skip


def slope(x):
    return iv.grad(lambda y: np.sum(100.0 * (y[1:] - y[:-1] ** 2) ** 2 + (1.0 - y[:-1]) ** 2))(x)


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.2, 1.0, 60)
    cases: list[tuple[Any, tuple[Any, ...]]] = [
        (layers, (x, rng.normal(size=(60, 60)))),
        (swept, (x,)),
        (frames, (x, rng.normal(size=(1000, 60)))),
        (slope, (x,)),
    ]
    print(
        f"{'60 columns; us':16s} {'primal':>8s} {'product':>8s} {'forward':>8s} {'reverse':>8s} {'/ 60 products':>14s}"
    )
    for f, args in cases:
        primal, more = iv.jit(f), args[1:]
        product = iv.jit(lambda x, t, *more, f=f: iv.jvp(lambda y: f(y, *more), (x,), (t,))[1])
        columns, rows = iv.jacfwd(f), iv.jacrev(f)
        calls = [partial(primal, *args), partial(product, x, x, *more), partial(columns, *args)]
        calls += [partial(rows, *args)] if f is not frames else []
        times = [1e6 * t for t in medians(calls, 1.0)]
        shown = " ".join(f"{t:8.1f}" for t in times) + ("" if len(times) == 4 else f" {'':8s}")
        print(f"{f.__name__:16s} {shown} {times[2] / (60 * times[1]):14.3f}", flush=True)


if __name__ == "__main__":
    main()

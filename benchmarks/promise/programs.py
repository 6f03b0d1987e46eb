"""The programs, as a user writes them: loops, indices, updates in place.  What grows are turns, elements or lanes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import conditional, lookup, lorenz, rng, seidel, soft_dtw, tree


@dataclass(frozen=True)
class Program:
    name: str
    function: Callable[..., Any]
    wrt: int | tuple[int, ...]
    args: Callable[[int], tuple[Any, ...]]
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)


def downstream(runoff, down):
    """Water that each cell hands to a cell below it."""
    q = runoff.copy()
    for i in range(len(q) - 1):
        q[down[i]] += 0.5 * math.tanh(q[i])
    total = 0.0
    for i in range(len(q)):
        total += q[i] * q[i]
    return total


def product(x, turns):
    """A nonlinear product with a bound known at run time."""
    y = 1.0
    for k in range(turns):
        y = y * math.cos(y * x[k % 3]) + 0.5
    return y


def lanes(x, turns):
    """A while loop for each lane, most of them short and some long."""
    total = 0.0
    for i in range(len(x)):
        v, k = x[i], 0
        while k < turns[i]:
            v += 0.1 * math.sin(v)
            k += 1
        total += v * v
    return total


def rosenbrock(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2
    return total


def nest(depth: int) -> Callable[..., Any]:
    """Loops nested to a depth, each with work before and after the inner one."""

    def inner(x, v):
        return math.sin(v)

    for _ in range(depth):
        inner = _around(inner)
    whole = inner
    return lambda x: whole(x, 0.5)


def _around(inner: Callable[..., Any]) -> Callable[..., Any]:
    def around(x, v):
        for k in range(len(x)):
            w = v * x[k]
            v = 0.5 * math.tanh(v + inner(x, w) * w)
        return v

    return around


def fan(width: int) -> Callable[..., Any]:
    """An array that many statements read, updated in place between them."""

    def f(x):
        x = x.copy()
        total = 0.0
        for k in range(width):
            for i in range(1, len(x)):
                total += x[i] * x[i - 1]
            for i in range(1, len(x)):
                x[i] += 0.1 * math.sin(x[i - 1]) / (k + 1)
        return total

    return f


def _tree(n: int) -> tuple[Any, ...]:
    r = rng()
    return (r.random(n) * np.maximum(np.arange(n), 1)).astype(np.int64), r.normal(size=n) * 0.1


def _downstream(n: int) -> tuple[Any, ...]:
    i = np.arange(n)
    return np.abs(rng().normal(size=n)), np.minimum(n - 1, i + 1 + rng(1).integers(0, 50, size=n))


def _heavy_tailed(n: int) -> tuple[Any, ...]:
    return rng().normal(size=n), np.minimum(10 * rng(1).pareto(1.2, size=n) + 1, 5_000).astype(np.int64)


def _square(n: int) -> int:
    return max(2, round(n**0.5))


PROGRAMS = [
    Program("tree recurrence", tree, 1, _tree),
    Program("downstream accumulation", downstream, 0, _downstream),
    Program("Gauss-Seidel in place", seidel, 0, lambda n: (rng().normal(size=n), 4)),
    Program("product, run-time bound", product, 0, lambda n: (np.array([0.4, 0.6, 0.8]), n)),
    Program("nested loops, look-up", lookup, 0, lambda n: (rng().normal(size=100_000) * 0.1, 0.5, n // 8)),
    Program("soft-DTW in place", soft_dtw, 0, lambda n: (rng().random(size=(_square(n), _square(n))),)),
    Program(
        "Lorenz RK4",
        lorenz,
        (0, 1),
        lambda n: (np.array([1.0, 1.0, 1.0]), np.array([10.0, 28.0, 8 / 3]), n, 1e-5),
    ),
    Program(
        "conditional update",
        conditional,
        (0, 1),
        lambda n: (rng().normal(size=n), rng(1).normal(size=n) * 0.5),
    ),
    Program("while per lane", lanes, 0, _heavy_tailed, (1_000, 10_000, 100_000)),
    Program("Rosenbrock loop", rosenbrock, 0, lambda n: (rng().normal(size=n),)),
]

# loops of depth d over m elements each: m ** d turns
DEPTHS = [
    Program(f"depth {d}", nest(d), 0, lambda n, d=d: (rng().normal(size=max(2, round(n ** (1 / d)))),), (100_000,))
    for d in range(1, 6)
]
WIDTHS = [Program(f"fan-out {w}", fan(w), 0, lambda n: (rng().normal(size=n),), (10_000,)) for w in (1, 2, 4, 8, 16)]

"""`python -m benchmarks.monoids [NAME...]`: gradient/primal of reductions, scans and histograms over monoids.

Medians of thread CPU time on one thread, of the compiled value and gradient of <weights, result> beside the compiled
<weights, result> and beside the result alone.  The last column is what Bruun et al. (Reverse-Mode AD of Multi-Reduce
and Scan, 2023) and Schenck et al. (AD for an Array Language with Nested Parallelism, 2022) report for an A100.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import iverson as iv

SIZE, BINS = 1_000_000, 1_000


def add(a, b):
    return a + b


def mul(a, b):
    return a * b


def compose(f, g):
    return f[0] * g[0], g[0] * f[1] + g[1]


def matmul(p, q):
    a, b, c, d = p
    e, f, g, h = q
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def saturate(a, b):
    return np.minimum(a + b, 100.0)


ONE = 1.0, 0.0
EYE = 1.0, 0.0, 0.0, 1.0


def factors(n: int, rng: np.random.Generator) -> Any:
    return 1.0 + rng.normal(size=n) * 1e-3


def functions(n: int, rng: np.random.Generator) -> Any:
    return factors(n, rng), rng.normal(size=n)


def matrices(n: int, rng: np.random.Generator) -> Any:
    small = [rng.normal(size=n) * 1e-3 for _ in range(4)]
    return 1.0 + small[0], small[1], small[2], 1.0 + small[3]


def normal(n: int, rng: np.random.Generator) -> Any:
    return rng.normal(size=n)


def steps(n: int, rng: np.random.Generator) -> Any:
    return rng.uniform(size=n)


@dataclass(frozen=True)
class Row:
    name: str
    program: Callable[[Any, Any], Any]  # of the bins and the values
    values: Callable[[int, np.random.Generator], Any]
    reported: str


ROWS = [
    Row("reduce +", lambda k, x: iv.reduce(add, 0.0, x), normal, "1.0-1.8"),
    Row("reduce min", lambda k, x: iv.reduce(np.minimum, np.inf, x), normal, "1.3-2.6"),
    Row("reduce *", lambda k, x: iv.reduce(mul, 1.0, x), factors, "2.4-3.8"),
    Row("reduce linear functions", lambda k, x: iv.reduce(compose, ONE, x), functions, "3.3-4.1"),
    Row("reduce 2x2 matrices", lambda k, x: iv.reduce(matmul, EYE, x), matrices, "4.0-6.4"),
    Row("scan +", lambda k, x: iv.scan(add, x, 0.0), normal, "1.0-1.8"),
    Row("scan min", lambda k, x: iv.scan(np.minimum, x, np.inf), normal, "1.3-2.6"),
    Row("scan *", lambda k, x: iv.scan(mul, x, 1.0), factors, "2.4-3.8"),
    Row("scan linear functions", lambda k, x: iv.scan(compose, x, ONE), functions, "3.3-4.1"),
    Row("scan 2x2 matrices", lambda k, x: iv.scan(matmul, x, EYE), matrices, "4.0-6.4"),
    Row("histogram +", lambda k, x: iv.histogram(add, 0.0, k, x, BINS), normal, "1.5-1.9"),
    Row("histogram min", lambda k, x: iv.histogram(np.minimum, np.inf, k, x, BINS), normal, "1.8-3.9"),
    Row("histogram *", lambda k, x: iv.histogram(mul, 1.0, k, x, BINS), factors, "2.0-2.6"),
    Row("histogram saturating", lambda k, x: iv.histogram(saturate, 0.0, k, x, BINS), steps, "7-81"),
    Row("histogram linear functions", lambda k, x: iv.histogram(compose, ONE, k, x, BINS), functions, "7-81"),
]


def leaves(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def weighed(program: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    def objective(x, k, weights):
        return sum(np.sum(y * w) for y, w in zip(leaves(program(k, x)), weights, strict=True))

    return objective


def seconds(f: Callable[..., Any], *args: Any, turns: int = 15) -> float:
    """The median of thread CPU time."""
    f(*args)
    times = []
    for _ in range(turns):
        start = time.thread_time()
        f(*args)
        times.append(time.thread_time() - start)
    return sorted(times)[turns // 2]


def main(names: list[str]) -> None:
    print(f"{'n = 1,000,000':28s} {'result':>9s} {'objective':>9s} {'gradient':>9s}   ratio  (result)   reported")
    for row in ROWS:
        if names and not any(name in row.name for name in names):
            continue
        rng = np.random.default_rng(0)
        x, k = row.values(SIZE, rng), rng.integers(0, BINS, size=SIZE)
        result = iv.jit(row.program)
        weights = tuple(rng.normal(size=np.shape(y)) for y in leaves(result(k, x)))
        objective = weighed(row.program)
        alone, primal = seconds(result, k, x), seconds(iv.jit(objective), x, k, weights)
        gradient = seconds(iv.value_and_grad(objective), x, k, weights)
        times = " ".join(f"{1e3 * t:7.2f}ms" for t in (alone, primal, gradient))
        print(f"{row.name:28s} {times} {gradient / primal:7.2f} {gradient / alone:9.2f}   {row.reported}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m benchmarks.threads [THREADS] [NAME...]`: wall times of parallel workloads on one thread and on several.

One and several threads alternate, each after a short rest, so that on a loaded machine both get their share of the
cores; the least time of each counts.  Results are compared bit by bit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import iverson as iv
from benchmarks import lanes, workloads
from benchmarks.gradbench import ba, gmm, kmeans
from iverson.backend import pool
from iverson.lang import state

SECONDS = 4.0  # for each workload
REST = 0.004


def jacobi(u, steps):
    """Sweeps of Jacobi's iteration for Laplace's equation."""
    for _ in range(steps):
        v = u.copy()
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                v[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
        u = v
    return np.sum(u**2)


def heat(u, steps, rate):
    """Explicit steps of the heat equation on a rod."""
    for _ in range(steps):
        u = np.concatenate([u[:1], u[1:-1] + rate * (u[2:] - 2 * u[1:-1] + u[:-2]), u[-1:]])
    return np.sum(u**2)


def decays(x, v, rate, turns):
    return iv.vmap(lanes.decay)(x, v, rate, turns).sum()


def table() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(10_000, 16)), rng.normal(size=(100, 16))
    x = rng.normal(size=1_000_000)
    mixture = gmm.EVALUATION.arguments(gmm.make(rng, 32, 50, 1000))
    bundle = ba.arguments(ba.make(rng, 49, 7776, 31_843))
    turns = lanes.heavy(rng, 4000)
    damped = (rng.normal(size=turns.size), rng.normal(size=turns.size), rng.uniform(0.01, 0.05, turns.size), turns)
    grid, rod = rng.normal(size=(500, 500)), rng.normal(size=300_000)
    programs = {
        "k-means": (workloads.kmeans_loops, 1, (points, centres)),
        "log-sum-exp": (workloads.logsumexp, 0, (x,)),
        "GMM": (gmm.objective, (0, 1, 2, 3), mixture),
        "Jacobi": (jacobi, 0, (grid, 6)),
        "heat": (heat, 0, (rod, 4, 0.2)),
        "while per lane": (decays, (0, 1, 2), damped),
    }
    found: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    for name, (f, wrt, args) in programs.items():
        found[name] = iv.jit(f), args
        found[f"{name}, gradient"] = iv.value_and_grad(f, argnums=wrt), args
    found["k-means, Newton direction"] = iv.jit(kmeans.direction), (points, centres)
    found["bundle adjustment"] = iv.jit(ba.objective), bundle
    found["bundle adjustment, Jacobian"] = iv.jit(ba.jacobian), bundle
    return found


def bits(result: Any) -> list[bytes]:
    return [np.asarray(x).tobytes() for x in state.flatten(result)[0]]


def measure(f: Callable[..., Any], args: tuple[Any, ...], several: int) -> tuple[float, float, bool]:
    """The least time on one thread, on several, and whether all results are equal."""
    least = {1: np.inf, several: np.inf}
    found: dict[int, list[bytes]] = {}
    f(*args)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for n in least:
            iv.set_threads(n)
            time.sleep(REST)
            for _ in range(3):
                pool.try_again()
                start = time.perf_counter()
                result = f(*args)
                least[n] = min(least[n], time.perf_counter() - start)
            if n not in found:
                found[n] = bits(result)
    return least[1], least[several], found[1] == found[several]


def main() -> None:
    several = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    print(f"{'':28s} {'1 thread':>12s} {f'{several} threads':>12s}", flush=True)
    for name, (f, args) in table().items():
        if len(sys.argv) > 2 and not any(wanted in name for wanted in sys.argv[2:]):
            continue
        one, more, same = measure(f, args, several)
        print(
            f"{name:28s} {1e6 * one:9.0f} us {1e6 * more:9.0f} us   {one / more:.2f}x{'' if same else '   DIFFERENT'}",
            flush=True,
        )


if __name__ == "__main__":
    main()

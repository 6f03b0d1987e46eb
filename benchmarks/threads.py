"""`python -m benchmarks.threads [THREADS] [NAME...]`: wall times of parallel workloads on one thread and on several.

Without chunks (`threads=False`), one thread and several alternate, each after a short rest, so that on a loaded machine
all get their share of the cores.  The least time of each counts; beside the ratio of these stands the median of what
single rounds say, which is lower where others use the cores.  Results are compared bit by bit.  Two minutes in all.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import iverson as iv
from benchmarks import lanes, workloads
from benchmarks.arrays import lbm, xsbench
from benchmarks.gradbench import ba, gmm, kmeans
from benchmarks.kernels import sweeps
from iverson.backend import pool
from iverson.lang import state

SECONDS, ROUNDS = 3.5, 5  # for each workload, at least
SPAN = 0.02  # of a round: workers that others keep waiting come to their core within it
REST = 0.002


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


def embedding(table, words, weights):
    """Rows that are looked up, each seen through tanh."""
    total = 0.0
    for i in range(len(words)):
        total += np.tanh(np.sum(table[words[i]] * weights))
    return total


def springs(x, a, b):
    """The energy of springs between points of a chain, by their numbers."""
    total = 0.0
    for k in range(len(a)):
        d = x[a[k]] - x[b[k]]
        total += (np.sqrt(np.sum(d * d)) - 1.0) ** 2
    return total


def product(values, starts, columns, x):
    """Of a sparse matrix by rows and a vector."""
    y = np.zeros(len(starts) - 1)
    for i in range(len(y)):
        for p in range(starts[i], starts[i + 1]):
            y[i] += values[p] * x[columns[p]]
    return np.sum(np.sin(y))


def decays(x, v, rate, turns):
    return iv.vmap(lanes.decay)(x, v, rate, turns).sum()


Table: TypeAlias = dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]


def table() -> Table:
    """Functions, not compiled yet, and their arguments."""
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(10_000, 16)), rng.normal(size=(100, 16))
    x = rng.normal(size=1_000_000)
    mixture = gmm.EVALUATION.arguments(gmm.make(rng, 32, 50, 1000))
    bundle = ba.arguments(ba.make(rng, 49, 7776, 31_843))
    turns = lanes.heavy(rng, 4000)
    damped = (rng.normal(size=turns.size), rng.normal(size=turns.size), rng.uniform(0.01, 0.05, turns.size), turns)
    grid, rod = rng.normal(size=(500, 500)), rng.normal(size=300_000)
    words = rng.integers(0, 20_000, size=100_000)
    programs = {
        "k-means": (workloads.kmeans_loops, 1, (points, centres)),
        "log-sum-exp": (workloads.logsumexp, 0, (x,)),
        "GMM": (gmm.objective, (0, 1, 2, 3), mixture),
        "Jacobi": (jacobi, 0, (grid, 6)),
        "heat": (heat, 0, (rod, 4, 0.2)),
        "while per lane": (decays, (0, 1, 2), damped),
    }
    programs["embedding"] = (embedding, (0, 2), (rng.normal(size=(20_000, 64)), words, rng.normal(size=64)))
    programs["springs"] = (springs, 0, (rng.normal(size=(200_000, 3)), words[:-1], words[1:]))
    image, columns = rng.normal(size=(600, 600)), rng.integers(0, 20_000, size=400_000)
    matrix = rng.normal(size=400_000), np.arange(0, 400_001, 20), columns, rng.normal(size=20_000)
    programs["sparse product"] = (product, (0, 3), matrix)
    programs["Deriche"] = (sweeps.deriche, 0, (image, image.copy(), 0.25))
    found: Table = {}
    for name, (f, wrt, args) in programs.items():
        found[name] = f, args
        found[f"{name}, gradient"] = iv.value_and_grad(f, argnums=wrt), args
    found["k-means, Newton direction"] = kmeans.direction, (points, centres)
    found["LBM, gradient"] = iv.value_and_grad(lbm.program), lbm.arguments(200, 5)
    found["XSBench, gradient"] = iv.value_and_grad(xsbench.program, argnums=(0, 1)), xsbench.arguments(10_000)
    found["bundle adjustment"] = ba.objective, bundle
    found["bundle adjustment, Jacobian"] = ba.jacobian, bundle
    return found


def bits(result: Any) -> list[bytes]:
    return [np.asarray(x).tobytes() for x in state.flatten(result)[0]]


@dataclass(frozen=True)
class Times:
    """What rounds took, in seconds, and whether all results were the same bits."""

    plain: list[float]  # without chunks
    one: list[float]
    several: list[float]
    same: bool

    @property
    def ratio(self) -> float:
        return min(self.one) / min(self.several)

    @property
    def typical(self) -> float:
        return statistics.median(a / b for a, b in zip(self.one, self.several, strict=True))

    @property
    def chunks(self) -> float:
        """One thread with chunks, as a multiple of one without."""
        return min(self.one) / min(self.plain)


def measure(f: Callable[..., Any], args: tuple[Any, ...], several: int) -> Times:
    """Alternate without chunks, on one thread and on several."""
    chunked, plain = iv.jit(f), iv.jit(f, threads=False)
    found: list[list[bytes]] = []
    for n in (1, several):
        iv.set_threads(n)
        found.append(bits(chunked(*args)))
    plain(*args)
    modes = {"plain": (plain, 1), "one": (chunked, 1), "several": (chunked, several)}
    times: dict[str, list[float]] = {name: [] for name in modes}
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times["several"]) < ROUNDS:
        for name, (f, n) in modes.items():
            iv.set_threads(n)
            time.sleep(REST)
            times[name].append(_least(f, args))
    iv.set_threads(several)
    found.append(bits(chunked(*args)))
    return Times(*times.values(), same=all(b == found[0] for b in found))


def _least(f: Callable[..., Any], args: tuple[Any, ...]) -> float:
    """Of the calls within a round."""
    least, begin = np.inf, time.perf_counter()
    while True:
        pool.try_again()
        start = time.perf_counter()
        f(*args)
        end = time.perf_counter()
        least = min(least, end - start)
        if end - begin > SPAN:
            return least


def main() -> None:
    several = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    print(
        f"{'':28s} {'no chunks':>12s} {'1 thread':>12s} {f'{several} threads':>12s}  ratio (typical)   chunks",
        flush=True,
    )
    ratios = []
    for name, (f, args) in table().items():
        if len(sys.argv) > 2 and not any(wanted in name for wanted in sys.argv[2:]):
            continue
        t = measure(f, args, several)
        ratios.append(t.ratio)
        least = "  ".join(f"{1e6 * min(x):9.0f} us" for x in (t.plain, t.one, t.several))
        told = "same bits" if t.same else "DIFFERENT"
        print(f"{name:28s} {least}  {t.ratio:4.2f}x ({t.typical:4.2f}x)   {t.chunks:5.2f}   {told}", flush=True)
    print(f"geometric mean {statistics.geometric_mean(ratios):.2f}x, least {min(ratios):.2f}x")


if __name__ == "__main__":
    main()

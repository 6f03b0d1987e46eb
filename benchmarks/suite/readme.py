"""The tables of figures in README.md, from results: what stands between `<!-- figures: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.suite.page import number, table
from benchmarks.suite.registry import OURS
from benchmarks.suite.results import Results

PROGRAMS = {  # what the README calls a workload
    "digits objective": "Gaussian mixture of the demo",
    "k-means cost": "k-means cost, 10,000 x 16, 100 centres",
    "log-sum-exp": "log-sum-exp of 1e6",
    "Lorenz RK4": "Lorenz, RK4, 1e5 steps",
    "heat, in place": "heat stencil in place, 512², 100 sweeps",
    "tree recurrence": "tree recurrence, 1e5 nodes",
    "Kalman filter": "Kalman filter with `np.linalg`, 2 x 2",
    "XSBench-like": "cross sections looked up, 10,000 neutrons",
    "LBM D2Q9": "lattice Boltzmann, 200², 20 steps",
    "cholesky": "Cholesky as loops, n = 200",
    "jacobi_2d": "Jacobi in slices, 200²",
}
GRADBENCH = {
    "llsq 128,2048": "llsq",
    "lse 160000": "lse",
    "gmm 32,50,1000": "gmm 32, 50",
    "gmm 64,100,1000": "gmm 64, 100",
    "lstm 4,4096": "lstm",
    "ode 100000,100": "ode",
    "det 10": "det 10",
    "kmeans 100,10000,16": "kmeans",
    "ba 257,65132,225911": "ba, Jacobian",
    "ht 10000,10000,True": "ht, Jacobian",
}


def programs(results: Results) -> str:
    rows = []
    for name, title in PROGRAMS.items():
        value, gradient = (results.number(name, OURS, what) for what in ("value", "gradient"))
        beside = [value / results.number(name, peer, "value") for peer in ("Numba", "C++")]
        jax = results.number(name, "JAX", "gradient") / gradient
        if value > 0 and gradient > 0:
            rows.append([title, *map(number, (1e3 * value, *beside, 1e3 * gradient, jax, gradient / value))])
    head = [
        "program",
        "ms",
        "of Numba's time",
        "of C++'s",
        "with gradient, ms",
        "JAX, x ours",
        "gradient / program",
    ]
    return table(head, rows)


def gradbench(results: Results) -> str:
    found = {t: results.number(w, OURS, "gradient") / results.number(w, "C++", "value") for w, t in GRADBENCH.items()}
    return table(found, [map(number, found.values())])


TABLES = {"programs": programs, "gradbench": gradbench}


def write(results: Results, path: Path) -> None:
    """Put the tables where the README has them."""
    text = path.read_text()
    for name, made in TABLES.items():
        place = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{path} has no place for the figures {name!r}")
        text = place.sub(lambda found, made=made: f"{found[1]}\n{made(results)}\n{found[2]}", text)  # type: ignore[misc]
    path.write_text(text)

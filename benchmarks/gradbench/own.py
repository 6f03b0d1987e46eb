"""The evaluations by themselves: times of primals and derivatives, in the thread's CPU time, and what to compare with.

The measure is a plain C++ primal (`primals.cpp`, -O3 -march=native, one thread), compiled if there is a g++.
Every tool's derivative is given as a multiple of it; the peers' multiples are of GradBench's own C++ primals, each
measured where the derivative was.
"""

from __future__ import annotations

import ctypes
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gradbench.protocol import NAMES, evaluation
from benchmarks.suite.native import library, passed

# The fastest others that we know of at these sizes: the derivative as a multiple of the C++ primal, and whose it is.
PEERS = {
    ("llsq", (128, 2048)): (1.6, "Enzyme"),
    ("lse", (160_000,)): (0.93, "by hand"),
    ("gmm", (10, 25, 1000)): (1.8, "JAX"),
    ("gmm", (32, 50, 1000)): (3.1, "by hand"),
    ("gmm", (64, 100, 1000)): (5.0, "JAX"),
    ("lstm", (4, 4096)): (2.8, "Enzyme"),
    ("ode", (100_000, 100)): (3.0, "CoDiPack"),
    ("det", (10,)): (4.0, "CoDiPack"),
    ("kmeans", (100, 10_000, 16)): (1.0, "by hand"),
    ("kmeans", (1000, 10_000, 16)): (0.97, "by hand"),
    ("ba", (257, 65_132, 225_911)): (11.1, "by hand"),
    ("ht", (10_000, 10_000, True)): (4.4, "by hand"),
}
PEER_TIMES = {  # ms, where the primal has a derivative in it
    ("particle", "rr"): (6.35, "Enzyme"),
    ("particle", "ff"): (0.67, "Enzyme"),
    ("saddle", "rr"): (1.36, "Enzyme"),
    ("saddle", "ff"): (1.05, "Enzyme"),
}


def cpu_time(call: Callable[[], Any], seconds: float = 0.5, least: int = 3) -> float:
    """The median of the thread's CPU time, in ms; calls that take microseconds are timed many together."""
    begin = time.thread_time()
    call()
    together = max(1, int(2e-4 / (time.thread_time() - begin + 1e-9)))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        begin = time.thread_time()
        for _ in range(together):
            call()
        times.append((time.thread_time() - begin) / together)
    return 1e3 * float(np.median(times))


def native(found: ctypes.CDLL, name: str, args: Sequence[Any], ours: Any) -> Callable[[], Any]:
    """A call of the C++ primal on an evaluation's arguments; it computes what `ours` is."""
    given, out = ARGUMENTS[name](*args)
    held = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in given]
    function = getattr(found, name)
    function.restype = None
    pointers = [passed(a) for a in (*held, out)]

    def call(keep: Any = (held, out)) -> None:  # what the pointers point to
        function(*pointers)

    call()
    parts = ours if isinstance(ours, tuple) else (ours,)
    np.testing.assert_allclose(out, np.concatenate([np.ravel(x) for x in parts]), rtol=1e-9, atol=1e-9, err_msg=name)
    return call


def _ht(theta: np.ndarray, us: np.ndarray | None, data: dict[str, Any]) -> tuple[list[Any], np.ndarray]:
    model, n = data["model"], len(data["points"])
    names = ("parents", "base_relatives", "inverse_base_absolutes", "base_positions", "weights", "triangles")
    arrays = [model[name] for name in names]
    return [len(arrays[3]), n, theta, us, *arrays, data["correspondences"], data["points"]], np.zeros(3 * n)


# An evaluation's arguments -> those of its C++ primal, and the array for the result.
ARGUMENTS: dict[str, Callable[..., tuple[list[Any], np.ndarray]]] = {
    "llsq": lambda x, n: ([len(x), n, x], np.zeros(1)),
    "lse": lambda x: ([len(x), x], np.zeros(1)),
    "gmm": lambda alpha, mu, q, l, x, gamma, m: (
        [mu.shape[1], len(mu), len(x), m, alpha, mu, q, l, x],
        np.zeros(1),
    ),
    "lstm": lambda main, extra, state, sequence: (
        [len(main), len(sequence), main, extra, state, sequence],
        np.zeros(1),
    ),
    "ode": lambda x, s: ([len(x), s, x], np.zeros(len(x))),
    "det": lambda a: ([len(a), a], np.zeros(1)),
    "kmeans": lambda points, centroids: ([len(centroids), *points.shape, points, centroids], np.zeros(1)),
    "ba": lambda *arrays: ([len(arrays[3]), *arrays], np.zeros(3 * len(arrays[3]))),
    "ht": _ht,
}


def compare(names: Sequence[str] = ()) -> None:
    """Print a table: ms, and multiples of the C++ primal."""
    found = library(Path(__file__).with_name("primals.cpp")) if shutil.which("g++") else None
    if found is None:
        print("no g++ here: nothing to compare with in C++\n")
    print(
        f"{'':32s} {'primal':>9s} {'derivative':>10s} {'/primal':>8s} {'C++':>9s} {'primal/C++':>10s} {'deriv/C++':>9s}"
    )
    for name in NAMES:
        if not names or name in names:
            for sizes in evaluation(name).sizes:
                _compare(found, name, sizes)


def _compare(found: ctypes.CDLL | None, name: str, sizes: tuple[Any, ...]) -> None:
    chosen = evaluation(name)
    args = chosen.arguments(chosen.make(np.random.default_rng(0), *sizes))
    times = {function: cpu_time(lambda f=f: f(*args)) for function, f in chosen.functions.items()}  # type: ignore[misc]
    if name in ("particle", "saddle"):
        for function, taken in times.items():
            line = f"{name + ' ' + function:32s} {'':>9s} {taken:10.4f}"
            if (name, function) in PEER_TIMES:
                line += "   best of others {:.2f} ms ({})".format(*PEER_TIMES[name, function])
            print(line, flush=True)
        return
    primal, derivative = times.values()
    line = f"{name + ' ' + ','.join(map(str, sizes)):32s} {primal:9.4f} {derivative:10.4f} {derivative / primal:8.2f}"
    if found is not None and name in ARGUMENTS:
        beside = cpu_time(native(found, name, args, next(iter(chosen.functions.values()))(*args)))
        line += f" {beside:9.4f} {primal / beside:10.2f} {derivative / beside:9.2f}"
        if (name, sizes) in PEERS:
            line += "   best of others {:.2f} ({})".format(*PEERS[name, sizes])
    print(line, flush=True)

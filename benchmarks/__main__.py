"""`python -m benchmarks [name...]`: every workload beside Numba, value and gradient, and the growth of their ratio.

Times are medians of interleaved calls in one process and thread, of the thread's CPU time, which other work on the
machine disturbs less than the clock; the first call of each (compilation) is apart.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

import iverson as iv
from benchmarks import workloads
from benchmarks.workloads import WORKLOADS, Workload


def medians(calls: list[Callable[[], Any]], seconds: float = 1.0, least: int = 5) -> list[float]:
    """The median seconds of each call, taken in turns."""
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds * len(calls)
    while len(times[0]) < least or time.perf_counter() < end:
        for call, taken in zip(calls, times, strict=True):
            begin = time.thread_time()
            call()
            taken.append(time.thread_time() - begin)
    return [float(np.median(t)) for t in times]


def first(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def numba_of(w: Workload) -> Callable[..., Any] | None:
    try:
        import numba
    except ImportError:
        return None
    helper = numba.njit(fastmath=True)(workloads.logsumexp_loops)
    loops = w.loops or w.objective
    if "logsumexp_loops" in loops.__code__.co_names:
        loops = FunctionType(loops.__code__, {**loops.__globals__, "logsumexp_loops": helper})
    return numba.njit(fastmath=True)(loops)


def compare(w: Workload) -> None:
    args = w.args(w.size)
    value, gradient = iv.jit(w.objective), iv.value_and_grad(w.objective, argnums=w.wrt)
    compile_value, v = first(lambda: value(*args))
    compile_gradient, (v2, _) = first(lambda: gradient(*args))
    assert np.allclose(v, v2, rtol=1e-9), (v, v2)
    calls: list[Callable[[], Any]] = [lambda: value(*args), lambda: gradient(*args)]
    peer = numba_of(w)
    if peer is not None:
        loop_args = w.loop_args(args)
        assert np.allclose(peer(*loop_args), v, rtol=1e-7), (peer(*loop_args), v)
        calls.append(lambda: peer(*loop_args))
    times = medians(calls)
    beside = f"{1e3 * times[2]:9.3f}  {times[0] / times[2]:6.2f}" if peer is not None else "  missing       -"
    print(
        f"{w.name:20s} {1e3 * times[0]:9.3f} {1e3 * times[1]:9.3f}  {times[1] / times[0]:5.2f}  {beside}"
        f"   {compile_value:5.2f} {compile_gradient:5.2f}",
        flush=True,
    )


def grow(w: Workload) -> None:
    value, gradient = iv.jit(w.objective), iv.value_and_grad(w.objective, argnums=w.wrt)
    cells = []
    for n in w.growth:
        args = w.args(n)
        value(*args), gradient(*args)
        tv, tg = medians([lambda: value(*args), lambda: gradient(*args)], 0.3)  # noqa: B023 (called at once)
        cells.append(f"n={n}: {tg / tv:5.2f}")
    print(f"{w.name:20s} " + "   ".join(cells), flush=True)


def main(names: list[str]) -> None:
    chosen = [w for w in WORKLOADS if not names or any(part in w.name for part in names)]
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, one thread, ms\n")
    print(f"{'workload':20s} {'value':>9s} {'v+grad':>9s}  ratio  {'Numba':>9s}  {'value/Numba':>6s}  first calls, s")
    for w in chosen:
        compare(w)
    print("\ngradient/value as the number of turns grows")
    for w in chosen:
        if w.growth:
            grow(w)


if __name__ == "__main__":
    alone = {"OPENBLAS_NUM_THREADS": "1", "IVERSON_NUM_THREADS": "1"}  # read when the libraries are loaded
    if not alone.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], {**os.environ, **alone})
    main(sys.argv[1:])

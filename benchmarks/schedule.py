"""`python -m benchmarks.schedule [THREADS] [NAME...]`: what parallel workloads would take on several free cores.

Each chunk of a loop on the pool is run on one thread, and timed by its processor time, so other programs on the machine
disturb little.  What several threads would take: what is outside of such loops, and of each loop what the last of the
threads that claim its chunks in turn takes, and a dispatch.  Not in it: memory that threads share, sleeping workers.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import iverson as iv
from benchmarks import threads
from iverson.backend import pool

CALLS = 7
DISPATCH = 1.0  # microseconds


def now() -> float:
    """The thread's processor time, in microseconds."""
    return time.thread_time_ns() * 1e-3


CLOCK = min(-(now() - now()) for _ in range(1000))  # what it takes to look at it

_BODY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_RUN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
_quiet = ctypes.c_int64(0)
_loops: list[list[float]] = []  # microseconds of each chunk of each loop of a call
_inside: list[float] = []  # those of the loops, with what it takes to time their chunks


@_RUN
def _timed(body: int, context: int, count: int, held: int) -> int:
    begin = now()
    run, quiet, times = _BODY(body), ctypes.addressof(_quiet), list[float]()
    for chunk in range(count):
        start = now()
        status = run(context, quiet, chunk)
        times.append(now() - start - CLOCK)
        if status:
            return int(status)
    _loops.append(times)
    _inside.append(now() - begin)
    return 0


def watch() -> None:
    """Have kernels that are loaded from now on run their loops here."""
    address = pool.address
    here = ctypes.cast(_timed, ctypes.c_void_p).value or 0
    pool.address = lambda symbol: here if symbol == pool.RUN else address(symbol)


def claimed(chunks: list[float], several: int) -> float:
    """When the last of so many threads is done, if whoever is free claims the next chunk."""
    done = [0.0] * min(several, len(chunks))
    for chunk in chunks:
        done[done.index(min(done))] += chunk
    return max(done)


def predicted(f: Callable[..., Any], args: tuple[Any, ...], several: int) -> tuple[float, float]:
    """Microseconds on one thread, and on several."""
    f(*args)
    outside, chunks = np.inf, []
    for _ in range(CALLS):
        _loops.clear()
        _inside.clear()
        start = now()
        f(*args)
        outside = min(outside, now() - start - sum(_inside))
        chunks.append([list(loop) for loop in _loops])
    least = [[min(times) for times in zip(*loops, strict=True)] for loops in zip(*chunks, strict=True)]
    return outside + sum(map(sum, least)), outside + sum(claimed(loop, several) + DISPATCH for loop in least)


def main() -> None:
    several = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    watch()
    print(f"{'':28s} {'1 thread':>12s} {f'{several} threads':>12s}", flush=True)
    for name, (f, args) in threads.table().items():
        if len(sys.argv) > 2 and not any(wanted in name for wanted in sys.argv[2:]):
            continue
        one, more = predicted(iv.jit(f), args, several)
        print(f"{name:28s} {one:9.0f} us {more:9.0f} us   {one / more:.2f}x", flush=True)


if __name__ == "__main__":
    main()

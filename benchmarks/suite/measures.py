"""The measures: medians of processor time, first calls, peaks of memory, and digests of results.

All are of the process that calls them, which measures one pair of workload and peer and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.resident import NONE, keep_freed_memory, peak
from benchmarks.suite.registry import Program, Workload

TOGETHER = 2e-4  # seconds: shorter calls are timed many together
ENOUGH = 12.0  # seconds, after which what has been run suffices
Event = dict[str, Any]


def processor_seconds() -> float:
    """Of this process and of those that it has waited for: compilers, say."""
    t = os.times()
    return time.process_time() + t.children_user + t.children_system


def sample(call: Callable[[], Any], seconds: float, least: int = 5) -> list[float]:
    """Processor seconds of a call, run for some time and some times."""
    start = time.process_time()
    call()
    together = max(1, int(TOGETHER / (time.process_time() - start + 1e-9)))
    times: list[float] = []
    while (spent := time.process_time() - start) < seconds or (len(times) < least and spent < ENOUGH) or not times:
        begin = time.process_time()
        for _ in range(together):
            call()
        times.append((time.process_time() - begin) / together)
    return times


def leaves(result: Any) -> Iterator[np.ndarray]:
    """The arrays of a result, in order: of tuples, lists, dicts, sparse matrices, other libraries."""
    if isinstance(result, Mapping):
        result = tuple(result.values())
    if isinstance(result, tuple | list):
        for part in result:
            yield from leaves(part)
    else:
        yield np.asarray(result.detach() if hasattr(result, "detach") else result, dtype=float).ravel()


def digest(result: Any) -> dict[str, Any]:
    """Of a result: how many numbers, their norm, and their product with random numbers, the same for all peers."""
    whole = np.concatenate([np.zeros(0), *leaves(result)])
    weights = np.random.default_rng(7).normal(size=whole.size)
    return {"count": whole.size, "norm": float(np.linalg.norm(whole)), "product": float(weights @ whole)}


def _calls(program: Program) -> Iterator[tuple[str, Callable[..., Any]]]:
    for what in ("value", "gradient"):
        if (function := getattr(program, what)) is not None:
            yield what, function


def measure_time(workload: Workload, program: Program, seconds: float) -> Iterator[Event]:
    """First calls, digests of results, and medians with their quartiles, as they are found."""
    keep_freed_memory()
    args = program.prepare(workload.arguments(workload.size))
    for what, function in _calls(program):
        begin = processor_seconds()
        result = program.wait(function(*args))
        yield {f"{what}_first": processor_seconds() - begin, f"{what}_digest": digest(result)}
        times = sample(lambda f=function: program.wait(f(*args)), seconds)  # type: ignore[misc]
        low, middle, high = np.percentile(times, [25, 50, 75])
        yield {what: middle, f"{what}_spread": (high - low) / middle if middle else 0.0, f"{what}_runs": len(times)}


def measure_memory(workload: Workload, program: Program, seconds: float) -> Iterator[Event]:
    """What a gradient allocates at most, beyond its arguments."""
    if program.gradient is None:
        return
    keep_freed_memory(NONE)
    args = program.prepare(workload.arguments(workload.size if workload.large is None else workload.large))
    if program.memory is not None:
        yield {"memory": program.memory(args)}
        return
    gradient = program.gradient
    if (found := peak(lambda: program.wait(gradient(*args)))) is not None:
        yield {"memory": found}


def measure_growth(workload: Workload, program: Program, seconds: float) -> Iterator[Event]:
    """Medians at the sizes of the workload's growth, as far as the time limit goes."""
    keep_freed_memory()
    found: list[dict[str, float]] = []
    for n in workload.growth:
        args = program.prepare(workload.arguments(n))
        row: dict[str, float] = {"n": n}
        for what, function in _calls(program):
            program.wait(function(*args))
            row[what] = float(np.median(sample(lambda f=function, a=args: program.wait(f(*a)), seconds / 3, 3)))  # type: ignore[misc]
        found = [*found, row]
        yield {"growth": found}


MEASURING: dict[str, Callable[[Workload, Program, float], Iterator[Event]]] = {
    "time": measure_time,
    "memory": measure_memory,
    "growth": measure_growth,
}

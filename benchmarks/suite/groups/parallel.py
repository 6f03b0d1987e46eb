"""Threads: benchmarks/threads.py, wall times on one thread and on two, and whether the results are the same bits."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks import threads
from benchmarks.suite.registry import Workload

SEVERAL = 2
QUICK = ("k-means, gradient", "Jacobi")


def _measure(name: str) -> dict[str, Any]:
    t = threads.measure(*threads.table()[name], SEVERAL)
    return {"one": min(t.one), "several": min(t.several), "threads": SEVERAL, "same": t.same}


def workloads() -> list[Workload]:
    return [
        Workload(f"threads: {name}", "threads", benchmark={"threads": partial(_measure, name)}, quick=name in QUICK)
        for name in threads.table()
    ]

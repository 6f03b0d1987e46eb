"""What a call of a compiled function costs: benchmarks/calls.py."""

from __future__ import annotations

from functools import partial
from typing import Any

import iverson as iv
from benchmarks import calls
from benchmarks.suite.registry import Workload


def _measure(name: str) -> dict[str, Any]:
    f, args = calls.CALLS[name]
    found = {"Iverson": calls.nanoseconds(iv.jit(f), args), "Numba": calls._numba(f, args), "JAX": calls._jax(f, args)}
    return {"nanoseconds": {peer: t for peer, t in found.items() if t is not None}}


def workloads() -> list[Workload]:
    return [
        Workload(f"call: {name}", "calls", benchmark={"calls": partial(_measure, name)}, quick=True)
        for name in calls.CALLS
    ]

"""GradBench's evaluations at the sizes of `--own`: benchmarks/gradbench, its C++ primals, and ports to JAX.

The gradient is the derivative that the evaluation asks for: a Jacobian, a direction, or the gradient without the value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gradbench import own
from benchmarks.gradbench.protocol import NAMES, evaluation
from benchmarks.suite import native, peers
from benchmarks.suite.registry import OURS, Args, Program, Workload

SOURCE = Path(own.__file__).with_name("primals.cpp")
QUICK = ("lse 160000", "gmm 10,25,1000", "kmeans 100,10000,16", "particle rr")


def _arguments(name: str, sizes: tuple[Any, ...]) -> Args:
    chosen = evaluation(name)
    return chosen.arguments(chosen.make(np.random.default_rng(0), *sizes))


def _ours(name: str, derivative: str | None = None) -> Program:
    functions = evaluation(name).functions
    if derivative is not None:
        return Program(None, functions[derivative])
    value, gradient = functions.values()
    return Program(value, gradient)


def _small(name: str, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes to compile at: what is specialised, as layers and the kind of hand are, is as in `sizes`."""
    return {"lstm": (*sizes[:1], 5), "ht": (6, 5, *sizes[2:])}.get(name, tuple(evaluation(name).sample[0]))


IN_JAX = ("llsq", "lse", "gmm", "lstm", "ode", "kmeans", "ba")


def _jax(name: str) -> Program:
    from benchmarks.gradbench import in_jax

    return peers.jax_program(*in_jax.FUNCTIONS[name]())


def _peers(name: str) -> dict[str, Callable[[], Program]]:
    found: dict[str, Callable[[], Program]] = {OURS: partial(_ours, name)}
    if name in own.ARGUMENTS:
        found["C++"] = partial(native.cpp, SOURCE, name, own.ARGUMENTS[name])
    if name in IN_JAX:
        found["JAX"] = partial(_jax, name)
    return found


def workloads() -> list[Workload]:
    found = []
    for name in NAMES:
        chosen = evaluation(name)
        for sizes in chosen.sizes:
            title = f"{name} {','.join(map(str, sizes))}".strip()
            if len(chosen.functions) == 2:
                found.append(
                    Workload(
                        title,
                        "GradBench",
                        partial(_arguments, name),
                        sizes,
                        _peers(name),
                        small=_small(name, sizes),
                        quick=title in QUICK,
                        known=own.PEERS.get((name, sizes)),
                    )
                )
                continue
            for function in chosen.functions:
                found.append(
                    Workload(
                        f"{name} {function}",
                        "GradBench",
                        partial(_arguments, name),
                        sizes,
                        {OURS: partial(_ours, name, function)},
                        quick=f"{name} {function}" in QUICK,
                    )
                )
    return found

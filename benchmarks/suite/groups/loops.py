"""Loops with indices: the ten programs of benchmarks/promise as they grow, and those of benchmarks/workloads.py.

CasADi has the two that are natural in it: graphs of scalars are built for each size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import workloads as programs
from benchmarks.promise.by_hand import ADJOINTS
from benchmarks.promise.programs import PROGRAMS, Program
from benchmarks.suite import native, peers
from benchmarks.suite import registry as suite
from benchmarks.suite.registry import OURS, Args, Workload

SOURCE = Path(programs.__file__).with_name("loops.cpp")
SIZE = 100_000
QUICK = ("tree recurrence", "Gauss-Seidel in place", "Lorenz RK4")

# A program's arguments -> those of its C++.
IN_CPP: dict[str, tuple[str, Callable[..., Args]]] = {
    "tree recurrence": ("tree", lambda parent, theta: (len(theta), parent, theta)),
    "downstream accumulation": ("downstream", lambda runoff, down: (len(runoff), runoff, down)),
    "Gauss-Seidel in place": ("seidel", lambda x, sweeps: (len(x), x, sweeps)),
    "product, run-time bound": ("product", lambda x, turns: (x, turns)),
    "nested loops, look-up": ("lookup", lambda table, start, steps: (len(table), table, start, steps)),
    "soft-DTW in place": ("soft_dtw", lambda d: (*d.shape, d)),
    "Lorenz RK4": ("lorenz", lambda *args: args),
    "conditional update": ("conditional", lambda x, y: (len(x), x, y)),
    "while per lane": ("lanes", lambda x, turns: (len(x), x, turns)),
    "Rosenbrock loop": ("rosenbrock", lambda x: (len(x), x)),
    "digits objective": (
        "digits",
        lambda mix, x, gamma, m: (len(x), *mix[1].shape, *mix, x, gamma, m),
    ),
    "k-means cost": ("kmeans", lambda points, centres: (len(points), *centres.shape, points, centres)),
    "log-sum-exp": ("logsumexp", lambda x: (len(x), x)),
    "heat, in place": ("heat", lambda u, steps, rate: (*u.shape, u, steps, rate)),
    "Kalman filter": ("kalman", lambda f, h, observed: (len(observed), f, h, observed)),
}


def _cpp(name: str) -> Callable[[], suite.Program]:
    function, given = IN_CPP[name]
    return partial(native.cpp, SOURCE, function, lambda *args: (given(*args), np.zeros(1)))


def _in_jax(name: str) -> Callable[..., Any]:
    from benchmarks.promise import in_jax

    return in_jax.PROGRAMS[name][0]  # type: ignore[no-any-return]


STATIC = {"Gauss-Seidel in place": (1,), "nested loops, look-up": (2,), "Lorenz RK4": (2, 3)}


def _rosenbrock(casadi: Any, args: Args) -> tuple[Any, list[Any]]:
    x = casadi.MX.sym("x", len(args[0]))
    return casadi.sum1(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), [x]


def _lorenz(casadi: Any, args: Args) -> tuple[Any, list[Any]]:
    """A step as a function, mapped over all of them: the graph doesn't grow with the steps."""
    state, parameters = casadi.SX.sym("s", 3), casadi.SX.sym("p", 3)
    dt, steps = args[3], args[2]

    def slope(s: Any) -> Any:
        return casadi.vertcat(
            parameters[0] * (s[1] - s[0]), s[0] * (parameters[1] - s[2]) - s[1], s[0] * s[1] - parameters[2] * s[2]
        )

    k1 = slope(state)
    k2 = slope(state + dt / 2 * k1)
    k3 = slope(state + dt / 2 * k2)
    k4 = slope(state + dt * k3)
    step = casadi.Function("step", [state, parameters], [state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)])
    start, given = casadi.MX.sym("start", 3), casadi.MX.sym("given", 3)
    end = step.mapaccum(steps)(start, casadi.repmat(given, 1, steps))[:, -1]
    return casadi.sumsqr(end), [start, given]


IN_CASADI: dict[str, tuple[Callable[..., Any], Callable[[Args], Any]]] = {
    "Rosenbrock loop": (_rosenbrock, lambda args: args[:1]),
    "Lorenz RK4": (_lorenz, lambda args: args[:2]),
}


def _growing(p: Program) -> Workload:
    found: dict[str, Callable[[], suite.Program]] = {
        OURS: partial(peers.ours, p.function, p.wrt),
        "C++": _cpp(p.name),
        "Numba": partial(peers.numba, p.function, ADJOINTS[p.name]),
        "JAX": partial(peers.jax, partial(_in_jax, p.name), p.wrt, STATIC.get(p.name, ())),
        "Enzyme": partial(peers.enzyme, partial(_in_jax, p.name), p.wrt, STATIC.get(p.name, ())),
    }
    if p.name in IN_CASADI:
        found["CasADi"] = partial(peers.casadi, *IN_CASADI[p.name])
    return Workload(
        p.name,
        "loops",
        p.args,
        SIZE,
        found,
        small=100,
        large=10 * SIZE,
        growth=p.sizes,
        quick=p.name in QUICK,
    )


def _fixed(w: programs.Workload) -> Workload:
    loops = w.loops or w.objective
    helpers = [programs.logsumexp_loops] if "logsumexp_loops" in loops.__code__.co_names else []

    def by_numba() -> suite.Program:
        found = peers.numba(loops, helpers=helpers)
        return suite.Program(found.value, prepare=w.loop_args)

    found: dict[str, Callable[[], suite.Program]] = {
        OURS: partial(peers.ours, w.objective, w.wrt),
        "C++": _cpp(w.name),
        "Numba": by_numba,
    }
    return Workload(w.name, "loops", w.args, w.size, found, quick=w.name == "digits objective")


def workloads() -> list[Workload]:
    """The ten, and of the others what isn't among them."""
    growing = {p.function for p in PROGRAMS}
    return [
        *(_growing(p) for p in PROGRAMS),
        *(_fixed(w) for w in programs.WORKLOADS if w.objective not in growing),
    ]

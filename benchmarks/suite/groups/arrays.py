"""The ten of the literature on array languages that GradBench doesn't have: benchmarks/arrays.

(It has the others: gmm, ba, ht, lstm with diagonal matrices, k-means.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.arrays import clusters, lbm, lstm, rsbench, xsbench
from benchmarks.suite import native, peers
from benchmarks.suite.registry import OURS, Program, Workload

GROUP = "array languages"
SOURCE = Path(lbm.__file__).with_name("primals.cpp")


def _cpp(name: str, sizes: Callable[..., Sequence[Any]], arguments: slice = slice(None)) -> Callable[[], Program]:
    return partial(native.cpp, SOURCE, name, lambda *args: ([*sizes(*args), *args[arguments]], np.zeros(1)))


def _padded(program: Callable[[], Any], wrt: peers.Wrt, most: Callable[..., Any]) -> Callable[[], Program]:
    """A JAX program whose last argument is how far ragged lists are padded: known from the arguments."""

    def build() -> Program:
        found = peers.jax(program, wrt, (len(most.__code__.co_varnames),))
        return Program(
            found.value,
            found.gradient,
            lambda args: (*found.prepare(args), most(*args)),
            found.wait,
            found.memory,
        )

    return build


def _most_nuclides(sections, concentrations, grids, starts, nuclides, energies, materials, weights):
    return int(np.max(np.diff(starts)))


def _most_poles(
    poles, background, radii, momenta, windows, starts, nuclides, concentrations, energies, materials, weights
):
    return int(np.max(np.diff(windows, axis=1))), int(np.max(np.diff(starts)))


def _newton() -> Program:
    return Program(iv.jit(lambda centres, points, steps: clusters.cost(centres, points)), iv.jit(clusters.newton))


def _newton_by_numba() -> Program:
    from benchmarks.workloads import kmeans_loops

    found = peers.numba(kmeans_loops, clusters.means_loops)
    cost = found.value
    assert cost is not None
    return Program(lambda centres, points, steps: cost(points, centres), found.gradient)


def _newton_by_jax() -> Program:
    found = peers.jax(clusters.newton_jax, 0, (2,))
    return peers.jax_program(None, found.value)  # type: ignore[arg-type]


def workloads() -> list[Workload]:
    def workload(
        name: str,
        module: Any,
        size: int,
        small: int,
        wrt: peers.Wrt,
        more: dict[str, Callable[[], Program]],
        **fields: Any,
    ) -> Workload:
        found: dict[str, Callable[[], Program]] = {OURS: partial(peers.ours, module.program, wrt), **more}
        if hasattr(module, "loops"):
            found["Numba"] = partial(peers.numba, module.loops, module.adjoint)
        if hasattr(module, "vectorised"):
            found["NumPy"] = partial(peers.interpreted, module.vectorised)
        return Workload(name, GROUP, module.arguments, size, found, small=small, **fields)

    return [
        workload(
            "XSBench-like",
            xsbench,
            10_000,
            50,
            (0, 1),
            {
                "C++": _cpp("xsbench", lambda *a: (len(a[5]), a[2].shape[1])),
                "JAX": _padded(xsbench.jax_program, (0, 1), _most_nuclides),
            },
            quick=True,
        ),
        workload(
            "RSBench-like",
            rsbench,
            10_000,
            50,
            (0, 1),
            {
                "C++": _cpp("rsbench", lambda *a: (len(a[8]), a[1].shape[1], a[0].shape[1])),
                "JAX": _padded(rsbench.jax_program, (0, 1), _most_poles),
            },
        ),
        workload(
            "LBM D2Q9",
            lbm,
            200,
            12,
            0,
            {
                "C++": _cpp("lbm", lambda f, *a: f.shape[1:]),
                "JAX": partial(peers.jax, lbm.jax_program, 0, (3,)),
                "Enzyme": partial(peers.enzyme, lbm.jax_program, 0, (3,)),
            },
        ),
        Workload(
            "sparse k-means",
            GROUP,
            clusters.sparse_arguments,
            10_000,
            {
                OURS: partial(peers.ours, clusters.sparse_cost),
                "C++": _cpp("sparse_kmeans", lambda c, v, i, starts: (len(starts) - 1, *c.shape)),
                "NumPy": partial(peers.interpreted, clusters.sparse_cost_vectorised),
                "Numba": partial(peers.numba, clusters.sparse_cost_loops, clusters.sparse_cost_adjoint),
                "JAX": partial(peers.jax, clusters.sparse_cost_jax),
            },
            small=50,
        ),
        Workload(
            "k-means, ten Newton steps",
            GROUP,
            clusters.dense_arguments,
            10_000,
            {
                OURS: _newton,
                "C++": _cpp("kmeans", lambda c, x, steps: (len(x), *c.shape), slice(0, 2)),
                "NumPy": lambda: Program(None, clusters.means_vectorised),
                "Numba": _newton_by_numba,
                "JAX": _newton_by_jax,
            },
            small=50,
        ),
        workload(
            "LSTM",
            lstm,
            192,
            8,
            (0, 1, 2, 3),
            {
                "NumPy": partial(peers.interpreted, lstm.program),
                "JAX": partial(peers.jax, lstm.jax_program, (0, 1, 2, 3)),
                "Enzyme": partial(peers.enzyme, lstm.jax_program, (0, 1, 2, 3)),
                "PyTorch": partial(peers.torch, lstm.torch_program, (0, 1, 2, 3)),
                "autograd": partial(peers.autograd, lstm.program, (0, 1, 2, 3)),
            },
        ),
    ]

"""The kernels as scientists write NumPy: benchmarks/kernels, with their adjoints by hand and ports to JAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.kernels.registry import Kernel
from benchmarks.kernels.suite import KERNELS
from benchmarks.suite import peer_dace, peers
from benchmarks.suite.registry import OURS, Program, Workload

SMALL = 12
LARGER = 3  # by how much arguments are larger of which memory is measured
QUICK = ("cholesky", "jacobi_2d", "seidel_2d")


def _peers(k: Kernel) -> dict[str, Callable[[], Program]]:
    return {
        OURS: partial(peers.ours, k.program, k.wrt),
        "NumPy": partial(peers.interpreted, k.program),
        "Numba": partial(peers.numba, k.primal, k.adjoint),
        "JAX": partial(peers.jax, lambda: k.jax, k.wrt, k.static),
        "Enzyme": partial(peers.enzyme, lambda: k.jax, k.wrt, k.static),
        "DaCe": partial(peer_dace.program, k.program, k.wrt),
    }


def workloads() -> list[Workload]:
    return [
        Workload(
            k.name,
            "kernels with indices" if k.family == "loops" else "stencils",
            k.args,
            k.size,
            _peers(k),
            small=SMALL,
            large=LARGER * k.size,
            quick=k.name in QUICK,
        )
        for k in KERNELS
    ]

"""`python -m benchmarks.contractions [name...]`: contractions and networks beside JAX and PyTorch, value and gradient.

The kernels are written as a NumPy user would, from their public definitions: with `@`, with einsum, or as loops over
elements, rows and slices.  The peers have each in the form that suits them best, loops as whole-array operations.  The
gradient is of half the sum of squares of all results, in all array arguments, with its value.

One thread and one process; medians of interleaved calls, of the process's CPU time.  A ratio is our time by the peer's.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # a BLAS for another machine would slow us, not the peers
    os.environ.pop(_name, None)
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

import iverson as iv  # noqa: E402
from benchmarks.contraction_kernels import KERNELS, Kernel  # noqa: E402


def medians(calls: Sequence[Callable[[], Any]], seconds: float = 0.3, least: int = 5) -> list[float]:
    """The median ms of each call, taken in turns; calls that take microseconds are timed many together."""
    together = []
    for call in calls:
        call()
        begin = time.process_time()
        call()
        together.append(max(1, int(2e-4 / (time.process_time() - begin + 1e-9))))
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds * len(calls)
    while len(times[0]) < least or time.perf_counter() < end:
        for call, taken, n in zip(calls, times, together, strict=True):
            begin = time.process_time()
            for _ in range(n):
                call()
            taken.append((time.process_time() - begin) / n)
    return [1e3 * float(np.median(t)) for t in times]


Calls = tuple[Callable[[], Any], Callable[[], Any]]  # the results; (value, gradient)


def ours(kernel: Kernel, args: Sequence[Any]) -> Calls:
    wrt = tuple(k for k, a in enumerate(args) if _differentiable(a))

    def objective(*args: Any) -> Any:
        return sum(0.5 * np.sum(r * r) for r in _tuple(kernel.function(*args)))

    value, gradient = iv.jit(kernel.function), iv.value_and_grad(objective, argnums=wrt)
    return lambda: value(*args), lambda: gradient(*args)


def by_jax(kernel: Kernel, args: Sequence[Any]) -> Calls | None:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    function = kernel.jax(jnp)
    given = [jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
    wrt = tuple(k for k, a in enumerate(args) if _differentiable(a))

    def objective(*args: Any) -> Any:
        return sum(0.5 * jnp.sum(r * r) for r in _tuple(function(*args)))

    value, gradient = jax.jit(function), jax.jit(jax.value_and_grad(objective, argnums=wrt))
    return lambda: jax.block_until_ready(value(*given)), lambda: jax.block_until_ready(gradient(*given))


def by_torch(kernel: Kernel, args: Sequence[Any]) -> Calls | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    function = kernel.torch(torch)
    given = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in args]
    leaves = [g.requires_grad_() for g, a in zip(given, args, strict=True) if _differentiable(a)]

    def value() -> Any:
        with torch.no_grad():
            return function(*given)

    def gradient() -> Any:
        total = sum(0.5 * (r * r).sum() for r in _tuple(function(*given)))
        return total, torch.autograd.grad(total, leaves)

    return value, gradient


def compare(kernel: Kernel) -> None:
    args = kernel.args(np.random.default_rng(0))
    both = ours(kernel, args)
    expected = [(both[0](), both[1]())]
    rows: list[list[Callable[[], Any]]] = [[both[0]], [both[1]]]
    names = []
    for name, make in (("JAX", by_jax), ("PyTorch", by_torch)):
        calls = make(kernel, args)
        if calls is None:
            continue
        names.append(name)
        tolerance = 1e-3 if any(a.dtype == np.float32 for a in args if isinstance(a, np.ndarray)) else 1e-8
        for row, call, want in zip(rows, calls, expected[0], strict=True):
            _agree(call(), want, tolerance, f"{kernel.name} by {name}")
            row.append(call)
    cells = []
    for row in rows:
        mine, *theirs = medians(row)
        best = min(theirs, default=float("nan"))
        cells.append(f"{mine:9.3f} " + " ".join(f"{t:9.3f}" for t in theirs) + f" {mine / best:6.2f}")
    print(f"{kernel.name:22s} " + "   ".join(cells), flush=True)


def _agree(got: Any, want: Any, tolerance: float, what: str) -> None:
    for g, w in zip(_flat(got), _flat(want), strict=True):
        g, w = np.asarray(g), np.asarray(w)
        scale = max(1.0, float(np.abs(w).max(initial=0.0)))
        np.testing.assert_allclose(g / scale, w / scale, rtol=tolerance, atol=tolerance, err_msg=what)


def _flat(x: Any) -> list[Any]:
    if isinstance(x, tuple | list):
        return [y for part in x for y in _flat(part)]
    return [x.detach().numpy() if hasattr(x, "detach") else x]


def _tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def _differentiable(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def main(names: list[str]) -> None:
    peers = []
    for module, name in (("jax", "JAX"), ("torch", "PyTorch")):
        try:
            __import__(module)
            peers.append(name)
        except ImportError:
            print(f"{name} is not installed: not compared")
    head = f"{'ours':>9s} " + " ".join(f"{p:>9s}" for p in peers) + f" {'/best':>6s}"
    print(f"{'ms':22s} {'value':^{len(head)}s}   {'value and gradient':^{len(head)}s}")
    print(f"{'':22s} {head}   {head}")
    for kernel in KERNELS:
        if not names or any(part in kernel.name for part in names):
            compare(kernel)


if __name__ == "__main__":
    main(sys.argv[1:])

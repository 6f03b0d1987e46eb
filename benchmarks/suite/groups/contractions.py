"""Contractions and networks: benchmarks/contraction_kernels.py. Gradients: of half the sum of the results' squares."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.contraction_kernels import KERNELS, Kernel
from benchmarks.kernels import suite as kernels
from benchmarks.suite import peers
from benchmarks.suite.registry import OURS, Args, Program, Workload

QUICK = ("gemm_loops", "softmax", "mlp")


def _parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def _args(k: Kernel, _: Any) -> Args:
    return k.args(np.random.default_rng(0))


def _wrt(k: Kernel) -> tuple[int, ...]:
    args = _args(k, None)
    return tuple(i for i, a in enumerate(args) if isinstance(a, np.ndarray) and a.dtype.kind == "f")


def _ours(k: Kernel) -> Program:
    def objective(*args: Any) -> Any:
        return sum(0.5 * np.sum(r * r) for r in _parts(k.function(*args)))

    return Program(iv.jit(k.function), iv.value_and_grad(objective, argnums=_wrt(k)))


def _jax(k: Kernel) -> Program:
    import jax

    jax.config.update("jax_enable_x64", True)
    function = k.jax(jax.numpy)

    def objective(*args: Any) -> Any:
        return sum(0.5 * jax.numpy.sum(r * r) for r in _parts(function(*args)))

    return peers.jax_program(jax.jit(function), jax.jit(jax.value_and_grad(objective, argnums=_wrt(k))))


def _enzyme(k: Kernel) -> Program:
    def function() -> Callable[..., Any]:
        import jax

        program = k.jax(jax.numpy)
        return lambda *args: sum(0.5 * jax.numpy.sum(r * r) for r in _parts(program(*args)))

    found = peers.enzyme(function, _wrt(k))
    return Program(None, found.gradient, found.prepare, found.wait)


def _torch(k: Kernel) -> Program:
    import torch

    function = k.torch(torch)
    whole = peers.torch(lambda: lambda *args: sum(0.5 * (r * r).sum() for r in _parts(function(*args))), _wrt(k))

    def value(*args: Any) -> Any:
        with torch.no_grad():
            return function(*args)

    return Program(value, whole.gradient, whole.prepare)


def _autograd(k: Kernel) -> Program:
    import autograd.numpy

    function = peers.with_module(k.function, autograd.numpy)

    def objective(*args: Any) -> Any:
        return sum(0.5 * np.sum(r * r) for r in _parts(function(*args)))

    return peers.autograd(objective, _wrt(k))


def workloads() -> list[Workload]:
    found, taken = [], {k.name for k in kernels.KERNELS}
    for k in KERNELS:
        single = any(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in _args(k, None))
        builders = {OURS: _ours, "JAX": _jax, "Enzyme": _enzyme, "PyTorch": _torch, "autograd": _autograd}
        found.append(
            Workload(
                k.name if k.name not in taken else f"{k.name} (contraction)",
                "contractions and networks",
                partial(_args, k),
                None,
                {
                    "NumPy": partial(peers.interpreted, k.function),
                    **{peer: partial(build, k) for peer, build in builders.items()},
                },
                tolerance=1e-3 if single else 1e-6,
                quick=k.name in QUICK,
            )
        )
    return found

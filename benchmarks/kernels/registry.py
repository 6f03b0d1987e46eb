"""What a kernel of this benchmark is, and the peers that it is written for, as far as they are installed.

A kernel is four functions of the same arguments.  Each gives the weighted sum of what the kernel computes, the weights
being an argument, so that no symmetry hides a wrong derivative; `adjoint` gives its gradient in one argument too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

try:
    import numba
except ImportError:
    numba = None

HAND_IS_COMPILED = numba is not None


def hand(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled by Numba, if it is there; else plain Python, which tests run at small sizes."""
    return numba.njit(fastmath=True)(function) if numba is not None else function


class Late:
    """A module that is imported when it is first used: only the processes that time JAX load it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if self._name.startswith("jax"):
            importlib.import_module("jax").config.update("jax_enable_x64", True)
        return getattr(importlib.import_module(self._name), attribute)


jnp: Any = Late("jax.numpy")
lax: Any = Late("jax.lax")


@dataclass(frozen=True)
class Kernel:
    name: str
    family: str  # "loops" or "stencils"
    program: Callable[..., Any]  # as a NumPy user writes it
    primal: Callable[..., Any]  # loops for Numba
    adjoint: Callable[..., Any]  # value and gradient, by hand
    jax: Callable[..., Any]
    args: Callable[[int], tuple[Any, ...]]
    size: int
    wrt: int = 0
    static: tuple[int, ...] = ()  # arguments that are compile-time numbers for JAX
    note: str = ""


KERNELS: list[Kernel] = []


def kernel(name: str, family: str, *functions: Callable[..., Any], **fields: Any) -> None:
    """Record a kernel: its program, primal, adjoint and JAX port."""
    KERNELS.append(Kernel(name, family, *functions, **fields))


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return rng().normal(size=shape)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(12).normal(size=shape)

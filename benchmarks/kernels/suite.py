"""All kernels, by their families."""

from . import channel, factorisations, flows, products, recurrences, stencils, sweeps, weather  # noqa: F401
from .registry import KERNELS

__all__ = ["KERNELS"]

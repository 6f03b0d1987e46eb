"""Kernels as scientists write NumPy: parameters written in place, slices, views, helpers, awkward layouts."""

from . import integers, linear_algebra, networks, physics, statistics, stencils, views  # noqa: F401
from .registry import KERNELS

__all__ = ["KERNELS"]

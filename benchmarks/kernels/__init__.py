"""Kernels as scientists write NumPy, beside hand-written adjoints in Numba and ports to JAX."""

"""Iverson: gradients for the Python you already write."""

from iverson.run.jit import jit
from iverson.run.transforms import grad, hessian, hvp, jacfwd, jacrev, jvp, value_and_grad, vjp

__all__ = ["grad", "hessian", "hvp", "jacfwd", "jacrev", "jit", "jvp", "value_and_grad", "vjp"]

"""Iverson: gradients for the Python you already write."""

from iverson.lang import random
from iverson.lang.functional import (
    cond,
    fori_loop,
    histogram,
    reduce,
    scan,
    segment_sum,
    stop_gradient,
    unroll,
    while_loop,
)
from iverson.run.check_grads import check_grads
from iverson.run.custom import custom_jvp, custom_vjp
from iverson.run.implicit import fixed_point, linear_solve, minimize, root
from iverson.run.inspect import show
from iverson.run.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from iverson.run.jit import jit
from iverson.run.transforms import functional, grad, jet, jvp, linear_transpose, value_and_grad, vjp
from iverson.run.vmap import vmap

__all__ = [
    "check_grads",
    "cond",
    "custom_jvp",
    "custom_vjp",
    "fixed_point",
    "fori_loop",
    "functional",
    "grad",
    "hessian",
    "histogram",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jet",
    "jit",
    "jvp",
    "linear_solve",
    "linear_transpose",
    "minimize",
    "random",
    "reduce",
    "root",
    "scan",
    "segment_sum",
    "show",
    "stop_gradient",
    "unroll",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]

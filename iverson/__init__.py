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
from iverson.run.ahead import spec
from iverson.run.inspect import check_grads, show
from iverson.run.jit import jit
from iverson.run.transforms import functional, grad, hessian, hvp, jacfwd, jacrev, jvp, value_and_grad, vjp

__all__ = [
    "check_grads",
    "cond",
    "fori_loop",
    "functional",
    "grad",
    "hessian",
    "histogram",
    "hvp",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "random",
    "reduce",
    "scan",
    "segment_sum",
    "show",
    "spec",
    "stop_gradient",
    "unroll",
    "value_and_grad",
    "vjp",
    "while_loop",
]

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
from iverson.run.cost import cheapness, cost
from iverson.run.inspect import check_grads, show
from iverson.run.jit import jit
from iverson.run.sparse import hessian, jacobian
from iverson.run.transforms import functional, grad, hvp, jacfwd, jacrev, jet, jvp, value_and_grad, vjp

__all__ = [
    "cheapness",
    "check_grads",
    "cond",
    "cost",
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
    "random",
    "reduce",
    "scan",
    "segment_sum",
    "show",
    "stop_gradient",
    "unroll",
    "value_and_grad",
    "vjp",
    "while_loop",
]

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
from iverson.lang.sketching import sketch
from iverson.run import tape
from iverson.run.ahead import spec
from iverson.run.check_grads import check_grads
from iverson.run.cost import cheapness, cost
from iverson.run.custom import custom_jvp, custom_vjp
from iverson.run.implicit import fixed_point, linear_solve, minimize, root
from iverson.run.inspect import show
from iverson.run.jacobians import hvp, jacfwd, jacrev
from iverson.run.jet import jet
from iverson.run.jit import jit
from iverson.run.notes import keep, range, recompute
from iverson.run.sparse import hessian, jacobian
from iverson.run.transforms import functional, grad, jvp, linear_transpose, value_and_grad, vjp
from iverson.run.vmap import vmap

__all__ = [
    "cheapness",
    "check_grads",
    "cond",
    "cost",
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
    "keep",
    "linear_solve",
    "linear_transpose",
    "minimize",
    "random",
    "range",
    "recompute",
    "reduce",
    "root",
    "scan",
    "segment_sum",
    "show",
    "sketch",
    "spec",
    "stop_gradient",
    "tape",
    "unroll",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]

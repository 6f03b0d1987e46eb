"""particle: a charged particle is to hit the origin; the place of a charge is found by descent.

The force is a derivative, so the descent needs a derivative of a derivative through a while loop, in all combinations
of forward and reverse mode.  From Siskind and Pearlmutter.
"""

import numpy as np

import iverson as iv
from benchmarks.gradbench.descent import argmin
from benchmarks.gradbench.evaluation import Evaluation


def miss(w, derivative):
    """The square of where the particle crosses the first axis."""
    charges = np.array([[10.0, 10.0 - w], [10.0, 0.0]])

    def potential(x):
        return sum(1 / np.linalg.norm(x - charge) for charge in charges)

    dt = 0.1
    x, v = np.array([0.0, 8.0]), np.array([0.75, 0.0])
    while True:
        force = -derivative(potential)(x)
        x = x + dt * v
        if x[1] <= 0:
            break
        v = v + dt * force
    t = -x[1] / v[1]
    return (x[0] + t * v[0]) ** 2


def solver(outer, inner):
    return iv.jit(lambda w: argmin(lambda x: miss(x[0], inner), outer, np.array([w]))[0])


FORWARD, REVERSE = iv.jacfwd, iv.grad

EVALUATION = Evaluation(
    functions={
        "rr": solver(REVERSE, REVERSE),
        "rf": solver(REVERSE, FORWARD),
        "fr": solver(FORWARD, REVERSE),
        "ff": solver(FORWARD, FORWARD),
    },
    arguments=lambda data: (float(data["w"]),),
    make=lambda rng: {"w": 0.0},
    sample=[()],
    sizes=[()],
)

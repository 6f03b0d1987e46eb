"""saddle: the saddle point of |x|^2 - |y|^2 as a descent in a descent, differentiated through.

The gradient of max_y f(x, y) in x goes through all steps of the descent that finds y, in all combinations of forward
and reverse mode.  From Siskind and Pearlmutter.
"""

import numpy as np

import iverson as iv
from benchmarks.gradbench.descent import argmax, argmin
from benchmarks.gradbench.evaluation import Evaluation


def height(x, y):
    return x @ x - y @ y


def solver(outer, inner):
    def solve(start):
        def highest(x):
            return height(x, argmax(lambda y: height(x, y), inner, start))

        x = argmin(highest, outer, start)
        y = argmax(lambda y: height(x, y), outer, start)
        return np.concatenate([x, y])

    return iv.jit(solve)


FORWARD, REVERSE = iv.jacfwd, iv.grad

EVALUATION = Evaluation(
    functions={
        "rr": solver(REVERSE, REVERSE),
        "rf": solver(REVERSE, FORWARD),
        "fr": solver(FORWARD, REVERSE),
        "ff": solver(FORWARD, FORWARD),
    },
    arguments=lambda data: (np.array(data["start"], dtype=float),),
    make=lambda rng: {"start": [1.0, 1.0]},
    sample=[()],
    sizes=[()],
)

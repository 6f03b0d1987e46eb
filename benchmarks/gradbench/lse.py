"""lse: the logarithm of a sum of exponentials, shifted by the largest so that none overflows."""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def primal(x):
    top = max(x)
    return top + np.log(sum(np.exp(v - top) for v in x))


EVALUATION = Evaluation(
    functions={"primal": iv.jit(primal), "gradient": iv.grad(primal)},
    arguments=lambda data: (np.array(data["x"]),),
    make=lambda rng, n: {"x": rng.normal(size=n).tolist()},
    sample=[(5,)],
    sizes=[(160_000,)],
)

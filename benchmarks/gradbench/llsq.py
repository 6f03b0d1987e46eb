"""llsq: least squares, a polynomial fitted to the sign of t on [-1, 1]."""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def primal(x, n):
    total = 0.0
    for i in range(n):
        t = -1.0 + 2.0 * i / (n - 1)
        error, power = np.sign(t), 1.0
        for coefficient in x:
            error -= coefficient * power
            power *= t
        total += error**2
    return total / 2


EVALUATION = Evaluation(
    functions={"primal": iv.jit(primal), "gradient": iv.grad(primal)},
    arguments=lambda data: (np.array(data["x"]), data["n"]),
    make=lambda rng, m, n: {"x": rng.uniform(-1, 1, m).tolist(), "n": n},
    sample=[(5, 6)],
    sizes=[(128, 2048)],
)

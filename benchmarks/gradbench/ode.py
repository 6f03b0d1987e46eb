"""ode: y_i' = x_i y_{i-1}, y_0' = x_0, from 0 to 2 in s steps of the classical Runge-Kutta method."""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def primal(x, s):
    def slope(y):
        return [x[i] * (y[i - 1] if i > 0 else 1.0) for i in range(len(x))]

    h = 2.0 / s
    y = np.zeros(len(x))
    for _ in range(s):
        k1 = np.array(slope(y))
        k2 = np.array(slope(y + h / 2 * k1))
        k3 = np.array(slope(y + h / 2 * k2))
        k4 = np.array(slope(y + h * k3))
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


def last(x, s):
    return primal(x, s)[-1]


EVALUATION = Evaluation(
    functions={"primal": iv.jit(primal), "gradient": iv.grad(last)},
    arguments=lambda data: (np.array(data["x"]), data["s"]),
    make=lambda rng, n, s: {"x": rng.uniform(0.5, 1.5, n).tolist(), "s": s},
    sample=[(5, 3)],
    sizes=[(1000, 100), (100_000, 100)],
)

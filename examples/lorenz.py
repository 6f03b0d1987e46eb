"""Find the parameters of the Lorenz system from noisy observations of its path.

The loss is written as one would write a simulation: a plain loop that takes Runge-Kutta steps and stores the path in an
array.  `iv.value_and_grad` compiles it together with its exact gradient, which SciPy's L-BFGS follows.  Paths of
the system diverge exponentially, so each window of observations starts anew from its first one.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import minimize

import iverson as iv

STEP, WINDOW, WINDOWS = 0.01, 20, 100
TRUE = np.array([10.0, 28.0, 8.0 / 3.0])  # sigma, rho, beta
GUESS = np.array([5.0, 15.0, 1.0])
NOISE = 0.1


def velocity(p, s):
    x, y, z = s
    return np.array([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])


def step(p, s, h):
    """One step of the classical Runge-Kutta method."""
    k1 = velocity(p, s)
    k2 = velocity(p, s + h / 2 * k1)
    k3 = velocity(p, s + h / 2 * k2)
    k4 = velocity(p, s + h * k3)
    return s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@iv.jit
def simulate(p, start, h, steps):
    """The path from `start`, as an array [steps + 1, 3]."""
    path = np.zeros((steps + 1, 3))
    path[0] = start
    for k in range(steps):
        path[k + 1] = step(p, path[k], h)
    return path


def loss(p, observed, h, window):
    """The mean square distance of the observations from paths that start at the first of each window."""
    total = 0.0
    s = observed[0]
    for k in range(1, len(observed)):
        s = step(p, s, h)
        total += np.sum((s - observed[k]) ** 2)
        if k % window == 0:
            s = observed[k]
    return total / len(observed)


def main():
    steps = WINDOW * WINDOWS
    path = simulate(TRUE, np.array([-8.0, 7.0, 27.0]), STEP, steps)
    observed = path + NOISE * iv.random.normal(iv.random.key(0), path.shape)
    print(f"{len(observed)} observations of the Lorenz system, with noise of deviation {NOISE}")

    fun = iv.value_and_grad(loss)
    begin = time.perf_counter()
    fun(GUESS, observed, STEP, WINDOW)
    print(f"loss and gradient compiled and run once in {time.perf_counter() - begin:.2f} s")

    begin = time.perf_counter()
    found = minimize(fun, GUESS, args=(observed, STEP, WINDOW), jac=True, method="L-BFGS-B")
    seconds = time.perf_counter() - begin
    print(f"fitted in {1e3 * seconds:.0f} ms, {found.nfev} evaluations of loss and gradient\n")

    print("            sigma       rho      beta      loss")
    for name, p in ("guess", GUESS), ("found", found.x), ("true", TRUE):
        print(f"{name:6}" + "".join(f"{v:10.4f}" for v in p) + f"{fun(p, observed, STEP, WINDOW)[0]:10.4f}")


if __name__ == "__main__":
    main()

"""Track a target through noise: its parameters, their errors and the smoothed path, all from one likelihood.

The likelihood is the Kalman filter as textbooks write it, a loop of matrix products and `np.linalg`.  The rest is
derivatives of it:

    the fit            follows the gradient in the parameters
    standard errors    are in the inverse of the Hessian
    the smoother       is the gradient in the observations: E[H x_t | all y] = y_t + R dl/dy_t

so that no backward recursion has to be written.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import minimize

import iverson as iv

STEPS, DT = 500, 0.1
TRUE = np.log([0.8, 0.5])  # log-deviations of the acceleration and of an observation


def model(theta):
    """x' = F x + noise(Q), y = H x + noise(R), x being position and velocity in the plane."""
    i = np.eye(2)
    q, r = np.exp(2.0 * theta)
    f = np.block([[i, DT * i], [0.0 * i, i]])
    g = np.concatenate([0.5 * DT**2 * i, DT * i])
    return f, np.concatenate([i, 0.0 * i], axis=1), q * g @ g.T, r * i


def log_likelihood(theta, ys):
    f, h, q, r = model(theta)
    x, p = np.zeros(4), 10.0 * np.eye(4)
    total = 0.0
    for y in ys:
        s = h @ p @ h.T + r
        v = y - h @ x
        total -= 0.5 * (v @ np.linalg.solve(s, v) + np.linalg.slogdet(2.0 * np.pi * s)[1])
        gain = np.linalg.solve(s, h @ p).T
        x, p = f @ (x + gain @ v), f @ (p - gain @ s @ gain.T) @ f.T + q
    return total


def loss(theta, ys):
    return -log_likelihood(theta, ys)


def simulate(theta, steps, rng):
    """A path [steps, 2] and its observations."""
    f, h, q, r = model(theta)
    x, path = rng.multivariate_normal(np.zeros(4), np.diag([1.0, 1.0, 4.0, 4.0])), []
    for _ in range(steps):
        path.append(h @ x)
        x = f @ x + rng.multivariate_normal(np.zeros(4), q)
    return np.array(path), np.array(path) + rng.multivariate_normal(np.zeros(2), r, size=steps)


def smoothed(theta, ys):
    """The expected position at each time, given all observations."""
    return ys + iv.grad(log_likelihood, argnums=1)(theta, ys) @ model(theta)[3]


def main():
    path, ys = simulate(TRUE, STEPS, np.random.default_rng(0))
    begin = time.perf_counter()
    found = minimize(iv.value_and_grad(loss), np.zeros(2), args=(ys,), jac=True, method="L-BFGS-B").x
    errors = np.sqrt(np.diag(np.linalg.inv(iv.hessian(loss)(found, ys))))
    estimate = smoothed(found, ys)
    print(f"{STEPS} observations: compiled, fitted and smoothed in {time.perf_counter() - begin:.1f} s\n")
    for name, true, t, e in zip(("acceleration", "observation"), TRUE, found, errors, strict=True):
        print(
            f"deviation of {name:12}  {np.exp(t):.3f}  within {np.exp(t - 2 * e):.3f} to {np.exp(t + 2 * e):.3f}",
            end="",
        )
        print(f"   true {np.exp(true):.3f}")
    for name, at in ("observations", ys), ("smoothed path", estimate):
        print(f"distance of the {name:13} from the true path  {np.sqrt(np.mean((at - path) ** 2)):.3f}")


if __name__ == "__main__":
    main()

"""Gaudi's method: find the weights to hang on a chain for which it takes the form of an arch, upside down.

The form is where all forces vanish; the forces are the gradient of an energy, and `iv.root` finds that point by
Newton's method.  The fit differentiates through it: by the equation that the form solves, not by the steps of the
solver, so that the gradient doesn't depend on how many those were, nor on where they began.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import minimize

import iverson as iv

LINKS, STIFFNESS = 24, 1e4


def arch(links):
    """The nodes of a circular arch from (0, 0) to (1, 0), upside down, [links + 1, 2]."""
    angle = np.linspace(-0.4 * np.pi, 0.4 * np.pi, links + 1)
    circle = np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    return (circle - circle[0]) / (circle[-1, 0] - circle[0, 0])


def lengths(chain):
    return np.linalg.norm(chain[1:] - chain[:-1], axis=1)


def energy(inner, weights, ends, links):
    """Of a chain of springs with these lengths, and of the weights at its inner nodes."""
    stretch = lengths(np.concatenate([ends[:1], inner, ends[1:]])) / links - 1.0
    return np.sum(0.5 * STIFFNESS * links * stretch**2) + np.sum(weights * inner[:, 1])


def form(weights, ends, links):
    """The inner nodes at rest."""
    t = np.linspace(0.0, 1.0, len(links) + 1)[1:-1]
    hanging = np.stack([t, -2.0 * t * (1.0 - t)], axis=1)
    return iv.root(iv.grad(energy), hanging, (weights, ends, links))


def shares(logarithms):
    """Weights that are one together."""
    weights = np.exp(logarithms)
    return weights / np.sum(weights)


def misfit(logarithms, wanted):
    """The sum of square distances of the nodes from those wanted."""
    inner = form(shares(logarithms), wanted[[0, -1]], lengths(wanted))
    return np.sum((inner - wanted[1:-1]) ** 2)


def main():
    wanted = arch(LINKS)
    fun = iv.value_and_grad(misfit)

    begin = time.perf_counter()
    before, _ = fun(np.zeros(LINKS - 1), wanted)
    print(f"form, misfit and gradient compiled and run once in {time.perf_counter() - begin:.1f} s")

    begin = time.perf_counter()
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 500}
    found = minimize(fun, np.zeros(LINKS - 1), args=(wanted,), jac=True, method="L-BFGS-B", options=options)
    print(f"fitted in {time.perf_counter() - begin:.2f} s, {found.nfev} forms with their gradients\n")

    for name, value in ("equal weights", before), ("weights found", found.fun):
        print(f"{name}: distance from the arch {np.sqrt(value / (LINKS - 1)):.6f}")
    slopes = np.diff(wanted[:, 1]) / np.diff(wanted[:, 0])
    exact = np.diff(slopes) / (slopes[-1] - slopes[0])  # of a chain that doesn't stretch
    for name, weights in ("found", shares(found.x)), ("exact", exact):
        print(f"{name}:", *(f"{w:.4f}" for w in weights[: LINKS // 2]), "...")


if __name__ == "__main__":
    main()

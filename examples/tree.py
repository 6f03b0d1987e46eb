"""The gradient through a recurrence on a tree whose shape is data.

A trait evolves along a tree: each node inherits its parent's value, with a pull towards an optimum and noise in
proportion to the length of its branch.  We see the leaves, and ask which pull and which rate of noise are likely.  The
likelihood comes from one pass from the leaves to the root, which updates arrays in place where the tree says:
`precision[parent[i]] += ...`.  Its gradient, in the lengths of all branches too, costs a constant times that pass.
"""

from __future__ import annotations

import math
import time

import numpy as np
from scipy.optimize import minimize

import iverson as iv

NODES = 20_000
PULL, RATE, OPTIMUM = 0.5, 0.2, 3.0


@iv.jit
def grow(key, n):
    """A random tree of n nodes: the parent of each, always an earlier one, and the length of the branch to it."""
    keys = iv.random.split(key, 2)
    draws = iv.random.uniform(keys[0], (n,))
    parent = np.zeros(n, dtype=np.int64)
    for i in range(1, n):
        parent[i] = int(draws[i] * i)
    return parent, iv.random.uniform(keys[1], (n,), 0.1, 1.0)


def branch(pull, rate, length):
    """What is left of the parent's value at the end of a branch, and the variance of what is added."""
    kept = math.exp(-pull * length)
    return kept, rate * (1.0 - kept**2) / (2.0 * pull)


@iv.jit
def evolve(key, parent, length, pull, rate, optimum):
    """The trait of each node."""
    noise = iv.random.normal(key, (len(parent),))
    value = np.full(len(parent), optimum)
    for i in range(1, len(parent)):
        kept, variance = branch(pull, rate, length[i])
        value[i] = optimum + kept * (value[parent[i]] - optimum) + math.sqrt(variance) * noise[i]
    return value


def surprise(theta, length, parent, leaf, value, optimum):
    """Minus the log-likelihood of the leaves, given that the root is at the optimum; theta = log pull, log rate."""
    pull, rate = math.exp(theta[0]), math.exp(theta[1])
    n = len(parent)
    # what the leaves below a node say of its deviation d from the optimum: a factor exp(-precision d^2 / 2 + weight d)
    precision, weight = np.zeros(n), np.zeros(n)
    total = 0.0
    for i in range(n - 1, 0, -1):
        kept, variance = branch(pull, rate, length[i])
        if leaf[i]:
            mean = value[i] - optimum
        else:
            mean = weight[i] / precision[i]
            variance += 1.0 / precision[i]
            total -= 0.5 * (mean * weight[i] + math.log(2.0 * math.pi / precision[i]))
        total += 0.5 * (math.log(2.0 * math.pi * variance) + mean**2 / variance)
        precision[parent[i]] += kept**2 / variance
        weight[parent[i]] += kept * mean / variance
    return total


def milliseconds(call, times=20):
    call()
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return 1e3 * (time.perf_counter() - begin) / times


def main():
    tree, noise = iv.random.split(iv.random.key(1))
    parent, length = grow(tree, NODES)
    leaf = np.bincount(parent, minlength=NODES) == 0
    value = evolve(noise, parent, length, PULL, RATE, OPTIMUM)
    value[~leaf] = np.nan  # not seen
    print(f"a tree of {NODES} nodes, {leaf.sum()} of them leaves")

    data = length, parent, leaf, value, OPTIMUM
    fun = iv.value_and_grad(surprise)
    found = minimize(fun, np.zeros(2), args=data, jac=True, method="L-BFGS-B")
    pull, rate = np.exp(found.x)
    print(f"pull  {pull:.3f}, and {PULL} in truth")
    print(f"rate  {rate:.3f}, and {RATE} in truth, after {found.nfev} evaluations of likelihood and gradient\n")

    theta = found.x
    pass_ = iv.jit(surprise)
    all_lengths = iv.value_and_grad(surprise, argnums=(0, 1))
    _, (_, slopes) = all_lengths(theta, *data)
    up, down = (pass_(theta, length + s * 1e-6 * slopes, *data[1:]) for s in (1, -1))
    print(f"gradient in the lengths of {len(slopes) - 1} branches, along itself: {slopes @ slopes:.6f}")
    print(f"by central differences                          {(up - down) / 2e-6:.6f}")
    print(f"the likelihood              {milliseconds(lambda: pass_(theta, *data)):6.2f} ms")
    print(f"with both gradients         {milliseconds(lambda: all_lengths(theta, *data)):6.2f} ms")


if __name__ == "__main__":
    main()

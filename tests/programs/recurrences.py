"""Recurrences through an array, whose turns read no more of it than they update; and stencils with edges."""

import numpy as np

from .registry import program


@program(
    args=lambda n, rng: (rng.integers(0, max(n, 1), size=n), rng.normal(size=n)),
    wrt=(1,),
    tags="loop branch index recurrence inplace",
)
def along_a_tree(parent, theta):
    """Parents may come later, or be the node itself: they are read as they were."""
    s = np.zeros(len(theta))
    for i in range(len(theta)):
        if i == 0:
            s[i] = theta[i]
        else:
            s[i] = 0.5 * s[parent[i]] + np.sin(theta[i]) * (1.0 - s[parent[i]])
    return s


@program(args=lambda n, rng: (rng.normal(size=n), 0.3), wrt=(0, 1), tags="loop update inplace mutation", mutates=(0,))
def decay_from_the_left(x, rate):
    for i in range(1, len(x)):
        x[i] -= rate * x[i - 1] ** 2


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.integers(0, max(n, 1), size=(2, n))),
    wrt=(0,),
    tags="loop branch index update inplace",
)
def pulls_where_positive(x, at):
    """What is read depends on a branch, whose other side reads something else."""
    y = x.copy()
    for i in range(len(x)):
        j = at[0, i]
        pull = np.tanh(y[j]) if x[i] > 0.0 else 0.5
        y[at[1, i]] += pull * x[i]
        y[i] *= 0.9
    return np.sum(y * y)


@program(
    args=lambda n, rng: (rng.uniform(0.5, 1.5, size=n + 2), 3), wrt=(0,), tags="loop while update inplace recurrence"
)
def wanders_in_a_while(x, steps):
    y = x.copy()
    k, at = 0, 0
    while k < steps * len(x):
        y[at] = 0.3 * y[at] * y[at] + 0.1
        at = (at + 1 + int(y[at] > 0.3)) % len(x)
        k += 1
    return y


@program(
    args=lambda n, rng: (rng.normal(size=(3, n)), rng.integers(0, max(n, 1), size=n)),
    wrt=(0,),
    tags="loop index recurrence inplace",
)
def one_tree_a_row(theta, parent):
    total = 0.0
    for k in range(len(theta)):
        s = np.zeros(theta.shape[1])
        for i in range(theta.shape[1]):
            s[i] = theta[k, i] * (1.0 + 0.5 * s[parent[i]] ** 2) + 0.1 * total
        total += np.sum(s)
    return total


@program(args=lambda n, rng: (rng.normal(size=n), 4), wrt=(0,), tags="comprehension branch loop recurrence")
def stencil_with_edges(x, steps):
    n = len(x)
    u = x.copy()
    for _ in range(steps):
        left = np.array([u[i] - (u[i - 1] ** 2 if i > 0 else 1.0) for i in range(n)])
        u = np.array([left[i] * 0.3 + (left[i + 1] if i < n - 1 else 0.5) * left[i] for i in range(n)])
    return np.sum(u)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="comprehension branch")
def edges_on_both_sides(x):
    n = len(x)
    u = np.array([x[i] * (x[i - 1] if i > 0 else 2.0) for i in range(n)])
    return np.array([u[i] ** 2 * (u[i + 2] if i < n - 2 else 3.0) * (u[i - 2] if i >= 2 else 0.1) for i in range(n)])

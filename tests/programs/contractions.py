"""Sums of products in the forms that users write: rows in place, matrices and their transposes times vectors."""

from __future__ import annotations

import numpy as np

from .registry import program


@program(
    args=lambda n, rng: (rng.normal(size=(n, 17, 18)), rng.normal(size=(18, 18))),
    wrt=(0, 1),
    large=20,
    tags="loop slice update inplace contraction",
)
def rows_times_a_matrix(a, c):
    """Each row is replaced by its product: turns are independent, and together products of matrices."""
    a = a.copy()
    for r in range(a.shape[0]):
        for q in range(a.shape[1]):
            a[r, q, :] = a[r, q, :] @ c
    return a


@program(
    args=lambda n, rng: (rng.normal(size=(n, 4)),),
    wrt=(0,),
    large=200,
    tags="loop slice update inplace",
)
def rows_of_later_rows(x):
    """A row is read before it is written, if it is read at all."""
    x = x.copy()
    n = len(x)
    for i in range(n):
        x[i] = np.sin(x[i])
        if i + 1 < n:
            x[i] += x[i + 1] * x[n - 1]
    return x


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), large=200, tags="loop update inplace")
def mirrored(x):
    """The second half of the turns reads what the first half has written."""
    x = x.copy()
    n = len(x)
    for i in range(n):
        x[i] = x[n - 1 - i] * 0.5 + x[i]
    return x


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 1)), rng.normal(size=n + 1), rng.normal(size=n)),
    wrt=(0, 1, 2),
    large=100,
    tags="numpy contraction",
)
def both_ways_through_a_matrix(a, p, r):
    """The matrix's adjoint is two outer products; one of them comes column by column."""
    s, q = r @ a, a @ p
    return np.sum(s * s) + np.sum(np.sin(q))


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 1)), rng.normal(size=n + 1)),
    wrt=(0, 1),
    large=100,
    tags="numpy contraction",
)
def there_and_back(a, x):
    """One outer product needs what the other's loop gives."""
    y = (a @ x) @ a
    return np.sum(y * y * y)

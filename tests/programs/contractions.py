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


@program(
    args=lambda n, rng: (rng.normal(size=(n + 1, n)),),
    wrt=(0,),
    large=60,
    tags="loop slice update inplace contraction",
)
def gram_by_columns(x):
    """A column is set, and read again for the row across it; both meet on the diagonal."""
    m = x.shape[1]
    g = np.zeros((m, m))
    for i in range(m):
        g[i:, i] = x[:, i] @ x[:, i:] * 0.5
        g[i, i:] = g[i:, i]
    return g


@program(
    args=lambda n, rng: (rng.normal(size=(n + 1, n)),),
    wrt=(0,),
    large=60,
    tags="loop slice update inplace contraction",
)
def mirrored_triangle(x):
    """Above the diagonal nothing is written twice, on it nothing at all."""
    n, m = x.shape
    g = np.eye(m)
    for i in range(m - 1):
        g[i + 1 :, i] = x[:, i] @ x[:, i + 1 :]
        g[i, i + 1 :] = g[i + 1 :, i]
    return g


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)),),
    wrt=(0,),
    large=60,
    tags="loop slice update inplace",
)
def rows_made_of_what_they_became(x):
    """Rows are set, added to, and read in the same turn; the last element is read from where it was."""
    x = x.copy()
    n = len(x)
    y = np.zeros(n)
    for i in range(n):
        x[i, 1:] = np.sin(x[i, 1:])
        x[i, :] += 0.5 * y[i]
        y[i] = x[i, 0] * x[i, n - 1]
    return x, y


@program(
    args=lambda n, rng: tuple(rng.normal(size=s) / 3.0 for s in ((n, 5), (5, n), (n, 6), (6, n), (n,))),
    wrt=(0, 1, 2, 3, 4),
    large=20,
    tags="contraction linalg",
)
def chains_of_matrices(a, b, c, d, v):
    """The cheapest order is from a vector; a matrix that is updated is multiplied before that."""
    left, right = a @ b @ v, (c @ d).T @ v
    early = a @ b
    c = c.copy()
    first = c @ d
    c[-1:] = 1.0
    return left, right, early @ c @ d, first @ v, np.sum(c) + v @ (a @ b) @ (c @ d) @ v

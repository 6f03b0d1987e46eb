"""Colouring sparsity patterns: which columns (rows) of a matrix can be had from one product.

    columns     no two columns of one colour have an entry in the same row (Curtis, Powell and Reid 1974)
    star        of a symmetric matrix: neighbours differ, and so do the ends of no path of four vertices in two colours;
                then each entry is alone in its row or its mirror image is (Coleman and Moré 1984)

Greedy, by Gebremedhin, Manne and Pothen, "What color is your Jacobian?", SIAM Review 47 (2005), algorithms 3.2 and 4.1.
The loops are programs of this language, compiled on first use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from iverson.run.jit import jit

_MOST = 1e11  # steps of a colouring: minutes
Pattern = scipy.sparse.csr_array


def colour_columns(pattern: Pattern) -> np.ndarray:
    """A colour, from 0, for each column.  Raises ValueError for a pattern that is too dense for it."""
    widths = np.diff(pattern.indptr).astype(float)
    if widths.max(initial=0) == pattern.shape[1]:
        return np.arange(pattern.shape[1])
    _require_sparse(float(widths @ widths))
    by_column = pattern.tocsc()
    arrays = [np.asarray(a, np.int64) for a in (pattern.indptr, pattern.indices, by_column.indptr, by_column.indices)]
    return _fewest(lambda order: _greedy_columns(*arrays, order), np.diff(arrays[2]))


def colour_star(pattern: Pattern) -> np.ndarray:
    """A colour for each vertex of a symmetric pattern.  Raises ValueError for one that is too dense for it."""
    degrees = np.diff(pattern.indptr).astype(float)
    _require_sparse(float(degrees @ (pattern.astype(float) @ degrees)))
    return _fewest(lambda order: _greedy_star(*map(_int64, (pattern.indptr, pattern.indices)), order),
                   np.diff(pattern.indptr))  # fmt: skip


def _require_sparse(steps: float) -> None:
    if steps > _MOST:
        raise ValueError("the Jacobian isn't sparse enough for its pattern to be coloured: compute it without sparsity")


def _int64(a: Any) -> np.ndarray:
    return np.asarray(a, np.int64)


def _fewest(colour: Any, degrees: np.ndarray) -> np.ndarray:
    """The better of two orders: as they are, and those with most neighbours first."""
    natural = colour(np.arange(len(degrees)))
    if len(degrees) == 0 or degrees.max() == degrees.min():
        return natural  # type: ignore[no-any-return]
    largest_first = colour(np.argsort(-degrees, kind="stable"))
    return min(natural, largest_first, key=lambda c: c.max())  # type: ignore[no-any-return]


@jit
def _greedy_columns(row_starts, columns, column_starts, rows, order):  # type: ignore[no-untyped-def]
    n = len(order)
    colour = np.full(n, -1)
    taken = np.full(n + 1, -1)  # colour -> the last column that can't have it
    for k in range(n):
        v = order[k]
        for a in range(column_starts[v], column_starts[v + 1]):
            r = rows[a]
            for b in range(row_starts[r], row_starts[r + 1]):
                c = colour[columns[b]]
                if c >= 0:
                    taken[c] = v
        c = 0
        while taken[c] == v:
            c += 1
        colour[v] = c
    return colour


@jit
def _greedy_star(starts, neighbours, order):  # type: ignore[no-untyped-def]
    n = len(order)
    colour = np.full(n, -1)
    taken = np.full(n + 1, -1)
    for k in range(n):
        v = order[k]
        for a in range(starts[v], starts[v + 1]):
            w = neighbours[a]
            if w != v:
                cw = colour[w]
                if cw >= 0:
                    taken[cw] = v
                for b in range(starts[w], starts[w + 1]):
                    x = neighbours[b]
                    cx = colour[x]
                    if x != v and x != w and cx >= 0 and taken[cx] != v:
                        if cw < 0:
                            taken[cx] = v
                        else:
                            for d in range(starts[x], starts[x + 1]):
                                y = neighbours[d]
                                if y != w and y != x and colour[y] == cw:
                                    taken[cx] = v
        c = 0
        while taken[c] == v:
            c += 1
        colour[v] = c
    return colour

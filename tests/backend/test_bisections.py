"""Searches: without branches in tables that are near, with them in others; the same results."""

from __future__ import annotations

import numpy as np
import pytest

import iverson as iv
from iverson.backend import bisections
from tests.programs.whiles import binary_search


def places(table, queries):
    found = np.zeros(len(queries), dtype=np.int64)
    for q in range(len(queries)):
        found[q] = binary_search(table, queries[q])
    return found


def rows(tables, which, queries):
    total = 0
    for q in range(len(queries)):
        row = tables[which[q]]
        low, high = 0, len(row) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if row[middle] > queries[q] else (middle, high)
        total += low * (q + 1)
    return total


def greatest(x):
    """A branch decides nothing about where the next element is."""
    at, best, place = 0, -np.inf, 0
    while at < len(x):
        if x[at] > best:
            best, place = x[at], at
        at += 1
    return best, place


@pytest.mark.parametrize("near", [0, bisections.NEAR])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
def test_either_way(monkeypatch: pytest.MonkeyPatch, n: int, near: int) -> None:
    monkeypatch.setattr(bisections, "NEAR", near)
    rng = np.random.default_rng(n)
    table = np.sort(rng.integers(0, 50, n)).astype(float)
    queries = np.concatenate([table, table + 0.5, [-np.inf, np.inf, np.nan, -0.0]])
    np.testing.assert_array_equal(iv.jit(places)(table, queries), places(table, queries))
    if n:
        tables = np.sort(rng.normal(size=(3, n)))
        args = tables, rng.integers(-3, 3, len(queries)), queries
        assert iv.jit(rows)(*args) == rows(*args)


def test_what_is_chosen() -> None:
    text = iv.show(places, stage="loops")(np.ones(9), np.ones(3))
    assert text.count("while") == 2 and text.count("choice") == 2
    assert "choice" not in iv.show(greatest, stage="loops")(np.ones(9))
    assert iv.jit(greatest)(np.array([1.0, 5.0, 2.0, 5.0])) == (5.0, 1)

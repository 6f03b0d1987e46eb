"""Turns that look up at the same places run four at a time: what they give, what they refuse, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

import iverson as iv


def products(values, columns, starts, dense):
    def product(i, j):
        return sum(values[e] * dense[j, columns[e]] for e in range(starts[i], starts[i + 1]))

    return np.array([[product(i, j) for j in range(len(dense))] for i in range(len(starts) - 1)])


def least(values, columns, starts, dense):
    total = 0.0
    for i in range(len(starts) - 1):
        best, place = np.inf, -1
        for j in range(len(dense)):
            distance = 1.0
            for e in range(starts[i], starts[i + 1]):
                distance += (values[e] - dense[j, columns[e]]) ** 2
            if distance < best:
                best, place = distance, j
        total += best + place
    return total


PRODUCTS, LEAST = iv.jit(products), iv.jit(least)


def given(rows: int, width: int, dense: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Some rows are empty; columns count from either end."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(rng.integers(0, 7, rows))])
    columns = rng.integers(-width, width, starts[-1])
    return rng.normal(size=starts[-1]), columns, starts, rng.normal(size=(dense, width))


def test_four_at_a_time() -> None:
    text = iv.show(products, stage="loops")(*given(5, 5, 9))
    assert text.count(" few") == 1 and "bad" not in text.split(" few")[1].split("next")[0]  # tested, not deferred


@pytest.mark.parametrize("dense", [0, 1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("rows", [1, 2, 6])
def test_any_number(dense: int, rows: int) -> None:
    args = given(rows, 5, dense, seed=dense)
    np.testing.assert_allclose(PRODUCTS(*args), products(*args).reshape(rows, dense), rtol=1e-12)
    if dense:
        assert LEAST(*args) == pytest.approx(least(*args), rel=1e-12)


@pytest.mark.parametrize("bad", [5, -6, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
@pytest.mark.parametrize("dense", [1, 6])
def test_out_of_bounds(bad: int, dense: int) -> None:
    values, columns, starts, table = given(6, 5, dense)
    columns[-2] = bad
    for program in (PRODUCTS, LEAST):
        with pytest.raises(IndexError, match=f"index {bad} is out of bounds for axis 1 with size 5") as caught:
            program(values, columns, starts, table)
        assert "test_lookups.py" in caught.value.__notes__[0]


def test_what_is_not_looked_up_stays() -> None:
    """Where nothing is shared, or columns are a turn's own, loops are as they were."""

    def own(x, index):
        return np.array([[sum(x[j, index[j, e]] for e in range(index.shape[1])) for j in range(len(x))] for _ in x])

    x, index = np.arange(12.0).reshape(4, 3), np.array([[0, 2], [1, -1], [-3, 0], [2, 2]])
    np.testing.assert_array_equal(iv.jit(own)(x, index), own(x, index))
    assert " few" not in iv.show(own, stage="loops")(np.ones((9, 9)), np.zeros((9, 9), dtype=int))

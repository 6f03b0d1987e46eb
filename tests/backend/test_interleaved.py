"""Small rows written at constant and at computed places, many rows at once: their order in a turn stays."""

import numpy as np
import pytest

import iverson as iv


def updated(x: np.ndarray) -> np.ndarray:
    y = np.zeros(2)
    y[0] += x[1]
    y[int(x[0]) % 2] += x[0]
    y[1] += 1.0
    y[int(x[1]) % 2] += x[1]
    return y


def chosen(x: np.ndarray) -> float:
    s = 0.0
    for i in range(len(x)):
        k = int(abs(x[i]) * 3) % len(x)
        s += x[i] * x[k]
    return s


@pytest.mark.parametrize("count", [1, 7, 9, 17, 70])
def test_updates_of_rows(count: int) -> None:
    x = np.random.default_rng(count).uniform(0, 4, (count, 2))
    expected = np.array([updated(row) for row in x])
    np.testing.assert_allclose(iv.vmap(updated)(x), expected, rtol=1e-12)
    np.testing.assert_allclose(
        iv.jit(lambda x: np.array([updated(x[i]) for i in range(len(x))]))(x), expected, rtol=1e-12
    )


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_gradients_of_rows(width: int) -> None:
    x = np.random.default_rng(width).normal(size=(17, width))
    expected = np.array([iv.grad(chosen)(row) for row in x])
    np.testing.assert_allclose(iv.vmap(iv.grad(chosen))(x), expected, rtol=1e-12)

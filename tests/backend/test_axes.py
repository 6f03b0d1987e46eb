"""Arrays that loops go down are laid out by columns: the same numbers, and only where all loops agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import axes

RNG = np.random.default_rng(5)


def recurrence(x):
    """Along rows, all rows side by side, as NumPy has it."""
    p = np.zeros(x.shape)
    for j in range(1, x.shape[1]):
        p[:, j] = 1.0 / (2.0 + p[:, j - 1] * x[:, j])
    total = 0.0
    for j in range(x.shape[1]):
        total += np.sum(p[:, j]) * (j + 1)
    return total


def two_of_three_axes(x):
    p = np.zeros((x.shape[1], 3, x.shape[0]))
    for i in range(1, x.shape[0]):
        for c in range(3):
            p[:, c, i] = np.cos(p[:, (c + 1) % 3, i - 1]) + x[i] * (c + 1)
    return sum(np.sum(p[:, 0, i]) * i + np.sum(p[:, 2, i]) for i in range(x.shape[0]))


def both_ways(x):
    p = np.zeros(x.shape)
    for j in range(1, x.shape[1]):
        p[:, j] = 1.0 / (2.0 + p[:, j - 1] * x[:, j])
    total = 0.0
    for i in range(x.shape[0]):
        total += np.sum(p[i, :]) * (i + 1)
    return total


def given_back(x):
    p = np.zeros(x.shape)
    for j in range(1, x.shape[1]):
        p[:, j] = 1.0 / (2.0 + p[:, j - 1] * x[:, j])
    return p


def on_diagonals(x):
    p = np.zeros((len(x) + x.shape[1], len(x) + x.shape[1]))
    for j in range(1, x.shape[1]):
        for i in range(len(x)):
            p[i, i + j] = np.tanh(p[i, i + j - 1] + x[i, j])
    return sum(p[i, i + j] * (i + 2 * j) for j in range(x.shape[1]) for i in range(len(x)))


def looked_up(x):
    p = np.zeros(x.shape)
    for j in range(1, x.shape[1]):
        for i in range(len(x)):
            p[(3 * i) % len(x), j] += 0.5 * p[i, j - 1] + x[i, j]
    return sum(np.sum(p[:, j]) * j for j in range(x.shape[1]))


PROGRAMS = [recurrence, two_of_three_axes, both_ways, given_back, on_diagonals, looked_up]


@pytest.mark.parametrize("f", PROGRAMS)
def test_values(f: Callable[..., Any]) -> None:
    compiled = iv.jit(f)
    for shape in ((0, 3), (3, 0), (1, 1), (2, 5), (5, 2), (9, 9), (21, 34)):
        x = RNG.normal(size=shape)
        np.testing.assert_allclose(compiled(x), f(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", [recurrence, two_of_three_axes])
def test_gradients(f: Callable[..., Any]) -> None:
    iv.check_grads(f, (RNG.normal(size=(4, 6)),))


def test_which_are_turned() -> None:
    def turned(f: Callable[..., Any]) -> bool:
        text = iv.show(iv.jit(f), stage="loops")(np.ones((30, 40)))
        return "alloc float64[x_n1, x_n0]" in text or "alloc float64[3, x_n0, x_n1]" in text

    assert [f.__name__ for f in PROGRAMS if turned(f)] == ["recurrence", "two_of_three_axes"]


def test_zeros_are_filled_along_rows() -> None:
    text = iv.show(iv.jit(recurrence, threads=False), stage="loops")(np.ones((30, 40)))
    fill = text.split("alloc float64[x_n1, x_n0]")[1].split("= 0.0")[0]
    assert fill.index("in 0..x_n1 any") < fill.index("in 0..x_n0 apart")


def test_short_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of complex numbers are beside each other."""

    def angles(re, im):
        return np.sum(np.angle(re + 1j * im + 10.0))

    def loops() -> str:
        return str(iv.show(iv.grad(angles, argnums=(0, 1)), stage="loops")(np.ones(30), np.ones(30)))

    as_they_are = loops()
    with monkeypatch.context() as patch:
        patch.setattr(axes, "run", lambda program: None)
        assert loops() == as_they_are
    monkeypatch.setattr(axes, "SHORT", 0)
    assert loops() != as_they_are

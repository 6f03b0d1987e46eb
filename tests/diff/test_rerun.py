"""What a turn makes cheaply is run again: one array a turn is kept where there were several, and no number changes."""

from __future__ import annotations

from typing import Any

import numpy as np

import iverson as iv


def stages(x, steps):
    y = x.copy()
    for _ in range(steps):
        a = np.array([y[i] * (y[i - 1] if i > 0 else 1.0) for i in range(len(y))])
        b = np.array([(y[i] + 0.1 * a[i]) * (a[i - 1] if i > 0 else 1.0) for i in range(len(y))])
        y = y + 0.1 * (a * b)
    return y.sum()


def dear(x, steps):
    """Each stage is worth more than what keeping it takes."""
    y = x.copy()
    for _ in range(steps):
        for _ in range(2):
            y = np.array([sum(np.sin(y[i] * x[j]) for j in range(len(x))) for i in range(len(x))])
    return y.sum()


def until(x, bound):
    y = x.copy()
    while y.sum() < bound:
        a = y * y
        b = a * y + x
        y = y + 0.01 * b * a
    return y.sum()


def functions(x, steps):
    """The same with a function in each stage: computing that takes longer than keeping what it gives."""
    y = x.copy()
    for _ in range(steps):
        a = np.sin(y)
        b = np.sin(y + 0.1 * a)
        y = y + 0.1 * (a * b)
    return y.sum()


def kept(f: Any, *args: Any) -> list[str]:
    return [r.name for r in iv.cost(iv.grad(f))(*args).residuals if r.how in ("stored", "logged") and r.bytes.value]


X = np.linspace(0.5, 1.0, 6)


def test_one_array_a_turn() -> None:
    assert kept(stages, X, 5) == ["y"]


def test_functions_are_kept() -> None:
    residuals = iv.cost(iv.grad(functions))(X, 5).residuals
    assert sorted(r.name for r in residuals if r.bytes.value == 8 * 5 * len(X)) == ["t", "y"]
    assert all(r.how == "stored" for r in residuals)


def test_the_same_derivatives() -> None:
    for f, last in ((stages, 4), (dear, 3), (functions, 5), (until, 9.0)):
        expected = iv.grad(f, tape="store")(X, last)
        np.testing.assert_allclose(iv.grad(f)(X, last), expected, rtol=1e-12)
        assert np.isfinite(expected).all()


def test_dear_values_are_kept() -> None:
    again = [r for r in iv.cost(iv.grad(dear))(X, 3).residuals if r.how == "re-run"]
    assert not again

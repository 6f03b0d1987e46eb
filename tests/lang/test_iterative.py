"""The iterations as plain Python, beside SciPy's; compiled, they are tested with iv.minimize and its kin."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from iverson.lang import iterative


def rosenbrock(x: Any) -> Any:
    """Value and gradient."""
    a, b = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    g = np.zeros(len(x))
    g[1:] += 200.0 * a
    g[:-1] -= 400.0 * a * x[:-1] + 2.0 * b
    return np.sum(100.0 * a**2 + b**2), g


def steep(x: Any) -> Any:
    """Badly scaled, and flat far out."""
    scale = 10.0 ** np.arange(len(x))
    u = scale * (x - 1.0) ** 2
    return np.sum(np.log1p(u)), 2.0 * scale * (x - 1.0) / (1.0 + u)


@pytest.mark.parametrize("f", [rosenbrock, steep])
@pytest.mark.parametrize("method", [iterative.bfgs, iterative.lbfgs])
def test_minimisers(method: Callable[..., Any], f: Callable[..., Any]) -> None:
    """The same minimum, by at most half as many evaluations again as SciPy."""
    start, calls = np.array([-1.2, 1.0, 0.5, 1.5]), 0

    def counted(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return f(x)

    options = {"gtol": 1e-8} if method is iterative.bfgs else {"gtol": 1e-8, "ftol": 0.0}
    name = "BFGS" if method is iterative.bfgs else "L-BFGS-B"
    theirs = scipy.optimize.minimize(f, start, jac=True, method=name, options=options)
    tol = 1e-8 / max(1.0, float(np.linalg.norm(f(start)[1])))
    np.testing.assert_allclose(method(counted, start, tol, 1000, "warn"), theirs.x, atol=1e-6)
    assert calls <= 1.5 * theirs.nfev, (calls, theirs.nfev)


def test_a_start_at_the_minimum() -> None:
    for method in (iterative.bfgs, iterative.lbfgs):
        np.testing.assert_array_equal(method(rosenbrock, np.ones(3), 1e-8, 10, "raise"), np.ones(3))


def test_anderson_takes_fewer_turns() -> None:
    turns = {}
    for method in (iterative.iterate, iterative.anderson):
        count = 0

        def g(v: Any) -> Any:
            nonlocal count
            count += 1
            return 0.5 * np.cos(v) + 0.45 * v[::-1]

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x = method(g, np.linspace(0.0, 1.0, 6), 1e-10, 1000, "warn")
        np.testing.assert_allclose(0.5 * np.cos(x) + 0.45 * x[::-1], x, atol=1e-9)
        turns[method] = count
    assert turns[iterative.anderson] < turns[iterative.iterate] / 2

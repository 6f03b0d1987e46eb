"""Jacobians: what doesn't depend on the direction is computed once, and the values are those of single products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.opt.pipeline import optimise

N = 24
W, X = np.random.default_rng(0).normal(size=(N, N)), np.linspace(-1.0, 1.0, N)


def layers(w, x):
    return np.tanh(w @ np.tanh(w @ x))


def filtered(w, x):
    """A branch, an in-place loop and an extremum, one after the other."""
    y = w @ x if x[0] < 0.0 else x.copy()
    for i in range(1, len(y)):
        y[i] += 0.5 * y[i - 1]
    return y / np.max(y)


def work(f: Callable[..., Any], *args: Any) -> float:
    program = optimise(iv.jit(f).staged(args, {}).function)
    check(program)
    flat = [v for a in args for v in (*a.shape, a)]
    return evaluate(program, flat).cost.work


@pytest.mark.parametrize("transform", [iv.jacfwd, iv.jacrev])
def test_the_primal_runs_once(transform):
    """Every column needs two products of a matrix and a vector, as the primal does."""
    primal = work(layers, W, X)
    assert work(transform(layers, argnums=1), W, X) < 1.1 * (N + 1) * primal


@pytest.mark.parametrize("f", [layers, filtered])
@pytest.mark.parametrize("transform", [iv.jacfwd, iv.jacrev])
def test_jacobian_is_made_of_products(monkeypatch, transform, f):
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    found = transform(f, argnums=(0, 1))(W, X)
    for jacobian, k in zip(found, (0, 1), strict=True):
        direction = np.random.default_rng(k).normal(size=(W, X)[k].shape)
        tangents = [np.zeros_like(W), np.zeros_like(X)]
        tangents[k] = direction
        expected = iv.jvp(f, (W, X), tuple(tangents))[1]
        np.testing.assert_allclose(np.tensordot(jacobian, direction, direction.ndim), expected, rtol=1e-9, atol=1e-12)

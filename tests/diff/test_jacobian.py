"""Jacobians: what doesn't depend on the direction is computed once, and the values are those of single products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import dtype_of
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.diff import forward
from iverson.diff.jacobian import jacfwd
from iverson.opt.pipeline import optimise, prepare
from tests.corpus import Case
from tests.programs import PROGRAMS, Program

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


def tree(x, weights):
    """Numbers that depend on those above them, blended."""
    y = np.zeros(len(x))
    for b in range(len(x)):
        y[b] = np.sin(x[b]) if b == 0 else x[b] * y[(b - 1) // 2]
    return np.array([sum(weights[v, b] * y[b] for b in range(len(x))) for v in range(len(weights))])


def test_a_bracket_costs_a_constant():
    """A sum that may leave terms out tests each of them; in vectors of directions that is done once for all sums."""
    x, weights = np.linspace(0.5, 1.0, 15), np.random.default_rng(0).normal(size=(10, 15))
    assert work(iv.jacfwd(tree), x, weights) < 2.0 * len(x) * work(tree, x, weights)


def columns(p: Program, n: int) -> None:
    """The Jacobian in the first argument that has one, by the evaluator, is made of the products with unit vectors."""
    case = Case(p, n)
    f = prepare(case.function)
    floats = [k for k, v in enumerate(f.params) if dtype_of(v).is_float]
    found = [k for k in floats if 0 < np.size(case.values[k]) <= 12]
    if not found or not any(dtype_of(o).is_float for o in f.body.outs):
        pytest.skip("no argument of a few numbers")
    k, count = found[0], len(f.body.outs)
    product, made = forward.jvp(f, [k]), jacfwd(f, [k])
    check(made)
    value = np.asarray(case.values[k], float)
    units = np.eye(value.size).reshape(value.size, *value.shape)
    columns = [evaluate(product, [*case.values, e if value.shape else float(e)]).values[count:] for e in units]
    for got, *parts in zip(evaluate(made, case.values).values, *columns, strict=True):
        expected = np.stack(parts, axis=-1).reshape((*np.shape(parts[0]), *value.shape))
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


SMOOTH = [p for p in PROGRAMS if p.differentiable]


def point(k: int, p: Program) -> Any:
    sizes = [n for n in p.sizes if n not in p.raises]
    n = min((n for n in sizes if n > 1), default=max(sizes))
    return pytest.param(p, n, id=f"{p.name}-{n}", marks=[] if k % 12 == 0 else pytest.mark.slow)


@pytest.mark.parametrize(("p", "n"), [point(k, p) for k, p in enumerate(SMOOTH)])
def test_columns_of_the_corpus(p: Program, n: int) -> None:
    columns(p, n)

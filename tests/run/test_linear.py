"""A program that is linear in what it carries stores nothing: its gradient has no forward sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import extents_of
from iverson.core.rewrite import free
from iverson.core.syntax import Array
from iverson.opt.pipeline import optimise

RNG = np.random.default_rng(5)


def heat(u, steps, rate):
    n, m = u.shape
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] += rate * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4 * u[i, j])
    return u[1, 2] + np.sum(u)


def jacobi(a, steps, b):
    for _ in range(steps):
        b[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])
        a[1:-1, 1:-1] = 0.2 * (b[1:-1, 1:-1] + b[1:-1, :-2] + b[1:-1, 2:] + b[2:, 1:-1] + b[:-2, 1:-1])
    return np.sum(a)


def swapped(a, steps, b):
    for _ in range(steps):
        for i in range(1, len(a) - 1):
            b[i] = 0.3 * (a[i - 1] + a[i] + a[i + 1])
        a, b = b, a
    return np.sum(a[:, 1])


def seidel(x, sweeps):
    for _ in range(sweeps):
        for i in range(1, len(x) - 1):
            for j in range(1, len(x) - 1):
                x[i, j] = np.sum(x[i - 1 : i + 2, j - 1 : j + 2]) / 9.0
    return np.sum(x[2])


def trisolv(b, steps, lower):
    n = len(b)
    x = np.zeros(n)
    for i in range(n):
        s = b[i]
        for j in range(i):
            s -= lower[i, j] * x[j]
        x[i] = s / lower[i, i]
    return x[n - 1] + np.sum(x)


def trisolv_by_rows(b, steps, lower):
    x = np.zeros(len(b))
    for i in range(len(b)):
        x[i] = (b[i] - lower[i, :i] @ x[:i]) / lower[i, i]
    return np.sum(x)


def deriche(img, steps, a):
    w, h = img.shape
    y1, y2 = np.zeros_like(img), np.zeros_like(img)
    for i in range(w):
        ym1, ym2, xm1 = 0.0, 0.0, 0.0
        for j in range(h):
            y1[i, j] = a[0] * img[i, j] + a[1] * xm1 + a[4] * ym1 + a[5] * ym2
            xm1, ym2, ym1 = img[i, j], ym1, y1[i, j]
    for i in range(w):
        yp1, yp2, xp1, xp2 = 0.0, 0.0, 0.0, 0.0
        for j in range(h - 1, -1, -1):
            y2[i, j] = a[2] * xp1 + a[3] * xp2 + a[4] * yp1 + a[5] * yp2
            xp1, xp2, yp1, yp2 = img[i, j], xp1, y2[i, j], yp1
    return np.sum(y1 + y2)


def where_kept(x, steps, keep):
    for _ in range(steps):
        for i in range(1, len(x)):
            if keep[i] > 0.5:
                x[i] += 0.5 * x[i - 1]
            else:
                x[i - 1] = 0.25 * x[i]
    return np.sum(x)


def through_a_table(x, steps, at):
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[at[i]] += 0.5 * x[i]
        x[i] = y[at[i]]
    return np.sum(x)


def matrix(n: int = 9) -> np.ndarray:
    return RNG.uniform(0.5, 1.5, size=(n, n))


PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (heat, (matrix(), 3, 0.1)),
    (jacobi, (matrix(), 3, matrix())),
    (swapped, (matrix(), 3, matrix())),
    (seidel, (matrix(), 3)),
    (trisolv, (matrix()[0], 0, matrix())),
    (trisolv_by_rows, (matrix()[0], 0, matrix())),
    (deriche, (matrix(), 0, matrix()[0])),
    (where_kept, (matrix()[0], 3, matrix()[1] - 0.5)),
    (through_a_table, (matrix()[0], 0, RNG.integers(0, 9, size=9))),
]


@pytest.mark.parametrize(("f", "args"), PROGRAMS, ids=[f.__name__ for f, _ in PROGRAMS])
def test_nothing_is_stored(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    assert not iv.cost(iv.grad(f))(*args).residuals
    assert not iv.cost(iv.value_and_grad(f))(*args).residuals
    gradient = iv.grad(f)
    program = optimise(iv.jit(gradient).staged(args, {}).function)
    x = next(p for p in program.params if isinstance(p.type, Array))
    assert len(extents_of(x)) == args[0].ndim and x not in free(program.body)
    primal, whole = iv.cost(f)(*args).work.value, iv.cost(gradient)(*args).work.value
    assert whole <= 2.0 * primal, (whole, primal)


@pytest.mark.parametrize(("f", "args"), PROGRAMS, ids=[f.__name__ for f, _ in PROGRAMS])
def test_the_gradient_is_the_function(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """f(x) = <gradient, x> + f(0), at any x."""
    x, *rest = args
    gradient = iv.grad(f)(x, *rest)
    rest = [r.copy() if isinstance(r, np.ndarray) else r for r in rest]
    value, zero = (f(v, *(np.copy(r) if isinstance(r, np.ndarray) else r for r in rest)) for v in (x.copy(), 0.0 * x))
    np.testing.assert_allclose(value - zero, np.sum(gradient * x), rtol=1e-12)


def squares(x, sweeps):
    for _ in range(sweeps):
        for i in range(1, len(x) - 1):
            x[i] = 0.5 * x[i - 1] * x[i + 1]
    return np.sum(x)


def test_what_is_not_linear_is_stored() -> None:
    assert iv.cost(iv.grad(squares))(np.ones(9), 3).residuals

"""What sequential loops carry in registers: the values of Python, at any size, and what is special about numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv


@pytest.fixture(autouse=True)
def lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def smoothed(x):
    for i in range(1, len(x)):
        x[i] = (x[i] + x[i - 1]) / 9.0


def backwards(x):
    for i in range(len(x) - 2, -1, -1):
        x[i] = (x[i + 1] - x[i]) / -3.0 + x[i + 1]


def fibonacci(x):
    for i in range(2, len(x)):
        x[i] = x[i - 1] + x[i - 2] / 7.0


def passed_on(x):
    for i in range(1, len(x)):
        x[i] = x[i - 1]


def every_other(x):
    for i in range(0, len(x) - 2, 2):
        x[i + 2] = (x[i] + x[i + 1]) / 3.0


def one_place_again(x):
    if len(x) > 3:
        for i in range(1, len(x)):
            x[i] = x[i - 1] / 3.0
            x[2] = 5.0 + x[i] * x[3]


def before_it_is_read(x):
    for i in range(1, len(x) - 1):
        x[i + 1] = 2.0 * x[i]
        x[i] = x[i - 1] + 1.0
        x[i + 1] = x[i + 1] - x[i]


def three_places(x):
    for i in range(1, len(x) - 1):
        x[i] /= 4.0
        x[i - 1] += x[i]
        x[i + 1] += x[i]


def rows(x):
    n = len(x) // 2
    a = x[: 2 * n].reshape(2, n)
    for i in range(1, n):
        a[1, i] = (a[0, i - 1] + a[1, i - 1]) / 5.0
        a[0, i] = a[1, i - 1] + a[0, i]
    x[: 2 * n] = a.ravel()


def swapped(x):
    a, b = x.copy(), 2.0 * x
    if len(x) > 1:
        for i in range(1, len(x)):
            a[i] = b[i - 1] / 3.0
            a, b = b, a
    x[:] = a - b


def nested(x):
    for _ in range(3):
        for i in range(1, len(x)):
            x[i] = (x[i] + x[i - 1]) / 2.5


PROGRAMS = [smoothed, backwards, fibonacci, passed_on, every_other, one_place_again, before_it_is_read, three_places]
PROGRAMS += [rows, swapped, nested]


def check(f: Callable[..., Any], x: np.ndarray) -> None:
    ours, theirs = x.copy(), x.copy()
    with np.errstate(all="ignore"):
        f(theirs)
    iv.jit(f)(ours)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12 if x.dtype == np.float64 else 1e-4)
    np.testing.assert_array_equal(np.signbit(ours[ours == 0.0]), np.signbit(theirs[ours == 0.0]))


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_values(f: Callable[..., Any]) -> None:
    for n in (0, 1, 2, 5, 6, 11):
        check(f, np.random.default_rng(n).normal(size=n))
    check(f, np.random.default_rng(1).normal(size=9).astype(np.float32))
    for special in (np.inf, -np.inf, np.nan, -0.0, 0.0, 5e-324, 1.7e308):
        x = np.ones(9)
        x[4] = special
        check(f, x)
    check(f, np.full(7, -0.0))


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_gradients(f: Callable[..., Any]) -> None:
    iv.check_grads(lambda x: iv.functional(f)(x)[1][0] @ np.cos(x), (np.random.default_rng(3).normal(size=8),))


@pytest.mark.parametrize("divisor", [0.0, -0.0, 5e-324, 1e-309, 2.0**-1022, 2.0**1021, 1.7e308, np.inf, np.nan, 3.0])
def test_divisors(divisor: float) -> None:
    def f(x):
        s = 1.0
        for i in range(len(x)):
            s = (s + x[i]) / divisor
            x[i] = s

    check(f, np.array([1.0, -1.0, np.inf, 2.0, 0.0, np.nan, 1e300]))


def test_in_order() -> None:
    """Where sums keep their order, a division is one."""

    def f(x):
        for i in range(1, len(x)):
            x[i] = (x[i] + x[i - 1]) / 9.0

    x = np.random.default_rng(2).normal(size=200)
    ours, theirs = x.copy(), x.copy()
    iv.jit(f, reassociate=False)(ours)
    f(theirs)
    np.testing.assert_array_equal(ours, theirs)

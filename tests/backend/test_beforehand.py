"""Elementary functions of what doesn't depend on the turn before run in vectors, ahead of it: the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv

RNG = np.random.default_rng(8)


def decay(x):
    s = 0.0
    for i in range(len(x)):
        s = 0.5 * s + np.exp(x[i]) * np.sin(x[i] + 1.0)
    return s


def backwards(x):
    """Of which every turn is stored."""
    s, y = 1.0, np.zeros(len(x))
    for i in range(len(x) - 1, -1, -1):
        s = s / (1.0 + np.exp(x[i]))
        y[i] = s + np.log(2.0 + x[i])
    return y


def two_chains(x):
    a, b = 0.0, 1.0
    for i in range(1, len(x)):
        e = np.exp(-x[i] * x[i - 1])
        a, b = b * e, 0.5 * a + e
    return a + b


def in_the_chain(x):
    s = 0.0
    for i in range(len(x)):
        s = np.exp(-s * s) + x[i]
    return s


def of_what_was_stored(x):
    """An element that the turn before the last has made is no early one."""
    y, s = x.copy(), 0.0
    for i in range(2, len(x)):
        s = 0.5 * s + np.exp(-y[i - 2])
        y[i] = s
    return y


PROGRAMS = {decay: True, backwards: True, two_chains: True, in_the_chain: False, of_what_was_stored: False}


@pytest.mark.parametrize("f", PROGRAMS)
def test_values(f: Callable[..., Any]) -> None:
    compiled = iv.jit(f)
    for n in (0, 1, 2, 7, 63, 64, 65, 130):
        x = RNG.uniform(-1.5, 1.5, size=n)
        np.testing.assert_allclose(compiled(x), f(x), rtol=1e-12, atol=1e-300)
    x = RNG.uniform(-1.5, 1.5, size=70)
    x[[3, 66]] = np.inf, np.nan
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(compiled(x), f(x), rtol=1e-12)


@pytest.mark.parametrize("f", PROGRAMS)
def test_which(f: Callable[..., Any]) -> None:
    text = iv.show(iv.jit(f, threads=False), stage="loops")(np.ones(100))
    assert ("early = stack float64[64]" in text) == PROGRAMS[f]


@pytest.mark.parametrize("f", [decay, two_chains])
def test_gradients(f: Callable[..., Any]) -> None:
    iv.check_grads(f, (RNG.normal(size=9),))

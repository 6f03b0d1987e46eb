"""Loops over the same arrays take turns: the same numbers, whatever the lengths are, and only where that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import loopir, lowered, strips
from iverson.core.evaluate import evaluate
from iverson.diff import reverse
from iverson.opt.pipeline import optimise, prepare
from tests.backend.native import Native

RNG = np.random.default_rng(5)


def runge_kutta(x, steps):
    """Each stage reads the place before its own of the one before; backwards, the place behind."""

    def slope(y):
        return np.array([x[i] * (y[i - 1] if i > 0 else 1.0) for i in range(len(x))])

    y = np.zeros(len(x))
    for _ in range(steps):
        k1 = slope(y)
        k2 = slope(y + 0.1 * k1)
        k3 = slope(y + 0.2 * k2)
        y = y + 0.1 * (k1 + 2.0 * k2 + k3)
    return y


def waves(x, steps):
    """Neighbours on both sides, in an array that is updated in place."""
    u, v = x.copy(), np.zeros(len(x) + 1)
    for _ in range(steps):
        v[1:-1] += 0.3 * (u[1:] - u[:-1])
        u += 0.2 * (v[1:] - v[:-1])
        v *= 0.99
        u *= np.cos(v[:-1])
    return u


def back_and_forth(x, steps):
    """What one loop leaves the next one reads from the other end: these can't take turns."""
    y, z = x.copy(), x.copy()
    for _ in range(steps):
        y = np.sin(z[::-1]) + x
        z = 0.5 * y[::-1] + y
        y = z[::-1] * y
    return y + z


PROGRAMS: list[tuple[Callable[..., Any], bool]] = [(runge_kutta, True), (waves, True), (back_and_forth, False)]


def made(f: Callable[..., Any], mode: str) -> Any:
    g = prepare(iv.jit(f).staged((np.ones(7), 2), {}).function)
    return optimise(g if mode == "primal" else reverse.vjp(g, [1]))


@pytest.mark.parametrize("mode", ["primal", "gradient"])
@pytest.mark.parametrize(("f", "strip"), PROGRAMS, ids=lambda x: getattr(x, "__name__", ""))
def test_the_same_numbers(f: Callable[..., Any], strip: bool, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "WIDTH", 3)
    monkeypatch.setattr(strips, "SHORTEST", 4)
    monkeypatch.setattr(strips, "LONGEST", 20)
    function = made(f, mode)
    whole = list(loopir.walk(lowered(function).body))
    if strip or mode == "primal":
        assert any(isinstance(s, loopir.For) and s.tag == "strip" for s in whole) == strip
    native = Native(function)
    for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 19, 20, 21, 30):
        x = RNG.normal(size=n)
        values: list[Any] = [n, x, 2]
        if mode == "primal":
            np.testing.assert_allclose(native(*values)[0], f(x, 2), rtol=1e-13, atol=1e-13)
        else:
            values += [RNG.normal(size=n)] if len(function.params) == 4 else [n, RNG.normal(size=n)]
        for got, expected in zip(native(*values), evaluate(function, values).values, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12, err_msg=f"n = {n}")


def test_lags() -> None:
    """Forward each stage follows at once; backward it waits for its neighbour's turn."""
    for mode, lags in (("primal", 0), ("gradient", 1)):
        body = lowered(made(runge_kutta, mode), threaded=False).body
        found = [s for s in loopir.walk(body) if isinstance(s, loopir.For) and s.tag == "strip"]
        behind = [
            [s for s in strip.body if isinstance(s, loopir.Compute) and s.name == "sub" and s.args[1].value > 0]
            for strip in found
        ]
        assert max(map(len, behind)) >= lags
        assert lags or not any(behind)

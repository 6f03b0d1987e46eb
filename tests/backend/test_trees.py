"""Short reductions in sequential loops: combined by halves, where the order may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv

T, X0 = np.sin(np.arange(30.0)), 0.5


def sums(t, x):
    for i in range(20):
        acc = 0.25
        for k in range(7):
            acc += t[i + k] * x
        x = np.tanh(acc) + 0.5
    return x


def least_and_sum(t, x):
    for i in range(20):
        x = min(abs(t[i + k] + x) for k in range(5)) + 0.1 * sum(t[i + k] * x for k in range(3))
    return x


def turns(t, x):
    """A while, and a carry that isn't a reduction beside one."""
    i = 0
    while abs(x) < 50.0 and i < 20:
        total, last = 0.0, x
        for k in range(4):
            total += last * t[i + k]
            last = t[i + k] - 0.5 * last
        x, i = total + last + 1.0, i + 1
    return x


@pytest.mark.parametrize("f", [sums, least_and_sum, turns])
def test_values(f: Callable[..., Any]) -> None:
    want = f(T, X0)
    assert iv.jit(f)(T, X0) == pytest.approx(want, rel=1e-12)
    assert iv.jit(f, reassociate=False)(T, X0) == pytest.approx(want, rel=1e-14)
    iv.check_grads(f, (T, X0))


def test_shape() -> None:
    adds = [line.split("=")[0].strip() for line in iv.show(sums, stage="loops")(T, X0).splitlines() if "<add>" in line]
    assert len(adds) == 7
    kept = iv.show(iv.jit(sums, reassociate=False), stage="loops")(T, X0)
    assert kept.count("<add>") == 1

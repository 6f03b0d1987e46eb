"""Third derivatives through checkpoints: reverse over reverse over reverse, and forward mode on either side of it.

The oracle is Taylor mode, which goes through no tape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv

TAPE = iv.tape.checkpoint(slots=2, block=1)


@pytest.fixture(autouse=True)
def _lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def handed_on(x):
    s = x
    for i in range(5):
        s = np.sin(s) + 0.1 * x * s * i
    return s * s


def until(x):
    y, k = x, 0
    while y * y > 0.3:
        y = y - 0.2 * np.sin(y) * x
        k += 1
    return y * x * k


def in_place(x):
    u = x * np.array([1.0, 0.5, -0.3])
    for _ in range(4):
        for j in range(3):
            u[j] = np.sin(u[j - 1]) + u[j] * x
    return np.sum(u * u)


def replaced(x):
    u = x * np.array([1.0, 0.5, -0.3])
    for _ in range(4):
        u = np.cos(u) * np.sum(u) + x
    return np.sum(u * u)


def inner(x):
    s = x
    for i in range(3):
        for k in iv.range(i + 2, tape=iv.tape.checkpoint(slots=1, block=1)):
            s = np.sin(s * x) + 0.3 * k * x
    return s * s


PROGRAMS = (handed_on, until, in_place, replaced, inner)


def reverse_of_forward_over_reverse(f: Callable[..., Any]) -> Callable[..., Any]:
    return iv.grad(lambda x: iv.hvp(f, tape=TAPE)(x, 1.0))


def forward_over_reverse_over_reverse(f: Callable[..., Any]) -> Callable[..., Any]:
    twice = iv.grad(iv.grad(f, tape=TAPE), tape=TAPE)
    return lambda x: iv.jvp(twice, (x,), (1.0,))[1]


def reverse_three_times(f: Callable[..., Any]) -> Callable[..., Any]:
    """The first of them has checkpoints, which the others go back through."""
    return iv.grad(iv.grad(iv.grad(f, tape=TAPE)))


def checkpoints_of_checkpoints(f: Callable[..., Any]) -> Callable[..., Any]:
    return iv.grad(iv.grad(iv.grad(f, tape=TAPE), tape=TAPE), tape=TAPE)


def on_disk(f: Callable[..., Any]) -> Callable[..., Any]:
    return iv.grad(iv.grad(iv.grad(f, tape=iv.tape.checkpoint(slots=1, block=1, disk="1kB"))))


MODES = (
    reverse_of_forward_over_reverse,
    forward_over_reverse_over_reverse,
    reverse_three_times,
    checkpoints_of_checkpoints,
    on_disk,
)
QUICK = {(f, MODES[0]) for f in PROGRAMS} | {(handed_on, MODES[1]), (until, MODES[2])}
CASES = [
    pytest.param(f, mode, marks=() if (f, mode) in QUICK else pytest.mark.slow) for f in PROGRAMS for mode in MODES
]


@pytest.mark.parametrize(("f", "mode"), CASES)
def test_third_derivatives(f: Callable[..., Any], mode: Callable[..., Any]) -> None:
    _, (_, _, third) = iv.jet(f, (0.7,), ((1.0, 0.0, 0.0),))
    np.testing.assert_allclose(mode(f)(0.7), third, rtol=1e-12)

"""The kernels of benchmarks/kernels: gradients are those by hand, and finite differences of the plain programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iverson as iv
from benchmarks.kernels.registry import Kernel
from benchmarks.kernels.suite import KERNELS

SIZE = 9


def plain(function: Any) -> Any:
    """The Python of a function that may have been compiled by Numba."""
    return getattr(function, "py_func", function)


@pytest.fixture(autouse=True)
def lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def test_kernels_have_their_own_names() -> None:
    names = [k.name for k in KERNELS]
    assert len(names) == len(set(names)) >= 22
    assert {k.family for k in KERNELS} == {"loops", "stencils"}


@pytest.mark.parametrize("k", KERNELS, ids=lambda k: k.name)
def test_by_hand(k: Kernel) -> None:
    args = k.args(SIZE)
    value, gradient = iv.value_and_grad(k.program, argnums=k.wrt)(*args)
    assert np.isclose(value, k.program(*args), rtol=1e-12)
    assert np.isclose(plain(k.primal)(*args), value, rtol=1e-10)
    hand_value, hand = plain(k.adjoint)(*args)
    assert np.isclose(hand_value, value, rtol=1e-10)
    np.testing.assert_allclose(gradient, hand, rtol=1e-7, atol=1e-9 * np.max(np.abs(hand)))
    for x, y in zip(args, k.args(SIZE), strict=True):
        np.testing.assert_array_equal(x, y, err_msg="the arguments stay as they were")


@pytest.mark.parametrize("k", KERNELS, ids=lambda k: k.name)
def test_by_differences(k: Kernel) -> None:
    """Of the plain program, against the adjoint by hand."""
    args = list(k.args(SIZE))
    _, hand = plain(k.adjoint)(*args)
    direction, step = np.random.default_rng(5).normal(size=hand.shape), 1e-6
    ends = []
    for sign in (1, -1):
        moved = [*args]
        moved[k.wrt] = args[k.wrt] + sign * step * direction
        ends.append(k.program(*moved))
    slope = float(np.sum(hand * direction))
    scale = abs(slope) + abs(float(ends[0]))
    assert abs((ends[0] - ends[1]) / (2 * step) - slope) <= 1e-6 * (1.0 + scale)

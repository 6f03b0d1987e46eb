"""Loops in vector registers: every loop that may, whether it pays or not, and few lanes, so that small programs have
full blocks and overlapping ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson import backend
from iverson.backend import loopir as ir
from iverson.backend import lowered, vector_plan
from iverson.diff.reverse import gradient
from iverson.opt.pipeline import optimise, prepare
from tests.backend.constructs import CASES
from tests.backend.test_lanes import PROGRAMS, agree, at_sizes, points
from tests.core.generate import random_function


@pytest.fixture(params=[2, 4])
def everywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vector_plan, "LANES", request.param)
    monkeypatch.setattr(vector_plan.Plan, "pays", lambda self: True)
    yield


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("make", PROGRAMS)
@pytest.mark.parametrize("level", [0, 3])
def test_points(make: object, level: int) -> None:
    function = points(make)
    sizes = (1, 2, 3), (6, 3, 2), (7, 1, 4), (4, 0, 3), (5, 2, 0), (0, 2, 2), (3, 2, 70)
    agree(function, *at_sizes(*sizes), level=level)


@pytest.mark.usefixtures("everywhere")
def test_constructs() -> None:
    rng = np.random.default_rng(1)
    wide = 0
    for build in CASES.values():
        function, arguments = build()
        wide += " wide" in backend.compile(function).loops
        agree(function, arguments(9, rng))
    assert wide > 3


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("seed", range(300, 340))
def test_random(seed: int) -> None:
    agree(*random_function(seed, smooth=False))


def test_rows_as_they_are() -> None:
    """What is added to rows that run in vectors anyway is added to them as they lie."""

    def loss(x: Any) -> Any:
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return np.sum((e / np.sum(e, axis=-1, keepdims=True)) ** 2)

    assert " wide" not in str(iv.show(iv.grad(loss), stage="loops")(np.ones((16, 6, 7, 20))))


def waves(h, e):
    for _ in range(3):
        e[:, 1:] -= 0.5 * (h[:, 1:] - h[:, :-1])
        h[:-1, :-1] -= 0.7 * (e[:-1, 1:] - e[:-1, :-1])
    return np.sum(h * np.arange(1.0, 1.0 + h.shape[1]))


def test_loops_elsewhere_keep_their_neighbours() -> None:
    """A loop for the smallest sizes doesn't decide on the order of axes that all others see."""
    f = iv.jit(waves).staged((np.ones((5, 6)), np.ones((5, 6))), {}).function
    program = lowered(optimise(gradient(prepare(f), [2])), threaded=False)
    rows = [s for s in ir.walk(program.body) if isinstance(s, ir.For) and s.tag == "apart"]
    views = [(f, s.view) for f in rows for s in f.body if isinstance(s, ir.Load | ir.Store)]
    assert views and not any(f.index in view.prefix[:-1] for f, view in views)

"""twice: what a loop keeps twice, as a copy and as what was overwritten, is kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Array, Function, Loop
from iverson.diff.reverse import gradient
from iverson.opt import twice
from iverson.opt.pipeline import PASSES, prepare


def coupled(u, w):
    v = w.copy()
    for _ in range(4):
        un = u.copy()
        for i in range(1, len(u)):
            v[i] += 0.1 * u[i] * v[i - 1]
        u[1:-1] = un[1:-1] - 0.1 * un[1:-1] * (un[1:-1] - un[:-2]) + 0.05 * v[2:] * un[:-2]
        v[1:-1] = v[1:-1] - 0.1 * un[1:-1] * (v[1:-1] - v[:-2])
        u[0] = 0.0
    return np.sum(w * u)


def plane(u, w):
    v = w.copy()
    for _ in range(3):
        un = u.copy()
        for i in range(1, len(u)):
            v[i] += 0.1 * u[i] * v[i - 1]
        u[1:-1, 1:-1] = un[1:-1, 1:-1] * (un[:-2, 1:-1] + v[1:-1, 2:])
        u[-1, :] = u[1, :]
        v[1:-1, 1:-1] *= un[2:, 1:-1]
    return np.sum(w * u)


def changed_before(u, w):
    """The copy is of what the array has become: what was overwritten before isn't there."""
    v = w.copy()
    for _ in range(3):
        u[1:-1] = u[1:-1] * u[2:]
        un = u.copy()
        for i in range(1, len(u)):
            v[i] += 0.1 * u[i] * v[i - 1]
        u[1:-1] = un[1:-1] * v[:-2]
        v[1:-1] = v[1:-1] * un[:-2]
    return np.sum(w * u)


def prepared(f: Callable[..., Any], u: np.ndarray, w: np.ndarray) -> Function:
    """The gradient in u, as the pass finds it."""
    g = gradient(prepare(iv.jit(f).staged((u, w), {}).function), [u.ndim])
    for name, run in PASSES:
        if name == "twice":
            return g
        g = run(g)
    raise AssertionError


def kept(f: Function) -> int:
    """How many arrays loops emit in each turn."""
    loops = [let for let in statements(f.body) if isinstance(let.op, Loop)]
    emits = [v for let in loops if isinstance(let.op, Loop) for v in let.vars[len(let.op.carry) :]]
    return sum(isinstance(v.type, Array) and v.type.rank > 1 for v in emits)


@pytest.mark.parametrize(
    ("f", "shape", "fewer"),
    [(coupled, (7,), 1), (plane, (5, 6), 1), (changed_before, (6,), 0)],
    ids=["coupled", "plane", "changed_before"],
)
def test_kept_once(f: Callable[..., Any], shape: tuple[int, ...], fewer: int) -> None:
    rng = np.random.default_rng(4)
    u, w = rng.normal(size=shape), rng.normal(size=shape)
    before = prepared(f, u, w)
    after = twice.run(before)
    check(after)
    assert kept(before) - kept(after) >= fewer
    for n in (0, 3):  # of the first axis: more or less
        size = (shape[0] - n, *shape[1:])
        u, w = rng.normal(size=size), rng.normal(size=size)
        u.flat[1] = np.nan if n else u.flat[1]
        args = [a for array in (u, w) for a in (*array.shape, array)]
        found = [evaluate(g, args) for g in (before, after)]
        for a, b in zip(found[0].values, found[1].values, strict=True):
            np.testing.assert_array_equal(a, b)
        assert found[1].cost.work <= found[0].cost.work + 10
        assert found[1].cost.copied <= found[0].cost.copied
    assert twice.run(after) is after
    u, w = rng.normal(size=shape), rng.normal(size=shape)
    iv.check_grads(lambda u: f(u, w), (u,))

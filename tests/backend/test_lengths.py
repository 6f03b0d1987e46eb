"""Lengths that are checked to be equal: loops over them are one, and what fails still fails."""

from __future__ import annotations

import numpy as np
import pytest

import iverson as iv
from iverson.backend import loopir as ir
from iverson.backend import lowered
from iverson.opt.pipeline import optimise


def relaxation(x, y, z):
    """Each pair of lengths is checked at its first meeting."""
    u = np.zeros(len(x))
    v = np.zeros(len(z))
    for _ in range(3):
        u[:] = 0.5 * u + x * y
        v[:] = v + u * z
        u[:] = u - 0.1 * v
    return u, v


def before_the_check(x, y):
    head = np.sum(x[:, 0]) + np.sum(y[:, 0])
    z = x * y
    return head, z + x[::-1]


def test_loops_over_equal_lengths_are_one() -> None:
    args = (np.ones(9), np.ones(8), np.ones(7))
    program = lowered(optimise(iv.jit(relaxation).staged(args, {}).function), threaded=False)
    turns = next(s for s in program.body if isinstance(s, ir.For) and any(isinstance(t, ir.For) for t in s.body))
    bounds = {s.high for s in ir.walk(turns.body) if isinstance(s, ir.For)}
    assert len(bounds) == 1


@pytest.mark.parametrize("n", [0, 1, 5, 9])
def test_values(n: int) -> None:
    rng = np.random.default_rng(n)
    args = [rng.normal(size=n) for _ in range(3)]
    for a, b in zip(iv.jit(relaxation)(*args), relaxation(*args), strict=True):
        np.testing.assert_allclose(a, b)
    x, y = rng.normal(size=(n, 5)), rng.normal(size=(n, 5))
    for a, b in zip(iv.jit(before_the_check)(x, y), before_the_check(x, y), strict=True):
        np.testing.assert_allclose(a, b)


def test_what_fails_fails() -> None:
    for lengths in ((9, 8, 9), (9, 9, 8), (5, 9, 9)):
        with pytest.raises(ValueError, match="broadcast"):
            iv.jit(relaxation)(*map(np.ones, lengths))
    with pytest.raises(ValueError, match="broadcast"):
        iv.jit(before_the_check)(np.ones((9, 5)), np.ones((6, 7)))


def two_loops(x, y, steps):
    """The first loop's check holds in the second, if there are turns."""
    u, v = np.zeros(len(x)), np.zeros(len(y))
    for _ in range(steps):
        u[:] = u + x * y
    for _ in range(steps):
        t = v * 2.0 + np.sin(y)
        v[:] = t * 0.5 + t[::-1] + u
    return u, v


def other_turns(x, y, steps):
    """What the first loop's check says holds neither in a loop of other turns nor behind it."""
    u, v = np.zeros(len(x)), np.zeros(len(y))
    for _ in range(steps):
        u[:] = u + x * y
    for _ in range(2):
        v[:] = np.sin(v[::-1]) + y
    return u, v, np.sum(x) + np.sum(y)


@pytest.mark.parametrize("f", [two_loops, other_turns])
@pytest.mark.parametrize(("n", "m", "steps"), [(4, 4, 3), (3, 5, 0), (5, 3, 0), (0, 4, 0), (0, 0, 2), (1, 1, 1)])
def test_a_check_in_a_loop_holds_in_its_turns(f, n: int, m: int, steps: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(size=m)
    for a, b in zip(iv.jit(f)(x, y, steps), f(x, y, steps), strict=True):
        np.testing.assert_allclose(a, b)
    with pytest.raises(ValueError, match="broadcast"):
        iv.jit(f)(np.ones(3), np.ones(5), 1)

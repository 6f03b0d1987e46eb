"""Buffers leave the loops that use them, those of the largest turn where turns differ in size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import loopir as ir
from iverson.backend import lowered, memory, runtime
from iverson.opt.pipeline import optimise


def levinson(r):
    y = np.zeros_like(r)
    for k in range(1, len(r)):
        a = -(r[k] + np.dot(np.flip(r[:k]), y[:k]))
        y[:k] += a * np.flip(y[:k])
        y[k] = a
    return y


def shrinking(r):
    y = r.copy()
    for k in range(len(r)):
        y[k:] += 0.5 * np.flip(y[k:])
    return y


def windows(r):
    y = r.copy()
    n = len(r)
    for k in range(n):
        for m in range(k):
            y[m : min(k + 2, n)] += 0.1 * np.flip(y[m : min(k + 2, n)])
    return y


def squares(r):
    total = 0.0
    for k in range(len(r)):
        t = np.outer(r[: k + 1], np.sin(r[: k + 1]))
        total += np.sum(t * (t @ t))
    return np.array([total])


PROGRAMS = [levinson, shrinking, windows, squares]


def inside(body: list[ir.Stmt]) -> int:
    """Allocations in loops."""
    loops = [s for s in ir.walk(body) if isinstance(s, ir.For | ir.While)]
    return len({s for loop in loops for b in ir.blocks(loop) for s in ir.walk(b) if isinstance(s, ir.Alloc)})


@pytest.mark.parametrize("f", PROGRAMS)
def test_values(f: Callable[..., Any]) -> None:
    compiled = iv.jit(f)
    for n in (1, 2, 3, 9):
        r = np.random.default_rng(n).uniform(-0.5, 0.5, n) / n
        assert np.allclose(compiled(r), f(r), rtol=1e-12, atol=1e-13), n


@pytest.mark.parametrize("f", [levinson, shrinking])
def test_no_turn_allocates(f: Callable[..., Any]) -> None:
    for g in (f, iv.grad(lambda r: np.sum(f(r) ** 2))):
        program = lowered(optimise(iv.jit(g).staged((np.ones(9),), {}).function), threaded=False)
        assert inside(program.body) == 0


def test_an_inner_loop_whose_bounds_vary() -> None:
    program = lowered(optimise(iv.jit(windows).staged((np.ones(9),), {}).function), threaded=False)
    assert inside(program.body) <= 1


def clipped(r):
    y = r.copy()
    n = len(r)
    for k in range(n):
        low, high = max(k - 2, 0), min(k + 3, n)
        y[low:high] += 0.1 * np.flip(y[low:high])
    return y


def test_what_is_small_in_each_turn_is_not_allocated_as_if_it_were_large() -> None:
    r = np.linspace(-1.0, 1.0, 9)
    np.testing.assert_allclose(iv.jit(clipped)(r), clipped(r), rtol=1e-13)
    program = lowered(optimise(iv.jit(clipped).staged((r,), {}).function), threaded=False)
    assert inside(program.body) == 1


@pytest.mark.slow
@pytest.mark.parametrize("f", PROGRAMS)
def test_gradients(f: Callable[..., Any]) -> None:
    r = np.random.default_rng(5).uniform(-0.1, 0.1, 9)
    iv.check_grads(lambda r: np.sum(f(r) ** 2), (r,))


def stages(x):
    y = x.copy()
    for k in range(len(x)):
        a = np.cumsum(y) + k
        y[1:] += 0.1 * a[:-1] * np.flip(a)[:-1] / (1.0 + a[-1] ** 2)
        b = np.cumsum(y * y)
        y[1:] -= 0.2 * b[:-1] * np.flip(b)[1:] / (1.0 + b[-1] ** 2)
    return y


def of_other_lengths(x):
    y = x.copy()
    m = len(x) // 2
    for k in range(len(x)):
        a = np.cumsum(y[:m]) + k
        y[:m] += 0.1 * a * np.flip(a) / (1.0 + a.sum() ** 2)
        b = np.cumsum(y * y)
        y[1:] -= 0.2 * b[:-1] * np.flip(b)[1:] / (1.0 + b[-1] ** 2)
        c = np.cumsum(y[m:]) - k
        y[m:] -= 0.3 * c * np.flip(c) / (1.0 + c.sum() ** 2)
    return y


def crossing(x):
    """Both live at the same time."""
    y = x.copy()
    for k in range(len(x)):
        a = np.cumsum(y) + k
        b = np.cumsum(y * np.flip(a))
        y[1:] += 0.1 * a[:-1] * np.flip(b)[:-1] / (1.0 + a[-1] ** 2 + b[-1] ** 2)
    return y


@pytest.mark.parametrize(("f", "shared"), [(stages, 1), (of_other_lengths, 2), (crossing, 0)])
def test_arrays_of_a_turn_share_memory(f: Callable[..., Any], shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def arrays() -> int:
        program = lowered(optimise(iv.jit(f).staged((np.ones(9),), {}).function), threaded=False)
        return sum(isinstance(s, ir.Alloc) for s in ir.walk(program.body))

    with_ = arrays()
    for n in (0, 1, 2, 7):
        x = np.random.default_rng(n).normal(size=n)
        np.testing.assert_allclose(iv.jit(f)(x), f(x.copy()))
    iv.check_grads(f, (np.linspace(0.2, 1.0, 5),))
    monkeypatch.setattr(memory, "_share", lambda body: None)
    assert with_ == arrays() - shared


def test_a_branch_that_is_not_taken_needs_no_memory() -> None:
    def f(x):
        total = x.sum()
        if x[0] > 0.0:
            sums = np.cumsum(x)
            total += np.sum(sums * np.flip(sums))
        return total

    program = lowered(optimise(iv.jit(f).staged((np.ones(9),), {}).function), threaded=False)
    assert not any(isinstance(s, ir.Alloc) for s in program.body)
    assert sum(isinstance(s, ir.Alloc) for s in ir.walk(program.body)) > 0
    for x in np.ones(4), -np.ones(4):
        np.testing.assert_allclose(iv.jit(f)(x), f(x))


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is kept between calls")
def test_what_is_kept_between_calls_is_given_back() -> None:
    x = np.ones(2**14)
    assert iv.jit(lambda x: x + 1.0)(x)[0] == 2.0
    assert any(runtime._pool[2:])
    runtime.trim()
    assert not any(runtime._pool[2:])
    assert iv.jit(lambda x: x + 2.0)(x)[0] == 3.0


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is kept between calls")
def test_a_block_that_is_a_little_too_small_is_not_kept_beside_the_one_that_fits() -> None:
    f = iv.jit(lambda x: x + 1.0)

    def after(n: int) -> list[int]:
        assert f(np.ones(n)).sum() == 2.0 * n
        return [size for size in runtime._pool[3::2] if size]

    runtime.trim()
    (small,) = after(2**14)
    (large,) = after(2**14 + 2**11)
    assert small < large and after(2**14) == [large]
    assert len(after(2**16)) == 2

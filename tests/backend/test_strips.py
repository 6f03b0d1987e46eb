"""Loops over the same arrays take turns, in strips or as a wave: the same numbers, whatever the lengths are, and only
where that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import iverson as iv
from iverson.backend import loopir, lowered, strips, wave
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


def sliding(x, steps):
    """An array is read, overwritten where it was read, and read again; another is written twice."""
    y, z = x.copy(), np.zeros(len(x) + 3)
    for _ in range(steps):
        for i in range(len(x) - 1):
            z[i + 2] = y[i] * y[i + 1]
        for i in range(1, len(x) - 2):
            y[i] = np.cos(z[i + 1]) - z[i + 3]
        for i in range(len(x)):
            z[i] += y[i] - 0.5
    return y + z[: len(x)]


def ends(x, steps):
    """Both ends are fixed in another way than what is between them."""
    y = x.copy()
    for _ in range(steps):
        d = np.array([y[i] - y[i - 1] if i > 0 else y[0] for i in range(len(x))])
        e = np.array([d[i + 1] - d[i] if i < len(x) - 1 else -d[i] for i in range(len(x))])
        y = y + 0.1 * e
    return y


# with the ways they take turns: forward, backward
PROGRAMS: list[tuple[Callable[..., Any], str, str]] = [
    (runge_kutta, "wave strip", "wave strip"),
    (waves, "wave strip", "wave strip"),
    (sliding, "wave strip", "wave strip"),
    (ends, "wave", "wave"),
    (back_and_forth, "", "wave strip"),
]


def made(f: Callable[..., Any], mode: str) -> Any:
    g = prepare(iv.jit(f).staged((np.ones(7), 2), {}).function)
    return optimise(g if mode == "primal" else reverse.vjp(g, [1]))


def ways(body: list[loopir.Stmt]) -> set[str]:
    return {s.tag for s in loopir.walk(body) if isinstance(s, loopir.For)} & {"strip", "wave"}


@pytest.mark.parametrize("way", ["strip", "wave"])
@pytest.mark.parametrize("mode", ["primal", "gradient"])
@pytest.mark.parametrize(("f", "forward", "backward"), PROGRAMS, ids=lambda x: getattr(x, "__name__", ""))
def test_the_same_numbers(
    f: Callable[..., Any], forward: str, backward: str, mode: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "WIDTH", 3)
    monkeypatch.setattr(strips, "SHORTEST", 4)
    monkeypatch.setattr(strips, "LONGEST", 20)
    monkeypatch.setattr(wave, "SHORTEST", 3 if way == "wave" else 5)
    monkeypatch.setattr(wave, "LONGEST", 20)
    monkeypatch.setattr(wave, "CARRIES", 24 if way == "wave" else -1)
    function = made(f, mode)
    assert ways(lowered(function).body) == {way} & set((forward if mode == "primal" else backward).split())
    native = Native(function)
    for n in (3, 4, 5, 6, 7, 8, 19, 20, 21, 30) if f is sliding else (0, 1, 2, 3, 4, 5, 6, 7, 8, 19, 20, 21, 30):
        x = RNG.normal(size=n)
        values: list[Any] = [n, x, 2]
        if mode == "primal":
            np.testing.assert_allclose(native(*values)[0], f(x, 2), rtol=1e-13, atol=1e-13)
        else:
            values += [RNG.normal(size=n)] if len(function.params) == 4 else [n, RNG.normal(size=n)]
        for got, wanted in zip(native(*values), evaluate(function, values).values, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12, err_msg=f"n = {n}")


Step = tuple[int, int, int, int, int, int]


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Loops that set or add to an element of one array by elements of two others, each at its own shift."""
    array, shift = st.integers(0, 3), st.integers(-2, 2)
    step = st.tuples(array, shift, array, shift, array, shift)
    return draw(st.lists(step, min_size=2, max_size=5))


@given(steps())
@settings(max_examples=12, deadline=None, derandomize=True)
def test_any_loops(plan: list[Step]) -> None:
    def program(x):
        arrays = [x.copy(), np.cos(x), x + 1.0, np.zeros(len(x))]
        for t, at, a, here, b, there in plan:
            for i in range(2, len(x) - 2):
                if (at + here) % 3:
                    arrays[t][i + at] = arrays[a][i + here] * arrays[b][i + there] + 0.5
                else:
                    arrays[t][i + at] += arrays[a][i + here] - 0.3 * arrays[b][i + there]
        return arrays[0] + 2.0 * arrays[1] + 3.0 * arrays[2] + arrays[3]

    compiled = iv.jit(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wave, "SHORTEST", 3)
        patch.setattr(wave, "LONGEST", 40)
        for n in (4, 6, 9, 12, 30, 50):
            x = np.sin(np.arange(n) * 1.7)
            np.testing.assert_allclose(compiled(x), program(x), rtol=1e-12, atol=1e-12)


def test_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward each stage follows at once; backward it waits for its neighbour's turn."""
    monkeypatch.setattr(wave, "CARRIES", -1)
    for mode, lags in (("primal", 0), ("gradient", 1)):
        body = lowered(made(runge_kutta, mode), threaded=False).body
        found = [s for s in loopir.walk(body) if isinstance(s, loopir.For) and s.tag == "strip"]
        behind = [
            [s for s in strip.body if isinstance(s, loopir.Compute) and s.name == "sub" and s.args[1].value > 0]
            for strip in found
        ]
        assert max(map(len, behind)) >= lags
        assert lags or not any(behind)

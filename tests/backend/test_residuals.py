"""What one loop leaves for a later one: merged loops with private arrays, alone and in lanes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from iverson import backend
from iverson.backend import lanes
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, Function, Map, Reduce, Scalar, Var
from iverson.diff.reverse import gradient
from iverson.opt import pipeline
from tests.backend import native
from tests.core.generate import random_function

SIZES = ((1, 2, 3), (6, 3, 2), (7, 1, 4), (4, 0, 3), (5, 2, 0), (0, 2, 2), (3, 2, 70))


@pytest.fixture(autouse=True, params=[2, 3, 64])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lanes, "LANES", request.param)
    yield


def agree(function: Function, *several: list[object], level: int = 0) -> None:
    kernel = native.Native(function, level)
    for args in several:
        got, want = kernel(*args), evaluate(function, args).values
        assert not native.LIVE
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-10)


def points(make: object) -> Function:
    """A program of n points and k centres in d dimensions."""
    b = Builder()
    n, k, d = (Var(Scalar(I64), h) for h in "nkd")
    p, c = Var(Array(F64, (n, d)), "p"), Var(Array(F64, (k, d)), "c")
    return b.function([n, k, d, p, c], make(b, n, k, d, p, c))  # type: ignore[operator]


def moments(b, n, k, d, p, c, at=lambda b, i: i, result=lambda b, n, p, t, u: u):
    """Residuals [n, d], a total, what is made of it, and contributions of the residuals, read `at` some point."""

    def forward(i):
        r = b.map(d, lambda q: b.reduce("add", k, lambda j: b.o.sin(b.o.sub(b.read(p, i, q), b.read(c, j, q)))))
        return [r, b.reduce("add", d, lambda q: b.o.mul(b.read(r, q), b.read(r, q)))]

    t, s = b.for_(n, forward, [Map(), Reduce("add")])
    u = result(b, n, p, t, b.o.mul(s, 2.0))

    def body(acc):
        def point(i):
            j = at(b, i)
            b.for_(d, lambda q: b.contribute(acc, [q], b.read(t, j, q)) or (), [])
            return ()

        b.for_(n, point, [])
        return ()

    return [u, *b.accumulate([("add", [b.zeros([d], F64)])], body)]


def likelihood(b, n, k, d, p, c):
    """A mixture's log-likelihood: residuals [n, k, d], [n, k], [n], a winner, and private arrays."""

    def distance(i, j):
        r = b.map(d, lambda q: b.o.sub(b.read(p, i, q), b.read(c, j, q)))

        def row(q):
            y = b.reduce("add", q, lambda s: b.o.mul(b.read(c, j, s), b.read(r, s)))
            v = b.o.add(b.read(r, q), y)
            return b.o.mul(v, v)

        return b.o.mul(-0.5, b.reduce("add", d, row))

    def point(i):
        w = b.map(k, lambda j: distance(i, j))
        m = b.reduce("max", k, lambda j: b.read(w, j))
        s = b.reduce("add", k, lambda j: b.o.exp(b.o.sub(b.read(w, j), m)))
        return b.o.add(m, b.o.log(s))

    return b.reduce("add", n, point)


def loops_over_points(function: Function) -> int:
    return sum(
        line.startswith("  for") and "..n any" in line
        for line in backend.compile(function, threaded=False).loops.splitlines()
    )


def try_sizes(function: Function, level: int = 0, sizes: tuple[tuple[int, int, int], ...] = SIZES) -> None:
    rng = np.random.default_rng(0)
    several = [[n, k, d, rng.normal(size=(n, d)), rng.normal(size=(k, d))] for n, k, d in sizes]
    agree(function, *several, level=level)


@pytest.mark.parametrize("level", [0, 3])
def test_merged(level: int) -> None:
    function = points(moments)
    assert loops_over_points(function) == 1
    try_sizes(function, level)


def test_residuals_of_another_turn() -> None:
    function = points(partial(moments, at=lambda b, i: b.o.floordiv(i, 2)))
    assert loops_over_points(function) == 2
    try_sizes(function)


def test_residuals_that_are_results() -> None:
    function = points(
        lambda *a: moments(*a, result=lambda b, n, p, t, u: b.if_(b.o.gt(u, 1.0), lambda: t, lambda: t)[0])
    )
    assert loops_over_points(function) == 2
    try_sizes(function)


def test_a_total_that_is_needed_between() -> None:
    def scaled(b, n, p, t, u):
        return b.reduce("add", n, lambda i: b.o.mul(u, b.reduce("add", i, lambda j: b.cast(j, F64))))

    function = points(partial(moments, result=scaled))
    try_sizes(function)


@pytest.mark.parametrize("level", [0, 3])
def test_gradient(level: int) -> None:
    """Forward and return sweep over the points are one loop, whatever follows from the value."""
    primal = pipeline.prepare(points(likelihood))
    function = pipeline.optimise(gradient(primal, [4]))
    assert loops_over_points(function) == 1
    sizes = tuple(s for s in SIZES if s[1])
    try_sizes(function, level, sizes)
    try_sizes(pipeline.optimise(gradient(primal, [3, 4])), level, sizes)


@pytest.mark.parametrize("seed", range(300, 320))
def test_random_gradients(seed: int) -> None:
    function, args = random_function(seed, smooth=True)
    wrt = [k for k, p in enumerate(function.params) if p.type.dtype is F64]
    agree(pipeline.optimise(gradient(pipeline.prepare(function), wrt)), args)

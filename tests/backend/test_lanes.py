"""Loops in lanes: with tiles of two or three turns, so that small programs have full and partial ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from iverson import backend
from iverson.backend import lanes, schedule
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, Function, Map, Reduce, Scalar, Var
from tests.backend import native
from tests.backend.constructs import CASES
from tests.core.generate import random_function


@pytest.fixture(autouse=True, params=[3, 4])
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lanes, "LANES", request.param)
    monkeypatch.setattr(lanes, "MIDDLE", request.param - 1)
    monkeypatch.setattr(lanes, "NARROW", 2)
    yield


def agree(function: Function, *several: list[object], level: int = 0) -> None:
    """The compiled program does what the evaluator does, on each list of arguments."""
    kernel = native.Native(function, level)
    for args in several:
        got, want = kernel(*args), evaluate(function, args).values
        assert not native.LIVE
        for g, w in zip(got, want, strict=True):
            tolerance = 1e-5 if np.asarray(w).dtype == np.float32 else 1e-10
            np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


def points(make: object) -> Function:
    """A program of n points and k centres in d dimensions."""
    b = Builder()
    n, k, d = (Var(Scalar(I64), h) for h in "nkd")
    p, c = Var(Array(F64, (n, d)), "p"), Var(Array(F64, (k, d)), "c")
    return b.function([n, k, d, p, c], make(b, n, k, d, p, c))  # type: ignore[operator]


def at_sizes(*sizes: tuple[int, int, int]) -> list[list[object]]:
    """Arguments of such a program."""
    rng = np.random.default_rng(0)
    return [[n, k, d, rng.normal(size=(n, d)), rng.normal(size=(k, d))] for n, k, d in sizes]


def distance(b, d, p, c, i, j):
    def square(q):
        u = b.o.sub(b.read(p, i, q), b.read(c, j, q))
        return b.o.mul(u, u)

    return b.reduce("add", d, square)


def nearest(b, n, k, d, p, c):
    best = lambda i: b.reduce("argmin", k, lambda j: [distance(b, d, p, c, i, j), j])  # noqa: E731
    return b.for_(n, best, [Map(), Map()])


def cost(b, n, k, d, p, c):
    return b.reduce("add", n, lambda i: b.reduce("min", k, lambda j: distance(b, d, p, c, i, j)))


def log_sum(b, n, k, d, p, c):
    """A temporary for every point, read twice; and what is the same for all points."""

    def point(i):
        w = b.map(k, lambda j: b.o.mul(distance(b, d, p, c, i, j), b.reduce("add", d, lambda q: b.read(c, j, q))))
        m = b.reduce("max", k, lambda j: b.read(w, j))
        s = b.reduce("add", k, lambda j: b.o.exp(b.o.sub(b.read(w, j), m)))
        value = b.if_(b.o.gt(s, 2.0), lambda: b.o.log(s), lambda: b.o.neg(s))[0]
        return [b.o.add(value, m), value]

    return b.for_(n, point, [Map(), Reduce("add")])


def triangle(b, n, k, d, p, c):
    """The bounds of the innermost loop depend on another's index, and a carry on a carry."""

    def point(i):
        return b.reduce(
            "add", d, lambda q: b.o.mul(b.read(p, i, q), b.reduce("max", q, lambda r: b.o.mul(b.read(p, i, r), 2.0)))
        )

    return b.map(n, point)


def moments(b, n, k, d, p, c):
    """Contributions of all points to the same elements."""

    def body(acc):
        def point(i):
            s = b.reduce("add", k, lambda j: distance(b, d, p, c, i, j))
            b.for_(d, lambda q: b.contribute(acc, [q], b.o.mul(s, b.read(p, i, q))) or (), [])
            return ()

        b.for_(n, point, [])
        return ()

    return b.accumulate([("add", [b.zeros([d], F64)])], body)


def packed_triangle(b, n, k, d, p, c):
    """A triangular product with a private vector; the checks of its indices leave both loops."""

    def point(i):
        y = b.map(d, lambda q: b.o.sub(b.read(p, i, q), b.read(c, 0, q)))

        def row(q):
            s = b.reduce("add", q, lambda r: b.o.mul(b.read(c, 0, r), b.read(y, r)))
            v = b.o.add(b.read(y, q), s)
            return b.o.mul(v, v)

        return b.reduce("add", d, row)

    return b.if_(b.o.gt(k, 0), lambda: b.reduce("add", n, point), lambda: 0.0)


def residuals(b, n, k, d, p, c):
    """What every turn stores, it reads again."""

    def point(i):
        w = b.map([k, d], lambda j, q: b.o.sub(b.read(p, i, q), b.read(c, j, q)))

        def norm(j):
            return b.reduce("add", [d, d], lambda q, r: b.o.mul(b.read(w, j, q), b.read(w, j, r)))

        return [w, b.reduce("max", k, norm)]

    return b.for_(n, point, [Map(), Reduce("add")])


def adjoint(b, n, k, d, p, c):
    """The adjoint of all distances: contributions to rows of the turn's own, at strides, and to rows of all turns."""

    def body(mine, theirs):
        def point(i):
            def centre(j):
                weight = b.o.exp(b.o.neg(distance(b, d, p, c, i, j)))

                def coordinate(q):
                    v = b.o.mul(weight, b.o.sub(b.read(p, i, q), b.read(c, j, q)))
                    b.contribute(mine, [i, q], v)
                    b.contribute(theirs, [j, q], b.o.neg(v))
                    return ()

                b.for_(d, coordinate, [])
                return ()

            b.for_(k, centre, [])
            return ()

        b.for_(n, point, [])
        return ()

    return b.accumulate(
        [("add", [b.map([n, d], lambda i, q: b.o.mul(0.5, b.read(p, i, q)))]), ("add", [b.zeros([k, d], F64)])], body
    )


def picked(b, n, k, d, p, c):
    """A branch with loops, decided by a minimum; what it gives and what it adds to; one that is the same for all."""

    def body(mine, theirs):
        def point(i):
            best, at = b.reduce("argmin", k, lambda j: [distance(b, d, p, c, i, j), j])

            def coordinate(q):
                v = b.o.sub(b.read(p, i, q, safe=True), b.read(c, at, q, safe=True))
                b.contribute(mine, [i, q], v, safe=True)
                b.contribute(theirs, [at, q], b.o.neg(v), safe=True)
                return ()

            def some():
                b.for_(d, coordinate, [])
                return b.reduce("add", d, lambda q: b.read(c, at, q, safe=True))

            u = b.if_(b.o.lt(at, k), some, lambda: b.o.neg(best))[0]
            plain = b.reduce("max", d, lambda q: b.read(p, i, q))
            v = b.if_(b.o.gt(k, 2), lambda: b.reduce("add", d, lambda q: b.read(c, 0, q, safe=True)), lambda: 1.0)[0]
            return [b.o.mul(u, v), b.o.add(u, plain)]

        return b.for_(n, point, [Map(), Reduce("add")])

    return b.accumulate(
        [("add", [b.map([n, d], lambda i, q: b.o.mul(0.5, b.read(p, i, q)))]), ("add", [b.zeros([k, d], F64)])], body
    )


def shared(b, n, k, d, p, c):
    """What is added to places that all points share, from a vector of each, and to its own where something is."""

    def body(mine, theirs):
        def point(i):
            w = b.map(d, lambda q: b.o.exp(b.o.neg(b.read(p, i, q))))

            def centre(j):
                s = b.reduce("add", d, lambda q: b.o.mul(b.read(w, q), b.read(c, j, q)))

                def coordinate(q):
                    b.contribute(theirs, [j, q], b.o.mul(s, b.read(w, q)))
                    b.contribute(mine, [i, q], b.o.mul(s, b.read(c, j, q)))
                    return ()

                b.contribute(theirs, [j, d], 1.0)
                b.for_(d, coordinate, [])
                return ()

            b.for_(k, centre, [])
            return ()

        b.for_(n, point, [])
        return ()

    start = b.map([n, d], lambda i, q: b.o.mul(0.5, b.read(p, i, q)))
    wide = b.o.add(d, 1)
    return b.accumulate([("add", [start]), ("add", [b.zeros([k, wide], F64)])], body)


PROGRAMS = [adjoint, shared, picked, residuals, packed_triangle, nearest, cost, log_sum, triangle, moments]


@pytest.mark.parametrize("make", PROGRAMS)
@pytest.mark.parametrize("level", [0, 3])
def test_lanes(make: object, level: int) -> None:
    function = points(make)
    assert " simd" in backend.compile(function).loops or make is triangle
    sizes = (1, 2, 3), (6, 3, 2), (7, 1, 4), (4, 0, 3), (5, 2, 0), (0, 2, 2), (3, 2, 70), (5, 40, 70)
    agree(function, *at_sizes(*sizes), level=level)


def test_large_temporaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is private to a turn gets lanes only while it is small."""
    monkeypatch.setattr(schedule, "MEMORY", 5)
    function = points(log_sum)
    assert ", 6)" in backend.compile(function).loops  # the least of an extent and that
    agree(function, *at_sizes((7, 2, 2), (7, 2, 3), (7, 6, 1), (7, 1, 6)))


def test_sums_in_order() -> None:
    """Lanes would add what all turns contribute to one element in another order."""
    assert " simd" not in backend.compile(points(moments), reassociate=False).loops
    assert " simd" in backend.compile(points(cost), reassociate=False).loops


def test_constructs() -> None:
    rng = np.random.default_rng(1)
    for build in CASES.values():
        function, arguments = build()
        agree(function, arguments(9, rng))


@pytest.mark.parametrize("seed", range(200, 260))
def test_random(seed: int) -> None:
    agree(*random_function(seed, smooth=False))

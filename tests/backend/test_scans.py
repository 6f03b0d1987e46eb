"""A loop that follows a scan turn by turn: the values stay, arrays between the two go, and nothing else is passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson import backend
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, Atom, Function, Map, Reduce, Scalar, Var
from tests.backend import native

Outs = Callable[[Builder, Var, Var, Var], Any]


def program(outs: Outs) -> Function:
    """`outs` of the length, an array x, and its running sums."""
    b = Builder()
    n = Var(Scalar(I64), "n")
    x = Var(Array(F64, (n,)), "x")
    sums = b.scan("add", n, lambda i: b.read(x, i, safe=True))
    return b.function([n, x], outs(b, n, x, sums))


def squares(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    return b.map(n, lambda i: b.o.mul(b.read(sums, i, safe=True), b.read(x, i, safe=True)))


def backwards(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    last = b.o.sub(n, 1)
    return b.map(n, lambda i: b.o.mul(b.read(sums, b.o.sub(last, i), safe=True), b.read(x, i, safe=True)))


def total(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    def one(i: Var) -> list[Atom]:
        return [b.o.mul(b.read(sums, i, safe=True), 2.0), b.read(sums, i, safe=True)]

    return b.for_(n, one, [Map(), Reduce("max")])


def kept(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    """The sums are a result as well."""
    return [squares(b, n, x, sums), sums]


def under_a_branch(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    def one(i: Var) -> Atom:
        positive = b.o.gt(b.read(x, i, safe=True), 0.0)
        return b.if_(positive, lambda: b.read(sums, i, safe=True), lambda: b.read(x, i, safe=True))[0]

    return b.map(n, one)


def two_places(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    """Read at two places: the loops stay apart."""
    last = b.o.sub(n, 1)
    both = [lambda i: i, lambda i: b.o.sub(last, i)]
    return b.map(n, lambda i: b.o.mul(*(b.read(sums, at(i), safe=True) for at in both)))


def dear(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    return b.map(n, lambda i: b.o.sin(b.read(sums, i, safe=True)))


def read_between(b: Builder, n: Atom, x: Var, sums: Var) -> Any:
    """Something between the two loops reads all the sums."""
    (order,) = b.library("sort_by_bin", b.map(n, lambda i: 0), b.map(1, lambda i: 0))
    at = b.map(n, lambda i: b.read(sums, b.read(order, i, safe=True), safe=True))
    changed = b.scan("add", n, lambda i: b.read(at, i, safe=True))
    return [squares(b, n, x, sums), changed]


# the program, and how many loops are left of it
CASES = [
    (squares, 1),
    (backwards, 1),
    (total, 1),
    (kept, 1),
    (under_a_branch, 1),
    (two_places, 2),
    (dear, 2),
    (read_between, None),
]


@pytest.mark.parametrize(("outs", "loops"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_a_loop_follows_a_scan(outs: Outs, loops: int | None) -> None:
    f = program(outs)
    kernel = native.Native(f, 0)
    for n in (0, 1, 2, 9):
        args = [n, np.random.default_rng(n).standard_normal(n)]
        got, want = kernel(*args), evaluate(f, args).values
        assert not native.LIVE
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-12)
    text = backend.compile(f, threaded=False).loops
    assert loops is None or text.count("for ") == loops


def test_what_is_not_read_is_not_made() -> None:
    assert backend.compile(program(squares)).loops.count("alloc") == 1
    assert backend.compile(program(kept)).loops.count("alloc") == 2


def test_components_that_nothing_reads_are_not_kept() -> None:
    b = Builder()
    n = Var(Scalar(I64), "n")
    x = Var(Array(F64, (n,)), "x")
    op = b.operator([1.0, 0.0], lambda p, q, r, s: [b.o.mul(p, r), b.o.add(b.o.mul(r, q), s)])
    scales, shifts = b.scan(op, n, lambda i: [b.read(x, i), b.read(x, i)])
    f = b.function([n, x], shifts)
    assert backend.compile(f, threaded=False).loops.count("alloc") == 1
    args = [5, np.arange(5.0)]
    np.testing.assert_allclose(native.Native(f, 0)(*args)[0], evaluate(f, args).values[0])
    assert evaluate(f, args).cost.work < evaluate(b.function([n, x], [scales, shifts]), args).cost.work

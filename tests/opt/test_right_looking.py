"""Which sums over earlier turns are made ahead, to the bit; which must not be, or only up to the end of a row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.show import show
from iverson.core.syntax import F64, Array, Atom, Function, Monoid, Var
from iverson.opt import right_looking
from tests.opt.programs import array, size
from tests.opt.support import assert_kept, unchanged

Term = Callable[[Builder, Atom, Var, Atom, Atom], Atom]  # of the array, the matrix, k and j
Place = Callable[[Builder, Atom], Atom]


def term(b: Builder, x: Atom, u: Var, k: Atom, j: Atom) -> Atom:
    return b.o.mul(b.read(u, k, j, safe=True), b.read(x, k, safe=True))


def solve(term: Term = term, monoid: Monoid = "add", place: Place = lambda b, j: j) -> Function:
    """x[j] = x[j] - sum of the terms over k < j, for each j in turn."""
    b = Builder()
    n = size("n")
    u, x = Var(Array(F64, (n, n)), "u"), array("x", n)

    def turn(j: Atom, x: Atom) -> Atom:
        if monoid == "argmax":
            s, at = b.reduce(monoid, j, lambda k: (term(b, x, u, k, j), k))
            s = b.o.add(b.o.mul(s, 0.5), b.o.float64(b.o.min(at, 100)))
        else:
            s = b.reduce(monoid, j, lambda k: term(b, x, u, k, j))
        return b.set(x, [place(b, j)], b.o.sub(b.read(x, j, safe=True), s), safe=True)

    return b.function([n, u, x], b.loop(n, [x], turn))


def arguments(n: int, *odd: float) -> list[object]:
    rng = np.random.default_rng(n)
    u, x = rng.integers(-3, 4, size=(n, n)) / 4.0, rng.integers(-3, 4, size=n) / 2.0
    x.flat[n // 2 :][: len(odd)] = odd[: len(x[n // 2 :])]
    return [n, u, x]


ODD = [arguments(n) for n in (0, 1, 2, 3, 8)] + [arguments(8, *odd) for odd in [(np.nan,), (np.inf, -np.inf), (-0.0,)]]


def max_term(b: Builder, x: Atom, u: Var, k: Atom, j: Atom) -> Atom:
    return b.o.add(b.read(u, k, j, safe=True), b.read(x, k, safe=True))


@pytest.mark.parametrize(
    "f",
    [solve(), solve(monoid="mul"), solve(max_term, "max"), solve(max_term, "min"), solve(max_term, "argmax")],
    ids=["add", "mul", "max", "min", "argmax"],
)
def test_sums_down_columns_are_made_ahead(f: Function) -> None:
    g = assert_kept(f, right_looking.run, *ODD, slack=3.0, extra=40)
    assert " reduce " not in show(g) and "ahead" in show(g)


def along_a_row(b: Builder, x: Atom, u: Var, k: Atom, j: Atom) -> Atom:
    return b.o.mul(b.read(u, j, k, safe=True), b.read(x, k, safe=True))


def beyond(b: Builder, x: Atom, u: Var, k: Atom, j: Atom) -> Atom:
    return b.o.mul(b.read(u, b.o.add(k, 2), j), b.read(x, k, safe=True))


def looked_up(b: Builder, x: Atom, u: Var, k: Atom, j: Atom) -> Atom:
    at = b.o.min(b.o.max(b.o.int64(b.read(x, k, safe=True)), 0), k)
    return b.o.mul(b.read(u, k, j, safe=True), b.read(x, at, safe=True))


def own_element(b: Builder, x: Atom, u: Var, k: Atom, j: Atom) -> Atom:
    return b.o.mul(b.read(u, k, j, safe=True), b.read(x, j, safe=True))


def before(b: Builder, j: Atom) -> Atom:
    return b.o.max(b.o.sub(j, 1), 0)


@pytest.mark.parametrize(
    "f",
    [solve(along_a_row), solve(beyond), solve(looked_up), solve(own_element), solve(place=before)],
    ids=["along a row", "two rows on", "looked up", "of this turn", "written again"],
)
def test_others_stay(f: Function) -> None:
    check(f)
    unchanged(f, right_looking.run)


def test_not_within_a_for() -> None:
    b = Builder()
    n, m = size("n"), size("m")
    u, x = Var(Array(F64, (n, n)), "u"), array("x", m, n)

    def one(i: Atom) -> Atom:
        def turn(j: Atom, y: Atom) -> Atom:
            s = b.reduce("add", j, lambda k: term(b, y, u, k, j))
            return b.set(y, [j], b.o.sub(b.read(y, j, safe=True), s), safe=True)

        return b.loop(n, [b.map(n, lambda j: b.read(x, i, j, safe=True))], turn)[0]

    unchanged(b.function([n, m, u, x], [b.map(m, one)]), right_looking.run)


def factored(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, a.shape[0]):
            a[i, j] -= a[i, :i] @ a[:i, j]
    return a


def test_a_row_ends_where_its_elements_end() -> None:
    """Of a matrix with too few columns the program raises, as it did; nothing is read beyond a row."""
    program = iv.jit(factored)
    a = np.random.default_rng(0).normal(size=(40, 40)) + 40.0 * np.eye(40)
    np.testing.assert_allclose(program(a), factored(a), rtol=1e-12)
    text = iv.show(factored, stage="optimised")(a)
    assert "ahead" in text and "min" in text
    for columns in (0, 1, 3, 39):
        with pytest.raises(IndexError):
            program(a[:, :columns].copy())
    for rows in (0, 1, 2, 39):
        np.testing.assert_allclose(program(a[:rows]), factored(a[:rows]), rtol=1e-12)


def solved(u: np.ndarray, b: np.ndarray) -> np.ndarray:
    x = np.zeros(len(u))
    for j in range(len(u)):
        s = 0.0
        for k in range(j):
            s += u[k, j] * x[k]
        x[j] = b[j] - s
    return x


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (2, 2), (30, 30), (30, 31), (30, 29), (30, 2), (30, 1), (30, 0)])
def test_what_may_fail_fails_as_it_did(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    u, b = rng.normal(size=shape) / 9.0, rng.normal(size=30)
    assert "ahead" in iv.show(solved, stage="optimised")(np.ones((30, 31)), b)
    try:
        expected = solved(u, b)
    except IndexError as error:
        with pytest.raises(IndexError, match=str(error).split(" with")[0]):
            iv.jit(solved)(u, b)
        return
    np.testing.assert_allclose(iv.jit(solved)(u, b), expected, rtol=1e-12)

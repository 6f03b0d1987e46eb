"""chain: products of several matrices in the cheapest order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import F64, Array, Function, Library, Var
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt import chain
from iverson.opt.pipeline import optimise, prepare
from tests.opt.programs import size
from tests.opt.support import assert_kept, golden, unchanged


def products(f: Function) -> int:
    return sum(isinstance(s.op, Library) for s in statements(f.body))


def matrices(rng: np.random.Generator, *sizes: int) -> list[Any]:
    return [rng.normal(size=s) for s in pairwise(sizes)]


def with_vector(
    out: Callable[[Builder, Var, Var], Sequence[Any]] = lambda b, t, y: [y], square: bool = False
) -> tuple[Function, list[Any]]:
    """x z v, x and z matrices."""
    b, n, k, m = Builder(), size("n"), size("k"), size("m")
    m = n if square else m
    x, z, v = (Var(Array(F64, e), h) for e, h in (((n, k), "x"), ((k, m), "z"), ((m,), "v")))
    (t,) = b.library("matmul", x, z)

    def element(i: Var, j: Var) -> Any:
        return b.o.mul(b.read(t, i, j, safe=True), b.read(v, j, safe=True))

    y = b.map(n, lambda i: b.reduce("add", m, lambda j: element(i, j)))
    sizes = [4, 3, 4] if square else [5, 3, 4]
    args = [*sizes[: 2 + (not square)], *matrices(np.random.default_rng(0), *sizes), np.arange(4.0)]
    return b.function([n, k, *([] if square else [m]), x, z, v], out(b, t, y)), args


def test_a_vector() -> None:
    f, args = with_vector()
    golden(
        f,
        chain.known,
        """
            t = for i < k {
                t1 = for i1 < m {
                    t2 = z[i, i1!]
                    t3 = v[i1!]
                    t4 = mul t2 t3
                } reduce add t4
            } map t1
            t5 = for i2 < n {
                t6 = for i3 < k {
                    t7 = x[i2, i3!]
                    t8 = t[i3!]
                    t9 = mul t7 t8
                } reduce add t9
            } map t6
        } t5
        """,
        exact=False,
    )
    assert_kept(f, chain.known, args, exact=False, extra=40)


def test_what_is_needed_again_is_made() -> None:
    unchanged(with_vector(lambda b, t, y: [y, t])[0], chain.run)
    unchanged(with_vector(lambda b, t, y: [y, b.read(t, 0)], square=True)[0], chain.run)


def test_a_product_that_a_loop_uses_again_is_made_before_it() -> None:
    def power(a, b, x):
        for _ in range(9):
            x = a @ b @ x
        return x

    args = [*matrices(np.random.default_rng(0), 8, 7, 8), np.ones(8)]
    f = optimise(stage_for(power, args).function)
    assert [isinstance(let.op, Library) for let in f.body].count(True) == products(f) == 1


def of_matrices(count: int, across: bool = False) -> Function:
    """m0 m1 .., from the left; or the transpose of the product of their transposes, the last two first."""
    b, sizes = Builder(), [size(f"n{k}") for k in range(count + 1)]
    xs = [Var(Array(F64, e), "x") for e in pairwise(sizes)]
    t = xs[0]
    for x in xs[1:]:
        if across:  # t' is the product so far
            (t,) = b.library("matmul", x, t, transpose_a=True, transpose_b=t is xs[0])
        else:
            (t,) = b.library("matmul", t, x)
    return b.function([*sizes, *xs], [t])


def least(sizes: Sequence[int]) -> int:
    """The cost of the best order of a chain of products."""
    if len(sizes) == 2:
        return 0
    cuts = range(1, len(sizes) - 1)
    return min(least(sizes[: k + 1]) + least(sizes[k:]) + 2 * sizes[0] * sizes[k] * sizes[-1] for k in cuts)


SIZES = [(2, 30, 3, 20), (30, 2, 20, 3), (9, 9, 9, 9), (0, 3, 4, 5), (3, 0, 4, 5), (1, 60, 1, 60), (70, 1, 70, 1)]
SIZES += [(9, 40, 5, 41, 4), (40, 5, 41, 4, 42), (30, 1, 30, 1, 30), (7, 8, 9, 10, 11), (40, 2, 40, 2, 40, 2, 40)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("across", [False, True])
def test_the_order_is_that_of_the_least_work(sizes: tuple[int, ...], across: bool) -> None:
    f, xs = of_matrices(len(sizes) - 1, across), matrices(np.random.default_rng(0), *sizes)
    want = np.linalg.multi_dot(xs)
    before, after = (evaluate(g, [*sizes, *xs]) for g in (f, chain.run(f)))
    np.testing.assert_allclose(after.values[0], want.T if across else want, rtol=1e-9, atol=1e-9)
    overhead = 60 * len(sizes) + 30 + sizes[0] * sizes[-1]
    assert after.cost.work <= before.cost.work + overhead
    if len(xs) <= chain.MOST:
        assert after.cost.work <= least(sizes) / chain.GAIN + overhead


def test_equal_sizes_and_half_a_product_decide_before() -> None:
    """Squares, in any order the same; a matrix by its transpose is half the work, so it stays."""
    b, n = Builder(), size("n")
    x, y = (Var(Array(F64, (n, n)), h) for h in "xy")
    (t,) = b.library("matmul", x, y)
    unchanged(b.function([n, x, y], [b.library("matmul", t, x)[0]]), chain.run)
    b, m = Builder(), size("m")
    z = Var(Array(F64, (n, m)), "z")
    (t,) = b.library("matmul", x, x, transpose_b=True)
    g = chain.run(b.function([n, m, x, z], [b.library("matmul", t, z)[0]]))
    for few, left in ((12, True), (4, False)):
        work = evaluate(g, [20, few, *matrices(np.random.default_rng(0), 20, 20, few)]).cost.work
        assert (work > 2 * 20 * 20 * (20 + few)) == left


def test_no_adjoint_of_a_matrix_that_a_vector_saves() -> None:
    def objective(a, b, x):
        return np.sum((a @ b @ x) ** 2)

    def count(n: int) -> int:
        rng = np.random.default_rng(0)
        args = [*matrices(rng, n, 5, n), rng.normal(size=n)]
        f = stage_for(objective, args).function
        g = optimise(gradient(prepare(f), [k for k, p in enumerate(f.params) if p.type.dtype.is_float]))
        values = dict(zip([p for p in f.params if isinstance(p.type, Array)], args, strict=True))
        sizes = {e: k for p, a in values.items() for e, k in zip(p.type.extents, a.shape, strict=True)}
        return int(evaluate(g, [values.get(p, sizes.get(p)) for p in f.params]).cost.work)

    assert count(80) < 2.2 * count(40)


def test_sizes_that_are_known_decide_also_on_the_adjoint() -> None:
    a, b, c = matrices(np.random.default_rng(0), 40, 5, 40, 6)
    slope = iv.jit(iv.grad(lambda a, b, c: np.sum((a @ b @ c) ** 2), argnums=(0, 1, 2)), static_shapes=True)
    text = iv.show(slope, stage="optimised")(a, b, c)
    assert "matmul x1 x2" in text and text.count("matmul") == 6 and " if " not in text
    want = iv.grad(lambda a, b, c: np.sum((a @ (b @ c)) ** 2), (0, 1, 2))(a, b, c)
    for x, y in zip(slope(a, b, c), want, strict=True):
        np.testing.assert_allclose(x, y)


def test_values_and_gradients() -> None:
    rng = np.random.default_rng(0)
    a, b, c, v = *matrices(rng, 30, 6, 30, 7), rng.normal(size=30)

    def f(a, b, c, v):
        t = a @ b
        a = a * 2.0
        b[0] = 1.0
        return t @ c, a.T @ (t.T @ v), v @ (a @ b)

    for got, want in zip(iv.jit(f)(a, b.copy(), c, v), f(a, b.copy(), c, v), strict=True):
        np.testing.assert_allclose(got, want)
    iv.check_grads(lambda a, b, c, v: np.sum(a @ b @ c) + np.sum((a @ b @ v) ** 2), (a, b, c, v))


def test_only_where_sums_may_be_reassociated() -> None:
    f, _ = with_vector()
    assert products(optimise(f)) == 0 and products(optimise(f, reassociate=False)) == 1
    assert products(prepare(f)) == 0 and products(prepare(f, reassociate=False)) == 1
    args = [*matrices(np.random.default_rng(0), 8, 7, 6), np.ones(6)]
    for reassociate in (True, False):
        slope = iv.jit(iv.grad(lambda a, b, v: np.sum((a @ b @ v) ** 2)), reassociate=reassociate)
        assert ("matmul" in iv.show(slope, stage="optimised")(*args)) != reassociate


@pytest.mark.parametrize("across", [False, True])
def test_a_gradient_is_taken_in_the_order_that_the_sizes_of_a_call_decide(across: bool) -> None:
    """One program for all sizes: of its two orders one is empty, and so is what the return sweep does for it."""

    def objective(a: Any, b: Any, c: Any) -> Any:
        return np.sum(np.sin((c.T @ b.T @ a.T).T if across else a @ b @ c))

    f = stage_for(objective, [np.zeros((8, 9)), np.zeros((9, 10)), np.zeros((10, 11))]).function
    wrt = [k for k, p in enumerate(f.params) if p.type.dtype.is_float]  # type: ignore[union-attr]
    g = optimise(gradient(prepare(f), wrt))
    rng = np.random.default_rng(0)
    for sizes in (
        (30, 3, 30, 2),
        (3, 30, 2, 30),
        (2, 30, 3, 30),
        (7, 6, 5, 4),
        (2, 2, 2, 2),
        (0, 3, 2, 4),
        (3, 0, 2, 2),
    ):
        abc = matrices(rng, *sizes)
        args = [x for a in abc for x in (*a.shape, a)]
        got, want = evaluate(g, args), evaluate(gradient(f, wrt), args)
        for x, y in zip(got.values, want.values, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
        passes = sum(m * n for m, n in pairwise((*sizes, sizes[0])))
        assert got.cost.work <= 3.5 * least(sizes) + 30 * passes + 100, sizes

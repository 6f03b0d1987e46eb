"""contract: sums of products are products of matrices, where they are; updates, which lets it see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import F64, I64, Array, Function, Library, Scalar, Var
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt import contract, product, updates
from iverson.opt.pipeline import PASSES, optimise, prepare
from tests.lang.test_stage_corpus import inputs
from tests.opt.support import assert_kept, golden, same, unchanged
from tests.programs import PROGRAMS

N, M, K = 17, 18, 19


def matrices(dtype: Any = F64) -> tuple[Builder, list[Var]]:
    n, m, k = (Var(Scalar(I64), h) for h in "nmk")
    return Builder(), [n, m, k, Var(Array(dtype, (n, k)), "x"), Var(Array(dtype, (k, m)), "y")]


def arguments(rng: Any, n: int = N, m: int = M, k: int = K) -> list[Any]:
    return [n, m, k, rng.normal(size=(n, k)), rng.normal(size=(k, m))]


def products(f: Function) -> list[Library]:
    return [s.op for s in statements(f.body) if isinstance(s.op, Library)]


def comprehension(term: Any, dtype: Any = F64) -> Function:
    b, (n, m, k, x, y) = matrices(dtype)
    out = b.map(n, lambda i: b.map(m, lambda j: b.reduce("add", k, lambda p: term(b, x, y, i, j, p))))
    return b.function([n, m, k, x, y], [out])


def plain(b: Builder, x: Var, y: Var, i: Var, j: Var, p: Var) -> Any:
    return b.o.mul(b.read(x, i, p), b.read(y, p, j))


def test_a_reduction() -> None:
    golden(
        comprehension(plain),
        contract.run,
        """
            t = ge n 16
            t1 = and True t
            t2 = ge m 16
            t3 = and t1 t2
            t4 = ge k 16
            t5 = and t3 t4
            t6 = if t5 {
                t7 = matmul x y transpose_a=False transpose_b=False
                t8 = for i < n {
                    t9 = for i1 < m {
                        t10 = t7[i, i1!]
                    } map t10
                } map t9
            } t8 else {
                t11 = for i2 < n {
                    t12 = for i3 < m {
                        t13 = for i4 < k {
                            t14 = x[i2, i4]
                            t15 = y[i4, i3]
                            t16 = mul t14 t15
                        } reduce add t16
                    } map t13
                } map t12
            } t11
        } t6
        """,
        arguments(np.random.default_rng(0)),
        exact=False,
        extra=10,
    )


def test_contributions() -> None:
    """The adjoints of a product: each is one, with an operand transposed."""
    b, (n, m, k, x, y) = matrices()
    g = Var(Array(F64, (n, m)), "g")

    def body(dx: Var, dy: Var) -> Any:
        def innermost(i: Var, j: Var, p: Var) -> Any:
            b.contribute(dx, [i, p], b.o.mul(b.read(g, i, j), b.read(y, p, j)))
            b.contribute(dy, [p, j], b.o.mul(b.read(g, i, j), b.read(x, i, p)))
            return ()

        b.for_(n, lambda i: b.for_(m, lambda j: b.for_(k, lambda p: innermost(i, j, p), []), []), [])
        return ()

    sums = b.accumulate([("add", [b.zeros([n, k], F64)]), ("add", [b.zeros([k, m], F64)])], body)
    f = b.function([n, m, k, x, y, g], sums)
    rng = np.random.default_rng(0)
    args = [*arguments(rng), rng.normal(size=(N, M))]
    c = assert_kept(f, contract.run, args, exact=False)
    assert [dict(p.params) for p in products(c)] == [
        {"transpose_a": False, "transpose_b": True},
        {"transpose_a": True, "transpose_b": False},
    ]
    before, after = evaluate(f, args).cost.work, evaluate(c, args).cost.work
    assert after < 0.6 * before


@pytest.mark.parametrize("n, m, k", [(17, 18, 19), (3, 18, 19), (2, 18, 3), (16, 16, 16)])
def test_factors(n: int, m: int, k: int) -> None:
    """Factors of one index, of none and of the two that stay; signs; a batch around."""
    b, (vn, vm, vk, x, y) = matrices()
    o = b.o

    def element(c: Var, i: Var, j: Var) -> Any:
        def term(p: Var) -> Any:
            left = o.mul(o.sub(b.read(x, i, p), b.read(x, c, p)), o.neg(b.read(x, c, p)))
            right = o.mul(o.exp(b.read(y, p, j)), 3.0)
            return o.mul(o.mul(left, b.read(y, c, j)), o.mul(right, 0.5))

        return b.reduce("add", vk, term)

    out = b.map(2, lambda c: b.map(vn, lambda i: b.map(vm, lambda j: element(c, i, j))))
    f = b.function([vn, vm, vk, x, y], [out])
    c = assert_kept(f, contract.run, arguments(np.random.default_rng(1), n, m, k), exact=False, extra=10)
    assert len(products(c)) == 1


def test_refused() -> None:
    """Integers; a factor of all three; two indices summed over; what only one side has; a range by both; few turns."""
    o = lambda b: b.o  # noqa: E731
    unchanged(comprehension(plain, I64), contract.run)
    unchanged(comprehension(lambda b, x, y, i, j, p: o(b).exp(plain(b, x, y, i, j, p))), contract.run)
    unchanged(comprehension(lambda b, x, y, i, j, p: b.read(x, i, p)), contract.run)
    b, (n, m, k, x, y) = matrices()
    corner = b.map(n, lambda i: b.map(m, lambda j: b.reduce("add", o(b).mul(i, j), lambda p: plain(b, x, y, i, j, p))))
    unchanged(b.function([n, m, k, x, y], [corner]), contract.run)
    b, (n, m, k, x, y) = matrices()
    few = b.map(n, lambda i: b.map(m, lambda j: b.reduce("add", 3, lambda p: plain(b, x, y, i, j, p))))
    unchanged(b.function([n, m, k, x, y], [few]), contract.run)
    b, (n, m, k, x, y) = matrices()
    twice = b.map(n, lambda i: b.map(m, lambda j: b.reduce("add", [k, k], lambda p, q: plain(b, x, y, i, j, p))))
    unchanged(b.function([n, m, k, x, y], [twice]), contract.run)


def test_only_where_sums_may_be_reassociated() -> None:
    f = comprehension(plain)
    assert products(optimise(f)) and not products(optimise(f, reassociate=False))


def loops(A, B):
    n, k = A.shape
    C = np.zeros((n, B.shape[1]))
    for i in range(n):
        for j in range(B.shape[1]):
            for p in range(k):
                C[i, j] += A[i, p] * B[p, j]
    return C


def test_loops_and_their_gradient() -> None:
    rng = np.random.default_rng(0)
    A, B, G = rng.normal(size=(20, 17)), rng.normal(size=(17, 23)), rng.normal(size=(20, 23))
    np.testing.assert_allclose(iv.jit(loops)(A, B), A @ B)
    dA, dB = iv.grad(lambda A, B: np.sum(loops(A, B) * G), argnums=(0, 1))(A, B)
    np.testing.assert_allclose(dA, G @ B.T)
    np.testing.assert_allclose(dB, A.T @ G)
    with pytest.raises(IndexError):
        iv.jit(loops)(A, B[:16])


def test_both_sweeps_are_products() -> None:
    """They stay by themselves, though the return sweep can't raise where the forward sweep didn't."""

    def half_square(A, B):
        C = loops(A, B)
        return 0.5 * np.sum(C * C)

    A, B = np.ones((20, 17)), np.ones((17, 23))
    g = iv.value_and_grad(half_square, argnums=(0, 1))
    assert str(iv.show(g, stage="optimised")(A, B)).count("matmul") >= 3


def test_updates() -> None:
    b = Builder()
    n = Var(Scalar(I64), "n")
    x, y = Var(Array(F64, (n,)), "x"), Var(Array(F64, (n,)), "y")

    def turn(i: Var, a: Var) -> Any:
        return b.set(a, [i], b.o.add(b.read(y, i), b.read(a, i)))

    f = b.function([n, x, y], b.loop(n, [x], turn), donated=[x])
    golden(
        f,
        updates.run,
        """
            t = loop i < n [x1 = x] {
                t1 = y[i]
                acc = accumulate [acc1 = add x1] {
                    acc1[i] <- t1
                }
            } acc
        } t
        """,
        [3, np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 0.125])],
    )


def test_updates_refused() -> None:
    """What was read is used again, or is another element."""
    for again, shift in ((True, 0), (False, 1)):
        b = Builder()
        n = Var(Scalar(I64), "n")
        x = Var(Array(F64, (n,)), "x")

        def turn(i: Var, a: Var, b: Builder = b, again: bool = again, shift: int = shift) -> Any:
            v = b.read(a, 0 if shift else i)
            return (b.set(a, [i], b.o.add(v, 1.0)), *([v] if again else []))

        unchanged(b.function([n, x], b.loop(n, [x], turn), donated=[x]), updates.run)


LINEAR = [p for p in PROGRAMS if p.function.__module__.rsplit(".", 1)[-1] in ("linalg_loops", "library", "statistics")]


@pytest.mark.parametrize("program", LINEAR, ids=lambda p: p.name)
def test_corpus(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs that have products, whatever their size, and their gradients."""
    _corpus(program, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("program", [p for p in PROGRAMS if p not in LINEAR], ids=lambda p: p.name)
def test_rest_of_the_corpus(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _corpus(program, monkeypatch)


def _corpus(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "SMALLEST", 1)
    size = [n for n in program.sizes if n not in program.raises][-1]
    args = program.arguments(size)
    s = stage_for(program.function, args)
    wrt = [k for k, p in enumerate(s.function.params) if p.type.dtype.is_float]
    for f in [s.function, *([gradient(prepare(s.function), wrt)] if _objective(s.function) and wrt else [])]:
        for _, run in PASSES:
            f = run(f)
        g = contract.run(f)
        if g is f:
            continue
        check(g)
        given = inputs(s, args)
        for a, w in zip(evaluate(g, given).values, evaluate(f, given).values, strict=True):
            assert same(a, w, exact=False)


def _objective(f: Function) -> bool:
    (first, *rest) = f.body.outs
    return not rest and isinstance(first.type, Scalar) and first.type.dtype.is_float

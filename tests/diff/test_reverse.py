"""Reverse mode on every construct: right, and at most a constant times the primal's work."""

from __future__ import annotations

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.dce import dce
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F32, F64, I64, Block, Function, Literal, Scalar, Var
from iverson.diff.forward import jvp
from iverson.diff.reverse import gradient, vjp
from tests.core.generate import random_function
from tests.diff.oracle import array, check_gradient, check_second, check_vjp, program, real, size
from tests.diff.parallel_programs import a_product
from tests.diff.programs import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient_and_its_cost(case: Case) -> None:
    f, args = case.make()
    for n in case.sizes:
        values = args(n)
        ratio = check_gradient(f, values)
        assert ratio.work <= case.ceiling, f"work {ratio.work} at size {n}"
        elements = sum(np.size(v) for v in values)
        assert ratio.copied <= case.copied * elements, f"{ratio.copied} elements copied at size {n}"


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_transpose_identity(case: Case) -> None:
    f, args = case.make()
    check_vjp(f, args(case.sizes[0]))


@pytest.mark.parametrize("case", [c for c in CASES if "swap_programs" in c.make.__module__], ids=lambda c: c.name)
def test_second_order_of_arrays_that_trade(case: Case) -> None:
    f, args = case.make()
    for n in case.sizes[::2]:
        values = args(n)
        ratio = check_second(f, values)
        assert ratio.work <= case.ceiling, f"work {ratio.work} at size {n}"
        assert ratio.copied <= 4 * max(case.copied, 1.0) * sum(np.size(v) for v in values)


EMPTY = [c for c in CASES if not c.name.startswith(("nest_", "histogram_", "scalar", "reduce_by"))]


@pytest.mark.parametrize("case", EMPTY, ids=lambda c: c.name)
def test_nothing_to_do(case: Case) -> None:
    """Loops without turns, sums without terms."""
    f, args = case.make()
    check_gradient(f, args(0))


@pytest.mark.parametrize("block", range(10))
def test_random_programs(block: int) -> None:
    for seed in range(block * 15, block * 15 + 15):
        f, values = random_function(seed, smooth=True, depth=3)
        ratio = check_gradient(f, values, rtol=1e-7)
        assert ratio.work < 9, seed


@pytest.mark.parametrize("block", range(4))
def test_random_transposes(block: int) -> None:
    for seed in range(1000 + block * 15, 1015 + block * 15):
        f, values = random_function(seed, smooth=True, depth=3)
        check_vjp(f, values, rtol=1e-7)


# --- choices and corners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zeros", [0, 1, 2, 4])
def test_product_with_zeros(zeros: int) -> None:
    f, _ = a_product()
    x = np.array([2.0, 3.0, -1.5, 0.5])
    x[:zeros] = 0.0
    value, got = evaluate(gradient(f, [1]), [4, x]).values
    want = [np.prod(np.delete(x, i)) for i in range(4)]
    np.testing.assert_allclose(got, want)
    assert value == np.prod(x)


def test_the_first_winner_takes_ties() -> None:
    n = size()
    x = array(n)
    for monoid in ("min", "max"):
        f = program([n, x], lambda b, m=monoid: b.reduce(m, n, lambda i: b.read(x, i)))
        got = evaluate(gradient(f, [1]), [4, np.array([1.0, 1.0, 1.0, 1.0])]).values[1]
        np.testing.assert_array_equal(got, [1.0, 0.0, 0.0, 0.0])


def test_a_scans_first_winner_takes_ties() -> None:
    n = size()
    x = array(n)
    f = program([n, x], lambda b: b.scan("max", n, lambda i: b.read(x, i)))
    got = evaluate(vjp(f, [1]), [4, np.array([1.0, 1.0, 2.0, 2.0]), np.array([1.0, 10.0, 100.0, 1000.0])]).values[1]
    np.testing.assert_array_equal(got, [11.0, 0.0, 1100.0, 0.0])


def test_argmin_carries_the_adjoint_of_its_value() -> None:
    n = size()
    x = array(n)

    def body(b: Builder) -> object:
        value, at = b.reduce("argmin", n, lambda i: [b.read(x, i), b.o.mul(i, 7)])
        return b.o.mul(value, b.cast(at, F64))

    got = evaluate(gradient(program([n, x], body), [1]), [3, np.array([4.0, 1.0, 2.0])]).values
    assert got[0] == 7.0
    np.testing.assert_array_equal(got[1], [0.0, 7.0, 0.0])


@pytest.mark.parametrize("best", [1.0, np.nan])
def test_an_accumulated_argmins_least_index_takes_ties(best: float) -> None:
    n = size()
    x = array(n)

    def body(b: Builder) -> object:
        def contributions(acc: Var) -> tuple[()]:
            b.for_(n, lambda i: b.contribute(acc, [0], b.read(x, i), b.o.sub(n, i)) or (), [])
            return ()

        start = [b.full([1], np.inf), b.full([1], 99)]
        value, at = b.accumulate([("argmin", start)], contributions)
        return [b.read(value, 0), b.read(at, 0)]

    values = [5, np.array([3.0, best, best, 2.0, best])]
    f = program([n, x], body)
    got = evaluate(gradient(f, [1]), values).values
    np.testing.assert_array_equal(got[:2], [best, 1])
    np.testing.assert_array_equal(got[2], [0.0, 0.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("factors", [[1e-200, 1e-120, 2.0], [1e200, 1e-300, 1e300], [1e-300, 1e-300, 1e300]])
def test_a_product_that_underflows_keeps_the_digits_of_its_derivative(factors: list[float]) -> None:
    n = size()
    x = array(n)
    whole = program([n, x], lambda b: b.reduce("mul", n, lambda i: b.read(x, i)))

    def in_bins(b: Builder) -> object:
        def contributions(acc: Var) -> tuple[()]:
            b.for_(n, lambda i: b.contribute(acc, [b.o.mod(i, 1)], b.read(x, i)) or (), [])
            return ()

        return b.read(b.accumulate([("mul", [b.full([2], 1.0)])], contributions)[0], 0)

    p, q, r = factors
    for f in (whole, program([n, x], in_bins)):
        got = evaluate(gradient(f, [1]), [3, np.array(factors)]).values[1]
        np.testing.assert_allclose(got, [q * r, p * r, p * q], rtol=1e-15)


def test_no_nan_from_the_branch_not_taken() -> None:
    x = real()
    f = program([x], lambda b: b.if_(b.o.gt(x, 0.0), lambda: b.o.sqrt(x), lambda: x)[0])
    assert evaluate(gradient(f, [0]), [0.0]).values[1] == 1.0


def test_float32_stays_float32() -> None:
    n = size()
    x = array(n, dtype=F32)

    def body(b: Builder) -> object:
        s = b.reduce("add", n, lambda i: b.o.exp(b.read(x, i)))
        return b.o.mul(b.cast(s, F64), 2.0)

    value, got = evaluate(gradient(program([n, x], body), [1]), [3, np.array([0.0, 1.0, 2.0], np.float32)]).values
    assert value.dtype == np.float64 and got.dtype == np.float32
    np.testing.assert_allclose(got, 2 * np.exp([0.0, 1.0, 2.0]), rtol=1e-6)


def test_integers_have_no_derivative() -> None:
    x, n = real(), size()
    f = program([n, x], lambda b: b.o.mul(x, b.cast(b.cast(b.o.mul(x, 3.0), I64), F64)))
    assert evaluate(gradient(f, [1]), [0, 2.5]).values[1] == 7.0
    with pytest.raises(TypeError, match="parameter n"):
        gradient(f, [0])


def test_the_first_result_must_be_a_float_scalar() -> None:
    n = size()
    with pytest.raises(TypeError, match="float scalar"):
        gradient(program([n], lambda b: b.o.add(n, 1)), [])


def test_computed_extents_come_before_their_cotangent() -> None:
    n = size()
    x = array(n)
    f = program([n, x], lambda b: b.map(b.o.sub(n, 1), lambda i: b.o.mul(b.read(x, i), b.read(x, b.o.add(i, 1)))))
    pulled = vjp(f, [1])
    assert [p.type for p in pulled.params[2:3]] == [Scalar(I64)]
    got = evaluate(pulled, [3, np.array([1.0, 2.0, 3.0]), 2, np.array([1.0, 10.0])]).values[1]
    np.testing.assert_array_equal(got, [2.0, 31.0, 20.0])


def test_a_parameter_that_is_not_used_has_adjoint_zero() -> None:
    n = size()
    x, y = array(n), array(n, hint="y")
    f = program([n, x, y], lambda b: b.read(x, 0))
    np.testing.assert_array_equal(evaluate(gradient(f, [2]), [2, np.ones(2), np.ones(2)]).values[1], [0.0, 0.0])


def test_a_bad_index_raises_though_the_value_is_not_wanted() -> None:
    """The adjoint of a read is checked by itself: the read, and its check with it, may be dead."""
    n = size()
    x, at = array(n), array(n, hint="k", dtype=I64)
    f = program([n, x, at], lambda b: b.reduce("add", n, lambda i: b.read(x, b.read(at, i))))
    g = gradient(f, [1])
    only = dce(Function(g.params, Block(g.body.lets, g.body.outs[1:])))
    np.testing.assert_array_equal(evaluate(only, [2, np.ones(2), np.array([1, 1])]).values[0], [0.0, 2.0])
    with pytest.raises(IndexError):
        evaluate(only, [2, np.ones(2), np.array([1, 2])])


def test_a_library_operation_says_that_it_has_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iverson.diff.library_rules.RULES", {})
    n = size()
    x = array(n, n)
    f = program([n, x], lambda b: b.read(b.library("cholesky", x)[0], 0, 0))
    for transform in (gradient, jvp):
        with pytest.raises(NotImplementedError, match="cholesky"):
            transform(f, [1])


def test_literals_and_parameters_as_results() -> None:
    x = real()
    f = program([x], lambda b: [x, Literal(2.0, F64)])
    assert evaluate(vjp(f, [0]), [3.0, 5.0, 7.0]).values == (3.0, 2.0, 5.0)

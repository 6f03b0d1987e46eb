"""Forward mode on every construct, and its composition with reverse mode."""

from __future__ import annotations

import numpy as np
import pytest

from iverson.core.evaluate import evaluate
from iverson.diff.forward import jvp
from iverson.diff.reverse import gradient, vjp
from tests.core.generate import random_function
from tests.diff.oracle import (
    array,
    check_jvp,
    check_vjp,
    cotangent_arguments,
    float_params,
    is_float,
    program,
    size,
    tangents,
)
from tests.diff.programs import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_tangents_and_their_cost(case: Case) -> None:
    f, args = case.make()
    for n in case.sizes[:2]:
        assert check_jvp(f, args(n)) < 4.0


@pytest.mark.parametrize("block", range(5))
def test_random_programs(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        f, values = random_function(seed, smooth=True, depth=3)
        check_jvp(f, values, rtol=1e-7)


# --- composition ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_second_order(case: Case) -> None:
    f, args = case.make()
    values = args(case.sizes[0])
    wrt = float_params(f)
    g = gradient(f, wrt)
    check_vjp(g, values)
    check_jvp(g, values)
    pushed = jvp(f, wrt)
    direction = tangents(values, wrt, 5)
    check_vjp(pushed, [*values, *(direction[k] for k in wrt)])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_second_order_costs_a_constant_too(case: Case) -> None:
    """The work of reverse over reverse beside reverse, at growing sizes; and few copies."""
    f, args = case.make()
    wrt = float_params(f)
    g = gradient(f, wrt)
    h = vjp(g, wrt)
    costs = []
    for n in case.sizes:
        values = args(n)
        first = evaluate(g, values)
        ones = [np.ones(np.shape(v)) for v, out in zip(first.values, g.body.outs, strict=True) if is_float(out)]
        second = evaluate(h, [*values, *cotangent_arguments(g, ones)])
        assert second.cost.work <= 10 * first.cost.work
        costs.append((first.cost.work, second.cost.copied))
    (small, few), *_, (large, many) = costs
    assert many <= max(1.3 * few * large / small, 50)


def test_third_order() -> None:
    for case in CASES:
        if case.name not in ("logsumexp", "in_place", "while_in_place", "scan_mul", "filtered", "conditional_update"):
            continue
        f, args = case.make()
        values, wrt = args(4), float_params(f)
        g = gradient(f, wrt)
        h = vjp(g, wrt)
        outs = [v for v, out in zip(evaluate(g, values).values, g.body.outs, strict=True) if is_float(out)]
        cotangents = [np.linspace(0.5, 1.0, np.size(v)).reshape(np.shape(v)) for v in outs]
        check_vjp(h, [*values, *cotangent_arguments(g, cotangents)], rtol=1e-7)


@pytest.mark.parametrize("block", range(4))
def test_random_programs_second_order(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        f, values = random_function(seed, smooth=True, depth=3)
        wrt = float_params(f)
        check_vjp(gradient(f, wrt), values, rtol=1e-6)
        direction = tangents(values, wrt, 5)
        check_vjp(jvp(f, wrt), [*values, *(direction[k] for k in wrt)], rtol=1e-6)


def test_the_hessian_of_a_product_with_a_zero() -> None:
    n = size()
    x = array(n)
    f = program([n, x], lambda b: b.reduce("mul", n, lambda i: b.read(x, i)))
    at = np.array([0.0, 2.0, 3.0])
    h = jvp(gradient(f, [1]), [1])
    rows = [evaluate(h, [3, at, np.eye(3)[i]]).values[-1] for i in range(3)]
    np.testing.assert_allclose(rows, [[0.0, 3.0, 2.0], [3.0, 0.0, 0.0], [2.0, 0.0, 0.0]])

"""Taylor mode against what it replaces: first-order forward mode, nested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core import prims
from iverson.core.build import Builder, extents_of, literal
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import rename, rename_function
from iverson.core.syntax import Atom, Function, Scalar, Var
from iverson.diff.forward import jet, jvp
from iverson.diff.reverse import gradient
from iverson.diff.taylor import has_constant_slopes
from tests.core.generate import random_function
from tests.diff.oracle import check_vjp, float_params, is_float, program, real
from tests.diff.programs import CASES, Case


def random_terms(values: Sequence[Any], wrt: Sequence[int], order: int) -> list[Any]:
    """Coefficients 1 to `order` of each parameter."""
    rng = np.random.default_rng(0)
    return [np.asarray(rng.standard_normal(np.shape(values[k]))) for k in wrt for _ in range(order)]


def on_a_curve(f: Function, wrt: Sequence[int], order: int) -> Function:
    """s, with the parameters of f's jet -> the float outs of f at x + x_1 s + ... + x_K s^K."""
    f = rename_function(f)
    b, s = Builder(), real("s")
    terms = {k: [Var(f.params[k].type, "c") for _ in range(order)] for k in wrt}

    def point(x: Atom, tail: Sequence[Atom]) -> Atom:
        total: Atom = tail[-1]
        for c in (*reversed(tail[:-1]), x):
            total = b.o.add(b.o.mul(total, s), c)
        return total

    env: dict[Var, Atom] = {}
    for k, tail in terms.items():
        x = f.params[k]
        read = lambda *i, x=x, tail=tail: point(b.read(x, *i), [b.read(c, *i) for c in tail])  # noqa: E731
        env[x] = b.map(extents_of(x), read) if extents_of(x) else point(x, tail)
    outs = [o for o in b.splice(rename(f.body, env)) if is_float(o)]
    return b.function((s, *f.params, *(c for tail in terms.values() for c in tail)), outs)


def derivative(f: Function) -> Function:
    """The derivative of each out in the first parameter."""
    pushed = jvp(f, [0])
    body = rename(pushed.body, {pushed.params[-1]: literal(1.0)})
    return replace(pushed, params=pushed.params[:-1], body=replace(body, outs=body.outs[len(f.body.outs) :]))


def check_jet(f: Function, values: Sequence[Any], order: int, rtol: float = 1e-8) -> None:
    """The coefficients of every float out against nested derivatives along the same curve."""
    wrt = float_params(f)
    terms = random_terms(values, wrt, order)
    series = jet(f, wrt, order)
    check(series)
    got = evaluate(series, [*values, *terms]).values[len(f.body.outs) :]
    curve = on_a_curve(f, wrt, order)
    for k in range(1, order + 1):
        curve = derivative(curve)
        for j, want in enumerate(evaluate(curve, [0.0, *values, *terms]).values):
            scale = float(np.max(np.abs(want), initial=1.0))
            coefficient = np.asarray(want) / math.factorial(k)
            np.testing.assert_allclose(got[j * order + k - 1], coefficient, rtol=rtol, atol=rtol * scale)


# --- primitives -------------------------------------------------------------------------------------------------------

SMOOTH = [n for n, row in prims.TABLE.items() if any(row.linear) and row.domain in ("float", "number")]


def inside(interval: tuple[float, float]) -> list[float]:
    low, high = max(interval[0], -1.7), min(interval[1], 2.6)
    return [low + (high - low) * part for part in (0.23, 0.61, 0.87)]


@pytest.mark.parametrize("name", SMOOTH)
def test_every_row(name: str) -> None:
    """To order 5, at points of each row's interval."""
    row = prims.TABLE[name]
    fixed = [] if row.first is None else [literal(1, row.first)]
    args = [real() for _ in range(row.arity - len(fixed))]
    f = program(args, lambda b: b.prim(name, *fixed, *args))
    points = [inside(i) for i in row.interval[len(fixed) :]]
    for point in zip(*points, strict=True):
        check_jet(f, [p + 0.05 * k for k, p in enumerate(point)], order=5, rtol=1e-7)


def test_powers_at_zero_are_polynomials() -> None:
    x = real()
    f = program([x], lambda b: b.prim("pow", x, literal(3.0)))
    got = evaluate(jet(f, [0], 4), [0.0, 1.0, 0.0, 0.0, 0.0]).values
    np.testing.assert_array_equal(got, [0.0, 0.0, 0.0, 1.0, 0.0])


def test_which_slopes_are_constant() -> None:
    assert {n for n in SMOOTH if has_constant_slopes(n)} == {
        *["add", "sub", "mod", "neg", "abs", "min", "max", "copysign", "keep", "recompute"]
    }
    assert has_constant_slopes("select") and has_constant_slopes("float32")


@pytest.mark.parametrize("name", ["exp", "sin", "div", "tanh", "log"])
def test_a_primitive_costs_the_square_of_the_order(name: str) -> None:
    row = prims.TABLE[name]
    args = [Var(Scalar(prims.DType.F64)) for _ in range(row.arity)]
    f = program(args, lambda b: b.prim(name, *args))
    wrt = range(len(args))
    work = [evaluate(jet(f, wrt, k), [1.3] * ((k + 1) * len(args))).cost.work for k in (8, 16)]
    assert work[1] <= 4.5 * work[0]


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_programs(case: Case) -> None:
    f, args = case.make()
    check_jet(f, args(case.sizes[0]), order=3)


@pytest.mark.parametrize("block", range(2))
def test_random_programs(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        f, values = random_function(seed, smooth=True, depth=3)
        check_jet(f, values, order=3, rtol=1e-6)


def test_the_gradient_of_a_coefficient() -> None:
    """Reverse over Taylor mode."""
    x, y = real("x"), real("y")
    f = program([x, y], lambda b: b.o.mul(b.o.sin(b.o.mul(x, y)), b.o.exp(x)))
    check_vjp(jet(f, [0, 1], 3), [0.3, 0.7, 1.0, 0.2, 0.1, -0.5, 0.4, 0.6], rtol=1e-8)
    check_jet(gradient(f, [0, 1]), [0.3, 0.7], order=3)


# --- as users write it ------------------------------------------------------------------------------------------------


def test_derivatives_along_a_curve() -> None:
    value, series = iv.jet(lambda x: x**3 * np.exp(x), (0.5,), ((1.0, 0.0, 0.0),))
    e = math.exp(0.5)
    np.testing.assert_allclose(value, e / 8)
    np.testing.assert_allclose(series, [e * (0.125 + 0.75), e * (0.125 + 1.5 + 3), e * (0.125 + 2.25 + 9 + 6)])


def test_a_curve_through_a_loop_in_a_program() -> None:
    """Euler steps of x' = x^2, twice differentiated in the start: inside jit, with a pytree."""

    def solve(state: dict[str, Any]) -> Any:
        x = state["x"].copy()
        for _ in range(20):
            x += 0.01 * x**2
        return {"end": x, "sum": np.sum(x)}

    def second(x: np.ndarray) -> Any:
        return iv.jet(solve, ({"x": x},), ([{"x": np.ones(3)}, {"x": np.zeros(3)}],))[1][1]["end"]

    x = np.array([0.3, 0.5, 0.8])
    got = iv.jit(second)(x)
    want = iv.jacfwd(iv.jacfwd(lambda v: solve({"x": v})["end"]))(x)
    np.testing.assert_allclose(got, np.einsum("iii->i", want), rtol=1e-10)


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: np.linalg.solve(a, b) @ a,
        lambda a, b: np.linalg.eigh(a + a.T)[0] * b,
        lambda a, b: np.linalg.cholesky(a @ a.T + np.eye(6)) @ b,
        lambda a, b: np.linalg.slogdet(a @ a)[1] + np.sort(a @ b),
    ],
    ids=["solve", "eigh", "cholesky", "det and sort"],
)
def test_library_operations(f: Any) -> None:
    """On matrices too large to be written out, to third order, along a line."""
    rng = np.random.default_rng(0)
    a, b, da, db = rng.normal(size=(6, 6)) + 4 * np.eye(6), rng.normal(size=6), rng.normal(size=(6, 6)), np.ones(6)
    _, got = iv.jet(f, (a, b), ((da, 0 * da, 0 * da), (db, 0 * db, 0 * db)))

    def line(t: Any) -> Any:
        return f(a + t * da, b + t * db)

    for coefficient in got:
        line = (lambda g: lambda t: iv.jvp(g, (t,), (1.0,))[1])(line)
        want = line(0.0)
        np.testing.assert_allclose(coefficient, want, rtol=1e-9, atol=1e-9 * float(np.max(np.abs(want))))


def test_mistakes() -> None:
    with pytest.raises(TypeError, match="one series per primal: 1 primals, 2 series"):
        iv.jet(np.sin, (0.0,), ((1.0,), (2.0,)))
    with pytest.raises(TypeError, match=r"one length, not \[1, 2\]"):
        iv.jet(np.hypot, (1.0, 2.0), ((1.0,), (2.0, 0.0)))
    with pytest.raises(TypeError, match="structure of its primal"):
        iv.jet(np.sin, (0.0,), (((1.0, 2.0),),))
    with pytest.raises(TypeError, match="have derivatives"):
        iv.jet(np.sin, (1,), ((1.0,),))

"""The primitive table against mpmath: values, derivatives, higher derivatives, edges."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from iverson.core.prims import TABLE
from tests.core.oracle import (
    BESSEL,
    BINARY,
    GAMMA,
    UNARY,
    F,
    O,
    agree,
    call,
    derivative,
    exact,
    perturb,
    points,
    slope,
    step_size,
)


@pytest.fixture(autouse=True)
def precision():
    with mp.workprec(160), np.errstate(all="ignore"):
        yield


# --- functions of one float -------------------------------------------------------------------------------------------


# Beside 4 units in the last place; absolute where the function has zeros that its argument can't resolve, or saturates.
VALUE_RTOL = {"trigamma": 2e-15, "erfc": 2e-13}
VALUE_ATOL = {"lgamma": 5e-16, "digamma": 1e-15} | dict.fromkeys(BESSEL, 5e-15)
SLOPE_RTOL = {"erf": 2e-13, "erfc": 2e-13, "erfinv": 1e-14, "trigamma": 2e-15}
SLOPE_ATOL = {"tanh": 3e-16, "sigmoid": 3e-16, "lgamma": 1e-15, "trigamma": 1e-14} | dict.fromkeys(BESSEL, 5e-15)
# 1 - y^2, y (1 - y) and exp(y^2) amplify y's own rounding
CANCELLING = {"tanh": 3e-16, "sigmoid": 3e-16}


@pytest.mark.parametrize("name", UNARY)
def test_value(name):
    f, _ = UNARY[name]
    for x in points(name):
        rtol, atol = VALUE_RTOL.get(name, 9e-16), VALUE_ATOL.get(name, 0.0)
        assert agree(call(name, F(x)), exact_at_edge(name, f, x), rtol, atol), (name, x)


def exact_at_edge(name: str, f: Callable[[Any], Any], x: float) -> float | None:
    """mpmath raises at logarithmic poles instead of giving infinity."""
    try:
        return exact(f, x)
    except ValueError:
        return None


@pytest.mark.parametrize("name", UNARY)
def test_derivative(name):
    _, d = UNARY[name]
    for x in points(name):
        if name in ("log", "log2", "log10", "sqrt") and x == 0:
            assert math.isinf(slope(name, 0, F(x)))
            continue
        rtol, atol = SLOPE_RTOL.get(name, 2e-15), SLOPE_ATOL.get(name, 0.0)
        assert agree(slope(name, 0, F(x)), exact(d, x), rtol, atol), (name, x)


@pytest.mark.parametrize("name", UNARY)
def test_complex_step(name):
    """The complex meaning has the value of the real one, and its slope."""
    for x in points(name):
        y, want = call(name, F(x)), slope(name, 0, F(x))
        h = step_size(x)
        z = TABLE[name].meaning(np.complex128(complex(x, h)))
        assert z.real == y, (name, x)
        if 1e-280 < abs(h * want) < 1e280:
            atol = CANCELLING.get(name, 0.0) + (1e-14 if name in BESSEL else 0.0)
            assert agree(z.imag / h, float(want), 2e-13, atol), (name, x)
        if np.isfinite(y):  # no perturbation is no perturbation
            assert TABLE[name].meaning(np.complex128(x)).imag == 0


@pytest.mark.parametrize("name", UNARY)
def test_float32(name):
    """Single precision stays, in value and slope, and is right to a few of its units."""
    for x in points(name):
        x32 = np.float32(x)
        if (x and not (1e-30 < abs(x32) < 1e30)) or not (
            TABLE[name].interval[0][0] <= x32 <= TABLE[name].interval[0][1]
        ):
            continue
        if name in GAMMA and x32 <= 0:
            continue
        for got, want in ((call(name, x32), call(name, F(x32))), (slope(name, 0, x32), slope(name, 0, F(x32)))):
            assert got.dtype == np.float32, name
            if 1e-35 < abs(want) < 1e35:
                assert agree(float(got), float(want), 4e-5 if name in BESSEL else 4e-6, 3e-7), (name, x, got, want)


EDGES = {  # at inf, -inf, 0.0, -0.0
    "sqrt": (math.inf, math.nan, 0.0, -0.0),
    "cbrt": (math.inf, -math.inf, 0.0, -0.0),
    "exp": (math.inf, 0.0, 1.0, 1.0),
    "exp2": (math.inf, 0.0, 1.0, 1.0),
    "expm1": (math.inf, -1.0, 0.0, -0.0),
    "log": (math.inf, math.nan, -math.inf, -math.inf),
    "log2": (math.inf, math.nan, -math.inf, -math.inf),
    "log10": (math.inf, math.nan, -math.inf, -math.inf),
    "log1p": (math.inf, math.nan, 0.0, -0.0),
    "sin": (math.nan, math.nan, 0.0, -0.0),
    "cos": (math.nan, math.nan, 1.0, 1.0),
    "tan": (math.nan, math.nan, 0.0, -0.0),
    "asin": (math.nan, math.nan, 0.0, -0.0),
    "acos": (math.nan, math.nan, math.pi / 2, math.pi / 2),
    "atan": (math.pi / 2, -math.pi / 2, 0.0, -0.0),
    "sinh": (math.inf, -math.inf, 0.0, -0.0),
    "cosh": (math.inf, math.inf, 1.0, 1.0),
    "tanh": (1.0, -1.0, 0.0, -0.0),
    "asinh": (math.inf, -math.inf, 0.0, -0.0),
    "acosh": (math.inf, math.nan, math.nan, math.nan),
    "atanh": (math.nan, math.nan, 0.0, -0.0),
    "sigmoid": (1.0, 0.0, 0.5, 0.5),
    "softplus": (math.inf, 0.0, math.log(2), math.log(2)),
    "erf": (1.0, -1.0, 0.0, -0.0),
    "erfc": (0.0, 2.0, 1.0, 1.0),
    "erfinv": (math.nan, math.nan, 0.0, -0.0),
    "lgamma": (math.inf, math.inf, math.inf, math.inf),
    "digamma": (math.inf, math.nan, -math.inf, math.inf),
    "trigamma": (0.0, math.nan, math.inf, math.inf),
    "j0": (0.0, 0.0, 1.0, 1.0),
    "j1": (0.0, 0.0, 0.0, -0.0),
    "y0": (0.0, math.nan, -math.inf, -math.inf),
    "y1": (0.0, math.nan, -math.inf, -math.inf),
    "neg": (-math.inf, math.inf, -0.0, 0.0),
    "abs": (math.inf, math.inf, 0.0, 0.0),
    "sign": (1.0, -1.0, 0.0, 0.0),
    "floor": (math.inf, -math.inf, 0.0, -0.0),
    "ceil": (math.inf, -math.inf, 0.0, -0.0),
    "round": (math.inf, -math.inf, 0.0, -0.0),
    "trunc": (math.inf, -math.inf, 0.0, -0.0),
    "stop": (math.inf, -math.inf, 0.0, -0.0),
    "keep": (math.inf, -math.inf, 0.0, -0.0),
    "recompute": (math.inf, -math.inf, 0.0, -0.0),
}


@pytest.mark.parametrize("name", EDGES)
def test_infinities_zeros_and_nan(name):
    for dtype in (np.float64, np.float32):
        for x, want in zip((math.inf, -math.inf, 0.0, -0.0), EDGES[name], strict=True):
            got = call(name, dtype(x))
            assert got == dtype(want) or (np.isnan(got) and math.isnan(want)), (x, got)
            assert want != 0 or np.signbit(got) == (math.copysign(1, want) < 0), (x, got)
        assert np.isnan(call(name, dtype(math.nan)))


def test_every_float_function_is_tested():
    rows = {r.name for r in TABLE.values() if r.arity == 1 and r.domain in ("float", "number") and r.result == "same"}
    assert rows == set(EDGES)
    assert {n for n in rows if TABLE[n].linear[0]} == set(UNARY)


@pytest.mark.parametrize(
    ("name", "x"), [("asin", 2.0), ("acos", -2.0), ("atanh", 1.5), ("erfinv", 1.1), ("log1p", -2.0), ("acosh", 0.5)]
)
def test_outside_the_domain_is_nan(name, x):
    assert np.isnan(call(name, F(x)))


def test_poles_of_the_gamma_family():
    assert call("lgamma", F(-3)) == math.inf
    assert np.isnan(call("digamma", F(-3))) and np.isnan(call("polygamma", 2, F(-3)))
    assert call("trigamma", F(-3)) == math.inf
    x = -1 + 1e-10  # digamma by reflection keeps its digits beside a pole
    assert agree(call("digamma", F(x)), exact(mp.digamma, x), 1e-14)


# --- functions of two floats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BINARY)
def test_binary_value(name):
    f, _, where = BINARY[name]
    for x, z in where:
        assert agree(call(name, F(x), F(z)), exact(f, x, z), 9e-16, 9e-16 if name == "mod" else 0), (x, z)
        assert call(name, np.float32(0.5), np.float32(1.5)).dtype == np.float32


@pytest.mark.parametrize("name", BINARY)
def test_binary_derivative(name):
    _, partials, where = BINARY[name]
    for (k, d), (x, z) in itertools.product(enumerate(partials), where):
        if d is None:
            assert TABLE[name].linear[k] is None
            continue
        got = slope(name, k, F(x), F(z))
        assert agree(got, exact(d, x, z), 1e-13), (k, x, z, got)
        got = slope(name, k, np.float32(0.5), np.float32(1.5))
        assert got.dtype == np.float32 and agree(float(got), exact(d, 0.5, 1.5), 1e-6), k


@pytest.mark.parametrize("name", BINARY)
def test_binary_complex_step(name):
    for (k, rule), (x, z) in itertools.product(enumerate(TABLE[name].linear), BINARY[name][2]):
        args = (F(x), F(z))
        h = step_size(*args)
        step = TABLE[name].meaning(*perturb(args, k, h))
        assert step.real == call(name, *args) or np.isnan(step.real)
        want = 0.0 if rule is None else float(slope(name, k, *args))
        kink = 0.0 in args and name in ("pow", "hypot", "atan2", "mod")
        if not kink and 1e-280 < abs(h * want) < 1e280:
            assert agree(step.imag / h, want, 2e-12), (k, x, z)


def test_power_at_its_edges():
    for x in (0.0, 2.0, -3.0):
        assert slope("pow", 0, F(x), F(0)) == 0
    assert slope("pow", 0, F(0), F(1)) == 1
    assert slope("pow", 0, F(0), F(2)) == 0
    assert slope("pow", 0, F(0), F(0.5)) == math.inf
    assert slope("pow", 1, F(0), F(2)) == 0 == slope("pow", 1, F(0), F(0))
    assert slope("pow", 1, F(0), F(-1)) == -math.inf
    assert call("pow", F(math.nan), F(0)) == 1 == call("pow", F(1), F(math.nan))


def test_origins_ties_and_nan():
    for name in ("hypot", "atan2"):
        assert slope(name, 0, F(0), F(0)) == 0 == slope(name, 1, F(0), F(0))
    assert call("atan2", F(0.0), F(-0.0)) == math.pi and call("atan2", F(-0.0), F(-1)) == -math.pi
    for name in ("min", "max"):
        assert [slope(name, k, F(2), F(2)) for k in (0, 1)] == [1, 0]
        assert np.isnan(call(name, F(math.nan), F(1))) and np.isnan(call(name, F(1), F(math.nan)))
        z = TABLE[name].meaning(np.complex128(1 + 2j), np.complex128(1 + 3j))
        assert z == 1 + 2j
    assert slope("abs", 0, F(0)) == 0


def test_signs_of_mod_and_floordiv():
    for x, z in itertools.product((7.5, -7.5, 6.0, -6.0), (2.0, -2.0)):
        assert call("mod", F(x), F(z)) == x % z and call("floordiv", F(x), F(z)) == x // z
    assert np.isnan(call("mod", F(1), F(0))) and call("floordiv", F(1), F(0)) == math.inf
    assert call("div", F(-1), F(0)) == -math.inf and np.isnan(call("div", F(0), F(0)))


# --- three arguments --------------------------------------------------------------------------------------------------


def test_fma_rounds_once():
    rng = np.random.default_rng(0)
    for dtype in (np.float64, np.float32):
        a, b = (rng.standard_normal((2, 200)) * 10.0 ** rng.integers(-5, 5, (2, 200))).astype(dtype)
        c = -(a * b).astype(dtype)  # catastrophic unless the product is exact
        got = call("fma", a, b, c)
        assert got.dtype == dtype
        for g, *xs in zip(got, a, b, c, strict=True):
            assert g == dtype(float(mp.mpf(float(xs[0])) * mp.mpf(float(xs[1])) + mp.mpf(float(xs[2]))))
    # the sum is next to the middle of two float32: rounding to float64 first would end on the wrong side
    one, ulp = np.float32(1), np.float32(2**-23)
    assert call("fma", np.float32(2**-24), np.float32(1 + 2**-22), one) == one + ulp
    assert call("fma", np.float32(2**-40), np.float32(2**-40), np.float32(1 + 2**-23)) == one + ulp
    assert call("fma", F(1e300), F(1e300), F(-math.inf)) == -math.inf
    assert call("fma", F(1e300), F(-1e300), F(1)) == -math.inf
    assert np.signbit(call("fma", F(-0.0), F(1), F(-0.0))) and not np.signbit(call("fma", F(1), F(-1), F(1)))


def test_fma_and_select_derivatives():
    args = (F(1.5), F(-2.5), F(4.0))
    assert [slope("fma", k, *args) for k in range(3)] == [-2.5, 1.5, 1.0]
    for k in range(3):
        assert TABLE["fma"].meaning(*perturb(args, k, 1e-30)).imag / 1e-30 == slope("fma", k, *args)
    for p in (np.True_, np.False_):
        y = call("select", p, F(1), F(2))
        taken = [rule(O, F(3), p, F(1), F(2), y) for rule in TABLE["select"].linear[1:]]
        assert taken == ([3, 0] if p else [0, 3])
    assert np.array_equal(call("select", np.array([True, False]), np.array([1, 2]), np.array([3, 4])), [1, 4])


# --- higher orders: the rules differentiated as programs --------------------------------------------------------------


INSIDE = {"acosh": (1.3, 4.1), "y0": (1.4,), "y1": (1.4,), "log": (0.2, 7.0), "sqrt": (0.2, 7.0)}
INSIDE |= {"log2": (0.2, 7.0), "log10": (0.2, 7.0), "lgamma": (0.4, 6.5, -2.3), "j1": (-2.2, 0.001, 0.01, 1.7)}
INSIDE |= {"digamma": (0.4, 6.5, -2.3), "trigamma": (0.4, 6.5, -2.3)}
SMOOTH = [n for n in UNARY if n not in ("abs", "neg")]


@pytest.mark.parametrize("name", SMOOTH)
def test_second_and_third_derivative(name):
    f, _ = UNARY[name]
    for x, order in itertools.product(INSIDE.get(name, (-0.8, 0.3, 0.7)), (2, 3)):
        got = derivative(lambda o, x: getattr(o, name)(x), O, (0,) * order, F(x))
        with mp.workprec(100):
            want = float(mp.diff(f, mp.mpf(x), order))
        assert agree(got, want, 1e-11, 1e-10 if name == "j1" else 1e-13), (x, order, got, want)


@pytest.mark.parametrize("name", ["mul", "div", "pow", "atan2", "hypot"])
def test_second_derivatives_of_two_arguments(name):
    f = BINARY[name][0]
    for x, z in ((1.3, 2.7), (0.4, -1.5), (2.0, 0.0 if name == "pow" else 1.0)):
        for i, j in itertools.product((0, 1), (0, 1)):
            got = derivative(lambda o, x, z: getattr(o, name)(x, z), O, (i, j), F(x), F(z))
            with mp.workprec(300):
                want = float(mp.diff(f, (mp.mpf(x), mp.mpf(z)), ((i == 0) + (j == 0), (i == 1) + (j == 1))))
            assert agree(got, want, 1e-12, 1e-13), (x, z, i, j, got, want)


def test_higher_derivatives_at_the_edges():
    def power(z: float) -> Callable[..., Any]:
        return lambda o, x: o.pow(x, z)

    assert [derivative(power(z), O, (0, 0), F(0)) for z in (0.0, 1.0, 2.0, 3.0)] == [0, 0, 2, 0]
    assert derivative(power(3.0), O, (0, 0, 0), F(0)) == 6
    bessel = [derivative(lambda o, x: o.j1(x), O, (0,) * k, F(0)) for k in range(1, 4)]
    assert bessel == [0.5, 0, -0.375]
    assert derivative(lambda o, x: o.abs(x), O, (0, 0), F(0)) == 0
    gamma = derivative(lambda o, x: o.lgamma(x), O, (0,) * 5, F(1.5))
    assert agree(gamma, float(mp.psi(4, 1.5)), 1e-13)


def test_polygamma():
    for n, x in itertools.product(range(6), (1e-3, 0.3, 0.5, 1.7, 30.0, 1e6, -0.3, -2.6, -10.25)):
        got = call("polygamma", np.int64(n), F(x))
        assert agree(got, exact(functools.partial(mp.psi, n), x), 2e-13, 1e-13), (n, x)
        got = TABLE["polygamma"].linear[1](O, F(1), np.int64(n), F(x), got)
        assert agree(got, exact(functools.partial(mp.psi, n + 1), x), 2e-13, 1e-12), (n, x)
        step = TABLE["polygamma"].meaning(np.int64(n), np.complex128(complex(x, 1e-40))).imag / 1e-40
        assert agree(step, float(got), 1e-12)
    assert call("polygamma", 1, np.float32(2)).dtype == np.float32
    assert np.allclose(call("polygamma", np.array([0, 1, 2]), F(2.5)), [float(mp.psi(n, 2.5)) for n in range(3)])

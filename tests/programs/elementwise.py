"""Elementwise arithmetic over whole arrays, broadcasting, and scalar primitives."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="numpy sum contraction")
def dot(x, y):
    return np.sum(x * y)


@program(args=lambda n, rng: (2.5, rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1, 2), tags="numpy map prim")
def axpy(alpha, x, y):
    return alpha * x + y


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="numpy map prim")
def gelu_like(x):
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


@program(args=lambda n, rng: (rng.uniform(0.5, 2.0, size=(n, 3)),), wrt=(0,), tags="numpy map prim")
def many_ufuncs(x):
    a = np.exp(-x) + np.log(x) - np.sqrt(x)
    b = np.sin(x) * np.cos(x) + np.tan(x / 3.0)
    c = np.sinh(x) / np.cosh(x) - np.tanh(x)
    d = np.arctan(x) + np.arcsin(x / 4.0) + np.arccos(x / 4.0)
    e = np.log1p(x) + np.expm1(x) + np.log2(x) + np.log10(x) + np.exp2(x)
    f = np.cbrt(x) + np.square(x) + np.reciprocal(x) + np.power(x, 1.5)
    return a + b + c + d + e + f


@program(
    args=lambda n, rng: (rng.uniform(1.0, 2.0, size=n), rng.uniform(-2.0, -1.0, size=n)),
    wrt=(0, 1),
    analytic=False,
    tags="numpy map prim",
)
def two_argument_ufuncs(x, y):
    return np.hypot(x, y) + np.arctan2(y, x) + np.maximum(x, y) * np.minimum(x, y) + np.copysign(x, y)


@program(args=lambda n, rng: (rng.uniform(0.3, 0.9, size=n),), wrt=(0,), tags="math comprehension map prim")
def math_module(x):
    return [math.exp(v) * math.sin(v) + math.log(v) / math.sqrt(v) - math.atanh(v) + math.asinh(v) ** 2 for v in x]


@program(
    args=lambda n, rng: (rng.normal(size=(n, 1)), rng.normal(size=n + 1), 0.7),
    wrt=(0, 1, 2),
    tags="numpy map slice size",
)
def broadcasting(column, row, shift):
    return (column - row) ** 2 + row * shift - column


@program(
    args=lambda n, rng: (rng.uniform(0.2, 0.8, size=n) + np.arange(n), rng.normal(size=n)),
    wrt=(0, 1),
    tags="numpy map prim",
)
def rounding_is_locally_constant(x, y):
    return np.floor(x) * y + np.ceil(x) * x + np.sign(y) * x + np.trunc(x) - np.rint(x + 0.1) * y


@program(
    args=lambda n, rng: (rng.uniform(0.5, 1.5, size=n) * rng.choice([-1.0, 1.0], size=n),),
    wrt=(0,),
    tags="numpy map prim",
)
def absolute_values(x):
    return np.abs(x) + np.fabs(x) ** 1.5 + abs(x) * x


@program(args=lambda n, rng: (rng.uniform(-4.0, 4.0, size=n) + 0.01,), wrt=(0,), tags="numpy prim branch minmax")
def clipped(x):
    return np.clip(x, -1.0, 2.0) ** 2 + np.maximum(x, 0.0) + np.minimum(x, 0.5)


@program(args=lambda n, rng: (rng.uniform(0.2, 2.8, size=n) + 3.0 * np.arange(n), 3.0), wrt=(0,), tags="numpy prim")
def remainder_of_floats(x, period):
    return np.mod(x, period) + x % 3.0 - x // period + np.fmod(x, period)


@program(args=lambda n, rng: (rng.normal(size=(n, n)), rng.normal(size=n)), wrt=(0, 1), tags="numpy map", large=60)
def chained_expressions(a, b):
    c = a + b
    d = c * c - a / (1.0 + b**2)
    e = -d
    return (e + c) * 2.0 - +d


@program(
    args=lambda n, rng: (
        rng.uniform(80.0, 120.0, size=n),
        rng.uniform(90.0, 110.0, size=n),
        rng.uniform(0.2, 2.0, size=n),
        0.03,
        0.25,
    ),
    wrt=(0, 1, 2, 3, 4),
    tags="numpy math call map prim",
)
def black_scholes(spot, strike, years, rate, volatility):
    def normal_cdf(x):
        return [0.5 * (1.0 + math.erf(v / math.sqrt(2.0))) for v in x]

    deviation = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / deviation
    d2 = d1 - deviation
    discount = np.exp(-rate * years)
    call = spot * np.array(normal_cdf(d1)) - strike * discount * np.array(normal_cdf(d2))
    put = call - spot + strike * discount
    return call, put


@program(args=lambda n, rng: (rng.uniform(0.5, 4.0, size=n),), wrt=(0,), analytic=False, tags="math prim")
def gamma_functions(x):
    return [math.lgamma(v) + math.erf(v) - math.erfc(v) + math.hypot(v, 1.0) + math.atan2(v, 2.0) for v in x]

"""Calls: helpers, closures, lambdas, nested functions, recursion on a static depth, methods."""

import functools
import math

import numpy as np

from .registry import program

WEIGHTS = np.array([0.25, 0.5, 0.25])
SCALE = 1.5


def square(x):
    return x * x


def scaled(x, scale=2.0, *, shift=0.0):
    return scale * x + shift


def accumulate_into(target, values):
    for i in range(len(values)):
        target[i] += values[i]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="call sum")
def helpers(x):
    return sum(square(v) for v in x), scaled(x), scaled(x, 3.0), scaled(x, shift=1.0), scaled(scale=0.5, x=x)


@program(args=lambda n, rng: (rng.normal(size=n), 0.7), wrt=(0, 1), tags="call map")
def closures_and_lambdas(x, a):
    offset = np.sum(x) * 0.1

    def affine(v):
        return a * v + offset

    compose = lambda f, g: lambda v: f(g(v))  # noqa: E731
    twice = compose(affine, affine)
    return twice(x), [compose(math.sin, affine)(v) for v in x], list(map(lambda v: v * a, [1.0, 2.0]))


@program(args=lambda n, rng: (rng.normal(size=n + 2), 1.2), wrt=(0, 1), tags="call reduction contraction")
def captured_globals(x, a):
    n = len(x)
    return [SCALE * a * sum(WEIGHTS[k] * x[i + k] for k in range(3)) for i in range(n - 2)]


@program(args=lambda n, rng: (rng.normal(size=n), 0.3), wrt=(0, 1), tags="call unroll")
def recursion_on_a_static_depth(x, a):
    def tower(v, depth):
        if depth == 0:
            return v
        return tower(np.sin(a * v) + v, depth - 1)

    return tower(x, 4)


@program(
    args=lambda n, rng: (rng.normal(size=(3, 3)) + 3 * np.eye(3), 1.0 + n),
    wrt=(0, 1),
    sizes=(1, 2),
    tags="call unroll index",
)
def determinant_by_minors(a, scale):
    def minor(rows, columns):
        if len(rows) == 1:
            return a[rows[0], columns[0]]
        total = 0.0
        sign = 1.0
        for k, column in enumerate(columns):
            rest = columns[:k] + columns[k + 1 :]
            total += sign * a[rows[0], column] * minor(rows[1:], rest)
            sign = -sign
        return total

    return scale * minor((0, 1, 2), (0, 1, 2))


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="call mutation inplace alias")
def helper_that_mutates(x, y):
    total = np.zeros(len(x))
    accumulate_into(total, x)
    accumulate_into(total, y)
    accumulate_into(total[1:], x[:-1])
    return total * total


@program(args=lambda n, rng: (0.5, 1.0 + n, 16), wrt=(0, 1), tags="call loop sum")
def integrate(low, high, panels):
    def simpson(f, a, b):
        return (b - a) / 6.0 * (f(a) + 4.0 * f((a + b) / 2.0) + f(b))

    h = (high - low) / panels
    return sum(
        simpson(lambda t: math.exp(-t) * math.sin(3.0 * t), low + i * h, low + (i + 1) * h) for i in range(panels)
    )


@program(args=lambda n, rng: (rng.normal(size=n), math.tanh), wrt=(0,), tags="call comprehension map")
def function_argument(x, activation):
    return [activation(v) + activation(2.0 * v) for v in x]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="call unroll recurrence")
def functions_in_a_list(x):
    layers = [np.tanh, lambda v: v * v, square, functools.partial(scaled, scale=0.5)]
    for layer in layers:
        x = layer(x) + 0.1
    return x


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="call loop")
def closure_sees_rebinding(x):
    scale = 1.0

    def f(v):
        return scale * v

    first = f(x)
    scale = 3.0
    second = f(x)
    for scale in (5.0, 7.0):
        second = second + f(x)
    return first, second


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="call loop recurrence")
def nonlocal_state(x):
    total = 0.0
    calls = 0

    def add(v):
        nonlocal total, calls
        total += v * v
        calls += 1

    for v in x:
        add(v)
    return total, calls


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=(n, 3))),
    wrt=(0, 1),
    tags="call unroll pytree comprehension",
)
def small_vectors(a, b):
    def cross(u, v):
        return np.array([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])

    def rotate(v, w):
        angle = math.sqrt(1e-6 + w @ w)
        k = w / angle
        return v * math.cos(angle) + cross(k, v) * math.sin(angle) + k * (k @ v) * (1.0 - math.cos(angle))

    return np.array([rotate(u, v) for u, v in zip(a, b)]).reshape(-1, 3)


@program(args=lambda n, rng: (rng.normal(size=n), 0.5), wrt=(0, 1), tags="call pytree")
def star_arguments(x, a):
    def weighted(*terms, **options):
        total = 0.0
        for k, term in enumerate(terms):
            total = total + (k + 1) * term
        return total * options.get("scale", 1.0) + options["shift"]

    pieces = [x, x * a, np.sin(x)]
    return weighted(*pieces, scale=a, shift=1.0), weighted(x, **{"shift": a})

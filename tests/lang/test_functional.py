"""The functional spellings: eager as plain Python, staged as the constructs of the core."""

import operator

import numpy as np
import pytest

from iverson.core.syntax import For, Operator, Reduce, Scan
from iverson.lang import functional as F
from tests.lang.staging_oracle import run, staged

RNG = np.random.default_rng(2)
X = RNG.normal(size=7)
Y = RNG.normal(size=7)
M = RNG.normal(size=(6, 2))
AT = np.array([0, 2, 2, 1, 0, 4, 2])


def compare(got, expected):
    if isinstance(expected, tuple | list):
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            compare(g, e)
    elif isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for k, e in expected.items():
            compare(got[k], e)
    else:
        assert np.shape(got) == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def check(program, *args):
    compare(run(program, *args), program(*args))


def monoids(program, *args):
    """The monoids of the reductions and scans of a program."""
    found = []
    for let in staged(program, *args).function.body:
        if isinstance(let.op, For):
            found += [y.monoid for y in let.op.yields if isinstance(y, Reduce | Scan)]
    return found


# --- control flow -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.5, -1.5])
def test_cond(p):
    check(lambda p, x: F.cond(p > 0, lambda x: x * 2.0, lambda x: x - 1.0, x), p, X)
    check(lambda p, x: F.cond(p > 0, lambda: x[0], lambda: x[1] * p), p, X)


def test_fori_loop():
    check(lambda x: F.fori_loop(0, len(x), lambda i, s: s + x[i] * i, 0.0), X)
    check(lambda x: F.fori_loop(1, 4, lambda i, s: (s[1], s[0] + s[1]), (x[0], x[1])), X)
    check(lambda x: F.fori_loop(0, 3, lambda i, c: {"a": c["a"] + c["b"], "b": c["b"] * 0.5}, {"a": x, "b": x}), X)
    check(lambda x: F.fori_loop(5, 2, lambda i, s: s + 1.0, x[0]), X)


def test_while_loop():
    check(lambda x: F.while_loop(lambda s: s < 100.0, lambda s: s * 2.0, abs(x[0]) + 1.0), X)
    check(lambda x: F.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 0.5), (0, x)), X)


# --- reduce -----------------------------------------------------------------------------------------------------------

BUILTIN = {
    "add": (lambda x: F.reduce(lambda a, b: a + b, 0.0, x), "add"),
    "operator.add": (lambda x: F.reduce(operator.add, 0.0, x), "add"),
    "np.add": (lambda x: F.reduce(np.add, 0.0, x), "add"),
    "mul": (lambda x: F.reduce(lambda a, b: b * a, 1.0, x), "mul"),
    "max": (lambda x: F.reduce(np.maximum, -np.inf, x), "max"),
    "python max": (lambda x: F.reduce(max, -np.inf, x), "max"),
    "min": (lambda x: F.reduce(min, np.inf, x), "min"),
}


@pytest.mark.parametrize("name", BUILTIN)
def test_reduce_finds_the_builtin_monoid(name):
    program, monoid = BUILTIN[name]
    check(program, X)
    assert monoids(program, X) == [monoid]


def test_reduce_with_another_unit_is_not_the_builtin():
    program = lambda x: F.reduce(lambda a, b: a + b - 1.0, 1.0, x)  # noqa: E731
    check(program, X)
    assert isinstance(monoids(program, X)[0], Operator)


def test_reduce_of_trees():
    def compose(f, g):
        return f[0] * g[0], g[0] * f[1] + g[1]

    check(lambda a, b: F.reduce(compose, (1.0, 0.0), (a, b)), X, Y)

    def merge(p, q):
        n = p["n"] + q["n"]
        delta = q["mean"] - p["mean"]
        return {
            "n": n,
            "mean": p["mean"] + delta * q["n"] / np.maximum(n, 1.0),
            "m2": p["m2"] + q["m2"] + delta**2 * p["n"] * q["n"] / np.maximum(n, 1.0),
        }

    unit = {"n": 0.0, "mean": 0.0, "m2": 0.0}
    check(lambda x: F.reduce(merge, unit, {"n": x * 0.0 + 1.0, "mean": x, "m2": x * 0.0}), X)


def test_reduce_with_free_variables():
    check(lambda x, s: F.reduce(lambda a, b: a + b + s * a * b, 0.0, x), X * 0.1, 0.3)


def test_reduce_of_nothing_is_the_identity():
    check(lambda x: F.reduce(lambda a, b: a * b, 1.0, x[:0]), X)


def test_reduce_of_rows():
    check(lambda m: F.reduce(lambda a, b: a + b, np.zeros(2), m), M)
    matrices = RNG.normal(size=(5, 2, 2))
    check(lambda m: F.reduce(lambda a, b: a @ b, np.eye(2), m), matrices)


# --- scan -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse):
    check(lambda x: F.scan(lambda a, b: a + b, x, reverse=reverse), X)
    check(lambda x: F.scan(np.maximum, x, reverse=reverse), X)
    check(lambda x: F.scan(lambda a, b: a * b, x, 1.0, exclusive=True, reverse=reverse), X)

    def compose(f, g):
        return f[0] * g[0], g[0] * f[1] + g[1]

    check(lambda a, b: F.scan(compose, (a, b), (1.0, 0.0), reverse=reverse), X, Y)
    check(lambda a, b: F.scan(compose, (a, b), (1.0, 0.0), exclusive=True, reverse=reverse), X, Y)


def test_scan_of_rows():
    check(lambda m: F.scan(lambda a, b: a + b, m, np.zeros(2)), M)


def test_scan_needs_an_identity():
    with pytest.raises(ValueError, match="identity"):
        run(lambda x: F.scan(lambda a, b: a + b + a * b, x), X)
    with pytest.raises(ValueError, match="identity"):
        run(lambda x: F.scan(lambda a, b: a + b, x, exclusive=True), X)


# --- reduce by index --------------------------------------------------------------------------------------------------


def test_histogram():
    check(lambda k, x: F.histogram(lambda a, b: a + b, 0.0, k, x, 5), AT, X)
    check(lambda k, x: F.histogram(np.maximum, -np.inf, k, x, 6), AT, X)
    check(lambda k, x: F.histogram(lambda a, b: a * b, 1.0, k, x, 5, initial=np.arange(5.0)), AT, X)


def test_histogram_drops_or_raises():
    check(lambda k, x: F.histogram(lambda a, b: a + b, 0.0, k, x, 3, mode="drop"), AT - 1, X)
    for program in (run, lambda f, *args: f(*args)):
        with pytest.raises(IndexError):
            program(lambda k, x: F.histogram(lambda a, b: a + b, 0.0, k, x, 3), AT, X)
        with pytest.raises(ValueError, match="mode"):
            program(lambda k, x: F.histogram(lambda a, b: a + b, 0.0, k, x, 3, mode="clip"), AT, X)


def test_histogram_of_tuples():
    def best(p, q):
        better = q[0] > p[0]
        return np.where(better, q[0], p[0]), np.where(better, q[1], p[1])

    check(lambda k, x, y: F.histogram(best, (-np.inf, 0.0), k, (x, y), 5), AT, X, Y)


def test_segment_sum():
    check(lambda x, k: F.segment_sum(x, k, 5), X, AT)
    check(lambda m, k: F.segment_sum(m, k[:6], 6), M, AT)
    for program in (run, lambda f, *args: f(*args)):
        with pytest.raises(IndexError):
            program(lambda x, k: F.segment_sum(x, k, 3), X, AT)
        with pytest.raises(IndexError):
            program(lambda x, k: F.segment_sum(x, k - 1, 5), X, AT)


def test_stop_gradient():
    check(lambda x: F.stop_gradient(x) * 2.0, X)
    check(lambda x: F.stop_gradient({"a": x, "b": 3})["a"], X)
    import iverson as iv

    np.testing.assert_allclose(iv.grad(lambda x: np.sum(iv.stop_gradient(x) * x))(X), X)
    assert iv.grad(lambda s: iv.stop_gradient(s) ** 2 + s)(3.0) == 1.0

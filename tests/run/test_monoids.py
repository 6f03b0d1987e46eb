"""iv.reduce, iv.scan and iv.histogram as users call them: compiled, differentiated, eager, and wrong."""

from __future__ import annotations

import numpy as np
import pytest

import iverson as iv
from iverson.core.rewrite import statements
from iverson.core.syntax import For, Scan

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=9), RNG.normal(size=9)
AT = RNG.integers(0, 4, size=9)


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def compose(f, g):
    return f[0] * g[0], g[0] * f[1] + g[1]


def scans(f, *args):
    program = f.staged(args, {}).function
    lets = [let for let in statements(program.body) if isinstance(let.op, For)]
    return sum(isinstance(y, Scan) for let in lets for y in let.op.yields)


def join(a, b):
    return a[0] + b[0] + a[1] * b[1], a[1] + b[1]


def without(y, a):
    rest = y[1] - a[1]
    return y[0] - a[0] - rest * a[1], rest


def test_an_inverse_spares_the_scans():
    def plain(p, s):
        return iv.reduce(join, (0.0, 0.0), (p, s))[0]

    def inverted(p, s):
        return iv.reduce(join, (0.0, 0.0), (p, s), inverse=without)[0]

    assert plain(X, Y) == inverted(X, Y)
    one, two = iv.grad(plain, argnums=(0, 1)), iv.grad(inverted, argnums=(0, 1))
    np.testing.assert_allclose(two(X, Y), one(X, Y), rtol=1e-12)
    assert scans(one, X, Y) > 0 and scans(two, X, Y) == 0
    np.testing.assert_allclose(
        iv.hessian(inverted, argnums=1)(X, Y), np.ones((9, 9)) - np.eye(9), rtol=1e-12, atol=1e-12
    )


def test_an_inverse_is_not_used_where_a_free_variable_has_a_derivative():
    def f(x, s):
        return iv.reduce(lambda a, b: a + b + s * a * b, 0.0, x, inverse=lambda y, a: (y - a) / (1.0 + s * a))

    # 1 + s f = the product of 1 + s x
    def closed(x, s):
        return (np.prod(1.0 + s * x) - 1.0) / s

    for argnum in (0, 1):
        np.testing.assert_allclose(iv.grad(f, argnum)(0.1 * X, 0.7), iv.grad(closed, argnum)(0.1 * X, 0.7), rtol=1e-10)


def test_zeros_in_products():
    for zeros in (0, 1, 2, 9):
        x = X.copy()
        x[:zeros] = 0.0
        want = np.array([np.prod(np.delete(x, i)) for i in range(9)])
        np.testing.assert_allclose(iv.grad(lambda x: iv.reduce(np.multiply, 1.0, x))(x), want)
        got = iv.grad(lambda x: iv.histogram(np.multiply, 1.0, AT * 0 + 1, x, 3)[1])(x)
        np.testing.assert_allclose(got, want)
        scanned = iv.grad(lambda x: iv.scan(np.multiply, x, 1.0)[-1])(x)
        np.testing.assert_allclose(scanned, want)


def test_an_underflow_is_no_zero():
    x = np.array([1e-200, 1e-200])
    assert iv.grad(lambda x: iv.reduce(np.multiply, 1.0, x))(x).tolist() == [1e-200, 1e-200]


@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_the_second_derivative_of_products_with_zeros(zeros):
    x = np.array([0.0, 2.0, 3.0, 5.0])
    x[:zeros] = 0.0
    want = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)]
    for f in (
        lambda x: iv.reduce(np.multiply, 1.0, x),
        lambda x: iv.scan(np.multiply, x, 1.0)[-1],
        lambda x: iv.histogram(np.multiply, 1.0, np.ones(4, int), x, 3)[1],
    ):
        np.testing.assert_allclose(iv.hessian(f)(x), want)
        np.testing.assert_allclose(iv.jacrev(iv.grad(f))(x), want)


def test_the_first_of_equals_wins():
    x = np.array([2.0, 1.0, 1.0, 3.0])
    assert iv.grad(lambda x: iv.reduce(np.minimum, np.inf, x))(x).tolist() == [0, 1, 0, 0]
    assert iv.grad(lambda x: np.sum(iv.scan(np.minimum, x, np.inf)))(x).tolist() == [1, 3, 0, 0]
    assert iv.grad(lambda x: iv.histogram(np.minimum, np.inf, np.zeros(4, int), x, 1)[0])(x).tolist() == [0, 1, 0, 0]

    def with_initial(start, x):
        return iv.histogram(np.minimum, np.inf, np.zeros(4, int), x, 1, initial=start)[0]

    start, values = iv.grad(with_initial, argnums=(0, 1))(np.array([1.0]), x)
    assert start.tolist() == [1] and values.tolist() == [0, 0, 0, 0]


def test_an_infinite_cotangent_stays_where_it_is():
    """What comes after the least so far has changed hands is none of the former's."""

    def f(x):
        return np.sum(np.sqrt(iv.scan(np.minimum, x, np.inf)))

    assert iv.grad(f)(np.array([4.0, 1.0, 0.0])).tolist() == [0.25, 0.5, np.inf]


def test_float32_stays_float32():
    x = X.astype(np.float32)
    for f in (
        lambda x: iv.reduce(lambda a, b: a + b + a * b, 0.0, x),
        lambda x: np.sum(iv.scan(compose, (x, x), (1.0, 0.0))[1]),
        lambda x: np.sum(iv.histogram(lambda a, b: a + b + a * b, 0.0, AT, x, 4)),
    ):
        value, gradient = iv.value_and_grad(f)(x)
        assert value.dtype == np.float32 and gradient.dtype == np.float32
        assert f(x).dtype == np.float32


def test_unequal_extents_are_found_and_equal_ones_used():
    def f(x, y):
        return iv.reduce(compose, (1.0, 0.0), (x, y))[1]

    gx, gy = iv.grad(f, argnums=(0, 1))(X, Y)
    assert gx.shape == gy.shape == (9,)
    with pytest.raises(ValueError, match="one length"):
        iv.grad(f, argnums=(0, 1))(X, Y[:-1])


WRONG = {
    "structure": (TypeError, "structure", lambda x: iv.reduce(lambda a, b: (a, b), 0.0, x)),
    "structure of the identity": (TypeError, "identity has the structure", lambda x: iv.reduce(np.add, (0.0, 1.0), x)),
    "rank": (TypeError, "an array with 1 axes", lambda x: iv.reduce(lambda a, b: np.ones(2) * a, 0.0, x)),
    "rank of the identity": (TypeError, "identity is an array", lambda x: iv.reduce(np.add, np.zeros(2), x)),
    "shape": (ValueError, "shape of an element", lambda x: iv.scan(lambda a, b: np.zeros(4), np.ones((2, 3)), 0.0)),
    "dtype": (TypeError, "dtype float64", lambda x: iv.reduce(lambda a, b: a * 0.5 + b, 0, np.arange(3))),
    "dtype of the identity": (TypeError, "identity has dtype", lambda x: iv.reduce(np.add, 0.5, np.arange(3))),
    "exclusive": (ValueError, "identity", lambda x: iv.scan(np.add, x, exclusive=True)),
    "inverse": (TypeError, "structure", lambda x: iv.jit(iv.reduce)(np.add, 0.0, x, inverse=lambda y, a: (y, a))),
    "matrix": (ValueError, "one axis", lambda x: iv.histogram(np.add, 0.0, AT[:3], np.ones((3, 2)), 5)),
    "lengths": (ValueError, "one length", lambda x: iv.histogram(np.add, 0.0, AT, X[:-1], 5)),
    "bins": (IndexError, "out of bounds for 2 bins", lambda x: iv.histogram(np.add, 0.0, AT, X, 2)),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes(name):
    kind, message, f = WRONG[name]
    x = np.arange(3.0)
    with pytest.raises(kind, match=message):
        f(x)
    with pytest.raises(kind, match=message):
        iv.jit(f)(x)

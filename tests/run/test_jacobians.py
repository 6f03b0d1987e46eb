"""Jacobians, Hessians and products with them: trees, several arguments, auxiliary results; transposes."""

import numpy as np
import pytest

import iverson as iv

X = np.array([0.3, -1.2, 2.0, 0.9, -0.4])
P = {"a": X[:2], "b": 3.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def test_the_mode_is_that_with_fewer_products():
    def reductions(f, *args):
        from iverson.core.evaluate import evaluate

        values = [n for x in args for n in (*np.shape(x), x)]
        return evaluate(f.staged(args, {}).function, values).cost.work

    for f in (lambda x: np.concatenate((x, x * x, np.sin(x))), lambda x: x[:2] * x.sum()):
        works = {j: reductions(j(f), np.ones(40)) for j in (iv.jacfwd, iv.jacrev, iv.jacobian)}
        assert works[iv.jacobian] <= 1.2 * min(works[iv.jacfwd], works[iv.jacrev]) + 400
        np.testing.assert_allclose(iv.jacobian(f)(X), iv.jacfwd(f)(X), atol=1e-14)


def test_jacobians_where_the_run_decides():
    f = iv.jacobian(lambda x, y: np.outer(x, y).sum(1) * y.sum())
    for n, m in ((9, 5), (5, 9)):
        x, y = np.arange(n) + 1.0, np.arange(m) + 1.0
        np.testing.assert_allclose(f(x, y), np.eye(n) * y.sum() ** 2)
    taken = iv.jacobian(lambda x, n: 2.0 * x[:n])  # of a computed length
    for n in (2, 5):
        np.testing.assert_allclose(taken(X, n), 2.0 * np.eye(5)[:n])


def test_trees_and_arguments():
    def f(p, s):
        return {"u": p["a"] * p["b"] * s, "n": 3, "v": (s**2,)}

    for jacobian in (iv.jacfwd, iv.jacrev, iv.jacobian):
        j = jacobian(f, argnums=(0, 1))(P, 2.0)
        np.testing.assert_allclose(j["u"][0]["a"], 6.0 * np.eye(2))
        np.testing.assert_allclose(j["u"][0]["b"], 2.0 * P["a"])
        np.testing.assert_allclose(j["u"][1], 3.0 * P["a"])
        assert j["n"] is None and j["v"][0][1] == 4.0 and j["v"][0][0]["b"] == 0.0
        (j,) = jacobian(f, argnums=(-1,))(P, 2.0)["v"][0]
        assert j == 4.0


def test_auxiliary_results():
    def f(x, c):
        return c * x**2, {"sum": x.sum(), "word": "text"}

    for jacobian in (iv.jacfwd, iv.jacrev, iv.jacobian):
        j, aux = jacobian(f, has_aux=True)(X, 2.0)
        np.testing.assert_allclose(j, np.diag(4.0 * X))
        assert aux["word"] == "text" and np.isclose(aux["sum"], X.sum())
    h, aux = iv.hessian(lambda x, c: (f(x, c)[0].sum(), f(x, c)[1]), has_aux=True)(X, 2.0)
    np.testing.assert_allclose(h, 4.0 * np.eye(5))
    assert aux["word"] == "text"
    out, pullback, aux = iv.vjp(f, X, 2.0, has_aux=True)
    np.testing.assert_allclose(pullback(out)[0], 4.0 * X * out)
    assert np.isclose(aux["sum"], X.sum())
    out, tangent, aux = iv.jvp(f, (X, 2.0), (X, 0.0), has_aux=True)
    np.testing.assert_allclose(tangent, 4.0 * X * X)
    assert aux["word"] == "text"
    inside = iv.jit(lambda x: iv.vjp(lambda y: (y * y, y[0]), x, has_aux=True)[1:][1])
    assert inside(X) == X[0]
    for call in (iv.jacfwd, iv.jacrev, iv.hessian):
        with pytest.raises(TypeError, match="must return a pair"):
            call(lambda x: x * 2.0, has_aux=True)(X)
    with pytest.raises(TypeError, match="must return a pair"):
        iv.vjp(lambda x: x * 2.0, X, has_aux=True)


def test_hessians_of_trees():
    h = iv.hessian(lambda p, s: (p["a"] ** 2).sum() * p["b"] * s, argnums=(0, 1))(P, 2.0)
    np.testing.assert_allclose(h[0]["a"][0]["a"], 12.0 * np.eye(2))
    np.testing.assert_allclose(h[0]["a"][0]["b"], 4.0 * P["a"])
    np.testing.assert_allclose(h[0]["a"][1], 6.0 * P["a"])
    np.testing.assert_allclose(h[1][0]["a"], 6.0 * P["a"])
    assert h[0]["b"][0]["b"] == 0.0 and h[1][1] == 0.0
    of_arrays = iv.hessian(lambda x: x**3)(X)
    np.testing.assert_allclose(of_arrays, np.einsum("i,ij,ik->ijk", 6.0 * X, np.eye(5), np.eye(5)))


def test_hessian_vector_products():
    def f(p, n, c):
        return c**2 * (p["a"] ** n).sum() * p["b"]

    v = {"a": np.array([1.0, -2.0]), "b": 0.5}
    h = iv.hessian(f)(P, 3, 2.0)
    got = iv.hvp(f)(P, 3, 2.0, v)
    np.testing.assert_allclose(got["a"], h["a"]["a"] @ v["a"] + h["a"]["b"] * v["b"])
    assert np.isclose(got["b"], h["b"]["a"] @ v["a"] + h["b"]["b"] * v["b"])
    both = iv.hvp(f, argnums=(0, 2))(P, 3, 2.0, (v, 0.0))
    np.testing.assert_allclose(both[0]["a"], got["a"])
    product, aux = iv.hvp(lambda x, c: (c * (x**3).sum(), x[0]), has_aux=True)(X, 2.0, X)
    np.testing.assert_allclose(product, 12.0 * X * X)
    assert aux == X[0]
    with pytest.raises(TypeError, match="one vector an argument: 2, not 1"):
        iv.hvp(f, argnums=(0, 2))(P, 3, 2.0, (v,))
    with pytest.raises(TypeError, match="int64"):
        iv.hvp(f, argnums=1)(P, 3, 2.0, 1.0)


def test_transposes_of_linear_functions():
    a = np.arange(15.0).reshape(3, 5)
    transpose = iv.linear_transpose(lambda x, s: {"u": a @ x + s[0], "v": 2.0 * s}, X, np.zeros(2))
    x, s = transpose({"u": np.array([1.0, 2.0, 3.0]), "v": np.array([1.0, 1.0])})
    np.testing.assert_allclose(x, a.T @ [1.0, 2.0, 3.0])
    np.testing.assert_allclose(s, [8.0, 2.0])
    back = iv.jit(lambda y: iv.linear_transpose(lambda x: np.cumsum(x)[::2], X)(y)[0])(np.ones(3))
    np.testing.assert_allclose(back, [3.0, 2.0, 2.0, 1.0, 1.0])
    loops = iv.linear_transpose(lambda x: sum(x[i] * i for i in range(len(x))), X)
    np.testing.assert_allclose(loops(2.0)[0], 2.0 * np.arange(5))
    with pytest.raises(TypeError, match=r"is not linear(.|\n)*test_jacobians"):
        iv.linear_transpose(lambda x: x * x, X)(X)


def test_stopped_gradients_everywhere():
    def f(x):
        frozen = iv.stop_gradient({"x": x, "n": None, "k": (3, "s")})
        return (frozen["x"] * x).sum()

    np.testing.assert_allclose(iv.grad(f)(X), X)
    np.testing.assert_allclose(iv.jvp(f, (X,), (X,))[1], X @ X)
    np.testing.assert_allclose(iv.jacfwd(f)(X), X)
    np.testing.assert_allclose(iv.hessian(f)(X), np.zeros((5, 5)))
    np.testing.assert_allclose(iv.grad(lambda x: iv.grad(f)(x).sum())(X), np.zeros(5))
    np.testing.assert_allclose(iv.vmap(iv.grad(lambda x: iv.stop_gradient(x) * x))(X), X)
    z = X + 1j
    np.testing.assert_allclose(iv.grad(lambda z: (iv.stop_gradient(z) * z).real.sum())(z), z)

    def loop(x):
        s = 0.0
        for i in range(len(x)):
            s = iv.stop_gradient(s) + x[i] * x[i - 1]
        return s

    np.testing.assert_allclose(iv.grad(loop)(X), [0, 0, 0, X[4], X[3]])

    def power(x):
        return iv.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, iv.stop_gradient(s[1]) * x), (0, x))[1]

    assert np.isclose(iv.grad(power)(2.0), 8.0)

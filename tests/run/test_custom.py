"""`iv.custom_jvp`, `iv.custom_vjp`: the rule is used, whatever the mode, order and surroundings; mistakes in rules."""

import numpy as np
import pytest

import iverson as iv

X = np.array([0.3, -1.2, 2.0, 0.9, -0.4])
V = np.array([1.0, 0.5, -2.0, 0.1, 3.0])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def doubled():
    """A sine whose derivative is said to be 2 cos, so that its use is seen; by either kind of rule."""

    @iv.custom_jvp
    def forward(x):
        return np.sin(x)

    @forward.defjvp
    def rule(primals, tangents):
        return forward(primals[0]), 2.0 * np.cos(primals[0]) * tangents[0]

    @iv.custom_vjp
    def backward(x):
        return np.sin(x)

    backward.defvjp(lambda x: (backward(x), np.cos(x)), lambda c, g: (2.0 * c * g,))
    return {"jvp": forward, "vjp": backward}


KINDS = doubled()


def branch(f, x):
    return f(x * 1.5) if x > 0 else f(x) * x


def turns(f, x):
    n, s = 0, x
    while n < 3:
        s = f(s) + x
        n += 1
    return s


def written(f, x):
    y = np.zeros(4)
    for i in range(4):
        y[i] = f(x * (i + 1.0)) + y[i - 1]
    return y.sum()


def kept_in_python(f, x):
    return {"a": [f(x), f(2.0 * x)], "b": x}["a"][1]


def mapped(f, x):
    return sum(f(x + i) ** 2 for i in range(3)) + iv.vmap(lambda k: f(x * k))(np.array([1.0, 2.0])).sum()


def two_sine(x):
    """What the rules differentiate: 2 cos is the derivative of 2 sin, up to what the value is."""
    return iv.stop_gradient(np.sin(x)) + 2.0 * np.sin(x) - iv.stop_gradient(2.0 * np.sin(x))


# --- the rule is the derivative ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", [branch, turns, written, kept_in_python, mapped])
@pytest.mark.parametrize("x", [0.7, -0.6])
def test_in_both_modes_and_two_orders(kind, around, x):
    f = KINDS[kind]
    got, want = (lambda y: around(f, y)), (lambda y: around(two_sine, y))
    assert np.isclose(iv.jit(got)(x), around(np.sin, x) if around is not mapped else want(x))
    assert np.isclose(iv.grad(got)(x), iv.grad(want)(x))
    assert np.isclose(iv.jvp(got, (x,), (3.0,))[1], 3.0 * iv.grad(want)(x))


@pytest.mark.parametrize("kind", KINDS)
def test_higher_orders_differentiate_the_rule(kind):
    f = KINDS[kind]
    assert np.isclose(iv.grad(iv.grad(f))(0.7), -2.0 * np.sin(0.7))
    for outer in (iv.grad, lambda g: lambda x: iv.jvp(g, (x,), (1.0,))[1]):
        for inner in (iv.grad, lambda g: lambda x: iv.jvp(g, (x,), (1.0,))[1]):
            assert np.isclose(outer(inner(f))(0.7), -2.0 * np.sin(0.7))
    # the derivative of 2 cos f is had by the rule again: d/dx (f(x) 2 cos x) = 4 cos^2 x - 2 f sin x
    twice = iv.hessian(lambda x: 0.5 * f(x) ** 2)(0.7)
    assert np.isclose(twice, 4.0 * np.cos(0.7) ** 2 - 2.0 * np.sin(0.7) ** 2)


def test_a_rule_may_call_its_function():
    @iv.custom_jvp
    def exp(x):
        return np.exp(x)

    exp.defjvps(lambda t, y, x: t * exp(x))
    f = exp
    for _ in range(4):
        f = iv.grad(f)
        assert np.isclose(f(0.3), np.exp(0.3))


def test_two_functions_that_are_each_others_derivative():
    sine, cosine = iv.custom_jvp(lambda x: np.sin(x)), iv.custom_jvp(lambda x: np.cos(x))
    sine.defjvps(lambda t, y, x: t * cosine(x))
    cosine.defjvps(lambda t, y, x: -t * sine(x))
    third = iv.grad(iv.grad(iv.grad(sine)))
    assert np.isclose(third(0.3), -np.cos(0.3))


def test_a_linear_function_that_is_its_own_transpose():
    @iv.custom_vjp
    def smooth(x):
        return np.convolve(x, [0.25, 0.5, 0.25], "same")

    smooth.defvjp(lambda x: (smooth(x), None), lambda _, g: (smooth(g),))
    np.testing.assert_allclose(iv.jvp(smooth, (X,), (V,))[1], smooth(V))
    a = iv.jacfwd(smooth)(X)
    np.testing.assert_allclose(iv.jacrev(smooth)(X), a)
    np.testing.assert_allclose(iv.hessian(lambda x: 0.5 * (smooth(x) ** 2).sum())(X), a.T @ a, atol=1e-14)
    np.testing.assert_allclose(iv.linear_transpose(smooth, X)(V)[0], a.T @ V)


@pytest.mark.parametrize("kind", KINDS)
def test_under_vmap_and_jit(kind):
    f = KINDS[kind]
    np.testing.assert_allclose(iv.vmap(iv.grad(f))(X), 2.0 * np.cos(X))
    np.testing.assert_allclose(iv.grad(lambda x: iv.vmap(f)(x).sum())(X), 2.0 * np.cos(X))
    np.testing.assert_allclose(iv.jit(iv.grad(lambda x: iv.jit(f)(x).sum()))(X), 2.0 * np.cos(X))
    np.testing.assert_allclose(iv.jacfwd(f)(X), np.diag(2.0 * np.cos(X)))
    np.testing.assert_allclose(iv.vmap(iv.hessian(f))(X), -2.0 * np.sin(X))


# --- arguments and results --------------------------------------------------------------------------------------------


def test_trees_integers_and_static_values():
    def value(f, p, n):
        return {"s": f(p["a"]) * n, "n": n + 1, "b": p["b"][0] * 2.0, "t": None}

    g = iv.custom_vjp(value, nondiff_argnums=(0,))

    def backward(f, kept, ct):
        _, n, word, nothing = kept
        assert word == "text" and nothing is None and ct["n"] is None and ct["t"] is None
        return {"a": 10.0 * ct["s"] * n, "b": [3.0 * ct["b"], None]}, None

    g.defvjp(lambda f, p, n: (value(f, p, n), (p["a"], n, "text", None)), backward)

    def total(p):
        r = g(np.sin, p, 3)
        return (r["s"] ** 2).sum() + r["b"]

    got = iv.grad(total)({"a": X, "b": [1.0, 2.0]})
    np.testing.assert_allclose(got["a"], 2.0 * np.sin(X) * 3.0 * 30.0)
    assert got["b"] == [3.0, 0.0]


def test_nondiff_arguments_of_a_jvp_rule():
    @iv.custom_jvp
    def apply(x, f, n):
        return f(x) * n

    apply = iv.custom_jvp(apply.f, nondiff_argnums=(1, 2))

    @apply.defjvp
    def rule(f, n, primals, tangents):
        return apply(*primals, f, n), 5.0 * n * tangents[0]

    assert iv.grad(lambda x: apply(x, np.sin, 3))(0.1) == 15.0
    assert iv.grad(lambda x: apply(x, n=3, f=np.sin))(0.1) == 15.0  # by name, too


def test_lengths_that_are_computed():
    above = iv.custom_vjp(lambda x: x[x > 0.5])
    above.defvjp(
        lambda x: (x[x > 0.5], (x, x[x > 0.0])),
        lambda kept, g: (np.where(kept[0] > 0.5, g.sum() * kept[1].sum(), 0.0),),
    )
    g = iv.grad(lambda x: (above(x) ** 2).sum())(X)
    np.testing.assert_allclose(g, np.where(X > 0.5, 2.0 * 2.9 * 3.2, 0.0))
    np.testing.assert_allclose(iv.jvp(above, (X,), (V,))[1], np.full(2, 3.2 * (V[2] + V[3])))
    tangents = iv.custom_jvp(lambda x: x[x > 0.5])
    tangents.defjvp(lambda p, t: (p[0][p[0] > 0.5], 5.0 * t[0][p[0] > 0.5]))
    np.testing.assert_allclose(iv.grad(lambda x: (tangents(x) ** 2).sum())(X), np.where(X > 0.5, 10.0 * X, 0.0))


def test_complex_numbers_have_the_conventions_of_vjp():
    z = X + 1j * V
    square = iv.custom_vjp(lambda z: z * z)
    square.defvjp(lambda z: (z * z, z), lambda z, g: (2.0 * z * g,))
    np.testing.assert_allclose(iv.vjp(square, z)[1](z)[0], 2.0 * z * z)
    np.testing.assert_allclose(iv.jvp(square, (z,), (z,))[1], 2.0 * z * z)
    np.testing.assert_allclose(
        iv.grad(lambda z: abs(square(z)).sum())(z), iv.grad(lambda z: abs(z * z).sum())(z), atol=1e-14
    )


def test_methods():
    class Layer:
        def __init__(self):
            self.scale = 2.0

        @iv.custom_vjp
        def apply(self, x):
            return self.scale * x

        apply.defvjp(lambda self, x: (self.scale * x, None), lambda _, g: (None, g * 11.0))

    layer = Layer()
    assert layer.apply(1.5) == 3.0 and iv.grad(layer.apply)(1.5) == 11.0


def test_a_new_rule_is_seen():
    f = iv.custom_jvp(lambda x: x)
    slope = iv.grad(f)
    for k in (2.0, 3.0):
        f.defjvps(lambda t, y, x, k=k: k * t)
        assert slope(1.0) == k


def test_in_operators():
    product = iv.custom_jvp(lambda a, b: a * b)
    product.defjvps(lambda t, y, a, b: t * b, lambda t, y, a, b: t * a)
    for f in (lambda x: iv.reduce(product, 1.0, x), lambda x: iv.scan(product, x, 1.0).sum()):
        plain = iv.grad(lambda x, f=f: np.prod(x) if f(np.ones(3)) == 1.0 else np.cumprod(x).sum())(X)
        np.testing.assert_allclose(iv.grad(f)(X), plain)
        np.testing.assert_allclose(iv.jacfwd(f)(X), plain)


# --- what is around a rule --------------------------------------------------------------------------------------------


def test_rules_may_read_what_is_around_them():
    def outer(x, c):
        k = 2.0 * c

        @iv.custom_vjp
        def h(x):
            return x * iv.stop_gradient(k)

        h.defvjp(lambda x: (h(x), None), lambda _, g: (g * k * 100.0,))
        return h(x).sum()

    np.testing.assert_allclose(iv.grad(outer)(X, 3.0), 600.0)
    assert iv.grad(lambda x, c: iv.grad(outer)(x, c).sum(), argnums=1)(X, 3.0) == 1000.0


def test_no_derivative_is_dropped():
    def outer(x, c):
        h = iv.custom_vjp(lambda x: x * c)
        h.defvjp(lambda x: (h(x), None), lambda _, g: (g,))
        return h(x).sum()

    assert iv.grad(outer)(X, 2.0).tolist() == [1.0] * 5
    for derivative in (lambda: iv.grad(outer, argnums=1)(X, 2.0), lambda: iv.jvp(outer, (X, 2.0), (X, 1.0))):
        with pytest.raises(TypeError, match=r"says nothing about a value from outside(.|\n)*test_custom"):
            derivative()


def test_residuals_are_kept_once():
    """Arguments and results that a forward rule hands on are not stored again, in loops neither."""
    g = iv.custom_vjp(lambda x, w: np.tanh(x) * w)
    g.defvjp(lambda x, w: (g(x, w), (x, w)), lambda r, ct: (ct * r[1] * (1.0 - np.tanh(r[0]) ** 2), ct * np.tanh(r[0])))

    def run(x, w):
        for _ in range(9):
            x = g(x, w)
        return x.sum()

    def plain(x, w):
        for _ in range(9):
            x = np.tanh(x) * w
        return x.sum()

    def memory(f):
        from iverson.core.evaluate import evaluate
        from iverson.opt.pipeline import optimise

        x = np.linspace(0.0, 1.0, 50)
        program = optimise(iv.grad(f, argnums=(0, 1)).staged((x, x), {}).function)
        return evaluate(program, [50, x, 50, x]).cost.peak

    assert memory(run) <= memory(plain) + 2 * 50


# --- mistakes ---------------------------------------------------------------------------------------------------------


def with_backward(backward, forward=lambda x: (2.0 * x, None)):
    f = iv.custom_vjp(lambda x: 2.0 * x)
    f.defvjp(forward, backward)
    return lambda: iv.grad(lambda x: f(x).sum())(X)


def with_jvp(rule):
    f = iv.custom_jvp(lambda x: 2.0 * x)
    f.defjvp(rule)
    return lambda: iv.jvp(f, (X,), (X,))


def bwd(_, g):
    return g


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (
            with_backward(bwd),
            TypeError,
            r"bwd, a rule of .*a tuple with a cotangent for each of 1 arguments, not an array",
        ),
        (with_backward(lambda _, g: (g, g)), TypeError, "not a tuple of 2"),
        (
            with_backward(lambda _, g: ({"a": g},)),
            TypeError,
            r"argument 0 a cotangent of the structure \{'a': \*\}, not \*",
        ),
        (with_backward(lambda _, g: (g[:3],)), ValueError, r"cotangent of shape \(3,\), not"),
        (with_backward(lambda _, g: (g[:, None],)), ValueError, r"of shape \(n, 1\), not \(n,\)"),
        (with_backward(lambda _, g: (g.astype(np.float32),)), TypeError, "of dtype float32, not float64"),
        (with_backward(lambda _, g: ("g",)), TypeError, "that is a str, not a number"),
        (with_backward(bwd, lambda x: x), TypeError, r"must return a pair \(result, residuals\)"),
        (with_backward(bwd, lambda x: (x[:2], x)), ValueError, r"gives a result of shape \(2,\)"),
        (with_backward(bwd, lambda x: ((x, x), x)), TypeError, r"gives a result of the structure \(\*, \*\), not \*"),
        (with_jvp(lambda p, t: t[0]), TypeError, r"must return a pair \(result, tangent of the result\)"),
        (with_jvp(lambda p, t: (p[0], None)), TypeError, "gives a tangent that is None"),
        (with_jvp(lambda p, t: (p[0], t[0].sum())), ValueError, r"gives a tangent of shape \(\), not \(n,\)"),
    ],
)
def test_mistakes_in_rules(call, kind, says):
    with pytest.raises(kind, match=says) as info:
        call()
    assert "test_custom.py" in str(info.value)


def test_no_rule():
    with pytest.raises(AttributeError, match="has no rule yet: give it one with defjvp"):
        iv.grad(iv.custom_jvp(lambda x: x))(1.0)
    assert iv.jit(iv.custom_jvp(lambda x: x))(1.0) == 1.0
    with pytest.raises(TypeError, match="a function, not"):
        iv.custom_vjp(3)
    f = iv.custom_jvp(lambda x: x)
    f.defjvps(None, None)
    with pytest.raises(TypeError, match="2 rules, but there are 1 arguments"):
        iv.grad(f)(1.0)


def test_a_rule_that_is_not_linear_serves_its_own_mode_alone():
    clipped = iv.custom_vjp(lambda x: x)
    clipped.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    assert iv.grad(lambda x: 5.0 * clipped(x))(2.0) == 1.0
    with pytest.raises(TypeError, match=r"backward rule of .* is not linear in the cotangent"):
        iv.jvp(clipped, (2.0,), (1.0,))
    squared = iv.custom_jvp(lambda x: x)
    squared.defjvp(lambda p, t: (p[0], t[0] ** 2))
    assert iv.jvp(squared, (2.0,), (3.0,))[1] == 9.0
    with pytest.raises(TypeError, match=r"jvp rule of .* is not linear in the tangents"):
        iv.grad(squared)(2.0)


def test_outside_of_programs_they_are_plain_functions():
    f = iv.custom_vjp(lambda x: [x, "text"])
    assert f(1.0) == [1.0, "text"]
    assert KINDS["jvp"](0.5) == np.sin(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_series_of_any_order(kind):
    rule, plain = KINDS[kind], two_sine
    curve = ((0.7,), ((1.0, -0.5, 2.0, 0.3),))
    got, want = (iv.jet(lambda x, f=f: f(f(x) * x), *curve)[1] for f in (rule, plain))
    np.testing.assert_allclose(got[0], want[0])
    sines = iv.custom_jvp(lambda x: np.sin(x))
    sines.defjvps(lambda t, y, x: t * np.cos(x))
    x = (X,), ((V, X, V * X),)
    for a, b in zip(iv.jet(lambda y: sines(y) * y, *x)[1], iv.jet(lambda y: np.sin(y) * y, *x)[1], strict=True):
        np.testing.assert_allclose(a, b)

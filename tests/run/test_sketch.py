"""`iv.sketch` and `iv.tape.sample`: gradients that are right in expectation, with the variance that theory says.

Unbiasedness by z-scores of each entry over many keys; variances against closed forms; what can't be unbiased is refused
when the program is compiled; sums over what was kept give what the whole estimate gives, at less work.
"""

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import I64, Scalar, Var
from iverson.diff.sampling import located
from iverson.lang.sketching import _staged as forced
from iverson.lang.table import FUNCTIONS
from tests.run.draws import KEY, moments, unbiased, z_scores

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


# --- one product: unbiased, and with the variance of the closed forms -------------------------------------------------

BATCH, D, M, K = 5, 40, 3, 8
X, W, C = RNG.normal(size=(BATCH, D)), RNG.normal(size=(D, M)), RNG.normal(size=(BATCH, M))
DELTA = C  # of sum(C * (x @ w)) the adjoint of x @ w
EXACT = X.T @ DELTA
S2 = ((X**2).T @ DELTA**2).sum()
G2 = (EXACT**2).sum()
SCHEMES = {
    "sample, shared": ({"shared": True}, (D - K) / K * G2),
    "sample, each": ({"shared": False}, (D - K) / K * S2),
    "replace, shared": ({"replace": True, "shared": True}, (D - 1) / K * G2),
    "replace, each": ({"replace": True, "shared": False}, (D - 1) / K * S2),
    "projection, shared": ({"scheme": "projection", "shared": True}, (D - 1) / K * G2),
    "projection, each": ({"scheme": "projection", "shared": False}, (D - 1) / K * S2),
}


def product(w, key, **how):
    return (C * (iv.sketch(X, K / D, key, **how) @ w)).sum()


@pytest.mark.parametrize("name", SCHEMES)
def test_variance_is_the_closed_form(name):
    how, expected = SCHEMES[name]
    z, variance = z_scores(lambda key: iv.grad(product)(W, key, **how), EXACT, 6000)
    assert abs(variance.sum() / expected - 1.0) < 0.05
    assert np.abs(z).max() < 4.5


def test_one_example():
    """All elements of the array are one example: each is kept with probability k/d."""
    d = BATCH * D
    z, variance = z_scores(lambda key: iv.grad(product)(W, key), EXACT, 3000)
    assert abs(variance.sum() / ((d - 40) / 40 * S2) - 1.0) < 0.05
    assert np.abs(z).max() < 4.5


LONG = 5200  # entries, each with a draw of its own
LONG_X, LONG_C = RNG.normal(size=(4, LONG)), RNG.normal(size=4)


def long(w, key, how):
    return (LONG_C * (iv.sketch(LONG_X, 0.2, key, **how) @ w)).sum()


@pytest.mark.parametrize("name", [name for name in SCHEMES if "projection" not in name])
def test_unbiased_over_many_draws(name):
    how = SCHEMES[name][0]
    z, _ = z_scores(lambda key: iv.grad(long)(np.ones(LONG), key, how), LONG_X.T @ LONG_C, 4000)
    assert unbiased(z)


WIDE = RNG.normal(size=(130, 40))


def wide(w, key, how):
    """A weight for each element, so that a sum of 40 signs is an entry's own noise."""
    return (iv.sketch(WIDE, 0.2, key, **how) * w).sum()


@pytest.mark.parametrize("name", ["projection, shared", pytest.param("projection, each", marks=pytest.mark.slow)])
def test_projections_are_unbiased_over_many_draws(name):
    how = SCHEMES[name][0]
    z, variance = z_scores(lambda key: iv.grad(wide)(np.ones(WIDE.shape), key, how), WIDE, 4000)
    assert unbiased(z)
    others = (WIDE**2).sum(1, keepdims=True) - WIDE**2
    np.testing.assert_allclose(variance.sum(), others.sum() / 8, rtol=0.05)


def test_places_are_located_as_integers_say():
    b, (place, n, m) = Builder(), (Var(Scalar(I64), h) for h in "pnm")
    f = b.function([place, n, m], located(b, place, (n, n, m)))
    cases = [(p, n, m) for n in (1, 3, 49) for m in (1, 7, 33) for p in range(2 * n * m)]
    cases += [(q * m + r, 3, m) for m in (3, 10**6 + 3, 2**31 - 1) for q in (2**20, 2**20 + 1) for r in (0, m - 1)]
    for p, n, m in cases:
        assert list(evaluate(f, [p, n, m]).values) == [p // m // n, p // m % n, p % m]


# --- controls: refused, and wrong if they are not ---------------------------------------------------------------------


def unproven(x, fraction, key, **how):
    """A sketch that isn't proven: for the controls alone."""
    return forced(x, fraction, key, **how, unproven=True)


FUNCTIONS[unproven] = unproven


def unscaled(w, key, sketch):
    return (LONG_C * (sketch(LONG_X, 0.2, key, shared=True, scale=1) @ w)).sum()


def projected(w, key, sketch):
    return (sketch(WIDE, 0.2, key, shared=False, scheme="projection", scale=1) * w).sum()


def one_key(w, key, sketch):
    """Two samples of one key on one path: w is multiplied by a first and by a second array."""
    h = sketch(LONG_X[0], 0.2, key) * w
    return (sketch(LONG_X[1], 0.2, key) * h).sum()


def test_without_the_scale_it_is_biased():
    with pytest.raises(ValueError, match=r"scaled by 1 is biased.*\n.*test_sketch.py:\d+, in unscaled"):
        iv.grad(unscaled)(np.ones(LONG), KEY, iv.sketch)
    z, _ = z_scores(lambda key: iv.grad(unscaled)(np.ones(LONG), key, unproven), LONG_X.T @ LONG_C, 500)
    assert not unbiased(z)
    with pytest.raises(ValueError, match="scaled by 1 is biased"):
        iv.grad(projected)(np.ones(WIDE.shape), KEY, iv.sketch)
    z, _ = z_scores(lambda key: iv.grad(projected)(np.ones(WIDE.shape), key, unproven), WIDE, 500)
    assert not unbiased(z)


def test_one_key_for_two_samples_of_a_path_is_biased():
    with pytest.raises(ValueError, match=r"a product with a sample of the same key(.*\n)*.*in one_key"):
        iv.grad(one_key)(np.ones(LONG), KEY, iv.sketch)
    z, _ = z_scores(lambda key: iv.grad(one_key)(np.ones(LONG), key, unproven), LONG_X[0] * LONG_X[1], 500)
    assert not unbiased(z)


def two_keys(w, first, second):
    h = iv.sketch(LONG_X[0], 0.2, first) * w
    return (iv.sketch(LONG_X[1], 0.2, second) * h).sum()


def test_two_keys_for_two_samples_of_a_path():
    def gradient(key):
        first, second = iv.random.split(key)
        return iv.grad(two_keys)(np.ones(LONG), first, second)

    mean, variance = moments(gradient, 2000)
    z = (mean - LONG_X[0] * LONG_X[1]) / np.sqrt(variance / 2000)
    assert abs(z.mean()) < 4 / np.sqrt(LONG)
    with pytest.raises(ValueError, match="two samples on one path have the same key"):
        iv.grad(two_keys)(np.ones(LONG), KEY, KEY)


# --- what is refused --------------------------------------------------------------------------------------------------


def square(w, x, key):
    y = iv.sketch(x, 0.3, key)
    return ((y * w) ** 2).sum()


def exponential(w, x, key):
    return np.exp(iv.sketch(x * w, 0.3, key)).sum()


def index(w, x, key):
    y = iv.sketch(x, 0.3, key)
    return sum(w[int(abs(y[i]))] * w[i] for i in range(len(x)))


def same_in_every_turn(w, x, key):
    h = w
    for t in range(3):
        h = iv.sketch(np.cos(x + t), 0.5, key) * h
    return h.sum()


REFUSED = {
    square: "a product with the same sample",
    exponential: "`exp`",
    index: "isn't linear",
    same_in_every_turn: "a product with the same sample",
}


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_refused(f):
    x = np.linspace(-2.0, 2.0, 6)
    with pytest.raises(ValueError, match="would be biased") as raised:
        iv.grad(f)(x + 0.3, x, KEY)
    assert REFUSED[f] in str(raised.value) and f"in {f.__name__}" in str(raised.value)
    assert np.isfinite(iv.jit(f)(x + 0.3, x, KEY))


def clipped(w, x, key):
    return np.maximum(iv.sketch(x * w, 0.3, key), 0.0).sum()


def chosen(w, x, key):
    y, s = iv.sketch(x, 0.5, key), 0.0
    for i in range(len(x)):
        s += w[i] ** 2 if y[i] > 0 else 0.0
    return s


@pytest.mark.parametrize("f", [clipped, chosen], ids=lambda f: f.__name__)
def test_masks_are_exact(f):
    """What a sample only decides on is kept as it was."""
    x, w = np.linspace(-2.0, 2.0, 7), np.linspace(1.0, 2.0, 7)
    np.testing.assert_allclose(iv.grad(f)(w, x, KEY), (x > 0) * (x if f is clipped else 2.0 * w))


def fresh_in_every_turn(w, x, key):
    h = w
    for t in range(3):
        h = iv.sketch(np.cos(x + t), 0.5, iv.random.fold_in(key, t)) * h
    return h.sum()


def test_keys_of_turns():
    x = np.linspace(-1.0, 1.0, 2000)
    exact = np.cos(x) * np.cos(x + 1) * np.cos(x + 2)
    mean, variance = moments(lambda key: iv.grad(fresh_in_every_turn)(x, x, key), 400)
    z = (mean - exact) / np.sqrt(variance / 400 + 1e-30)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)


def test_bad_arguments():
    x = np.ones((3, 4))
    for call, kind in [
        (lambda: iv.sketch(x, 0.0, 1), ValueError),
        (lambda: iv.sketch(x, 1.5, 1), ValueError),
        (lambda: iv.sketch(x, 0.5), TypeError),
        (lambda: iv.sketch(x, 0.5, "a"), TypeError),
        (lambda: iv.sketch(x, 0.5, 1, scheme="hash"), ValueError),
        (lambda: iv.sketch(x[0], 0.5, 1, shared=True), ValueError),
        (lambda: iv.sketch(2.0, 0.5, 1), TypeError),
        (lambda: iv.tape.sample(2.0), ValueError),
        (lambda: iv.tape.sample(0.5, scheme="hash"), ValueError),
        (lambda: iv.grad(lambda w: w.sum(), tape=iv.tape.sample(0.5))(x), TypeError),
        (lambda: iv.grad(lambda w: iv.sketch(w, 1.5, 1).sum())(x), ValueError),
        (lambda: iv.sketch(np.ones((3, 4), np.int64), 0.5, 1), TypeError),
        (lambda: iv.sketch(x, np.array(1.5), 1), ValueError),
        (lambda: iv.sketch(x, np.nan, 1), ValueError),
        (lambda: iv.sketch(x, x, 1), TypeError),
        (lambda: iv.sketch(x, "a", 1), TypeError),
        (lambda: iv.grad(lambda w: iv.sketch(w, w, 1).sum())(x), TypeError),
    ]:
        with pytest.raises(kind):
            call()


# --- other transforms -------------------------------------------------------------------------------------------------


def weighted(w, x, key):
    return np.sum(np.tanh(iv.sketch(x, 0.4, key, shared=True) @ w) ** 2)


def plain(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


def test_other_modes_are_exact():
    w, x = RNG.normal(size=(6, 5)), RNG.normal(size=(7, 6))
    t = RNG.normal(size=w.shape)
    assert iv.jit(weighted)(w, x, KEY) == iv.jit(plain)(w, x) and weighted(w, x, KEY) == plain(w, x)
    f, g = (lambda w: weighted(w, x, KEY)), (lambda w: plain(w, x))
    np.testing.assert_allclose(iv.jvp(f, (w,), (t,))[1], iv.jvp(g, (w,), (t,))[1])
    np.testing.assert_allclose(iv.jacfwd(f)(w), iv.jacfwd(g)(w))
    np.testing.assert_allclose(iv.jacrev(f)(w), iv.jacrev(g)(w))


def test_second_derivatives_are_of_the_estimate():
    """P is the same for all w: the derivative of the estimate of a gradient estimates the Hessian."""
    w, x = RNG.normal(size=(6, 5)), RNG.normal(size=(7, 6))
    t = RNG.normal(size=w.shape)
    exact = iv.hvp(plain)(w, x, t)
    z, _ = z_scores(lambda key: iv.hvp(lambda w: weighted(w, x, key))(w, t), exact, 1500)
    assert np.abs(z).max() < 4.5
    again, _ = z_scores(lambda key: iv.grad(lambda w: (iv.grad(weighted)(w, x, key) * t).sum())(w), exact, 1500)
    assert np.abs(again).max() < 4.5


def test_vmap_and_jit():
    w, x = RNG.normal(size=(6, 5)), RNG.normal(size=(3, 7, 6))
    keys = iv.random.split(KEY, 3)
    g = iv.grad(weighted)
    lanes = iv.vmap(g, in_axes=(None, 0, 0))(w, x, keys)
    for k in range(3):
        np.testing.assert_allclose(lanes[k], g(w, x[k], keys[k]))
        np.testing.assert_allclose(iv.jit(g)(w, x[k], keys[k]), g(w, x[k], keys[k]))


def plain_product(w, x):
    return (x @ w).sum()


def test_fraction_of_the_program():
    g = iv.grad(lambda w, part, key: (C * (iv.sketch(X, part, key, shared=True) @ w)).sum())
    np.testing.assert_allclose(g(W, 1.0, KEY), EXACT)
    assert (np.abs(g(W, 0.2, KEY)).sum(1) > 0).sum() == K
    for part in 0.0, 1.1, np.nan:
        with pytest.raises(ValueError, match=r"more than 0 and at most 1, not .*\n.*test_sketch.py"):
            g(W, part, KEY)
    chosen = iv.jit(lambda w, x, part, key: iv.grad(plain_product, tape=iv.tape.sample(part, key))(w, x))
    np.testing.assert_allclose(chosen(W, X, 1.0, KEY), X.sum(0)[:, None] * np.ones(M))
    with pytest.raises(ValueError, match=r"more than 0 and at most 1, not -0\.5"):
        chosen(W, X, -0.5, KEY)


def test_float32():
    x, w = X.astype(np.float32), W.astype(np.float32)
    g = iv.grad(lambda w, x, key: (iv.sketch(x, 0.5, key, shared=True) @ w).sum())(w, x, KEY)
    assert g.dtype == np.float32

"""`iv.tape.sample(variance=...)`: the fraction that a gradient chooses gives the variance that was asked for."""

import numpy as np
import pytest

import iverson as iv
from iverson.run.variance import LEAST, MOST

RNG = np.random.default_rng(3)
BATCH, D, M = 20, 60, 4
W, X, C = RNG.normal(size=(D, M)), RNG.normal(size=(BATCH, D)), RNG.normal(size=(BATCH, M))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def loss(w, x, key):
    return (C * np.tanh(x @ w)).sum()


EXACT = iv.grad(loss)(W, X, 0)
DELTA = C / np.cosh(X @ W) ** 2
EACH = ((X**2).T @ DELTA**2).sum() / (EXACT**2).sum()  # of the closed forms of docs/sampling.md
WANTED = [
    ({}, 0.5, 1 / 1.5),
    ({}, 3.0, 1 / 4.0),
    ({"shared": False}, 2.0, EACH / (2.0 + EACH)),
    ({"replace": True}, 4.0, 1 / 4.0),
    ({"scheme": "projection"}, 4.0, 1 / 4.0),
]


@pytest.mark.parametrize("how, wanted, fraction", WANTED, ids=str)
def test_converges_to_the_target(how, wanted, fraction):
    g, found = iv.grad(loss, tape=iv.tape.sample(variance=wanted, key="key", **how)), []
    for s in range(500):
        g(W, X, iv.random.key(s))
        found.append(g.fraction)
    assert abs(np.mean(found[200:]) / fraction - 1.0) < 0.2
    assert 0.5 < g.fraction / fraction < 2.0 and np.isclose(g.variance, wanted)


def test_what_is_given_is_unbiased():
    """Whether it is one gradient or the mean of two, and the value is exact."""
    g = iv.value_and_grad(loss, tape=iv.tape.sample(variance=1.0, key="key"))
    draws, expected = [], iv.jit(loss)(W, X, 0)
    for s in range(800):
        value, gradient = g(W, X, iv.random.key(s))
        draws.append(gradient)
        assert value == expected
    z = (np.mean(draws, 0) - EXACT) / (np.std(draws, 0) / np.sqrt(len(draws)))
    assert np.abs(z).max() < 4.5


def test_follows_the_gradient():
    """Near a minimum of the noise alone |G| is small: then more is kept; at the start of a run as little as does."""
    g = iv.grad(lambda w, x, key: (x @ w).sum(), tape=iv.tape.sample(variance=0.3, key="key"))
    for s in range(60):
        g(W, X, iv.random.key(s))
    easy = g.fraction
    hard = X * np.sign(RNG.normal(size=BATCH))[:, None] - (X * 0.98)
    for s in range(60):
        g(W, hard, iv.random.key(s))
    assert np.isfinite(g.variance) and LEAST <= easy <= MOST and LEAST <= g.fraction <= MOST
    g.reset()
    assert g.fraction == 0.5 and np.isnan(g.variance)
    flat = iv.grad(lambda w, x, key: 0.0 * (x @ w).sum(), tape=iv.tape.sample(variance=0.3, key="key"))
    for s in range(5):
        assert not flat(W, X, iv.random.key(s)).any()
    assert flat.fraction == MOST


def test_history_decides_on_the_fraction_alone():
    """Calls with the same history give the same bits; aux, several arguments and trees go as they do elsewhere."""

    def f(p, x, key):
        return loss(p["w"], x, key) + p["b"] ** 2, x.sum()

    runs = []
    for _ in range(2):
        g = iv.grad(f, argnums=(0, 1), has_aux=True, tape=(iv.tape.sample(variance=1.0), "store"))
        runs.append([g({"w": W, "b": 2.0}, X, key=s) for s in range(6)])
    for ((p, x), aux), ((q, y), more) in zip(*runs, strict=True):
        assert np.array_equal(p["w"], q["w"]) and np.array_equal(x, y) and aux == more
        assert np.isclose(p["b"], 4.0) and np.isclose(aux, X.sum())


def test_refused():
    for call, kind in [
        (lambda: iv.tape.sample(), ValueError),
        (lambda: iv.tape.sample(0.1, variance=0.1), ValueError),
        (lambda: iv.tape.sample(variance=0.0), ValueError),
        (lambda: iv.tape.sample(variance=np.inf), ValueError),
        (lambda: iv.tape.sample(variance=[1.0]), ValueError),
        (lambda: iv.vjp(loss, W, X, 1, tape=iv.tape.sample(variance=1.0)), ValueError),
        (lambda: iv.grad(loss, tape=(iv.tape.sample(variance=1.0), iv.tape.budget("1MB"))), ValueError),
        (lambda: iv.grad(lambda w: w.sum(), tape=iv.tape.sample(variance=1.0))(W), TypeError),
        (lambda: iv.jit(iv.grad(loss, tape=iv.tape.sample(variance=1.0)))(W, X, 1), TypeError),
    ]:
        with pytest.raises(kind):
            call()

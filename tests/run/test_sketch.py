"""`iv.sketch` and `iv.tape.sample`: gradients that are right in expectation, with the variance that theory says.

Unbiasedness by z-scores of each entry over many keys; variances against closed forms; what can't be unbiased is refused
when the program is compiled; sums over what was kept give what the whole estimate gives, at less work.
"""

import numpy as np
import pytest
from optree import tree_leaves

import iverson as iv
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import I64, Scalar, Var
from iverson.diff import sampled
from iverson.diff.sampling import located
from iverson.lang.sketching import _staged as forced
from iverson.lang.table import FUNCTIONS

RNG = np.random.default_rng(7)
KEY = iv.random.key(5)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def moments(gradient, draws):
    """Mean and variance of gradient(key) over keys, in one compiled program."""

    @iv.jit
    def run(key):
        g = gradient(iv.random.fold_in(key, 0))
        total, squares = g * 0.0, g * 0.0
        for s in range(draws):
            g = gradient(iv.random.fold_in(key, s))
            total = total + g
            squares = squares + g * g
        return total / draws, squares / draws

    mean, square = run(KEY)
    return mean, (square - mean**2) * draws / (draws - 1)


def z_scores(gradient, exact, draws):
    mean, variance = moments(gradient, draws)
    scale = np.sqrt(variance / draws)
    assert np.all(scale > 0)
    return ((mean - exact) / scale).ravel(), variance


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


def unbiased(z):
    return abs(z.mean()) < 4 / np.sqrt(z.size) and np.mean(np.abs(z) > 3) < 0.006


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


def connected_of(w, x):
    """A layer of many features, and one output."""
    return ((np.tanh(x @ LONG_X) @ w.reshape(len(w), 1)) ** 2).sum()


def convolution_of(w, x):
    """A pixel and the next one, of many channels, as loops."""
    h = [[x[b] * abs(LONG_X[b, c]) for c in range(len(w))] for b in range(4)]
    return sum(LONG_C[b] * np.tanh(sum(h[b + k][c] * w[c] for k in range(2) for c in range(len(w)))) for b in range(3))


def recurrent_of(w, x):
    """One number is carried, made of many states of each turn."""
    s, h = 0.1, LONG_X[0]
    for t in range(4):
        h = np.cos(h + x[t])
        s = 0.5 * s + (h * w).sum() / len(w)
    return s * s


def attention_of(w, x):
    scores = np.exp(np.tanh(np.outer(x, LONG_C)))
    return (((scores / scores.sum(1)[:, None]) @ LONG_X @ w.reshape(len(w), 1)) ** 2).sum()


def diffusion_of(w, x):
    """A coefficient at every point of a field."""
    u = LONG_X[0]
    for t in range(4):
        u = u + 0.1 * (np.roll(u, 1) + np.roll(u, -1) - 2.0 * u) + 0.1 * x[t] * w * u
    return (u * LONG_X[1]).sum()


LONG_FORMS = [
    (connected_of, {"shared": False}),
    (convolution_of, {"shared": None}),
    (recurrent_of, {"shared": None}),
    (attention_of, {"shared": False}),
    (diffusion_of, {"shared": None}),
]


@pytest.mark.slow
@pytest.mark.parametrize("f, how", LONG_FORMS, ids=lambda a: getattr(a, "__name__", str(a)))
def test_forms_are_unbiased_over_many_draws(f, how):
    """Each entry has draws of its own."""
    w, x = np.linspace(0.5, 1.5, LONG) / LONG, np.array([0.9, -0.4, 1.3, 0.6])
    given = (x[:, None] * np.eye(4),) if f is connected_of else (x,)

    def gradient(key):
        return iv.grad(f, tape=iv.tape.sample(0.2, key, **how))(w, *given)

    z, _ = z_scores(gradient, iv.grad(f)(w, *given), 4000)
    assert unbiased(z)


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


# --- the forms of gradients -------------------------------------------------------------------------------------------


def dense(p, x, key):
    h = np.maximum(x @ p["a"], 0.0)
    h = np.maximum(h @ p["b"], 0.0)
    return ((h @ p["c"]) ** 2).sum()


def convolution(p, x, key):
    n, rows, columns, channels = x.shape
    size, out = p.shape[0], p.shape[3]
    y = [
        [
            [
                [
                    sum(
                        x[b, i + di, j + dj, c] * p[di, dj, c, o]
                        for di in range(size)
                        for dj in range(size)
                        for c in range(channels)
                    )
                    for o in range(out)
                ]
                for j in range(columns - size + 1)
            ]
            for i in range(rows - size + 1)
        ]
        for b in range(n)
    ]
    return (np.tanh(y) ** 2).sum()


def recurrent(p, x, key):
    h = np.zeros(len(p[0]))
    for t in range(len(x)):
        h = np.maximum(p[0] @ h + p[1] * x[t], 0.0)
    return (h * h).sum()


def diffusion(p, x, key):
    u = x
    for t in range(6):
        u = u + 0.1 * (np.roll(u, 1, 0) + np.roll(u, 1, 1) - 2.0 * u) + p[t % len(p)] * np.cos(x) * u
    return (u * u).sum()


FORMS = {
    dense: ({"a": RNG.normal(size=(9, 8)), "b": RNG.normal(size=(8, 7)), "c": RNG.normal(size=(7, 6))}, (6, 9)),
    convolution: (0.2 * RNG.normal(size=(2, 2, 5, 6)), (5, 7, 6, 5)),
    recurrent: ([0.5 * RNG.normal(size=(7, 7)), RNG.normal(size=7)], (9,)),
    diffusion: (np.array([0.1, 0.2, -0.1]), (8, 9)),
}
SIZED = {f: (p, np.asarray(RNG.normal(size=shape))) for f, (p, shape) in FORMS.items()}
forms = pytest.mark.parametrize("f", FORMS, ids=lambda f: f.__name__)
HOW = [{}, {"shared": False}, {"shared": None, "replace": True}, {"scheme": "projection"}]


@forms
@pytest.mark.parametrize("how", HOW, ids=str)
def test_what_was_kept_is_enough(f, how, monkeypatch):
    """The same numbers as with the whole estimate; a sample of all is exact, and the value always is."""
    p, x = SIZED[f]
    tape = iv.tape.sample(0.35, "key", **how)
    value, short = iv.value_and_grad(f, tape=tape)(p, x, KEY)
    np.testing.assert_allclose(value, iv.jit(f)(p, x, KEY), rtol=1e-14)
    with monkeypatch.context() as patch:
        patch.setattr(sampled, "restricted", lambda function: function)
        patch.setenv("IVERSON_CACHE_DIR", "off")
        whole = iv.grad(f, tape=tape)(p, x, KEY)
    exact = iv.grad(f)(p, x, KEY)
    for a, b in zip(tree_leaves(short), tree_leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())
    assert not all(np.allclose(a, b) for a, b in zip(tree_leaves(short), tree_leaves(exact), strict=True))
    if how.get("scheme") != "projection" and not how.get("replace"):
        every = iv.grad(f, tape=iv.tape.sample(1.0, "key", **how))(p, x, KEY)
        for a, b in zip(tree_leaves(every), tree_leaves(exact), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12 * np.abs(b).max())


@forms
def test_the_same_key_gives_the_same_bits(f):
    p, x = SIZED[f]
    g = iv.grad(f, tape=iv.tape.sample(0.3, "key"))
    first, again, other = (tree_leaves(g(p, x, key)) for key in (KEY, KEY, KEY + 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("f", [recurrent, diffusion], ids=lambda f: f.__name__)
def test_checkpoints_draw_the_same_numbers(f):
    p, x = SIZED[f]
    sample = iv.tape.sample(0.3, "key")
    plain = iv.grad(f, tape=sample)(p, x, KEY)
    checkpointed = iv.grad(f, tape=(sample, iv.tape.checkpoint(slots=2, block=1)))(p, x, KEY)
    for a, b in zip(tree_leaves(plain), tree_leaves(checkpointed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@forms
def test_forms_are_unbiased(f):
    p, x = SIZED[f]
    exact = np.concatenate([np.ravel(a) for a in tree_leaves(iv.grad(f)(p, x, KEY))])

    def gradient(key):
        g = iv.grad(f, tape=iv.tape.sample(0.4, key, shared=False))(p, x, KEY)
        return np.concatenate([np.ravel(a) for a in tree_leaves(g)])

    mean, variance = moments(gradient, 1500)
    some = variance > 1e-20 * exact**2
    z = (mean - exact)[some] / np.sqrt(variance[some] / 1500)
    assert some.any() and np.abs(z).max() < 4.5
    np.testing.assert_allclose(mean[~some], exact[~some])


def test_work_falls():
    """The return sweep works on what was kept."""
    p, x = RNG.normal(size=(60, 50)), RNG.normal(size=(40, 60))

    def loss(p, x, key):
        return (x @ p).sum()

    def work(g):
        return iv.cost(g)(p, x, KEY).work(x_n0=1000, x_n1=1000, p_n0=1000, p_n1=1000)

    exact, primal = work(iv.value_and_grad(loss)), work(loss)
    part = work(iv.value_and_grad(loss, tape=iv.tape.sample(0.1, "key", replace=True)))
    assert part - primal < 0.2 * (exact - primal)


def test_cost_tells_what_is_kept():
    p, x = SIZED[diffusion]

    def residuals(**options):
        return iv.cost(iv.grad(diffusion, **options))(p, x, KEY).residuals

    whole = max(r.bytes.value for r in residuals() if r.how == "stored")
    kept = [r for r in residuals(tape=iv.tape.sample(0.1, "key", shared=None)) if r.how == "sampled"]
    assert whole == 6 * 72 * 8 and [r.bytes.value for r in kept] == [6 * 7 * 8]
    others = [r for r in residuals(tape=iv.tape.sample(0.1, "key")) if r.how != "sampled"]
    assert all(r.bytes.value < whole for r in others)


def test_masks_take_a_bit():
    p, x = SIZED[dense]
    g = iv.grad(dense, tape=iv.tape.sample(0.1, "key"))
    masks = [r.bytes for r in iv.cost(g)(p, x, KEY).residuals if r.how != "sampled"]
    assert [m.value for m in masks] == [8, 8, 6 * 6 * 8]  # 64 a word, and the last layer
    assert masks[0](x_n0=640, p0_n1=1000) == 640 * 1000 / 8
    loop = iv.cost(iv.grad(recurrent, tape=iv.tape.sample(0.1, "key")))(*SIZED[recurrent], KEY).residuals
    assert [r.bytes.value for r in loop if r.how == "stored"][1:] == [9 * 8]  # a word a turn


def activations(p, x, key):
    """All kinds of masks, of two and of three axes, in a loop and out of it."""
    h = np.abs(x @ p[0])
    h = np.maximum(np.minimum(h, 1.0 - h), h @ p[1])
    total = 0.0
    for _ in range(3):
        h = np.where(h > 0.1, np.maximum(0.0, h @ p[1] - 0.1), -0.5 * h)
        total = total + (h * h).sum()
    cube = np.minimum(h[:, :, None] * p[2], np.array([0.2, np.nan])[0])
    return total + (np.abs(cube) * cube).sum()


def seen(p, x, key):
    """A mask that a loop carries, and some that it stacks."""
    m, s = np.zeros(x.shape, bool), 0.0
    for t in range(4):
        m = m | (x > 0.3 * t)
        s = s + (np.where(x * p[1] > 0.1 * t, x @ p[0], 0.2) ** 2).sum()
    return (np.where(m, np.abs(x @ p[0]), x) ** 2).sum() + s


def test_masks_that_loops_carry():
    p, x = [RNG.normal(size=(9, 9)), 0.7], RNG.normal(size=(8, 9))
    exact = iv.grad(seen, argnums=(0, 1))(p, x, KEY)
    every = iv.grad(seen, argnums=(0, 1), tape=iv.tape.sample(1.0, "key"))(p, x, KEY)
    for a, b in zip(tree_leaves(every), tree_leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


EXACT_OF_ALL = iv.value_and_grad(activations)
BITS_OF_ALL = iv.value_and_grad(activations, tape=iv.tape.sample(1.0, "key", shared=False))


@pytest.mark.parametrize("sizes", [[(9, 7), (8, 8), (5, 13), (6, 64), (7, 65)], [(1, 1)], [(0, 5)]], ids=str)
def test_masks_are_the_same_as_bits(sizes):
    """A sample of all is exact; NaN and zeros are among the values."""
    for rows, columns in sizes:
        p = [RNG.normal(size=(6, columns)), RNG.normal(size=(columns, columns)) / np.sqrt(columns), RNG.normal(size=5)]
        x = RNG.normal(size=(rows, 6))
        for value in 0.0, np.nan:
            x[1:2] = value
            every, exact = tree_leaves(BITS_OF_ALL(p, x, KEY)), tree_leaves(EXACT_OF_ALL(p, x, KEY))
            for a, b in zip(every, exact, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("depth", [2, pytest.param(16, marks=pytest.mark.slow)])
def test_variance_does_not_grow_with_depth(depth):
    width, batch = 16, 10

    def net(ws, x, key):
        for w in ws:
            x = np.maximum(x @ w, 0.0)
        return (x * x).sum()

    ws = [RNG.normal(size=(width, width)) * np.sqrt(2.0 / width) for _ in range(depth)]
    x = RNG.normal(size=(batch, width))
    exact = iv.grad(net)(ws, x, KEY)
    g = iv.grad(net, tape=iv.tape.sample(0.25, "key"))
    draws = [g(ws, x, iv.random.key(s)) for s in range(600)]
    relative = [np.mean([((d[k] - exact[k]) ** 2).sum() for d in draws]) / (exact[k] ** 2).sum() for k in range(depth)]
    assert np.allclose(relative, (width - 4) / 4, rtol=0.15)


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

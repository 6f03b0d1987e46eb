"""`iv.tape.sample` over whole programs: layers, convolutions, recurrences, attention, fields, masks.

Unbiasedness by z-scores of each entry over many keys (tests/run/draws.py); sums over what was kept give what the whole
estimate gives, at less work; the same key gives the same bits.
"""

import numpy as np
import pytest
from optree import tree_leaves

import iverson as iv
from iverson.diff import sampled
from tests.run.draws import KEY, moments, unbiased, z_scores

RNG = np.random.default_rng(7)


# --- many entries -----------------------------------------------------------------------------------------------------

LONG = 5200  # entries, each with a draw of its own
LONG_X, LONG_C = RNG.normal(size=(4, LONG)), RNG.normal(size=4)


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

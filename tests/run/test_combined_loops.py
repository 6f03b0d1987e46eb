"""Loops whose turns do several things at once, of every kind that has a rule of its own: gradients against differences.

Each rule is right by itself; here they share turns, in any order.
"""

import linecache

import numpy as np
import pytest

import iverson as iv

KINDS = {  # what is begun, what a turn does, and what the result has of it
    "sum": ("s = 0.0", "s += np.sin(x[i])", "s"),
    "product": ("p = 1.0", "p *= x[i]", "p"),
    "product of some": ("o = 1.0", "o = o * (1.0 + x[i]) if x[i] > 0.4 else o", "o"),
    "maximum": ("m = -9.0", "m = max(m, np.cos(x[i]))", "m"),
    "minimum": ("w = 9.0", "w = min(w, x[i] * y[i])", "w"),
    "bins": ("h = np.zeros(3)", "h[i % 3] += x[i] * y[i]", "h[0] + 2 * h[1] * h[2]"),
    "maxima in bins": ("t = np.full(3, -2.0)", "t[k[i] % 3] = max(t[k[i] % 3], x[i] * x[i])", "t[0] * t[1] + t[2]"),
    "products in bins": ("u = np.ones(3)", "u[k[i] % 3] *= 1.0 + x[i]", "u[0] * u[1] + u[2]"),
    "elements": ("a = np.zeros(len(x))", "a[i] = np.exp(x[i])", "a[1] * a[2]"),
    "recurrence": ("r = 0.3", "r = 0.5 * r + np.sin(x[i] * r)", "r"),
    "winner": ("b = 0", "b = i if x[i] > x[b] else b", "x[b] * y[b]"),
    "either": ("q = 0.0", "q = q + x[i] * y[i] if y[i] > 0.5 else q - x[i]", "q"),
    "in place": ("v = x.copy()", "v[k[i]] = np.sin(v[i] * y[i])", "v[0] + v[2]"),
}
X, Y, K = np.array([0.31, 0.52, 1.21, 0.73, 0.94]), np.array([0.6, 0.2, 0.9, 0.45, 0.7]), np.array([2, 0, 1, 4, 0])


def loop(kinds):
    """The function of x, y and k whose one loop does all of them."""
    lines = ["def f(x, y, k):", *(f"    {KINDS[kind][0]}" for kind in kinds), "    for i in range(len(x)):"]
    lines += [f"        {KINDS[kind][1]}" for kind in kinds]
    lines += ["    return " + " + ".join(f"{n}.0 * ({KINDS[kind][2]})" for n, kind in enumerate(kinds, 1)), ""]
    name, text = f"<{', '.join(kinds)}>", "\n".join(lines)
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    scope = {"np": np}
    exec(compile(text, name, "exec"), scope)
    return scope["f"]


def check(seed):
    rng = np.random.default_rng(seed)
    kinds = [str(kind) for kind in rng.permutation(list(KINDS))[: rng.integers(2, 7)]]
    f = loop(kinds)
    dx, dy = rng.normal(size=(2, 5))
    gx, gy = iv.grad(f, (0, 1))(X, Y, K)
    h = 1e-6
    along = (f(X + h * dx, Y + h * dy, K) - f(X - h * dx, Y - h * dy, K)) / (2 * h)
    np.testing.assert_allclose(gx @ dx + gy @ dy, along, rtol=1e-6, atol=1e-7, err_msg=f"seed {seed}: {kinds}")


@pytest.mark.parametrize("block", range(4))
def test_gradient(block):
    for seed in range(8 * block, 8 * block + 8):
        check(seed)


@pytest.mark.slow
def test_gradient_of_many():
    for seed in range(32, 1000):
        check(seed)

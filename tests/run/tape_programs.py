"""Programs with loops for budgets: a state that is handed on, updated in place, traded, replaced, read from layers."""

from __future__ import annotations

from typing import Any

import numpy as np

import iverson as iv


def oscillator(x, n):
    s, p = x, 1.0
    for _ in range(n):
        s = np.sin(s) * p + 0.1 * x
        p = p * 0.999 + s * 0.001
    return s + p


def decay(x, n):
    for _ in range(n):
        x = x - 0.01 * np.sin(x)
    return (x**2).sum()


def heat(x, n):
    for _ in range(n):
        y = x.copy()
        for i in range(1, len(x) - 1):
            y[i] = x[i] + 0.1 * np.sin(x[i + 1] - 2 * x[i] + x[i - 1]) * x[i]
        x = y
    return (x**2).sum()


def in_place(x, n):
    x = x.copy()
    for _ in range(n):
        x[1:-1] = x[1:-1] + 0.1 * np.sin(x[2:] - 2 * x[1:-1] + x[:-2]) * x[1:-1]
    return (x**2).sum()


def leapfrog(x, n):
    before, now = x.copy(), x.copy()
    for _ in range(n):
        for i in range(1, len(x) - 1):
            before[i] = 2 * now[i] - before[i] + 0.1 * np.sin(now[i + 1] - 2 * now[i] + now[i - 1])
        before, now = now, before
    return (now**2).sum()


def recurrent(w, x):
    h = np.zeros(len(w))
    for t in range(len(x)):
        h = np.tanh(w @ h + x[t])
    return (h**2).sum()


def layers(w, x):
    h = x
    for k in range(len(w)):
        h = np.tanh(h @ w[k])
    return (h**2).sum()


def branching(x, n):
    for t in range(n):
        if x.sum() > t:
            x = np.cos(x) * x
        else:
            x = np.sin(x) + 0.5
    return x.sum()


def two_loops(x, n, m):
    s = x.copy()
    for _ in range(n):
        s = s + 0.01 * np.sin(s)
    t = np.zeros(len(x))
    for _ in range(m):
        t = t * 0.9 + np.cos(s * t)
    return t.sum()


def nested(x, n):
    for _ in range(n):
        total = 0.0
        for k in range(len(x)):
            total += np.sin(x[k] + total)
        x = x * 0.99 + 0.001 * total
    return x.sum()


def momentum(x, a, n):
    v = np.zeros(len(x))
    for _ in range(n):
        v = 0.9 * v - 0.01 * (a * np.sin(x))
        x = x + v
    return (x * x).sum()


def reaction(u, n):
    for _ in range(n):
        inside = u[1:-1, 1:-1]
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        v = u.copy()
        v[1:-1, 1:-1] = inside + 0.1 * (around - 4.0 * inside) + 0.01 * inside * (1.0 - inside)
        u = v
    return (u**2).sum()


def pairs(x, n):
    v = np.zeros(len(x))
    for _ in range(n):
        d = x[:, None] - x[None, :]
        w = (1.0 + d * d) ** -1.5
        force = (w * d).sum(axis=1) / w.sum(axis=1)
        v = 0.9 * v - 0.1 * force
        x = x + v
    return (x * x).sum()


def until(x, tolerance):
    k = 0
    while x * x > tolerance:
        x = x - 0.1 * np.sin(x)
        k += 1
    return x * k


def walk(x, key, n):
    for t in range(n):
        noise = iv.random.normal(iv.random.fold_in(key, t), (len(x),))
        x = np.sin(x) + 0.1 * noise * x
    return x.sum()


_rng = np.random.default_rng(0)
_x = np.linspace(0.1, 1.0, 100)

BUDGETED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "oscillator": (oscillator, (0.3, 4000)),
    "decay": (decay, (_x, 400)),
    "heat": (heat, (_x, 400)),
    "in_place": (in_place, (_x, 400)),
    "leapfrog": (leapfrog, (_x, 300)),
    "recurrent": (recurrent, (_rng.normal(size=(20, 20)) / 5, _rng.normal(size=(400, 20)))),
    "layers": (layers, (_rng.normal(size=(60, 8, 8)) / 3, _rng.normal(size=(50, 8)))),
    "branching": (branching, (_x, 300)),
    "two_loops": (two_loops, (_x, 300, 200)),
    "nested": (nested, (_x, 200)),
    "momentum": (momentum, (_x, _x, 300)),
    "reaction": (reaction, (_rng.normal(size=(17, 17)), 200)),
    "pairs": (pairs, (_x[:30], 80)),
}

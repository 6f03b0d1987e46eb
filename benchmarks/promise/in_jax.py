"""The same programs in JAX, loop for loop: `lax.fori_loop`, `lax.while_loop` and `x.at[i].set`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

jax.config.update("jax_enable_x64", True)


def tree(parent: Any, theta: Any) -> Any:
    def turn(i: Any, s: Any) -> Any:
        above = s[parent[i]]
        return s.at[i].set(jnp.where(i == 0, theta[i], 0.5 * above + theta[i] * (1.0 - above)))

    s = lax.fori_loop(0, len(theta), turn, jnp.zeros(len(theta)))
    return jnp.sum(s * s)


def downstream(runoff: Any, down: Any) -> Any:
    q = lax.fori_loop(0, len(runoff) - 1, lambda i, q: q.at[down[i]].add(0.5 * jnp.tanh(q[i])), runoff)
    return jnp.sum(q * q)


def seidel(x: Any, sweeps: int) -> Any:
    def turn(i: Any, x: Any) -> Any:
        return x.at[i].set(jnp.tanh(0.5 * (x[i - 1] + x[i + 1]) + 0.1 * x[i]))

    x = lax.fori_loop(0, 4, lambda _, x: lax.fori_loop(1, len(x) - 1, turn, x), x)
    return jnp.sum(x)


def product(x: Any, turns: Any) -> Any:
    return lax.fori_loop(0, turns, lambda k, y: y * jnp.cos(y * x[k % 3]) + 0.5, 1.0)


def lookup(table: Any, start: Any, steps: int) -> Any:
    def turn(t: Any, x: Any) -> Any:
        acc = lax.fori_loop(0, 8, lambda k, acc: acc + table[(t * 7919 + k * 104729) % len(table)] * x, 0.0)
        return jnp.tanh(acc) + 0.5

    return lax.fori_loop(0, steps, turn, start)


def soft_dtw(d: Any) -> Any:
    n, m = d.shape

    def cell(k: Any, r: Any) -> Any:
        i, j = k // m + 1, k % m + 1
        a, b, c = -r[i - 1, j - 1], -r[i - 1, j], -r[i, j - 1]
        top = jnp.maximum(jnp.maximum(a, b), c)
        soft = top + jnp.log(jnp.exp(a - top) + jnp.exp(b - top) + jnp.exp(c - top))
        return r.at[i, j].set(d[i - 1, j - 1] - soft)

    r = jnp.full((n + 1, m + 1), 1e10).at[0, 0].set(0.0)
    return lax.fori_loop(0, n * m, cell, r)[n, m]


def lorenz(state: Any, parameters: Any, steps: int, dt: float) -> Any:
    sigma, rho, beta = parameters

    def slope(s: Any) -> Any:
        x, y, z = s
        return jnp.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])

    def turn(_: Any, s: Any) -> Any:
        k1 = slope(s)
        k2 = slope(s + dt / 2 * k1)
        k3 = slope(s + dt / 2 * k2)
        k4 = slope(s + dt * k3)
        return s + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    s = lax.fori_loop(0, steps, turn, state)
    return jnp.sum(s * s)


def conditional(x: Any, y: Any) -> Any:
    def turn(i: Any, a: Any) -> Any:
        return lax.cond(y[i] > 0.0, lambda a: a.at[i].set(a[i - 1] * y[i]), lambda a: a.at[i - 1].set(a[i] + y[i]), a)

    a = lax.fori_loop(1, len(x), turn, x)
    return jnp.sum(a * a)


def lanes(x: Any, turns: Any) -> Any:
    def lane(v: Any, most: Any) -> Any:
        step = lambda s: (s[0] + 0.1 * jnp.sin(s[0]), s[1] + 1)  # noqa: E731
        return lax.while_loop(lambda s: s[1] < most, step, (v, 0))[0]

    v = jax.vmap(lane)(x, turns)
    return jnp.sum(v * v)


def rosenbrock(x: Any) -> Any:
    def turn(i: Any, total: Any) -> Any:
        return total + 100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2

    return lax.fori_loop(0, len(x) - 1, turn, 0.0)


# program -> function, which arguments are compile-time numbers (a product's bound is not: it is known at run time)
PROGRAMS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "tree recurrence": (tree, ()),
    "downstream accumulation": (downstream, ()),
    "Gauss-Seidel in place": (seidel, (1,)),
    "product, run-time bound": (product, ()),
    "nested loops, look-up": (lookup, (2,)),
    "soft-DTW in place": (soft_dtw, ()),
    "Lorenz RK4": (lorenz, (2, 3)),
    "conditional update": (conditional, ()),
    "while per lane": (lanes, ()),
    "Rosenbrock loop": (rosenbrock, ()),
}

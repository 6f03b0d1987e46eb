"""Evaluations in JAX, as its users write them: whole arrays, `scan` and `fori_loop`.

`FUNCTIONS[name]()` gives a value and a derivative, both compiled, of an evaluation's arguments.  det, ht, particle and
saddle aren't there: a recursion that is unrolled, a model in dicts, derivatives through `while` loops in reverse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp, multigammaln

jax.config.update("jax_enable_x64", True)

Pair = tuple[Callable[..., Any], Callable[..., Any]]


def _of_scalar(function: Callable[..., Any], wrt: int | tuple[int, ...] = 0, static: tuple[int, ...] = ()) -> Pair:
    return jax.jit(function, static_argnums=static), jax.jit(jax.grad(function, wrt), static_argnums=static)


def llsq() -> Pair:
    def primal(x: Any, n: int) -> Any:
        t = -1.0 + 2.0 * jnp.arange(n) / (n - 1)
        return jnp.sum((jnp.sign(t) - jnp.polyval(x[::-1], t)) ** 2) / 2

    return _of_scalar(primal, static=(1,))


def lse() -> Pair:
    return _of_scalar(logsumexp)


def gmm() -> Pair:
    def objective(alpha: Any, mu: Any, q: Any, l: Any, x: Any, gamma: Any, m: Any) -> Any:
        (n, d), k = x.shape, len(alpha)
        columns, rows = jnp.triu_indices(d, 1)  # below the diagonal, column by column
        lower = jnp.zeros((k, d, d)).at[:, rows, columns].set(l)
        r = x[:, None] - mu
        y = jnp.exp(q) * r + jnp.einsum("kab,nkb->nka", lower, r)
        joint = alpha + jnp.sum(q, axis=1) - 0.5 * jnp.sum(y**2, axis=2)
        nu = d + m + 1
        constants = k * (nu * d * (jnp.log(gamma) - 0.5 * math.log(2)) - multigammaln(nu / 2, d))
        prior = m * jnp.sum(q) - 0.5 * gamma**2 * (jnp.sum(jnp.exp(q) ** 2) + jnp.sum(l**2))
        likelihood = jnp.sum(logsumexp(joint, axis=1)) - n * logsumexp(alpha)
        return likelihood - n * d / 2 * math.log(2 * math.pi) + prior + constants

    return _of_scalar(objective, (0, 1, 2, 3))


def lstm() -> Pair:
    def objective(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
        characters, b = sequence.shape

        def turn(state: Any, given: Any) -> Any:
            now, following = given
            x, layers = now * extra[0], []
            for (weight, bias), (h, c) in zip(main, state, strict=True):
                forget = jax.nn.sigmoid(x * weight[0] + bias[0])
                into = jax.nn.sigmoid(h * weight[1] + bias[1])
                out = jax.nn.sigmoid(x * weight[2] + bias[2])
                c = c * forget + into * jnp.tanh(h * weight[3] + bias[3])
                x = out * jnp.tanh(c)
                layers.append((x, c))
            y = x * extra[1] + extra[2]
            return layers, jnp.sum(following * (y - jnp.log(2 + jnp.sum(jnp.exp(y)))))

        start = [(s[0], s[1]) for s in state]
        return -jnp.sum(lax.scan(turn, start, (sequence[:-1], sequence[1:]))[1]) / (b * (characters - 1))

    gradient = jax.grad(objective, (0, 1))
    return jax.jit(objective), jax.jit(lambda *args: jnp.concatenate([g.ravel() for g in gradient(*args)]))


def ode() -> Pair:
    def primal(x: Any, s: int) -> Any:
        h = 2.0 / s

        def slope(y: Any) -> Any:
            return x * jnp.concatenate([jnp.ones(1), y[:-1]])

        def step(_: Any, y: Any) -> Any:
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            k4 = slope(y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        return lax.fori_loop(0, s, step, jnp.zeros(len(x)))

    value, _ = _of_scalar(primal, static=(1,))
    return value, jax.jit(jax.grad(lambda x, s: primal(x, s)[-1]), static_argnums=1)


def kmeans() -> Pair:
    def cost(points: Any, centroids: Any) -> Any:
        distances = jnp.sum(points**2, axis=1)[:, None] + jnp.sum(centroids**2, axis=1) - 2.0 * points @ centroids.T
        return jnp.sum(jnp.min(distances, axis=1))

    def direction(points: Any, centroids: Any) -> Any:
        gradient = jax.grad(lambda c: cost(points, c))
        slope, curvature = jax.jvp(gradient, (centroids,), (jnp.ones_like(centroids),))
        return slope / curvature

    return jax.jit(cost), jax.jit(direction)


def ba() -> Pair:
    def project(camera: Any, point: Any) -> Any:
        r, v = camera[:3], point - camera[3:6]
        square = r @ r
        angle = jnp.sqrt(square)
        axis = r / angle
        c, s = jnp.cos(angle), jnp.sin(angle)
        x, y, z = v * c + jnp.cross(axis, v) * s + axis * (axis @ v) * (1 - c)
        p = jnp.array([x / z, y / z])
        square = p @ p
        return p * (1 + camera[9] * square + camera[10] * square**2) * camera[6] + camera[7:9]

    def error(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        return weight * (project(camera, point) - feature)

    def objective(cameras: Any, points: Any, weights: Any, observations: Any, features: Any) -> Any:
        seen = jax.vmap(error)(cameras[observations[:, 0]], points[observations[:, 1]], weights, features)
        return seen, 1 - weights**2

    def jacobian(cameras: Any, points: Any, weights: Any, observations: Any, features: Any) -> Any:
        p, (c, q) = len(observations), observations.T
        parts = jax.vmap(jax.jacrev(error, (0, 1, 2)))(cameras[c], points[q], weights, features)
        values = jnp.concatenate([parts[0], parts[1], parts[2][..., None]], axis=2)
        first = 11 * len(cameras)
        last = first + 3 * len(points) + jnp.arange(p)
        columns = jnp.concatenate(
            [11 * c[:, None] + jnp.arange(11), first + 3 * q[:, None] + jnp.arange(3), last[:, None]], 1
        )
        rows = jnp.concatenate([15 * jnp.arange(2 * p), 30 * p + jnp.arange(p + 1)])
        cols = jnp.concatenate([jnp.repeat(columns, 2, axis=0).ravel(), last])
        return rows, cols, jnp.concatenate([values.ravel(), -2 * weights])

    return jax.jit(objective), jax.jit(jacobian)


FUNCTIONS: dict[str, Callable[[], Pair]] = {f.__name__: f for f in (llsq, lse, gmm, lstm, ode, kmeans, ba)}

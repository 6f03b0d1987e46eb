"""The functional spellings: iv.cond, iv.fori_loop, iv.while_loop, iv.segment_sum; they run eagerly too."""

import numpy as np

import iverson as iv

from .registry import program


@program(
    args=lambda n, rng: (rng.normal(size=n), 0.5),
    wrt=(0, 1),
    needs=("fori_loop",),
    tags="functional loop recurrence pytree",
)
def fori_loop_pair(x, a):
    def turn(i, carry):
        total, decay = carry
        return total + x[i] * decay, decay * a

    return iv.fori_loop(0, len(x), turn, (0.0, 1.0))


@program(args=lambda n, rng: (rng.normal(size=n), 0.3 * n - 0.5), wrt=(0, 1), needs=("cond",), tags="functional branch")
def cond_on_a_value(x, p):
    return iv.cond(p > 0.0, lambda v: v * p, lambda v: np.sin(v), x)


@program(args=lambda n, rng: (3.0 + n,), wrt=(0,), needs=("while_loop",), tags="functional while recurrence")
def while_loop_square_root(a):
    def apart(state):
        return abs(state[0] * state[0] - a) > 1e-11

    def improve(state):
        x, turns = state
        return 0.5 * (x + a / x), turns + 1

    return iv.while_loop(apart, improve, (a, 0))


@program(
    args=lambda n, rng: (rng.normal(size=(n, 2)), rng.integers(0, 4, size=n)),
    wrt=(0,),
    needs=("segment_sum",),
    tags="functional accumulate scatter",
)
def segment_sums(values, segments):
    return iv.segment_sum(values, segments, 4), iv.segment_sum(values[:, 0] ** 2, segments, 5)


def _turns_to_one(x, rate):
    turns = 0
    while x > 1.0:
        x = x * rate
        turns += 1
    return x * x, turns


def _running_products(row, first):
    row[0] = first
    for i in range(1, len(row)):
        row[i] *= row[i - 1]
    return row


@program(
    args=lambda n, rng: (rng.uniform(0.5, 9.5, size=n), 0.7),
    wrt=(0, 1),
    needs=("vmap",),
    tags="functional while recurrence map",
)
def vmap_of_a_while(x, rate):
    return iv.vmap(_turns_to_one, in_axes=(0, None))(x, rate)


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=3)),
    wrt=(0, 1),
    sizes=(1, 2, 5),
    needs=("vmap",),
    tags="functional inplace map",
)
def vmap_of_a_mutation(rows, first):
    return iv.vmap(_running_products, in_axes=(1, 0), out_axes=-1)(np.concatenate((rows, rows)), first)


@program(
    args=lambda n, rng: ({"a": rng.normal(size=(n, 2)), "b": rng.normal(size=2)}, rng.normal(size=(4, n))),
    wrt=(0, 1),
    needs=("vmap",),
    tags="functional map pytree contraction",
)
def vmap_of_a_vmap(p, y):
    def pair(q, v):
        return q["a"] @ v * q["b"], v @ v

    return iv.vmap(lambda v: iv.vmap(pair, in_axes=({"a": 1, "b": 0}, None))(p, v))(y)


@iv.custom_vjp
def _squashed(x, scale):
    return np.tanh(x * scale)


def _squashed_forward(x, scale):
    y = _squashed(x, scale)
    return y, (x, scale, y)


def _squashed_backward(kept, ct):
    x, scale, y = kept
    slope = ct * (1.0 - y * y)
    return slope * scale, np.sum(slope * x)


_squashed.defvjp(_squashed_forward, _squashed_backward)


@iv.custom_jvp
def _distance(a, b):
    return np.sqrt(a * a + b * b)


_distance.defjvps(lambda t, d, a, b: t * a / d, lambda t, d, a, b: t * b / d)


@program(
    args=lambda n, rng: (rng.normal(size=n), 0.7, rng.integers(0, n + 1)),
    wrt=(0, 1),
    needs=("custom_vjp",),
    tags="functional loop recurrence",
)
def custom_vjp_in_a_loop(x, scale, turns):
    total = 0.0
    for k in range(turns):
        x = _squashed(x, scale + k)
        total += np.sum(x)
    return total, x


@program(
    args=lambda n, rng: (rng.uniform(0.5, 1.5, size=n), 0.3),
    wrt=(0, 1),
    needs=("custom_jvp", "vmap"),
    tags="functional while branch map",
)
def custom_jvp_in_lanes_of_whiles(x, step):
    def walk(v):
        far = 0.0
        while far < 3.0:
            far = _distance(far, v) + step if far < 1.0 else _distance(far + step, 2.0 * v)
        return far

    return iv.vmap(walk)(x)

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

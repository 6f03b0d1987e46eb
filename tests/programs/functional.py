"""The functional spellings, and monoids of the user; they run eagerly too."""

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


# --- monoids of the user ----------------------------------------------------------------------------------------------


def compose(f, g):
    """x -> f[0] x + f[1], then g."""
    return f[0] * g[0], g[0] * f[1] + g[1]


def times(p, q):
    """The product of two 2x2 matrices, as tuples."""
    a, b, c, d = p
    e, f, g, h = q
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def log_add(p, q):
    """(maximum, sum of exponentials beside it), of two parts."""
    top = np.maximum(p[0], q[0])
    return top, p[1] * np.exp(p[0] - top) + q[1] * np.exp(q[0] - top)


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n), 0.7),
    wrt=(0, 1, 2),
    needs=("reduce", "scan"),
    tags="functional monoid recurrence scan pytree",
)
def linear_recurrence_as_a_scan(a, b, start):
    scale, shift = iv.scan(compose, (a, b), (1.0, 0.0))
    total = iv.reduce(compose, (1.0, 0.0), (a, b))
    return scale * start + shift, total[0] * start + total[1]


@program(
    args=lambda n, rng: (1.0 + 0.3 * rng.normal(size=(n, 4)),),
    wrt=(0,),
    needs=("reduce", "scan"),
    tags="functional monoid scan pytree",
)
def products_of_matrices(m):
    columns = tuple(m[:, k] for k in range(4))
    one = (1.0, 0.0, 0.0, 1.0)
    before = iv.scan(times, columns, one, exclusive=True, reverse=True)
    return iv.reduce(times, one, columns)[1], before[2]


@program(
    args=lambda n, rng: (rng.normal(size=n),),
    wrt=(0,),
    needs=("reduce", "scan"),
    tags="functional monoid scan pytree",
)
def log_sum_exp_of_prefixes(x):
    top, rest = iv.scan(log_add, (x, np.ones(len(x))), (-np.inf, 0.0))
    return top + np.log(rest)


@program(
    args=lambda n, rng: (rng.uniform(size=n), 1.6, 0.3),
    wrt=(0, 1, 2),
    needs=("reduce", "scan"),
    tags="functional monoid scan",
)
def operators_with_free_variables(x, cap, s):
    """A sum that saturates, and x + y + s x y."""
    levels = iv.scan(lambda a, b: np.minimum(a + b, cap), x, 0.0)
    return levels, iv.reduce(lambda a, b: a + b + s * a * b, 0.0, x)


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=3), rng.normal(size=(n, 2, 2)) * 0.4),
    wrt=(0, 1, 2),
    needs=("reduce", "scan"),
    tags="functional monoid scan",
)
def monoids_of_rows(x, w, m):
    """Rows combined element by element, with a row that is free; and matrices by their product."""
    rows = iv.scan(lambda a, b: a + b + w * a * b, x, np.zeros(3))
    return rows, iv.reduce(lambda a, b: a @ b, np.eye(2), np.eye(2) + m)


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n), rng.integers(0, 3, size=n), rng.normal(size=3)),
    wrt=(0, 1, 3),
    needs=("histogram",),
    tags="functional monoid accumulate scatter",
)
def histograms_of_monoids(x, y, at, start):
    least = iv.histogram(np.minimum, np.inf, at, x, 3, initial=start)
    product = iv.histogram(lambda a, b: a * b, 1.0, at, y, 3)
    scale, shift = iv.histogram(compose, (1.0, 0.0), at - 1, (x, y), 2, mode="drop")
    return least, product, scale, shift


@program(
    args=lambda n, rng: (1.5 + 0.3 * rng.normal(size=n), 0.2 * rng.normal(size=n)),
    wrt=(0, 1),
    needs=("reduce",),
    tags="functional monoid pytree",
)
def a_reduction_with_an_inverse(p, s):
    """(p + q + s t, s + t): the sums of squares that the pairs' sums leave."""

    def join(a, b):
        return a[0] + b[0] + a[1] * b[1], a[1] + b[1]

    def without(y, a):
        s = y[1] - a[1]
        return y[0] - a[0] - s * a[1], s

    return iv.reduce(join, (0.0, 0.0), (p, s), inverse=without)


@program(
    args=lambda n, rng: (rng.normal(size=(n, 4)), 0.4),
    wrt=(0, 1),
    needs=("reduce",),
    tags="functional monoid loop",
)
def many_short_reductions(x, s):
    """A reduction for each row, and one whose operator follows from the turn before."""
    rows = np.array([iv.reduce(lambda a, b: a + b + s * a * b, 0.0, x[i]) for i in range(len(x))])
    for i in range(len(x)):
        s = np.sin(s + iv.reduce(lambda a, b, s=s: a + b + s * a * b, 0.0, x[i]))
    return rows, s

"""Corners: empty things, NaN and infinity, dead code, unused inputs, scoping, errors a program means."""

import math

import numpy as np

from .registry import program


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(0, 3)), n), wrt=(0, 1), tags="size sum reduction slice"
)
def empty_arrays(x, empty, n):
    nothing = sum(x[i] for i in range(n, n))
    products = math.prod(v for v in x[:0])
    total = 0.0
    for row in empty:
        total += row.sum()
    return nothing + products + total, empty.T @ empty, empty.sum(axis=0), np.concatenate([x[:0], x]), x[n:].sum()


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n), 2.0), wrt=(0, 1, 2), tags="call sum")
def unused_inputs_and_dead_code(x, y, z):
    unused = [math.exp(v) for v in y]
    for _ in range(3):
        unused = [v * v for v in unused]
    return x.sum(), 4.0


@program(args=lambda n, rng: (rng.normal(size=n), 1.0), wrt=(0, 1), tags="pytree alias")
def results_are_inputs(x, a):
    return x, a, x, [a, x[:1]]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), smooth=False, tags="nan prim minmax sum numpy")
def infinities_and_nans(x):
    big = np.exp(x * 1e4)
    return (
        big,
        np.log(np.zeros(len(x))),
        big - big,
        np.where(np.isinf(big), 0.0, x),
        np.isnan(big - big),
        np.tanh(big),
        1.0 / (x * 0.0),
    )


@program(
    args=lambda n, rng: (np.where(np.arange(n) == 1, np.nan, rng.normal(size=n)),),
    sizes=(1, 2, 5),
    tags="nan minmax numpy reduction",
)
def nan_in_reductions(x):
    return np.max(x), np.min(x), np.sum(x), np.maximum(x, 0.0), np.isnan(x), np.nan_to_num(x), np.fmax(x, 0.0), x == x


@program(
    args=lambda n, rng: (np.where(np.arange(n) % 2 == 0, 0.0, rng.normal(size=n)),),
    wrt=(0,),
    smooth=False,
    tags="nan branch sum map",
)
def norm_with_a_guard_at_zero(x):
    def length(v):
        return math.sqrt(v * v) if v != 0.0 else 0.0

    safe = np.where(x == 0.0, 1.0, x)
    return [length(v) for v in x], np.where(x == 0.0, 0.0, np.log(safe * safe)), np.sign(x), x * 0.0


@program(
    args=lambda n, rng: (np.array([-0.0, 0.0, 1e-310, -1e308, 1e308, 5e-324, np.inf, -np.inf])[:n], n),
    sizes=(0, 1, 2, 5, 8),
    tags="nan prim numpy",
)
def signed_zeros_and_extremes(x, n):
    return (
        1.0 / x,
        np.copysign(1.0, x),
        x * 10.0,
        np.sqrt(np.abs(x)),
        np.arctan(x),
        x - x,
        np.signbit(x),
        np.minimum(x, -x),
    )


@program(
    args=lambda n, rng: (np.round(rng.normal(size=n)), np.zeros(n)),
    wrt=(0,),
    smooth=False,
    tags="minmax reduction branch",
)
def ties_go_to_the_first(x, zeros):
    first_max = max(v for v in zeros) if len(zeros) > 0 else 0.0
    return (
        np.max(x, initial=-5.0),
        np.maximum(x, zeros),
        min(0.0, 0.0),
        first_max,
        np.abs(zeros),
        np.argmax(np.append(zeros, 0.0)),
    )


@program(args=lambda n, rng: (rng.uniform(0.5, 1.0, size=n), n), wrt=(0,), raises={0: AssertionError}, tags="error sum")
def assertion_on_arguments(x, n):
    assert n > 0, "there must be at least one weight"
    assert np.all(x > 0.0), f"weights must be positive, not {x}"
    return x / x.sum()


@program(
    args=lambda n, rng: (rng.normal(size=n), np.arange(n) + (1 if n == 2 else 0)),
    wrt=(0,),
    raises={2: IndexError},
    tags="error index loop",
)
def index_out_of_range(x, index):
    total = 0.0
    for i in range(len(index)):
        total += x[index[i]] ** 2
    return total


@program(
    args=lambda n, rng: (n, 10),
    sizes=(0, 1, 2, 5),
    raises={0: ZeroDivisionError, 1: ValueError, 2: ValueError},
    tags="error exit",
)
def explicit_raise(n, m):
    ratio = m // n
    if ratio > 4:
        raise ValueError("too few")
    return ratio


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n + (1 if n == 5 else 0))),
    raises={5: ValueError},
    sizes=(0, 2, 3, 5),
    tags="error numpy",
)
def shapes_that_do_not_match(x, y):
    return x + y


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), raises={0: ValueError}, tags="error minmax reduction")
def maximum_of_nothing(x):
    return max(v for v in x) - np.min(x)


@program(args=lambda n, rng: (rng.normal(size=n), 0.5), wrt=(0, 1), tags="loop comprehension call")
def names_and_scopes(x, i):
    squares = [i * i for i in x]
    total = sum(i for i in x) + i
    k = -1
    for k in range(len(x)):
        inner = x[k] * i
        total += inner
    _, *rest = (total, i, 2.0)
    del rest[0]
    return squares, total, k, i, rest


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop index branch")
def walrus_and_unpacking(x):
    total = 0.0
    for i in range(len(x)):
        if (v := x[i] * 2.0) > 1.0:
            total += v
        low, high = (v, 1.0) if v < 1.0 else (1.0, v)
        total += (high - low) * 0.1
    return total


@program(args=lambda n, rng: (1.5 + 0.1 * n, 2), wrt=(0,), tags="prim branch unroll")
def scalars_only(x, n):
    y = x**n + x**-1 + 2.0**x + (-x) ** 3 + x**0.5 + x**0
    z = -y if y < 0 else +y
    return round(z, 0) * 0.0 + z // 1 * x, divmod(7, n)[1] * x, z


@program(
    args=lambda n, rng: (rng.normal(size=n), np.float64(0.3), np.array(0.7)), wrt=(0, 1, 2), tags="dtype slice numpy"
)
def zero_dimensional_arrays(x, a, b):
    c = b * 2.0
    return x * b + a, c[()] * a, np.sum(b) * a, x.sum() * c, np.array(a) + 1.0


@program(
    args=lambda n, rng: (rng.normal(size=(n, 1)), rng.normal(size=(1, n)), rng.normal(size=(1, 1))),
    wrt=(0, 1, 2),
    large=60,
    tags="size numpy sum",
)
def axes_of_length_one(column, row, one):
    return (
        column + row,
        column * one,
        (column @ row).sum(axis=0, keepdims=True),
        one @ row,
        (row @ column)[0, 0],
        (column - one).squeeze(axis=1),
        one.squeeze(),
    )


@program(
    args=lambda n, rng: (rng.normal(size=(2, 3, 4)) * (1.0 + n), rng.normal(size=(4, 4, 4))),
    wrt=(0, 1),
    tags="size loop unroll sum",
)
def short_axes(a, b):
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for k in range(a.shape[2]):
                total += a[i, j, k] * b[k, i, j]
    return total, np.einsum("ijk,kij->", a, b[:, :2, :3])


@program(
    args=lambda n, rng: (rng.normal(size=(n, 2 * n, n // 2 + 1)),),
    wrt=(0,),
    large=15,
    tags="size comprehension reduction",
)
def arithmetic_of_sizes(a):
    n, m, k = a.shape
    assert m == 2 * n
    halves = [[a[i, 2 * i + 1, 0] * (m - n) for i in range(n // 2)] for _ in range(k)]
    return np.zeros((m - n, k)).size, halves, sum(a[i % n, i, i * k // (m + 1)] for i in range(n)), n * m * k - a.size

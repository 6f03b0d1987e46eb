"""Views: slices, steps, negative indices, newaxis, reshape, transposition; reading through them."""

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.normal(size=n + 3),), wrt=(0,), tags="slice index")
def negative_indices(x):
    return x[-1] * x[-2] + x[-len(x)], x[-3:], x[:-2] * x[2:], x[-2:-1]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="slice sum")
def slices_beyond_the_end(x):
    return x[2:].sum(), x[:100] * 2.0, x[5:2], x[-100:], x[:-100], x[1:100:2], x[100:]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="slice")
def steps_and_reversal(x):
    return x[::2], x[1::3], x[::-1], x[::-2], x[-2::-1], x[3:0:-1], x[:0:-1] + x[1:], x[::-1][::2]


@program(args=lambda n, rng: (rng.normal(size=(n, n + 2)), n // 2), wrt=(0,), large=60, tags="slice size index")
def run_time_bounds(a, k):
    left, right = a[:, :k], a[:, k:]
    return left.sum(), right.sum(axis=0), a[k:, k], a[: k // 2, -1], a[k : k + 2, 1:-1]


@program(args=lambda n, rng: (rng.normal(size=(n, 3, n + 1)),), wrt=(0,), large=40, tags="slice size")
def newaxis_and_ellipsis(t):
    first = t[..., 0]
    return first[:, None, :] * first[None, :, :], t[:, np.newaxis, 1].sum(axis=1), t[..., -1:, 1:], t[:, 2, ...]


@program(args=lambda n, rng: (rng.normal(size=(n, 6)),), wrt=(0,), tags="slice size numpy")
def reshapes(a):
    n = a.shape[0]
    flat = a.reshape(-1)
    blocks = a.reshape(n, 2, 3)
    return flat[::-1], blocks[:, 1, :] * blocks[:, 0, :], np.reshape(a, (3, 2 * n)).sum(axis=1), a.ravel()[n:]


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 1)), rng.normal(size=(2, 3, n))),
    wrt=(0, 1),
    raises={0: IndexError},
    large=60,
    tags="slice",
)
def transpositions(a, t):
    return (
        a.T * 2.0,
        a.T[0],
        a.T[:, ::-1][1:],
        t.T,
        np.transpose(t, (1, 2, 0)),
        t.swapaxes(0, 2)[0],
        np.moveaxis(t, 0, -1),
    )


@program(args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), sizes=(1, 2, 5), large=60, tags="slice index sum")
def chained_indexing(a):
    n = len(a)
    total = 0.0
    for i in range(n):
        total += a[i][n - 1 - i] * a.T[i][-1]
    return total + a[0][0] + a[-1, :][::-1][0] + a[:, -1][0]


@program(
    args=lambda n, rng: (rng.normal(size=3 * n + 4)[1::3], rng.normal(size=(n + 1, 2 * n + 2))[:, ::2].T),
    wrt=(0, 1),
    tags="slice map",
)
def strided_inputs(x, a):
    return x * 2.0 + x[::-1], a.sum(axis=1), a[:, 0] * a[:, -1]


@program(
    args=lambda n, rng: (np.asfortranarray(rng.normal(size=(n, n + 1))), rng.normal(size=n)[::-1]),
    wrt=(0, 1),
    large=60,
    tags="slice contraction",
)
def column_major_inputs(a, x):
    return x @ a, a[0:1] * 3.0, [a[i, i] * x[i] for i in range(len(x))]


@program(args=lambda n, rng: (rng.normal(size=(n, 3)),), wrt=(0,), tags="iterate slice unroll")
def unpack_columns(points):
    x, y, z = points.T
    r2 = x * x + y * y + z * z
    total = 0.0
    for px, py, pz in points:
        total += px * py * pz
    return r2, total


@program(args=lambda n, rng: (rng.normal(size=(n, n + 2)),), wrt=(0,), large=60, tags="iterate slice")
def iterate_rows(a):
    best = 0.0
    for row in a:
        best += np.max(row) * row[0]
    for i, row in enumerate(a[:, 1:]):
        best += i * row.sum()
    for row, column in zip(a, a.T):
        best += row[-1] * column[0]
    return best


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n + 2)), wrt=(0, 1), tags="iterate loop")
def zip_and_enumerate(x, y):
    total = 0.0
    for a, b in zip(x, y):
        total += a * b
    for i, (a, b) in enumerate(zip(x[::-1], y)):
        total -= a * b / (i + 1)
    for i, v in enumerate(x, start=1):
        total += v / i
    return total, [a - b for a, b in zip(x, y)], [k * v for k, v in enumerate(y)]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="iterate loop scan")
def reversed_iteration(x):
    decay = 0.0
    for v in reversed(x):
        decay = 0.5 * decay + v
    for i in reversed(range(len(x))):
        decay = 0.5 * decay + x[i] * i
    return decay


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)),),
    wrt=(0,),
    raises={0: IndexError},
    mutates=(0,),
    large=60,
    tags="slice update mutation",
)
def assign_to_slices(a):
    a[1:, 0] = a[:-1, -1] * 2.0
    a[::2, 1:] += 1.0
    a[:, -1:] *= 0.5
    a[-1:] = 7.0
    a[:1, ::-1] = a[:1, :].copy()
    a[1:-1, 1:-1] -= a[:-2, 1:-1]


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="slice update alias")
def overlapping_slices(x, y):
    a, b = x.copy(), y.copy()
    a[1:] = a[:-1]
    b[:-1] += b[1:]
    b[::-1] = b * 2.0
    return a, b


@program(
    args=lambda n, rng: (rng.normal(size=(n, 4)), rng.normal(size=4), rng.normal(size=n)),
    wrt=(0, 1, 2),
    mutates=(0,),
    tags="slice update mutation",
)
def broadcast_assignment(a, row, column):
    a[:] = row
    a[:, 1:3] *= column[:, None]
    a[:, 3] = column
    a[...] += 0.25


@program(
    args=lambda n, rng: (rng.normal(size=2 * n + 5), rng.normal(size=5)),
    wrt=(0, 1),
    tags="comprehension slice size",
)
def windows_of_one_length(x, w):
    """Slices whose length is the same in every element, although their ends are not."""
    smooth = [x[i : i + len(w)] * w for i in range(len(x) - len(w) + 1)]
    around = [x[i - 1 : i + 2] for i in range(1, len(x) - 1)]
    pairs = [np.concatenate([x[2 * i : 2 * i + 2], w[:3]]) for i in range(len(x) // 2)]
    return smooth, around, pairs


@program(
    args=lambda n, rng: (rng.normal(size=(n + 5, n + 6)), rng.normal(size=(5, 5))),
    wrt=(0, 1),
    large=30,
    tags="comprehension slice size contraction",
)
def patches_of_an_image(image, kernel):
    (h, w), k = image.shape, len(kernel)
    patches = np.array([[image[i : i + k, j : j + k] for j in range(w - k + 1)] for i in range(h - k + 1)])
    return [[np.sum(p * kernel) for p in row] for row in patches]


@program(
    args=lambda n, rng: (rng.normal(size=n + 6), rng.integers(-3, 3, size=n)),
    wrt=(0,),
    mutates=(0,),
    tags="slice index update loop alias scatter",
)
def views_at_computed_indices(x, k):
    inner, odd = x[2:-1], x[1::2].copy()
    total = 0.0
    for i in range(len(k)):
        total += inner[k[i]] * odd[k[i]]
        inner[k[i]] = 0.5 * total
    return total + inner[k].sum() + x[:-3].sum()

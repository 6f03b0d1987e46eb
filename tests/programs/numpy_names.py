"""NumPy's names: creation, manipulation, selection."""

import numpy as np

from .registry import program


@program(args=lambda n, rng: (n, 0.5), wrt=(1,), tags="numpy size map")
def creation(n, x):
    a = np.zeros(n) + np.ones(n) * x
    b = np.full((n, 2), x) + np.arange(2)
    c = np.linspace(0.0, x, n + 1)
    d = np.arange(n) * x + np.arange(1.0, n + 1.0, 1.0)
    e = np.eye(n) * x + np.identity(n)
    f = np.zeros_like(a) + np.ones_like(a) + np.full_like(a, x)
    return a, b, c, d, e, f, np.arange(n - 1, -1, -1), np.arange(2, 2 * n, 3)


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n + 1), 0.5), wrt=(0, 1, 2), tags="numpy")
def joining(x, y, s):
    ends = np.array([s, 2.0 * s])
    joined = np.concatenate([x, ends, y[1:], x[::-1]])
    return joined, np.hstack((x, y)), np.append(x, s), np.concatenate((x, y)) ** 2


@program(args=lambda n, rng: (rng.normal(size=(n, 2)), rng.normal(size=(n, 2))), wrt=(0, 1), tags="numpy")
def stacking(a, b):
    return (
        np.stack([a, b]),
        np.stack([a, b], axis=-1)[..., 0],
        np.vstack((a, b)),
        np.concatenate((a, b), axis=1),
        np.column_stack([a[:, 0], b[:, 1]]),
    )


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(n, 3))), wrt=(0, 1), tags="numpy index")
def rolls_and_flips(x, a):
    return (
        np.roll(x, 2),
        np.roll(x, -1) * x,
        np.flip(x),
        np.flip(a, axis=0),
        a[:, ::-1],
        np.roll(a, 1, axis=1),
        np.fliplr(a),
    )


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(n, 2))), wrt=(0, 1), tags="numpy index size")
def repeats_and_tiles(x, a):
    return np.repeat(x, 3), np.tile(x, 2), np.tile(a, (2, 3)), np.repeat(a, 2, axis=1), np.broadcast_to(x, (3, len(x)))


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)), rng.normal(size=n)), wrt=(0, 1), large=60, tags="numpy index map"
)
def triangles_and_diagonals(a, x):
    return np.tril(a), np.triu(a, 1), np.tril(a, -1) @ x, np.diag(a), np.diag(x), np.trace(a), np.triu(a, -1).sum()


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n + 1)), wrt=(0, 1), tags="numpy map")
def outer_operations(x, y):
    return np.outer(x, y), np.subtract.outer(x, y) ** 2, np.add.outer(x, y).sum(axis=0), np.multiply.outer(x, y)


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), rng.normal(size=3)),
    wrt=(0, 1, 2),
    tags="numpy branch mask",
)
def nested_where(a, b, c):
    return (
        np.where(a > b, a, np.where(b > c, b * c, 0.0)),
        np.where(a[:, :1] > 0.0, b, c),
        np.select([a > 1.0, a > 0.0], [b, a * a], default=-1.0),
    )


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(n, 4))),
    wrt=(0, 1),
    sizes=(1, 2, 5),
    tags="numpy minmax sum",
)
def extrema(x, a):
    return (
        np.max(x) - np.min(x),
        x.max(),
        a.min(axis=1),
        np.amax(a, axis=0),
        np.ptp(x),
        a.max(axis=1, keepdims=True) - a,
    )


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(n, 3))),
    wrt=(0, 1),
    sizes=(1, 2, 5),
    tags="numpy library gather index",
)
def sorting(x, a):
    order = np.argsort(x)
    return np.sort(x), x[order] * np.arange(len(x)), order, np.sort(a, axis=1), np.median(a, axis=1)


@program(
    args=lambda n, rng: (rng.normal(size=n), np.linspace(0.0, 1.0, n)),
    wrt=(0,),
    sizes=(2, 3, 5),
    tags="numpy slice sum",
)
def differences_and_quadrature(y, x):
    return np.diff(y), np.diff(y, n=2), np.sum(0.5 * (y[1:] + y[:-1]) * np.diff(x)), np.gradient(y)


@program(args=lambda n, rng: (rng.normal(size=n), 2.0, -1.0), wrt=(0, 1, 2), tags="numpy prim index")
def methods_and_attributes(x, a, b):
    y = x.copy().astype(np.float64).reshape(-1, 1)
    return (
        y.size * a,
        y.ndim * b,
        y.T.shape[0] * x.sum(),
        y.flatten() * a,
        x.dot(x),
        x.clip(-0.5, 0.5).sum(),
        x.mean() if x.size else b,
    )


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="numpy update alias")
def ufunc_out_argument(x, y):
    result = np.empty_like(x)
    np.multiply(x, y, out=result)
    np.add(result, 1.0, result)
    return result


@program(args=lambda n, rng: (rng.normal(size=n + 2), rng.normal(size=3)), wrt=(0, 1), tags="numpy contraction")
def convolutions(signal, kernel):
    return np.convolve(signal, kernel, mode="valid"), np.convolve(signal, kernel)


@program(args=lambda n, rng: (n + 1, 0.3), wrt=(1,), large=60, tags="numpy size map")
def meshes(n, scale):
    x, y = np.meshgrid(np.linspace(0.0, 1.0, n), np.linspace(-1.0, 1.0, n + 1))
    i, j = np.indices((n, n))
    return np.exp(-scale * (x**2 + y**2)), (i - j) * scale

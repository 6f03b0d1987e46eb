"""Programs for the names of the NumPy table that make, view and join arrays."""

import numpy as np

from tests.lang.numpy_cases import case

# --- creation ---------------------------------------------------------------------------------------------------------

for f in (np.zeros, np.ones):
    case(
        f,
        "N",
        lambda n, f=f: f(n),
        lambda n, f=f: f((n, 3), dtype=np.int32),
        lambda n, f=f: f((2, n), bool),
        lambda n, f=f: f(()),
    )
case(np.empty, "N", lambda n: np.empty((n, 2)).shape)
case(np.ndarray, "N", lambda n: np.ndarray((n, 2), dtype=np.float32).shape)
case(np.full, "N", lambda n: np.full((n, 2), 1.5), lambda n: np.full(n, 3), lambda n: np.full(n, 2, dtype=np.float32))
case(np.full, "v", lambda x: np.full((3, len(x)), x), lambda x: np.full(4, x[0]))
for f in (np.zeros_like, np.ones_like):
    case(f, "m i b f", lambda x, f=f: f(x), lambda x, f=f: f(x, dtype=float), lambda x, f=f: f(x, shape=(2, 3)))
case(np.empty_like, "m", lambda x: np.empty_like(x).shape)
case(np.full_like, "m i f", lambda x: np.full_like(x, 2), lambda x: np.full_like(x, 7, dtype=np.float64))
case(
    np.arange,
    "N",
    lambda n: np.arange(n),
    lambda n: np.arange(2, n),
    lambda n: np.arange(n, 2, -2),
    lambda n: np.arange(2, n, 3),
    lambda n: np.arange(n, dtype=np.float32),
    lambda n: np.arange(0.5, n, 0.3),
    lambda n: np.arange(n, 0),
    lambda n: np.arange(0.0),
)
case(
    np.linspace,
    "N",
    lambda n: np.linspace(0.0, 1.0, n),
    lambda n: np.linspace(-1, 2, n, endpoint=False),
    lambda n: np.linspace(0, 5, 1),
    lambda n: np.linspace(0, 9, n, dtype=np.int64),
    lambda n: np.linspace(0.0, 1.0, n, retstep=True),
    lambda n: np.linspace(2, 2, n),
)
case(np.linspace, "k,l", lambda a, b: np.linspace(a, b, 4), lambda a, b: np.linspace(a, b, 4, axis=-1))
case(np.logspace, "N", lambda n: np.logspace(-1, 1, n), lambda n: np.logspace(0, 2, n, base=2.0))
case(np.geomspace, "N", lambda n: np.geomspace(1.0, 100.0, n), lambda n: np.geomspace(-1.0, -8.0, 4))
case(
    np.eye,
    "N",
    lambda n: np.eye(n),
    lambda n: np.eye(n, 3),
    lambda n: np.eye(3, n, k=-1, dtype=np.int32),
    lambda n: np.eye(n, k=2),
)
case(np.identity, "N", lambda n: np.identity(n))
case(np.tri, "N", lambda n: np.tri(n), lambda n: np.tri(n, 4, 1), lambda n: np.tri(4, n, -1, dtype=bool))
case(
    np.meshgrid,
    "v,k",
    lambda x, y: np.meshgrid(x, y),
    lambda x, y: np.meshgrid(x, y, indexing="ij"),
    lambda x, y: np.meshgrid(x, y, sparse=True),
)
case(np.meshgrid, "v,k,o", lambda x, y, z: np.meshgrid(x, y, z))
case(np.indices, "N", lambda n: np.indices((n, 3)), lambda n: np.indices((2, n), sparse=True))
case(
    np.fromfunction,
    "N",
    lambda n: np.fromfunction(lambda i, j: i * 10 + j, (n, 3)),
    lambda n: np.fromfunction(lambda i: i, (n,), dtype=int),
)
case(np.diag_indices, "q", lambda x: x[np.diag_indices(len(x))])
case(np.tril_indices, "N", lambda n: np.tril_indices(n), lambda n: np.tril_indices(4, -1, 6))
case(np.triu_indices, "N", lambda n: np.triu_indices(n), lambda n: np.triu_indices(4, 1))
case(np.tril_indices_from, "q", lambda x: x[np.tril_indices_from(x)])
case(np.triu_indices_from, "q", lambda x: x[np.triu_indices_from(x, 1)])
case(np.vander, "v i", lambda x: np.vander(x), lambda x: np.vander(x, 3, increasing=True))
case(
    np.array,
    "v",
    lambda x: np.array(x),
    lambda x: np.array([x, x + 1]),
    lambda x: np.array([x[0], 2.0, 3]),
    lambda x: np.array([[1, 2], [3, 4]]),
    lambda x: np.array(x, dtype=np.float32),
    lambda x: np.array([]),
    lambda x: np.array(x, ndmin=2),
    lambda x: np.array([[x[0], 1], [2, x[1]]]),
    lambda x: np.array([True, False]),
    lambda x: np.array([k * k for k in range(len(x))]),
)
for f in (np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require):
    case(f, "v", lambda x, f=f: f(x), lambda x, f=f: f(x, dtype=np.float32), lambda x, f=f: f([x[0], 1.0]))
case(np.copy, "m", lambda x: np.copy(x), lambda x: x.copy(), lambda x: np.copy(x.T))


def _copyto(x, y):
    z = np.zeros(x.shape)
    np.copyto(z, x)
    np.copyto(z, y, where=x > 0)
    return z


case(np.copyto, "v,w", _copyto)
for f in (np.bool_, np.int32, np.int64, np.float32, np.float64):
    case(f, "v i b", lambda x, f=f: f(x), lambda x, f=f: f(x[0]), lambda x, f=f: x.astype(f))

# --- shapes -----------------------------------------------------------------------------------------------------------

case(np.shape, "m e x", lambda x: np.shape(x))
case(np.ndim, "m e x", lambda x: np.ndim(x))
case(np.size, "m e x", lambda x: np.size(x))
case(np.size, "m", lambda x: np.size(x, 0), lambda x: x.size)
case(
    np.reshape,
    "m",
    lambda x: np.reshape(x, (7, 6)),
    lambda x: x.reshape(-1),
    lambda x: x.reshape(3, -1),
    lambda x: np.reshape(x.T, (6, 7)),
    lambda x: x.reshape((2, 3, 7)),
)
case(
    np.reshape, "e em s oo", lambda x: x.reshape(-1), lambda x: np.reshape(x, (-1, 3)) if x.size != 1 else x.reshape(())
)
case(np.ravel, "m s t em", lambda x: np.ravel(x), lambda x: x.ravel(), lambda x: x.T.ravel(), lambda x: x.flatten())
case(np.expand_dims, "m v", lambda x: np.expand_dims(x, 0), lambda x: np.expand_dims(x, (0, -1)), lambda x: x[:, None])
case(np.squeeze, "oo o", lambda x: np.squeeze(x), lambda x: np.squeeze(x, 0), lambda x: x.squeeze())
case(np.squeeze, "m", lambda x: x[None, :, None].squeeze(), lambda x: np.squeeze(x[None], axis=0))
case(np.atleast_1d, "x v m", lambda x: np.atleast_1d(x))
case(np.atleast_1d, "x,v", lambda x, y: np.atleast_1d(x, y))
case(np.atleast_2d, "x v m", lambda x: np.atleast_2d(x))
case(np.atleast_3d, "x v m t", lambda x: np.atleast_3d(x))
case(np.transpose, "v m t", lambda x: np.transpose(x), lambda x: x.T, lambda x: x.transpose())
case(
    np.transpose,
    "t",
    lambda x: np.transpose(x, (1, 2, 0)),
    lambda x: x.transpose(2, 0, 1),
    lambda x: x.transpose((0, 2, 1)) + 1.0,
)
case(np.permute_dims, "t", lambda x: np.permute_dims(x, (1, 2, 0)))
case(np.matrix_transpose, "t m", lambda x: np.matrix_transpose(x))
case(np.linalg.matrix_transpose, "t", lambda x: np.linalg.matrix_transpose(x))
case(np.swapaxes, "t", lambda x: np.swapaxes(x, 0, -1), lambda x: x.swapaxes(1, 2))
case(
    np.moveaxis,
    "t",
    lambda x: np.moveaxis(x, 0, -1),
    lambda x: np.moveaxis(x, (0, 1), (2, 0)),
    lambda x: np.moveaxis(x, -1, 0),
)
case(np.rollaxis, "t", lambda x: np.rollaxis(x, 2), lambda x: np.rollaxis(x, 0, 3), lambda x: np.rollaxis(x, 1, 0))
case(np.flip, "v m t e", lambda x: np.flip(x), lambda x: np.flip(x, 0), lambda x: np.flip(x, -1) * 2)
case(np.fliplr, "m s", lambda x: np.fliplr(x))
case(np.flipud, "m s v", lambda x: np.flipud(x))
case(
    np.rot90,
    "m s",
    lambda x: np.rot90(x),
    lambda x: np.rot90(x, 2),
    lambda x: np.rot90(x, -1),
    lambda x: np.rot90(x, 4),
)
case(
    np.diagonal,
    "m q r s t",
    lambda x: np.diagonal(x),
    lambda x: np.diagonal(x, 1),
    lambda x: x.diagonal(-1),
    lambda x: np.diagonal(x, 0, 1, 0),
)
case(np.diagonal, "m r", lambda x: np.diagonal(x, 6), lambda x: np.diagonal(x, -6), lambda x: np.diagonal(x, 9))
case(np.linalg.diagonal, "q", lambda x: np.linalg.diagonal(x, offset=1))
_windows = np.lib.stride_tricks.sliding_window_view
case(_windows, "v o", lambda x: _windows(x, 1), lambda x: _windows(x, (1,)), lambda x: _windows(x, x.shape))
case(
    _windows,
    "m q r t",
    lambda x: _windows(x, 2, axis=-1),
    lambda x: _windows(x, (2, 3), axis=(1, 0)),
    lambda x: _windows(x, (2, 1), axis=(1, 1)),
    lambda x: _windows(x, x.shape),
)
case(np.broadcast_to, "v o x", lambda x: np.broadcast_to(x, (3, 7)), lambda x: np.broadcast_to(x, (7,)) + 1)
case(np.broadcast_arrays, "v,o", lambda x, y: np.broadcast_arrays(x, y))
case(np.broadcast_arrays, "m,v", lambda x, y: np.broadcast_arrays(x, y, 1.0))
case(np.broadcast_shapes, "m,v", lambda x, y: np.broadcast_shapes(x.shape, y.shape, (1, 1)))
case(np.split, "m", lambda x: np.split(x, 3), lambda x: np.split(x, [1, 4]), lambda x: np.split(x, [2], axis=1))
case(np.array_split, "v m", lambda x: np.array_split(x, 3), lambda x: np.array_split(x, [2, 4]))
case(np.hsplit, "m r", lambda x: np.hsplit(x, [1, 3]))
case(np.vsplit, "m", lambda x: np.vsplit(x, 2))
case(np.dsplit, "t", lambda x: np.dsplit(x, 3))
case(np.unstack, "s", lambda x: np.unstack(x), lambda x: np.unstack(x, axis=1))
case(np.real, "v", lambda x: np.real(x), lambda x: x.real)
case(np.imag, "v", lambda x: np.imag(x), lambda x: x.imag)
case(np.iscomplexobj, "v", lambda x: np.iscomplexobj(x))
case(np.isrealobj, "v", lambda x: np.isrealobj(x))

# --- joins ------------------------------------------------------------------------------------------------------------

case(
    np.concatenate,
    "v,w v,o e,v v,i",
    lambda x, y: np.concatenate((x, y)),
    lambda x, y: np.concatenate([y, x, y, x[1:]]),
)
case(np.concatenate, "m,q", lambda x, y: np.concatenate((x, y), axis=1), lambda x, y: np.concatenate((x, y), axis=None))
case(
    np.concatenate,
    "m,m",
    lambda x, y: np.concatenate((x, y)),
    lambda x, y: np.concatenate((x, y[:0])),
    lambda x, y: np.concatenate((x, y), -1, dtype=np.float32),
)
case(
    np.stack,
    "v,w v,i",
    lambda x, y: np.stack((x, y)),
    lambda x, y: np.stack([x, y], axis=1),
    lambda x, y: np.stack([x, y, x], -1),
)
case(np.hstack, "v,w", lambda x, y: np.hstack((x, y)))
case(np.hstack, "m,q", lambda x, y: np.hstack([x, y]))
case(np.vstack, "v,w", lambda x, y: np.vstack((x, y)))
case(np.vstack, "m,v", lambda x, y: np.vstack([x, y]))
case(np.dstack, "v,w", lambda x, y: np.dstack((x, y)))
case(np.column_stack, "v,w", lambda x, y: np.column_stack((x, y, x)))
case(np.column_stack, "r,v", lambda x, y: np.column_stack((x, y)))
case(np.append, "v,w m,v", lambda x, y: np.append(x, y), lambda x, y: np.append(x, 1.0))
case(np.append, "m,m", lambda x, y: np.append(x, y, axis=0))
case(np.block, "v,w", lambda x, y: np.block([x, y]), lambda x, y: np.block([[x, y], [y, x]]))
case(
    np.take,
    "v,a",
    lambda x, k: np.take(x, k),
    lambda x, k: x.take(k[:3]),
    lambda x, k: np.take(x, 2),
    lambda x, k: np.take(x, k * 3, mode="wrap"),
    lambda x, k: np.take(x, k * 3, mode="clip"),
)
case(
    np.take,
    "m,a",
    lambda x, k: np.take(x, k),
    lambda x, k: np.take(x, k[:4], axis=1),
    lambda x, k: np.take(x, k[:4].reshape(2, 2), axis=0),
)
case(
    np.take_along_axis,
    "m",
    lambda x: np.take_along_axis(x, np.argmax(x, axis=1, keepdims=True), axis=1),
    lambda x: np.take_along_axis(x, np.argsort(x, axis=0), 0),
)
case(
    np.repeat,
    "v m",
    lambda x: np.repeat(x, 3),
    lambda x: np.repeat(x, 2, axis=-1),
    lambda x: x.repeat(2, axis=0),
    lambda x: np.repeat(x, 0),
)
case(np.repeat, "v", lambda x: np.repeat(x, np.array([0, 1, 2, 0, 3, 1, 1])), lambda x: np.repeat(x, x > 0))
case(np.repeat, "s", lambda x: np.repeat(x, [1, 3], axis=0))
case(np.tile, "v m e", lambda x: np.tile(x, 3), lambda x: np.tile(x, (2, 1)), lambda x: np.tile(x, (2, 3)))
case(np.roll, "v m i e", lambda x: np.roll(x, 2), lambda x: np.roll(x, -1), lambda x: np.roll(x, 9, axis=0))
case(np.roll, "m", lambda x: np.roll(x, (1, -2), axis=(0, 1)), lambda x: np.roll(x, 1, axis=(0, 1)))
case(np.diag, "v i m q r o", lambda x: np.diag(x), lambda x: np.diag(x, 1), lambda x: np.diag(x, -2))
case(np.diagflat, "m", lambda x: np.diagflat(x[:2, :2]), lambda x: np.diagflat(x[0], 1))
case(np.tril, "m q t i", lambda x: np.tril(x), lambda x: np.tril(x, 1), lambda x: np.tril(x, -2))
case(np.triu, "m q t i", lambda x: np.triu(x), lambda x: np.triu(x, 1), lambda x: np.triu(x, -2))


def _fill_diagonal(x):
    y = x.copy()
    np.fill_diagonal(y, 2.0)
    return y


case(np.fill_diagonal, "m q r", _fill_diagonal)
for mode in ("constant", "edge", "wrap", "reflect", "symmetric"):
    case(np.pad, "v m o", lambda x, mode=mode: np.pad(x, 2, mode), lambda x, mode=mode: np.pad(x, (1, 0), mode))
case(
    np.pad,
    "m",
    lambda x: np.pad(x, ((1, 2), (0, 3)), constant_values=4.0),
    lambda x: np.pad(x, ((1, 2), (3, 1)), constant_values=((1, 2), (3, 4))),
    lambda x: np.pad(x, ((9, 8), (0, 0)), "reflect"),
)

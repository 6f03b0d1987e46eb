"""Views, aliases and layouts: whatever a name refers to, writes are seen as NumPy shows them."""

import numpy as np

from .registry import kernel


@kernel(args=lambda n, rng: (rng.normal(size=(n, 6)),), wrt=(0,), mutates=(0,))
def state_vector_in_named_views(state):
    pos, vel = state[:, :3], state[:, 3:]
    x, speed = pos[:, 0], vel[:, 0]
    pos += 0.1 * vel
    x -= 1.0
    speed[:] = np.abs(x) + speed
    return pos.sum(), vel.sum(axis=0)


@kernel(args=lambda n, rng: (np.asfortranarray(rng.normal(size=(n, n + 1))),), wrt=(0,), mutates=(0,), large=100)
def fortran_rows_and_columns(a):
    for i in range(a.shape[0]):
        a[i, 1:] -= a[i, :-1]
    for j in range(a.shape[1]):
        a[:, j] *= j + 1
    return a.T[1:, ::2]


@kernel(
    args=lambda n, rng: (rng.normal(size=(2 * n, 3 * n))[::-2, ::3], rng.normal(size=3 * n)[::-3]),
    wrt=(0, 1),
    mutates=(0, 1),
    large=100,
)
def negative_and_large_strides(a, x):
    x[1:] = x[:-1] + 1.0
    a[:] = a + x
    a[:, :1] = 0.0
    return (a @ x)[::-1]


@kernel(args=lambda n, rng: (rng.normal(size=(n, n)).T, rng.normal(size=n)), wrt=(0, 1), mutates=(0,), large=100)
def transposed_argument_is_written(a, x):
    a[:, :-1] += x[1:]
    for row in a:
        row[::2] *= 2.0
    return a.T @ x


@kernel(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n), 3), wrt=(0, 1), mutates=(0, 1))
def ping_pong_buffers(a, b, turns):
    src, dst = a, b
    for t in range(turns):
        dst[:] = 0.5 * src + t
        dst[1:] += src[:-1] ** 2
        src, dst = dst, src
    return src.copy()


def scale_in_place(x, factor=2.0):
    x *= factor


def shift_in_place(x, by):
    if by == 0.0:
        return
    scale_in_place(x[1:], factor=0.5)
    x += by


@kernel(args=lambda n, rng: (rng.normal(size=n), 0.75), wrt=(0, 1), mutates=(0,))
def helpers_that_return_nothing(x, by):
    shift_in_place(x, by)
    shift_in_place(x[::2], 0.0)
    scale_in_place(x[:-1])
    scale_in_place(x=x[-1:], factor=by)


@kernel(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), mutates=(0,))
def early_return_before_writing(x):
    total = x.sum()
    if total > 0.0:
        x /= 1.0 + total
        return total
    x[:] = -x
    return -total


@kernel(args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), mutates=(0,), large=100, raises={1: ValueError})
def blocks_of_quadrants(a):
    h = a.shape[0] // 2
    top, bottom = a[:h], a[h:]
    left = bottom[:, :h]
    left[...] = 1.0
    top[:, -h:] += 2.0 * top[:, :h]
    a.T[0:1] = 3.0
    bottom[-1:, :] = a[:1, :]
    return a.diagonal().sum(), top.shape[0]


@kernel(args=lambda n, rng: (rng.normal(size=2 * n)[::2], rng.normal(size=n)), wrt=(0, 1), mutates=(1,))
def output_arguments_of_ufuncs(x, out):
    np.multiply(x, 2.0, out=out)
    np.add(out[1:], x[:-1], out=out[1:])
    np.sin(out, out)


@kernel(args=lambda n, rng: (rng.normal(size=(n, 4)),), wrt=(0,), mutates=(0,), raises={0: IndexError})
def boundaries_with_negative_indices(a):
    a[0, :] = a[-1, :]
    a[-1, 1:-1] = 0.0
    a[:, -2] = a[:, -3] * 2.0
    a[-1:0:-1, 0] += 1.0
    return a[-1, -1], a[:-1, -2:]

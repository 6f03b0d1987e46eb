"""The kernels of benchmarks/contractions.py: in NumPy for us, and in the form that suits them best for the peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Kernel:
    """A function of NumPy arrays, its arguments, and the same for a peer's module of array functions."""

    name: str
    function: Callable[..., Any]
    args: Callable[[np.random.Generator], Args]
    jax: Callable[[Any], Callable[..., Any]]
    torch: Callable[[Any], Callable[..., Any]]


KERNELS: list[Kernel] = []


def kernel(
    args: Callable[[np.random.Generator], Args],
    jax: Callable[[Any], Callable[..., Any]] | None = None,
    torch: Callable[[Any], Callable[..., Any]] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record a kernel; without a form of its own a peer has our source, with its module for `np`."""

    def record(function: Callable[..., Any]) -> Callable[..., Any]:
        def same(module: Any) -> Callable[..., Any]:
            return FunctionType(function.__code__, {**function.__globals__, "np": module})

        KERNELS.append(Kernel(function.__name__, function, args, jax or same, torch or jax or same))
        return function

    return record


def normal(*shapes: tuple[int, ...], dtype: str = "float64") -> Callable[[np.random.Generator], Args]:
    return lambda rng: tuple((rng.normal(size=s) / np.sqrt(s[0])).astype(dtype) for s in shapes)


# --- matrix products --------------------------------------------------------------------------------------------------


@kernel(normal((200, 220), (200, 240), (240, 220)))
def gemm(C, A, B):
    return 1.5 * A @ B + 1.2 * C


@kernel(normal((200, 240), (240, 220)), jax=lambda np: lambda A, B: A @ B)
def gemm_loops(A, B):
    n, k = A.shape
    m = B.shape[1]
    C = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            for p in range(k):
                C[i, j] += A[i, p] * B[p, j]
    return C


@kernel(normal((200, 240), (240, 220)), jax=lambda np: lambda A, B: A @ B)
def gemm_comprehension(A, B):
    n, k = A.shape
    return np.array([[sum(A[i, p] * B[p, j] for p in range(k)) for j in range(B.shape[1])] for i in range(n)])


@kernel(normal((16, 60, 70), (16, 70, 50)))
def einsum_batched(A, B):
    return np.einsum("bik,bkj->bij", A, B)


@kernel(normal((180, 210), (210, 190), (190, 220), (180, 220)))
def k2mm(A, B, C, D):
    return 1.5 * A @ B @ C + 1.2 * D


@kernel(normal((160, 200), (200, 180), (180, 220), (220, 190)))
def k3mm(A, B, C, D):
    return A @ B @ C @ D


@kernel(normal((500, 400), (400, 450), (450,)), jax=lambda np: lambda A, B, x: A @ (B @ x))
def chain_vector(A, B, x):
    return A @ B @ x


@kernel(normal((600, 12), (12, 600), (600, 40)), jax=lambda np: lambda U, V, x: U @ (V @ x))
def chain_low_rank(U, V, x):
    return U @ V @ x


@kernel(normal((2000,), (2000,), (2000,), (2000,), (2000, 2000)))
def mvt(x1, x2, y1, y2, A):
    return x1 + A @ y1, x2 + y2 @ A


@kernel(normal((1800, 2200), (2200,)))
def atax(A, x):
    return (A @ x) @ A


@kernel(normal((2200, 1800), (1800,), (2200,)))
def bicg(A, p, r):
    return r @ A, A @ p


@kernel(normal((1400, 1400), (1400, 1400), (1400,)))
def gesummv(A, B, x):
    return 1.5 * A @ x + 1.2 * B @ x


@kernel(normal((1000, 1000), (1000,), (1000,), (1000,), (1000,), (1000,), (1000,)))
def gemver(A, u1, v1, u2, v2, y, z):
    A = A + np.outer(u1, v1) + np.outer(u2, v2)
    x = 1.2 * (y @ A) + z
    return A, x, 1.5 * (A @ x)


@kernel(
    normal((160, 160), (160, 140)),
    jax=lambda np: lambda C, A: np.triu(C, 1) + np.tril(1.2 * C + 1.5 * A @ A.T),
)
def syrk(C, A):
    C = C.copy()
    for i in range(A.shape[0]):
        C[i, : i + 1] *= 1.2
        for k in range(A.shape[1]):
            C[i, : i + 1] += 1.5 * A[i, k] * A[: i + 1, k]
    return C


@kernel(
    normal((140, 140), (140, 120), (140, 120)),
    jax=lambda np: lambda C, A, B: np.triu(C, 1) + np.tril(1.2 * C + 1.5 * (A @ B.T + B @ A.T)),
)
def syr2k(C, A, B):
    C = C.copy()
    for i in range(A.shape[0]):
        C[i, : i + 1] *= 1.2
        for k in range(A.shape[1]):
            C[i, : i + 1] += A[: i + 1, k] * 1.5 * B[i, k] + B[: i + 1, k] * 1.5 * A[i, k]
    return C


@kernel(
    normal((160, 160), (160, 180)),
    jax=lambda np: lambda A, B: 1.5 * (B + np.tril(A, -1).T @ B),
)
def trmm(A, B):
    B = B.copy()
    for i in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[i, j] += np.dot(A[i + 1 :, i], B[i + 1 :, j])
    B *= 1.5
    return B


@kernel(
    normal((120, 140), (120, 120), (120, 140)),
    jax=lambda np: lambda C, A, B: 1.2 * C + 1.5 * (np.tril(A) + np.tril(A, -1).T) @ B,
)
def symm(C, A, B):
    C = C.copy()
    temp = np.empty((C.shape[1],), dtype=C.dtype)
    C *= 1.2
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[:i, j] += 1.5 * B[i, j] * A[i, :i]
            temp[j] = B[:i, j] @ A[i, :i]
        C[i, :] += 1.5 * B[i, :] * A[i, i] + 1.5 * temp
    return C


@kernel(normal((60, 60, 128), (128, 128)), jax=lambda np: lambda A, C4: A @ C4)
def doitgen(A, C4):
    A = A.copy()
    for r in range(A.shape[0]):
        for q in range(A.shape[1]):
            A[r, q, :] = A[r, q, :] @ C4
    return A


@kernel(
    normal((300, 240)),
    jax=lambda np: lambda data: (data - data.mean(0)).T @ (data - data.mean(0)) / (data.shape[0] - 1),
)
def covariance(data):
    n, m = data.shape
    data = data - np.mean(data, axis=0)
    cov = np.zeros((m, m))
    for i in range(m):
        cov[i:, i] = data[:, i] @ data[:, i:] / (n - 1)
        cov[i, i:] = cov[i:, i]
    return cov


def _correlation(np):
    def correlation(data):
        n = data.shape[0]
        data = data - data.mean(0)
        data = data / (np.sqrt((data**2).mean(0)) * n**0.5)
        return data.T @ data

    return correlation


@kernel(normal((300, 240)), jax=_correlation)
def correlation(data):
    n, m = data.shape
    mean = np.mean(data, axis=0)
    spread = np.sqrt(np.mean((data - mean) ** 2, axis=0))
    data = (data - mean) / (np.sqrt(n) * spread)
    corr = np.eye(m)
    for i in range(m - 1):
        corr[i + 1 :, i] = data[:, i] @ data[:, i + 1 :]
        corr[i, i + 1 :] = corr[i + 1 :, i]
    return corr


@kernel(
    lambda rng: (rng.random((500, 20)), rng.normal(size=(2000, 40)), rng.normal(size=(20, 40))),
    jax=lambda np: _weighted_covariances(np),
)
def weighted_covariances(r, x, mu):
    """Of each component: sum over n of r[n, k] (x[n] - mu[k]) (x[n] - mu[k])'."""
    n = r.shape[0]
    k, d = mu.shape
    return np.array(
        [
            [
                [sum(r[i, c] * (x[i, a] - mu[c, a]) * (x[i, b] - mu[c, b]) for i in range(n)) for b in range(d)]
                for a in range(d)
            ]
            for c in range(k)
        ]
    )


def _weighted_covariances(np):
    def covariances(r, x, mu):
        y = x[None, : r.shape[0], :] - mu[:, None, :]
        return np.einsum("kna,knb->kab", r.T[:, :, None] * y, y)

    return covariances


# --- networks, in single precision ------------------------------------------------------------------------------------


@kernel(
    lambda rng: (rng.normal(size=(16, 8, 64, 64)).astype(np.float32),),
    torch=lambda torch: lambda x: torch.softmax(x, -1),
)
def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _mlp_torch(torch):
    def mlp(x, w1, b1, w2, b2, w3, b3):
        x = torch.relu(x @ w1 + b1)
        x = torch.relu(x @ w2 + b2)
        return torch.softmax(x @ w3 + b3, -1)

    return mlp


@kernel(
    normal((64, 784), (784, 400), (400,), (400, 200), (200,), (200, 10), (10,), dtype="float32"),
    torch=_mlp_torch,
)
def mlp(x, w1, b1, w2, b2, w3, b3):
    x = np.maximum(x @ w1 + b1, 0)
    x = np.maximum(x @ w2 + b2, 0)
    x = x @ w3 + b3
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _conv_jax(np):
    from jax import lax

    return lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _conv_torch(torch):
    return lambda x, w: torch.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1)).permute(0, 2, 3, 1)


def conv2d(x, weights):
    """A layer's convolution over slices, image by image."""
    K, H, W = weights.shape[0], x.shape[1] - weights.shape[0] + 1, x.shape[2] - weights.shape[1] + 1
    out = np.empty((x.shape[0], H, W, weights.shape[3]), dtype=np.float32)
    for i in range(H):
        for j in range(W):
            out[:, i, j, :] = np.sum(
                x[:, i : i + K, j : j + K, :, np.newaxis] * weights[np.newaxis, :, :, :], axis=(1, 2, 3)
            )
    return out


def _conv2d_bias(make):
    def for_module(module):
        conv = make(module)
        return lambda x, w, b: conv(x, w) + b

    return for_module


@kernel(
    normal((4, 32, 32, 3), (5, 5, 3, 16), (16,), dtype="float32"),
    jax=_conv2d_bias(_conv_jax),
    torch=_conv2d_bias(_conv_torch),
)
def conv2d_bias(x, weights, bias):
    return conv2d(x, weights) + bias


def maxpool2d(x):
    out = np.empty((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]), dtype=np.float32)
    for i in range(x.shape[1] // 2):
        for j in range(x.shape[2] // 2):
            out[:, i, j, :] = np.max(x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :], axis=(1, 2))
    return out


def _lenet(conv, pool, relu):
    def lenet(x, w1, b1, w2, b2, w3, b3, w4, b4, w5, b5):
        x = pool(relu(conv(x, w1) + b1))
        x = pool(relu(conv(x, w2) + b2))
        x = x.reshape(x.shape[0], -1)
        x = relu(x @ w3 + b3)
        x = relu(x @ w4 + b4)
        return x @ w5 + b5

    return lenet


def _lenet_jax(np):
    import jax

    def pool(x):
        n, h, w, c = x.shape
        return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))

    return _lenet(_conv_jax(np), pool, jax.nn.relu)


def _lenet_torch(torch):
    def pool(x):
        return torch.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)

    return _lenet(_conv_torch(torch), pool, torch.relu)


@kernel(
    normal(
        (4, 28, 28, 1),
        (5, 5, 1, 6),
        (6,),
        (5, 5, 6, 16),
        (16,),
        (256, 120),
        (120,),
        (120, 84),
        (84,),
        (84, 10),
        (10,),
        dtype="float32",
    ),
    jax=_lenet_jax,
    torch=_lenet_torch,
)
def lenet(x, w1, b1, w2, b2, w3, b3, w4, b4, w5, b5):
    x = maxpool2d(np.maximum(conv2d(x, w1) + b1, 0))
    x = maxpool2d(np.maximum(conv2d(x, w2) + b2, 0))
    x = x.reshape(x.shape[0], -1)
    x = np.maximum(x @ w3 + b3, 0)
    x = np.maximum(x @ w4 + b4, 0)
    return x @ w5 + b5


def _resnet(np, conv, pad, relu, mean, sqrt):
    def norm(x):
        centred = x - mean(x)
        return centred / sqrt(mean(centred * centred) + 1e-5)

    def resnet_block(x, w1, w2, w3):
        y = relu(norm(conv(x, w1)))
        y = relu(norm(conv(pad(y), w2)))
        return relu(norm(conv(y, w3)) + x)

    return resnet_block


def _resnet_jax(np):
    import jax

    def pad(x):
        return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    return _resnet(np, _conv_jax(np), pad, jax.nn.relu, lambda x: np.mean(x, axis=0, keepdims=True), np.sqrt)


def _resnet_torch(torch):
    def pad(x):
        return torch.nn.functional.pad(x, (0, 0, 1, 1, 1, 1))

    return _resnet(torch, _conv_torch(torch), pad, torch.relu, lambda x: x.mean(0, keepdim=True), torch.sqrt)


def batchnorm2d(x):
    mean = np.mean(x, axis=0, keepdims=True)
    std = np.sqrt(np.mean((x - mean) ** 2, axis=0, keepdims=True) + 1e-5)
    return (x - mean) / std


@kernel(
    normal((8, 14, 14, 32), (1, 1, 32, 8), (3, 3, 8, 8), (1, 1, 8, 32), dtype="float32"),
    jax=_resnet_jax,
    torch=_resnet_torch,
)
def resnet_block(x, w1, w2, w3):
    y = np.maximum(batchnorm2d(conv2d(x, w1)), 0)
    padded = np.zeros((y.shape[0], y.shape[1] + 2, y.shape[2] + 2, y.shape[3]), dtype=np.float32)
    padded[:, 1:-1, 1:-1, :] = y
    y = np.maximum(batchnorm2d(conv2d(padded, w2)), 0)
    return np.maximum(batchnorm2d(conv2d(y, w3)) + x, 0)

"""Small networks: axis and keepdims, broadcasting, layers as helpers, parameters stepped in place."""

import numpy as np

from .registry import kernel


def relu(x):
    return np.maximum(x, 0)


def softmax(x, axis=-1):
    tmp_max = np.max(x, axis=axis, keepdims=True)
    tmp_out = np.exp(x - tmp_max)
    tmp_sum = np.sum(tmp_out, axis=axis, keepdims=True)
    return tmp_out / tmp_sum


@kernel(args=lambda n, rng: (rng.normal(size=(n, 2, 3, 5)),), wrt=(0,), large=100)
def softmax_4d(x):
    return softmax(x)


@kernel(
    args=lambda n, rng: (
        rng.normal(size=(n, 4)),
        rng.normal(size=(4, 6)),
        rng.normal(size=6),
        rng.normal(size=(6, 3)),
        rng.normal(size=3),
    ),
    wrt=(0, 1, 2, 3, 4),
)
def mlp(input, w1, b1, w2, b2):
    x = relu(input @ w1 + b1)
    x = softmax(x @ w2 + b2)
    return x


@kernel(
    args=lambda n, rng: (rng.normal(size=(2, n + 2, n + 2, 2)), rng.normal(size=(3, 3, 2, 4))), wrt=(0, 1), large=24
)
def conv2d(input, weights):
    K = weights.shape[0]
    N = input.shape[0]
    H_out = input.shape[1] - K + 1
    W_out = input.shape[2] - K + 1
    C_out = weights.shape[3]
    output = np.empty((N, H_out, W_out, C_out), dtype=input.dtype)
    for i in range(H_out):
        for j in range(W_out):
            output[:, i, j, :] = np.sum(
                input[:, i : i + K, j : j + K, :, np.newaxis] * weights[np.newaxis, :, :, :], axis=(1, 2, 3)
            )
    return output


@kernel(args=lambda n, rng: (rng.normal(size=(2, 2 * n, 2 * n + 1, 3)),), wrt=(0,), large=24)
def maxpool2d(x):
    output = np.empty([x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]], dtype=x.dtype)
    for i in range(x.shape[1] // 2):
        for j in range(x.shape[2] // 2):
            output[:, i, j, :] = np.max(x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :], axis=(1, 2))
    return output


@kernel(args=lambda n, rng: (rng.normal(size=(n, 6)), rng.normal(size=6), rng.normal(size=6)), wrt=(0, 1, 2))
def layer_norm(x, gain, bias, eps=1e-5):
    mean = np.mean(x, axis=-1, keepdims=True)
    std = np.sqrt(np.mean((x - mean) ** 2, axis=-1, keepdims=True) + eps)
    return gain * (x - mean) / std + bias


@kernel(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=3), rng.integers(0, 2, size=n)),
    wrt=(0, 1),
    mutates=(1,),
)
def logistic_regression_steps(X, w, labels, rate=0.1, steps=5):
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-X @ w))
        w -= rate * (X.T @ (p - labels)) / max(len(labels), 1)
    return None


@kernel(
    args=lambda n, rng: (rng.normal(size=(n, 4)), rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), np.eye(4)[::-1]),
    wrt=(0, 1, 2, 3),
    large=60,
)
def causal_attention(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    out = np.zeros_like(v)
    for t in range(x.shape[0]):
        scores = softmax(q[t] @ k[: t + 1].T / 2.0)
        out[t] = scores @ v[: t + 1]
    return out


@kernel(
    args=lambda n, rng: (rng.normal(size=(n, 3)).astype(np.float32), rng.normal(size=(3, 3)).astype(np.float32)),
    wrt=(0, 1),
    tolerance=2e-5,
)
def recurrent_cell_float32(xs, W):
    h = np.zeros(3, dtype=np.float32)
    for x in xs:
        h = np.tanh(W @ h + x)
    return h

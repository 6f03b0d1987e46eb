"""Statistics and learning: mixtures, regressions, covariances, networks."""

import math

import numpy as np

from .registry import program


def mixture(n, rng):
    """n points in d = 3 dimensions, k = 2 components: alpha, mu, q, l, x and the Wishart prior's gamma and m."""
    d, k = 3, 2
    return (
        rng.normal(size=k),
        rng.normal(size=(k, d)),
        0.2 * rng.normal(size=(k, d)),
        0.3 * rng.normal(size=(k, d * (d - 1) // 2)),
        rng.normal(size=(n, d)),
        0.9,
        2,
    )


def log_gamma_multivariate(a, p):
    return p * (p - 1) / 4.0 * math.log(math.pi) + sum(math.lgamma(a + (1.0 - j) / 2.0) for j in range(1, p + 1))


@program(
    args=mixture,
    wrt=(0, 1, 2, 3, 4, 5),
    analytic=False,
    large=200,
    tags="reduction loop size call sum minmax contraction",
)
def gaussian_mixture(alpha, mu, q, l, x, gamma, m):
    n, d = x.shape
    k = len(alpha)

    def log_sum_exp(values):
        top = max(v for v in values)
        return top + math.log(sum(math.exp(v - top) for v in values))

    def factor(c):
        matrix = np.zeros((d, d))
        at = 0
        for j in range(d):
            matrix[j, j] = math.exp(q[c, j])
            for i in range(j + 1, d):
                matrix[i, j] = l[c, at]
                at += 1
        return matrix

    factors = np.array([factor(c) for c in range(k)])
    total = -n * (d / 2.0) * math.log(2.0 * math.pi)
    for i in range(n):
        beta = [
            alpha[c]
            + sum(q[c, j] for j in range(d))
            - 0.5 * sum(sum(factors[c, r, j] * (x[i, j] - mu[c, j]) for j in range(r + 1)) ** 2 for r in range(d))
            for c in range(k)
        ]
        total += log_sum_exp(beta)
    total -= n * log_sum_exp(alpha)
    nu = d + m + 1
    prior = k * (nu * d * (math.log(gamma) - 0.5 * math.log(2.0)) - log_gamma_multivariate(0.5 * nu, d))
    prior -= 0.5 * gamma**2 * sum(factors[c, i, j] ** 2 for c in range(k) for i in range(d) for j in range(i + 1))
    prior += m * sum(q[c, j] for c in range(k) for j in range(d))
    return total + prior


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.integers(0, 2, size=n), rng.normal(size=3), 0.1),
    wrt=(0, 2, 3),
    tags="numpy contraction sum",
)
def logistic_regression(x, labels, w, penalty):
    z = x @ w
    signs = 2.0 * labels - 1.0
    return np.sum(np.log1p(np.exp(-signs * z))) + penalty * np.sum(w**2)


@program(
    args=lambda n, rng: (
        rng.normal(size=(n, 3)),
        rng.integers(0, 4, size=n),
        rng.normal(size=(3, 4)),
        rng.normal(size=4),
    ),
    wrt=(0, 2, 3),
    tags="numpy contraction gather minmax",
)
def softmax_cross_entropy(x, labels, w, b):
    logits = x @ w + b
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    return -np.sum(log_p[np.arange(len(labels)), labels])


@program(args=lambda n, rng: (rng.normal(size=(2, n, n, 3)),), wrt=(0,), large=20, tags="numpy minmax sum map")
def softmax_four_dimensional(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


@program(
    args=lambda n, rng: (rng.normal(size=(n + 2, n)),),
    wrt=(0,),
    large=60,
    tags="loop slice inplace update contraction mutation",
    mutates=(0,),
)
def covariance(data):
    m, n = data.shape
    data -= np.mean(data, axis=0)
    c = np.zeros((n, n))
    for i in range(n):
        c[i:n, i] = data[:, i] @ data[:, i:n] / (m - 1.0)
        c[i, i:n] = c[i:n, i]
    return c


@program(
    args=lambda n, rng: (rng.normal(size=(n + 3, n)),),
    wrt=(0,),
    large=60,
    tags="loop branch slice mask update contraction",
)
def correlation(data):
    deviation = np.std(data, axis=0)
    deviation[deviation <= 0.1] = 1.0
    data = (data - data.mean(axis=0)) / (np.sqrt(float(data.shape[0])) * deviation)
    c = np.eye(data.shape[1])
    for i in range(data.shape[1] - 1):
        c[i + 1 :, i] = c[i, i + 1 :] = data[:, i] @ data[:, i + 1 :]
    return c


@program(
    args=lambda n, rng: (
        rng.uniform(1.0, 5.0, size=n),
        rng.integers(0, 2, size=n),
        rng.normal(size=(n, 2)),
        rng.normal(size=2),
    ),
    wrt=(2, 3),
    large=150,
    tags="loop reduction clause branch contraction",
)
def cox_partial_likelihood(times, died, x, beta):
    n = len(times)
    risk = [sum(x[i, c] * beta[c] for c in range(2)) for i in range(n)]
    total = 0.0
    for i in range(n):
        if died[i] == 1:
            total += risk[i] - math.log(sum(math.exp(risk[j]) for j in range(n) if times[j] >= times[i]))
    return total


@program(
    args=lambda n, rng: (rng.normal(size=n + 1), 0.5, 0.1, 0.8), wrt=(0, 1, 2, 3), tags="loop recurrence math index"
)
def garch_likelihood(returns, omega, alpha, beta):
    variance = omega / (1.0 - 0.1)
    likelihood = 0.0
    for t in range(1, len(returns)):
        variance = omega + alpha * returns[t - 1] ** 2 + beta * variance
        likelihood -= 0.5 * (math.log(variance) + returns[t] ** 2 / variance)
    return likelihood


@program(
    args=lambda n, rng: (rng.normal(size=(n, 2)), rng.normal(size=(3, 2)), 4),
    wrt=(0, 1),
    large=100,
    tags="loop gather scatter accumulate numpy recurrence",
)
def lloyd_iterations(points, centres, turns):
    k = len(centres)
    for _ in range(turns):
        distance = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        nearest = np.argmin(distance, axis=1)
        totals, counts = np.zeros((k, 2)), np.zeros(k)
        np.add.at(totals, nearest, points)
        np.add.at(counts, nearest, 1.0)
        centres = np.where(counts[:, None] > 0.0, totals / np.maximum(counts, 1.0)[:, None], centres)
    return centres


@program(
    args=lambda n, rng: (rng.normal(size=(n, 2)), rng.normal(size=n), 0.7, 0.2),
    wrt=(0, 1, 2, 3),
    large=40,
    tags="comprehension loop inplace math sum",
)
def gaussian_process_likelihood(x, y, length, noise):
    n = len(y)
    k = np.array(
        [
            [
                math.exp(-0.5 * sum((x[i, c] - x[j, c]) ** 2 for c in range(2)) / length**2)
                + (noise if i == j else 0.0)
                for j in range(n)
            ]
            for i in range(n)
        ]
    ).reshape(n, n)
    z = y.copy()
    likelihood = 0.0
    for j in range(n):
        k[j, j] = math.sqrt(k[j, j] - sum(k[j, p] ** 2 for p in range(j)))
        z[j] = (z[j] - sum(k[j, p] * z[p] for p in range(j))) / k[j, j]
        for i in range(j + 1, n):
            k[i, j] = (k[i, j] - sum(k[i, p] * k[j, p] for p in range(j))) / k[j, j]
        likelihood -= 0.5 * z[j] ** 2 + math.log(k[j, j])
    return likelihood


@program(
    args=lambda n, rng: (
        rng.normal(size=(n, 4)),
        rng.normal(size=(4, 4)),
        rng.normal(size=(4, 4)),
        rng.normal(size=(4, 4)),
    ),
    wrt=(0, 1, 2, 3),
    large=60,
    tags="numpy contraction minmax sum",
)
def attention(x, wq, wk, wv):
    q, k, v = x @ wq, x @ wk, x @ wv
    scores = q @ k.T / np.sqrt(k.shape[-1])
    causal = np.tril(np.ones((len(x), len(x)))) > 0.0
    weights = np.where(causal, np.exp(np.minimum(scores, 50.0)), 0.0)
    return weights / weights.sum(axis=1, keepdims=True) @ v


@program(
    args=lambda n, rng: (rng.normal(size=(n, 14)), rng.normal(size=(4, 14)), rng.normal(size=(3, 14))),
    wrt=(0, 1, 2),
    tags="loop recurrence iterate numpy",
)
def lstm_like_cell(sequence, weights, extra):
    h, c = np.zeros(14), np.zeros(14)
    loss = 0.0
    for t in range(len(sequence) - 1):
        x = sequence[t] * extra[0]
        gates = [1.0 / (1.0 + np.exp(-(weights[g] * (x + h)))) for g in range(3)]
        c = c * gates[0] + gates[1] * np.tanh(weights[3] * (x + h))
        h = gates[2] * np.tanh(c)
        y = h * extra[1] + extra[2]
        loss += np.sum(sequence[t + 1] * (y - np.log(2.0 + np.sum(np.exp(y)))))
    return -loss


@program(args=lambda n, rng: (rng.normal(size=6), 2 * n), wrt=(0,), tags="loop recurrence sum product size")
def least_squares_of_powers(x, n):
    total = 0.0
    for i in range(n):
        t = -1.0 + 2.0 * i / (n - 1)
        s = 1.0 if t > 0.0 else -1.0
        power, residual = 1.0, s
        for j in range(len(x)):
            residual -= x[j] * power
            power *= t
        total += 0.5 * residual * residual
    return total

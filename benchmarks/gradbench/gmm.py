"""gmm: the posterior of a mixture of Gaussians under a Wishart prior, as in ADBench.

The precision of component c is Q_c^T Q_c, with Q_c lower triangular: its diagonal is exp(q_c), and l_c has what is
below the diagonal, column by column.
"""

import math

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def logsumexp(v):
    top = max(v)
    return top + np.log(sum(np.exp(e - top) for e in v))


def log_gamma(a, p):
    """The logarithm of the multivariate gamma function of dimension p."""
    return p * (p - 1) / 4 * math.log(math.pi) + sum(math.lgamma(a - j / 2) for j in range(p))


def triangles(l, d):
    """The entries below the diagonal as matrices."""
    k = len(l)
    lower = np.zeros((k, d, d))
    for c in range(k):
        at = 0
        for b in range(d):
            for a in range(b + 1, d):
                lower[c, a, b] = l[c, at]
                at += 1
    return lower


def objective(alpha, mu, q, l, x, gamma, m):
    n, d = x.shape
    k = len(alpha)
    scale, lower = np.exp(q), triangles(l, d)

    def log_joint(i, c):
        """log w_c N(x_i; mu_c, (Q_c^T Q_c)^-1), up to constants."""
        r = [x[i, a] - mu[c, a] for a in range(d)]
        y = [scale[c, a] * r[a] + sum(lower[c, a, b] * r[b] for b in range(a)) for a in range(d)]
        return alpha[c] + sum(q[c, a] for a in range(d)) - 0.5 * sum(y[a] ** 2 for a in range(d))

    likelihood = sum(logsumexp([log_joint(i, c) for c in range(k)]) for i in range(n)) - n * logsumexp(alpha)
    nu = d + m + 1
    constants = k * (nu * d * (math.log(gamma) - 0.5 * math.log(2)) - log_gamma(nu / 2, d))
    prior = m * np.sum(q) - 0.5 * gamma**2 * (np.sum(scale**2) + np.sum(l**2))
    return likelihood - n * d / 2 * math.log(2 * math.pi) + prior + constants


def jacobian(alpha, mu, q, l, x, gamma, m):
    gradient = iv.grad(objective, argnums=(0, 1, 2, 3))(alpha, mu, q, l, x, gamma, m)
    return dict(zip(("alpha", "mu", "q", "l"), gradient, strict=True))


def make(rng, d, k, n):
    parameters = {"alpha": (k,), "mu": (k, d), "q": (k, d), "l": (k, d * (d - 1) // 2), "x": (n, d)}
    arrays = {name: rng.normal(size=shape).tolist() for name, shape in parameters.items()}
    return {"d": d, "k": k, "n": n, "m": 0, "gamma": 1.0, **arrays}


EVALUATION = Evaluation(
    functions={"objective": iv.jit(objective), "jacobian": iv.jit(jacobian)},
    arguments=lambda data: (
        *(np.array(data[name], dtype=float) for name in ("alpha", "mu", "q", "l", "x")),
        float(data["gamma"]),
        data["m"],
    ),
    make=make,
    sample=[(5, 5, 6), (2, 5, 6)],
    sizes=[(10, 25, 1000), (32, 50, 1000), (64, 100, 1000)],
)

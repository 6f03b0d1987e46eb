"""Fit a mixture of Gaussians with full covariances to handwritten digits, by its exact gradient.

The objective is plain Python: loops, comprehensions, a log-sum-exp.  `iv.value_and_grad` compiles it together with its
gradient, and SciPy's L-BFGS does the rest.  Run it with `make demo`.

The model: x_i ~ sum_k w_k N(mu_k, (Q_k^T Q_k)^-1), with weights w = softmax(alpha) and lower triangular precision
factors Q_k whose diagonal is exp(q_k); a Wishart prior on the precisions keeps every component from collapsing onto a
point.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from optree.integrations.numpy import tree_ravel
from scipy.optimize import minimize
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

import iverson as iv

DIMENSIONS, COMPONENTS, PRIOR_SCALE, PRIOR_EXTRA = 16, 10, 1.0, 0
OUT = Path(__file__).parent / "out"


class Mixture(NamedTuple):
    alpha: np.ndarray  # [k]        unnormalised log-weights
    mu: np.ndarray  # [k, d]     means
    q: np.ndarray  # [k, d]     log-diagonals of the factors
    lower: np.ndarray  # [k, d, d]  the factors below the diagonal (the rest isn't read)


# --- the objective ----------------------------------------------------------------------------------------------------


def logsumexp(v):
    top = max(v)
    return top + math.log(sum(math.exp(e - top) for e in v))


def log_joint(mix, scale, x, i, c):
    """log w_c N(x_i; mu_c, (Q_c^T Q_c)^-1), up to a constant and the normalisation of the weights."""
    d = x.shape[1]
    r = [x[i, a] - mix.mu[c, a] for a in range(d)]
    y = [scale[c, a] * r[a] + sum(mix.lower[c, a, b] * r[b] for b in range(a)) for a in range(d)]
    return mix.alpha[c] + sum(mix.q[c, a] for a in range(d)) - 0.5 * sum(y[a] ** 2 for a in range(d))


def negative_log_posterior(mix, x, gamma, m):
    """The fit's objective: minus log-likelihood, minus the log of the Wishart prior."""
    n, d = x.shape
    k = len(mix.alpha)
    scale = np.exp(mix.q)
    likelihood = sum(logsumexp([log_joint(mix, scale, x, i, c) for c in range(k)]) for i in range(n))
    frobenius = sum(
        sum(scale[c, a] ** 2 + sum(mix.lower[c, a, b] ** 2 for b in range(a)) for a in range(d)) for c in range(k)
    )
    prior = m * sum(mix.q[c, a] for c in range(k) for a in range(d)) - 0.5 * gamma**2 * frobenius
    return -(likelihood - n * logsumexp(mix.alpha) - 0.5 * n * d * math.log(2 * math.pi) + prior)


objective = iv.jit(negative_log_posterior)
objective_and_gradient = iv.value_and_grad(negative_log_posterior)


# --- the job ----------------------------------------------------------------------------------------------------------


def start(x):
    """k-means gives the first means; unit covariances."""
    means = KMeans(COMPONENTS, n_init=4, random_state=0).fit(x).cluster_centers_
    shape = means.shape
    return Mixture(np.zeros(COMPONENTS), means, np.zeros(shape), np.zeros((*shape, shape[1])))


def fit(x, mix, iterations=150):
    flat, unravel = tree_ravel(mix)
    history = []

    def fun(theta):
        value, gradient = objective_and_gradient(unravel(theta), x, PRIOR_SCALE, PRIOR_EXTRA)
        history.append(float(value))
        if len(history) % 25 == 1:
            print(f"  evaluation {len(history):4d}   objective {value:14.3f}")
        return float(value), tree_ravel(gradient)[0]

    result = minimize(fun, flat, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "maxcor": 20})
    print(f"  evaluation {len(history):4d}   objective {result.fun:14.3f}   {result.message}")
    return unravel(result.x)


def responsibilities(mix, x):
    """log w_c N(x_i) for every point and component, in NumPy."""
    factor = np.tril(mix.lower, -1)
    diagonal = range(mix.q.shape[1])
    factor[:, diagonal, diagonal] = np.exp(mix.q)
    y = np.einsum("kab,nkb->nka", factor, x[:, None, :] - mix.mu)
    return mix.alpha + mix.q.sum(1) - 0.5 * (y**2).sum(2), factor


def objective_in_numpy(mix, x, gamma, m):
    """The same objective as a NumPy user would write it, for comparison."""
    n, d = x.shape
    joint, factor = responsibilities(mix, x)
    top = joint.max(1, keepdims=True)
    likelihood = (top[:, 0] + np.log(np.exp(joint - top).sum(1))).sum()
    weights = np.log(np.exp(mix.alpha - mix.alpha.max()).sum()) + mix.alpha.max()
    prior = m * mix.q.sum() - 0.5 * gamma**2 * (factor**2).sum()
    return -(likelihood - n * weights - 0.5 * n * d * math.log(2 * math.pi) + prior)


def objective_in_jax(mix, x, gamma, m):
    """The NumPy form again, traced by JAX; None where JAX isn't installed."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)

    def negative(mix, x):
        n, d = x.shape
        eye = jnp.eye(d)
        factor = jnp.tril(mix.lower, -1) + jnp.exp(mix.q)[:, :, None] * eye
        y = jnp.einsum("kab,nkb->nka", factor, x[:, None, :] - mix.mu)
        joint = mix.alpha + mix.q.sum(1) - 0.5 * (y**2).sum(2)
        likelihood = jax.scipy.special.logsumexp(joint, axis=1).sum()
        weights = jax.scipy.special.logsumexp(mix.alpha)
        prior = m * mix.q.sum() - 0.5 * gamma**2 * (factor**2).sum()
        return -(likelihood - n * weights - 0.5 * n * d * math.log(2 * math.pi) + prior)

    compiled = jax.jit(jax.value_and_grad(negative))
    return lambda: jax.block_until_ready(compiled(mix, x))


def finite_difference_error(mix, x, directions=8, step=1e-5):
    """The largest relative error of gradient . v against central differences, over random directions."""
    rng = np.random.default_rng(1)
    flat, unravel = tree_ravel(mix)
    gradient = tree_ravel(objective_and_gradient(mix, x, PRIOR_SCALE, PRIOR_EXTRA)[1])[0]
    worst = 0.0
    for _ in range(directions):
        v = rng.normal(size=flat.shape)
        up, down = (objective(unravel(flat + s * step * v), x, PRIOR_SCALE, PRIOR_EXTRA) for s in (1, -1))
        slope = (up - down) / (2 * step)
        worst = max(worst, abs(slope - gradient @ v) / max(1.0, abs(slope)))
    return worst


def milliseconds(call, seconds=0.5):
    """The median time of a call."""
    call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times))


def picture(means, labels, path):
    """The component means as digit images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, COMPONENTS // 2, figsize=(8, 3.6))
    for axis, mean, label in zip(axes.flat, means, labels, strict=True):
        axis.imshow(mean.reshape(8, 8), cmap="gray_r")
        axis.set_title(f"mostly {label}", fontsize=9)
        axis.axis("off")
    figure.suptitle("Means of the fitted components")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main():
    digits = load_digits()
    pca = PCA(DIMENSIONS, whiten=True, random_state=0).fit(digits.data)
    x = np.ascontiguousarray(pca.transform(digits.data))
    print(f"{len(x)} handwritten digits, {digits.data.shape[1]} pixels reduced to {DIMENSIONS} dimensions")

    begin = time.perf_counter()
    mix = start(x)
    objective_and_gradient(mix, x, PRIOR_SCALE, PRIOR_EXTRA)
    print(f"staged, differentiated, compiled and run once in {time.perf_counter() - begin:.2f} s (k-means included)")

    begin = time.perf_counter()
    mix = fit(x, mix)
    print(f"fitted in {time.perf_counter() - begin:.2f} s")

    joint, _ = responsibilities(mix, x)
    clusters = joint.argmax(1)
    labels = [int(np.bincount(digits.target[clusters == c], minlength=10).argmax()) for c in range(COMPONENTS)]
    accuracy = np.mean(np.array(labels)[clusters] == digits.target)
    likelihood = -objective(mix, x, 0.0, 0)
    print(f"log-likelihood             {likelihood:.1f}  ({likelihood / len(x):.3f} a digit)")
    print(
        f"agreement with the labels  {accuracy:.1%} by majority, adjusted Rand index "
        f"{adjusted_rand_score(digits.target, clusters):.3f}"
    )
    print(f"gradient error             {finite_difference_error(mix, x):.1e}  (finite differences, relative)")

    args = (mix, x, PRIOR_SCALE, PRIOR_EXTRA)
    value = milliseconds(lambda: objective(*args))
    both = milliseconds(lambda: objective_and_gradient(*args))
    numpy = milliseconds(lambda: objective_in_numpy(*args))
    print(f"objective                  {value:8.3f} ms")
    print(f"objective and gradient     {both:8.3f} ms, {both / value:.2f} times the objective")
    print(f"objective in NumPy         {numpy:8.3f} ms")
    jax = objective_in_jax(*args)
    if jax is None:
        print("JAX isn't installed; its line is left out")
    else:
        print(f"JAX, value and gradient    {milliseconds(jax):8.3f} ms (NumPy form; all threads)")

    picture(pca.inverse_transform(mix.mu), labels, OUT / "digits.png")
    print("picture of the means       examples/out/digits.png")


if __name__ == "__main__":
    main()

"""Special functions, by the math module's and SciPy's names."""

import math

import numpy as np
import scipy.special

from .registry import program


@program(args=lambda n, rng: (rng.uniform(-2.0, 2.0, size=n),), wrt=(0,), tags="math prim comprehension")
def error_functions(x):
    return [math.erf(v) * math.erfc(0.5 * v) for v in x], [0.5 * math.erfc(-v / math.sqrt(2.0)) for v in x]


@program(
    args=lambda n, rng: (rng.uniform(0.5, 6.0, size=n), rng.uniform(0.5, 3.0, size=n)),
    wrt=(0, 1),
    analytic=False,
    tags="math prim sum",
)
def beta_binomial_likelihood(a, b):
    def log_beta(p, q):
        return math.lgamma(p) + math.lgamma(q) - math.lgamma(p + q)

    return sum(log_beta(a[i] + 3.0, b[i] + 2.0) - log_beta(a[i], b[i]) for i in range(len(a)))


@program(args=lambda n, rng: (rng.uniform(0.5, 8.0, size=n),), wrt=(0,), analytic=False, tags="prim numpy map")
def scipy_special_names(x):
    s = scipy.special
    return (
        s.gammaln(x),
        s.digamma(x),
        s.j0(x) * s.j1(x),
        s.y0(x) + s.y1(x),
        s.expit(x),
        s.erf(x),
        s.erfc(x),
        s.erfinv(x / 9.0),
    )


@program(args=lambda n, rng: (rng.normal(size=n) * 30.0,), wrt=(0,), tags="prim numpy map")
def stable_sigmoids(x):
    softplus = np.logaddexp(0.0, x)
    sigmoid = np.where(x >= 0.0, 1.0 / (1.0 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1.0 + np.exp(-np.abs(x))))
    return softplus, sigmoid, np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0.0)


@program(args=lambda n, rng: (rng.uniform(0.2, 8.0, size=n),), wrt=(0,), tags="loop while math call recurrence")
def incomplete_gamma_series(x):
    def series(a, v):
        term = total = 1.0 / a
        k = 1
        while abs(term) > 1e-14 * abs(total):
            term *= v / (a + k)
            total += term
            k += 1
        return total * math.exp(-v + a * math.log(v) - math.lgamma(a))

    return [series(2.5, v) for v in x]


@program(args=lambda n, rng: (rng.uniform(-0.9, 0.9, size=n), 6), wrt=(0,), tags="loop recurrence size")
def legendre_polynomials(x, degree):
    p = np.zeros((degree + 1, len(x)))
    p[0] = 1.0
    p[1] = x
    for k in range(1, degree):
        p[k + 1] = ((2 * k + 1) * x * p[k] - k * p[k - 1]) / (k + 1)
    return p

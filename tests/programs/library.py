"""Library operations by their NumPy and SciPy names: solves, factorisations, decompositions, orders; in loops too."""

import numpy as np
import scipy.linalg

from .linalg_loops import dominant, positive_definite
from .registry import program


def spread(n, rng, m=None):
    """A matrix whose singular values are well apart."""
    m = n if m is None else m
    return rng.normal(size=(n, m)) * 0.1 + np.eye(n, m) * np.arange(1.0, m + 1.0)


TAGS = "linalg library"


@program(
    args=lambda n, rng: (dominant(n, rng), rng.normal(size=(n, 7))), wrt=(0, 1), sizes=(0, 2, 5), large=200, tags=TAGS
)
def solve_many_systems(a, b):
    x = np.linalg.solve(a, b)
    return x, a.T @ x


@program(args=lambda n, rng: (dominant(n, rng),), wrt=(0,), sizes=(3, 6), large=100, tags=TAGS)
def inverse_and_determinants(a):
    sign, size = np.linalg.slogdet(a)
    return np.linalg.inv(a), np.linalg.det(a / len(a)), sign * size


@program(
    args=lambda n, rng: (positive_definite(n, rng), rng.normal(size=n)),
    wrt=(0, 1),
    sizes=(2, 6),
    large=200,
    tags=TAGS,
)
def gaussian_likelihood(covariance, x):
    factor = np.linalg.cholesky(covariance)
    white = scipy.linalg.solve_triangular(factor, x, lower=True)
    return -0.5 * np.sum(white**2) - np.sum(np.log(np.diag(factor)))


@program(
    args=lambda n, rng: (positive_definite(n, rng), rng.normal(size=(n, 3))),
    wrt=(0, 1),
    sizes=(0, 2, 5),
    large=200,
    tags=TAGS,
)
def solve_by_a_factor(a, b):
    factor = scipy.linalg.cho_factor(a)
    return scipy.linalg.cho_solve(factor, b), scipy.linalg.solve(a, b[:, 0], assume_a="pos")


@program(args=lambda n, rng: (spread(n + 2, rng, n),), wrt=(0,), sizes=(0, 1, 4), large=100, tags=TAGS)
def orthogonal_factors(a):
    q, r = np.linalg.qr(a)
    return q, r


@program(args=lambda n, rng: (spread(n, rng),), wrt=(0,), sizes=(0, 1, 4), large=100, tags=TAGS)
def eigenvalues_and_vectors(a):
    w, v = np.linalg.eigh(a)
    return w, v**2, (v * w) @ v.T


@program(args=lambda n, rng: (spread(n, rng, 6),), wrt=(0,), sizes=(2, 8), large=100, tags=TAGS)
def singular_values(a):
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return s, (u * s**2) @ vt, np.linalg.norm(a, "nuc")


@program(
    args=lambda n, rng: (spread(n + 3, rng, n), rng.normal(size=n + 3)), wrt=(0, 1), sizes=(1, 4), large=100, tags=TAGS
)
def least_squares(a, y):
    x = np.linalg.lstsq(a, y, rcond=None)[0]
    return x, np.linalg.pinv(a) @ y


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), sizes=(0, 5), large=50, tags=f"{TAGS} loop contraction"
)
def matrix_exponential(a):
    return scipy.linalg.expm(a), np.linalg.matrix_power(a, 5)


@program(
    args=lambda n, rng: (np.eye(2) + 0.1 * rng.normal(size=(2, 2)), np.eye(2), rng.normal(size=(n, 2))),
    wrt=(0, 1, 2),
    sizes=(0, 3),
    tags=f"{TAGS} loop recurrence contraction",
)
def kalman_filter(transition, noise, observed):
    mean, covariance, likelihood = np.zeros(2), np.eye(2), 0.0
    for t in range(len(observed)):
        mean = transition @ mean
        covariance = transition @ covariance @ transition.T + noise
        residual = observed[t] - mean
        spread = covariance + 0.5 * np.eye(2)
        gain = np.linalg.solve(spread, covariance).T
        likelihood -= 0.5 * (residual @ np.linalg.inv(spread) @ residual + np.log(np.linalg.det(spread)))
        mean = mean + gain @ residual
        covariance = covariance - gain @ covariance
    return likelihood, mean


@program(
    args=lambda n, rng: (dominant(6, rng), rng.normal(size=6), n),
    wrt=(0, 1),
    sizes=(1, 4),
    large=50,
    tags=f"{TAGS} loop recurrence branch",
)
def solve_in_a_loop(a, x, turns):
    for k in range(turns):
        if k % 3 == 2:
            x = np.sin(x)
        else:
            x = np.linalg.solve(a + k * np.eye(6), x)
    return x


@program(
    args=lambda n, rng: (np.array([positive_definite(5, rng) for _ in range(n)]).reshape(n, 5, 5),),
    wrt=(0,),
    sizes=(2,),
    large=200,
    tags=f"{TAGS} map",
)
def stacks_of_matrices(a):
    return (
        np.linalg.inv(a),
        np.linalg.cholesky(a),
        np.linalg.eigvalsh(a),
        a @ a,
        np.exp(-a).mean(axis=(1, 2)),
        a.sum(axis=0),
    )


@program(
    args=lambda n, rng: (rng.normal(size=(3, n)),),
    wrt=(0,),
    sizes=(1, 2, 5),
    large=100_000,
    tags="numpy library gather",
)
def sorted_rows(x):
    return np.sort(x), np.argsort(x, axis=1), np.median(x, axis=1)


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)),
    wrt=(0, 1),
    sizes=(5,),
    large=10_000,
    tags="numpy library complex",
)
def circular_convolution(x, kernel):
    spectrum = np.fft.rfft(x) * np.fft.rfft(kernel)
    return np.fft.irfft(spectrum, len(x)), np.abs(np.fft.fft(x)) ** 2


@program(
    args=lambda n, rng: (rng.normal(size=(n, 6)), rng.normal(size=(6, 5)), rng.normal(size=(n, 5))),
    wrt=(0, 1, 2),
    large=1000,
    tags="linalg library contraction",
)
def matrix_products(a, b, c):
    return a @ b, np.einsum("ij,ik->kj", a, c), np.dot(c, b.T), np.tensordot(a, c, axes=(0, 0))


@program(
    args=lambda n, rng: (dominant(n, rng).astype(np.float32), rng.normal(size=n).astype(np.float32)),
    wrt=(0, 1),
    tolerance=1e-3,
    large=200,
    tags=f"{TAGS} dtype",
)
def solve_in_single_precision(a, b):
    return np.linalg.solve(a, b), a @ a


@program(
    args=lambda n, rng: (np.ones((n, n)),),
    sizes=(1, 5),
    raises={5: np.linalg.LinAlgError},
    large=1,
    tags=f"{TAGS} error",
)
def solve_a_singular_system(a):
    return np.linalg.inv(a)


@program(
    args=lambda n, rng: (np.eye(n) - n * 0.3,),
    sizes=(1, 5),
    raises={5: np.linalg.LinAlgError},
    large=1,
    tags=f"{TAGS} error",
)
def factor_what_is_not_positive(a):
    return np.linalg.cholesky(a)

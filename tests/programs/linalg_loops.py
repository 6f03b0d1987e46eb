"""Linear algebra written as loops and slices, and matrix products by their NumPy names."""

import numpy as np

from .registry import program


def positive_definite(n, rng):
    a = rng.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


def dominant(n, rng):
    return rng.normal(size=(n, n)) + 2.0 * n * np.eye(n)


@program(
    args=lambda n, rng: (positive_definite(n, rng),),
    wrt=(0,),
    mutates=(0,),
    large=40,
    tags="loop inplace mutation contraction",
)
def cholesky(a):
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= a[j, j]
        for k in range(i):
            a[i, i] -= a[i, k] * a[i, k]
        a[i, i] = np.sqrt(a[i, i])


@program(
    args=lambda n, rng: (positive_definite(n, rng),),
    wrt=(0,),
    mutates=(0,),
    large=60,
    tags="loop slice inplace mutation size",
)
def cholesky_slices(a):
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] -= np.dot(a[i, :j], a[j, :j])
            a[i, j] /= a[j, j]
        a[i, i] -= np.dot(a[i, :i], a[i, :i])
        a[i, i] = np.sqrt(a[i, i])


@program(args=lambda n, rng: (dominant(n, rng),), wrt=(0,), mutates=(0,), large=60, tags="loop slice inplace mutation")
def lu(a):
    n = len(a)
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]


@program(
    args=lambda n, rng: (dominant(n, rng), rng.normal(size=n)), wrt=(0, 1), large=100, tags="loop slice inplace update"
)
def triangular_solve(l, b):
    x = np.zeros(len(b))
    for i in range(len(b)):
        x[i] = (b[i] - l[i, :i] @ x[:i]) / l[i, i]
    return x


@program(args=lambda n, rng: (dominant(n, rng), rng.normal(size=n)), wrt=(0, 1), large=40, tags="loop inplace size")
def gauss_elimination(a, b):
    a, b = a.copy(), b.copy()
    n = len(b)
    for k in range(n):
        for i in range(k + 1, n):
            f = a[i, k] / a[k, k]
            a[i, k:] -= f * a[k, k:]
            b[i] -= f * b[k]
    for i in range(n - 1, -1, -1):
        b[i] = (b[i] - sum(a[i, j] * b[j] for j in range(i + 1, n))) / a[i, i]
    return b


@program(
    args=lambda n, rng: (rng.uniform(-0.4, 0.4, size=n),),
    wrt=(0,),
    sizes=(1, 2, 5),
    large=30,
    tags="loop slice inplace",
)
def durbin(r):
    y = np.empty_like(r)
    alpha = -r[0]
    beta = 1.0
    y[0] = -r[0]
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


@program(
    args=lambda n, rng: (rng.normal(size=(n + 2, n)) + 2 * np.eye(n + 2, n),),
    wrt=(0,),
    large=40,
    tags="loop slice inplace",
)
def gramschmidt(a):
    a = a.copy()
    n = a.shape[1]
    q, r = np.zeros_like(a), np.zeros((n, n))
    for k in range(n):
        r[k, k] = np.sqrt(np.dot(a[:, k], a[:, k]))
        q[:, k] = a[:, k] / r[k, k]
        for j in range(k + 1, n):
            r[k, j] = np.dot(q[:, k], a[:, j])
            a[:, j] -= q[:, k] * r[k, j]
    return q, r


@program(
    args=lambda n, rng: (
        1.5,
        1.2,
        rng.normal(size=(n, n + 1)),
        rng.normal(size=(n, n + 2)),
        rng.normal(size=(n + 2, n + 1)),
    ),
    wrt=(0, 1, 2, 3, 4),
    mutates=(2,),
    large=60,
    tags="mutation update contraction slice",
)
def gemm(alpha, beta, c, a, b):
    c[:] = alpha * a @ b + beta * c


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 2)), rng.normal(size=(n + 2, n + 1))),
    wrt=(0, 1),
    large=60,
    tags="comprehension reduction contraction sum",
)
def matmul_comprehension(a, b):
    return [[sum(a[i, k] * b[k, j] for k in range(len(b))) for j in range(b.shape[1])] for i in range(len(a))]


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 2)), rng.normal(size=(n + 2, n + 1))),
    wrt=(0, 1),
    large=40,
    tags="loop accumulate contraction update",
)
def matmul_triple_loop(a, b):
    c = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                c[i, j] += a[i, k] * b[k, j]
    return c


@program(
    args=lambda n, rng: (1.5, 1.2, rng.normal(size=(n, n)), rng.normal(size=(n, n + 1))),
    wrt=(0, 1, 2, 3),
    mutates=(2,),
    large=40,
    tags="loop slice mutation inplace size",
)
def syrk(alpha, beta, c, a):
    for i in range(a.shape[0]):
        c[i, : i + 1] *= beta
        for k in range(a.shape[1]):
            c[i, : i + 1] += alpha * a[i, k] * a[: i + 1, k]


@program(
    args=lambda n, rng: (1.5, rng.normal(size=(n, n)), rng.normal(size=(n, n + 1))),
    wrt=(0, 1, 2),
    mutates=(2,),
    large=40,
    tags="loop slice mutation inplace size contraction",
)
def trmm(alpha, a, b):
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            b[i, j] += np.dot(a[i + 1 :, i], b[i + 1 :, j])
    b *= alpha


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 1)), rng.normal(size=n + 1), rng.normal(size=n)),
    wrt=(0, 1, 2),
    large=60,
    tags="numpy contraction slice",
)
def atax_and_bicg(a, p, r):
    return (a @ p) @ a, a.T @ r, r @ a, a.dot(p), np.dot(a.T, r)


@program(
    args=lambda n, rng: (
        rng.normal(size=(n, n)),
        rng.normal(size=n),
        rng.normal(size=n),
        rng.normal(size=n),
        rng.normal(size=n),
    ),
    wrt=(0, 1, 2, 3, 4),
    mutates=(0,),
    large=60,
    tags="numpy contraction mutation update",
)
def gemver(a, u1, v1, y, z):
    a += np.outer(u1, v1) + np.multiply.outer(v1, u1)
    x = 0.5 * y @ a + z
    return 1.2 * a @ x


@program(
    args=lambda n, rng: (rng.normal(size=(3, n, 2)), rng.normal(size=(3, 2, n + 1)), rng.normal(size=(2, n))),
    wrt=(0, 1, 2),
    large=60,
    tags="numpy contraction",
)
def batched_products(a, b, c):
    return a @ b, np.matmul(c, a), np.matmul(c, a[0]), a @ c, a[1] @ c[:, 0:1], np.vdot(c, c)


@program(
    args=lambda n, rng: (
        rng.normal(size=(n, 3)),
        rng.normal(size=(3, n + 1)),
        rng.normal(size=n),
        rng.normal(size=(4, 4, n)),
    ),
    wrt=(0, 1, 2, 3),
    large=40,
    tags="numpy contraction",
)
def einsums(a, b, x, t):
    product = np.einsum("ik,kj->ij", a, b)
    quadratic = np.einsum("i,ij,j->", x, a @ a.T, x)
    trace = np.einsum("iij->j", t)
    transposed = np.einsum("ijk->kji", t)
    row_sums = np.einsum("ij->i", a)
    return product, quadratic, trace, transposed, row_sums, np.einsum("i,j->ij", x, x)


@program(
    args=lambda n, rng: (rng.normal(size=(n, 2, 3)), rng.normal(size=(2, 3, n + 1)), rng.normal(size=(3, n))),
    wrt=(0, 1, 2),
    large=40,
    tags="numpy contraction",
)
def tensordots(a, b, c):
    return np.tensordot(a, b), np.tensordot(a, c, axes=1), np.tensordot(a, c, axes=([0], [1])), np.inner(c, c)


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)) ** 2 + 0.1,), wrt=(0,), large=40, tags="loop minmax inplace slice"
)
def floyd_warshall(graph):
    paths = graph.copy()
    for k in range(paths.shape[0]):
        paths[:] = np.minimum(paths[:], np.add.outer(paths[:, k], paths[k, :]))
    return paths


@program(
    args=lambda n, rng: (rng.normal(size=(n + 3, n)), rng.normal(size=n + 3), 0.3),
    wrt=(0, 1, 2),
    large=40,
    tags="loop comprehension inplace contraction",
)
def ridge_normal_equations(x, y, penalty):
    m, n = x.shape
    a = np.array([[sum(x[k, i] * x[k, j] for k in range(m)) for j in range(n)] for i in range(n)]).reshape(n, n)
    b = np.array([sum(x[k, i] * y[k] for k in range(m)) for i in range(n)])
    for i in range(n):
        a[i, i] += penalty
    for i in range(n):
        for j in range(i + 1, n):
            f = a[j, i] / a[i, i]
            for k in range(i, n):
                a[j, k] -= f * a[i, k]
            b[j] -= f * b[i]
    w = np.zeros(n)
    for i in reversed(range(n)):
        w[i] = (b[i] - sum(a[i, j] * w[j] for j in range(i + 1, n))) / a[i, i]
    return w


@program(
    args=lambda n, rng: (dominant(n, rng), rng.normal(size=(n, 2))),
    wrt=(0, 1),
    sizes=(1, 2, 5),
    large=100,
    tags="linalg library numpy",
)
def solve_and_inverse(a, b):
    return np.linalg.solve(a, b), np.linalg.inv(a), np.linalg.solve(a.T, b[:, 0])


@program(
    args=lambda n, rng: (positive_definite(n, rng), rng.normal(size=n)),
    wrt=(0,),
    sizes=(1, 2, 5),
    large=100,
    tags="linalg library numpy",
)
def gaussian_log_density(covariance, x):
    symmetric = 0.5 * (covariance + covariance.T)
    l = np.linalg.cholesky(symmetric)
    z = np.linalg.solve(l, x)
    return -0.5 * np.sum(z * z) - np.sum(np.log(np.diag(l))) - 0.5 * len(x) * np.log(2.0 * np.pi)


@program(
    args=lambda n, rng: (dominant(n, rng),),
    wrt=(0,),
    sizes=(1, 2, 5),
    analytic=False,
    large=60,
    tags="linalg library numpy",
)
def determinants_and_norms(a):
    sign, logarithm = np.linalg.slogdet(a)
    return np.linalg.det(a), logarithm, sign, np.linalg.norm(a), np.linalg.norm(a[0]), np.trace(a)

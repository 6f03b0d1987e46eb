"""Dense and sparse linear algebra: triangular slices, `@`, in-place factorisations."""

import numpy as np

from .registry import kernel


def dominant(n, rng):
    """A symmetric positive definite matrix."""
    a = rng.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


@kernel(args=lambda n, rng: (dominant(n, rng),), wrt=(0,), mutates=(0,), large=80, raises={0: IndexError})
def cholesky(A):
    N = A.shape[0]
    A[0, 0] = np.sqrt(A[0, 0])
    for i in range(1, N):
        for j in range(i):
            A[i, j] -= np.dot(A[i, :j], A[j, :j])
            A[i, j] /= A[j, j]
        A[i, i] -= np.dot(A[i, :i], A[i, :i])
        A[i, i] = np.sqrt(A[i, i])


@kernel(args=lambda n, rng: (np.asfortranarray(dominant(n, rng)),), wrt=(0,), mutates=(0,), large=80)
def lu_of_a_fortran_array(A):
    N = A.shape[0]
    for i in range(N):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, N):
            A[i, j] -= A[i, :i] @ A[:i, j]


@kernel(args=lambda n, rng: (dominant(n, rng), rng.normal(size=n)), wrt=(0, 1), mutates=(0,), large=60)
def ludcmp(A, b):
    n = len(b)
    x = np.zeros_like(b)
    y = np.zeros_like(b)
    for i in range(n):
        for j in range(i):
            A[i, j] = (A[i, j] - A[i, :j] @ A[:j, j]) / A[j, j]
        for j in range(i, n):
            A[i, j] -= A[i, :i] @ A[:i, j]
    for i in range(n):
        y[i] = b[i] - A[i, :i] @ y[:i]
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
    return x, y


@kernel(
    args=lambda n, rng: (rng.normal(size=(n, n)) / (n + 1) + 2 * np.eye(n), np.zeros(n), rng.normal(size=n)),
    wrt=(0, 2),
    mutates=(1,),
    large=300,
)
def trisolv(L, x, b):
    for i in range(x.shape[0]):
        x[i] = (b[i] - L[i, :i] @ x[:i]) / L[i, i]


@kernel(args=lambda n, rng: (rng.normal(size=(n + 2, n)),), wrt=(0,), mutates=(0,), large=60)
def gramschmidt(A):
    Q = np.zeros_like(A)
    R = np.zeros((A.shape[1], A.shape[1]), dtype=A.dtype)
    for k in range(A.shape[1]):
        nrm = np.dot(A[:, k], A[:, k])
        R[k, k] = np.sqrt(nrm)
        Q[:, k] = A[:, k] / R[k, k]
        for j in range(k + 1, A.shape[1]):
            R[k, j] = np.dot(Q[:, k], A[:, j])
            A[:, j] -= Q[:, k] * R[k, j]
    return Q, R


@kernel(args=lambda n, rng: (rng.uniform(-0.5, 0.5, size=n) / (n + 1),), wrt=(0,), large=200, raises={0: IndexError})
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


@kernel(
    args=lambda n, rng: (1.5, rng.normal(size=(n, n)), rng.normal(size=(n, n + 1))),
    wrt=(0, 1, 2),
    mutates=(2,),
    large=50,
)
def trmm(alpha, A, B):
    for i in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[i, j] += np.dot(A[i + 1 :, i], B[i + 1 :, j])
    B *= alpha


@kernel(
    args=lambda n, rng: (1.5, 1.2, rng.normal(size=(n, n)), rng.normal(size=(n, 3))),
    wrt=(0, 1, 2, 3),
    mutates=(2,),
    large=60,
)
def syrk(alpha, beta, C, A):
    for i in range(A.shape[0]):
        C[i, : i + 1] *= beta
        for k in range(A.shape[1]):
            C[i, : i + 1] += alpha * A[i, k] * A[: i + 1, k]


@kernel(
    args=lambda n, rng: (0.5, rng.normal(size=(n, n + 1)), rng.normal(size=(n, n)), rng.normal(size=(n, n + 1))),
    wrt=(0, 1, 2, 3),
    mutates=(1,),
    large=40,
)
def symm(alpha, C, A, B, beta=1.25):
    temp2 = np.empty((C.shape[1],), dtype=C.dtype)
    C *= beta
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[:i, j] += alpha * B[i, j] * A[i, :i]
            temp2[j] = B[:i, j] @ A[i, :i]
        C[i, :] += alpha * B[i, :] * A[i, i] + alpha * temp2


@kernel(
    args=lambda n, rng: (1.5, 1.2, rng.normal(size=(n, n)).T, *(rng.normal(size=n) for _ in range(8))),
    wrt=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    mutates=(2, 7, 8),
    large=200,
)
def gemver_of_a_transposed_argument(alpha, beta, A, u1, v1, u2, v2, w, x, y, z):
    A += np.outer(u1, v1) + np.outer(u2, v2)
    x += beta * y @ A + z
    w += alpha * A @ x


@kernel(
    args=lambda n, rng: (rng.normal(size=(n, n + 1)), rng.normal(size=n + 1), rng.normal(size=n)),
    wrt=(0, 1, 2),
    large=300,
)
def atax_bicg(A, x, r):
    return (A @ x) @ A, r @ A, A.T @ (A @ x)


@kernel(args=lambda n, rng: (rng.normal(size=(n, 2, 3)), rng.normal(size=(3, 3))), wrt=(0, 1), mutates=(0,), large=200)
def doitgen(A, C4):
    NR, NQ, NP = A.shape
    for r in range(NR):
        for q in range(NQ):
            A[r, q, :] = A[r, q, :] @ C4


@kernel(
    args=lambda n, rng: (
        np.arange(0, 2 * n + 1, 2),
        rng.integers(0, max(n, 1), size=2 * n),
        rng.normal(size=2 * n),
        rng.normal(size=n),
    ),
    wrt=(2, 3),
    large=300,
)
def spmv(A_row, A_col, A_val, x):
    y = np.empty(A_row.size - 1, A_val.dtype)
    for i in range(A_row.size - 1):
        cols = A_col[A_row[i] : A_row[i + 1]]
        vals = A_val[A_row[i] : A_row[i + 1]]
        y[i] = vals @ x[cols]
    return y


@kernel(args=lambda n, rng: (dominant(n, rng), rng.normal(size=n)), wrt=(0, 1), large=60, tolerance=1e-7)
def conjugate_gradients(A, b, maxiter=4, tol=1e-30):
    x = np.zeros_like(b)
    r = b - A @ x
    p = r.copy()
    rs = r @ r
    for it in range(maxiter):
        if rs < tol:
            break
        Ap = A @ p
        alpha = rs / (p @ Ap)
        x += alpha * p
        r -= alpha * Ap
        rs_new = r @ r
        p = r + (rs_new / rs) * p
        rs = rs_new
    return x


@kernel(args=lambda n, rng: (rng.uniform(0.1, 1.0, size=(n, n)),), wrt=(0,), mutates=(0,), large=50)
def floyd_warshall(path):
    for k in range(path.shape[0]):
        path[:] = np.minimum(path[:], np.add.outer(path[:, k], path[k, :]))


@kernel(args=lambda n, rng: (rng.uniform(0.5, 1.0, size=(n, n)),), wrt=(0,), large=60)
def power_iteration(A):
    v = np.ones(A.shape[0])
    lam, change, turns = 1.0, 1.0, 0
    while change > 1e-3 and turns < 8:
        w = A @ v
        new = np.sqrt(np.sum(w**2)) + 0.5
        v = w / new
        change = abs(new - lam)
        lam = new
        turns += 1
    return lam, v, turns


@kernel(args=lambda n, rng: (rng.normal(size=(n, n)) + 3.0 * np.eye(n), rng.normal(size=n)), wrt=(0, 1), large=60)
def gauss_with_row_swaps(A, b):
    A, b = A.copy(), b.copy()
    n = len(b)
    for k in range(n):
        pivot = k + np.argmax(np.abs(A[k:, k]))
        if pivot != k:
            A[[k, pivot]] = A[[pivot, k]]
            b[k], b[pivot] = b[pivot], b[k]
        factors = A[k + 1 :, k] / A[k, k]
        A[k + 1 :, k:] -= factors[:, np.newaxis] * A[k, k:]
        b[k + 1 :] -= factors * b[k]
    for k in reversed(range(n)):
        b[k] = (b[k] - A[k, k + 1 :] @ b[k + 1 :]) / A[k, k]
    return b

"""Programs for the names of the NumPy table that compute: reductions, products, searches, sequences."""

import numpy as np
from scipy import special

from tests.lang.numpy_cases import case

# --- reductions -------------------------------------------------------------------------------------------------------

for f in (np.sum, np.prod):
    case(f, "v m s t e em me o i j b bm f n", lambda x, f=f: f(x), lambda x, f=f: f(x, axis=0), lambda x, f=f: f(x, -1))
    case(f, "m s t em bm f", lambda x, f=f: f(x, axis=(0, 1)), lambda x, f=f: f(x, axis=-2, keepdims=True))
    case(f, "m i", lambda x, f=f: f(x, dtype=np.float32), lambda x, f=f: f(x, initial=2))
    case(f, "m", lambda x, f=f: f(x, where=x > 0), lambda x, f=f: f(x, axis=1, where=x[0] > 0), lambda x, f=f: f(x, ()))
case(np.sum, "m", lambda x: x.sum(), lambda x: x.sum(0), lambda x: x.sum(axis=1, keepdims=True), lambda x: x.T.sum(0))
case(np.prod, "m", lambda x: x.prod(), lambda x: x[1:-1, ::2].prod(axis=0))
for f in (np.nansum, np.nanprod):
    case(f, "n m i e", lambda x, f=f: f(x), lambda x, f=f: f(x, axis=0))

for f in (np.mean, np.var, np.std):
    case(
        f,
        "v m s t o i j b f",
        lambda x, f=f: f(x),
        lambda x, f=f: f(x, axis=0),
        lambda x, f=f: f(x, axis=-1, keepdims=True),
    )
    case(
        f,
        "m f",
        lambda x, f=f: f(x, axis=(0, 1)),
        lambda x, f=f: f(x, dtype=np.float64),
        lambda x, f=f: f(x, where=x > -1),
    )
case(np.mean, "m", lambda x: x.mean(), lambda x: x.mean(1))
case(np.var, "m v", lambda x: x.var(ddof=1), lambda x: np.var(x, correction=1), lambda x: np.var(x, mean=0.5))
case(np.std, "m", lambda x: x.std(axis=0, ddof=1))
for f in (np.nanmean, np.nanvar, np.nanstd):
    case(f, "n m j", lambda x, f=f: f(x), lambda x, f=f: f(x, axis=1), lambda x, f=f: f(x, axis=1, keepdims=True))
case(np.average, "m v i", lambda x: np.average(x), lambda x: np.average(x, axis=-1))
case(
    np.average,
    "m,p",
    lambda x, w: np.average(x, axis=1, weights=w),
    lambda x, w: np.average(x, axis=1, weights=w, returned=True),
)

for f in (np.min, np.max, np.ptp):
    case(
        f,
        "v m s t o i j f n",
        lambda x, f=f: f(x),
        lambda x, f=f: f(x, axis=0),
        lambda x, f=f: f(x, axis=-1, keepdims=True),
    )
for f in (np.min, np.max):
    case(f, "b bm me em", lambda x, f=f: f(x, axis=0, initial=False) if x.dtype == bool else f(x, axis=-1, initial=3.0))
    case(f, "m", lambda x, f=f: f(x, where=x > 0, initial=0.5), lambda x, f=f: f(x, axis=(0, 1)))
    case(f, "n", lambda x, f=f: f(x, axis=1))
case(np.amin, "m", lambda x: np.amin(x, axis=0))
case(np.amax, "m", lambda x: np.amax(x, axis=0))
case(np.min, "m", lambda x: x.min(), lambda x: x.min(axis=1))
case(np.max, "m", lambda x: x.max(), lambda x: x.max(0, keepdims=True))
for f in (np.nanmin, np.nanmax):
    case(f, "n m j", lambda x, f=f: f(x), lambda x, f=f: f(x, axis=1))
for f in (np.argmin, np.argmax):
    case(
        f,
        "v m s t o i j b bm f n",
        lambda x, f=f: f(x),
        lambda x, f=f: f(x, axis=0),
        lambda x, f=f: f(x, axis=-1, keepdims=True),
    )
case(np.argmin, "m", lambda x: x.argmin(1))
case(np.argmax, "m", lambda x: x.argmax())
for f in (np.nanargmin, np.nanargmax):
    case(f, "m j", lambda x, f=f: f(x), lambda x, f=f: f(x, axis=1))
    case(f, "n", lambda x, f=f: f(x))
for f in (np.any, np.all):
    case(
        f,
        "v m t e em i b bm n",
        lambda x, f=f: f(x > 0),
        lambda x, f=f: f(x, axis=0),
        lambda x, f=f: f(x > -1, axis=-1, keepdims=True),
    )
    case(f, "bm", lambda x, f=f: f(x, where=x[0]))
case(np.any, "bm", lambda x: x.any(), lambda x: x.any(axis=1))
case(np.all, "bm", lambda x: x.all(axis=0))
case(
    np.count_nonzero, "v i b bm e", lambda x: np.count_nonzero(x), lambda x: np.count_nonzero(x, axis=0, keepdims=True)
)
case(np.array_equal, "v,v v,w v,o", lambda x, y: np.array_equal(x, y))
case(np.array_equal, "n,n", lambda x, y: np.array_equal(x, y), lambda x, y: np.array_equal(x, y, equal_nan=True))

# --- products ---------------------------------------------------------------------------------------------------------

case(np.dot, "v,w m,v m,r t,h v,r x,v i,i b,b", lambda x, y: np.dot(x, y))
case(np.dot, "m,r", lambda x, y: x.dot(y))
case(np.matmul, "v,w m,v m,r v,r", lambda x, y: np.matmul(x, y), lambda x, y: x @ y)
case(np.matmul, "t,r", lambda x, y: x @ y[:6], lambda x, y: x[:, None] @ y[:6], lambda x, y: y[0, :2] @ x)
case(np.matmul, "i bm", lambda x: x @ x.T)
case(np.linalg.matmul, "m,r", lambda x, y: np.linalg.matmul(x, y))
case(np.vdot, "v,w m,m", lambda x, y: np.vdot(x, y))
case(np.vecdot, "m,v m,m", lambda x, y: np.vecdot(x, y))
case(np.linalg.vecdot, "m,m", lambda x, y: np.linalg.vecdot(x, y, axis=0))
case(np.matvec, "m,v", lambda x, y: np.matvec(x, y))
case(np.vecmat, "v,r", lambda x, y: np.vecmat(x, y))
case(np.inner, "v,w m,m m,v x,v t,t", lambda x, y: np.inner(x, y))
case(np.outer, "v,w m,k i,i", lambda x, y: np.outer(x, y))
case(np.linalg.outer, "v,w", lambda x, y: np.linalg.outer(x, y))
case(
    np.tensordot,
    "t,h",
    lambda x, y: np.tensordot(x, y, axes=([1, 0], [0, 2])),
    lambda x, y: np.tensordot(x, y, axes=(2, 1)),
    lambda x, y: np.tensordot(x, y, 0),
)
case(np.tensordot, "m,m", lambda x, y: np.tensordot(x, y), lambda x, y: np.tensordot(x, y.T, 1))
case(np.linalg.tensordot, "m,r", lambda x, y: np.linalg.tensordot(x, y, axes=1))
case(np.kron, "v,k s,m k,s", lambda x, y: np.kron(x, y))
case(np.cross, "k,l", lambda x, y: np.cross(x, y))
case(np.cross, "s,k", lambda x, y: np.cross(x, y), lambda x, y: np.cross(y, x))
case(np.linalg.cross, "k,l", lambda x, y: np.linalg.cross(x, y))
case(np.trace, "m q s", lambda x: np.trace(x), lambda x: x.trace(1))
case(np.linalg.trace, "q", lambda x: np.linalg.trace(x))
case(np.linalg.multi_dot, "v,r", lambda x, y: np.linalg.multi_dot([x, y]))
case(
    np.linalg.multi_dot,
    "m,r",
    lambda x, y: np.linalg.multi_dot([x, y, y.T, x.T]),
    lambda x, y: np.linalg.multi_dot([x[0], y, y.T]),
)
case(
    np.linalg.matrix_power,
    "q",
    lambda x: np.linalg.matrix_power(x, 3),
    lambda x: np.linalg.matrix_power(x, 0),
    lambda x: np.linalg.matrix_power(x, 1),
)
case(
    np.einsum,
    "m,r",
    lambda x, y: np.einsum("ij,jk->ik", x, y),
    lambda x, y: np.einsum("ij,jk", x, y),
    lambda x, y: np.einsum("ij,jk->", x, y),
    lambda x, y: np.einsum("ij,jk->kij", x, y),
    lambda x, y: np.einsum("ij->j", x),
    lambda x, y: np.einsum("ij,jk,lk->il", x, y, y),
    lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [0, 2]),
    lambda x, y: np.einsum("...j,jk->...k", x, y),
    lambda x, y: np.einsum("ij->ji", x),
    lambda x, y: np.einsum("ij,jk,lk,lm,mj->i", x, y, y, y[:, :3], x[:3]),
    lambda x, y: np.einsum("ij,j->ij", x, y[:, 0], optimize=False),
)
case(
    np.einsum,
    "q",
    lambda x: np.einsum("ii", x),
    lambda x: np.einsum("ii->i", x),
    lambda x: np.einsum("ij,ji->", x, x),
    lambda x: np.einsum("ab,ba", x, x),
)
case(
    np.einsum,
    "t",
    lambda x: np.einsum("...ij->...", x),
    lambda x: np.einsum("i...", x),
    lambda x: np.einsum("b...,b...->...", x, x),
)
case(
    np.linalg.norm,
    "v m s i f",
    lambda x: np.linalg.norm(x),
    lambda x: np.linalg.norm(x, axis=-1),
    lambda x: np.linalg.norm(x, axis=0, keepdims=True),
)
case(
    np.linalg.norm,
    "v",
    lambda x: np.linalg.norm(x, 1),
    lambda x: np.linalg.norm(x, np.inf),
    lambda x: np.linalg.norm(x, -np.inf),
    lambda x: np.linalg.norm(x, 3),
    lambda x: np.linalg.norm(x, 0),
)
case(
    np.linalg.norm,
    "m",
    lambda x: np.linalg.norm(x, "fro"),
    lambda x: np.linalg.norm(x, 1),
    lambda x: np.linalg.norm(x, np.inf),
    lambda x: np.linalg.norm(x, -1, axis=(1, 0)),
    lambda x: np.linalg.norm(x, 1, axis=1),
)
case(np.linalg.vector_norm, "m", lambda x: np.linalg.vector_norm(x), lambda x: np.linalg.vector_norm(x, axis=0, ord=1))
case(
    np.linalg.matrix_norm,
    "t",
    lambda x: np.linalg.matrix_norm(x),
    lambda x: np.linalg.matrix_norm(x, ord=1, keepdims=True),
)

case(np.linalg.solve, "q,m q,u", lambda a, b: np.linalg.solve(a, b), lambda a, b: np.linalg.solve(a[:3, :3], b[:3]))
case(
    np.linalg.inv,
    "q",
    lambda a: np.linalg.inv(a),
    lambda a: np.linalg.inv(a[:2, :2]),
    lambda a: np.linalg.inv(a[:0, :0]),
)
case(np.linalg.det, "q", lambda a: np.linalg.det(a), lambda a: np.linalg.det(a[:3, :3]), lambda a: np.linalg.det(a * 0))
case(np.linalg.slogdet, "q", lambda a: np.linalg.slogdet(a), lambda a: np.linalg.slogdet(-a[:3, :3]))
case(np.linalg.slogdet, "q", *(lambda a, k=k: tuple(np.linalg.slogdet(0.0 * a[:k, :k])) for k in (1, 2, 3, 4)))
case(np.linalg.cholesky, "q", lambda a: np.linalg.cholesky(a @ a.T), lambda a: np.linalg.cholesky(a @ a.T, upper=True))
case(np.linalg.matrix_power, "q", lambda a: np.linalg.matrix_power(a, -2))

# --- choosing, searching, sorting -------------------------------------------------------------------------------------

case(
    np.where,
    "v,w v,i m,v v,x",
    lambda x, y: np.where(x > 0, x, y),
    lambda x, y: np.where(x > 0, 1, 2),
    lambda x, y: np.where(y > x, 0.0, x),
)
case(
    np.where,
    "b,v",
    lambda p, x: np.where(p, x, np.nan),
    lambda p, x: np.where(p),
    lambda p, x: np.where(x > 0, np.log(x), 0.0),
)
case(np.where, "x", lambda x: np.where(x > 0, x, -x))
case(np.select, "v,w", lambda x, y: np.select([x > 0.5, x > -0.5], [x, y], 3.0), lambda x, y: np.select([x > 0], [1]))
case(
    np.choose,
    "a",
    lambda k: np.choose(k // 2, [k, k * 10, 7]),
    lambda k: np.choose(k, [k, k * 10], mode="clip"),
    lambda k: np.choose(k, (1, 2.5), mode="wrap"),
)
case(
    np.clip,
    "v m i n f",
    lambda x: np.clip(x, -1, 1),
    lambda x: x.clip(0, None),
    lambda x: np.clip(x, None, 0.5),
    lambda x: x.clip(min=-1, max=2),
)
case(np.clip, "m,v", lambda x, y: np.clip(x, y, y + 1))
case(np.nonzero, "v i b bm", lambda x: np.nonzero(x), lambda x: (x > 0).nonzero())
case(np.flatnonzero, "i bm", lambda x: np.flatnonzero(x))
case(np.argwhere, "bm i", lambda x: np.argwhere(x))
case(np.extract, "b,v", lambda p, x: np.extract(p, x))
case(np.compress, "b,v", lambda p, x: np.compress(p, x), lambda p, x: x.compress(p))
case(np.compress, "b,m", lambda p, x: np.compress(p, x, axis=1))
case(np.isin, "a", lambda k: np.isin(k, [1, 3]), lambda k: np.isin(k, [1, 3], invert=True))
case(
    np.searchsorted,
    "u,v",
    lambda u, x: np.searchsorted(u, x),
    lambda u, x: np.searchsorted(u, x, side="right"),
    lambda u, x: u.searchsorted(u),
    lambda u, x: np.searchsorted(u, u, "right"),
    lambda u, x: np.searchsorted(u, 0.1),
)
case(
    np.searchsorted,
    "u",
    lambda u: np.searchsorted(u, [np.nan, np.inf, -np.inf]),
    lambda u: np.searchsorted(u[:0], [1.0]),
)
case(np.digitize, "v,u", lambda x, u: np.digitize(x, u), lambda x, u: np.digitize(x, u, right=True))
case(np.sort, "v m i e n", lambda x: np.sort(x), lambda x: np.sort(x, axis=0), lambda x: np.sort(x, axis=None))
case(np.argsort, "v m i", lambda x: np.argsort(x, kind="stable"), lambda x: x.argsort(axis=0, kind="stable"))
case(
    np.median,
    "v u m t i j n",
    lambda x: np.median(x),
    lambda x: np.median(x, axis=0),
    lambda x: np.median(x, -1, keepdims=True),
)
case(np.median, "t", lambda x: np.median(x, axis=(0, 2)), lambda x: np.median(x, axis=(0, 2), keepdims=True))
for f, q in ((np.quantile, 0.3), (np.percentile, 30.0)):
    case(
        f,
        "v m i n",
        lambda x, f=f, q=q: f(x, q),
        lambda x, f=f, q=q: f(x, [0.0, q, 1.0]),
        lambda x, f=f, q=q: f(x, q, axis=0, keepdims=True),
    )
case(
    np.unique,
    "i j a b v m n",
    lambda x: np.unique(x),
    lambda x: np.unique(x, return_counts=True),
    lambda x: np.unique(x, return_index=True),
    lambda x: np.unique(x, return_inverse=True),
    lambda x: np.unique(x, True, True, True),
)
case(np.round, "v m i", lambda x: np.round(x), lambda x: np.round(x, 2), lambda x: x.round(1))
case(np.around, "v", lambda x: np.around(x * 100, -1))
case(np.fix, "v", lambda x: np.fix(x * 3))
case(np.angle, "v i", lambda x: np.angle(x), lambda x: np.angle(x + 1j), lambda x: np.angle(x * 1j, deg=True))
case(np.sinc, "v i", lambda x: np.sinc(x), lambda x: np.sinc(x * 0))
case(np.nan_to_num, "v n i", lambda x: np.nan_to_num(x), lambda x: np.nan_to_num(x, nan=2.0, posinf=5.0))
case(np.nan_to_num, "v", lambda x: np.nan_to_num(x / 0.0), lambda x: np.nan_to_num(x / 0.0, neginf=-1.0))
case(np.isposinf, "v", lambda x: np.isposinf(x / 0.0))
case(np.isneginf, "v", lambda x: np.isneginf(x / 0.0))
case(np.isclose, "v,v v,w n,n", lambda x, y: np.isclose(x, y + 1e-9), lambda x, y: np.isclose(x, y, equal_nan=True))
case(np.allclose, "v,v v,w n,n", lambda x, y: np.allclose(x, y + 1e-9), lambda x, y: np.allclose(x, y, equal_nan=True))

# --- lines ------------------------------------------------------------------------------------------------------------

for f in (np.cumsum, np.cumprod):
    case(
        f,
        "v m t i j b f e",
        lambda x, f=f: f(x),
        lambda x, f=f: f(x, axis=0),
        lambda x, f=f: f(x, axis=-1, dtype=np.float64),
    )
case(np.cumsum, "m", lambda x: x.cumsum(), lambda x: x.cumsum(1))
case(np.cumprod, "m", lambda x: x.cumprod(axis=0))
for f in (np.nancumsum, np.nancumprod):
    case(f, "n", lambda x, f=f: f(x), lambda x, f=f: f(x, axis=0))
for f in (np.cumulative_sum, np.cumulative_prod):
    case(f, "v", lambda x, f=f: f(x), lambda x, f=f: f(x, include_initial=True))
    case(f, "m", lambda x, f=f: f(x, axis=1), lambda x, f=f: f(x, axis=0, include_initial=True))
case(np.diff, "v m i b o", lambda x: np.diff(x), lambda x: np.diff(x, 0))
case(np.diff, "v m i b", lambda x: np.diff(x, 2))
case(np.diff, "v", lambda x: np.diff(x, prepend=0.0), lambda x: np.diff(x, append=[1.0, 2.0]))
case(np.diff, "m", lambda x: np.diff(x, axis=0), lambda x: np.diff(x, axis=0, prepend=1.0))
case(np.ediff1d, "v m", lambda x: np.ediff1d(x), lambda x: np.ediff1d(x, to_begin=0.0, to_end=[1.0, 2.0]))
case(
    np.gradient, "v i", lambda x: np.gradient(x), lambda x: np.gradient(x, 0.5), lambda x: np.gradient(x, edge_order=2)
)
case(
    np.gradient,
    "m",
    lambda x: np.gradient(x),
    lambda x: np.gradient(x, axis=0),
    lambda x: np.gradient(x, 2.0, 0.5, edge_order=2),
)
case(
    np.gradient,
    "v,p",
    lambda y, p: np.gradient(y, np.cumsum(p)),
    lambda y, p: np.gradient(y, np.cumsum(p), edge_order=2),
)
case(np.trapezoid, "v m", lambda y: np.trapezoid(y), lambda y: np.trapezoid(y, dx=0.5, axis=0))
case(np.trapezoid, "m,v", lambda y, x: np.trapezoid(y, x))
case(
    np.interp,
    "v,u,u",
    lambda x, p, f: np.interp(x, p, f * 2),
    lambda x, p, f: np.interp(x, p, f, left=-9.0, right=9.0),
    lambda x, p, f: np.interp(0.3, p, f),
    lambda x, p, f: np.interp(p, p, f),
)
case(
    np.convolve,
    "v,k k,v v,w o,v",
    lambda x, y: np.convolve(x, y),
    lambda x, y: np.convolve(x, y, "same"),
    lambda x, y: np.convolve(x, y, mode="valid"),
)
case(
    np.correlate,
    "v,k k,v v,w",
    lambda x, y: np.correlate(x, y),
    lambda x, y: np.correlate(x, y, "same"),
    lambda x, y: np.correlate(x, y, "full"),
)
case(np.cov, "m v", lambda x: np.cov(x), lambda x: np.cov(x, bias=True))
case(np.cov, "m", lambda x: np.cov(x, rowvar=False), lambda x: np.cov(x, ddof=0))
case(np.cov, "v,w", lambda x, y: np.cov(x, y))
case(np.corrcoef, "m", lambda x: np.corrcoef(x), lambda x: np.corrcoef(x, rowvar=False))
case(np.corrcoef, "v,w", lambda x, y: np.corrcoef(x, y))
case(
    np.bincount,
    "a",
    lambda k: np.bincount(k),
    lambda k: np.bincount(k, minlength=9),
    lambda k: np.bincount(k, weights=k * 0.5),
    lambda k: np.bincount(k[:0]),
)
case(
    np.histogram,
    "v m i",
    lambda x: np.histogram(x),
    lambda x: np.histogram(x, 4, (-1.0, 1.0)),
    lambda x: np.histogram(x, bins=[-2.0, 0.0, 0.5, 3.0]),
    lambda x: np.histogram(x, 5, density=True),
)
case(np.histogram, "v,p", lambda x, w: np.histogram(x, 3, weights=w))
case(
    np.histogram_bin_edges,
    "v",
    lambda x: np.histogram_bin_edges(x, 4),
    lambda x: np.histogram_bin_edges(x, 4, (0.0, 1.0)),
)

# --- scipy.special ----------------------------------------------------------------------------------------------------

case(
    special.logsumexp,
    "v m t i",
    lambda x: special.logsumexp(x),
    lambda x: special.logsumexp(x, axis=-1),
    lambda x: special.logsumexp(x, axis=0, keepdims=True),
)
case(
    special.logsumexp,
    "v,w",
    lambda x, b: special.logsumexp(x, b=b, return_sign=True),
    lambda x, b: special.logsumexp(x * 1000),
    lambda x, b: special.logsumexp(x - np.inf),
)
case(
    special.softmax,
    "v m t",
    lambda x: special.softmax(x),
    lambda x: special.softmax(x, axis=-1),
    lambda x: special.softmax(x * 1000, axis=0),
)
case(special.log_softmax, "v m t", lambda x: special.log_softmax(x), lambda x: special.log_softmax(x, axis=-1))
case(
    special.polygamma,
    "p",
    lambda x: special.polygamma(0, x),
    lambda x: special.polygamma(1, x),
    lambda x: special.polygamma(2, x),
)
case(special.multigammaln, "p", lambda x: special.multigammaln(x + 3, 4))
if hasattr(special, "softplus"):
    case(special.softplus, "v", lambda x: special.softplus(x))

"""Statistics and clustering: masks, index arrays, running moments, histograms."""

import numpy as np

from .registry import kernel


@kernel(args=lambda n, rng: (rng.normal(size=(n + 2, n)),), wrt=(0,), large=40)
def covariance(data):
    M, N = data.shape[1], float(data.shape[0])
    mean = np.mean(data, axis=0)
    data = data - mean
    cov = np.zeros((M, M), dtype=data.dtype)
    for i in range(M):
        cov[i:M, i] = data[:, i] @ data[:, i:M] / (N - 1.0)
        cov[i, i:M] = cov[i:M, i]
    return cov


@kernel(args=lambda n, rng: (float(n + 2), rng.normal(size=(n + 2, n))), wrt=(1,), mutates=(1,), large=40)
def correlation(float_n, data):
    mean = np.mean(data, axis=0)
    stddev = np.std(data, axis=0)
    stddev[stddev <= 0.1] = 1.0
    data -= mean
    data /= np.sqrt(float_n) * stddev
    corr = np.eye(data.shape[1], dtype=data.dtype)
    for i in range(data.shape[1] - 1):
        corr[i + 1 :, i] = corr[i, i + 1 :] = data[:, i] @ data[:, i + 1 :]
    return corr


@kernel(args=lambda n, rng: (rng.normal(size=n), rng.uniform(0.0, 4.0, size=n)), wrt=(0,), large=500)
def azimuthal_integration(data, radius, npt=4):
    rmax = 4.0
    res = np.zeros(npt, dtype=np.float64)
    for i in range(npt):
        r1 = rmax * i / npt
        r2 = rmax * (i + 1) / npt
        mask_r12 = np.logical_and((r1 <= radius), (radius < r2))
        values_r12 = data[mask_r12]
        if values_r12.size > 0:
            res[i] = values_r12.mean()
    return res


@kernel(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,))
def running_moments(x):
    mean, m2, count = 0.0, 0.0, 0
    for value in x:
        count += 1
        delta = value - mean
        mean += delta / count
        m2 += delta * (value - mean)
    if count < 2:
        return mean, 0.0
    return mean, m2 / (count - 1)


@kernel(args=lambda n, rng: (rng.normal(size=(n, 2)), rng.normal(size=(3, 2))), wrt=(0, 1), mutates=(1,), large=200)
def kmeans_step(points, centres):
    sums = np.zeros_like(centres)
    counts = np.zeros(len(centres), dtype=np.int64)
    labels = np.empty(len(points), dtype=np.int64)
    for i, p in enumerate(points):
        labels[i] = np.argmin(np.sum((centres - p) ** 2, axis=1))
        sums[labels[i]] += p
        counts[labels[i]] += 1
    for k in range(len(centres)):
        if counts[k] > 0:
            centres[k] = sums[k] / counts[k]
    return labels


@kernel(
    args=lambda n, rng: (rng.integers(0, 7, size=n).astype(np.int32), rng.normal(size=n), np.zeros(7)),
    wrt=(1, 2),
    mutates=(2,),
)
def weighted_histogram(bins, weights, hist):
    np.add.at(hist, bins, weights)
    return hist / max(weights.shape[0], 1)


@kernel(args=lambda n, rng: (rng.normal(size=n), rng.permutation(n)[::-1]), wrt=(0,), mutates=(0,))
def gather_and_scatter_by_index_arrays(x, order):
    y = x[order]
    y[order] *= 0.5
    x[order] = y + 1.0
    return y


@kernel(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), mutates=(0,))
def clip_outliers(x, low=-1.0, high=1.5):
    outside = (x < low) | (x > high)
    x[outside] = 0.0
    x[~outside] *= 2.0
    return np.sum(outside)


@kernel(args=lambda n, rng: (rng.normal(size=n), 3), wrt=(0,), large=300)
def moving_average(x, width):
    out = np.zeros(len(x))
    for i in range(len(x)):
        lo = max(0, i - width + 1)
        out[i] = x[lo : i + 1].mean()
    return out

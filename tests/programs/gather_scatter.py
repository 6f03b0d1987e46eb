"""Integer-array and boolean indexing, scatters, histograms, sparse matrices, graphs."""

import numpy as np

from .registry import program


def csr(n, rng):
    """A random sparse n × (n + 1) matrix: row pointers, columns, values."""
    counts = rng.integers(0, 4, size=n)
    pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(pointers[-1])
    return pointers, rng.integers(0, n + 1, size=total), rng.normal(size=total)


@program(args=lambda n, rng: (rng.normal(size=n + 1), rng.integers(-n - 1, n + 1, size=2 * n)), wrt=(0,), tags="gather")
def gather_with_duplicates(x, index):
    return x[index] * x[index[::-1]], np.take(x, index), x[index].sum()


@program(
    args=lambda n, rng: (rng.normal(size=(n + 1, 3)), rng.integers(0, n + 1, size=n), rng.integers(0, 3, size=n)),
    wrt=(0,),
    tags="gather",
)
def gather_rows_and_pairs(a, rows, columns):
    picked = a[rows]
    return picked * picked[:, :1], a[rows, columns], a[:, columns], a[rows, 0], np.take(a, rows, axis=0)


@program(args=lambda n, rng: (rng.integers(0, 5, size=n), rng.normal(size=n)), wrt=(1,), tags="scatter accumulate loop")
def histogram_loop(bins, weights):
    h = np.zeros(5)
    for i in range(len(bins)):
        h[bins[i]] += weights[i] * weights[i]
    return h


@program(
    args=lambda n, rng: (rng.integers(0, 5, size=n), rng.normal(size=n), rng.normal(size=5)),
    wrt=(1, 2),
    mutates=(2,),
    tags="scatter accumulate mutation",
)
def scatter_add(index, values, y):
    np.add.at(y, index, values)
    np.add.at(y, index, 1.0)
    y *= y


@program(
    args=lambda n, rng: (rng.integers(0, n + 1, size=(n, 2)), rng.normal(size=(n, 3))),
    wrt=(1,),
    tags="scatter accumulate gather numpy",
)
def graph_laplacian(edges, x):
    out = np.zeros((len(x) + 1, 3))
    padded = np.concatenate([x, np.ones((1, 3))])
    np.add.at(out, edges[:, 0], padded[edges[:, 1]] - padded[edges[:, 0]])
    return out


@program(args=lambda n, rng: (rng.permutation(n), rng.normal(size=n)), wrt=(1,), tags="scatter set gather")
def permute_and_invert(permutation, x):
    y = np.empty(len(x))
    y[permutation] = x * 2.0
    inverse = np.empty(len(x), dtype=np.int64)
    for i in range(len(x)):
        inverse[permutation[i]] = i
    return y, inverse, y[permutation] - x


@program(
    args=lambda n, rng: (rng.integers(0, 4, size=n), rng.normal(size=n)), wrt=(1,), tags="scatter set loop inplace"
)
def last_write_wins(index, x):
    y = np.full(4, 0.5)
    for i in range(len(x)):
        y[index[i]] = x[i] * x[i]
    return y


@program(
    args=lambda n, rng: (rng.integers(0, 4, size=n), rng.uniform(0.5, 1.5, size=n)),
    wrt=(1,),
    tags="scatter loop inplace product minmax",
)
def bins_of_products_and_minima(index, x):
    p, low, high = np.ones(4), np.full(4, 10.0), np.full(4, -10.0)
    for i in range(len(x)):
        p[index[i]] *= x[i]
        low[index[i]] = min(low[index[i]], x[i])
        high[index[i]] = np.maximum(high[index[i]], x[i])
    return p, low, high


@program(
    args=lambda n, rng: (*csr(n, rng), rng.normal(size=n + 1)), wrt=(2, 3), tags="loop gather slice sum contraction"
)
def spmv_csr(pointers, columns, values, x):
    y = np.empty(len(pointers) - 1)
    for i in range(len(y)):
        here = slice(pointers[i], pointers[i + 1])
        y[i] = values[here] @ x[columns[here]]
    return y


@program(
    args=lambda n, rng: (*csr(n, rng), rng.normal(size=n + 1), rng.normal(size=n)),
    wrt=(2, 3, 4),
    tags="loop gather comprehension accumulate size",
)
def spmv_csr_loops(pointers, columns, values, x, w):
    n = len(pointers) - 1
    y = [sum(values[k] * x[columns[k]] for k in range(pointers[i], pointers[i + 1])) for i in range(n)]
    z = np.zeros(n + 1)
    for i in range(n):
        for k in range(pointers[i], pointers[i + 1]):
            z[columns[k]] += values[k] * w[i]
    return y, z


@program(
    args=lambda n, rng: (*csr(n, rng), rng.normal(size=(n + 3, n + 1))),
    wrt=(2, 3),
    tags="loop gather comprehension reduction size",
)
def sparse_rows_and_dense_ones(pointers, columns, values, dense):
    """Entries that every dense row looks up again, four rows at a time and some left over."""
    products, nearest = np.zeros((len(pointers) - 1, len(dense))), 0.0
    for i in range(len(pointers) - 1):
        here = range(pointers[i], pointers[i + 1])
        products[i] = [sum(values[e] * row[columns[e]] for e in here) for row in dense]
        nearest += min(sum((values[e] - row[columns[e]]) ** 2 for e in here) for row in dense)
    return products, nearest


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="mask numpy sum")
def masked_sums(x):
    positive = x > 0.0
    return (
        np.sum(x[positive]),
        (x * positive).sum(),
        np.where(positive, x, 0.1 * x),
        np.count_nonzero(positive),
        positive.sum(),
    )


@program(args=lambda n, rng: (rng.normal(size=(n, 3)),), wrt=(0,), mutates=(0,), tags="mask update mutation")
def masked_writes(a):
    a[a > 1.0] = 1.0
    a[a < -0.5] *= 2.0
    a[a[:, 0] > 0.0, 1] = 0.25
    a[np.abs(a) < 0.05] += 3.0


@program(args=lambda n, rng: (rng.normal(size=n), rng.uniform(size=n) > 0.4), wrt=(0,), tags="mask numpy")
def boolean_mask_argument(x, keep):
    kept = x[keep]
    return kept.sum() + (kept * kept).sum(), x[~keep].sum(), np.where(keep, x, -x)


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=6), rng.integers(0, 6, size=(n, 2))),
    wrt=(0, 1),
    tags="gather comprehension branch",
)
def table_of_table(x, table, keys):
    n = len(x)
    return [
        table[keys[i, keys[i, 0] % 2]] * x[i] + (table[int(abs(x[i])) % 6] if x[i] > 0.0 else 0.0) for i in range(n)
    ]


@program(
    args=lambda n, rng: (rng.uniform(0.01, 0.99, size=n) * 6.0, rng.normal(size=8)),
    wrt=(0, 1),
    tags="gather index dtype map",
)
def linear_interpolation(x, table):
    cell = np.floor(x).astype(np.int64)
    t = x - cell
    return (1.0 - t) * table[cell] + t * table[cell + 1]


@program(args=lambda n, rng: (rng.uniform(-2.0, 2.0, size=n), 8), tags="scatter dtype loop")
def histogram_counts(samples, bins):
    counts = np.zeros(8, dtype=np.int64)
    for s in samples:
        k = int((s + 2.0) / 4.0 * bins)
        if 0 <= k < bins:
            counts[k] += 1
    return counts, counts.cumsum()


@program(
    args=lambda n, rng: (rng.normal(size=(2 * n, 2)), rng.integers(0, 3, size=2 * n)),
    wrt=(0,),
    tags="scatter accumulate gather loop",
)
def class_means(points, labels):
    totals = np.zeros((3, 2))
    counts = np.zeros(3)
    for i in range(len(points)):
        totals[labels[i]] += points[i]
        counts[labels[i]] += 1.0
    means = totals / np.maximum(counts, 1.0)[:, None]
    return means, ((points - means[labels]) ** 2).sum()


VELOCITIES, SHARES = (0, 1, -1, 2, -2, 1), (0.5, -0.0, 0.25, 1.5, 0.0, 2.0)


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.integers(-6, 6, size=n)), wrt=(0,), tags="loop index gather unroll"
)
def numbers_of_a_tuple(x, which):
    """Tuples of numbers, some of them negative zeros, indexed by a loop and by data."""
    n = len(x)
    y = np.zeros(n)
    for i in range(n):
        for k in range(len(VELOCITIES)):
            y[i] += SHARES[k] * np.sin(x[(i - VELOCITIES[k]) % n])
        y[i] *= SHARES[which[i]] + (1, 2, 4, 8, 16, 32)[which[i]]
    return y

"""Maps, reductions and scans, in nests."""

from __future__ import annotations

from iverson.core.syntax import F64, Map, Reduce, Scan
from tests.backend.constructs.cases import case, matrix_case


@case
def map_and_reduce(b, n, x):
    y = b.map(n, lambda i: b.o.mul(b.read(x, i), 2.0))
    return [y, b.reduce("add", n, lambda i: b.o.mul(b.read(x, i), b.read(y, i)))]


@case
def all_monoids(b, n, x):
    floats = [b.reduce(m, n, lambda i: b.read(x, i)) for m in ("add", "mul", "min", "max")]
    bools = [b.reduce(m, n, lambda i: b.o.gt(b.read(x, i), 0.0)) for m in ("and", "or")]
    ints = [b.reduce(m, n, lambda i: b.o.mul(i, b.o.sub(3, i))) for m in ("add", "min", "max")]
    args = [v for m in ("argmin", "argmax") for v in b.reduce(m, n, lambda i: [b.o.round(b.read(x, i)), i])]
    return [*floats, *bools, *ints, *args]


@case
def best_of_infinities(b, n, x):
    """Ties and NaN: the first infinity, the first NaN."""
    nan = lambda i: b.o.select(b.o.eq(b.o.mod(i, 4), 3), float("nan"), b.read(x, i))  # noqa: E731
    value = [lambda i: float("inf"), lambda i: -float("inf"), nan, lambda i: b.o.mod(b.o.add(i, 1), 3)]
    return [v for m in ("argmin", "argmax") for f in value for v in b.reduce(m, n, lambda i, f=f: [f(i), i])]


@case
def winner_as_a_size(b, n, x):
    """Searches over several blocks; an array as long as the winner's place."""
    late = lambda i: b.o.select(b.o.eq(i, b.o.sub(n, 1)), 100.0, b.read(x, b.o.mod(b.o.mul(i, 7), n)))  # noqa: E731
    m = b.o.mul(n, 5)
    value, place = b.reduce("argmax", n, lambda i: [late(i), i])
    far = b.reduce("argmin", m, lambda i: [b.o.abs(b.o.sub(b.o.float64(i), 4321.0)), i])
    return [value, b.map(b.o.min(place, m), lambda i: b.o.mul(i, 2)), *far]


@case
def several_yields(b, n, x):
    return b.for_(
        n,
        lambda i: [b.read(x, i), b.o.exp(b.read(x, i)), b.o.abs(b.read(x, i)), i],
        [Map(), Reduce("add"), Reduce("argmax")],
    )


@case
def scans(b, n, x):
    arg = b.scan("argmax", n, lambda i: [b.o.round(b.read(x, i)), i])
    return [b.scan("add", n, lambda i: b.read(x, i)), b.scan("max", n, lambda i: b.read(x, i)), *arg]


@case
def scan_and_reduce_together(b, n, x):
    return b.for_(n, lambda i: [b.read(x, i), b.read(x, i), b.read(x, i)], [Scan("add"), Reduce("min"), Map()])


@case
def affine_scan(b, n, x):
    op = b.operator([1.0, 0.0], lambda a, c, d, e: [b.o.mul(a, d), b.o.add(b.o.mul(c, d), e)])
    return [
        *b.scan(op, n, lambda i: [b.o.mul(b.read(x, i), 0.5), 1.0]),
        *b.reduce(op, n, lambda i: [0.9, b.read(x, i)]),
    ]


@case
def matrix_operator(b, n, x):
    """Reduce and Scan by 2x2 matrix products: an operator of arrays."""
    eye = b.map([2, 2], lambda i, j: b.if_(b.o.eq(i, j), lambda: 1.0, lambda: 0.0)[0])

    def product(left, right):
        return b.map(
            [2, 2], lambda i, j: b.reduce("add", 2, lambda k: b.o.mul(b.read(left, i, k), b.read(right, k, j)))
        )

    op = b.operator([eye], product)
    element = lambda i: b.map([2, 2], lambda j, k: b.o.add(b.read(x, i), b.o.float64(b.o.sub(j, k))))  # noqa: E731
    small = b.map(n, lambda i: b.read(x, i))
    return [b.reduce(op, b.o.min(n, 12), element), b.scan(op, b.o.min(n, 12), element), small]


@case
def swapping_operator(b, n, x):
    """An operator that gives back its operands, exchanged."""
    zero = b.zeros([3], F64)
    op = b.operator([zero, zero], lambda a, c, d, e: [c, d])
    row = lambda i: b.map(3, lambda j: b.o.add(b.read(x, i), b.o.float64(j)))  # noqa: E731
    return b.reduce(op, n, lambda i: [row(i), row(i)])


@matrix_case
def reduce_rows(b, n, m, a):
    """Built-in monoids on arrays."""
    rows = lambda i: b.read(a, i)  # noqa: E731
    total = b.reduce("add", n, lambda i: b.map(m, lambda j: b.o.mul(b.read(rows(i), j), 2.0)))
    return [total, b.reduce("max", n, rows), b.scan("add", n, rows)]


@matrix_case
def nests(b, n, m, a):
    transposed = b.map([m, n], lambda i, j: b.read(a, j, i))
    outer = b.map([n, m, 2], lambda i, j, k: b.o.mul(b.read(a, i, j), b.o.float64(k)))
    total = b.reduce("add", [n, m], lambda i, j: b.read(a, i, j))
    best = b.reduce("argmin", [n, m], lambda i, j: [b.read(a, i, j), b.o.add(b.o.mul(i, m), j)])
    gram = b.map([n, n], lambda i, j: b.reduce("add", m, lambda k: b.o.mul(b.read(a, i, k), b.read(a, j, k))))
    return [transposed, outer, total, *best, gram]


@matrix_case
def rows_stacked(b, n, m, a):
    """A Map of arrays is built in place; of a borrowed row, copied."""
    doubled = b.map(n, lambda i: b.map(m, lambda j: b.o.mul(b.read(a, i, j), 2.0)))
    copied = b.map(n, lambda i: b.read(a, i))
    sums = b.map(n, lambda i: b.reduce("add", m, lambda j: b.read(b.read(a, i), j)))
    cumulated = b.map(n, lambda i: b.scan("add", m, lambda j: b.read(a, i, j)))
    return [doubled, copied, sums, cumulated]


@matrix_case
def temporary_in_a_row(b, n, m, a):
    def row(i):
        t = b.map(m, lambda j: b.o.exp(b.read(a, i, j)))
        s = b.reduce("add", m, lambda j: b.read(t, j))
        return b.map(m, lambda j: b.o.div(b.read(t, j), s))

    return b.map(n, row)


@case
def free_array_yielded(b, n, x):
    """Every turn yields the same array from outside."""
    y = b.map(n, lambda i: b.o.neg(b.read(x, i)))
    return [b.map(3, lambda i: y), y]

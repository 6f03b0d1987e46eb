"""Dtypes, and results of every kind."""

from __future__ import annotations

from iverson.core.syntax import BOOL, F32, I32, Scalar
from tests.backend.constructs.cases import case


@case
def dtypes(b, n, x):
    single = b.map(n, lambda i: b.o.float32(b.read(x, i)))
    positive = b.map(n, lambda i: b.o.gt(b.read(x, i), 0.0))
    whole = b.map(n, lambda i: b.o.int32(b.o.mul(b.read(x, i), 100.0)))
    some = b.reduce("add", n, lambda i: b.o.exp(b.read(single, i)))
    count = b.reduce("add", n, lambda i: b.o.int64(b.read(positive, i)))
    mixed = b.map(n, lambda i: b.o.select(b.read(positive, i), b.read(whole, i), 0))
    assert some.type == Scalar(F32) and whole.type.dtype is I32 and positive.type.dtype is BOOL
    return [single, positive, whole, some, count, mixed, b.reduce("or", n, lambda i: b.read(positive, i))]


@case
def outs_of_every_kind(b, n, x):
    """A parameter, the same array twice, a row, a literal."""
    y = b.map([2, n], lambda i, j: b.read(x, j))
    z = b.map(n, lambda i: b.read(x, i))
    return [x, z, z, b.read(y, 1), 3.0, n, True]


@case
def integers(b, n, x):
    d = lambda i: b.o.sub(b.o.mod(i, 7), 3)  # noqa: E731
    safe = lambda i: b.o.select(b.o.eq(d(i), 0), 5, d(i))  # noqa: E731
    return [
        b.map(n, lambda i: b.o.floordiv(b.o.sub(i, 9), safe(i))),
        b.map(n, lambda i: b.o.mod(b.o.sub(i, 9), safe(i))),
        b.map(n, lambda i: b.o.pow(b.o.sub(i, 3), 3)),
        b.map(n, lambda i: b.o.shl(i, b.o.mod(i, 70))),
    ]

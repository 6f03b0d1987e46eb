"""Branches that give scalars and arrays, or update them."""

from __future__ import annotations

from iverson.core.syntax import BOOL, F64, Literal
from tests.backend.constructs.cases import case


@case
def scalar_branch(b, n, x):
    def value(i):
        v = b.read(x, i)
        return b.if_(b.o.gt(v, 0.0), lambda: b.o.log(v), lambda: b.o.mul(v, v))[0]

    return b.map(n, value)


def _twice(b, n, y):
    return b.map(n, lambda i: b.o.mul(b.read(y, i), 2.0))


@case
def branches_of_arrays(b, n, x):
    y, z = _twice(b, n, x), b.map(n, lambda i: b.o.neg(b.read(x, i)))
    p = b.o.gt(n, 3)
    fresh = b.if_(p, lambda: _twice(b, n, x), lambda: b.zeros([n], F64))[0]
    swapped = b.if_(b.o.gt(n, 2), lambda: [y, z], lambda: [z, y])
    return [fresh, *swapped]


@case
def branch_in_place(b, n, x):
    """One side updates, the other makes a new array (which reads the old one), or leaves it."""
    y = _twice(b, n, x)
    some = b.o.gt(n, 0)
    one = b.if_(some, lambda: b.set(y, [0], 5.0), lambda: _twice(b, n, y))[0]
    two = b.if_(some, lambda: b.set(one, [b.o.sub(n, 1)], 7.0), lambda: one)[0]
    return b.if_(b.o.gt(n, 4), lambda: two, lambda: b.zeros([n], F64))


@case
def branch_in_a_loop(b, n, x):
    """The carry is updated in place, replaced, or left, as the data say."""

    def turn(i, y):
        v = b.read(x, i)
        update = lambda: b.set(y, [i], v)  # noqa: E731
        replace = lambda: b.map(n, lambda j: b.o.add(b.read(y, j), v))  # noqa: E731
        return b.if_(b.o.gt(v, 0.0), update, lambda: b.if_(b.o.lt(v, -1.0), replace, lambda: y)[0])

    return b.loop(b.o.min(n, 50), [b.zeros([n], F64)], turn)


@case
def branch_with_a_row(b, n, x):
    """A branch that reads a row of the array the other branch updates."""
    y = b.map([2, n], lambda i, j: b.o.mul(b.read(x, j), b.o.float64(b.o.add(i, 1))))
    row = b.read(y, 1)
    some = b.o.gt(n, 1)
    return b.if_(
        some,
        lambda: b.set(y, [1, 0], 9.0),
        lambda: b.map([2, n], lambda i, j: b.o.add(b.read(row, j), b.o.float64(i))),
    )


@case
def decided_branch(b, n, x):
    """The side that is never taken leaves its array where it was; the other makes a new one, which is updated."""

    def turn(i, y):
        return b.set(b.if_(Literal(False, BOOL), lambda: y, lambda: x)[0], [0], 0.5)

    return b.loop(b.o.min(n, 2), [x], turn)


@case
def lazy_branch(b, n, x):
    """The side not taken would read out of bounds."""
    return b.map(n, lambda i: b.if_(b.o.gt(i, 0), lambda: b.read(x, b.o.sub(i, 1)), lambda: 0.0)[0])

"""Sequential loops, and how arrays go round in them."""

from __future__ import annotations

from iverson.core.syntax import F64
from tests.backend.constructs.cases import case, matrix_case


@case
def in_place_loop(b, n, x):
    def turn(i, y, last):
        v = b.o.add(last, b.read(x, i))
        return [b.set(y, [i], v), v]

    return b.loop(n, [b.zeros([n], F64), 0.0], turn)


@case
def emits(b, n, x):
    return b.loop(
        n,
        [0.0],
        lambda i, s: [
            b.o.add(s, b.read(x, i)),
            s,
            b.map(3, lambda j: b.o.mul(s, b.o.float64(j))),
            b.o.gt(s, 0.0),
        ],
    )


@case
def ping_pong(b, n, x):
    """Each turn makes a new array from the old one."""
    start = b.map(n, lambda i: b.read(x, i))

    def turn(_, y):
        return b.map(n, lambda i: b.o.mul(b.o.add(b.read(y, i), b.read(y, b.o.mod(b.o.add(i, 1), n))), 0.5))

    return b.loop(5, [start], turn)


@case
def exchange(b, n, x):
    """Carries that change places."""
    one = b.map(n, lambda i: b.read(x, i))
    two = b.map(n, lambda i: b.o.neg(b.read(x, i)))
    return b.loop(3, [one, two, 1.0], lambda i, p, q, s: [q, p, b.o.mul(s, 2.0)])


@case
def leapfrog(b, n, x):
    """The newer becomes the older, and a fresh array the newer."""
    one = b.map(n, lambda i: b.read(x, i))
    two = b.map(n, lambda i: b.o.neg(b.read(x, i)))

    def turn(_, old, new):
        return [new, b.map(n, lambda i: b.o.sub(b.o.mul(b.read(new, i), 1.5), b.read(old, i)))]

    return b.loop(4, [one, two], turn)


@case
def small_rotation(b, n, x):
    """The same with arrays of three elements."""
    one, two = b.full([3], 1.0), b.map(3, lambda i: b.o.float64(i))

    def turn(i, old, new):
        return [new, b.map(3, lambda j: b.o.sub(b.o.mul(b.read(new, j), b.read(x, i)), b.read(old, j)))]

    return b.loop(n, [one, two], turn)


@case
def nested_rotation(b, n, x):
    """A rotating loop inside a rotating loop, whose array also lives on."""
    start = b.map(n, lambda i: b.read(x, i))

    def smooth(y, by):
        return b.map(n, lambda i: b.o.mul(b.read(y, i), by))

    def outer(k, y):
        (z,) = b.loop(k, [y], lambda _, u: smooth(u, 1.5))
        return [smooth(z, 0.5), b.read(z, 0, safe=False)] if False else smooth(z, 0.5)

    return b.loop(4, [start], outer)


@case
def carry_from_a_parameter(b, n, x):
    return b.loop(3, [x], lambda i, y: b.map(n, lambda j: b.o.add(b.read(y, j), b.read(x, j))))


@case
def carry_replaced_by_outer(b, n, x):
    y = b.map(n, lambda i: b.o.neg(b.read(x, i)))
    return [*b.loop(2, [b.zeros([n], F64)], lambda i, c: y), y]


@case
def while_loop(b, n, x):
    start = b.map(n, lambda i: b.read(x, i))

    def body(k, y):
        return [b.o.add(k, 1), b.set(y, [k], b.o.float64(k))]

    (k, y) = b.while_([0, start], lambda k, y: b.o.lt(k, b.o.floordiv(n, 2)), body)
    collatz = b.while_([b.o.add(n, 1), 0], lambda v, _: b.o.gt(v, 1), lambda v, c: [halve(b, v), b.o.add(c, 1)])
    return [k, y, *collatz]


def halve(b, v):
    even = b.o.eq(b.o.mod(v, 2), 0)
    return b.if_(even, lambda: b.o.floordiv(v, 2), lambda: b.o.add(b.o.mul(v, 3), 1))[0]


@case
def while_rotating(b, n, x):
    start = b.map(n, lambda i: b.read(x, i))
    total = lambda y: b.reduce("add", n, lambda i: b.o.abs(b.read(y, i)))  # noqa: E731
    return b.while_(
        [start, 0],
        lambda y, k: getattr(b.o, "and")(b.o.gt(total(y), 0.1), b.o.lt(k, 20)),
        lambda y, k: [b.map(n, lambda i: b.o.mul(b.read(y, i), 0.5)), b.o.add(k, 1)],
    )


@matrix_case
def loop_in_a_map(b, n, m, a):
    """An in-place recurrence in each row, built in the row."""

    def row(i):
        def turn(j, y, s):
            v = b.o.add(b.o.mul(s, 0.5), b.read(a, i, j))
            return [b.set(y, [j], v), v]

        return b.loop(m, [b.zeros([m], F64), 0.0], turn)[0]

    return b.map(n, row)

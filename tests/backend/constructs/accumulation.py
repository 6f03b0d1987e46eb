"""Histograms, logs and other accumulators."""

from __future__ import annotations

from iverson.core.syntax import F64, I64
from tests.backend.constructs.cases import case


@case
def histogram(b, n, x):
    def bin_of(i):
        return b.o.mod(b.o.int64(b.o.floor(b.o.mul(b.read(x, i), 3.0))), 5)

    def body(add, top):
        def turn(i):
            b.contribute(add, [bin_of(i)], b.read(x, i))
            b.contribute(top, [bin_of(i)], b.read(x, i))
            return ()

        b.for_(n, turn, [])
        return ()

    return b.accumulate([("add", [b.zeros([5], F64)]), ("max", [b.full([5], -1.0)])], body)


@case
def scalar_accumulators(b, n, x):
    def body(total, last):
        def turn(i):
            b.contribute(total, [], b.read(x, i))
            b.if_(b.o.gt(b.read(x, i), 0.0), lambda: b.contribute(last, [], i) or (), lambda: ())
            return ()

        b.for_(n, turn, [])
        return b.o.add(1.0, 2.0)

    return b.accumulate([("add", [0.5]), ("set", [-1])], body)


@case
def argmax_by_bin(b, n, x):
    init = [b.full([3], -1e300), b.full([3], 0)]

    def body(acc):
        b.for_(n, lambda i: b.contribute(acc, [b.o.mod(i, 3)], b.read(x, i), i) or (), [])
        return ()

    return b.accumulate([("argmax", init)], body)


@case
def operator_accumulator(b, n, x):
    op = b.operator([1.0, 0.0], lambda a, c, d, e: [b.o.mul(a, d), b.o.add(b.o.mul(c, d), e)])

    def body(acc):
        b.loop(n, [], lambda i: b.contribute(acc, [b.o.mod(i, 2)], 0.5, b.read(x, i)) or ())
        return ()

    return b.accumulate([(op, [b.full([2], 1.0), b.zeros([2], F64)])], body)


@case
def append_log(b, n, x):
    def body(log):
        def turn(i):
            v = b.read(x, i)
            b.if_(b.o.gt(v, 0.0), lambda: b.contribute(log, [], v, i) or (), lambda: ())
            return ()

        b.for_(n, turn, [])
        return ()

    length, values, at = b.accumulate([("append", [])], body, [[F64, I64]])
    return [
        length,
        values,
        at,
        b.reduce("add", length, lambda k: b.o.mul(b.read(values, k), b.o.float64(b.read(at, k)))),
    ]


@case
def log_of_a_part(b, n, x):
    """A log of the first elements of an array that others need too."""
    total = b.scan("add", n, lambda i: b.read(x, i))
    last = b.o.sub(n, 1)
    mirrored = b.reduce("add", n, lambda i: b.o.mul(b.read(total, b.o.sub(last, i)), b.read(x, i)))

    def body(log):
        b.for_(b.o.floordiv(n, 3), lambda i: b.contribute(log, [], b.read(total, i)) or (), [])
        return ()

    return [mirrored, *b.accumulate([("append", [])], body, [[F64]])]


@case
def log_per_turn(b, n, x):
    """A log that each turn of two loops opens and frees, longer than its first block in some."""

    def lane(i, s):
        def body(log):
            def again(v, k):
                b.contribute(log, [], v)
                return [b.o.mul(v, 0.9), b.o.add(k, 1)]

            turns = b.o.mod(b.o.mul(i, 37), 100)
            return b.while_([b.read(x, i), 0], lambda v, k: b.o.lt(k, turns), again)

        length, log, last, _ = b.accumulate([("append", [])], body, [[F64]])
        return b.o.add(s, b.o.add(last, b.reduce("add", length, lambda k: b.read(log, k))))

    return b.loop(3, [0.0], lambda t, s: b.loop(n, [s], lane))


@case
def log_in_a_branch(b, n, x):
    """A log that some turns open and free, in a branch of a branch, and one beside it."""

    def kept(i, count):
        def body(log):
            again = lambda v, k: b.contribute(log, [], v) or [b.o.mul(v, 0.5), b.o.add(k, 1)]  # noqa: E731
            return b.while_([b.read(x, i), 0], lambda v, k: b.o.lt(k, count), again)

        length, log, last, _ = b.accumulate([("append", [])], body, [[F64]])
        return b.o.add(last, b.reduce("add", length, lambda k: b.read(log, k)))

    def lane(i, s):
        v = b.read(x, i)
        inner = lambda: b.if_(b.o.lt(i, 7), lambda: kept(i, b.o.mul(i, 20)), lambda: kept(i, 3))[0]  # noqa: E731
        return b.o.add(s, b.if_(b.o.gt(v, 0.0), inner, lambda: v)[0])

    return b.loop(n, [0.0], lane)


@case
def log_filled(b, n, x):
    """A For that appends one record a turn, beside what it maps; several such Fors, of two indices and of none."""

    def body(log):
        def one(i, j):
            v = b.o.add(b.read(x, i), b.o.float64(j))
            b.contribute(log, [], v, i)
            return b.o.neg(v)

        def turn(t):
            b.contribute(log, [], 1.0, t)
            stack = b.for_([t, 3], one)[0]
            b.for_(b.o.sub(t, 5), lambda i: b.contribute(log, [], 2.0, i) or (), ())
            return b.reduce("add", [t, 3], lambda i, j: b.read(stack, i, j))

        return b.loop(b.o.min(n, 50), [0.0], lambda t, s: b.o.add(s, turn(t)))

    return b.accumulate([("append", [])], body, [[F64, I64]])


@case
def init_copied_and_moved(b, n, x):
    """The same array begins two accumulators; and one is used afterwards."""
    y = b.map(n, lambda i: b.read(x, i))

    def body(first, second):
        def element(i):
            b.contribute(first, [i], 1.0)
            b.contribute(second, [i], 2.0)
            return ()

        b.for_(n, element, [])
        return ()

    one, two = b.accumulate([("add", [y]), ("mul", [y])], body)
    return [one, two, b.reduce("add", n, lambda i: b.read(y, i))]


@case
def outs_of_accumulate(b, n, x):
    y = b.map(n, lambda i: b.read(x, i))

    def body(acc):
        b.for_(n, lambda i: b.contribute(acc, [], b.read(x, i)) or (), [])
        return [y, b.map(n, lambda i: b.o.neg(b.read(y, i)))]

    return b.accumulate([("add", [0.0])], body)

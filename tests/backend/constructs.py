"""Core programs written by hand, one for every construct and every way an array can travel through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import BOOL, F32, F64, I32, I64, Array, Function, Literal, Map, Reduce, Scalar, Scan, Var

Case = tuple[Function, Callable[[int, np.random.Generator], list[Any]]]
CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[Builder, Var, Var], Any]) -> Callable[[Builder, Var, Var], Any]:
    """A program of n and a vector x of that length; `make` gives its outs."""

    def build() -> Case:
        b = Builder()
        n = Var(Scalar(I64), "n")
        x = Var(Array(F64, (n,)), "x")
        outs = make(b, n, x)
        return b.function([n, x], outs), lambda size, rng: [size, rng.normal(size=size)]

    CASES[make.__name__] = build
    return make


def matrix_case(make: Callable[[Builder, Var, Var, Var], Any]) -> Callable[[Builder, Var, Var, Var], Any]:
    """A program of n, m and a matrix a."""

    def build() -> Case:
        b = Builder()
        n, m = Var(Scalar(I64), "n"), Var(Scalar(I64), "m")
        a = Var(Array(F64, (n, m)), "a")
        outs = make(b, n, m, a)

        def arguments(size: int, rng: np.random.Generator) -> list[Any]:
            rows, columns = min(size, 60), min(size, 7)
            return [rows, columns, rng.normal(size=(rows, columns))]

        return b.function([n, m, a], outs), arguments

    CASES[make.__name__] = build
    return make


# --- parallel ---------------------------------------------------------------------------------------------------------


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


# --- accumulation -----------------------------------------------------------------------------------------------------


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


# --- loops ------------------------------------------------------------------------------------------------------------


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


# --- branches ---------------------------------------------------------------------------------------------------------


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


# --- types and outs ---------------------------------------------------------------------------------------------------


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

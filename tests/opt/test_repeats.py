"""Loops that may raise: the second joins the first where it only repeats what the first has tested (opt/repeats.py)."""

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import I64, Accumulate, Array, Contribute, For, Literal, Read, Var, While
from iverson.opt import siblings
from iverson.opt.pipeline import optimise
from tests.opt.programs import array, size
from tests.opt.support import assert_kept, unchanged

X = np.array([0.5, -1.0, 2.0, 0.25])
K = np.array([3, 1, 2, 2])


def start():
    n = size("n")
    return Builder(), n, array("x", n), Var(Array(I64, (n,)), "k")


def ops(f, kind):
    return [let.op for let in statements(f.body) if isinstance(let.op, kind)]


def two(first, second):
    """A sum over first(i), and what second(acc, i) contributes to a fresh array; the same indices, n of them."""
    b, n, x, k = start()
    s = b.reduce("add", n, lambda i: first(b, x, k, i))

    def body(acc):
        b.for_(n, lambda i: second(b, x, k, acc, i) or (), [])
        return ()

    (g,) = b.accumulate([("add", [b.for_(n, lambda i: (0.0,))[0]])], body)
    return b.function([n, x, k], [s, g])


def search(b, x, k, i):
    """Halve an index while x is positive there."""
    turns = b.while_(
        [b.read(k, i)], lambda at: b.o.gt(b.read(x, at), 0.0), lambda at: [b.o.floordiv(b.o.sub(at, 1), 2)]
    )
    return turns[0]


def merged(f):
    """It is one loop, and as good as before."""
    g = assert_kept(f, siblings.run, [4, X, K])
    (both,) = [let.op for let in g.body if isinstance(let.op, Accumulate)]
    assert [sum(isinstance(let.op, For) for let in block) for block in (g.body, both.body)] == [1, 1]  # zeros; the loop
    return g


def test_a_contribution_where_the_first_read():
    g = merged(
        two(lambda b, x, k, i: b.read(x, b.read(k, i)), lambda b, x, k, acc, i: b.contribute(acc, [b.read(k, i)], 1.0))
    )
    assert len([r for r in ops(g, Read) if len(r.index) == 1]) == 2  # k[i], x[k[i]]


def test_a_search_is_done_once():
    f = two(
        lambda b, x, k, i: b.read(x, search(b, x, k, i)),
        lambda b, x, k, acc, i: b.contribute(acc, [search(b, x, k, i)], b.read(x, i)),
    )
    assert len(ops(f, While)) == 2 and len(ops(merged(f), While)) == 1


def test_another_search_stays_behind():
    def other(b, x, k, i):
        (at,) = b.while_([b.read(k, i)], lambda at: b.o.gt(b.read(x, at), 1.0), lambda at: [b.o.sub(at, 1)])
        return at

    f = two(
        lambda b, x, k, i: b.read(x, search(b, x, k, i)),
        lambda b, x, k, acc, i: b.contribute(acc, [other(b, x, k, i)], b.read(x, i)),
    )
    unchanged(f, siblings.run)


def test_what_a_branch_has_tested_holds_on_its_side():
    def inside(positive):
        def first(b, x, k, i):
            p = b.o.gt(b.read(x, i), 0.0)
            return b.if_(p, lambda: (b.read(x, b.read(k, i)),), lambda: (0.0,))[0]

        def second(b, x, k, acc, i):
            p = b.o.gt(b.read(x, i), 0.0)

            def add():
                b.contribute(acc, [b.read(k, i)], 1.0)
                return ()

            b.if_(p, *((add, tuple) if positive else (tuple, add)))

        return two(first, second)

    merged(inside(True))
    unchanged(inside(False), siblings.run)


@pytest.mark.parametrize("turns", [0, 3])
def test_a_loop_of_no_turns_tests_nothing(turns):
    """The first reads x[k[i]] in an inner loop, the second outside of one."""

    def first(b, x, k, i):
        return b.reduce("add", Literal(turns, I64), lambda j: b.read(x, b.read(k, i)))

    f = two(first, lambda b, x, k, acc, i: b.contribute(acc, [b.read(k, i)], b.read(x, i)))
    unchanged(f, siblings.run)


def test_the_first_error_stays_the_first():
    """Index 3 of k is bad for the first loop, number 1 divides by zero in the second: the first loop raises."""
    f = two(
        lambda b, x, k, i: b.read(x, b.read(k, i)),
        lambda b, x, k, acc, i: b.contribute(
            acc, [b.read(k, i)], b.o.float64(b.o.floordiv(6, b.o.sub(b.read(k, i), 1)))
        ),
    )
    for g in (f, siblings.run(f), optimise(f)):
        with pytest.raises(IndexError):
            evaluate(g, [4, X, np.array([2, 1, 0, 7])])


def test_what_fails_between_stays_between():
    """A division between the loops, which the second needs: it can't move past the first loop's tests."""
    b, n, x, k = start()
    s = b.reduce("add", n, lambda i: b.read(x, b.read(k, i)))
    q = b.o.floordiv(6, b.read(k, 0))

    def body(acc):
        b.for_(n, lambda i: b.contribute(acc, [b.read(k, i)], b.o.float64(q)) or (), [])
        return ()

    (g,) = b.accumulate([("add", [b.for_(n, lambda i: (0.0,))[0]])], body)
    unchanged(b.function([n, x, k], [s, g]), siblings.run)


def test_contributions_are_not_one():
    """Two equal branches that add: both do."""

    def add(b, x, k, acc, i):
        p = b.o.gt(b.read(x, b.read(k, i)), 0.0)
        for _ in range(2):

            def one():
                b.contribute(acc, [b.read(k, i)], 1.0)
                return ()

            b.if_(p, one, tuple)

    g = merged(two(lambda b, x, k, i: b.read(x, b.read(k, i)), add))
    assert len(ops(g, Contribute)) == 2


# --- sequential loops -------------------------------------------------------------------------------------------------


def descent(b, x, k, i, log=None, bound=0.0):
    """Walk down from k[i] while x is above a bound; what a recurrence gives, and with a log how often it turned."""

    def turn(at, y, *turns):
        if log is not None:
            b.contribute(log, [], at)
        return [b.o.sub(at, 1), b.o.add(y, b.o.sin(y)), *(b.o.add(t, 1) for t in turns)]

    start = [b.read(k, i), b.read(x, i), *([] if log is None else [0])]
    return b.while_(start, lambda at, *_: b.o.gt(b.read(x, at), bound), turn)[1:]


def logged(b, x, k, i, bound=0.0):
    """The same with a log; how often it turned, and what it logged, come in too."""
    length, log, y, turns = b.accumulate([("append", [])], lambda log: descent(b, x, k, i, log, bound), dtypes=[(I64,)])
    passed = b.reduce("add", length, lambda j: b.read(log, j))
    return b.o.mul(y, b.o.float64(b.o.add(turns, passed)))


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_a_loop_that_also_logs_takes_the_other_s_place(bound):
    f = two(
        lambda b, x, k, i: descent(b, x, k, i)[0],
        lambda b, x, k, acc, i: b.contribute(acc, [i], logged(b, x, k, i, bound), safe=True),
    )
    if bound:
        return unchanged(f, siblings.run)
    assert len(ops(f, While)) == 2 and len(ops(merged(f), While)) == 1


def test_a_check_stays_where_another_loop_has_none():
    """The loop that logs tests something else before it starts."""

    def second(b, x, k, acc, i):
        def body(log):
            b.check(b.o.lt(b.read(x, i), 7.0), "large", error="ValueError")
            return descent(b, x, k, i, log)

        length, log, y, turns = b.accumulate([("append", [])], body, dtypes=[(I64,)])
        passed = b.reduce("add", length, lambda j: b.read(log, j))
        b.contribute(acc, [i], b.o.mul(y, b.o.float64(b.o.add(turns, passed))), safe=True)

    unchanged(two(lambda b, x, k, i: descent(b, x, k, i)[0], second), siblings.run)


def test_a_loop_that_raises_more_stays_behind():
    """The second reads x where the first doesn't, for its log."""

    def second(b, x, k, acc, i):
        def body(log):
            def turn(at, y):
                b.contribute(log, [], b.read(k, b.o.sub(at, 3)))
                return [b.o.sub(at, 1), b.o.add(y, b.o.sin(y))]

            start = b.read(k, i)
            return b.while_([start, b.read(x, start)], lambda at, _: b.o.gt(b.read(x, at), 0.0), turn)[1:]

        length, log, y = b.accumulate([("append", [])], body, dtypes=[(I64,)])
        passed = b.reduce("add", length, lambda j: b.read(log, j))
        b.contribute(acc, [i], b.o.mul(y, b.o.float64(passed)), safe=True)

    unchanged(two(lambda b, x, k, i: descent(b, x, k, i)[0], second), siblings.run)

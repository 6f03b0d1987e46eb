"""What passes must leave alone: where their equations would copy, raise, or read foreign memory."""

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import F64, I64, Array, Check, Contribute, For, Loop, Read, Scalar, Var
from iverson.opt import bounds, fuse, gather, hoist, parallel, siblings, simplify
from iverson.opt.pipeline import optimise
from tests.opt.programs import array, size
from tests.opt.support import assert_kept, unchanged

X = np.array([0.5, -1.0, 2.0, 0.25])


def start():
    n = size("n")
    return Builder(), n, array("x", n)


def indices(n):
    return Var(Array(I64, (n,)), "k")


def ops(f, kind):
    return [let.op for let in statements(f.body) if isinstance(let.op, kind)]


def in_order(acc, b, n, values):
    """A For that contributes values(i) to acc[i]."""
    return b.for_(n, lambda i: b.contribute(acc, [i], values(i), safe=True) or (), [])


# --- fuse -------------------------------------------------------------------------------------------------------------


def test_fuse_not_past_a_consumer():
    """y reads z, which is updated in place before y is read."""
    b, n, x = start()
    z = b.copy(x)
    y = b.map(n, lambda i: b.o.exp(b.read(z, i)))
    z2 = b.set(z, [0], 9.0)
    s = b.reduce("add", n, lambda i: b.o.mul(b.read(y, i), b.read(z2, i)))
    assert_kept(b.function([n, x], [s]), fuse.run, [4, X])


def test_fuse_not_what_is_read_twice():
    b, n, x = start()
    y = b.map(n, lambda i: b.o.exp(b.read(x, i)))
    total = b.reduce("add", [n, n], lambda i, j: b.read(y, j))
    unchanged(b.function([n, x], [total]), fuse.run)


def test_fuse_keeps_errors_of_elements_nobody_reads():
    b, n, x = start()
    k = indices(n)
    y = b.map(n, lambda i: b.read(x, b.read(k, i)))
    s = b.reduce("add", b.o.sub(n, 2), lambda i: b.read(y, i, safe=True))
    f = b.function([n, x, k], [s])
    with pytest.raises(IndexError):
        evaluate(fuse.run(f), [4, X, np.array([0, 1, 2, 7])])


def test_fuse_of_a_copy_keeps_the_check():
    b, n, x = start()
    k = indices(n)
    y = b.copy(x)
    s = b.reduce("add", n, lambda i: b.read(y, b.read(k, i)))
    g = fuse.run(b.function([n, x, k], [s]))
    (last,) = [r for r in ops(g, Read) if r.array is x]
    assert not last.safe
    with pytest.raises(IndexError):
        evaluate(g, [4, X, np.array([0, 1, 2, 7])])


# --- siblings ---------------------------------------------------------------------------------------------------------


def test_siblings_need_the_same_index():
    """A prefix reads its neighbour: the producer must be finished."""
    b, n, x = start()
    y = b.map(n, lambda i: b.o.exp(b.read(x, i)))
    last = b.o.sub(n, 1)
    s = b.map(n, lambda i: b.o.sub(b.read(y, b.o.sub(last, i), safe=True), b.read(x, i)))
    unchanged(b.function([n, x], [y, s]), siblings.run)


def test_siblings_not_past_a_total():
    b, n, x = start()
    s = b.reduce("add", n, lambda i: b.read(x, i))
    y = b.map(n, lambda i: b.o.div(b.read(x, i), s))
    unchanged(b.function([n, x], [y]), siblings.run)


def test_siblings_do_not_copy():
    """The first loop reads z; the Accumulate that shares its reads of x consumes z."""
    b, n, x = start()
    z = b.set(b.copy(x), [0], 2.0, safe=True)
    s = b.reduce("add", n, lambda i: b.o.mul(b.read(z, i), b.read(x, i)))
    (z2,) = b.accumulate([("add", [z])], lambda acc: in_order(acc, b, n, lambda i: b.read(x, i)))
    g = assert_kept(b.function([n, x], [s, z2]), siblings.run, [4, X])
    assert evaluate(g, [4, X]).cost.copied == 0


def test_siblings_keep_the_first_error():
    b, n, x = start()
    k, m = indices(n), indices(n)
    p = b.reduce("add", n, lambda i: b.o.mul(b.read(x, i), b.read(x, b.read(k, i))))
    q = b.reduce("add", n, lambda i: b.o.floordiv(b.o.int64(b.read(x, i)), b.read(m, i)))
    f = b.function([n, x, k, m], [p, q])
    args = [4, X, np.array([0, 1, 2, 7]), np.array([0, 1, 1, 1])]
    for g in (f, siblings.run(f), optimise(f)):
        with pytest.raises(IndexError):
            evaluate(g, args)


def test_siblings_leave_unchecked_accesses_behind_their_checks():
    """The second loop relies on the first having checked all of k."""
    b, n, x = start()
    k, last = indices(n), b.o.sub(n, 1)
    p = b.reduce("add", n, lambda i: b.o.mul(b.read(x, i), b.read(x, b.read(k, i))))

    def body(acc):
        def turn(i):
            b.contribute(acc, [b.read(k, b.o.sub(last, i), safe=True)], b.read(x, i), safe=True)
            return ()

        b.for_(n, turn, [])
        return ()

    (g,) = b.accumulate([("add", [b.zeros([n], F64)])], body)
    unchanged(b.function([n, x, k], [p, g]), siblings.run)


def test_siblings_keep_the_order_of_logs():
    b, n, x = start()

    def body(log):
        b.for_(n, lambda i: b.contribute(log, [], b.read(x, i)) or (), [])
        b.for_(n, lambda i: b.contribute(log, [], b.o.neg(b.read(x, i))) or (), [])
        return ()

    length, log = b.accumulate([("append", [])], body, dtypes=[(F64,)])
    assert_kept(b.function([n, x], [length, log]), siblings.run, [4, X])


# --- hoist ------------------------------------------------------------------------------------------------------------


def test_hoist_not_what_may_raise():
    b, n, x = start()
    m = size("m")
    y = b.map(m, lambda i: b.o.mul(b.read(x, 0), b.o.float64(i)))
    f = b.function([n, x, m], [y])
    unchanged(f, hoist.run)
    assert evaluate(optimise(f), [0, X[:0], 0]).values[0].shape == (0,)


def test_hoist_not_a_safe_read_that_a_turn_vouches_for():
    """x[0] is in bounds in a turn over x, and nowhere else."""
    b, n, x = start()
    y = b.map(n, lambda i: b.o.mul(b.read(x, 0), b.o.float64(i)))
    g = optimise(b.function([n, x], [y]))
    (loop,) = ops(g, For)
    assert [let.op.safe for let in loop.body if isinstance(let.op, Read)] == [True]


def test_hoist_not_what_is_consumed():
    b, n, x = start()

    def turn(i, s):
        z = b.zeros([n], F64)
        (z2,) = b.accumulate([("add", [z])], lambda acc: b.contribute(acc, [i], b.read(x, i)) or ())
        return b.o.add(s, b.o.mul(s, b.read(z2, i)))

    (s,) = b.loop(n, [1.0], turn)
    assert_kept(b.function([n, x], [s]), hoist.run, [4, X])


# --- bounds -----------------------------------------------------------------------------------------------------------


def safe_reads(f):
    return [r.safe for r in ops(bounds.run(f), Read)]


def test_bounds_know_that_integers_wrap():
    """i m < n and i m >= 0 in exact arithmetic do not make x[i m] safe where the product wraps."""
    b, n, x = start()
    m = Var(Scalar(I64), "m")
    o = b.o

    def element(i):
        at = o.mul(i, m)
        inside = getattr(o, "and")(o.ge(m, 0), o.lt(at, n))
        return b.if_(inside, lambda: b.read(x, at), lambda: 0.0)[0]

    f = b.function([n, x, m], [b.map(n, element)])
    assert safe_reads(f) == [False]
    with pytest.raises(IndexError):
        evaluate(optimise(f), [4, X, 2**62 + 2**60])


def test_bounds_do_not_trust_other_reads():
    """That x[k] was in bounds says nothing: the read may be dead code."""
    b, n, x = start()
    k = Var(Scalar(I64), "k")
    b.read(x, k)
    f = b.function([n, x, k], [b.read(x, k)])
    assert safe_reads(f) == [False] * len(safe_reads(f))


def test_bounds_of_a_counter_that_falls():
    b, n, x = start()
    o = b.o

    def turn(k, s):
        return o.sub(k, 1), o.add(s, o.add(b.read(x, k), b.read(x, o.add(k, 1))))

    _, s = b.while_([o.sub(n, 1), 0.0], lambda k, s: o.ge(k, 0), turn, hints=["k", "s"])
    assert safe_reads(b.function([n, x], [s])) == [True, False]


def test_bounds_of_neighbours_need_a_guard():
    b, n, x = start()
    f = b.function([n, x], [b.map(n, lambda i: b.read(x, b.o.sub(i, 1)))])
    assert safe_reads(f) == [False]


def test_bounds_keep_unproven_checks():
    b, n, x = start()
    m = size("m")
    y = array("y", m)
    b.check(b.o.eq(n, m), "lengths differ")
    f = b.function([n, x, m, y], [b.map(n, lambda i: b.o.add(b.read(x, i), b.read(y, i)))])
    assert safe_reads(f) == [True, True]
    assert len(ops(bounds.run(f), Check)) == 1


# --- gather and parallel ----------------------------------------------------------------------------------------------


def test_gather_not_a_part():
    """Contributions to 1 ... n - 1 leave element 0 as it was."""
    b, n, x = start()
    m = b.o.sub(n, 1)

    def body(acc):
        b.for_(m, lambda i: b.contribute(acc, [b.o.add(i, 1)], b.read(x, i), safe=True) or (), [])
        return ()

    (y,) = b.accumulate([("add", [b.zeros([n], F64)])], body)
    g = assert_kept(b.function([n, x], [y]), gather.run, [4, X])
    assert ops(g, Contribute)


def test_gather_not_fewer_indices_than_elements():
    b, n, x = start()
    m = size("m")

    def body(acc):
        b.for_(m, lambda i: b.contribute(acc, [i], 1.0) or (), [])
        return ()

    (y,) = b.accumulate([("add", [b.zeros([n], F64)])], body)
    assert_kept(b.function([n, x, m], [y]), gather.run, [4, X, 2])


def test_gather_not_an_initial_value_that_counts():
    b, n, x = start()
    (y,) = b.accumulate([("add", [b.copy(x)])], lambda acc: in_order(acc, b, n, lambda i: b.read(x, i)))
    g = assert_kept(b.function([n, x], [y]), gather.run, [4, X])
    assert ops(g, Contribute)


def test_gather_not_a_place_nobody_checked():
    """acc[0] from an empty For must not be touched."""
    b, n, x = start()
    m = size("m")

    def body(acc):
        b.for_(m, lambda i: b.contribute(acc, [0], 1.0) or (), [])
        return ()

    (y,) = b.accumulate([("add", [b.copy(x)])], body)
    assert_kept(b.function([n, x, m], [y]), gather.run, [0, X[:0], 0], [4, X, 3])


def test_parallel_not_a_carry_that_is_seen():
    b, n, x = start()
    (s, e) = b.loop(n, [0.0], lambda i, s: (b.o.add(s, b.read(x, i)), s))
    unchanged(b.function([n, x], [s, e]), parallel.run)


def test_parallel_not_two_monoids():
    b, n, x = start()
    (s,) = b.loop(n, [0.0], lambda i, s: b.o.mul(b.o.add(s, b.read(x, i)), b.read(x, i)))
    unchanged(b.function([n, x], [s]), parallel.run)


def test_parallel_keeps_the_last_write():
    b, n, x = start()
    k = indices(n)
    (y,) = b.loop(n, [b.zeros([n], F64)], lambda i, y: b.set(y, [b.read(k, i)], b.read(x, i)))
    g = assert_kept(b.function([n, x, k], [y]), parallel.run, [4, X, np.array([1, 1, 2, 1])])
    assert not ops(g, Loop)


# --- simplify ---------------------------------------------------------------------------------------------------------


def test_simplify_keeps_zeros_and_nans():
    b = Builder()
    x = Var(Scalar(F64), "x")
    o = b.o
    outs = [
        o.add(x, 0.0),
        o.mul(x, 0.0),
        o.sub(x, x),
        o.eq(x, x),
        getattr(o, "not")(o.lt(x, 1.0)),
        o.neg(o.sub(x, 1.0)),
    ]
    f = b.function([x], outs)
    g = simplify.run(f)
    for value in (-0.0, np.nan, np.inf, 1.0):
        before, after = evaluate(f, [value]).values, evaluate(g, [value]).values
        assert [np.float64(v).tobytes() for v in before] == [np.float64(v).tobytes() for v in after]

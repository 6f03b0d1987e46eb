"""Golden tests: the equation of each pass, on the smallest program that shows it."""

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import F64, I64, Array, Map, Reduce, Var
from iverson.opt import bounds, branches, copies, fuse, gather, hoist, parallel, siblings, simplify
from tests.opt.programs import array, size
from tests.opt.support import golden

X = np.array([0.5, -1.0, 2.0, 0.25])
ARGS = [4, X]


def start():
    n = size("n")
    return Builder(), n, array("x", n)


def test_simplify():
    b, n, x = start()
    o = b.o

    def element(i):
        p = o.gt(b.read(x, i), 0.0)
        t = o.add(o.mul(b.read(x, i), 1.0), o.neg(o.exp(b.read(x, i))))
        return b.if_(p, lambda: o.select(p, t, 0.0), lambda: o.pow(t, 2.0))

    golden(
        b.function([n, x], [b.map(n, lambda i: element(i)[0])]),
        simplify.run,
        """
            t = for i < n {
                t1 = x[i]
                t2 = gt t1 0.0
                t3 = exp t1
                t4 = sub t1 t3
                t5 = if t2 {} t4 else {
                    t6 = mul t4 t4
                } t6
            } map t5
        } t
        """,
        ARGS,
    )


def test_simplify_equal_sums():
    b, n, x = start()

    def element(i):
        y, z = b.o.exp(b.read(x, i)), b.o.exp(b.read(x, i))
        return y, y, z, y

    add = Reduce("add")
    p, r, s, t = b.for_(n, element, [Map(), add, add, Reduce("max")])
    golden(
        b.function([n, x], [p, r, s, t]),
        simplify.run,
        """
            t, t1, t2 = for i < n {
                t3 = x[i]
                t4 = exp t3
            } map t4; reduce add t4; reduce max t4
        } t, t1, t1, t2
        """,
        ARGS,
    )


def test_simplify_invariant_carries():
    b, n, x = start()
    y, s = b.loop(n, [x, 0.0], lambda i, y, s: (y, b.o.add(s, b.read(y, i))), hints=["y", "s"])
    golden(
        b.function([n, x], [b.read(y, 0), s]),
        simplify.run,
        """
            t = loop i < n [s = 0.0] {
                t1 = x[i]
                t2 = add s t1
            } t2
            t3 = x[0]
        } t3, t
        """,
        ARGS,
    )


def test_simplify_rows_and_sums_from_zero():
    b, n, _ = start()
    a = array("a", n, n)
    o = b.o

    def element(i):
        row = b.read(a, i)
        return o.add(0.0, b.reduce("add", n, lambda j: b.read(row, j)))

    golden(
        b.function([n, a], [b.map(n, element)]),
        simplify.run,
        """
            t = for i < n {
                t1 = for i1 < n {
                    t2 = a[i, i1]
                } reduce add t2
            } map t1
        } t
        """,
        [2, np.arange(4.0).reshape(2, 2)],
    )


def test_bounds_branches_and_wraps():
    b, n, x = start()
    o = b.o

    def element(i):
        before = o.sub(i, 1)
        wrapped = o.select(o.lt(i, 0), o.add(i, n), i)
        return b.if_(o.gt(i, 0), lambda: b.read(x, before), lambda: b.read(x, wrapped))

    b.check(o.ge(n, 0), "negative")
    golden(
        b.function([n, x], [b.map(n, lambda i: element(i)[0])]),
        bounds.run,
        """
            t = for i < n {
                t1 = sub i 1
                t2 = gt i 0
                t3 = if t2 {
                    t4 = x[t1!]
                } t4 else {
                    t5 = x[i!]
                } t5
            } map t3
        } t
        """,
        ARGS,
    )


def test_bounds_slices_clamps_and_remainders():
    b, n, x = start()
    o = b.o
    m = o.sub(n, 2)
    s = b.reduce("add", m, lambda i: b.read(x, o.add(i, 2)))
    t = b.reduce("add", n, lambda i: b.read(x, o.min(o.add(i, 1), o.sub(n, 1))))
    u = b.reduce("add", n, lambda i: b.read(x, o.mod(o.mul(i, 7), n)))
    golden(
        b.function([n, x], [s, t, u]),
        bounds.run,
        """
            t = sub n 2
            t1 = for i < t {
                t2 = add i 2
                t3 = x[t2!]
            } reduce add t3
            t4 = for i1 < n {
                t5 = add i1 1
                t6 = sub n 1
                t7 = min t5 t6
                t8 = x[t7!]
            } reduce add t8
            t9 = for i2 < n {
                t10 = mul i2 7
                t11 = mod t10 n
                t12 = x[t11!]
            } reduce add t12
        } t1, t4, t9
        """,
        ARGS,
    )


def test_bounds_counters():
    b, n, x = start()
    o = b.o
    _, s = b.while_(
        [0, 0.0],
        lambda k, s: o.lt(k, n),
        lambda k, s: (o.add(k, 1), o.add(s, b.read(x, k))),
        hints=["k", "s"],
    )
    golden(
        b.function([n, x], [s]),
        bounds.run,
        """
            t, t1 = while [k = 0, s = 0.0] {
                t2 = lt k n
            } t2 do {
                t3 = add k 1
                t4 = x[k!]
                t5 = add s t4
            } t3, t5
        } t1
        """,
        ARGS,
    )


def test_hoist():
    b, n, x = start()
    k = size("k")
    q = array("q", k, n)

    def point(i):
        root = b.o.sqrt(b.o.float64(n))
        each = b.reduce("add", k, lambda c: b.o.mul(b.read(x, i), b.reduce("add", n, lambda a: b.read(q, c, a))))
        return b.o.mul(root, each)

    golden(
        b.function([n, k, x, q], [b.reduce("add", n, point)]),
        hoist.run,
        """
            t = float64 n
            t1 = sqrt t
            t2 = for i < k {
                t3 = for i1 < n {
                    t4 = q[i, i1]
                } reduce add t4
            } map t3
            t5 = for i2 < n {
                t6 = x[i2]
                t7 = for i3 < k {
                    t8 = t2[i3!]
                    t9 = mul t6 t8
                } reduce add t9
                t10 = mul t1 t7
            } reduce add t10
        } t5
        """,
        [4, 2, X, np.arange(8.0).reshape(2, 4)],
    )


def test_hoist_what_may_raise_from_a_loop_that_runs():
    b, n, x = start()

    def turn(i):
        first = b.read(x, 0)
        own = b.read(x, i)
        return b.o.mul(b.o.mul(first, own), b.read(x, 1))

    golden(
        b.function([n, x], [b.map(2, turn)]),
        hoist.run,
        """
            t = x[0]
            t1 = for i < 2 {
                t2 = x[i]
                t3 = mul t t2
                t4 = x[1]
                t5 = mul t3 t4
            } map t5
        } t1
        """,
        ARGS,
    )


def test_fuse():
    b, n, x = start()
    y = b.map(n, lambda i: b.o.exp(b.read(x, i)))
    s = b.reduce("add", b.o.sub(n, 1), lambda i: b.read(y, b.o.add(i, 1), safe=True))
    golden(
        b.function([n, x], [s]),
        fuse.run,
        """
            t = sub n 1
            t1 = for i < t {
                t2 = add i 1
                t3 = x[t2!]
                t4 = exp t3
            } reduce add t4
        } t1
        """,
        ARGS,
    )


def test_fuse_maps_of_maps():
    b, n, x = start()
    y = b.map(n, lambda i: b.map(n, lambda j: b.map(2, lambda k: b.o.mul(b.read(x, i), b.read(x, j)))))
    s = b.reduce("add", [n, n, 2], lambda i, j, k: b.read(y, i, j, k))
    golden(
        b.function([n, x], [s]),
        fuse.run,
        """
            t = for i < n, j < n, k < 2 {
                t1 = x[i!]
                t2 = x[j!]
                t3 = mul t1 t2
            } reduce add t3
        } t
        """,
        ARGS,
    )


def test_siblings_producer_that_is_also_a_result():
    b, n, x = start()
    y = b.map(n, lambda i: b.o.exp(b.read(x, i)))
    s = b.reduce("add", n, lambda i: b.o.mul(b.read(y, i), 2.0))
    golden(
        b.function([n, x], [y, s]),
        siblings.run,
        """
            t, t1 = for i < n {
                t2 = x[i]
                t3 = exp t2
                t4 = mul t3 2.0
            } map t3; reduce add t4
        } t, t1
        """,
        ARGS,
    )


def test_siblings_into_an_accumulate():
    b, n, x = start()
    s = b.reduce("add", n, lambda i: b.read(x, i))
    last = b.o.sub(n, 1)

    def body(acc):
        b.for_(n, lambda i: b.contribute(acc, [b.o.sub(last, i)], b.read(x, i), safe=True) or (), [])
        return ()

    (g,) = b.accumulate([("add", [b.zeros([n], F64)])], body)
    golden(
        b.function([n, x], [s, g]),
        siblings.run,
        """
            t = sub n 1
            t1 = for i < n {} map 0.0
            acc, t2 = accumulate [acc1 = add t1] {
                t3 = for i1 < n {
                    t4 = x[i1]
                    t5 = sub t i1
                    acc1[t5!] <- t4
                } reduce add t4
            } t3
        } t2, acc
        """,
        ARGS,
    )


def test_gather_map_and_reduce():
    b, n, _ = start()
    k = size("k")
    a = array("a", n, k)

    def body(acc):
        b.for_(n, lambda i: b.for_(k, lambda j: b.contribute(acc, [i], b.read(a, i, j)) or (), []), [])
        return ()

    (g,) = b.accumulate([("add", [b.zeros([n], F64)])], body)
    golden(
        b.function([n, k, a], [g]),
        gather.run,
        """
            acc = for i < n {
                acc1 = for i1 < k {
                    t = a[i, i1]
                } reduce add t
            } map acc1
        } acc
        """,
        [2, 3, np.arange(6.0).reshape(2, 3)],
        [0, 3, np.zeros((0, 3))],
    )


def test_gather_scalar():
    b, n, x = start()

    def element(acc, i):
        b.contribute(acc, [], b.read(x, i))
        b.contribute(acc, [], b.o.exp(b.read(x, i)))
        return ()

    (g,) = b.accumulate([("add", [2.0])], lambda acc: b.for_(n, lambda i: element(acc, i), []))
    golden(
        b.function([n, x], [g]),
        gather.run,
        """
            acc = for i < n {
                t = x[i]
                t1 = x[i]
                t2 = exp t1
                acc1 = add t t2
            } reduce add acc1
            acc2 = add 2.0 acc
        } acc2
        """,
        ARGS,
        exact=False,
        extra=1,
    )


def test_parallel_conditional_sum_and_maximum():
    b, n, x = start()
    o = b.o

    def turn(i, s, m):
        t = b.read(x, i)
        return b.if_(o.gt(t, 0.0), lambda: o.add(t, s), lambda: s)[0], o.max(m, t)

    s, m = b.loop(n, [1.0, 0.0], turn, hints=["s", "m"])
    golden(
        b.function([n, x], [s, m]),
        parallel.run,
        """
            t, t1 = accumulate [s = add 1.0, m = max 0.0] {
                for i < n {
                    t2 = x[i]
                    t3 = gt t2 0.0
                    if t3 {
                        s[] <- t2
                    } else {}
                    m[] <- t2
                }
            }
        } t, t1
        """,
        ARGS,
    )


def test_parallel_histogram_and_emits():
    b, n, x = start()
    k = Var(Array(I64, (n,)), "k")

    def turn(i, h):
        (new,) = b.accumulate([("add", [h])], lambda acc: b.contribute(acc, [b.read(k, i)], b.read(x, i)) or ())
        return new, b.o.exp(b.read(x, i))

    h, e = b.loop(n, [b.zeros([n], F64)], turn, hints=["h"])
    golden(
        b.function([n, x, k], [h, e]),
        parallel.run,
        """
            t = for i < n {} map 0.0
            t1, t2 = accumulate [h = add t] {
                t3 = for i1 < n {
                    t4 = k[i1]
                    t5 = x[i1]
                    h[t4] <- t5
                    t6 = x[i1]
                    t7 = exp t6
                } map t7
            } t3
        } t1, t2
        """,
        [4, X, np.array([1, 1, 3, 0])],
    )


def test_branches():
    b, n, x = start()

    def turn(i, a):
        return b.if_(b.o.gt(b.read(x, i), 0.0), lambda: b.set(a, [i], 1.0), lambda: b.set(a, [0], b.read(a, i)))

    (h,) = b.loop(n, [b.zeros([n], F64)], turn, hints=["h"])
    golden(
        b.function([n, x], [h]),
        branches.run,
        """
            t = for i < n {} map 0.0
            t1 = loop i1 < n [h = t] {
                t2 = x[i1]
                t3 = gt t2 0.0
                t4, i2 = if t3 {} 1.0, i1 else {
                    t5 = h[i1]
                } t5, 0
                t6 = accumulate [acc = set h] {
                    acc[i2] <- t4
                }
            } t6
        } t1
        """,
        ARGS,
    )


def test_many_yields_stay_in_order():
    b, n, x = start()
    y, s = b.for_(n, lambda i: (b.read(x, i), b.o.exp(b.read(x, i))), [Map(), Reduce("add")])
    z, m = b.for_(n, lambda i: (b.o.mul(b.read(y, i), b.read(x, i)), i), [Map(), Reduce("max")])
    golden(
        b.function([n, x], [m, z, s]),
        siblings.run,
        """
            t, t1, t2 = for i < n {
                t3 = x[i]
                t4 = exp t3
                t5 = mul t3 t3
            } reduce add t4; map t5; reduce max i
        } t2, t1, t
        """,
        ARGS,
    )


def test_copies():
    """y is x2 under another name for its length; z is needed once more, and the parameter isn't made here."""
    b, n, x = start()
    m = size("m")
    b.check(b.o.eq(n, m), "lengths differ")
    made = b.map(n, lambda i: b.o.exp(b.read(x, i)))
    used = b.map(n, lambda i: b.o.neg(b.read(x, i)))
    y, z, p = (b.map(k, lambda i, a=a: b.read(a, i)) for k, a in ((m, made), (m, used), (n, x)))
    golden(
        b.function([n, m, x], [y, z, used, p]),
        copies.run,
        """
            t = eq n m
            check t ValueError "lengths differ"
            t1 = for i < n {
                t2 = x[i]
                t3 = exp t2
            } map t3
            t4 = for i1 < n {
                t5 = x[i1]
                t6 = neg t5
            } map t6
            t7 = for i2 < m {
                t8 = t4[i2]
            } map t8
            t9 = for i3 < n {
                t10 = x[i3]
            } map t10
        } t1, t7, t4, t9
        """,
        [4, 4, X],
    )


def test_copies_of_other_lengths_stay():
    b, n, x = start()
    made = b.map(n, lambda i: b.o.exp(b.read(x, i)))
    f = b.function([n, x], [b.map(b.o.floordiv(n, 2), lambda i: b.read(made, i))])
    assert copies.run(f) is f

"""The evaluator: what each construct means, what it costs, what it raises."""

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.evaluate import WorkLimit, evaluate
from iverson.core.syntax import F32, F64, I32, I64, Array, Literal, Map, Reduce, Scalar, Scan, Site, Var

X = np.array([3.0, 1.0, 4.0, 1.5])


def params():
    n = Var(Scalar(I64), "n")
    return n, Var(Array(F64, (n,)), "x")


def run(build, x=X, donated=False):
    """Evaluate build(b, n, x) -> outs."""
    b, (n, v) = Builder(), params()
    outs = build(b, n, v)
    return evaluate(b.function([n, v], outs, donated=[v] if donated else []), [len(x), x])


# --- meaning ----------------------------------------------------------------------------------------------------------


def test_maps_rows_and_reductions():
    def build(b, n, x):
        outer = b.map([n, n], lambda i, j: b.o.mul(b.read(x, i), b.read(x, j)))
        total = b.reduce("add", n, lambda i: b.read(outer, i))
        copies = b.map(n, lambda i: b.read(outer, 1))
        return [outer, total, copies, b.reduce("max", [n, n], lambda i, j: b.read(outer, i, j))]

    outer, total, copies, largest = run(build).values
    np.testing.assert_array_equal(outer, np.outer(X, X))
    np.testing.assert_array_equal(total, np.outer(X, X).sum(0))
    np.testing.assert_array_equal(copies, np.tile(X, (4, 1)))
    assert largest == 16.0


@pytest.mark.parametrize(
    ("monoid", "meaning"),
    [("add", np.cumsum), ("mul", np.cumprod), ("min", np.minimum.accumulate), ("max", np.maximum.accumulate)],
)
def test_scans(monoid, meaning):
    np.testing.assert_array_equal(
        run(lambda b, n, x: [b.scan(monoid, n, lambda i: b.read(x, i))]).values[0], meaning(X)
    )


def test_arg_reductions_take_the_first_winner_and_nan():
    def build(b, n, x):
        low = b.reduce("argmin", n, lambda i: (b.read(x, i), i))
        high = b.scan("argmax", n, lambda i: (b.read(x, i), i))
        return [*low, *high]

    value, at, values, ats = run(build, np.array([2.0, 1.0, 1.0, 2.0])).values
    assert (value, at) == (1.0, 1)
    np.testing.assert_array_equal(ats, [0, 0, 0, 0])
    value, at, values, ats = run(build, np.array([2.0, np.nan, 1.0, np.nan])).values
    assert np.isnan(value) and at == 1
    np.testing.assert_array_equal(ats, [0, 1, 1, 1])
    assert np.isnan(values[1:]).all()


def test_operators_on_tuples_and_arrays():
    def build(b, n, x):
        affine = b.operator([1.0, 0.0], lambda a, p, c, q: (b.o.mul(a, c), b.o.add(b.o.mul(p, c), q)))
        a, p = b.scan(affine, n, lambda i: (0.5, b.read(x, i)))
        unit = b.full([n], 0.0)
        plus = b.operator([unit], lambda l, r: b.map(n, lambda j: b.o.add(b.read(l, j), b.read(r, j))))
        rows = b.reduce(plus, 3, lambda i: x)
        prefixes = b.scan(plus, 3, lambda i: x)
        return [a, p, rows, prefixes]

    a, p, rows, prefixes = run(build).values
    np.testing.assert_array_equal(a, 0.5 ** np.arange(1, 5))
    expected, s = [], 0.0
    for v in X:
        s = 0.5 * s + v
        expected.append(s)
    np.testing.assert_array_equal(p, expected)
    np.testing.assert_array_equal(rows, 3 * X)
    np.testing.assert_array_equal(prefixes, np.outer([1, 2, 3], X))


def test_accumulators():
    def build(b, n, x):
        top = b.operator([-np.inf, 0.0], lambda u, s, v, t: b.if_(b.o.ge(u, v), lambda: (u, s), lambda: (v, t)))

        def body(add, low, last, best, bins, log):
            def turn(i):
                v = b.read(x, i)
                half = b.o.floordiv(i, 2)
                b.contribute(add, [half], v)
                b.contribute(low, [half], v)
                b.contribute(last, [half], v)
                b.contribute(best, [half], v, i)
                b.contribute(bins, [], v, b.o.neg(v))
                b.if_(b.o.gt(v, 1.2), lambda: b.contribute(log, [], v, i) or (), lambda: ())
                return ()

            b.for_(n, turn, [])
            return b.read(x, 0)

        zeros, ones = b.zeros([n], F64), b.full([n], 2.0)
        seats = b.full([n], Literal(99, I64))
        specs = [("add", [ones]), ("min", [ones]), ("set", [zeros]), ("argmax", [zeros, seats])]
        return b.accumulate([*specs, (top, [-np.inf, 0.0]), ("append", [])], body, dtypes=[*[()] * 5, (F64, I64)])

    add, low, last, best, at, top, other, count, log, index, out = run(build).values
    np.testing.assert_array_equal(add, [6.0, 7.5, 2.0, 2.0])
    np.testing.assert_array_equal(low, [1.0, 1.5, 2.0, 2.0])
    np.testing.assert_array_equal(last, [1.0, 1.5, 0.0, 0.0])
    np.testing.assert_array_equal(best, [3.0, 4.0, 0.0, 0.0])
    np.testing.assert_array_equal(at, [0, 2, 99, 99])
    assert (top, other, count, out) == (4.0, -4.0, 3, 3.0)
    np.testing.assert_array_equal(log, [3.0, 4.0, 1.5])
    np.testing.assert_array_equal(index, [0, 2, 3])


def test_loops():
    def build(b, n, x):
        def turn(i, p, q):
            return q, b.set(p, [i], 0.0), b.read(p, i), q

        p, q, old, states = b.loop(n, [x, x], turn)
        k, power = b.while_(
            [0, 1.0], lambda k, s: b.o.lt(s, 10.0), lambda k, s: (b.o.add(k, 1), b.o.mul(s, 3.0)), hints=["k", "s"]
        )
        return [p, q, old, states, k, power]

    p, q, old, states, k, power = run(build).values
    np.testing.assert_array_equal(p, [0, 1, 0, 1.5])
    np.testing.assert_array_equal(q, [3, 0, 4, 0])
    np.testing.assert_array_equal(old, X)
    np.testing.assert_array_equal(states[1], [0, 1, 4, 1.5])
    assert (k, power) == (3, 27.0)


def test_integers_wrap_and_dtypes_stay():
    def build(b, n, x):
        big = Literal(2**63 - 1, I64)
        single = b.cast(b.read(x, 0), F32)
        small = b.o.add(Literal(2**31 - 1, I32), Literal(1, I32))
        return [b.o.add(b.o.add(n, big), 0), b.o.mul(single, single), small, b.o.lt(n, 3), b.map(n, lambda i: single)]

    wrapped, square, small, less, singles = run(build).values
    assert wrapped == -(2**63) + 3 and wrapped.dtype == np.int64
    assert square.dtype == np.float32 and singles.dtype == np.float32
    assert small == -(2**31) and less.dtype == np.bool_


def test_empty_ranges():
    def build(b, n, x):
        s, m = b.for_(n, lambda i: (b.read(x, i), b.read(x, i)), [Reduce("add"), Reduce("min")])
        t, e = b.loop(n, [1.0], lambda i, c: (b.o.mul(c, 2.0), x))
        return [s, m, b.scan("add", n, lambda i: b.read(x, i)), b.map([n, 3], lambda i, j: 1.0), t, e]

    s, m, scan, grid, t, e = run(build, np.array([])).values
    assert (s, m, t) == (0.0, np.inf, 1.0)
    assert scan.shape == (0,) and grid.shape == (0, 3) and e.shape == (0, 0)


def test_library():
    b, (n, _) = Builder(), params()
    a, y = Var(Array(F64, (n, n)), "a"), Var(Array(F64, (n,)), "y")
    solution = b.library("factored_solve", a, *b.library("lu", a), y)
    outs = [
        *solution,
        *b.library("matmul", a, *solution),
        *b.library("cholesky", a),
        *b.library("triangular_solve", a, y, transpose=True),
        *b.library("sort", y),
        *b.library("argsort", y),
    ]
    f = b.function([n, a, y], outs)
    matrix = np.array([[4.0, 1.0], [1.0, 3.0]])
    for h in (0.0, 1e-30j):
        z, back, factor, triangular, ordered, order = evaluate(f, [2, matrix, np.array([2.0, 1.0]) + h]).values
        np.testing.assert_allclose(back.real, [2.0, 1.0])
        np.testing.assert_allclose(z, np.linalg.solve(matrix, np.array([2.0, 1.0]) + h))
        np.testing.assert_allclose(factor @ factor.T, matrix)
        np.testing.assert_allclose(np.tril(matrix).T @ triangular.real, [2.0, 1.0])
        np.testing.assert_array_equal(ordered.real, [1.0, 2.0])
        np.testing.assert_array_equal(order, [1, 0])


# --- cost -------------------------------------------------------------------------------------------------------------


def cost(build, **kwargs):
    return run(build, **kwargs).cost


def test_work_of_scalars_and_fresh_arrays():
    assert cost(lambda b, n, x: [b.reduce("add", n, lambda i: b.o.mul(b.read(x, i), 2.0))]).work == 4 * 3
    assert cost(lambda b, n, x: [b.map(n, lambda i: b.o.mul(b.read(x, i), 2.0))]).work == 4 * 3
    assert cost(lambda b, n, x: [b.scan("add", n, lambda i: b.read(x, i))]).work == 4 * 3
    # an array element is charged once; a borrowed row is copied
    assert cost(lambda b, n, x: [b.map(n, lambda i: b.map(n, lambda j: 1.0))]).work == 16
    assert cost(lambda b, n, x: [b.map(n, lambda i: x)]).copied == 16
    # a returned parameter is copied, unless it was donated
    assert cost(lambda b, n, x: [x]).work == 4
    assert cost(lambda b, n, x: [x], donated=True).work == 0


def test_an_if_costs_its_taken_side():
    def build(b, n, x, limit):
        return b.if_(b.o.lt(n, limit), lambda: b.o.sin(b.o.sin(b.read(x, 0))), lambda: 0.0)

    assert cost(lambda b, n, x: build(b, n, x, 10)).work == 4
    assert cost(lambda b, n, x: build(b, n, x, 0)).work == 1


def test_updates_in_place_cost_one_per_element():
    def build(b, n, x):
        return b.loop(n, [x], lambda i, c: b.set(c, [i], b.o.mul(b.read(c, i), 2.0)))

    borrowed, owned = cost(build), cost(build, donated=True)
    assert (owned.work, owned.copied) == (4 * 3, 0)
    assert (borrowed.work, borrowed.copied) == (4 * 3 + 4, 4)


def test_using_the_old_array_afterwards_copies_each_turn():
    def build(b, n, x):
        def turn(i, c):
            new = b.set(c, [i], 0.0)
            return b.set(new, [0], b.read(c, i))

        return b.loop(n, [x], turn)

    assert cost(build, donated=True).copied == 16


def test_branches_inherit_what_dies():
    def build(b, n, x):
        y = b.map(n, lambda i: b.read(x, i))
        return b.if_(b.o.lt(n, 9), lambda: b.set(y, [0], 1.0), lambda: y)

    def shared(b, n, x):
        y = b.map(n, lambda i: b.read(x, i))
        return [*b.if_(b.o.lt(n, 9), lambda: b.set(y, [0], 1.0), lambda: y), y]

    assert cost(build).copied == 0
    assert cost(shared).copied == 4


def test_bodies_that_run_often_own_only_what_they_bind():
    def build(b, n, x):
        y = b.map(n, lambda i: b.read(x, i))
        return b.for_(n, lambda i: b.read(b.set(y, [i], 1.0), 0), [Reduce("add")])

    assert cost(build).copied == 16


def test_swaps_and_mentions_of_one_array():
    def swap(b, n, x):
        y = b.map(n, lambda i: 0.0)
        z = b.map(n, lambda i: 1.0)
        return b.loop(n, [y, z], lambda i, p, q: (q, p))

    def twice(b, n, x):
        y = b.map(n, lambda i: 0.0)
        return b.loop(n, [y, y], lambda i, p, q: (q, p))

    def rows(b, n, x):
        y = b.map([n, n], lambda i, j: 0.0)
        row = b.read(y, 0)
        return [y, row]

    assert cost(swap).copied == 0
    assert cost(twice).copied == 4
    assert cost(rows).copied == 4


def test_span_and_peak():
    assert cost(lambda b, n, x: [b.reduce("add", n, lambda i: b.read(x, i))]).span == 2 + 1
    assert cost(lambda b, n, x: b.loop(n, [0.0], lambda i, s: b.o.add(s, b.read(x, i)))).span == 4 * 2

    def build(b, n, x):
        for _ in range(5):
            x = b.map(n, lambda i, x=x: b.read(x, i))
        return [x]

    assert cost(build).peak == 8  # one array and the next
    assert cost(lambda b, n, x: [b.map(n, lambda i: b.map(n, lambda j: 1.0))]).peak == 16


# --- errors -----------------------------------------------------------------------------------------------------------


def raises(error, build):
    b, (n, x) = Builder(), params()
    b.site = Site("prog.py", 7)
    outs = build(b, n, x)
    with pytest.raises(error) as caught:
        evaluate(b.function([n, x], outs), [4, X])
    assert caught.value.site == Site("prog.py", 7)
    return str(caught.value)


def test_errors_carry_their_site():
    message = "index 4 is out of bounds for axis 0 with size 4"
    assert raises(IndexError, lambda b, n, x: [b.read(x, n)]) == message
    assert raises(IndexError, lambda b, n, x: [b.set(x, [n], 0.0)]) == message
    # the front end has added 4 to the user's -5
    assert raises(IndexError, lambda b, n, x: [b.read(x, b.o.sub(n, 5))]).startswith("index -5 is")
    assert "division" in raises(ZeroDivisionError, lambda b, n, x: [b.o.floordiv(n, b.o.sub(n, 4))])
    assert raises(TypeError, lambda b, n, x: b.check(b.o.lt(n, 4), "{} is large", n, error="TypeError") or [n]) == (
        "4 is large"
    )
    assert raises(np.linalg.LinAlgError, lambda b, n, x: b.library("cholesky", b.full([2, 2], -1.0)))
    assert "negative" in raises(ValueError, lambda b, n, x: [b.map(b.o.sub(n, 5), lambda i: 1.0)])


def test_axis_of_an_index_error():
    def build(b, n, x):
        y = b.map([n, 2], lambda i, j: 1.0)
        return [b.read(y, 3, 2)]

    assert raises(IndexError, build) == "index 2 is out of bounds for axis 1 with size 2"


def test_arguments_are_checked_and_kept():
    b, (n, x) = Builder(), params()
    f = b.function([n, x], [b.set(x, [0], 0.0)], donated=[x])
    mine = X.copy()
    assert evaluate(f, [4, mine]).values[0][0] == 0.0
    np.testing.assert_array_equal(mine, X)
    with pytest.raises(ValueError, match="shape"):
        evaluate(f, [3, X])
    with pytest.raises(TypeError):
        evaluate(f, [X])


def test_limit_on_work():
    b, (n, x) = Builder(), params()
    (k,) = b.while_([0], lambda k: b.o.ge(k, 0), lambda k: b.o.mul(k, 1))
    with pytest.raises(WorkLimit):
        evaluate(b.function([n, x], [k]), [4, X], limit=1000)


def test_complex_step():
    def build(b, n, x):
        s = b.reduce("add", n, lambda i: b.o.mul(b.read(x, i), b.o.sin(b.read(x, i))))
        (y,) = b.loop(n, [x], lambda i, c: b.set(c, [i], b.o.mul(b.read(c, i), s)))
        (z,) = b.if_(b.o.gt(s, 0.0), lambda: b.read(y, 1), lambda: 0.0)
        return [z, b.reduce("max", n, lambda i: b.read(x, i))]

    step = np.zeros(4, complex)
    step[2] = 1e-40j
    z, largest = run(build, X + step).values
    slope = X[1] * (np.sin(X[2]) + X[2] * np.cos(X[2]))
    s = (X * np.sin(X)).sum()
    np.testing.assert_allclose(z.imag * 1e40, slope if s > 0 else 0.0)
    np.testing.assert_allclose(largest.imag * 1e40, 1.0)


def test_bools_and_scans_of_them():
    def build(b, n, x):
        big = b.map(n, lambda i: b.o.gt(b.read(x, i), 2.0))
        some, every = b.for_(n, lambda i: (b.read(big, i), b.read(big, i)), [Reduce("or"), Reduce("and")])
        return [big, some, every, *b.for_(n, lambda i: (b.read(big, i), True), [Scan("or"), Map()])]

    big, some, every, seen, true = run(build).values
    np.testing.assert_array_equal(big, [True, False, True, False])
    assert some and not every and seen.all() and true.dtype == np.bool_

"""Sizes are exact; their equality is structural; what is proven about them is true."""

import random

import pytest

from iverson.core.bounds import Sizes
from iverson.core.build import Builder
from iverson.core.sizes import maximum, minimum, size
from iverson.core.syntax import F64, I64, Array, For, If, Scalar, Var


def ints(*names):
    return [Var(Scalar(I64), n) for n in names]


N, M, I = ints("n", "m", "i")
n, m, i = size(N), size(M), size(I)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((n + m) * (n - m), n * n - m * m),
        ((n * m) // m, n),
        ((n * m * 6) // (m * 2), n * 3),
        ((n * m + i) // m, n + i // m),
        ((n * (n + 1)) // 2 * 2, n * n + n),
        ((n * 2 + 1) // 2, n),
        ((n + 4) // 2, n // 2 + 2),
        ((n // 2) // 3, n // 6),
        ((n // 2 + 1) // 3, (n + 2) // 6),
        ((-n) // -2, n // 2),
        (n % 2 + (n // 2) * 2, n),
        ((n * 4 + m) % 4, m % 4),
        ((n * n + n * m) // (n + m), n),
        (minimum(n + 1, m + 1), minimum(m, n) + 1),
        (minimum(n, n + 3, m), minimum(m, n)),
        (maximum(maximum(n, m), i), maximum(n, maximum(i, m))),
        (maximum(n - 1, n - 2), n - 1),
        (n - n, size(0)),
    ],
)
def test_equal_sizes_have_one_form(a, b):
    assert a == b and hash(a) == hash(b)
    assert a != b + 1


@pytest.mark.parametrize("a", [n * m + i, n * n * m - n, (n // 2) * 3 + m, size(7), n * m * i - i * i * i])
def test_a_factor_shifted_is_a_factor_replaced(a):
    for f in (N, M, I, *(n // 2).factors()):
        assert a.shifted(f, 5) == a.replace(f, size(f) + 5)


def arbitrary(rng, depth):
    """A random size, and the same as a Python function of the variables."""
    if depth == 0 or rng.random() < 0.2:
        v = rng.choice([N, M, I])
        return rng.choice([(size(v), lambda e, v=v: e[v]), (size(k := rng.randint(-3, 4)), lambda e, k=k: k)])
    (a, f), (b, g) = arbitrary(rng, depth - 1), arbitrary(rng, depth - 1)
    k = rng.choice([-3, 2, 3, 4])
    return rng.choice(
        [
            (a + b, lambda e: f(e) + g(e)),
            (a - b, lambda e: f(e) - g(e)),
            (a * b, lambda e: f(e) * g(e)),
            (a // k, lambda e: f(e) // k),
            (a % k, lambda e: f(e) % k),
            ((a * (a + 1)) // 2, lambda e: f(e) * (f(e) + 1) // 2),
            (minimum(a, b), lambda e: min(f(e), g(e))),
            (maximum(a, b), lambda e: max(f(e), g(e))),
            ((a * (n + 1) + b) // (n + 1), lambda e: (f(e) * (e[N] + 1) + g(e)) // (e[N] + 1)),
            (a * m // m, lambda e: f(e)),
        ]
    )


def test_normal_forms_keep_values():
    rng = random.Random(1)
    for _ in range(400):
        a, f = arbitrary(rng, 3)
        for _ in range(4):
            env = {N: rng.randint(0, 9), M: rng.randint(1, 9), I: rng.randint(-9, 9)}
            assert a.value(env) == f(env), a


def test_text_does_not_depend_on_identity():
    assert repr((n + 1) * (m - 2) + minimum(n, m) // 2) == "m n + floor((min(m, n)) / (2)) + m - 2 n - 2"


def in_nest(*queries):
    """Ask about i < n and j < i + 1 inside their loops, with x: [n, m]."""
    a, c = ints("a", "c")
    x = Var(Array(F64, (a, c)), "x")
    b = Builder()
    answers = []
    sizes = Sizes(b.function([a, c, x], []))
    p, q = ints("p", "q")
    outer = For((p,), (a,), b.block(lambda: ()), ())
    above = b.o.add(p, 1)
    with sizes.inside(outer, outer.body):
        sizes.bind(b._open[0][-1])
        inner = For((q,), (above,), b.block(lambda: ()), ())
        with sizes.inside(inner, inner.body):
            for query in queries:
                before = len(b._open[0])
                result = query(b.o, a, c, p, q)
                for let in b._open[0][before:]:
                    sizes.bind(let)
                answers.append(sizes.within(*result))
    return answers


def test_reads_in_bounds_are_proven():
    assert all(
        in_nest(
            lambda o, n, m, i, j: (i, n),
            lambda o, n, m, i, j: (j, n),
            lambda o, n, m, i, j: (o.sub(i, j), n),
            lambda o, n, m, i, j: (o.sub(o.sub(n, 1), i), n),
            lambda o, n, m, i, j: (o.floordiv(i, 2), n),
            lambda o, n, m, i, j: (o.mod(i, 3), o.add(o.mod(n, 3), 3)),
            lambda o, n, m, i, j: (o.mod(m, n), n),
            lambda o, n, m, i, j: (o.min(m, i), n),
            lambda o, n, m, i, j: (o.add(o.mul(i, 2), 1), o.mul(n, 2)),
            lambda o, n, m, i, j: (o.add(o.mul(i, n), j), o.mul(n, n)),
            lambda o, n, m, i, j: (o.floordiv(o.mul(i, o.add(i, 1)), 2), o.add(o.mul(n, n), 1)),
        )
    )


def test_reads_out_of_bounds_are_not_proven():
    assert not any(
        in_nest(
            lambda o, n, m, i, j: (o.add(i, 1), n),
            lambda o, n, m, i, j: (o.sub(i, 1), n),
            lambda o, n, m, i, j: (o.sub(j, i), n),
            lambda o, n, m, i, j: (i, m),
            lambda o, n, m, i, j: (o.floordiv(o.add(n, 1), 2), n),
            lambda o, n, m, i, j: (o.max(m, i), n),
            lambda o, n, m, i, j: (o.mod(i, 3), o.add(o.mod(n, 3), 1)),
        )
    )


def test_predicates_and_scopes():
    k, length = ints("k", "length")
    x = Var(Array(F64, (length,)), "x")
    b = Builder()
    sizes = Sizes(b.function([k, length, x], []))
    inside = getattr(b.o, "and")(b.o.ge(k, 0), b.o.lt(k, length))
    for let in b._open[0]:
        sizes.bind(let)
    branch = If(inside, b.block(lambda: (1.0, 2.0)), b.block(lambda: (3.0, 4.0)))
    assert not sizes.within(k, length)
    with sizes.inside(branch, branch.then):
        assert sizes.within(k, length)
    with sizes.inside(branch, branch.orelse):
        assert not sizes.within(k, length)
    assert not sizes.within(k, length)
    assert sizes.le(b.o.floordiv(length, 1), length)


def test_proofs_are_true():
    """Whatever is proven about random sizes of loop indices holds at every point of small spaces."""
    rng = random.Random(2)
    proven = 0
    for _ in range(400):
        sizes = Sizes()
        sizes.fact(n)
        sizes.fact(m - 1)
        loop = For((I,), (N,), Builder().block(lambda: ()), ())
        with sizes.inside(loop, loop.body):
            a, f = arbitrary(rng, 2)
            if sizes.nonnegative(a):
                proven += 1
                for nn in range(1, 5):
                    for mm in range(1, 5):
                        for ii in range(nn):
                            assert f({N: nn, M: mm, I: ii}) >= 0, a
    assert proven > 40


def test_multipliers_of_facts_may_be_fractions():
    """n = 6 does not prove n >= 7, though a fraction above -1 comes up on the way."""
    sizes = Sizes()
    for fact in (m, n, size(6) - n, n - 6, size(3) - (m + 1) // 2, (m + 1) // 2 - 3, size(5) - m, m - 5):
        sizes.fact(fact)
    assert sizes.nonnegative(n - 6)
    assert not sizes.nonnegative(n - 7)
    assert not sizes.nonnegative(size(5) - n)
    assert not sizes.nonnegative(m - 6)

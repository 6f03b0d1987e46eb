"""A sum of which a bracket leaves one term is that term; other sums stay."""

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, Array, Map, Reduce, Var
from iverson.opt import indicator
from iverson.opt.pipeline import optimise, prepare
from tests.opt.programs import array, size
from tests.opt.support import assert_kept, golden, unchanged

X = np.array([0.5, -1.0, 2.0, 0.25])


def start():
    n = size("n")
    return Builder(), n, array("x", n)


def bracket(b, j, k, value):
    return b.o.select(b.prim("eq", j, k), value, 0.0)


def test_terms():
    """Two sums under one bracket, of what is linear in it."""
    b, n, x = start()
    o = b.o

    def column(k):
        def term(j):
            d = bracket(b, j, k, o.exp(b.read(x, j)))
            return o.add(d, d), o.neg(bracket(b, k, j, 3.0))

        s, t = b.for_(n, lambda j: term(j), [Reduce("add"), Reduce("add")])
        return o.mul(s, t)

    golden(
        b.function([n, x], [b.map(n, column)]),
        indicator.run,
        """
            t = for i < n {
                t1 = x[i]
                t2 = exp t1
                t3 = eq i i
                t4 = select t3 t2 0.0
                t5 = add t4 t4
                t6 = eq i i
                t7 = select t6 3.0 0.0
                t8 = neg t7
                t9 = mul t5 t8
            } map t9
        } t
        """,
        [4, X],
    )


def test_what_stays():
    """Another extent, a place that turns differ in, a term outside of the bracket, two places, another monoid."""
    b, n, x = start()
    m, y = size("m"), Var(Array(F64, (n,)), "y")
    o = b.o

    def element(k):
        return (
            b.reduce("add", m, lambda j: bracket(b, j, k, 2.0)),
            b.reduce("add", n, lambda j: bracket(b, j, o.mul(j, j), 2.0)),
            b.reduce("add", n, lambda j: o.add(bracket(b, j, k, 2.0), b.read(x, j))),
            b.reduce("add", n, lambda j: o.mul(bracket(b, j, k, 2.0), b.read(x, j))),
            b.reduce("add", n, lambda j: o.add(bracket(b, j, k, 2.0), bracket(b, j, 0, 1.0))),
            b.reduce("max", n, lambda j: bracket(b, j, k, b.read(y, j))),
        )

    maps = b.for_(n, element, [Map()] * 6)
    f = b.function([n, m, x, y], list(maps))
    unchanged(f, indicator.run)
    assert_kept(f, indicator.run, [4, 3, X, -X])


def test_nothing_of_other_terms_counts():
    b, n, x = start()
    f = b.function([n, x], [b.map(n, lambda k: b.reduce("add", n, lambda j: bracket(b, j, k, b.o.sqrt(b.read(x, j)))))])
    given = np.array([np.inf, -1.0, np.nan, 4.0])
    for g in (f, indicator.run(f)):
        with np.errstate(invalid="ignore"):
            (found,) = evaluate(g, [4, given]).values
        np.testing.assert_array_equal(found, np.sqrt(given, where=given >= 0, out=np.full(4, np.nan)))


@pytest.mark.parametrize(
    "f", [lambda x: (x**2).sum(), lambda x: sum(np.sin(x[i]) for i in range(len(x))), lambda x: np.sqrt(x @ x)]
)
def test_a_column_costs_what_a_term_does(f):
    jacobian = iv.jit(lambda x: iv.jacfwd(f)(x))

    def work(n):
        program = jacobian.staged((np.ones(n),), {}).function
        return evaluate(optimise(prepare(program)), [n, np.linspace(0.5, 1.0, n)]).cost.work

    assert work(400) < 2.2 * work(200)
    x = np.linspace(0.5, 1.0, 23)
    np.testing.assert_allclose(jacobian(x), iv.grad(f)(x), rtol=1e-12)


def test_derivatives_of_derivatives():
    def force(x, c):
        return iv.jacfwd(lambda y: sum(1.0 / np.sqrt(((y - c[i]) ** 2).sum()) for i in range(len(c))))(x)

    x, c = np.array([0.5, 1.0, -0.3, 2.0, 0.7]), np.random.default_rng(0).normal(size=(6, 5)) * 3.0
    expected = iv.hessian(lambda y: sum(1.0 / np.sqrt(((y - c[i]) ** 2).sum()) for i in range(len(c))))(x)
    np.testing.assert_allclose(iv.jacfwd(force)(x, c), expected, rtol=1e-10)
    np.testing.assert_allclose(iv.jacrev(force)(x, c), expected, rtol=1e-10)

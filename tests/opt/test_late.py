"""late: what the turn before has made is added last; the value is the same up to rounding, and the count the same."""

from __future__ import annotations

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.show import show
from iverson.core.syntax import F64, I64, Array, Atom, DType, Function, Scalar, Var
from iverson.opt import late


def sweep(offset: int) -> Function:
    """x[i + 1] = x[i + 1 + offset] + y[i] + y[i + 1], in place."""
    b = Builder()
    n = Var(Scalar(I64), "n")
    x, y = Var(Array(F64, (n,)), "x"), Var(Array(F64, (n,)), "y")

    def turn(i: Atom, a: Atom) -> Atom:
        j = b.o.add(i, 1)
        old = b.read(a, b.o.add(j, offset))
        return b.set(a, [j], b.o.add(b.o.add(old, b.read(y, i)), b.read(y, j)))

    return b.function([n, x, y], b.loop(b.o.sub(n, 2), [x], turn))


def chain(f: Function) -> str:
    """The last addition of the program."""
    return [line.strip() for line in show(f).splitlines() if "= add t" in line][-1]


def test_the_element_before_is_added_last() -> None:
    before, rng = sweep(-1), np.random.default_rng(0)
    after = late.run(before)
    check(after)
    args = [7, rng.normal(size=7), rng.normal(size=7)]
    a, b = evaluate(before, args), evaluate(after, args)
    np.testing.assert_allclose(a.values[0], b.values[0], rtol=1e-14)
    assert a.cost.work == b.cost.work and a.cost.copied == b.cost.copied
    (read,) = [line.split(" = ")[0].strip() for line in show(after).splitlines() if "= x1[" in line]
    assert chain(after).endswith(read) and not chain(before).endswith(read)


def test_other_elements_stay_where_they_are() -> None:
    assert show(late.run(sweep(1))) == show(sweep(1))


@pytest.mark.parametrize(("dtype", "name"), [(I64, "min"), (F64, "max")])
def test_the_least_of_several_takes_the_element_before_last(dtype: DType, name: str) -> None:
    b = Builder()
    n = Var(Scalar(I64), "n")
    x, y = Var(Array(dtype, (n,)), "x"), Var(Array(dtype, (n,)), "y")

    def turn(i: Atom, a: Atom) -> Atom:
        j = b.o.add(i, 1)
        before = b.prim(name, b.read(a, i), b.read(y, i))
        return b.set(a, [j], b.prim(name, before, b.read(a, j)))

    f = b.function([n, x, y], b.loop(b.o.sub(n, 1), [x], turn))
    after = late.run(f)
    check(after)
    args = [6, *np.random.default_rng(1).integers(-9, 9, size=(2, 6)).astype(dtype.value)]
    np.testing.assert_array_equal(evaluate(f, args).values[0], evaluate(after, args).values[0])
    lines = [line.strip() for line in show(after).splitlines()]
    (read,) = [line.split(" = ")[0] for line in lines if line.endswith(("= x1[i!]", "= x1[i]"))]
    assert [line for line in lines if f"= {name} " in line][-1].endswith(read)

"""compared: bools are kept instead of what only decides; what else is used, or isn't known there, stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import F64, I64, Array, Atom, Block, For, Function, Loop, Scalar, Var
from iverson.diff.reverse import gradient
from iverson.opt import compared
from iverson.opt.pipeline import PASSES, prepare


def shortest(x, w):
    path = x.copy()
    for k in range(len(x)):
        path[:] = np.minimum(path, np.add.outer(path[:, k], path[k, :]))
    return np.sum(w * path)


def limited(x, w):
    d = x[1:] - x[:-1]
    flux = np.where(d * w[1:] > 0.0, 0.0, d)
    return np.sum(w[1:-1] * (flux[1:] - flux[:-1]) ** 2)


def clipped(x, w):
    """What is compared is an array that each turn makes anew."""
    y = x.copy()
    for t in range(len(w)):
        y = np.maximum(y - w[t] * y[0], w)
    return np.sum(w * y)


def running(x, w):
    best, total = x[0], 0.0
    for i in range(len(x)):
        best = max(best, x[i] * w[i])
        total += best
    return total


def squared(x, w):
    """The values are needed too."""
    y = x.copy()
    for t in range(len(w)):
        y = np.maximum(y * y, w[t] * y)
    return np.sum(y)


def prepared(f: Callable[..., Any], x: np.ndarray, w: np.ndarray) -> Function:
    """The gradient in x, as the pass finds it."""
    g = gradient(prepare(iv.jit(f).staged((x, w), {}).function), [x.ndim])
    for name, run in PASSES:
        if name == "compared":
            return g
        g = run(g)
    raise AssertionError


def kept(f: Function) -> list[str]:
    """The element types of what loops leave, turn by turn or element by element."""
    found = []
    for let in statements(f.body):
        emits = let.vars[len(let.op.carry) :] if isinstance(let.op, Loop) else let.vars
        if isinstance(let.op, Loop | For):
            found += [v.type.dtype.value for v in emits if isinstance(v.type, Array)]
    return found


def cases(f: Callable[..., Any], n: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(n)
    shape = (n, n) if f is shortest else (n,)
    return rng.normal(size=shape), rng.normal(size=shape)


@pytest.mark.parametrize("f", [shortest, limited, clipped, running], ids=lambda f: f.__name__)
def test_bools_are_kept(f: Callable[..., Any]) -> None:
    before = prepared(f, *cases(f, 5))
    after = compared.run(before)
    check(after)
    assert kept(after).count("bool") > kept(before).count("bool")
    assert kept(after).count("float64") < kept(before).count("float64")
    for n in (2, 3, 6):
        for special in (None, np.nan, np.inf):
            x, w = cases(f, n)
            if special is not None:
                x.flat[0] = special
            args = [a for array in (x, w) for a in (*array.shape, array)]
            found = [evaluate(g, args) for g in (before, after)]
            for a, b in zip(found[0].values, found[1].values, strict=True):
                np.testing.assert_array_equal(a, b)
            assert found[1].cost.work <= found[0].cost.work + 2 * x.size * (n if f in (shortest, clipped) else 1)
            assert found[1].cost.copied <= found[0].cost.copied
    assert compared.run(after) is after
    x, w = cases(f, 6)
    iv.check_grads(lambda x: f(x, w), (x,))


def test_what_is_needed_stays() -> None:
    before = prepared(squared, *cases(squared, 5))
    assert kept(compared.run(before)).count("float64") >= kept(before).count("float64") - 1


def later(n: Var, m: Var, x: Var, y: Var, at: Callable[[Builder, Atom], Atom], when: bool) -> Function:
    """x[k]² is made, then compared with y[at(k)], which a check in between, or a branch, says is there."""
    b = Builder()
    with b.scope() as lets:
        made = b.map(n, lambda k: b.o.mul(b.read(x, k, safe=True), b.read(x, k, safe=True)))

        def term(k: Atom) -> Atom:
            smaller = b.o.lt(b.read(made, k, safe=True), b.read(y, at(b, k), safe=True))
            return b.o.select(smaller, 1.0, 2.0)

        if when:
            (total,) = b.if_(b.o.lt(n, m), lambda: b.reduce("add", n, term), lambda: 0.0)
        else:
            b.check(b.o.lt(n, m), "too short")
            total = b.reduce("add", n, term)
    return Function((n, x, m, y), Block(tuple(lets), (total,)))


@pytest.mark.parametrize("when", [True, False])
def test_what_may_be_out_of_bounds_there_is_not_read(when: bool) -> None:
    n, m = Var(Scalar(I64), "n"), Var(Scalar(I64), "m")
    x, y = Var(Array(F64, (n,)), "x"), Var(Array(F64, (m,)), "y")
    f = later(n, m, x, y, lambda b, k: b.o.add(k, 1), when)
    check(f)
    assert compared.run(f) is f

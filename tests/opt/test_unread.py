"""Updates that nothing reads go, those that something may read stay; and factorisations keep nothing for a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iverson.core.rewrite import single_update, statements
from iverson.core.syntax import Accumulator, Function
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt import simplify, unread
from iverson.opt.pipeline import optimise, prepare
from tests.lang.test_stage_corpus import inputs
from tests.opt.support import assert_kept


def passed_over(x):
    s, t = 0.0, x.copy()
    for i in range(len(x)):
        s += t[i]
        t[i] = 2.0 * s
    return s


def triangle(x):
    s, t = 0.0, np.outer(x, x)
    for i in range(len(x)):
        for j in range(i):
            s += t[j, i] * t[i, i]
            t[i, j] = s
    return s


def backwards(x):
    s, t = 0.0, x.copy()
    for i in range(len(x)):
        t[len(x) - 1 - i] += s
        s += t[len(x) - 1 - i] ** 2
        t[len(x) - 1 - i] *= 3.0
    return s


def next_turn(x):
    s, t = 0.0, x.copy()
    for i in range(1, len(x)):
        s += t[i - 1]
        t[i] = 2.0 * s
    return s


def other_half(x):
    s, t = 0.0, x.copy()
    for i in range(len(x)):
        s += t[len(x) - 1 - i]
        t[i] = 2.0 * s
    return s


def looked_up(x):
    s, t = 0.0, x.copy()
    for i in range(len(x)):
        s += t[int(3.0 * x[i]) % len(x)]
        t[i] = 2.0 * s
    return s


def same_row(x):
    s, t = 0.0, np.outer(x, x)
    for i in range(len(x)):
        for j in range(i):
            s += t[i, i - 1 - j]
            t[i, j] = s
    return s


def behind_the_inner_loop(x):
    s, t = 0.0, np.outer(x, x)
    for i in range(len(x)):
        for j in range(i):
            t[i, j] = s + j
        for j in range(i):
            s += t[i, j] * x[j]
    return s


def used_whole(x):
    s, t = 0.0, x.copy()
    for i in range(len(x)):
        s += t.sum()
        t[i] = 2.0 * s
    return s


def used_after(x):
    s, t = 0.0, x.copy()
    for i in range(len(x)):
        s += t[i]
        t[i] = 2.0 * s
    return s * t[0] if len(x) else s


def staged(f: Any, x: np.ndarray) -> tuple[Function, list[Any]]:
    s = stage_for(f, (x,))
    return simplify.run(s.function), inputs(s, (x,))


def sets(f: Function) -> int:
    found = (let.op for let in statements(f.body) if single_update(let.op) is not None)
    return sum(a.type.monoid in ("set", "add") for op in found for a in op.accs if isinstance(a.type, Accumulator))


@pytest.mark.parametrize("f", [passed_over, triangle])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_gone(f: Any, n: int) -> None:
    x = np.linspace(-1.0, 2.0, n)
    before, args = staged(f, x)
    after = assert_kept(before, unread.run, args)
    assert (sets(before), sets(after)) == (1, 0) or n < 5  # these are specialised


@pytest.mark.parametrize(
    "f", [next_turn, other_half, looked_up, same_row, behind_the_inner_loop, used_whole, used_after]
)
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_stays(f: Any, n: int) -> None:
    before, args = staged(f, np.linspace(-1.0, 2.0, n))
    after = assert_kept(before, unread.run, args)
    assert sets(before) == sets(after) > 0 or n < 5


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_some_go(n: int) -> None:
    """Of two updates of one array, the one that the turn itself reads stays."""
    before, args = staged(backwards, np.linspace(-1.0, 2.0, n))
    after = assert_kept(before, unread.run, args)
    assert (sets(before), sets(after)) == (2, 1) or n < 5


def cholesky(x):
    a = np.outer(x, x) + len(x) * np.eye(len(x))
    for i in range(len(x)):
        for j in range(i):
            a[i, j] -= np.dot(a[i, :j], a[j, :j])
            a[i, j] /= a[j, j]
        a[i, i] -= np.dot(a[i, :i], a[i, :i])
        a[i, i] = np.sqrt(a[i, i])
    return np.sum(a * x)


@pytest.mark.parametrize("n", [1, 2, 6])
def test_a_factorisation_logs_nothing(n: int) -> None:
    s = stage_for(cholesky, (np.linspace(-1.0, 2.0, n),))
    made = gradient(prepare(s.function), [len(s.function.params) - 1])
    kept = assert_kept(made, optimise, inputs(s, (np.linspace(-1.0, 2.0, n),)), exact=False, slack=0.5, extra=30)
    logs = [a for let in statements(kept.body) for a in getattr(let.op, "accs", ()) if a.type.monoid == "append"]
    assert not logs

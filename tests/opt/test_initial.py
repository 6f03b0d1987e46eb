"""initial: which loops read only what was there before, and which don't; attacked at the smallest sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Function, Loop
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt.pipeline import optimise, prepare
from tests.lang.test_stage_corpus import inputs
from tests.opt.support import same


def loops(f: Function) -> int:
    return sum(isinstance(let.op, Loop) for let in statements(f.body))


def own(x: Any) -> Any:
    for i in range(len(x)):
        x[i] = x[i] * x[i]
    return x


def later(x: Any) -> Any:
    n = len(x)
    for i in range(n - 1):
        x[i] += 2.0 * x[i + 1]
    return x


def each_and_later(x: Any) -> Any:
    n = len(x)
    for i in range(n):
        x[i] -= x[i] * x[min(i + 1, n - 1)]
    return x


def earlier(x: Any) -> Any:
    for i in range(len(x)):
        x[i] += 2.0 * x[max(i - 1, 0)]
    return x


def mirrored(x: Any) -> Any:
    n = len(x)
    for i in range(n):
        x[i] = x[n - 1 - i] + 0.5 * x[i]
    return x


def read_after(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        x[i] = np.sin(x[i])
        total = total * x[i]
    return x, total


def one_place(x: Any) -> Any:
    for i in range(len(x)):
        x[0] = x[i] + 1.0
    return x


def conditional(x: Any) -> Any:
    for i in range(len(x)):
        if x[i] > 0.0:
            x[i] = -x[i]
    return x


def twice(x: Any) -> Any:
    for i in range(len(x)):
        x[i] = x[i] + 1.0
        x[i] = x[i] * 2.0
    return x


def wrapped(x: Any) -> Any:
    for i in range(len(x)):
        x[i] = x[i - 1] * 3.0
    return x


def counted(x: Any) -> Any:
    at = 0
    for i in range(len(x)):
        x[i] = x[at] * 3.0
        at = i
    return x


PARALLEL = [own, each_and_later]
SEQUENTIAL = [earlier, mirrored, one_place, wrapped, counted]
OTHERS = [later, read_after, conditional, twice]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("program", [*PARALLEL, *SEQUENTIAL, *OTHERS], ids=lambda p: p.__name__)
def test_loops(program: Callable[[Any], Any], n: int) -> None:
    x = np.array([0.5, -1.0, np.nan, 2.0, np.inf, 0.25])[:n]
    if n == 0 and program in (one_place, wrapped, mirrored):
        return  # nothing to do, and no place to do it

    def copied(x: Any) -> Any:
        return program(x.copy())

    s = stage_for(copied, [x])
    f = prepare(s.function)
    with np.errstate(all="ignore"):
        want = copied(x)
        got = evaluate(f, inputs(s, [x])).values
    for a, b in zip(want if isinstance(want, tuple) else (want,), got, strict=True):
        assert same(np.float64(a) if np.ndim(a) == 0 else a, b, exact=False)
    if program in PARALLEL and n > 3:
        assert loops(f) == 0
    if program in SEQUENTIAL and n > 3:
        assert loops(f) == 1


@pytest.mark.parametrize("program", [*PARALLEL, *SEQUENTIAL, later, twice], ids=lambda p: p.__name__)
def test_gradients(program: Callable[[Any], Any]) -> None:
    x = np.array([0.5, -1.0, 0.75, 2.0, 0.25, -0.5])

    def objective(x: Any) -> Any:
        return np.sum(np.sin(program(x.copy())))

    s = stage_for(objective, [x])
    args = inputs(s, [x])
    wrt = [k for k, p in enumerate(s.function.params) if p.type.dtype.is_float]  # type: ignore[union-attr]
    want = evaluate(gradient(s.function, wrt), args).values
    got = evaluate(optimise(gradient(prepare(s.function), wrt)), args).values
    for a, b in zip(want, got, strict=True):
        assert same(a, b, exact=False)


def column_and_row(x: Any) -> Any:
    n = len(x)
    for i in range(n):
        x[i:, i] = 2.0
        x[i, i:] = x[i:, i]
    return x


def row_then_columns(x: Any) -> Any:
    y = np.zeros(x.shape)
    for i in range(len(x)):
        y[i, :] = x[i, :] * 3.0
        y[i, :] += x[:, i]
        y[i, :] += y[i, ::-1]
    return y


def beside(x: Any) -> Any:
    n = len(x)
    for i in range(n - 1):
        x[i, 1:] = x[i, :-1] + 1.0
        x[i, 0] = x[i, n - 1] + x[i + 1, 0]
    return x


def set_and_added(x: Any) -> Any:
    n = len(x)
    s = np.zeros(n)
    for i in range(n):
        x[i, i // 2 :] = np.sin(x[i, i // 2 :])
        x[i, :] += x[i, i]
        s[i] = x[i, 0] + x[i, n - 1] + x[i, i]
    return x, s


def earlier_rows(x: Any) -> Any:
    for i in range(1, len(x)):
        x[i, :] = x[i - 1, :] * 2.0
        x[i, 1:] += x[i, :-1]
    return x


OWN = [column_and_row, row_then_columns, beside, set_and_added, earlier_rows]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("program", OWN, ids=lambda p: p.__name__)
def test_what_a_turn_has_written(program: Callable[[Any], Any], n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, n))
    x[n // 2, -1] = np.inf

    def copied(x: Any) -> Any:
        return program(x.copy())

    s = stage_for(copied, [x])
    f = optimise(prepare(s.function))
    with np.errstate(all="ignore"):
        want, got = copied(x), evaluate(f, inputs(s, [x])).values
    for a, b in zip(want if isinstance(want, tuple) else (want,), got, strict=True):
        assert same(np.float64(a) if np.ndim(a) == 0 else a, b, exact=False)
    if n == 5 and program is column_and_row:
        assert loops(f) == 0
    if n == 5 and program is earlier_rows:
        assert loops(f) == 1


@pytest.mark.parametrize("program", OWN, ids=lambda p: p.__name__)
def test_gradients_of_what_a_turn_has_written(program: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(0).normal(size=(4, 4))

    def objective(x: Any) -> Any:
        y = program(x.copy())
        return sum(np.sum(np.sin(r)) for r in (y if isinstance(y, tuple) else (y,)))

    s = stage_for(objective, [x])
    args = inputs(s, [x])
    wrt = [k for k, p in enumerate(s.function.params) if p.type.dtype.is_float]  # type: ignore[union-attr]
    want = evaluate(gradient(s.function, wrt), args).values
    got = evaluate(optimise(gradient(prepare(s.function), wrt)), args).values
    for a, b in zip(want, got, strict=True):
        assert same(a, b, exact=False)

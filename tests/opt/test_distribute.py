"""distribute: which additions leave a loop, and which must stay; values, errors and their order stay, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Accumulate, Accumulator, For, Function, Let, Loop
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt import distribute
from iverson.opt.pipeline import PASSES, prepare
from tests.opt.support import assert_kept


def before(f: Any, args: tuple[Any, ...]) -> Function:
    """A program of any sizes, as the pass finds it."""
    large = tuple(np.zeros([8 + k for k in range(a.ndim)]) for a in args)
    staged = stage_for(f, large).function
    for name, run in PASSES:
        if name == "distribute":
            break
        staged = run(staged)
    return staged


def scaled(c: Any, a: Any) -> Any:
    for i in range(a.shape[0]):
        c[i, : i + 1] *= 1.2
        for k in range(a.shape[1]):
            c[i, : i + 1] += a[i, k] * a[: i + 1, k]
    return c


def set_before(c: Any, a: Any) -> Any:
    for i in range(a.shape[0]):
        c[i] = a[i, 0]
        for k in range(a.shape[1]):
            c[i] += a[i, k] * a[k % 2, 0]
    return c


def of_other_rows(c: Any, a: Any) -> Any:
    """Row i is read before, and added to in its turn alone."""
    for i in range(a.shape[0]):
        c[i] = c[i] + c[min(i + 1, a.shape[0] - 1)]
        for k in range(a.shape[1]):
            c[i] += a[i, k]
    return c


def read_in_a_later_turn(c: Any, a: Any) -> Any:
    for i in range(a.shape[0]):
        c[i] = c[max(i - 1, 0)] * 0.5
        for k in range(a.shape[1]):
            c[i] += a[i, k]
    return c


def set_in_a_later_turn(c: Any, a: Any) -> Any:
    for i in range(a.shape[0] - 1):
        c[i] *= 0.5
        for k in range(a.shape[1]):
            c[i + 1] += a[i, k]
    return c


def of_what_is_carried(c: Any, a: Any) -> Any:
    """What is added depends on the array."""
    for i in range(a.shape[0]):
        c[i] *= 0.5
        for k in range(a.shape[1]):
            c[i] += a[i, k] * c[i, 0]
    return c


def added_once(c: Any, a: Any) -> Any:
    """No place is added to several times: nothing is gained."""
    for i in range(a.shape[0]):
        c[i, : i + 1] *= 2.0
        c[i] += a[i, 0]
    return c


def loops(f: Function) -> list[Let]:
    return [s for s in statements(f.body) if isinstance(s.op, Loop)]


def updates(f: Function) -> int:
    """How many loops there are, and how many accumulations of sums outside of them."""
    inside = {id(s) for s in statements(f.body) if isinstance(s.op, Loop) for s in statements(s.op.body)}
    sums = [s for s in statements(f.body) if isinstance(s.op, Accumulate) and id(s) not in inside]
    return sum(isinstance(a.type, Accumulator) and a.type.monoid == "add" for s in sums for a in s.op.accs)  # type: ignore[union-attr]


@pytest.mark.parametrize("f", [scaled, set_before, of_other_rows])
def test_what_is_added_leaves_the_loop(f: Any) -> None:
    rng = np.random.default_rng(0)
    for n, k, m in ((3, 4, 3), (5, 3, 5), (2, 1, 4), (3, 0, 3), (0, 2, 3)):
        args = rng.normal(size=(n, m)), rng.normal(size=(n, k))
        g = before(f, args)
        assert updates(assert_kept(g, distribute.run, sizes(g, args), slack=1.0)) == updates(g) + 1


@pytest.mark.parametrize("f", [read_in_a_later_turn, set_in_a_later_turn, of_what_is_carried, added_once])
def test_what_stays(f: Any) -> None:
    rng = np.random.default_rng(0)
    args = rng.normal(size=(4, 5)), rng.normal(size=(4, 3))
    g = before(f, args)
    assert distribute.run(g) is g


def test_errors_stay_in_order() -> None:
    """The length of row 2 is wrong before row 3 is missing, and the other way round."""
    a = np.ones((4, 2))
    for shape in ((3, 2), (3, 4), (4, 2), (4, 3), (2, 3), (3, 3)):
        args = np.ones(shape), a
        g = before(scaled, args)
        h = distribute.run(g)
        assert updates(h) == updates(g) + 1
        errors = []
        for program in (g, h):
            with pytest.raises((IndexError, ValueError)) as caught:
                evaluate(program, sizes(program, args))
            errors.append((caught.type, str(caught.value)))
        assert errors[0] == errors[1]


def test_a_second_operand_that_is_too_short() -> None:
    def two(c: Any, a: Any, b: Any) -> Any:
        for i in range(a.shape[0]):
            c[i] *= 1.2
            for k in range(a.shape[1]):
                c[i] += a[i, k] * b[i, k]
        return c

    for rows, columns in ((4, 2), (3, 3), (4, 3)):
        args = np.ones((4, 5)), np.ones((4, 3)), np.ones((rows, columns))
        g = before(two, args)
        h = distribute.run(g)
        assert updates(h) == updates(g) + 1
        outcomes = []
        for program in (g, h):
            try:
                outcomes.append(evaluate(program, sizes(program, args)).values[0].tolist())
            except IndexError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]


def sizes(f: Function, args: tuple[Any, ...]) -> list[Any]:
    """The arguments of a staged program: sizes, then the array, of each."""
    given = [x for a in args for x in (*a.shape, a.copy())]
    assert len(given) == len(f.params)
    return given


def test_return_sweeps() -> None:
    """What they contribute leaves them, and is what the evaluator makes of them."""
    squares = stage_for(lambda c, a: np.sum(scaled(c, a) ** 2), (np.zeros((8, 9)), np.zeros((8, 10)))).function
    f = gradient(prepare(squares), [2, 5])
    g = f
    for name, run in PASSES:
        taken = len(loops(g))
        g = run(g)
        if name == "distribute":
            inside = [t for s in loops(g) for t in statements(s.op.body) if isinstance(t.op, For)]  # type: ignore[union-attr]
            assert len(loops(g)) == taken == 2
            assert not any(isinstance(t.op, For) for s in inside for t in s.op.body)  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    for n, k, m in ((5, 4, 5), (2, 3, 3), (1, 2, 1), (0, 2, 3), (3, 0, 3)):
        args = sizes(f, (rng.normal(size=(n, m)), rng.normal(size=(n, k))))
        for a, b in zip(evaluate(f, args).values, evaluate(g, args).values, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

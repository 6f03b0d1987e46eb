"""Sets of inputs through every program of the corpus: no derivative is outside of them."""

from __future__ import annotations

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.check import check
from iverson.core.control import decides
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, Literal, Var
from iverson.diff import forward
from iverson.diff.activity import is_float
from iverson.diff.dependence import dependence
from iverson.opt.pipeline import optimise
from tests.corpus import Case, case_of
from tests.corpus_costs import largest
from tests.programs import PROGRAMS, Program

GROUPS = 2


def groups(case: Case) -> list[np.ndarray]:
    """The group of each element of the active parameters."""
    sizes = [np.size(t) for t in case.tangents]
    numbers = np.split(np.arange(sum(sizes)) % GROUPS, np.cumsum(sizes)[:-1])
    return [n.reshape(np.shape(t)) for n, t in zip(numbers, case.tangents, strict=True)]


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.differentiable], ids=lambda p: p.name)
def test_derivatives_are_within_the_sets(program: Program) -> None:
    case = case_of(program, largest(program))
    primal = case.primal
    sets = dependence(primal, case.active)
    check(sets)
    mine = groups(case)
    count = len(primal.body.outs)
    given = [np.left_shift(1, g) if np.ndim(g) else np.int64(1 << int(g)) for g in mine]
    found = evaluate(sets, [*case.values, *given]).values[count:]
    k = len(program.name) % GROUPS
    tangents = [np.where(g == k, t, 0.0) for g, t in zip(mine, case.tangents, strict=True)]
    pushed = evaluate(forward.jvp(primal, case.active), [*case.values, *tangents]).values[count:]
    for s, d in zip(found, pushed, strict=True):
        missed = (np.asarray(d) != 0.0) & (np.asarray(s) >> k & 1 == 0)
        assert not np.any(missed), f"{np.sum(missed)} derivatives by group {k} aren't in the sets"
    floats = [n for n, p in enumerate(sets.params) if is_float(p)]
    if not decides(sets, [sets.params[n] for n in floats]):
        other = list(case.values)
        for n in floats:
            other[n] = np.asarray(other[n])[..., ::-1] if np.ndim(other[n]) else -other[n]
        try:
            again = evaluate(sets, [*other, *given]).values[count:]
        except np.linalg.LinAlgError:  # the other matrices are not of the kind that the program takes
            return
        for x, y in zip(found, again, strict=True):
            np.testing.assert_array_equal(x, y, err_msg="no float decides, but with others the sets are others")


@pytest.mark.slow
@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.differentiable], ids=lambda p: p.name)
def test_optimised_sets_are_the_same(program: Program) -> None:
    case = case_of(program, largest(program))
    sets = dependence(case.primal, case.active)
    values = [*case.values, *(np.left_shift(1, g) if np.ndim(g) else np.int64(1 << int(g)) for g in groups(case))]
    optimised = optimise(sets)
    check(optimised)
    for x, y in zip(evaluate(sets, values).values, evaluate(optimised, values).values, strict=True):
        if np.asarray(x).dtype == np.int64:
            np.testing.assert_array_equal(x, y)


def test_a_library_operation_depends_on_all() -> None:
    b = Builder()
    a, x = Var(Array(F64, (Literal(2, I64), Literal(3, I64))), "a"), Var(Array(F64, (Literal(3, I64),)), "x")
    (y,) = b.library("matmul", a, x)
    sets = dependence(b.function((a, x), y), [0])
    check(sets)
    given = np.left_shift(1, np.arange(6)).reshape(2, 3)
    found = evaluate(sets, [np.ones((2, 3)), np.ones(3), given]).values[1]
    assert found.tolist() == [63, 63]


def test_an_extremum_counts_all_and_a_step_none() -> None:
    b = Builder()
    x = Var(Array(F64, (Literal(3, I64),)), "x")
    top = b.reduce("max", 3, lambda i: b.read(x, i))
    step = b.o.floor(b.read(x, 0))
    sets = dependence(b.function((x,), (top, step)), [0])
    assert list(evaluate(sets, [np.array([1.0, 3.0, 2.0]), np.array([1, 2, 4])]).values[2:]) == [7, 0]

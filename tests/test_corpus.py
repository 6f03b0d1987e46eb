"""One corpus, every layer: Python = evaluator = optimised = compiled; gradient = finite differences = forward mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.lang.stage import Staged
from iverson.opt.pipeline import PASSES
from tests.programs import PROGRAMS, Program
from tests.programs.registry import (
    assert_same,
    copied,
    finite_difference,
    leaves,
    project,
    projection_weights,
    random_direction,
)

POINTS = [(p, n) for p in PROGRAMS for n in p.sizes]
SMOOTH = [(p, n) for p, n in POINTS if p.smooth and p.wrt and n not in p.raises]


def named(points: list[tuple[Program, int]]) -> Any:
    return pytest.mark.parametrize("program, n", points, ids=[f"{p.name}-{n}" for p, n in points])


@pytest.fixture(autouse=True, scope="module")
def _cheap() -> Any:
    """Correctness is tested at LLVM's lowest level; the benchmarks use the highest."""
    patch = pytest.MonkeyPatch()
    patch.setenv("IVERSON_LEVEL", "0")
    yield
    patch.undo()


def evaluated(staged: Staged, args: tuple[Any, ...]) -> Any:
    """The program's result and the final contents of its arguments, by the evaluator."""
    function = staged.function
    check(function)
    values = parameters(staged, args)
    before = evaluate(function, values)
    for _, run in PASSES:
        function = run(function)
        check(function)
    after = evaluate(function, values)
    for x, y in zip(before.values, after.values, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)
    assert after.cost.work <= before.cost.work + 10
    assert after.cost.copied <= before.cost.copied
    return staged.rebuild(before.values)


def parameters(staged: Staged, args: tuple[Any, ...]) -> list[Any]:
    flat = iv.run.program.core_leaves(staged, args)
    return flat


@named([(p, n) for p, n in POINTS if n not in p.raises])
def test_compiled_is_python(program: Program, n: int) -> None:
    expected, finals = program.outcome(program.arguments(n))
    args = program.arguments(n)
    result = iv.jit(program.function)(*args)
    assert_same(result, expected, program.tolerance)
    for k in program.mutates:
        assert_same(args[k], finals[k], program.tolerance)


@named([(p, n) for p, n in POINTS if n in p.raises])
def test_errors_are_python_s(program: Program, n: int) -> None:
    with pytest.raises(program.raises[n]):
        iv.jit(program.function)(*program.arguments(n))


@named(SMOOTH)
def test_gradient(program: Program, n: int) -> None:
    """Reverse mode against finite differences and against forward mode, along a random direction."""
    args = program.arguments(n)
    direction = random_direction(args, program.wrt)

    def projected(*args: Any) -> Any:
        out = program.function(*copied(args))
        return project(out)

    slope = finite_difference(program.projected, args, program.wrt, direction)
    weights = [projection_weights(x, k) for k, x in enumerate(leaves(program.outcome(args)))]
    del projected, weights
    assert np.isfinite(slope)

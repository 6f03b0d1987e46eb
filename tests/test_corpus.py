"""One corpus, every layer: Python = evaluator = optimised = compiled; reverse mode = finite differences = forward mode.

Every program runs at its largest size here, and at all its sizes (empty arrays, lengths that are part of the type) in
the slow run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.check import check
from iverson.core.evaluate import Result, evaluate
from iverson.core.show import show
from iverson.core.syntax import Function
from iverson.diff import forward
from iverson.lang import state
from iverson.lang.stage import SMALL
from iverson.opt.pipeline import PASSES, REASSOCIATE, SCHEDULE
from tests.corpus import case_of, inner
from tests.corpus_costs import CEILINGS, EXCEPTIONS, costs, largest
from tests.programs import PROGRAMS, Program, assert_same


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Correctness is tested at LLVM's lowest level."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")


# by what part a pass may raise the work; a few statements more than that are allowed to every one
SLACK = {
    "promote": 0.5,
    "initial": 0.5,
    "outer": 0.5,
    "once": 0.5,
    "gather": 0.3,
    "remainders": 1.0,
    "right-looking": 1.0,
    "winner": 5.0,
    "rotate": 0.5,
    "spill": 0.5,
    "stencil": 1.0,
}
CONSTANT = 20


def points(programs: Iterable[Program]) -> list[Any]:
    """(program, size): the largest size of each program, and in the slow run the others."""
    return [
        pytest.param(p, n, id=f"{p.name}-{n}", marks=[] if n == largest(p) else pytest.mark.slow)
        for p in programs
        for n in p.sizes
        if n not in p.raises
    ]


SMOOTH = [p for p in PROGRAMS if p.differentiable]
everywhere = pytest.mark.parametrize(("program", "n"), points(PROGRAMS))
where_smooth = pytest.mark.parametrize(("program", "n"), points(SMOOTH))


# --- values -----------------------------------------------------------------------------------------------------------


def close(got: Any, want: Any, what: str) -> None:
    """Equal but for the rounding of sums in another order."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape, f"{what}: {got.dtype}{got.shape}"
    rounding = 1e-3 if want.dtype == np.float32 else 1e-8
    finite = want[np.isfinite(want)]
    scale = max(1.0, float(np.max(np.abs(finite)))) if finite.size else 1.0
    np.testing.assert_allclose(got, want, rtol=rounding, atol=rounding * scale, err_msg=what)


def assert_passes_keep(f: Function, values: list[Any], before: Result) -> None:
    """Each pass of the optimiser, one after the other: well formed, the same values, no more work and copies."""
    text = show(f, types=True)
    for name, run in [*PASSES, *SCHEDULE, *REASSOCIATE]:
        g = run(f)
        if g is f:
            continue
        f, previous, text = g, text, show(g, types=True)
        if text == previous:
            continue
        check(f)
        after = evaluate(f, values)
        for x, y in zip(before.values, after.values, strict=True):
            close(y, x, name)
        allowed = before.cost.work * (1 + SLACK.get(name.split()[0], 0.0)) + CONSTANT
        assert after.cost.work <= allowed, f"{name}: work {before.cost.work} became {after.cost.work}"
        assert after.cost.copied <= before.cost.copied, (
            f"{name}: copied {before.cost.copied} became {after.cost.copied}"
        )
        before = after


@everywhere
def test_staged_and_optimised_programs_are_python(program: Program, n: int) -> None:
    case = case_of(program, n)
    check(case.function)
    result = evaluate(case.function, case.values)
    assert_same(case.outcome(result.values), case.expected, program.tolerance)
    assert_passes_keep(case.function, case.values, result)


def assert_compiled(program: Program, function: Any, n: int) -> None:
    """A compiled function does what the plain one does, to the caller's arrays as well."""
    args = program.arguments(n)
    if n in program.raises:
        before = [np.copy(x) for x in state.flatten(args)[0]]
        with pytest.raises(program.raises[n]):
            function(*args)
        for x, y in zip(state.flatten(args)[0], before, strict=True):
            np.testing.assert_array_equal(x, y, err_msg="an error leaves the arguments as they were")
        return
    with np.errstate(all="ignore"):
        expected = program.outcome(program.arguments(n))
    result = function(*args)
    assert_same((result, tuple(args[k] for k in program.mutates)), expected, program.tolerance)


def signature(program: Program, n: int) -> tuple[Any, ...]:
    """What a program is compiled for at a size: small lengths, layouts."""
    leaves, tree = state.flatten(program.arguments(n))

    def kind(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return type(x)
        return x.dtype, tuple(m if m <= SMALL else "n" for m in x.shape), x.flags.c_contiguous

    return (tree, *map(kind, leaves))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_compiled_is_python(program: Program) -> None:
    """At the largest size and, by the same compiled program, at one that is larger."""
    function = iv.jit(program.function, level=0)
    sizes = [largest(program)]
    if largest(program) > SMALL:
        sizes += [n for n in (largest(program) + 2,) if n not in program.raises]
    for n in sizes:
        assert_compiled(program, function, n)
    assert len(function.programs) == len({signature(program, n) for n in sizes})


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_compiled_is_python_at_all_sizes(program: Program) -> None:
    function = iv.jit(program.function, level=0)
    for n in (*program.sizes, *program.sizes):
        assert_compiled(program, function, n)
    made = {signature(program, n) for n in program.sizes if n not in program.raises}
    raising = {signature(program, n) for n in program.raises} - made  # some raise when they are staged
    assert len(made) <= len({key for key, _ in function.programs}) <= len(made) + len(raising)


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.raises], ids=lambda p: p.name)
def test_errors_are_python_s(program: Program) -> None:
    function = iv.jit(program.function, level=0)
    for n in program.raises:
        assert_compiled(program, function, n)


# --- derivatives ------------------------------------------------------------------------------------------------------


def assert_slopes(got: float, want: float, program: Program, rtol: float, what: str) -> None:
    rtol = max(rtol, 1e-4) if program.tolerance > 1e-8 else rtol
    np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-9, err_msg=what)


@where_smooth
def test_derivatives(program: Program, n: int) -> None:
    """Reverse mode against finite differences, the complex step and forward mode, along a random direction."""
    case = case_of(program, n)
    primal = evaluate(case.function, case.values)
    seeds, count = case.seeds(primal.values), len(primal.values)
    vjp = case.vjp
    check(vjp)
    values = [*case.values, *case.added(vjp, seeds)]
    pulled = evaluate(vjp, values)
    for x, y in zip(primal.values, pulled.values[:count], strict=True):
        close(y, x, "primal")
    slope = inner(pulled.values[count:], case.tangents)
    assert_slopes(slope, case.by_differences, program, 1e-5, "finite differences")
    if program.analytic:
        assert_slopes(slope, case.by_complex_step(seeds), program, 1e-8, "complex step")
    jvp = forward.jvp(case.primal, case.active)
    check(jvp)
    pushed = evaluate(jvp, [*case.values, *case.tangents]).values[count:]
    assert_slopes(slope, inner(seeds, pushed), program, 1e-9, "transpose identity")
    assert_passes_keep(vjp, values, pulled)


@where_smooth
def test_compiled_gradient(program: Program, n: int) -> None:
    """iv.value_and_grad of <weights, outcome>, compiled, against the plain function and the complex step."""
    case = case_of(program, n)
    outs = evaluate(case.function, case.values).values
    weights = case.weights_like(outs)
    args = program.arguments(n)
    value, gradient = iv.value_and_grad(case.weighed(), argnums=program.wrt)(*args, weights)
    for x, y in zip(state.flatten(args)[0], case.leaves, strict=True):
        np.testing.assert_array_equal(x, y, err_msg="a transform leaves the arguments alone")
    assert_slopes(float(value), case.projected(*case.args), program, 1e-9, "value")
    slope = inner(state.flatten(gradient)[0], state.flatten(tuple(case.direction[k] for k in program.wrt))[0])
    assert_slopes(slope, case.by_differences, program, 1e-5, "finite differences")
    if program.analytic:
        assert_slopes(slope, case.by_complex_step(case.seeds(outs)), program, 1e-8, "complex step")


# --- costs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", SMOOTH, ids=lambda p: p.name)
def test_derivatives_cost_what_they_may(program: Program) -> None:
    """Below the ceilings of tests/corpus_costs.py; its exceptions may not be higher than what they excuse."""
    cost, excused = costs(program), EXCEPTIONS.get(program.name, {})
    for name, ceiling in asdict(CEILINGS).items():
        got, limit = getattr(cost, name), excused.get(name, ceiling)
        assert got <= limit, f"{name} is {got:.2f}, more than {limit}: {cost}"
        assert name not in excused or ceiling < limit <= 1.1 * got, (
            f"{name} is {got:.2f}: lower the exception ({limit})"
        )


def test_exceptions_are_programs() -> None:
    assert set(EXCEPTIONS) <= {p.name for p in SMOOTH}

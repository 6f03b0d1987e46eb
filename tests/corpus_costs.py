"""What derivatives of the corpus cost, and their ceilings; `python -m tests.corpus_costs` prints all of it.

ratio       work of value and gradient, beyond the inputs and outputs, beside the primal's
flatness    the ratio at three times the size, beside that
tape        elements alive beyond the primal's and the inputs' and outputs', per unit of the primal's work
statements  core statements of value and gradient, beside the primal's
seconds     of processor time: staging, differentiation, optimisation and compilation at LLVM's lowest level
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields

import numpy as np

from iverson import backend
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Function
from iverson.diff import reverse
from iverson.opt.pipeline import optimise, prepare
from tests.corpus import Case
from tests.programs import PROGRAMS, Program


@dataclass(frozen=True)
class Costs:
    ratio: float
    flatness: float
    tape: float
    statements: float
    seconds: float


# programs whose values grow beyond all bounds at three times the size
GROWTH = {"several_updates_of_one_element_in_a_turn": 2}

CEILINGS = Costs(ratio=6.5, flatness=1.25, tape=0.4, statements=6.0, seconds=10.0)

# programs above a ceiling: by how much at most, and why; one that has come down must leave
EXCEPTIONS: dict[str, dict[str, float]] = {
    # a product that is zero: the products of the elements before and after each, in code that others don't run
    "product_with_one_zero": {"ratio": 11.5, "statements": 19.0},
    "products_with_two_zeros": {"ratio": 9.5, "statements": 11.4},
    "cumulative_product_through_zero": {"statements": 12.0},
    "product": {"statements": 15.5},
    "products_along_axes": {"statements": 9.0},
    # a loop whose turns begin anew from an input, every other time: its array is kept each turn, and swept with a test
    "carry_that_restarts_from_an_input": {"ratio": 7.4, "tape": 0.6},
    "bubble_sort_floats": {"tape": 0.46},
    # Cholesky's factor is n^3 / 3; its adjoint one product and two solves with n columns, at BLAS's speed 4 n^3
    "gaussian_likelihood": {"ratio": 15.5},
    "solve_by_a_factor": {"ratio": 10.5, "statements": 8.5},
    # one statement, whose rule has as many as there are in its formula
    "orthogonal_factors": {"statements": 12.5},
    # breaks the promise: arrays that are swapped at run time in a loop in a loop are recorded whole
    "swap_inside_an_inner_loop": {"ratio": 10.5, "flatness": 1.85, "tape": 2.9},
}


def largest(program: Program) -> int:
    """The largest of the program's sizes that doesn't raise."""
    return max(n for n in program.sizes if n not in program.raises)


@dataclass(frozen=True)
class _Counts:
    work: int
    gradient: int  # beyond inputs and outputs
    tape: int

    @property
    def ratio(self) -> float:
        return self.gradient / max(self.work, 1)


def _counted(case: Case, primal: Function, vjp: Function) -> _Counts:
    value = evaluate(primal, case.values)
    values = [*case.values, *case.added(vjp, case.seeds(value.values))]
    both = evaluate(vjp, values)
    ends = sum(np.size(v) for v in (*values, *both.values))
    return _Counts(
        value.cost.work,
        max(0, both.cost.work - ends),
        max(0, both.cost.peak - value.cost.peak - ends),
    )


def costs(program: Program) -> Costs:
    start = time.process_time()
    case = Case(program, largest(program))
    primal = prepare(case.function)
    vjp = reverse.vjp(primal, case.active)
    backend.compile(optimise(vjp), level=0).code.load()
    seconds = time.process_time() - start
    small = _counted(case, primal, vjp)
    grown = Case(program, GROWTH.get(program.name, 3) * largest(program))
    primal_grown = prepare(grown.function)
    large = _counted(grown, primal_grown, reverse.vjp(primal_grown, grown.active))
    return Costs(
        large.ratio,
        large.ratio / max(small.ratio, 1.0),
        large.tape / max(large.work, 1),
        length(vjp) / max(length(primal), 1),
        seconds,
    )


def length(f: Function) -> int:
    return len(list(statements(f.body)))


if __name__ == "__main__":
    names = [f.name for f in fields(Costs)]
    print(f"{'':45}", *(f"{n:>10}" for n in names))
    for program in PROGRAMS:
        if program.differentiable:
            row = costs(program)
            print(f"{program.name:45}", *(f"{getattr(row, n):10.2f}" for n in names), flush=True)

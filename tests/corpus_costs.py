"""What derivatives of the corpus cost, and their ceilings; `python -m tests.corpus_costs` prints all of it.

ratio       work of value and gradient, beyond the inputs and outputs, beside the primal's
flatness    the ratio at three times the size, beside that
tape        bytes alive beyond the primal's and the inputs' and outputs', per element that the primal writes: one of an
            array that it makes or updates, or a scalar that a turn of a loop hands on
statements  core statements of value and gradient, beside the primal's

The seconds that it prints besides are of processor time: staging, differentiation, optimisation and compilation at
LLVM's lowest level.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields

import numpy as np

from iverson import backend
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Function
from iverson.opt.pipeline import optimise
from tests.corpus import Case, case_of
from tests.programs import PROGRAMS, Program


@dataclass(frozen=True)
class Costs:
    ratio: float
    flatness: float
    tape: float
    statements: float


# programs whose values grow beyond all bounds at three times the size
GROWTH = {"several_updates_of_one_element_in_a_turn": 2}

CEILINGS = Costs(ratio=6.5, flatness=1.25, tape=10.0, statements=6.0)

# programs above a ceiling: by how much at most, and why; one that has come down must leave
EXCEPTIONS: dict[str, dict[str, float]] = {
    # a product that is zero: the products of the elements before and after each, in code that others don't run
    "product_with_one_zero": {"ratio": 11.5, "statements": 19.0, "tape": 105.0},
    "products_with_two_zeros": {"ratio": 9.5, "statements": 11.4, "tape": 200.0},
    "product": {"statements": 15.5},
    "products_along_axes": {"statements": 9.0},
    # a scan of two statements becomes two scans and a map
    "cumulative_product_through_zero": {"statements": 11.0},
    "cumulative_products": {"statements": 6.9},
    "running_extrema": {"ratio": 7.5, "statements": 11.4},
    # the states of a scan of matrices; the primal makes its matrices where they are read, and writes little else
    "products_of_matrices": {"tape": 11.0},
    # an operator's own work three to four times, where the bound for one is 7.3
    "log_sum_exp_of_prefixes": {"statements": 6.2},
    "histograms_of_monoids": {"statements": 6.6},
    "operators_with_free_variables": {"ratio": 6.7, "statements": 7.6},
    "many_short_reductions": {"ratio": 7.3, "statements": 6.6, "tape": 19.0},
    # results of inner reductions, which the primal has in registers, or as one scalar a turn, are stored
    "knapsack": {"tape": 29.0},
    "vector_fixed_point": {"tape": 14.5},
    # Cholesky's factor is n^3 / 3; its adjoint one product and two solves with n columns, at BLAS's speed 4 n^3
    "gaussian_likelihood": {"ratio": 15.5},
    "solve_by_a_factor": {"ratio": 10.5, "statements": 8.5},
    # two or three states are kept at a time: turns run again, the more often the more there are
    "steps_with_checkpoints": {"ratio": 8.0, "flatness": 1.45, "statements": 12.5},
    "updates_in_place_with_checkpoints": {"ratio": 14.0, "flatness": 1.45, "statements": 17.5},
    "an_exit_with_checkpoints": {"statements": 9.0},
    # arrays of at most four elements are recorded whole where a turn may update any of them
    "local_arrays_in_turns": {"tape": 21.5},
    # products that may be zero, bin by bin: a sort by bins and two scans, in code that others don't run, beside a
    # primal of 13 statements
    "bins_of_products_and_minima": {"statements": 14.0},
    # one statement, whose rule has as many as there are in its formula
    "orthogonal_factors": {"statements": 12.5},
}


def largest(program: Program) -> int:
    """The largest of the program's sizes that doesn't raise."""
    return max(n for n in program.sizes if n not in program.raises)


@dataclass(frozen=True)
class Counts:
    ratio: float
    tape: float


def counted(case: Case, primal: Function, vjp: Function) -> Counts:
    """What value and gradient cost beside the primal, beyond inputs and outputs."""
    value = evaluate(primal, case.values)
    values = [*case.values, *case.added(vjp, case.seeds(value.values))]
    both = evaluate(vjp, values)
    ends = sum(np.size(v) for v in (*values, *both.values))
    room = sum(np.asarray(v).nbytes for v in (*values, *both.values))
    return Counts(
        max(0, both.cost.work - ends) / max(value.cost.work, 1),
        max(0, both.cost.room - value.cost.room - room) / max(value.cost.writes, 1),
    )


def costs(program: Program) -> Costs:
    case = case_of(program, largest(program))
    small = counted(case, case.primal, case.vjp)
    grown = Case(program, GROWTH.get(program.name, 3) * largest(program))
    large = counted(grown, grown.primal, grown.vjp)
    return Costs(
        large.ratio,
        large.ratio / max(small.ratio, 1.0),
        large.tape,
        length(case.vjp) / max(length(case.primal), 1),
    )


def seconds(program: Program) -> float:
    start = time.process_time()
    backend.compile(optimise(Case(program, largest(program)).vjp), level=0).code.load()
    return time.process_time() - start


def length(f: Function) -> int:
    return len(list(statements(f.body)))


if __name__ == "__main__":
    names = [f.name for f in fields(Costs)]
    print(f"{'':45}", *(f"{n:>10}" for n in (*names, "seconds")))
    for program in PROGRAMS:
        if program.differentiable:
            row, took = costs(program), seconds(program)
            print(f"{program.name:45}", *(f"{x:10.2f}" for x in (*(getattr(row, n) for n in names), took)), flush=True)

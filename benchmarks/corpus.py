"""`python -m benchmarks.corpus [--check] [name...]`: what gradients of the programs of the corpus cost by the clock.

clock       seconds of value and gradient of the weighted outcome, beside those of the weighted outcome: medians of the
            thread's CPU time, in turns, at a size where the latter takes some 50 us
tape        as in tests/corpus_costs.py, of the optimised programs: what is compiled
statements  core statements of value and gradient, beside the primal's, before optimisation
seconds     of the first call of value and gradient: staging, differentiation, optimisation, LLVM

The C library is told to keep freed memory: results are fresh arrays, and faults of their pages (up to 5 us for 4 kB on
a virtual machine) would be most of what is measured, or none of it, as the heap happens to lie.  Loops and BLAS run on
one thread: the time of one of several says little, and what waiting for others takes is the machine's load, not the
gradient's cost.

`--check` exits with status 1 if a program is above a ceiling that it isn't excused from; one that is above by the clock
is measured again, up to four times: a neighbour on the machine takes the caches from the one or the other.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.__main__ import medians
from benchmarks.resident import keep_freed_memory
from iverson.diff import reverse
from iverson.lang import state
from iverson.opt.pipeline import optimise, prepare
from tests.corpus import Case, outcome_leaves, weighed
from tests.corpus_costs import EXCEPTIONS as COUNTED
from tests.corpus_costs import GROWTH, counted, largest, length
from tests.programs import PROGRAMS, Program
from tests.programs.registry import projection_weights

ENOUGH = 50e-6  # seconds of the primal that mean something
LARGEST = 2**18  # numbers that go in and out: beyond, the memory's speed is what is measured
DOUBLINGS = 10
AGAIN = 4  # times that a breach is measured again
# programs that mean something at one size only
FIXED = {"while_loop_square_root": "to eleven places: it goes on for ever for a large number"}


@dataclass(frozen=True)
class Costs:
    clock: float
    tape: float
    statements: float
    seconds: float


CEILINGS = Costs(clock=6.0, tape=10.0, statements=6.0, seconds=10.0)

# programs above a ceiling by the clock, or near it: by how much at most (a quarter above what was measured), and why
SLOW: dict[str, float] = {
    # the primal only multiplies; a gradient is exact with any number of zeros: two scans, a chain of products each
    "product": 25.0,
    "product_with_one_zero": 13.0,
    "products_with_two_zeros": 15.0,
    # divisions, one an element
    "products_along_axes": 9.5,
    # products of thousands of numbers underflow, so this is the path for zeros: a sort by bins and two scans
    "bins_of_products_and_minima": 9.6,
    # the winner of a minimum over elements that aren't all there: compared one after the other
    "guarded_minimum": 9.0,
    # what a slice's update overwrites is made an array, which is copied to the outer loop's log
    "partial_rows_and_columns": 10.0,
    # two or three states are kept at a time, as these programs say: of thousands of turns each runs 40 times
    "steps_with_checkpoints": 55.0,
    "updates_in_place_with_checkpoints": 110.0,
    # Cholesky's factor is n^3 / 3; its adjoint a product and two solves with n columns, n^3 each, by LAPACK as by hand
    "solve_by_a_factor": 8.5,
    "gaussian_likelihood": 10.0,
    # six outer products are added to the matrix's adjoint, each in a pass over memory, where the primal, which sees
    # that three of its products are one, makes two
    "atax_and_bicg": 8.5,
    # contributions at two and three places a product: to memory, where the primal's sum is in a register; by hand in
    # C++ 490 us, where the primal takes 80
    "conv2d_slices": 12.0,
    # 8 bytes an update are logged and put back, beyond the second-level cache, where the primal's rows stay in it
    "gauss_elimination": 10.5,
    "ridge_normal_equations": 10.0,
    "gramschmidt": 9.3,
    # the paths of every turn are kept, n^3 numbers, beside a primal whose two arrays stay in the first-level cache; by
    # hand in C++ 250 us where the primal takes 54, and at twice the size, which the clock may choose, 3000
    "floyd_warshall": 20.0,
    # a few elements of a matrix are looked at, and all of its adjoint is written
    "search_rows_with_exits": 7.5,
    # the turns of inner loops are logged, which end early, and go back one by one; the primal's branches are foreseen
    "else_of_loops_and_last_values": 7.2,
    "pivoted_elimination_that_may_stop": 7.2,
    "triangular_updates": 7.2,
    # two contributions a product at computed places, one after the other, where the primal's sums are in registers
    "nested_loops_with_lookup": 7.0,
    "gather_with_duplicates": 7.0,
    # four updates in memory of one adjoint, three of which wait for the turn before; the primal stores one element
    "summed_area_table": 7.0,
}

# programs above the ceiling of the tape, once they are optimised: bytes a number written, and why
KEPT: dict[str, float] = {
    # seven arrays of pairs a step: the optimised primal makes two passes of them, of which it keeps little; distances
    # could be had again from the positions
    "nbody_vectorised": 18.0,
}


def allowed(program: Program) -> Costs:
    """The ceilings of a program; for what is counted, those of tests/corpus_costs.py."""
    counted = {k: v for k, v in COUNTED.get(program.name, {}).items() if k in ("tape", "statements", "seconds")}
    if program.name in KEPT:
        counted["tape"] = KEPT[program.name]
    return replace(CEILINGS, clock=SLOW.get(program.name, CEILINGS.clock), **counted)


class Timed:
    """A program's weighted outcome and its gradient, compiled as functions of arrays and numbers alone."""

    def __init__(self, program: Program) -> None:
        self.program = program
        leaves, self.tree = state.flatten(program.arguments(program.large))
        self.count = len(leaves)
        starts = np.cumsum([0, *(len(state.flatten(a)[0]) for a in program.arguments(program.large))])
        wrt = [leaf for k in program.wrt for leaf in range(starts[k], starts[k + 1])]
        floats = tuple(k for k in wrt if np.asarray(leaves[k]).dtype.kind == "f")
        whole = weighed(program)

        def flat(*leaves: Any) -> Any:
            return whole(*state.unflatten(self.tree, list(leaves[: self.count])), leaves[self.count :])

        def pure(*leaves: Any) -> Any:
            return iv.functional(flat)(*leaves)[0]

        def outcome(*leaves: Any) -> Any:
            return iv.functional(outcome_leaves(program))(*state.unflatten(self.tree, list(leaves)))[0]

        self.outcome = iv.jit(outcome)
        self.primal, self.gradient = iv.jit(pure), iv.value_and_grad(flat, argnums=floats)

    def arguments(self, n: int) -> list[Any]:
        """The leaves of the program's arguments at a size, and weights of its outcome."""
        leaves = state.flatten(self.program.arguments(n))[0]
        found = [np.asarray(x) for x in self.outcome(*leaves)]
        return [*leaves, *(projection_weights(x, k, 0)[()] for k, x in enumerate(found))]


def once(call: Callable[[], Any]) -> float:
    begin = time.thread_time()
    call()
    return time.thread_time() - begin


def sized(timed: Timed) -> tuple[int, list[Any]]:
    """A size at which the primal takes long enough, or the largest that there is, and the arguments."""
    n = timed.program.large
    args = timed.arguments(n)
    for _ in range(0 if timed.program.name in FIXED else DOUBLINGS):
        if 2 * sum(map(np.size, args)) > LARGEST:
            break
        if min(once(partial(timed.primal, *args)) for _ in range(3)) >= ENOUGH:
            break
        try:
            larger = timed.arguments(2 * n)
            timed.primal(*larger)
        except (ArithmeticError, ValueError, IndexError):
            break
        n, args = 2 * n, larger
    return n, args


def clock(timed: Timed, args: Sequence[Any]) -> float:
    """Seconds of the gradient, in those of the primal."""
    primal, gradient = medians([partial(timed.primal, *args), partial(timed.gradient, *args)], 0.2, 7)
    return gradient / primal


def measured(program: Program) -> tuple[int, Costs]:
    """The size by the clock, and the costs."""
    timed = Timed(program)
    n, args = sized(timed)
    begin = time.process_time()
    timed.gradient(*args)
    seconds = time.process_time() - begin
    ratio = clock(timed, args)
    for _ in range(AGAIN):
        if ratio <= allowed(program).clock:
            break
        ratio = min(ratio, clock(timed, args))
    case = Case(program, GROWTH.get(program.name, 3) * largest(program))
    primal = prepare(case.function)
    vjp = reverse.vjp(primal, case.active)
    tape = counted(case, optimise(primal), optimise(vjp)).tape
    return n, Costs(ratio, tape, length(vjp) / max(length(primal), 1), seconds)


def main(arguments: Sequence[str]) -> int:
    names = [a for a in arguments if not a.startswith("-")]
    chosen = [p for p in PROGRAMS if p.differentiable and (not names or any(name in p.name for name in names))]
    columns = [f.name for f in fields(Costs)]
    print(f"{'':52}{'size':>9}", *(f"{c:>10}" for c in columns))
    breaches: list[str] = []
    for program in chosen:
        n, costs = measured(program)
        print(f"{program.name:52}{n:9}", *(f"{getattr(costs, c):10.2f}" for c in columns), flush=True)
        limits = allowed(program)
        breaches += [
            f"{program.name}: {c} above {getattr(limits, c)}" for c in columns if getattr(costs, c) > getattr(limits, c)
        ]
    print("\n".join(breaches))
    return 1 if breaches and "--check" in arguments else 0


if __name__ == "__main__":
    alone = {"OPENBLAS_NUM_THREADS": "1", "IVERSON_NUM_THREADS": "1"}  # read when the libraries are loaded
    if not alone.keys() <= os.environ.keys():
        again = [sys.executable, "-m", "benchmarks.corpus", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **alone})
    with tempfile.TemporaryDirectory() as nowhere:  # what is on disk isn't compiled
        os.environ["XDG_CACHE_HOME"] = nowhere
        keep_freed_memory()
        sys.exit(main(sys.argv[1:]))

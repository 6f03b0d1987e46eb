"""The order of the passes, as lists.

    prepare     what is to be differentiated: an equation applied before the transform is applied to the adjoint, too
    optimise    what is to be compiled

simplify runs before the others, so that they see each read once, and after them, since what was inlined or brought
together repeats what surrounds it. bounds is early: what can't raise moves freely. hoist, branches and promote let
parallel see what a loop accumulates, and reverse mode what it overwrites (promote needs indices that were computed
before the loop). Loops are merged only after the transform: a maximum merged with what it ranges over would have all
of that swept again at the winner. fuse runs once more after gather, which makes producers of what was contributed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iverson.core.syntax import Function
from iverson.opt import (
    bounds,
    branches,
    chain,
    compared,
    contract,
    copies,
    distribute,
    fuse,
    gather,
    hoist,
    indicator,
    initial,
    late,
    once,
    outer,
    parallel,
    promote,
    remainders,
    right_looking,
    rotate,
    scaled,
    siblings,
    simplify,
    spill,
    stencil,
    twice,
    unread,
    updates,
    winner,
)

Pass = Callable[[Function], Function]

PREPARE: list[tuple[str, Pass]] = [
    ("simplify", simplify.primal),
    ("bounds", bounds.run),
    ("unread", unread.run),
    ("simplify bounded", simplify.primal),
    ("hoist", hoist.run),
    ("chain", chain.differentiated),
    ("branches", branches.run),
    ("promote", promote.run),
    ("once", once.run),
    ("parallel", parallel.run),
    ("gather", gather.run),
    ("simplify parallel", simplify.primal),
    ("indicator", indicator.run),
    ("updates", updates.run),
    ("initial", initial.primal),
    ("parallel updates", parallel.run),
    ("gather updates", gather.run),
    ("hoist reductions", hoist.run),
    ("fuse", fuse.run),
    ("simplify fused", simplify.primal),
]

GATHER = next(k for k, (name, _) in enumerate(PREPARE) if name == "gather")

NOW: dict[Pass, Pass] = {  # no derivative is taken any more
    simplify.primal: simplify.run,
    initial.primal: initial.run,
    chain.differentiated: chain.known,
}

PASSES: list[tuple[str, Pass]] = [
    *((name, NOW.get(run, run)) for name, run in PREPARE[:GATHER]),
    ("outer", outer.run),
    *((name, NOW.get(run, run)) for name, run in PREPARE[GATHER:]),
    ("distribute", distribute.run),
    ("siblings", siblings.run),
    ("simplify merged", simplify.run),
    ("gather merged", gather.run),
    ("fuse gathered", fuse.run),
    ("simplify gathered", simplify.run),
    ("twice", twice.run),
    ("compared", compared.run),
    ("copies", copies.run),
]

# for the machine: the count may rise by a constant that the pass states
SCHEDULE: list[tuple[str, Pass]] = [
    ("remainders", remainders.run),
    ("right-looking", right_looking.run),
    ("winner", winner.run),
    ("rotate", rotate.run),
    ("spill", spill.run),
    ("stencil", stencil.run),
]
# what changes the order of additions
CONTRACT: list[tuple[str, Pass]] = [
    ("contract", contract.run),
    ("simplify contracted", simplify.run),
    ("chain contracted", chain.run),
    ("scaled", scaled.run),
]
REASSOCIATE: list[tuple[str, Pass]] = [("late", late.run)]


def prepare(f: Function, reassociate: bool = True) -> Function:
    """The function as it should be differentiated."""
    return _through(f, PREPARE, reassociate)


def optimise(f: Function, reassociate: bool = True) -> Function:
    """The function as it should be compiled."""
    passes = [*PASSES, *(CONTRACT if reassociate else []), *SCHEDULE, *(REASSOCIATE if reassociate else [])]
    return _through(f, passes, reassociate)


def _through(f: Function, passes: Sequence[tuple[str, Pass]], reassociate: bool) -> Function:
    for _, run in passes:
        f = f if run in (chain.known, chain.differentiated) and not reassociate else run(f)
    return f

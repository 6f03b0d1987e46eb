"""`iv.tape`: what a derivative keeps from its forward sweep is the user's to shape.

Options are given as `tape=` to `iv.grad` and its kin, alone or several as a tuple, and checkpoints to single loops by
`iv.range(n, tape=...)`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from iverson.core.syntax import Checkpoint
from iverson.diff.tape import AUTO, MODES, Policy, merged
from iverson.run.sampling import Sampling
from iverson.run.sampling import sample as sample

Tape: TypeAlias = Any  # "auto", "store", "recompute", an option of this module, or a tuple of those


def policy(tape: Tape) -> Policy:
    """What the argument `tape` of a derivative says."""
    if isinstance(tape, Policy):
        return tape
    if isinstance(tape, Sampling):
        return AUTO  # the program itself says it (run/sampling.py)
    if isinstance(tape, str) and tape in MODES:
        return Policy(mode=tape)
    if isinstance(tape, tuple | list):
        return merged(map(policy, tape))
    raise ValueError(
        f"tape={tape!r}: it is 'auto', 'store', 'recompute', an option such as iv.tape.checkpoint(slots=20), "
        "or a tuple of those"
    )


def checkpoint(slots: int, block: int | None = None) -> Policy:
    """Keep `slots` states of a loop at a time, and run the turns between them again.

    As an option of a derivative it is for the outermost loops of the program; `iv.range(n, tape=...)` says it of one.
    A state is what the loop carries from turn to turn, arrays that it updates in place as a whole.  Which states are
    kept is optimal for the number of turns (binomial checkpointing): with s slots a loop of C(s + r, s) turns runs each
    turn at most r times before it is recorded.  Of a `while` the number of turns is found by the forward sweep, which
    keeps no states: it is run once more.

    `block` turns are recorded at once, between two states: by default as many as have 4,096 numbers in their states
    together, at least one.  With `block=1` each turn is a step of its own, as in the literature.

    Raises TypeError or ValueError for numbers that are no positive integers.

    >>> iv.grad(f, tape=iv.tape.checkpoint(slots=20))

    Method: Griewank and Walther, Algorithm 799: revolve, ACM TOMS 26 (2000).
    """
    return Policy(
        checkpoint=Checkpoint(_positive(slots, "slots"), None if block is None else _positive(block, "block"))
    )


def _positive(n: Any, name: str) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"iv.tape.checkpoint: {name} is a positive integer, not {type(n).__name__}")
    if n.__index__() < 1:
        raise ValueError(f"iv.tape.checkpoint: {name} is a positive integer, not {n}")
    return n.__index__()  # type: ignore[no-any-return]

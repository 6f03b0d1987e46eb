"""What a program itself says about its tape: `iv.range(n, tape=...)` of a loop.

Like every function of the language it means something without a compiler: `iv.range` is `range`.
"""

from __future__ import annotations

import builtins
from typing import Any

from iverson.core.syntax import Tape as Note
from iverson.diff.tape import Policy
from iverson.lang.iterate import Steps, range_, steps
from iverson.lang.table import implements
from iverson.run.tape import Tape, policy


def range(*args: Any, tape: Tape = "auto") -> Any:
    """range(*args), for a loop that says how derivatives have the states of its turns again.

    `tape` is "auto", "store" (by recording every turn, whatever the derivative is told), or `iv.tape.checkpoint(...)`.
    It says nothing about a loop that is unrolled, or a comprehension.  Raises ValueError for another `tape`.

    >>> for t in iv.range(steps, tape=iv.tape.checkpoint(slots=20)): ...
    """
    _note(tape)
    return builtins.range(*args)


@implements(range)
def _range(*args: Any, tape: Tape = "auto") -> Any:
    found = steps(range_(*args))
    assert found is not None
    return Steps(found.length, found.at, _note(tape))


def _note(tape: Tape) -> Note | None:
    told = policy(tape)
    if told == Policy(mode="store"):
        return "store"
    if told != Policy(checkpoint=told.checkpoint):
        raise ValueError(f"a loop's tape is 'auto', 'store' or iv.tape.checkpoint(...), not {tape!r}")
    return told.checkpoint

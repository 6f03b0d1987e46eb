"""`iv.tape`: what a derivative keeps from its forward sweep is the user's to shape.

Options are given as `tape=` to `iv.grad` and its kin, alone or several as a tuple, and checkpoints to single loops by
`iv.range(n, tape=...)`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from typing import Any, TypeAlias

from iverson.core.syntax import Checkpoint, Disk
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
        whole = merged(map(policy, tape))
        if whole.budget is not None and whole.checkpoint is not None:
            raise ValueError("a budget decides on checkpoints itself: say those of single loops by iv.range")
        return whole
    raise ValueError(
        f"tape={tape!r}: it is 'auto', 'store', 'recompute', an option such as iv.tape.checkpoint(slots=20), "
        "or a tuple of those"
    )


def unplanned(tape: Tape) -> Policy:
    """The same, where no call can be planned."""
    told = policy(tape)
    if told.budget is not None:
        raise ValueError("a budget is for iv.grad and iv.value_and_grad; else say iv.tape.checkpoint(slots=...)")
    return told


def budget(size: int | str, disk: int | str | None = None, directory: str | os.PathLike[str] | None = None) -> Policy:
    """Allocate at most so many bytes in a call: a number, or "200MB", "1.5 GiB".

    What counts is all that the call has allocated at once, its results included, its arguments not.  At the sizes of a
    call it is decided which loops are stored and which checkpointed, with how many slots, such that the least work is
    done again (iverson/run/planner.py); calls of the same sizes have the same plan, `iv.grad(f, tape=...).plan(*args)`.

    With `disk`, so many bytes beside those may be states of loops in files, as `checkpoint` has it: an equal part for
    each outermost loop.

    A budget is planned where a call has sizes: for iv.grad and iv.value_and_grad, outside of compiled functions (else
    TypeError).  The call raises MemoryError where the bound can't be kept, and says what the least is.  Raises
    ValueError for a size that isn't one, and what `checkpoint` does for the disk.

    >>> iv.grad(f, tape=iv.tape.budget("200MB"))
    >>> iv.grad(f, tape=iv.tape.budget("200MB", disk="50GB", directory="/scratch"))
    """
    return Policy(budget=_bytes(size), disk=_disk("budget", disk, directory))


_UNITS = {"": 1, "B": 1} | {f"{p}B": 1000**k for k, p in enumerate("kMGT", 1)}
_UNITS |= {f"{p}iB": 1024**k for k, p in enumerate("KMGT", 1)}


def _bytes(size: Any, what: str = "budget") -> int:
    told = size
    if isinstance(size, str):
        found = re.fullmatch(r"\s*([0-9.]+)\s*([a-zA-Z]*)\s*", size)
        unit = _UNITS.get(found[2]) if found else None
        if found is None or unit is None or found[1].count(".") > 1 or found[1] == ".":
            raise ValueError(f"iv.tape.{what}: {size!r} is no size: write a number of bytes, or '200MB', '1.5 GiB'")
        size = int(float(found[1]) * unit)
    if isinstance(size, bool) or not hasattr(size, "__index__") or not 1 <= size.__index__() <= _MOST:
        raise ValueError(f"iv.tape.{what}: a positive number of bytes, at most 2**62, not {told!r}")
    return size.__index__()  # type: ignore[no-any-return]


def checkpoint(
    slots: int, block: int | None = None, disk: int | str | None = None, directory: str | os.PathLike[str] | None = None
) -> Policy:
    """Keep `slots` states of a loop at a time, and run the turns between them again.

    As an option of a derivative it is for the outermost loops of the program; `iv.range(n, tape=...)` says it of one.
    A state is what the loop carries from turn to turn, arrays that it updates in place as a whole.  Which states are
    kept is optimal for the number of turns (binomial checkpointing): with s slots a loop of C(s + r, s) turns runs each
    turn at most r times before it is recorded.  Of a `while` the number of turns is found by the forward sweep, which
    keeps no states: it is run once more.

    `block` turns are recorded at once, between two states: by default as many as have 4,096 numbers in their states
    together, at least one.  With `block=1` each turn is a step of its own, as in the literature.

    With `disk`, a number of bytes or "10GB", states are kept in a file beside those slots, as many as there is room
    for: in all so many more slots, and fewer runs.  The file is in `directory`, by default the system's for temporary
    files, which may well be memory.  It has no name there and is gone when the call ends, however it ends; the system
    keeps of it in memory what there is room for.  The bytes are of each loop that runs; what derivatives of derivatives
    add is in memory.

    Raises TypeError or ValueError for numbers that are no positive integers and sizes that aren't any,
    NotADirectoryError or PermissionError for a directory that isn't one or can't be written to.  A call raises OSError
    if there is no room.

    >>> iv.grad(f, tape=iv.tape.checkpoint(slots=20))
    >>> iv.grad(f, tape=iv.tape.checkpoint(slots=3, disk="50GB", directory="/scratch"))

    Method: Griewank and Walther, Algorithm 799: revolve, ACM TOMS 26 (2000); the lowest slots on disk: Stumm and
    Walther, MultiStage Approaches for Optimal Offline Checkpointing, SIAM J. Sci. Comput. 31 (2009).
    """
    turns = None if block is None else _positive(block, "block")
    return Policy(checkpoint=Checkpoint(_positive(slots, "slots"), turns, _disk("checkpoint", disk, directory)))


def _disk(what: str, disk: int | str | None, directory: str | os.PathLike[str] | None) -> Disk | None:
    if disk is None:
        if directory is not None:
            raise TypeError(f"iv.tape.{what}: say how much the directory may take, as in disk='10GB'")
        return None
    room = _bytes(disk, what)
    where = os.path.abspath(tempfile.gettempdir() if directory is None else os.fspath(directory))
    if not os.path.isdir(where):
        raise NotADirectoryError(f"iv.tape.{what}: {where} is not a directory")
    if not os.access(where, os.W_OK):
        raise PermissionError(f"iv.tape.{what}: {where} can't be written to")
    return Disk(room, where)


_MOST = 2**62  # slots, turns and bytes: sums of them are integers of the program


def _positive(n: Any, name: str) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"iv.tape.checkpoint: {name} is a positive integer, not {type(n).__name__}")
    if not 1 <= n.__index__() <= _MOST:
        raise ValueError(f"iv.tape.checkpoint: {name} is a positive integer{', at most 2**62' * (n > 0)}, not {n}")
    return n.__index__()  # type: ignore[no-any-return]


def report(f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False, tape: Tape = "auto") -> Callable[..., Any]:
    """A function of f's arguments that gives the `Report` of f's gradient there, without running it.

    It prints what is kept, memory over time, and the Pareto front of time against memory that `iv.tape.budget` plans
    on; `.plot()` draws both.

    >>> print(iv.tape.report(f)(x, 1000))
    """
    from iverson.run.report import report as made  # which takes derivatives, and these take options

    return made(f, argnums, has_aux, tape)

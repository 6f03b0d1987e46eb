"""Planning the tape of a call: how its loops have their states again, within a bound on memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from iverson import backend
from iverson.backend.peak import Peak, peak
from iverson.core.syntax import Array
from iverson.run.jit import Jit
from iverson.run.program import Program


class Footprint:
    """What a compiled call allocates, from the loops of its program alone."""

    def __init__(self, jitted: Jit, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.program, leaves = jitted.program(args, kwargs)
        self.slots = _slots(self.program, leaves)
        self.loops = backend.lowered(
            self.program.function, self.program.options["reassociate"], committed=self.program.committed
        )

    def at(self, numbers: dict[int, int] | None = None) -> Peak:
        """The most bytes alive at once; `numbers`: integers for slots of the argument table, instead of the call's."""
        given = list(self.slots)
        for k, n in (numbers or {}).items():
            given[k] = n
        return peak(self.loops, given)


def _slots(program: Program, leaves: Sequence[Any]) -> list[int | None]:
    """The integers in the table of arguments."""
    found: list[int | None] = []
    staged = program.staged
    for p, v in zip(staged.params, staged.function.params, strict=True):
        x = staged.captured[p.leaf] if p.kind == "captured" else leaves[p.leaf]
        if p.kind == "extent":
            found.append(int(np.shape(x)[p.axis]))
        elif isinstance(v.type, Array):
            found += [None] * (1 + v.type.rank)
        else:
            found.append(None if v.type.dtype.is_float else int(x))
    return found

"""The order of the passes, as a list."""

from __future__ import annotations

from collections.abc import Callable

from iverson.core.syntax import Function
from iverson.opt import fuse, simplify

Pass = Callable[[Function], Function]

# simplify first, so that fusion sees each read once; then again, since inlined bodies repeat what surrounds them
PASSES: list[tuple[str, Pass]] = [
    ("simplify", simplify.run),
    ("fuse", fuse.run),
    ("simplify again", simplify.run),
]


def optimise(f: Function) -> Function:
    """The function after every pass."""
    for _, run in PASSES:
        f = run(f)
    return f

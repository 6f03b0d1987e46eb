"""The order of the passes, as a list."""

from __future__ import annotations

from collections.abc import Callable

from iverson.core.syntax import Function
from iverson.opt import bounds, fuse, gather, hoist, siblings, simplify

Pass = Callable[[Function], Function]

# simplify before the others, so that they see each read once; and after them, since what was inlined or brought
# together repeats what surrounds it.  bounds early: what can't raise moves freely.  fuse once more after gather, which
# makes producers of what was contributed.
PASSES: list[tuple[str, Pass]] = [
    ("simplify", simplify.run),
    ("bounds", bounds.run),
    ("simplify bounded", simplify.run),
    ("hoist", hoist.run),
    ("fuse", fuse.run),
    ("simplify fused", simplify.run),
    ("siblings", siblings.run),
    ("simplify merged", simplify.run),
    ("gather", gather.run),
    ("fuse gathered", fuse.run),
    ("simplify gathered", simplify.run),
]


def optimise(f: Function) -> Function:
    """The function after every pass.  What is to be differentiated is optimised before the transform, and after."""
    for _, run in PASSES:
        f = run(f)
    return f

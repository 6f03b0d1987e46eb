"""How loops nest: which have a turn whenever the loop around them has one, so that they are entered without a test.

    if 0 < n: for i in 0..n: if 0 < m: for j in 0..m: b     ->     if 0 < n and 0 < m: for i in 0..n: for j in 0..m: b

It holds where a turn of the outer loop does nothing but run the inner one, whose range it doesn't change: without turns
of the inner loop the outer one leaves everything as it was.
"""

from __future__ import annotations

from iverson.backend import loopir as ir
from iverson.backend.loopir import For, Stmt
from iverson.core.syntax import Literal

# what can be left out where nothing uses its results
_IDLE = ir.Compute | ir.Combine | ir.Load | ir.Get | ir.Poll


def nest(loop: For) -> list[For]:
    """A loop and those in it, from the outermost, that have turns if and only if all of them have."""
    found, changed = [loop], set(ir.entered(loop))
    while (inner := _only(found[-1].body)) is not None:
        changed.update(r for s in found[-1].body for r in ir.defined(s))
        through = {c.out: c.init for c in inner.carries}
        kept = all(through.get(c.next) is c.reg for c in found[-1].carries)  # type: ignore[call-overload]
        if not kept or inner.low in changed or inner.high in changed:
            break
        changed.update(ir.entered(inner))
        found.append(inner)
    return found


def turns(loop: For) -> bool:
    """Is it known to have a turn?"""
    low, high = loop.low, loop.high
    return isinstance(low, Literal) and isinstance(high, Literal) and int(low.value) < int(high.value)


def innermost(loop: For) -> bool:
    """Are there no loops in it?"""
    return not any(isinstance(s, For | ir.While) for s in ir.walk(loop.body))


def _only(body: list[Stmt]) -> For | None:
    """The loop that is all that a body does."""
    active = [s for s in body if not isinstance(s, _IDLE)]
    (only,) = active if len(active) == 1 else (None,)
    return only if isinstance(only, For) and only.tag != "thread" else None

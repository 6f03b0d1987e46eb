"""What is cheap is run again: the arrays that a turn of a loop makes element by element, from what is kept anyway.

    Loop { b = For {f(a)}; c = For {g(b)}; .. }        b and c kept        two arrays a turn, written and read
                                                       a kept              one, and f and g once more

Run again are Maps whose elements take a bounded number of scalar operations, and branches of such; each once more for
each turn, in the turn's own return sweep, so that the work stays a constant times the primal's.  What is kept at last
shows only in the transformed program, without its dead code.  So it is made both ways where there is a choice, and the
cost model decides: an element that is kept is written, and read when it has left the caches.  Measured on Runge-Kutta
steps with stages of 100 to 100,000 numbers: of polynomials, 2.2 times as fast run again where what is kept exceeds the
caches, else as fast or up to 1.2 times as slow; of sines, 1.1 to 1.35 times as slow (so no function is cheap).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from iverson.core.rewrite import blocks, statements, uses
from iverson.core.syntax import Array, Atom, Block, Contribute, For, Function, Literal, Loop, Prim, Read, While
from iverson.diff.cheap import cheap, operations
from iverson.diff.residuals import LoopRecord, Plan, inner_plans

STORED = 16  # operations that an element is worth which is written to memory, and read again
TYPICAL = 1000  # what a size is taken for


def choice(plan: Plan) -> bool:
    """Does a loop keep an array of each turn that could be made again?"""
    return any(
        step.kept and cheap(step.let) and any(isinstance(v.type, Array) for v in step.let.vars)
        for inner in _turns(plan)
        for step in inner.steps
    )


def _turns(plan: Plan) -> Iterator[Plan]:
    """The plans of turns, and of the scopes in them."""
    for step in plan.steps:
        for inner in inner_plans(step):
            if isinstance(step.record, LoopRecord):
                yield inner
            yield from _turns(inner)


def price(made: Function, plan: Plan) -> int:
    """The work of a transformed program of typical sizes, and what it keeps."""
    forward = {v for let in statements(Block(plan.forward(), ())) for v in let.vars}
    held = {v for let in made.body if forward.isdisjoint(let.vars) for v in uses(let)} & forward
    return _work(made.body) + STORED * sum(_typical(v.type.extents) for v in held if isinstance(v.type, Array))


def _work(block: Block) -> int:
    """The operations of scalar statements; what else there is doesn't depend on what is kept."""
    total = 0
    for let in block:
        op = let.op
        inner = sum(_work(body) for _, body in blocks(op))
        match op:
            case For(_, extent):
                total += _typical(extent) * inner
            case Loop(_, extent):
                total += _typical((extent,)) * inner
            case While():
                total += TYPICAL * inner
            case Prim(name):
                total += operations(name)
            case Read() | Contribute():
                total += 1
            case _:
                total += inner
    return total


def _typical(extents: Sequence[Atom]) -> int:
    return prod(int(n.value) if isinstance(n, Literal) else TYPICAL for n in extents)

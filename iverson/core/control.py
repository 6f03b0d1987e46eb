"""What decides the course of a program: do given inputs reach an index, a length or a condition?

Min, max and select of them are values, not decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iverson.core.flow import Flow
from iverson.core.rewrite import statements
from iverson.core.syntax import Atom, Contribute, For, Function, If, Let, Loop, Read, Var, While


def decides(function: Function, inputs: Iterable[Var]) -> bool:
    """Does an index, a length, a number of turns or the side of a branch depend on some of the inputs?"""
    found = Flow(inputs).run(function.body)
    return any(a in found for let in statements(function.body) for a in _decisions(let))


def _decisions(let: Let) -> Sequence[Atom]:
    """The atoms by which a statement decides something."""
    match let.op:
        case Read(_, index) | Contribute(_, index):
            return index
        case For(_, extent):
            return extent
        case Loop(_, extent):
            return (extent,)
        case While(_, _, cond):
            return cond.outs
        case If(pred):
            return (pred,)
        case _:
            return ()

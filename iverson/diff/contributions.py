"""Rewriting what a block contributes to the accumulators outside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from iverson.core.rewrite import blocks, map_op
from iverson.core.syntax import Accumulate, Block, Check, Contribute, Let, Var

Change = Callable[[Let, Contribute], Sequence[Let]]


def change(block: Block, by: Change, bound: Iterable[Var] = ()) -> Block:
    """A block with each contribution to an outside accumulator replaced."""
    inside = frozenset(bound)
    lets: list[Let] = []
    for let in block:
        if isinstance(let.op, Contribute):
            lets += [let] if let.op.acc in inside else by(let, let.op)
        else:
            lets.append(change_let(let, by, inside))
    return Block(tuple(lets), block.outs)


def change_let(let: Let, by: Change, bound: Iterable[Var] = ()) -> Let:
    """The same for the blocks of one statement."""
    if not blocks(let.op):
        return let
    inside = frozenset((*bound, *(let.op.accs if isinstance(let.op, Accumulate) else ())))
    return Let(let.vars, map_op(let.op, lambda a: a, lambda b: change(b, by, inside)), let.site)


def strip(let: Let) -> Let:
    """What is left of a statement when it is run again: no contributions to outside, and no checks, which held."""
    return _unchecked(change_let(let, lambda _, __: ()))


def _unchecked(let: Let) -> Let:
    def block(inner: Block) -> Block:
        return Block(tuple(_unchecked(i) for i in inner if not isinstance(i.op, Check)), inner.outs)

    return Let(let.vars, map_op(let.op, lambda a: a, block), let.site)

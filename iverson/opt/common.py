"""common: what the body of merged loops computes twice is computed once.

    a = x[i]; ..; b = x[i]                                            ->  a = x[i]                   b := a
    v = while [v = a] ..; ..; log, w = accumulate { while [v = a] .. }  ->  log, w = accumulate ..     v := w

Of two sequential loops that compute the same (numbering.py) the later one, which may also count its turns and write
logs, as a forward sweep's does, takes the other's place, if its operands are known there and nothing else in it raises.

Invariant: the count falls.  Only scalars get another name, so no array is consumed twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.dce import dce_block
from iverson.core.rewrite import contributed, free, uses
from iverson.core.syntax import Atom, Block, If, Let, Loop, Prim, Read, Scalar, Var, While
from iverson.opt.effects import Effects
from iverson.opt.numbering import Numbering, parts, sequential
from iverson.opt.substitute import Substitution


def once(block: Block, effects: Effects) -> Block:
    """The block, where each number is computed once."""
    numbering, found = Numbering(), dict[int, tuple[Var, ...]]()
    env: dict[Var, Atom] = {}
    lets: list[Let] = []
    for let in block:
        if isinstance(let.op, Prim | Read | If | Loop | While) and all(isinstance(v.type, Scalar) for v in let.vars):
            whole = numbering.statement(let)
            number = numbering.atom(let.vars[0]) if isinstance(let.op, Prim | Read) else whole
            earlier = found.setdefault(number, let.vars)
            if earlier is not let.vars and not contributed(let.op):
                env.update(zip(let.vars, earlier, strict=True))
                continue
        elif sequential(let):
            numbering.statement(let)
        lets.append(let)
    if env:
        block = Substitution(env).block(Block(tuple(lets), block.outs))
    if sum(map(sequential, block)) > 1:
        block = _absorbed(block, numbering, effects)
    return block


def _absorbed(block: Block, numbering: Numbering, effects: Effects) -> Block:
    """Sequential loops whose results a later one has as well give way to it."""
    at = [k for k, let in enumerate(block) if sequential(let)]
    for j in (j for j in at if isinstance(block.lets[j].op, Loop | While)):
        for k in (k for k in at if k > j):
            names = _others(block, j, k, numbering)
            if names and _movable(block.lets, j, k, names, effects):
                lets = list(block.lets)
                lets[j] = lets.pop(k)
                return _absorbed(Substitution(dict(names)).block(Block(tuple(lets), block.outs)), numbering, effects)
    return block


def _others(block: Block, j: int, k: int, numbering: Numbering) -> dict[Var, Var]:
    """The results of loop j that are used, and what they are called as results of statement k; none if some aren't."""
    one, two = block.lets[j], block.lets[k]
    used = free(Block(block.lets[j + 1 :], block.outs)).keys() & set(one.vars)
    named = {numbering.atom(v): v for v in parts(two)}
    names = {v: named[numbering.atom(v)] for v in one.vars if v in used and numbering.atom(v) in named}
    return names if len(names) == len(used) and not contributed(one.op) else {}


def _movable(lets: Sequence[Let], j: int, k: int, names: dict[Var, Var], effects: Effects) -> bool:
    """May statement k stand where loop j does, and is there nothing else in it that may raise?"""
    one, two = lets[j], lets[k]
    operands, between = uses(two).keys(), {v for let in lets[j:k] for v in let.vars}
    if operands & between or contributed(two.op) or effects.consumed(two.op).keys() & operands:
        return False
    return effects.risks(dce_block(Block((one,), tuple(names)))) == effects.risks(Block((two,), ()))

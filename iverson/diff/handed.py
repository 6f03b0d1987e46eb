"""What a branch hands on of what was there before it is chosen behind it.

    y, k = If p { A } a, i else { B } b, j     ->     y = If p { A } a else { B } b;  k = select p i j

for the integers and bools that A and B don't make, in the turns of loops through which derivatives pass: such as the
place of an element that both sides update.  A return sweep has the result of a branch only if it is kept, but runs a
choice again.

Invariant: the count rises by one for each such result.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.core.dce import dce
from iverson.core.rewrite import contributed, map_blocks, with_body, with_lets
from iverson.core.syntax import (
    BOOL,
    I64,
    Atom,
    Block,
    For,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Prim,
    Read,
    Scalar,
    Var,
    While,
)

WHOLE = (Scalar(I64), Scalar(BOOL))


def run(function: Function, active: set[Var]) -> Function:
    """The function with choices behind the branches of its loops' turns."""
    new = with_body(function, _block(function.body, active, False))
    return function if new is function else dce(new)


def _block(block: Block, active: set[Var], turning: bool) -> Block:
    lets: list[Let] = []
    nested: set[Var] = set()  # what statements of the block make that don't run again
    for let in block:
        if isinstance(let.op, For | Loop | While):
            inside = not active.isdisjoint((*let.vars, *contributed(let.op)))
        else:
            inside = turning
        let = map_blocks(let, lambda inner, inside=inside: _block(inner, active, inside))  # type: ignore[misc]
        for new in _split(let, let.op, nested) if turning and isinstance(let.op, If) else [let]:
            lets.append(new)
            nested.update(() if isinstance(new.op, Prim | Read) else new.vars)
    return with_lets(block, lets)


def _split(let: Let, op: If, nested: set[Var]) -> list[Let]:
    made = nested | {v for side in (op.then, op.orelse) for inner in side for v in inner.vars}

    def there(a: Atom) -> bool:
        return isinstance(a, Literal) or a not in made

    outs = list(zip(let.vars, op.then.outs, op.orelse.outs, strict=True))
    chosen = [(v, a, b) for v, a, b in outs if v.type in WHOLE and there(a) and there(b)]
    if not chosen:
        return [let]
    rest = [o for o in outs if o not in chosen]
    sides = [replace(side, outs=tuple(o[k] for o in rest)) for k, side in ((1, op.then), (2, op.orelse))]
    whole = Let(tuple(v for v, _, _ in rest), replace(op, then=sides[0], orelse=sides[1]), let.site)
    return [whole, *(Let((v,), Prim("select", (op.pred, a, b)), let.site) for v, a, b in chosen)]

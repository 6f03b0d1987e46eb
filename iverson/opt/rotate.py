"""rotate: a box of zeros that a turn leaves in an array is filled at the start of the next.

    x1 = Loop [x = x0] { B; y = Accumulate [acc = set x2] { box of acc <- 0 } } y
        ->   x3 = Loop [x = x0] { z = Accumulate [acc = set x] { box of acc <- 0 }; B[x := z] } x2
             x1 = Accumulate [acc = set x3] { box of acc <- 0 }
                                            where x0 holds zeros in the box, and what B does first with x is add to it

What adds to zeros that were filled just before sets (opt/stencil.py).

Invariant: the count rises by the box, once for a Loop.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.core.build import literal
from iverson.core.rewrite import free, map_blocks, rename, rename_let, statements, uses, with_body, with_lets
from iverson.core.syntax import Accumulate, Accumulator, Array, Block, For, Function, Let, Loop, Map, Var
from iverson.opt.stencil import box_of_zeros


def run(f: Function) -> Function:
    zeros = {let.vars[0] for let in statements(f.body) if _is_zero(let)}
    return with_body(f, _block(f.body, zeros)) if zeros else f


def _is_zero(let: Let) -> bool:
    op = let.op
    if not isinstance(op, For) or op.yields != (Map(),):
        return False
    t = let.vars[0].type
    return isinstance(t, Array) and op.body.outs[0] == literal(0, t.dtype)


def _block(block: Block, zeros: set[Var]) -> Block:
    lets: list[Let] = []
    for let in block:
        new = map_blocks(let, lambda inner: _block(inner, zeros))
        lets += _rotated(new, zeros) if isinstance(new.op, Loop) else [new]
    return with_lets(block, lets)


def _rotated(let: Let, zeros: set[Var]) -> list[Let]:
    """A Loop whose carries are zeroed first, and what zeroes them after it."""
    after: list[Let] = []
    for k, init in enumerate(let.op.inits if isinstance(let.op, Loop) else ()):
        if init in zeros:
            let, fills = _carry(let, k)
            after += fills
    return [let, *after]


def _carry(let: Let, k: int) -> tuple[Let, list[Let]]:
    """The Loop with its k-th carry zeroed first, if it is zeroed last."""
    op = let.op
    assert isinstance(op, Loop)
    x, out = op.carry[k], op.body.outs[k]
    fill = next((i for i in op.body if out in i.vars), None)
    bound = {op.index, *op.carry, *(v for i in op.body for v in i.vars)}
    if fill is None or box_of_zeros(fill.op) is None or op.body.outs.count(out) > 1:
        return let, []
    assert isinstance(fill.op, Accumulate)
    (old,) = fill.op.inits[0]
    mine = [i for i in op.body if x in uses(i)]
    if any(out in uses(i) for i in op.body) or not isinstance(old, Var) or old is x or not mine:
        return let, []
    if bound & set(free(fill.op.body, fill.op.accs)) or not _adds(mine[0], x) or len(mine) > 1:
        return let, []
    rest = tuple(i for i in op.body if i is not fill)
    zeroed = _onto(fill, x)
    outs = (*op.body.outs[:k], old, *op.body.outs[k + 1 :])
    body = rename(Block(rest, outs), {x: zeroed.vars[0]})
    result = Var(let.vars[k].type, let.vars[k].hint)
    loop = Let((*let.vars[:k], result, *let.vars[k + 1 :]), replace(op, body=Block((zeroed, *body.lets), body.outs)))
    last = _onto(fill, result)
    return replace(loop, site=let.site), [replace(last, vars=(let.vars[k],))]


def _adds(let: Let, x: Var) -> bool:
    op = let.op
    if not isinstance(op, Accumulate) or x not in [i for column in op.inits for i in column]:
        return False
    t = op.accs[0].type
    return isinstance(t, Accumulator) and t.monoid == "add" and x not in free(op.body)


def _onto(fill: Let, array: Var) -> Let:
    """The same zeros, in another array."""
    new = rename_let(fill, {})
    assert isinstance(new.op, Accumulate) and isinstance(fill.op, Accumulate)
    return replace(new, op=replace(new.op, inits=((array,),)))

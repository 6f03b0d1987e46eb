"""spill: what several contributions of a For share, and is dear, is computed in a loop of its own.

    Accumulate [acc = x] { For [i < n] { B; acc[i + c1] <- u1(s); ...; acc[i + cm] <- um(s) } }
        ->   t = For [i < n] { B' } yields s [Map];  Accumulate [acc = x] { For [i < n] { s = t[i]; B''; ... } }

B' is what s needs of B.  The contributions can then gather (opt/stencil.py), each from other turns.

Invariant: the count rises by the elements of t and their reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.rewrite import atoms, map_blocks, needed, rename, with_body, with_lets
from iverson.core.syntax import (
    Accumulate,
    Array,
    Block,
    Contribute,
    For,
    Function,
    Let,
    Map,
    Prim,
    Read,
    Scalar,
    Var,
)
from iverson.opt.fission import is_cheap, is_row
from iverson.opt.stencil import stencils

MOST = 4  # values that are kept


def run(f: Function) -> Function:
    return with_body(f, _block(f.body))


def _block(block: Block) -> Block:
    lets: list[Let] = []
    for let in block:
        new = map_blocks(let, _block)
        lets += _spilled(new)
    return with_lets(block, lets)


def _spilled(let: Let) -> list[Let]:
    op = let.op
    if not isinstance(op, Accumulate) or len(op.body.lets) != 1 or not isinstance(op.body.lets[0].op, For):
        return [let]
    (inner,) = op.body.lets
    loop = inner.op
    assert isinstance(loop, For)
    body = loop.body.lets
    if loop.yields or not all(isinstance(i.op, Prim | Read | Contribute) and not is_row(i) for i in body):
        return [let]
    if not stencils(loop):
        return [let]
    shared = _shared(body)
    kept = _kept(body, shared)
    if not kept or len(kept) > MOST or not all(isinstance(v.type, Scalar) for v in kept):
        return [let]
    slice_ = needed(body, kept)
    arrays = tuple(Var(Array(v.type.dtype, loop.extent), v.hint) for v in kept if isinstance(v.type, Scalar))
    first = rename(
        Block(
            (Let(arrays, For(loop.index, loop.extent, Block(tuple(slice_), tuple(kept)), (Map(),) * len(kept))),), ()
        ),
        {},
    )
    (made,) = first.lets
    reads = [Let((v,), Read(a, loop.index, safe=True)) for v, a in zip(kept, made.vars, strict=True)]
    rest = [i for i in body if not kept.keys() & set(i.vars)]
    used = [a for i in rest if isinstance(i.op, Contribute) for a in atoms(i.op)]
    lets = needed([*reads, *rest], used)
    lets = [i for i in (*reads, *rest) if isinstance(i.op, Contribute) or any(i is j for j in lets)]
    new = For(loop.index, loop.extent, Block(tuple(lets), ()), ())
    body_ = Block((Let((), new, inner.site),), op.body.outs)
    return [Let(made.vars, made.op, let.site), Let(let.vars, Accumulate(op.accs, op.inits, body_), let.site)]


def _shared(body: Sequence[Let]) -> set[Var]:
    """What more than one contribution needs."""
    seen: set[Var] = set()
    shared: set[Var] = set()
    for site in body:
        if isinstance(site.op, Contribute):
            mine = {v for i in needed(body, atoms(site.op)) for v in i.vars}
            shared |= seen & mine
            seen |= mine
    return shared


def _kept(body: Sequence[Let], shared: set[Var]) -> dict[Var, None]:
    """Of what is shared, and dear or made of what is, the last: what the others use."""
    dear: set[Var] = set()
    for let in body:
        if shared.intersection(let.vars) and (not is_cheap(let) or dear.intersection(atoms(let.op))):
            dear.update(let.vars)
    return dict.fromkeys(
        a for i in body if not dear.intersection(i.vars) for a in atoms(i.op) if isinstance(a, Var) and a in dear
    )

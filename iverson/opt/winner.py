"""winner: an argmax that a machine can do in vectors is a maximum, then the first index that attains it.

    v, k = For [i < n] {B; (e, i)} yields [Reduce argmax]
        ->   v = For [i < n] {B; e} yields [Reduce max]
             k = For [i < n] {B; [e = v] i} yields [Reduce min]         likewise argmin

where B is a few primitives and reads; a NaN equals the NaN that has won.  Comparing values and carrying an index at
once is a chain that doesn't vectorise; two passes do.

Invariant: results are the same, of empty ranges too (both identities are the largest index).  The count rises: each
argmax does B once more, and compares and selects besides.  That is why B is small.
"""

from __future__ import annotations

from iverson.core.build import Builder, dtype_of, literal
from iverson.core.dce import dce
from iverson.core.rewrite import fresh_all, map_blocks, rename, with_body, with_lets
from iverson.core.syntax import I64, Atom, Block, For, Function, Let, Prim, Read, Reduce, Var, Yield, width

MOST = 4  # statements that may be done twice
PLAIN = {"argmax": "max", "argmin": "min"}


def run(f: Function) -> Function:
    """Every such reduction in two."""
    return dce(with_body(f, _block(f.body)))


def _block(block: Block) -> Block:
    b = Builder()
    with b.scope() as lets:
        for let in block:
            new = map_blocks(let, _block)
            b.site = let.site
            if isinstance(new.op, For) and _qualifies(new.op):
                _split(b, let.vars, new.op)
            else:
                b.let(new)
    return with_lets(block, lets)


def _qualifies(op: For) -> bool:
    """One index, a small body of scalars, and an argmax or argmin of that very index."""
    small = len(op.body.lets) <= MOST and all(isinstance(let.op, Prim | Read) for let in op.body)
    return small and len(op.index) == 1 and any(_extremum(op, k) for k in range(len(op.yields)))


def _extremum(op: For, k: int) -> bool:
    y = op.yields[k]
    at = sum(map(width, op.yields[:k]))
    return isinstance(y, Reduce) and y.monoid in PLAIN and op.body.outs[at + 1] is op.index[0]


def _split(b: Builder, bound: tuple[Var, ...], op: For) -> None:
    """The For with plain extrema; then, for each, the For that finds its index."""
    yields: list[Yield] = []
    outs: list[Atom] = []
    results: list[Var] = []
    winners: list[tuple[str, Atom, Var, Var]] = []
    at = 0
    for k, y in enumerate(op.yields):
        if isinstance(y, Reduce) and isinstance(y.monoid, str) and _extremum(op, k):
            yields.append(Reduce(PLAIN[y.monoid]))  # type: ignore[arg-type]
            winners.append((y.monoid, op.body.outs[at], bound[at], bound[at + 1]))
            outs.append(op.body.outs[at])
            results.append(bound[at])
        else:
            yields.append(y)
            outs += op.body.outs[at : at + width(y)]
            results += bound[at : at + width(y)]
        at += width(y)
    b.let(Let(tuple(results), For(op.index, op.extent, Block(op.body.lets, tuple(outs)), tuple(yields)), b.site))
    for _, value, best, index in winners:
        _locate(b, op, value, best, index)


def _locate(b: Builder, op: For, value: Atom, best: Var, index: Var) -> None:
    """The first index at which the body's `value` is `best`."""
    is_float = dtype_of(best).is_float
    nan = b.o.isnan(best) if is_float else None
    env: dict[Var, Atom] = {}
    (i,) = fresh_all(op.index, env)
    body = rename(Block(op.body.lets, (value,)), env)

    def first() -> Atom:
        (v,) = b.splice(body)
        same = b.o.eq(v, best)
        if nan is not None:
            same = b.prim("or", same, b.prim("and", nan, b.o.isnan(v)))
        return b.o.select(same, i, literal(2**63 - 1, I64))

    b.let(Let((index,), For((i,), op.extent, b.block(first), (Reduce("min"),)), b.site))

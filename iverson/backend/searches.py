"""argmin and argmax over something cheap, by blocks, so that they vectorise.

    argmax_i e(i)  ->  for each block: m = max of e over the block;
                       only if m beats the best so far: the first i of the block with e(i) = m

The first winner and the first NaN win, as in one pass; a later block wins only if it is strictly better.  Where e reads
several elements its values are kept for a block.
"""

from __future__ import annotations

from collections.abc import Callable

from iverson.core import monoids, rewrite
from iverson.core.build import Builder, Outs, literal
from iverson.core.syntax import (
    Atom,
    Block,
    For,
    Op,
    Prim,
    Read,
    Reduce,
    Scalar,
)

BLOCK = 2048  # elements: they are still in the nearest cache when a block is searched
CHEAP = 8  # statements


def applies(op: Op) -> bool:
    """One argmin or argmax, over one index which is its own, of an element that a few statements without loops make."""
    if not (isinstance(op, For) and len(op.index) == 1 and len(op.yields) == 1):
        return False
    (kind,) = op.yields
    if not (isinstance(kind, Reduce) and kind.monoid in ("argmin", "argmax") and op.body.outs[1] is op.index[0]):
        return False
    simple = all(isinstance(let.op, Prim | Read) for let in op.body)
    return simple and len(op.body.lets) <= CHEAP and isinstance(op.body.outs[0].type, Scalar)


def expand(b: Builder, op: Op) -> None:
    """The statements that compute what an argmin or argmax binds; the last of them binds it."""
    assert isinstance(op, For)
    (kind,) = op.yields
    assert isinstance(kind, Reduce) and isinstance(kind.monoid, str)
    o, (n,) = b.o, op.extent
    name = "min" if kind.monoid == "argmin" else "max"
    value = op.body.outs[0].type
    assert isinstance(value, Scalar)
    worst, last = monoids.identity(kind.monoid, value.dtype)
    dear = sum(isinstance(let.op, Read) for let in op.body) > 1
    is_nan: Callable[[Atom], Atom] = o.isnan if value.dtype.is_float else lambda x: literal(False)

    def element(i: Atom) -> Atom:
        """e(i), stated afresh."""
        return b.splice(rewrite.rename(Block(op.body.lets, op.body.outs[:1]), {op.index[0]: i}))[0]

    def block(k: Atom, best: Atom, winner: Atom) -> Outs:
        low = o.mul(k, BLOCK)
        size = o.min(o.sub(n, low), BLOCK)
        kept = b.map(size, lambda i: element(o.add(low, i))) if dear else None

        def at(i: Atom) -> Atom:
            return element(o.add(low, i)) if kept is None else b.read(kept, i, safe=True)

        top = b.reduce(name, size, at)
        beaten = b.prim("not", o.le(best, top) if name == "min" else o.ge(best, top))

        def search() -> Outs:
            def place(i: Atom) -> Outs:
                here, x = o.add(low, i), at(i)
                found = b.prim("or", o.eq(x, top), b.prim("and", is_nan(x), is_nan(top)))
                return o.select(found, here, last)

            return [top, b.reduce("min", size, place)]

        return b.if_(b.prim("and", beaten, b.prim("not", is_nan(best))), search, lambda: [best, winner])

    first = o.select(o.gt(n, 0), 0, literal(last))
    blocks = o.floordiv(o.add(n, BLOCK - 1), BLOCK)
    b.loop(blocks, [literal(worst, value.dtype), first], block)

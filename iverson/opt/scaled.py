"""scaled: a constant that a matrix is multiplied with before a product is a factor of the product.

    x = For [i < n, k < l] map (c u[i, k]);  T = matmul x v        ->   T = matmul u v scale=c

where x is used in products alone: it isn't made.  It is the last pass over products: others don't look for a scale.

Invariant: the count falls.  Factors come out of sums, but for zero and what isn't finite.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from iverson.core.build import extents_of
from iverson.core.dce import dce
from iverson.core.library import with_defaults
from iverson.core.ownership import consumed
from iverson.core.rewrite import atoms, blocks, map_blocks, statements, with_body, with_lets, with_op
from iverson.core.syntax import Atom, Block, For, Function, Let, Library, Literal, Map, Op, Prim, Read, Var


def run(f: Function) -> Function:
    scaled = {s.vars[0]: part for s in statements(f.body) if (part := _scaled(s.op)) is not None}
    if not scaled:
        return f
    uses, factors = Counter[Atom](f.body.outs), Counter[Atom]()
    updated = {a for s in statements(f.body) for a in consumed(s.op)}
    for s in statements(f.body):
        uses.update(atoms(s.op))
        uses.update(a for _, inner in blocks(s.op) for a in inner.outs)
        factors.update(s.op.args if _is_product(s.op) else ())  # type: ignore[union-attr]
    scaled = {x: (c, u) for x, (c, u) in scaled.items() if uses[x] == factors[x] and u not in updated}

    def block(inner: Block) -> Block:
        return with_lets(inner, [statement(let) for let in inner])

    def statement(let: Let) -> Let:
        op = let.op
        if isinstance(op, Library) and _is_product(op):
            return with_op(let, _product(op, scaled))
        return map_blocks(let, block)

    return dce(with_body(f, block(f.body))) if scaled else f


def _is_product(op: Op) -> bool:
    return isinstance(op, Library) and op.name == "matmul" and all(len(extents_of(a)) == 2 for a in op.args)


def _scaled(op: Op) -> tuple[float, Var] | None:
    """A constant times a matrix."""
    if not isinstance(op, For) or op.yields != (Map(),) or len(op.index) != 2 or len(op.body.lets) != 2:
        return None
    one, two = op.body
    read, times = one.op, two.op
    if not isinstance(read, Read) or not isinstance(times, Prim) or times.name != "mul" or op.body.outs != two.vars:
        return None
    c = next((a for a in times.args if isinstance(a, Literal)), None)
    whole = read.index == op.index and extents_of(read.array) == op.extent
    if c is None or not whole or one.vars[0] not in times.args or not c.value or not math.isfinite(c.value):
        return None
    return float(c.value), read.array


def _product(op: Library, scaled: Mapping[Var, tuple[float, Var]]) -> Library:
    params = with_defaults(op.name, op.params)
    args: Sequence[Atom] = op.args
    scale = float(params["scale"])
    for a in args:
        scale *= scaled[a][0] if isinstance(a, Var) and a in scaled else 1.0
    if not scale or not math.isfinite(scale):
        return op
    new = tuple(scaled[a][1] if isinstance(a, Var) and a in scaled else a for a in args)
    return op if new == op.args else replace(op, args=new, params=tuple({**dict(op.params), "scale": scale}.items()))

"""Indices tested apart from the reads, so that what is read beside needs no test of its own.

    y = x[e]        ->      check 0 <= e < n;  y = x[e!]

A read that isn't needed goes, and its test with it; a Check stays.  So where the primal has run with its checks,
tangents may be read at the same indices without any.
"""

from __future__ import annotations

from collections.abc import Set

from iverson.core.build import Builder, extents_of
from iverson.core.rewrite import map_blocks, with_body, with_lets
from iverson.core.syntax import Atom, Block, Check, For, Function, Let, Literal, Loop, Read, Var


def checked(f: Function, arrays: Set[Var]) -> Function:
    """The function with the indices at which these arrays are read tested before."""
    return with_body(f, _Checked(arrays).block(f.body))


def unchecked(block: Block, preds: Set[Atom]) -> Block:
    """The block without the checks of these predicates, which have been made."""
    lets = [let for let in block if not (isinstance(let.op, Check) and let.op.pred in preds)]
    return with_lets(block, [map_blocks(let, lambda inner: unchecked(inner, preds)) for let in lets])


class _Checked:
    def __init__(self, arrays: Set[Var]) -> None:
        self.arrays = arrays
        self.extent: dict[Atom, Atom] = {}  # of an index

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            if isinstance(let.op, For):
                self.extent.update(zip(let.op.index, let.op.extent, strict=True))
            elif isinstance(let.op, Loop):
                self.extent[let.op.index] = let.op.extent
            new = map_blocks(let, self.block)
            if isinstance(new.op, Read) and not new.op.safe and new.op.array in self.arrays:
                lets += self.tested(new, new.op)
            else:
                lets.append(new)
        return with_lets(block, lets)

    def tested(self, let: Let, op: Read) -> list[Let]:
        b = Builder()
        b.site = let.site
        with b.scope() as lets:
            for axis, (i, n) in enumerate(zip(op.index, extents_of(op.array), strict=False)):
                if self.extent.get(i) == n or (isinstance(i, Literal) and isinstance(n, Literal) and i.value < n.value):
                    continue
                inside = b.prim("and", b.o.ge(i, 0), b.o.lt(i, n))
                given = b.o.select(b.o.lt(i, 0), b.o.sub(i, n), i)
                message = f"index {{}} is out of bounds for axis {axis} with size {{}}"
                b.check(inside, message, given, n, error="IndexError")
        return [*lets, Let(let.vars, Read(op.array, op.index, True), let.site)]

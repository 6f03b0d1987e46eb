"""Arrays that a loop updates in place without ever having to undo it: what a turn reads of them is kept instead.

    Loop [x] { .. v = x[f] ..; x' = Accumulate [acc = x] { acc[e] <- w } } (x')

    undone      x[e] is kept, the return sweep puts it back, and reads x[f] again
    kept        v is kept, and x forgotten: the return sweep needs no element of it, not even its end

Kept is less work, and no more memory, where a turn reads no more elements than it updates.  An array that was one
constant needs no x[e]; then the reads are kept only where their places are looked up, in the hope of nothing else than
one random access less.

Only what the turn itself reads can be kept at that price, in it or in its branches; so the array must not be mentioned
by anything else, nor may others need what it was before the loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from iverson.core.rewrite import single_update, uses
from iverson.core.syntax import Accumulate, Accumulator, Array, Block, If, Let, Prim, Read, Scalar, Var


def kept(body: Block, versions: Sequence[Var], updates: Sequence[Let], constant: bool) -> bool:
    """Are the reads of an array to be kept?  Its versions in a turn's body, the single updates that make them, and
    whether it was one constant that these overwrite."""
    reads = _reads(body, {*versions}, updates)
    if reads is None or not all(_simple(let) for let in updates):
        return False
    if constant:
        return len(reads) == 1 and all(_looked_up(block, read) for block, read in reads)
    return len(reads) <= len(updates)


def _simple(let: Let) -> bool:
    """Does an update add or set?  What others overwrite their own rules ask for."""
    assert isinstance(let.op, Accumulate)
    (acc,) = let.op.accs
    return isinstance(acc.type, Accumulator) and acc.type.monoid in ("add", "set") and single_update(let.op) is not None


def _reads(block: Block, versions: set[Var], updates: Sequence[Let]) -> list[tuple[Block, Read]] | None:
    """The reads of single elements of an array, and the blocks they are in; None if it is used in another way."""
    found: list[tuple[Block, Read]] = []
    for let in block:
        if versions.isdisjoint(uses(let)) or let in updates:
            continue
        match let.op:
            case Read() if isinstance(let.vars[0].type, Scalar):
                found.append((block, let.op))
            case If(_, then, orelse) if not any(isinstance(v.type, Array) for v in let.vars):
                for reads in (_reads(then, versions, ()), _reads(orelse, versions, ())):
                    if reads is None:
                        return None
                    found += reads
            case _:
                return None
    return found


def _looked_up(block: Block, read: Read) -> bool:
    """Is a place found by what is read from another array?"""
    made = {v: let for let in block for v in let.vars}

    def depends(names: Collection[object]) -> Iterator[bool]:
        for a in names:
            let = made.get(a) if isinstance(a, Var) else None
            if let is not None:
                yield isinstance(let.op, Read) or (isinstance(let.op, Prim) and any(depends(let.op.args)))

    return any(depends(read.index))

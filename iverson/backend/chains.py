"""In-place chains: which result lives in the memory of which earlier array.

Ownership (core/ownership.py) says that an array is moved; this says where it arrives.  A final of Accumulate is its
moved init, updated; so is the final carry of a Loop or While whose turns leave that carry in its place; an If's out
lives where its branches leave it.  `origin` follows such a chain through a block to an array from outside, or to none:
a fresh one.

A carry that isn't left in place by a turn *rotates* between buffers, unless it is small: then it is copied back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from iverson.core import rewrite
from iverson.core.ownership import Copies
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Op,
    Read,
    Type,
    Var,
    While,
)

SMALL = 64  # elements: what is copied back rather than rotated


def static_size(t: Type) -> int | None:
    """The number of elements of an array whose extents are all literals."""
    assert isinstance(t, Array)
    if all(isinstance(e, Literal) for e in t.extents):
        return math.prod(int(e.value) for e in t.extents if isinstance(e, Literal))
    return None


def is_small(t: Type) -> bool:
    size = static_size(t)
    return size is not None and size <= SMALL


@dataclass(slots=True)
class BlockChains:
    """The chains of one block."""

    owner: Chains
    block: Block
    binders: dict[Var, tuple[Let, int]]
    dying: list[list[Var]]  # per statement, the arrays of this block that it does not use after it

    def path(self, k: int) -> Iterator[Var]:
        """The names that the memory of out k has in this block, the last first; none for a copied out."""
        atom: Atom | None = None if self.owner.copied(self.block, k) else self.block.outs[k]
        while isinstance(atom, Var) and isinstance(atom.type, Array) and atom in self.binders:
            yield atom
            atom = self.owner.before(*self.binders[atom])


class Chains:
    def __init__(self, function: Function, copies: Copies) -> None:
        self._copies = copies
        self._base: dict[Var, Var] = {}  # row -> the array it shows
        for let in rewrite.statements(function.body):
            if isinstance(let.op, Read):
                self._base[let.vars[0]] = let.op.array
        self._blocks: dict[int, BlockChains] = {}
        self._used: dict[int, dict[Var, None]] = {}
        self._origins: dict[tuple[int, int], Var | None] = {}

    def copied(self, owner: Let | Block, k: int) -> bool:
        return self._copies.of(owner, k)

    def of(self, block: Block) -> BlockChains:
        if id(block) not in self._blocks:
            binders = {v: (let, k) for let in block for k, v in enumerate(let.vars)}
            self._blocks[id(block)] = BlockChains(self, block, binders, self._dying(block))
        return self._blocks[id(block)]

    def _dying(self, block: Block) -> list[list[Var]]:
        last: dict[Var, int] = {}
        for n, let in enumerate(block):
            last |= dict.fromkeys(let.vars, n)
            last |= {v: n for v in self._uses(let) if v in last}
        for atom in block.outs:
            if isinstance(atom, Var):
                last.pop(atom, None)
        dying: list[list[Var]] = [[] for _ in block.lets]
        for v, n in last.items():
            if isinstance(v.type, Array):
                dying[n].append(v)
        return dying

    def uses(self, block: Block) -> dict[Var, None]:
        """The arrays a block mentions, at any depth, and those whose rows it mentions."""
        if id(block) not in self._used:
            found: dict[Var, None] = {}
            for let in block:
                found |= self._uses(let)
            found |= self._mentioned(block.outs)
            self._used[id(block)] = found
        return self._used[id(block)]

    def _uses(self, let: Let) -> dict[Var, None]:
        found = self._mentioned(rewrite.atoms(let.op))
        for _, inner in rewrite.blocks(let.op):
            found |= self.uses(inner)
        return found

    def _mentioned(self, atoms: Iterable[Atom]) -> dict[Var, None]:
        found: dict[Var, None] = {}
        for a in atoms:
            while isinstance(a, Var) and isinstance(a.type, Array):
                found[a] = None
                if a not in self._base:
                    break
                a = self._base[a]
        return found

    # --- chains -------------------------------------------------------------------------------------------------------

    def origin(self, block: Block, k: int) -> Var | None:
        """The array from outside a block in whose memory out k is; None: the block's own, or a copy."""
        key = (id(block), k)
        if key not in self._origins:
            self._origins[key] = self._follow(block, k)
        return self._origins[key]

    def _follow(self, block: Block, k: int) -> Var | None:
        atom: Atom | None = None if self.copied(block, k) else block.outs[k]
        binders = self.of(block).binders
        while isinstance(atom, Var) and atom in binders:
            atom = self.before(*binders[atom])
        return atom if isinstance(atom, Var) else None

    def before(self, let: Let, k: int) -> Atom | None:
        """The name that the memory of a statement's k-th result had before the statement; None: it had none."""
        match let.op:
            case Accumulate(accs, inits, body):
                return self._before_accumulate(let, accs, inits, body, k)
            case (Loop() | While()) as op if k < len(op.carry):
                return op.inits[k] if self.stays(op, k) and not self.copied(let, k) else None
            case If(Literal(decided), then, orelse):  # the other side isn't compiled
                return self.origin(then if decided else orelse, k)
            case If(_, then, orelse):
                return self.home(then, orelse)[k]
            case _:
                return None

    def _before_accumulate(
        self, let: Let, accs: tuple[Var, ...], inits: tuple[tuple[Atom, ...], ...], body: Block, k: int
    ) -> Atom | None:
        results = consumed = 0
        for acc, columns in zip(accs, inits, strict=True):
            assert isinstance(acc.type, Accumulator)
            width = len(acc.type.dtypes) + (acc.type.monoid == "append")
            if k < results + width:
                n = consumed + k - results
                if not columns or not isinstance(columns[k - results].type, Array) or self.copied(let, n):
                    return None
                return columns[k - results]
            results += width
            consumed += len(columns)
        return self.origin(body, k - results)

    def stays(self, op: Op, k: int) -> bool:
        """Is carry k of a Loop or While in its init's memory all the time?"""
        assert isinstance(op, Loop | While)
        carry = op.carry[k]
        if not isinstance(carry.type, Array):
            return False
        return is_small(carry.type) or self.origin(op.body, k) is carry

    def home(self, then: Block, orelse: Block) -> list[Var | None]:
        """For each out of an If the array from before it in whose memory both branches leave that out.

        It is there in both, or in one while the other branch makes a fresh array.
        """
        count = len(then.outs)
        left = [self.origin(then, k) for k in range(count)]
        right = [self.origin(orelse, k) for k in range(count)]
        homes: list[Var | None] = []
        for k in range(count):
            if not isinstance(then.outs[k].type, Array):
                homes.append(None)
                continue
            found = {v for v in (left[k], right[k]) if v is not None}
            others = {v for side in (left, right) for j, v in enumerate(side) if j != k}
            homes.append(found.pop() if len(found) == 1 and not found & others else None)
        return homes

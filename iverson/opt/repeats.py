"""repeats: what can't fail any more, since an equal statement before it didn't.

    p = for i < n { .. x[k[i]] .. while c(k[i]) {..} .. }
    q = for i < n { .. x[k[i]] .. while c(k[i]) {..} .. }        raises, and runs for ever, only where p did before

As a return sweep does, which runs indices again that its forward sweep found in bounds.  Then q need not come behind
every other check, and may share a loop with p: at each index p's statements still come before q's.

An access gives a fact for each axis: the index (numbering.py) lies within the extent.  A fact holds in the turns and on
the sides of branches that the access was in, so whatever needs it must be in these, too.  Sequential loops are compared
as a whole.  An unchecked access needs the facts of a checked one, but where an index ranges over a length, of names
from outside: whatever the length was compared with, that is the same in all turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from iverson.core.rewrite import operators, statements
from iverson.core.syntax import (
    Accumulate,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Prim,
    Read,
    Var,
    While,
)
from iverson.opt.effects import Effects, extents
from iverson.opt.numbering import TOP, Numbering

Event: TypeAlias = tuple[tuple[int, ...], int | None, bool]  # paths around it, the fact, and whether it is needed
UNKNOWN = None  # a fact that nothing gives


class Repeats:
    """The facts that the statements of one block give, and those that they need."""

    def __init__(self, lets: Sequence[Let], effects: Effects) -> None:
        self.lets, self.effects = lets, effects
        self.numbering = Numbering()
        self.numbered = 0
        self.given: dict[tuple[int, int | None], int] = {}  # path, fact -> the first statement that gives it
        self.inside: dict[Var, Atom] = {}  # indices -> what they range over

    def sources(self, k: int) -> set[int] | None:
        """The earlier statements that statement k can't fail after; None if it may."""
        for at in range(self.numbered, k):
            self.numbering.statement(self.lets[at])
            for paths, fact, _ in self.events(self.lets[at], (TOP,)):
                self.given.setdefault((paths[-1], fact), at)
        self.numbered = k
        self.numbering.statement(self.lets[k])
        found = set()
        for paths, fact, needed in self.events(self.lets[k], (TOP,)):
            if needed:
                giver = next((self.given[p, fact] for p in paths if (p, fact) in self.given), None)
                if fact is UNKNOWN or giver is None:
                    return None
                found.add(giver)
        return found

    def events(self, let: Let, paths: tuple[int, ...]) -> Iterator[Event]:
        """What a statement needs, and gives where it has run."""
        op, numbering = let.op, self.numbering
        if any(
            self.effects.fails(s.op) or self.effects.trusts(s.op) for o in operators(op) for s in statements(o.body)
        ):
            yield paths, UNKNOWN, True
        match op:
            case Read(array, index, safe):
                yield from self.access(index, extents(array.type), safe, paths)
            case Contribute(acc, index, _, safe):
                yield from self.access(index, extents(acc.type), safe, paths)
            case For(index, extent, body):
                self.inside.update(zip(index, extent, strict=True))
                yield from self.block(body, (*paths, numbering.turn(op, paths[-1])))
            case If(_, then, orelse):
                for block in (then, orelse):
                    yield from self.block(block, (*paths, numbering.side(op, block is then, paths[-1])))
            case Accumulate(_, _, body):
                yield from self.block(body, paths)
            case Check() if op.warns:
                yield paths, UNKNOWN, True
            case Prim() | Check() | Library():
                if self.effects.fails(op):
                    yield paths, numbering.statement(let), True
            case Loop() | While():
                if self.effects.fails(op) or self.effects.trusts(op):
                    yield paths, numbering.statement(let, paths[-1]), True

    def block(self, block: Block, paths: tuple[int, ...]) -> Iterator[Event]:
        for let in block:
            yield from self.events(let, paths)

    def access(
        self, index: Sequence[Atom], axes: Sequence[Atom], safe: bool, paths: tuple[int, ...]
    ) -> Iterator[Event]:
        for i, n in zip(index, axes, strict=False):
            over = i if isinstance(i, Literal) else self.inside.get(i)
            evident = self.effects.evident((i,), (n,)) or (over is not i and over is not None and self.equal(over, n))
            needed = not evident and not (safe and isinstance(over, Literal))
            yield paths, self.numbering.of("within", self.numbering.atom(i), self.numbering.atom(n)), needed

    def equal(self, a: Atom, b: Atom) -> bool:
        return self.numbering.atom(a) == self.numbering.atom(b)

"""repeats: what can't fail any more, since an equal statement before it didn't.

    p = for i < n { .. x[k[i]] .. while c(k[i]) {..} .. }
    q = for i < n { .. x[k[i]] .. while c(k[i]) {..} .. }        raises, and runs for ever, only where p did before

As a return sweep does, which runs indices again that its forward sweep found in bounds.  Then q need not come behind
every other check, and may share a loop with p: at each index p's statements still come before q's.

An access gives a fact for each axis: the index (numbering.py) lies within the extent.  A fact holds in the turns and on
the sides of branches that the access was in, so whatever needs it must be in these, too.  Sequential loops are compared
as a whole, or one with the part of the other that raises.

An unchecked access needs the facts of a checked one, but where an index ranges over a number: whatever the length was
compared with, that is the same in all turns.  Nor does it where the length is of the statement's own making: then so is
the proof.
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
from iverson.opt.numbering import TOP, Numbering, parts, sequential

Event: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], bool]  # paths around it, facts, and whether one is needed
UNKNOWN: tuple[int, ...] = ()  # what nothing gives


class Repeats:
    """The facts that the statements of one block give, and those that they need."""

    def __init__(self, lets: Sequence[Let], effects: Effects) -> None:
        self.lets, self.effects = lets, effects
        self.numbering = Numbering()
        self.numbered = 0
        self.given: dict[tuple[int, int], int] = {}  # path, fact -> the first statement that gives it
        self.inside: dict[Var, Atom] = {}  # indices -> what they range over
        self.own: set[Atom] = set()  # what the statement in question binds

    def only(self, k: int, last: int) -> bool:
        """Does statement k need only what the statements up to `last` have tested, or relied on?"""
        self.number(k)
        for paths, facts, needed in self.events(self.lets[k], (TOP,)):
            if needed and all(self.given.get((p, f), k) > last for p in paths for f in facts):
                return False
        return True

    def number(self, k: int) -> None:
        """Get to know the statements before k, and what k itself computes."""
        for at in range(self.numbered, k):
            self.numbering.statement(self.lets[at])
            for paths, facts, _ in self.events(self.lets[at], (TOP,)):
                for fact in facts:
                    self.given.setdefault((paths[-1], fact), at)
        self.own = {v for let in statements(Block((self.lets[k],), ())) for v in let.vars}
        self.numbered = k
        self.numbering.statement(self.lets[k])

    def computed(self, loop: For) -> set[int]:
        """The results of sequential loops in a For that has been numbered."""
        return {self.numbering.atom(v) for let in loop.body if sequential(let) for v in parts(let)}

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
            case Loop() | While():
                yield from self.ran(let, paths)
            case Accumulate(_, _, body):
                yield from self.around(let, paths) if sequential(let) else self.block(body, paths)
            case Check() if op.warns:
                yield paths, UNKNOWN, True
            case Prim() | Check() | Library():
                if self.effects.fails(op):
                    yield paths, (numbering.statement(let),), True

    def ran(self, let: Let, paths: tuple[int, ...]) -> Iterator[Event]:
        """A sequential loop has run to its end, and so have its parts; one that holds all that may fail is enough."""
        risks = self.effects.risks(Block((let,), ()), self.own)
        found = [self.numbering.part(let, v, paths[-1]) for v in parts(let)]
        whole = self.numbering.statement(let, paths[-1])
        yield paths, (whole, *(content for *_, content in found)), False
        if risks:
            enough = [content for part, _, content in found if self.effects.risks(part, self.own) == risks]
            yield paths, (whole, *enough), True

    def around(self, let: Let, paths: tuple[int, ...]) -> Iterator[Event]:
        """An Accumulate around a sequential loop: what it does for one result, if no other part may fail."""
        risks = self.effects.risks(Block((let,), ()), self.own)
        for v in parts(let):
            lean = self.numbering.part(let, v, paths[-1])[0]
            bare = not any(isinstance(inner.op, Accumulate) and sequential(inner) for inner in lean)
            if bare and self.effects.risks(lean, self.own) == risks:
                yield from self.block(lean, paths)
                return
        yield paths, UNKNOWN, True

    def block(self, block: Block, paths: tuple[int, ...]) -> Iterator[Event]:
        for let in block:
            yield from self.events(let, paths)

    def access(
        self, index: Sequence[Atom], axes: Sequence[Atom], safe: bool, paths: tuple[int, ...]
    ) -> Iterator[Event]:
        for i, n in zip(index, axes, strict=False):
            over = i if isinstance(i, Literal) else self.inside.get(i)
            evident = self.effects.evident((i,), (n,)) or (over is not i and over is not None and self.equal(over, n))
            needed = not evident and not (safe and (isinstance(over, Literal) or n in self.own))
            yield paths, (self.numbering.of("within", self.numbering.atom(i), self.numbering.atom(n)),), needed

    def equal(self, a: Atom, b: Atom) -> bool:
        return self.numbering.atom(a) == self.numbering.atom(b)

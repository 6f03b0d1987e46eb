"""What stays true of the integers that a loop hands on from turn to turn, by induction.

    while high - low > 1                        low = 0, high = n - 1 at the start
        middle = (low + high) // 2        |-    low >= 0, high <= n - 1, in every turn and at the end
        if p: high = middle               |-    1 <= middle <= n - 2, so that x[middle] is in bounds
        else: low = middle

Candidates are inequalities between a carry and what the loop knows from outside: 0; that it doesn't fall below an
initial value that is a number, or rise above another; the least and the greatest of all initial values; the length of
an array that is read; and what its next value is clipped to, or a remainder of.  Those that don't hold at the start are
dropped; so are, again and again, those that a turn doesn't keep where all that are left hold at its start (Houdini).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from iverson.core.bounds import Sizes
from iverson.core.sizes import Size, maximum, minimum, size
from iverson.core.syntax import I64, Atom, Block, If, Let, Literal, Loop, Prim, Read, Scalar, Var, While
from iverson.opt.effects import extents
from iverson.opt.overflow import Bits, Sides

ROUNDS = 4  # of dropping candidates
MOST = 300  # results of a turn's statements; larger turns aren't looked into
CARRIES = 8
EXTENTS = 2  # of arrays that are read, to which carries are compared
BUDGET = 60  # steps of a proof


@dataclass(frozen=True)
class Fact:
    """At least the least (`sign` 1) or at most the greatest (-1) of some sizes; how large that may be, in bits."""

    place: int  # among the carries
    sign: int
    bounds: tuple[Size, ...]
    sides: Sides
    always: bool = True  # or only if the loop turns

    def of(self, known: Size) -> Size:
        """What is >= 0 of a carry with that value."""
        return known - minimum(*self.bounds) if self.sign > 0 else maximum(*self.bounds) - known


class Induction:
    def __init__(self, sizes: Sizes, bits: Bits, atom: Callable[[Atom], Atom]) -> None:
        self.sizes = sizes
        self.bits = bits
        self.atom = atom  # what stands for an atom of the loop, whose statements aren't rewritten yet
        self.learned: list[Var] = []
        self.made: dict[Var, tuple[Let, int]] = {}

    def facts(self, op: Loop | While) -> list[Fact]:
        """What holds of the carries at the start of every turn, and behind the loop."""
        places = [k for k, c in enumerate(op.carry) if c.type == Scalar(I64)]
        self.made = {}
        if 0 < len(places) <= CARRIES:
            self.made = {v: (let, k) for let in _inner(op.body) for k, v in enumerate(let.vars)}
        if not 0 < len(self.made) <= MOST or not self._moves(op, places):
            return []
        left = self._at_start(op, list(self._candidates(op, places)))
        for _ in range(ROUNDS):
            kept = self._kept(op, left)
            if len(kept) == len(left):
                return kept
            left = kept
        return []

    def _at_start(self, op: Loop | While, facts: Sequence[Fact]) -> list[Fact]:
        """The facts that hold of the initial values; some do if there is a turn."""
        always = [self._holds(f, op.inits[f.place]) for f in facts]
        with self.sizes.inside(op, op.body):
            turning = [now or self._holds(f, op.inits[f.place]) for f, now in zip(facts, always, strict=True)]
        return [replace(f, always=a) for f, a, t in zip(facts, always, turning, strict=True) if t]

    def behind(self, facts: Sequence[Fact], results: Sequence[Atom]) -> None:
        """Assume what holds of a loop's results."""
        self.assume([f for f in facts if f.always], results)

    def assume(self, facts: Sequence[Fact], values: Sequence[Atom]) -> None:
        """Of the carries at the start of a turn."""
        for f in facts:
            v = values[f.place]
            if isinstance(v, Var):
                self.sizes.fact(f.of(size(v)))
                low, high = self.bits.sides(v)
                self.bits.known[v] = (min(low, f.sides[0]), high) if f.sign > 0 else (low, min(high, f.sides[1]))

    def _moves(self, op: Loop | While, places: Sequence[int]) -> bool:
        """Does a carry do more than count?"""
        return any(
            out is not carry and not (isinstance(out, Var) and out in self.made and _counts(self.made[out][0], carry))
            for carry, out in ((op.carry[k], op.body.outs[k]) for k in places)
        )

    # --- candidates ---------------------------------------------------------------------------------------------------

    def _candidates(self, op: Loop | While, places: Sequence[int]) -> Iterator[Fact]:
        inits = {k: self.sizes.of(op.inits[k]) for k in places}
        sides = {k: self.bits.sides(op.inits[k]) for k in places}
        symbolic = [a for a in dict.fromkeys(inits.values()) if a.constant is None]
        every = (*symbolic, *(a for a in dict.fromkeys(inits.values()) if a.constant is not None))
        below, above = (max(each) for each in zip(*sides.values(), strict=True))
        arrays = (let.op.array for let, _ in self.made.values() if isinstance(let.op, Read))
        read = (a for v in arrays if v not in self.made and v not in op.carry for a in extents(v.type))
        shapes = [e for e in dict.fromkeys(map(self.atom, read)) if isinstance(e, Var)][:EXTENTS]
        for k in places:
            start = inits[k]
            yield Fact(k, 1, (size(0),), (0, 0)) if self._nonnegative(start) else Fact(k, 1, every, (below, 0))
            if start.constant is not None:
                yield from [Fact(k, 1, (start,), sides[k])] if start.constant != 0 else []
                above_it: list[tuple[Size, ...]] = [(high,) for high in symbolic if self._nonnegative(high - start)]
                yield from (Fact(k, -1, bounds, (0, above)) for bounds in above_it or [every])
            else:
                yield Fact(k, -1, (start,), sides[k])
            for e in shapes:
                yield Fact(k, -1, (self.sizes.of(e),), (0, self.bits.sides(e)[1]))
            inside = {*op.carry, *self.made, *([op.index] if isinstance(op, Loop) else [])}
            for sign, a, shift in self._clips(op.body.outs[k], 4):
                if a not in inside:
                    a = self.atom(a)
                    low, high = self.bits.sides(a)
                    yield Fact(k, sign, (self.sizes.of(a) + shift,), (low if not shift or not low else low + 1, high))

    def _clips(self, out: Atom, depth: int) -> Iterator[tuple[int, Atom, int]]:
        """What a value is clipped to: sign, bound, and what to add to the bound."""
        let, place = self.made.get(out, (None, 0)) if isinstance(out, Var) else (None, 0)
        if let is None or depth == 0:
            return
        match let.op:
            case Prim("min" | "max" as name, args):
                yield from ((-1 if name == "min" else 1, a, 0) for a in args)
                for a in args:
                    yield from self._clips(a, depth - 1)
            case Prim("mod", (_, d)):
                yield -1, d, -1
            case Prim("select", (_, a, b)):
                yield from (*self._clips(a, depth - 1), *self._clips(b, depth - 1))
            case If(_, then, orelse):
                yield from (*self._clips(then.outs[place], depth - 1), *self._clips(orelse.outs[place], depth - 1))
            case _:
                pass

    # --- proving ------------------------------------------------------------------------------------------------------

    def _kept(self, op: Loop | While, facts: list[Fact]) -> list[Fact]:
        """The facts that hold at the end of a turn, if all do at its start."""
        with self.sizes.inside(op, op.body):
            before = {c: self.bits.known.get(c) for c in op.carry}
            self.assume(facts, op.carry)
            if isinstance(op, While):
                self._learn(op.cond)
                self.sizes.assume(self.atom(op.cond.outs[0]))
            self._learn(op.body)
            kept = [f for f in facts if self._keeps(f, op.body.outs[f.place])]
            for v in self.learned:
                self.sizes.forget(v)
                self.bits.known.pop(v, None)
            self.learned.clear()
            for c, known in before.items():
                self.bits.known.pop(c, None)
                if known is not None:
                    self.bits.known[c] = known
        return kept

    def _keeps(self, fact: Fact, out: Atom) -> bool:
        if isinstance(out, Var) and out in self.made and isinstance(self.made[out][0].op, If):
            let, place = self.made[out]
            assert isinstance(let.op, If)
            for side in (let.op.then, let.op.orelse):
                with self.sizes.inside(let.op, side):
                    if not self._keeps(fact, side.outs[place]):
                        return False
            return True
        made = self.made[out][0].op if isinstance(out, Var) and out in self.made else None
        if isinstance(made, Prim) and made.name == "select":
            return all(self._keeps(fact, a) for a in made.args[1:])
        return self._holds(fact, self.atom(out))

    def _holds(self, fact: Fact, a: Atom) -> bool:
        known = self.sizes.of(a)
        return any(self._nonnegative((known - b) * fact.sign) for b in fact.bounds)

    def _nonnegative(self, p: Size) -> bool:
        return self.sizes.nonnegative(p, budget=BUDGET)

    def _learn(self, block: Block) -> None:
        """What the primitives of a turn define, those of branches too."""
        for let in block.lets:
            if isinstance(let.op, Prim):
                args = tuple(map(self.atom, let.op.args))
                here = Let(let.vars, Prim(let.op.name, args))
                self.learned += let.vars
                if self.bits.bind(here):
                    self.sizes.bind(here)
            elif isinstance(let.op, If):
                for side in (let.op.then, let.op.orelse):
                    self._learn(side)
                self.learned += let.vars
                self.sizes.bind(Let(let.vars, If(self.atom(let.op.pred), let.op.then, let.op.orelse)))


def _inner(block: Block) -> Iterator[Let]:
    for let in block.lets:
        yield let
        if isinstance(let.op, If):
            yield from (*_inner(let.op.then), *_inner(let.op.orelse))


def _counts(let: Let, carry: Var) -> bool:
    """Is a constant added to a carry?"""
    return (
        isinstance(let.op, Prim)
        and let.op.name in ("add", "sub")
        and carry in let.op.args
        and any(isinstance(a, Literal) for a in let.op.args)
    )

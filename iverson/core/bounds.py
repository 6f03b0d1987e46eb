"""What is known about integers where: definitions, ranges of indices, facts; and proofs of inequalities from them.

A pass that walks a program keeps one `Sizes` beside it:

    sizes = Sizes(function)                     parameters: their extents are >= 0
    for let in block:
        ... sizes.of(atom), sizes.same(a, b), sizes.le(a, b), sizes.within(i, n) ...
        for _, inner in blocks(let.op):
            with sizes.inside(let.op, inner):   index ranges; loops that run aren't empty; predicates of branches
                ...
        sizes.bind(let)                         integer primitives define sizes; extents of new arrays are >= 0

Definitions outlive scopes (names are unique), facts don't.  `True` is a proof, `False` is ignorance.  Sizes are taken
not to overflow.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from iverson.core.rewrite import type_atoms
from iverson.core.sizes import (
    ONE,
    Count,
    Factor,
    Floor,
    Least,
    Monomial,
    Number,
    Size,
    divide,
    maximum,
    minimum,
    quotient,
    size,
)
from iverson.core.syntax import (
    BOOL,
    I64,
    Array,
    Atom,
    Block,
    Check,
    For,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Op,
    Prim,
    Scalar,
    Var,
)

Terms: TypeAlias = "list[tuple[Monomial, Number]]"

_FUEL = 8  # the length of a proof: eliminations and facts, one after the other
_BUDGET = 40  # the steps that looking for one may take


@dataclass(frozen=True)
class Condition:
    """What a bool says: sizes that are >= 0 if it holds, and if it doesn't."""

    holds: tuple[Size, ...] = ()
    fails: tuple[Size, ...] = ()


class Sizes:
    def __init__(self, function: Function | None = None) -> None:
        self._defined: dict[Var, Size] = {}
        self._conditions: dict[Var, Condition] = {}
        self._upper: dict[Factor, Size] = {}  # indices: 0 <= i <= upper
        self._order: dict[Factor, int] = {}  # and which was bound first; a name may be bound again
        self._ranges = 0
        self._least: dict[Factor, int] = {}  # constant lower bounds
        self._facts: dict[Size, Terms] = {}  # what else is >= 0, and its negative terms
        self._budget = 0
        self._effort: int | None = None
        self._failed: dict[tuple[Size, bool], int] = {}  # what could not be proven, with so much fuel
        for p in function.params if function else ():
            self._extents(p)

    # --- learning ---------------------------------------------------------------------------------------------------

    def bind(self, let: Let) -> None:
        """Learn what a statement binds."""
        match let.op:
            case Prim(name, args) if let.vars[0].type == Scalar(I64):
                defined = self._arithmetic(name, args)
                if defined is not None:
                    self._defined[let.vars[0]] = defined
                elif name == "int64" and args[0].type == Scalar(BOOL):
                    self._between(let.vars[0], size(1))
            case Prim(name, args) if let.vars[0].type == Scalar(BOOL):
                self._conditions[let.vars[0]] = self._condition(name, args)
            case Check(pred) if not let.op.warns:
                self.assume(pred)
            case If(pred, then, orelse):
                for v, a, b in zip(let.vars, then.outs, orelse.outs, strict=True):
                    self._extents(v)
                    if v.type == Scalar(BOOL) and b == Literal(False, BOOL):
                        self._conditions[v] = Condition(self._known(pred).holds + self._known(a).holds)
                    elif v.type == Scalar(BOOL) and a == Literal(True, BOOL):
                        self._conditions[v] = Condition((), self._known(pred).fails + self._known(b).fails)
            case _:
                for v in let.vars:
                    self._extents(v)

    def define(self, v: Var, known: Size) -> None:
        """An integer is a size."""
        self._defined[v] = known

    def forget(self, v: Var) -> None:
        """Nothing is defined by that name any more."""
        self._defined.pop(v, None)
        self._conditions.pop(v, None)

    def assume(self, pred: Atom, holds: bool = True) -> None:
        """A bool is known from here on."""
        condition = self._known(pred)
        for fact in condition.holds if holds else condition.fails:
            self.fact(fact)

    def fact(self, known: Size) -> None:
        """A size is >= 0 from here on."""
        if known.constant is not None or known in self._facts:
            return
        for m, c in known.terms.items():
            ((f, power),) = m if len(m) == 1 else ((None, 0),)
            if c > 0 and power == 1 and isinstance(f, Var):
                bound = self._least_of((size(f) * c - known) * Fraction(1, c))
                if bound is not None:
                    self._least[f] = max(self._least.get(f, bound), bound)
        self._facts[known] = [(m, c) for m, c in known.terms.items() if c < 0]

    def _least_of(self, p: Size) -> int | None:
        """A number that p is at least, if that is evident."""
        p = self._from_least(p)
        evident = all(c > 0 and self._even_or_positive(m) for m, c in p.terms.items() if m != ONE)
        return math.ceil(p.offset) if evident else None

    @contextmanager
    def inside(self, op: Op, block: Block) -> Iterator[None]:
        """What holds inside a block of an op."""
        facts, least = len(self._facts), dict(self._least)
        match op:
            case For(index, extent, body) if block is body:
                for i, n in zip(index, extent, strict=True):
                    self._range(i, n)
            case Loop(index, n):
                self._range(index, n)
            case If(pred, then):
                self.assume(pred, holds=block is then)
            case _:
                pass
        yield
        while len(self._facts) > facts:
            self._facts.popitem()
        self._least = least

    def _range(self, index: Var, extent: Atom) -> None:
        last = self.of(extent) - 1
        self._between(index, last)
        self.fact(last)

    def later(self, index: Var, than: Var, extent: Atom) -> None:
        """An index of a later turn: than < index < extent."""
        turns, last = Var(Scalar(I64), "turns"), self.of(extent) - self.of(than) - 2
        self._between(turns, last)
        self.fact(last)
        self.define(index, self.of(than) + size(turns) + 1)

    def _between(self, v: Var, upper: Size) -> None:
        """0 <= v <= upper."""
        self._upper[v] = upper
        self._order[v] = self._ranges = self._ranges + 1
        self._least[v] = 0

    def _extents(self, v: Var) -> None:
        if isinstance(v.type, Array):
            for e in type_atoms(v.type):
                self.fact(self.of(e))

    def _arithmetic(self, name: str, args: tuple[Atom, ...]) -> Size | None:
        if any(a.type != Scalar(I64) for a in args):
            return None
        a, b = self.of(args[0]), self.of(args[-1])
        match name:
            case "add":
                return a + b
            case "sub":
                return a - b
            case "mul":
                return a * b
            case "neg":
                return -a
            case "floordiv":
                return a // b
            case "mod":
                return a % b
            case "min":
                return minimum(a, b)
            case "max":
                return maximum(a, b)
            case "int64":
                return a
            case _:
                return None

    def _condition(self, name: str, args: tuple[Atom, ...]) -> Condition:
        if name == "not" or (name in ("and", "or") and all(isinstance(a, Var) for a in args)):
            known = [self._known(a) for a in args]
            holds, fails = known[0].holds + known[-1].holds, known[0].fails + known[-1].fails
            return {"not": Condition(fails, holds), "and": Condition(holds), "or": Condition((), fails)}[name]
        if any(a.type != Scalar(I64) for a in args):
            return Condition()
        a, b = self.of(args[0]), self.of(args[-1])
        more, less = (a - b,), (b - a,)
        above, below = (a - b - 1,), (b - a - 1,)
        return {
            "lt": Condition(below, more),
            "le": Condition(less, above),
            "gt": Condition(above, less),
            "ge": Condition(more, below),
            "eq": Condition(more + less),
            "ne": Condition((), more + less),
        }.get(name, Condition())

    def _known(self, pred: Atom) -> Condition:
        return self._conditions.get(pred, Condition()) if isinstance(pred, Var) else Condition()

    # --- asking -----------------------------------------------------------------------------------------------------

    def of(self, atom: Atom) -> Size:
        """An integer in terms of what isn't defined by size arithmetic."""
        if isinstance(atom, Literal):
            return size(int(atom.value))
        return self._defined.get(atom) or size(atom)

    def same(self, a: Atom, b: Atom) -> bool:
        """Are two extents structurally equal?"""
        return a is b or self.of(a) == self.of(b)

    def same_all(self, a: tuple[Atom, ...], b: tuple[Atom, ...]) -> bool:
        return len(a) == len(b) and all(map(self.same, a, b))

    def le(self, a: Atom, b: Atom) -> bool:
        return self.nonnegative(self.of(b) - self.of(a))

    def within(self, index: Atom, extent: Atom) -> bool:
        """0 <= index < extent: a read or write is in bounds."""
        i = self.of(index)
        return self.nonnegative(i) and self.nonnegative(self.of(extent) - i - 1)

    def nonnegative(self, p: Size, effort: int | None = None, budget: int = _BUDGET) -> bool:
        """Is p >= 0, whatever the variables are?  `effort`: how often a fact may be tried, at most; `budget`: steps."""
        self._budget, self._effort = budget, effort
        self._failed.clear()
        return self._prove(p, _FUEL, True)

    # --- proving ----------------------------------------------------------------------------------------------------

    def _prove(self, p: Size, fuel: int, integral: bool = False) -> bool:
        """p >= 0, since p >= q >= 0 for a q without one of the atoms of p, or without one of its negative terms.

        For an integral p, q > -1 is enough.
        """
        if self._failed.get((p, integral), -1) >= fuel:
            return False
        proven = self._evident(p, integral) or self._derived(p, fuel, integral)
        if not proven:
            self._failed[p, integral] = fuel
        return proven

    def _derived(self, p: Size, fuel: int, integral: bool) -> bool:
        """By proving something else."""
        self._budget -= 1
        if fuel == 0 or self._budget < 0 or p.constant is not None:
            return False
        for factor in sorted(p.factors(), key=self._rank):
            options = self._index_out(factor, p, fuel) if factor in self._upper else self._atom_out(factor, p, fuel)
            if options:
                proven = any(all(self._prove(q, fuel - 1, integral) for q in case) for case in options)
                return proven or self._by_facts(p, fuel, integral)
        return self._by_facts(p, fuel, integral)

    def _evident(self, p: Size, integral: bool = False) -> bool:
        """All terms are >= 0 once each atom is counted from its least value."""
        top = max((sum(power for _, power in m) for m in p.terms), default=0)
        if any(c < 0 and m and sum(power for _, power in m) == top for m, c in p.terms.items()):
            return False  # no shift changes a term of the highest degree
        p = self._from_least(p)
        return (p.offset > -1 if integral else p.offset >= 0) and all(
            c > 0 and self._even_or_positive(m) for m, c in p.terms.items() if m != ONE
        )

    def _from_least(self, p: Size) -> Size:
        for f in p.factors():
            if self._least.get(f):
                p = p.shifted(f, self._least[f])
        return p

    def _even_or_positive(self, m: Monomial) -> bool:
        return all(power % 2 == 0 or isinstance(f, Count) or self._least.get(f, -1) >= 0 for f, power in m)

    def _rank(self, f: Factor) -> tuple[int, int]:
        """Compound atoms first, then indices, the innermost first."""
        if not isinstance(f, Var):
            return 0, 0
        return (1, -self._order[f]) if f in self._upper else (2, 0)

    def _index_out(self, i: Factor, p: Size, fuel: int) -> list[list[Size]]:
        """0 <= i^k <= upper^k."""
        powers = p.powers(i)
        signs = [self._sign(c, fuel) for k, c in powers.items() if k]
        if all(up for up, _ in signs):
            return [[powers.get(0, size(0))]]
        return [[p.replace(i, self._upper[i])]] if all(down for _, down in signs) else []

    def _atom_out(self, f: Factor, p: Size, fuel: int) -> list[list[Size]]:
        """Alternatives, each a list of sizes without the compound atom f: if all of one are >= 0, so is p."""
        split = p.split(f)
        if split is None or isinstance(f, Var | Count):
            return []
        c, rest = split
        up, down = self._sign(c, fuel)
        if isinstance(f, Floor):
            return self._floor_out(c, rest, f, up, down, fuel)
        each = [c * s + rest for s in f.items]
        one_is_enough = down if isinstance(f, Least) else up
        return [[q] for q in sorted(each, key=lambda q: len(q.terms))] if one_is_enough else [each]

    def _sign(self, c: Size, fuel: int) -> tuple[bool, bool]:
        """Is c >= 0, is c <= 0, as far as can be told?"""
        if c.constant is not None:
            return c.constant >= 0, c.constant <= 0
        return self._prove(c, min(fuel - 1, 2)), self._prove(-c, min(fuel - 1, 2))

    def _floor_out(self, c: Size, rest: Size, f: Floor, up: bool, down: bool, fuel: int) -> list[list[Size]]:
        """a - d + 1 <= d floor(a / d) <= a for d > 0; d isn't 0, or the division would have raised."""
        a, d = f.numerator, f.denominator
        if not (d.constant is None or d.constant > 0) or not self._prove(d, min(fuel - 1, 2)):
            return []
        options: list[list[Size]] = []
        k = _ratio(c, d)
        if k is not None:
            up_k, down_k = self._sign(k, fuel)
            options += [[k * (a - d + 1) + rest]] if up_k else [[k * a + rest]] if down_k else []
        if up:
            options.append([a, rest])
        if down:
            options.append([a, c * a + rest])
        return options

    def _by_facts(self, p: Size, fuel: int, integral: bool) -> bool:
        """p = q + k fact with k >= 0, where the fact takes away a negative term of p."""
        negative = [(m, c) for m, c in p.terms.items() if c < 0]
        mine = set(p.factors())
        multiples = [
            ((q != ONE) + 2 * mine.isdisjoint(known.factors()), q, c, d, known)  # likely to help: first
            for known, taken in self._facts.items()
            for m, c in negative
            for n, d in taken
            if (q := divide(m, n)) is not None
        ]
        for _, q, c, d, known in sorted(multiples, key=operator.itemgetter(0)):
            if self._effort is not None:
                self._effort -= 1
                if self._effort < 0:
                    return False
            if self._even_or_positive(q) and self._prove(p.plus(known, q, -quotient(c, d)), fuel - 1, integral):
                return True
        return False


def _ratio(c: Size, d: Size) -> Size | None:
    """k with c = k d; rational where d is a number."""
    if isinstance(d.constant, int):
        return c * Fraction(1, d.constant)
    k = c // d
    return k if k * d == c and not any(isinstance(f, Floor) for f in k.factors()) else None

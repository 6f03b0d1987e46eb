"""What the forward sweep records for the return sweep: residuals, and how each is had again.

A block is planned statement by statement.  A `Step` knows two forms of its statement:

    let        the primal
    again      the same, recording for its own return sweep: as it runs when its scope is entered again, or before that,
               in the forward sweep, where what it records is stored

Prim and Read run again (with tape="store" their floats are kept), and so does a For of a few of them.  The results of
another nested statement, and what it recorded itself, are *kept* (with tape="recompute" it runs again): stored by one
more result of the statement that holds the block: a Map, an emit, a column of a log; arrays of a turn whose extents
vary from turn to turn are laid end to end in a flat log.  Where that can't be (an array in a branch, ragged ones in a
For) the statement runs again.

A log that a statement writes is passed on to the statement that holds its scope, and by that to the next, as far out as
no For is between: however deeply loops and branches nest, what is logged is written once and read once.

A scope that updates arrays in place, the carries of a loop, has ways to have their versions again:

    again       where a turn makes single updates alone, they are undone, and then run again
    within      else each statement that takes such an array (see derivation.py) undoes by its own return sweep what it
                did.  It does not run again: the return sweep starts from what the block ended with, and what the scope
                itself reads of the array is kept.  A version that ends here (an array that is given up for another) is
                kept whole: that another took its place was paid for.
    never       where keeping what is read is less, the versions are not had again (reads.py)

An array that the scope itself begins, or a carry of which the next turn has nothing, is kept once, as it was at first:
its updates of a few elements run again on that, and are undone by the return sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from iverson.core.build import Builder
from iverson.core.rewrite import type_atoms, uses
from iverson.core.syntax import (
    F32,
    F64,
    Array,
    Atom,
    Block,
    Let,
    Operator,
    Scalar,
    Var,
)
from iverson.diff.adjoints import Frame, flatten, product
from iverson.diff.cheap import cheap, tiny
from iverson.diff.footprint import Places
from iverson.diff.logs import AppendLog, OpenLog
from iverson.diff.tape import Mode, Named, named, told


@dataclass(frozen=True)
class Slot:
    """Where a kept value of an inner scope is found outside it."""

    var: Var
    stacked: bool = False  # one entry per index or turn of the statement that holds the scope
    log: Var | None = None  # a column of this log: a row's entry at its cursor, or an array's elements before that
    extents: tuple[Atom, ...] = ()

    def read(self, b: Builder, frame: Frame, position: Sequence[Atom]) -> Atom:
        v = frame.var(self.var)
        if self.log is None:
            return b.read(v, *position, safe=True) if self.stacked else v
        if not self.extents:
            return b.read(v, frame.cursors[self.log], safe=True)
        extents = tuple(map(frame.at, self.extents))
        start = frame.cursors[self.log] = b.o.sub(frame.cursors[self.log], product(b, extents))
        return b.map(extents, lambda *i: b.read(v, b.o.add(start, flatten(b, i, extents)), safe=True))


Slots: TypeAlias = dict[Var, Slot]


@dataclass(frozen=True)
class Updates:
    """Overwritten elements of a chain of single updates, in order: index and old value, names or constants."""

    entries: tuple[tuple[tuple[Atom, ...], Atom], ...]
    lets: tuple[Let, ...] = ()  # Prims that give the indices, and Reads of what the loop leaves alone
    left: Var | None = None  # what the last one left in its place, where that was made of what it overwrote

    def names(self) -> list[Var]:
        """What must be known to undo them."""
        made = {v for let in self.lets for v in let.vars}
        used = [v for let in self.lets for v in uses(let)]
        used += [a for index, old in self.entries for a in (*index, old) if isinstance(a, Var)]
        return [v for v in dict.fromkeys(used) if v not in made]


@dataclass(frozen=True)
class Region:
    """What one statement overwrote: the places of each contribution, and their old values."""

    parts: tuple[tuple[Places, Var], ...]


Log: TypeAlias = AppendLog | Updates | Region


class Keep(Enum):
    """What a scope's holder can store of its values."""

    SCALARS = "a branch: the other side has none"
    STACKED = "a For: arrays of extents known outside, and no logs"
    BLOCK = "an accumulation's block: arrays of extents known outside"
    ALL = "a loop: others go to flat logs"


class Why(Enum):
    """What decides whether the results of a nested statement are kept."""

    SAID = "the program says so"
    MODE = "tape= says so"
    PLANNED = "the plan within the budget"
    MASK = "a bool, in place of what it compares"
    TINY = "a few operations in all"
    CHEAP = "a few operations for each element"
    NESTED = "made by a statement of its own in each turn"
    UNDONE = "its array is put back, so it can't run again"
    HELD = "it can't be kept: an array of a branch, or of varying extents"


@dataclass
class Step:
    let: Let
    again: tuple[Let, ...]
    record: Record | None = None
    scalar: bool = False  # a Prim or Read: runs again
    mask: bool = False  # but for a comparison that is kept: where arrays are sampled, or in place of what it compares
    chained: frozenset[Var] = frozenset()  # results that live in arrays of the scope's owner
    within: bool = False  # its return sweep undoes what it did to them
    touches: bool = False  # it uses an array that is undone so: it can't run again
    kept: bool = False  # all its results, but for chained ones, are stored outside
    why: Why = Why.NESTED
    recorded: bool = False  # its forward sweep records
    logs: tuple[OpenLog, ...] = ()  # that it writes
    passed: tuple[Let, ...] = ()  # `again` where they are opened outside

    @property
    def opened(self) -> tuple[OpenLog, ...]:
        """The logs that are opened at this statement."""
        return () if self.again is self.passed else self.logs

    @property
    def results(self) -> list[Var]:
        """What it binds, but for chained arrays and rows of them where they are not had by running again."""
        if self.scalar and self.touches and isinstance(self.let.vars[0].type, Array):
            return []
        return [v for let in self.again for v in let.vars if not (self.within and v in self.chained)]


@dataclass
class Plan:
    """A block, planned."""

    block: Block
    steps: list[Step]
    mode: Mode = "auto"
    again: frozenset[Named] = frozenset()  # statements whose results run again
    cheaply: bool = False  # as those that are cheap do (cheap.py, rerun.py)
    ends: dict[int, Var] = field(default_factory=dict)  # outs by which arrays that are undone within are handed on
    given_up: dict[Var, None] = field(default_factory=dict)  # versions of such arrays that end here
    logs: list[OpenLog] = field(default_factory=list)  # that its statements write and pass on
    words: dict[Var, Var] = field(default_factory=dict)  # of the outermost block: bits -> the bools (bits.py)
    prices: tuple[int, int] | None = None  # of it with what is cheap kept, and run again, where that was weighed

    def forward(self) -> tuple[Let, ...]:
        """The block as it runs in the forward sweep."""
        return tuple(let for step in self.steps for let in (step.again if step.recorded else (step.let,)))

    def keep(self, bound: Iterable[Var], what: Keep) -> list[Var]:
        """Decide what is kept outside, given what the scope binds on entry; give the names."""
        inner, said = self.inner(bound), told(self.block)
        names: list[Var] = []
        for step in self.steps:
            must = step.within or step.touches
            worth, step.why = (True, Why.UNDONE) if must else self._worth(step, said)
            if not worth:
                continue
            closed = step.again
            if step.logs and what is not Keep.STACKED:
                step.again = step.passed
            step.kept = must or all(_storable(v, inner, what) for v in step.results)
            if step.kept:
                step.recorded = True
                names += step.results
                self.logs += () if step.opened else step.logs
            else:
                step.again, step.why = closed, Why.HELD
        return [*names, *self.given_up]

    def _worth(self, step: Step, said: Mapping[Var, str]) -> tuple[bool, Why]:
        """Is it to be kept, if that can be, and why?"""
        if not step.chained and (found := next((said[v] for v in step.let.vars if v in said), None)):
            whole = all(isinstance(v.type, Scalar) or not step.scalar for v in step.let.vars)
            return found == "keep" and whole, Why.SAID
        if step.mask:
            return True, Why.MASK
        if step.scalar or self.mode == "recompute":
            return self.mode == "store" and any(v.type in (Scalar(F32), Scalar(F64)) for v in step.let.vars), Why.MODE
        if step.let.vars and named(step.let) in self.again:
            return False, Why.PLANNED
        if self.mode != "store" and tiny(step.let.op):
            return False, Why.TINY
        if self.cheaply and cheap(step.let):
            return False, Why.CHEAP
        return not step.chained and bool(step.results), Why.NESTED

    def inner(self, bound: Iterable[Var]) -> set[Var]:
        """The names of the scope."""
        return {*bound, *(v for step in self.steps for let in step.again for v in let.vars)}


def _storable(v: Var, inner: set[Var], what: Keep) -> bool:
    if isinstance(v.type, Scalar) or what is Keep.ALL:
        return True
    return what is not Keep.SCALARS and not varies(v, inner)


def varies(v: Var, inner: set[Var]) -> bool:
    """Is an extent of v a name of the scope?"""
    return any(e in inner for e in type_atoms(v.type))


# --- what the sweep of each construct needs to know -------------------------------------------------------------------


@dataclass
class ForRecord:
    plan: Plan
    slots: Slots
    winners: dict[int, Var] = field(default_factory=dict)  # body out -> position of the winner (Scan: positions)


@dataclass
class MonoidRecord:
    """A reduction or scan by an operator, whose element is read from arrays."""

    monoid: Operator
    elements: tuple[Var, ...]
    prefixes: tuple[Var, ...]  # what has been combined after each element; none if the total is enough
    whole: Plan  # of the operator, with what is free in it
    operands: Plan  # of the operator as a function of its operands alone,
    names: set[Var]  # and what then has a derivative
    by_left: list[set[int]]  # for each component of the result, the components of the operands that it depends on
    by_right: list[set[int]]


@dataclass
class LoopRecord:
    plan: Plan
    slots: Slots
    turns: Atom
    undo: dict[int, Turned | None]  # array carries whose buffers are handed back; None: the turn's statements undo them
    logs: list[OpenLog] = field(default_factory=list)  # that its turns write
    rows: list[OpenLog] = field(default_factory=list)  # those with an entry a turn
    forgotten: dict[int, tuple[Var, ...]] = field(default_factory=dict)  # versions of array carries that nothing undoes


@dataclass
class CheckpointRecord:
    """A Loop or While of whose states some are kept (checkpoints.py)."""

    leaf: Plan  # one Loop over the turns of a block, recorded
    start: Var  # what is free in it: its first turn,
    count: Var  # how many turns it has,
    state: tuple[Var, ...]  # and what it starts from
    turns: Atom
    held: Held | None = None  # what the forward sweep kept; None: nothing, the return sweep starts from the beginning


@dataclass(frozen=True)
class Held:
    """What a checkpointed loop's forward sweep leaves."""

    stack: tuple[Atom, ...]
    state: tuple[Atom, ...]  # at the start of the last block


@dataclass(frozen=True)
class Turned:
    """Array carry `of` becomes this one in a turn, by these updates."""

    of: int
    updates: Updates


@dataclass
class BranchRecord:
    """If (two plans) or Accumulate (one): the block runs at most once."""

    plans: tuple[Plan, ...]
    slots: tuple[Slots, ...]
    undo: dict[Var, tuple[Var, Log]] = field(default_factory=dict)  # consumed array -> its last version, its log
    within: tuple[Var, ...] = ()  # arrays that the return sweeps of the blocks restore
    logs: list[OpenLog] = field(default_factory=list)  # that the blocks write


Record: TypeAlias = ForRecord | MonoidRecord | LoopRecord | BranchRecord | CheckpointRecord


def inner_plans(step: Step) -> Sequence[Plan]:
    """The plans of the scopes inside a statement; an operator's are run on elements that are kept."""
    match step.record:
        case BranchRecord(plans):
            return plans
        case ForRecord(plan) | LoopRecord(plan):
            return [plan]
        case CheckpointRecord(leaf):
            return [leaf]
        case _:
            return []

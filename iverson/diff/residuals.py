"""What the forward sweep records for the return sweep: residuals, and how each is had again.

A block is planned statement by statement.  A `Step` knows three forms of its statement:

    let        the primal
    forward    as it runs in the forward sweep, recording for whoever holds the block
    again      as it runs when its scope is entered again by the return sweep, recording for its own sweep

Prim and Read run again.  The results of a nested statement, and what it recorded itself, are *kept*: stored by one more
result of the statement that holds the block (a Map, an emit, a column of a log), where their extents are known
outside; else the statement runs again.  A statement that updates an array in place (it derives from a carry, see
derivation.py) runs again on the undone buffer; forward, it logs what it overwrites.  But a turn that touches the array
by inner loops alone, whose records can be kept, need not run again: their own return sweeps undo it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from iverson.core.build import Builder
from iverson.core.rewrite import type_atoms
from iverson.core.syntax import Array, Atom, Block, Let, Scalar, Var
from iverson.diff.adjoints import Frame, flatten


@dataclass(frozen=True)
class Slot:
    """Where a kept value of an inner scope is found outside it."""

    var: Var
    stacked: bool = False  # one entry per index or turn of the statement that holds the scope
    extents: tuple[Atom, ...] = ()  # a flat log of arrays of these extents

    def read(self, b: Builder, frame: Frame, position: Sequence[Atom]) -> Atom:
        v = frame.var(self.var)
        if not self.stacked:
            return v
        if not self.extents:
            return b.read(v, *position, safe=True)
        extents = tuple(map(frame.at, self.extents))

        def element(*i: Var) -> Atom:
            return b.read(v, flatten(b, (*position, *i), (*position, *extents)), safe=True)

        return b.map(extents, element)


Slots: TypeAlias = dict[Var, Slot]


@dataclass(frozen=True)
class AppendLog:
    """Overwritten elements in the order of writing; `stamp` is the turn."""

    length: Var
    index: tuple[Var, ...]
    old: Var
    stamp: Var | None

    @property
    def columns(self) -> tuple[Var, ...]:
        return (*self.index, self.old)


@dataclass(frozen=True)
class Updates:
    """Overwritten elements of a chain of single updates, in order: index and old value are names of the scope."""

    entries: tuple[tuple[tuple[Atom, ...], Var], ...]

    def names(self) -> list[Var]:
        """What must be known to undo them."""
        return [a for index, old in self.entries for a in (*index, old) if isinstance(a, Var)]


@dataclass(frozen=True)
class Within:
    """No log: inner loops undo their own updates."""


Log: TypeAlias = AppendLog | Updates | Within


@dataclass
class Step:
    let: Let
    again: tuple[Let, ...]
    forward: tuple[Let, ...]
    record: Record | None = None
    scalar: bool = False  # a Prim or Read: runs again
    chained: frozenset[Var] = frozenset()  # results that update an array of the scope's owner in place
    within: bool = False  # such updates are undone by the statement's own return sweep
    agreed: bool = True  # ... all of them
    kept: bool = False  # all its results, but for chained ones, are stored outside

    @property
    def results(self) -> list[Var]:
        """What it binds, but for chained arrays where they are not had by running again."""
        return [v for let in self.again for v in let.vars if not (self.within and v in self.chained)]


@dataclass
class Plan:
    """A block, planned."""

    block: Block
    steps: list[Step]

    def forward(self) -> tuple[Let, ...]:
        return tuple(let for step in self.steps for let in step.forward)

    def keep(self, bound: Iterable[Var], scalars_only: bool = False) -> list[Var]:
        """Decide what is kept outside, given what the scope binds on entry; give the names."""
        inner = self._inner(bound)
        names: list[Var] = []
        for step in self.steps:
            if step.scalar or (step.chained and not step.within) or not step.results:
                step.kept = step.within
                continue
            step.kept = all(_storable(v, inner, scalars_only) for v in step.results)
            if step.kept:
                step.forward = step.again
                names += step.results
        return names

    def holds(self, bound: Iterable[Var]) -> bool:
        """Can all that is undone by its own return sweep be kept?"""
        inner = self._inner(bound)
        return all(
            step.agreed
            and isinstance(step.record, LoopRecord)
            and all(_storable(v, inner, False) for v in step.results)
            for step in self.steps
            if step.within
        )

    def _inner(self, bound: Iterable[Var]) -> set[Var]:
        return {*bound, *(v for step in self.steps for let in step.again for v in let.vars)}


def _storable(v: Var, inner: set[Var], scalars_only: bool) -> bool:
    if isinstance(v.type, Scalar):
        return True
    return isinstance(v.type, Array) and not scalars_only and not any(e in inner for e in type_atoms(v.type))


# --- what the sweep of each construct needs to know -------------------------------------------------------------------


@dataclass
class ForRecord:
    plan: Plan
    slots: Slots
    winners: dict[int, Var] = field(default_factory=dict)  # body out -> position of the winner (Scan: positions)


@dataclass
class LoopRecord:
    plan: Plan
    slots: Slots
    turns: Atom
    permutation: dict[int, int]  # array carry k is next turn's version of carry j
    logs: dict[int, Log]  # by j


@dataclass
class BranchRecord:
    """If (two plans) or Accumulate (one): the block runs at most once."""

    plans: tuple[Plan, ...]
    slots: tuple[Slots, ...]
    undo: dict[Var, tuple[Var, Log]] = field(default_factory=dict)  # consumed array -> its last version, its log


Record: TypeAlias = ForRecord | LoopRecord | BranchRecord

"""Planning the tape of a call: what is stored, run again and checkpointed, within a bound on memory.

    minimise    the seconds of what is done again
    over        for each outermost loop: stored, or checkpointed with s slots and blocks of b turns;
                for each result of a nested statement in it: stored, or run again
    such that   what the call allocates at once, results included, is at most so many bytes

Seconds are those of run/rates.py at the sizes of the call (run/priced.py).  Which loops and results these are is an
integer program, one choice for each loop, whose memory is linear in the choices (HiGHS, by scipy.optimize.milp).  What
a program so chosen allocates is walked through in the very loops that are compiled (backend/peak.py); on several
threads these take no more.  Slots and turns a block are arguments of the program, so the best of them are then sought
with walks alone.  If that is worse than the integer program took it for, it is solved again without this choice, and
with so much less memory if the choice didn't fit at all, until what is left is no better than what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from scipy import optimize, sparse

from iverson import backend
from iverson.backend.peak import About, Peak, peak
from iverson.core.syntax import Array
from iverson.diff.tape import Named, Policy
from iverson.lang import state
from iverson.run.jit import Jit
from iverson.run.priced import LoopInfo, loops
from iverson.run.program import Program

SHARES = 8
WALKS = 12  # for the number of slots
ROUNDS = 4  # of the integer program, while it takes a program for better than it is
Rerun: TypeAlias = tuple[LoopInfo, frozenset[Named]]  # a loop, and what runs again in its turns


@dataclass(frozen=True)
class Choice:
    """What is decided by the program that is compiled: which loops are checkpointed, and what runs again in each."""

    planned: tuple[bool, ...]
    again: tuple[frozenset[Named], ...]

    def policy(self, told: Policy) -> Policy:
        named = told.again.union(*self.again)
        return replace(told, budget=None, planned=self.planned if any(self.planned) else (), again=named)


@dataclass(frozen=True)
class Plan:
    """What to do with each outermost loop, and what that takes: bytes at once, seconds beyond those of storing all."""

    choice: Choice
    numbers: tuple[int, ...]  # slots and turns a block of those that are checkpointed
    bytes: int
    extra: float
    filed: tuple[int, ...] = ()  # states of each of those that are in a file

    @property
    def planned(self) -> tuple[bool, ...]:
        return self.choice.planned

    def policy(self, told: Policy) -> Policy:
        return self.choice.policy(told)

    def decisions(self) -> list[str]:
        """In words, for each loop."""
        files = (f", {n} states on disk" if n else "" for n in self.filed)
        each = zip(self.numbers[::2], self.numbers[1::2], files, strict=True)
        said = ["checkpoint: {} slots, {} turns a block{}".format(*next(each)) if p else "store" for p in self.planned]
        again = [", ".join(f"{name} of line {line}" for name, line in sorted(names)) for names in self.choice.again]
        return [f"{what}; again: {names}" if names else what for what, names in zip(said, again, strict=True)]


class Footprint:
    """What a compiled call allocates, from the loops of its program alone."""

    def __init__(
        self, jitted: Jit, args: tuple[Any, ...], kwargs: dict[str, Any], numbers: Sequence[int] | None = None
    ) -> None:
        self.first = len(state.flatten(args)[0])  # the leaf that is the first number
        given = args if numbers is None else (*args, tuple(numbers))
        program, leaves = jitted.program(given, kwargs)
        self.slots, self.leaves = _slots(program, leaves)
        reassociate = program.options["reassociate"]
        self._about: dict[int, About] = {}
        self.loops = backend.lowered(program.function, reassociate, committed=program.committed, threaded=False)

    def at(self, numbers: Sequence[int] = ()) -> Peak:
        """The most bytes alive at once, with these numbers."""
        given = list(self.slots)
        for k, n in enumerate(numbers):
            if self.first + k in self.leaves:
                given[self.leaves[self.first + k]] = n
        return peak(self.loops, given, self._about)


def _slots(program: Program, leaves: Sequence[Any]) -> tuple[list[int | None], dict[int, int]]:
    """The integers in the table of arguments, and where those of scalar leaves are."""
    found: list[int | None] = []
    places: dict[int, int] = {}
    staged = program.staged
    for p, v in zip(staged.params, staged.function.params, strict=True):
        x = staged.captured[p.leaf] if p.kind == "captured" else leaves[p.leaf]
        if p.kind == "extent":
            found.append(int(np.shape(x)[p.axis]))
        elif isinstance(v.type, Array):
            found += [None] * (1 + v.type.rank)
        else:
            places[p.leaf] = len(found)
            found.append(None if v.type.dtype.is_float else int(x))
    return found, places


# --- the integer program ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Option:
    """What may be done with a loop, as the integer program sees it."""

    planned: bool
    again: frozenset[Named]
    seconds: float
    kept: float  # bytes from the forward sweep to the loop's return sweep
    passing: float  # bytes while the loop is swept back


def _first(loop: LoopInfo, n: int) -> frozenset[Named]:
    """The n results of which a byte takes least to be had again."""
    groups = sorted(loop.groups, key=lambda g: g.seconds / max(g.bytes, 1))
    return frozenset(g.name for g in groups[:n])


def _options(loop: LoopInfo) -> Iterator[_Option]:
    """Stored or checkpointed, and the first few results by seconds a byte run again; those no other one beats."""
    found: list[_Option] = []
    turns = max(loop.turns, 1)
    for n in range(len(loop.groups) + 1):
        again = _first(loop, n)
        stored = loop.logged(again)
        turn = sum(g.bytes for g in loop.groups if g.name in again) / turns
        found.append(_Option(False, again, loop.store(again), stored, turn))
        for block in _blocks(turns, 2.0):
            most = -(-turns // block)
            for slots in {min(s, most) for s in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 233, 1597, most)}:
                extra = loop.checkpoints(slots, block, again)
                found.append(_Option(True, again, extra, slots * loop.state, turn + block * stored / turns))
    found.sort(key=lambda o: (o.seconds, o.kept + o.passing))
    best: list[_Option] = []
    for o in found:
        if not any(b.kept <= o.kept and b.passing <= o.passing for b in best):
            best.append(o)
    yield from best


def _solved(
    options: Sequence[Sequence[_Option]], bound: float, without: Sequence[Choice] = ()
) -> tuple[_Option, ...] | None:
    """One option for each loop, the least seconds within the bound, not all as in a choice; None if there is none.

    minimise seconds   such that   all that is kept, and what passes of one loop, is at most the bound
    """
    flat = [(k, o) for k, those in enumerate(options) for o in those]
    if not options:
        return () if bound >= 0 else None
    count = len(options)
    each = sparse.csr_array(
        (np.ones(len(flat)), ([k for k, _ in flat], np.arange(len(flat)))), shape=(count, len(flat))
    )
    kept = np.array([o.kept for _, o in flat])
    passing = np.array([[o.passing if k == loop else 0.0 for k, o in flat] for loop in range(count)])
    seconds, scale = np.array([o.seconds for _, o in flat]), max(bound, 1.0)
    unit = max(float(seconds.max(initial=0.0)), 1e-30)
    same = [[float((o.planned, o.again) == (c.planned[k], c.again[k])) for k, o in flat] for c in without]
    found = optimize.milp(
        seconds / unit,
        constraints=[
            optimize.LinearConstraint(each, 1, 1),
            optimize.LinearConstraint((kept + passing) / scale, -np.inf, bound / scale),
            *([optimize.LinearConstraint(np.array(same), -np.inf, count - 1)] if same else []),
        ],
        integrality=np.ones(len(flat)),
        bounds=optimize.Bounds(0, 1),
        options={"mip_rel_gap": 1e-3},
    )
    if found.x is None:
        return None
    chosen = [flat[j][1] for j in np.flatnonzero(found.x > 0.5)]
    return tuple(chosen) if len(chosen) == count else None


# --- the search -------------------------------------------------------------------------------------------------------


class Planner:
    """Plans for one call; `make` gives the derivative for a policy's part of a plan, which takes the numbers last."""

    def __init__(
        self, make: Callable[[Choice], Jit], args: tuple[Any, ...], kwargs: dict[str, Any], disk: int = 0
    ) -> None:
        self.make, self.args, self.kwargs, self.disk = make, args, kwargs, disk
        self._footprints: dict[Choice, Footprint] = {}
        self._peaks: dict[tuple[Choice, tuple[int, ...]], int | None] = {}
        self.least: int | None = None  # bytes that a plan needs

    @cached_property
    def loops(self) -> list[LoopInfo]:
        found = loops(self.make(Choice((), ())), (*self.args, ()), self.kwargs)
        return [replace(loop, room=self.disk // len(found)) for loop in found]

    @cached_property
    def stored(self) -> Choice:
        """All stored."""
        return Choice((False,) * len(self.loops), (frozenset(),) * len(self.loops))

    @cached_property
    def smallest(self) -> list[Choice]:
        """Those among which the least memory is: all checkpointed, or none, and none or a few results run again."""
        count, most = len(self.loops), max((len(loop.groups) for loop in self.loops), default=0)
        firsts = [tuple(_first(loop, n) for loop in self.loops) for n in range(most + 1)]
        return [Choice((p,) * count, again) for p in (True, False) for again in firsts]

    def front(self, points: int = 12) -> list[Plan]:
        """The plans that none beats in both bytes and seconds, from storing all down to the least memory."""
        found: list[Plan] = []
        bound = 1 << 62
        while (plan := self.best(bound)) is not None and len(found) < points:
            while found and found[-1].extra >= plan.extra:
                found.pop()
            found.append(plan)
            least = self.least or 1
            bound = min(plan.bytes - 1, max(int(plan.bytes * (least / max(found[0].bytes, 1)) ** (1 / points)), least))
        return found

    @property
    def primal(self) -> float:
        """The seconds of the loops."""
        return sum(loop.seconds * loop.turns for loop in self.loops)

    def best(self, bound: int) -> Plan | None:
        """The plan that takes least time; None if there is none."""
        best = self.plan(self.stored, bound)
        if best is not None and best.extra <= 0:
            return best
        for choice, seconds in self.chosen(bound):
            if best is not None and best.extra <= seconds:
                break
            found = self.plan(choice, bound)
            if found is not None and (best is None or found.extra < best.extra):
                best = found
        if best is not None:
            return best
        plans = [p for c in self.smallest if (p := self.plan(c, bound)) is not None]
        return min(plans, key=lambda p: (p.extra, p.bytes), default=None)

    def chosen(self, bound: int) -> Iterator[tuple[Choice, float]]:
        """What the integer program chooses, each time another one, and the seconds that it takes that for."""
        options = [list(_options(loop)) for loop in self.loops]
        whole = self.peak(self.stored, ())
        other = (whole or 0) - sum(loop.logged(frozenset()) for loop in self.loops)
        room, tried = float(bound - max(other, 0)), [self.stored]
        for _ in range(ROUNDS):
            found = _solved(options, room, tried) if room > 0 and self.loops else None
            if found is None:
                return
            choice = Choice(tuple(o.planned for o in found), tuple(o.again for o in found))
            yield choice, sum(o.seconds for o in found)
            tried.append(choice)
            least = self.peak(choice, [1] * (2 * sum(choice.planned)))
            if least is None:
                return
            if least > bound:
                room -= max(least - bound, room / 8)

    def plan(self, choice: Choice, bound: int) -> Plan | None:
        """The best slots and blocks for a choice."""
        each = list(zip(self.loops, choice.planned, choice.again, strict=True))
        chosen = [(loop, names) for loop, planned, names in each if planned]
        stored = sum(loop.store(names) for loop, planned, names in each if not planned)
        numbers = [1] * (2 * len(chosen))
        least = self.peak(choice, numbers)
        if least is None:
            return None
        if self.least is None or least < self.least:
            self.least = least
        if least > bound:
            return None
        plans = []
        for shares in _shares(len(chosen)):
            tried = list(numbers)
            for k, share in enumerate(shares):
                before = self.peak(choice, tried) or 0
                self._fit(choice, chosen, k, tried, min(bound, before + (bound - least) * share // SHARES))
            for k in range(len(chosen)):  # what is left over
                self._fit(choice, chosen, k, tried, bound)
            pairs = list(zip(tried[::2], tried[1::2], chosen, strict=True))
            extra = sum(loop.checkpoints(slots, block, names) for slots, block, (loop, names) in pairs)
            filed = tuple(loop.filed(slots, block) for slots, block, (loop, _) in pairs)
            plans.append(Plan(choice, tuple(tried), self.peak(choice, tried) or 0, stored + extra, filed))
        return min(plans, key=lambda p: p.extra)

    def _fit(self, choice: Choice, chosen: Sequence[Rerun], k: int, numbers: list[int], bound: int) -> None:
        """The best slots and turns a block of one loop, the others' as they are; written into the numbers."""
        loop, names = chosen[k]
        slots, block = numbers[2 * k : 2 * k + 2]
        best = loop.checkpoints(slots, block, names), slots, block

        def at(slots: int, block: int) -> int:
            numbers[2 * k : 2 * k + 2] = slots, block
            return self.peak(choice, numbers) or 0

        def tried(block: int) -> tuple[float, int, int] | None:
            slots = most_slots(lambda slots: at(slots, block), max(-(-loop.turns // block), 1), bound)
            return (loop.checkpoints(slots, block, names), slots, block) if slots else None

        few = len(chosen) < 3  # else it is walked through less often
        for block in _blocks(loop.turns, 4 / 3 if few else 2.0):
            found = tried(block)
            if found is None:
                break
            best = min(best, found)
        about = best[2]
        for sixteenths in range(12, 24, 1 if few else 4):
            found = tried(max(about * sixteenths // 16, 1))
            best = best if found is None else min(best, found)
        numbers[2 * k : 2 * k + 2] = best[1:]

    def peak(self, choice: Choice, numbers: Sequence[int]) -> int | None:
        """The most bytes alive at once; None if the data decide."""
        if choice not in self._footprints:
            self._footprints[choice] = Footprint(self.make(choice), self.args, self.kwargs, numbers)
        key = choice, tuple(numbers)
        if key not in self._peaks:
            found = self._footprints[choice].at(numbers)
            self._peaks[key] = found.bytes if found.exact else None
        return self._peaks[key]


def most_slots(size: Callable[[int], int], most: int, bound: int) -> int:
    """The most slots, up to so many, whose size is within the bound, or nearly; 0 if there are none."""
    low, high = 1, most
    below, above = size(low), size(high)
    if below > bound:
        return 0
    if above <= bound:
        return most
    for _ in range(WALKS):
        if high - low < 2 or 64 * (bound - below) < bound:
            break
        middle = low + (bound - below) * (high - low) // (above - below)
        middle = min(max(middle, low + 1), high - 1)
        now = size(middle)
        if now <= bound:
            low, below = middle, now
        else:
            high, above = middle, now
    return low


def _blocks(turns: int, factor: float) -> Iterator[int]:
    """Sizes of blocks that are tried."""
    block = 1
    while block <= max(turns, 1):
        yield block
        block = max(block + 1, int(block * factor))


def _shares(count: int) -> Iterator[tuple[int, ...]]:
    """Ways to share out the memory: between two loops in eighths, among more alike."""
    if count != 2:
        yield (SHARES // max(count, 1),) * count
    else:
        yield from (s for s in product(range(1, SHARES), repeat=count) if sum(s) == SHARES)

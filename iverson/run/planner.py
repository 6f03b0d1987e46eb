"""Planning the tape of a call: which loops are stored and which checkpointed, within a bound on memory.

    minimise    the work that is done again
    over        for each outermost loop: stored, or checkpointed with s slots and blocks of b turns
    such that   what the call allocates at once, results included, is at most so many bytes

Work is the cost model's (core/costs.py) at the sizes of the call.  Memory is walked through in the very loops that are
compiled (backend/peak.py); on several threads these take no more.  Slots and turns a block are arguments, so a new size
needs no new program unless other loops are checkpointed.  The choices of loops are few, and all are tried (of more than
three loops: all, none, each alone, all but each); for each the best slots and blocks, memory shared out in eighths.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import comb
from typing import Any

import numpy as np

from iverson import backend
from iverson.backend.peak import Peak, peak
from iverson.core import costs
from iverson.core.bounds import Sizes
from iverson.core.rewrite import statements
from iverson.core.syntax import I64, Array, Block, Function, Library, Loop, Scalar, Site, Var
from iverson.diff.reverse import sequential
from iverson.diff.tape import Policy, outermost
from iverson.lang import state
from iverson.run.derive import NAME, Derivative, differentiable
from iverson.run.jit import Jit
from iverson.run.program import Program
from iverson.run.sizes import SizeNames

UNKNOWN_TURNS = 100_000  # of a loop whose turns the data decide, when plans are compared
SHARES = 8
BLOCK = 30  # what a block costs beside its turns, in operations


@dataclass(frozen=True)
class LoopInfo:
    """An outermost loop of what is differentiated, at the sizes of a call."""

    site: Site | None
    turns: int
    work: float  # of a turn
    again: bool  # its states are not kept by the forward sweep: one run more

    def extra(self, slots: int, block: int) -> float:
        """What checkpoints cost: the turns that are run again, and the blocks' own work."""
        blocks = -(-self.turns // block)
        runs = advances(blocks, slots) * block + self.turns * (2 if self.again else 1)
        return runs * self.work + blocks * BLOCK


def advances(blocks: int, slots: int) -> int:
    """How many blocks are run again before each has been recorded: t(l, c) - (l - 1), see diff/checkpoints.py."""
    if blocks < 1:
        return 0
    r = bisect_left(range(blocks), blocks, key=lambda r: comb(slots + r, slots))
    return (r * blocks - comb(slots + r, r - 1) if r else 0) - (blocks - 1)


@dataclass(frozen=True)
class Plan:
    """What to do with each outermost loop, and what that takes: bytes at once, work beyond that of storing all."""

    planned: tuple[bool, ...]
    numbers: tuple[int, ...]  # slots and turns a block of those that are checkpointed
    bytes: int
    extra: float

    def policy(self, told: Policy) -> Policy:
        return replace(told, budget=None, planned=self.planned if any(self.planned) else ())

    def decisions(self) -> list[str]:
        """In words, for each loop."""
        pairs = iter(zip(self.numbers[::2], self.numbers[1::2], strict=True))
        return ["checkpoint: {} slots, {} turns a block".format(*next(pairs)) if p else "store" for p in self.planned]


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
        self.loops = backend.lowered(program.function, reassociate, committed=program.committed, threaded=False)

    def at(self, numbers: Sequence[int] = ()) -> Peak:
        """The most bytes alive at once, with these numbers."""
        given = list(self.slots)
        for k, n in enumerate(numbers):
            if self.first + k in self.leaves:
                given[self.leaves[self.first + k]] = n
        return peak(self.loops, given)


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


# --- the loops --------------------------------------------------------------------------------------------------------


def loops(jitted: Jit, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[LoopInfo]:
    """The outermost loops of what is differentiated, at the sizes of a call."""
    staged = jitted.staged(args, kwargs, expanded=False)
    at = SizeNames(jitted, staged, args, kwargs).at
    outer = Sizes(staged.function)
    for let in staged.function.body:
        outer.bind(let)
        if isinstance(let.op, Library) and let.op.name == NAME:
            ((_, derivative),) = let.op.params
            assert isinstance(derivative, Derivative)
            primal = sequential(differentiable(derivative.function), derivative.wrt)
            given = zip(primal.params, let.op.args, strict=True)
            known = {p: outer.of(a) for p, a in given if p.type == Scalar(I64)}
            return _loops(primal, {p: s.value(at) for p, s in known.items() if all(v in at for v in s.variables())})
    raise TypeError("no budget can be planned for a function with results of lengths that it computes")


def _loops(primal: Function, at: dict[Var, int]) -> list[LoopInfo]:
    found = []
    sizes = Sizes(primal)
    for k, let in enumerate(primal.body):
        for loop in outermost(Block((let,), ())):
            turns = UNKNOWN_TURNS
            if isinstance(loop.op, Loop):
                extent = sizes.of(loop.op.extent)
                if all(v in at for v in extent.variables()):
                    turns = max(extent.value(at), 0)
            work = _work(primal, k, at) / max(turns, 1) if loop is let else 0.0
            again = loop is not let or not isinstance(loop.op, Loop)
            found.append(LoopInfo(loop.site, turns, work or len(list(statements(Block((loop,), ())))), again))
        sizes.bind(let)
    return found


def _work(primal: Function, k: int, at: dict[Var, int]) -> float:
    """Of statement k, at the sizes; 0 if it isn't known."""

    def until(j: int) -> float | None:
        work = costs.cost(replace(primal, body=Block(primal.body.lets[:j], ()))).work
        return work.value(at) if all(v in at for v in work.variables()) else None

    before, after = until(k), until(k + 1)
    return 0.0 if before is None or after is None else after - before


# --- the search -------------------------------------------------------------------------------------------------------


class Planner:
    """Plans for one call; `make` gives the derivative for a choice of loops, which takes the numbers last."""

    def __init__(self, make: Callable[[tuple[bool, ...]], Jit], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.make, self.args, self.kwargs = make, args, kwargs
        self._footprints: dict[tuple[bool, ...], Footprint] = {}
        self._peaks: dict[tuple[tuple[bool, ...], tuple[int, ...]], int | None] = {}
        self.least: int | None = None  # bytes that a plan needs

    @cached_property
    def loops(self) -> list[LoopInfo]:
        return loops(self.make(()), (*self.args, ()), self.kwargs)

    def choices(self) -> Iterator[tuple[bool, ...]]:
        """Which loops are checkpointed: none first, all last."""
        count = len(self.loops)
        if count <= 3:
            yield from sorted(product((False, True), repeat=count), key=sum)
            return
        one = [tuple(j == k for j in range(count)) for k in range(count)]
        but = [tuple(j != k for j in range(count)) for k in range(count)]
        yield from (tuple([False] * count), *one, *but, tuple([True] * count))

    def front(self, points: int = 12) -> list[Plan]:
        """The plans that none beats in both bytes and work, from storing all down to the least memory."""
        found: list[Plan] = []
        bound = 1 << 62
        while (plan := self.best(bound)) is not None and len(found) < points:
            found.append(plan)
            least = self.least or 1
            bound = min(plan.bytes - 1, max(int(plan.bytes * (least / max(found[0].bytes, 1)) ** (1 / points)), least))
        return found

    @property
    def primal(self) -> float:
        """The work of the loops."""
        return sum(loop.work * loop.turns for loop in self.loops)

    def best(self, bound: int) -> Plan | None:
        """The plan with the least work; None if there is none."""
        plans = []
        for planned in self.choices():
            plan = self.plan(planned, bound)
            if plan is not None:
                plans.append(plan)
                if plan.extra == 0:
                    break
        return min(plans, key=lambda p: (p.extra, p.bytes), default=None)

    def plan(self, planned: tuple[bool, ...], bound: int) -> Plan | None:
        """The best slots and blocks for a choice of loops."""
        chosen = [loop for loop, p in zip(self.loops, planned, strict=True) if p]
        numbers = [1] * (2 * len(chosen))
        least = self.peak(planned, numbers)
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
                before = self.peak(planned, tried) or 0
                self._fit(planned, chosen, k, tried, min(bound, before + (bound - least) * share // SHARES))
            for k in range(len(chosen)):  # what is left over
                self._fit(planned, chosen, k, tried, bound)
            extra = sum(c.extra(tried[2 * k], tried[2 * k + 1]) for k, c in enumerate(chosen))
            plans.append(Plan(planned, tuple(tried), self.peak(planned, tried) or 0, extra))
        return min(plans, key=lambda p: p.extra)

    def _fit(
        self, planned: tuple[bool, ...], chosen: Sequence[LoopInfo], k: int, numbers: list[int], bound: int
    ) -> None:
        """The best slots and turns a block of one loop, the others' as they are; written into the numbers."""
        loop, best = chosen[k], (chosen[k].extra(*numbers[2 * k : 2 * k + 2]), *numbers[2 * k : 2 * k + 2])

        def at(slots: int, block: int) -> int:
            numbers[2 * k : 2 * k + 2] = slots, block
            return self.peak(planned, numbers) or 0

        for block in _blocks(loop.turns):
            first = at(1, block)
            if first > bound:
                break
            most = max(-(-loop.turns // block), 1)
            each = max(at(2, block) - first, 1)
            slots = max(1, min(most, 1 + (bound - first) // each))
            while slots > 1 and (over := at(slots, block) - bound) > 0:
                slots = max(1, slots - max(1, over // each))
            best = min(best, (loop.extra(slots, block), slots, block))
        numbers[2 * k : 2 * k + 2] = best[1:]

    def peak(self, planned: tuple[bool, ...], numbers: Sequence[int]) -> int | None:
        """The most bytes alive at once; None if the data decide."""
        if planned not in self._footprints:
            jitted = self.make(planned if any(planned) else ())
            self._footprints[planned] = Footprint(jitted, self.args, self.kwargs, numbers)
        key = planned, tuple(numbers)
        if key not in self._peaks:
            found = self._footprints[planned].at(numbers)
            self._peaks[key] = found.bytes if found.exact else None
        return self._peaks[key]


def _blocks(turns: int) -> Iterator[int]:
    """Sizes of blocks that are tried."""
    block = 1
    while block <= max(turns, 1):
        yield block
        block = max(block + 1, block * 4 // 3)


def _shares(count: int) -> Iterator[tuple[int, ...]]:
    """All ways to share out the memory."""
    if count < 2:
        yield (SHARES,) * count
    else:
        yield from (s for s in product(range(1, SHARES), repeat=count) if sum(s) == SHARES)

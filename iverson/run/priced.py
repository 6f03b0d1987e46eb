"""The outermost loops of what is differentiated, at the sizes of a call, with the prices that a plan chooses by.

Turns, the time of one, the bytes of a state, and what a gradient keeps of the turns: what it must keep (what is
carried, what is overwritten), and the results of nested statements, each of which may run again instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from iverson.core import costs
from iverson.core.bounds import Sizes
from iverson.core.build import dtype_of, extents_of
from iverson.core.rewrite import free, single_update, statements, uses
from iverson.core.sizes import Size
from iverson.core.syntax import (
    I64,
    Accumulate,
    Atom,
    Block,
    Function,
    Let,
    Library,
    Loop,
    Read,
    Scalar,
    Site,
    Var,
    While,
)
from iverson.diff import inventory
from iverson.diff.cheap import operations
from iverson.diff.reverse import sequential
from iverson.diff.sampled import written_out
from iverson.diff.tape import Named, Policy, named, outermost
from iverson.opt.pipeline import optimise
from iverson.run import rates
from iverson.run.derive import NAME, Derivative, differentiable
from iverson.run.jit import Jit
from iverson.run.sizes import SizeNames

UNKNOWN_TURNS = 100_000  # of a loop whose turns the data decide, when plans are compared


@dataclass(frozen=True)
class Group:
    """Results of nested statements of one name and line: kept, or run again in the return sweep."""

    name: Named
    bytes: int  # of all turns
    seconds: float  # to run them again


@dataclass(frozen=True)
class LoopInfo:
    """An outermost loop."""

    site: Site | None
    turns: int
    seconds: float  # of a turn
    again: bool  # its states are not kept by the forward sweep: one run more
    state: int = 0  # bytes of what it carries
    kept: int = 0  # bytes of all turns that a gradient keeps in any case
    groups: tuple[Group, ...] = ()
    room: int = 0  # bytes for states in a file

    def filed(self, slots: int, block: int) -> int:
        """How many states are in a file, beside those in memory."""
        count = -(-self.turns // block)
        return min(self.room // self.state, max(count - slots, 0)) if self.state else 0

    def logged(self, rerun: frozenset[Named]) -> int:
        """The bytes that a gradient keeps of all turns, if these results run again."""
        return self.kept + sum(g.bytes for g in self.groups if g.name not in rerun)

    def store(self, rerun: frozenset[Named]) -> float:
        """What it costs to keep that, and to run these results again."""
        return self._rerun(rerun) + rates.memory(self.logged(rerun))

    def checkpoints(self, slots: int, block: int, rerun: frozenset[Named]) -> float:
        """What checkpoints cost: the turns that are run again, the blocks' own work, and what each of them keeps."""
        count = -(-self.turns // block)
        filed = self.filed(slots, block)
        runs = advances(count, slots + filed) * block + self.turns * (2 if self.again else 1)
        states = rates.blocks(count, self.state) + rates.memory(min(slots, count) * self.state)
        states += rates.files(filed * self.state)
        logs = count * rates.memory(block * self.logged(rerun) / max(self.turns, 1), rates.LOGS)
        return runs * self.seconds + states + logs + self._rerun(rerun)

    def _rerun(self, names: frozenset[Named]) -> float:
        return sum(g.seconds for g in self.groups if g.name in names)


def advances(blocks: int, slots: int) -> int:
    """How many blocks are run again before each has been recorded: t(l, c) - (l - 1), see diff/checkpoints.py.

    The least r with C(slots + r, slots) >= blocks is found without large binomials.
    """
    if blocks < 1 or slots >= blocks:
        return 0
    if slots == 1:
        return (blocks - 1) * (blocks - 2) // 2
    low, high = 0, 1
    while _at_most(slots, high) < blocks:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _at_most(slots, middle) >= blocks else (middle, high)
    r = high if blocks > 1 else 0
    return (r * blocks - _binomial(slots + r, r - 1) if r else 0) - (blocks - 1)


def _at_most(slots: int, r: int) -> int:
    """C(slots + r, r), the turns that so many slots and runs reach."""
    return _binomial(slots + r, min(slots, r))


def _binomial(n: int, k: int) -> int:
    k = min(k, n - k)
    found = 1
    for j in range(1, k + 1):
        found = found * (n - k + j) // j
        if found > 1 << 200:  # more than any number of turns
            return found
    return found


# --- of a call --------------------------------------------------------------------------------------------------------


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
            ready = differentiable(derivative.function)
            primal = sequential(ready, derivative.wrt)
            given = zip(primal.params, let.op.args, strict=True)
            known = {p: outer.of(a) for p, a in given if p.type == Scalar(I64)}
            sizes = {p: s.value(at) for p, s in known.items() if all(v in at for v in s.variables())}
            numbered = {k: sizes[p] for k, p in enumerate(primal.params) if p in sizes}
            return _with_kept(_loops(primal, numbered), ready, derivative, numbered)
    raise TypeError("no budget can be planned for a function with results of lengths that it computes")


@dataclass(frozen=True)
class _Found:
    info: LoopInfo
    names: frozenset[Named]  # of the statements in it


def _loops(primal: Function, numbered: Mapping[int, int]) -> list[_Found]:
    """Those of a function, some of whose parameters are known."""
    found = []
    sizes, at = Sizes(primal), {primal.params[k]: n for k, n in numbered.items()}
    whole = _compiled(primal, numbered)
    for k, let in enumerate(primal.body):
        for loop in outermost(Block((let,), ())):
            assert isinstance(loop.op, Loop | While)
            turns = UNKNOWN_TURNS
            if isinstance(loop.op, Loop):
                turns = max(_value(sizes.of(loop.op.extent), at, UNKNOWN_TURNS), 0)
            seconds = 0.0
            if loop is let:
                seconds = (whole[k] if k in whole else _seconds(primal, k, at)) / max(turns, 1)
            state = sum(
                prod(_value(sizes.of(e), at, 1) for e in extents_of(c)) * np.dtype(dtype_of(c).value).itemsize
                for c in loop.op.carry
                if extents_of(c)
            )
            inside = list(statements(Block((loop,), ())))
            seconds = seconds or rates.run(0, len(inside))
            again = loop is not let or not isinstance(loop.op, Loop)
            names = frozenset(named(s) for s in inside if s.vars)
            found.append(_Found(LoopInfo(loop.site, turns, seconds, again, state), names))
        sizes.bind(let)
    return found


def _compiled(primal: Function, numbered: Mapping[int, int]) -> dict[int, float]:
    """The seconds of the loops among a function's statements, as it is compiled; none if they are others then."""
    made = optimise(primal)
    at = {made.params[k]: n for k, n in numbered.items()}
    mine, theirs = ([k for k, let in enumerate(f.body) if isinstance(let.op, Loop | While)] for f in (primal, made))
    if [primal.body.lets[k].site for k in mine] != [made.body.lets[k].site for k in theirs]:
        return {}
    return {k: _seconds(made, other, at) for k, other in zip(mine, theirs, strict=True)}


def _value(s: Size, at: Mapping[Var, int], otherwise: int) -> int:
    return s.value(at) if all(v in at for v in s.variables()) else otherwise


def _seconds(primal: Function, k: int, at: Mapping[Var, int]) -> float:
    """Of statement k, at the sizes; 0 if that isn't known."""

    def until(j: int) -> float | None:
        found = costs.cost(replace(primal, body=Block(primal.body.lets[:j], ())), PRICES)
        if not all(v in at for s in (found.work, found.span) for v in s.variables()):
            return None
        return rates.run(found.work.value(at), found.span.value(at))

    before, after = until(k), until(k + 1)
    return 0.0 if before is None or after is None else after - before


def _with_kept(
    found: Sequence[_Found], ready: Function, derivative: Derivative, sizes: Mapping[int, int]
) -> list[LoopInfo]:
    """The loops with what a gradient keeps of them; `sizes` are the values of parameters."""
    policy = Policy(mode=derivative.policy.mode)
    made, kept = inventory.residuals(ready, derivative.wrt, policy=policy)
    measured = costs.cost(made)
    at = {made.params[k]: n for k, n in sizes.items()}
    lines = [{line for _, line in f.names} | ({f.info.site.line} if f.info.site else set()) for f in found]
    must = [0] * len(found)
    groups: list[dict[Named, Group]] = [{} for _ in found]
    for r in kept:
        if r.how == "re-run":
            continue
        total = [_bytes(measured, v, at) for v in r.arrays]
        where = next((k for k, ls in enumerate(lines) if r.site and r.site.line in ls), None)
        if where is None or None in total:
            continue
        size = sum(n for n in total if n is not None)
        seconds = _again(r, size, at) if r.made is not None and r.arrays[0] not in r.made.vars else None
        if seconds is None or r.made is None:
            must[where] += size
            continue
        key = named(r.made)
        before = groups[where].get(key, Group(key, 0, 0.0))
        groups[where][key] = Group(key, before.bytes + size, before.seconds + seconds)
    return [replace(f.info, kept=m, groups=tuple(g.values())) for f, m, g in zip(found, must, groups, strict=True)]


def _bytes(measured: costs.Cost, v: Var, at: Mapping[Var, int]) -> int | None:
    count = measured.elements(v)
    known = all(x in at for x in count.variables())
    return count.value(at) * np.dtype(dtype_of(v).value).itemsize if known else None


def _again(r: inventory.Residual, size: int, at: Mapping[Var, int]) -> float | None:
    """The seconds that a stored result takes to be had again, all of its entries."""
    if r.made is None or r.how != "stored":
        return None
    once = costs.cost(alone(r.made), PRICES)
    each = prod(at.get(e, 1) if isinstance(e, Var) else int(e.value) for e in extents_of(r.made.vars[0]))
    if not all(v in at for s in (once.work, once.span) for v in s.variables()) or not each:
        return None
    item = np.dtype(dtype_of(r.made.vars[0]).value).itemsize
    return rates.run(once.work.value(at), once.span.value(at)) * size / (item * each)


def alone(let: Let) -> Function:
    """A statement for itself."""
    statement = written_out(Block((let,), ()))
    return Function(tuple(free(statement)), statement)


def _overlaps(op: Loop) -> bool:
    """Does each turn of a loop read, of the arrays that it updates, only the element that it updates?"""
    of = {c: c for c in op.carry}
    places: dict[Var, set[tuple[Atom, ...]]] = {c: set() for c in op.carry}
    for let in op.body:
        update = single_update(let.op)
        if update is not None and isinstance(let.op, Accumulate) and (x := let.op.inits[0][0]) in of:
            of[let.vars[0]] = of[x]  # type: ignore[index]
            places[of[x]].add(update.index)  # type: ignore[index]
        elif isinstance(let.op, Read) and let.op.array in of:
            places[of[let.op.array]].add(let.op.index)
        elif any(v in of for v in uses(let)):
            return False
    handed = all(isinstance(a, Var) and of.get(a) is c for c, a in zip(op.carry, op.body.outs, strict=False))
    made = {op.index, *(v for let in op.body for v in let.vars)}
    return handed and all(len(at) == 1 and not made.isdisjoint(*at) for at in places.values())


PRICES = costs.Prices(operations, _overlaps)

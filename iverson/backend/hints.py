"""What LLVM is told of a loop, one row for each of its tags: metadata of the branch that closes it.

apart, vector    no turn touches what another does (`group` names the accesses)
vector           a vector, as it is
simd             a short one is a vector; one that only adds up is written out, so that its sums stay in registers
few              too few turns for a vector
cold             it stays as it is

Whatever its tag, a loop around others is not unrolled, unless it has few turns, nor is a long innermost one as often as
LLVM likes (its limit is hundreds of instructions): that compiles for long and gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from iverson.backend.arithmetic import is_elementary, side_by_side
from iverson.backend.lanes import LANES
from iverson.backend.loopir import Compute, For, Stmt, While, blocks, walk
from iverson.backend.nests import innermost
from iverson.core.syntax import Literal

SHORT = 8  # statements of a loop over lanes, so few that all accumulators of it may be registers
LONG = 12  # statements of a loop of which several turns in a row are no faster
FEW = 8  # turns of a loop around others that may be written out
WRITTEN = 1000  # statements that such a nest is written out to, at most
FUNCTION = 50  # statements that an elementary function counts as
ONE_BY_ONE = '!{!"llvm.loop.unroll.disable"}'


def hints(loop: For, group: str, node: Callable[[str], str]) -> list[str]:
    """The texts of a loop's metadata; `node` adds metadata to the module and gives its name."""
    found = [f'!{{!"llvm.loop.parallel_accesses", {group}}}'] if group else []
    turns = int(loop.high.value) if isinstance(loop.high, Literal) else None
    few = loop.tag == "simd" and turns is not None and turns < LANES
    if loop.tag == "vector" or (few and side_by_side(loop)):
        assert turns is not None
        found += [_width(turns), ONE_BY_ONE]  # it would be written out before
    elif loop.tag == "simd" and turns == LANES and len(loop.body) <= SHORT:
        whole = node('!{!"llvm.loop.unroll.full"}')
        found.append(f'!{{!"llvm.loop.vectorize.followup_vectorized", {whole}}}')
    elif loop.tag == "few":
        found.append(_width(1))
    elif loop.tag == "cold":
        found += [ONE_BY_ONE, '!{!"llvm.loop.vectorize.enable", i1 false}']
    return found if ONE_BY_ONE in found else found + _unrolling(loop, turns)


def _unrolling(loop: For, turns: int | None) -> list[str]:
    if not innermost(loop):
        if turns is None or turns > FEW:
            return [ONE_BY_ONE]
        return ['!{!"llvm.loop.unroll.full"}'] if _size([loop]) <= WRITTEN else []
    long = sum(1 for _ in walk(loop.body)) > LONG
    return ['!{!"llvm.loop.unroll.runtime.disable"}'] if long else []


def _width(lanes: int) -> str:
    return f'!{{!"llvm.loop.vectorize.width", i32 {lanes}}}'


def _size(body: list[Stmt]) -> float:
    """The statements of a body, those of a loop's turns counted one by one; a function of many instructions as many."""
    total = 0.0
    for s in body:
        turns = math.inf if isinstance(s, While) else 1.0
        if isinstance(s, For):
            known = isinstance(s.low, Literal) and isinstance(s.high, Literal)
            turns = float(s.high.value) - float(s.low.value) if known else math.inf  # type: ignore[union-attr]
        inner = sum(map(_size, blocks(s)))
        total += turns * inner if inner else FUNCTION if isinstance(s, Compute) and is_elementary(s.name) else 1
    return total

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

from collections.abc import Callable

from iverson.backend.arithmetic import side_by_side
from iverson.backend.lanes import LANES
from iverson.backend.loopir import For, walk
from iverson.backend.nests import innermost
from iverson.core.syntax import Literal

SHORT = 8  # statements of a loop over lanes, so few that all accumulators of it may be registers
LONG = 12  # statements of a loop of which several turns in a row are no faster
FEW = 8  # turns of a loop around others that LLVM may write out
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
        return [] if turns is not None and turns <= FEW else [ONE_BY_ONE]
    long = sum(1 for _ in walk(loop.body)) > LONG
    return ['!{!"llvm.loop.unroll.runtime.disable"}'] if long else []


def _width(lanes: int) -> str:
    return f'!{{!"llvm.loop.vectorize.width", i32 {lanes}}}'

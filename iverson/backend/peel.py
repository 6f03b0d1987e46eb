"""The edges of a loop are peeled: what its index decides is decided outside.

    for i in 0..n any:                        edge = min 1 n
        if 0 < i: a[i - 1] += u    ->         for i in 0..edge any: b[i] += v
        b[i] += v                             for i in edge..n any: a[i - 1] += u; b[i] += v

where all branches of the loop compare its index with a bound near one of its ends, so that straight lines are left,
which run in lanes.  If there are bounds at both ends, the loop is cut only where it is longer than they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from iverson.backend import loopir as ir
from iverson.backend.invariance import drop_unused, folded
from iverson.backend.loopir import Carry, Compute, For, If, Join, Load, Program, Reg, Stmt, Store, Value, integer
from iverson.backend.places import Form, Places
from iverson.backend.rewrite import rewrite
from iverson.core.syntax import BOOL, I64, Literal

MOST = 60  # statements of a loop that is peeled
NEAR = 8  # turns from an end
CUTS = 2  # places where a loop is cut

_FLAT = Compute | ir.Combine | Load | Store
_MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def run(program: Program) -> None:
    """Rewrite a program in place."""
    places = Places(program.body)
    rewrite(program.body, lambda stmt: _peeled(stmt, places) if isinstance(stmt, For) and stmt.tag == "any" else None)


@dataclass(frozen=True, order=True)
class _Cut:
    """A turn: so many behind the first one, or behind the last one."""

    from_end: bool
    offset: int


@dataclass(frozen=True)
class _Side:
    """What a condition on the index is in the parts between some cuts."""

    cuts: tuple[_Cut, ...]
    truths: tuple[bool, ...]

    def behind(self, passed: Sequence[_Cut]) -> Literal:
        return Literal(self.truths[sum(c in passed for c in self.cuts)], BOOL)


def _peeled(loop: For, places: Places) -> list[Stmt] | None:
    """A loop in parts in which its branches are decided; None if its index doesn't decide them all."""
    branches = [s for s in loop.body if isinstance(s, If)]
    rest = [s for s in ir.walk(loop.body) if s not in branches]
    if not branches or not all(isinstance(s, _FLAT) for s in rest) or len(rest) > MOST:
        return None
    sides: dict[Reg, _Side] = {}
    for branch in branches:
        side = _side(loop, branch.pred, places)
        if side is None or not isinstance(branch.pred, Reg):
            return None
        sides[branch.pred] = side
    cuts = sorted({c for s in sides.values() for c in s.cuts})
    if len(cuts) > CUTS:
        return None
    lets, edges = _edges(loop, cuts)
    ends = [loop.low, *edges, loop.high]
    parts: list[For] = []
    for k, (low, high) in enumerate(pairwise(ends)):
        inits = [c.out for c in parts[-1].carries] if parts else [c.init for c in loop.carries]
        parts.append(_part(loop, low, high, {r: side.behind(cuts[:k]) for r, side in sides.items()}, inits))
    apart = cuts[0].from_end == cuts[-1].from_end
    out = [*lets, *(_whole if apart else _guarded)(loop, parts, edges)]
    places.learn(out)
    return out


def _side(loop: For, pred: Value, places: Places) -> _Side | None:
    """How a condition depends on the index of a loop; None if not by one bound near one of its ends."""
    made = places.computed.get(pred) if isinstance(pred, Reg) else None
    if made is None or made.name not in _MIRRORED or any(ir.type_of(a) is not I64 for a in made.args):
        return None
    difference, name = places.form(made.args[0]).plus(places.form(made.args[1]), -1), made.name
    if difference.coefficient(loop.index) == -1:
        difference, name = Form().plus(difference, -1), _MIRRORED[name]
    if difference.coefficient(loop.index) != 1:
        return None
    bound = Form(((loop.index, 1),)).plus(difference, -1)  # index (name) bound
    for end in (loop.low, loop.high):
        offset = bound.plus(places.form(end), -1)
        if not offset.terms and abs(offset.constant) <= NEAR:
            here, behind = (_Cut(end is loop.high, offset.constant + k) for k in (0, 1))
            if name in ("eq", "ne"):
                return _Side((here, behind), (name == "ne", name == "eq", name == "ne"))
            before = name in ("lt", "le")
            return _Side((here if name in ("lt", "ge") else behind,), (before, not before))
    return None


def _edges(loop: For, cuts: Sequence[_Cut]) -> tuple[list[Stmt], list[Value]]:
    """Where a loop is cut, and what computes it: between its ends."""
    lets: list[Stmt] = []
    made = partial(folded, lets, hint="edge")

    def edge(cut: _Cut) -> Value:
        end = loop.high if cut.from_end else loop.low
        return made("min", made("max", made("add", end, integer(cut.offset)), loop.low), loop.high)

    return lets, [edge(cut) for cut in cuts]


def _whole(loop: For, parts: list[For], _: Sequence[Value]) -> list[Stmt]:
    """The parts, after which the loop's results have their names."""
    for c, end in zip(loop.carries, parts[-1].carries, strict=True):
        end.out = c.out
    return [*parts]


def _guarded(loop: For, parts: list[For], edges: Sequence[Value]) -> list[Stmt]:
    """The parts where they are in order, else the loop."""
    ordered = Reg(BOOL, "long")
    joins: list[Join] = []
    for c, end in zip(loop.carries, parts[-1].carries, strict=True):
        out, c.out = c.out, Reg(c.out.type, c.out.hint)
        joins.append(Join(out, end.out, c.out))
    return [Compute(ordered, "le", (edges[0], edges[1])), If(ordered, [*parts], [loop], joins)]


def _part(loop: For, low: Value, high: Value, sides: Mapping[Reg, Literal], inits: Sequence[Value]) -> For:
    """The turns from low to high, with the side that is taken in place of each branch."""
    body: list[Stmt] = []
    env: dict[Reg, Value] = {loop.index: Reg(I64, loop.index.hint)}
    env.update((c.reg, Reg(c.reg.type, c.reg.hint)) for c in loop.carries)
    for stmt in loop.body:
        if not isinstance(stmt, If):
            body += _fresh([stmt], env)
            continue
        assert isinstance(stmt.pred, Reg)
        taken = bool(sides[stmt.pred].value)
        body += _fresh(stmt.then if taken else stmt.orelse, env)
        for j in stmt.joins:
            v = j.then if taken else j.orelse
            env[j.out] = env.get(v, v) if isinstance(v, Reg) else v
    carries: list[Carry] = []
    for c, init in zip(loop.carries, inits, strict=True):
        (new,) = ir.renamed([replace(loop, carries=[c], body=[])], env)
        assert isinstance(new, For)
        carries.append(replace(new.carries[0], init=init, out=Reg(c.out.type, c.out.hint)))
    index = env[loop.index]
    assert isinstance(index, Reg)
    drop_unused(body, {c.next for c in carries})
    return replace(loop, index=index, low=low, high=high, body=body, carries=carries)


def _fresh(body: Sequence[Stmt], env: dict[Reg, Value]) -> list[Stmt]:
    """Statements once more, with registers of their own."""
    env.update((r, Reg(r.type, r.hint)) for s in body for r in ir.defined(s))
    return ir.renamed([replace(s) for s in body], env)

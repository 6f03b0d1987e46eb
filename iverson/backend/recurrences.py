"""Recurrences: what a turn leaves in memory for the next stays in a register, and the chain from turn to turn is short.

    for i seq:                                  before = x[low]
        x[i + 1] = (x[i] + b[i]) / 9     ->     for i seq; before:
                                                    after = (before + b[i]) * (1 / 9)
                                                    x[i + 1] = after
                                                    next before <- after

A load is what the turn before stored, if nothing that is stored between may be there (backend/places.py).  A machine
divides in more than twice the time of a product, and in a recurrence all of it is waited for; so if sums may be
reassociated, what is carried is multiplied by the inverse of a constant, rounded once more: if that is no subnormal
number, zeros, infinities and NaN are what they were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from iverson.backend import loopir as ir
from iverson.backend.loopir import Carry, Compute, For, If, Join, Load, Program, Reg, Stmt, Store, Value, While
from iverson.backend.places import Form, Places
from iverson.backend.rewrite import rewrite
from iverson.core.syntax import BOOL, F32, F64, DType, Literal

_FLAT = Compute | ir.Combine | Load | Store
MOST = 12  # elements that a loop carries
LEAST = {F64: 2.0**-1022, F32: 2.0**-126}


def run(program: Program, reassociate: bool) -> None:
    """Rewrite the sequential loops of a program, in place."""
    places = Places(program.body)

    def rule(stmt: Stmt) -> list[Stmt]:
        new = [stmt]
        if isinstance(stmt, For) and stmt.tag == "seq" and all(isinstance(s, _FLAT) for s in stmt.body):
            new = _carried(stmt, places)
        for loop in ir.walk(new) if reassociate and isinstance(stmt, For | While) else ():
            if isinstance(loop, While) or (isinstance(loop, For) and loop.tag == "seq"):
                loop.body[:] = _multiplied(loop)
        return new

    rewrite(program.body, rule)


# --- elements ---------------------------------------------------------------------------------------------------------


def _carried(loop: For, places: Places) -> list[Stmt]:
    """The loop with the elements that it stores in one turn and loads in the next in registers."""
    found: dict[Load, Value] = {}
    for at, load in enumerate(loop.body):
        if isinstance(load, Load) and len(found) < MOST and (left := _left_before(loop, at, load, places)) is not None:
            found[load] = left
    if not found:
        return [loop]
    before: list[Stmt] = []
    carries = list(loop.carries)
    for load, left in found.items():
        lets, first = _at_first(loop, load)
        before += [*lets, first]
        carries.append(Carry(load.out, first.out, left, Reg(load.out.type, load.out.hint)))
    new = replace(loop, body=[s for s in loop.body if s not in found], carries=carries)
    turns = Reg(BOOL, "turns")
    joins: list[Join] = []
    for c in new.carries[: len(loop.carries)]:
        inner = Reg(c.out.type, c.out.hint)
        joins.append(Join(c.out, inner, c.init))
        new.carries[new.carries.index(c)] = replace(c, out=inner)
    guarded = If(turns, [*before, new], [], joins)
    places.learn([guarded])
    return [Compute(turns, "lt", (loop.low, loop.high)), guarded]


def _left_before(loop: For, at: int, load: Load, places: Places) -> Value | None:
    """What the turn before left at the place of a load; None if that isn't known."""
    before = Form(((loop.index, 1),), -1)
    inside = {r for s in loop.body for r in ir.defined(s)} | {c.reg for c in loop.carries}
    here = [places.form(v) for v in load.view.prefix]
    if load.view.buffer.pointer in inside or any(r in inside for form in here for r, _ in form.terms):
        return None
    if not all(places.apart(s.view, load.view) for s in loop.body[:at] if isinstance(s, Store)):
        return None
    for k, store in reversed(list(enumerate(loop.body))):
        if isinstance(store, Store) and store.view.buffer is load.view.buffer:
            there = [places.form(v).with_(loop.index, before) for v in store.view.prefix]
            if there == here and ir.type_of(store.value) == load.out.type:
                later = [s for s in loop.body[k + 1 :] if isinstance(s, Store)]
                return store.value if all(places.apart(s.view, store.view) for s in later) else None
    return None


def _at_first(loop: For, load: Load) -> tuple[list[Stmt], Load]:
    """The load of the first turn, and what computes its place."""
    needed = {v for v in load.view.prefix if isinstance(v, Reg)}
    lets: list[Stmt] = []
    for s in reversed(loop.body):
        if isinstance(s, Compute) and s.out in needed:
            lets.insert(0, s)
            needed.update(v for v in s.args if isinstance(v, Reg))
    env: dict[Reg, Value] = {loop.index: loop.low}
    made: list[Stmt] = []
    for s in [*lets, load]:
        (new,) = ir.renamed([s], env)
        assert isinstance(new, Compute | Load) and isinstance(s, Compute | Load)
        env[s.out] = out = Reg(s.out.type, s.out.hint)
        made.append(replace(new, out=out))
    first = made.pop()
    assert isinstance(first, Load)
    return made, first


# --- divisions --------------------------------------------------------------------------------------------------------


def _multiplied(loop: For | While) -> list[Stmt]:
    """The body with the divisions of its chains by constants as products."""
    late = _reached(loop.body, {c.reg for c in loop.carries})
    wanted = {c.next for c in loop.carries if isinstance(c.next, Reg)}
    for s in reversed(loop.body):
        if isinstance(s, Compute | ir.Combine) and s.out in wanted:
            wanted.update(v for v in ir.used(s) if isinstance(v, Reg))
    return [_product(s) if isinstance(s, Compute) and s.out in late & wanted else s for s in loop.body]


def _reached(body: Iterable[Stmt], start: set[Reg]) -> set[Reg]:
    """The scalars that depend on some registers."""
    found = set(start)
    for s in body:
        if isinstance(s, Compute | ir.Combine) and not found.isdisjoint(v for v in ir.used(s) if isinstance(v, Reg)):
            found.add(s.out)
    return found


def _product(s: Compute) -> Compute:
    if s.name != "div" or not isinstance(s.args[1], Literal) or not isinstance(s.out.type, DType):
        return s
    divisor, least = float(s.args[1].value), LEAST.get(s.out.type, math.inf)
    if not least <= abs(divisor) <= 1.0 / least / 2.0 or not math.isfinite(divisor):
        return s
    return replace(s, name="mul", args=(s.args[0], Literal(_rounded(1.0 / divisor, s.out.type), s.out.type)))


def _rounded(x: float, dtype: DType) -> float:
    return float(np.float32(x)) if dtype is F32 else x

"""Where a turn only asks which of its results is larger, the answer is kept, and not the results.

    a = Σ_j ..                                       a = Σ_j ..
    b = if .. { .. }                                 b = if .. { .. }
    y = max a b               a and b kept    ->     p = lt a b                 p kept: a bool
    x = set x { [e] <- y }                           y = max a b                ȳ goes to b if p, else to a
                                                     x = set x { [e] <- y }

a and b are results of nested statements, which a return sweep has only if they are kept, and needs for no more than
that comparison: all that becomes of them are comparisons, maxima and minima, sums, choices, and elements that are set.
The same goes for comparisons that the program makes itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from iverson.core.build import results
from iverson.core.rewrite import map_blocks, single_update, uses, with_body, with_lets
from iverson.core.syntax import (
    F32,
    F64,
    Block,
    Check,
    Contribute,
    For,
    Function,
    Let,
    Loop,
    Prim,
    Read,
    Scalar,
    Var,
    While,
)
from iverson.diff.activity import is_float
from iverson.diff.cheap import tiny
from iverson.diff.sampled import is_mask

LARGER = {"max": "lt", "min": "gt"}  # -> when the second is chosen
FLOATS = (Scalar(F32), Scalar(F64))
LINEAR = ("add", "sub", "neg", "select")


@dataclass
class Choices:
    """The comparisons that are kept, and by which of them a maximum or minimum chose its second argument."""

    kept: set[Var] = field(default_factory=set)
    by: dict[Var, Var] = field(default_factory=dict)


def chosen(function: Function) -> tuple[Function, Choices]:
    """The function with comparisons beside maxima and minima, and what is kept of them."""
    found = Choices()

    def block(b: Block, turning: bool) -> Block:
        answers = set(_Turn(b).answers()) if turning else set()
        lets: list[Let] = []
        for let in b:
            inside = turning or isinstance(let.op, For | Loop | While)
            if answers.isdisjoint(let.vars):
                lets.append(map_blocks(let, lambda inner, inside=inside: block(inner, inside)))  # type: ignore[misc]
                continue
            assert isinstance(let.op, Prim)
            (y,) = let.vars
            if let.op.name in LARGER:
                compared = Prim(LARGER[let.op.name], let.op.args)
                (found.by[y],) = results(compared)
                lets.append(Let((found.by[y],), compared, let.site))
            found.kept.add(found.by.get(y, y))
            lets.append(let)
        return with_lets(b, lets)

    return with_body(function, block(function.body, False)), found


class _Turn:
    """A block of a loop."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.users: dict[Var, list[Let]] = {}

    def answers(self) -> Iterator[Var]:
        """The comparisons, maxima and minima that are all there is to some nested statement's result."""
        lets = self.block.lets
        if not any(_asks(let) for let in lets):
            return
        made = [v for let in lets if not _runs_again(let) for v in let.vars if v.type in FLOATS]
        for let in lets if made else ():
            for v in uses(let):
                self.users.setdefault(v, []).append(let)
        for v in made:
            asked = self.asked(v)
            if asked is not None:
                yield from asked

    def asked(self, v: Var) -> list[Var] | None:
        """What is asked of a value, and of what is made of it; None if it is needed for something else."""
        found: list[Var] = []
        for let in self.users.get(v, ()):
            op = let.op
            more: list[Var] | None = None
            if isinstance(op, Prim):
                if _asks(let):
                    found.append(let.vars[0])
                if is_mask(op):
                    continue
                if op.name in LARGER or (op.name in LINEAR and v.type == let.vars[0].type):
                    more = self.asked(let.vars[0])
            elif (update := single_update(op)) is not None and v in update.values and v not in update.index:
                more = []
            if more is None:
                return None
            found += more
        return found


def _asks(let: Let) -> bool:
    op = let.op
    return is_mask(op) or (isinstance(op, Prim) and op.name in LARGER and is_float(op.args[0]))


def _runs_again(let: Let) -> bool:
    """Does the return sweep run a statement again, as a scalar one or one that is as short?"""
    return isinstance(let.op, Prim | Read | Check | Contribute) or tiny(let.op)

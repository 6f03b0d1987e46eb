"""Indices that count from the end are told apart by a branch, off the chain from one turn to the next.

    t1 = lt t 0                              if lt t 0
    t2 = add t n                                 t2 = add t n
    t3 = select t1 t2 t              ->          bound t2 < n
    bound t3 < n                             else
    ... x[t3] ...                                bound t < n
                                             t3 <- t2 | t

A processor guesses which side is taken and goes on with t; for a select it waits.  A loop in which an index must be
tested at run time isn't in lanes, so nothing is lost by the branch.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.loopir import Bound, Compute, If, Join, Program, Reg, Stmt


def run(program: Program) -> None:
    """Rewrite the wrapped indices of a program that are tested as soon as they are made, in place."""
    sums = {s.out: s for s in ir.walk(program.body) if isinstance(s, Compute) and s.name in ("lt", "add")}
    _block(program.body, sums)


def _block(body: list[Stmt], known: dict[Reg, Compute]) -> None:
    at = 0
    while at < len(body):
        for inner in ir.blocks(body[at]):
            _block(inner, known)
        if at + 1 < len(body) and (branch := _branch(body[at], body[at + 1], known)) is not None:
            body[at : at + 2] = [branch]
        at += 1


def _branch(chosen: Stmt, test: Stmt, known: dict[Reg, Compute]) -> If | None:
    """The branch in place of a select and the test of what it gives, if that is an index that may be wrapped."""
    match chosen, test:
        case Compute(out, "select", (Reg() as negative, Reg() as behind, Reg() as index)), Bound(tested, extent) if (
            tested is out
            and test.when is None
            and _is(known.get(negative), "lt", index, ir.integer(0))
            and _is(known.get(behind), "add", index, extent)
        ):
            last = Reg(behind.type, behind.hint)
            there: list[Stmt] = [Compute(last, "add", (index, extent)), replace(test, index=last)]
            return If(negative, there, [replace(test, index=index)], [Join(out, last, index)])
        case _:
            return None


def _is(made: Compute | None, name: str, left: ir.Value, right: ir.Value) -> bool:
    return made is not None and made.name == name and made.args == (left, right)

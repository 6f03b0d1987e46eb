"""Checkpoints and the other decisions about the tape: the same derivatives, and as few runs as can be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder, literal
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import map_blocks, statements, with_body, with_lets, with_op
from iverson.core.syntax import I64, Block, Checkpoint, Disk, Function, Let, Loop, Scalar, Var, While
from iverson.diff import reverse
from iverson.diff.checkpoints import Schedule
from iverson.diff.tape import Policy
from iverson.run.priced import advances
from tests.backend.native import Native
from tests.corpus import Case, case_of
from tests.corpus_costs import largest
from tests.programs import PROGRAMS

DIFFERENTIABLE = [p for p in PROGRAMS if p.differentiable]


def has_loops(f: Function) -> bool:
    return any(isinstance(let.op, Loop | While) for let in statements(f.body))


def everywhere(f: Function, note: Checkpoint) -> Function:
    """The function with a note on every loop, nested ones too."""

    def block(b: Block) -> Block:
        return with_lets(b, [mark(let) for let in b])

    def mark(let: Let) -> Let:
        let = map_blocks(let, block)
        return with_op(let, replace(let.op, tape=note)) if isinstance(let.op, Loop | While) else let

    return with_body(f, block(f.body))


# --- the same derivatives ---------------------------------------------------------------------------------------------


def require_same(program: object, changed: list[tuple[str, Function, Policy]], case: Case, primal: Function) -> None:
    vjp = case.vjp
    values = [*case.values, *case.added(vjp, case.seeds(evaluate(primal, case.values).values))]
    want = evaluate(vjp, values).values
    for what, other, policy in changed:
        got = reverse.vjp(other, case.active, policy)
        check(got)
        for a, b in zip(want, evaluate(got, values).values, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12, err_msg=what)


def prepared(program: object) -> tuple[Case, Function]:
    case = case_of(program, largest(program))
    return case, case.primal


SLOTS = (1, 2, 3, 5)
FILES = Disk(200, ".")


@pytest.mark.parametrize("k", range(0, len(DIFFERENTIABLE), 2), ids=lambda k: DIFFERENTIABLE[k].name)
def test_loops_with_checkpoints_have_the_same_derivatives(k: int) -> None:
    case, primal = prepared(DIFFERENTIABLE[k])
    if has_loops(primal):
        note = Checkpoint(SLOTS[k // 2 % 4], 1 + k % 3 // 2, FILES if k % 3 == 0 else None)
        require_same(DIFFERENTIABLE[k], [("all", everywhere(primal, note), Policy())], case, primal)


@pytest.mark.slow
@pytest.mark.parametrize("program", DIFFERENTIABLE, ids=lambda p: p.name)
def test_any_decision_gives_the_same_derivatives(program: object) -> None:
    case, primal = prepared(program)
    changed = [(mode, primal, Policy(mode=mode)) for mode in ("store", "recompute")]
    if has_loops(primal):
        for slots in SLOTS:
            note = Checkpoint(slots, 1 if slots != 3 else 2)
            changed += [("outer", primal, Policy(checkpoint=note)), ("all", everywhere(primal, note), Policy())]
            changed.append(("store", primal, Policy(mode="store", checkpoint=note)))
            changed.append(("files", everywhere(primal, replace(note, disk=FILES)), Policy()))
    require_same(program, changed, case, primal)


@pytest.mark.parametrize("program", DIFFERENTIABLE[::12], ids=lambda p: p.name)
def test_stored_and_recomputed_values_give_the_same_derivatives(program: object) -> None:
    case, primal = prepared(program)
    require_same(program, [(m, primal, Policy(mode=m)) for m in ("store", "recompute")], case, primal)


# --- as few runs as can be --------------------------------------------------------------------------------------------


@cache
def fewest(turns: int, slots: int) -> int:
    """How many turns are run at least, by the definition: m + those of what comes after, and of what came before."""
    if turns <= 1:
        return 0
    if slots == 1:
        return turns * (turns - 1) // 2
    return min(m + fewest(turns - m, slots - 1) + fewest(m, slots) for m in range(1, turns))


def counting() -> Function:
    """(turns, slots) -> how many turns run before each is recorded, and how often a state was wrong."""
    b, n, s = Builder(), Var(Scalar(I64), "n"), Var(Scalar(I64), "s")
    c, i = Var(Scalar(I64), "c"), Var(Scalar(I64), "i")
    op = Loop(i, n, (c,), (literal(0),), Block((), (c,)), Checkpoint(s, 1))

    def body(runs: Var, wrong: Var) -> tuple[()]:
        def turn(i: Var, carry: tuple[Var, ...]) -> tuple[object, ...]:
            b.contribute(runs, (), 1)
            b.contribute(wrong, (), b.o.int64(b.o.ne(i, carry[0])))
            return (b.o.add(carry[0], 1),)

        schedule = Schedule(b, op, n)
        last = b.o.sub(n, 1)
        stack, state = schedule.descend(schedule.stack((literal(0),)), literal(0), (literal(0),), last, turn)

        def back(r: Var, now: Var, kept: Var, at: Var, top: Var) -> tuple[object, ...]:
            q = b.o.sub(last, r)
            b.contribute(wrong, (), b.o.int64(b.o.ne(q, now)))
            stack = schedule.stacked((kept, at, top)).drop(b, q)
            start, state = stack.load(b)
            stack, state = schedule.descend(stack, start, state, b.o.sub(q, 1), turn)
            return (*state, *stack.atoms())

        b.loop(n, (*state, *stack.atoms()), back)
        return ()

    return b.function((n, s), b.accumulate([("add", [0]), ("add", [0])], body))


def test_schedules_are_optimal() -> None:
    count = Native(counting(), level=1, count=False)
    for slots in range(1, 13):
        for turns in range(1, 201):
            runs, wrong = count(turns, slots)
            # the forward sweep's last turn is the one that isn't counted
            assert (runs, wrong) == (fewest(turns, slots), 0), (turns, slots)
            assert advances(turns, slots) == runs - (turns - 1)


def test_many_turns() -> None:
    """The least r with C(20 + r, 20) >= 10**6 is 8: 8 * 10**6 - C(28, 7) runs, the forward sweep's among them."""
    count = Native(counting(), level=1, count=False)
    runs, wrong = count(10**6, 20)
    assert (runs, wrong) == (8 * 10**6 - 1184040, 0)
    assert advances(10**6, 20) / 10**6 < 6


def wave(x, steps):
    s, p = x, 1.0
    for _ in range(steps):
        inner = 0.0
        for k in range(300):
            inner += np.sin(s + k)
        s, p = s + 0.001 * inner * p, 0.9 * p + 0.1 * s
    return s + p


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_a_gradient_runs_no_more_turns_than_that(slots: int) -> None:
    """Work grows by a turn's work for each turn that is run again."""
    steps = 12

    def work(slots: int) -> int:
        g = iv.grad(wave, tape=iv.tape.checkpoint(slots=slots, block=1))
        return evaluate(iv.jit(g).staged((0.3, steps), {}).function, [0.3, steps]).cost.work

    turn = evaluate(iv.jit(wave).staged((0.3, 1), {}).function, [0.3, 1]).cost.work
    again = (work(slots) - work(steps)) / turn
    assert round(again) == advances(steps, slots) - advances(steps, steps)
    assert abs(again - round(again)) < 0.35

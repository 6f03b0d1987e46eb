"""`python -m benchmarks.tape [name...]`: time against memory of gradients, beside storing every turn.

For programs whose loops have many turns: the bytes that a call allocates at once (iverson/backend/peak.py), and the
thread's CPU time beside that of tape="auto", medians in turns, for budgets from all to little, and for the checkpoints
of a million turns with 20 slots.

`python -m benchmarks.tape front [name...]`: the time of the best other plan for the bytes of a plan, beside the
time of that one: other sizes of blocks, each with all the slots that fit, and everything run again that may.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import iverson as iv
from iverson.run.budget import Budgeted
from iverson.run.planner import Choice, Footprint, Planner, most_slots
from tests.run import tape_programs as programs

SHARES = (0.3, 0.1, 0.03, 0.01)
ROUNDS = 5

_rng = np.random.default_rng(0)
_x = np.linspace(0.1, 1.0, 1000)
_few = np.linspace(0.1, 1.0, 60)
CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "oscillator": (programs.oscillator, (0.3, 1_000_000)),
    "decay": (programs.decay, (_x, 4000)),
    "heat": (programs.heat, (_x, 4000)),
    "in_place": (programs.in_place, (_x, 4000)),
    "leapfrog": (programs.leapfrog, (_x, 4000)),
    "recurrent": (programs.recurrent, (_rng.normal(size=(60, 60)) / 8, _rng.normal(size=(4000, 60)))),
    "momentum": (programs.momentum, (_x, _x, 4000)),
    "pairs": (programs.pairs, (_few, 400)),
    "reaction": (programs.reaction, (_rng.normal(size=(33, 33)), 4000)),
}


def seconds(call: Callable[[], Any]) -> float:
    begin = time.thread_time()
    call()
    return time.thread_time() - begin


def bytes_of(f: Any, args: tuple[Any, ...]) -> int:
    jitted, actual = f.planned(*args) if isinstance(f, Budgeted) else (f, args)
    return Footprint(jitted, actual, {}).at().bytes


def rows(name: str) -> list[tuple[str, int, float]]:
    """(what, bytes, time beside storing every turn)"""
    f, args = CASES[name]
    made: dict[str, Any] = {"auto": iv.value_and_grad(f)}
    whole = bytes_of(made["auto"], args)
    for share in SHARES:
        bounded = iv.value_and_grad(f, tape=iv.tape.budget(int(share * whole)))
        try:
            bounded.plan(*args)
        except MemoryError:
            break
        made[f"budget of {share:.0%}"] = bounded
    for block in (1, None):
        made[f"20 slots, block={block}"] = iv.value_and_grad(f, tape=iv.tape.checkpoint(slots=20, block=block))
    times: dict[str, list[float]] = {what: [] for what in made}
    for what in made:
        made[what](*args)
    for _ in range(ROUNDS):
        for what, g in made.items():
            times[what].append(seconds(lambda g=g: g(*args)))
    base = np.median(times["auto"])
    return [(what, bytes_of(made[what], args), float(np.median(times[what]) / base)) for what in made]


def others(bounded: Budgeted, planner: Planner, args: tuple[Any, ...], bound: int) -> dict[str, Callable[[], Any]]:
    """Calls of other plans for the same bytes, of a program with one loop."""
    (loop,) = planner.loops
    found: dict[str, Callable[[], Any]] = {}
    for again in {frozenset(), frozenset(g.name for g in loop.groups)}:
        stored, choice = Choice((False,), (again,)), Choice((True,), (again,))
        if (planner.peak(stored, ()) or bound + 1) <= bound:
            found[f"store, {len(again)} again"] = lambda c=stored: bounded.derivative(c.policy(bounded.told))(*args, ())
        block = 1
        while block <= loop.turns:
            slots = most_slots(
                lambda s, c=choice, b=block: planner.peak(c, (s, b)) or 0, -(-loop.turns // block), bound
            )
            if slots:
                call = bounded.derivative(choice.policy(bounded.told))
                what = f"{slots} slots, {block} a block, {len(again)} again"
                found[what] = lambda c=call, n=(slots, block): c(*args, n)
            block = max(block + 1, int(1.4 * block))
    return found


def front(name: str) -> None:
    f, args = CASES[name]
    whole = bytes_of(iv.value_and_grad(f, tape=iv.tape.budget(1 << 60)), args)
    for share in SHARES:
        bounded = iv.value_and_grad(f, tape=iv.tape.budget(int(share * whole)))
        try:
            plan = bounded.plan(*args)
        except MemoryError:
            return
        calls = {"plan": lambda g=bounded: g(*args)} | others(bounded, bounded.planner(args, {}), args, plan.bytes)
        times = dict.fromkeys(calls, np.inf)
        for _ in range(2):
            for what, call in calls.items():  # some in a row: the pool of blocks has theirs then
                times[what] = min(times[what], *(seconds(call) for _ in range(4)))
        best = min(times.keys() - {"plan"}, key=times.__getitem__)
        for _ in range(ROUNDS):
            for what in ("plan", best):
                times[what] = min(times[what], *(seconds(calls[what]) for _ in range(2)))
        ratio = times[best] / times["plan"]
        print(f"{name:12} {share:5.0%} {plan.decisions()[0]:40} best other {ratio:5.2f}  {best}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["front"]:
        for name in sys.argv[2:] or CASES:
            front(name)
        sys.exit()
    for name in sys.argv[1:] or CASES:
        for what, size, ratio in rows(name):
            print(f"{name:12} {what:22} {size / 1e6:10.3f} MB {ratio:6.2f}", flush=True)

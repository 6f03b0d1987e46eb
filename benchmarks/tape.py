"""`python -m benchmarks.tape [name...]`: time against memory of gradients, beside storing every turn.

For programs whose loops have many turns: the bytes that a call allocates at once (iverson/backend/peak.py), and the
thread's CPU time beside that of tape="auto", medians in turns, for budgets from all to little, and for the checkpoints
of a million turns with 20 slots.

`python -m benchmarks.tape front [name...]`: the time of the best other plan within the budget of a plan, beside the
time of that one: other sizes of blocks, each with all the slots that fit, and nothing or everything run again that may.

`python -m benchmarks.tape turns [name...]`: the time of a turn beside what the planner takes it for (run/rates.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

import iverson as iv
from iverson.run.budget import Budgeted
from iverson.run.planner import Choice, Footprint, Planner, most_slots
from tests.run import tape_programs as programs

SHARES = (0.3, 0.1, 0.03, 0.01)
ROUNDS = 5
TRIES = 40  # plans of a program with several loops

_rng = np.random.default_rng(0)
_x = np.linspace(0.1, 1.0, 1000)
_few = np.linspace(0.1, 1.0, 60)
CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "oscillator": (programs.oscillator, (0.3, 1_000_000)),
    "decay": (programs.decay, (_x, 2000)),
    "heat": (programs.heat, (_x, 2000)),
    "in_place": (programs.in_place, (_x, 2000)),
    "leapfrog": (programs.leapfrog, (_x, 2000)),
    "recurrent": (programs.recurrent, (_rng.normal(size=(60, 60)) / 8, _rng.normal(size=(2000, 60)))),
    "momentum": (programs.momentum, (_x, _x, 2000)),
    "pairs": (programs.pairs, (_few, 400)),
    "reaction": (programs.reaction, (_rng.normal(size=(33, 33)), 2000)),
    "layers": (programs.layers, (_rng.normal(size=(400, 16, 16)) / 4, _rng.normal(size=(50, 16)))),
    "branching": (programs.branching, (_x, 2000)),
    "two_loops": (programs.two_loops, (_x, 1500, 1000)),
    "nested": (programs.nested, (_x, 1000)),
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


Calls = dict[str, Callable[[], Any]]


def others(bounded: Budgeted, planner: Planner, args: tuple[Any, ...], bound: int) -> Calls:
    """Calls of other plans within the same bytes."""
    found: Calls = {}
    every = tuple(frozenset(g.name for g in loop.groups) for loop in planner.loops)
    for again in dict.fromkeys((planner.stored.again, every)):
        said = ", some again" if any(again) else ""
        for planned in product((False, True), repeat=len(planner.loops)):
            choice = Choice(planned, again)
            for numbers in _numbers(planner, choice, bound):
                call = bounded.derivative(choice.policy(bounded.told))
                found[f"{numbers or 'store'}{said}"] = lambda c=call, n=numbers: c(*args, n)
    return found


def _numbers(planner: Planner, choice: Choice, bound: int) -> Iterator[tuple[int, ...]]:
    """Slots and turns a block of the loops that are checkpointed: all the slots that fit, shared out among loops."""
    loops = [loop for loop, p in zip(planner.loops, choice.planned, strict=True) if p]
    factor = 1.4 if len(loops) == 1 else 6.0
    for blocks in product(*(_grid(loop.turns, factor) for loop in loops)):
        numbers = [n for block in blocks for n in (1, block)]
        if (planner.peak(choice, numbers) or bound + 1) > bound:
            continue
        for share in (1.0,) if len(loops) < 2 else (0.25, 0.5, 0.75):
            tried = list(numbers)
            for k, loop in enumerate(loops):

                def size(slots: int, k: int = k, tried: list[int] = tried) -> int:
                    tried[2 * k] = slots
                    return planner.peak(choice, tried) or 0

                least = size(1)
                room = bound if k == len(loops) - 1 else least + int(share * (bound - least))
                tried[2 * k] = most_slots(size, -(-loop.turns // blocks[k]), room)
            yield tuple(tried)


def _grid(turns: int, factor: float) -> list[int]:
    found = [1]
    while found[-1] < turns:
        found.append(max(found[-1] + 1, int(factor * found[-1])))
    return found


def front(name: str) -> None:
    f, args = CASES[name]
    whole = bytes_of(iv.value_and_grad(f, tape=iv.tape.budget(1 << 60)), args)
    for share in SHARES:
        bound = int(share * whole)
        bounded = iv.value_and_grad(f, tape=iv.tape.budget(bound))
        try:
            plan = bounded.plan(*args)
        except MemoryError:
            return
        more = others(bounded, bounded.planner(args, {}), args, bound)
        keys = sorted(more, key=lambda what: hash(what)) if len(more) > TRIES else list(more)
        calls: Calls = {"plan": lambda g=bounded: g(*args)} | {what: more[what] for what in keys[:TRIES]}
        times = dict.fromkeys(calls, np.inf)
        for what, call in calls.items():  # some in a row: the pool of blocks has theirs then
            times[what] = min(seconds(call) for _ in range(2))
        best = sorted(times.keys() - {"plan"}, key=times.__getitem__)[:3]
        both: dict[str, list[float]] = {what: [] for what in ("plan", *best)}
        for _ in range(ROUNDS):
            for what, found in both.items():
                found += [seconds(calls[what]) for _ in range(3)][1:]
        medians = {what: float(np.median(found)) for what, found in both.items()}
        first = min(best, key=medians.__getitem__)
        ratio = medians[first] / medians["plan"]
        decisions = "; ".join(plan.decisions())
        print(f"{name:12} {share:5.0%} {plan.bytes:>11,}  {decisions:44} best other {ratio:5.2f}  {first}", flush=True)


def turns(name: str) -> None:
    f, args = CASES[name]
    bounded = iv.value_and_grad(f, tape=iv.tape.budget(1 << 60))
    primal, planner = iv.jit(f), bounded.planner(args, {})
    primal(*args)
    taken = float(np.median([seconds(lambda: primal(*args)) for _ in range(ROUNDS)]))
    print(f"{name:12} {taken * 1e3:8.3f} ms, taken for {planner.primal / taken:5.2f} times that", flush=True)


if __name__ == "__main__":
    if (what := {"front": front, "turns": turns}.get("".join(sys.argv[1:2]))) is not None:
        for name in sys.argv[2:] or CASES:
            what(name)
        sys.exit()
    for name in sys.argv[1:] or CASES:
        for what, size, ratio in rows(name):
            print(f"{name:12} {what:22} {size / 1e6:10.3f} MB {ratio:6.2f}", flush=True)

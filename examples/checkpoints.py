"""Where did it rain?  The first state of a field that is stirred and diffused for 10,000 steps, from its last.

The gradient goes back through all steps.  Storing them takes 10,000 states; with checkpoints as few as a dozen do, and
the price is turns that run again: time against memory, from n states to log n.  `python examples/checkpoints.py DIR`
draws it as a picture there.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import iverson as iv

CELLS, STEPS, ROUNDS = 400, 10_000, 7


def last(u, steps):
    """A ring of cells: diffusion, a wind that depends on what it blows away, and slow growth."""
    n = len(u)
    for _ in range(steps):
        v = u.copy()
        for i in range(n):
            left, right = u[(i - 1) % n], u[(i + 1) % n]
            v[i] = u[i] + 0.2 * (left - 2.0 * u[i] + right) - 0.05 * u[i] * (right - left)
        u = v
    return u


def misfit(u, steps, wanted):
    return np.sum((last(u, steps) - wanted) ** 2)


def main(cells=CELLS, steps=STEPS, directory=None):
    x = np.arange(cells) / cells
    truth = np.exp(-50.0 * (x - 0.3) ** 2) + 0.5 * np.exp(-90.0 * (x - 0.7) ** 2)
    args = np.full(cells, 0.3), steps, iv.jit(last)(truth, steps)
    tapes = dict(ways(args, cells * 8))
    exact = iv.grad(misfit)(*args)
    for _, gradient in tapes.values():
        assert np.allclose(gradient(*args), exact, rtol=1e-8, atol=1e-12)
    times = medians({what: gradient for what, (_, gradient) in tapes.items()}, args)
    rows = [(what, states, times[what] / times["stored"]) for what, (states, _) in tapes.items()]
    print(f"{steps:,} steps (log2: {np.log2(steps):.1f}) of {cells} cells, {times['stored']:.3f} s if all are stored")
    print(f"{'':45}  states  time")
    for what, states, taken in rows:
        print(f"{what:45} {states:7,.0f} {taken:5.2f}")
    if directory is not None:
        picture(rows, steps, f"{directory}/checkpoints.png")
    return rows


def ways(args, state):
    """(what, (states in memory, the gradient)): all steps stored, steps by binomial checkpoints, and within budgets."""
    steps, report = args[1], iv.tape.report(misfit)(*args)
    whole, least = report.peak, report.front[-1].bytes
    yield "stored", (whole / state, iv.grad(misfit))
    few = iv.tape.report(misfit, tape=iv.tape.checkpoint(slots=1, block=1))(*args).peak / state
    for slots in np.geomspace(steps, np.log2(steps), 8).astype(int):
        yield f"{slots} slots", (few + slots - 1, iv.grad(misfit, tape=iv.tape.checkpoint(slots=slots, block=1)))
    for bound in np.geomspace(whole, max(1.5 * np.log2(steps) * state, 1.3 * least), 8).astype(int)[1:]:
        bounded = iv.grad(misfit, tape=iv.tape.budget(bound))
        plan = bounded.plan(*args)
        yield f"budget: {plan.decisions()[0]}", (plan.bytes / state, bounded)


def medians(calls, args):
    """The CPU seconds of each call, measured in turns."""
    taken = {what: [] for what in calls}
    for _ in range(ROUNDS):
        for what, gradient in calls.items():
            begin = time.thread_time()
            gradient(*args)
            taken[what].append(time.thread_time() - begin)
    return {what: float(np.median(seconds)) for what, seconds in taken.items()}


def picture(rows, steps, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for label, planned in ("checkpoint(slots=s, block=1)", False), ("budget(bytes)", True):
        found = [row[1:] for row in rows[1:] if row[0].startswith("budget") == planned]
        axes.plot(*zip(*found, strict=True), "o-", label=label)
    axes.axhline(1.0, color="grey", linewidth=0.8)
    for states, name in (steps, "n"), (np.log2(steps), "log n"):
        axes.axvline(states, color="grey", linestyle=":")
        axes.annotate(name, (states, 0.1), xytext=(3, 0), textcoords="offset points", color="grey")
    axes.set(xscale="log", xlabel="states in memory", ylabel="time, beside storing every step", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(directory=sys.argv[1] if len(sys.argv) > 1 else None)

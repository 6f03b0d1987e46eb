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

CELLS, STEPS = 400, 10_000


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


def measure(tape, u, steps, wanted):
    """(seconds, gradient) of a call."""
    gradient = iv.grad(misfit, tape=tape)
    gradient(u, 3, wanted)  # compiles; of a budget, the program for 3 steps
    gradient(u, steps, wanted)
    begin = time.perf_counter()
    found = gradient(u, steps, wanted)
    return time.perf_counter() - begin, found


def main(cells=CELLS, steps=STEPS, directory=None):
    x = np.arange(cells) / cells
    truth = np.exp(-50.0 * (x - 0.3) ** 2) + 0.5 * np.exp(-90.0 * (x - 0.7) ** 2)
    wanted, guess = iv.jit(last)(truth, steps), np.full(cells, 0.3)
    report = iv.tape.report(misfit)(guess, steps, wanted)
    seconds, exact = measure("auto", guess, steps, wanted)
    state = cells * 8
    rows = [(report.front[0].bytes, 1.0)]
    print(f"{steps:,} steps of {cells} cells; every step stored: {report.front[0].bytes / 1e6:.1f} MB, {seconds:.3f} s")
    print("states kept      MB   again    time")
    for plan in report.front[1:]:
        if report.again(plan) > 30.0:
            continue
        taken, found = measure(iv.tape.budget(plan.bytes), guess, steps, wanted)
        assert np.allclose(found, exact, rtol=1e-8, atol=1e-12)
        rows.append((plan.bytes, taken / seconds))
        print(f"{plan.bytes / state:11.0f} {plan.bytes / 1e6:7.2f} {report.again(plan):7.2f} {taken / seconds:7.2f}")
    if directory is not None:
        picture(rows, state, f"{directory}/checkpoints.png")
    return rows


def picture(rows, state, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([b / state for b, _ in rows], [t for _, t in rows], "o-")
    axes.set(xscale="log", xlabel="states in memory", ylabel="time, beside storing every step", ylim=(0, None))
    figure.savefig(path)


if __name__ == "__main__":
    main(directory=sys.argv[1] if len(sys.argv) > 1 else None)

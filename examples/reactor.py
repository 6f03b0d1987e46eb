"""Control a reactor by gradients that keep a hundredth of the fields.

A linear reaction and diffusion of neutrons, 33 x 33 points, explicit in time.  Seven control parameters are the
absorption in time: control rods in the middle are moved along a piecewise linear path.  The gradient through thousands
of steps needs the field at each step, for one thing only: it multiplies the adjoint of the controls.  So a random part
of it is enough, and `iv.tape.sample` keeps just that.  What is printed and drawn: the loss while Adam fits the
controls, with all of the fields kept, and with .1, .01 and .002 of them.

    python examples/reactor.py [iterations]

After the third experiment of Oktay et al., Randomized automatic differentiation, ICLR 2021.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import iverson as iv

SIDE, STEPS, CONTROLS = 33, 2048, 7
DIFFUSION, GROWTH, ABSORPTION, TIME = 0.25, 4.0, 8.0, 0.5
PARTS = (1.0, 0.1, 0.01, 0.002)
OUT = Path(__file__).parent / "out"

middle = np.hypot(*np.meshgrid(*2 * [np.linspace(-1.0, 1.0, SIDE)], indexing="ij"))
RODS = np.exp(-8.0 * middle**2)  # where they absorb
FUEL = 1.0 * (middle < 0.8)


def step(u, rods, growth):
    """One step of u' = D laplace(u) + growth u - rods u, with u = 0 on the boundary."""
    new = np.zeros_like(u)
    dt, scale = TIME / STEPS, DIFFUSION * (SIDE - 1) ** 2 / 4
    around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
    inner = slice(1, -1)
    new[inner, inner] = u[inner, inner] + dt * (scale * around + (growth - rods)[inner, inner] * u[inner, inner])
    return new


def loss(controls, key):
    """How far the power is from what is wanted, over time."""
    u = 0.1 * FUEL * (1.0 - middle)
    start = u.sum()
    total = 0.0
    for t in range(STEPS):
        place = t * (CONTROLS - 1) / STEPS
        k = int(place)
        level = controls[k] + (place - k) * (controls[k + 1] - controls[k])
        u = step(u, level * ABSORPTION * RODS, GROWTH * FUEL)
        wanted = start * (1.0 + 0.5 * np.sin(6.0 * t / STEPS))
        total += (u.sum() / wanted - 1.0) ** 2
    return total / STEPS


def adam(gradient, x, iterations, rate=5e-2):
    m, v, history = np.zeros_like(x), np.zeros_like(x), []
    for t in range(1, iterations + 1):
        value, g = gradient(x, iv.random.fold_in(iv.random.key(0), t))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - rate * (m / (1.0 - 0.9**t)) / (np.sqrt(v / (1.0 - 0.999**t)) + 1e-8)
        history.append(value)
    return x, np.array(history)


def main(iterations=800):
    curves = {}
    for part in PARTS:
        tape = "auto" if part == 1.0 else iv.tape.sample(part, "key", shared=None)
        gradient = iv.value_and_grad(loss, tape=tape)
        kept = sum(r.bytes.value for r in iv.cost(gradient)(np.zeros(CONTROLS), 0).residuals if r.bytes.known)
        gradient(np.zeros(CONTROLS), 0)
        begin = time.thread_time()
        controls, curves[part] = adam(gradient, np.zeros(CONTROLS), iterations)
        seconds = time.thread_time() - begin
        print(
            f"kept {part:5}   {kept / 1e6:7.3f} MB for the return sweep   loss {curves[part][0]:.4f} -> "
            f"{loss_of(controls):.2e}   {1e3 * seconds / iterations:.1f} ms a gradient"
        )
    picture(curves)


loss_of = iv.jit(lambda controls: loss(controls, 0))


def picture(curves):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.6))
    for part, values in curves.items():
        axis.semilogy(values, label="all of the fields" if part == 1.0 else f"{part:g} of them", lw=1.2)
    axis.set_xlabel("iterations of Adam")
    axis.set_ylabel("loss")
    axis.legend(title="kept for the return sweep")
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / "reactor.png", dpi=120, bbox_inches="tight")
    print("picture of the losses      examples/out/reactor.png")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

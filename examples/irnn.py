"""A recurrent network reads handwritten digits pixel by pixel; its gradient keeps a tenth of its states.

8 x 8 pixels are 64 turns of h = relu(h A + x u + b), A beginning as the identity.  The gradient in A needs the state of
every turn, for one thing: it multiplies what comes back.  So `iv.tape.sample` keeps a random part of each, drawn anew
in each turn, and the signs as bits; what goes back through time is exact.  What is printed and drawn: the loss on all
images while Adam trains, for several parts, and the memory that waits for the return sweep.

    python examples/irnn.py [iterations]

After the second experiment of Oktay et al., Randomized automatic differentiation, ICLR 2021, with the network of Le,
Jaitly, Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import iverson as iv

HIDDEN, BATCH, RATE = 64, 64, 1e-3
PARTS = (1.0, 0.3, 0.1, 0.03)
OUT = Path(__file__).parent / "out"


def loss(weights, pixels, labels, key):
    a, u, b, w, c = weights
    h = np.zeros((len(pixels), len(a)), np.float32)
    for t in range(pixels.shape[1]):
        h = np.maximum(h @ a + pixels[:, t, None] * u + b, 0.0)
    scores = h @ w + c
    top = scores.max(1)
    log_sums = np.log(np.exp(scores - top[:, None]).sum(1)) + top
    return (log_sums - scores[np.arange(len(labels)), labels]).mean()


def start(rng):
    shapes = (HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN,), (HIDDEN, 10), (10,)
    weights = [0.1 * rng.normal(size=s).astype(np.float32) for s in shapes]
    weights[0] = np.eye(HIDDEN, dtype=np.float32)
    return weights


def adam(gradient, x, batches, watch):
    m, v = ([0.0 * w for w in x] for _ in range(2))
    for t, batch in enumerate(batches, 1):
        g = gradient(x, *batch)
        m = [0.9 * a + 0.1 * d for a, d in zip(m, g, strict=True)]
        v = [0.999 * a + 0.001 * d * d for a, d in zip(v, g, strict=True)]
        step = np.float32(RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t))
        x = [w - step * a / (np.sqrt(s) + np.float32(1e-8)) for w, a, s in zip(x, m, v, strict=True)]
        watch(t, x)
    return x


def main(iterations=600):
    digits = load_digits()
    pixels, labels = (digits.images.reshape(-1, 64) / 16.0).astype(np.float32), digits.target
    every, curves, whole = max(1, iterations // 40), {}, iv.jit(loss)
    for part in PARTS:
        gradient = iv.grad(loss, tape="auto" if part == 1.0 else iv.tape.sample(part, "key", shared=False))
        rng, history = np.random.default_rng(0), []
        chosen = rng.integers(0, len(pixels), (iterations, BATCH))
        kept = iv.cost(gradient)(start(rng), pixels[:BATCH], labels[:BATCH], 0).residuals
        batches = ((pixels[k], labels[k], iv.random.fold_in(iv.random.key(0), t)) for t, k in enumerate(chosen))

        def watch(t, x, history=history):
            if t % every == 0:
                history.append(whole(x, pixels, labels, 0))

        begin = time.thread_time()
        adam(gradient, start(np.random.default_rng(1)), batches, watch)
        curves[part] = np.array(history)
        print(
            f"kept {part:5}   {sum(r.bytes.value for r in kept) / 1e6:6.3f} MB for the return sweep   "
            f"loss {history[0]:.3f} -> {history[-1]:.4f}   {time.thread_time() - begin:.1f} s"
        )
    picture(curves, every)
    return curves


def picture(curves, every):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.6))
    for part, values in curves.items():
        label = "all of the states" if part == 1.0 else f"{part:g} of them"
        axis.semilogy(every * np.arange(1, len(values) + 1), values, label=label, lw=1.2)
    axis.set_xlabel("iterations of Adam")
    axis.set_ylabel("loss on all images")
    axis.legend(title="kept for the return sweep")
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / "irnn.png", dpi=120, bbox_inches="tight")
    print("picture of the losses      examples/out/irnn.png")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Train networks on handwritten digits by gradients that keep a part of the activations.

At the same memory for the return sweep a gradient that samples a quarter or a half of its activations may have a batch
two or three times as large as an exact one.  Two networks, fully connected and a small convolution written as loops,
are trained by Adam, exactly with the small batch and sampled with the large one, each with the best of three learning
rates; what is printed and drawn is the loss on all training images, the mean of five runs.  The exact gradient is the
one of less memory: all activations stored, or all of them "sampled", which keeps masks as bits.

    python examples/sampled_digits.py [iterations]

After the first experiment of Oktay et al., Randomized automatic differentiation, ICLR 2021.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import iverson as iv

LARGE, SEEDS, RATES = 128, 5, (2e-3, 4e-3, 8e-3)
OUT = Path(__file__).parent / "out"


def cross_entropy(scores, labels):
    top = scores.max(1)
    log_sums = np.log(np.exp(scores - top[:, None]).sum(1)) + top
    return (log_sums - scores[np.arange(len(labels)), labels]).mean()


def connected(weights, images, labels, key):
    h = images.reshape(len(images), 64)
    for w, b in weights[:-1]:
        h = np.maximum(h @ w + b, 0.0)
    w, b = weights[-1]
    return cross_entropy(h @ w + b, labels)


def convolution(weights, images, labels, key):
    """3 x 3, a mask of what is positive, and one layer on it."""
    (kernel, offset), (w, b) = weights
    n, rows, columns = images.shape
    size, _, channels = kernel.shape
    h = np.array(
        [
            [
                [
                    [
                        sum(images[k, i + di, j + dj] * kernel[di, dj, c] for di in range(size) for dj in range(size))
                        + offset[c]
                        for c in range(channels)
                    ]
                    for j in range(columns - size + 1)
                ]
                for i in range(rows - size + 1)
            ]
            for k in range(n)
        ]
    )
    h = np.maximum(h, 0.0).reshape(n, (rows - size + 1) * (columns - size + 1) * channels)
    return cross_entropy(h @ w + b, labels)


def layers(rng, *shapes):
    return [
        ((rng.normal(size=s) * np.sqrt(2.0 / np.prod(s[:-1]))).astype(np.float32), np.zeros(s[-1], np.float32))
        for s in shapes
    ]


NETWORKS = {  # with the part that is kept
    "fully connected": (connected, ((64, 128), (128, 128), (128, 10)), 0.25),
    "convolution": (convolution, ((3, 3, 16), (576, 10)), 0.5),
}


def adam(gradient, x, batches, rate, watch):
    m, v = ([(0.0 * w, 0.0 * b) for w, b in x] for _ in range(2))
    for t, batch in enumerate(batches, 1):
        g = gradient(x, *batch)
        m = [tuple(0.9 * a + 0.1 * d for a, d in zip(p, q, strict=False)) for p, q in zip(m, g, strict=False)]
        v = [tuple(0.999 * a + 0.001 * d * d for a, d in zip(p, q, strict=False)) for p, q in zip(v, g, strict=False)]
        step = np.float32(rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t))
        x = [
            tuple(w - step * a / (np.sqrt(s) + np.float32(1e-8)) for w, a, s in zip(*parts, strict=False))
            for parts in zip(x, m, v, strict=False)
        ]
        watch(t, x)
    return x


def bytes_kept(gradient, weights, images, labels):
    """Of one image more, for the return sweep."""
    kept = iv.cost(gradient)
    sizes = [sum(r.bytes.value for r in kept(weights, images[:n], labels[:n], 0).residuals) for n in (64, 128)]
    return (sizes[1] - sizes[0]) / 64


def runs(gradient, loss, shapes, images, labels, size, rate, iterations):
    """The losses of runs from several seeds, at some of the iterations."""
    every, histories = max(1, iterations // 30), []
    for seed in range(SEEDS):
        rng, history = np.random.default_rng(seed), []
        batches = (
            (images[k], labels[k], iv.random.fold_in(iv.random.key(seed), t))
            for t, k in enumerate(rng.integers(0, len(images), (iterations, size)))
        )

        def watch(t, x, history=history):
            if t % every == 0:
                history.append(loss(x, images, labels, 0))

        adam(gradient, layers(np.random.default_rng(seed), *shapes), batches, rate, watch)
        histories.append(history)
    return np.array(histories)


def main(iterations=300):
    digits = load_digits()
    images, labels = (digits.images / 16.0).astype(np.float32), digits.target
    every, curves = max(1, iterations // 30), {}
    for name, (network, shapes, part) in NETWORKS.items():
        exact, sampled = iv.grad(network), iv.grad(network, tape=iv.tape.sample(part, "key", shared=False))
        weights = layers(np.random.default_rng(0), *shapes)
        masked = iv.grad(network, tape=iv.tape.sample(1.0, "key", shared=False))
        each = [bytes_kept(g, weights, images, labels) for g in (exact, masked, sampled)]
        least = min(each[:2])
        small = max(1, int(LARGE * each[2] / least))
        print(f"{name}: {least:.0f} bytes an image, {each[2]:.0f} at {part}: batches of {small} and {LARGE}")
        loss = iv.jit(network)
        for how, gradient, size in (("exact", exact, small), ("sampled", sampled, LARGE)):
            begin = time.thread_time()
            tried = {r: runs(gradient, loss, shapes, images, labels, size, r, iterations) for r in RATES}
            rate = min(tried, key=lambda r: tried[r][:, -1].mean())
            curves[name, how] = tried[rate]
            last = tried[rate][:, -1]
            print(
                f"  {how:8} batch {size:4}   rate {rate:.0e}   loss {last.mean():.4f} +- "
                f"{last.std(ddof=1) / np.sqrt(SEEDS):.4f}   {time.thread_time() - begin:.1f} s"
            )
        goal = curves[name, "exact"][:, -1].mean()
        whens = [
            first_below(curve, goal, every) for curve in [curves[name, "sampled"].mean(0), *curves[name, "sampled"]]
        ]
        print(
            f"  the exact runs' last loss after {whens[0]} of {iterations} iterations of the sampled runs' mean, "
            f"{min(whens[1:])} to {max(whens[1:])} of single ones"
        )
    picture(curves, every)
    return curves


def first_below(curve, goal, every):
    """The first iteration with a loss of `goal` or less; infinity if there is none."""
    below = np.flatnonzero(curve <= goal)
    return every * (int(below[0]) + 1) if len(below) else np.inf


def picture(curves, every):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(1, len(NETWORKS), figsize=(9, 3.4), sharey=True, squeeze=False)
    axes = grid[0]
    for axis, name in zip(axes, NETWORKS, strict=False):
        for how in ("exact", "sampled"):
            losses = curves[name, how]
            t = every * np.arange(1, losses.shape[1] + 1)
            axis.semilogy(t, losses.mean(0), label=f"{how} gradient")
            axis.fill_between(t, losses.min(0), losses.max(0), alpha=0.2)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("iterations of Adam")
    axes[0].set_ylabel("loss on all training images")
    axes[0].legend(title="equal memory")
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / "sampled_digits.png", dpi=120, bbox_inches="tight")
    print("picture of the losses      examples/out/sampled_digits.png")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

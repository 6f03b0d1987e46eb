"""Train networks on handwritten digits by gradients that keep a part of the activations.

At the same memory for the return sweep a gradient that samples its activations may have a larger batch than an exact
one.  Two networks, fully connected and a small convolution written as loops, are trained by Adam: exactly with the
small batch, and sampled with the large one.  What is sampled is said by hand: what is large, and multiplied by weights
alone.  The images needn't be stored, and what is pooled for the convolution's last layer is small.

What a sample costs in variance is told by the weights' gradient of one image, a sum over the places where a weight is
used: where they are many and go the same way, the errors of a sample average out in the sum.  In a fully connected
layer there is one place, and a part f of its activations is as noisy as a batch that is smaller by f; in a convolution
there are many.

Each side has the best of four rates, chosen by five runs of their own; what is printed and drawn is the loss on all
training images of five other runs.  Both gradients keep masks as bits: all that isn't sampled is the same.

    python examples/sampled_digits.py [iterations]

After the first experiment of Oktay et al., Randomized automatic differentiation, ICLR 2021.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.datasets import load_digits

import iverson as iv

SEEDS, CHOICE = range(10, 15), range(1000, 1005)
EVALUATIONS = 30
OUT = Path(__file__).parent / "out"


def cross_entropy(scores, labels):
    top = scores.max(1)
    log_sums = np.log(np.exp(scores - top[:, None]).sum(1)) + top
    return (log_sums - scores[np.arange(len(labels)), labels]).mean()


def connected(part):
    def loss(weights, images, labels, key):
        h = images
        for k, (w, b) in enumerate(weights):
            if k > 0:
                h = iv.sketch(np.maximum(h, 0.0), part, iv.random.fold_in(key, k), shared=False)
            h = h @ w + b
        return cross_entropy(h, labels)

    return loss


def convolved(h, kernel, offset):
    n, rows, columns, channels = h.shape
    size, _, _, out = kernel.shape

    def at(k, i, j, o):
        return offset[o] + sum(
            h[k, i + di, j + dj, c] * kernel[di, dj, c, o]
            for di in range(size)
            for dj in range(size)
            for c in range(channels)
        )

    return np.array(
        [
            [[[at(k, i, j, o) for o in range(out)] for j in range(columns - size + 1)] for i in range(rows - size + 1)]
            for k in range(n)
        ]
    )


def convolution(part):
    """Twice 3 x 3, means of 2 x 2, and one layer on them."""

    def loss(weights, images, labels, key):
        first, second, (w, b) = weights
        h = np.maximum(convolved(images.reshape(len(images), 8, 8, 1), *first), 0.0)
        h = np.maximum(convolved(iv.sketch(h, part, key, shared=False), *second), 0.0)
        h = 0.25 * (h[:, ::2, ::2] + h[:, 1::2, ::2] + h[:, ::2, 1::2] + h[:, 1::2, 1::2])
        return cross_entropy(h.reshape(len(h), w.shape[0]) @ w + b, labels)

    return loss


def layers(rng, *shapes):
    return [
        ((rng.normal(size=s) * np.sqrt(2.0 / np.prod(s[:-1]))).astype(np.float32), np.zeros(s[-1], np.float32))
        for s in shapes
    ]


class Setting(NamedTuple):
    network: Callable  # a part of the activations -> the loss
    shapes: tuple
    part: float
    large: int  # the batch of the sampled gradient
    rates: tuple


NETWORKS = {
    "fully connected": Setting(connected, ((64, 128), (128, 128), (128, 10)), 0.25, 128, (2e-3, 4e-3, 8e-3, 1.6e-2)),
    "convolution": Setting(
        convolution, ((3, 3, 1, 16), (3, 3, 16, 32), (128, 10)), 0.1, 64, (4e-3, 8e-3, 1.6e-2, 3.2e-2)
    ),
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


def batches(name):
    """The batch of an exact gradient that keeps as much as the sampled one with the large batch, and that."""
    network, shapes, part, large, _ = NETWORKS[name]
    weights, labels = layers(np.random.default_rng(0), *shapes), np.zeros(2 * large, int)

    def each(f):
        """Bytes of an image more, for the return sweep."""
        kept = iv.cost(iv.grad(f))
        some = [
            sum(r.bytes.value for r in kept(weights, np.zeros((n, 64), np.float32), labels[:n], 0).residuals)
            for n in (large, 2 * large)
        ]
        return (some[1] - some[0]) / large

    exact, sampled = each(network(1.0)), each(network(part))
    print(f"{name}: {exact:.0f} bytes an image, {sampled:.0f} at {part}")
    return max(1, round(large * sampled / exact)), large


def runs(gradient, loss, shapes, images, labels, size, iterations, rate, seeds):
    """The losses of runs from several seeds, at some of the iterations."""
    every, histories = max(1, iterations // EVALUATIONS), []
    for seed in seeds:
        rng, history = np.random.default_rng(seed), []
        given = (
            (images[k], labels[k], iv.random.fold_in(iv.random.key(seed), t))
            for t, k in enumerate(rng.integers(0, len(images), (iterations, size)))
        )

        def watch(t, x, history=history):
            if t % every == 0:
                history.append(loss(x, images, labels, 0))

        adam(gradient, layers(np.random.default_rng(seed), *shapes), given, rate, watch)
        histories.append(history)
    return np.array(histories)


def main(iterations=300):
    digits = load_digits()
    images, labels = (digits.data / 16.0).astype(np.float32), digits.target
    every, curves = max(1, iterations // EVALUATIONS), {}
    for name, (network, shapes, part, _, rates) in NETWORKS.items():
        small, large = batches(name)
        loss = iv.jit(network(1.0))
        for how, kept, size in (("exact", 1.0, small), ("sampled", part, large)):
            begin = time.thread_time()
            train = partial(runs, iv.grad(network(kept)), loss, shapes, images, labels, size, iterations)
            rate = min(rates, key=lambda r, train=train: train(r, CHOICE)[:, -1].mean())
            curves[name, how] = train(rate, SEEDS)
            print(
                f"  {how:8} batch {size:4}   rate {rate:.1e}   loss {interval(curves[name, how][:, -1])}   "
                f"{time.thread_time() - begin:.1f} s"
            )
        exact, sampled = curves[name, "exact"], curves[name, "sampled"]
        mean = first_below(sampled.mean(0), exact[:, -1].mean(), every)
        whens = [first_below(a, b[-1], every) for a, b in zip(sampled, exact, strict=True)]
        print(
            f"  the exact runs' last loss after {mean} of {iterations} iterations of the sampled runs, by the means; "
            f"{interval(np.array(whens), 0)} of pairs with one seed: {whens}"
        )
    picture(curves, every)
    return curves


def interval(values, digits=4):
    """The mean, with its 95 % interval by Student's t."""
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n) if np.isfinite(values).all() else np.inf
    return f"{values.mean():.{digits}f} +- {half:.{digits}f}"


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

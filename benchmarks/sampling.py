"""`python -m benchmarks.sampling [name...]`: memory and time of sampled gradients beside exact ones.

Networks and data of the shapes of Oktay et al. (Randomized automatic differentiation, ICLR 2021), data generated:
fully connected 784-300-300-300-10, and convolutions 5 x 5 of 3-16-32 channels, pool, 32-32, pool, 2048-10, batches of
150, float32; a field of 33 x 33 points in 2,048 steps with seven controls (examples/reactor.py).

held        bytes alive when the return sweep begins, by the allocator, and parameters: what the paper counts
most        the most bytes alive at once, by the allocator, without the gradient that is returned
time        the thread's CPU time beside that of the value alone, medians in turns
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optree import tree_leaves

import iverson as iv
from benchmarks.__main__ import medians
from examples import reactor
from tests.allocations import counted

BATCH = 150
Args = tuple[Any, ...]


def cross_entropy(scores: Any, labels: Any) -> Any:
    top = scores.max(1)
    log_sums = np.log(np.exp(scores - top[:, None]).sum(1)) + top
    return (log_sums - scores[np.arange(len(labels)), labels]).mean()


def connected(weights: Any, images: Any, labels: Any, key: Any) -> Any:
    h = images
    for w, b in weights[:-1]:
        h = np.maximum(h @ w + b, 0.0)
    w, b = weights[-1]
    return cross_entropy(h @ w + b, labels)


def convolve(h: Any, kernel: Any) -> Any:
    """Each pixel added to where it counts; the rim is cut off."""
    n, rows, columns, channels = h.shape
    size, _, _, out = kernel.shape
    y = np.zeros((n, rows + size - 1, columns + size - 1, out), h.dtype)
    for b in range(n):
        for i in range(rows):
            for j in range(columns):
                for di in range(size):
                    for dj in range(size):
                        for c in range(channels):
                            for o in range(out):
                                y[b, i + di, j + dj, o] += h[b, i, j, c] * kernel[di, dj, c, o]
    rim = size // 2
    return y[:, rim : rows + rim, rim : columns + rim]


def pool(h: Any) -> Any:
    return 0.25 * (h[:, ::2, ::2] + h[:, 1::2, ::2] + h[:, ::2, 1::2] + h[:, 1::2, 1::2])


def convolution(weights: Any, images: Any, labels: Any, key: Any) -> Any:
    first, second, third, fourth, (w, b) = weights
    h = np.maximum(convolve(images, first[0]) + first[1], 0.0)
    h = pool(np.maximum(convolve(h, second[0]) + second[1], 0.0))
    h = np.maximum(convolve(h, third[0]) + third[1], 0.0)
    h = pool(np.maximum(convolve(h, fourth[0]) + fourth[1], 0.0))
    return cross_entropy(h.reshape(len(h), w.shape[0]) @ w + b, labels)


def layers(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """Weights of these shapes and offsets."""
    return [
        ((rng.normal(size=s) * np.sqrt(2.0 / np.prod(s[:-1]))).astype(np.float32), np.zeros(s[-1], np.float32))
        for s in shapes
    ]


def connected_args(batch: int = BATCH) -> Args:
    rng = np.random.default_rng(0)
    weights = layers(rng, (784, 300), (300, 300), (300, 300), (300, 10))
    return weights, rng.normal(size=(batch, 784)).astype(np.float32), rng.integers(0, 10, batch), 0


def convolution_args(batch: int = BATCH) -> Args:
    rng = np.random.default_rng(0)
    weights = layers(rng, (5, 5, 3, 16), (5, 5, 16, 32), (5, 5, 32, 32), (5, 5, 32, 32), (2048, 10))
    return weights, rng.normal(size=(batch, 32, 32, 3)).astype(np.float32), rng.integers(0, 10, batch), 0


CASES: dict[str, tuple[Callable[..., Any], Callable[[], Args], Sequence[float], bool | None]] = {
    "connected": (connected, connected_args, (1.0, 0.5, 0.1, 0.05), True),
    "convolution": (convolution, convolution_args, (1.0, 0.1), True),
    "reactor": (reactor.loss, lambda: (np.zeros(reactor.CONTROLS), 0), (1.0, 0.1, 0.01, 0.002), None),
}


def tape(part: float, shared: bool | None = True) -> Any:
    return "auto" if part == 1.0 else iv.tape.sample(part, "key", shared=shared)


def bytes_of(f: Callable[..., Any], part: float, shared: bool | None, args: Args) -> tuple[int, int]:
    """What is held when the return sweep begins, and the most at once without the gradient."""
    with counted() as allocations:
        gradient = iv.jit(iv.grad(f, tape=tape(part, shared)), threads=False)
        gradient(*args)
        allocations.start()
        result = gradient(*args)
        held, most = allocations.held(), allocations.most
    returned = sum(leaf.nbytes for leaf in tree_leaves(result))
    return held, most - returned


def report(name: str, timed: bool = True) -> None:
    f, made, parts, shared = CASES[name]
    args = made()
    parameters = sum(leaf.nbytes for leaf in tree_leaves(args[0]))
    sizes = [bytes_of(f, part, shared, args) for part in parts]
    calls = [iv.jit(f, threads=False)]
    calls += [iv.jit(iv.value_and_grad(f, tape=tape(part, shared)), threads=False) for part in parts]
    times = [float("nan")] * len(calls)
    if timed:
        for call in calls:
            call(*args)
        times = medians([lambda call=call: call(*args) for call in calls])  # type: ignore[misc]
    print(f"{name}: {parameters / 1e6:.3f} MB of parameters, value {1e3 * times[0]:.2f} ms")
    for part, (held, most), seconds in zip(parts, sizes, times[1:], strict=True):
        kept = (held + parameters) / 1e6
        print(
            f"  kept {part:5}   held and parameters {kept:8.3f} MB   most {most / 1e6:8.3f} MB   "
            f"gradient/value {seconds / times[0]:5.2f}   time of the exact {seconds / times[1]:5.2f}"
        )


def main(names: Sequence[str]) -> None:
    for name in names or CASES:
        report(name)


if __name__ == "__main__":
    main(sys.argv[1:])

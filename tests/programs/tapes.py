"""Programs that say what derivatives keep of them: checkpoints of loops, values that are kept or computed again."""

import numpy as np

import iverson as iv

from .registry import program


@program(args=lambda n, rng: (rng.uniform(0.2, 0.9, size=n + 3), 2 * n + 1), wrt=(0,), tags="loop recurrence")
def steps_with_checkpoints(u, steps):
    for _ in iv.range(steps, tape=iv.tape.checkpoint(slots=2, block=1)):
        u = u + 0.1 * (np.roll(u, 1) - u) * u
    return u


@program(args=lambda n, rng: (rng.uniform(0.2, 0.9, size=n + 3), n), wrt=(0,), tags="loop mutation")
def updates_in_place_with_checkpoints(x, sweeps):
    x = x.copy()
    for k in iv.range(sweeps, tape=iv.tape.checkpoint(slots=3)):
        for i in iv.range(1, len(x), tape=iv.tape.checkpoint(slots=2, block=2)):
            if x[i] > x[i - 1]:
                x[i] -= 0.3 * np.sin(x[i - 1]) / (k + 1)
            else:
                x[i] *= x[i - 1] + 0.5
    return x


@program(
    args=lambda n, rng: (rng.uniform(0.5, 2.0, size=n), 3 * n), wrt=(0,), tags="loop exit comprehension recurrence"
)
def an_exit_with_checkpoints(starts, steps):
    def run(s):
        total = 0.0
        for k in iv.range(steps, tape=iv.tape.checkpoint(slots=2, block=1)):
            total += s * s
            if total > 7.0:
                break
            s = np.cos(s) + 0.1 * k
        return total

    return np.array([run(s) for s in starts])


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3, 3)) / 2, rng.normal(size=3), rng.normal(size=n)),
    wrt=(0, 1, 2),
    tags="loop recurrence",
)
def values_kept_and_computed_again(weights, h, scales):
    total = 0.0
    for k in range(len(weights)):
        a = iv.recompute(weights[k] @ h)
        e = iv.keep(np.exp(0.1 * np.sin(total) * scales[k]))
        inner = iv.recompute(sum(a[j] * a[j] for j in range(3)))
        h = iv.keep(np.tanh(a)) * e
        total = total + e * inner
    return total + h.sum()


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)), rng.normal(size=n)),
    wrt=(0, 1),
    sizes=(0, 1, 2, 5, 9),
    tags="loop inplace branch",
)
def results_that_are_only_compared(w, x):
    h, shown = x.copy(), 0.0
    for i in range(len(x)):
        rows = sum(w[i, j] * h[j] for j in range(i))
        columns = sum(w[j, i] * h[j] for j in range(i))
        if i % 3 == 2:
            other = sum(np.sin(w[i, j]) for j in range(i, len(x)))
        else:
            other = sum(w[i, j] for j in range(i + 1))
        past = sum(h[j] * h[j] for j in range(i))
        h[i] += min(max(rows, -columns), 2.0 - other)
        if past > 3.0 + rows - other:
            h[i] = 0.5 * h[i]
        shown += max(past, 1.0) * other
    return h, shown

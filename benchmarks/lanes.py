"""`python -m benchmarks.lanes`: gradient beside value of a vmapped while whose lanes take very different turns.

20,000 lanes; the turns of a lane are drawn from a Pareto distribution, so that a few lanes take most of them.  The last
column is how many more turns there would be if all lanes ran in step, as long as the longest.
"""

from __future__ import annotations

import numpy as np

import iverson as iv
from benchmarks.__main__ import medians

LANES = 20_000


def oscillate(x, v, rate, turns):
    """Damped steps of a pendulum."""
    n = 0
    while n < turns:
        v = v - rate * np.sin(x) - 0.01 * v
        x = x + rate * v
        n += 1
    return x


def decay(x, v, rate, turns):
    """The same without elementary functions."""
    n = 0
    while n < turns:
        v = v - rate * x
        x = x + rate * v / (1.0 + v * v)
        n += 1
    return x


def heavy(rng: np.random.Generator, lanes: int) -> np.ndarray:
    return np.minimum(np.ceil(10 * (1 + rng.pareto(1.2, lanes))), 20_000).astype(np.int64)


def main() -> None:
    rng = np.random.default_rng(0)
    turns = heavy(rng, LANES)
    x, v, rate = rng.normal(size=LANES), rng.normal(size=LANES), rng.uniform(0.01, 0.05, LANES)
    print(f"{LANES} lanes, turns: median {int(np.median(turns))}, mean {turns.mean():.0f}, most {turns.max()}")
    print(f"{'body':12s} {'value ms':>9s} {'v+grad ms':>10s} {'ratio':>6s} {'ns/turn':>8s}  in step / value")
    for body in (decay, oscillate):

        def objective(x, v, rate, turns, body=body):
            return iv.vmap(body)(x, v, rate, turns).sum()

        value, gradient = iv.jit(objective), iv.value_and_grad(objective, argnums=(0, 1, 2))
        args = (x, v, rate, turns)
        assert np.isclose(value(*args), gradient(*args)[0])
        forward, both = medians([lambda: value(*args), lambda: gradient(*args)])  # noqa: B023 (called at once)
        step = turns.max() / turns.mean()
        print(
            f"{body.__name__:12s} {1e3 * forward:9.2f} {1e3 * both:10.2f} {both / forward:6.2f} "
            f"{1e9 * forward / turns.sum():8.2f}  {step:.0f}"
        )


if __name__ == "__main__":
    main()

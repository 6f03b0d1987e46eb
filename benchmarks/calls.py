"""What a call of a compiled function costs beside Numba's and JAX's: `python -m benchmarks.calls`.

Arrays of 8 numbers, so that the call is all there is; least of 20 repetitions of 20,000 calls, nanoseconds.  JAX's
calls are waited for.  A missing peer is reported.
"""

from __future__ import annotations

import platform
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

import iverson as iv

X, Y, Z = (np.linspace(k, k + 1, 8) for k in range(3))


def read(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    return x[0] * y[1] + z[2]


def make(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return x * y + z


def captured(w: np.ndarray) -> float:
    return (X * w).sum()


def tree(p: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"w": p["w"] + p["b"]}


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "three arrays in, a number out": (read, (X, Y, Z)),
    "three arrays in, a new one out": (make, (X, Y, Z)),
    "one array in, one captured": (captured, (Y,)),
    "a dict in, a dict out": (tree, ({"w": X, "b": Y},)),
}


def nanoseconds(f: Callable[..., Any], args: tuple[Any, ...], number: int = 20_000) -> float:
    for _ in range(3):
        f(*args)
    names = {f"a{k}": x for k, x in enumerate(args)}
    times = timeit.repeat(f"f({', '.join(names)})", globals={"f": f, **names}, number=number, repeat=20)
    return min(times) / number * 1e9


def _numba(f: Callable[..., Any], args: tuple[Any, ...]) -> float | None:
    try:
        import numba
    except ImportError:
        return None
    return None if f is tree else nanoseconds(numba.njit(f), args)


def _jax(f: Callable[..., Any], args: tuple[Any, ...]) -> float | None:
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    compiled, given = jax.jit(f), jax.tree.map(jax.numpy.asarray, args)
    return nanoseconds(lambda *a: jax.block_until_ready(compiled(*a)), given, 2000)


def main() -> None:
    print(f"{platform.machine()}, Python {platform.python_version()}, ns a call")
    print(f"{'':32}{'Iverson':>9}{'gradient':>10}{'Numba':>9}{'JAX':>9}")
    for name, (f, args) in CALLS.items():
        scalar = iv.grad(f) if f in (read, captured) else None
        row = [nanoseconds(iv.jit(f), args), scalar and nanoseconds(scalar, args), _numba(f, args), _jax(f, args)]
        print(
            f"{name:32}"
            + "".join(f"{'-' if t is None else format(t, '.0f'):>{9 + (k == 1)}}" for k, t in enumerate(row))
        )


if __name__ == "__main__":
    main()

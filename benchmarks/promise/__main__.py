"""`python -m benchmarks.promise [name...]`: gradient/program by the clock as programs grow, beside JAX's.

A cell is (value and gradient) / value, both compiled, and the milliseconds of the former.  Each JAX cell is a process
of its own: one that takes over a minute, first call included, is given up, and so are the larger ones after it
("error": JAX has no reverse mode for it; "killed": out of memory).
Times are medians of CPU time for Iverson (one thread) and of the clock for JAX (which may use all cores).
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.__main__ import medians
from benchmarks.promise.programs import DEPTHS, PROGRAMS, WIDTHS, Program

LIMIT = 60  # seconds for a cell of JAX


def ours(p: Program, n: int) -> tuple[float, float, float]:
    """(seconds of the program, of value and gradient, the value)"""
    args = p.args(n)
    value, gradient = iv.jit(p.function), iv.value_and_grad(p.function, argnums=p.wrt)
    result = float(value(*args))
    gradient(*args)
    return (*medians([lambda: value(*args), lambda: gradient(*args)], 0.3, 3), result)  # type: ignore[return-value]


def theirs(name: str, n: int) -> tuple[float, float, float]:
    """The same by JAX, in this process."""
    import jax

    from benchmarks.promise.in_jax import PROGRAMS as IN_JAX

    (p,) = [p for p in PROGRAMS if p.name == name]
    function, static = IN_JAX[name]
    args = tuple(jax.numpy.asarray(x) if isinstance(x, np.ndarray) else x for x in p.args(n))
    value = jax.jit(function, static_argnums=static)
    gradient = jax.jit(jax.value_and_grad(function, argnums=p.wrt), static_argnums=static)
    result = float(jax.block_until_ready(value(*args)))
    jax.block_until_ready(gradient(*args))

    def median(call: Callable[..., Any]) -> float:
        taken, end = [], time.perf_counter() + 0.5
        while len(taken) < 3 or time.perf_counter() < end:
            begin = time.perf_counter()
            jax.block_until_ready(call(*args))
            taken.append(time.perf_counter() - begin)
        return float(np.median(taken))

    return median(value), median(gradient), result


def apart(name: str, n: int) -> tuple[float, float, float] | str:
    """`theirs` in a process of its own, or why not."""
    command = [sys.executable, "-m", "benchmarks.promise", "--cell", name, str(n)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"> {LIMIT} s"
    if done.returncode:
        killed = done.returncode < 0  # by the system, which is out of memory
        return "killed" if killed else "missing" if "ModuleNotFoundError" in done.stderr else "error"
    return tuple(json.loads(done.stdout))  # type: ignore[return-value]


def cell(found: tuple[float, float, float]) -> str:
    value, gradient, _ = found
    return f"{gradient / value:9.1f} ({1e3 * gradient:9.2f})"


def beside_jax(p: Program) -> None:
    print(f"{p.name}", flush=True)
    mine = {n: ours(p, n) for n in p.sizes}
    print("    Iverson  " + "".join(f"{cell(c):>23s}" for c in mine.values()), flush=True)
    line, stop = "    JAX      ", ""
    for n in p.sizes:
        found = stop or apart(p.name, n)
        if isinstance(found, str):
            stop = found
            line += f"{found:>23s}"
        else:
            assert np.isclose(found[2], mine[n][2], rtol=1e-6), (p.name, n, found[2], mine[n][2])
            line += f"{cell(found):>23s}"
    print(line, flush=True)


def main(names: list[str]) -> None:
    chosen = [p for p in PROGRAMS if not names or any(part in p.name for part in names)]
    print(f"{platform.machine()}, Python {platform.python_version()}; gradient/program (ms of the gradient)\n")
    sizes = PROGRAMS[0].sizes
    print("    n =      " + "".join(f"{n:>23d}" for n in sizes))
    for p in chosen:
        beside_jax(p)
    for what, family in (("depth of loops, 1e5 turns", DEPTHS), ("readers of one array, 1e4 elements", WIDTHS)):
        if not names or any(part in what for part in names):
            print(what)
            for p in family:
                print(f"    {p.name:12s}{cell(ours(p, p.sizes[0]))}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--cell"]:
        print(json.dumps(theirs(sys.argv[2], int(sys.argv[3]))))
    else:
        main(sys.argv[1:])

"""`python -m benchmarks.kernels [--jax] [name...]`: NumPy kernels beside hand-written adjoints, and JAX.

value, gradient   ms of the kernel's weighted sum, and of it and its gradient; "hand" is loops and an adjoint written
                  for Numba (fastmath).  Medians of the thread's CPU time, interleaved in one process
x                 ours over hand
MB                what the gradient allocates at most, beside hand, at three times the size (pages and the process's
                  own growth are lost in it): the growth of the resident set's peak in the second call, with nothing
                  kept of the first
first             CPU seconds of the first call of the gradient: staging, differentiation, optimisation, LLVM
JAX               ms of its value and gradient, compiled, of CPU time on one thread, in a process of its own, over ours;
                  one that takes over a minute, first call included, is given up: its limit stands for it.  MB as JAX
                  plans it.  With --jax

Hand-written gradients are checked against ours before anything is timed.
"""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.__main__ import medians
from benchmarks.kernels.registry import HAND_IS_COMPILED, Kernel
from benchmarks.kernels.suite import KERNELS
from benchmarks.resident import NONE, keep_freed_memory, peak

LIMIT = 60  # CPU seconds for a cell of JAX
LARGER = 3  # by how much memory is measured at a larger size
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def memory(name: str, which: str) -> float:
    """`peak` of a gradient, ours or by hand, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kernels", "--memory", name, which]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def memory_here(k: Kernel, which: str) -> float:
    call = k.adjoint if which == "hand" else iv.value_and_grad(k.program, argnums=k.wrt)
    keep_freed_memory(NONE)
    args = k.args(LARGER * k.size)
    found = peak(lambda: call(*args))
    return math.nan if found is None else found / 2**20


def in_jax(k: Kernel) -> tuple[float, float, float]:
    """(ms of value and gradient, MB of its temporaries, the value), in this process."""
    import jax

    jax.config.update("jax_enable_x64", True)
    args = tuple(jax.numpy.asarray(x) if isinstance(x, np.ndarray) else x for x in k.args(k.size))
    gradient = jax.jit(jax.value_and_grad(k.jax, argnums=k.wrt), static_argnums=k.static)
    compiled = gradient.lower(*args).compile()
    args = tuple(a for i, a in enumerate(args) if i not in k.static)
    value, _ = jax.block_until_ready(compiled(*args))
    taken, end = [], time.process_time() + 1.0
    while len(taken) < 3 or (time.process_time() < end and len(taken) < 100):
        begin = time.process_time()
        jax.block_until_ready(compiled(*args))
        taken.append(time.process_time() - begin)
    return 1e3 * float(np.median(taken)), compiled.memory_analysis().temp_size_in_bytes / 2**20, float(value)


def beside_jax(name: str) -> tuple[float, float, float] | str:
    """`in_jax` in a process of its own, or why not."""
    command = [sys.executable, "-m", "benchmarks.kernels", "--in-jax", name]
    env = {**os.environ, **ONE_THREAD}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20 * LIMIT, check=False, env=env)
    except subprocess.TimeoutExpired:
        return "limit"
    if done.returncode == -signal.SIGXCPU:
        return "limit"
    if done.returncode:
        killed = done.returncode < 0  # by the system, which is out of memory
        return "killed" if killed else "missing" if "ModuleNotFoundError" in done.stderr else "error"
    return tuple(json.loads(done.stdout))  # type: ignore[return-value]


def checked(k: Kernel, args: tuple[Any, ...], value: float, gradient: np.ndarray) -> None:
    v, g = k.adjoint(*args)
    assert np.isclose(v, value, rtol=1e-9), (k.name, v, value)
    assert np.isclose(k.primal(*args), value, rtol=1e-9), k.name
    scale = np.max(np.abs(g))
    assert np.allclose(g, gradient, rtol=1e-6, atol=1e-9 * scale), (k.name, np.max(np.abs(g - gradient)) / scale)


def measure(k: Kernel, jax: bool) -> dict[str, float]:
    """One line of the table, and its ratios."""
    args = k.args(k.size)
    value, gradient = iv.jit(k.program), iv.value_and_grad(k.program, argnums=k.wrt)
    begin = time.process_time()
    v, g = gradient(*args)
    seconds = time.process_time() - begin
    value(*args)
    calls: list[Callable[[], Any]] = [lambda: value(*args), lambda: gradient(*args)]
    if HAND_IS_COMPILED:
        checked(k, args, v, g)
        calls += [lambda: k.primal(*args), lambda: k.adjoint(*args)]
    ms = [1e3 * t for t in medians(calls, 0.25, 3)]
    found = {"first": seconds, "gradient/value": ms[1] / ms[0]}
    line = f"{k.name:21s} {ms[0]:8.3f} {ms[1]:8.3f} "
    if HAND_IS_COMPILED:
        ours, theirs = memory(k.name, "ours"), memory(k.name, "hand")
        found |= {"value": ms[0] / ms[2], "gradient": ms[1] / ms[3], "memory": ours / theirs if theirs else 0.0}
        line += f"{ms[2]:8.3f} {ms[3]:8.3f}  {found['value']:5.2f} {found['gradient']:5.2f}  {ours:6.1f} {theirs:6.1f} "
    else:
        line += f"{'Numba is missing':>47s} "
    line += f" {seconds:5.2f}"
    if jax:
        cell = beside_jax(k.name)
        if not isinstance(cell, str):
            assert np.isclose(cell[2], v, rtol=1e-6), (k.name, cell[2], v)
            found["jax"] = cell[0] / ms[1]
            line += f"  {cell[0]:10.2f} {found['jax']:7.1f} {cell[1]:8.1f}"
        elif cell in ("limit", "killed"):
            found["jax"] = 1e3 * LIMIT / ms[1] if cell == "limit" else float("nan")
            line += f"  {cell:>10s} {'>' + format(found['jax'], '.0f'):>7s}"
        else:
            line += f"  {cell:>10s}"
    print(line, flush=True)
    return found


def main(names: list[str], jax: bool) -> None:
    keep_freed_memory()
    chosen = [k for k in KERNELS if not names or any(part in k.name for part in names)]
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread, ms")
    head = f"{'kernel':21s} {'value':>8s} {'gradient':>8s} {'hand':>8s} {'hand':>8s}  {'x':>5s} {'x':>5s}  "
    print(head + f"{'MB':>6s} {'hand':>6s}  {'first':>5s}  {'JAX':>10s} {'over':>7s} {'MB':>8s}")
    for family in ("loops", "stencils"):
        lines = [measure(k, jax) for k in chosen if k.family == family]
        parts = []
        for what in ("value", "gradient", "memory", "gradient/value", "jax"):
            logs = [np.log(line[what]) for line in lines if line.get(what, 0) > 0]
            if logs:
                worst = np.exp(np.max(logs) if what != "jax" else np.min(logs))
                parts.append(f"{what} {np.exp(np.mean(logs)):.2f} (worst {worst:.2f})")
        if parts:
            print(f"  {family}, geometric means: " + ", ".join(parts) + "\n", flush=True)


def named(name: str) -> Kernel:
    return next(k for k in KERNELS if k.name == name)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-jax"]:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
        print(json.dumps(in_jax(named(sys.argv[2]))))
    elif sys.argv[1:2] == ["--memory"]:
        print(memory_here(named(sys.argv[2]), sys.argv[3]))
    else:
        main([a for a in sys.argv[1:] if a != "--jax"], "--jax" in sys.argv)

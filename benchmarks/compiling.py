"""How long the first call of every benchmark function takes: `python -m benchmarks.compiling`.

Seconds of the thread's CPU time, nothing on disk: staging, differentiation, optimisation and LLVM, and (small) the run.
The bar is 1.5 s, 3 s for the largest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.gradbench.protocol import NAMES, evaluation
from benchmarks.workloads import WORKLOADS


def first_call(f: Callable[..., Any], *args: Any) -> float:
    begin = time.thread_time()
    f(*args)
    return time.thread_time() - begin


def main() -> None:
    os.environ["IVERSON_CACHE_DIR"] = "off"
    print(f"nothing at all: {first_call(iv.jit(lambda x: x + 1.0), np.ones(8)):.2f} s")
    for w in WORKLOADS:
        args = w.args(min(w.size, *(w.growth or (100,))))
        value = first_call(iv.jit(w.objective), *args)
        gradient = first_call(iv.value_and_grad(w.objective, argnums=w.wrt), *args)
        print(f"{w.name:32s} value {value:5.2f}   with gradient {gradient:5.2f}", flush=True)
    for name in NAMES:
        chosen = evaluation(name)
        args = chosen.arguments(chosen.make(np.random.default_rng(0), *chosen.sizes[0]))
        times = (f"{function} {first_call(f, *args):5.2f}" for function, f in chosen.functions.items())
        print(f"{name:32s} {'   '.join(times)}", flush=True)


if __name__ == "__main__":
    main()

"""How long the first call of every benchmark function takes: `python -m benchmarks.compiling [PART...]`.

Seconds of the thread's CPU time, nothing on disk: staging, differentiation, optimisation and LLVM, and (small) the run.
The bar is 1.5 s, 3 s for the largest.  With arguments, only workloads with one of them in their name.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.suite.registry import OURS, workloads

GROUPS = ("gradbench", "arrays", "loops", "kernels", "contractions")


def first_call(f: Callable[..., Any], *args: Any) -> float:
    begin = time.thread_time()
    f(*args)
    return time.thread_time() - begin


def main(parts: Sequence[str]) -> None:
    os.environ["IVERSON_CACHE_DIR"] = "off"
    print(f"nothing at all: {first_call(iv.jit(lambda x: x + 1.0), np.ones(8)):.2f} s")
    total = 0.0
    for w in workloads(GROUPS):
        if OURS not in w.peers or (parts and not any(part in w.name for part in parts)):
            continue
        program = w.peers[OURS]()
        args = program.prepare(w.arguments(w.size if w.small is None else w.small))
        functions = {"value": program.value, "gradient": program.gradient}
        times = {name: first_call(f, *args) for name, f in functions.items() if f is not None}
        total += sum(times.values())
        print(f"{w.name:32s} {'   '.join(f'{name} {t:5.2f}' for name, t in times.items())}", flush=True)
    print(f"{'all':32s} {total:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])

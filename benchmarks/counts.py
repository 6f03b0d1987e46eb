"""`python -m benchmarks.counts`: gradient/objective by the evaluator's count as the number of turns grows 100-fold."""

from __future__ import annotations

from typing import Any

import numpy as np

import iverson as iv
from benchmarks.workloads import WORKLOADS, rng
from iverson.core.evaluate import evaluate
from iverson.core.meter import Cost
from iverson.lang import state
from iverson.opt.pipeline import PASSES
from iverson.run.jit import Jit

# sizes the evaluator can do, and arguments where the workload's own are too large for it
SIZES = {
    "Lorenz RK4": (30, 3000),
    "heat, in place": (2, 200),
    "tree recurrence": (50, 5000),
    "Gauss-Seidel": (50, 5000),
    "conditional update": (50, 5000),
    "table look-up": (10, 1000),
    "soft-DTW": (6, 60),
}
SMALLER: dict[str, Any] = {
    "heat, in place": lambda n: (rng().normal(size=(12, 12)), n, 0.2),
    "table look-up": lambda n: (rng().normal(size=60) * 0.1, 0.5, n),
}


def cost(f: Jit, args: tuple[Any, ...]) -> Cost:
    """What the optimised program costs on these arguments."""
    staged = f.staged(args, {})
    leaves = state.flatten((args, {}))[0]
    values = [np.shape(leaves[p.leaf])[p.axis] if p.kind == "extent" else leaves[p.leaf] for p in staged.params]
    function = staged.function
    for _, run in PASSES:
        function = run(function)
    return evaluate(function, values).cost


def main() -> None:
    print(f"{'workload':20s} {'turns':>6s} {'ratio':>6s}  {'turns':>6s} {'ratio':>6s}  copied elements")
    for w in WORKLOADS:
        if w.name not in SIZES:
            continue
        line, copied = f"{w.name:20s}", 0
        for n in SIZES[w.name]:
            args = SMALLER.get(w.name, w.args)(n)
            objective = cost(Jit(w.objective), args)
            gradient = cost(iv.value_and_grad(w.objective, argnums=w.wrt), args)
            line += f" {n:6d} {gradient.work / objective.work:6.2f} "
            copied = max(copied, gradient.copied)
        print(f"{line} {copied}", flush=True)


if __name__ == "__main__":
    main()

"""Twenty thousand random programs, and everything that is claimed of every one of them:

    python -m tests.diff.evidence updates 0 1000 --log found.jsonl

examines seeds 0 to 999 of a family, writes a line a program (its counts, or how it failed) and goes on after a failure;
what the log has already isn't done again.  tests/diff/test_evidence.py does the same in pytest.

    updates     arrays updated in place, none copied (tests/core/generate_in_place.py), of size 4, counted at 4 and 400
    fresh       the same, with arrays that begin anew or become copies of others
    all         all constructs (tests/core/generate.py), library operations included, of sizes from 0

    checker     accepts the program, its gradient, its pullback, and the pullback of its gradient
    evaluator   the compiled program, and its compiled gradient, give what the evaluator does
    first       value and gradient, tangents, and the transpose identity, against the complex step
    second      the pullback of the gradient against the complex step of the gradient: H u by one and by the other
                side, so that H is symmetric
    promise     W(value and gradient) <= (C0 + 2 depth of sequential nesting) W(program) + ENDS (inputs + outputs)
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from iverson.core.check import check
from iverson.core.dce import dce
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import blocks, statements
from iverson.core.syntax import Accumulate, Block, Function, Loop, While
from iverson.diff.reverse import gradient
from tests.backend import native
from tests.core.generate import random_function
from tests.core.generate_in_place import random_updates
from tests.diff.oracle import check_gradient, check_jvp, check_second, check_vjp, derived, float_params

C0 = {  # the dearest of what the programs are made of
    "updates": 5.4,  # a division
    "fresh": 9.6,  # an array that is copied, at 1 an element, and kept
    "all": 7.3,  # a reduction by an operator
}
ENDS = 10.0
BINS = 4  # times that: the derivative of a product in bins is 25 to 32 operations a bin (diff/histograms.py)
SIZES = (4, 40, 400)  # of arrays that a few turns update: the promise is counted at each


@dataclass(frozen=True)
class Counts:
    """What value and gradient cost beside the program."""

    size: int
    ends: int  # elements of inputs and outputs, and of bins of products
    work: int
    copied: int
    both: int
    both_copied: int
    depth: int  # of sequential nesting


def sequential(block: Block) -> int:
    """How deeply loops nest whose turns follow one another."""
    inner = (
        isinstance(let.op, Loop | While) + max((sequential(b) for _, b in blocks(let.op)), default=0) for let in block
    )
    return max(inner, default=0)


def ends_of(f: Function, values: Sequence[Any]) -> int:
    """The elements of inputs and outputs, more of them for each product in bins: as many bins as they have elements."""
    products = sum(
        isinstance(let.op, Accumulate) and any(acc.type.monoid == "mul" for acc in let.op.accs)
        for let in statements(f.body)
    )
    return (1 + BINS * products) * sum(np.size(v) for v in values)


def counts(f: Function, g: Function, values: Sequence[Any], size: int) -> Counts:
    primal = derived(dce, f)
    one, both = evaluate(primal, values), evaluate(g, values)
    ends = ends_of(f, [*values, *one.values])
    return Counts(size, ends, one.cost.work, one.cost.copied, both.cost.work, both.cost.copied, sequential(primal.body))


def promised(counts: Sequence[Counts], c0: float) -> None:
    assert counts, "nothing was counted"
    for c in counts:
        assert c.both <= (c0 + 2 * c.depth) * c.work + ENDS * c.ends, c


def compiled(f: Function, values: Sequence[Any]) -> None:
    """Compiled code gives what the evaluator does, and leaks nothing."""
    want, got = evaluate(f, values).values, native.Native(f, 0)(*values)
    assert not native.LIVE
    for g, w in zip(got, want, strict=True):
        assert np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, rtol=1e-8, atol=1e-9)


@dataclass
class Findings:
    counts: list[Counts] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)  # by the check that failed
    passed: list[str] = field(default_factory=list)


def examined(f: Function, arguments: Sequence[tuple[int, Sequence[Any]]], c0: float, dear: bool) -> Findings:
    """Every check of a program, at the first of the arguments; the counts at all of them.  `dear`: what takes longest,
    too."""
    values = arguments[0][1]
    wrt = float_params(f)
    checks: dict[str, Callable[[], object]] = {
        "well formed": lambda: (check(f), derived(gradient, f, wrt)),
        "gradient": lambda: check_gradient(f, values, rtol=1e-7),
        "tangents": lambda: check_jvp(f, values, rtol=1e-7),
        "transpose": lambda: check_vjp(f, values, rtol=1e-7),
        "counts": lambda: found.counts.extend(counts(f, derived(gradient, f, wrt), v, n) for n, v in arguments),
        "promise": lambda: promised(found.counts, c0),
        "compiled": lambda: compiled(f, values),
    }
    if dear:
        checks |= {
            "second": lambda: check_second(f, values),
            "compiled gradient": lambda: compiled(derived(gradient, f, wrt), values),
        }
    found = Findings()
    for name, holds in checks.items():
        try:
            holds()
            found.passed.append(name)
        except Exception as failure:
            native.LIVE.clear()
            found.failures[name] = "".join(traceback.format_exception(failure))
    return found


def of_updates(seed: int, fresh: bool) -> Findings:
    depth = 2 + sum(seed % 4**k == 0 for k in (1, 2, 3))
    f, args = random_updates(seed, depth=depth, length=3, fresh=fresh)
    return examined(
        f, [(n, args(n)) for n in SIZES], C0["fresh" if fresh else "updates"], dear=seed % 4 == 1 or seed % 64 == 0
    )


def of_all(seed: int) -> Findings:
    f, values = random_function(seed, smooth=True, depth=2 + seed % 4, wide=True)
    return examined(f, [(0, values)], C0["all"], dear=True)


FAMILIES: dict[str, Callable[[int], Findings]] = {
    "updates": lambda seed: of_updates(seed, fresh=False),
    "fresh": lambda seed: of_updates(seed, fresh=True),
    "all": of_all,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("first", type=int)
    parser.add_argument("end", type=int)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=1e9)
    given = parser.parse_args()
    lines = given.log.read_text().splitlines() if given.log.exists() else []
    there = {(r["family"], r["seed"]) for r in map(json.loads, lines)}
    end = time.monotonic() + 60 * given.minutes
    with given.log.open("a") as log:
        for seed in range(given.first, given.end):
            if (given.family, seed) in there or time.monotonic() > end:
                continue
            record = {"family": given.family, "seed": seed, **asdict(FAMILIES[given.family](seed))}
            print(json.dumps(record), file=log, flush=True)


if __name__ == "__main__":
    main()

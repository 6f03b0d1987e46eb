"""Every pass, and all of them, on random programs and on their gradients."""

from functools import cache

import pytest

from iverson.diff.reverse import gradient
from iverson.opt import (
    bounds,
    branches,
    distribute,
    fuse,
    gather,
    hoist,
    initial,
    once,
    outer,
    parallel,
    promote,
    remainders,
    right_looking,
    siblings,
    simplify,
    updates,
)
from iverson.opt.pipeline import optimise, prepare
from tests.core.generate import random_function
from tests.opt.support import assert_kept, outcome, same

# of each pass: whether values are kept bit for bit, and by what part work may rise
PASSES = {
    "simplify": (simplify.run, True, 0.0),
    "bounds": (bounds.run, True, 0.0),
    "branches": (branches.run, True, 0.0),
    "promote": (promote.run, True, 0.5),
    "once": (once.run, True, 0.5),
    "distribute": (distribute.run, True, 1.0),
    "initial": (initial.run, False, 0.5),
    "outer": (outer.run, False, 0.5),
    "fuse": (fuse.run, True, 0.0),
    "siblings": (siblings.run, True, 0.0),
    "hoist": (hoist.run, True, 3.0),
    "parallel": (parallel.run, False, 0.0),
    "updates": (updates.run, True, 0.0),
    "gather": (gather.run, False, 0.5),
    "remainders": (remainders.run, True, 1.0),
    "right_looking": (right_looking.run, True, 3.0),
}


@cache
def program(seed):
    return random_function(seed, smooth=seed % 2 == 0, depth=2 + seed % 3)


@pytest.mark.parametrize("name", PASSES)
def test_on_random_programs(name):
    run, exact, slack = PASSES[name]
    for seed in range(100):
        f, args = program(seed)
        assert_kept(f, run, args, exact=exact, slack=slack)


def test_on_gradients_of_random_programs():
    for seed in range(60):
        f, args = random_function(seed, depth=3)
        wrt = [k for k, p in enumerate(f.params) if p.type.dtype.is_float]
        before = outcome(gradient(f, wrt), args)
        after = outcome(optimise(gradient(prepare(f), wrt)), args)
        assert not isinstance(before, type) and not isinstance(after, type), seed
        for a, b in zip(before.values, after.values, strict=True):
            assert same(a, b, exact=False), seed

"""Every pass, and all of them, on random programs and on their gradients."""

import pytest

from iverson.opt import bounds, branches, fuse, gather, hoist, parallel, promote, siblings, simplify
from tests.core.generate import random_function
from tests.opt.support import assert_kept

# of each pass: whether values are kept bit for bit, and by what part work may rise
PASSES = {
    "simplify": (simplify.run, True, 0.0),
    "bounds": (bounds.run, True, 0.0),
    "branches": (branches.run, True, 0.0),
    "promote": (promote.run, True, 0.5),
    "fuse": (fuse.run, True, 0.0),
    "siblings": (siblings.run, True, 0.0),
    "hoist": (hoist.run, True, 3.0),
    "parallel": (parallel.run, False, 0.0),
    "gather": (gather.run, False, 0.5),
}


@pytest.mark.parametrize("name", PASSES)
def test_on_random_programs(name):
    run, exact, slack = PASSES[name]
    for seed in range(150):
        f, args = random_function(seed, smooth=seed % 2 == 0, depth=2 + seed % 3)
        assert_kept(f, run, args, exact=exact, slack=slack)

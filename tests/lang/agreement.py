"""A staged function beside Python."""

import numpy as np

from tests.lang.test_stage_corpus import run
from tests.programs import assert_same
from tests.programs.registry import copied


def agree(function, *args):
    """The staged function gives what Python gives, and leaves its arguments as Python does."""
    ours, theirs = copied(args), copied(args)
    expected = function(*theirs)
    got = run(function, ours)
    assert_same((got, ours), (expected, theirs))


def vector(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


SIZES = (0, 1, 2, 5, 7)

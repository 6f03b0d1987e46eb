"""What a pass doesn't change it gives back itself, and what holds no dead code isn't rebuilt."""

import numpy as np
import pytest

from iverson.core.dce import dce
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt.pipeline import PASSES, SCHEDULE, optimise


def straight(x):
    a, b = x[0], x[1]
    for _ in (1, 2, 3):
        a, b = a * b + 1.5, np.sin(a) - b
    return a / (2.0 + b * b)


def looping(x):
    total = 0.0
    for v in x:
        if v > 0.0:
            total = total * 0.5 + v * v
    return total, np.exp(x - x.max())


@pytest.mark.parametrize("program", [straight, looping])
def test_a_pass_that_finds_nothing_returns_the_function(program):
    f = optimise(stage_for(program, (np.ones(7),)).function)
    for _ in range(2):
        f = optimise(f, reassociate=False)
    for name, run in [*PASSES, *SCHEDULE]:
        assert run(f) is f, name


def test_lean_functions_are_kept():
    f = stage_for(straight, (np.ones(7),)).function
    g = gradient(f, [1])
    assert dce(f) is f and dce(g) is g

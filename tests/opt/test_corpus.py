"""Every program of the corpus, and its gradient: each pass of the pipeline keeps what it means and costs."""

import numpy as np
import pytest

from iverson.core.evaluate import evaluate
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt.pipeline import PASSES, optimise, prepare
from tests.lang.test_stage_corpus import inputs
from tests.opt.support import assert_kept, outcome, same
from tests.programs import PROGRAMS
from tests.programs.registry import leaves

# by what part a pass may raise work, by its docstring
STATED = {"hoist": 3.0, "gather": 0.5, "promote": 0.5, "once": 0.5, "initial": 0.5, "outer": 0.5}


def stated(name):
    return next((slack for prefix, slack in STATED.items() if name.startswith(prefix)), 0.0)


def staged(program, n):
    args = program.arguments(n)
    s = stage_for(program.function, args)
    return s.function, inputs(s, args)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_passes(program):
    sizes = [n for n in program.sizes if n not in program.raises]
    f, args = staged(program, sizes[-1])
    with np.errstate(all="ignore"):
        for name, run in PASSES:
            f = assert_kept(f, run, args, exact=False, slack=stated(name), extra=30)


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.raises], ids=lambda p: p.name)
def test_errors_stay(program):
    for n, error in program.raises.items():
        with pytest.raises(error):  # some are raised when the program is staged
            f, args = staged(program, n)
            evaluate(optimise(f), args)


def largest(program):
    return [n for n in program.sizes if n not in program.raises][-1]


def is_objective(program):
    """A floating-point number first, of floating-point arguments."""
    if not program.differentiable:
        return False
    results = leaves(program.outcome(program.arguments(largest(program)))[0])
    return bool(results) and results[0].shape == () and results[0].dtype.kind == "f"


@pytest.mark.parametrize("program", filter(is_objective, PROGRAMS), ids=lambda p: p.name)
def test_gradients(program):
    f, args = staged(program, largest(program))
    wrt = [k for k, p in enumerate(f.params) if p.type.dtype.is_float]
    before = outcome(gradient(f, wrt), args)
    g = gradient(prepare(f), wrt)
    for _, run in PASSES:
        g = run(g)
    after, scheduled = outcome(g, args), outcome(optimise(g), args)
    assert not isinstance(before, type) and not isinstance(after, type) and not isinstance(scheduled, type)
    for a, b, c in zip(before.values, after.values, scheduled.values, strict=True):
        assert same(a, b, exact=False) and same(a, c, exact=False)
    assert after.cost.work <= 1.5 * before.cost.work + 50

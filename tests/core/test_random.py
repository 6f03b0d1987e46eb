"""Properties that hold for every program, on random ones."""

import numpy as np
import pytest

from iverson.core import evaluate as evaluator
from iverson.core.check import check
from iverson.core.dce import dce
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import rename_function
from iverson.core.show import show

from .generate import random_function

SEEDS = range(60)


def same(a, b):
    for v, w in zip(a.values, b.values, strict=True):
        np.testing.assert_array_equal(v, w)


@pytest.mark.parametrize("seed", SEEDS)
def test_well_formed_and_renamed(seed):
    f, args = random_function(seed, smooth=False)
    check(f)
    g = rename_function(f)
    check(g)
    assert show(g, types=True) == show(f, types=True)
    first, second = evaluate(f, args), evaluate(g, args)
    same(first, second)
    assert first.cost == second.cost
    assert all(np.isfinite(v).all() for v in first.values)


@pytest.mark.parametrize("seed", SEEDS)
def test_dead_code(seed):
    f, args = random_function(seed, smooth=False)
    g = dce(f)
    check(g)
    before, after = evaluate(f, args), evaluate(g, args)
    same(before, after)
    assert after.cost.work <= before.cost.work
    assert after.cost.copied <= before.cost.copied
    assert show(dce(g)) == show(g)


class CopyAll:
    """Ownership that never moves."""

    def __init__(self, function):
        pass

    def of(self, owner, k):
        return True

    def on_entry(self, owner):
        return ()

    after = on_exit = on_entry


@pytest.mark.parametrize("seed", SEEDS)
def test_moves_are_not_seen_and_every_array_dies_once(seed, monkeypatch):
    f, args = random_function(seed, smooth=False, depth=4)
    moved = evaluate(f, args)
    live = evaluator._machine(f, False).meter.live
    assert live == sum(v.size for v in moved.values if isinstance(v, np.ndarray))
    monkeypatch.setattr(evaluator, "copies", CopyAll)
    copied = evaluate(rename_function(f), args)
    same(moved, copied)
    assert moved.cost.copied <= copied.cost.copied


@pytest.mark.parametrize("seed", SEEDS)
def test_complex_step_is_the_derivative(seed):
    f, args = random_function(seed, smooth=True)
    rng = np.random.default_rng(seed)
    floats = [k for k, a in enumerate(args) if np.asarray(a).dtype.kind == "f"]
    steps = {k: rng.normal(size=np.shape(args[k])) for k in floats}

    def at(h):
        return evaluate(f, [a + h * steps[k] if k in steps else a for k, a in enumerate(args)]).values

    real, perturbed = at(0.0), at(1e-100j)
    near, far = (at(1e-5), at(-1e-5))
    for r, p, u, v in zip(real, perturbed, near, far, strict=True):
        np.testing.assert_array_equal(np.real(p), r)
        if np.asarray(r).dtype.kind == "f":
            np.testing.assert_allclose(np.imag(p) * 1e100, (u - v) / 2e-5, rtol=1e-5, atol=1e-7)

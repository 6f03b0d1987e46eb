"""Gradients through every name of the NumPy table, against central differences of NumPy itself."""

import numpy as np
import optree
import pytest

from iverson.core.evaluate import evaluate
from iverson.diff import reverse
from iverson.lang import state
from iverson.opt import pipeline
from tests.lang import numpy_cases_arrays, numpy_cases_linalg, numpy_cases_numbers
from tests.lang.numpy_cases import CASES
from tests.lang.staging_oracle import parameter, staged

assert numpy_cases_arrays and numpy_cases_linalg and numpy_cases_numbers  # importing them lists their programs


def is_float(x):
    return isinstance(x, np.ndarray) and x.dtype == np.float64 and x.size > 0


def leaves_of(tree):
    return [leaf for leaf in optree.tree_leaves(tree) if np.asarray(leaf).dtype == np.float64]


def smooth(program, args):
    """Whether a program is defined and differentiable at its arguments, as far as differences can tell."""
    if not any(map(is_float, args)) or any(np.isnan(x).any() for x in args if is_float(x)):
        return False
    with np.errstate(all="ignore"):
        leaves = leaves_of(program(*args))
    return bool(leaves) and all(np.all(np.isfinite(leaf)) for leaf in leaves)


def first_smooth_program_of_each_name():
    chosen = {}
    for function, name, program, args in CASES:
        if function not in chosen and smooth(program, args):
            chosen[function] = name, program, args
    return list(chosen.values())


def difference(program, args, weights, direction, h):
    def value(sign):
        moved = [x + sign * h * d if d is not None else x for x, d in zip(args, direction, strict=True)]
        with np.errstate(all="ignore"):
            leaves = leaves_of(program(*moved))
        return sum(np.sum(w * leaf) for w, leaf in zip(weights, leaves, strict=True))

    return (value(1.0) - value(-1.0)) / (2 * h)


def gradient(program, args, weights):
    """The gradients of the weighted sum of the results, by reverse mode on the evaluator."""

    def projected(*args):
        leaves = [leaf for leaf in optree.tree_leaves(program(*args)) if getattr(leaf, "dtype", None) == np.float64]
        return sum(np.sum(w * leaf) for w, leaf in zip(weights, leaves, strict=True))

    found = staged(projected, *args)
    leaves = state.flatten((args, {}))[0]
    wrt = [k for k, p in enumerate(found.params) if p.kind == "array" and is_float(leaves[p.leaf])]
    actual = [parameter(found, p, leaves) for p in found.params]
    values = evaluate(reverse.gradient(pipeline.prepare(found.function), wrt), actual).values
    return {found.params[k].leaf: g for k, g in zip(wrt, values[1:], strict=True)}


CHOSEN = first_smooth_program_of_each_name()


@pytest.mark.parametrize(("program", "args"), [c[1:] for c in CHOSEN], ids=[c[0] for c in CHOSEN])
def test_gradient(program, args):
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        weights = [rng.uniform(0.5, 1.5, np.shape(leaf)) for leaf in leaves_of(program(*args))]
    direction = [rng.normal(size=x.shape) if is_float(x) else None for x in args]
    found = gradient(program, args, weights)
    slope = sum(np.sum(found[k] * d) for k, d in enumerate(direction) if d is not None)
    expected = difference(program, args, weights, direction, 1e-6)
    assert np.isclose(slope, expected, rtol=1e-5, atol=1e-6), (slope, expected)

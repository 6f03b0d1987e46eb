"""Every program of the corpus: staged, well formed, and by the evaluator equal to plain Python at every size."""

import numpy as np
import pytest

from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.lang import state
from iverson.lang.stage import Staged, stage_for
from tests.programs import PROGRAMS, assert_same
from tests.programs.registry import copied

CASES = [pytest.param(p, n, id=f"{p.name}-{n}") for p in PROGRAMS for n in p.sizes]


def inputs(staged: Staged, args):
    """The values of a staged function's parameters."""
    leaves, _ = state.flatten((args, {}))
    return [value(staged, spec, leaves) for spec in staged.params]


def value(staged, spec, leaves):
    if spec.kind == "captured":
        return pairs(np.asarray(staged.captured[spec.leaf]))
    leaf = leaves[spec.leaf]
    if spec.kind == "extent":
        return leaf.shape[spec.axis]
    if spec.kind == "array":
        return pairs(np.atleast_1d(leaf))
    return leaf.imag if spec.part == "im" else leaf.real if isinstance(leaf, complex) else leaf


def pairs(x):
    """Complex arrays as the core has them: with a trailing axis of real and imaginary part."""
    return np.stack([x.real, x.imag], axis=-1) if np.iscomplexobj(x) else x


def run(function, args):
    """The staged function by the evaluator: its result, and the final contents of what it mutates."""
    staged = stage_for(function, args)
    check(staged.function)
    result = evaluate(staged.function, inputs(staged, args)).values
    leaves, _ = state.flatten((args, {}))
    final = {m.leaf: result[m.position] for m in staged.mutated if m.kind == "array"}
    for leaf, contents in final.items():
        joined = contents[..., 0] + 1j * contents[..., 1] if np.iscomplexobj(leaves[leaf]) else contents
        leaves[leaf][...] = joined
    return staged.rebuild(result)


@pytest.mark.parametrize(("program", "n"), CASES)
def test_staged_agrees_with_python(program, n):
    args = program.arguments(n)
    if n in program.raises:
        with pytest.raises(program.raises[n]):
            run(program.function, args)
        return
    with np.errstate(all="ignore"):
        result, mutated = program.outcome(args)
    args = copied(args)
    got = run(program.function, args)
    assert_same((got, tuple(args[k] for k in program.mutates)), (result, mutated), program.tolerance)

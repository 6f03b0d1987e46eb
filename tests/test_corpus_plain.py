"""The corpus by itself: every program runs as plain Python, and its data keeps away from kinks."""

import collections
import inspect

import numpy as np
import pytest

import iverson as iv
from tests.programs import (
    PROGRAMS,
    TAGS,
    assert_same,
    finite_difference,
    leaves,
    project,
    projection_weights,
    random_direction,
)


def cases(programs):
    """(program, size) parameters; a program that calls an iv.* function which isn't there is skipped."""
    for p in programs:
        missing = [name for name in p.needs if not hasattr(iv, name)]
        marks = pytest.mark.skipif(bool(missing), reason=f"needs iv.{missing}")
        yield from (pytest.param(p, n, id=f"{p.name}-{n}", marks=marks) for n in p.sizes)


CASES = list(cases(PROGRAMS))
SMOOTH = list(cases(p for p in PROGRAMS if p.differentiable))


def test_corpus_is_large_and_its_names_unique():
    counts = collections.Counter(p.name for p in PROGRAMS)
    assert not [name for name, count in counts.items() if count > 1]
    assert len(PROGRAMS) >= 100


def test_every_row_of_the_tables_is_covered():
    used = collections.Counter(tag for p in PROGRAMS for tag in p.tags)
    assert set(used) <= set(TAGS), set(used) - set(TAGS)
    assert {tag for tag in TAGS if used[tag] < 3} == set()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_source_is_found_and_fields_are_consistent(program):
    assert f"def {program.name}(" in inspect.getsource(program.function)
    assert set(program.raises) <= set(program.sizes)
    arity = len(program.arguments(program.sizes[-1]))
    assert all(k < arity for k in (*program.wrt, *program.mutates))


@pytest.mark.parametrize(("program", "n"), CASES)
def test_runs_and_is_deterministic(program, n):
    args = program.arguments(n)
    if n in program.raises:
        with pytest.raises(program.raises[n]):
            program.outcome(args)
        return
    with np.errstate(all="ignore" if "nan" in program.tags else "raise", under="ignore"):
        first = program.outcome(args)
    with np.errstate(all="ignore"):
        assert_same(program.outcome(program.arguments(n)), first, tolerance=0.0)
    if "nan" not in program.tags:
        assert all(np.all(np.isfinite(leaf)) for leaf in leaves(first) if leaf.dtype.kind in "fc")


@pytest.mark.parametrize(("program", "n"), CASES)
def test_mutates_exactly_what_it_says(program, n):
    if n in program.raises:
        return
    args, before = program.arguments(n), program.arguments(n)
    with np.errstate(all="ignore"):
        program.function(*args)
    for k, (now, then) in enumerate(zip(args, before, strict=True)):
        if k not in program.mutates and not callable(now):
            assert_same(now, then, tolerance=0.0)


@pytest.mark.parametrize(("program", "n"), SMOOTH)
def test_finite_differences_agree_at_two_steps(program, n):
    if n in program.raises:
        return
    args = program.arguments(n)
    direction = random_direction(args, program.wrt)
    with np.errstate(all="ignore"):
        coarse, fine = (
            finite_difference(lambda *a: program.projected(a), args, program.wrt, direction, h) for h in (1e-4, 1e-5)
        )
        scale = 1.0 + abs(coarse) + abs(program.projected(args))
    assert np.isfinite(coarse)
    assert abs(coarse - fine) <= 1e-5 * scale


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (1.0, 1.0 + 1e-6),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0])),
        (np.inf, -np.inf),
        (np.zeros((2, 1)), np.zeros(2)),
        (np.arange(3.0), np.arange(3)),
        (np.arange(3), np.arange(3.0)),
        (np.array([True]), np.array([1])),
        ((1.0, 2.0), (1.0,)),
        ({"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0}),
    ],
)
def test_oracle_tells_outcomes_apart(got, expected):
    with pytest.raises(AssertionError):
        assert_same(got, expected)


def test_oracle_forgives_what_plain_python_does_not_know():
    assert_same(0.0, 0)
    assert_same(np.zeros((0, 3)), [])
    assert_same(np.array([[1.0, 2.0]]), [[1.0, 2.0]])
    assert_same((np.array([1, 2]), None), ([1, 2],))


def test_projection_is_the_cotangent_it_says():
    outcome = ([1.0, 2.0], {"k": 3, "z": np.array([1.0 + 2.0j])})
    weights = [projection_weights(leaf, k) for k, leaf in enumerate(leaves(outcome))]
    by_hand = weights[0] @ [1.0, 2.0] + (weights[2][0] * (1.0 + 2.0j)).real
    assert weights[1] == 0.0
    assert project(outcome) == pytest.approx(by_hand)

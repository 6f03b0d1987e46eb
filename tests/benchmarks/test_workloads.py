"""The programs that benchmarks/suite adds: values in plain Python and C++, gradients by hand and by differences."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest

import iverson as iv
from benchmarks.arrays import clusters, lbm, lstm, rsbench, xsbench
from benchmarks.promise.by_hand import ADJOINTS
from benchmarks.promise.programs import PROGRAMS, Program
from benchmarks.suite.groups import arrays, loops
from benchmarks.suite.measures import leaves
from benchmarks.suite.registry import OURS, Workload

SMALL = 40


@pytest.fixture(autouse=True)
def lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def plain(function: Any) -> Any:
    """The Python of a function that may have been compiled by Numba."""
    return getattr(function, "py_func", function)


def flat(result: Any) -> np.ndarray:
    return np.concatenate(list(leaves(result)))


def same(got: Any, expected: Any, tolerance: float = 1e-9) -> None:
    got, expected = flat(got), flat(expected)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * np.max(np.abs(expected)))


def by_differences(function: Any, wrt: tuple[int, ...], args: Any, gradient: tuple[np.ndarray, ...]) -> None:
    """The slope along a direction of all arguments that are differentiated."""
    rng, step, ends = np.random.default_rng(3), 1e-6, []
    directions = [rng.normal(size=np.shape(args[k])) for k in wrt]
    for sign in (1, -1):
        moved = list(args)
        for k, d in zip(wrt, directions, strict=True):
            moved[k] = args[k] + sign * step * d
        ends.append(function(*moved))
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradient, directions, strict=True))
    assert abs((ends[0] - ends[1]) / (2 * step) - slope) <= 1e-6 * (1.0 + abs(slope) + abs(ends[0]))


# --- array languages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module, size, wrt", [(xsbench, 30, (0, 1)), (rsbench, 20, (0, 1)), (lbm, 9, (0,)), (lstm, 4, (0, 1, 2, 3))]
)
def test_of_array_languages(module: Any, size: int, wrt: tuple[int, ...]) -> None:
    args = module.arguments(size)
    if module is lbm:
        args = (*args[:3], 4)
    value, gradient = iv.value_and_grad(module.program, argnums=wrt)(*args)
    same(value, module.program(*args))
    by_differences(module.vectorised if module is lbm else module.program, wrt, args, gradient)
    if hasattr(module, "adjoint"):
        hand, slopes = plain(module.adjoint)(*args)
        same(value, [hand])
        same(plain(module.loops)(*args), value)
        same(gradient, slopes)
    if hasattr(module, "vectorised"):
        same(module.vectorised(*args), value)


def test_sparse_clusters() -> None:
    args = clusters.sparse_arguments(SMALL)
    value, gradient = iv.value_and_grad(clusters.sparse_cost)(*args)
    assert np.any(np.diff(args[3]) == 0), "a point without entries"
    for other in (clusters.sparse_cost, plain(clusters.sparse_cost_loops), clusters.sparse_cost_vectorised):
        same(other(*args), value)
    same(plain(clusters.sparse_cost_adjoint)(*args), (value, gradient))
    by_differences(clusters.sparse_cost, (0,), args, (gradient,))


def test_newton_steps_are_means() -> None:
    centres, points, steps = clusters.dense_arguments(SMALL, 4)
    centres[0] = 1e3  # nothing is near it, so it stays
    found = iv.jit(clusters.newton)(centres, points, steps)
    same(found, plain(clusters.means_loops)(centres, points, steps))
    same(found, clusters.means_vectorised(centres, points, steps))
    assert np.all(found[0] == 1e3)


# --- loops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PROGRAMS, ids=lambda p: p.name)
def test_loops_by_hand(p: Program) -> None:
    args = p.args(SMALL)
    same(plain(ADJOINTS[p.name])(*args), iv.value_and_grad(p.function, argnums=p.wrt)(*args))


def at_a_small_size(w: Workload) -> Any:
    return w.arguments(w.small if w.small is not None else 3 if w.name == "heat, in place" else SMALL)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    "w", [w for w in (*loops.workloads(), *arrays.workloads()) if "C++" in w.peers], ids=lambda w: w.name
)
def test_in_cpp(w: Workload) -> None:
    args = at_a_small_size(w)
    ours, cpp = w.peers[OURS]().value, w.peers["C++"]()
    assert ours is not None and cpp.value is not None
    same(cpp.value(*cpp.prepare(args)), ours(*args))

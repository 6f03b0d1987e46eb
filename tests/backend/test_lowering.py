"""Every construct: the compiled kernel gives what the evaluator gives, at every size, and leaks nothing."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.evaluate import evaluate
from tests.allocations import counted
from tests.backend import native
from tests.backend.constructs import CASES

SIZES = (0, 1, 2, 5, 1000)


def agree(got: Any, want: Any) -> None:
    assert np.shape(got) == np.shape(want)
    assert np.asarray(got).dtype == np.asarray(want).dtype
    tolerance = 1e-5 if np.asarray(want).dtype == np.float32 else 1e-11
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def run(name: str, level: int, sizes: tuple[int, ...]) -> None:
    function, arguments = CASES[name]()
    kernel = native.Native(function, level)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for size in sizes:
        args = arguments(size, rng)
        before = [np.copy(a) for a in args]
        got, want = kernel(*args), evaluate(function, args).values
        for g, w in zip(got, want, strict=True):
            agree(g, w)
        for a, kept in zip(args, before, strict=True):
            np.testing.assert_array_equal(a, kept)
        assert not native.LIVE


@pytest.mark.parametrize("name", CASES)
def test_construct(name: str) -> None:
    run(name, 0, SIZES)


@pytest.mark.parametrize(
    "name", ["nests", "histogram", "branch_in_a_loop", "leapfrog", "small_rotation", "append_log", "all_monoids"]
)
def test_construct_optimised(name: str) -> None:
    run(name, 3, SIZES)


def powers(x: Any) -> Any:
    n = len(x)
    a = np.array([[sum(x[(i + k) % n] * x[(j + k) % n] for k in range(n)) for j in range(n)] for i in range(n)])
    b = a @ a
    c = b @ b
    return (c @ c).sum()


def test_a_map_of_maps_ends_after_its_last_use() -> None:
    with counted() as allocations:
        f = iv.jit(powers, threads=False)
        x = np.linspace(0.0, 1.0, 40)
        f(x)
        allocations.start()
        assert np.isclose(f(x), powers(x))
        assert allocations.most < 2.5 * 8 * 40**2

"""Properties of random Python programs through the whole path: compiled = Python, and reverse mode = forward mode."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iverson as iv
from iverson.lang.errors import StagingError
from tests.lang.random_programs import Generator
from tests.programs import assert_same

LEVEL = "0"  # of LLVM's optimisation: correctness doesn't need more
FOLDER = Path(tempfile.mkdtemp())
PROGRAMS = {"seed": st.integers(0, 10**6), "size": st.integers(1, 9), "n": st.integers(0, 5)}
QUIET = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True, scope="module")
def _cheap() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IVERSON_LEVEL", LEVEL)
        yield


@cache
def program(seed: int) -> Callable[..., Any]:
    """The function of a seed, in a file of its own: staging reads its source."""
    path = FOLDER / f"program_{seed}.py"
    path.write_text("import numpy as np\n\n\n" + Generator(seed).source())
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.program  # type: ignore[no-any-return]


def arrays(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=size).round(2), rng.normal(size=size).round(2)


def outcome(function: Callable[..., Any], x: np.ndarray, y: np.ndarray, n: int) -> Any:
    """The result (an integer on one path and a float on another is a float), and what became of the arguments."""
    with np.errstate(all="ignore"):
        try:
            result = function(x, y, n)
        except (IndexError, ValueError, ZeroDivisionError) as e:
            if isinstance(e, StagingError):
                raise
            return type(e)
    return tuple(np.asarray(v, dtype=float) for v in result), x, y


@given(**PROGRAMS)
@settings(QUIET, max_examples=25)
def test_compiled_is_python(seed: int, size: int, n: int) -> None:
    function = program(seed)
    expected = outcome(function, *arrays(seed, size), n)
    try:
        got = outcome(iv.jit(function), *arrays(seed, size), n)
    except StagingError:
        return  # refused, with a reason
    if isinstance(expected, type):
        assert got is expected
    else:
        assert_same(got, expected)


@given(**PROGRAMS)
@settings(QUIET, max_examples=10)
def test_reverse_mode_is_the_transpose_of_forward_mode(seed: int, size: int, n: int) -> None:
    function = program(seed)
    x, y = arrays(seed, size)
    rng = np.random.default_rng(seed + 1)
    v = rng.normal(size=size), rng.normal(size=size)

    def total(x: Any, y: Any) -> Any:
        leaves = function(x, y, n)
        return sum([np.sum(leaf * 1.0) for leaf in leaves])

    try:
        value, slope = iv.jvp(total, (x, y), v)
        gradient = iv.grad(total, argnums=(0, 1))(x, y)
    except (StagingError, IndexError, ValueError, ZeroDivisionError):
        return  # refused, or wrong in Python too
    expected = sum(np.vdot(g, d) for g, d in zip(gradient, v, strict=True))
    if np.isfinite(value) and np.isfinite(slope):
        np.testing.assert_allclose(slope, expected, rtol=1e-8, atol=1e-8 * max(1.0, abs(float(value))))


@pytest.mark.parametrize("seed", [6, 13])
def test_optimised_by_llvm(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the level that users get; 6 made LLVM drop an argument of a function that has vector variants, and abort."""
    monkeypatch.setenv("IVERSON_LEVEL", "3")
    function = program(seed)
    x, y = arrays(seed, 5)
    expected = outcome(function, x.copy(), y.copy(), 3)
    assert_same(outcome(iv.jit(function), x.copy(), y.copy(), 3), expected)

    def total(x: Any, y: Any) -> Any:
        leaves = function(x, y, 3)
        return sum([np.sum(leaf * 1.0) for leaf in leaves])

    value, _ = iv.value_and_grad(total, argnums=(0, 1))(x, y)
    assert np.isfinite(value)

"""Every kernel, compiled, does what plain Python does: results, dtypes, mutated arguments, exceptions, gradients."""

import inspect
import re

import numpy as np
import pytest

import iverson as iv
from tests.kernels import KERNELS
from tests.programs.registry import (
    assert_same,
    finite_difference,
    leaves,
    projection_weights,
    random_direction,
    raw_leaves,
)

# kernel -> (exception, regex of its message): what Iverson documents as outside the language
UNSUPPORTED: dict[str, tuple[type[Exception], str]] = {}

CASES = [pytest.param(k, n, id=f"{k.name}-{n}") for k in KERNELS for n in k.sizes]
SMOOTH = [pytest.param(k, id=k.name) for k in KERNELS if k.differentiable and 5 not in k.raises]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Correctness is tested at LLVM's level 0; test_at_the_default_level is for what a user gets."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    with np.errstate(all="ignore"):
        yield


def exactly_like(got, expected, tolerance):
    """assert_same, and the very dtypes and shapes: kernels return arrays and scalars, never lists."""
    ours, theirs = leaves(got), leaves(expected)
    assert [a.shape for a in ours] == [b.shape for b in theirs]
    assert [a.dtype for a in ours] == [b.dtype for b in theirs]
    assert_same(got, expected, tolerance)


def called(function, args):
    """The result of function(*args) and the contents of all arguments afterwards."""
    result = function(*args)
    return result, args


def flatten(tree):
    """The array leaves of nested tuples."""
    if tree is None:
        return ()
    if isinstance(tree, tuple):
        found = ()
        for part in tree:
            found = found + flatten(part)
        return found
    return (tree,)


def objective_of(kernel, args):
    """The projection of a kernel's outcome, as a function that a transform can stage."""
    function, mutates = kernel.function, kernel.mutates
    plain = leaves(kernel.outcome(args))
    weights = [projection_weights(leaf, k) for k, leaf in enumerate(plain)]

    def objective(*args):
        result = function(*args)
        outcome = flatten((result, tuple(args[k] for k in mutates)))
        total = 0.0
        for w, leaf, like in zip(weights, outcome, plain, strict=True):
            if like.dtype.kind == "f":
                total = total + np.sum(w * leaf)
        return total

    return objective


def test_kernels_are_many_and_distinct():
    names = [k.name for k in KERNELS]
    assert len(names) == len(set(names)) >= 60
    assert set(UNSUPPORTED) <= set(names)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_kernels_are_deterministic_and_mutate_what_they_say(kernel):
    assert f"def {kernel.name}(" in inspect.getsource(kernel.function)
    if 5 in kernel.raises:
        return
    before = kernel.arguments(5)
    first, second = called(kernel.function, kernel.arguments(5)), called(kernel.function, kernel.arguments(5))
    exactly_like(first, second, 0.0)
    written = {
        k
        for k, (now, then) in enumerate(zip(first[1], before, strict=True))
        if not np.array_equal(now, then, equal_nan=False)
    }
    assert written == set(kernel.mutates)


@pytest.mark.parametrize(("kernel", "n"), CASES)
def test_compiled_is_plain(kernel, n):
    args = kernel.arguments(n)
    if kernel.name in UNSUPPORTED:
        error, message = UNSUPPORTED[kernel.name]
        with pytest.raises(error, match=message):
            iv.jit(kernel.function)(*args)
        return
    if n in kernel.raises:
        with pytest.raises(kernel.raises[n]):
            kernel.function(*kernel.arguments(n))
        with pytest.raises(kernel.raises[n]):
            iv.jit(kernel.function)(*args)
        exactly_like(args, kernel.arguments(n), 0.0)
        return
    exactly_like(called(iv.jit(kernel.function), args), called(kernel.function, kernel.arguments(n)), kernel.tolerance)


def sampled(every):
    """All kernels, but all except each `every`-th slow."""
    for at, kernel in enumerate(KERNELS):
        yield pytest.param(kernel, id=kernel.name, marks=[pytest.mark.slow] if at % every else [])


@pytest.mark.parametrize("kernel", list(sampled(6)))
def test_at_the_default_level(kernel, monkeypatch):
    monkeypatch.delenv("IVERSON_LEVEL")
    if kernel.name in UNSUPPORTED:
        pytest.skip("outside the language")
    n = max(kernel.sizes)
    expected = called(kernel.function, kernel.arguments(n))
    compiled = iv.jit(kernel.function)
    for _ in range(2):
        exactly_like(called(compiled, kernel.arguments(n)), expected, kernel.tolerance)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_one_compiled_function_serves_all_sizes(kernel):
    if kernel.name in UNSUPPORTED:
        pytest.skip("outside the language")
    compiled = iv.jit(kernel.function)
    for n in (7, 0, 6, 1, 5):
        if n not in kernel.raises:
            expected = called(kernel.function, kernel.arguments(n))
            exactly_like(called(compiled, kernel.arguments(n)), expected, kernel.tolerance)


@pytest.mark.parametrize("kernel", SMOOTH)
def test_gradient_is_the_finite_difference(kernel):
    if kernel.name in UNSUPPORTED:
        pytest.skip(re.sub(r"\\", "", UNSUPPORTED[kernel.name][1]))
    args = kernel.arguments(5)
    gradients = iv.grad(objective_of(kernel, args), argnums=kernel.wrt)(*args)
    exactly_like(args, kernel.arguments(5), 0.0)
    for k, g in zip(kernel.wrt, gradients, strict=True):
        assert np.shape(g) == np.shape(args[k])
        assert np.asarray(g).dtype == np.asarray(args[k]).dtype
    for seed in (0, 1):
        direction = random_direction(args, kernel.wrt, seed)
        expected = finite_difference(lambda *a: kernel.projected(a), args, kernel.wrt, direction)
        pairs = zip(raw_leaves(gradients), raw_leaves(direction), strict=True)
        got = sum(float(np.sum(np.asarray(g, dtype=float) * d)) for g, d in pairs)
        scale = 1.0 + abs(expected) + abs(kernel.projected(args))
        assert abs(got - expected) <= max(1e-6, 100.0 * kernel.tolerance) * scale

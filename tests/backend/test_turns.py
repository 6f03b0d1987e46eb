"""Loops that visit each element once: arrays filled where they are used, made in the memory of others; peeled edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from tests.programs.recurrences import along_a_tree

SIZES = (0, 1, 2, 3, 4, 5, 50)
RNG = np.random.default_rng(3)


def loops(f: Callable[..., Any], *args: Any) -> str:
    return iv.show(f, stage="loops")(*args)


def agree(f: Callable[..., Any], make: Callable[[int], tuple[Any, ...]], sizes: tuple[int, ...] = SIZES) -> None:
    for n in sizes:
        args = make(n)
        np.testing.assert_allclose(iv.jit(f)(*args), f(*args), rtol=1e-13, atol=1e-13, err_msg=f"n = {n}")


def vector(n: int) -> tuple[np.ndarray]:
    return (RNG.normal(size=n),)


def running(x):
    """An array that a loop in order fills from the end, one element a turn."""
    n = len(x)
    s = np.zeros(n)
    c = 1.0
    for i in range(n):
        c = np.sin(c) + x[i]
        s[n - 1 - i] += c
    return s


# --- fills ------------------------------------------------------------------------------------------------------------


def test_filled_where_it_is_used() -> None:
    text = loops(running, *vector(9))
    assert text.count("for ") == 1 and "] = 0.0" not in text
    agree(running, vector)


def in_part(x):
    n = len(x)
    s = np.zeros(n)
    c = 1.0
    for i in range(n // 2):
        c = np.sin(c) + x[i]
        s[i] += c
    return s


def every_other(x):
    n = len(x)
    s = np.zeros(2 * n)
    c = 1.0
    for i in range(n):
        c = np.sin(c) + x[i]
        s[2 * i] += c
    return s


def from_one(x):
    n = len(x)
    s = np.full(n, 3.0)
    for i in range(1, n):
        s[i] = np.sin(s[i - 1]) * x[i]
    return s


def read_before(x):
    n = len(x)
    s = np.zeros(n)
    s[0] = 2.0
    c = 1.0
    for i in range(n):
        c = np.sin(c) + x[i]
        s[i] += c
    return s


def twice(x):
    n = len(x)
    s = np.zeros(n)
    c = 1.0
    for i in range(2 * n):
        c = np.sin(c)
        s[i // 2] += c * x[i // 2]
    return s


@pytest.mark.parametrize("f", [in_part, every_other, from_one, read_before, twice])
def test_filled_before(f: Callable[..., Any]) -> None:
    assert loops(f, *vector(9)).count("for ") >= 2
    agree(f, vector, SIZES[1:])


def under_a_condition(x):
    """An element that no turn adds to keeps what it was filled with."""
    n = len(x)
    s = np.full(n, 7.0)
    c = 1.0
    for i in range(n):
        c = np.sin(c) + x[i]
        if c > 0.5:
            s[i] += c
    return s


def test_elements_that_nothing_is_added_to() -> None:
    agree(under_a_condition, vector)


# --- memory -----------------------------------------------------------------------------------------------------------


def doubled(x):
    s = running(x)
    return 2.0 * s + x


def both(x):
    s = running(x)
    return np.concatenate((s, 2.0 * s))


def turned(x):
    s = running(x)
    return np.array([s[i] + s[len(x) - 1 - i] for i in range(len(x))])


def signs(x):
    s = running(x)
    return np.array([int(s[i] > 0.5) for i in range(len(x))])


def test_in_the_memory_of_what_ends() -> None:
    assert loops(doubled, *vector(9)).count("alloc") == 1
    agree(doubled, vector)


@pytest.mark.parametrize(("f", "arrays"), [(both, 2), (turned, 2), (signs, 2)])
def test_in_its_own(f: Callable[..., Any], arrays: int) -> None:
    assert loops(f, *vector(9)).count("alloc") == arrays
    agree(f, vector)


def transposed(x):
    """Two places a turn: of one array [i, j], of the other [j, i]."""
    n = len(x)
    s = np.zeros((n, n))
    c = 1.0
    for i in range(n):
        for j in range(n):
            c = np.sin(c) + x[j]
            s[i, j] = c
    return np.array([[3.0 * s[j, i] for j in range(n)] for i in range(n)])


def test_one_place_a_turn() -> None:
    agree(transposed, vector, (1, 2, 5, 50))


def test_a_gradient_of_three_arrays_needs_two() -> None:
    """What was read and the adjoint of the result are where the gradient and the result were."""
    parent = np.array([0, 0, 1, 4, 2, 0])
    gradient = iv.value_and_grad(lambda parent, theta: np.sum(along_a_tree(parent, theta) ** 2), argnums=1)
    theta = RNG.normal(size=6)
    assert iv.show(gradient, stage="loops")(parent, theta).count("alloc") == 2
    iv.check_grads(lambda theta: np.sum(along_a_tree(parent, theta) ** 2), (theta,))


# --- edges ------------------------------------------------------------------------------------------------------------


def low(x):
    return np.array([x[i] * (x[i - 1] if i > 0 else 1.0) for i in range(len(x))])


def high(x):
    n = len(x)
    return np.array([x[i] * (1.0 if n - 3 < i else x[i + 2]) for i in range(n)])


def ends(x):
    n = len(x)
    return np.array([x[i] * (x[i - 1] if i >= 1 else 2.0) + (x[i + 2] if i + 2 < n else 3.0) for i in range(n)])


def one(x):
    return np.array([5.0 if i == 2 else x[i] for i in range(len(x))])


def all_but_one(x):
    return np.array([(x[i] + 1.0 if i != len(x) - 2 else x[0]) for i in range(len(x))])


def total(x):
    """The parts hand a sum on."""
    n = len(x)
    s = np.array([x[i] ** 2 for i in range(n)])
    return sum(s[i] * (x[i - 1] if i > 0 else 1.0) * (x[i + 1] if i < n - 1 else 2.0) for i in range(n))


@pytest.mark.parametrize("f", [low, high, ends, one, all_but_one, total])
def test_peeled(f: Callable[..., Any]) -> None:
    assert "edge" in loops(f, *vector(9))
    agree(f, vector)


def middle(x):
    return np.array([x[i] if i < len(x) // 2 else -x[i] for i in range(len(x))])


def data(x):
    return np.array([x[i - 1] if x[i] > 0.0 and i > 0 else 2.0 for i in range(len(x))])


@pytest.mark.parametrize("f", [middle, data])
def test_not_peeled(f: Callable[..., Any]) -> None:
    assert "edge" not in loops(f, *vector(9))
    agree(f, vector)


@pytest.mark.parametrize("f", [low, high, ends, one, all_but_one])
def test_derivatives_of_peeled_loops(f: Callable[..., Any]) -> None:
    for n in (1, 2, 3, 9):
        iv.check_grads(lambda x: np.sum(f(x) ** 2), vector(n))

"""What is kept of an array that a loop updates in place: what a turn reads of it, or what it overwrites."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv

RNG = np.random.default_rng(11)
X = RNG.uniform(0.5, 1.0, size=9)
AT = RNG.integers(0, 9, size=9)


def kept(f: Callable[..., Any], *args: Any) -> set[str]:
    return {r.how for r in iv.cost(iv.grad(f))(*args).residuals}


def one_read(x):
    for i in range(1, len(x)):
        x[i] += x[i - 1] ** 2
    return np.sum(x)


def two_of_each(x):
    for i in range(1, len(x)):
        x[i] += 0.1 * x[i - 1] ** 2
        x[i - 1] += np.sin(x[i])
    return np.sum(x)


def looked_up(x, at):
    """What was overwritten is zero everywhere: only the random access is spared."""
    s = np.zeros(len(x))
    for i in range(len(x)):
        s[i] = x[i] * np.sin(s[at[i]]) + 1.0
    return np.sum(s)


def in_a_branch(x, at):
    for i in range(len(x)):
        pull = np.sin(x[at[i]]) if at[i] > 3 else 0.5
        x[i] += pull
    return np.sum(x**2)


def in_a_while(x, at):
    i, steps = 0, 0
    while steps < 2 * len(x):
        x[i] = np.sin(x[i])
        i = at[i]
        steps += 1
    return np.sum(x**2)


@pytest.mark.parametrize(
    ("f", "args"),
    [(one_read, (X,)), (two_of_each, (X,)), (looked_up, (X, AT)), (in_a_branch, (X, AT)), (in_a_while, (X, AT))],
)
def test_what_is_read(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if f is not in_a_while:  # the turns are the data's, so there is no formula
        assert "overwritten" not in kept(f, *args)
    iv.check_grads(lambda x: f(x, *args[1:]), args[:1], order=2)


def two_reads(x):
    for i in range(2, len(x)):
        x[i] += x[i - 1] * x[i - 2]
    return np.sum(x)


def in_a_loop(x):
    for i in range(len(x)):
        s = 0.0
        for j in range(i):
            s += x[j] ** 2
        x[i] += np.sin(s)
    return np.sum(x)


def as_a_row(x):
    y = x.reshape(3, 3).copy()
    for i in range(2):
        row = y[i]
        y[i + 1, 0] = np.sum(row**2)
    return np.sum(y)


def needed_before(x):
    """The array's first elements are those that another loop reads."""
    y = x.copy()
    s = 0.0
    for i in range(len(y)):
        s = np.sin(s + y[i] ** 2)
    for i in range(1, len(y)):
        y[i] += y[i - 1] ** 2
    return np.sum(y) + s


def from_the_turn_before(x):
    """In place with what an enclosing loop carries."""
    for _ in range(3):
        for i in range(1, len(x)):
            x[i] = np.sin(x[i] * x[i - 1]) + x[i - 1]
    return np.sum(x)


@pytest.mark.parametrize("f", [two_reads, in_a_loop, as_a_row, needed_before, from_the_turn_before])
def test_what_is_overwritten(f: Callable[..., Any]) -> None:
    assert "overwritten" in kept(f, X)
    iv.check_grads(f, (X,), order=2)


def bounces(x, steps):
    """Arrays of a few elements, replaced in one side of a branch and updated in inner loops."""
    p, v = x[:2].copy(), x[2:4].copy()
    k = 0
    while k < steps:
        new = p + 0.1 * v
        if new[1] > 0.5:
            v = v - 0.1 * np.array([sum(np.sin(p[i] * p[j]) for j in range(2)) for i in range(2)]) * v
        p = new
        for i in range(2):
            p[i] += 0.1 * np.sin(v[1 - i]) * p[i]
        k += 1
    return np.sum(p * v)


def test_arrays_of_few_elements_are_kept_whole() -> None:
    iv.check_grads(lambda x: bounces(x, 7), (X,), order=2)
    text = iv.show(iv.grad(bounces), stage="optimised")(X, 7)
    assert not re.search(r"for \w+ < len", text)

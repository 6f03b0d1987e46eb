"""warnings.warn in a compiled program: issued when the program gets there, and the program goes on."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.evaluate import evaluate
from iverson.lang.stage import abstract, stage


@pytest.fixture
def issued() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


def root(x: float, most: int) -> float:
    k = 0
    while abs(x * x - 2.0) > 1e-12 and k < most:
        x, k = 0.5 * (x + 2.0 / x), k + 1
    if abs(x * x - 2.0) > 1e-12:
        warnings.warn(f"{k} turns were too few: {x:.3f}", RuntimeWarning, stacklevel=2)
    return x


LINE = inspect.getsourcelines(root)[1] + 5


def test_only_when_the_program_gets_there(issued: list[Any]) -> None:
    compiled = iv.jit(root)
    assert abs(compiled(1.0, 20) - 2**0.5) < 1e-12 and not issued
    assert compiled(1e3, 2) == root(1e3, 2)
    one, python = issued
    assert str(one.message) == str(python.message) == "2 turns were too few: 250.002"
    assert one.category is RuntimeWarning and (one.filename, one.lineno) == (__file__, LINE)


def test_under_derivatives_it_is_issued_once(issued: list[Any]) -> None:
    slope = iv.grad(root)(1e3, 2)
    assert len(issued) == 1
    step = 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert abs(slope - (root(1e3 + step, 2) - root(1e3 - step, 2)) / (2 * step)) < 1e-6


def test_in_loops_and_elementwise(issued: list[Any]) -> None:
    def clipped(x: np.ndarray) -> np.ndarray:
        y = x.copy()
        for i in range(len(x)):
            if x[i] < 0.0:
                warnings.warn(f"element {i} is negative", UserWarning, stacklevel=1)
                y[i] = 0.0
        return y

    x = np.array([1.0, -2.0, 3.0, -4.0, 5.0, 6.0])
    np.testing.assert_array_equal(iv.jit(clipped)(x), np.maximum(x, 0.0))
    assert [str(w.message) for w in issued] == ["element 1 is negative", "element 3 is negative"]


def test_a_warning_that_is_an_error_leaves_the_program() -> None:
    x = np.ones(6)

    def f(x: np.ndarray, bad: bool) -> None:
        x[0] = 7.0
        if np.sum(x) > 5.0:
            warnings.warn(UserWarning("too much"), stacklevel=1)
        x[1] = 8.0

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="too much") as caught:
            iv.jit(f)(x, True)
    assert "test_warnings.py" in caught.value.__notes__[0]
    np.testing.assert_array_equal(x, np.ones(6))  # an error leaves the arguments as they were


def test_what_is_known_after_it_is_not_what_it_tests(issued: list[Any]) -> None:
    """The index is checked although a warning has looked at it."""

    def f(x: np.ndarray, i: int) -> float:
        if i >= len(x):
            warnings.warn("far out", stacklevel=1)
        return x[i]

    with pytest.raises(IndexError):
        iv.jit(f)(np.ones(6), 9)
    assert str(issued[0].message) == "far out"


def test_the_evaluator_warns_too(issued: list[Any]) -> None:
    staged = stage(root, abstract((1e3, 2)))
    evaluate(staged.function, [1e3, 2])
    assert str(issued[0].message) == "2 turns were too few: 250.002"


def test_a_method_of_that_name_is_another_function() -> None:
    class Log:
        def warn(self, x: float, scale: float = 1.0) -> float:
            return x * scale

    log = Log()
    assert iv.jit(lambda x: log.warn(x, scale=2.0))(3.0) == 6.0


def test_more_numbers_than_a_warning_shows_are_refused_at_the_users_line() -> None:
    @iv.jit
    def f(x: Any) -> Any:
        if x[0] > 0.0:
            warnings.warn(f"{x[0]} {x[1]} {x[2]} {x[3]} {x[4]}", stacklevel=1)
        return x[0]

    line = inspect.getsourcelines(test_more_numbers_than_a_warning_shows_are_refused_at_the_users_line)[1] + 4
    with pytest.raises(NotImplementedError, match=rf"at most 4 numbers[^\n]*\n  at .*test_warnings\.py:{line}, in f"):
        f(np.arange(5.0))

"""What looks like a mistake and is none: it has a value, the same with and without the decorator or by the design."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .indices import vector

ACCEPTED: list[tuple[Callable[..., Any], tuple[Any, ...], Any]] = []


def accepted(args: tuple[Any, ...], value: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record a function that must return `value` for `args`."""

    def record(function: Callable[..., Any]) -> Callable[..., Any]:
        ACCEPTED.append((function, args, value))
        return function

    return record


@accepted((np.array([1.5, np.nan]),), 1)
def nan_cast_to_an_integer(x):
    return x.astype(np.int64)[0]


@accepted((np.zeros(0),), np.nan)
def mean_of_nothing(x):
    return np.mean(x)


@accepted((np.zeros(0),), 0.0)
def sum_of_nothing(x):
    return x.sum()


@accepted((vector(3), vector(5)), 14.0)
def zip_stops_at_the_shorter(x, y):
    s = 0.0
    for a, b in zip(x, y):
        s += a * b
    return s


@accepted((vector(),), np.zeros(0))
def slice_beyond_the_end(x):
    return x[10:20]


@accepted((1.0, 0.0), np.inf)
def float_division_by_zero(a, b):
    return a / b


@accepted((np.arange(3),), np.array([7, 1, 2]))
def float_stored_among_integers_is_truncated(x):
    y = x.copy()
    y[0] = 7.9
    return y


@accepted((np.array([2.0, np.nan, 1.0]),), np.nan)
def minimum_propagates_nan(x):
    return min(x[i] for i in range(len(x)))


@accepted((vector(), 9), 0.0)
def read_under_a_false_branch(x, k):
    return x[k] if k < len(x) else 0.0


@accepted((vector(), 9), 15.0)
def read_under_a_false_clause(x, k):
    return sum(x[i] for i in range(k) if i < len(x))


@accepted((np.zeros((0, 3)),), np.zeros(3))
def column_sums_of_no_rows(a):
    return a.sum(axis=0)


@accepted((np.array([9223372036854775807]),), np.array([-9223372036854775808]))
def integers_wrap(x):
    return x + 1

"""The built-in monoids: identity per dtype, and combination, on tuples of `arity(monoid)` values.

`add mul min max and or` combine by the primitive of their name.  `argmin argmax` combine pairs (value, index): the
better value wins, NaN beats every value, and the smaller index wins between equals; so the operator commutes, and its
identity is the worst value at the largest index.  `set` and `append` see an order and have no identity here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from iverson.core.prims import TABLE
from iverson.core.special import Value, select
from iverson.core.syntax import DType

Number: TypeAlias = bool | int | float


@dataclass(frozen=True)
class Row:
    name: str
    domain: str  # the dtypes of the (first) value, as in the primitive table
    identity: Callable[[DType], Number]  # of the (first) value
    combine: Callable[[tuple[Value, ...], tuple[Value, ...]], tuple[Value, ...]]


def lowest(dtype: DType) -> Number:
    return -math.inf if dtype.is_float else int(np.iinfo(dtype.value).min)


def highest(dtype: DType) -> Number:
    return math.inf if dtype.is_float else int(np.iinfo(dtype.value).max)


def _single(name: str, identity: Callable[[DType], Number]) -> Row:
    prim = TABLE[name]
    return Row(name, prim.domain, identity, lambda a, b: (prim.meaning(*a, *b),))


def _arg(name: str, identity: Callable[[DType], Number], better: Callable[[Value, Value], Value]) -> Row:
    def combine(left: tuple[Value, ...], right: tuple[Value, ...]) -> tuple[Value, ...]:
        (v, i), (w, j) = left, right
        a, b = v.real, w.real
        a_nan, b_nan = a != a, b != b
        tie = (a == b) | (a_nan & b_nan)
        first = ~b_nan & (a_nan | better(a, b)) | tie & (i <= j)
        return select(first, v, w), select(first, i, j)

    return Row(name, "number", identity, combine)


MONOIDS: dict[str, Row] = {
    row.name: row
    for row in [
        _single("add", lambda d: 0.0 if d.is_float else 0),
        _single("mul", lambda d: 1.0 if d.is_float else 1),
        _single("min", highest),
        _single("max", lowest),
        _single("and", lambda d: True),
        _single("or", lambda d: False),
        _arg("argmin", highest, np.less),
        _arg("argmax", lowest, np.greater),
    ]
}


def identity(name: str, dtype: DType) -> tuple[Number, ...]:
    """The identity of a built-in monoid on values of a dtype; an index, where there is one, is int64."""
    value = MONOIDS[name].identity(dtype)
    return (value, highest(DType.I64)) if name in ("argmin", "argmax") else (value,)

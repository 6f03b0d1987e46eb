"""The built-in monoids: identity, associativity, and agreement with NumPy's reductions."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest

from iverson.core.monoids import MONOIDS, identity
from iverson.core.prims import TABLE
from iverson.core.syntax import BOOL, F32, F64, I32, I64, DType

FLOATS = [0.0, -1.5, 2.0, math.inf, -math.inf, math.nan]
REDUCERS = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
REDUCERS |= {"and": np.logical_and, "or": np.logical_or}
CASES = [(m, d) for m in REDUCERS for d in ((BOOL,) if m in ("and", "or") else (F32, F64, I32, I64))]


def elements(dtype: DType) -> np.ndarray:
    if dtype is BOOL:
        return np.array([True, False, True])
    if dtype.is_int:
        top = np.iinfo(dtype.value).max
        return np.array([3, -2, 0, top, -top - 1], dtype.value)
    return np.array(FLOATS, dtype.value)


def same(a, b):
    return all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_agrees_with_numpy(name, dtype):
    xs = elements(dtype)
    row = MONOIDS[name]
    unit = tuple(np.dtype(dtype.value).type(v) for v in identity(name, dtype))
    with np.errstate(all="ignore"):
        for x in xs:
            assert same(row.combine(unit, (x,)), (x,)) and same(row.combine((x,), unit), (x,))
        for length in range(len(xs) + 1):
            got = functools.reduce(row.combine, [(x,) for x in xs[:length]], unit)
            want = REDUCERS[name].reduce(xs[:length], dtype=dtype.value, initial=unit[0])
            assert same(got, (want,)) and np.asarray(got[0]).dtype == np.dtype(dtype.value)


@pytest.mark.parametrize("name", ["argmin", "argmax"])
@pytest.mark.parametrize("dtype", [F64, F32, I64])
def test_arg_takes_the_first_winner_however_it_is_grouped(name, dtype):
    row, find = MONOIDS[name], getattr(np, name)
    kind = np.dtype(dtype.value).type
    pool = [0.0, 1.0, math.nan, math.inf, -math.inf] if dtype.is_float else [0, 1, np.iinfo(np.int64).max]
    unit = (kind(identity(name, dtype)[0]), np.int64(identity(name, dtype)[1]))
    for values in itertools.product(pool, repeat=3):
        xs = np.array(values, dtype.value)
        a, b, c = ((x, np.int64(i)) for i, x in enumerate(xs))
        want = (xs[find(xs)], find(xs))
        for got in (
            row.combine(row.combine(a, b), c),
            row.combine(a, row.combine(b, c)),
            row.combine(c, row.combine(b, a)),
            row.combine(row.combine(unit, a), row.combine(b, row.combine(c, unit))),
        ):
            assert same(got, want), (values, got)


def test_arg_carries_a_perturbation():
    left, right = (np.complex128(1 + 2e-30j), np.int64(0)), (np.complex128(1 + 3e-30j), np.int64(1))
    assert MONOIDS["argmin"].combine(left, right) == left


def test_domains():
    assert all(row.domain == TABLE[n].domain for n, row in MONOIDS.items() if n in TABLE)
    assert identity("argmax", F64) == (-math.inf, 2**63 - 1)
    assert identity("min", I32) == (2**31 - 1,) and identity("and", BOOL) == (True,)

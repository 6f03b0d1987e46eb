"""Dtypes of the front end: NumPy's own, with NEP 50's weak Python numbers.

A `Kind` is a dtype and whether the value is a Python number (weak).  Complex numbers exist only here: the core sees
pairs of reals.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from iverson.core.syntax import BOOL, F32, F64, I32, I64, DType
from iverson.lang.errors import error


class Kind(NamedTuple):
    dtype: np.dtype[Any]
    weak: bool = False


BOOL_ = np.dtype(np.bool_)
INT32 = np.dtype(np.int32)
INT64 = np.dtype(np.int64)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
COMPLEX64 = np.dtype(np.complex64)
COMPLEX128 = np.dtype(np.complex128)

_CORE = {BOOL_: BOOL, INT32: I32, INT64: I64, FLOAT32: F32, FLOAT64: F64, COMPLEX64: F32, COMPLEX128: F64}
_FRONT = {BOOL: BOOL_, I32: INT32, I64: INT64, F32: FLOAT32, F64: FLOAT64}
_SAMPLES: dict[str, Any] = {"b": True, "i": 0, "f": 0.0, "c": 0j}
_PYTHON = {bool: Kind(BOOL_, True), int: Kind(INT64, True), float: Kind(FLOAT64, True), complex: Kind(COMPLEX128, True)}


def supported(dtype: Any) -> np.dtype[Any]:
    """A dtype that programs can have, from anything NumPy takes for one; TypeError for the others."""
    d = np.dtype(dtype)
    if d not in _CORE or not d.isnative:
        names = "bool, int32, int64, float32, float64, complex64 and complex128"
        raise error(TypeError, f"dtype {d} is not supported: arrays are {names}")
    return d


def core_dtype(dtype: np.dtype[Any]) -> DType:
    """The dtype of the core's scalars (a complex number: of its two parts)."""
    return _CORE[dtype]


def front_dtype(dtype: DType) -> np.dtype[Any]:
    return _FRONT[dtype]


def is_complex(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "c"


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the parts of a complex dtype; a real one itself."""
    return _FRONT[_CORE[dtype]]


def complex_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype whose parts are at least `dtype`."""
    return COMPLEX64 if dtype in (FLOAT32, COMPLEX64) else COMPLEX128


def python_kind(value: object) -> Kind | None:
    """The kind of a Python or NumPy scalar; None for anything else."""
    kind = _PYTHON.get(type(value))
    if kind is None and isinstance(value, np.generic) and value.dtype in _CORE:
        return Kind(value.dtype)
    return kind


@cache
def _promote(kinds: frozenset[Kind]) -> Kind:
    strong = [k.dtype for k in kinds if not k.weak]
    weak = [_SAMPLES[k.dtype.kind] for k in kinds if k.weak]
    if not strong:
        return python_kind(sum(weak) if len(weak) > 1 else weak[0]) or Kind(FLOAT64, True)
    return Kind(np.result_type(*strong, *weak))


def promote(kinds: Iterable[Kind]) -> Kind:
    """NumPy's promotion; only Python numbers together stay Python numbers."""
    return _promote(frozenset(kinds))

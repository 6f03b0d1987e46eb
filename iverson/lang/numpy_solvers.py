"""`np.linalg`'s solvers and determinants: the programs of `algebra.py`, staged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.lang import algebra, shapes
from iverson.lang.dtypes import FLOAT64
from iverson.lang.errors import error
from iverson.lang.num import cast
from iverson.lang.numpy_creation import eye
from iverson.lang.numpy_shapes import swapaxes
from iverson.lang.table import implements
from iverson.lang.values import Arr, generate, lift_array


def _call(program: Callable[..., Any], *args: Any) -> Any:
    from iverson.lang.runtime import call

    return call(program, *args)


def _matrix(a: Any, name: str) -> Arr:
    """A square matrix of floats."""
    x = lift_array(a)
    if x.dtype.kind == "c" or x.ndim > 2:
        raise error(NotImplementedError, f"np.linalg.{name} takes one real matrix in staged programs: loop over more")
    if x.ndim != 2:
        raise error(np.linalg.LinAlgError, f"{x.ndim}-dimensional array given. Array must be two-dimensional")
    shapes.require_same(x.shape[0], x.shape[1], "Last 2 dimensions of the array must be square", np.linalg.LinAlgError)
    return x if x.dtype.kind == "f" else x.astype(FLOAT64)


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    x, y = _matrix(a, "solve"), lift_array(b)
    if y.ndim not in (1, 2):
        raise error(NotImplementedError, "np.linalg.solve takes one or many right-hand sides in staged programs")
    shapes.require_same(x.shape[0], y.shape[0], "the matrix and the right-hand side of np.linalg.solve don't match")
    d = np.result_type(x.dtype, y.dtype)
    x, y = x.astype(d, copy=False), y.astype(d, copy=False)
    if y.ndim == 2:
        return _call(algebra.solve, x, y)
    return _call(algebra.solve, x, y[:, None])[:, 0]


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    x = _matrix(a, "inv")
    return _call(algebra.solve, x, eye(x.shape[0], dtype=x.dtype))


@implements(np.linalg.det)
def det(a: Any) -> Any:
    x = _matrix(a, "det")
    return cast(_call(algebra.det, x), x.dtype)


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    x = _matrix(a, "slogdet")
    sign, size = _call(algebra.slogdet, x)
    return _SlogdetResult(cast(sign, x.dtype), cast(size, x.dtype))


_SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    x = _matrix(a, "cholesky")
    if not upper:
        return _call(algebra.cholesky, x)
    mirrored = generate(x.shape, lambda i, j: x.read((j, i)), x.dtype)
    return swapaxes(_call(algebra.cholesky, mirrored), 0, 1)

"""`np.linalg`'s solvers and determinants: library operations, scalars for small matrices; stacks are mapped over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.core.syntax import Atom
from iverson.lang import shapes, small_matrices
from iverson.lang.dtypes import FLOAT64
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, select, ufunc
from iverson.lang.numpy_creation import eye
from iverson.lang.numpy_shapes import swapaxes
from iverson.lang.shapes import broadcast, stretch
from iverson.lang.staging import builder
from iverson.lang.table import implements
from iverson.lang.values import Arr, fold, generate, lift_array, materialise, owned

# --- arguments --------------------------------------------------------------------------------------------------------


def floats(a: Any, name: str) -> Arr:
    """An array of real floats."""
    x = lift_array(a)
    if x.dtype.kind == "c":
        raise error(NotImplementedError, f"{name} takes real matrices in staged programs")
    return x if x.dtype.kind == "f" else x.astype(FLOAT64)


def matrices(a: Any, name: str) -> Arr:
    """One matrix of floats, or a stack of them."""
    x = floats(a, name)
    if x.ndim < 2:
        message = f"{x.ndim}-dimensional array given. Array must be at least two-dimensional"
        raise error(np.linalg.LinAlgError, message)
    return x


def square(a: Any, name: str) -> Arr:
    """The same of square matrices."""
    x = matrices(a, name)
    shapes.require_same(
        x.shape[-2], x.shape[-1], "Last 2 dimensions of the array must be square", np.linalg.LinAlgError
    )
    return x


def library(name: str, *args: Arr | Atom, **params: object) -> tuple[Atom, ...]:
    """A library operation on arrays."""
    return builder().library(name, *(materialise(a) if isinstance(a, Arr) else a for a in args), **params)


def stacked(fn: Callable[..., Any], *operands: tuple[Arr, int]) -> Any:
    """fn of each of the stacked operands, which come with the rank of an element: an array, or a tuple of them."""
    batches = [x.shape[: x.ndim - rank] for x, rank in operands]
    if not any(batches):
        return fn(*(x for x, _ in operands))
    batch = broadcast(batches)

    def one(*index: Num) -> Any:
        rows = [stretch(index, own) if own else () for own in batches]
        return fn(*(x[row] if row else x for (x, _), row in zip(operands, rows, strict=True)))

    return generate(batch, one)


# --- solvers ----------------------------------------------------------------------------------------------------------


def solve_one(a: Arr, b: Arr) -> Arr:
    """a x = b for a vector or a matrix b."""
    if small_matrices.is_small(*a.shape, *b.shape[1:]):
        x = small_matrices.solve(a, b if b.ndim == 2 else b[:, None])
        return x if b.ndim == 2 else x[:, 0]
    whole = materialise(a)
    return owned(library("factored_solve", whole, *library("lu", whole), b)[0], a.dtype)


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    x, y = square(a, "np.linalg.solve"), floats(b, "np.linalg.solve")
    if not y.ndim:
        raise error(ValueError, "the right-hand side of np.linalg.solve must be an array")
    rank = 1 if y.ndim == 1 else 2
    message = "the matrix and the right-hand side of np.linalg.solve don't match: their lengths differ"
    shapes.require_same(x.shape[-1], y.shape[-rank], message)
    d = np.result_type(x.dtype, y.dtype)
    return stacked(solve_one, (x.astype(d, copy=False), 2), (y.astype(d, copy=False), rank))


def inv_one(a: Arr) -> Arr:
    if small_matrices.is_small(*a.shape):
        return small_matrices.inverse(a)
    return solve_one(a, eye(a.shape[0], dtype=a.dtype))


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    return stacked(inv_one, (square(a, "np.linalg.inv"), 2))


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    x, y = floats(a, "np.linalg.tensorsolve"), floats(b, "np.linalg.tensorsolve")
    if axes is not None:
        moved = [shapes.axis_of(k, x.ndim) for k in axes]
        x = x.permuted((*(k for k in range(x.ndim) if k not in moved), *moved))
    rest = x.shape[y.ndim :]
    n = shapes.product(rest)
    return solve(x.reshape((-1, n)), y.reshape((-1,))).reshape(rest)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    x = floats(a, "np.linalg.tensorinv")
    if ind <= 0:
        raise error(ValueError, "Invalid ind argument.")
    rows, columns = x.shape[:ind], x.shape[ind:]
    return inv(x.reshape((shapes.product(rows), shapes.product(columns)))).reshape((*columns, *rows))


# --- determinants -----------------------------------------------------------------------------------------------------


def det_one(a: Arr) -> Any:
    if small_matrices.is_small(*a.shape):
        return small_matrices.determinant(a)
    whole = materialise(a)
    return Num(library("det", whole, *library("lu", whole))[0])


@implements(np.linalg.det)
def det(a: Any) -> Any:
    return stacked(det_one, (square(a, "np.linalg.det"), 2))


def _slogdet_one(a: Arr) -> tuple[Any, Any]:
    if small_matrices.is_small(*a.shape):
        return small_matrices.log_determinant(a)
    whole = materialise(a)
    factors = library("lu", whole)
    packed, pivots = (owned(f) for f in factors)

    def sign(i: Num) -> Any:
        s = ufunc(np.sign, packed.read((i, i)))
        return select(ufunc(np.equal, pivots.read((i,)), i), s, -s)

    return cast(fold("mul", a.shape[:1], sign), a.dtype), Num(library("logabsdet", whole, *factors)[0])


_SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    return _SlogdetResult(*stacked(_slogdet_one, (square(a, "np.linalg.slogdet"), 2)))


# --- Cholesky ---------------------------------------------------------------------------------------------------------


def cholesky_one(a: Arr) -> Arr:
    """The lower factor, from the lower triangle."""
    if small_matrices.is_small(*a.shape):
        return small_matrices.cholesky(a)
    return owned(library("cholesky", a)[0], a.dtype)


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    x = square(a, "np.linalg.cholesky")
    factor = stacked(cholesky_one, (swapaxes(x, -1, -2) if upper else x, 2))
    return swapaxes(factor, -1, -2) if upper else factor

"""Library operations natively: against the evaluator, at every shape, from strided arguments, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.backend.abi import Layout
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F32, F64, I64, Array, DType, Function, Literal, Scalar, Var
from tests.backend import native

Emit = Callable[..., Any]  # what a program consists of: (builder, *arrays) -> outs


def program(name: str | Emit, ranks: tuple[int, ...], dtype: DType = F64, **params: Any) -> Function:
    """One operation on arrays of these ranks; extents are n, m, k and so on, in the order of the parameters."""
    b = Builder()
    sizes = [Var(Scalar(I64), f"n{i}") for i in range(sum(ranks))]
    arrays, at = [], iter(sizes)
    for r in ranks:
        arrays.append(Var(Array(dtype, tuple(next(at) for _ in range(r))), "a"))
    outs = b.library(name, *arrays, **params) if isinstance(name, str) else name(b, *arrays, **params)
    return b.function([*sizes, *arrays], outs)


def solve(b: Builder, a: Var, x: Var, transpose: bool = False) -> Any:
    return b.library("factored_solve", a, *b.library("lu", a), x, transpose=transpose)


def determinants(b: Builder, a: Var) -> Any:
    factors = b.library("lu", a)
    return *b.library("det", a, *factors), *b.library("logabsdet", a, *factors), *factors


def pseudoinverse(b: Builder, a: Var) -> Any:
    factors = b.library("svd", a)
    return *factors, *b.library("pinv", a, *factors)


def compare(function: Function, arrays: list[np.ndarray], tolerance: float = 1e-9) -> None:
    args = [*(n for a in arrays for n in a.shape), *arrays]
    scalars = len(args) - len(arrays)
    for layout in Layout:
        kernel = native.Native(function, layouts=[Layout.C] * scalars + [layout] * len(arrays))
        for view in (args, [*args[:scalars], *(np.asfortranarray(a) for a in arrays)]):
            got, want = kernel(*view), evaluate(function, args).values
            assert not native.LIVE
            for g, w in zip(got, want, strict=True):
                assert np.asarray(g).dtype == np.asarray(w).dtype
                np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n, k, m", [(3, 4, 5), (1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0)])
@pytest.mark.parametrize("ranks", [(2, 2), (2, 1), (1, 2), (1, 1)])
def test_matmul(ranks: tuple[int, int], n: int, k: int, m: int) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(n, k)[-ranks[0] :])
    compare(program("matmul", ranks), [a, rng.normal(size=(k, m)[: ranks[1]])])


def test_matmul_single() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((4, 3), (3, 5))]
    compare(program("matmul", (2, 2), F32), arrays, 1e-5)


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("columns", [(), (1,), (3,)])
def test_solves(n: int, columns: tuple[int, ...]) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(n, n)) + 4 * np.eye(n), rng.normal(size=(n, *columns))
    ranks = (2, b.ndim)
    for transpose in (True, False):
        compare(program(solve, ranks, transpose=transpose), [a, b])
    for lower in (True, False):
        for transpose in (True, False):
            for unit in (True, False):
                function = program("triangular_solve", ranks, lower=lower, transpose=transpose, unit=unit)
                compare(function, [a, b])


@pytest.mark.parametrize("n", [0, 1, 6])
def test_cholesky(n: int) -> None:
    half = np.random.default_rng(n).normal(size=(n, n))
    a = np.tril(half @ half.T + np.eye(n)) + np.triu(np.full((n, n), np.nan), 1)
    compare(program("cholesky", (2,)), [a])


@pytest.mark.parametrize(
    "name, ranks, arrays, message",
    [
        (solve, (2, 1), [np.ones((2, 2)), np.ones(2)], "Singular matrix"),
        ("gaps", (1,), [np.array([1.0, 2.0, 2.0])], "equal values"),
        ("eigh", (2,), [np.full((3, 3), np.nan)], "Eigenvalues did not converge"),
        ("svd", (2,), [np.full((3, 3), np.nan)], "SVD did not converge"),
        ("cholesky", (2,), [-np.eye(2)], "Matrix is not positive definite"),
        ("triangular_solve", (2, 1), [np.diag([1.0, 0.0]), np.ones(2)], "singular matrix"),
    ],
)
def test_singular(name: str, ranks: tuple[int, ...], arrays: list[np.ndarray], message: str) -> None:
    function = program(name, ranks)
    args = [*(n for a in arrays for n in a.shape), *arrays]
    with pytest.raises(np.linalg.LinAlgError, match=message):
        native.Native(function)(*args)
    assert not native.LIVE


@pytest.mark.parametrize("transposes", [(True, False), (False, True), (True, True)])
def test_transposed_matmul(transposes: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 5))
    x, y = (m.T.copy() if t else m for m, t in zip((a, b), transposes, strict=True))
    params = dict(zip(("transpose_a", "transpose_b"), transposes, strict=True))
    compare(program("matmul", (2, 2), **params), [x, y])
    if transposes[0]:
        compare(program("matmul", (2, 1), transpose_a=True), [x, b[:, 0].copy()])
    if transposes[1]:
        compare(program("matmul", (1, 2), transpose_b=True), [a[0], y])


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("across", [True, False])
def test_a_matrix_times_itself(across: bool, dtype: DType) -> None:
    """Small ones, large ones, what one axis is too short for; and what isn't finite."""

    def gram(b: Builder, a: Var) -> Any:
        return b.library("matmul", a, a, transpose_a=across, transpose_b=not across)

    rng = np.random.default_rng(0)
    for n, m in ((0, 2), (2, 0), (3, 4), (64, 64), (63, 80), (70, 90), (90, 64)):
        a = rng.normal(size=(n, m)).astype(dtype.value)
        compare(program(gram, (2,), dtype), [a], 1e-4 if dtype is F32 else 1e-9)
    a[5, 7] = np.inf
    with np.errstate(invalid="ignore"):
        compare(program(gram, (2,), dtype), [a], 1e-4 if dtype is F32 else 1e-9)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 40])
def test_square_factorisations(n: int) -> None:
    a = np.random.default_rng(n).normal(size=(n, n))
    compare(program(determinants, (2,)), [a])
    compare(program("eigh", (2,)), [a])
    compare(program("gaps", (1,)), [np.arange(n) ** 2.0])
    single = a.astype(np.float32) + 4 * np.eye(n, dtype=np.float32)
    compare(program(determinants, (2,), F32), [single], 1e-3)


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (1, 1), (5, 5), (7, 3), (200, 4), (90, 70)])
def test_tall_factorisations(shape: tuple[int, int]) -> None:
    a = np.random.default_rng(1).normal(size=shape)
    compare(program("qr", (2,)), [a])
    compare(program(pseudoinverse, (2,)), [a])
    if shape == (5, 5):
        compare(program("qr", (2,), F32), [a.astype(np.float32)], 1e-4)
        compare(program(pseudoinverse, (2,), F32), [a.astype(np.float32)], 1e-3)
        compare(program("eigh", (2,), F32), [a.astype(np.float32)], 1e-4)


@pytest.mark.parametrize("name", ["sort", "argsort"])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
def test_sorting(name: str, n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.integers(0, 1 + n // 2, n).astype(float)
    x[rng.random(n) < 0.1] = np.nan
    compare(program(name, (1,)), [x])
    compare(program(name, (2,)), [rng.normal(size=(3, n))])
    compare(program(name, (1,), I64), [rng.integers(-5, 5, n)])


ORDERS = {
    "ties and both zeros": np.tile([0.0, -0.0, np.nan, 1.0, -np.inf, np.inf, -1.0, -np.nan], 40),
    "single": np.random.default_rng(0).normal(size=300).astype(np.float32),
    "wide integers": np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 300),
    "narrow integers": np.random.default_rng(2).integers(-(2**31), 2**31 - 1, 300).astype(np.int32),
    "bools": np.random.default_rng(3).integers(0, 2, 300).astype(bool),
    "tiny": np.nextafter(0.0, np.linspace(-1.0, 1.0, 301)) * np.arange(301),
}


@pytest.mark.parametrize("name", ORDERS)
def test_sorting_by_digits(name: str) -> None:
    x = ORDERS[name]
    (order,) = native.Native(program("argsort", (1,), DType(x.dtype.name)))(len(x), x)
    np.testing.assert_array_equal(order, np.argsort(x, kind="stable"))


def test_inside_loops() -> None:
    """A solve per turn: its work space and pivots leave the loop."""
    b = Builder()
    n = Var(Scalar(I64), "n")
    a, x = Var(Array(F64, (n, n)), "a"), Var(Array(F64, (n,)), "x")
    outs = b.loop(4, [b.copy(x)], lambda i, y: solve(b, a, y)[0])
    function = b.function([n, a, x], outs)
    kernel = native.Native(function)
    matrix = np.random.default_rng(0).normal(size=(5, 5)) + 5 * np.eye(5)
    args = [5, matrix, np.arange(5.0)]
    native.COUNT[0] = 0
    np.testing.assert_allclose(kernel(*args)[0], evaluate(function, args).values[0], rtol=1e-9)
    assert native.COUNT[0] <= 5
    assert not native.LIVE


@pytest.mark.parametrize("name, kept", [("eigh", (0,)), ("eigh", (1,)), ("svd", (1,)), ("svd", (0,)), ("svd", (2,))])
def test_results_that_nobody_uses(name: str, kept: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).normal(size=(6, 6))
    compare(program(lambda b, x: [b.library(name, x)[k] for k in kept], (2,)), [a])


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 17, 60, 64, 105, 121])
def test_fourier(n: int, inverse: bool) -> None:
    b = Builder()
    size = Var(Scalar(I64), "n")
    x = Var(Array(F64, (size, Literal(2, I64))), "x")
    rows = Var(Array(F64, (Literal(3, I64), size, Literal(2, I64))), "rows")
    outs = [*b.library("fft", x, inverse=inverse), *b.library("fft", rows, inverse=inverse)]
    function = b.function([size, x, rows], outs)
    rng = np.random.default_rng(n)
    args = [n, rng.normal(size=(n, 2)), rng.normal(size=(3, n, 2))]
    for g, w in zip(native.Native(function)(*args), evaluate(function, args).values, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-11, atol=1e-11)
    assert not native.LIVE


@pytest.mark.parametrize("half", ["lower", "upper"])
@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("transposes", [(False, False), (True, False), (False, True), (True, True)])
def test_a_triangle(half: str, side: str, transposes: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(0)
    params = {**dict(zip(("transpose_a", "transpose_b"), transposes, strict=True)), f"triangle_{side}": half}
    for n, m in ((5, 3), (1, 1), (0, 2), (3, 0), (70, 40)):
        square = (np.tril if half == "lower" else np.triu)(rng.normal(size=(n, n)))
        if side == "a":
            arrays = [square, rng.normal(size=(m, n) if transposes[1] else (n, m))]
        else:
            arrays = [rng.normal(size=(n, m) if transposes[0] else (m, n)), square]
        compare(program("matmul", (2, 2), **params), arrays)

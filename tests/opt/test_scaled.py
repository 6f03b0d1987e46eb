"""scaled: constants before products, and what must stay where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.syntax import F64, I64, Array, Function, Scalar, Var
from iverson.opt import scaled
from tests.opt.support import golden, unchanged


def program(out: Any) -> tuple[Function, list[Any]]:
    b = Builder()
    n, k, m = (Var(Scalar(I64), h) for h in "nkm")
    x, y = Var(Array(F64, (n, k)), "x"), Var(Array(F64, (k, m)), "y")
    rng = np.random.default_rng(0)
    return b.function([n, k, m, x, y], out(b, x, y)), [3, 4, 5, rng.normal(size=(3, 4)), rng.normal(size=(4, 5))]


def times(b: Builder, x: Var, c: float) -> Var:
    return b.map(x.type.extents, lambda i, j: b.o.mul(b.read(x, i, j, safe=True), c))  # type: ignore[union-attr]


def test_a_constant_is_part_of_the_product() -> None:
    f, args = program(lambda b, x, y: b.library("matmul", times(b, x, 1.5), times(b, y, -2.0)))
    golden(f, scaled.run, "    t = matmul x y scale=-3.0\n} t", args, exact=False)


@pytest.mark.parametrize("c", [0.0, np.inf, np.nan])
def test_zero_and_infinity_stay(c: float) -> None:
    unchanged(program(lambda b, x, y: b.library("matmul", times(b, x, c), y))[0], scaled.run)


def test_a_matrix_that_is_needed_otherwise_is_made() -> None:
    def out(b: Builder, x: Var, y: Var) -> Any:
        t = times(b, x, 1.5)
        return [*b.library("matmul", t, y), t]

    unchanged(program(out)[0], scaled.run)


def test_compiled() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(70, 66)), rng.normal(size=(66, 5)), np.float32(rng.normal(size=(66, 64)))
    np.testing.assert_allclose(iv.jit(lambda a, b: 1.5 * a @ b)(a, b), 1.5 * a @ b)
    np.testing.assert_allclose(iv.jit(lambda a: (3.0 * a) @ a.T)(a), 3.0 * a @ a.T)
    np.testing.assert_allclose(iv.jit(lambda c: (0.1 * c) @ c.T)(c), np.float32(0.1) * c @ c.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(iv.grad(lambda a, b: np.sum((1.5 * a @ b) ** 2), 1)(a, b), 4.5 * a.T @ (a @ b))

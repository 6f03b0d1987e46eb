"""Turns of an outer loop abreast: convolutions, at every size around that of a block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iverson import backend
from iverson.backend import abreast
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F32, F64, I64, Array, DType, Function, Literal, Scalar, Var
from tests.backend import native


def convolution(dtype: DType, images: int | None, update: bool = False) -> Function:
    """y[p, j] = sum over k, l of x[p, k + l] w[k, l, j], or added to z."""
    b = Builder()
    n, m, k, j = (Var(Scalar(I64), h) for h in "nmkj")
    count = n if images is None else Literal(images, I64)
    x, w = Var(Array(dtype, (count, m)), "x"), Var(Array(dtype, (k, k, j)), "w")
    z = Var(Array(dtype, (count, j)), "z")

    def element(p: Var, c: Var) -> Any:
        def term(r: Var, s: Var) -> Any:
            return b.o.mul(b.read(x, p, b.o.add(r, s)), b.read(w, r, s, c))

        return b.reduce("add", k, lambda r: b.reduce("add", k, lambda s: term(r, s)))

    if not update:
        return b.function([n, m, k, j, x, w], [b.map(count, lambda p: b.map(j, lambda c: element(p, c)))])

    def body(acc: Var) -> Any:
        def put(p: Var, c: Var) -> Any:
            b.contribute(acc, [p, c], element(p, c))
            return ()

        b.for_(count, lambda p: b.for_(j, lambda c: put(p, c), []), [])
        return ()

    return b.function([n, m, k, j, x, w, z], b.accumulate([("add", [z])], body))


def arguments(n: int, k: int, j: int, dtype: DType, update: bool) -> list[Any]:
    rng = np.random.default_rng(n)
    arrays = [rng.normal(size=s).astype(dtype.value) for s in ((n, 2 * k + 1), (k, k, j), (n, j))]
    if n and k:
        arrays[0][n - 1, 0] = np.inf
    return [n, 2 * k + 1, k, j, *arrays[: 3 if update else 2]]


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("images", [None, 1, 2, 3, 4])
def test_convolutions(images: int | None, dtype: DType, update: bool) -> None:
    function = convolution(dtype, images, update)
    kernel = native.Native(function, 0)
    for n in (0, 1, 3, 4, 5, 9) if images is None else (images,):
        for k, j in ((3, 16), (2, 70), (0, 9), (1, 1), (2, 0)):
            args = arguments(n, k, j, dtype, update)
            with np.errstate(all="ignore"):
                got, want = kernel(*args), evaluate(function, args).values
            assert not native.LIVE
            tolerance = 1e-4 if dtype is F32 else 1e-10
            np.testing.assert_allclose(got[0], want[0], rtol=tolerance, atol=tolerance)


def test_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two loops of sums, and turns that store nothing that they load."""
    met: list[Any] = []
    run = abreast._abreast

    def spy(loop: Any, found: Any) -> Any:
        met.append(loop)
        return run(loop, found)

    monkeypatch.setattr(abreast, "_abreast", spy)
    for images, update, here in ((None, False, 1), (4, False, 1), (1, False, 0), (None, True, 0)):
        met.clear()
        backend.compile(convolution(F64, images, update))
        assert len(met) == here, (images, update)

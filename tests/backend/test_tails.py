"""What vector loops leave over: every length, the same values; only where functions are dear and loops may be short."""

from __future__ import annotations

import numpy as np
import pytest

from iverson import backend
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, Function, Scalar, Var
from tests.backend import native


def rows(name: str) -> Function:
    """A function of every element of a matrix, row by row, with a row's own factor."""
    b = Builder()
    n, m = (Var(Scalar(I64), h) for h in "nm")
    x, y = Var(Array(F64, (n, m)), "x"), Var(Array(F64, (n,)), "y")
    out = b.map([n, m], lambda i, j: b.o.mul(b.prim(name, b.read(x, i, j)), b.read(y, i)))
    return b.function([n, m, x, y], [out])


@pytest.mark.parametrize("name, level", [("exp", 0), ("exp", 3), ("tanh", 0), ("erf", 0), ("lgamma", 0), ("abs", 0)])
def test_every_length(name: str, level: int) -> None:
    f, rng = rows(name), np.random.default_rng(0)
    kernel = native.Native(f, level)
    for m in (*range(18), 31):
        args = [3, m, rng.uniform(0.5, 2.0, size=(3, m)), rng.normal(size=3)]
        np.testing.assert_allclose(kernel(*args)[0], evaluate(f, args).values[0], rtol=1e-11)


def test_where() -> None:
    assert " vector" in backend.compile(rows("exp")).loops
    assert " vector" not in backend.compile(rows("abs")).loops
    assert " vector" not in backend.compile(rows("lgamma")).loops


def test_said_to_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """LLVM complains of a loop that it was told to make one vector and can't."""
    for name in ("exp", "erf", "tanh", "lgamma"):
        assert backend.compile(rows(name)).assembly
    assert capfd.readouterr().err == ""

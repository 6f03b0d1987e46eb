"""remainders: which integers are known to be near their range; the values are Python's, of any sign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.core.build import Builder
from iverson.core.show import show
from iverson.core.syntax import Atom, Function, Var
from iverson.opt import remainders
from tests.opt.programs import array, size
from tests.opt.support import assert_kept, unchanged


def neighbours(place: Callable[[Builder, Var, Var], Atom]) -> Function:
    """x[place(i)] for each i < n."""
    b = Builder()
    n = size("n")
    x = array("x", n)
    return b.function([n, x], [b.map(n, lambda i: b.read(x, b.o.mod(place(b, i, n), n)))])


NEAR = {
    "itself": lambda b, i, n: i,
    "next": lambda b, i, n: b.o.add(i, 1),
    "before": lambda b, i, n: b.o.sub(i, 1),
    "from the end": lambda b, i, n: b.o.sub(b.o.sub(n, i), 1),
    "opposite": lambda b, i, n: b.o.add(i, b.o.floordiv(n, 2)),
    "a turn back": lambda b, i, n: b.o.sub(i, n),
}
FAR = {
    "two of them": lambda b, i, n: b.o.add(b.o.add(i, i), 2),
    "two on": lambda b, i, n: b.o.add(i, 2),
    "two back": lambda b, i, n: b.o.sub(i, 2),
    "square": lambda b, i, n: b.o.mul(i, i),
}
CASES = [[n, np.arange(float(n))] for n in (0, 1, 2, 3, 8)]


@pytest.mark.parametrize("name", NEAR)
def test_near(name: str) -> None:
    g = assert_kept(neighbours(NEAR[name]), remainders.run, *CASES, slack=1.0)
    text = show(g)
    assert "mod" not in text and all("!" in line for line in text.splitlines() if "= x[" in line)


@pytest.mark.parametrize("name", FAR)
def test_far(name: str) -> None:
    g = assert_kept(neighbours(FAR[name]), remainders.run, *CASES, slack=1.0)
    assert " mod " in show(g)


def test_an_unknown_number_of_either_sign() -> None:
    b = Builder()
    n, m = size("n"), size("m")
    f = b.function([n, m], [b.o.mod(n, m)])
    unchanged(f, remainders.run)


def ring(x: Any, steps: int) -> Any:
    x = x.copy()
    n = len(x)
    y = np.empty(n)
    for _ in range(steps):
        for i in range(n):
            y[i] = 0.5 * x[i] + 0.25 * x[(i + 1) % n] - 0.125 * x[(i - 1) % n]
        x[:] = y
    return np.sum(x * x)


def torus(x: Any, steps: int) -> Any:
    n, m = x.shape
    for _ in range(steps):
        x = np.array([
            [x[i, j] - 0.1 * x[(i - 1) % n, (j + 1) % m] * x[(i + n // 2) % n, j - 1] for j in range(m)]
            for i in range(n)
        ])  # fmt: skip
    return np.sum(x)


def test_rings() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 9, 40):
        x = rng.normal(size=n)
        np.testing.assert_allclose(iv.jit(ring)(x, 3), ring(x, 3), rtol=1e-13)
        y = rng.normal(size=(n, n + 1))
        np.testing.assert_allclose(iv.jit(torus)(y, 2), torus(y, 2), rtol=1e-12)
    assert iv.jit(ring)(np.ones(0), 3) == 0.0
    iv.check_grads(lambda x: ring(x, 2), (rng.normal(size=5),))
    iv.check_grads(lambda x: torus(x, 2), (rng.normal(size=(3, 4)),))

"""How the programs by hand are written down: what gives their outs, and what makes arguments of a size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import F64, I64, Array, Function, Scalar, Var

Case = tuple[Function, Callable[[int, np.random.Generator], list[Any]]]
CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[Builder, Var, Var], Any]) -> Callable[[Builder, Var, Var], Any]:
    """A program of n and a vector x of that length; `make` gives its outs."""

    def build() -> Case:
        b = Builder()
        n = Var(Scalar(I64), "n")
        x = Var(Array(F64, (n,)), "x")
        outs = make(b, n, x)
        return b.function([n, x], outs), lambda size, rng: [size, rng.normal(size=size)]

    CASES[make.__name__] = build
    return make


def matrix_case(make: Callable[[Builder, Var, Var, Var], Any]) -> Callable[[Builder, Var, Var, Var], Any]:
    """A program of n, m and a matrix a."""

    def build() -> Case:
        b = Builder()
        n, m = Var(Scalar(I64), "n"), Var(Scalar(I64), "m")
        a = Var(Array(F64, (n, m)), "a")
        outs = make(b, n, m, a)

        def arguments(size: int, rng: np.random.Generator) -> list[Any]:
            rows, columns = min(size, 60), min(size, 7)
            return [rows, columns, rng.normal(size=(rows, columns))]

        return b.function([n, m, a], outs), arguments

    CASES[make.__name__] = build
    return make

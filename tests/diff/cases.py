"""Registering core programs, each with arguments for a size and the ceilings its gradient keeps.

The ceilings are of W(value and gradient) / W(primal), beyond inputs and outputs, and must hold at every size: they are
the promise.  `copied` is the bound on copied elements per element of input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import Atom, Function, Var

Args: TypeAlias = Callable[[int], list[Any]]


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], tuple[Function, Args]]
    ceiling: float
    copied: float
    sizes: tuple[int, ...]


CASES: list[Case] = []


def case(
    ceiling: float, copied: float = 0.0, sizes: tuple[int, ...] = (6, 12, 24)
) -> Callable[[Callable[[], tuple[Function, Args]]], Callable[[], tuple[Function, Args]]]:
    def register(make: Callable[[], tuple[Function, Args]]) -> Callable[[], tuple[Function, Args]]:
        CASES.append(Case(make.__name__, make, ceiling, copied, sizes))
        return make

    return register


def normal(*shape: int, scale: float = 1.0) -> Any:
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape) * scale


def vector(n: int) -> list[Any]:
    return [n, normal(n)]


def squares(b: Builder, n: Atom, x: Var) -> Atom:
    return b.reduce("add", n, lambda i: b.o.mul(b.read(x, i), b.read(x, i)))


def contributions(b: Builder, n: Any, each: Callable[[Var, Var], None]) -> Callable[[Var], tuple[()]]:
    """A body of Accumulate: each(acc, i) for all i < n."""

    def body(acc: Var) -> tuple[()]:
        def one(i: Var) -> tuple[()]:
            each(acc, i)
            return ()

        b.for_(n, one, ())
        return ()

    return body

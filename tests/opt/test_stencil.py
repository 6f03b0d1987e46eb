"""rotate, spill, stencil: each place once, whatever the offsets and however few turns there are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from iverson.core.build import Builder
from iverson.core.rewrite import statements
from iverson.core.syntax import Accumulate, Contribute, For, Function, If, Loop, Var
from iverson.opt import rotate, simplify, spill, stencil
from tests.opt.programs import array, size
from tests.opt.support import assert_kept

Places = Sequence[tuple[int, ...]]
FIVE: Places = [(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)]
SHAPES: list[Places] = [
    [(0,), (1,)],
    [(2,), (0,), (5,), (1,)],
    FIVE,
    [(0, 0), (0, 3), (2, 0)],
    [(1, 1, 1), (0, 1, 1), (2, 1, 1), (1, 1, 0), (1, 0, 1), (1, 2, 1), (1, 1, 2)],
]


class Program:
    """acc[i + c] += u_c(x[i]) for every place c, in as many dimensions as it has."""

    def __init__(self, places: Places, dear: bool = False) -> None:
        self.places, self.dear = places, dear
        self.b = Builder()
        self.n = [size(f"n{d}") for d in range(len(places[0]))]
        self.m = [size(f"m{d}") for d in range(len(places[0]))]
        self.x, self.y = array("x", *self.n), array("y", *self.m)

    def zeroed(self, y: Var, place: tuple[int, ...]) -> Var:
        def fill(acc: Var) -> Any:
            def zero(*i: Var) -> Any:
                self.b.contribute(acc, [self.b.o.add(z, j) for j, z in zip(i, place, strict=True)], 0.0, safe=True)
                return ()

            return self.b.for_(self.n, zero, ())

        return self.b.accumulate([("set", [y])], fill)[0]

    def added(self, y: Var) -> Var:
        def body(acc: Var) -> Any:
            def turn(*i: Var) -> Any:
                u = self.b.read(self.x, *i, safe=True)
                u = self.b.o.exp(u) if self.dear else u
                for k, place in enumerate(self.places):
                    at = [self.b.o.add(c, j) for j, c in zip(i, place, strict=True)]
                    self.b.contribute(acc, at, self.b.o.mul(u, 1.0 + k), safe=True)
                return ()

            return self.b.for_(self.n, turn, ())

        return self.b.accumulate([("add", [y])], body)[0]

    def function(self, *outs: Var) -> Function:
        return simplify.run(self.b.function([*self.n, *self.m, self.x, self.y], list(outs)))

    def arguments(self, sizes: Sequence[int]) -> list[Any]:
        rng = np.random.default_rng(3)
        wide = [n + max(max(p) for p in self.places) + 1 for n in sizes]
        return [*sizes, *wide, rng.normal(size=sizes), rng.normal(size=wide)]

    def cases(self) -> list[list[Any]]:
        return [self.arguments(sizes) for sizes in product((0, 1, 2, 3, 7), repeat=len(self.n))]


def contributions(f: Function) -> int:
    return sum(isinstance(let.op, Contribute) for let in statements(f.body))


@pytest.mark.parametrize("places", SHAPES, ids=lambda places: f"{len(places[0])}-{len(places)}")
def test_each_place_once(places: Places) -> None:
    p = Program(places)
    f = p.function(p.added(p.y))
    g = assert_kept(f, stencil.run, *p.cases(), exact=False, slack=1.0, extra=50)
    assert any(isinstance(let.op, If) for let in statements(g.body))
    assert contributions(g) > contributions(f)  # those of the rims


def test_zeros_are_set() -> None:
    p = Program(FIVE)
    f = p.function(p.added(p.zeroed(p.y, (1, 1))))
    g = assert_kept(f, stencil.run, *p.cases(), exact=False, slack=1.0, extra=80)
    sets = next(let.op for let in statements(g.body) if isinstance(let.op, Accumulate))
    assert any(isinstance(let.op, If) for let in sets.body)


def test_zeros_that_are_elsewhere_stay() -> None:
    p = Program([(0, 1), (2, 1), (2, 3)])
    f = p.function(p.added(p.zeroed(p.y, (1, 1))))
    g = assert_kept(f, stencil.run, *p.cases(), exact=False, slack=1.0, extra=80)
    sets = next(let.op for let in statements(g.body) if isinstance(let.op, Accumulate))
    assert not any(isinstance(let.op, If) for let in sets.body)


def test_what_is_dear_comes_first() -> None:
    p = Program(FIVE, dear=True)
    f = p.function(p.added(p.y))
    assert stencil.run(f) is f
    g = assert_kept(f, spill.run, *p.cases(), slack=0.5, extra=10)
    assert isinstance(g.body.lets[0].op, For)
    assert contributions(stencil.run(g)) > contributions(f)


def looped(p: Program, first: bool) -> Function:
    """A turn adds to y and leaves a box of zeros in it; before that it reads an element, or not."""

    def turn(i: Var, y: Var, total: Var) -> Any:
        if first:
            total = p.b.o.add(total, p.b.read(y, 1, 1, safe=True))
        z = p.added(y)
        total = p.b.o.add(total, p.b.read(z, 2, 2, safe=True))
        return p.zeroed(z, (1, 1)), total

    start = p.b.zeros(p.m, p.y.type.dtype)  # type: ignore[union-attr]
    y, total = p.b.loop(3, [start, 0.0], turn)
    return p.function(y, total)


def test_zeros_come_first() -> None:
    p = Program(FIVE)
    f = looped(p, first=False)
    g = assert_kept(f, rotate.run, *p.cases(), extra=3 * 7 * 7 + 10)
    loop = next(let.op for let in g.body if isinstance(let.op, Loop))
    assert isinstance(loop.body.lets[0].op, Accumulate) and isinstance(g.body.lets[-1].op, Accumulate)
    assert_kept(g, stencil.run, *p.cases(), exact=False, slack=1.0, extra=300)


def test_zeros_stay_where_the_array_is_read_before() -> None:
    f = looped(Program(FIVE), first=True)
    assert rotate.run(f) is f

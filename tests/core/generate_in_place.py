"""Random core programs that update a few arrays in place and copy none: for what derivatives may cost.

    function, args = random_updates(seed)          args(n): arguments of size n

Each program owns some buffers of one shape and hands every version of them on exactly once, so that its work does not
depend on their size: elements and regions are updated (`set`, `add`, at data-dependent places, under conditions, from
loops), names trade buffers under conditions and in loops of run-time turns, statements nest to `depth`.  With
`fresh` a buffer rarely begins anew or becomes a copy of another, which costs its size.  Floats decide nothing: the
derivative exists.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import F64, I64, Array, Atom, Function, Literal, Scalar, Var

SHAPES: tuple[tuple[int, ...], ...] = ((0,), (0,), (0, 3), (2, 0), (2, 0, 2))  # 0: the size

KINDS = {
    "read": 5,
    "scalar": 3,
    "integer": 2,
    "update": 6,
    "region": 3,
    "scatter": 2,
    "trade": 2,
    "if": 5,
    "loop": 5,
    "while": 3,
    "scoped": 2,
    "lanes": 2,
    "anew": 0.3,
    "copy": 0.3,
}
_LEAVES = ("read", "scalar", "integer", "update", "trade")


def random_updates(
    seed: int, *, depth: int = 3, length: int = 6, fresh: bool = True
) -> tuple[Function, Callable[[int], list[Any]]]:
    """A program, and its arguments for a size (at least 4).  Without `fresh` no buffer begins anew."""
    rng = random.Random(seed)
    shape = rng.choice(SHAPES)
    count = rng.choice([1, 2, 2, 3])

    def args(n: int) -> list[Any]:
        data = np.random.default_rng(seed)
        floats = [data.normal(size=[n if k == 0 else k for k in shape]) for _ in range(count)]
        return [n, 0.3, *floats, data.integers(0, 50, 12)]

    return _Generator(rng, shape, count, fresh).function(seed, depth, length), args


@dataclass
class _Scope:
    depth: int
    buffers: list[Var]  # each is handed on exactly once
    floats: list[Atom]
    ints: list[Atom] = field(default_factory=list)

    def inner(self, buffers: Sequence[Var] | None = None) -> _Scope:
        owned = list(self.buffers if buffers is None else buffers)
        return replace(self, depth=self.depth - 1, buffers=owned, floats=list(self.floats), ints=list(self.ints))


class _Generator:
    def __init__(self, rng: random.Random, shape: tuple[int, ...], count: int, fresh: bool) -> None:
        self.rng, self.shape, self.count = rng, shape, count
        self.kinds = {k: w for k, w in KINDS.items() if fresh or k not in ("anew", "copy")}
        self.b = Builder()
        self.o = self.b.o
        self.n = Var(Scalar(I64), "n")
        self.table = Var(Array(I64, (Literal(12, I64),)), "k")

    def function(self, seed: int, depth: int, length: int) -> Function:
        c = Var(Scalar(F64), "c")
        extents = tuple(self.n if k == 0 else Literal(k, I64) for k in self.shape)
        buffers = [Var(Array(F64, extents), "xyz"[k]) for k in range(self.count)]
        scope = _Scope(depth, list(buffers), [c, Literal(0.5, F64)], [Literal(7, I64)])
        scope.ints += [self.b.read(self.table, k) for k in range(2)]
        self.statements(scope, length)
        total = scope.floats[-1]
        for k, buffer in enumerate(scope.buffers):
            total = self.o.add(total, self.o.mul(self.b.read(buffer, *self.place(scope)), 1.0 + k))
        outs = [total, *(scope.buffers if self.rng.random() < 0.5 else ())]
        return self.b.function([self.n, c, *buffers, self.table], outs, f"updates{seed}")

    # --- values -----------------------------------------------------------------------------------------------------

    def recent(self, several: Sequence[Any]) -> Any:
        return several[max(self.rng.randrange(len(several)), self.rng.randrange(len(several)))]

    def float(self, scope: _Scope) -> Atom:
        """Of order one, and so its derivatives."""
        o, u, v = self.o, self.recent(scope.floats), self.recent(scope.floats)
        return self.rng.choice(
            [
                lambda: o.mul(o.sin(u), o.cos(v)),
                lambda: o.tanh(o.sub(u, o.mul(v, 0.3))),
                lambda: o.div(u, o.add(o.mul(u, u), 1.5)),
                lambda: o.sin(o.mul(u, v)),
            ]
        )()

    def integer(self, scope: _Scope) -> Atom:
        o, i, j = self.o, self.recent(scope.ints), self.recent(scope.ints)
        return self.rng.choice(
            [
                lambda: o.mod(o.add(o.mul(i, 3), j), 50),
                lambda: self.b.read(self.table, o.mod(o.add(i, j), 12)),
                lambda: o.floordiv(i, 2),
                lambda: i,
            ]
        )()

    def predicate(self, scope: _Scope) -> Atom:
        return self.o.lt(self.o.mod(self.integer(scope), 5), self.rng.randint(1, 4))

    def few(self, scope: _Scope) -> Atom:
        """A small number of turns, known or not."""
        return self.rng.choice([lambda: Literal(3, I64), lambda: self.o.mod(self.integer(scope), 4)])()

    def place(self, scope: _Scope) -> list[Atom]:
        return [self.o.mod(self.integer(scope), self.n if k == 0 else k) for k in self.shape]

    # --- statements -------------------------------------------------------------------------------------------------

    def statements(self, scope: _Scope, count: int) -> None:
        for _ in range(count):
            kinds = [k for k in self.kinds if scope.depth > 0 or k in _LEAVES]
            getattr(self, f"_{self.rng.choices(kinds, [self.kinds[k] for k in kinds])[0]}")(scope)

    def body(self, scope: _Scope) -> _Scope:
        self.statements(scope, self.rng.randint(1, 4))
        self._update(scope)
        return scope

    def pick(self, scope: _Scope) -> int:
        return self.rng.randrange(len(scope.buffers))

    def _read(self, scope: _Scope) -> None:
        scope.floats.append(self.b.read(scope.buffers[self.pick(scope)], *self.place(scope)))

    def _scalar(self, scope: _Scope) -> None:
        scope.floats.append(self.float(scope))

    def _integer(self, scope: _Scope) -> None:
        scope.ints.append(self.integer(scope))

    def _update(self, scope: _Scope) -> None:
        """x[e] = v or x[e] += v, v with other elements."""
        k = self.pick(scope)
        self._read(scope)
        kind, place = self.rng.choice(["set", "add"]), self.place(scope)
        old = self.b.read(scope.buffers[k], *place)
        value = self.o.tanh(self.o.add(self.o.mul(old, 0.7), self.o.mul(self.float(scope), old)))
        self.write(scope, k, kind, lambda acc: self.b.contribute(acc, place, value))

    def write(self, scope: _Scope, k: int, kind: str, body: Callable[[Var], Any]) -> None:
        def block(acc: Var) -> tuple[()]:
            body(acc)
            return ()

        scope.buffers[k] = self.b.accumulate([(kind, [scope.buffers[k]])], block)[0]

    def _region(self, scope: _Scope) -> None:
        """Neighbouring elements, each once."""
        k, first, u = self.pick(scope), self.place(scope), self.float(scope)
        axis = self.shape.index(0)

        def body(acc: Var) -> None:
            def one(j: Var) -> tuple[()]:
                place = [*first]
                place[axis] = self.o.mod(self.o.add(first[axis], j), self.n)
                self.b.contribute(acc, place, self.o.sin(self.o.add(self.o.float64(j), u)))
                return ()

            self.b.for_(self.rng.choice([Literal(3, I64), self.o.mod(self.integer(scope), 4)]), one, ())

        self.write(scope, k, self.rng.choice(["set", "add"]), body)

    def _scatter(self, scope: _Scope) -> None:
        """Contributions at places that are data, from For, Loop and If, and of other buffers' elements."""
        k = self.pick(scope)
        others = [x for j, x in enumerate(scope.buffers) if j != k]
        kind = self.rng.choice(["add", "add", "set", "mul"])

        def put(inner: _Scope, acc: Var) -> None:
            u = self.b.read(self.rng.choice(others), *self.place(inner)) if others else self.float(inner)
            value = self.o.add(self.o.mul(self.o.sin(u), 0.4), 1.0) if kind == "mul" else self.o.sin(u)
            self.b.contribute(acc, self.place(inner), value)

        def body(acc: Var) -> None:
            def one(j: Var, *_: Var) -> tuple[()]:
                inner = scope.inner(others)
                inner.ints.append(j)
                if self.rng.random() < 0.5:
                    self.b.if_(self.predicate(inner), lambda: put(inner, acc) or (), tuple)
                else:
                    put(inner, acc)
                return ()

            turns = self.few(scope)
            self.b.loop(turns, [], one) if self.rng.random() < 0.4 else self.b.for_(turns, one, ())

        self.write(scope, k, kind, body)

    def _trade(self, scope: _Scope) -> None:
        """Names change places, at once or under a condition."""
        after = self.rng.sample(scope.buffers, len(scope.buffers))
        if self.rng.random() < 0.4:
            scope.buffers = after
        else:
            before = list(scope.buffers)
            scope.buffers = list(self.b.if_(self.predicate(scope), lambda: after, lambda: before))

    def _if(self, scope: _Scope) -> None:
        some = [k for k in range(len(scope.buffers)) if self.rng.random() < 0.7]

        def side() -> list[Atom]:
            inner = self.body(scope.inner([scope.buffers[k] for k in some])) if some else scope.inner()
            if some and self.rng.random() < 0.4:
                self.rng.shuffle(inner.buffers)
            return [self.float(inner), self.integer(inner), *(inner.buffers if some else ())]

        value, number, *buffers = self.b.if_(self.predicate(scope), side, side)
        scope.floats.append(value)
        scope.ints.append(number)
        for k, buffer in zip(some, buffers, strict=True):
            scope.buffers[k] = buffer

    def _loop(self, scope: _Scope) -> None:
        emits = self.rng.random() < 0.3

        def turn(i: Var, s: Var, *buffers: Var) -> list[Atom]:
            inner = scope.inner(buffers)
            inner.ints.append(i)
            inner.floats.append(s)
            self.body(inner)
            if self.rng.random() < 0.4:
                self.rng.shuffle(inner.buffers)
            return [self.float(inner), *inner.buffers, *([self.float(inner)] if emits else ())]

        turns = self.few(scope)
        s, *results = self.b.loop(turns, [self.recent(scope.floats), *scope.buffers], turn)
        scope.buffers = results[: len(scope.buffers)]
        scope.floats.append(s)
        if emits:
            stack = results[-1]
            scope.floats.append(self.b.reduce("add", turns, lambda i: self.o.sin(self.b.read(stack, i))))

    def _while(self, scope: _Scope) -> None:
        def turn(k: Var, s: Var, *buffers: Var) -> list[Atom]:
            inner = scope.inner(buffers)
            inner.ints.append(k)
            inner.floats.append(s)
            self.body(inner)
            if self.rng.random() < 0.4:
                self.rng.shuffle(inner.buffers)
            return [self.o.floordiv(k, 2), self.float(inner), *inner.buffers]

        first = self.o.mod(self.integer(scope), 9)
        inits = [first, self.recent(scope.floats), *scope.buffers]
        k, s, *scope.buffers = self.b.while_(inits, lambda k, *_: self.o.gt(k, 0), turn)
        scope.ints.append(k)
        scope.floats.append(s)

    def _scoped(self, scope: _Scope) -> None:
        """Statements in the block of an accumulation, which hands the buffers on."""

        def body(total: Var) -> list[Atom]:
            inner = self.body(scope.inner())
            self.b.contribute(total, [], self.float(inner))
            if self.rng.random() < 0.3:
                self.rng.shuffle(inner.buffers)
            return [self.float(inner), *inner.buffers]

        total, value, *scope.buffers = self.b.accumulate([("add", [0.1])], body)
        scope.floats += [self.o.sin(total), value]

    def _lanes(self, scope: _Scope) -> None:
        """A sum over some lanes that read the buffers."""
        k = self.pick(scope)

        def lane(i: Var) -> Atom:
            inner = scope.inner()
            inner.ints.append(i)
            inner.floats.append(self.b.read(inner.buffers[k], *self.place(inner)))
            return self.float(inner)

        scope.floats.append(self.o.sin(self.b.reduce("add", self.few(scope), lane)))

    def _anew(self, scope: _Scope) -> None:
        """A buffer is given up for a new one, made of it."""
        k, u = self.pick(scope), self.float(scope)
        old = scope.buffers[k]
        extents = old.type.extents  # type: ignore[union-attr]
        scope.buffers[k] = self.b.map(extents, lambda *i: self.o.sin(self.o.add(self.b.read(old, *i), u)))

    def _copy(self, scope: _Scope) -> None:
        """A buffer is given up for a copy of another."""
        k, j = self.pick(scope), self.pick(scope)
        scope.buffers[k] = self.b.copy(scope.buffers[j])

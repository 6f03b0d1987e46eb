"""Random well-typed core programs, for testing whatever takes programs.

    function, args = random_function(seed, smooth=True, depth=3)

All constructs nest to `depth`: For with every kind of yield, Accumulate with every monoid and with Contributes at any
depth inside, Loop with in-place updates, swaps and emits, While, If, rows, logs, operators with free variables.  Arrays
are shared, updated and used again; indices are data; ranges may be empty.  The programs don't fail: indices are taken
modulo sizes, and reads of what may be empty are guarded.

Values stay of order one, and so do derivatives: what leaves a block is damped.  With `smooth`, floats never decide
anything, so that the derivative exists and the complex step gives it; integers still do.  `without` leaves constructs
out, by the names of `KINDS` ("operator" and "append" too).  With `wide` there are library operations on small matrices
and rows, and accumulations by operators.  The first out is a float scalar.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from iverson.core.build import Builder
from iverson.core.syntax import (
    F64,
    I64,
    Array,
    Atom,
    Function,
    Literal,
    Map,
    Reduce,
    Scalar,
    Scan,
    Var,
    Yield,
)

KINDS = {
    "scalar": 8,
    "integer": 3,
    "read": 6,
    "row": 2,
    "map": 4,
    "reduce": 3,
    "scan": 2,
    "accumulate": 4,
    "contribute": 4,
    "loop": 4,
    "while": 2,
    "if": 3,
    "check": 1,
}
WIDE = {"library": 2, "bins": 1}
_LEAVES = ("scalar", "integer", "read", "row", "contribute")


def random_function(
    seed: int,
    *,
    smooth: bool = True,
    depth: int = 3,
    length: int = 5,
    without: Collection[str] = (),
    wide: bool = False,
) -> tuple[Function, list[Any]]:
    """A program and arguments for it: sizes n, m (0 to 4), scalars c, q, floats x[n], y[m], a[n, m], integers k[m].

    `length` is the number of statements of the outermost block.
    """
    return _Generator(random.Random(seed), smooth, frozenset(without), wide).function(seed, depth, length)


@dataclass
class _Scope:
    """What can be used here.  Extents in `nonempty` are known not to be 0."""

    depth: int
    floats: list[Atom] = field(default_factory=list)
    ints: list[Atom] = field(default_factory=list)
    arrays: list[Var] = field(default_factory=list)
    tables: list[Var] = field(default_factory=list)  # arrays of integers
    accs: list[Var] = field(default_factory=list)
    extents: list[Atom] = field(default_factory=list)
    nonempty: frozenset[Atom] = frozenset()

    def inner(self, *, closed: bool = False) -> _Scope:
        lists = {k: list(v) for k, v in vars(self).items() if isinstance(v, list)}
        accs = {"accs": []} if closed else {}
        return replace(self, **{**lists, **accs}, depth=self.depth - 1)


class _Generator:
    def __init__(self, rng: random.Random, smooth: bool, without: frozenset[str], wide: bool) -> None:
        self.kinds = {**KINDS, **(WIDE if wide else {})}
        self.rng = rng
        self.smooth = smooth
        self.without = without
        self.b = Builder()
        self.o = self.b.o

    def allows(self, kind: str) -> bool:
        return kind not in self.without

    def function(self, seed: int, depth: int, length: int) -> tuple[Function, list[Any]]:
        n, m = Var(Scalar(I64), "n"), Var(Scalar(I64), "m")
        c, q = Var(Scalar(F64), "c"), Var(Scalar(I64), "q")
        x, y = Var(Array(F64, (n,)), "x"), Var(Array(F64, (m,)), "y")
        a, k = Var(Array(F64, (n, m)), "a"), Var(Array(I64, (m,)), "k")
        more = self.b.o.add(n, 1)
        scope = _Scope(depth, [c, Literal(0.5, F64)], [q, n, m], [x, y, a], [k], [], [n, m, more, Literal(2, I64)])
        scope.nonempty = frozenset({more, Literal(2, I64)})
        self.statements(scope, length)
        arrays = [v for v in scope.arrays if v not in (x, y, a)]
        outs: list[Atom] = [self.float(scope), *arrays[-3:], *self.rng.sample(scope.floats, 1), scope.ints[-1]]
        if self.rng.random() < 0.3:
            outs.append(self.rng.choice([x, a]))
        donated = [p for p in (x, a) if self.rng.random() < 0.3]
        f = self.b.function([n, m, c, q, x, y, a, k], outs, f"random{seed}", donated)
        data = np.random.default_rng(seed)
        nn, mm = (int(v) for v in data.integers(0, 5, 2))
        args = [nn, mm, 0.7, 5, data.normal(size=nn), data.normal(size=mm), data.normal(size=(nn, mm))]
        return f, [*args, data.integers(-3, 9, mm)]

    # --- values -----------------------------------------------------------------------------------------------------

    def recent(self, several: list[Any]) -> Any:
        """One of several, rather a late one."""
        return several[max(self.rng.randrange(len(several)), self.rng.randrange(len(several)))]

    def float(self, scope: _Scope) -> Atom:
        """A float expression of a few operations."""
        o, rng = self.o, self.rng
        u, v = self.recent(scope.floats), self.recent(scope.floats)
        smooth: list[Callable[[], Atom]] = [
            lambda: o.mul(o.sin(u), v),
            lambda: o.sub(u, o.mul(v, 0.3)),
            lambda: o.mul(u, v),
            lambda: o.div(u, o.add(o.mul(v, v), 1.0)),
            lambda: o.sqrt(o.add(o.mul(u, u), 1.0)),
            lambda: o.log1p(o.mul(v, v)),
            lambda: o.exp(o.tanh(u)),
            lambda: o.select(o.lt(self.recent(scope.ints), 2), u, v),
            lambda: o.mul(o.float64(self.recent(scope.ints)), 0.01),
            lambda: u,
        ]
        sharp: list[Callable[[], Atom]] = [
            lambda: o.max(u, v),
            lambda: o.min(u, 0.4),
            lambda: o.abs(o.sub(u, 0.1)),
            lambda: o.select(o.lt(u, v), u, o.mul(v, 0.5)),
            lambda: o.floor(u),
        ]
        return rng.choice(smooth if self.smooth else smooth + sharp)()

    def damped(self, scope: _Scope) -> Atom:
        """A float of order one, for leaving a block."""
        o, u = self.o, self.float(scope)
        return self.rng.choice(
            [lambda: o.mul(o.sin(u), 0.5), lambda: o.tanh(o.mul(u, 0.5)), lambda: o.div(u, o.add(o.mul(u, u), 1.5))]
        )()

    def integer(self, scope: _Scope) -> Atom:
        o = self.o
        i, j = self.recent(scope.ints), self.recent(scope.ints)
        options: list[Callable[[], Atom]] = [
            lambda: o.add(i, j),
            lambda: o.sub(i, j),
            lambda: o.mod(o.mul(i, 5), 7),
            lambda: o.floordiv(i, 2),
            lambda: i,
        ]
        if scope.tables:
            options.append(lambda: self.guarded(scope, self.recent(scope.tables), Literal(1, I64)))
        if not self.smooth:
            options.append(lambda: o.int64(o.floor(o.mul(o.tanh(self.recent(scope.floats)), 4.0))))
        return self.o.mod(self.rng.choice(options)(), 1000)

    def predicate(self, scope: _Scope) -> Atom:
        if self.smooth or self.rng.random() < 0.5:
            return self.o.lt(self.o.mod(self.integer(scope), 4), self.rng.randint(0, 4))
        return self.o.lt(self.recent(scope.floats), self.recent(scope.floats))

    # --- arrays -----------------------------------------------------------------------------------------------------

    def places(self, scope: _Scope, extents: tuple[Atom, ...]) -> list[Atom]:
        """Indices in bounds, if no extent is 0."""
        return [self.o.mod(self.integer(scope), n) for n in extents]

    def if_any(
        self, scope: _Scope, extents: tuple[Atom, ...], then: Callable[[], Any], orelse: Callable[[], Any]
    ) -> Any:
        """`then` where no extent is 0: under an If, unless that is known."""
        doubtful = [n for n in extents if n not in scope.nonempty]
        if not doubtful:
            return then()
        size = doubtful[0] if len(doubtful) == 1 else self.o.mul(doubtful[0], doubtful[1])
        results = self.b.if_(self.o.gt(size, 0), then, orelse)
        return results[0] if len(results) == 1 else results

    def guarded(self, scope: _Scope, array: Var, other: Atom) -> Atom:
        assert isinstance(array.type, Array)
        extents = array.type.extents
        return self.if_any(scope, extents, lambda: self.b.read(array, *self.places(scope, extents)), lambda: other)

    def fresh(self, scope: _Scope, extents: tuple[Atom, ...]) -> Var:
        return self.b.map(extents, lambda *i: self.damped(self.within(scope, i, extents)))

    def array_like(self, scope: _Scope, extents: tuple[Atom, ...]) -> Var:
        """An array of these extents that is there, or a new one."""
        there = [v for v in scope.arrays if isinstance(v.type, Array) and v.type.extents == extents]
        return self.recent(there) if there and self.rng.random() < 0.7 else self.fresh(scope, extents)

    def within(self, scope: _Scope, index: tuple[Var, ...], extents: tuple[Atom, ...]) -> _Scope:
        """Inside loops over extents."""
        inner = scope.inner()
        inner.ints += index
        inner.nonempty |= frozenset(extents)
        return inner

    def updated(self, scope: _Scope, array: Var, kind: str) -> Var:
        """One element of an array changed, if there is any."""
        assert isinstance(array.type, Array)
        extents = array.type.extents

        def body(acc: Var) -> tuple[()]:
            def contribute() -> tuple[()]:
                self.b.contribute(acc, self.places(scope, extents), self.damped(scope))
                return ()

            doubtful = [n for n in extents if n not in scope.nonempty]
            if not doubtful:
                return contribute()
            size = doubtful[0] if len(doubtful) == 1 else self.o.mul(doubtful[0], doubtful[1])
            self.b.if_(self.o.gt(size, 0), contribute, tuple)
            return ()

        return self.b.accumulate([(kind, [array])], body)[0]

    # --- statements -------------------------------------------------------------------------------------------------

    def statements(self, scope: _Scope, count: int) -> None:
        for _ in range(count):
            kinds = [k for k in self.kinds if self.allows(k) and (scope.depth > 0 or k in _LEAVES)]
            kind = self.rng.choices(kinds, [self.kinds[k] for k in kinds])[0]
            getattr(self, f"_{kind}")(scope)

    def body(self, scope: _Scope) -> _Scope:
        self.statements(scope, self.rng.randint(1, 3))
        return scope

    def _scalar(self, scope: _Scope) -> None:
        scope.floats.append(self.float(scope))

    def _integer(self, scope: _Scope) -> None:
        scope.ints.append(self.integer(scope))

    def _read(self, scope: _Scope) -> None:
        scope.floats.append(self.guarded(scope, self.recent(scope.arrays), self.recent(scope.floats)))

    def _row(self, scope: _Scope) -> None:
        matrices = [v for v in scope.arrays if isinstance(v.type, Array) and v.type.rank == 2]
        matrices = [v for v in matrices if isinstance(v.type, Array) and v.type.extents[0] in scope.nonempty]
        if matrices:
            v = self.recent(matrices)
            scope.arrays.append(self.b.read(v, *self.places(scope, v.type.extents[:1])))

    def _check(self, scope: _Scope) -> None:
        q = self.integer(scope)
        self.b.check(self.o.ge(self.o.mul(q, q), 0), "a square is negative: {}", q)

    def _if(self, scope: _Scope) -> None:
        extents = (self.rng.choice(scope.extents),)

        def side() -> tuple[Atom, ...]:
            inner = self.body(scope.inner())
            return self.damped(inner), self.integer(inner), self.array_like(inner, extents)

        value, number, array = self.b.if_(self.predicate(scope), side, side)
        scope.floats.append(value)
        scope.ints.append(number)
        scope.arrays.append(array)

    def _map(self, scope: _Scope) -> None:
        extents = tuple(self.rng.choice(scope.extents) for _ in range(self.rng.choice([1, 1, 2])))
        row = (self.rng.choice(scope.extents),) if len(extents) == 1 and self.rng.random() < 0.4 else None

        def body(*i: Var) -> tuple[Atom, ...]:
            inner = self.body(self.within(scope, i, extents))
            rows = (self.array_like(inner, row),) if row else ()
            return (self.damped(inner), *rows, self.integer(inner))

        yields: list[Yield] = [Map(), *([Map()] if row else []), Map()]
        *arrays, table = self.b.for_(extents, body, yields)
        scope.arrays += arrays
        scope.tables.append(table)

    def _reduce(self, scope: _Scope) -> None:
        extents = tuple(self.rng.choice(scope.extents) for _ in range(self.rng.choice([1, 1, 2])))
        row = (self.rng.choice(scope.extents),)
        kind = self.rng.choice(["add", "add", "mul", "array", *self.sharp("min", "max", "argmin"), "operator"])

        def body(*i: Var) -> tuple[Atom, ...]:
            inner = self.body(self.within(scope, i, extents))
            u = self.damped(inner)
            if kind == "operator" and self.allows("operator"):
                return u, self.damped(inner)
            if kind == "argmin":
                return u, self.integer(inner)
            if kind == "array":
                return (self.array_like(inner, row),)
            return (self.o.add(u, 1.0) if kind == "mul" else u,)

        if kind == "array":
            scope.arrays += self.b.for_(extents, body, [Reduce("add")])
        elif kind == "operator" and self.allows("operator"):
            scope.floats += self.b.for_(extents, body, [Reduce(self.affine(scope))])
        else:
            monoid = "add" if kind == "operator" else kind
            value, *at = self.b.for_(extents, body, [Reduce(monoid)])
            bounded = {"min": self.o.min, "max": self.o.max, "argmin": self.o.min}.get(monoid)
            limit = -1.0 if monoid == "max" else 1.0
            scope.floats.append(bounded(value, limit) if bounded else self.o.mul(value, 0.3))
            scope.ints += [self.o.mod(i, 5) for i in at]

    def sharp(self, *kinds: str) -> tuple[str, ...]:
        return () if self.smooth else kinds

    def affine(self, scope: _Scope) -> Any:
        """Composition of affine maps, with a free variable: (a, b) . (c, d) = (a c, b c + d), in coordinates bent by t.

        x -> x / t conjugates multiplication into u v t, which is as associative, with identity 1 / t.
        """
        o = self.o
        t = o.add(o.mul(o.sin(self.recent(scope.floats)), 0.2), 1.0)
        return self.b.operator(
            [o.div(1.0, t), 0.0],
            lambda a, b, c, d: (o.mul(o.mul(a, c), t), o.add(o.mul(o.mul(b, c), t), d)),
        )

    def _scan(self, scope: _Scope) -> None:
        extent = self.rng.choice(scope.extents)
        operator = self.allows("operator") and self.rng.random() < 0.4

        def body(i: Var) -> tuple[Atom, ...]:
            inner = self.body(self.within(scope, (i,), (extent,)))
            return (self.damped(inner), self.damped(inner)) if operator else (self.damped(inner),)

        monoid = self.affine(scope) if operator else self.rng.choice(["add", *self.sharp("min", "max")])
        scope.arrays += self.b.for_(extent, body, [Scan(monoid)])

    def _accumulate(self, scope: _Scope) -> None:
        kinds = ["add", "add", "set", "append", "mul", *self.sharp("min", "max")]
        kind = self.rng.choice([k for k in kinds if self.allows(k)])
        init = self.recent(scope.arrays)
        inits = [] if kind == "append" else [init if self.rng.random() < 0.8 else self.damped(scope)]
        extents = (self.rng.choice(scope.extents),)

        def body(acc: Var, total: Var) -> Atom:
            inner = scope.inner()
            inner.accs += [acc, total]

            def turn(i: Var) -> tuple[()]:
                turned = self.within(inner, (i,), extents)
                self.put(turned, acc)
                self.body(turned)
                return ()

            self.b.for_(extents, turn, [])
            self.body(inner)
            return self.damped(inner)

        *finals, total, out = self.b.accumulate([(kind, inits), ("add", [0.0])], body, dtypes=[(F64, I64), (F64,)])
        if kind == "append":
            length, log, at = finals
            scope.ints.append(length)
            scope.tables.append(at)
            scope.arrays.append(log)
        elif isinstance(finals[0].type, Array):
            scope.arrays.append(finals[0])
        else:
            scope.floats.append(finals[0])
        scope.floats += [self.o.mul(total, 0.2), out]

    def _contribute(self, scope: _Scope) -> None:
        if scope.accs:
            self.put(scope, self.rng.choice(scope.accs))

    def put(self, scope: _Scope, acc: Var) -> None:
        """A contribution, where the accumulator is known to have elements."""
        t: Any = acc.type
        u = self.damped(scope)
        value = self.o.add(self.o.mul(u, 0.5), 1.0) if t.monoid == "mul" else u
        if t.monoid == "append":
            self.b.contribute(acc, [], value, self.integer(scope))
        elif all(n in scope.nonempty for n in t.extents):
            self.b.contribute(acc, self.places(scope, t.extents), value)

    def _loop(self, scope: _Scope) -> None:
        extent = self.rng.choice([*scope.extents, Literal(3, I64)])
        array = self.recent(scope.arrays)
        extents = array.type.extents
        twin = self.array_like(scope, extents)
        swap = self.rng.random() < 0.3

        def body(i: Var, s: Var, p: Var, q: Var) -> tuple[Atom, ...]:
            inner = self.within(scope, (i,), (extent,))
            inner.floats.append(s)
            inner.arrays += [p, q]
            self.body(inner)
            new = self.updated(inner, p, self.rng.choice(["set", "add"]))
            inner.arrays.append(new)
            self._read(inner)
            pair = (q, new) if swap else (new, q)
            emitted = self.array_like(inner, extents) if self.rng.random() < 0.3 else inner.floats[-1]
            return self.damped(inner), *pair, emitted

        s, p, q, emitted = self.b.loop(extent, [self.recent(scope.floats), array, twin], body, hints=["s", "p", "q"])
        scope.floats.append(s)
        scope.arrays += [p, q] if emitted.type.rank > 2 else [p, q, emitted]

    def _while(self, scope: _Scope) -> None:
        array = self.recent(scope.arrays)
        turns = self.rng.randint(0, 4)

        def more(k: Var, s: Var, p: Var) -> Atom:
            few = self.o.lt(k, turns)
            return few if self.smooth else getattr(self.o, "and")(few, self.o.lt(s, 0.8))

        def body(k: Var, s: Var, p: Var) -> tuple[Atom, ...]:
            inner = scope.inner()
            inner.ints.append(k)
            inner.floats.append(s)
            inner.arrays.append(p)
            self.body(inner)
            step = self.o.add(self.o.mod(self.integer(inner), 2), 1)
            return self.o.add(k, step), self.damped(inner), self.updated(inner, p, "set")

        k, s, p = self.b.while_([0, self.recent(scope.floats), array], more, body, hints=["k", "s", "p"])
        scope.ints.append(k)
        scope.floats.append(s)
        scope.arrays.append(p)

    # --- the wide ones ----------------------------------------------------------------------------------------------

    def _bins(self, scope: _Scope) -> None:
        """Pairs combined by bin, under an operator with a free variable."""
        bins, turns = (self.o.add(self.rng.choice(scope.extents), 1),), self.rng.choice(scope.extents)
        operator = self.affine(scope)
        inits = [self.fresh(scope, bins), self.fresh(scope, bins)]

        def body(acc: Var) -> tuple[()]:
            def turn(i: Var) -> tuple[()]:
                inner = self.body(self.within(scope.inner(closed=True), (i,), (turns,)))
                self.b.contribute(acc, self.places(inner, bins), self.damped(inner), self.damped(inner))
                return ()

            self.b.for_(turns, turn, [])
            return ()

        scope.arrays += self.b.accumulate([(operator, inits)], body)
        scope.nonempty |= frozenset(bins)

    def _library(self, scope: _Scope) -> None:
        """Operations on a matrix that is far from singular, with eigenvalues apart, or on rows."""
        b, o = self.b, self.o
        k = self.rng.choice([Literal(2, I64), Literal(3, I64)])
        noise = self.fresh(scope, (k, k))

        def entry(i: Var, j: Var) -> Atom:
            both = o.add(b.read(noise, i, j), b.read(noise, j, i))
            shift = o.select(o.eq(i, j), o.add(o.mul(o.float64(i), 2.0), 3.0), 0.0)
            return o.add(o.mul(both if symmetric else b.read(noise, i, j), 0.2), shift)

        kind = self.rng.choice(["matmul", "solve", "det", "cholesky", "qr", "svd", "eigh", "sort", "fft"])
        symmetric = kind in ("cholesky", "eigh")
        a = b.map((k, k), entry)
        scope.nonempty |= frozenset((k,))
        made: list[Var] = []
        if kind == "matmul":
            made = [*b.library("matmul", a, noise, transpose_b=self.rng.random() < 0.5)]
        elif kind in ("solve", "det"):
            lu, pivots = b.library("lu", a)
            if kind == "solve":
                v = self.fresh(scope, (k,))
                made = [*b.library("factored_solve", a, lu, pivots, v, transpose=self.rng.random() < 0.5)]
            else:
                scope.floats += [o.sin(*b.library("det", a, lu, pivots)), *b.library("logabsdet", a, lu, pivots)]
        elif kind == "sort":
            row = self.recent(scope.arrays)
            made = [*b.library("sort", row)]
        elif kind == "fft":
            rows = self.fresh(scope, (o.add(self.rng.choice(scope.extents), 1), Literal(2, I64)))
            made = [*b.library("fft", rows, inverse=self.rng.random() < 0.5)]
        else:
            made = [*b.library(kind, a)]
            if kind == "cholesky":
                made += b.library("triangular_solve", made[0], noise, transpose=self.rng.random() < 0.5)
        scope.arrays += made

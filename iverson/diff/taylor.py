"""Taylor arithmetic of the primitives: a number becomes a truncated power series, y = Σ y_k tᵏ.

    y = Prim(u...)    y' = Σ ∂y/∂u · u', the primitive's row run on series;   y_k = (y')_{k-1} / k

A row's rules are themselves written in primitives, and the right side up to t^{k-1} needs y only up to there.  So every
primitive has its recurrence from its derivative, evaluated lazily: exp from y' = y u', sin and cos from each other.
Products and quotients are the base; where the slope is constant between kinks, each coefficient is mapped alone.  Order
1 is the dual number, term by term.

Sources: Griewank and Walther, Evaluating Derivatives (2008), chapter 13; lazy series: McIlroy, Squinting at Power
Series (1990).  A primitive costs O(K²) at order K; one whose derivatives are ever new functions (pow, polygamma) O(K³).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, reduce
from typing import Any, TypeAlias

from iverson.core import prims
from iverson.core.build import Builder, Operand, as_atom, dtype_of, literal
from iverson.core.syntax import F64, Atom, Literal, Prim, Scalar, Var
from iverson.diff.activity import active

Coefficient: TypeAlias = Operand | None  # None is zero


class Series:
    """Coefficients made when they are asked for, each once; `tail` gives those from 1 on (None: all zero)."""

    def __init__(self, first: Operand, tail: Callable[[int], Coefficient] | None = None) -> None:
        self._known: dict[int, Coefficient] = {0: first}
        self._tail = tail

    @property
    def first(self) -> Operand:
        first = self[0]
        assert first is not None
        return first

    @property
    def varies(self) -> bool:
        return self._tail is not None

    def __getitem__(self, k: int) -> Coefficient:
        if k not in self._known:
            self._known[k] = self._tail(k) if self._tail is not None else None
        return self._known[k]


def coefficients(b: Builder, op: Prim, y: Var, tails: Sequence[Sequence[Atom]], order: int) -> tuple[Atom, ...]:
    """Coefficients 1 to `order` of y = op, whose arguments have these (none: constant); emitted where b stands."""

    def argument(a: Atom, tail: Sequence[Atom]) -> Series:
        return Series(a, (lambda k: tail[k - 1]) if tail else None)

    args = [argument(a, tail) for a, tail in zip(op.args, tails, strict=True)]
    result = Arithmetic(b).series(op.name, args, y)
    zero = literal(0.0, dtype_of(y))
    made = [result[k] for k in range(1, order + 1)]
    return tuple(zero if c is None else b.cast(as_atom(c), dtype_of(y)) for c in made)


def cauchy(b: Builder, x: Sequence[Atom], z: Sequence[Atom], k: int) -> Atom:
    """Coefficient k of a product."""
    return reduce(b.o.add, [b.o.mul(x[j], z[k - j]) for j in range(k + 1)])


class Arithmetic:
    """One method per primitive, on series: what the rows' rules are run on."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self._made: dict[tuple[object, ...], Series] = {}  # with it sin and cos call each other, not new ones

    def __getattr__(self, name: str) -> Callable[..., Series]:
        if name not in prims.TABLE:
            raise AttributeError(f"no primitive is named {name!r}")
        return lambda *args: self.apply(name, args)

    def apply(self, name: str, args: Sequence[Series | float]) -> Series:
        key = (name, *args)
        if key not in self._made:
            series = [a if isinstance(a, Series) else Series(a) for a in args]
            self._made[key] = self.series(name, series, self.b.prim(name, *(a.first for a in series)))
        return self._made[key]

    def series(self, name: str, args: Sequence[Series], first: Atom) -> Series:
        """The series of a primitive whose value is `first`."""
        rules = prims.TABLE[name].linear
        moving = [(a, rule) for a, rule in zip(args, rules, strict=True) if rule is not None and a.varies]
        if not moving or not dtype_of(first).is_float:
            return Series(first)
        if name == "mul":
            return Series(first, self._product(args[0], args[1]))
        if has_constant_slopes(name):
            firsts = [a.first for a in args]
            return Series(first, self._sum([self._alone(a, rule, firsts, first) for a, rule in moving]))
        y = Series(first, lambda k: tail(k))
        if name == "div":
            tail = self._quotient(args[0], args[1], y)
        else:
            tail = self._integral(lambda: [rule(self, _derivative(self.b, a), *args, y) for a, rule in moving])
        return y

    def _alone(self, a: Series, rule: prims.Rule, args: Sequence[Operand], y: Atom) -> Callable[[int], Coefficient]:
        """Each coefficient by the slope at the point."""

        def tail(k: int) -> Coefficient:
            c = a[k]
            return None if c is None else self.b.cast(rule(self.b.o, c, *args, y), dtype_of(y))

        return tail

    def _sum(self, terms: Sequence[Callable[[int], Coefficient]]) -> Callable[[int], Coefficient]:
        return lambda k: self.plus(*(term(k) for term in terms))

    def _product(self, x: Series, z: Series) -> Callable[[int], Coefficient]:
        return lambda k: self.plus(*(self.times(x[j], z[k - j]) for j in range(k + 1)))

    def _quotient(self, x: Series, z: Series, y: Series) -> Callable[[int], Coefficient]:
        """x = y z, solved for the last coefficient of y; where x is 1, by y instead of a division."""
        reciprocal = not x.varies and prims.is_one(x.first)

        def tail(k: int) -> Coefficient:
            known = self.plus(*(self.times(z[j], y[k - j]) for j in range(1, k + 1)))
            if reciprocal and known is not None:
                return self.b.o.neg(self.b.o.mul(known, y.first))
            rest = x[k] if known is None else self.plus(x[k], self.b.o.neg(known))
            return None if rest is None else self.b.o.div(rest, z.first)

        return tail

    def _integral(self, slopes: Callable[[], list[Series]]) -> Callable[[int], Coefficient]:
        once = cache(slopes)

        def tail(k: int) -> Coefficient:
            slope = self.plus(*(s[k - 1] for s in once()))
            return slope if slope is None or k == 1 else self.b.o.mul(slope, 1 / k)

        return tail

    def plus(self, *terms: Coefficient) -> Coefficient:
        some = [t for t in terms if t is not None]
        return reduce(self.b.o.add, some) if some else None

    def times(self, x: Coefficient, z: Coefficient) -> Coefficient:
        return None if x is None or z is None else self.b.o.mul(x, z)


def _derivative(b: Builder, a: Series) -> Series:
    """a'"""

    def coefficient(k: int) -> Coefficient:
        c = a[k + 1]
        return c if c is None or k == 0 else b.o.mul(c, float(k + 1))

    first = coefficient(0)
    assert first is not None
    return Series(first, coefficient)


@cache
def has_constant_slopes(name: str) -> bool:
    """Is a primitive linear between its kinks: does none of its rules depend differentiably on the arguments?"""
    row, b = prims.TABLE[name], Builder()
    args = [Var(Scalar(F64 if k or row.first is None else row.first)) for k in range(row.arity)]
    y = Var(Scalar(F64))
    outs: list[Any] = [rule(b.o, Literal(1.0, F64), *args, y) for rule in row.linear if rule is not None]
    slopes = b.function((*args, y), outs).body
    found = active(slopes, (*args, y))
    return not any(out in found for out in slopes.outs)

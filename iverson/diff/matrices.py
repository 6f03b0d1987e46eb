"""Matrix algebra on core arrays, for rules that read like their formulas."""

from __future__ import annotations

from collections.abc import Callable

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.syntax import I64, Array, Atom, Var


class Matrices:
    """Emits whole-matrix operations with a builder; `b` is that builder, `o` its scalar operations."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self.o = b.o

    def library(self, name: str, *args: Atom, **params: object) -> Atom:
        return self.b.library(name, *args, **params)[0]

    def mul(self, x: Atom, y: Atom, left: bool = False, right: bool = False) -> Atom:
        """x y, with x or y transposed."""
        return self.library("matmul", x, y, transpose_a=left, transpose_b=right)

    def each(self, fn: Callable[..., Atom], *operands: Atom) -> Atom:
        """fn on the elements of arrays of one shape."""
        return self.b.map(
            extents_of(operands[0]), lambda *i: fn(*(self.b.read(x, *i, safe=True) for x in operands))
        )  # fmt: skip

    def conform(self, x: Atom, like: Atom) -> Atom:
        """x under like's names for its extents: a square matrix may have two for one length."""
        if extents_of(x) == extents_of(like):
            return x
        return self.b.map(extents_of(like), lambda *i: self.b.read(x, *i, safe=True))

    def add(self, x: Atom, y: Atom) -> Atom:
        return self.each(self.o.add, x, y)

    def sub(self, x: Atom, y: Atom) -> Atom:
        return self.each(self.o.sub, x, y)

    def neg(self, x: Atom) -> Atom:
        return self.each(self.o.neg, x)

    def times(self, x: Atom, y: Atom) -> Atom:
        """Elementwise."""
        return self.each(self.o.mul, x, y)

    def scale(self, s: Atom, x: Atom) -> Atom:
        """A number times an array."""
        return self.each(lambda e: self.o.mul(s, e), x)

    def inner(self, x: Atom, y: Atom) -> Atom:
        """The sum of the products of all elements."""
        read = self.b.read
        total: Atom = self.b.reduce(
            "add", extents_of(x), lambda *i: self.o.mul(read(x, *i, safe=True), read(y, *i, safe=True))
        )
        return total

    def outer(self, x: Atom, y: Atom) -> Atom:
        """x y', of matrices or of vectors."""
        if len(extents_of(x)) == 2:
            return self.mul(x, y, right=True)
        return self.b.map(
            (*extents_of(x), *extents_of(y)),
            lambda i, j: self.o.mul(self.b.read(x, i, safe=True), self.b.read(y, j, safe=True)),
        )

    def by_index(self, like: Atom, fn: Callable[[Atom, Atom, Callable[[Atom, Atom], Atom]], Atom]) -> Atom:
        """A matrix with like's extents: fn(i, j, at), where at(i, j) reads like."""

        def at(i: Atom, j: Atom) -> Atom:
            return self.b.read(like, i, j, safe=True)

        return self.b.map(extents_of(like), lambda i, j: fn(i, j, at))

    def transposed(self, x: Atom) -> Atom:
        n, m = extents_of(x)
        return self.b.map((m, n), lambda j, i: self.b.read(x, i, j, safe=True))

    def triangle(self, x: Atom, lower: bool, strict: bool = False, halved: bool = False) -> Atom:
        """One triangle of a matrix, the rest zero; without the diagonal if strict, with half of it if halved."""
        zero, half = literal(0.0, dtype_of(x)), literal(0.5, dtype_of(x))
        inside = (self.o.lt if strict else self.o.le) if lower else (self.o.gt if strict else self.o.ge)

        def element(i: Atom, j: Atom, at: Callable[[Atom, Atom], Atom]) -> Atom:
            e = at(i, j)
            if halved:
                e = self.o.select(self.o.eq(i, j), self.o.mul(half, e), e)
            return self.o.select(inside(j, i), e, zero)

        return self.by_index(x, element)

    def mirrored(self, x: Atom, sign: float = 1.0) -> Atom:
        """The symmetric matrix with x's lower triangle; with sign -1 the antisymmetric one, its diagonal zero."""

        def element(i: Atom, j: Atom, at: Callable[[Atom, Atom], Atom]) -> Atom:
            o = self.o
            e = at(o.max(i, j), o.min(i, j))
            if sign > 0:
                return e
            return o.select(o.lt(j, i), e, o.select(o.lt(i, j), o.neg(e), literal(0.0, dtype_of(x))))

        return self.by_index(x, element)

    def folded(self, x: Atom) -> Atom:
        """The adjoint of a matrix of which only the lower triangle is read, as a symmetric one: both halves' sum."""
        o = self.o

        def element(i: Atom, j: Atom, at: Callable[[Atom, Atom], Atom]) -> Atom:
            below = o.select(o.lt(j, i), o.add(at(i, j), at(j, i)), literal(0.0, dtype_of(x)))
            return o.select(o.eq(i, j), at(i, j), below)

        return self.by_index(x, element)

    def diagonal(self, x: Atom) -> Atom:
        return self.b.map(extents_of(x)[1], lambda i: self.b.read(x, i, i, safe=True))

    def with_diagonal(self, x: Atom, d: Atom) -> Atom:
        """x plus the diagonal matrix of d."""
        o, read = self.o, self.b.read

        def element(i: Atom, j: Atom, at: Callable[[Atom, Atom], Atom]) -> Atom:
            return o.select(o.eq(i, j), o.add(at(i, j), read(d, j, safe=True)), at(i, j))

        return self.by_index(x, element)

    def columns_times(self, x: Atom, d: Atom) -> Atom:
        """x diag(d)."""
        return self.by_index(x, lambda i, j, at: self.o.mul(at(i, j), self.b.read(d, j, safe=True)))

    def rows_times(self, d: Atom, x: Atom) -> Atom:
        """diag(d) x."""
        return self.by_index(x, lambda i, j, at: self.o.mul(self.b.read(d, i, safe=True), at(i, j)))

    def zeros(self, like: Atom) -> Atom:
        return self.b.zeros(extents_of(like), dtype_of(like))

    def identity(self, like: Atom) -> Atom:
        """The identity matrix of like's extents."""
        one, zero = literal(1.0, dtype_of(like)), literal(0.0, dtype_of(like))
        return self.b.map(extents_of(like), lambda i, j: self.o.select(self.o.eq(i, j), one, zero))

    def right_solve(self, x: Atom, a: Atom, lower: bool, transpose: bool, unit: bool = False) -> Atom:
        """x a^-1, or x a^-T, with a triangular."""
        return self.transposed(self.left_solve(a, self.transposed(x), lower, not transpose, unit))

    def left_solve(self, a: Atom, x: Atom, lower: bool, transpose: bool, unit: bool = False) -> Atom:
        """a^-1 x, or a^-T x, with a triangular."""
        return self.library("triangular_solve", a, x, lower=lower, transpose=transpose, unit=unit)

    def permuted(self, order: Atom, x: Atom, inverse: bool = False) -> Atom:
        """The columns of x in an order; or put back from it."""
        read = self.b.read
        if not inverse:
            return self.by_index(x, lambda i, j, at: at(i, read(order, j, safe=True)))

        def columns(acc: Var) -> tuple[Atom, ...]:
            def element(i: Atom, j: Atom) -> tuple[Atom, ...]:
                self.b.contribute(acc, (i, read(order, j, safe=True)), read(x, i, j, safe=True), safe=True)
                return ()

            self.b.for_(extents_of(x), element, ())
            return ()

        return self.b.accumulate([("set", [self.zeros(x)])], columns)[0]

    def order(self, pivots: Atom) -> Atom:
        """What the swaps make of 0, 1, 2, ..."""
        assert isinstance(pivots.type, Array) and pivots.type.dtype is I64
        (n,) = extents_of(pivots)
        b = self.b

        def swap(k: Atom, order: Atom) -> Atom:
            p = b.read(pivots, k, safe=True)
            here, there = b.read(order, k, safe=True), b.read(order, p)
            return b.set(b.set(order, [k], there, safe=True), [p], here)

        return b.loop(n, [b.map(n, lambda i: i)], swap)[0]

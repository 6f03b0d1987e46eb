"""A product of matrices in a nest of loops: a sum over one index of products of functions of it and of one other each.

What opt/contract.py finds and writes: the two factors as matrices, and where the elements of their product go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.equalities import Equalities
from iverson.core.rewrite import atoms, lookup, map_op
from iverson.core.syntax import Accumulator, Atom, Contribute, Let, Literal, Prim, Read, Var
from iverson.opt.effects import Effects, extents
from iverson.opt.partial import Ranges

SMALLEST = 16  # of each extent: below, loops are as good as a product of matrices


Operand: TypeAlias = tuple[Var, bool]  # a matrix, and whether its transpose is meant
Operands: TypeAlias = dict[tuple[tuple[Atom, ...], Var, Var], Operand]  # by factors, row and column


class Opaque(Exception):
    """A factor is made of what isn't primitives and reads of elements."""


@dataclass(eq=False)
class Product:
    """A sum over one index of products of functions of it and of one of two others."""

    path: Sequence[Let]  # the loops that it needs the indices of; the matrix is made before them
    let: Let  # the reduction, or the contribution
    free: tuple[Var, Var]
    summed: Var
    extent: Mapping[Var, Atom]  # of the indices of all loops of the nest
    made: Mapping[Var, Let]  # what the loops from the root on bind
    inner: frozenset[Var]  # what the innermost one binds
    bound: frozenset[Var]  # what all loops of the nest bind
    ranges: Ranges
    alone: bool  # no other loops are around
    equal: Equalities = field(default_factory=Equalities)
    left: list[Atom] = field(default_factory=list)
    right: list[Atom] = field(default_factory=list)
    outside: list[Atom] = field(default_factory=list)  # factors that don't know the index that is summed over

    def splits(self, value: Atom, effects: Effects) -> bool:
        """Take a value apart into factors; False if it isn't such a product."""
        try:
            self.take(value, effects)
        except Opaque:
            return False
        (i, j), known = self.free, self.extent
        sides = [set[Var]().union(*(self.indices(f, effects) for f in side)) for side in (self.left, self.right)]
        constant = all(known[v] not in self.bound for v in self.axes)
        before = self.alone and all(n not in self.bound for _, n in self.spanned())
        large = all(not isinstance(e, Literal) or e.value >= SMALLEST for v in self.axes for e in [known[v]])
        return constant and large and sides == [{i, self.summed}, {j, self.summed}] and (before or not self.partial)

    @property
    def root(self) -> Let:
        return self.path[0]

    @property
    def places(self) -> Sequence[Atom]:
        """Where it is contributed to."""
        index = self.let.op.index if isinstance(self.let.op, Contribute) else ()
        return [lookup(v, self.ranges.same) for v in index]

    @property
    def partial(self) -> bool:
        """Does an index run over a part of an axis?"""
        return any(map(self.ranges.partial, self.axes))

    @property
    def axes(self) -> tuple[Var, Var, Var]:
        return (*self.free, self.summed)

    def whole(self) -> bool:
        """Do both free indices say where it goes?"""
        return all(f in self.places for f in self.free)

    # --- parts of axes ------------------------------------------------------------------------------------------------

    def masked(self) -> tuple[bool, bool]:
        """Which of the factors are zero where no turn is?  Those whose two indices decide on each other."""
        needs = self.ranges.needs
        left, right = (f in needs(self.summed) or self.summed in needs(f) for f in self.free)
        if self.ranges.partial(self.summed) and not left and not right:  # one of them, in whose loops the other isn't
            left, right = bool(needs(self.free[1])), not needs(self.free[1])
        return left, right

    def blank(self) -> bool:
        """Is the product zero where no turn is?"""
        return all(masked or not self.ranges.partial(f) for f, masked in zip(self.free, self.masked(), strict=True))

    def joins(self, other: Product) -> bool:
        """May the products be added up, and contributed together?"""
        a, b = self.let.op, other.let.op
        if not isinstance(a, Contribute) or not isinstance(b, Contribute) or self.scale() != other.scale():
            return False
        if not self.whole() or not other.whole():
            return False
        alike = [self.places.index(f) for f in self.free] == [other.places.index(f) for f in other.free]
        mine, theirs = ([p.extent[f] for f in p.axes] for p in (self, other))
        return a.acc is b.acc and alike and self.blank() and other.blank() and self.equal.same(mine, theirs)

    def scale(self) -> tuple[float, list[Atom]]:
        """What the sum is multiplied with: constants, and other factors."""
        constants = [float(f.value) for f in self.outside if isinstance(f, Literal)]
        return math.prod(constants), [f for f in self.outside if not isinstance(f, Literal)]

    def added(self, b: Builder, side: int, one: Operand, two: Operand) -> Operand:
        """The sum of two factors."""

        def element(i: Var, j: Var) -> Atom:
            (x, across_x), (y, across_y) = one, two
            places = [(j, i) if across else (i, j) for across in (across_x, across_y)]
            return b.o.add(b.read(x, *places[0], safe=True), b.read(y, *places[1], safe=True))

        row, column = (self.summed, self.free[1]) if side else (self.free[0], self.summed)
        return b.map((self.extent[row], self.extent[column]), element), False

    def finite(self) -> list[int]:
        """The sides that zeros are multiplied with."""
        return [1 - side for side, masked in enumerate(self.masked()) if masked]

    def same(self, side: int) -> object:
        """What two sides have in common that are finite if one is."""
        factors = self.right if side else self.left
        read = self.direct(factors)
        return (read.array, *read.index[:-2]) if read else (*factors, self.free[side], self.summed)

    def is_finite(self, b: Builder, side: int) -> Atom:
        factors = self.right if side else self.left
        row, column = self.free[side], self.summed

        def element(i: Var, j: Var) -> Atom:
            return b.o.isfinite(self.times(b, factors, {row: i, column: j}, set(self.made)))

        test = b.reduce("and", (self.extent[row], self.extent[column]), element)
        assert isinstance(test, Var)
        return test

    def take(self, value: Atom, effects: Effects) -> None:
        op = self.made[value].op if isinstance(value, Var) and value in self.made else None
        known = self.indices(value, effects)
        if isinstance(op, Prim) and op.name == "mul":
            for a in op.args:
                self.take(a, effects)
        elif isinstance(op, Prim) and op.name == "neg":
            self.outside.append(literal(-1.0, dtype_of(value)))
            self.take(op.args[0], effects)
        elif self.summed not in known:
            self.outside.append(value)
        elif self.free[1] not in known:
            self.left.append(value)
        elif self.free[0] not in known:
            self.right.append(value)
        else:
            raise Opaque

    def indices(self, a: Atom, effects: Effects) -> set[Var]:
        """Which of the three indices a value depends on."""
        if isinstance(a, Literal):
            return set()
        if a in self.axes:
            return {a}
        if a in self.ranges.loops:
            raise Opaque
        if a not in self.made:
            return set()
        op = self.made[a].op
        if extents_of(a) or not isinstance(op, Prim | Read) or (isinstance(op, Prim) and effects.fails(op)):
            raise Opaque
        return set[Var]().union(*(self.indices(x, effects) for x in atoms(op)))

    def spanned(self) -> Iterator[tuple[Atom, Atom]]:
        """The extents of indices, each with that of an axis it is an index of."""
        for op in (self.let.op, *(s.op for s in self.made.values())):
            if isinstance(op, Read | Contribute):
                of = op.array if isinstance(op, Read) else op.acc
                index = op.index if isinstance(op, Read) else self.places
                for i, n in zip(index, extents(of.type), strict=False):
                    if i in self.extent:
                        yield self.extent[i], n  # type: ignore[index]

    # --- writing it ---------------------------------------------------------------------------------------------------

    def operand(self, b: Builder, known: Operands, side: int) -> Operand:
        """A factor as a matrix, for all of the indices, and whether it is given transposed; what other products know
        needn't be made again."""
        factors = self.right if side else self.left
        row, column = (self.summed, self.free[1]) if side else (self.free[0], self.summed)
        one, other = (tuple(factors), row, column), (tuple(factors), column, row)
        if one not in known and other in known:
            matrix, across = known[other]
            known[one] = matrix, not across
        elif one not in known:
            masked = self.masked()[side]
            known[one] = (self.part(b, side), False) if masked else self.made_operand(b, factors, row, column)
        return known[one]

    def triangle(self, side: int) -> str:
        """Which half of a factor that is zero where no turn is holds the rest, if one does and it is a square."""
        row, column = (self.summed, self.free[1]) if side else (self.free[0], self.summed)
        if not self.masked()[side] or not self.equal.same([self.extent[row]], [self.extent[column]]):
            return ""
        return self.ranges.triangle(row, column)

    def part(self, b: Builder, side: int, more: Var | None = None) -> Var:
        """A factor that is zero where no turn is; or one with this one added to it."""
        factors = self.right if side else self.left
        row, column = (self.summed, self.free[1]) if side else (self.free[0], self.summed)

        def body(acc: Var) -> Outs:
            def put(env: dict[Var, Atom]) -> None:
                value = self.times(b, factors, dict(env), set(self.made))
                b.contribute(acc, [env[row], env[column]], value, safe=True)

            self.ranges.nest(b, (row, column), put)
            return ()

        if more is not None:
            return b.accumulate([("add", [more])], body)[0]
        zeros = b.zeros((self.extent[row], self.extent[column]), dtype_of(factors[0]))
        return b.accumulate([("set", [zeros])], body)[0]

    def direct(self, factors: Sequence[Atom]) -> Read | None:
        """The read of a matrix that is all there is to a factor."""
        only = factors[0] if len(factors) == 1 else None
        op = self.made[only].op if isinstance(only, Var) else None
        return op if isinstance(op, Read) and op.array not in self.made and self.full(op) else None

    def made_operand(self, b: Builder, factors: list[Atom], row: Var, column: Var) -> Operand:
        op = self.direct(factors)
        if op is not None:
            *stack, one, two = op.index
            if {one, two} == {row, column}:
                matrix = b.read(op.array, *stack, safe=True) if stack else op.array
                assert isinstance(matrix, Var)
                return matrix, one is column

        def element(i: Var, j: Var) -> Atom:
            return self.times(b, factors, {row: i, column: j}, set(self.made))

        return b.map((self.extent[row], self.extent[column]), element), False

    def full(self, op: Read) -> bool:
        """Does a read run over all of an array, and is it of a stack of matrices if there are more than two indices?"""
        spans = all(self.spans(i, n, {}) for i, n in zip(op.index, extents_of(op.array), strict=True))
        return spans and len(op.index) >= 2 and not {*self.free, self.summed}.intersection(op.index[:-2])

    def times(
        self, b: Builder, factors: Sequence[Atom], env: dict[Var, Atom], again: set[Var] | frozenset[Var]
    ) -> Atom:
        """The product of factors, of which what is in `again` is computed anew where `env` says what indices are."""
        first, *others = (self.computed(b, f, env, again) for f in factors)
        for other in others:
            first = b.o.mul(first, other)
        return first

    def computed(self, b: Builder, a: Atom, env: dict[Var, Atom], again: set[Var] | frozenset[Var]) -> Atom:
        if isinstance(a, Literal) or a in env or a not in again:
            return a if isinstance(a, Literal) else env.get(a, a)
        op = map_op(self.made[a].op, lambda x: self.computed(b, x, env, again), lambda block: block)
        if isinstance(op, Read):  # what vouched for the index may come later now
            spans = zip(op.index, extents_of(op.array), strict=True)
            op = replace(op, safe=all(self.spans(i, n, env) for i, n in spans))
        env[a] = b.emit(op)[0]
        return env[a]

    def spans(self, i: Atom, n: Atom, env: Mapping[Var, Atom]) -> bool:
        """Is an index, as it is called now, one that runs over all of an extent?"""
        return any(self.equal.same([self.extent[v]], [n]) for v in self.extent if env.get(v, v) is i)

    def placed(self, across: bool) -> tuple[Var, Var]:
        """The indices of a sum in the matrix, or in its transpose."""
        return self.free[::-1] if across else self.free

    def element(self, b: Builder, matrix: Var, across: bool) -> Atom:
        """The sum, in its place."""
        place = [self.computed(b, f, {}, self.inner) for f in self.placed(across)]
        value: Atom = b.read(matrix, *place, safe=True)
        if not self.outside:
            return value
        return b.o.mul(self.times(b, self.outside, {}, self.inner), value)

    def contributed(self, b: Builder, matrix: Var, across: bool, joined: bool) -> None:
        """All of them contributed, to the places that the two free indices say; to all, where it is zero elsewhere and
        the index that is summed over decides where those are, or another product is in it."""
        op, needs = self.let.op, self.ranges.needs
        assert isinstance(op, Contribute)
        turns = [f for f in self.free if not joined and self.summed not in needs(f)]
        turns = [f for f in turns if self.ranges.partial(f) or any(f in needs(g) for g in turns)]
        whole, placed = [f for f in self.free if f not in turns], [f for f in turns if self.ranges.partial(f)]

        def put(env: dict[Var, Atom]) -> None:
            value: Atom = b.read(matrix, *(env[f] for f in self.placed(across)), safe=True)
            if self.outside:
                value = b.o.mul(self.times(b, self.outside, dict(env), set(self.made)), value)
            acc = op.acc.type
            assert isinstance(acc, Accumulator)
            safe = all(v in placed or self.spans(v, n, {}) for v, n in zip(self.places, acc.extents, strict=True))
            b.contribute(op.acc, [lookup(v, env) for v in self.places], value, safe=safe)

        def inside(env: dict[Var, Atom]) -> None:
            def element(*index: Var) -> Outs:
                put({**env, **dict(zip(whole, index, strict=True))})
                return ()

            if whole:
                b.for_([self.extent[v] for v in whole], element, ())
            else:
                put(env)

        self.ranges.nest(b, turns, inside)

"""contract: a sum over k of u[i, k] v[k, j] is an element of a product of matrices.

    For [i < n] { For [j < m] { B; s = For [k < l] { .. } reduce add (u v w) } }
        ->  C = matmul (Map u, Map v);  For [i < n] { For [j < m] { B; s = w C[i, j] } }

    For [i < n] { For [j < m] { B; For [k < l] { ..; acc[k, j] <- u v w } } }
        ->  C = matmul (Map u, Map v);  For [k < l, j < m] { acc[k, j] <- w C[k, j] }

where u is a function of one index and the one that is summed over, v of the other and that, w of none that is summed
over, and the extents are the same throughout.  A factor that only reads a matrix at its two indices is that matrix, or
its transpose, not a copy; the matrix may be one of a stack.  More loops may stand around both forms; what they sum is
summed product by product.  Of the second, all that an innermost For contributes must be such products.

Loops may run over parts of axes, as over a triangle (opt/partial.py):

    s = For [k < e(i)] { .. } reduce add (u v w)        C has zeros in place of u where no turn is;  v must be finite
    For [j < e(i)] { s = For [k < l] { .. } }           C has all elements, of which those of the triangle are read
    For [k < e(i)] { acc[j, k] <- u v w }               as the first

and what one nest contributes by several products that share a factor is one: u v + u v' = u (v + v').

The extents decide when the program runs: under an If there are both forms, and small products stay loops.  Checks that
are the same in every turn are part of that condition, and so are tests, made before, of two extents being one, and of
parts being large ones.

Invariant: where extents are not small the count falls: from n m l times reads, product and sum to 2 n m l; a triangle
is at most a quarter dearer as a square.  Sums are reassociated, and factors come out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.dce import dce
from iverson.core.equalities import Equalities
from iverson.core.rewrite import atoms, blocks, lookup, map_blocks, map_op, rename, statements, with_body, with_lets
from iverson.core.syntax import (
    Accumulator,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    Let,
    Literal,
    Prim,
    Read,
    Reduce,
    Var,
)
from iverson.opt.effects import Effects, extents
from iverson.opt.partial import Ranges
from iverson.opt.substitute import Substitution

SMALLEST = 16  # of each extent: below, loops are as good as a product of matrices


def run(f: Function) -> Function:
    """Nests that stand in no other For."""
    effects, tests = Effects(f), Equalities()

    def block(inner: Block) -> Block:
        lets: list[Let] = []
        for let in inner:
            tests.learn(let)
            lets += _both(let, let.op, effects, tests) if isinstance(let.op, For) else [map_blocks(let, block)]
        return with_lets(inner, lets)

    return dce(with_body(f, block(f.body)))


def multiplies(let: Let, effects: Effects) -> bool:
    """Does a statement hold sums that are elements of products of matrices?"""
    if isinstance(let.op, For):
        return any(True for _ in _search([let], effects))
    return any(multiplies(inner, effects) for _, block in blocks(let.op) for inner in block)


def _both(let: Let, op: For, effects: Effects, tests: Equalities) -> list[Let]:
    """A nest in both forms, if it has two."""
    found = list(_search([let], effects))
    if not found:
        return [let]
    found = [p for p in found if not p.partial] or found
    equal, held = Equalities(tests), dict[Atom, None]()
    for check in _checks(let):
        equal.learn(check)
        held[atoms(check.op)[0]] = None
    for one, two in (pair for p in found for pair in p.spanned()):
        for test in () if equal.same([one], [two]) else equal.tests(one, two):
            equal.learn(Let((), Check(test, "")))
            held[test] = None
    found = [replace(p, equal=equal) for p in found]
    b = Builder()
    b.site = let.site
    with b.scope() as lets:
        pays: Atom = literal(True)
        for one, two in (pair for p in found if p.partial for pair in p.spanned()):
            if not equal.same([one], [two]):  # an axis that isn't run over may be shorter
                now = b.o.eq(one, two)
                equal.learn(lets[-1])
                equal.learn(Let((), Check(now, "")))
                pays = b.prim("and", pays, now)
        for extent in dict.fromkeys(p.extent[i] for p in found for i in (*p.free, p.summed)):
            pays = b.prim("and", pays, b.o.ge(extent, SMALLEST))
        for pred in held:
            pays = b.prim("and", pays, pred)
        pays = _worth(b, pays, found)

        def contracted() -> Outs:
            return b.splice(rename(Block(tuple(_Rewrite(b, found, frozenset(held)).statement(let)), let.vars), {}))

        b.if_(pays, contracted, lambda: b.splice(rename(Block((let,), let.vars), {})))
    return [*lets[:-1], Let(let.vars, lets[-1].op, let.site)]


def _worth(b: Builder, pays: Atom, found: Sequence[_Product]) -> Atom:
    """Are parts of axes large, and what they are multiplied with finite, too?"""
    parts = [p for p in found if p.partial]
    if not parts:
        return pays
    tests = {p.ranges.parts(): p for p in parts}

    def large() -> Outs:
        test: Atom = literal(True)
        for p in tests.values():
            test = b.prim("and", test, p.ranges.large(b))
        return test

    def finite() -> Outs:
        test: Atom = literal(True)
        known: dict[object, None] = {}
        for p in parts:
            for one in p.finite():
                if p.same(one) not in known:
                    known[p.same(one)] = None
                    test = b.prim("and", test, p.is_finite(b, one))
        return test

    pays = b.if_(pays, large, lambda: literal(False))[0]
    return b.if_(pays, finite, lambda: literal(False))[0] if any(p.finite() for p in parts) else pays


def _checks(nest: Let) -> list[Let]:
    """The checks of a nest that nothing in it decides."""
    inner = list(statements(Block((nest,), ())))
    bound = {v for s in inner for v in (*s.vars, *(s.op.index if isinstance(s.op, For) else ()))}
    return [s for s in inner if isinstance(s.op, Check) and not s.op.warns and bound.isdisjoint(atoms(s.op)[:1])]


# --- finding them -----------------------------------------------------------------------------------------------------


Operands: TypeAlias = dict[tuple[tuple[Atom, ...], Var, Var], tuple[Var, bool]]  # by factors, row and column


class _Opaque(Exception):
    """A factor is made of what isn't primitives and reads of elements."""


@dataclass(eq=False)
class _Product:
    """A sum over one index of products of functions of it and of one of two others."""

    root: Let  # the outermost For of which it needs an index; the matrix is made before it
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
        except _Opaque:
            return False
        (i, j), known = self.free, self.extent
        sides = [set[Var]().union(*(self.indices(f, effects) for f in side)) for side in (self.left, self.right)]
        constant = all(known[v] not in self.bound for v in self.axes)
        before = self.alone and all(n not in self.bound for _, n in self.spanned())
        large = all(not isinstance(e, Literal) or e.value >= SMALLEST for v in self.axes for e in [known[v]])
        return constant and large and sides == [{i, self.summed}, {j, self.summed}] and (before or not self.partial)

    @property
    def partial(self) -> bool:
        """Does an index run over a part of an axis?"""
        return any(map(self.ranges.partial, self.axes))

    @property
    def axes(self) -> tuple[Var, Var, Var]:
        return (*self.free, self.summed)

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

    def joins(self, other: _Product) -> bool:
        """May the products be added up, and contributed together?"""
        a, b = self.let.op, other.let.op
        if not isinstance(a, Contribute) or not isinstance(b, Contribute) or self.outside or other.outside:
            return False
        alike = [a.index.index(f) for f in self.free] == [b.index.index(f) for f in other.free]
        mine, theirs = ([p.extent[f] for f in p.axes] for p in (self, other))
        return a.acc is b.acc and alike and self.blank() and other.blank() and self.equal.same(mine, theirs)

    def added(self, b: Builder, side: int, one: tuple[Var, bool], two: tuple[Var, bool]) -> tuple[Var, bool]:
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
            raise _Opaque

    def indices(self, a: Atom, effects: Effects) -> set[Var]:
        """Which of the three indices a value depends on."""
        if isinstance(a, Literal):
            return set()
        if a in self.axes:
            return {a}
        if a in self.ranges.loops:
            raise _Opaque
        if a not in self.made:
            return set()
        op = self.made[a].op
        if extents_of(a) or not isinstance(op, Prim | Read) or (isinstance(op, Prim) and effects.fails(op)):
            raise _Opaque
        return set[Var]().union(*(self.indices(x, effects) for x in atoms(op)))

    def spanned(self) -> Iterator[tuple[Atom, Atom]]:
        """The extents of indices, each with that of an axis it is an index of."""
        for op in (self.let.op, *(s.op for s in self.made.values())):
            if isinstance(op, Read | Contribute):
                of = op.array if isinstance(op, Read) else op.acc
                for i, n in zip(op.index, extents(of.type), strict=False):
                    if i in self.extent:
                        yield self.extent[i], n  # type: ignore[index]

    # --- writing it ---------------------------------------------------------------------------------------------------

    def operands(self, b: Builder, known: Operands) -> tuple[tuple[Var, bool], tuple[Var, bool]]:
        """The two factors as matrices, for all of the indices."""
        i, j = self.free
        left, right = self.masked()
        return (
            self.operand(b, known, self.left, i, self.summed, left),
            self.operand(b, known, self.right, self.summed, j, right),
        )

    def operand(
        self, b: Builder, known: Operands, factors: list[Atom], row: Var, column: Var, masked: bool
    ) -> tuple[Var, bool]:
        """Factors as a matrix, and whether it is given transposed; what other products know needn't be made again."""
        one, other = (tuple(factors), row, column), (tuple(factors), column, row)
        if one not in known and other in known:
            matrix, across = known[other]
            known[one] = matrix, not across
        elif one not in known:
            known[one] = (
                (self.part(b, factors, row, column), False) if masked else self.made_operand(b, factors, row, column)
            )
        return known[one]

    def part(self, b: Builder, factors: list[Atom], row: Var, column: Var) -> Var:
        """A factor that is zero where no turn is."""

        def body(acc: Var) -> Outs:
            def put(env: dict[Var, Atom]) -> None:
                value = self.times(b, factors, dict(env), set(self.made))
                b.contribute(acc, [env[row], env[column]], value, safe=True)

            self.ranges.nest(b, (row, column), put)
            return ()

        zeros = b.zeros((self.extent[row], self.extent[column]), dtype_of(factors[0]))
        return b.accumulate([("set", [zeros])], body)[0]

    def direct(self, factors: Sequence[Atom]) -> Read | None:
        """The read of a matrix that is all there is to a factor."""
        only = factors[0] if len(factors) == 1 else None
        op = self.made[only].op if isinstance(only, Var) else None
        return op if isinstance(op, Read) and op.array not in self.made and self.full(op) else None

    def made_operand(self, b: Builder, factors: list[Atom], row: Var, column: Var) -> tuple[Var, bool]:
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

    def element(self, b: Builder, matrix: Var) -> Atom:
        """The sum, in its place."""
        place = [self.computed(b, f, {}, self.inner) for f in self.free]
        value: Atom = b.read(matrix, *place, safe=True)
        if not self.outside:
            return value
        return b.o.mul(self.times(b, self.outside, {}, self.inner), value)

    def contributed(self, b: Builder, matrix: Var, joined: bool) -> None:
        """All of them contributed, to the places that the two free indices say; to all, where it is zero elsewhere and
        the index that is summed over decides where those are, or another product is in it."""
        op, needs = self.let.op, self.ranges.needs
        assert isinstance(op, Contribute)
        turns = [f for f in self.free if not joined and self.summed not in needs(f)]
        turns = [f for f in turns if self.ranges.partial(f) or any(f in needs(g) for g in turns)]
        whole, placed = [f for f in self.free if f not in turns], [f for f in turns if self.ranges.partial(f)]

        def put(env: dict[Var, Atom]) -> None:
            value: Atom = b.read(matrix, *(env[f] for f in self.free), safe=True)
            if self.outside:
                value = b.o.mul(self.times(b, self.outside, dict(env), set(self.made)), value)
            acc = op.acc.type
            assert isinstance(acc, Accumulator)
            safe = all(v in placed or self.spans(v, n, {}) for v, n in zip(op.index, acc.extents, strict=True))
            b.contribute(op.acc, [lookup(v, env) for v in op.index], value, safe=safe)

        def inside(env: dict[Var, Atom]) -> None:
            def element(*index: Var) -> Outs:
                put({**env, **dict(zip(whole, index, strict=True))})
                return ()

            if whole:
                b.for_([self.extent[v] for v in whole], element, ())
            else:
                put(env)

        self.ranges.nest(b, turns, inside)


def _search(path: list[Let], effects: Effects) -> Iterator[_Product]:
    """The products at the end of a path of Fors: all that an innermost one contributes, or reductions."""
    op = path[-1].op
    assert isinstance(op, For)
    flat = all(isinstance(s.op, Prim | Read | Contribute) for s in op.body)
    if flat and len(path) > 1 and len(op.index) == 1 and op.yields == (Reduce("add"),):
        found = _reduction(path, effects)
        yield from [found] if found else []
    elif flat and not op.yields:
        yield from _contributions(path, effects)
    else:
        for s in op.body:
            if isinstance(s.op, For):
                yield from _search([*path, s], effects)


def _product(
    whole: Sequence[Let], path: Sequence[Let], let: Let, places: Callable[[Ranges], Sequence[Var] | None]
) -> _Product | None:
    """The product in three loops; `places` gives the positions of the free indices, and of that which is summed."""
    everywhere = [s.op for s in whole if isinstance(s.op, For)]
    bound = frozenset(v for op in everywhere for v in (*op.index, *(v for s in op.body for v in s.vars)))
    loops = [s.op for s in path if isinstance(s.op, For)]
    extent = {i: n for op in everywhere for i, n in zip(op.index, op.extent, strict=True)}
    made = {v: s for op in loops for s in op.body for v in s.vars}
    inner = frozenset(v for s in loops[-1].body for v in s.vars)
    three = tuple(i for op in loops for i in op.index)
    ranges = Ranges(three, {i: extent[i] for i in three}, made)
    if bound.isdisjoint(ranges.extent.values()):
        ranges.position, ranges.axis = {i: i for i in three}, dict(ranges.extent)
    elif not ranges.find([s for op in loops for s in op.body]):
        return None
    roles = places(ranges)
    if roles is None:
        return None
    first, second, summed = roles
    known = {**{i: n for i, n in extent.items() if i not in three}, **ranges.axis}
    alone = len(path) == len(whole)
    return _Product(path[0], let, (first, second), summed, known, made, inner, bound, ranges, alone)


def _reduction(path: list[Let], effects: Effects) -> _Product | None:
    """sum over k, in loops over i and j."""
    *around, last = path
    op = last.op
    assert isinstance(op, For)
    indices: list[Var] = []
    while around and len(indices) < 2:
        loop = around.pop().op
        assert isinstance(loop, For)
        indices = [*loop.index, *indices]
    if len(indices) != 2 or any(isinstance(s.op, Contribute) for s in op.body):
        return None
    found = _product(path, path[len(around) :], last, lambda r: [r.position[i] for i in r.loops])
    value = op.body.outs[0]
    return found if found is not None and _is_float(value) and found.splits(value, effects) else None


def _contributions(path: list[Let], effects: Effects) -> list[_Product]:
    """All that is contributed in loops over three indices, if each goes to places that two of them are."""
    whole, path, indices = path, [], list[Var]()
    while len(indices) < 3 and len(path) < len(whole):
        path = whole[len(whole) - len(path) - 1 :]
        indices = [i for s in path if isinstance(s.op, For) for i in s.op.index]
    found: list[_Product] = []
    for s in path[-1].op.body if len(indices) == 3 else ():  # type: ignore[union-attr]
        c = s.op
        if not isinstance(c, Contribute):
            continue
        product = _contribution(whole, path, s, c, effects)
        if product is None:
            return []
        found.append(product)
    return found


def _contribution(
    whole: Sequence[Let], path: Sequence[Let], s: Let, c: Contribute, effects: Effects
) -> _Product | None:
    acc, value = c.acc.type, c.values[0]
    assert isinstance(acc, Accumulator)

    def places(ranges: Ranges) -> Sequence[Var] | None:
        free = [v for v in c.index if isinstance(v, Var) and v in ranges.axis]
        summed = [v for v in ranges.axis if v not in free]
        return [*free, *summed] if len(set(free)) == len(free) == 2 else None

    found = _product(whole, path, s, places) if acc.monoid == "add" and _is_float(value) else None
    if found is None or not found.made.keys().isdisjoint((c.acc, *(v for v in c.index if v not in found.free))):
        return None
    return found if found.splits(value, effects) else None


def _is_float(a: Atom) -> bool:
    return not extents_of(a) and dtype_of(a).is_float


# --- the nest without them --------------------------------------------------------------------------------------------


@dataclass
class _Rewrite:
    """Takes products out of a nest."""

    b: Builder
    found: Sequence[_Product]
    held: frozenset[Atom]  # what the checks that hold are about
    matrices: dict[int, tuple[_Product, Var]] = field(default_factory=dict)  # by the statement that is one's element

    def statement(self, let: Let) -> list[Let]:
        """A statement of a nest, with the products that begin in it made before it."""
        b = self.b
        with b.scope() as lets:
            for products, ((u, across_u), (v, across_v)) in self.joined([p for p in self.found if p.root is let]):
                (matrix,) = b.library("matmul", u, v, transpose_a=across_u, transpose_b=across_v)
                self.matrices |= {id(p.let): (p, matrix) for p in products}
                if isinstance(products[0].let.op, Contribute):
                    products[0].contributed(b, matrix, len(products) > 1)
            b.let(self.without(let))
        return lets

    def joined(self, found: Sequence[_Product]) -> list[tuple[list[_Product], list[tuple[Var, bool]]]]:
        """Products and their factors; those that share one and are contributed together are one."""
        known: Operands = {}
        out: list[tuple[list[_Product], list[tuple[Var, bool]]]] = []
        for p in found:
            factors = p.operands(self.b, known)
            for products, theirs in out:
                side = next((s for s in (0, 1) if theirs[1 - s] == factors[1 - s]), None)
                if side is not None and products[0].joins(p):
                    theirs[side] = products[0].added(self.b, side, theirs[side], factors[side])
                    products.append(p)
                    break
            else:
                out.append(([p], list(factors)))
        return out

    def without(self, let: Let) -> Let:
        op = let.op
        if not isinstance(op, For):
            return let
        body: list[Let] = []
        env: dict[Var, Atom] = {}
        for s in op.body:
            if any(p.root is s for p in self.found):
                body += self.statement(s)
            elif self.gone(s):
                continue
            elif id(s) in self.matrices:
                product, matrix = self.matrices[id(s)]
                with self.b.scope() as lets:
                    value = product.element(self.b, matrix)
                env[s.vars[0]] = value
                body += lets
            else:
                body.append(self.without(s))
        return Let(let.vars, replace(op, body=Substitution(env).block(Block(tuple(body), op.body.outs))), let.site)

    def gone(self, s: Let) -> bool:
        """Is a statement of a nest no longer needed?"""
        if isinstance(s.op, Check):
            return s.op.pred in self.held
        return isinstance(s.op, Contribute) and id(s) in self.matrices

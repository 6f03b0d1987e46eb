"""contract: a sum over k of u[i, k] v[k, j] is an element of a product of matrices.

    For [i < n] { For [j < m] { B; s = For [k < l] { .. } reduce add (u v w) } }
        ->  C = matmul (Map u, Map v);  For [i < n] { For [j < m] { B; s = w C[i, j] } }

    For [i < n] { For [j < m] { B; For [k < l] { ..; acc[k, j] <- u v w } } }
        ->  C = matmul (Map u, Map v);  For [k < l, j < m] { acc[k, j] <- w C[k, j] }

where u is a function of one index and the one that is summed over, v of the other and that, w of none that is summed
over, and the extents are the same throughout.  A factor that only reads a matrix at its two indices is that matrix, or
its transpose, not a copy.  More loops may stand around the first form.  Of the second, all that an innermost For
contributes must be such products.

The extents decide when the program runs: under an If there are both forms, and small products stay loops.

Invariant: where extents are not small the count falls: from n m l times reads, product and sum to 2 n m l.  Sums are
reassociated, and factors come out of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.dce import dce
from iverson.core.rewrite import atoms, map_blocks, map_op, rename, with_body, with_lets
from iverson.core.syntax import (
    Accumulator,
    Atom,
    Block,
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
from iverson.opt.effects import Effects
from iverson.opt.substitute import Substitution

SMALLEST = 16  # of each extent: below, loops are as good as a product of matrices


def run(f: Function) -> Function:
    """Nests that stand in no other For."""
    effects = Effects(f)

    def block(inner: Block) -> Block:
        lets: list[Let] = []
        for let in inner:
            lets += _both(let, let.op, effects) if isinstance(let.op, For) else [map_blocks(let, block)]
        return with_lets(inner, lets)

    return dce(with_body(f, block(f.body)))


def _both(let: Let, op: For, effects: Effects) -> list[Let]:
    """A nest in both forms, if it has two."""
    found = list(_products(let, effects))
    if not found:
        return [let]
    b = Builder()
    b.site = let.site
    with b.scope() as lets:
        pays: Atom = literal(True)
        for extent in dict.fromkeys(p.extent[i] for p in found for i in (*p.free, p.summed)):
            pays = b.prim("and", pays, b.o.ge(extent, SMALLEST))

        def contracted() -> Outs:
            return b.splice(rename(Block(tuple(_rewritten(b, let, found, {})), let.vars), {}))

        b.if_(pays, contracted, lambda: b.splice(rename(Block((let,), let.vars), {})))
    return [*lets[:-1], Let(let.vars, lets[-1].op, let.site)]


# --- finding them -----------------------------------------------------------------------------------------------------


class _Opaque(Exception):
    """A factor is made of what isn't primitives and reads of elements."""


@dataclass(eq=False)
class _Product:
    """A sum over one index of products of functions of it and of one of two others."""

    root: Let  # the outermost For of which it needs an index; the matrix is made before it
    let: Let  # the reduction, or the contribution
    free: tuple[Var, Var]
    summed: Var
    extent: Mapping[Var, Atom]
    made: Mapping[Var, Let]  # what the loops from the root on bind
    inner: frozenset[Var]  # what the innermost one binds
    bound: frozenset[Var]  # what all loops of the nest bind
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
        constant = all(known[v] not in self.bound for v in (i, j, self.summed))
        large = all(not isinstance(e, Literal) or e.value >= SMALLEST for v in (i, j, self.summed) for e in [known[v]])
        return constant and large and sides == [{i, self.summed}, {j, self.summed}]

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
        if a in (*self.free, self.summed):
            return {a}
        if a not in self.made:
            return set()
        op = self.made[a].op
        if extents_of(a) or not isinstance(op, Prim | Read) or (isinstance(op, Prim) and effects.fails(op)):
            raise _Opaque
        return set[Var]().union(*(self.indices(x, effects) for x in atoms(op)))

    # --- writing it ---------------------------------------------------------------------------------------------------

    def matrix(self, b: Builder) -> Var:
        """The sums, for all of the two free indices."""
        i, j = self.free
        u, across_u = self.operand(b, self.left, i, self.summed)
        v, across_v = self.operand(b, self.right, self.summed, j)
        return b.library("matmul", u, v, transpose_a=across_u, transpose_b=across_v)[0]

    def operand(self, b: Builder, factors: list[Atom], row: Var, column: Var) -> tuple[Var, bool]:
        """Factors as a matrix, and whether it is given transposed."""
        shape = (self.extent[row], self.extent[column])
        only = factors[0] if len(factors) == 1 else None
        op = self.made[only].op if isinstance(only, Var) else None
        if isinstance(op, Read) and op.array not in self.made:
            if op.index == (row, column) and extents_of(op.array) == shape:
                return op.array, False
            if op.index == (column, row) and extents_of(op.array) == shape[::-1]:
                return op.array, True

        def element(i: Var, j: Var) -> Atom:
            return self.times(b, factors, {row: i, column: j}, set(self.made))

        return b.map(shape, element), False

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
        return any(self.extent[v] == n for v in self.extent if env.get(v, v) is i)

    def element(self, b: Builder, matrix: Var) -> Atom:
        """The sum, in its place."""
        value: Atom = b.read(matrix, *self.free, safe=True)
        if not self.outside:
            return value
        return b.o.mul(self.times(b, self.outside, {}, self.inner), value)

    def contributed(self, b: Builder, matrix: Var) -> None:
        """All of them contributed, to places that are the two free indices."""
        op = self.let.op
        assert isinstance(op, Contribute)

        def element(i: Var, j: Var) -> Outs:
            env: dict[Var, Atom] = dict(zip(self.free, (i, j), strict=True))
            value: Atom = b.read(matrix, i, j, safe=True)
            if self.outside:
                value = b.o.mul(self.times(b, self.outside, dict(env), set(self.made)), value)
            at = [env[v] for v in op.index if isinstance(v, Var)]
            acc = op.acc.type
            assert isinstance(acc, Accumulator)
            safe = all(self.extent[v] == n for v, n in zip(op.index, acc.extents, strict=True) if isinstance(v, Var))
            b.contribute(op.acc, at, value, safe=safe)
            return ()

        b.for_([self.extent[v] for v in self.free], element, ())


def _products(let: Let, effects: Effects) -> Iterator[_Product]:
    """The products in a nest: all that an innermost For contributes, or reductions."""
    yield from _search([let], effects)


def _search(path: list[Let], effects: Effects) -> Iterator[_Product]:
    """Those at the end of a path of Fors."""
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


def _product(whole: Sequence[Let], path: Sequence[Let], let: Let, free: tuple[Var, Var], summed: Var) -> _Product:
    everywhere = [s.op for s in whole if isinstance(s.op, For)]
    bound = frozenset(v for op in everywhere for v in (*op.index, *(v for s in op.body for v in s.vars)))
    loops = [s.op for s in path if isinstance(s.op, For)]
    extent = {i: n for op in loops for i, n in zip(op.index, op.extent, strict=True)}
    made = {v: s for op in loops for s in op.body for v in s.vars}
    inner = frozenset(v for s in loops[-1].body for v in s.vars)
    return _Product(path[0], let, free, summed, extent, made, inner, bound)


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
    found = _product(path, path[len(around) :], last, (indices[0], indices[1]), op.index[0])
    return found if _is_float(op.body.outs[0]) and found.splits(op.body.outs[0], effects) else None


def _contributions(path: list[Let], effects: Effects) -> list[_Product]:
    """All that is contributed in loops over three indices, if each goes to places that two of them are."""
    loops = [s.op for s in path if isinstance(s.op, For)]
    indices = [i for op in loops for i in op.index]
    found: list[_Product] = []
    for s in loops[-1].body:
        c = s.op
        if not isinstance(c, Contribute):
            continue
        acc = c.acc.type
        places = [v for v in c.index if v in indices]
        summed = [v for v in indices if v not in places]
        plain = isinstance(acc, Accumulator) and acc.monoid == "add" and len(places) == len(c.index) == 2
        if not plain or len(indices) != 3 or len(summed) != 1 or not _is_float(c.values[0]):
            return []
        product = _product(path, path, s, (places[0], places[1]), summed[0])  # type: ignore[arg-type]
        if c.acc in product.made or not product.splits(c.values[0], effects):
            return []
        found.append(product)
    return found


def _is_float(a: Atom) -> bool:
    return not extents_of(a) and dtype_of(a).is_float


Matrices: TypeAlias = dict[int, tuple[_Product, Var]]  # by the statement that is one of its elements


# --- the nest without them --------------------------------------------------------------------------------------------


def _rewritten(b: Builder, let: Let, found: Sequence[_Product], matrices: Matrices) -> list[Let]:
    """A statement of a nest, with the products that begin in it made before it."""
    with b.scope() as lets:
        for p in found:
            if p.root is let:
                matrices[id(p.let)] = p, p.matrix(b)
                if isinstance(p.let.op, Contribute):
                    p.contributed(b, matrices[id(p.let)][1])
        b.let(_without(b, let, found, matrices))
    return lets


def _without(b: Builder, let: Let, found: Sequence[_Product], matrices: Matrices) -> Let:
    op = let.op
    if not isinstance(op, For):
        return let
    body: list[Let] = []
    env: dict[Var, Atom] = {}
    for s in op.body:
        if any(p.root is s for p in found):
            body += _rewritten(b, s, found, matrices)
        elif id(s) in matrices and isinstance(s.op, Contribute):
            continue
        elif id(s) in matrices:
            product, matrix = matrices[id(s)]
            with b.scope() as lets:
                value = product.element(b, matrix)
            env[s.vars[0]] = value
            body += lets
        else:
            body.append(_without(b, s, found, matrices))
    return Let(let.vars, replace(op, body=Substitution(env).block(Block(tuple(body), op.body.outs))), let.site)

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

A factor that is zero on one side of the diagonal is called a triangle, of which BLAS multiplies the other half.

What one nest contributes by several products that share a factor is one: u v + u v' = u (v + v').  Of a product and
its transpose one is made.  Of three factors of which two indices are summed over, two are multiplied, and the third is
part of w: sum over j and k of u[i, j] v[j, k] t[i, k] is the sum over k of (u v)[i, k] t[i, k].

A nest is looked at in the form of opt/calm.py, in which nothing raises, and of opt/terms.py, as sums of single terms.

The extents decide when the program runs: under an If there are both forms, and small products stay loops.  The tests
that nothing raises are part of that condition, and so are tests of two extents being one, and of parts being large.

Invariant: where extents are not small the count falls: from n m l times reads, product and sum to 2 n m l; a triangle
is at most a quarter dearer as a square.  Sums are reassociated, and factors come out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.dce import dce
from iverson.core.equalities import Equalities
from iverson.core.rewrite import atoms, blocks, map_blocks, rename, statements, with_body, with_lets
from iverson.core.syntax import (
    Accumulator,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    Let,
    Op,
    Prim,
    Read,
    Reduce,
    Var,
)
from iverson.opt import product
from iverson.opt.calm import Calm
from iverson.opt.effects import Effects
from iverson.opt.partial import Ranges
from iverson.opt.product import Operand, Operands, Product
from iverson.opt.substitute import Substitution
from iverson.opt.terms import Spread, adds


def run(f: Function) -> Function:
    """Nests that stand in no other For."""
    effects, tests = Effects(f), Equalities()

    def block(inner: Block) -> Block:
        lets: list[Let] = []
        for let in inner:
            tests.learn(let)
            lets += _both(let, effects, tests) if isinstance(let.op, For) else [map_blocks(let, block)]
        return with_lets(inner, lets)

    return dce(with_body(f, block(f.body)))


def multiplies(let: Let, effects: Effects) -> bool:
    """Does a statement hold sums that are elements of products of matrices?"""
    if isinstance(let.op, For):
        return _Nest.of(let, effects) is not None
    return any(multiplies(inner, effects) for _, block in blocks(let.op) for inner in block)


@dataclass
class _Nest:
    """A nest with products of matrices in it, in the form that they are found in."""

    let: Let
    found: list[Product]
    calm: Calm  # the tests that this form rests on

    @staticmethod
    def of(let: Let, effects: Effects) -> _Nest | None:
        if not _deep(let.op, 0):
            return None
        calm = Calm(effects)
        quiet = calm.nest(let)
        nest = _Nest(quiet, _chosen(quiet, effects), calm)
        if adds(quiet) and not any(effects.fails(s.op) for s in statements(Block((quiet,), ()))):
            nest = nest.by_terms(effects)
        return nest if nest.found else None

    def by_terms(self, effects: Effects) -> _Nest:
        """The nest as sums of terms, where those are products."""
        left: set[Var] = set()
        while True:
            spread = Spread(left)
            let = spread.nest(self.let)
            if not spread.made:
                return self
            found = _chosen(let, effects)
            inside = {id(p.let) for p in found}
            failed = {i for i, parts in spread.made.items() if not all(_contained(part, inside) for part in parts)}
            if not failed:
                return replace(self, let=let, found=found)
            left |= failed


def _deep(op: Op, indices: int) -> bool:
    """Are there three loops in one another?"""
    if isinstance(op, For):
        indices += len(op.index)
        return indices >= 3 or any(_deep(s.op, indices) for s in op.body)
    return False


def _chosen(nest: Let, effects: Effects) -> list[Product]:
    """The products in a nest: those over whole axes, if there are some."""
    found = list(_search([nest], effects))
    return [p for p in found if not p.partial] or found


def _contained(part: Let, inside: Collection[int]) -> bool:
    """Is a sum a product, or are all that a loop contributes?"""
    assert isinstance(part.op, For)
    return id(part) in inside if part.vars else any(id(s) in inside for s in part.op.body)


def _both(let: Let, effects: Effects, tests: Equalities) -> list[Let]:
    """A nest in both forms, if it has two."""
    nest = _Nest.of(let, effects)
    if nest is None:
        return [let]
    found = nest.found
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
            pays = b.prim("and", pays, b.o.ge(extent, product.SMALLEST))
        for pred in held:
            pays = b.prim("and", pays, pred)
        pays = nest.calm.after(b, pays, held)
        pays = _worth(b, pays, found)

        def contracted() -> Outs:
            return b.splice(rename(Block(tuple(_Rewrite(b, found).statement(nest.let)), let.vars), {}))

        b.if_(pays, contracted, lambda: b.splice(rename(Block((let,), let.vars), {})))
    return [*lets[:-1], Let(let.vars, lets[-1].op, let.site)]


def _worth(b: Builder, pays: Atom, found: Sequence[Product]) -> Atom:
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


def _search(path: list[Let], effects: Effects) -> Iterator[Product]:
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
) -> Product | None:
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
    if ranges.same:
        renamed = Substitution({**ranges.same})
        made = {v: renamed.let(s)[0] if isinstance(s.op, Prim | Read) else s for v, s in made.items()}
    roles = places(ranges)
    if roles is None:
        return None
    first, second, summed = roles
    known = {**{i: n for i, n in extent.items() if i not in three}, **ranges.axis}
    alone = len(path) == len(whole)
    return Product(path, let, (first, second), summed, known, made, inner, bound, ranges, alone)


def _reduction(path: list[Let], effects: Effects) -> Product | None:
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


def _contributions(path: list[Let], effects: Effects) -> list[Product]:
    """All that is contributed in loops over three indices, if each goes to places that two of them are."""
    whole, path, indices = path, [], list[Var]()
    while len(indices) < 3 and len(path) < len(whole):
        path = whole[len(whole) - len(path) - 1 :]
        indices = [i for s in path if isinstance(s.op, For) for i in s.op.index]
    found: list[Product] = []
    for s in path[-1].op.body if len(indices) == 3 else ():  # type: ignore[union-attr]
        c = s.op
        if not isinstance(c, Contribute):
            continue
        product = _contribution(whole, path, s, c, effects)
        if product is None:
            return []
        found.append(product)
    return found


def _contribution(whole: Sequence[Let], path: Sequence[Let], s: Let, c: Contribute, effects: Effects) -> Product | None:
    """Of the indices that don't say where it goes, the first that may be summed over in a product."""
    acc, value = c.acc.type, c.values[0]
    assert isinstance(acc, Accumulator)
    if acc.monoid != "add" or not _is_float(value):
        return None

    def places(ranges: Ranges, k: int) -> Sequence[Var] | None:
        index = [ranges.same.get(v, v) for v in c.index if isinstance(v, Var)]
        free = [v for v in index if v in ranges.axis]
        summed = [v for v in ranges.axis if v not in free]
        if len(set(free)) != len(free) or k >= len(summed):
            return None
        return [*free, *(v for v in summed if v is not summed[k]), summed[k]]

    for k in range(3):
        found = _product(whole, path, s, lambda ranges, k=k: places(ranges, k))  # type: ignore[misc]
        if found is None or not found.made.keys().isdisjoint(
            (c.acc, *(v for v in found.places if v not in found.free))
        ):
            return None
        if found.splits(value, effects) and (found.whole() or not found.partial):
            return found
    return None


def _is_float(a: Atom) -> bool:
    return not extents_of(a) and dtype_of(a).is_float


# --- the nest without them --------------------------------------------------------------------------------------------


def _transposed(operand: Operand) -> Operand:
    return operand[0], not operand[1]


def _triangle(products: Sequence[Product], operands: Sequence[Operand]) -> dict[str, object]:
    """What is known of a factor that is zero on one side of the diagonal, if the other one is as it is stored."""
    for side, (_, across) in enumerate(operands):
        half = products[0].triangle(side) if len(products) == 1 and not operands[1 - side][1] else ""
        if half:
            stored = {"lower": "upper", "upper": "lower"}[half] if across else half
            return {"triangle_b" if side else "triangle_a": stored}
    return {}


@dataclass
class _Rewrite:
    """Takes products out of a nest."""

    b: Builder
    found: Sequence[Product]
    matrices: dict[int, tuple[Product, Var, bool]] = field(default_factory=dict)  # by the statement of an element

    def statement(self, let: Let) -> list[Let]:
        """A statement of a nest, with the products that begin in it made before it."""
        b = self.b
        made: dict[tuple[Operand, Operand], Var] = {}
        with b.scope() as lets:
            for products, (u, v) in self.joined([p for p in self.found if p.root is let]):
                across = (_transposed(v), _transposed(u)) in made  # the transpose of a product that there is
                if across:
                    matrix = made[_transposed(v), _transposed(u)]
                elif (u, v) not in made:
                    known = _triangle(products, (u, v))
                    (made[u, v],) = b.library("matmul", u[0], v[0], transpose_a=u[1], transpose_b=v[1], **known)
                matrix = matrix if across else made[u, v]
                self.matrices |= {id(p.let): (p, matrix, across) for p in products}
                if isinstance(products[0].let.op, Contribute):
                    products[0].contributed(b, matrix, across, len(products) > 1)
            b.let(self.without(let))
        return lets

    def joined(self, found: Sequence[Product]) -> list[tuple[list[Product], tuple[Operand, Operand]]]:
        """Products and their factors; those that share one and are contributed together are one."""
        known: Operands = {}
        out: list[tuple[list[Product], list[Operand]]] = []
        for p in found:
            masked = p.masked()
            mine: dict[int, Operand] = {s: p.operand(self.b, known, s) for s in (0, 1) if not masked[s]}
            for products, theirs in out:
                side = next((s for s in (0, 1) if 1 - s in mine and theirs[1 - s] == mine[1 - s]), None)
                if side is None or not products[0].joins(p):
                    continue
                if masked[side] and products[0].masked()[side] and not theirs[side][1]:
                    theirs[side] = p.part(self.b, side, theirs[side][0]), False
                else:
                    theirs[side] = products[0].added(self.b, side, theirs[side], p.operand(self.b, known, side))
                products.append(p)
                break
            else:
                u, v = (p.operand(self.b, known, s) for s in (0, 1))
                out.append(([p], [u, v]))
        return [(products, (u, v)) for products, (u, v) in out]

    def without(self, let: Let) -> Let:
        op = let.op
        if not isinstance(op, For):
            return let
        body: list[Let] = []
        env: dict[Var, Atom] = {}
        for s in op.body:
            if any(p.root is s for p in self.found):
                body += self.statement(s)
            elif isinstance(s.op, Contribute) and id(s) in self.matrices:
                continue
            elif id(s) in self.matrices:
                p, matrix, across = self.matrices[id(s)]
                with self.b.scope() as lets:
                    value = p.element(self.b, matrix, across)
                env[s.vars[0]] = value
                body += lets
            else:
                body.append(self.without(s))
        return Let(let.vars, replace(op, body=Substitution(env).block(Block(tuple(body), op.body.outs))), let.site)

"""chain: products of several matrices are taken in the order that is cheapest.

    T = matmul A B;  y = T v       ->  w = B v;  y = A w                        v a vector: T is not made
    T = matmul A B;  R = matmul T C  ->  R = If [another order costs less] { matmul A (matmul B C) } { as written }

where nothing else uses T, and nothing updates A or B before.  With a vector the order is known; of matrices the sizes
decide when the program runs, and the order that is written stays unless another one saves a tenth.  Of more than four
matrices the first four are ordered, and their product is one of the rest.  An order that is known, as it is if all
sizes are constants, is taken before a derivative is, too: no adjoint of T is made either.  Of three matrices both
orders are, where the sizes decide, and one of them is of no length:

    T = matmul A B;  R = matmul T C  ->  R = matmul A[:, :k'] (matmul B[:k'] C) + matmul (matmul A B[:, :m']) C[:m']

where k' is all and m' is 0 if the first costs less, or the other way round: what a return sweep keeps and makes of the
other is empty.

Invariant: the count falls, except for a vector where T has less than four rows or columns: it is at most twice as
large.  Sums are reassociated, and factors come out of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TypeAlias

from iverson.core.build import Builder, extents_of, literal
from iverson.core.dce import dce
from iverson.core.equalities import Equalities
from iverson.core.library import with_defaults
from iverson.core.ownership import consumed
from iverson.core.rewrite import atoms, blocks, map_blocks, statements, with_body, with_lets
from iverson.core.syntax import F64, Atom, Block, For, Function, If, Let, Library, Literal, Map, Prim, Read, Reduce, Var

MOST = 4  # matrices of which all orders are compared
GAIN = 0.9  # of the cost as written, below which another order is taken

Operand: TypeAlias = tuple[Var, bool]  # a matrix, and whether it is transposed
Order: TypeAlias = "int | tuple[Order, Order]"  # of operands, by their positions
Cost: TypeAlias = frozenset[tuple[tuple[Atom, ...], int]]  # how many products of three sizes
Rewriting: TypeAlias = Callable[["_Chains", Let], list[Let] | None]


def known(f: Function) -> Function:
    """The chains of which the order is known, whatever the sizes of a call."""
    return _rewritten(f, [_Chains.with_vector, _Chains.of_known_sizes])


def differentiated(f: Function) -> Function:
    """The same, and both orders of three matrices, before a derivative is taken."""
    return _rewritten(f, [_Chains.with_vector, _Chains.of_known_sizes, _Chains.in_both_orders])


def run(f: Function) -> Function:
    """All chains."""
    return _rewritten(f, [_Chains.with_vector, _Chains.of_matrices])


def _rewritten(f: Function, ways: Sequence[Rewriting]) -> Function:
    made = [let.vars[0] for let in statements(f.body) if _product(let)]
    if not made:
        return f
    uses = Counter(f.body.outs)
    for let in statements(f.body):
        uses.update(atoms(let.op))
        for _, inner in blocks(let.op):
            uses.update(inner.outs)
    once = {v for v in made if uses[v] == 1}
    body = _block(f.body, Equalities(), once, ways) if once else f.body
    return f if body is f.body else dce(with_body(f, body))


def _block(block: Block, known: Equalities, once: set[Var], ways: Sequence[Rewriting]) -> Block:
    chains = _Chains({}, Equalities(known))
    lets: list[Let] = []
    for let in block:
        chains.equal.learn(let)
        found = next((new for way in ways if (new := way(chains, let)) is not None), None)
        lets += found or [map_blocks(let, lambda inner: _block(inner, chains.equal, once, ways))]
        op = let.op
        if isinstance(op, Library) and let.vars[0] in once:
            chains.inner[let.vars[0]] = op
        elif chains.inner:
            chains.forget(let)
    return with_lets(block, lets)


def _product(let: Let) -> bool:
    """Is it a product of two matrices?"""
    op = let.op
    return isinstance(op, Library) and op.name == "matmul" and all(len(extents_of(a)) == 2 for a in op.args)


@dataclass
class _Chains:
    """The chains of a block."""

    inner: dict[Var, Library]  # products before here, of which there is one use
    equal: Equalities

    def parts(self, matrix: Var, across: bool) -> tuple[Operand, Operand] | None:
        """The factors of a product, or of its transpose."""
        op = self.inner.get(matrix)
        if op is None:
            return None
        (a, b), flags = op.args, with_defaults(op.name, op.params)
        assert isinstance(a, Var) and isinstance(b, Var)
        left, right = (a, bool(flags["transpose_a"])), (b, bool(flags["transpose_b"]))
        return ((right[0], not right[1]), (left[0], not left[1])) if across else (left, right)

    def forget(self, let: Let) -> None:
        """A matrix that is updated in place is multiplied before that, or it would have to be copied."""
        gone = {a for s in statements(Block((let,), ())) for a in consumed(s.op)}
        self.inner = {v: op for v, op in self.inner.items() if gone.isdisjoint(op.args)} if gone else self.inner

    # --- times a vector -----------------------------------------------------------------------------------------------

    def with_vector(self, let: Let) -> list[Let] | None:
        """A sum over k of T[i, k] v[k] for each i, from the right."""
        found = self.times_vector(let)
        if found is None:
            return None
        matrix, across, vector = found
        assert isinstance(let.op, For)
        b = Builder()
        b.site = let.site
        with b.scope() as lets:
            self.applied(b, (matrix, across), vector, let.op.extent[0])
        return [*lets[:-1], Let(let.vars, lets[-1].op, let.site)]

    def times_vector(self, let: Let) -> tuple[Var, bool, Callable[[Builder, Var], Var]] | None:
        op = let.op
        if not isinstance(op, For) or op.yields != (Map(),) or len(op.index) != 1 or len(op.body.lets) != 1:
            return None
        row, (i,) = op.body.lets[0], op.index
        sums = row.op
        if not isinstance(sums, For) or sums.yields != (Reduce("add"),) or len(sums.index) != 1:
            return None
        (k,), ops = sums.index, [s.op for s in sums.body]
        if op.body.outs != row.vars or len(ops) != 3 or sums.body.outs != sums.body.lets[-1].vars:
            return None
        product, reads = ops[2], {s.vars[0]: s.op for s in sums.body.lets[:2] if isinstance(s.op, Read) and s.op.safe}
        if not isinstance(product, Prim) or product.name != "mul" or set(product.args) != set(reads) or len(reads) != 2:
            return None
        one, two = (reads[a] for a in product.args if isinstance(a, Var))
        read, other = (one, two) if one.array in self.inner else (two, one)
        if set(read.index) != {i, k} or i in other.index or k not in other.index or read.array not in self.inner:
            return None
        across = read.index == (k, i)
        span = [op.extent[0], sums.extent[0]]
        if not self.equal.same(span[::-1] if across else span, extents_of(read.array)):
            return None

        def vector(b: Builder, at: Var) -> Var:
            return b.read(other.array, *(at if a is k else a for a in other.index), safe=True)

        return read.array, across, vector

    def applied(self, b: Builder, matrix: Operand, vector: Callable[[Builder, Var], Var], rows: Atom) -> Var:
        """A matrix times a vector."""
        factors = self.parts(*matrix)
        if factors is not None:
            left, right = factors
            first = self.applied(b, right, vector, _rows(right))
            return self.applied(b, left, lambda b, k: b.read(first, k, safe=True), rows)
        array, across = matrix

        def element(i: Var, k: Var) -> Atom:
            return b.o.mul(b.read(array, *((k, i) if across else (i, k)), safe=True), vector(b, k))

        return b.map(rows, lambda i: b.reduce("add", _columns(matrix), lambda k: element(i, k)))

    # --- times matrices -----------------------------------------------------------------------------------------------

    def of_matrices(self, let: Let) -> list[Let] | None:
        """A chain of products of matrices, in the best order."""
        if not _product(let) or not isinstance(let.op, Library):
            return None
        flat, order = self.taken_apart((let.vars[0], False), let.op)
        if len(flat) < 3 or (len(flat) <= MOST and len(self.choices(flat, order)) == 1):
            return None
        b = Builder()
        b.site = let.site
        with b.scope() as lets:
            while len(flat) > MOST:
                flat = [(self.best(b, flat[:MOST], _in_turn(MOST)), False), *flat[MOST:]]
                order = _in_turn(len(flat))
            self.best(b, flat, order)
        return [*lets[:-1], Let(let.vars, lets[-1].op, let.site)]

    def of_known_sizes(self, let: Let) -> list[Let] | None:
        """The same, where all sizes are constants."""
        known = _product(let) and all(isinstance(n, Literal) for a in atoms(let.op) for n in extents_of(a))
        new = self.of_matrices(let) if known else None
        return None if any(isinstance(s.op, If) for s in new or ()) else new

    def in_both_orders(self, let: Let) -> list[Let] | None:
        """A chain of three, as a sum of both orders of which one is of no length."""
        if not _product(let) or not isinstance(let.op, Library):
            return None
        chain, written = self.taken_apart((let.vars[0], False), let.op)
        orders = self.choices(chain, written) if len(chain) == 3 else {}
        if len(orders) != 2:
            return None
        (now, _), (cost, other) = orders.items()
        b = Builder()
        b.site = let.site
        with b.scope() as lets:
            better = b.o.lt(_sum(b, cost), b.o.mul(_sum(b, now), GAIN))
            one = _cut(b, chain, other, lambda n: b.o.select(better, n, 0))
            two = _cut(b, chain, written, lambda n: b.o.select(better, 0, n))

            def both(i: Var, j: Var) -> Atom:
                return b.o.add(b.read(one, i, j, safe=True), b.read(two, i, j, safe=True))

            b.map(extents_of(let.vars[0]), both)
        return None if isinstance(better, Literal) else [*lets[:-1], Let(let.vars, lets[-1].op, let.site)]

    def taken_apart(self, operand: Operand, op: Library | None = None) -> tuple[list[Operand], Order]:
        """The matrices of a chain, and the order of its products."""
        chains = replace(self, inner={**self.inner, operand[0]: op}) if op else self
        factors = chains.parts(*operand)
        if factors is None:
            return [operand], 0
        (left, one), (right, two) = map(self.taken_apart, factors)
        return [*left, *right], (one, _moved(two, len(left)))

    def choices(self, chain: Sequence[Operand], written: Order) -> dict[Cost, Order]:
        """The orders whose costs differ, that which is written first."""
        costs: dict[Cost, Order] = {}
        for order in (written, *_orders(0, len(chain))):
            costs.setdefault(frozenset(self.cost(chain, order).items()), order)
        return costs

    def best(self, b: Builder, chain: Sequence[Operand], written: Order) -> Var:
        """The product of a chain, in the order that the sizes decide."""
        (now, _), *others = self.choices(chain, written).items()
        if not others:
            return _multiplied(b, chain, written)
        limit = b.o.mul(_sum(b, now), GAIN)
        found = [(_sum(b, cost), order) for cost, order in others]
        least = reduce(b.o.min, (cost for cost, _ in found))

        def one_of(choices: Sequence[tuple[Atom, Order]]) -> Var:
            (cost, order), *more = choices
            if not more:
                return _multiplied(b, chain, order)
            return _either(b, b.o.le(cost, least), lambda: _multiplied(b, chain, order), lambda: one_of(more))

        return _either(b, b.o.lt(least, limit), lambda: one_of(found), lambda: _multiplied(b, chain, written))

    def cost(self, chain: Sequence[Operand], order: Order) -> Counter[tuple[Atom, ...]]:
        """How many products of three sizes there are in an order; a matrix times its transpose is half of one."""
        if isinstance(order, int):
            return Counter()
        left, right = order
        sizes = [_rows(chain[_first(left)]), _rows(chain[_first(right)]), _columns(chain[_last(right)])]
        gram = (
            isinstance(left, int) and isinstance(right, int) and chain[left] == (chain[right][0], not chain[right][1])
        )
        here = tuple(sorted(map(self.equal.name, sizes), key=_age))
        return self.cost(chain, left) + self.cost(chain, right) + Counter({here: 1 if gram else 2})


def _orders(first: int, end: int) -> Iterator[Order]:
    """All orders of the products of a chain from its first matrix to before its end."""
    if end - first == 1:
        yield first
    for middle in range(end - 1, first, -1):
        for left in _orders(first, middle):
            yield from ((left, right) for right in _orders(middle, end))


def _in_turn(n: int) -> Order:
    return next(_orders(0, n))


def _moved(order: Order, by: int) -> Order:
    return order + by if isinstance(order, int) else (_moved(order[0], by), _moved(order[1], by))


def _first(order: Order) -> int:
    return order if isinstance(order, int) else _first(order[0])


def _last(order: Order) -> int:
    return order if isinstance(order, int) else _last(order[1])


def _either(b: Builder, test: Atom, then: Callable[[], Var], orelse: Callable[[], Var]) -> Var:
    """One of two matrices; a constant decides now."""
    if isinstance(test, Literal):
        return then() if test.value else orelse()
    return b.if_(test, then, orelse)[0]


def _multiplied(b: Builder, chain: Sequence[Operand], order: Order) -> Var:
    def operand(part: Order) -> Operand:
        return chain[part] if isinstance(part, int) else (_multiplied(b, chain, part), False)

    assert not isinstance(order, int)
    (left, across_left), (right, across_right) = map(operand, order)
    return b.library("matmul", left, right, transpose_a=across_left, transpose_b=across_right)[0]


def _cut(b: Builder, chain: Sequence[Operand], order: Order, length: Callable[[Atom], Atom]) -> Var:
    """The product of three matrices, of which the last sum that is taken is over a part of its length."""
    at = 1 if order == (0, (1, 2)) else 2
    n = length(_columns(chain[at - 1]))
    parts = [*chain]
    parts[at - 1] = _part(b, chain[at - 1], _rows(chain[at - 1]), n), False
    parts[at] = _part(b, chain[at], n, _columns(chain[at])), False
    return _multiplied(b, parts, order)


def _part(b: Builder, operand: Operand, rows: Atom, columns: Atom) -> Var:
    array, across = operand
    return b.map((rows, columns), lambda i, j: b.read(array, *((j, i) if across else (i, j)), safe=True))


def _sum(b: Builder, cost: Cost) -> Atom:
    """A number of multiplications, which an integer might not hold."""
    total: Atom = literal(0.0)
    for sizes, times in sorted(cost, key=lambda term: ([*map(_age, term[0])], term[1])):
        product: Atom = literal(float(times))
        for n in sizes:
            product = b.o.mul(product, b.cast(n, F64))
        total = b.o.add(total, product)
    return total


def _age(size: Atom) -> tuple[int, int]:
    """What sizes are ordered by, the same in every process."""
    return (0, size.serial) if isinstance(size, Var) else (1, int(size.value))


def _rows(operand: Operand) -> Atom:
    array, across = operand
    return extents_of(array)[1 if across else 0]


def _columns(operand: Operand) -> Atom:
    return _rows((operand[0], not operand[1]))

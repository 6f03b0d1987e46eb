"""Library operations as core programs, where a loop nest is as good as a call; and searches by blocks.

    argsort x  ->  merge runs of 1, 2, 4, ... elements: a While around a Loop that emits the merged order
    sort x     ->  x read in that order
    a @ b      ->  where one of them is a vector: reductions, or a sum of rows

What remains (matrix times matrix, solves, factorisations) is lowered to BLAS and LAPACK (backend/lower_library.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iverson.backend import searches
from iverson.core import rewrite
from iverson.core.build import Builder, Outs, dtype_of, extents_of
from iverson.core.syntax import Atom, Block, Function, Let, Library, Op, Var


def run(function: Function) -> Function:
    if not any(_expands(let.op) for let in rewrite.statements(function.body)):
        return function
    return Function(function.params, _block(function.body, {}), function.name, function.donated)


def _expands(op: Op) -> bool:
    if not isinstance(op, Library):
        return searches.applies(op)
    return op.name in ("sort", "argsort") or (op.name == "matmul" and min(len(extents_of(a)) for a in op.args) == 1)


def _block(block: Block, env: dict[Var, Atom]) -> Block:
    """A block with its library operations expanded; `env` renames what they bound."""
    b = Builder()
    with b.scope() as lets:
        for let in block:
            op = rewrite.map_op(let.op, lambda a: rewrite.lookup(a, env), lambda inner: _block(inner, env))
            if not _expands(op):
                b.let(Let(let.vars, op, let.site))
                continue
            b.site = let.site
            if isinstance(op, Library):
                env[let.vars[0]] = _EXPANSIONS[op.name](b, op.args)
            else:
                searches.expand(b, op)
                lets[-1] = Let(let.vars, lets[-1].op, let.site)  # types may mention the winner by its name
        outs = tuple(rewrite.lookup(a, env) for a in block.outs)
    return Block(tuple(lets), outs)


def _rows(b: Builder, x: Atom, body: Callable[[Atom], Outs]) -> Var:
    """body of each row along the last axis."""
    *outer, _ = extents_of(x)
    if not outer:
        row = body(x)
        assert isinstance(row, Var)
        return row
    return b.map(outer, lambda *i: _only(body(b.read(x, *i, safe=True))))


def _only(outs: Outs) -> Atom:
    assert not isinstance(outs, Sequence | bool | int | float)
    return outs


def _argsort(b: Builder, args: tuple[Atom, ...]) -> Var:
    return _rows(b, args[0], lambda row: _order(b, row))


def _sort(b: Builder, args: tuple[Atom, ...]) -> Var:
    def sorted_row(row: Atom) -> Outs:
        order = _order(b, row)
        return b.map(extents_of(row)[0], lambda i: b.read(row, b.read(order, i, safe=True), safe=True))

    return _rows(b, args[0], sorted_row)


def _order(b: Builder, row: Atom) -> Var:
    """The stable order of a row, NaN last."""
    (n,) = extents_of(row)
    o = b.o

    def before(i: Atom, j: Atom) -> Atom:
        """Does element i come strictly before element j?"""
        x, y = b.read(row, i, safe=True), b.read(row, j, safe=True)
        less = o.lt(x, y)
        if not dtype_of(row).is_float:
            return less
        return b.prim("or", less, b.prim("and", o.isnan(y), b.prim("not", o.isnan(x))))

    def merge(run: Atom, order: Atom) -> Outs:
        """Each pair of neighbouring runs becomes one: k is the place to fill, i and j are the heads of the runs."""
        pair = o.mul(run, 2)

        def turn(k: Atom, i: Atom, j: Atom) -> Outs:
            offset = o.mod(k, pair)
            start = o.sub(k, offset)
            middle = o.min(o.add(start, run), n)
            end = o.min(o.add(start, pair), n)
            fresh = o.eq(offset, 0)
            i, j = o.select(fresh, start, i), o.select(fresh, middle, j)

            def compare() -> Outs:
                return before(b.read(order, j, safe=True), b.read(order, i, safe=True))

            (right,) = b.if_(o.lt(i, middle), lambda: b.if_(o.lt(j, end), compare, lambda: False)[0], lambda: True)
            taken = b.read(order, o.select(right, j, i), safe=True)
            return [o.select(right, i, o.add(i, 1)), o.select(right, o.add(j, 1), j), taken]

        merged = b.loop(n, [0, 0], turn)[2]
        return [pair, merged]

    start = b.map(n, lambda i: i)
    return b.while_([1, start], lambda run, order: o.lt(run, n), merge)[1]


def _matmul(b: Builder, args: tuple[Atom, ...]) -> Atom:
    x, y = args
    o = b.o
    (k,) = extents_of(y)[:1]
    if len(extents_of(y)) == 1 and len(extents_of(x)) == 1:
        return b.reduce("add", k, lambda i: o.mul(b.read(x, i, safe=True), b.read(y, i)))
    if len(extents_of(y)) == 1:
        n, _ = extents_of(x)
        return b.map(n, lambda i: b.reduce("add", k, lambda j: o.mul(b.read(x, i, j), b.read(y, j, safe=True))))
    _, m = extents_of(y)

    def sums(acc: Var) -> Outs:
        def row(i: Atom) -> Outs:
            v = b.read(x, i)

            def element(j: Atom) -> Outs:
                b.contribute(acc, [j], o.mul(v, b.read(y, i, j, safe=True)), safe=True)
                return ()

            b.for_(m, element, [])
            return ()

        b.for_(k, row, [])
        return ()

    return b.accumulate([("add", [b.zeros([m], dtype_of(x))])], sums)[0]


_EXPANSIONS: dict[str, Callable[[Builder, tuple[Atom, ...]], Atom]] = {
    "sort": _sort,
    "argsort": _argsort,
    "matmul": _matmul,
}

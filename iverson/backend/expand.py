"""Library operations as core programs, where a loop nest is as good as a call; and searches by blocks.

    argsort x  ->  the order of its elements (backend/sorting.py);  sort x  ->  x read in that order
    a @ b      ->  where one of them is a vector: reductions, or a sum of rows
    fft x      ->  butterflies (backend/fourier.py)
    det, logabsdet, pinv, gaps  ->  what is left to do when the factors are known

What remains (matrix times matrix, solves, factorisations) is lowered to BLAS and LAPACK (backend/lower_library.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from iverson.backend import fourier, searches, sorting
from iverson.core import library, rewrite
from iverson.core.build import Builder, Outs, dtype_of, extents_of, literal
from iverson.core.library import Params
from iverson.core.syntax import Atom, Block, Function, Let, Library, Op, Var


def run(function: Function) -> Function:
    if not any(_expands(let.op) for let in rewrite.statements(function.body)):
        return function
    return Function(function.params, _block(function.body, {}), function.name, function.donated)


def _expands(op: Op) -> bool:
    if not isinstance(op, Library):
        return searches.applies(op)
    if op.name == "matmul":
        return min(len(extents_of(a)) for a in op.args) == 1
    return op.name in _EXPANSIONS


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
                env[let.vars[0]] = _EXPANSIONS[op.name](b, op.args, library.with_defaults(op.name, op.params))
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


def _argsort(b: Builder, args: tuple[Atom, ...], params: Params) -> Var:
    return _rows(b, args[0], lambda row: sorting.order(b, row))


def _sort(b: Builder, args: tuple[Atom, ...], params: Params) -> Var:
    def sorted_row(row: Atom) -> Outs:
        places = sorting.order(b, row)
        return b.map(extents_of(row)[0], lambda i: b.read(row, b.read(places, i, safe=True), safe=True))

    return _rows(b, args[0], sorted_row)


def _matmul(b: Builder, args: tuple[Atom, ...], params: Params) -> Atom:
    x, y = args
    o = b.o
    if len(extents_of(y)) == 1 and len(extents_of(x)) == 1:
        return b.reduce("add", extents_of(y), lambda i: o.mul(b.read(x, i, safe=True), b.read(y, i)))
    vector, matrix = (y, x) if len(extents_of(y)) == 1 else (x, y)
    across = params["transpose_a"] if matrix is x else not params["transpose_b"]
    rows, columns = extents_of(matrix)
    if not across:  # each row of the matrix times the vector
        return b.map(
            rows,
            lambda i: b.reduce("add", columns, lambda j: o.mul(b.read(matrix, i, j), b.read(vector, j, safe=True))),
        )

    def sums(acc: Var) -> Outs:
        def row(i: Atom) -> Outs:
            v = b.read(vector, i)

            def element(j: Atom) -> Outs:
                b.contribute(acc, [j], o.mul(v, b.read(matrix, i, j, safe=True)), safe=True)
                return ()

            b.for_(columns, element, [])
            return ()

        b.for_(rows, row, [])
        return ()

    return b.accumulate([("add", [b.zeros([columns], dtype_of(x))])], sums)[0]


# --- what is left to do when the factors are known --------------------------------------------------------------------


def _det(b: Builder, args: tuple[Atom, ...], params: Params) -> Atom:
    _, packed, pivots = args
    o = b.o

    def pivot(i: Atom) -> Atom:
        d = b.read(packed, i, i, safe=True)
        return o.select(o.eq(b.read(pivots, i, safe=True), i), d, o.neg(d))

    product: Atom = b.reduce("mul", extents_of(pivots), pivot)
    return product


def _logabsdet(b: Builder, args: tuple[Atom, ...], params: Params) -> Atom:
    _, packed, pivots = args
    total: Atom = b.reduce("add", extents_of(pivots), lambda i: b.o.log(b.o.abs(b.read(packed, i, i, safe=True))))
    return total


def _pinv(b: Builder, args: tuple[Atom, ...], params: Params) -> Atom:
    """v s^-1 u', without what is zero."""
    _, u, s, vt = args
    o, zero, one = b.o, literal(0.0, dtype_of(s)), literal(1.0, dtype_of(s))

    def inverse(i: Atom) -> Atom:
        e = b.read(s, i, safe=True)
        return o.select(o.eq(e, zero), zero, o.div(one, e))

    factors = b.map(extents_of(s), inverse)
    scaled = b.map(extents_of(vt), lambda i, j: o.mul(b.read(factors, i, safe=True), b.read(vt, i, j, safe=True)))
    return b.library("matmul", scaled, u, transpose_a=True, transpose_b=True)[0]


def _gaps(b: Builder, args: tuple[Atom, ...], params: Params) -> Atom:
    (w,) = args
    (n,) = extents_of(w)
    o, d = b.o, dtype_of(w)
    zero, one, eps = literal(0.0, d), literal(1.0, d), literal(float(np.finfo(d.value).eps), d)

    def apart(i: Atom, j: Atom) -> Atom:
        return o.sub(b.read(w, j, safe=True), b.read(w, i, safe=True))

    largest = o.max(b.reduce("max", n, lambda i: o.abs(b.read(w, i, safe=True))), zero)
    limit = o.mul(o.mul(b.cast(n, d), eps), largest)

    def tied(i: Atom, j: Atom) -> Atom:
        return b.prim("and", o.ne(i, j), o.le(o.abs(apart(i, j)), limit))

    ties = b.reduce("or", (n, n), tied)
    b.check(b.prim("not", ties), str(params["message"]), error="LinAlgError")
    return b.map((n, n), lambda i, j: o.select(o.eq(i, j), zero, o.div(one, apart(i, j))))


def _fft(b: Builder, args: tuple[Atom, ...], params: Params) -> Atom:
    (x,) = args
    outer, sign = extents_of(x)[:-2], 1.0 if params["inverse"] else -1.0
    if not outer:
        return fourier.transform(b, x, sign)
    return b.map(outer, lambda *i: fourier.transform(b, b.read(x, *i, safe=True), sign))


_EXPANSIONS: dict[str, Callable[[Builder, tuple[Atom, ...], Params], Atom]] = {
    "sort": _sort,
    "argsort": _argsort,
    "matmul": _matmul,
    "det": _det,
    "logabsdet": _logabsdet,
    "pinv": _pinv,
    "gaps": _gaps,
    "fft": _fft,
}

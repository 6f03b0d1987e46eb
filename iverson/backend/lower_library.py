"""Library operations: by BLAS and LAPACK, or as loops.

A row-major matrix is, in their eyes, its transpose in column-major order:

    c = a b                  c' = b' a'                                gemm
    c = a a'                 its upper triangle, and the mirror image  syrk, where both are large
    c = t b, t a triangle    c' = b' t'                                trmm, on a copy of b
    a p = l u                p' a' = u' l', LAPACK's factors of a'     getrf
    a x = b                  triangular solves, and the swaps          trsm
    a = l l'                 the upper factor of a' is l'              potrf
    a x = b, a triangular    x' a' = b'                                trsm from the right

Orthogonal decompositions are in lower_decompositions.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.backend import lapack, lower_decompositions, mapped
from iverson.backend import loopir as ir
from iverson.backend.context import Context, Unsupported
from iverson.backend.lapack import Lowering, Params, leading, letter, number, size
from iverson.backend.loopir import Reg, Value, View, integer
from iverson.core import library
from iverson.core.syntax import BOOL, I32, I64, Let, Library, Literal, Site

GRAM = 64  # rows and columns from which on a triangle pays for being mirrored


def lower_library(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Library)
    if op.name == "mapped":
        return mapped.lower(ctx, let)
    if op.name not in _LOWERINGS:
        raise Unsupported(f"the back end has no {op.name}")
    inputs = [_contiguous(ctx, ctx.view(a)) for a in op.args]
    outs = [ctx.destination(v) for v in let.vars]
    for out in outs:
        out.buffer.stored = True
    for n in dict.fromkeys(e for v in inputs for e in v.extents if op.name not in _OWN and not isinstance(e, Literal)):
        lapack.fits(ctx, n, let.site)
    params = {**library.with_defaults(op.name, op.params), "used": [ctx.used(v) for v in let.vars]}
    _LOWERINGS[op.name](ctx, inputs, outs, params, let.site)
    for v, out in zip(let.vars, outs, strict=True):
        ctx.bind(v, out)


def _contiguous(ctx: Context, view: View) -> View:
    return view if view.buffer.strides is None else ctx.duplicate(view)


def _matmul(ctx: Context, inputs: list[View], outs: list[View], params: Params, site: Site | None) -> None:
    (a, b), (out,) = inputs, outs
    if params["triangle_a"]:
        return _trmm(ctx, a, b, out, params, "a", "b")
    if params["triangle_b"]:
        return _trmm(ctx, b, a, out, params, "b", "a")
    k = a.extents[0 if params["transpose_a"] else 1]
    if a != b or params["transpose_a"] == params["transpose_b"]:
        _gemm(ctx, a, b, out, k, params)
        return
    large = ctx.compute("ge", BOOL, ctx.compute("min", I64, k, out.extents[0]), integer(GRAM))
    with ctx.into([]) as symmetric:
        _gram(ctx, a, out, k, params)
    with ctx.into([]) as plain:
        _gemm(ctx, a, b, out, k, params)
    ctx.emit(ir.If(large, symmetric, plain))


def _gram(ctx: Context, a: View, out: View, k: Value, params: Params) -> None:
    """a' a, or a a': a triangle by BLAS, the other one is the same."""
    dtype, n = out.buffer.dtype, out.extents[0]
    letters = [letter("U"), letter("N" if params["transpose_a"] else "T")]
    args = [*letters, size(ctx, n), size(ctx, k), number(params["scale"], dtype)]
    args += [a, leading(ctx, a.extents[1]), number(0.0, dtype), out, leading(ctx, n)]
    lapack.call(ctx, "syrk", dtype, args)
    i, j = Reg(I64, "i"), Reg(I64, "j")
    with ctx.into([]) as row:
        with ctx.into([]) as element:
            ctx.store(out.at([i, j]), ctx.load(out.at([j, i])))
        ctx.emit(ir.For(j, ctx.add(i, integer(1)), n, element, [], "seq"))
    ctx.emit(ir.For(i, integer(0), n, row, [], "seq"))


def _trmm(ctx: Context, triangle: View, other: View, out: View, params: Params, side: str, beside: str) -> None:
    """A triangle times a matrix, or the other way round: in place of the matrix."""
    dtype = out.buffer.dtype

    def element(index: Sequence[Reg]) -> None:
        ctx.store(out.at(index), ctx.load(other.at(index[::-1] if params[f"transpose_{beside}"] else index)))

    ctx.each(out.extents, element)
    letters = ["R" if side == "a" else "L", "U" if params[f"triangle_{side}"] == "lower" else "L"]
    letters += ["T" if params[f"transpose_{side}"] else "N", "N"]
    n, m = out.extents
    args = [*map(letter, letters), size(ctx, m), size(ctx, n), number(params["scale"], dtype)]
    lapack.call(ctx, "trmm", dtype, [*args, triangle, leading(ctx, triangle.extents[1]), out, leading(ctx, m)])


def _gemm(ctx: Context, a: View, b: View, out: View, k: Value, params: Params) -> None:
    dtype = out.buffer.dtype
    n, m = out.extents
    letters = [letter("T" if params[p] else "N") for p in ("transpose_b", "transpose_a")]
    args = [*letters, size(ctx, m), size(ctx, n), size(ctx, k), number(params["scale"], dtype)]
    args += [b, leading(ctx, b.extents[1]), a, leading(ctx, a.extents[1]), number(0.0, dtype), out, leading(ctx, m)]
    lapack.call(ctx, "gemm", dtype, args)


def _lu(ctx: Context, inputs: list[View], outs: list[View], params: Params, site: Site | None) -> None:
    (a,), (packed, pivots) = inputs, outs
    n = a.extents[0]
    ctx.copy(packed, a)
    swaps = lapack.scratch(ctx, I32, [n], "swaps")
    _, info = lapack.status(ctx)
    rows, width = size(ctx, n), leading(ctx, n)
    lapack.call(ctx, "getrf", a.buffer.dtype, [rows, rows, packed, width, swaps, info])

    def from_zero(index: Sequence[Reg]) -> None:
        wide = ctx.compute("int64", I64, ctx.load(swaps.at(index)))
        ctx.store(pivots.at(index), ctx.compute("sub", I64, wide, integer(1)))

    ctx.each([n], from_zero)


def _factored_solve(ctx: Context, inputs: list[View], outs: list[View], params: Params, site: Site | None) -> None:
    """a x = l u p' x = b, or a' x = p u' l' x = b."""
    (_, packed, pivots, b), (x,) = inputs, outs
    _regular(ctx, packed, "Singular matrix", site)
    ctx.copy(x, b)
    if params["transpose"]:
        _swap(ctx, x, pivots, forward=True)
        _trsm(ctx, packed, x, lower=False, transpose=True, unit=True)
        _trsm(ctx, packed, x, lower=True, transpose=True, unit=False)
    else:
        _trsm(ctx, packed, x, lower=True, transpose=False, unit=False)
        _trsm(ctx, packed, x, lower=False, transpose=False, unit=True)
        _swap(ctx, x, pivots, forward=False)


def _swap(ctx: Context, x: View, pivots: View, forward: bool) -> None:
    """Swap rows of x as the pivots say, from the first to the last or back."""
    n = pivots.extents[0]
    k = Reg(I64, "k")
    with ctx.into([]) as turn:
        at: Value = k if forward else ctx.compute("sub", I64, ctx.compute("sub", I64, n, k), integer(1))
        other = ctx.load(pivots.at([at]))

        def element(index: Sequence[Reg]) -> None:
            here, there = x.at([at, *index]), x.at([other, *index])
            first, second = ctx.load(here), ctx.load(there)
            ctx.store(here, second)
            ctx.store(there, first)

        ctx.each(x.extents[1:], element)
    ctx.emit(ir.For(k, integer(0), n, turn, [], "seq"))


def _cholesky(ctx: Context, inputs: list[View], outs: list[View], params: Params, site: Site | None) -> None:
    (a,), (out,) = inputs, outs
    dtype = out.buffer.dtype
    zero = Literal(0.0, dtype)

    def lower_triangle(index: Sequence[Reg]) -> None:
        i, j = index
        inside = ctx.compute("le", BOOL, j, i)
        ctx.store(out.at(index), ctx.compute("select", dtype, inside, ctx.load(a.at(index)), zero))

    ctx.each(out.extents, lower_triangle)
    n = a.extents[0]
    cell, info = lapack.status(ctx)
    lapack.call(ctx, "potrf", dtype, [letter("U"), size(ctx, n), out, leading(ctx, n), info])
    lapack.expect(ctx, cell, "Matrix is not positive definite", site)


def _triangular_solve(ctx: Context, inputs: list[View], outs: list[View], params: Params, site: Site | None) -> None:
    (a, b), (out,) = inputs, outs
    lower, transpose, unit = (bool(params[p]) for p in ("lower", "transpose", "unit"))
    if not unit:
        _regular(ctx, a, "singular matrix: resolution failed at diagonal {0}", site)
    ctx.copy(out, b)
    _trsm(ctx, a, out, lower, transpose, unit)


def _regular(ctx: Context, a: View, message: str, site: Site | None) -> None:
    """Leave the program if there is a zero on the diagonal; the message may tell where."""

    def diagonal(index: Sequence[Reg]) -> None:
        (i,) = index
        regular = ctx.compute("ne", BOOL, ctx.load(a.at([i, i])), Literal(0.0, a.buffer.dtype))
        ctx.require(regular, "LinAlgError", message, (i,) if "{0}" in message else (), site)

    ctx.each(a.extents[:1], diagonal)


def _trsm(ctx: Context, a: View, x: View, lower: bool, transpose: bool, unit: bool) -> None:
    """x := a^-1 x, in place."""
    dtype, n = x.buffer.dtype, a.extents[0]
    columns = integer(1) if len(x.extents) == 1 else x.extents[1]
    letters = ["R", "U" if lower else "L", "T" if transpose else "N", "U" if unit else "N"]
    args = [*map(letter, letters), size(ctx, columns), size(ctx, n), number(1.0, dtype)]
    lapack.call(ctx, "trsm", dtype, [*args, a, leading(ctx, n), x, leading(ctx, columns)])


def _sort_by_bin(ctx: Context, inputs: list[View], outs: list[View], params: Params, site: Site | None) -> None:
    """Each index goes to the next place of its bin."""
    (bins, starts), (out,) = inputs, outs
    places = ctx.duplicate(starts)

    i = Reg(I64, "i")
    with ctx.into([]) as code:
        place = places.at([ctx.load(bins.at([i]))])
        k = ctx.load(place)
        ctx.store(out.at([k]), i)
        ctx.store(place, ctx.compute("add", I64, k, integer(1)))
    ctx.emit(ir.For(i, integer(0), bins.extents[0], code, [], "seq"))


_OWN = ("sort_by_bin",)  # not LAPACK's
_LOWERINGS: dict[str, Lowering] = {
    "matmul": _matmul,
    "lu": _lu,
    "factored_solve": _factored_solve,
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "qr": lower_decompositions.lower_qr,
    "eigh": lower_decompositions.lower_eigh,
    "svd": lower_decompositions.lower_svd,
    "sort_by_bin": _sort_by_bin,
}

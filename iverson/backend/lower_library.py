"""Library operations: by BLAS and LAPACK, or as loops.

A row-major matrix is, in their eyes, its transpose in column-major order:

    c = a b                  c' = b' a'                                gemm
    a x = b                  factor a', solve with its transpose       getrf, getrs; several columns go there and back
    a = l l'                 the upper factor of a' is l'              potrf
    a x = b, a triangular    x' a' = b'                                trsm from the right
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iverson.backend import linear
from iverson.backend import loopir as ir
from iverson.backend.context import Context, Unsupported
from iverson.backend.loopir import Reg, Value, View, integer
from iverson.core import library
from iverson.core.syntax import BOOL, I32, I64, DType, Let, Library, Literal, Site

LARGEST = 2**31 - 1


def lower_library(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Library)
    if op.name not in _LOWERINGS:
        raise Unsupported(f"the back end has no {op.name}")
    inputs = [_contiguous(ctx, ctx.view(a)) for a in op.args]
    out = ctx.destination(let.vars[0])
    out.buffer.stored = True
    for n in dict.fromkeys(e for v in inputs for e in v.extents if op.name in _LAPACK and not isinstance(e, Literal)):
        small = ctx.compute("le", BOOL, n, integer(LARGEST))
        ctx.require(small, "ValueError", "a matrix is too large for LAPACK", (), let.site)
    _LOWERINGS[op.name](ctx, inputs, out, library.with_defaults(op.name, op.params), let.site)
    ctx.bind(let.vars[0], out)


Params = dict[str, object]
Lowering = Callable[[Context, list[View], View, Params, Site | None], None]


def _contiguous(ctx: Context, view: View) -> View:
    return view if view.buffer.strides is None else ctx.duplicate(view)


def _call(ctx: Context, routine: str, dtype: DType, args: Sequence[ir.Passed]) -> None:
    ctx.emit(ir.Call(linear.symbol(routine, dtype), tuple(args)))


def _size(ctx: Context, n: Value) -> ir.ByReference:
    """A dimension, as LAPACK takes it."""
    return ir.ByReference(ctx.compute("int32", I32, n))


def _leading(ctx: Context, n: Value) -> ir.ByReference:
    return _size(ctx, ctx.compute("max", I64, n, integer(1)))


def _letter(c: str) -> ir.ByReference:
    return ir.ByReference(c)


def _number(x: float, dtype: DType) -> ir.ByReference:
    return ir.ByReference(Literal(x, dtype))


def _matmul(ctx: Context, inputs: list[View], out: View, params: Params, site: Site | None) -> None:
    a, b = inputs
    dtype = out.buffer.dtype
    (n, k), (_, m) = a.extents, b.extents
    args = [_letter("N"), _letter("N"), _size(ctx, m), _size(ctx, n), _size(ctx, k), _number(1.0, dtype)]
    args += [b, _leading(ctx, m), a, _leading(ctx, k), _number(0.0, dtype), out, _leading(ctx, m)]
    _call(ctx, "gemm", dtype, args)


def _status(ctx: Context) -> tuple[ir.Cell, ir.ByReference]:
    """Where LAPACK says how it went."""
    cell = ir.Cell(I32, "info")
    ctx.put(cell, Literal(0, I32))
    return cell, ir.ByReference(cell)


def _expect(ctx: Context, info: ir.Cell, message: str, site: Site | None) -> None:
    fine = ctx.compute("eq", BOOL, ctx.get(info), Literal(0, I32))
    ctx.require(fine, "LinAlgError", message, (), site)


def _solve(ctx: Context, inputs: list[View], out: View, params: Params, site: Site | None) -> None:
    a, b = inputs
    dtype = out.buffer.dtype
    n = a.extents[0]
    factors, pivots = ctx.duplicate(a), ctx.allocate(I32, [n], "pivots")
    pivots.buffer.stored = True
    cell, info = _status(ctx)
    rows, leading = _size(ctx, n), _leading(ctx, n)
    _call(ctx, "getrf", dtype, [rows, rows, factors, leading, pivots, info])
    _expect(ctx, cell, "Singular matrix", site)
    vector = len(b.extents) == 1
    columns = integer(1) if vector else b.extents[1]
    x = out if vector else ctx.allocate(dtype, [columns, n], "columns")
    _transpose(ctx, x, b) if not vector else ctx.copy(x, b)
    _call(ctx, "getrs", dtype, [_letter("T"), rows, _size(ctx, columns), factors, leading, pivots, x, leading, info])
    if not vector:
        _transpose(ctx, out, x)


def _transpose(ctx: Context, target: View, source: View) -> None:
    def body(index: Sequence[Reg]) -> None:
        i, j = index
        ctx.store(target.at([i, j]), ctx.load(source.at([j, i])))

    ctx.each(target.extents, body)


def _cholesky(ctx: Context, inputs: list[View], out: View, params: Params, site: Site | None) -> None:
    (a,) = inputs
    dtype = out.buffer.dtype
    zero = Literal(0.0, dtype)

    def lower_triangle(index: Sequence[Reg]) -> None:
        i, j = index
        inside = ctx.compute("le", BOOL, j, i)
        ctx.store(out.at(index), ctx.compute("select", dtype, inside, ctx.load(a.at(index)), zero))

    ctx.each(out.extents, lower_triangle)
    n = a.extents[0]
    cell, info = _status(ctx)
    _call(ctx, "potrf", dtype, [_letter("U"), _size(ctx, n), out, _leading(ctx, n), info])
    _expect(ctx, cell, "Matrix is not positive definite", site)


def _triangular_solve(ctx: Context, inputs: list[View], out: View, params: Params, site: Site | None) -> None:
    a, b = inputs
    dtype = out.buffer.dtype
    n = a.extents[0]
    if not params["unit"]:

        def diagonal(index: Sequence[Reg]) -> None:
            (i,) = index
            regular = ctx.compute("ne", BOOL, ctx.load(a.at([i, i])), Literal(0.0, dtype))
            ctx.require(regular, "LinAlgError", "singular matrix: resolution failed at diagonal {0}", (i,), site)

        ctx.each([n], diagonal)
    ctx.copy(out, b)
    columns = integer(1) if len(b.extents) == 1 else b.extents[1]
    letters = [
        "R",
        "U" if params["lower"] else "L",
        "T" if params["transpose"] else "N",
        "U" if params["unit"] else "N",
    ]
    args = [*map(_letter, letters), _size(ctx, columns), _size(ctx, n), _number(1.0, dtype)]
    _call(ctx, "trsm", dtype, [*args, a, _leading(ctx, n), out, _leading(ctx, columns)])


def _sort_by_bin(ctx: Context, inputs: list[View], out: View, params: Params, site: Site | None) -> None:
    """Each index goes to the next place of its bin."""
    bins, starts = inputs
    places = ctx.duplicate(starts)

    i = Reg(I64, "i")
    with ctx.into([]) as code:
        place = places.at([ctx.load(bins.at([i]))])
        k = ctx.load(place)
        ctx.store(out.at([k]), i)
        ctx.store(place, ctx.compute("add", I64, k, integer(1)))
    ctx.emit(ir.For(i, integer(0), bins.extents[0], code, [], "seq"))


_LAPACK = ("matmul", "solve", "cholesky", "triangular_solve")
_LOWERINGS: dict[str, Lowering] = {
    "matmul": _matmul,
    "solve": _solve,
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "sort_by_bin": _sort_by_bin,
}

"""Orthogonal decompositions by LAPACK.

a = q r         a' = r' q': gelqf and orglq on the memory as it is
a = v w v'      syevd on the lower triangle, as NumPy does it: the eigenvectors it leaves are rows
a = u s v'      gesdd on the transpose, as NumPy does it, and u and v transposed back
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.backend import lapack
from iverson.backend.context import Context
from iverson.backend.loopir import Reg, View, integer
from iverson.core.syntax import BOOL, I32, I64, Literal, Site

_BLOCK = 64  # the widest block that LAPACK works in


def lower_qr(ctx: Context, inputs: list[View], outs: list[View], params: lapack.Params, site: Site | None) -> None:
    (a,), (q, r) = inputs, outs
    dtype = q.buffer.dtype
    m, n = a.extents
    ctx.copy(q, a)
    zero = Literal(0.0, dtype)
    rows, columns, leading = lapack.size(ctx, n), lapack.size(ctx, m), lapack.leading(ctx, n)
    tau, _ = lapack.workspace(ctx, dtype, n, site, "tau")
    work, length = lapack.workspace(ctx, dtype, lapack.times(ctx, n, integer(_BLOCK)), site)
    _, info = lapack.status(ctx)
    lapack.call(ctx, "gelqf", dtype, [rows, columns, q, leading, tau, work, length, info])

    def upper(index: Sequence[Reg]) -> None:
        i, j = index
        inside = ctx.compute("le", BOOL, i, j)
        ctx.store(r.at(index), ctx.compute("select", dtype, inside, ctx.load(q.at(index)), zero))

    ctx.each(r.extents, upper)
    lapack.call(ctx, "orglq", dtype, [rows, columns, rows, q, leading, tau, work, length, info])


def lower_eigh(ctx: Context, inputs: list[View], outs: list[View], params: lapack.Params, site: Site | None) -> None:
    (a,), (w, vt) = inputs, outs
    dtype = w.buffer.dtype
    n = a.extents[0]
    lapack.transpose(ctx, vt, a)
    square = lapack.times(ctx, integer(2), n, n)
    work, length = lapack.workspace(
        ctx, dtype, lapack.plus(ctx, square, lapack.times(ctx, integer(6), n), integer(1)), site
    )
    integers, count = lapack.workspace(
        ctx, I32, lapack.plus(ctx, lapack.times(ctx, integer(5), n), integer(3)), site, "integers"
    )
    cell, info = lapack.status(ctx)
    _, vectors = _used(params)
    args = [
        lapack.letter("V" if vectors else "N"),
        lapack.letter("L"),
        lapack.size(ctx, n),
        vt,
        lapack.leading(ctx, n),
        w,
    ]
    lapack.call(ctx, "syevd", dtype, [*args, work, length, integers, count, info])
    lapack.expect(ctx, cell, "Eigenvalues did not converge", site)


def lower_svd(ctx: Context, inputs: list[View], outs: list[View], params: lapack.Params, site: Site | None) -> None:
    (a,), (u, s, vt) = inputs, outs
    dtype = s.buffer.dtype
    m, n = a.extents
    left_used, _, right_used = _used(params)
    vectors = left_used or right_used
    none = (integer(1), integer(1))
    shapes = (n, m), (n, m) if vectors else none, (n, n) if vectors else none
    columns, left, right = (lapack.scratch(ctx, dtype, e, "columns") for e in shapes)
    lapack.transpose(ctx, columns, a)
    needed = lapack.plus(
        ctx,
        lapack.times(ctx, integer(4), n, n),
        lapack.times(ctx, integer(_BLOCK + 7), n),
        lapack.times(ctx, integer(_BLOCK + 1), m),
    )
    work, length = lapack.workspace(ctx, dtype, needed, site)
    integers, _ = lapack.workspace(ctx, I32, ctx.compute("mul", I64, integer(8), n), site, "integers")
    cell, info = lapack.status(ctx)
    tall, wide = lapack.leading(ctx, m), lapack.leading(ctx, n)
    args = [
        lapack.letter("S" if vectors else "N"),
        lapack.size(ctx, m),
        lapack.size(ctx, n),
        columns,
        tall,
        s,
        left,
        tall,
        right,
        wide,
    ]
    lapack.call(ctx, "gesdd", dtype, [*args, work, length, integers, info])
    lapack.expect(ctx, cell, "SVD did not converge", site)
    if vectors:
        lapack.transpose(ctx, u, left)
        lapack.transpose(ctx, vt, right)


def _used(params: lapack.Params) -> list[bool]:
    used = params["used"]
    assert isinstance(used, list)
    return used

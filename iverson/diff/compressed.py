"""Compressed Jacobians: products for all colours of a sparse Jacobian's columns or rows, in one program.

Of a sparse Jacobian whose columns (rows) have been coloured, such that no two of one colour have an entry in the same
row (column), the sums of the columns of each colour say all (Curtis, Powell and Reid 1974):

    columns f = For [c < colours] yields Map: jvp f (x, [colour = c])
    rows f    = For [c < colours] yields Map: vjp f (x, [colour = c])
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import rename, rename_function
from iverson.core.syntax import I32, I64, Array, Atom, Function, Map, Scalar, Var
from iverson.diff import forward, reverse
from iverson.diff.adjoints import flatten
from iverson.diff.jacobian import computed_extents, computed_outs, like
from iverson.diff.tape import AUTO, Policy


def columns(f: Function, wrt: Sequence[int]) -> Function:
    """The sums of the columns of each colour.

    Parameters: f's, the number of colours, then for each parameter of `wrt` a length and an int32 array of that
    length: the colours of its elements, in row-major order.  Outs: for each float out an array [colours, out extents].
    """
    f = rename_function(f)
    b = Builder()
    g = forward.jvp(f, wrt)
    outs = computed_outs(f, f.body.outs)
    if any(out is not None for out in outs):
        outs = computed_outs(f, _apply(b, f, f.params))
    floats = len(outs)
    count, given = _colour_parameters(len(wrt))

    def product(c: Atom) -> tuple[Atom, ...]:
        seeds = [_coloured(b, f.params[w], colour, c) for w, colour in zip(wrt, given[1::2], strict=True)]
        return like(b, outs, _apply(b, g, [*f.params, *seeds])[-floats:])

    products = b.for_(count, product, [Map()] * floats)
    return b.function((*f.params, count, *given), products, f"columns_{f.name}")


def rows(f: Function, wrt: Sequence[int], policy: Policy = AUTO) -> Function:
    """The sums of the rows of each colour: as `columns`, with colours for each float out, and an array [colours,
    parameter extents] for each parameter of `wrt`."""
    f = rename_function(f)
    b = Builder()
    outs = [out for out in _apply(b, f, f.params) if dtype_of(out).is_float]
    g = reverse.vjp(f, wrt, policy)
    extra = g.params[len(f.params) :]
    cotangents = [p for p in extra if dtype_of(p).is_float]
    computed = dict(pair for c, out in zip(cotangents, outs, strict=True) for pair in computed_extents(c, out))
    count, given = _colour_parameters(len(outs))

    def product(c: Atom) -> tuple[Atom, ...]:
        seeds = [_coloured(b, out, colour, c) for out, colour in zip(outs, given[1::2], strict=True)]
        known = {**computed, **dict(zip(cotangents, seeds, strict=True))}
        return _apply(b, g, [*f.params, *(known[p] for p in extra)])[-len(wrt) :]

    products = b.for_(count, product, [Map()] * len(wrt))
    return b.function((*f.params, count, *given), products, f"rows_{f.name}")


def _colour_parameters(arrays: int) -> tuple[Var, list[Var]]:
    """The number of colours; length and colours of each array."""
    given: list[Var] = []
    for _ in range(arrays):
        length = Var(Scalar(I64), "length")
        given += [length, Var(Array(I32, (length,)), "colour")]
    return Var(Scalar(I64), "colours"), given


def _coloured(b: Builder, like: Atom, colour: Var, c: Atom) -> Atom:
    """[colour = c], in the shape of `like`."""
    extents, dtype = extents_of(like), dtype_of(like)
    wanted = b.cast(c, I32)

    def bracket(*j: Atom) -> Atom:
        mine = b.o.eq(b.read(colour, flatten(b, j, extents) if j else 0), wanted)
        return b.o.select(mine, literal(1.0, dtype), literal(0.0, dtype))

    return b.map(extents, bracket) if extents else bracket()


def _apply(b: Builder, f: Function, args: Sequence[Atom]) -> tuple[Atom, ...]:
    """The function's body in place, on these arguments."""
    return b.splice(rename(f.body, dict(zip(f.params, args, strict=True))))

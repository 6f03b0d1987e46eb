"""Jacobians: a For over unit tangents of forward mode, or over unit cotangents of reverse mode.

    jacfwd f = For [k < inputs]  yields Map: jvp f (x, e_k)         transposed to [outputs..., inputs...]
    jacrev f = For [k < outputs] yields Map: vjp f (x, e_k)

e_k is Iverson's bracket [j = k].  Work: inputs (outputs) times that of the one product.

Of a sparse Jacobian whose columns (rows) have been coloured, such that no two of one colour have an entry in the same
row (column), the sums of the columns of each colour say all (Curtis, Powell and Reid 1974):

    columns f = For [c < colours] yields Map: jvp f (x, [colour = c])
    rows f    = For [c < colours] yields Map: vjp f (x, [colour = c])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import rename, rename_function
from iverson.core.syntax import I32, I64, Array, Atom, DType, Function, Map, Scalar, Var
from iverson.diff import forward, reverse
from iverson.diff.adjoints import flatten


def jacfwd(f: Function, wrt: Sequence[int]) -> Function:
    """params -> for each float out, for each parameter of `wrt`: the array [out extents..., parameter extents...]."""
    f = rename_function(f)
    b = Builder()
    outs = _known_outs(b, f)
    floats = len(outs)
    by_parameter = []
    for w in wrt:
        param, g = f.params[w], forward.jvp(f, [w])

        def column(*index: Atom, param: Var = param, g: Function = g) -> tuple[Atom, ...]:
            tangent = _unit(b, extents_of(param), dtype_of(param), index)
            return _like(b, outs, _apply(b, g, [*f.params, tangent])[-floats:])

        columns = _each(b, extents_of(param), floats, column)
        by_parameter.append([_transposed(b, c, len(extents_of(param))) for c in columns])
    return b.function(f.params, [j for row in zip(*by_parameter, strict=True) for j in row], f"jacfwd_{f.name}")


def jacrev(f: Function, wrt: Sequence[int]) -> Function:
    """As jacfwd, by reverse mode: best where there are fewer outputs than inputs."""
    f = rename_function(f)
    b = Builder()
    outs = [out for out in _apply(b, f, f.params) if dtype_of(out).is_float]
    g = reverse.vjp(f, wrt)
    extra = g.params[len(f.params) :]
    cotangents = [p for p in extra if dtype_of(p).is_float]
    computed = dict(pair for c, out in zip(cotangents, outs, strict=True) for pair in _extents(c, out))
    jacobians: list[Atom] = []
    for chosen in range(len(outs)):

        def row(*index: Atom, chosen: int = chosen) -> tuple[Atom, ...]:
            seeds = {
                c: _unit(b, extents_of(out), dtype_of(out), index)
                if out is outs[chosen]
                else b.zeros(extents_of(out), dtype_of(out))
                for c, out in zip(cotangents, outs, strict=True)
            }
            return _apply(b, g, [*f.params, *({**computed, **seeds}[p] for p in extra)])[-len(wrt) :]

        jacobians += _each(b, extents_of(outs[chosen]), len(wrt), row)
    return b.function(f.params, jacobians, f"jacrev_{f.name}")


def columns(f: Function, wrt: Sequence[int]) -> Function:
    """The sums of the columns of each colour.

    Parameters: f's, the number of colours, then for each parameter of `wrt` a length and an int32 array of that
    length: the colours of its elements, in row-major order.  Outs: for each float out an array [colours, out extents].
    """
    f = rename_function(f)
    b = Builder()
    g = forward.jvp(f, wrt)
    outs = _known_outs(b, f)
    floats = len(outs)
    count, given = _colour_parameters(len(wrt))

    def product(c: Atom) -> tuple[Atom, ...]:
        seeds = [_coloured(b, f.params[w], colour, c) for w, colour in zip(wrt, given[1::2], strict=True)]
        return _like(b, outs, _apply(b, g, [*f.params, *seeds])[-floats:])

    products = b.for_(count, product, [Map()] * floats)
    return b.function((*f.params, count, *given), products, f"columns_{f.name}")


def rows(f: Function, wrt: Sequence[int]) -> Function:
    """The sums of the rows of each colour: as `columns`, with colours for each float out, and an array [colours,
    parameter extents] for each parameter of `wrt`."""
    f = rename_function(f)
    b = Builder()
    outs = [out for out in _apply(b, f, f.params) if dtype_of(out).is_float]
    g = reverse.vjp(f, wrt)
    extra = g.params[len(f.params) :]
    cotangents = [p for p in extra if dtype_of(p).is_float]
    computed = dict(pair for c, out in zip(cotangents, outs, strict=True) for pair in _extents(c, out))
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


def _known_outs(b: Builder, f: Function) -> list[Atom | None]:
    """For each float out None, or where f computes extents of it, the out: found before the products are."""
    floats = [k for k, out in enumerate(f.body.outs) if dtype_of(out).is_float]
    known = {*f.params}
    fixed = [all(not isinstance(e, Var) or e in known for e in extents_of(f.body.outs[k])) for k in floats]
    if all(fixed):
        return [None] * len(floats)
    outs = _apply(b, f, f.params)
    return [None if same else outs[k] for k, same in zip(floats, fixed, strict=True)]


def _like(b: Builder, outs: Sequence[Atom | None], tangents: Sequence[Atom]) -> tuple[Atom, ...]:
    """Tangents under the extents of outs that are known outside."""

    def settled(out: Atom | None, tangent: Atom) -> Atom:
        return tangent if out is None else b.map(extents_of(out), lambda *i: b.read(tangent, *i))

    return tuple(settled(out, t) for out, t in zip(outs, tangents, strict=True))


def _extents(cotangent: Var, out: Atom) -> Iterator[tuple[Var, Atom]]:
    """The parameters that stand for an out's computed extents, and those extents."""
    for parameter, extent in zip(extents_of(cotangent), extents_of(out), strict=True):
        if isinstance(parameter, Var):
            yield parameter, extent


def _each(b: Builder, extents: Sequence[Atom], count: int, body: Callable[..., tuple[Atom, ...]]) -> tuple[Atom, ...]:
    """body at every index, stacked; for a scalar, body itself."""
    return b.for_(extents, body, [Map()] * count) if extents else body()


def _unit(b: Builder, extents: Sequence[Atom], dtype: DType, index: Sequence[Atom]) -> Atom:
    """[j = index] for all j; 1 for a scalar."""
    one, zero = literal(1.0, dtype), literal(0.0, dtype)
    if not extents:
        return one

    def bracket(*j: Atom) -> Atom:
        holds: Atom = literal(True)
        for left, right in zip(j, index, strict=True):
            holds = b.prim("and", holds, b.prim("eq", left, right))
        return b.prim("select", holds, one, zero)

    return b.map(extents, bracket)


def _transposed(b: Builder, array: Atom, leading: int) -> Atom:
    """The first `leading` axes moved to the end."""
    extents = extents_of(array)
    if leading in (0, len(extents)):
        return array
    order = [*range(leading, len(extents)), *range(leading)]

    def element(*i: Atom) -> Atom:
        at = dict(zip(order, i, strict=True))
        return b.read(array, *(at[k] for k in range(len(extents))), safe=True)

    return b.map([extents[k] for k in order], element)

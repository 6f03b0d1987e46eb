"""Jacobians: a For over unit tangents of forward mode, or over unit cotangents of reverse mode.

    jacfwd f = For [k < inputs]  yields Map: jvp f (x, e_k)         transposed to [outputs..., inputs...]
    jacrev f = For [k < outputs] yields Map: vjp f (x, e_k)

e_k is Iverson's bracket [j = k].  Work: inputs (outputs) times that of the one product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import rename, rename_function
from iverson.core.syntax import Atom, DType, Function, Map, Var
from iverson.diff import forward, reverse


def jacfwd(f: Function, wrt: Sequence[int]) -> Function:
    """params -> for each float out, for each parameter of `wrt`: the array [out extents..., parameter extents...]."""
    f = rename_function(f)
    b = Builder()
    floats = sum(dtype_of(out).is_float for out in f.body.outs)
    by_parameter = []
    for w in wrt:
        param, g = f.params[w], forward.jvp(f, [w])

        def column(*index: Atom, param: Var = param, g: Function = g) -> tuple[Atom, ...]:
            tangent = _unit(b, extents_of(param), dtype_of(param), index)
            return _apply(b, g, [*f.params, tangent])[-floats:]

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


def _apply(b: Builder, f: Function, args: Sequence[Atom]) -> tuple[Atom, ...]:
    """The function's body in place, on these arguments."""
    return b.splice(rename(f.body, dict(zip(f.params, args, strict=True))))


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

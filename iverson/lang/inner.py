"""Programs inside programs: a call staged as a closed core function of its own, and a core function's results in place.

A transformation (`iv.grad(f)` and its kin), called in a staged program, stages `f` on the values at hand, closes the
block over what it reads from outside, transforms that function, and puts the result where the call stands:

    sub = subprogram(f, args, kwargs, active)      f's block as a Function; the leaves of `active` are parameters
    outs = sub.apply(reverse.vjp(sub.function, ...), more)

so that transformations compose to any depth, and each has names of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from iverson.core.rewrite import free, rename, type_atoms
from iverson.core.syntax import Array, Atom, Block, Function, Let, Literal, Prim, Var
from iverson.lang import runtime, state
from iverson.lang.dtypes import is_complex
from iverson.lang.errors import error
from iverson.lang.num import Num, constant, is_scalar
from iverson.lang.raising import Unreachable, require_here
from iverson.lang.resolve import resolved
from iverson.lang.shapes import require_same
from iverson.lang.staging import Cell, Each, builder, current
from iverson.lang.values import Arr, Storage, lift, materialise, owned


class Inside(Each):
    """The body of a function that is being transformed: differentiated so many times."""

    refusal = (
        "a function that is differentiated writes an array that it doesn't own: pass the array as an argument, "
        "or return the new one"
    )

    def __init__(self, orders: int = 1) -> None:
        super().__init__()
        self.orders = orders


@dataclass
class Subprogram:
    """A call as a closed function.  Parameters: what it reads from outside, then the active leaves of its arguments."""

    function: Function
    args: tuple[Atom, ...]  # what the parameters are bound to where the call stands
    active: tuple[int, ...]  # the parameters that are the active leaves, in order
    result: Any  # what f returned, of the staged program: a pytree
    outs: tuple[Any, ...]  # its numeric leaves, as the function's outs

    def apply(self, function: Function, more: Sequence[Atom] = ()) -> tuple[Atom, ...]:
        """The outs of a transform of `function` here; `more` are the arguments for the parameters it has added."""
        actual = (*self.args, *more)
        return builder().splice(rename(function.body, dict(zip(function.params, actual, strict=True))))

    def rebuild(self, atoms: Sequence[Atom]) -> Any:
        """The result pytree with its numeric leaves replaced by these atoms."""
        return self.map_outs(lambda k: like(self.outs[k], atoms[k]))

    def map_outs(self, value: Callable[[int], Any]) -> Any:
        """The result pytree with its k-th numeric leaf replaced by value(k)."""
        leaves, spec = state.flatten(self.result)
        for k, position in enumerate(self.numeric_positions()):
            leaves[position] = value(k)
        return state.unflatten(spec, leaves)

    def head(self, result: Any) -> Subprogram:
        """The same call with only the first part of its result."""
        count = sum(map(is_numeric, state.flatten(result)[0]))
        body = self.function.body
        function = replace(self.function, body=replace(body, outs=body.outs[:count]))
        return replace(self, function=function, result=result, outs=self.outs[:count])

    def numeric_positions(self) -> list[int]:
        """Which leaves of the result are numbers or arrays."""
        return [k for k, x in enumerate(state.flatten(self.result)[0]) if is_numeric(x)]


def like(model: Any, atom: Atom) -> Any:
    """An atom as a staged value of the kind of `model`, a Num or an Arr."""
    if isinstance(model, Arr):
        return owned(atom, model.dtype)
    if is_complex(model.dtype):
        return owned(atom, model.dtype).read(())
    return Num(atom, model.weak)


def value_of(atom: Atom, dtype: np.dtype[Any] | None = None) -> Any:
    """An atom as a staged value: an array or a NumPy scalar."""
    array = owned(atom, dtype)
    return array if array.ndim else array.read(())


def numeric(x: Any) -> Any:
    """A number or anything array-like as a Num or an Arr."""
    found = lift(x)
    return found if isinstance(found, Arr) else constant(found)


def is_numeric(x: Any) -> bool:
    """Whether a leaf is a number or an array."""
    return isinstance(x, Arr) or (is_scalar(x) and not isinstance(x, bool)) or hasattr(x, "__array__")


def subprogram(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    active: Sequence[int],
    scope: Each | None = None,
) -> Subprogram:
    """Stage f(*args, **kwargs) apart; the leaves of (args, kwargs) numbered `active` become parameters."""
    program = current()
    leaves, spec = state.flatten((args, kwargs))
    actual = {k: materialise(lift(leaves[k])) for k in active}
    with program.scope(scope or Inside()) as scope:
        leaves = _apart(leaves)
        params = {k: Var(atom.type, "x") for k, atom in actual.items()}
        for k, param in params.items():
            leaves[k] = like(numeric(leaves[k]), param)
        inner_args, inner_kwargs = state.unflatten(spec, leaves)
        result, raised = _call(f, inner_args, inner_kwargs)
        outs = tuple(numeric(x) for x in state.flatten(result)[0] if is_numeric(x))
        atoms = tuple(materialise(x) for x in outs)
    if raised is not None:
        values = {param: actual[k] for k, param in params.items()}
        builder().splice(rename(resolved(program.block(scope, ()), program.resolve), values))
        raise Unreachable(raised.check)
    block = _sized(resolved(program.block(scope, atoms), program.resolve), list(params.values()))
    closed = captures(block, list(params.values()))
    function = Function((*closed, *params.values()), block, getattr(f, "__name__", "f"))
    positions = tuple(range(len(closed), len(closed) + len(params)))
    return Subprogram(function, (*closed, *actual.values()), positions, result, outs)


def _call(f: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Unreachable | None]:
    """f's result, or how it certainly ends."""
    try:
        return runtime.call(f, *args, **kwargs), None
    except Unreachable as e:
        require_here(e)
        return None, e


def captures(block: Block, params: Sequence[Var]) -> list[Var]:
    """What a block with these parameters reads from outside, sizes before the arrays that have them."""
    read = free(block, params)
    extents = [a for v in (*params, *read) for a in type_atoms(v.type) if isinstance(a, Var) and a not in params]
    outer = dict.fromkeys([*extents, *read])
    return sorted(outer, key=lambda v: isinstance(v.type, Array))


def _sized(block: Block, params: Sequence[Var]) -> Block:
    """The block with the arithmetic of the sizes that it reads from outside, so that passes know what is true of them.

    A size that the type of a parameter or result mentions comes from outside all the same.
    """
    age = {size: k for k, size in enumerate(current().top)}
    made: dict[Var, tuple[str, tuple[Atom, ...]]] = {}
    for (name, args), size in current().sizes.items():
        if isinstance(size, Var) and all(isinstance(a, Literal) or age[a] < age[size] for a in args):
            made.setdefault(size, (name, args))
    read = free(block, params)
    typed = {a for v in (*params, *read, *block.outs) if isinstance(v, Var) for a in type_atoms(v.type)}
    env: dict[Var, Atom] = {}
    lets: list[Let] = []

    def define(size: Atom) -> Atom:
        if not isinstance(size, Var) or size not in made or size in typed:
            return size
        if size not in env:
            name, args = made[size]
            env[size] = new = Var(size.type, size.hint)
            lets.append(Let((new,), Prim(name, tuple(map(define, args)))))
        return env[size]

    for v in read:
        define(v)
    inner = rename(block, env) if env else block
    return Block((*lets, *inner.lets), inner.outs)


def _apart(leaves: Sequence[Any]) -> list[Any]:
    """The same values, arrays in cells of their own: what is written inside isn't seen outside."""
    cells: dict[Cell, Storage] = {}

    def view(x: Any) -> Any:
        if not isinstance(x, Arr) or x.cell is None:
            return x
        if x.cell not in cells:
            cells[x.cell] = Storage(current().cell(current().contents(x.cell), x.dtype))
        return type(x)(cells[x.cell], x.shape_, x.at, x.prefix, x.readonly)

    return [view(x) for x in leaves]


def require_float(leaf: Any, what: str) -> None:
    """Raise unless a leaf can have a derivative."""
    if not is_numeric(leaf):
        raise error(TypeError, f"{what} is {type(leaf).__name__}, not a number or an array: it has no derivative")
    dtype = numeric(leaf).dtype
    if dtype.kind not in "fc":
        raise error(TypeError, f"{what} has dtype {dtype}, and only floating-point values have derivatives")


def require_like(value: Any, model: Any, what: str) -> Any:
    """A tangent or cotangent of `model`: its shape (checked, when the program runs if need be) and its dtype."""
    if value.dtype.kind == "c" and model.dtype.kind != "c":
        raise error(TypeError, f"{what} has dtype {value.dtype} where {model.dtype} is needed")
    if value.ndim != model.ndim:
        raise error(ValueError, f"{what} has {value.ndim} axes where {model.ndim} are needed")
    for m, n in zip(value.shape, model.shape, strict=True):
        require_same(m, n, f"{what} has the wrong shape")
    return value if value.dtype == model.dtype else value.astype(model.dtype)

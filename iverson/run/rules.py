"""What the rules of `iv.custom_jvp` and `iv.custom_vjp` are made of: blocks staged apart, with results made to fit.

A result whose lengths the function computes has them as results too: `Results` knows which, `Results.conform` gives
what a rule returned in the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from iverson.core.build import extents_of
from iverson.core.rewrite import lookup, rename_type, type_atoms
from iverson.core.syntax import I64, Atom, Block, Function, Scalar, Var
from iverson.lang import state
from iverson.lang.inner import Subprogram, captures, is_numeric, like, numeric
from iverson.lang.num import Num
from iverson.lang.resolve import resolved
from iverson.lang.shapes import atoms, certainly_differ, extent_atom, from_atom, require_same
from iverson.lang.staging import Scope, current
from iverson.lang.values import Arr, generate, materialise
from iverson.run.leaves import is_inexact

Problem: TypeAlias = Callable[[str, type[BaseException]], BaseException]  # (what is wrong, kind) -> the error


@dataclass
class Staged:
    """A block with parameters, and names from outside that it reads."""

    block: Block
    params: tuple[Var, ...]
    name: str

    @cached_property
    def closed(self) -> list[Var]:
        return captures(self.block, self.params)

    def function(self, closed: Sequence[Var]) -> Function:
        """As a function, with these names from outside as its first parameters."""
        return Function((*closed, *self.params), self.block, self.name)


def staged(scope: Scope, body: Callable[[], Sequence[Atom]], params: Sequence[Var], name: str) -> Staged:
    """Stage a body apart."""
    program = current()
    with program.scope(scope):
        outs = tuple(body())
    block = resolved(program.block(scope, outs), program.resolve)
    return Staged(block, tuple(params), name if name.isidentifier() else "rule")


class Results:
    """The numeric leaves of what a call returned."""

    def __init__(self, sub: Subprogram, own: Sequence[Var]) -> None:
        self.sub, self.own = sub, tuple(own)
        outs = sub.function.body.outs
        known = {*sub.function.params}
        lengths = {n: (k, axis) for k, o in enumerate(outs) for axis, n in enumerate(extents_of(o))}
        self.places = {n: at for n, at in lengths.items() if isinstance(n, Var) and n not in known}
        self.sizes = list(self.places)  # the lengths that are computed

    def primal(self) -> Staged:
        """The call itself, with the computed lengths as its first results."""
        body = self.sub.function.body
        return Staged(Block(body.lets, (*self.sizes, *body.outs)), self.own, self.sub.function.name)

    def variables(self, env: dict[Var, Atom]) -> tuple[Var, ...]:
        """Names for lengths and results, where the parameters are what `env` says."""
        env = dict(env)
        fresh = [Var(Scalar(I64), "n") for _ in self.sizes]
        env.update(zip(self.sizes, fresh, strict=True))
        return (*fresh, *(Var(rename_type(o.type, env), "y") for o in self.sub.function.body.outs))

    def floats(self, variables: Sequence[Var]) -> list[Var]:
        """Those of `variables` that are results with derivatives."""
        results = variables[len(self.sizes) :]
        return [v for v, x in zip(results, self.sub.outs, strict=True) if is_inexact(x)]

    def cotangent(self, params: Sequence[Var]) -> Any:
        """A cotangent: in the structure of the result, None for what has no derivative."""
        leaves, spec = state.flatten(self.sub.result)
        fresh = iter(params)
        tree: list[Any] = [None] * len(leaves)
        for k, x in zip(self.sub.numeric_positions(), self.sub.outs, strict=True):
            if is_inexact(x):
                tree[k] = like(x, next(fresh)).conj()
        return state.unflatten(spec, tree)

    def conform(self, tree: Any, params: Sequence[Var], problem: Problem) -> list[Atom]:
        """A rule's own result: lengths and leaves as atoms of the types that the function's have."""
        leaves = self._leaves(tree, problem)
        values = [_number(leaf, x, problem) for leaf, x in zip(leaves, self.sub.outs, strict=True)]
        env: dict[Var, Atom] = dict(zip(self.own, params, strict=True))
        for n, (k, axis) in self.places.items():
            env[n] = extent_atom(values[k].shape[axis])
        outs: list[Atom] = [env[n] for n in self.sizes]
        for v, o, x in zip(values, self.sub.function.body.outs, self.sub.outs, strict=True):
            shape = tuple(from_atom(lookup(n, env)) for n in extents_of(o)[: x.ndim])
            outs.append(_shaped(v, shape, problem))
        return outs

    def conform_tangents(self, tree: Any, outs: Sequence[Atom], problem: Problem) -> list[Atom]:
        """A rule's tangent of the results `outs`, as atoms."""
        results = outs[len(self.sizes) :]
        leaves = self._leaves(tree, problem)
        return [
            fitted(leaf, like(x, o), problem)
            for leaf, x, o in zip(leaves, self.sub.outs, results, strict=True)
            if is_inexact(x)
        ]

    def _leaves(self, tree: Any, problem: Problem) -> list[Any]:
        """The leaves where the result has numbers and arrays."""
        leaves, spec = state.flatten(tree)
        wanted = state.flatten(self.sub.result)[1]
        if spec != wanted:
            raise problem(f"of the structure {structure(spec)}, not {structure(wanted)}", TypeError)
        return [leaves[k] for k in self.sub.numeric_positions()]


class Residuals:
    """What a forward rule hands to the backward rule; arguments, results and names from outside are not handed on."""

    def __init__(self, tree: Any) -> None:
        leaves, self.spec = state.flatten(tree)
        self.leaves = [numeric(x) if is_numeric(x) else x for x in leaves]
        self.numbers = [k for k, x in enumerate(leaves) if is_numeric(x)]
        self.atoms = [materialise(self.leaves[k]) for k in self.numbers]

    def split(self, forward: Staged) -> Staged:
        """The forward rule with what is handed on, and its lengths, after its results."""
        count = len(forward.block.outs) - len(self.atoms)
        self.forward, self.results = forward, forward.block.outs[:count]
        self.atoms = list(forward.block.outs[count:])
        made = {v for let in forward.block for v in let.vars}.difference(self.results)
        kept = list(dict.fromkeys(a for a in self.atoms if a in made))
        lengths = (n for v in kept for n in type_atoms(v.type) if n in made and n not in kept)
        self.kept = [*dict.fromkeys(lengths), *kept]
        return Staged(Block(forward.block.lets, (*self.results, *self.kept)), forward.params, forward.name)

    def parameters(self, params: Sequence[Var], results: Sequence[Var]) -> list[Var]:
        """Parameters of the backward rule for what is handed on."""
        self.env: dict[Var, Atom] = dict(zip(self.forward.params, params, strict=True))
        self.env.update((r, v) for r, v in zip(self.results, results, strict=True) if r not in self.env)
        for v in self.kept:
            self.env[v] = Var(rename_type(v.type, self.env), v.hint)
        return [self.env[v] for v in self.kept]  # type: ignore[misc]

    def tree(self) -> Any:
        """The residuals in the backward rule."""
        leaves = list(self.leaves)
        for k, a in zip(self.numbers, self.atoms, strict=True):
            leaves[k] = like(leaves[k], lookup(a, self.env))
        return state.unflatten(self.spec, leaves)


def structure(spec: Any) -> str:
    """The structure of a pytree, for messages: {'a': *} for a dict with one leaf."""
    return str(spec).removeprefix("PyTreeSpec(").removesuffix(")").removesuffix(", NoneIsLeaf")


# --- values that fit --------------------------------------------------------------------------------------------------


def fitted(value: Any, model: Any, problem: Problem, cotangent: bool = False) -> Atom:
    """A tangent or cotangent of `model` as an atom of its type; None is zero for cotangents."""
    if value is None and cotangent:
        return materialise(generate(model.shape, lambda *_: model.dtype.type(0), model.dtype))
    x = _number(value, model, problem)
    return _shaped(x.conj() if cotangent else x, model.shape, problem)


def _number(value: Any, model: Any, problem: Problem) -> Any:
    """A value of the dtype of `model`, and as many axes."""
    if not is_numeric(value):
        raise problem(f"that is {'None' if value is None else f'a {type(value).__name__}'}, not a number", TypeError)
    x = numeric(value)
    if x.ndim != model.ndim:
        raise problem(f"of shape {_shown(x.shape)}, not {_shown(model.shape)}", ValueError)
    if x.dtype == model.dtype:
        return x
    if isinstance(x, Num) and x.weak and not (x.dtype.kind == "c" and model.dtype.kind != "c"):
        return x.astype(model.dtype)
    raise problem(f"of dtype {x.dtype}, not {model.dtype}", TypeError)


def _shaped(x: Any, shape: tuple[Any, ...], problem: Problem) -> Atom:
    """An array of this very shape, checked when the program runs where that isn't known now."""
    for m, n in zip(x.shape, shape, strict=True):
        if certainly_differ(m, n):
            raise problem(f"of shape {_shown(x.shape)}, not {_shown(shape)}", ValueError)
        require_same(m, n, str(problem("of another shape", ValueError)).splitlines()[0])
    if isinstance(x, Arr) and atoms(x.shape) != atoms(shape):
        x = generate(shape, lambda *i: x.read(i), x.dtype)
    return materialise(x)


def _shown(shape: Sequence[Any]) -> str:
    lengths = ", ".join(str(n) if isinstance(n, int) else "n" for n in shape)
    return f"({lengths},)" if len(shape) == 1 else f"({lengths})"

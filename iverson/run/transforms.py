"""grad, vjp, jvp and their kin: derivatives of Python functions as Python functions.

A transformed function is staged where it is called: inside another staged program its derivative becomes part of that
program; called with arrays, it is compiled on first call and cached, as `iv.jit` does.  So transforms compose in any
order and to any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any

import numpy as np

from iverson.core.build import dtype_of, extents_of
from iverson.core.syntax import Atom, Var
from iverson.lang import state
from iverson.lang.calls import call
from iverson.lang.errors import error
from iverson.lang.inner import Subprogram, numeric, require_float, require_like, subprogram, value_of
from iverson.lang.staging import active
from iverson.lang.values import Arr, materialise
from iverson.run import derive, foreign
from iverson.run.jit import Derived, Jit

Argnums = int | Sequence[int]


# --- reverse mode -----------------------------------------------------------------------------------------------------


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, tape: str = "auto"
) -> Callable[..., Any]:
    """A function that gives (f(...), the gradient of f(...) with respect to the arguments `argnums`).

    f must return a floating-point scalar (with `has_aux`: a pair of it and anything else, and the value given is that
    pair).  The gradient has the structure of the argument, or is a tuple if `argnums` is one.  Transforms never write
    the caller's arrays.

    Raises TypeError for an argument or a result that isn't floating-point.

    >>> iv.value_and_grad(lambda x: sum(v**2 for v in x))(np.array([1.0, 2.0]))
    (5.0, array([2., 4.]))

    Method: reverse mode without a tape of operations (Schenck et al., SC 2022), notes in iverson/diff/reverse.py.
    """
    _require_auto(tape)

    def stage(*args: Any, **kwargs: Any) -> Any:
        chosen = _Chosen(args, argnums)
        sub = subprogram(f, args, kwargs, chosen.leaves)
        _require_scalar(sub, f, has_aux)
        outs = derive.apply(sub, "gradient")
        count = len(sub.function.body.outs)
        return sub.rebuild(outs[:count]), chosen.like(outs[count:])

    return Derived(stage, f, "value and gradient")


def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, tape: str = "auto") -> Callable[..., Any]:
    """A function that gives the gradient alone, or with `has_aux` (gradient, second result); see value_and_grad.

    >>> iv.grad(lambda x: x**3)(2.0)
    12.0
    """
    both = value_and_grad(f, argnums, has_aux, tape)

    def stage(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return Derived(stage, f, "gradient")


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """(f(*primals), pullback): pullback(cotangent of the result) gives the cotangent of each primal, as a tuple.

    Outside of a staged program the pullback runs f again, on a copy of the primals as they are now.
    """
    if active():
        return _vjp(f, *primals)
    held = _copies(primals)
    pull = _kept(_pullback, f)
    return _kept(functional_call, f)(*primals), lambda cotangent: pull(held, cotangent)


def _pullback(f: Callable[..., Any]) -> Callable[..., Any]:
    return Derived(lambda primals, cotangent: _vjp(f, *primals)[1](cotangent), f, "pullback")


def _vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    chosen = _Chosen(primals, range(len(primals)))
    sub = subprogram(f, primals, {}, chosen.leaves)
    out = sub.rebuild(sub.apply(sub.function))

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        seeds = [materialise(c) for c in _float_leaves(cotangent, sub, "the cotangent")]
        outs = derive.apply(sub, "vjp", lambda added: _with_extents(added, seeds))
        return chosen.like(outs[len(sub.function.body.outs) :])  # type: ignore[no-any-return]

    return out, pullback


# --- forward mode -----------------------------------------------------------------------------------------------------


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(f(*primals), its directional derivative along `tangents`), by forward mode.

    >>> iv.jvp(np.sin, (0.0,), (1.0,))
    (0.0, 1.0)
    """
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise TypeError(f"jvp takes one tangent per primal: {len(primals)} primals, {len(tangents)} tangents")
    if active():
        return _jvp(f, primals, tangents)
    return _kept(_pushforward, f)(primals, tangents)  # type: ignore[no-any-return]


def _pushforward(f: Callable[..., Any]) -> Callable[..., Any]:
    return Derived(lambda p, t: _jvp(f, p, t), f, "jvp")


def _jvp(f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    chosen = _Chosen(primals, range(len(primals)))
    sub = subprogram(f, primals, {}, chosen.leaves)
    given, structure = state.flatten(tangents)
    if structure != state.flatten(primals)[1]:
        raise error(TypeError, "the tangents must have the structure of the primals")
    directions = [require_like(numeric(given[k]), numeric(chosen.values[k]), "a tangent") for k in chosen.leaves]
    outs = derive.apply(sub, "jvp", lambda _: [materialise(t) for t in directions])
    count = len(sub.function.body.outs)
    return sub.rebuild(outs[:count]), _tangent_tree(sub, outs[count:])


def jacfwd(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The Jacobian of f by forward mode, one product per input: best for few inputs.

    Every floating-point leaf of the result becomes an array [shape of the leaf..., shape of the argument...] (for an
    argument that is a pytree, or several `argnums`: that structure of arrays).
    """
    return _jacobian(f, argnums, "jacfwd", "Jacobian by forward mode")


def jacrev(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The Jacobian of f by reverse mode, one product per output: best for few outputs.  See jacfwd."""
    return _jacobian(f, argnums, "jacrev", "Jacobian by reverse mode")


def _jacobian(f: Callable[..., Any], argnums: Argnums, rule: str, what: str) -> Callable[..., Any]:
    def stage(*args: Any, **kwargs: Any) -> Any:
        chosen = _Chosen(args, argnums)
        sub = subprogram(f, args, kwargs, chosen.leaves)
        outs = iter(derive.apply(sub, rule))
        blocks = [[next(outs) for _ in chosen.leaves] if _is_float(x) else None for x in sub.outs]
        return sub.map_outs(lambda k: None if blocks[k] is None else chosen.like(blocks[k]))

    return Derived(stage, f, what)


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The Hessian of a scalar function, forward over reverse mode."""
    return jacfwd(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A function of (x, v) that gives the Hessian of f at x, times v: forward over reverse, O(1) times f's work."""
    gradient = grad(f)
    return Derived(lambda x, v: _jvp(gradient, (x,), (v,))[1], f, "Hessian-vector product")


def _kept(transform: Callable[..., Any], f: Callable[..., Any]) -> Callable[..., Any]:
    """transform(f), the one made before if there is one: what has been compiled is found again."""
    return _recent(transform, f) if isinstance(f, FunctionType | Jit) else transform(f)  # type: ignore[no-any-return]


@lru_cache(64)
def _recent(transform: Callable[..., Any], f: Callable[..., Any]) -> Callable[..., Any]:
    return transform(f)  # type: ignore[no-any-return]


# --- the pieces -------------------------------------------------------------------------------------------------------


class _Chosen:
    """The leaves of the arguments that are differentiated."""

    def __init__(self, args: Sequence[Any], argnums: Argnums | Iterable[int]) -> None:
        self.single = isinstance(argnums, int)
        wanted = [argnums] if isinstance(argnums, int) else list(argnums)
        for k in wanted:
            if not -len(args) <= k < len(args):
                raise error(TypeError, f"argnums has {k}, but there are {len(args)} positional arguments")
        self.specs, self.leaves, self.values = [], [], state.flatten(tuple(args))[0]
        starts = np.cumsum([0, *(len(state.flatten(a)[0]) for a in args)])
        for k in wanted:
            leaves, spec = state.flatten(args[k])
            for leaf in leaves:
                require_float(leaf, f"argument {k % len(args)}")
            self.specs.append(spec)
            self.leaves += range(starts[k % len(args)], starts[k % len(args)] + len(leaves))

    def like(self, atoms: Sequence[Atom]) -> Any:
        """Atoms, one per leaf, in the structure of the chosen arguments."""
        values = iter([value_of(a) for a in atoms])
        trees = tuple(state.unflatten(s, [next(values) for _ in range(s.num_leaves)]) for s in self.specs)
        return trees[0] if self.single else trees


def _require_scalar(sub: Subprogram, f: Callable[..., Any], has_aux: bool) -> None:
    """Raise unless the first out is the floating-point scalar that a gradient needs."""
    name = getattr(f, "__name__", "f")
    if has_aux and not (isinstance(sub.result, tuple) and len(sub.result) == 2):
        raise error(TypeError, f"with has_aux, {name} must return a pair (value, anything)")
    value = sub.result[0] if has_aux else sub.result
    if value is None:
        raise error(TypeError, f"{name} returns None; its gradient needs a floating-point scalar (see iv.functional)")
    if isinstance(value, tuple | list | dict):
        raise error(TypeError, f"{name} returns a {type(value).__name__}; its gradient needs a floating-point scalar")
    first = numeric(value)
    if first.shape != ():
        raise error(TypeError, f"{name} returns an array of shape {first.shape}; its gradient needs a scalar: sum it, "
                               f"or use iv.jacrev")  # fmt: skip
    if first.dtype.kind != "f":
        raise error(TypeError, f"{name} returns {first.dtype}; its gradient needs a floating-point scalar")


def _float_leaves(tree: Any, sub: Subprogram, what: str) -> list[Any]:
    """The leaves of `tree` that stand for the floating-point outs, checked against them."""
    leaves, spec = state.flatten(tree)
    if spec != state.flatten(sub.result)[1]:
        raise error(TypeError, f"{what} must have the structure of the result")
    positions = sub.numeric_positions()
    return [require_like(numeric(leaves[p]), x, what) for p, x in zip(positions, sub.outs, strict=True) if _is_float(x)]


def _tangent_tree(sub: Subprogram, tangents: Sequence[Atom]) -> Any:
    fresh = iter(tangents)
    values = [value_of(next(fresh)) if _is_float(x) else None for x in sub.outs]
    return sub.map_outs(lambda k: values[k])


def _with_extents(params: Sequence[Var], seeds: Sequence[Atom]) -> list[Atom]:
    """The arguments for cotangent parameters and the extents among them."""
    arrays = [p for p in params if dtype_of(p).is_float]
    actual: dict[Atom, Atom] = dict(zip(arrays, seeds, strict=True))
    for p, seed in zip(arrays, seeds, strict=True):
        actual.update(zip(extents_of(p), extents_of(seed), strict=True))
    return [actual[p] for p in params]


def _is_float(x: Any) -> bool:
    return bool(x.dtype.kind == "f")


def _copies(tree: Any) -> Any:
    leaves, spec = state.flatten(tree)
    return state.unflatten(spec, [foreign.copy(x) for x in leaves])


def functional_call(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, never writing the caller's arrays."""

    def stage(*args: Any, **kwargs: Any) -> Any:
        apart = [k for k, x in enumerate(state.flatten((args, kwargs))[0]) if isinstance(x, Arr)]
        sub = subprogram(f, args, kwargs, apart)
        return sub.rebuild(sub.apply(sub.function))

    return Derived(stage, f, "call")


def functional(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives (result, finals) and writes nothing: `finals` is the tuple of the arrays among the
    arguments that f mutates, in order, with their final contents.

    It makes a function that mutates its arguments one that can be differentiated:

    >>> iv.grad(lambda x: iv.functional(step)(x)[1][0].sum())(x)
    """

    def stage(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = state.flatten((args, kwargs))
        cells = {k: value_of(materialise(x)) for k, x in enumerate(leaves) if isinstance(x, Arr) and x.ndim}
        before = {k: materialise(x) for k, x in cells.items()}
        own_args, own_kwargs = state.unflatten(spec, [cells.get(k, x) for k, x in enumerate(leaves)])
        result = call(f, *own_args, **own_kwargs)
        return result, tuple(x for k, x in cells.items() if materialise(x) is not before[k])

    return Derived(stage, f, "functional")


def _require_auto(tape: str) -> None:
    if tape != "auto":
        raise NotImplementedError(f"tape={tape!r} isn't available yet: only tape='auto' is")

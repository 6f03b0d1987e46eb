"""What transforms do with the leaves of arguments and results: which are differentiated, and what stands for them.

A complex number z = x + iy is a pair of reals.  A tangent is a number of the same kind.  A cotangent pairs with it as
Re(c t), without conjugation: it is the pair (Re c, -Im c), so that for a holomorphic f the cotangent of z is c f'(z).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from iverson.core.syntax import Atom
from iverson.lang import state
from iverson.lang.calls import call
from iverson.lang.errors import error
from iverson.lang.inner import Subprogram, numeric, require_float, require_like, value_of
from iverson.lang.values import materialise

Argnums = int | Sequence[int]


class Chosen:
    """The leaves of the arguments that are differentiated."""

    def __init__(self, args: Sequence[Any], argnums: Argnums | Iterable[int], holomorphic: bool = False) -> None:
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
                if holomorphic and numeric(leaf).dtype.kind != "c":
                    raise error(TypeError, f"with holomorphic=True argument {k % len(args)} must be complex")
            self.specs.append(spec)
            self.leaves += range(starts[k % len(args)], starts[k % len(args)] + len(leaves))
        self.dtypes = [numeric(self.values[k]).dtype for k in self.leaves]

    def like(self, values: Sequence[Any]) -> Any:
        """Values, one per leaf, in the structure of the chosen arguments."""
        rest = iter(values)
        trees = tuple(state.unflatten(s, [next(rest) for _ in range(s.num_leaves)]) for s in self.specs)
        return trees[0] if self.single else trees

    def cotangents(self, atoms: Sequence[Atom]) -> Any:
        """Adjoints, one per leaf, in the structure of the chosen arguments."""
        return self.like([value_of(a, d).conj() for a, d in zip(atoms, self.dtypes, strict=True)])


def is_inexact(x: Any) -> bool:
    """Whether a value has a derivative: floats and complex numbers."""
    return x.dtype.kind in "fc"


def require_pair(result: Any, f: Callable[..., Any]) -> tuple[Any, Any]:
    """Raise unless f returned (value, aux)."""
    if not (isinstance(result, tuple) and len(result) == 2):
        name = getattr(f, "__name__", "f")
        raise error(TypeError, f"with has_aux, {name} must return a pair (value, anything)")
    return result


def require_scalar(result: Any, f: Callable[..., Any], has_aux: bool, holomorphic: bool) -> None:
    """Raise unless what f returned is the scalar that a gradient needs."""
    name, needs = getattr(f, "__name__", "f"), "a complex scalar" if holomorphic else "a floating-point scalar"
    value = require_pair(result, f)[0] if has_aux else result
    if value is None:
        raise error(TypeError, f"{name} returns None; its gradient needs {needs} (see iv.functional)")
    if isinstance(value, tuple | list | dict):
        raise error(TypeError, f"{name} returns a {type(value).__name__}; its gradient needs {needs}")
    first = numeric(value)
    if first.shape != ():
        axes = f"{first.ndim} ax{'i' if first.ndim == 1 else 'e'}s"
        raise error(TypeError, f"{name} returns an array of {axes}; its gradient needs a scalar: sum it, "
                               f"or use iv.jacrev")  # fmt: skip
    if first.dtype.kind == "c" and not holomorphic:
        raise error(TypeError, f"{name} returns {first.dtype}; its gradient needs a real scalar: take .real, or say "
                               f"holomorphic=True if it has a complex derivative")  # fmt: skip
    if first.dtype.kind != ("c" if holomorphic else "f"):
        raise error(TypeError, f"{name} returns {first.dtype}; its gradient needs {needs}")


def with_real_part(f: Callable[..., Any], has_aux: bool) -> Callable[..., Any]:
    """f with the real parts of its result before what it returns: their gradient is the derivative if f has one."""

    def real(x: Any) -> Any:
        return numeric(x).real if hasattr(x, "dtype") else x

    def both(*args: Any, **kwargs: Any) -> Any:
        result = call(f, *args, **kwargs)
        leaves, tree = state.flatten(require_pair(result, f)[0] if has_aux else result)
        return state.unflatten(tree, [real(x) for x in leaves]), result

    return both


def cotangents(tree: Any, sub: Subprogram) -> list[Atom]:
    """The leaves of a cotangent of the result that stand for outs with derivatives, checked against them."""
    leaves, spec = state.flatten(tree)
    if spec != state.flatten(sub.result)[1]:
        raise error(TypeError, "the cotangent must have the structure of the result")
    found = []
    for p, x in zip(sub.numeric_positions(), sub.outs, strict=True):
        if is_inexact(x):
            found.append(materialise(require_like(numeric(leaves[p]), x, "the cotangent").conj()))
    return found


def tangent_tree(sub: Subprogram, tangents: Sequence[Atom], scale: float = 1.0) -> Any:
    """Tangents, times `scale`, in the structure of the result; None for what has no derivative."""
    fresh = iter(tangents)
    values: list[Any] = [value_of(next(fresh), x.dtype) if is_inexact(x) else None for x in sub.outs]
    if scale != 1.0:
        values = [None if x is None else x * scale for x in values]
    return sub.map_outs(lambda k: values[k])

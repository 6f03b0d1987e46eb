"""grad, vjp, jvp and their kin: derivatives of Python functions as Python functions.

A transformed function is staged where it is called: inside another staged program its derivative becomes part of that
program; called with arrays, it is compiled on first call and cached, as `iv.jit` does.  So transforms compose in any
order and to any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any

from iverson.diff.adjoints import with_extents
from iverson.diff.tape import Policy
from iverson.lang import state
from iverson.lang.calls import call
from iverson.lang.errors import error
from iverson.lang.inner import numeric, require_like, subprogram, value_of
from iverson.lang.staging import active
from iverson.lang.values import Arr, materialise
from iverson.run import derive, foreign
from iverson.run.budget import Budgeted
from iverson.run.jit import Derived, Jit
from iverson.run.leaves import (
    Argnums,
    Chosen,
    cotangents,
    require_pair,
    require_scalar,
    tangent_tree,
    with_real_part,
)
from iverson.run.sampling import option_of, sampling
from iverson.run.tape import Tape, policy, unplanned
from iverson.run.variance import Targeted

# --- reverse mode -----------------------------------------------------------------------------------------------------


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, tape: Tape = "auto", holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that gives (f(...), the gradient of f(...) with respect to the arguments `argnums`).

    f must return a floating-point scalar (with `has_aux`: a pair of it and anything else, and the value given is that
    pair).  The gradient has the structure of the argument, or is a tuple if `argnums` is one.  Transforms never write
    the caller's arrays.  With respect to a complex argument z = x + iy it is df/dx - i df/dy; `holomorphic` says that f
    is a complex function with a complex derivative, which it is then.

    `tape` says what is kept from the forward sweep: "auto", "store", "recompute", or an option of `iv.tape`.

    Raises TypeError for an argument or a result that isn't floating-point, ValueError for another `tape`.

    >>> iv.value_and_grad(lambda x: sum(v**2 for v in x))(np.array([1.0, 2.0]))
    (5.0, array([2., 4.]))

    Method: reverse mode without a tape of operations (Schenck et al., SC 2022), notes in iverson/diff/reverse.py.
    """
    return _reverse("value and gradient", lambda pair: pair, f, argnums, has_aux, tape, holomorphic)


def grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, tape: Tape = "auto", holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient alone, or with `has_aux` (gradient, second result); see value_and_grad.

    >>> iv.grad(lambda x: x**3)(2.0)
    12.0
    """

    def alone(pair: tuple[Any, Any]) -> Any:
        value, gradient = pair
        return (gradient, value[1]) if has_aux else gradient

    return _reverse("gradient", alone, f, argnums, has_aux, tape, holomorphic)


def _reverse(
    what: str,
    result: Callable[[tuple[Any, Any]], Any],
    f: Callable[..., Any],
    argnums: Argnums,
    has_aux: bool,
    tape: Tape,
    holomorphic: bool,
) -> Callable[..., Any]:
    """A function that gives a part of (value, gradient)."""
    told, option = policy(tape), option_of(tape)
    targeted = option is not None and option.variance is not None
    g = f if targeted else sampling(tape, f)

    def stage(
        told: Policy, numbers: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any], g: Callable[..., Any] = g
    ) -> Any:
        chosen = Chosen(args, argnums, holomorphic)
        sub = subprogram(with_real_part(g, has_aux) if holomorphic else g, args, kwargs, chosen.leaves)
        require_scalar(sub.result[1] if holomorphic else sub.result, f, has_aux, holomorphic)
        outs = derive.apply(sub, "gradient", policy=told, numbers=[materialise(numeric(n)) for n in numbers])
        count = len(sub.function.body.outs)
        value = sub.rebuild(outs[:count])
        return value[1] if holomorphic else value, chosen.cotangents(outs[count:])

    if targeted:
        if told.budget is not None:
            raise ValueError("a budget and a variance are two answers to how much is kept: say one of them")
        assert option is not None

        def at(*args: Any, **kwargs: Any) -> Any:
            *own, (part, key) = args
            return stage(told, (), tuple(own), kwargs, sampling(option.at(part, key), f))

        return Targeted(Derived(at, f, what), option, f, result, what)
    if told.budget is None:
        return Derived(lambda *args, **kwargs: result(stage(told, (), args, kwargs)), f, what)

    def make(planned: Policy) -> Jit:
        return Derived(lambda *args, **kwargs: result(stage(planned, args[-1], args[:-1], kwargs)), f, what)

    return Budgeted(make, told, f, what)


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False, tape: Tape = "auto") -> tuple[Any, ...]:
    """(f(*primals), pullback): pullback(cotangent of the result) gives the cotangent of each primal, as a tuple.

    With `has_aux` f returns (result, anything), and it is (result, pullback, anything).  Outside of a staged program
    the pullback runs f again, on a copy of the primals as they are now.

    >>> out, pullback = iv.vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> pullback(1.0)
    (3.0, 2.0)
    """
    if active():
        return _vjp(sampling(tape, f), primals, has_aux, unplanned(tape))
    held = foreign.copies(primals)
    pull = kept(_pullback, sampling(tape, f), has_aux, unplanned(tape))
    out, *aux = kept(_value, f, has_aux)(*primals)
    return out, lambda cotangent: pull(held, cotangent), *aux


def _pullback(f: Callable[..., Any], has_aux: bool, told: Policy) -> Callable[..., Any]:
    return Derived(lambda primals, cotangent: _vjp(f, primals, has_aux, told)[1](cotangent), f, "pullback")


def _value(f: Callable[..., Any], has_aux: bool) -> Callable[..., Any]:
    """f's result in a tuple, or the pair that it is with `has_aux`."""
    value = functional_call(f)

    def stage(*args: Any) -> Any:
        return require_pair(value(*args), f) if has_aux else (value(*args),)

    return Derived(stage, f, "call")


def _vjp(f: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool, told: Policy) -> tuple[Any, ...]:
    chosen = Chosen(primals, range(len(primals)))
    sub = subprogram(f, primals, {}, chosen.leaves)
    head = sub.head(require_pair(sub.result, f)[0]) if has_aux else sub
    out, *aux = sub.rebuild(sub.apply(sub.function)) if has_aux else (sub.rebuild(sub.apply(sub.function)),)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        seeds = cotangents(cotangent, head)
        outs = derive.apply(head, "vjp", lambda added: with_extents(added, seeds), told)
        return chosen.cotangents(outs[len(head.function.body.outs) :])  # type: ignore[no-any-return]

    return out, pullback, *aux


def linear_transpose(f: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple[Any, ...]]:
    """The transpose of a linear function: of a cotangent of its result, the cotangent of each argument, as a tuple.

    Of `primals` only structure, shapes and dtypes matter.  Complex numbers are not conjugated.  Raises TypeError if the
    transpose depends on the primals: then f isn't linear.

    >>> iv.linear_transpose(lambda x: np.array([2.0, 3.0]) * x, 1.0)(np.array([1.0, 10.0]))
    (32.0,)
    """
    if active():
        return lambda cotangent: _transposed(f, primals, cotangent)
    held = foreign.copies(primals)
    transpose = kept(_transpose, f)
    return lambda cotangent: transpose(held, cotangent)  # type: ignore[no-any-return]


def _transpose(f: Callable[..., Any]) -> Callable[..., Any]:
    return Derived(lambda primals, cotangent: _transposed(f, primals, cotangent), f, "transpose")


def _transposed(f: Callable[..., Any], primals: tuple[Any, ...], cotangent: Any) -> tuple[Any, ...]:
    chosen = Chosen(primals, range(len(primals)))
    sub = subprogram(f, primals, {}, chosen.leaves)
    seeds = cotangents(cotangent, sub)
    try:
        outs = derive.apply(sub, "transpose", lambda added: with_extents(added, seeds))
    except TypeError as problem:
        raise error(TypeError, str(problem)) from None
    return chosen.cotangents(outs)  # type: ignore[no-any-return]


# --- forward mode -----------------------------------------------------------------------------------------------------


def jvp(
    f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """(f(*primals), its directional derivative along `tangents`), by forward mode.

    With `has_aux` f returns (result, anything), and it is (result, derivative, anything).

    >>> iv.jvp(np.sin, (0.0,), (1.0,))
    (0.0, 1.0)
    """
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise TypeError(f"jvp takes one tangent per primal: {len(primals)} primals, {len(tangents)} tangents")
    if active():
        return _jvp(f, primals, tangents, has_aux)
    return kept(_pushforward, f, has_aux)(primals, tangents)  # type: ignore[no-any-return]


def _pushforward(f: Callable[..., Any], has_aux: bool) -> Callable[..., Any]:
    return Derived(lambda p, t: _jvp(f, p, t, has_aux), f, "jvp")


def _jvp(
    f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], has_aux: bool = False
) -> tuple[Any, ...]:
    chosen = Chosen(primals, range(len(primals)))
    sub = subprogram(f, primals, {}, chosen.leaves)
    given, structure = state.flatten(tangents)
    if structure != state.flatten(primals)[1]:
        raise error(TypeError, "the tangents must have the structure of the primals")
    directions = [require_like(numeric(given[k]), numeric(chosen.values[k]), "a tangent") for k in chosen.leaves]
    outs = derive.apply(sub, "jvp", lambda _: [materialise(t) for t in directions])
    count = len(sub.function.body.outs)
    value, tangent = sub.rebuild(outs[:count]), tangent_tree(sub, outs[count:])
    if not has_aux:
        return value, tangent
    out, aux = require_pair(value, f)
    return out, tangent[0], aux


def kept(transform: Callable[..., Any], f: Callable[..., Any], *options: Any) -> Callable[..., Any]:
    """transform(f), the one made before if there is one: what has been compiled is found again."""
    if isinstance(f, FunctionType | Jit):
        return _recent(transform, f, *options)
    return transform(f, *options)  # type: ignore[no-any-return]


@lru_cache(64)
def _recent(transform: Callable[..., Any], f: Callable[..., Any], *options: Any) -> Callable[..., Any]:
    return transform(f, *options)  # type: ignore[no-any-return]


# --- without derivatives ----------------------------------------------------------------------------------------------


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
        cells = {k: value_of(materialise(x), x.dtype) for k, x in enumerate(leaves) if isinstance(x, Arr) and x.ndim}
        before = {k: materialise(x) for k, x in cells.items()}
        own_args, own_kwargs = state.unflatten(spec, [cells.get(k, x) for k, x in enumerate(leaves)])
        result = call(f, *own_args, **own_kwargs)
        return result, tuple(x for k, x in cells.items() if materialise(x) is not before[k])

    return Derived(stage, f, "functional")

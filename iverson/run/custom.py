"""`iv.custom_jvp` and `iv.custom_vjp`: functions whose derivative is given by a rule.

A call in a program that is differentiated is one statement (`core/custom.py`), which carries the staged function and
its staged rules; elsewhere it is the function itself.  Rules are ordinary functions: they may read what is around them,
call the function that they belong to, and are differentiated themselves for higher orders.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

from iverson.core.custom import CUSTOM, Custom
from iverson.core.syntax import Array, Let, Library, Site, Var
from iverson.lang import state
from iverson.lang.calls import call
from iverson.lang.errors import error, site
from iverson.lang.inner import Inside, is_numeric, like, numeric, subprogram
from iverson.lang.staging import Each, active, builder, current
from iverson.run.leaves import is_inexact
from iverson.run.rules import Problem, Residuals, Results, Staged, fitted, staged, structure

Nondiff = int | Sequence[int]


class Plain(Each):
    """The body of a function with a rule: what is differentiated around it doesn't look inside."""

    refusal = Inside.refusal


class Rule(Each):
    """The body of a rule of a function."""

    refusal = "a rule writes an array from outside of it: return the values instead"

    def __init__(self, of: _Custom, backward: bool = False) -> None:
        super().__init__()
        self.of = of
        self.backward = backward


class _Custom:
    """A function with a derivative of its own."""

    needs = ""

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Nondiff = ()) -> None:
        if not callable(f):
            raise TypeError(f"a rule is for a function, not for {type(f).__name__}")
        self.f = f
        self.nondiff = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        self.rules: tuple[Callable[..., Any], ...] = ()
        update_wrapper(self, f, updated=())

    @property
    def name(self) -> str:
        return getattr(self.f, "__name__", "f")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__iverson_stage__(args, kwargs) if active() else self.f(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound, as functions are."""
        return self if instance is None else _Bound(self, instance)

    def __repr__(self) -> str:
        return f"<{self.name} with a derivative of its own>"

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inside, own = self._around()
        if not inside:
            return call(self.f, *args, **kwargs)
        if not self.rules:
            raise error(AttributeError, f"{self.name} has no rule yet: give it one with {self.needs}")
        # forward mode transposes backward rules: that is one derivative more
        orders = inside + any(rule.backward for rule in own)
        return self._statement(self._positional(args, kwargs), len(own) < orders)

    def _around(self) -> tuple[int, list[Rule]]:
        """How often what is staged here may be differentiated, and in which of the function's own rules it is."""
        inside, own = 0, []
        for scope in reversed(current().scopes):
            if isinstance(scope, Plain):
                break
            inside += scope.orders if isinstance(scope, Inside) else 0
            if isinstance(scope, Rule) and scope.of is self:
                own.append(scope)
        return inside, own

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, defaults filled in."""
        try:
            bound = inspect.signature(self.f).bind(*args, **kwargs)
        except ValueError:
            return args
        bound.apply_defaults()
        if bound.kwargs:
            raise error(TypeError, f"{self.name} has a derivative of its own, and takes arguments by position only")
        return bound.args

    def _statement(self, args: tuple[Any, ...], rules: bool) -> Any:
        """The call as one statement."""
        nondiff = {k % len(args) for k in self.nondiff if -len(args) <= k < len(args)}
        places, at = [], 0
        for k, x in enumerate(args):
            leaves = state.flatten(x)[0]
            places += [at + j for j, leaf in enumerate(leaves) if k not in nondiff and is_numeric(leaf)]
            at += len(leaves)
        sub = subprogram(self.f, args, {}, places, scope=Plain())
        count = len(sub.args) - len(places)
        made = _Call(self, args, nondiff, places, Results(sub, sub.function.params[count:]))
        parts = {"primal": made.results.primal(), **(self._rules(made) if rules else {})}
        closed = list(dict.fromkeys(v for part in parts.values() for v in part.closed))
        closed.sort(key=lambda v: isinstance(v.type, Array))
        functions = {key: part.function(closed) for key, part in parts.items()}
        wrt = tuple(len(closed) + k for k, m in enumerate(made.models) if is_inexact(m))
        why = (
            "" if rules else f"the rule of {self.name} would have to be differentiated once more than it is told to be"
        )
        custom = Custom(self.name, functions.pop("primal"), wrt, why=why, **functions)
        actual = (*closed, *sub.args[count:])
        bound = made.results.variables(dict(zip(custom.primal.params, actual, strict=True)))
        b = builder()
        b.let(Let(bound, Library(CUSTOM, actual, (("of", custom),)), site()))
        return sub.rebuild(bound[len(made.results.sizes) :])

    def _rules(self, made: _Call) -> dict[str, Staged]:
        raise NotImplementedError


class _Bound:
    """A method with a rule, bound to its object."""

    def __init__(self, function: _Custom, instance: Any) -> None:
        self.__func__, self.__self__ = function, instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.__func__.__iverson_stage__((self.__self__, *args), kwargs)


class _Call:
    """What the rules of one call are staged on."""

    def __init__(
        self, of: _Custom, args: tuple[Any, ...], nondiff: set[int], places: Sequence[int], results: Results
    ) -> None:
        self.of, self.args, self.nondiff, self.places, self.results = of, args, nondiff, places, results
        leaves = state.flatten(args)[0]
        self.models = [numeric(leaves[k]) for k in places]
        self.fixed = tuple(args[k] for k in sorted(nondiff))

    def arguments(self, params: Sequence[Var]) -> tuple[Any, ...]:
        """The arguments, their numbers and arrays being these parameters."""
        leaves, spec = state.flatten(self.args)
        for k, model, p in zip(self.places, self.models, params, strict=True):
            leaves[k] = like(model, p)
        return state.unflatten(spec, leaves)  # type: ignore[no-any-return]

    def primals(self, params: Sequence[Var]) -> tuple[Any, ...]:
        """The arguments that are differentiated."""
        return tuple(x for k, x in enumerate(self.arguments(params)) if k not in self.nondiff)

    def tangents(self, params: Sequence[Var]) -> tuple[Any, ...]:
        """Tangents of those: of each float leaf a parameter, else None."""
        leaves, spec = state.flatten(self.args)
        fresh = iter(params)
        found: list[Any] = [None] * len(leaves)
        for k, model in zip(self.places, self.models, strict=True):
            if is_inexact(model):
                found[k] = like(model, next(fresh))
        tree = state.unflatten(spec, found)
        return tuple(x for k, x in enumerate(tree) if k not in self.nondiff)

    def fresh(self, hint: str) -> tuple[Var, ...]:
        """New parameters for the arguments."""
        return tuple(Var(p.type, hint) for p in self.results.own)

    def problem(self, rule: Callable[..., Any], gives: str) -> Problem:
        """Errors about what a rule gives."""
        name, code = getattr(rule, "__name__", "the rule"), getattr(rule, "__code__", None)
        at = Site(code.co_filename, code.co_firstlineno, name) if code else None
        return lambda what, kind: error(kind, f"{name}, a rule of {self.of.name}, {gives}{what}", at)


def _kind(x: Any) -> str:
    if is_numeric(x):
        return "an array" if numeric(x).ndim else "a number"
    return "None" if x is None else f"a {type(x).__name__}"


class custom_jvp(_Custom):
    """A function whose derivative is a rule for tangents, given by `defjvp` or `defjvps`.

    `nondiff_argnums` are the numbers of arguments that are not differentiated, functions for example.  The rule is
    linear in the tangents, and so serves reverse mode too: its transpose is taken.  Called with arrays, outside of a
    program, it is the function itself.

    Raises AttributeError where it is differentiated without a rule, TypeError and ValueError that name the rule where
    that returns something of another structure, shape or dtype.

    >>> @iv.custom_jvp
    ... def log1pexp(x):
    ...     return np.log(1.0 + np.exp(x))
    >>> @log1pexp.defjvp
    ... def log1pexp_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t * (1.0 - 1.0 / (1.0 + np.exp(x)))
    >>> iv.grad(log1pexp)(100.0)
    1.0

    Names and meaning are JAX's.
    """

    needs = "defjvp"

    def defjvp(self, jvp: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule: jvp(*nondiff arguments, primals, tangents) gives (result, its tangent)."""
        self.rules = (jvp,)
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Set a rule an argument: jvp(tangent, result, *primals) gives its part of the tangent; None for no part."""
        if self.nondiff:
            raise TypeError("defjvps is not for functions with nondiff_argnums: use defjvp")

        def jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
            if len(jvps) != len(primals):
                raise error(TypeError, f"{self.name} has {len(jvps)} rules, but there are {len(primals)} arguments")
            out = self(*primals)
            parts = [
                call(rule, t, out, *primals)
                for rule, t in zip(jvps, tangents, strict=True)
                if rule is not None and t is not None
            ]
            leaves, spec = state.flatten(out)
            total = [numeric(x) * 0 if is_numeric(x) and is_inexact(numeric(x)) else None for x in leaves]
            for part in parts:
                total = [None if a is None else a + b for a, b in zip(total, state.flatten(part)[0], strict=True)]
            return out, state.unflatten(spec, total)

        self.rules = (jvp, *(rule for rule in jvps if rule is not None))

    def _rules(self, made: _Call) -> dict[str, Staged]:
        rule, primals = self.rules[0], made.fresh("x")
        tangents = [Var(p.type, "dx") for p, m in zip(primals, made.models, strict=True) if is_inexact(m)]

        def body() -> list[Any]:
            result = call(rule, *made.fixed, made.primals(primals), made.tangents(tangents))
            if not (isinstance(result, tuple | list) and len(result) == 2):
                raise made.problem(rule, "must return a pair (result, tangent of the result)")("", TypeError)
            outs = made.results.conform(result[0], primals, made.problem(rule, "gives a result "))
            return [*outs, *made.results.conform_tangents(result[1], outs, made.problem(rule, "gives a tangent "))]

        return {"jvp": staged(Rule(self), body, (*primals, *tangents), f"{self.name}_jvp")}


class custom_vjp(_Custom):
    """A function whose derivative is a rule for cotangents, given by `defvjp`.

    `nondiff_argnums` are the numbers of arguments that are not differentiated, functions for example.  The backward
    rule is linear in the cotangent, and so serves forward mode too: its transpose is taken.  Called with arrays,
    outside of a program, it is the function itself.

    Raises AttributeError where it is differentiated without a rule, TypeError and ValueError that name the rule where
    that returns something of another structure, shape or dtype.

    >>> @iv.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    >>> iv.grad(lambda x: 5.0 * clipped(x))(2.0)
    1.0

    Names and meaning are JAX's.
    """

    needs = "defvjp"

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set the rules: fwd(*arguments) gives (result, residuals); bwd(*nondiff arguments, residuals, cotangent of the
        result) a tuple with a cotangent for each differentiated argument, None for zeros."""
        self.rules = (fwd, bwd)

    def _rules(self, made: _Call) -> dict[str, Staged]:
        fwd, bwd = self.rules
        primals, kept = made.fresh("x"), []

        def forward() -> list[Any]:
            result = call(fwd, *made.arguments(primals))
            if not (isinstance(result, tuple | list) and len(result) == 2):
                raise made.problem(fwd, "must return a pair (result, residuals)")("", TypeError)
            kept[:] = [Residuals(result[1])]
            return [
                *made.results.conform(result[0], primals, made.problem(fwd, "gives a result ")), *kept[0].atoms
            ]  # fmt: skip

        first = staged(Rule(self), forward, primals, f"{self.name}_fwd")
        (residuals,) = kept
        first = residuals.split(first)
        params = made.fresh("x")
        results = made.results.variables(dict(zip(made.results.own, params, strict=True)))
        handed = residuals.parameters(params, results)
        cotangents = [Var(v.type, "ct") for v in made.results.floats(results)]

        def backward() -> list[Any]:
            given = call(bwd, *made.fixed, residuals.tree(), made.results.cotangent(cotangents))
            return self._adjoints(made, bwd, given, params)

        second = staged(Rule(self, True), backward, (*params, *results, *handed, *cotangents), f"{self.name}_bwd")
        return {"forward": first, "backward": second}

    def _adjoints(self, made: _Call, bwd: Callable[..., Any], given: Any, params: Sequence[Var]) -> list[Any]:
        """What the backward rule gives for each float leaf of the arguments."""
        primals = made.primals(params)
        if not isinstance(given, tuple | list) or len(given) != len(primals):
            what = f"a tuple of {len(given)}" if isinstance(given, tuple | list) else _kind(given)
            needs = f"must return a tuple with a cotangent for each of {len(primals)} arguments, not {what}"
            raise made.problem(bwd, needs)("", TypeError)
        numbers = [k for k in range(len(made.args)) if k not in made.nondiff]
        adjoints = []
        for k, x, ct in zip(numbers, primals, given, strict=True):
            problem = made.problem(bwd, f"gives for argument {k} a cotangent ")
            leaves, spec = state.flatten(x)
            parts, found = state.flatten(ct)
            if ct is None:
                parts, found = [None] * len(leaves), spec
            if found != spec:
                raise problem(f"of the structure {structure(found)}, not {structure(spec)}", TypeError)
            for leaf, part in zip(leaves, parts, strict=True):
                if is_numeric(leaf) and is_inexact(numeric(leaf)):
                    adjoints.append(fitted(part, numeric(leaf), problem, cotangent=True))
        return adjoints

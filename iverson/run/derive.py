"""Derivatives that wait: a transformed call is staged as one statement, and transformed only when it is compiled.

    y..., x̄... = derivative args  of=(gradient, f, wrt)      ->      the body of reverse.gradient(f, wrt) on args

What a derivative binds is known without making it, so a staged program is small, and the disk cache is asked before any
differentiation or optimisation is done.  Where the types of the results depend on what f computes (a result of
data-dependent length) the derivative is made at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from iverson.core.build import dtype_of, extents_of, make_type, stacked
from iverson.core.custom import CUSTOM, Custom, inlined, mapped
from iverson.core.rewrite import rename_type, statements
from iverson.core.show import show
from iverson.core.sketch import identity
from iverson.core.syntax import I64, Array, Atom, Function, Let, Library, Literal, Scalar, Type, Var
from iverson.diff import compressed, dependence, forward, jacobian, reverse
from iverson.diff.tape import AUTO, Policy, plain
from iverson.lang.inner import Subprogram
from iverson.lang.staging import builder
from iverson.opt.pipeline import prepare

NAME = "derivative"
TAPED: dict[str, Callable[[Function, Sequence[int], Policy], Function]] = {
    "gradient": reverse.gradient,
    "vjp": reverse.vjp,
    "jacrev": jacobian.jacrev,
    "rows": compressed.rows,
}
SAMPLED = ("gradient", "vjp")  # those in which sketches are taken; others are exact
RULES: dict[str, Callable[[Function, Sequence[int]], Function]] = {
    "jvp": forward.jvp,
    "jacfwd": jacobian.jacfwd,
    "columns": compressed.columns,
    "dependence": dependence.dependence,
    "transpose": reverse.transpose,
}


@dataclass(frozen=True, eq=False)
class Derivative:
    """A rule, and what it is to be applied to."""

    rule: str
    function: Function
    wrt: tuple[int, ...]
    policy: Policy = AUTO

    def __repr__(self) -> str:
        tape = "" if self.policy == AUTO else f" {self.policy!r}"
        return f"{self.rule}{tape} {list(self.wrt)} of {show(self.function, sites=True, types=True)}"

    @cached_property
    def made(self) -> Function:
        """The rule applied."""
        return self.taken(True)

    def taken(self, reassociate: bool) -> Function:
        """The rule applied to the function with its sums in any order, or as they are written."""
        f = differentiable(self.function, reassociate)
        if self.rule not in SAMPLED:
            f = identity(f)
        return TAPED[self.rule](f, self.wrt, self.policy) if self.rule in TAPED else RULES[self.rule](f, self.wrt)

    def types(self) -> list[Type] | None:
        """The types of the results of a rule that adds no parameters; None if they depend on what is computed."""
        outs = [o.type for o in self.function.body.outs]
        known = set(self.function.params)
        if not all(isinstance(e, Literal) or e in known for t in outs if isinstance(t, Array) for e in t.extents):
            return None
        floats = [o for o in self.function.body.outs if dtype_of(o).is_float]
        inputs = [self.function.params[k] for k in self.wrt]
        if self.rule == "gradient":
            return [*outs, *(p.type for p in inputs)]
        return [_block(o, p) for o in floats for p in inputs]


def _block(out: Atom, parameter: Var) -> Type:
    """The type of the Jacobian of an out in a parameter."""
    if not (extents_of(out) or extents_of(parameter)):
        return out.type
    return stacked(extents_of(out), make_type(dtype_of(out), extents_of(parameter)))


def apply(
    sub: Subprogram,
    rule: str,
    arguments: Callable[[Sequence[Var]], Sequence[Atom]] | None = None,
    policy: Policy = AUTO,
    numbers: Sequence[Atom] = (),
) -> list[Atom]:
    """The results of a rule applied to a subprogram, where the builder stands.

    `arguments` gives the atoms for the parameters that the rule adds to the function's own; without it there are none.
    `numbers` are those that a plan of the tape needs.
    """
    if numbers:
        more = tuple(Var(Scalar(I64), "plan") for _ in numbers)
        function = replace(sub.function, params=(*sub.function.params, *more))
        sub = replace(sub, function=function, args=(*sub.args, *numbers))
    derivative = Derivative(rule, sub.function, sub.active, policy)
    types = derivative.types() if arguments is None else None
    if types is None:
        made = derivative.made
        added = made.params[len(sub.function.params) :]
        return list(sub.apply(made, arguments(added) if arguments else ()))
    env = dict(zip(sub.function.params, sub.args, strict=True))
    results = tuple(Var(rename_type(t, env)) for t in types)
    builder().let(Let(results, Library(NAME, sub.args, (("of", derivative),)), builder().site))
    return list(results)


def jet(sub: Subprogram, order: int, coefficients: Sequence[Atom]) -> list[Atom]:
    """The results of Taylor mode, made at once."""
    made = forward.jet(identity(differentiable(sub.function)), sub.active, order)
    return list(sub.apply(made, coefficients))


def expand(f: Function, reassociate: bool = True) -> Function:
    """The function with its derivatives made, and functions with derivatives of their own as what they compute."""
    return identity(plain(inlined_customs(f, reassociate)))


def inlined_customs(f: Function, reassociate: bool = True) -> Function:
    """The same with what is said to reverse mode of its values."""
    return _replaced(f, (NAME, CUSTOM), reassociate)


def differentiable(f: Function, reassociate: bool = True) -> Function:
    """The function with its derivatives made, as it should be differentiated; so are the rules that it carries."""

    def ready(let: Let, c: Custom) -> Let:
        assert isinstance(let.op, Library)
        exact = c.map(lambda rule: identity(differentiable(rule, reassociate)))
        return Let(let.vars, Library(CUSTOM, let.op.args, (("of", exact),)), let.site)

    f = _replaced(f, (NAME,), reassociate)
    return prepare(replace(f, body=mapped(f.body, ready)) if _has(f, CUSTOM) else f, reassociate)


def _has(f: Function, *names: str) -> bool:
    return any(isinstance(let.op, Library) and let.op.name in names for let in statements(f.body))


def _replaced(f: Function, names: Sequence[str], reassociate: bool) -> Function:
    """The function with the statements of these names replaced by what they stand for."""

    def meaning(op: Library) -> Function | None:
        of = dict(op.params).get("of") if op.name in names else None
        if isinstance(of, Derivative):
            return of.made if reassociate else of.taken(False)
        return of.primal if isinstance(of, Custom) else None

    return inlined(f, meaning) if _has(f, *names) else f

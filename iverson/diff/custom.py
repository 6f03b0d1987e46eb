"""Functions with a derivative of their own: the rule is used in either mode, whichever mode it was written for.

    pushforward (x, ẋ)       the jvp; or of a backward rule B, linear in ȳ:    y, r = forward x;  ẏ = Bᵀ(x, y, r) ẋ
    backward (x, y, r, ȳ)    the backward rule; or of a jvp J, linear in ẋ:    x̄ = Jᵀ(x) ȳ,  r = ()

Bᵀ and Jᵀ are what reverse mode makes of B and J.  In forward mode the statement becomes a call of the pushforward.  In
reverse mode it becomes one that also gives the residuals: a step like any other, whose results are kept, and whose
return sweep is the backward function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from iverson.core.build import Builder, dtype_of, extents_of
from iverson.core.custom import RECORDED, Custom, custom, inlined, mapped
from iverson.core.dce import dce
from iverson.core.rewrite import fresh_all, rename, rename_function
from iverson.core.syntax import Atom, Function, Let, Library, Site, Var
from iverson.diff.activity import is_float, unruled
from iverson.diff.adjoints import Frame, with_extents
from iverson.diff.residuals import Step
from iverson.diff.sweep import Sweep

Transpose = Callable[[Function, Sequence[int]], Function]


def require_rules(c: Custom, args: Sequence[Atom], active: set[Var], site: Site | None) -> None:
    """Raise unless the rules are all there is to the derivative."""
    if c.why:
        raise NotImplementedError(c.why + _at(site))
    if unruled(c, args, active).intersection(c.primal.body.outs):
        raise TypeError(
            f"{c.name} has a derivative of its own, which says nothing about a value from outside of it (or one of "
            "nondiff_argnums) that depends on what is differentiated: pass it as an argument, or mark it with "
            "iv.stop_gradient" + _at(site)
        )


def _at(site: Site | None) -> str:
    return f"\n  at {site.file}:{site.line}, in {site.function}" if site else ""


# --- forward mode -----------------------------------------------------------------------------------------------------


def pushforward(c: Custom, transpose: Transpose, site: Site | None) -> Function:
    """(args, a tangent of each of `wrt`) -> (outs, the tangent of each float out)."""
    if c.jvp is not None:
        return c.jvp
    assert c.forward is not None and c.backward is not None
    b = Builder()
    forward = rename_function(c.forward)
    args = forward.params
    results = b.splice(forward.body)
    outs = results[: len(c.primal.body.outs)]
    tangents = [Var(args[k].type, "t") for k in c.wrt]
    cotangents = range(len(args) + len(results), len(c.backward.params))
    made = _transposed(c, c.backward, cotangents, transpose, site)
    zeros = [b.zeros(extents_of(o), dtype_of(o)) for o in outs if is_float(o)]
    pushed = b.splice(rename(made.body, dict(zip(made.params, (*args, *results, *zeros, *tangents), strict=True))))
    return b.function((*args, *tangents), (*outs, *pushed), f"{c.name}_jvp")


def _transposed(c: Custom, rule: Function, wrt: Sequence[int], transpose: Transpose, site: Site | None) -> Function:
    """The transpose of a rule that is linear in the parameters `wrt`."""
    try:
        return transpose(rule, wrt)
    except TypeError:
        what = (
            "jvp rule of {} is not linear in the tangents"
            if c.jvp
            else "backward rule of {} is not linear in the cotangent"
        )
        raise TypeError(
            f"the {what.format(c.name)}: only the mode of differentiation that it is for can use it" + _at(site)
        ) from None


# --- reverse mode -----------------------------------------------------------------------------------------------------


def recorded(function: Function, active: set[Var], transpose: Transpose) -> Function:
    """The function with its active custom statements made ones that also give their residuals."""

    def change(let: Let, c: Custom) -> Let:
        assert isinstance(let.op, Library)
        if not any(v in active for v in let.vars):
            return let
        args, count = let.op.args, len(let.vars)
        require_rules(c, args, active, let.site)
        c = _with_backward(c, transpose, let.site)
        assert c.forward is not None
        outs = c.forward.body.outs
        env: dict[Var, Atom] = dict(zip(c.forward.params, args, strict=True))
        env.update((o, v) for o, v in zip(outs, let.vars, strict=False) if isinstance(o, Var))
        residuals = fresh_all(tuple(map(_variable, outs[count:])), env)
        return Let((*let.vars, *residuals), Library(RECORDED, args, (("of", c),)), let.site)

    return replace(function, body=mapped(function.body, change))


def _variable(atom: Atom) -> Var:
    return atom if isinstance(atom, Var) else Var(atom.type, "r")


def _with_backward(c: Custom, transpose: Transpose, site: Site | None) -> Custom:
    """The function with a forward and a backward rule."""
    if c.jvp is None:
        return c
    made = rename_function(c.jvp)
    count, outs = len(c.primal.params), len(c.primal.body.outs)
    forward = dce(replace(made, params=made.params[:count], body=replace(made.body, outs=made.body.outs[:outs])))
    tangents = replace(c.jvp, body=replace(c.jvp.body, outs=c.jvp.body.outs[outs:]))
    wrt = range(count, count + len(c.wrt))
    transposed = _transposed(c, tangents, wrt, transpose, site)
    b = Builder()
    env: dict[Var, Atom] = {}
    args = fresh_all(c.primal.params, env)
    results = tuple(_variable(o) for o in c.primal.body.outs)
    results = fresh_all(results, env)
    cotangents = [Var(v.type, "ct") for v in results if is_float(v)]
    zeros = [b.zeros(extents_of(args[k]), dtype_of(args[k])) for k in c.wrt]
    seeds = with_extents(transposed.params[count + len(c.wrt) :], cotangents)
    adjoints = b.splice(rename(transposed.body, dict(zip(transposed.params, (*args, *zeros, *seeds), strict=True))))
    backward = b.function((*args, *results, *cotangents), adjoints, f"{c.name}_vjp")
    return replace(c, jvp=None, forward=forward, backward=backward)


def unrecorded(function: Function) -> Function:
    """The function with the statements that give residuals replaced by the forward rules that they stand for."""

    def forward(op: Library) -> Function | None:
        c = custom(op)
        return c.forward if c is not None and op.name == RECORDED else None

    return inlined(function, forward)


def ruled(s: Sweep, frame: Frame, step: Step) -> None:
    """The return sweep of a custom statement."""
    assert isinstance(step.let.op, Library)
    c = custom(step.let.op)
    if c is None or step.let.op.name != RECORDED:
        return
    assert c.backward is not None
    outs = step.let.vars[: len(c.primal.body.outs)]
    grads = [s.take(frame, v) for v in outs if is_float(v)]
    if all(g is None for g in grads):
        return
    floats = [v for v in outs if is_float(v)]
    seeds = [s.zeros(frame, v) if g is None else g for v, g in zip(floats, grads, strict=True)]
    actual = (*map(frame.at, step.let.op.args), *map(frame.at, step.let.vars), *seeds)
    body = rename(c.backward.body, dict(zip(c.backward.params, actual, strict=True)))
    for k, adjoint in zip(c.wrt, s.b.splice(body), strict=True):
        s.add(frame, step.let.op.args[k], adjoint)

"""What the derivative tests share: programs as data, and the oracles their derivatives are held against.

complex step           J x, by the evaluator on complex inputs; exact to rounding for analytic programs
transpose identity     <Jᵀ ȳ, ẋ> = <ȳ, J ẋ>
counts                 work and copied elements of value and gradient beside those of the primal
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iverson.core.build import Builder, extents_of
from iverson.core.check import check
from iverson.core.dce import dce
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, Function, Literal, Scalar, Var
from iverson.diff.activity import is_float
from iverson.diff.forward import jvp
from iverson.diff.reverse import gradient, vjp

STEP = 1e-30


def size(hint: str = "n") -> Var:
    return Var(Scalar(I64), hint)


def real(hint: str = "x") -> Var:
    return Var(Scalar(F64), hint)


def array(*extents: Any, hint: str = "x", dtype: Any = F64) -> Var:
    return Var(Array(dtype, tuple(e if isinstance(e, Var | Literal) else Literal(e, I64) for e in extents)), hint)


def program(params: Sequence[Var], body: Callable[[Builder], Any], name: str = "f") -> Function:
    b = Builder()
    return b.function(params, body(b), name)


@dataclass(frozen=True)
class Ratio:
    work: float
    copied: int


def float_params(f: Function) -> list[int]:
    return [k for k, p in enumerate(f.params) if is_float(p)]


_RECENT: OrderedDict[tuple[Any, ...], tuple[Function, Function]] = OrderedDict()


def derived(derive: Callable[..., Function], f: Function, *args: Sequence[int]) -> Function:
    """What is derived of a program, found well formed; made once for the checks that follow one another."""
    key = derive, id(f), *map(tuple, args)
    if key not in _RECENT:
        made = derive(f, *args)
        check(made)
        _RECENT[key] = f, made  # the program, too: its id is its own as long as it lives
        if len(_RECENT) > 16:
            _RECENT.popitem(last=False)
    return _RECENT[key][1]


def tangents(values: Sequence[Any], wrt: Sequence[int], seed: int = 0) -> dict[int, Any]:
    rng = np.random.default_rng(seed)
    return {k: rng.standard_normal(np.shape(values[k])) for k in wrt}


def along(f: Function, values: Sequence[Any], direction: dict[int, Any]) -> list[Any]:
    """J ẋ for each out, by the complex step."""
    stepped = [v + 1j * STEP * direction[k] if k in direction else v for k, v in enumerate(values)]
    return [np.imag(y) / STEP for y in evaluate(f, stepped).values]


def dot(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    return float(sum(np.sum(np.asarray(x) * np.asarray(y)) for x, y in zip(xs, ys, strict=True)))


def check_gradient(f: Function, values: Sequence[Any], wrt: Sequence[int] | None = None, rtol: float = 1e-9) -> Ratio:
    """Value and gradient against the program and the complex step; the ratio of their work beyond in- and outputs."""
    wrt = float_params(f) if wrt is None else wrt
    g = derived(gradient, f, wrt)
    primal, got = evaluate(derived(dce, f), values), evaluate(g, values)
    count = len(primal.values)
    for a, b in zip(primal.values, got.values[:count], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12)
    adjoints = got.values[count:]
    for seed in range(2):
        direction = tangents(values, wrt, seed)
        want = along(f, values, direction)[0]
        have = dot(adjoints, [direction[k] for k in wrt])
        np.testing.assert_allclose(have, want, rtol=rtol, atol=1e-10)
    ends = sum(np.size(v) for v in (*values, *primal.values))
    return Ratio(max(0, got.cost.work - ends) / max(1, primal.cost.work), got.cost.copied)


def cotangent_arguments(f: Function, cotangents: Sequence[Any]) -> list[Any]:
    """The arguments of a vjp after the primal's: each cotangent after its extents that the primal computes."""
    given: list[Any] = []
    floats = [o for o in f.body.outs if is_float(o)]
    for out, ct in zip(floats, cotangents, strict=True):
        extents = zip(extents_of(out), np.shape(ct), strict=True)
        given += [m for e, m in extents if isinstance(e, Var) and e not in f.params]
        given.append(ct)
    return given


def check_vjp(f: Function, values: Sequence[Any], rtol: float = 1e-9) -> Ratio:
    """The transpose identity, for all float inputs and outs at once; the ratio of the work beyond in- and outputs."""
    wrt = float_params(f)
    primal = evaluate(derived(dce, f), values)
    outs = primal.values
    floats = [k for k, o in enumerate(f.body.outs) if is_float(o)]
    rng = np.random.default_rng(1)
    cotangents = [rng.standard_normal(np.shape(outs[k])) for k in floats]
    pulled = derived(vjp, f, wrt)
    given = [*values, *cotangent_arguments(f, cotangents)]
    result = evaluate(pulled, given)
    got = result.values[len(outs) :]
    direction = tangents(values, wrt, 2)
    forward = along(f, values, direction)
    want = dot(cotangents, [forward[k] for k in floats])
    np.testing.assert_allclose(dot(got, [direction[k] for k in wrt]), want, rtol=rtol, atol=1e-10)
    ends = sum(np.size(v) for v in (*given, *outs))
    return Ratio(max(0, result.cost.work - ends) / max(1, primal.cost.work), result.cost.copied)


def check_second(f: Function, values: Sequence[Any], rtol: float = 1e-7) -> Ratio:
    """Reverse over reverse: <gradient, u> pulled back is H u by the complex step of the gradient (so H is symmetric).

    The ratio is to the work of value and gradient.
    """
    wrt = float_params(f)
    g = derived(gradient, f, wrt)
    pulled = derived(vjp, g, wrt)
    first, count = evaluate(derived(dce, g), values), len(f.body.outs)
    u = tangents(values, wrt, 4)
    floats = [k for k, o in enumerate(g.body.outs) if is_float(o)]
    cotangents = [np.zeros(np.shape(first.values[k])) if k < count else u[wrt[k - count]] for k in floats]
    given = [*values, *cotangent_arguments(g, cotangents)]
    second = evaluate(pulled, given)
    for got, want in zip(second.values[len(first.values) :], along(g, values, u)[count:], strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-8)
    ends = sum(np.size(v) for v in (*given, *first.values))
    return Ratio(max(0, second.cost.work - ends) / max(1, first.cost.work), second.cost.copied)


def check_jvp(f: Function, values: Sequence[Any], rtol: float = 1e-9) -> float:
    """Tangents against the complex step; the ratio of the work."""
    wrt = float_params(f)
    pushed = derived(jvp, f, wrt)
    direction = tangents(values, wrt, 3)
    result = evaluate(pushed, [*values, *(direction[k] for k in wrt)])
    want = along(f, values, direction)
    floats = [k for k, o in enumerate(f.body.outs) if is_float(o)]
    for k, t in zip(floats, result.values[len(f.body.outs) :], strict=True):
        np.testing.assert_allclose(t, want[k], rtol=rtol, atol=1e-10)
    return result.cost.work / max(1, evaluate(derived(dce, f), values).cost.work)

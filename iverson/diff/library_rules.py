"""The derivatives of library operations, one row each: products and orders here, the others in files of their own.

y = op(a) op(b)       ẏ = op(ȧ) op(b) + op(a) op(ḃ);     op(a)‾ = ȳ op(b)',  op(b)‾ = op(a)' ȳ
y = sort(x)           what moves with the elements, in their order
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iverson.core.build import extents_of
from iverson.core.syntax import Atom, Library, Var
from iverson.diff import decomposition_rules, solve_rules
from iverson.diff.rules import Call, Maybe, Rule


def differentiable(op: Library) -> list[Atom]:
    """The arguments of an operation that its results depend on; of one without a rule, all."""
    return [op.args[k] for k in RULES[op.name].arguments] if op.name in RULES else [*op.args]


def rule(op: Library) -> Rule:
    if op.name not in RULES:
        raise NotImplementedError(f"the derivative of the library operation {op.name!r} is not defined")
    return RULES[op.name]


def _is_vector(x: Atom) -> bool:
    return len(extents_of(x)) == 1


def _matmul_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    _as_staged(call)
    m, (a, b) = call.m, call.args
    da, db = tangents
    left, right = call.params["transpose_a"], call.params["transpose_b"]
    terms = [None if da is None else m.mul(da, b, left, right), None if db is None else m.mul(a, db, left, right)]
    if _is_vector(a) and _is_vector(b):
        scalars = [t for t in terms if t is not None]
        return [scalars[0] if len(scalars) == 1 else m.o.add(*scalars)]
    return [call.sum(terms)]


def _as_staged(call: Call) -> None:
    if call.params["triangle_a"] or call.params["triangle_b"] or call.params["scale"] != 1.0:
        raise NotImplementedError("a derivative is taken before products have scales and triangles")


def _matmul_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    _as_staged(call)
    m, (a, b) = call.m, call.args
    (g,) = adjoints
    assert g is not None
    left, right = call.params["transpose_a"], call.params["transpose_b"]
    grads: list[Maybe] = [None, None]
    if wanted[0]:
        if _is_vector(a) and _is_vector(b):
            grads[0] = m.scale(g, b)
        elif _is_vector(b):
            grads[0] = m.outer(b, g) if left else m.outer(g, b)
        elif _is_vector(a):
            grads[0] = m.mul(b, g, left=right)
        else:
            grads[0] = m.mul(b, g, right, True) if left else m.mul(g, b, right=not right)
    if wanted[1]:
        if _is_vector(a) and _is_vector(b):
            grads[1] = m.scale(g, a)
        elif _is_vector(a):
            grads[1] = m.outer(g, a) if right else m.outer(a, g)
        elif _is_vector(b):
            grads[1] = m.mul(a, g, left=not left)
        else:
            grads[1] = m.mul(g, a, True, left) if right else m.mul(a, g, left=not left)
    return grads


def _sort_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    b, (dx,) = call.m.b, tangents
    assert dx is not None
    order = call.m.library("argsort", call.args[0])
    return [b.map(extents_of(dx), lambda *i: b.read(dx, *i[:-1], b.read(order, *i, safe=True), safe=True))]


def _sort_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    b, (g,) = call.m.b, adjoints
    assert g is not None
    order = call.m.library("argsort", call.args[0])

    def back(acc: Var) -> tuple[Atom, ...]:
        def element(*i: Var) -> tuple[Atom, ...]:
            b.contribute(acc, (*i[:-1], b.read(order, *i, safe=True)), b.read(g, *i, safe=True), safe=True)
            return ()

        b.for_(extents_of(g), element, ())
        return ()

    return [b.accumulate([("set", [call.m.zeros(g)])], back)[0]]


def _fft_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    assert tangents[0] is not None
    return [call.m.library("fft", tangents[0], **call.params)]


def _fft_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    assert adjoints[0] is not None
    return [call.m.library("fft", adjoints[0], inverse=not call.params["inverse"])]


def _constant(call: Call, *_: object) -> Sequence[Maybe]:
    return [None]


RULES: Mapping[str, Rule] = {
    "matmul": Rule((0, 1), _matmul_jvp, _matmul_vjp),
    "sort": Rule((0,), _sort_jvp, _sort_vjp),
    "fft": Rule((0,), _fft_jvp, _fft_vjp),
    "mapped": Rule((), _constant, _constant),
    **solve_rules.RULES,
    **decomposition_rules.RULES,
}

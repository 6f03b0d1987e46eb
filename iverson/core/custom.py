"""Statements that stand for functions: a call, and a function with a derivative of its own.

    y... = custom args  of=Custom(primal, rules)       primal(args), with the derivative that the rules say
    y..., r... = recorded args  of=Custom              forward(args): what it becomes where reverse mode needs residuals
    y... = call args    of=Function                    its body on args; it has no derivative as it stands

They are rows of no table: `inlined` replaces them before a program is evaluated or compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from iverson.core.rewrite import fresh_all, lookup, map_op, rename, rename_type, retype
from iverson.core.show import show
from iverson.core.syntax import Atom, Block, Function, Let, Library, Op, Scalar, Var

CUSTOM, RECORDED, CALL = "custom", "recorded", "call"


@dataclass(frozen=True, eq=False)
class Custom:
    """A function and its derivative, as core functions whose first parameters are all those of `primal`.

    primal      args -> outs
    jvp         args, tangents -> outs, the tangent of each float out
    forward     args -> outs, residuals
    backward    args, outs, residuals, a cotangent of each float out -> an adjoint for each of `wrt`

    Tangents and adjoints are those of the parameters `wrt`; the rules say nothing about the others.  There is a jvp, or
    a forward and a backward, or neither: a function whose derivative may not be asked for, `why` says why.
    """

    name: str
    primal: Function
    wrt: tuple[int, ...]
    jvp: Function | None = None
    forward: Function | None = None
    backward: Function | None = None
    why: str = ""

    def __repr__(self) -> str:
        parts = [f for f in (self.primal, self.jvp, self.forward, self.backward) if f is not None]
        return " ".join([self.name, str(self.wrt), *(show(f, sites=True, types=True) for f in parts)])

    def map(self, change: Callable[[Function], Function]) -> Custom:
        """The same with its rules changed."""
        jvp, forward, backward = (f and change(f) for f in (self.jvp, self.forward, self.backward))
        return replace(self, jvp=jvp, forward=forward, backward=backward)


def custom(op: Op) -> Custom | None:
    """What a custom or recorded statement is of."""
    if isinstance(op, Library) and op.name in (CUSTOM, RECORDED):
        ((_, of),) = op.params
        assert isinstance(of, Custom)
        return of
    return None


def call(function: Function, args: Sequence[Atom]) -> Library:
    return Library(CALL, tuple(args), (("of", function),))


def called(op: Library) -> Function | None:
    """What a call statement is of."""
    if op.name != CALL:
        return None
    ((_, of),) = op.params
    assert isinstance(of, Function)
    return of


def mapped(block: Block, change: Callable[[Let, Custom], Let]) -> Block:
    """The block with its custom statements changed, nested ones included."""
    lets = []
    for let in block:
        c = custom(let.op)
        new = Let(let.vars, map_op(let.op, lambda a: a, lambda b: mapped(b, change)), let.site)
        lets.append(new if c is None else change(new, c))
    return Block(tuple(lets), block.outs)


def inlined(f: Function, meaning: Callable[[Library], Function | None]) -> Function:
    """The function with the library statements that mean a function replaced by its body."""
    return replace(f, body=_inlined(f.body, {}, meaning))


def _inlined(block: Block, env: dict[Var, Atom], meaning: Callable[[Library], Function | None]) -> Block:
    lets: list[Let] = []
    for let in block:
        op = map_op(retype(let.op, env), lambda a: lookup(a, env), lambda b: _inlined(b, env, meaning))
        function = meaning(op) if isinstance(op, Library) else None
        if function is not None:
            body = _inlined(rename(function.body, dict(zip(function.params, op.args, strict=True))), {}, meaning)  # type: ignore[union-attr]
            lets += body.lets
            env.update(zip(let.vars, body.outs, strict=True))
        else:
            lets.append(Let(_binders(let.vars, env), op, let.site))
    return Block(tuple(lets), tuple(lookup(a, env) for a in block.outs))


def _binders(vs: tuple[Var, ...], env: dict[Var, Atom]) -> tuple[Var, ...]:
    """The binders, new where a type mentions a replaced name."""
    if all(isinstance(v.type, Scalar) or rename_type(v.type, env) == v.type for v in vs):
        return vs
    return fresh_all(vs, env)

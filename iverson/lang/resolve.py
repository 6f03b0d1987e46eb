"""The last step of staging: placeholders that turned out to be a value from outside are replaced by it.

[placeholder := value] block,   binders kept, types renamed where they mention a placeholder
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from iverson.core.rewrite import lookup, map_op, rename_type
from iverson.core.syntax import Accumulate, Atom, Block, Let, Loop, Op, Var, While


class _Resolver:
    def __init__(self, resolve: Callable[[Atom], Atom]) -> None:
        self.resolve = resolve
        self.env: dict[Var, Atom] = {}  # binders whose type had to change

    def atom(self, a: Atom) -> Atom:
        return lookup(self.resolve(a), self.env)

    def block(self, block: Block) -> Block:
        lets = tuple(self.let(let) for let in block)
        return Block(lets, tuple(map(self.atom, block.outs)))

    def let(self, let: Let) -> Let:
        op = map_op(self.bound(let.op), self.atom, self.block)
        return Let(self.binders(let.vars), op, let.site)

    def bound(self, op: Op) -> Op:
        """The op with its own binders retyped."""
        match op:
            case Loop() | While():
                return replace(op, carry=self.binders(op.carry))
            case Accumulate():
                return replace(op, accs=self.binders(op.accs))
        return op

    def binders(self, vs: tuple[Var, ...]) -> tuple[Var, ...]:
        return tuple(map(self.binder, vs))

    def binder(self, v: Var) -> Var:
        extents = getattr(v.type, "extents", ())
        env = {e: new for e in extents if isinstance(e, Var) and (new := self.atom(e)) is not e}
        if not env:
            return v
        retyped = Var(rename_type(v.type, env), v.hint)
        self.env[v] = retyped
        return retyped


def resolved(block: Block, resolve: Callable[[Atom], Atom]) -> Block:
    """The block with every atom replaced by what it stands for."""
    return _Resolver(resolve).block(block)

"""Replacing names in a block, in place: binders stay, but for those whose types mention a name that goes.

    let y = op(x) in .. y ..   with x := a   ->   let y = op(a) in .. y ..

A rule may take a statement, its names already replaced, out of the block: it answers with the statements that stand in
its place and says what its results are now, by `env`.  Linear in the size of the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from iverson.core.rewrite import alike, fresh_all, map_op, remade, rename_type, retype, with_lets, with_op
from iverson.core.syntax import Atom, Block, Let, Literal, Op, Scalar, Var

Rule: TypeAlias = Callable[[Let, "Substitution"], "Sequence[Let] | None"]


class Substitution:
    def __init__(self, env: dict[Var, Atom], rule: Rule | None = None) -> None:
        self.env = env
        self.rule = rule

    def atom(self, a: Atom) -> Atom:
        return a if isinstance(a, Literal) else self.env.get(a, a)

    def atoms(self, several: Iterable[Atom]) -> tuple[Atom, ...]:
        return tuple(map(self.atom, several))

    def block(self, block: Block) -> Block:
        lets, outs = self.lets(block.lets), self.atoms(block.outs)
        return with_lets(block, lets) if alike(outs, block.outs) else Block(tuple(lets), outs)

    def lets(self, lets: Iterable[Let]) -> list[Let]:
        out: list[Let] = []
        for let in lets:
            out += self.let(let)
        return out

    def let(self, let: Let) -> Sequence[Let]:
        if self.rule:
            here = with_op(let, map_op(let.op, self.atom, lambda b: b))
            instead = self.rule(here, self)
            if instead is not None:
                return instead
        return (remade(let, self.binders(let.vars), self.op(let.op)),)

    def op(self, op: Op) -> Op:
        return map_op(retype(op, self.env), self.atom, self.block)

    def binders(self, vs: tuple[Var, ...]) -> tuple[Var, ...]:
        """The binders, new where a type mentions a replaced name."""
        if all(isinstance(v.type, Scalar) or rename_type(v.type, self.env) == v.type for v in vs):
            return vs
        return fresh_all(vs, self.env)

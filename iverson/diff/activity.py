"""Which names carry derivatives: floats that depend on the chosen inputs through steps that have one.

active(y) = y is float  and  some argument with a derivative rule is active
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iverson.core import prims
from iverson.core.custom import Custom, custom
from iverson.core.flow import Flow
from iverson.core.sketch import sketch
from iverson.core.syntax import Accumulator, Atom, Block, Let, Library, Prim, Var
from iverson.diff.library_rules import differentiable


def is_float(atom: Atom) -> bool:
    """Does a scalar or array have a float dtype?"""
    t = atom.type
    return not isinstance(t, Accumulator) and t.dtype.is_float


def active(body: Block, inputs: Iterable[Var]) -> set[Var]:
    """All names in a block, nested ones included, that depend differentiably on the inputs."""
    return _Activity(v for v in inputs if is_float(v)).run(body)


def unruled(c: Custom, args: Sequence[Atom], found: set[Var]) -> set[Var]:
    """What is active in a function with a rule that says nothing about it: what is had from other arguments."""
    others = [p for k, (p, a) in enumerate(zip(c.primal.params, args, strict=True)) if k not in c.wrt and a in found]
    return active(c.primal.body, others) if others else set()


class _Activity(Flow):
    def may(self, v: Var) -> bool:
        return isinstance(v.type, Accumulator) or is_float(v)

    def condition(self, block: Block) -> None:
        """What it computes is no part of the results."""

    def prim(self, y: Var, op: Prim) -> None:
        rules = prims.TABLE[op.name].linear
        self.mark(y, any(r and self.has(a) for r, a in zip(rules, op.args, strict=True)))

    def library(self, let: Let, op: Library) -> None:
        if sketch(op):
            self.mark(let.vars[0], self.has(op.args[0]))
            return
        c = custom(op)
        if c is None:
            for v in let.vars:
                self.mark(v, any(map(self.has, differentiable(op))))
            return
        some = any(self.has(op.args[k]) for k in c.wrt)
        beside = unruled(c, op.args, self.found)
        for v, o in zip(let.vars, c.primal.body.outs, strict=False):
            self.mark(v, some or o in beside)

"""What loops stack, turn by turn or element by element: what it is made of, where, and who uses it.

Used by opt/compared.py and opt/twice.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iverson.core.rewrite import atoms, blocks, type_atoms
from iverson.core.syntax import Array, Atom, Block, For, Function, Let, Loop, Map, Op, Var, width
from iverson.opt.effects import Effects


@dataclass(frozen=True, eq=False)
class Scope:
    """A block, the op that holds it, and the scope around that."""

    op: Op | None
    around: Scope | None

    def upwards(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.around


@dataclass(frozen=True)
class Maker:
    """A statement that stacks what its body gives."""

    let: Let
    op: For | Loop
    scope: Scope
    stacked: dict[Var, Atom]  # results, and what is given for them in a turn

    @property
    def index(self) -> tuple[Var, ...]:
        return self.op.index if isinstance(self.op, For) else (self.op.index,)

    @property
    def extent(self) -> tuple[Atom, ...]:
        return self.op.extent if isinstance(self.op, For) else (self.op.extent,)


def maker_of(let: Let, scope: Scope) -> Maker | None:
    op = let.op
    if isinstance(op, Loop):
        k = len(op.carry)
        return Maker(let, op, scope, dict(zip(let.vars[k:], op.body.outs[k:], strict=True))) if let.vars[k:] else None
    if not isinstance(op, For):
        return None
    found, at = {}, 0
    for y in op.yields:
        if isinstance(y, Map):
            found[let.vars[at]] = op.body.outs[at]
        at += width(y)
    return Maker(let, op, scope, found) if found else None


class Stacks:
    """What is made where in a program, and used by what."""

    def __init__(self, f: Function) -> None:
        self.effects = Effects(f)
        self.made: dict[Var, tuple[Let | None, Scope, int]] = {}  # by what, where, and when
        self.users: dict[Var, list[tuple[Let, Scope] | None]] = {}  # None: not a statement's own atoms
        self.makers: dict[Var, Maker] = {}
        self._clock = 0
        top = Scope(None, None)
        for p in f.params:
            self._define(p, None, top)
        self._walk(f.body, top)

    def _define(self, v: Var, let: Let | None, scope: Scope) -> None:
        self._clock += 1
        self.made[v] = let, scope, self._clock
        for a in type_atoms(v.type):
            self._use(a, None)

    def _use(self, a: Atom, by: tuple[Let, Scope] | None) -> None:
        if isinstance(a, Var):
            self.users.setdefault(a, []).append(by)

    def _walk(self, block: Block, scope: Scope) -> None:
        for let in block:
            for a in atoms(let.op):
                self._use(a, (let, scope))
            for binders, inner in blocks(let.op):
                inside = Scope(let.op, scope)
                for v in binders:
                    self._define(v, None, inside)
                self._walk(inner, inside)
            for v in let.vars:
                self._define(v, let, scope)
            maker = maker_of(let, scope)
            if maker is not None:
                self.makers.update(dict.fromkeys(maker.stacked, maker))
        for a in block.outs:
            self._use(a, None)

    def known(self, v: Var, maker: Maker) -> bool:
        """Is a name in scope where an array is made?"""
        _, scope, when = self.made[v]
        return scope in maker.scope.upwards() and when < self.made[maker.let.vars[0]][2] and v not in maker.let.vars

    def lives(self, a: Atom, maker: Maker) -> bool:
        """Is an array still there at the end of a turn?"""
        if not isinstance(a, Var) or not isinstance(a.type, Array):
            return True
        return all(self.effects.root(a) not in self.effects.consumed(let.op) for let in maker.op.body)

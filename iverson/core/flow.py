"""What depends on given inputs, through every construct: a least fixed point, since loops and accumulators feed back.

y = Prim, Library (a, b)     y, if a or b
y = Read x[e]                y, if x: indices, lengths and conditions decide on values, but aren't part of them
For, Accumulate, Loop, ...   results, if what is yielded, contributed or carried; operators by their operands
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    If,
    Let,
    Library,
    Loop,
    Map,
    Monoid,
    Operator,
    Prim,
    Read,
    Var,
    While,
    width,
)


class Flow:
    """`found` are the names that depend on the inputs."""

    def __init__(self, inputs: Iterable[Var]) -> None:
        self.found = {v for v in inputs if self.may(v)}
        self.changed = True

    def run(self, block: Block) -> set[Var]:
        """All that depend on the inputs in a block, nested ones included."""
        while self.changed:
            self.changed = False
            self.block(block)
        return self.found

    # --- for those that ask for less --------------------------------------------------------------------------------

    def may(self, v: Var) -> bool:
        """May a name be found at all?"""
        return True

    def prim(self, y: Var, op: Prim) -> None:
        self.mark(y, any(map(self.has, op.args)))

    def library(self, let: Let, op: Library) -> None:
        for v in let.vars:
            self.mark(v, any(map(self.has, op.args)))

    def condition(self, block: Block) -> None:
        self.block(block)

    # --- the constructs -----------------------------------------------------------------------------------------------

    def has(self, atom: Atom) -> bool:
        return isinstance(atom, Var) and atom in self.found

    def mark(self, v: Var, when: bool) -> None:
        if when and v not in self.found and self.may(v):
            self.found.add(v)
            self.changed = True

    def marks(self, vs: Iterable[Var], sources: Iterable[Atom]) -> None:
        for v, a in zip(vs, sources, strict=True):
            self.mark(v, self.has(a))

    def block(self, block: Block) -> None:
        for let in block:
            self.let(let)

    def let(self, let: Let) -> None:
        match let.op:
            case Prim() as op:
                self.prim(let.vars[0], op)
            case Library() as op:
                self.library(let, op)
            case Read(array):
                self.mark(let.vars[0], self.has(array))
            case For():
                self.for_(let, let.op)
            case Accumulate(accs, inits, body):
                self.accumulate(let, accs, inits, body)
            case Contribute(acc, _, values):
                assert isinstance(acc.type, Accumulator)
                some = self.monoid(acc.type.monoid, values)
                self.mark(acc, some or any(map(self.has, values)))
            case Loop(_, _, carry, inits, body) | While(carry, inits, _, body):
                self.marks(carry, inits)
                if isinstance(let.op, While):
                    self.condition(let.op.cond)
                self.block(body)
                self.marks(carry, body.outs[: len(carry)])
                self.marks(let.vars, (*carry, *body.outs[len(carry) :]))
            case If(_, then, orelse):
                self.block(then)
                self.block(orelse)
                self.marks(let.vars, then.outs)
                self.marks(let.vars, orelse.outs)
            case _:
                pass

    def for_(self, let: Let, op: For) -> None:
        self.block(op.body)
        at = 0
        for y in op.yields:
            group = slice(at, at + width(y))
            some = any(map(self.has, op.body.outs[group]))
            if not isinstance(y, Map):
                some = self.monoid(y.monoid, op.body.outs[group]) or some
            for v, o in zip(let.vars[group], op.body.outs[group], strict=True):
                self.mark(v, self.has(o) if isinstance(y, Map) else some)
            at += width(y)

    def monoid(self, m: Monoid, elements: Sequence[Atom]) -> bool:
        """Does combining these give something that depends?  An operator may bring its own, by free variables."""
        if not isinstance(m, Operator):
            return False
        for operands in (m.left, m.right):
            self.marks(operands, elements)
            self.marks(operands, m.identity)
            self.marks(operands, m.body.outs)
        self.block(m.body)
        return any(map(self.has, (*m.identity, *m.body.outs)))

    def accumulate(self, let: Let, accs: tuple[Var, ...], inits: tuple[tuple[Atom, ...], ...], body: Block) -> None:
        for acc, columns in zip(accs, inits, strict=True):
            self.mark(acc, any(map(self.has, columns)))
        self.block(body)
        groups = finals_of(let)
        for acc, vs in zip(accs, groups, strict=True):
            assert isinstance(acc.type, Accumulator)
            for v in vs[len(vs) - len(acc.type.dtypes) :]:  # a log's length is decided where its entries are made
                self.mark(v, acc in self.found)
        self.marks(let.vars[sum(map(len, groups)) :], body.outs)


def finals_of(let: Let) -> list[tuple[Var, ...]]:
    """The results of an Accumulate that are its accumulators' finals, grouped (append: the length, then columns)."""
    assert isinstance(let.op, Accumulate)
    groups, at = [], 0
    for acc in let.op.accs:
        t = acc.type
        assert isinstance(t, Accumulator)
        count = len(t.dtypes) + (t.monoid == "append")
        groups.append(let.vars[at : at + count])
        at += count
    return groups

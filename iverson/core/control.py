"""What decides the course of a program: do given inputs reach an index, a length or a condition?

Names that depend on the inputs are found as a least fixed point, through all constructs; min, max and select of them
are values, not decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iverson.core.rewrite import operators, statements
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Loop,
    Map,
    Prim,
    Read,
    Var,
    While,
    width,
)


def decides(function: Function, inputs: Iterable[Var]) -> bool:
    """Does an index, a length, a number of turns or the side of a branch depend on some of the inputs?"""
    lets = list(statements(function.body))
    flow = _Flow(set(inputs))
    while flow.changed:
        flow.changed = False
        for let in lets:
            flow.let(let)
    return any(flow.has(a) for let in lets for a in _decisions(let))


def _decisions(let: Let) -> Sequence[Atom]:
    """The atoms by which a statement decides something."""
    match let.op:
        case Read(_, index) | Contribute(_, index):
            return index
        case For(_, extent):
            return extent
        case Loop(_, extent):
            return (extent,)
        case While(_, _, cond):
            return cond.outs
        case If(pred):
            return (pred,)
        case _:
            return ()


class _Flow:
    def __init__(self, found: set[Var]) -> None:
        self.found = found
        self.changed = True

    def has(self, a: Atom) -> bool:
        return isinstance(a, Var) and a in self.found

    def mark(self, targets: Iterable[Var], sources: Iterable[Atom]) -> None:
        """All targets, if a source is found."""
        if any(map(self.has, sources)):
            new = set(targets) - self.found
            self.found |= new
            self.changed = self.changed or bool(new)

    def each(self, targets: Iterable[Var], sources: Iterable[Atom]) -> None:
        for v, a in zip(targets, sources, strict=True):
            self.mark([v], [a])

    def let(self, let: Let) -> None:
        for m in operators(let.op):
            self.mark((*m.left, *m.right), (*m.identity, *m.body.outs))
        match let.op:
            case Prim(_, args) | Library(_, args):
                self.mark(let.vars, args)
            case Read(array):
                self.mark(let.vars, [array])
            case Contribute(acc, _, values):
                self.contribute(acc, values)
            case For():
                self.for_(let, let.op)
            case Accumulate(accs, inits, body):
                self.accumulate(let, accs, inits, body)
            case Loop(_, _, carry, inits, body) | While(carry, inits, _, body):
                self.each(carry, inits)
                self.each(carry, body.outs[: len(carry)])
                self.each(let.vars, (*carry, *body.outs[len(carry) :]))
            case If(_, then, orelse):
                self.each(let.vars, then.outs)
                self.each(let.vars, orelse.outs)
            case _:
                pass

    def for_(self, let: Let, op: For) -> None:
        at = 0
        for y in op.yields:
            outs, results = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
            at += width(y)
            if isinstance(y, Map) or isinstance(y.monoid, str):
                self.mark(results, outs)
            else:
                m = y.monoid
                self.mark((*m.left, *m.right), outs)
                self.mark(results, (*outs, *m.identity, *m.body.outs))

    def contribute(self, acc: Var, values: Sequence[Atom]) -> None:
        assert isinstance(acc.type, Accumulator)
        self.mark([acc], values)
        if not isinstance(acc.type.monoid, str):
            m = acc.type.monoid
            self.mark((*m.left, *m.right), values)
            self.mark([acc], (*m.identity, *m.body.outs))

    def accumulate(self, let: Let, accs: Sequence[Var], inits: Sequence[Sequence[Atom]], body: Block) -> None:
        finals = iter(let.vars)
        for acc, columns in zip(accs, inits, strict=True):
            assert isinstance(acc.type, Accumulator)
            self.mark([acc], columns)
            if acc.type.monoid == "append":
                next(finals)  # how many there are is decided where they are contributed
            self.mark([next(finals) for _ in acc.type.dtypes], [acc])
        self.each(finals, body.outs)

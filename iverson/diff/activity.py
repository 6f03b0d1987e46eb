"""Which names carry derivatives: floats that depend on the chosen inputs through steps that have one.

    active(y) = y is float  and  some argument with a derivative rule is active

Loops and accumulators make it a least fixed point; the program is visited until nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iverson.core import prims
from iverson.core.custom import Custom, custom
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
from iverson.diff.library_rules import differentiable


def is_float(atom: Atom) -> bool:
    """Does a scalar or array have a float dtype?"""
    t = atom.type
    return not isinstance(t, Accumulator) and t.dtype.is_float


def active(body: Block, inputs: Iterable[Var]) -> set[Var]:
    """All names in a block, nested ones included, that depend differentiably on the inputs."""
    analysis = _Activity({v for v in inputs if is_float(v)})
    while analysis.changed:
        analysis.changed = False
        analysis.block(body)
    return analysis.found


def unruled(c: Custom, args: Sequence[Atom], found: set[Var]) -> set[Var]:
    """What is active in a function with a rule that says nothing about it: what is had from other arguments."""
    others = [p for k, (p, a) in enumerate(zip(c.primal.params, args, strict=True)) if k not in c.wrt and a in found]
    return active(c.primal.body, others) if others else set()


class _Activity:
    def __init__(self, found: set[Var]) -> None:
        self.found = found
        self.changed = True

    def has(self, atom: Atom) -> bool:
        return isinstance(atom, Var) and atom in self.found

    def mark(self, v: Var, when: bool) -> None:
        if when and v not in self.found and (isinstance(v.type, Accumulator) or is_float(v)):
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
            case Prim(name, args):
                rules = prims.TABLE[name].linear
                self.mark(let.vars[0], any(r and self.has(a) for r, a in zip(rules, args, strict=True)))
            case Read(array):
                self.mark(let.vars[0], self.has(array))
            case Library(_, args) as op if c := custom(op):
                some = any(self.has(args[k]) for k in c.wrt)
                beside = unruled(c, args, self.found)
                for v, o in zip(let.vars, c.primal.body.outs, strict=False):
                    self.mark(v, some or o in beside)
            case Library() as op:
                for v in let.vars:
                    self.mark(v, any(map(self.has, differentiable(op))))
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
        """Does combining these give something active?  An operator may bring its own, by free variables."""
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
        finals = finals_of(let)
        for acc, vs in zip(accs, finals, strict=True):
            for v in vs:
                self.mark(v, acc in self.found)
        self.marks(let.vars[sum(map(len, finals)) :], body.outs)


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

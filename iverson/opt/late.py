"""late: a sum, minimum or maximum in a sequential loop takes last what the turn before has made.

    a + (l + b) - c   ->   ((a + b) - c) + l           l depends on the turn before, a, b and c don't
    min(min(a, l), b) ->   min(min(a, b), l)

A turn can't begin before the one before it has ended, but for what doesn't depend on it: the chain from turn to turn
should hold as few operations as possible.  What depends on the turn before: scalar carries that change, and elements of
a carried array at the place that the turn before updated (its index with i - 1 for i is the one read).

Invariant: the count is the same; floating-point sums are reassociated, always in the same way.  Sums of integers stay
as they are: LLVM reassociates them itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from iverson.core.bounds import Sizes
from iverson.core.build import Builder, dtype_of
from iverson.core.dce import dce
from iverson.core.rewrite import atoms, free, lookup, map_op, statements, with_body, with_lets, with_op
from iverson.core.sizes import size
from iverson.core.syntax import (
    Accumulate,
    Array,
    Atom,
    Block,
    Contribute,
    Function,
    Let,
    Loop,
    Op,
    Prim,
    Read,
    Var,
)

Term: TypeAlias = tuple[bool, Atom]  # added or subtracted


def run(f: Function) -> Function:
    """Every sum of a sequential loop's own statements, reordered."""
    return dce(with_body(f, _Late(f).block(f.body)))


class _Late:
    def __init__(self, f: Function) -> None:
        self.sizes = Sizes(f)
        self.uses: Counter[Atom] = Counter(a for let in statements(f.body) for a in atoms(let.op))
        self.uses.update(f.body.outs)

    def block(self, block: Block) -> Block:
        lets = []
        for let in block:
            op = self.op(let.op)
            self.sizes.bind(let)
            lets.append(with_op(let, op))
        return with_lets(block, lets)

    def op(self, op: Op) -> Op:
        def inner(block: Block) -> Block:
            with self.sizes.inside(op, block):
                new = self.block(block)
                return self.turn(op, new) if isinstance(op, Loop) else new

        return map_op(op, lambda a: a, inner)

    def turn(self, op: Loop, body: Block) -> Block:
        """The body of a loop with its late sums reordered."""
        waiting = self.waiting(op, body)
        if not waiting:
            return body
        defs = {let.vars[0]: let.op for let in body if isinstance(let.op, Prim)}
        inside: set[Atom] = {
            a
            for v, d in defs.items()
            if v in waiting and (kind := _kind(d)) is not None
            for a in d.args
            if a in waiting and self.uses[a] == 1 and isinstance(a, Var) and _kind(defs.get(a)) == kind
        }
        b = Builder()
        env: dict[Var, Atom] = {}
        with b.scope() as lets:
            for let in body:
                b.site = let.site
                kind = _kind(let.op)
                if kind is not None and (let.vars[0] not in waiting or let.vars[0] in inside):
                    kind = None
                terms = [] if kind is None else _terms(let.vars[0], defs, inside)
                early = [t for t in terms if t[1] not in waiting]
                if kind is not None and len(early) > 1:
                    late = [t for t in terms if t[1] in waiting]
                    ordered = [(plus, lookup(a, env)) for plus, a in (*early, *late)]
                    env[let.vars[0]] = _sum(b, ordered) if kind == "add" else _fold(b, kind, ordered)
                else:
                    b.let(Let(let.vars, map_op(let.op, lambda a: lookup(a, env), _renamed(env)), let.site))
        return Block(tuple(lets), tuple(lookup(a, env) for a in body.outs))

    def waiting(self, op: Loop, body: Block) -> set[Atom]:
        """The scalars of a turn that can't be computed before the turn before has ended."""
        found: set[Atom] = {
            c for c, out in zip(op.carry, body.outs, strict=False) if not isinstance(c.type, Array) and out is not c
        }
        updated = [place for let in body if (place := _place(let.op)) is not None]
        for let in body:
            read = let.op
            if isinstance(read, Read) and read.array in op.carry:
                hit = any(self.is_previous(op.index, at, read.index) for at in updated)
            else:
                hit = any(a in found for a in atoms(read)) or _reads(read, found)
            if hit:
                found.update(v for v in let.vars if not isinstance(v.type, Array))
        return found

    def is_previous(self, index: Var, written: tuple[Atom, ...], read: tuple[Atom, ...]) -> bool:
        """Whether `read` is where the turn before has written."""
        before = size(index) - 1
        return len(written) == len(read) and all(
            self.sizes.of(w).replace(index, before) == self.sizes.of(r) for w, r in zip(written, read, strict=True)
        )


def _place(op: Op) -> tuple[Atom, ...] | None:
    """The place that a statement updates, if it is one place."""
    if not isinstance(op, Accumulate) or len(op.accs) != 1 or len(op.body.lets) != 1:
        return None
    inner = op.body.lets[0].op
    return inner.index if isinstance(inner, Contribute) else None


def _reads(op: Op, found: set[Atom]) -> bool:
    """Whether something nested in the op depends on what was found."""
    return not isinstance(op, Prim | Read) and any(v in found for v in free(Block((Let((), op),), ())))


def _kind(op: Op | None) -> str | None:
    """The monoid of which an op is one step."""
    if not isinstance(op, Prim) or op.name not in ("add", "sub", "min", "max"):
        return None
    if op.name in ("min", "max"):
        return op.name
    return "add" if dtype_of(op.args[0]).is_float else None


def _terms(v: Atom, defs: dict[Var, Prim], inside: set[Atom], plus: bool = True) -> list[Term]:
    """The terms of the sum, minimum or maximum that v is."""
    assert isinstance(v, Var)
    found: list[Term] = []
    for k, a in enumerate(defs[v].args):
        sign = plus if k == 0 or defs[v].name != "sub" else not plus
        found += _terms(a, defs, inside, sign) if a in inside else [(sign, a)]
    return found


def _sum(b: Builder, terms: list[Term]) -> Atom:
    """The terms added in order; what is subtracted, as it comes."""
    first = next((k for k, (plus, _) in enumerate(terms) if plus), None)
    if first is None:
        return b.o.neg(_sum(b, [(True, a) for _, a in terms]))
    total = terms[first][1]
    for plus, a in (*terms[:first], *terms[first + 1 :]):
        total = b.prim("add" if plus else "sub", total, a)
    return total


def _fold(b: Builder, kind: str, terms: list[Term]) -> Atom:
    """The least or largest of the terms, taken in order."""
    (_, total), *rest = terms
    for _, a in rest:
        total = b.prim(kind, total, a)
    return total


def _renamed(env: dict[Var, Atom]) -> Callable[[Block], Block]:
    def inner(block: Block) -> Block:
        lets = tuple(Let(x.vars, map_op(x.op, lambda a: lookup(a, env), inner), x.site) for x in block)
        return Block(lets, tuple(lookup(a, env) for a in block.outs))

    return inner

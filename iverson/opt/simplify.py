"""simplify: constants, algebra, common subexpressions, decided branches, invariant carries, dead code.

    let x = p(1, 2)                    ->  x := the constant                      (and every row of opt/algebra.py)
    let x = e ; ... let y = e          ->  y := x                                 e a primitive or a read
    If true A B                        ->  A                                      likewise Loop (i < 0), Check true
    If p A[p] B[p]                     ->  If p A[true] B[false]
    If p (.., a) (.., a)               ->  that result := a
    Loop [c = c0] (.., c)              ->  c := c0                                likewise While
    Accumulate [acc = a] B, acc unused ->  the final := a
    Read (Read x [i]) [j]              ->  Read x [i, j]
    0.0 + s                            ->  s                                      s never -0.0: a sum, a square, an exp

Invariant: the count of the cost model never rises, copies included: an equation that makes two names one is applied to
scalars and to reads only, or where the name that goes was not consumed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from iverson.core.build import Builder, dtype_of, literal
from iverson.core.dce import dce
from iverson.core.prims import SINGULAR
from iverson.core.rewrite import free, fresh_all, lookup, map_op, rename_type, retype
from iverson.core.syntax import (
    F32,
    F64,
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Check,
    For,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Op,
    Prim,
    Read,
    Reduce,
    Scalar,
    Var,
    While,
    width,
)
from iverson.opt.algebra import rewrite_prim

Key: TypeAlias = tuple[object, ...]

COMMUTATIVE = frozenset({"add", "mul", "and", "or", "xor", "eq", "ne", "bit_and", "bit_or", "bit_xor"})


def run(f: Function) -> Function:
    """The function with every equation applied, once through."""
    return dce(Function(f.params, _Simplifier().block(f.body), f.name, f.donated))


def primal(f: Function) -> Function:
    """The same for what is to be differentiated: a root, a logarithm or a quotient under a condition is kept apart from
    an equal one outside.

        t = sqrt x;  p = t > 0;  if p { 1 / sqrt x } else { 0 }

    With one root for both, its slope at x = 0, which is infinite, would meet the zero of the side that isn't taken.
    """
    lean = dce(f)
    return dce(Function(f.params, _Simplifier(apart=True).block(lean.body), f.name, f.donated))


class _Simplifier:
    def __init__(self, apart: bool = False) -> None:
        self.apart = apart  # primitives with an infinite slope stay under their condition
        self.branch = 0  # how many scopes there were when the innermost side of an If was entered
        self.env: dict[Var, Atom] = {}
        self.defs: dict[Var, Op] = {}
        self.known: list[dict[Key, Atom]] = [{}]
        self.positive: set[Atom] = set()  # floats that are never -0.0
        self.fold = Builder()

    @contextmanager
    def scope(self, facts: Sequence[tuple[Atom, bool]] = ()) -> Iterator[None]:
        """A nested block: what becomes known inside is forgotten outside; `facts` hold inside."""
        outer = self.branch
        if facts:
            self.branch = len(self.known)
        self.known.append({("fact", p): literal(holds) for p, holds in facts if isinstance(p, Var)})
        yield
        self.known.pop()
        self.branch = outer

    def find(self, key: Key) -> Atom | None:
        levels = self.known[self.branch :] if self.apart and key[0] in SINGULAR else self.known
        for level in reversed(levels):
            if key in level:
                return level[key]
        return None

    def atom(self, a: Atom) -> Atom:
        a = lookup(a, self.env)
        return self.find(("fact", a)) or a if isinstance(a, Var) else a

    # --- blocks and statements ----------------------------------------------------------------------------------------

    def block(self, block: Block, facts: Sequence[tuple[Atom, bool]] = ()) -> Block:
        with self.scope(facts):
            lets: list[Let] = []
            for let in block:
                self.statement(let, lets)
            return Block(tuple(lets), tuple(map(self.atom, block.outs)))

    def statement(self, let: Let, out: list[Let]) -> None:
        """Append the simplified statement, or nothing where its results are now known by other names."""
        op = let.op
        if isinstance(op, If):
            pred = self.atom(op.pred)
            if isinstance(pred, Literal):
                return self.inline(let.vars, op.then if pred.value else op.orelse, out)
            op = If(pred, self.block(op.then, [(pred, True)]), self.block(op.orelse, [(pred, False)]))
            return self.emit(Let(let.vars, op, let.site), out)
        if isinstance(op, Loop | While) and self.without_invariants(let, op):
            return None
        op = map_op(retype(op, self.env), self.atom, self.block)
        if isinstance(op, Accumulate):
            return self.accumulate(let, op, out)
        return self.emit(Let(let.vars, op, let.site), out)

    def inline(self, results: Sequence[Var], block: Block, out: list[Let]) -> None:
        """The statements of a block that surely runs, in its place."""
        for let in block:
            self.statement(let, out)
        self.env.update(zip(results, map(self.atom, block.outs), strict=True))

    def emit(self, let: Let, out: list[Let]) -> None:
        op = let.op
        if isinstance(op, Read):
            op = self.read(op)
        if isinstance(op, Prim):
            new = self.from_zero(op) or rewrite_prim(op, self.definition)
            folded = self.fold.prim(new.name, *new.args) if isinstance(new, Prim) and _constant(new) else new
            if isinstance(folded, Literal):
                new = folded
            if not isinstance(new, Prim):
                self.env[let.vars[0]] = new
                return
            op = new
        key = _key(op)
        if key is not None and (found := self.find(key)) is not None:
            if let.vars:
                self.env[let.vars[0]] = found
            return
        if isinstance(op, Check) and op.pred == literal(True):
            return
        if isinstance(op, If):
            self.share_equal_outs(let.vars, op)
        vs = self.retype(let.vars)
        if key is not None:
            self.known[-1][key] = vs[0] if vs else literal(True)
        if len(vs) == 1:
            self.defs[vs[0]] = op
        self.note_positive(vs, op)
        out.append(Let(vs, op, let.site))

    def retype(self, vs: tuple[Var, ...]) -> tuple[Var, ...]:
        """The binders, new where a substitution touches an extent in their type."""
        if all(isinstance(v.type, Scalar) or rename_type(v.type, self.env) == v.type for v in vs):
            return vs
        return fresh_all(vs, self.env)

    def definition(self, a: Atom) -> Op | None:
        return self.defs.get(a) if isinstance(a, Var) else None

    # --- zeros and rows -----------------------------------------------------------------------------------------------

    def note_positive(self, vs: Sequence[Var], op: Op) -> None:
        """Which results are never -0.0: a sum is only if all that is added is."""
        match op:
            case Prim("add", (x, y)) if self.is_positive(x) or self.is_positive(y):
                self.positive.update(vs)
            case Prim("mul", (x, y)) if x == y:
                self.positive.update(vs)
            case Prim("exp"):
                self.positive.update(vs)
            case For(_, _, _, yields):
                at = 0
                for kind in yields:
                    if kind == Reduce("add"):
                        self.positive.add(vs[at])
                    at += width(kind)
            case _:
                pass

    def is_positive(self, a: Atom) -> bool:
        return a in self.positive or (isinstance(a, Literal) and math.copysign(1.0, a.value) > 0)

    def from_zero(self, op: Prim) -> Atom | None:
        """0.0 + s = s, but for s = -0.0."""
        if op.name != "add":
            return None
        x, y = op.args
        zero = Literal(0.0, F32 if dtype_of(x) is F32 else F64)
        if x == zero and self.is_positive(y):
            return y
        return x if y == zero and self.is_positive(x) else None

    def read(self, op: Read) -> Read:
        """A read of a row is a read of its array."""
        row = self.definition(op.array)
        return Read(row.array, (*row.index, *op.index), op.safe and row.safe) if isinstance(row, Read) else op

    # --- constructs ---------------------------------------------------------------------------------------------------

    def share_equal_outs(self, results: Sequence[Var], op: If) -> None:
        for v, a, b in zip(results, op.then.outs, op.orelse.outs, strict=True):
            if a == b and isinstance(v.type, Scalar):
                self.env[v] = a

    def without_invariants(self, let: Let, op: Loop | While) -> bool:
        """Carries that every turn hands on unchanged are their initial values; says if nothing else is left."""
        for carry, init, out in zip(op.carry, op.inits, op.body.outs, strict=False):
            if out is carry:
                self.env[carry] = self.atom(init)
        for result, carry in zip(let.vars, op.carry, strict=False):
            if carry in self.env:
                self.env[result] = self.env[carry]
        if isinstance(op, Loop) and self.atom(op.extent) == literal(0) and len(let.vars) == len(op.carry):
            self.env.update(zip(let.vars, map(self.atom, op.inits), strict=True))
            return True
        return False

    def accumulate(self, let: Let, op: Accumulate, out: list[Let]) -> None:
        """An accumulator nothing is contributed to ends as it began."""
        used = free(op.body)
        at = 0
        for acc, inits in zip(op.accs, op.inits, strict=True):
            assert isinstance(acc.type, Accumulator)
            width = len(acc.type.dtypes)
            if acc.type.monoid == "append":
                at += 1
            elif acc not in used:
                self.env.update(zip(let.vars[at : at + width], inits, strict=True))
            at += width
        self.emit(Let(let.vars, op, let.site), out)


def _constant(op: Prim) -> bool:
    return all(isinstance(a, Literal) for a in op.args)


def _key(op: Op) -> Key | None:
    """What makes two statements equal: a primitive, a read or a check of the same atoms."""
    match op:
        case Prim(name, args):
            return (name, *(sorted(args, key=_order) if name in COMMUTATIVE else args))
        case Read(array, index):
            return ("read", array, *index)
        case Check(pred, message, args, error):
            return ("check", pred, error, *((message, *args) if op.warns else ()))
        case _:
            return None


def _order(a: Atom) -> tuple[int, object]:
    return (0, repr(a)) if isinstance(a, Literal) else (1, id(a))


__all__ = ["run"]

"""Which programs are well formed.

`check` walks a whole program and raises a CoreError, with the statement printed, unless

- each name is bound once, and used where it is in scope; no statement or block with arrays is shared between places;
- operands and results have the types their op asks for; extents agree as sizes (core/sizes.py), and those of a result
  are in scope where it is bound, so the elements of a Map or an emit all have one shape;
- parameters' extents are literals or earlier parameters;
- accumulators are only contributed to: never read, carried, yielded, or seen inside an operator or a condition;
- operators are pairs of tuples of their identity's types; a Scan has one index; set and append only accumulate.

Every pass keeps this invariant, and tests call `check` after each.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from iverson.core import monoids, prims
from iverson.core.bounds import Sizes
from iverson.core.build import results
from iverson.core.rewrite import atoms, type_atoms
from iverson.core.show import show_let
from iverson.core.syntax import (
    BOOL,
    F32,
    F64,
    I32,
    I64,
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    DType,
    For,
    Function,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Map,
    Monoid,
    Operator,
    Prim,
    Read,
    Scalar,
    Scan,
    Type,
    Var,
    While,
    arity,
    width,
)

_LITERALS = {  # the type of their values, and the range of an integer
    BOOL: (bool, 0, 0),
    I32: (int, -(2**31), 2**31 - 1),
    I64: (int, -(2**63), 2**63 - 1),
    F32: (float, 0, 0),
    F64: (float, 0, 0),
}
_LONGEST = 24  # lines of a statement in a message


class CoreError(Exception):
    """An ill-formed program: a mistake of a pass, never of a user."""


def check(function: Function) -> None:
    """Raise a CoreError unless the program is well formed."""
    _Checker(function).function(function)


class _Checker:
    def __init__(self, function: Function) -> None:
        self.sizes = Sizes(function)
        self.scope: set[Var] = set()
        self.bound: set[Var] = set()
        self.seen: dict[int, object] = {}  # lets and blocks with arrays, by identity
        self.where: list[Let] = []
        self.name = function.name

    # --- reporting --------------------------------------------------------------------------------------------------

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            raise CoreError(self.described(problem))

    def described(self, problem: str) -> str:
        if not self.where:
            return f"{self.name}: {problem}"
        lines = show_let(self.where[-1]).splitlines()
        shown = lines if len(lines) <= _LONGEST else [*lines[:_LONGEST], "..."]
        return f"{self.name}: {problem}, in\n" + "\n".join("    " + line for line in shown)

    # --- names ------------------------------------------------------------------------------------------------------

    def function(self, f: Function) -> None:
        for p in f.params:
            self.expect(not isinstance(p.type, Accumulator), f"the parameter {p.hint} is an accumulator")
            self.bind(p)
        for p in f.donated:
            self.expect(p in self.scope and isinstance(p.type, Array), f"{p.hint} is donated, but no array parameter")
        self.block(f.body)

    def bind(self, v: Var) -> None:
        self.expect(v not in self.bound, f"{v.hint} is bound twice")
        for e in type_atoms(v.type):
            self.index(e, f"an extent of {v.hint}")
        if isinstance(v.type, Array):
            self.expect(v.type.rank > 0, f"{v.hint} is an array without axes")
        self.bound.add(v)
        self.scope.add(v)

    def use(self, a: Atom, what: str) -> None:
        if isinstance(a, Literal):
            self.literal(a)
        else:
            self.expect(a in self.scope, f"{what}, {a.hint}, is not in scope")

    def literal(self, a: Literal) -> None:
        kind, least, greatest = _LITERALS[a.dtype]
        fits = type(a.value) is kind and (kind is not int or least <= a.value <= greatest)
        self.expect(fits, f"the literal {a.value!r} is no {a.dtype.value}")

    def once(self, what: Let | Block) -> None:
        """Ownership is kept by identity: what moves or copies arrays must not be shared."""
        self.expect(id(what) not in self.seen, f"a {type(what).__name__.lower()} is shared between two places")
        self.seen[id(what)] = what

    @contextmanager
    def entered(self, binders: Sequence[Var], *, closed: bool = False) -> Iterator[None]:
        """A scope with names of its own; a closed one sees no accumulators of outside."""
        outer = self.scope
        self.scope = {v for v in outer if not isinstance(v.type, Accumulator)} if closed else set(outer)
        for v in binders:
            self.bind(v)
        yield
        self.scope = outer

    # --- types ------------------------------------------------------------------------------------------------------

    def same(self, a: Type, b: Type) -> bool:
        match a, b:
            case Scalar(), Scalar():
                return a.dtype is b.dtype
            case Array(), Array():
                return a.dtype is b.dtype and self.sizes.same_all(a.extents, b.extents)
            case _:
                return False

    def agree(self, given: Atom, expected: Type, what: str) -> None:
        if not self.same(given.type, expected):
            self.expect(False, f"{what} has type {given.type}, not {expected}")

    def agree_all(self, given: Sequence[Atom], expected: Sequence[Type], what: str) -> None:
        self.expect(len(given) == len(expected), f"{what}: {len(given)} for {len(expected)}")
        for k, (a, t) in enumerate(zip(given, expected, strict=True)):
            self.agree(a, t, f"{what} {k}")

    def scalar(self, a: Atom, dtype: DType, what: str) -> None:
        self.use(a, what)
        if not (isinstance(a.type, Scalar) and a.type.dtype is dtype):
            self.expect(False, f"{what} has type {a.type}, not {dtype.value}")

    def index(self, a: Atom, what: str) -> None:
        self.scalar(a, I64, what)

    # --- blocks and statements --------------------------------------------------------------------------------------

    def block(self, block: Block) -> None:
        """The statements and outs of a block, in a scope already entered."""
        if any(isinstance(o.type, Array) for o in block.outs):
            self.once(block)
        for let in block:
            self.once(let)
            self.where.append(let)
            self.statement(let)
            self.sizes.bind(let)
            self.where.pop()
        for o in block.outs:
            self.use(o, "an out")
            self.expect(not isinstance(o.type, Accumulator), "an accumulator leaves its block")

    def inner(self, let: Let, block: Block, binders: Sequence[Var] = (), *, closed: bool = False) -> None:
        with self.sizes.inside(let.op, block), self.entered(binders, closed=closed):
            self.block(block)

    def statement(self, let: Let) -> None:
        for a in atoms(let.op):
            self.use(a, "an operand")
            if isinstance(a.type, Accumulator):
                self.expect(isinstance(let.op, Contribute) and a is let.op.acc, "an accumulator is used as a value")
        match let.op:
            case Prim(_, args):
                self.expect(all(isinstance(a.type, Scalar) for a in args), "a primitive takes scalars")
            case Read() as op:
                self.read(op)
            case For() as op:
                self.for_(let, op)
            case Accumulate() as op:
                self.accumulate(let, op)
            case Contribute() as op:
                self.contribute(op)
            case Loop() as op:
                self.loop(let, op)
            case While() as op:
                self.while_(let, op)
            case If() as op:
                self.if_(let, op)
            case Check() as op:
                self.check(op)
            case Library():
                pass
        self.results(let)

    def results(self, let: Let) -> None:
        """What it binds has the types that the op gives."""
        try:
            expected = results(let.op)
        except (TypeError, AssertionError) as error:
            raise CoreError(self.described(str(error))) from error
        self.expect(len(expected) == len(let.vars), f"it gives {len(expected)} results, not {len(let.vars)}")
        self.finals(let)
        for v, e in zip(let.vars, expected, strict=True):
            self.bind(v)
            if not isinstance(let.op, Accumulate):
                self.agree(v, e.type, f"the result {v.hint}")

    def finals(self, let: Let) -> None:
        """Finals have their accumulator's extents; those of an append the length bound before them."""
        if not isinstance(let.op, Accumulate):
            return
        vs = list(let.vars)
        for acc in let.op.accs:
            t = acc.type
            assert isinstance(t, Accumulator)
            extents = t.extents
            if t.monoid == "append":
                length = vs.pop(0)
                extents = (length,)
                self.agree(length, Scalar(I64), "the length of a log")
            for dtype in t.dtypes:
                v = vs.pop(0)
                self.agree(v, Array(dtype, extents) if extents else Scalar(dtype), f"the result {v.hint}")
        self.agree_all(vs, [o.type for o in let.op.body.outs], "result")

    def read(self, op: Read) -> None:
        self.expect(isinstance(op.array.type, Array), "only arrays are read")
        assert isinstance(op.array.type, Array)
        self.expect(1 <= len(op.index) <= op.array.type.rank, "a read has an index per axis, or for the first few")
        for i in op.index:
            self.index(i, "an index")

    def check(self, op: Check) -> None:
        self.scalar(op.pred, BOOL, "the predicate")
        self.expect(all(isinstance(a.type, Scalar) for a in op.args), "messages show scalars")
        known = getattr(builtins, op.error, None) or getattr(np.linalg, op.error, None)
        self.expect(isinstance(known, type) and issubclass(known, Exception), f"{op.error} is no exception")

    # --- control ----------------------------------------------------------------------------------------------------

    def if_(self, let: Let, op: If) -> None:
        self.scalar(op.pred, BOOL, "the predicate")
        self.inner(let, op.then)
        self.inner(let, op.orelse)
        self.agree_all(op.orelse.outs, [o.type for o in op.then.outs], "an out of the other branch:")

    def carries(self, let: Let, carry: Sequence[Var], inits: Sequence[Atom]) -> None:
        for c in carry:
            self.expect(not isinstance(c.type, Accumulator), "an accumulator is carried")
            for e in type_atoms(c.type):
                self.index(e, f"an extent of the carry {c.hint}")
        self.agree_all(inits, [c.type for c in carry], "init")

    def loop(self, let: Let, op: Loop) -> None:
        self.index(op.extent, "the number of turns")
        self.carries(let, op.carry, op.inits)
        self.expect(op.index.type == Scalar(I64), "an index is int64")
        self.inner(let, op.body, (op.index, *op.carry))
        self.expect(len(op.body.outs) >= len(op.carry), "the body gives fewer outs than there are carries")
        self.agree_all(op.body.outs[: len(op.carry)], [c.type for c in op.carry], "carry")

    def while_(self, let: Let, op: While) -> None:
        self.carries(let, op.carry, op.inits)
        # The condition and the body bind the same carries: the one is seen, then the other.
        self.inner(let, op.cond, op.carry, closed=True)
        self.bound.difference_update(op.carry)
        self.inner(let, op.body, op.carry)
        self.agree_all(op.cond.outs, [Scalar(BOOL)], "condition")
        self.agree_all(op.body.outs, [c.type for c in op.carry], "carry")

    # --- parallel ---------------------------------------------------------------------------------------------------

    def for_(self, let: Let, op: For) -> None:
        self.expect(len(op.index) == len(op.extent) > 0, "a For has an extent for each of its indices")
        for n in op.extent:
            self.index(n, "an extent")
        self.expect(all(i.type == Scalar(I64) for i in op.index), "an index is int64")
        self.inner(let, op.body, op.index)
        self.expect(sum(map(width, op.yields)) == len(op.body.outs), "the yields don't match the body's outs")
        at = 0
        for y in op.yields:
            outs = op.body.outs[at : at + width(y)]
            at += width(y)
            self.expect(not isinstance(y, Scan) or len(op.index) == 1, "a Scan has one index")
            if not isinstance(y, Map):
                self.monoid(let, y.monoid, [o.type for o in outs])

    def monoid(self, let: Let, m: Monoid, elements: Sequence[Type]) -> None:
        """A monoid combines elements of these types."""
        self.expect(len(elements) == arity(m), "a monoid has other columns")
        if isinstance(m, Operator):
            self.agree_all(m.identity, elements, "the identity")
            self.agree_all(m.left, elements, "left operand")
            self.agree_all(m.right, elements, "right operand")
            self.inner(let, m.body, (*m.left, *m.right), closed=True)
            self.agree_all(m.body.outs, elements, "the operator's out")
            if m.inverse is not None:  # over the same operands: the one is seen, then the other
                self.bound.difference_update((*m.left, *m.right))
                self.inner(let, m.inverse, (*m.left, *m.right), closed=True)
                self.agree_all(m.inverse.outs, elements, "the inverse's out")
            return
        self.expect(m in monoids.MONOIDS, f"{m} only accumulates")
        first, *index = elements
        assert isinstance(first, Scalar | Array)
        domain = prims.DOMAINS[monoids.MONOIDS[m].domain]
        self.expect(first.dtype in domain, f"{m} does not combine {first.dtype.value}")
        for t in index:
            expected = Array(I64, first.extents) if isinstance(first, Array) else Scalar(I64)
            self.expect(self.same(t, expected), f"the index of an {m} has type {t}, not {expected}")

    # --- accumulation -----------------------------------------------------------------------------------------------

    def accumulate(self, let: Let, op: Accumulate) -> None:
        self.expect(len(op.accs) == len(op.inits), "an accumulator has its initial values")
        for acc, inits in zip(op.accs, op.inits, strict=True):
            t = acc.type
            self.expect(isinstance(t, Accumulator), "what accumulates has the type of an accumulator")
            assert isinstance(t, Accumulator)
            columns: list[Type] = [Array(d, t.extents) if t.extents else Scalar(d) for d in t.dtypes]
            if t.monoid == "append":
                self.expect(not t.extents and not inits, "append starts empty")
                continue
            self.agree_all(inits, columns, "init")
            if t.monoid == "set":
                self.expect(len(columns) == 1, "set has one column")
            else:
                self.monoid(let, t.monoid, [Scalar(d) for d in t.dtypes])
        self.inner(let, op.body, op.accs)

    def contribute(self, op: Contribute) -> None:
        t = op.acc.type
        self.expect(isinstance(t, Accumulator), "a contribution goes to an accumulator")
        assert isinstance(t, Accumulator)
        self.expect(len(op.index) == len(t.extents), "a contribution has an index per axis")
        for i in op.index:
            self.index(i, "an index")
        self.agree_all(op.values, [Scalar(d) for d in t.dtypes], "value")

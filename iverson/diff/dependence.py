"""Which inputs each output depends on: forward mode with sets for tangents, 64 inputs (or groups of them) at a time.

A set is the bits of an int64, and what a derivative rule combines, whatever the numbers are, is united:

    y = Prim(a, b)              Y = A | B, of the arguments that the row has a derivative in
    y = Read x[e]               Y = Read X[e]
    Reduce, Scan, Accumulate    by |, except set;  a user's operator lifted, as in forward.py
    y = Library(a, b)           Y = the union over all elements of a and b
    Loop, While, If             sets are carried, emitted and given as well

So the sets are those of the path that the run takes: indices, turns and the sides of branches are the run's, while min,
max and select count all their arguments.  They hold for every run with the same indices and branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.core import prims
from iverson.core.build import dtype_of, extents_of
from iverson.core.custom import Custom
from iverson.core.dce import dce
from iverson.core.rewrite import rename_function
from iverson.core.syntax import (
    I64,
    Accumulator,
    Atom,
    DType,
    Function,
    Let,
    Library,
    Map,
    Monoid,
    Operator,
    Prim,
    Reduce,
    Var,
    Yield,
)
from iverson.diff.activity import active, is_float
from iverson.diff.forward import Dual


def dependence(function: Function, wrt: Sequence[int]) -> Function:
    """The function of sets.

    Parameters: the primal's, then an int64 array (or scalar) of sets per parameter in `wrt`.  Outs: the primal's, then
    the sets of each float out.
    """
    primal = dce(rename_function(function))
    inputs = [primal.params[k] for k in wrt]
    for p in inputs:
        if not is_float(p):
            raise TypeError(f"parameter {p.hint} of {function.name} has no derivative: it is {dtype_of(p)!r}")
    sets = Sets(active(primal.body, inputs), {}, order=1)
    params = [d for p in inputs for d in sets.dual(p)]
    for let in primal.body:
        sets.let(let)
    outs = primal.body.outs
    more = sets.all_tails([out for out in outs if is_float(out)])
    result = sets.b.function((*primal.params, *params), (*outs, *more), f"{primal.name}_sets")
    return dce(replace(result, donated=primal.donated))


class Sets(Dual):
    def tangent_dtype(self, a: Atom) -> DType:
        return I64

    def set(self, a: Atom) -> Atom:
        return self.tail(a)[0]

    def union(self, sets: Sequence[Atom]) -> Atom:
        total = sets[0]
        for s in sets[1:]:
            total = total if s is total else self.b.o.bit_or(total, s)
        return total

    def prim(self, y: Var, op: Prim) -> None:
        rules = prims.TABLE[op.name].linear
        sets = [self.set(a) for a, rule in zip(op.args, rules, strict=True) if rule and self.is_active(a)]
        if sets and y in self.active:
            self.tails[y] = (self.union(sets),)

    def custom(self, let: Let, op: Library, c: Custom) -> None:
        self.library(let, op)

    def library(self, let: Let, op: Library) -> None:
        self.b.let(let)
        all_of = self.union([self.whole(a) for a in op.args if self.is_active(a)])
        for v in let.vars:
            if v in self.active:
                self.tails[v] = (self.b.full(extents_of(v), all_of),)

    def whole(self, a: Atom) -> Atom:
        """The union over all elements."""
        sets = self.set(a)
        united: Var = self.b.reduce(self.unite(()), extents_of(a), lambda *i: self.b.read(sets, *i, safe=True))
        return united

    # --- how sets add up ----------------------------------------------------------------------------------------------

    def summed(self, m: Monoid) -> bool:
        return not isinstance(m, Operator) and m not in ("set", "append")

    def sum_of(self, y: Yield, results: Sequence[Var]) -> Monoid:
        if isinstance(y, Map) or not self.summed(y.monoid) or results[0] not in self.active:
            return "add"
        return self.unite(extents_of(results[0])[0 if isinstance(y, Reduce) else 1 :])

    def unite(self, extents: Sequence[Atom]) -> Operator:
        """The monoid of sets, or of arrays of sets, under |."""
        b = self.b

        def combine(left: Atom, right: Atom) -> Atom:
            if not extents:
                return b.o.bit_or(left, right)
            return b.map(extents, lambda *i: b.o.bit_or(b.read(left, *i, safe=True), b.read(right, *i, safe=True)))

        return b.operator([b.zeros(extents, I64)], combine)

    def accumulator(self, acc: Var) -> Accumulator:
        t = acc.type
        assert isinstance(t, Accumulator)
        return Accumulator("set" if t.monoid == "set" else self.unite(()), (I64,), t.extents)

"""Return sweeps of For: one For over the same indices whose body enters, seeds and sweeps.

y = For i yields Map e                 ē_i += ȳ[i]
y = For i yields Reduce add e          ē_i += ȳ
y = For i yields Reduce min e          ē_w += ȳ at the winner w alone: one body is swept
y = For i yields Reduce mul e          ē_i += ȳ y / e_i;  if y is 0 or subnormal ē_i += ȳ l_i r_i, the products of what
                                       comes before and after e_i (so that it has derivatives of any order)
y = For i yields Scan add e            ē_i += r_i,  r = reverse Scan add of ȳ
y = For i yields Scan argmin e         ē_w += ȳ_i for each i at its winner w(i)

Other reductions and scans are monoids.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from iverson.core.build import dtype_of, literal
from iverson.core.rewrite import free
from iverson.core.syntax import Atom, For, Map, Reduce, Var, Yield, width
from iverson.diff.adjoints import Frame, flatten, keeps_digits, product, unflatten
from iverson.diff.monoids import fold
from iverson.diff.residuals import ForRecord, MonoidRecord, Step
from iverson.diff.sweep import Sweep

Index: TypeAlias = Sequence[Atom]
Seed: TypeAlias = Callable[[Frame, Index], Atom]  # in the body, the adjoint of one of its outs


def for_(s: Sweep, frame: Frame, step: Step) -> None:
    op, record = step.let.op, step.record
    assert isinstance(op, For)
    if isinstance(record, MonoidRecord):
        fold(s, frame, step, record)
    if not isinstance(record, ForRecord):
        return
    seeds: list[tuple[int, Seed]] = []
    winners: list[tuple[int, Atom, Atom]] = []
    products: list[tuple[int, Atom, Atom]] = []
    at = 0
    for y in op.yields:
        g = s.take(frame, step.let.vars[at])
        for v in step.let.vars[at + 1 : at + width(y)]:
            s.take(frame, v)
        if g is not None and at in record.winners and isinstance(y, Reduce):
            winners.append((at, g, frame.at(record.winners[at])))
        elif g is not None and isinstance(y, Reduce) and y.monoid == "mul":
            products.append((at, frame.at(step.let.vars[at]), g))
        elif g is not None:
            seeds.append((at, _seed(s, frame, step, record, y, at, g)))
        at += width(y)
    if seeds or s.reached(frame, op):
        _everywhere(s, frame, op, record, seeds)
    again = replace(frame, finals={})  # what the body contributes has been swept
    for k, g, winner in winners:
        _at_winner(s, again, op, record, k, g, winner)
    for k, value, g in products:
        _product(s, again, op, record, k, value, g)


def _everywhere(s: Sweep, frame: Frame, op: For, record: ForRecord, seeds: Sequence[tuple[int, Seed]]) -> None:
    """Sweep the body at all indices."""

    def sweep(child: Frame) -> tuple[Atom, ...]:
        def body(*index: Var) -> tuple[Atom, ...]:
            child.env.update(zip(op.index, index, strict=True))
            s.enter(child, record.plan, record.slots, index)
            for k, seed in seeds:
                s.add(child, op.body.outs[k], seed(child, index))
            s.block(child, record.plan)
            return ()

        s.b.for_([frame.at(e) for e in op.extent], body, ())
        return ()

    s.within(frame, free(op.body, op.index), sweep)


def _at_winner(s: Sweep, frame: Frame, op: For, record: ForRecord, k: int, g: Atom, winner: Atom) -> None:
    """Sweep the body at one index; there is none if the For is empty."""
    extents = [frame.at(e) for e in op.extent]

    def won(child: Frame) -> None:
        index = unflatten(s.b, winner, extents)
        child.env.update(zip(op.index, index, strict=True))
        s.enter(child, record.plan, record.slots, index)
        s.add(child, op.body.outs[k], g)
        s.block(child, record.plan)

    s.branches(frame, s.b.o.lt(winner, product(s.b, extents)), (won, lambda child: None))


def _seed(s: Sweep, frame: Frame, step: Step, record: ForRecord, y: Yield, at: int, g: Atom) -> Seed:
    op = step.let.op
    assert isinstance(op, For)
    if isinstance(y, Map):
        return lambda child, index: s.b.read(g, *index, safe=True)
    if isinstance(y, Reduce):
        return lambda child, index: g
    n = frame.at(op.extent[0])
    if y.monoid == "add":
        return _suffix_sums(s, n, g)
    return _at_winners(s, frame.var(record.winners[at]), n, g)


def _product(s: Sweep, frame: Frame, op: For, record: ForRecord, k: int, y: Atom, g: Atom) -> None:
    """Sweep a product: by division where that is exact, else from the product of the others."""
    o, out = s.b.o, op.body.outs[k]

    def regular(child: Frame) -> None:
        share = o.mul(g, y)
        _everywhere(s, child, op, record, [(k, lambda inner, index: o.div(share, inner.at(out)))])

    def from_the_others(child: Frame) -> None:
        others = _others(s, child, op, record, out)
        extents = [child.at(e) for e in op.extent]

        def seed(inner: Frame, index: Index) -> Atom:
            return o.mul(g, s.b.read(others, flatten(s.b, index, extents), safe=True))

        _everywhere(s, child, op, record, [(k, seed)])

    s.branches(frame, keeps_digits(s.b, o.abs(y)), (regular, from_the_others))


def _others(s: Sweep, frame: Frame, op: For, record: ForRecord, out: Atom) -> Atom:
    """For each factor the product of all others: the exclusive scans from both sides, multiplied."""
    o = s.b.o
    extents = [frame.at(e) for e in op.extent]
    total = product(s.b, extents)
    last = o.sub(total, 1)

    def factor(*index: Var) -> Atom:
        child = frame.branch()
        child.env.update(zip(op.index, index, strict=True))
        s.enter(child, record.plan, record.slots, index)
        return child.at(out)

    factors = s.b.map(extents, factor)

    def at(k: Atom) -> Atom:
        return s.b.read(factors, *unflatten(s.b, k, extents), safe=True)

    before = s.b.scan("mul", total, at)
    after = s.b.scan("mul", total, lambda k: at(o.sub(last, k)))
    one = literal(1.0, dtype_of(out))

    def others(k: Atom) -> Atom:
        left = s.b.if_(o.gt(k, 0), lambda: s.b.read(before, o.sub(k, 1), safe=True), lambda: one)[0]
        right = s.b.if_(o.lt(k, last), lambda: s.b.read(after, o.sub(o.sub(last, k), 1), safe=True), lambda: one)[0]
        return o.mul(left, right)

    return s.b.map(total, others)


def _suffix_sums(s: Sweep, n: Atom, g: Atom) -> Seed:
    o = s.b.o
    last = o.sub(n, 1)
    sums = s.b.scan("add", n, lambda i: s.b.read(g, o.sub(last, i), safe=True))
    return lambda child, index: s.b.read(sums, o.sub(last, index[0]), safe=True)


def _at_winners(s: Sweep, winners: Var, n: Atom, g: Atom) -> Seed:
    def body(acc: Var) -> tuple[Atom, ...]:
        def one(i: Var) -> tuple[Atom, ...]:
            s.b.contribute(acc, [s.b.read(winners, i, safe=True)], s.b.read(g, i, safe=True), safe=True)
            return ()

        s.b.for_(n, one, ())
        return ()

    received = s.b.accumulate([("add", [s.b.zeros([n], dtype_of(g))])], body)[0]
    return lambda child, index: s.b.read(received, *index, safe=True)

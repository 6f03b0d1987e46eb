"""For: nested loops, the last index innermost.  A Map stores, a Reduce carries, a Scan does both.

The result of a built-in Reduce is carried in SSA through all the loops of the nest.  A user's operator is a sequential
fold: its operands live in places of their own, into which each turn's combination is copied back.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from iverson.backend import loopir as ir
from iverson.backend.context import Context, Result, dtype_of
from iverson.backend.loopir import Carry, Reg, Value, View, integer
from iverson.backend.lower_logs import filled, filling
from iverson.core import monoids
from iverson.core.syntax import (
    BOOL,
    I64,
    Array,
    Atom,
    DType,
    For,
    Let,
    Literal,
    Map,
    Operator,
    Reduce,
    Scalar,
    Scan,
    Var,
    Yield,
    width,
)


def combine(ctx: Context, monoid: str, left: Sequence[Value], right: Sequence[Value]) -> list[Value]:
    """left `monoid` right, for a built-in monoid."""
    if monoid not in ("argmin", "argmax"):
        out = Reg(dtype_of(left[0]), monoid)
        ctx.emit(ir.Combine(out, monoid, left[0], right[0]))
        return [out]
    stays = wins(ctx, monoid, left, right)
    return [ctx.compute("select", dtype_of(a), stays, a, b) for a, b in zip(left, right, strict=True)]


def wins(ctx: Context, monoid: str, left: Sequence[Value], right: Sequence[Value]) -> Value:
    """Is the left pair the better one, for argmin and argmax?"""
    (v, i), (w, j) = left, right
    dtype = dtype_of(v)

    def test(name: str, *args: Value) -> Value:
        return ctx.compute(name, BOOL, *args)

    better = test("lt" if monoid == "argmin" else "gt", v, w)
    tie = test("eq", v, w)
    if dtype.is_float:
        v_nan, w_nan = test("isnan", v), test("isnan", w)
        better = test("and", test("not", w_nan), test("or", v_nan, better))
        tie = test("or", tie, test("and", v_nan, w_nan))
    return test("or", better, test("and", tie, test("le", i, j)))


def first_best(ctx: Context, monoid: str, best: Sequence[Value], new: Sequence[Value]) -> list[Value]:
    """The same for argmin and argmax where indices come in ascending order: a tie is never taken."""
    (v, i), (w, j) = best, new
    dtype = dtype_of(v)
    if dtype.is_float:
        keeps = ctx.compute("le" if monoid == "argmin" else "ge", BOOL, v, w)
        number = ctx.compute("not", BOOL, ctx.compute("isnan", BOOL, v))
        take = ctx.compute("and", BOOL, ctx.compute("not", BOOL, keeps), number)
    else:
        take = ctx.compute("lt" if monoid == "argmin" else "gt", BOOL, w, v)
    return [ctx.compute("select", dtype, take, w, v), ctx.compute("select", I64, take, j, i)]


def identity(monoid: str, dtype: DType) -> list[Literal]:
    values = monoids.identity(monoid, dtype)
    return [Literal(x, t) for x, t in zip(values, (dtype, I64), strict=False)]


@dataclass(slots=True)
class _Yield:
    """One yield of a For while it is lowered."""

    kind: Yield
    vars: tuple[Var, ...]
    outs: slice  # of the body
    ascending: bool  # an argmin or argmax whose indices are the loop's
    stacks: list[View | None]  # where a Map or Scan puts its results; a Scan's that nobody reads are not kept
    carried: list[Result]  # what a Reduce or Scan holds on entry of a turn: registers, or places of arrays


class _Nest:
    """The carries of a nest of loops, which every level passes on."""

    def __init__(self, depth: int) -> None:
        self.levels: list[list[Carry]] = [[] for _ in range(depth)]

    def carry(self, init: Value, hint: str) -> int:
        """A new carried scalar; its number."""
        for level in self.levels:
            reg = Reg(dtype_of(init), hint)
            level.append(Carry(reg, init, reg, Reg(reg.type, hint)))
            init = reg
        return len(self.levels[0]) - 1

    def innermost(self, k: int) -> Reg:
        return self.levels[-1][k].reg

    def result(self, k: int) -> Reg:
        return self.levels[0][k].out

    def close(self, k: int, value: Value) -> None:
        for level in reversed(self.levels):
            level[k].next = value
            value = level[k].out


def lower_for(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, For)
    extents = ctx.values(op.extent)
    if not all(isinstance(y, Reduce) for y in op.yields):
        ctx.counts(extents, let.site)
    nest = _Nest(len(extents))
    yields = _open(ctx, let, op, nest)
    body: list[ir.Stmt] = []
    indices = [ctx.scalar(v) for v in op.index]
    with ExitStack() as logs:
        for acc, log in filled(ctx, op).items():
            body += logs.enter_context(filling(ctx, acc, log, indices, extents))
        _turn(ctx, op, yields, nest, indices, body)
    for level in reversed(range(len(indices))):
        sequential = any(not isinstance(y, Map) and not isinstance(y, Reduce) for y in op.yields)
        tag = "seq" if sequential else "any"
        body = [ir.For(indices[level], integer(0), extents[level], body, nest.levels[level], tag)]
    ctx.code += body
    for y in yields:
        for var, meaning in zip(y.vars, _results(y, nest), strict=True):
            if meaning is not None:
                ctx.bind(var, meaning)


def _turn(ctx: Context, op: For, yields: list[_Yield], nest: _Nest, indices: list[Reg], body: list[ir.Stmt]) -> None:
    with ctx.into(body), ctx.turn():
        outs = ctx.block(op.body, _wants(op, yields, indices))
        _Turn(ctx, yields, nest, indices).close(outs)


def _wants(op: For, yields: list[_Yield], indices: list[Reg]) -> list[View | None]:
    """An array that a Map stacks is built in its row."""
    wants: list[View | None] = [None] * len(op.body.outs)
    for y in yields:
        if isinstance(y.kind, Map) and isinstance(op.body.outs[y.outs.start].type, Array):
            wants[y.outs.start] = y.stacks[0].at(indices)
    return wants


def _open(ctx: Context, let: Let, op: For, nest: _Nest) -> list[_Yield]:
    yields, at = [], 0
    for kind in op.yields:
        vs = let.vars[at : at + width(kind)]
        y = _Yield(kind, vs, slice(at, at + len(vs)), _is_ascending(op, kind, at), [], [])
        at += len(vs)
        if isinstance(kind, Map | Scan):
            y.stacks = [None if v in ctx.unused and isinstance(kind, Scan) else ctx.destination(v) for v in vs]
        if isinstance(kind, Reduce | Scan):
            inits = _inits(ctx, kind.monoid, op.body.outs[y.outs])
            if y.ascending:
                some = ctx.compute("lt", BOOL, integer(0), ctx.value(op.extent[0]))
                last = inits[1]
                assert isinstance(last, Literal)
                inits[1] = ctx.compute("select", I64, some, integer(0), last)
            for init, var in zip(inits, vs, strict=True):
                y.carried.append(_hold(ctx, init, var, nest, isinstance(kind, Scan)))
        yields.append(y)
    return yields


def _is_ascending(op: For, kind: Yield, at: int) -> bool:
    if isinstance(kind, Map) or kind.monoid not in ("argmin", "argmax"):
        return False
    return len(op.index) == 1 and op.body.outs[at + 1] is op.index[0] and isinstance(op.body.outs[at].type, Scalar)


def _inits(ctx: Context, monoid: str | Operator, outs: Sequence[Atom]) -> list[Result]:
    if isinstance(monoid, Operator):
        return [ctx.result(a) for a in monoid.identity]
    t = outs[0].type
    assert isinstance(t, Scalar | Array)
    return list(identity(monoid, t.dtype))


def _hold(ctx: Context, init: Result, var: Var, nest: _Nest, scan: bool) -> Result:
    """What is carried: a register, or the place of an array (whose elements all begin as a scalar init)."""
    extents = ctx.values(var.type.extents[scan:]) if isinstance(var.type, Array) else ()
    if not isinstance(init, View) and not extents:
        return nest.innermost(nest.carry(init, var.hint))
    dtype = init.buffer.dtype if isinstance(init, View) else dtype_of(init)
    place = (None if scan else ctx.want(var)) or ctx.allocate(dtype, extents, var.hint)
    if isinstance(init, View):
        ctx.copy(place, init)
    else:
        ctx.each(place.extents, lambda index: ctx.store(place.at(index), init))
    return place


def _results(y: _Yield, nest: _Nest) -> list[Result | None]:
    if not isinstance(y.kind, Reduce):
        return list(y.stacks)
    outer = {carry.reg: nest.result(k) for k, carry in enumerate(nest.levels[-1])}
    return [c if isinstance(c, View) else outer[c] for c in y.carried if not isinstance(c, Literal)]


@dataclass(slots=True)
class _Turn:
    """The end of one turn: what becomes of the body's outs."""

    ctx: Context
    yields: list[_Yield]
    nest: _Nest
    indices: list[Reg]

    def close(self, outs: list[Result]) -> None:
        for y in self.yields:
            values = outs[y.outs]
            if isinstance(y.kind, Map):
                if not isinstance(values[0], View):
                    self.ctx.store(y.stacks[0].at(self.indices), values[0])
                continue
            combined = self._combine(y, values)
            for held, value in zip(y.carried, combined, strict=True):
                self._update(held, value)
            for stack, value in zip(y.stacks, combined, strict=False):
                if stack is None:
                    continue
                place = stack.at(self.indices)
                self.ctx.copy(place, value) if isinstance(value, View) else self.ctx.store(place, value)

    def _combine(self, y: _Yield, values: list[Result]) -> list[Result]:
        assert isinstance(y.kind, Reduce | Scan)
        monoid = y.kind.monoid
        if isinstance(monoid, Operator):
            combined = apply(self.ctx, monoid, y.carried, values)
            return [c if c is h else self._apart(c, y.carried) for c, h in zip(combined, y.carried, strict=True)]
        left = [v for v in y.carried if not isinstance(v, View)]
        right = [v for v in values if not isinstance(v, View)]
        if not left:
            return self._combine_arrays(monoid, [v for v in y.carried if isinstance(v, View)], values)
        return list((first_best if y.ascending else combine)(self.ctx, monoid, left, right))

    def _combine_arrays(self, monoid: str, places: list[View], values: Sequence[Result]) -> list[Result]:
        """A built-in monoid on arrays works element by element, in place."""
        ctx = self.ctx
        rows = [v for v in values if isinstance(v, View)]

        def body(index: Sequence[Value]) -> None:
            left = [ctx.load(p.at(index)) for p in places]
            right = [ctx.load(r.at(index)) for r in rows]
            for place, value in zip(places, combine(ctx, monoid, left, right), strict=True):
                ctx.store(place.at(index), value)

        ctx.each(places[0].extents, body)
        return list(places)

    def _apart(self, value: Result, places: Sequence[Result]) -> Result:
        """An array that is in the place of another operand moves out of the way."""
        if not isinstance(value, View) or value not in places:
            return value
        return self.ctx.duplicate(value)

    def _update(self, held: Result, value: Result) -> None:
        if isinstance(held, View):
            assert isinstance(value, View)
            if held != value:
                self.ctx.copy(held, value)
        else:
            assert not isinstance(value, View)
            level = self.nest.levels[-1]
            self.nest.close(next(k for k, c in enumerate(level) if c.reg is held), value)


def apply(ctx: Context, operator: Operator, left: Sequence[Result], right: Sequence[Result]) -> list[Result]:
    """The operator's body on these operands."""
    for var, meaning in zip((*operator.left, *operator.right), (*left, *right), strict=True):
        ctx.bind(var, meaning)
    outs = ctx.block(operator.body)
    for var in (*operator.left, *operator.right):
        ctx.release(var)
    return outs

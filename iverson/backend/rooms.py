"""How much room a log is given when it is opened: where the number of its records is known by then, that.

    Accumulate [log = append] { Loop i < n { For j < i { log <- v } } }         n (n - 1) / 2 records

So it needn't grow, which would move it and leave the memory it had.  The number only is a first guess: a log that gets
more grows as any other.  Counted are logs of the outermost block, which programs open once.
"""

from __future__ import annotations

import math

from iverson.backend.context import Context
from iverson.backend.loopir import Value, integer
from iverson.core.bounds import Sizes
from iverson.core.rewrite import contributed
from iverson.core.sizes import Factor, Greatest, Least, Number, Size, maximum, parts, size
from iverson.core.sums import total
from iverson.core.syntax import I64, Accumulate, Accumulator, Block, Contribute, For, Function, Loop, Var

FIRST = 64  # records, where nothing is known
MOST = 1 << 27


def rooms(function: Function) -> dict[Var, Size]:
    """The records of the logs that a function's outermost block opens, as far as they are known before."""
    sizes = Sizes(function)
    found: dict[Var, Size] = {}
    for let in function.body:
        if isinstance(let.op, Accumulate):
            for acc in let.op.accs:
                assert isinstance(acc.type, Accumulator)
                count = _records(let.op.body, acc, sizes) if acc.type.monoid == "append" else None
                if count is not None:
                    found[acc] = count
        sizes.bind(let)
    return found


def _records(block: Block, log: Var, sizes: Sizes) -> Size | None:
    """How many records a block appends."""
    found = size(0)
    for let in block:
        op, inner = let.op, None
        if log in contributed(op):
            with sizes.inside(op, getattr(op, "body", block)):
                match op:
                    case Contribute():
                        inner = size(1)
                    case For(index, extents, body):
                        inner = _records(body, log, sizes)
                        for i, n in reversed(list(zip(index, extents, strict=True))):
                            inner = inner and _repeated(i, sizes.of(n), inner, sizes)
                    case Loop(i, n, _, _, body):
                        inner = _records(body, log, sizes)
                        inner = inner and _repeated(i, sizes.of(n), inner, sizes)
                    case Accumulate():
                        inner = _records(op.body, log, sizes)
                    case _:
                        pass
            if inner is None:
                return None
            found = found + inner
        sizes.bind(let)
    return found


def _repeated(index: Var, turns: Size, records: Size, sizes: Sizes) -> Size | None:
    """The records of all turns; None if there is no formula."""
    n = turns if sizes.nonnegative(turns) else maximum(turns, size(0))
    found = total(index, n, records)
    return found if all(isinstance(f, Var | Least | Greatest) for f in found.factors()) else None


def room(ctx: Context, known: Size | None) -> Value:
    """The records to make room for."""
    count = None if known is None else _value(ctx, known)
    if count is None:
        return integer(FIRST)
    return ctx.compute("min", I64, ctx.compute("max", I64, count, integer(FIRST)), integer(MOST))


def _value(ctx: Context, s: Size) -> Value | None:
    """A size as a number of the program; None if not all it is made of is known here."""
    below = math.lcm(*(_denominator(c) for c in s.terms.values()))
    found: Value = integer(0)
    for m, c in s.terms.items():
        term: Value = integer(int(c * below))
        for factor, power in m:
            x = _factor(ctx, factor)
            if x is None:
                return None
            for _ in range(power):
                term = x if term == integer(1) else ctx.compute("mul", I64, term, x)
        found = ctx.add(found, term)
    return found if below == 1 else ctx.compute("floordiv", I64, found, integer(below))


def _factor(ctx: Context, factor: Factor) -> Value | None:
    if isinstance(factor, Var):
        known = ctx.env.get(factor)
        return known if isinstance(known, Value) else None
    if not isinstance(factor, Least | Greatest):
        return None
    first, *rest = (_value(ctx, part) for part in parts(factor))
    for x in rest:
        if first is None or x is None:
            return None
        first = ctx.compute("min" if isinstance(factor, Least) else "max", I64, first, x)
    return first


def _denominator(c: Number) -> int:
    return 1 if isinstance(c, int) else c.denominator

"""The yields of a For under construction: what the transforms add to them."""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.build import Builder
from iverson.core.syntax import (
    I64,
    Array,
    Atom,
    Block,
    Builtin,
    For,
    Let,
    Map,
    Monoid,
    Reduce,
    Scalar,
    Scan,
    Site,
    Var,
    Yield,
)
from iverson.diff.adjoints import flatten

EXTREMA = ("min", "max", "argmin", "argmax")


def monoid_of(op: For) -> Monoid | None:
    """The monoid of a For that only reduces, or only scans."""
    first = op.yields[0] if len(op.yields) == 1 else Map()
    return None if isinstance(first, Map) else first.monoid


class Yields:
    """Yields, each with the body's outs it takes and the results it gives."""

    def __init__(self, op: For) -> None:
        self.op = op
        self.outs: list[Atom] = []
        self.yields: list[Yield] = []
        self.vars: list[Var] = []

    def add(self, y: Yield, outs: Sequence[Atom], vs: Sequence[Var]) -> None:
        self.outs += outs
        self.yields.append(y)
        self.vars += vs

    def extremum(self, b: Builder, y: Reduce | Scan, outs: Sequence[Atom], vs: Sequence[Var]) -> Var:
        """A min, max, argmin or argmax of scalars that also gives the winner's row-major position (Scan: each)."""
        arg: Builtin = "argmin" if y.monoid in ("min", "argmin") else "argmax"
        kind: Yield = Scan(arg) if isinstance(y, Scan) else Reduce(arg)
        winner = Var(Array(I64, self.op.extent) if isinstance(y, Scan) else Scalar(I64), "winner")
        best = vs[0]
        if len(vs) == 2:
            self.add(y, outs, vs)
            best = Var(best.type, "best")
        self.add(kind, [outs[0], flatten(b, self.op.index, self.op.extent)], [best, winner])
        return winner

    def let(self, lets: Sequence[Let], site: Site | None) -> Let:
        """The For of these statements."""
        body = Block(tuple(lets), tuple(self.outs))
        return Let(tuple(self.vars), For(self.op.index, self.op.extent, body, tuple(self.yields)), site)

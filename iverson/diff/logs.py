"""Logging what in-place updates overwrite, and undoing them.

    x' = Accumulate [acc = x] { ... Contribute acc[e] v ... }
        ->  the block's slice in which each contribution appends (e, x[e], turn) to the log;  the statement

Nested statements that keep the derivation of x are entered.  A branch that gives up x for another array overwrites all
of it.  An update is undone by writing the old values back, last entry first; never by subtracting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from iverson.core.build import Builder, dtype_of, extents_of
from iverson.core.rewrite import fresh_all, rename
from iverson.core.syntax import (
    BOOL,
    I64,
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    If,
    Let,
    Literal,
    Loop,
    Read,
    Scalar,
    Var,
    While,
)
from iverson.diff.activity import finals_of
from iverson.diff.adjoints import Frame
from iverson.diff.contributions import change
from iverson.diff.derivation import Derivation
from iverson.diff.residuals import AppendLog


@dataclass(frozen=True)
class OpenLog:
    """A log being written."""

    acc: Var
    stamp: Atom | None

    @staticmethod
    def of(array: Var, stamp: Atom | None) -> OpenLog:
        columns = (*(I64 for _ in extents_of(array)), dtype_of(array), *(() if stamp is None else (I64,)))
        return OpenLog(Var(Accumulator("append", columns, ()), "log"), stamp)

    @staticmethod
    def row(values: Sequence[Var]) -> OpenLog:
        """A log of rows of scalars, or of one array's elements."""
        return OpenLog(Var(Accumulator("append", tuple(map(dtype_of, values)), ()), "log"), None)

    def results(self) -> tuple[Var, ...]:
        """Fresh variables for what the log becomes."""
        assert isinstance(self.acc.type, Accumulator)
        length = Var(Scalar(I64), "len")
        return (length, *(Var(Array(d, (length,)), "log") for d in self.acc.type.dtypes))

    def closed(self, results: Sequence[Var]) -> AppendLog:
        length, *columns = results
        stamp = None if self.stamp is None else columns.pop()
        return AppendLog(length, tuple(columns[:-1]), columns[-1], stamp)


def wrap(let: Let, logs: Sequence[OpenLog], before: Sequence[Let] = ()) -> tuple[Let, list[AppendLog]]:
    """The statement, and those `before` it, under its open logs; the logs it leaves.  Its results keep their names."""
    if not logs:
        return let, []
    op, finals = let.op, [log.results() for log in logs]
    if isinstance(op, Accumulate) and not before:  # its results may be extents of each other: no block can hand them on
        accs, inits, block = op.accs, op.inits, op.body
    else:
        inner = Let(fresh_all(let.vars, {}), op, let.site)
        accs, inits, block = (), (), Block((*before, inner), inner.vars)
    outer = Accumulate((*(log.acc for log in logs), *accs), (*(() for _ in logs), *inits), block)
    whole = Let((*(v for vs in finals for v in vs), *let.vars), outer, let.site)
    return whole, [log.closed(vs) for log, vs in zip(logs, finals, strict=True)]


class Logger:
    """Emits statements that log what they overwrite of the tracked arrays."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.b = Builder()

    def forward(self, let: Let, logs: dict[Var, OpenLog]) -> tuple[Let, ...]:
        """One statement, logged; `logs` learns its results."""
        with self.b.scope() as lets:
            self._let(let, logs)
        return tuple(lets)

    def block(self, block: Block, logs: dict[Var, OpenLog]) -> Block:
        inner = dict(logs)
        with self.b.scope() as lets:
            for let in block:
                self._let(let, inner)
        return Block(tuple(lets), block.outs)

    def _let(self, let: Let, logs: dict[Var, OpenLog]) -> None:
        sources = {v: self.derivation.source(v) for v in let.vars}
        tracked = {v: x for v, x in sources.items() if x is not None and x in logs}
        if tracked:
            let = self._logged(let, tracked, logs)
            logs.update({v: logs[x] for v, x in tracked.items()})
        self.b.let(let)

    def _logged(self, let: Let, tracked: dict[Var, Var], logs: dict[Var, OpenLog]) -> Let:
        op = let.op
        match op:
            case Accumulate():
                for acc, vs in zip(op.accs, finals_of(let), strict=True):
                    for v in vs:
                        if v in tracked:
                            self.before(op, acc, tracked[v], logs[tracked[v]])
                op = replace(op, body=self.block(op.body, logs))
            case If(pred, then, orelse):
                op = If(pred, self.branch(let, then, tracked, logs), self.branch(let, orelse, tracked, logs))
            case Loop() | While():
                inner = {c: logs[tracked[v]] for c, v in zip(op.carry, let.vars, strict=False) if v in tracked}
                op = replace(op, body=self.block(op.body, inner))
            case _:
                raise AssertionError(f"{op} derives nothing")
        return Let(let.vars, op, let.site)

    def before(self, op: Accumulate, acc: Var, array: Var, log: OpenLog) -> None:
        """Log what an Accumulate will overwrite of `array`."""
        mark = Var(acc.type, "mark")

        def entry(let: Let, c: Contribute) -> tuple[Let, ...]:
            if c.acc is not mark:
                return ()
            old = Var(Scalar(dtype_of(array)), "old")
            stamp = () if log.stamp is None else (log.stamp,)
            return (
                Let((old,), Read(array, c.index, c.safe), let.site),
                Let((), Contribute(log.acc, (), (*c.index, old, *stamp)), let.site),
            )

        self.b.splice(change(rename(op.body, {acc: mark}), entry))

    def branch(self, let: Let, block: Block, tracked: dict[Var, Var], logs: dict[Var, OpenLog]) -> Block:
        logged = self.block(block, logs)
        with self.b.scope() as lets:
            self.given_up(let, block, tracked, logs)
        return Block((*lets, *logged.lets), logged.outs)

    def given_up(self, let: Let, block: Block, tracked: dict[Var, Var], logs: dict[Var, OpenLog]) -> None:
        """A branch that gives up a tracked array for another overwrites all of it."""
        for v, out in zip(let.vars, block.outs, strict=False):
            if v in tracked and self.derivation.origin(block, out) is not tracked[v]:
                self.whole(tracked[v], logs[tracked[v]])

    def whole(self, array: Var, log: OpenLog) -> None:
        stamp = () if log.stamp is None else (log.stamp,)

        def entry(*i: Var) -> tuple[Atom, ...]:
            self.b.contribute(log.acc, (), *i, self.b.read(array, *i, safe=True), *stamp)
            return ()

        self.b.for_(extents_of(array), entry, ())


def undo(b: Builder, frame: Frame, log: AppendLog, buffer: Atom, cursor: Atom, stamp: Atom | None) -> tuple[Atom, Atom]:
    """Write back the entries below `cursor` whose stamp is `stamp` (None: all); give the buffer and the new cursor."""
    assert isinstance(buffer, Var)

    def more(_: Atom, k: Atom) -> Atom:
        some = b.o.gt(k, 0)
        if stamp is None or log.stamp is None:
            return some
        stamps = frame.var(log.stamp)
        same = b.if_(
            some,
            lambda: b.o.eq(b.read(stamps, b.o.sub(k, 1), safe=True), stamp),
            lambda: Literal(False, BOOL),
        )
        return same[0]

    def back(array: Var, k: Atom) -> tuple[Atom, Atom]:
        top = b.o.sub(k, 1)
        index = [b.read(frame.var(c), top, safe=True) for c in log.index]
        return b.set(array, index, b.read(frame.var(log.old), top, safe=True)), top

    array, left = b.while_([buffer, cursor], more, back)
    return array, left

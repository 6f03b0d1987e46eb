"""Logs: what in-place updates overwrite, in the order of writing, and undoing them.

    x' = Accumulate [acc = x] { ... Contribute acc[e] v ... }
        ->  the block's slice in which each contribution appends (e, x[e]) to the log;  the statement

An update is undone by writing the old values back, last entry first; never by subtracting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iverson.core.build import Builder, dtype_of, extents_of
from iverson.core.rewrite import fresh_all, rename
from iverson.core.syntax import (
    I64,
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    Let,
    Read,
    Scalar,
    Var,
)
from iverson.diff.adjoints import Frame
from iverson.diff.contributions import change
from iverson.diff.residuals import AppendLog


@dataclass(frozen=True)
class OpenLog:
    """A log being written."""

    acc: Var

    @staticmethod
    def of(array: Var) -> OpenLog:
        """A log of what is overwritten of an array."""
        columns = (*(I64 for _ in extents_of(array)), dtype_of(array))
        return OpenLog(Var(Accumulator("append", columns, ()), "log"))

    @staticmethod
    def row(values: Sequence[Var]) -> OpenLog:
        """A log of rows of scalars, or of one array's elements."""
        return OpenLog(Var(Accumulator("append", tuple(map(dtype_of, values)), ()), "log"))

    def results(self) -> tuple[Var, ...]:
        """Fresh variables for what the log becomes."""
        assert isinstance(self.acc.type, Accumulator)
        length = Var(Scalar(I64), "len")
        return (length, *(Var(Array(d, (length,)), "log") for d in self.acc.type.dtypes))

    @staticmethod
    def closed(results: Sequence[Var]) -> AppendLog:
        length, *columns = results
        return AppendLog(length, tuple(columns[:-1]), columns[-1])


def wrap(let: Let, logs: Sequence[OpenLog]) -> tuple[Let, list[AppendLog]]:
    """The statement under its open logs; the logs it leaves.  Its results keep their names."""
    if not logs:
        return let, []
    op, finals = let.op, [log.results() for log in logs]
    if isinstance(op, Accumulate):  # its results may be extents of each other: no block can hand them on
        accs, inits, block = op.accs, op.inits, op.body
    else:
        inner = Let(fresh_all(let.vars, {}), op, let.site)
        accs, inits, block = (), (), Block((inner,), inner.vars)
    outer = Accumulate((*(log.acc for log in logs), *accs), (*(() for _ in logs), *inits), block)
    whole = Let((*(v for vs in finals for v in vs), *let.vars), outer, let.site)
    return whole, list(map(OpenLog.closed, finals))


def log_before(b: Builder, op: Accumulate, acc: Var, array: Var) -> AppendLog:
    """Log what an Accumulate is about to overwrite of `array`."""
    log, mark = OpenLog.of(array), Var(acc.type, "mark")

    def entry(let: Let, c: Contribute) -> tuple[Let, ...]:
        if c.acc is not mark:
            return ()
        old = Var(Scalar(dtype_of(array)), "old")
        return (
            Let((old,), Read(array, c.index, c.safe), let.site),
            Let((), Contribute(log.acc, (), (*c.index, old)), let.site),
        )

    block, results = change(rename(op.body, {acc: mark}), entry), log.results()
    b.let(Let(results, Accumulate((log.acc,), ((),), Block(block.lets, ()))))
    return log.closed(results)


def undo(b: Builder, frame: Frame, log: AppendLog, buffer: Atom) -> Atom:
    """The buffer before all logged updates."""
    length = frame.at(log.length)

    def back(k: Atom, array: Var) -> Atom:
        at = b.o.sub(b.o.sub(length, 1), k)
        index = [b.read(frame.var(c), at, safe=True) for c in log.index]
        return b.set(array, index, b.read(frame.var(log.old), at, safe=True))

    return b.loop(length, [buffer], back)[0]

"""Logs: what in-place updates overwrite, in the order of writing, and undoing them.

    x' = Accumulate [acc = x] { ... Contribute acc[e] v ... }
        ->  the block's slice in which each contribution appends (e, x[e]) to the log;  the statement

An update is undone by writing the old values back, last entry first; never by subtracting.

What a scope logs at its end, once a run, is found from the log's end by a cursor: the return sweep runs the scopes in
the opposite order.  So such a log may be opened far outside the scope that writes it (`wrap`), and nothing that it
holds is moved from log to log.
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
    DType,
    Let,
    Read,
    Scalar,
    Var,
)
from iverson.diff.adjoints import Frame
from iverson.diff.contributions import change


@dataclass(frozen=True)
class AppendLog:
    """Overwritten elements in the order of writing."""

    length: Var
    index: tuple[Var, ...]
    old: Var

    @property
    def columns(self) -> tuple[Var, ...]:
        return (*self.index, self.old)


@dataclass(frozen=True)
class OpenLog:
    """A log being written, and what it becomes."""

    acc: Var
    length: Var
    columns: tuple[Var, ...]

    @staticmethod
    def of(array: Var) -> OpenLog:
        """A log of what is overwritten of an array."""
        return OpenLog._new((*(I64 for _ in extents_of(array)), dtype_of(array)))

    @staticmethod
    def row(values: Sequence[Var]) -> OpenLog:
        """A log of rows of scalars, or of arrays' elements."""
        return OpenLog._new(tuple(map(dtype_of, values)))

    @staticmethod
    def _new(dtypes: tuple[DType, ...]) -> OpenLog:
        length = Var(Scalar(I64), "len")
        columns = tuple(Var(Array(d, (length,)), "log") for d in dtypes)
        return OpenLog(Var(Accumulator("append", dtypes, ()), "log"), length, columns)

    @property
    def results(self) -> tuple[Var, ...]:
        return (self.length, *self.columns)

    def closed(self) -> AppendLog:
        return AppendLog(self.length, self.columns[:-1], self.columns[-1])


def wrap(let: Let, logs: Sequence[OpenLog]) -> Let:
    """The statement under its open logs.  Its results keep their names."""
    op = let.op
    if isinstance(op, Accumulate):  # its results may be extents of each other: no block can hand them on
        accs, inits, block = op.accs, op.inits, op.body
    else:
        inner = Let(fresh_all(let.vars, {}), op, let.site)
        accs, inits, block = (), (), Block((inner,), inner.vars)
    outer = Accumulate((*(log.acc for log in logs), *accs), (*(() for _ in logs), *inits), block)
    return Let((*(v for log in logs for v in log.results), *let.vars), outer, let.site)


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

    block = change(rename(op.body, {acc: mark}), entry)
    b.let(Let(log.results, Accumulate((log.acc,), ((),), Block(block.lets, ()))))
    return log.closed()


def undo(b: Builder, frame: Frame, log: AppendLog, buffer: Atom) -> Atom:
    """The buffer before all logged updates."""
    length = frame.at(log.length)

    def back(k: Atom, array: Var) -> Atom:
        at = b.o.sub(b.o.sub(length, 1), k)
        index = [b.read(frame.var(c), at, safe=True) for c in log.index]
        return b.set(array, index, b.read(frame.var(log.old), at, safe=True), safe=True)

    return b.loop(length, [buffer], back)[0]

"""The functions of a module under construction: the kernel, and each loop on the pool.

What a function allocates is in its own table, and its own way to fail frees what is there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from iverson.backend import abi, interrupt
from iverson.backend.loopir import Cell, Owner, Stmt
from iverson.backend.writer import Writer

_FRAME = (
    "lines",
    "entry",
    "exits",
    "known",
    "names",
    "cells",
    "owners",
    "label",
    "word",
    "group",
    "vectorises",
    "scopes",
    "all_scopes",
)


class Frame(Writer):
    def __init__(self) -> None:
        super().__init__()
        self.entry: list[str] = []
        self.cells: dict[Cell, str] = {}
        self.owners: dict[Owner, int] = {}
        self.exits: list[tuple[str, str]] = []  # (status, label) of the ways to fail
        self.word = f"@{interrupt.FLAG}"  # what a poll looks at
        self.turning = 0  # how many loops are around
        self.functions: list[str] = []  # those that are complete

    @abstractmethod
    def block(self, body: list[Stmt]) -> None:
        """Write statements."""

    def function(self, body: list[Stmt]) -> list[str]:
        """The text of a function from its entry on."""
        self.block(body)
        self.line(f"ret i64 {abi.OK}")
        self._fail()
        count = len(self.owners)
        head = ["entry:", f"  %live = alloca [{max(count, 1)} x ptr], align 8"]
        if count:
            head.append(f"  call void @llvm.memset.p0.i64(ptr align 8 %live, i8 0, i64 {8 * count}, i1 false)")
        return [*head, *self.entry, *self.lines, "}"]

    @contextmanager
    def turn(self) -> Iterator[None]:
        self.turning += 1
        yield
        self.turning -= 1

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """In a function of its own."""
        kept = {name: getattr(self, name) for name in _FRAME}
        self.lines, self.entry, self.exits, self.known = [], [], [], [{}]
        self.names, self.cells, self.owners = {}, {}, {}
        self.label, self.word = "entry", "%word"
        yield
        for name, value in kept.items():
            setattr(self, name, value)

    def _fail(self) -> None:
        if not self.exits:
            return
        self.open("fail")
        edges = ", ".join(f"[ {status}, %{label} ]" for status, label in self.exits)
        self.line(f"%status = phi i64 {edges}")
        self.line(f"call void @iv_release(ptr %live, i64 {len(self.owners)})")
        self.line("ret i64 %status")

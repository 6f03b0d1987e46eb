"""The state of a lowering: what core names mean as loop IR, where statements go, and which buffers are alive.

Arrays are owned by the block that allocates them (a `Frame`).  A buffer is freed after the last statement that uses a
name for it, unless it leaves the block as an out: then it becomes the outer block's.  An out that has a destination is
built in it from the start, through any chain of in-place updates that leads to it (`wants`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from iverson.backend import loopir as ir
from iverson.backend.chains import Chains
from iverson.backend.loopir import Buffer, Cell, Reg, Stmt, Value, View, integer
from iverson.core.sizes import Size
from iverson.core.syntax import (
    BOOL,
    I64,
    Array,
    Atom,
    Block,
    DType,
    Let,
    Literal,
    Monoid,
    Scalar,
    Site,
    Var,
)


class Unsupported(NotImplementedError):
    """The back end can't compile this construct."""


@dataclass(eq=False, slots=True)
class Log:
    """A growing array of records: one pointer cell per column, and their common length and capacity."""

    columns: tuple[Cell, ...]
    dtypes: tuple[DType, ...]
    owners: tuple[ir.Owner, ...]
    length: Cell
    capacity: Cell


@dataclass(frozen=True, slots=True)
class Filling:
    """The record of a log that this turn of a For writes."""

    columns: tuple[Buffer, ...]
    at: Value


@dataclass(frozen=True, slots=True)
class Target:
    """Where contributions to an accumulator go."""

    monoid: Monoid
    columns: tuple[View | Cell, ...] | Log | Filling


Meaning: TypeAlias = Value | View | Target
Result: TypeAlias = Value | View


@dataclass(slots=True)
class Frame:
    """One block being lowered."""

    owned: dict[Buffer, set[Var]] = field(default_factory=dict)  # its live buffers, each with the names that mean it
    wants: dict[Var, View] = field(default_factory=dict)
    sizes: set[Value] = field(default_factory=set)  # known not to be negative from here on
    dying: Sequence[Var] = ()  # the arrays that aren't used after the statement that is lowered


class Context:
    def __init__(
        self, chains: Chains, proven: Callable[[Let], bool], rules: Mapping[type, Callable[[Context, Let], None]]
    ) -> None:
        self.chains = chains
        self.proven = proven
        self.rules = rules
        self.env: dict[Var, Meaning] = {}
        self.code: list[Stmt] = []
        self.frames: list[Frame] = [Frame()]
        self.sites: list[ir.ErrorSite] = []
        self.origin: Site | None = None  # of the statement that is lowered
        self.rooms: Mapping[Var, Size] = {}  # records of logs, where known (backend/rooms.py)
        self._memory_sites: dict[Site | None, int] = {}

    # --- statements ---------------------------------------------------------------------------------------------------

    def emit(self, stmt: Stmt) -> None:
        self.code.append(stmt)

    @contextmanager
    def into(self, code: list[Stmt]) -> Iterator[list[Stmt]]:
        """Statements emitted inside go to `code`."""
        saved, self.code = self.code, code
        try:
            yield code
        finally:
            self.code = saved

    def compute(self, name: str, dtype: DType, *args: Value, hint: str = "t") -> Reg:
        out = Reg(dtype, hint)
        self.emit(ir.Compute(out, name, args))
        return out

    def argument(self, slot: int) -> Reg:
        """An integer argument of the kernel."""
        out = Reg(I64, "arg")
        self.emit(ir.Argument(out, slot))
        return out

    def add(self, x: Value, y: Value) -> Value:
        if isinstance(x, Literal) and isinstance(y, Literal):
            return integer(int(x.value) + int(y.value))
        return y if x == integer(0) else x if y == integer(0) else self.compute("add", I64, x, y)

    def load(self, view: View) -> Reg:
        out = Reg(view.buffer.dtype, view.buffer.hint)
        self.emit(ir.Load(out, view))
        return out

    def store(self, view: View, value: Value) -> None:
        view.buffer.stored = True
        self.emit(ir.Store(view, value))

    def copy(self, target: View, source: View) -> None:
        """All elements; the two do not overlap."""
        target.buffer.stored = True
        if target.buffer.strides is None and source.buffer.strides is None:
            self.emit(ir.Copy(target, source))
        else:
            self.each(target.extents, lambda index: self.store(target.at(index), self.load(source.at(index))))

    def each(self, extents: Sequence[Value], body: Callable[[tuple[Reg, ...]], None]) -> None:
        """A nest of loops over all indices, the last innermost."""
        index = tuple(Reg(I64, h) for h, _ in zip("ijklmnpqrs" * len(extents), extents, strict=False))
        with self.into([]) as code:
            body(index)
        for i, n in zip(reversed(index), reversed(extents), strict=True):
            code = [ir.For(i, integer(0), n, code, [], "any")]
        self.code += code

    def get(self, cell: Cell) -> Reg:
        out = Reg(cell.type, cell.hint)
        self.emit(ir.Get(out, cell))
        return out

    def put(self, cell: Cell, value: Value) -> None:
        self.emit(ir.Put(cell, value))

    def site(self, error: str, message: str, details: Sequence[DType], site: Site | None, wrapped: bool = False) -> int:
        self.sites.append(ir.ErrorSite(error, message, tuple(details), site, wrapped))
        return len(self.sites) - 1

    def require(self, pred: Value, error: str, message: str, details: Sequence[Value], site: Site | None) -> None:
        dtypes = [dtype_of(d) for d in details]
        self.emit(ir.Require(pred, self.site(error, message, dtypes, site), tuple(details)))

    def counts(self, extents: Sequence[Value], site: Site | None) -> None:
        """Leave the program if a dimension of a new array is negative."""
        for n in extents:
            if any(n in f.sizes for f in self.frames) or (isinstance(n, Literal) and n.value >= 0):
                continue
            message = "negative dimensions are not allowed"
            self.require(self.compute("ge", BOOL, n, integer(0)), "ValueError", message, (), site)
            self.frames[-1].sizes.add(n)

    def bounds(self, let: Let, index: Sequence[Value], extents: Sequence[Value], safe: bool) -> None:
        """Leave the program unless every index is in bounds."""
        if safe or self.proven(let):
            return
        for k, (i, n) in enumerate(zip(index, extents, strict=False)):
            if isinstance(i, Literal) and isinstance(n, Literal) and 0 <= i.value < n.value:
                continue
            message = f"index {{0}} is out of bounds for axis {k} with size {{1}}"
            self.emit(ir.Bound(i, n, self.site("IndexError", message, (I64, I64), let.site, wrapped=True)))

    # --- names --------------------------------------------------------------------------------------------------------

    def value(self, atom: Atom) -> Value:
        if isinstance(atom, Literal):
            return atom
        meaning = self.env[atom]
        assert isinstance(meaning, Reg | Literal), f"{atom} is no scalar"
        return meaning

    def values(self, atoms: Sequence[Atom]) -> tuple[Value, ...]:
        return tuple(map(self.value, atoms))

    def view(self, atom: Atom) -> View:
        assert isinstance(atom, Var)
        meaning = self.env[atom]
        assert isinstance(meaning, View), f"{atom} is no array"
        return meaning

    def result(self, atom: Atom) -> Result:
        return self.view(atom) if isinstance(atom.type, Array) else self.value(atom)

    def scalar(self, var: Var) -> Reg:
        """A fresh register for a scalar variable."""
        assert isinstance(var.type, Scalar)
        reg = Reg(var.type.dtype, var.hint)
        self.env[var] = reg
        return reg

    def bind(self, var: Var, meaning: Result) -> None:
        self.env[var] = meaning
        if isinstance(meaning, View):
            names = self._names(meaning.buffer)
            if names is not None:
                names.add(var)

    def release(self, var: Var) -> None:
        """The name is not used any more."""
        meaning = self.env.get(var)
        if isinstance(meaning, View):
            names = self._names(meaning.buffer)
            if names is not None:
                names.discard(var)

    def _names(self, buffer: Buffer) -> set[Var] | None:
        return next((f.owned[buffer] for f in reversed(self.frames) if buffer in f.owned), None)

    # --- buffers ------------------------------------------------------------------------------------------------------

    def allocate(self, dtype: DType, extents: Sequence[Value], hint: str = "b") -> View:
        """A fresh buffer, owned by the block being lowered."""
        buffer = Buffer(dtype, tuple(extents), Reg(ir.POINTER, hint), hint=hint, slot=ir.Owner())
        self.emit(ir.Alloc(buffer, site=self._memory()))
        self.frames[-1].owned[buffer] = set()
        return View(buffer)

    def _memory(self) -> int:
        """The site of an allocation that fails."""
        if self.origin not in self._memory_sites:
            self._memory_sites[self.origin] = self.site("MemoryError", "out of memory", (), self.origin)
        return self._memory_sites[self.origin]

    def allocate_like(self, var: Var) -> View:
        assert isinstance(var.type, Array)
        return self.allocate(var.type.dtype, self.values(var.type.extents), var.hint)

    def free(self, buffer: Buffer) -> None:
        del self.frames[-1].owned[buffer]
        self.emit(ir.Free(buffer))

    def disown(self, buffer: Buffer) -> None:
        """Its memory has a new name from here on."""
        del self.frames[-1].owned[buffer]

    def own(self, buffer: Buffer) -> None:
        self.emit(ir.Own(buffer))
        self.frames[-1].owned[buffer] = set()

    def owns(self, buffer: Buffer) -> bool:
        return buffer in self.frames[-1].owned

    def used(self, var: Var) -> bool:
        """Is a result of the statement that is lowered used at all?"""
        return var not in self.frames[-1].dying

    def want(self, var: Var) -> View | None:
        return self.frames[-1].wants.get(var)

    def destination(self, var: Var) -> View:
        """Where the array a statement makes is to be built."""
        return self.want(var) or self.allocate_like(var)

    def consume(self, atom: Atom, copied: bool, wanted: View | None = None) -> View:
        """The memory of an array that a statement takes over: its own where it is moved, else a copy."""
        view = self.view(atom)
        if not copied and (wanted is None or wanted == view):
            return view
        if wanted is None:
            return self.duplicate(view)
        self.copy(wanted, view)
        return wanted

    def duplicate(self, view: View) -> View:
        target = self.allocate(view.buffer.dtype, view.extents, view.buffer.hint)
        self.copy(target, view)
        return target

    # --- blocks -------------------------------------------------------------------------------------------------------

    def block(self, block: Block, wants: Sequence[View | None] = ()) -> list[Result]:
        """Lower a block; its outs.  An out with a wanted view is left there; others are where they are made, copied if
        they aren't the block's to give."""
        frame = Frame()
        chain = self.chains.of(block)
        for k, wanted in enumerate(wants):
            if wanted is not None:
                for var in chain.path(k):
                    frame.wants.setdefault(var, wanted)
        self.frames.append(frame)
        origin = self.origin
        for n, let in enumerate(block.lets):
            self.origin, frame.dying = let.site, chain.dying[n]
            self.rules[type(let.op)](self, let)
            for var in chain.dying[n]:
                self.release(var)
            for buffer in [b for b, names in frame.owned.items() if not names]:
                self.free(buffer)
        self.origin = origin
        outs = [self._out(block, k, wants[k] if k < len(wants) else None) for k in range(len(block.outs))]
        for out in block.outs:  # made in an array from outside, they are no names of it any more
            if isinstance(out, Var) and out in chain.binders:
                self.release(out)
        kept = {o.buffer for o in outs if isinstance(o, View)}
        for buffer in [b for b in frame.owned if b not in kept]:
            self.free(buffer)
        self.frames.pop()
        self.frames[-1].owned.update((b, set()) for b in frame.owned)
        return outs

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A scope for what a turn of a loop allocates; it is freed at the end."""
        frame = Frame()
        self.frames.append(frame)
        try:
            yield
            for buffer in list(frame.owned):
                self.free(buffer)
        finally:
            self.frames.pop()

    def _out(self, block: Block, k: int, wanted: View | None) -> Result:
        atom = block.outs[k]
        if not isinstance(atom.type, Array):
            return self.value(atom)
        return self.consume(atom, self.chains.copied(block, k), wanted)


def dtype_of(value: Value) -> DType:
    t = ir.type_of(value)
    assert isinstance(t, DType)
    return t

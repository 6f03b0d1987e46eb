"""The program under construction: one `Staging` per staged function, found through `current()`.

It holds the builder, the stack of open scopes, and what scopes are about: storage.  A `Cell` is one storage cell; its
`var` is the core variable that holds its contents now, and a write rebinds it.  The scopes make that work across
control flow:

    Suite   one side of an If: remembers what its cells held before, so that both sides can be merged
    Turn    the body of a Loop or While: every outer cell that is touched gets a placeholder variable for its contents
            at the start of a turn.  Those written become carries; for the others the placeholder is the value from
            outside, and `Staging.same` records that (one substitution at the very end puts it right)
    Each    the body of a For: outer cells can't be written
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from iverson.core.build import Builder, literal
from iverson.core.syntax import Atom, Block, Let, Literal, Site, Var
from iverson.lang import errors
from iverson.lang.errors import error, refusal


class Users:
    """Objects that use a cell, as long as they live; by identity."""

    __slots__ = ("_refs",)

    def __init__(self) -> None:
        self._refs: dict[int, weakref.ref[Any]] = {}

    def add(self, user: Any) -> None:
        key, refs = id(user), self._refs
        refs[key] = weakref.ref(user, lambda _: refs.pop(key, None))

    @property
    def count(self) -> int:
        return len(self._refs)

    def __bool__(self) -> bool:
        if self._refs:
            gc.collect()  # what only a cycle of functions still holds
        return bool(self._refs)


class Cell:
    """A storage cell: `var` holds its contents now; a scalar atom if the cell has no axes."""

    __slots__ = (
        "__weakref__",
        "choices",
        "deferred",
        "depth",
        "dtype",
        "external",
        "forward",
        "name",
        "origin",
        "tied",
        "var",
        "views",
    )

    def __init__(self, var: Atom, dtype: np.dtype[Any], depth: int, name: str = "") -> None:
        self.var = var
        self.dtype = dtype  # of the front end: complex cells have a trailing extent of 2
        self.depth = depth  # how many scopes were open when it was made
        self.external = depth == 0 and name != ""  # the caller knows this array
        self.name = name
        self.choices = Users()  # what reads it or another, depending on a condition
        self.views = Users()  # the arrays that refer to it
        self.deferred: list[BaseException] | None = None  # where to note forbidden writes that may turn out allowed
        self.forward: Callable[[], Atom] | None = None  # what it holds, where others hold it by now (lang/swaps.py)
        self.origin: Any = None  # which cells it may stand for, after a loop that trades arrays
        self.tied: list[Cell] = []  # on some path to here, these are the same array: neither may be written

    def in_use(self) -> bool:
        """Whether anyone could see a write of this cell."""
        return self.external or bool(self.views)


def tie(x: Cell, y: Cell) -> None:
    """Two cells may be one array: neither can be written while the other is in use."""
    if x is not y:
        x.tied.append(y)
        y.tied.append(x)


class Scope:
    """An open block of the program."""

    def __init__(self) -> None:
        self.lets: list[Let] = []
        self.serial = 0  # of the size equalities known when it was opened


class Suite(Scope):
    """One side of an If: what the cells that it writes held before."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[Cell, Atom] = {}


class Turn(Scope):
    """The body of a sequential loop: cells of outside it has touched, with their outer contents and placeholder."""

    def __init__(self) -> None:
        super().__init__()
        self.entered: dict[Cell, tuple[Atom, Atom]] = {}


class Each(Scope):
    """The body of a parallel comprehension or reduction."""

    refusal = (
        "a comprehension, a generator or an operator writes an array from outside: its elements are "
        "computed in no particular order; use a for statement"
    )


class Recorder(Builder):
    """A builder whose statements know the line of user code that they come from."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[Var, Let] = {}  # the statement that binds a variable

    def let(self, let: Let) -> None:
        super().let(let)
        for var in let.vars:
            self.made[var] = let

    def emit(self, op: Any, hints: Sequence[str] = ()) -> tuple[Var, ...]:
        self.site = errors.site()
        return super().emit(op, hints)

    @contextmanager
    def into(self, lets: list[Let]) -> Iterator[None]:
        """Emit into a list that is already there."""
        self._open.append(lets)
        try:
            yield
        finally:
            self._open.pop()

    @property
    def depth(self) -> int:
        """How many blocks are open."""
        return len(self._open)

    def lets(self) -> list[Let]:
        """The statements of the outermost block."""
        assert len(self._open) == 1, "a scope is still open"
        return self._open[0]

    @contextmanager
    def outermost(self) -> Iterator[None]:
        """Emit at the outermost level."""
        inner, self._open = self._open, self._open[:1]
        try:
            yield
        finally:
            self._open = inner


class Staging:
    """One program under construction."""

    def __init__(self) -> None:
        self.builder = Recorder()
        self.scopes: list[Scope] = []
        self.stale: set[Atom] = set()  # what cells held before they were written
        self.same: dict[Var, Atom] = {}  # placeholders that turned out to be a value from outside
        self.top: dict[Var, None] = {}  # int64 scalars of the outermost block that sizes are made of
        self.sizes: dict[tuple[str, tuple[Atom, ...]], Atom] = {}  # size arithmetic, once each
        self.lows: dict[Atom, int] = {}  # lower bounds of sizes
        self.highs: dict[Any, tuple[Var | None, int]] = {}  # upper bounds of loop indices
        self.affine: dict[Var, tuple[Var | None, int]] = {}  # sizes that are another one plus a constant
        # arrays met on the way: the object, its input, its Arr
        self.captured: dict[Hashable, tuple[Any, Var, Any]] = {}
        self.memory: dict[Any, Any] = {}  # what an earlier trace of a loop taught
        self.lazy = 0  # how many operands that may not be evaluated are being staged
        self.lists: dict[int, Site | None] = {}  # where a method of a Python list was called last
        self.calls: list[Any] = []  # functions being staged, for recursion
        self.equal: list[frozenset[Atom]] = []  # sizes checked equal where we are
        self.inputs: dict[Var, Any] = {}  # the scalar parameters, as terms of the arguments (lang/assumptions.py)
        self.ones: frozenset[Any] = frozenset()  # computed lengths that are known to be 1
        self.assumed: set[Any] = set()  # those that are taken not to be

    # --- scopes -------------------------------------------------------------------------------------------------------

    @contextmanager
    def scope(self, scope: Scope) -> Iterator[Scope]:
        """Emit into `scope`, which may be entered more than once."""
        known = len(self.equal)
        self.scopes.append(scope)
        try:
            with self.builder.into(scope.lets):
                yield scope
        finally:
            self.scopes.pop()
            del self.equal[known:]

    @property
    def depth(self) -> int:
        return len(self.scopes)

    def block(self, scope: Scope, outs: Sequence[Atom]) -> Block:
        return Block(tuple(scope.lets), tuple(outs))

    # --- cells --------------------------------------------------------------------------------------------------------

    def cell(self, var: Atom, dtype: np.dtype[Any], name: str = "") -> Cell:
        return Cell(var, dtype, self.depth, name)

    def contents(self, cell: Cell) -> Atom:
        """What a cell holds now, as seen from the innermost scope."""
        if cell.forward is not None:
            return cell.forward()
        for scope in self.scopes[cell.depth :]:
            if isinstance(scope, Turn) and cell not in scope.entered:
                var = cell.var
                hint = cell.name or (var.hint if isinstance(var, Var) else "c")
                placeholder = Var(var.type, hint)
                scope.entered[cell] = var, placeholder
                cell.var = placeholder
        return cell.var

    def write(self, cell: Cell, var: Atom) -> None:
        """Let a cell hold something else."""
        self.writable(cell)
        before = self.contents(cell)
        self.stale.add(before)
        for scope in reversed(self.scopes[cell.depth :]):
            if isinstance(scope, Turn):
                break  # a suite around the loop hears of it when the loop ends
            if isinstance(scope, Suite):
                scope.before.setdefault(cell, before)
        cell.var = var

    def writable(self, cell: Cell) -> None:
        """Raise if a cell can't be written here."""
        if cell.choices or cell.forward is not None or any(other.in_use() for other in cell.tied):
            problem = refusal(
                ValueError,
                f"{cell.name or 'this array'} is written here, but whether it is the same array as another one that "
                "is still in use depends on a condition or on the turn of a loop; make it an array of its own "
                "with .copy() where the name is bound",
            )
            if cell.deferred is None:
                raise problem
            cell.deferred.append(problem)
        for scope in self.scopes[cell.depth :]:
            if isinstance(scope, Each):
                problem = error(TypeError, scope.refusal)
                problem.cell = cell  # type: ignore[attr-defined]
                raise problem

    # --- sizes --------------------------------------------------------------------------------------------------------

    def is_top(self, atom: Atom) -> bool:
        """A literal or an integer of the outermost block: sizes made of these live there too, each once."""
        return isinstance(atom, Literal) or atom in self.top

    def size_prim(self, name: str, *args: Atom) -> Atom | None:
        """Size arithmetic at the outermost level; None where an argument lives further in."""
        if not all(map(self.is_top, args)):
            return None
        if name in ("add", "sub"):
            (p, c), (q, d) = (self.affine_of(a) for a in args)
            if name == "add" and (p is None or q is None):
                return self._offset(p or q, c + d)
            if name == "sub" and (q is None or p is q):
                return self._offset(None if p is q else p, c - d)
        return self._hoisted(name, args)

    def affine_of(self, atom: Atom) -> tuple[Var | None, int]:
        """A size as another one plus a constant; None stands for 0."""
        return (None, int(atom.value)) if isinstance(atom, Literal) else self.affine.get(atom, (atom, 0))

    def _offset(self, base: Var | None, by: int) -> Atom:
        if base is None or by == 0:
            return base or literal(by)
        size = self._hoisted("add" if by > 0 else "sub", (base, literal(abs(by))))
        if isinstance(size, Var):
            self.affine[size] = base, by
        return size

    def _hoisted(self, name: str, args: tuple[Atom, ...]) -> Atom:
        key = name, args
        if key not in self.sizes:
            with self.builder.outermost():
                self.sizes[key] = self.builder.prim(name, *args)
            if isinstance(self.sizes[key], Var):
                self.top[self.sizes[key]] = None  # type: ignore[index]
        return self.sizes[key]

    # --- the end ------------------------------------------------------------------------------------------------------

    def resolve(self, atom: Atom) -> Atom:
        """What a placeholder stands for."""
        while isinstance(atom, Var) and atom in self.same:
            atom = self.same[atom]
        return atom


class _Stack(threading.local):
    def __init__(self) -> None:
        self.items: list[Staging] = []


_STACK = _Stack()
# one item for each program that is being staged in any thread: while it is empty a call needn't ask for its thread's
OPEN: list[None] = []


def current() -> Staging:
    """The program being staged; an error outside of staging."""
    if not _STACK.items:
        raise error(RuntimeError, "a value of a staged program is used after staging: it has no number yet")
    return _STACK.items[-1]


def active() -> bool:
    return bool(_STACK.items)


class _Older:
    """What there was before any program was staged, left out of collections of garbage: in a process with much of it
    each would take long, and none of it uses a cell.  Nothing is left out where the process itself has frozen some."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.programs = 0  # under construction, of all threads
        self.frozen = False

    def __enter__(self) -> None:
        with self.lock:
            if self.programs == 0 and gc.get_freeze_count() == 0:
                gc.freeze()
                self.frozen = True
            self.programs += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.programs -= 1
            if self.programs == 0 and self.frozen:
                gc.unfreeze()
                self.frozen = False


_OLDER = _Older()


@contextmanager
def staging() -> Iterator[Staging]:
    """Stage a program of its own."""
    state = Staging()
    _STACK.items.append(state)
    OPEN.append(None)
    try:
        with _OLDER:
            yield state
    finally:
        OPEN.pop()
        _STACK.items.pop()


def builder() -> Recorder:
    return current().builder


def here() -> Site | None:
    return errors.site()

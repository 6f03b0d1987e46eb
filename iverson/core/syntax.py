"""The core language: its whole grammar, on one screen.

    Type   = Scalar dtype | Array dtype [extent...] | Accumulator monoid dtypes [extent...]
    Atom   = Var | Literal
    Block  = let x... = Op ; ... in (Atom...)                   SSA: each name bound once
    Op     = Prim name (atom...)                                scalars only; a row of core/prims.py
           | Read array [index...]                              one element; with a prefix of the indices, a row
           | For [i < n, ...] Block yields [Map | Reduce m | Scan m]      parallel
           | Accumulate [acc = (m, init...)] Block              scope of write-only accumulators
           | Contribute acc [index...] value...                 acc[index] (+)= value, at any depth inside
           | Loop (i < n) [carry = init] Block                  sequential; outs = carries, then one emit a turn
           | While [carry = init] cond Block                    cond and body are blocks over the carries
           | If p Block Block                                   lazy
           | Library name (atom...)                             gemm, solve, sort, ... ; a row of a table
           | Check p message (atom...)                          raises, or warns and goes on, unless p holds
    m      = add | mul | min | max | and | or | argmin | argmax | set | append | Operator (identity, Block)

Meaning and cost are `core/evaluate.py`; `core/check.py` says which programs are well formed.  Blocks close over what is
in scope.  There are no tuples and no aliasing: an array has one owner, and a row that `Read` gives with fewer
indices than the rank is a borrowed view of its array, never owned.

What an op binds, in order:

    Prim, Read     one variable
    For            per yield `arity(monoid)` variables (Map: one).  Map stacks [extents..., *element extents]; a
                   Reduce has the element's type; a Scan (one index only, inclusive) stacks [n, *element extents].
                   argmin/argmax take and give the pair (value, index); the first index wins ties, the first NaN
                   wins.
    Accumulate     per accumulator its columns' final arrays (append: the int64 length, then the columns, of that
                   length), then the block's outs
    Contribute     nothing.    Check: nothing.
    Loop           the final carries, then per emit an array [n, *element extents]
    While          the final carries
    If             one variable per branch out
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal as OneOf
from typing import TypeAlias


class DType(Enum):
    BOOL = "bool"
    I32 = "int32"
    I64 = "int64"
    F32 = "float32"
    F64 = "float64"

    @property
    def is_float(self) -> bool:
        return self in (DType.F32, DType.F64)

    @property
    def is_int(self) -> bool:
        return self in (DType.I32, DType.I64)

    def __repr__(self) -> str:
        return self.value


BOOL, I32, I64, F32, F64 = DType

# --- types ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scalar:
    dtype: DType


@dataclass(frozen=True, slots=True)
class Array:
    dtype: DType
    extents: tuple[Atom, ...]  # int64 atoms in scope where the array is bound; at least one

    @property
    def rank(self) -> int:
        return len(self.extents)


@dataclass(frozen=True, slots=True)
class Accumulator:
    monoid: Monoid
    dtypes: tuple[DType, ...]  # one per column; an Operator or append may have several
    extents: tuple[Atom, ...]  # () is a scalar accumulator; append has () as well: its length is what it becomes


Type: TypeAlias = Scalar | Array | Accumulator

# --- atoms ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Var:
    """A name, equal only to itself; `hint` is for the printer.

    `serial` says which of two was made first: an order for what mustn't depend on where in memory variables lie.
    """

    type: Type
    hint: str = "t"
    serial: int = field(default_factory=itertools.count().__next__, init=False)

    def __repr__(self) -> str:
        return f"{self.hint}.{id(self) % 9973}"


@dataclass(frozen=True, eq=False, slots=True)
class Literal:
    """A scalar constant; equal bits are equal (0.0 and -0.0 differ, NaN equals itself)."""

    value: bool | int | float
    dtype: DType

    def _key(self) -> tuple[DType, object]:
        return self.dtype, struct.pack("d", self.value) if self.dtype.is_float else int(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def type(self) -> Scalar:
        return Scalar(self.dtype)

    def __repr__(self) -> str:
        return repr(self.value)


Atom: TypeAlias = Var | Literal


@dataclass(frozen=True, slots=True)
class Site:
    """Where in the user's source a statement comes from."""

    file: str
    line: int
    function: str = ""
    column: int = 0


# --- monoids and yields -----------------------------------------------------------------------------------------------

Builtin: TypeAlias = OneOf["add", "mul", "min", "max", "and", "or", "argmin", "argmax", "set", "append"]


@dataclass(frozen=True, slots=True)
class Operator:
    """A user's associative operator on k-tuples: `body` maps (left..., right...) to k atoms.

    `inverse`, where it is known, maps a result (left...) and an operand (right...) to the other operand.  It is no part
    of what programs mean: reverse mode uses it.
    """

    identity: tuple[Atom, ...]
    left: tuple[Var, ...]
    right: tuple[Var, ...]
    body: Block
    inverse: Block | None = None


Monoid: TypeAlias = Builtin | Operator


@dataclass(frozen=True, slots=True)
class Map:
    pass


@dataclass(frozen=True, slots=True)
class Reduce:
    monoid: Monoid


@dataclass(frozen=True, slots=True)
class Scan:
    monoid: Monoid


Yield: TypeAlias = Map | Reduce | Scan

# --- operations -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prim:
    name: str
    args: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Read:
    array: Var
    index: tuple[Atom, ...]
    safe: bool = False  # proven in bounds; else checked at run time


@dataclass(frozen=True, slots=True)
class For:
    index: tuple[Var, ...]
    extent: tuple[Atom, ...]
    body: Block  # outs grouped as the yields consume them
    yields: tuple[Yield, ...]


@dataclass(frozen=True, slots=True)
class Accumulate:
    accs: tuple[Var, ...]  # of Accumulator type
    inits: tuple[tuple[Atom, ...], ...]  # per accumulator, one atom per column; append: ()
    body: Block


@dataclass(frozen=True, slots=True)
class Contribute:
    acc: Var
    index: tuple[Atom, ...]
    values: tuple[Atom, ...]  # scalars, one per column
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """Room for states in a file: so many bytes, in a directory."""

    bytes: int
    directory: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A note to reverse mode: of a loop's states `slots` are kept at a time, the turns between them run again.

    So many turns as `block` says are recorded at once (None: by the size of the state).  What a disk has room for is
    kept beside the slots.
    """

    slots: int | Var  # a number, or a parameter of the program
    block: int | Var | None = None
    disk: Disk | None = None

    def __repr__(self) -> str:
        more = "" if self.disk is None else f", disk={self.disk.bytes} bytes in {self.disk.directory!r}"
        return f"Checkpoint(slots={self.slots!r}, block={self.block!r}{more})"


Tape: TypeAlias = Checkpoint | OneOf["store"]


@dataclass(frozen=True, slots=True)
class Loop:
    index: Var
    extent: Atom
    carry: tuple[Var, ...]
    inits: tuple[Atom, ...]
    body: Block  # outs = next carries, then emits
    tape: Tape | None = None  # no part of what programs mean: how reverse mode has the turns' states


@dataclass(frozen=True, slots=True)
class While:
    carry: tuple[Var, ...]
    inits: tuple[Atom, ...]
    cond: Block  # one bool
    body: Block
    tape: Tape | None = None


@dataclass(frozen=True, slots=True)
class If:
    pred: Atom
    then: Block
    orelse: Block


@dataclass(frozen=True, slots=True)
class Library:
    name: str
    args: tuple[Atom, ...]
    params: tuple[tuple[str, object], ...] = ()  # static


@dataclass(frozen=True, slots=True)
class Check:
    pred: Atom
    message: str  # str.format'ed with the run-time values of args
    args: tuple[Atom, ...] = ()
    error: str = "ValueError"  # or a warning's name

    @property
    def warns(self) -> bool:
        """Does the program go on where p doesn't hold?"""
        return self.error.endswith("Warning")


Op: TypeAlias = Prim | Read | For | Accumulate | Contribute | Loop | While | If | Library | Check

# --- blocks and functions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Let:
    vars: tuple[Var, ...]
    op: Op
    site: Site | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Block:
    lets: tuple[Let, ...]
    outs: tuple[Atom, ...]
    free: dict[Var, None] | None = field(default=None, init=False, compare=False, repr=False)  # see rewrite.free

    def __iter__(self) -> Iterator[Let]:
        return iter(self.lets)


@dataclass(frozen=True, slots=True)
class Function:
    """A closed program.  Extents of parameters are themselves (earlier) parameters or literals.

    `donated` parameters are owned by the function, which may update them in place; the others are borrowed.
    """

    params: tuple[Var, ...]
    body: Block
    name: str = "f"
    donated: frozenset[Var] = field(default_factory=frozenset)


def arity(monoid: Monoid) -> int:
    """How many values one element of the monoid has (append: free, so not asked)."""
    if isinstance(monoid, Operator):
        return len(monoid.identity)
    return 2 if monoid in ("argmin", "argmax") else 1


def width(y: Yield) -> int:
    """How many block outs a yield consumes, and how many results it gives."""
    return 1 if isinstance(y, Map) else arity(y.monoid)

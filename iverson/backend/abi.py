"""The kernel ABI: what compiled code and its caller agree on.

A compiled core `Function` is one exported symbol

    i64 @name(ptr noalias nocapture %args, ptr noalias nocapture %results, ptr noalias nocapture %error)

over three tables of 8-byte slots, filled or read by the caller.

**args**: the slots of the function's parameters, in order, extents included (an extent is a parameter like any other).

    scalar            one slot, holding the value in its own type at the slot's address: `load i64/double/i32/float`;
                      a bool is a whole slot, 0 or 1 (`load i8`)
    array of rank r   1 + r slots: the data pointer, then the r strides in *bytes* (any sign; extent 1 or 0: any value).
                      Where the compilation was told that the array is contiguous (`Layout.C`) the caller guarantees
                      row-major strides and the kernel need not look.  Data is aligned to its element; never null.

Arrays that are written (donated) overlap no other array; arrays that are only read may overlap each other.

**results**: the slots of the function's outs, in order, written by the kernel before it returns OK.

    scalar            one slot, as above
    array of rank r   1 + r slots: the data pointer, then the r extents.  Row-major, allocated by the kernel with the
                      `iv_alloc` of `backend/runtime.py`; it becomes the caller's, who frees it with libc's `free`.
                      Never an argument's memory, nor the same block twice; never null, even when it has no elements.
    committed out     no slot: the final value of a donated parameter, which the kernel leaves in that parameter's
                      memory (through its strides).  Which outs are committed is an input of the compilation.

**error**: `ERROR_SLOTS` slots. `DETAILS` for details, untouched when all is well; then `HELD`, which the caller sets to
0: a kernel that gave Python's lock back, to run in parallel, leaves there the thread state to take it again with.

**status**, the returned i64:

    OK = 0            results are valid
    s > 0             error site s of the module's table, counted from 1; details of that site in `error`, each in its
                      own type as in args
    OUT_OF_MEMORY     an allocation failed
    GUARD             an assumption of this specialisation does not hold; nothing was written; the caller respecialises
    RERUN             some check failed, this kernel does not know which: the exact kernel (`Compiled.exact`), called
                      with the same arguments, does, and gives its status and details (or OK)
    INTERRUPTED       a signal's handler (Ctrl-C) raised an exception: `interrupt.raised()`; donated arrays
                      may be half written

Unless the status is OK the kernel has freed everything it allocated, and (but for INTERRUPTED) has written no donated
array.

**Symbols.** A kernel may call what `backend/recipes.py` and `backend/runtime.py` define (text to append to its module)
and the external symbols they list; `run` resolves those to addresses when it loads the object.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from iverson.core.syntax import Array, DType, Function, Type

OK = 0
OUT_OF_MEMORY = -1
GUARD = -2
RERUN = -3
INTERRUPTED = -4
DETAILS = 8
HELD = DETAILS
ERROR_SLOTS = DETAILS + 1
SLOT = 8  # bytes

LLVM_TYPE = {DType.BOOL: "i1", DType.I32: "i32", DType.I64: "i64", DType.F32: "float", DType.F64: "double"}
# a bool in memory, be it a slot or an element, is a byte that is 0 or 1
MEMORY_TYPE = {**LLVM_TYPE, DType.BOOL: "i8"}
ITEM_SIZE = {DType.BOOL: 1, DType.I32: 4, DType.I64: 8, DType.F32: 4, DType.F64: 8}


class Layout(Enum):
    C = "row-major, contiguous"
    ANY = "strides of any kind"


def param_offsets(types: Iterable[Type]) -> list[int]:
    """The first args slot of each parameter, and at the end the number of slots."""
    offsets = [0]
    for t in types:
        offsets.append(offsets[-1] + (1 + t.rank if isinstance(t, Array) else 1))
    return offsets


def result_offsets(function: Function, committed: frozenset[int] = frozenset()) -> list[int]:
    """The first results slot of each out (of a committed one: the next one's), and at the end the number of slots."""
    offsets = [0]
    for i, out in enumerate(function.body.outs):
        width = 0 if i in committed else 1 + out.type.rank if isinstance(out.type, Array) else 1
        offsets.append(offsets[-1] + width)
    return offsets


# --- the caller's side: from Python arguments to slots ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArrayArgument:
    dtype: DType
    rank: int
    layout: Layout = Layout.C
    written: bool = False


@dataclass(frozen=True, slots=True)
class ScalarArgument:
    """A number.  `weak`: a Python int or float; else the NumPy scalar of that dtype (a NumPy bool for BOOL)."""

    dtype: DType
    weak: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class StaticArgument:
    """Compiled in: the very object, or the slow path decides."""

    value: object


Argument: TypeAlias = ArrayArgument | ScalarArgument | StaticArgument


@dataclass(frozen=True, slots=True)
class Value:
    """The value of scalar argument `arg`."""

    arg: int


@dataclass(frozen=True, slots=True)
class Data:
    arg: int


@dataclass(frozen=True, slots=True)
class Extent:
    arg: int
    axis: int


@dataclass(frozen=True, slots=True)
class Stride:
    arg: int
    axis: int


Slot: TypeAlias = Value | Data | Extent | Stride


@dataclass(frozen=True, slots=True)
class Between:
    """A guard: low <= extent <= high."""

    extent: Extent
    low: int
    high: int = 2**62


@dataclass(frozen=True, slots=True)
class Same:
    """A guard: the two extents are equal."""

    left: Extent
    right: Extent


Guard: TypeAlias = Between | Same


@dataclass(frozen=True, slots=True)
class ScalarResult:
    dtype: DType


@dataclass(frozen=True, slots=True)
class ArrayResult:
    dtype: DType
    rank: int


@dataclass(frozen=True, slots=True)
class ReturnedArgument:
    """The argument object itself is returned (its memory holds a committed out); takes no slot."""

    arg: int


Result: TypeAlias = ScalarResult | ArrayResult | ReturnedArgument


@dataclass(frozen=True, slots=True)
class Signature:
    """How a call fills args from positional Python arguments, and what it makes of results.

    A call for which an argument's kind, dtype, rank, layout or a guard does not hold takes the slow path.
    """

    arguments: tuple[Argument, ...]
    slots: tuple[Slot, ...]
    guards: tuple[Guard, ...] = ()
    results: tuple[Result, ...] = ()
    single: bool = False  # return the only result itself, not a tuple of one
    release_gil: bool = False  # worth it above about 10 us of work
    fixed: tuple[Any, ...] = ()  # the objects that the last arguments are, which a call doesn't give

    @property
    def result_slots(self) -> int:
        return sum(result_width(r) for r in self.results)


def result_width(result: Result) -> int:
    match result:
        case ScalarResult():
            return 1
        case ArrayResult(_, rank):
            return 1 + rank
        case ReturnedArgument():
            return 0

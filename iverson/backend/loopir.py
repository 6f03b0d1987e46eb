"""The loop IR: a small imperative language between the core and LLVM.

    Program  = params, statements, sites
    Value    = Reg | Literal                                    a scalar or a pointer; each Reg is assigned once
    Buffer   = dtype [extent...] at a pointer, row-major, or with strides in bytes (parameters)
    Access   = Buffer [index...]
    Stmt     = Argument reg <- args[slot]      | Result results[slot] <- value
             | Compute reg <- prim (value...)  | Combine reg <- monoid (value, value)
             | Load reg <- access              | Store access <- value           | Copy view <- view
             | Get reg <- cell                 | Put cell <- value               scalar registers that can be assigned
             | For i in low..high [carry] body | While [carry] cond body         | If p then else [join]
             | Alloc buffer | Free buffer | Own buffer | Grow cell               memory
             | Require p site | Bound 0 <= index < extent site | Poll            leave the program unless it holds
             | Choose pointer <- access or access                          one of two places, by a predicate
             | Call routine (address...)

Every loop carries its scalars in SSA: `Carry(reg, init, next, out)` is `reg` inside the body, starting at `init`,
becoming `next` at the end of a turn, and `out` behind the loop.  A loop's tag says how it may run:

    seq      in order; so does `wave`, whose carries are shifts of vectors (backend/wave.py)
    any      its turns may run in any order, combining carries with their monoids
    apart    like any; no two turns touch an element that one of them writes
    simd     like any; lanes
    vector   like apart; so many turns, known in number, as a vector has elements
    few      like apart; so few turns that no vector pays
    thread   turns are independent and carry nothing; on the pool (backend/pool.py), each in a function of its own;
             to -n: n turns, in order
    tile     a block of a loop that was split
    cold     in order; too short to be unrolled or vectorised
    strip    in order; of the loops in it a strip each (backend/strips.py)
    wide     a block of turns in vector registers (backend/vectors.py), whose inner loops are as they should be

On vectors there are also  splat v: v in every lane;  iota v: v, v + 1, ...;  lane x k: that of lane k;  vector v...:
these in a vector;  some p: does p hold in a lane?  Of scalars, choice p v w: v if p, else w, by no branch.

Statements are mutable so that schedules can rewrite them in place; registers and buffers are compared by identity.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, TypeAlias

from iverson.core.syntax import I64, DType, Literal, Site


class Kind(Enum):
    POINTER = "ptr"


@dataclass(frozen=True, slots=True)
class Vector:
    """So many scalars in one register.  A load or store of one is of neighbouring elements, from the view's on."""

    dtype: DType
    lanes: int


POINTER = Kind.POINTER
Type: TypeAlias = DType | Kind | Vector


@dataclass(frozen=True, eq=False, slots=True)
class Reg:
    type: Type
    hint: str = "t"


Value: TypeAlias = Reg | Literal


@dataclass(eq=False, slots=True)
class Cell:
    """A scalar that can be assigned; it lives in a machine register."""

    type: Type
    hint: str = "cell"


@dataclass(eq=False, slots=True)
class Buffer:
    """Elements at a pointer.  `slot` is its place in the table of live allocations, if it is one."""

    dtype: DType
    extents: tuple[Value, ...]
    pointer: Reg
    strides: tuple[Value, ...] | None = None  # in bytes; None: row-major without gaps
    hint: str = "b"
    stored: bool = False  # written somewhere: gets an alias scope
    scoped: bool = True  # its pointer always means the same memory, so alias scopes tell the truth
    slot: Owner | None = None


@dataclass(eq=False, slots=True)
class Owner:
    """A place in the table of live allocations, which an error exit frees."""

    number: int = -1


@dataclass(frozen=True, slots=True)
class View:
    """The rows of a buffer behind a prefix of its indices; the whole buffer for ()."""

    buffer: Buffer
    prefix: tuple[Value, ...] = ()

    @property
    def extents(self) -> tuple[Value, ...]:
        return self.buffer.extents[len(self.prefix) :]

    def at(self, index: Sequence[Value]) -> View:
        return View(self.buffer, (*self.prefix, *index))


@dataclass(frozen=True, slots=True)
class ErrorSite:
    """Where a kernel can fail; its status is 1 + the position in the table of sites."""

    error: str  # the exception's name
    message: str  # str.format'ed with the details
    details: tuple[DType, ...]
    site: Site | None
    wrapped: bool = False  # the first detail is an index that has had the second, a length, added if it was negative


# --- statements -------------------------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Argument:
    out: Reg
    slot: int


@dataclass(eq=False, slots=True)
class Result:
    slot: int
    value: Value


@dataclass(eq=False, slots=True)
class Compute:
    out: Reg
    name: str
    args: tuple[Value, ...]


@dataclass(eq=False, slots=True)
class Combine:
    """One step of a built-in monoid; `free` where it may be reassociated."""

    out: Reg
    monoid: str
    left: Value
    right: Value
    free: bool = True


@dataclass(eq=False, slots=True)
class Load:
    out: Reg
    view: View


@dataclass(eq=False, slots=True)
class Store:
    view: View
    value: Value


@dataclass(eq=False, slots=True)
class Copy:
    """All elements of `source` into `target`, which do not overlap."""

    target: View
    source: View


@dataclass(eq=False, slots=True)
class Get:
    out: Reg
    cell: Cell


@dataclass(eq=False, slots=True)
class Put:
    cell: Cell
    value: Value


@dataclass(eq=False, slots=True)
class Carry:
    reg: Reg
    init: Value
    next: Value
    out: Reg


@dataclass(eq=False, slots=True)
class For:
    index: Reg
    low: Value
    high: Value
    body: list[Stmt]
    carries: list[Carry] = field(default_factory=list)
    tag: str = "seq"
    whole: Reg | None = None  # index of the loop, of independent turns, of which this one and others run parts


@dataclass(eq=False, slots=True)
class While:
    carries: list[Carry]
    cond: list[Stmt]
    test: Value
    body: list[Stmt]


@dataclass(eq=False, slots=True)
class Join:
    out: Reg
    then: Value
    orelse: Value


@dataclass(eq=False, slots=True)
class If:
    pred: Value
    then: list[Stmt]
    orelse: list[Stmt]
    joins: list[Join] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Alloc:
    """Memory for a buffer: from the heap, or (`stack`) a fixed place in the frame."""

    buffer: Buffer
    stack: bool = False
    when: Value | None = None  # where it is false no element will be used, so the extents may be nonsense
    site: int | None = None  # whose error it is if there is no memory
    also: tuple[tuple[Value, ...], ...] = ()  # the extents of arrays that have its memory after it


@dataclass(eq=False, slots=True)
class Mapped:
    """Zeros in a file that is mapped into memory (backend/mapped.py)."""

    buffer: Buffer
    directory: bytes
    site: int  # whose error it is if there is no room


@dataclass(eq=False, slots=True)
class Free:
    buffer: Buffer


@dataclass(eq=False, slots=True)
class Own:
    """The buffer's pointer, which came out of a loop or a branch, is what its owner frees."""

    buffer: Buffer


@dataclass(eq=False, slots=True)
class Grow:
    """The block a cell points to, `old` elements long, becomes `new` elements long."""

    cell: Cell
    dtype: DType
    old: Value | None  # None: the cell has no block yet
    new: Value
    slot: Owner
    capacity: Cell | None = None  # of the log whose column this is; its first block


@dataclass(eq=False, slots=True)
class Choose:
    """A buffer's pointer: where `then` begins if `pred` holds, else where `orelse` does."""

    buffer: Buffer
    pred: Value
    then: View
    orelse: View


@dataclass(eq=False, slots=True)
class Require:
    pred: Value
    site: int
    details: tuple[Value, ...] = ()
    when: Value | None = None  # checked only if this holds


@dataclass(eq=False, slots=True)
class Bound:
    index: Value
    extent: Value
    site: int
    when: Value | None = None
    weight: int = 1  # how many checks like this one stand for one of the program


@dataclass(frozen=True, eq=False, slots=True)
class ByReference:
    """An argument by its address: a value or a letter in a place of its own, a cell, or constant bytes."""

    content: Value | str | Cell | bytes


Passed: TypeAlias = ByReference | View


@dataclass(eq=False, slots=True)
class Call:
    """A foreign routine, as Fortran calls them: all arguments are addresses, a view's that of its first element."""

    symbol: str
    args: tuple[Passed, ...]


@dataclass(eq=False, slots=True)
class Poll:
    """Leave the program if the user has interrupted it."""


Stmt: TypeAlias = (
    Argument | Result | Compute | Combine | Load | Store | Copy | Get | Put | For | While | If
    | Alloc | Mapped | Free | Own | Grow | Choose | Require | Bound | Call | Poll
)  # fmt: skip


@dataclass(eq=False, slots=True)
class Program:
    name: str
    body: list[Stmt]
    sites: list[ErrorSite]
    exact: bool = True  # each check is where the program has it; else the sites are not told apart


def integer(value: int) -> Literal:
    return Literal(value, I64)


def type_of(value: Value) -> Type:
    return value.dtype if isinstance(value, Literal) else value.type


_NESTING = (For, While, If)


def blocks(stmt: Stmt) -> list[list[Stmt]]:
    """The statement lists inside a statement."""
    match stmt:
        case For():
            return [stmt.body]
        case While():
            return [stmt.cond, stmt.body]
        case If():
            return [stmt.then, stmt.orelse]
        case _:
            return []


def walk(body: list[Stmt]) -> Iterator[Stmt]:
    """Every statement, an outer one before what it holds."""
    open_ = [iter(body)]
    while open_:
        for stmt in open_[-1]:
            yield stmt
            if isinstance(stmt, _NESTING):
                open_.extend(map(iter, reversed(blocks(stmt))))
                break
        else:
            open_.pop()


def count_loops(body: list[Stmt]) -> int:
    return sum(isinstance(stmt, For | While) for stmt in walk(body))


def defined(stmt: Stmt) -> list[Reg]:
    """The registers a statement itself assigns, for the code behind it."""
    match stmt:
        case Argument() | Compute() | Combine() | Load() | Get():
            return [stmt.out]
        case For() | While():
            return [c.out for c in stmt.carries]
        case If():
            return [j.out for j in stmt.joins]
        case Alloc() | Mapped() | Choose():
            return [stmt.buffer.pointer]
        case _:
            return []


def used(stmt: Stmt) -> list[Value]:
    """The values a statement itself reads, not those its blocks read."""
    match stmt:
        case Compute(_, _, args):
            return list(args)
        case Load(_, view):
            return _reads(view)
        case Store(view, value):
            return [*_reads(view), value]
        case Result(_, value) | Put(_, value):
            return [value]
        case Call(_, passed):
            views = [v for p in passed if isinstance(p, View) for v in _reads(p)]
            return views + [p.content for p in passed if isinstance(p, ByReference) and isinstance(p.content, Reg)]
        case Combine(_, _, left, right):
            return [left, right]
        case Copy(target, source):
            return [*_reads(target), *_reads(source)]
        case For(_, low, high, _, carries):
            return [low, high, *(v for c in carries for v in (c.init, c.next))]
        case While(carries, _, test):
            return [test, *(v for c in carries for v in (c.init, c.next))]
        case If(pred, _, _, joins):
            return [pred, *(v for j in joins for v in (j.then, j.orelse))]
        case Alloc(buffer, _, when, _, also):
            return [*buffer.extents, *(e for extents in also for e in extents), *(() if when is None else (when,))]
        case Mapped(buffer):
            return [*buffer.extents]
        case Free(buffer) | Own(buffer):
            return [buffer.pointer]
        case Grow(_, _, old, new):
            return [new] if old is None else [old, new]
        case Choose(_, pred, then, orelse):
            return [pred, *_reads(then), *_reads(orelse)]
        case Require(pred, _, details, when):
            return [pred, *details, *(() if when is None else (when,))]
        case Bound(index, extent, _, when):
            return [index, extent, *(() if when is None else (when,))]
        case _:
            return []


def _reads(view: View) -> list[Value]:
    b = view.buffer
    return [b.pointer, *b.extents, *(b.strides or ()), *view.prefix]


def free_registers(body: Sequence[Stmt], bound: Iterable[Reg] = ()) -> list[Reg]:
    """The registers that statements use and that come from around them, in order of appearance."""
    own: set[Reg] = set(bound)
    found: dict[Reg, None] = {}
    for stmt in walk(list(body)):
        own.update(entered(stmt))
        own.update(defined(stmt))
    for stmt in walk(list(body)):
        found |= {v: None for v in used(stmt) if isinstance(v, Reg) and v not in own}
    return list(found)


def entered(stmt: Stmt) -> list[Reg]:
    """The registers a loop assigns inside its body on entry of each turn."""
    match stmt:
        case For() | While():
            return [*([stmt.index] if isinstance(stmt, For) else ()), *(c.reg for c in stmt.carries)]
        case _:
            return []


def renamed(body: Sequence[Stmt], env: Mapping[Reg, Value]) -> list[Stmt]:
    """Statements with registers replaced by others; those in which none is are the same objects."""
    return [_renamed(stmt, env) for stmt in body]


def _renamed(x: Any, env: Mapping[Reg, Value]) -> Any:
    if isinstance(x, Reg):
        return env.get(x, x)
    if isinstance(x, list | tuple):
        parts = [_renamed(p, env) for p in x]
        return x if all(map(operator.is_, parts, x)) else type(x)(parts)
    if isinstance(x, View | Carry | Join | ByReference | Stmt):
        before = {f.name: getattr(x, f.name) for f in fields(x)}
        after = {name: _renamed(v, env) for name, v in before.items()}
        return x if all(after[name] is v for name, v in before.items()) else replace(x, **after)
    return x


# --- printing ---------------------------------------------------------------------------------------------------------


def show(program: Program) -> str:
    """The program as text; registers are numbered by hint in order of appearance."""
    return _Printer().program(program)


class _Printer:
    def __init__(self) -> None:
        self.names: dict[object, str] = {}
        self.counts: dict[str, int] = {}
        self.lines: list[str] = []

    def name(self, x: Value | Cell | Buffer) -> str:
        if isinstance(x, Literal):
            return repr(x.value)
        if isinstance(x, Buffer):
            return self.name(x.pointer)
        if x not in self.names:
            n = self.counts.get(x.hint, 0)
            self.counts[x.hint] = n + 1
            self.names[x] = f"{x.hint}{n}" if n else x.hint
        return self.names[x]

    def list(self, values: Sequence[Value]) -> str:
        return ", ".join(map(self.name, values))

    def passed(self, p: Passed) -> str:
        if isinstance(p, View):
            return self.view(p)
        return repr(p.content) if isinstance(p.content, str | bytes) else f"&{self.name(p.content)}"

    def when(self, value: Value | None) -> str:
        return "" if value is None else f" when {self.name(value)}"

    def view(self, v: View) -> str:
        return f"{self.name(v.buffer)}[{self.list(v.prefix)}]"

    def program(self, program: Program) -> str:
        self.block(program.body, 1)
        return "\n".join([f"kernel {program.name}", *self.lines])

    def block(self, body: Sequence[Stmt], depth: int) -> None:
        for stmt in body:
            self.lines.append("  " * depth + self.head(stmt))
            match stmt:
                case For() | While():
                    if isinstance(stmt, While):
                        self.block(stmt.cond, depth + 2)
                        self.lines.append("  " * (depth + 1) + f"test {self.name(stmt.test)}")
                    self.block(stmt.body, depth + 1)
                    if stmt.carries:
                        nexts = ", ".join(f"{self.name(c.reg)} <- {self.name(c.next)}" for c in stmt.carries)
                        outs = self.list([c.out for c in stmt.carries])
                        self.lines.append("  " * (depth + 1) + f"next {nexts}; out {outs}")
                case If():
                    self.block(stmt.then, depth + 1)
                    if stmt.orelse:
                        self.lines.append("  " * depth + "else")
                        self.block(stmt.orelse, depth + 1)
                    for j in stmt.joins:
                        text = f"{self.name(j.out)} <- {self.name(j.then)} | {self.name(j.orelse)}"
                        self.lines.append("  " * (depth + 1) + text)

    def head(self, stmt: Stmt) -> str:
        name = self.name
        match stmt:
            case Argument(out, slot):
                return f"{name(out)} = args[{slot}]"
            case Result(slot, value):
                return f"results[{slot}] = {name(value)}"
            case Compute(out, prim, args):
                return f"{name(out)} = {prim}({self.list(args)})"
            case Combine(out, monoid, left, right):
                return f"{name(out)} = {name(left)} <{monoid}> {name(right)}"
            case Load(out, view):
                return f"{name(out)} = {self.view(view)}"
            case Store(view, value):
                return f"{self.view(view)} = {name(value)}"
            case Copy(target, source):
                return f"copy {self.view(target)} = {self.view(source)}"
            case Get(out, cell):
                return f"{name(out)} = {name(cell)}"
            case Put(cell, value):
                return f"{name(cell)} := {name(value)}"
            case For(index, low, high, _, carries, tag):
                inits = "".join(f"; {name(c.reg)} = {name(c.init)}" for c in carries)
                return f"for {name(index)} in {name(low)}..{name(high)} {tag}{inits}"
            case While(carries):
                return "while " + "; ".join(f"{name(c.reg)} = {name(c.init)}" for c in carries)
            case If(pred):
                return f"if {name(pred)}"
            case Alloc(buffer, stack, _, _, also):
                rooms = " or ".join(f"[{self.list(extents)}]" for extents in (buffer.extents, *also))
                return f"{name(buffer)} = {'stack' if stack else 'alloc'} {buffer.dtype!r}{rooms}"
            case Mapped(buffer, directory):
                return f"{name(buffer)} = mapped {buffer.dtype!r}[{self.list(buffer.extents)}] in {directory!r}"
            case Free(buffer):
                return f"free {name(buffer)}"
            case Own(buffer):
                return f"own {name(buffer)} = {name(buffer.pointer)}"
            case Grow(cell, dtype, old, new):
                return f"{name(cell)} := grow {dtype!r}[{'' if old is None else name(old)} -> {name(new)}]"
            case Choose(buffer, pred, then, orelse):
                return f"{name(buffer)} = &{self.view(then)} if {name(pred)} else &{self.view(orelse)}"
            case Require(pred, site, details):
                return f"require {name(pred)} else {site}({self.list(details)}){self.when(stmt.when)}"
            case Bound(index, extent, site):
                return f"bound {name(index)} < {name(extent)} else {site}{self.when(stmt.when)}"
            case Call(symbol, args):
                return f"call {symbol}({', '.join(map(self.passed, args))})"
            case Poll():
                return "poll"

"""Where buffers live: small ones of static size on the stack, others allocated once, outside the loops that use them.

    for i: b = alloc [n]; ...; free b    ->    b = alloc [n] when the loop turns; for i: ...; free b

A buffer leaves a loop if it is allocated and freed in the same turn and its extents are known outside, or at least
bounds of them: of extents that are affine in the loop's index the largest of all turns are allocated.  Then a turn
finds in it what an earlier turn left, so this relies on turns writing what they read, which all lowered code does.  Out
of a branch or a While it moves only if its extents are sane even where it isn't needed: literals, or arguments.  An
append log that a turn opens and frees is opened before the loop as well, out of branches too: a turn begins with the
room that others made.  Nothing leaves a loop on the pool: what a turn uses is its own.

Of the arrays of one turn, one that begins when another of the same rank has ended has its memory, which is as large as
the larger one needs:

    for i: b = alloc [m]; ..; free b; c = alloc [n]; ..; free c    ->    for i: b = alloc [m] or [n]; ..; ..; free b

A branch that no loop is around keeps its arrays: where it isn't taken they need no memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from iverson.backend import loopir as ir
from iverson.backend.abi import ITEM_SIZE
from iverson.backend.invariance import Definitions, inner_registers
from iverson.backend.loopir import Alloc, Buffer, Cell, For, Load, Owner, Program, Reg, Stmt, Store, Value
from iverson.backend.reuse import only_by, replaced, users_of
from iverson.core.syntax import BOOL, I64, Literal

STACK = 4096  # bytes: larger arrays are allocated
STACK_TOTAL = 65536


def run(program: Program) -> None:
    """Rewrite a program in place."""
    _to_stack(program)
    arguments = {s.out for s in program.body if isinstance(s, ir.Argument)}
    program.body[:] = _hoisted(program.body, arguments, turning=False)
    pinned = _pinned(program)
    staying = {s.cell for s in ir.walk(program.body) if isinstance(s, ir.Get) and s.out in pinned}
    program.body[:] = _kept_logs(program.body, staying)


# --- the stack --------------------------------------------------------------------------------------------------------


def _to_stack(program: Program) -> None:
    pinned = _pinned(program)
    left, owners = STACK_TOTAL, set()
    for stmt in ir.walk(program.body):
        if isinstance(stmt, Alloc) and stmt.buffer.pointer not in pinned:
            size = _static_bytes(stmt)
            if size is not None and size <= min(STACK, left):
                left -= size
                stmt.stack = True
                owners.add(stmt.buffer.slot)
    _drop_frees(program.body, owners)


def _pinned(program: Program) -> set[Reg]:
    """Pointers that are results, or change places with others: their memory stays where it is."""
    found: set[Reg] = set()
    for stmt in ir.walk(program.body):
        match stmt:
            case ir.Result(_, Reg() as value):
                found.add(value)
            case ir.For() | ir.While():
                found |= {c.init for c in stmt.carries if isinstance(c.init, Reg)}
    return found


def _static_bytes(stmt: Alloc) -> int | None:
    size = ITEM_SIZE[stmt.buffer.dtype]
    for e in stmt.buffer.extents:
        if not isinstance(e, Literal):
            return None
        size *= int(e.value)
    return size


def _drop_frees(body: list[Stmt], owners: set[Owner | None]) -> None:
    body[:] = [s for s in body if not (isinstance(s, ir.Free) and s.buffer.slot in owners)]
    for stmt in body:
        for inner in ir.blocks(stmt):
            _drop_frees(inner, owners)


# --- out of loops -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Lifetime:
    """A buffer that a list of statements allocates and frees, and what it takes to know its size earlier."""

    alloc: Alloc
    sizes: list[Stmt]
    bounds: list[Stmt] = field(default_factory=list)  # of the largest turn


def _hoisted(body: list[Stmt], sane: set[Reg], turning: bool = True) -> list[Stmt]:
    """`turning`: some loop is around."""
    out: list[Stmt] = []
    for stmt in body:
        match stmt:
            case ir.For(tag="thread"):
                stmt.body = _hoisted(stmt.body, sane)
                out.append(stmt)
            case ir.For():
                stmt.body = _hoisted(stmt.body, sane)
                _share(stmt.body)
                turns = Reg(BOOL, "turns")
                taken = _taken(stmt.body, sane, stmt)
                if taken:
                    out.append(ir.Compute(turns, "lt", (stmt.low, stmt.high)))
                _raise_all(out, stmt, taken, turns)
            case ir.If() if not turning:
                for inner in ir.blocks(stmt):
                    inner[:] = _hoisted(inner, sane, turning)
                out.append(stmt)
            case ir.While() | ir.If():
                for inner in ir.blocks(stmt):
                    inner[:] = _hoisted(inner, sane)
                _raise_all(out, stmt, [t for inner in ir.blocks(stmt) for t in _taken(inner, sane)])
            case _:
                out.append(stmt)
    return out


def _share(body: list[Stmt]) -> None:
    """Arrays of a turn in the memory of others, in place."""
    allocs = [s for s in body if isinstance(s, Alloc)]
    if len(allocs) < 2:
        return
    users = users_of(body, allocs)

    def plain(alloc: Alloc) -> bool:
        b, mine = alloc.buffer, users[alloc.buffer.pointer]
        kept = alloc.stack or b.strides is not None or not b.scoped or b.slot is None
        return not kept and isinstance(mine[-1], ir.Free) and only_by(mine, b, Load | Store | Alloc | ir.Free)

    owners = {s.buffer.pointer: s for s in allocs if plain(s)}
    inner = {r for s in body for r in ir.defined(s)} if len(owners) > 1 else set()

    def fits(old: Alloc, new: Alloc) -> bool:
        a, b = old.buffer, new.buffer
        there = (old.when is None or old.when is new.when) and a.dtype is b.dtype
        return there and len(a.extents) == len(b.extents) and (a.extents == b.extents or inner.isdisjoint(b.extents))

    ended: dict[Alloc, Stmt] = {}
    for stmt in list(body):
        if isinstance(stmt, ir.Free) and (owner := owners.get(stmt.buffer.pointer)) is not None:
            ended[owner] = stmt
        elif isinstance(stmt, Alloc) and stmt.buffer.pointer in owners:
            fitting = [old for old in reversed(ended) if fits(old, stmt)]
            old = next((o for o in fitting if o.buffer.extents == stmt.buffer.extents), next(iter(fitting), None))
            if old is not None:
                body.remove(ended.pop(old))
                body.remove(stmt)
                _put(body, stmt.buffer, old)


def _put(body: list[Stmt], b: Buffer, owner: Alloc) -> None:
    """An array into the memory of another one."""
    home = owner.buffer
    home.stored = True
    if b.extents == home.extents:
        replaced(body, b, home)
        return
    replaced(body, b, replace(b, pointer=home.pointer, slot=home.slot))
    if b.extents not in owner.also:
        owner.also += (b.extents,)


def _raise_all(out: list[Stmt], stmt: Stmt, taken: list[_Lifetime], turns: Reg | None = None) -> None:
    for lifetime in taken:
        alloc = lifetime.alloc
        out += [*lifetime.sizes, *lifetime.bounds]
        if turns is not None and alloc.when is not None:
            both = Reg(BOOL, "turns")
            out.append(ir.Compute(both, "and", (turns, alloc.when)))
            alloc.when = both
        else:
            alloc.when = turns
        out.append(alloc)
    out.append(stmt)
    out += [ir.Free(lifetime.alloc.buffer) for lifetime in taken]


def _taken(body: list[Stmt], sane: set[Reg], loop: For | None = None) -> list[_Lifetime]:
    """Take the buffers that can be allocated outside from a body; if not of a For's, only those of sane extents."""
    definitions = Definitions(body, set() if loop is None else inner_registers(loop))
    freed = {s.buffer.slot for s in body if isinstance(s, ir.Free)}
    taken: list[_Lifetime] = []
    for stmt in body:
        if isinstance(stmt, Alloc) and not stmt.stack and stmt.buffer.slot in freed:
            if all(isinstance(e, Literal) or e in sane for e in (*stmt.buffer.extents, *_others(stmt))):
                stmt.when = None
                taken.append(_Lifetime(stmt, []))
            elif loop is not None and (found := _outside(stmt, loop, definitions)) is not None:
                taken.append(found)
    owners = {t.alloc.buffer.slot for t in taken}
    gone: set[int] = {id(s) for t in taken for s in t.sizes}
    body[:] = [
        s
        for s in body
        if id(s) not in gone and not (isinstance(s, Alloc | ir.Free | ir.Own) and s.buffer.slot in owners)
    ]
    return taken


def _outside(alloc: Alloc, loop: For, definitions: Definitions) -> _Lifetime | None:
    """How a buffer of a turn is allocated before the loop; None if that can't be."""
    when = (*_others(alloc), *(() if alloc.when is None else (alloc.when,)))
    sizes = definitions.outside((*alloc.buffer.extents, *when))
    if sizes is not None:
        return _Lifetime(alloc, sizes)
    sizes = definitions.outside(when)
    bounds: list[Stmt] = []
    extents = [e for x in alloc.buffer.extents if (e := _most(x, loop, definitions, 1, bounds)) is not None]
    if sizes is None or len(extents) < len(alloc.buffer.extents):
        return None
    return _Lifetime(replace(alloc, buffer=replace(alloc.buffer, extents=tuple(extents))), sizes, bounds)


def _others(alloc: Alloc) -> tuple[Value, ...]:
    """The extents of the arrays that have its memory after it."""
    return tuple(e for extents in alloc.also for e in extents)


def _most(v: Value, loop: For, definitions: Definitions, sign: int, code: list[Stmt]) -> Value | None:
    """The largest that an affine integer is in the turns of a loop (sign -1: the least); its statements to `code`.

    The index occurs once in it, so that a turn needs as much; of the least of something else and a small literal the
    literal will do.
    """

    def computed(name: str, a: Value, b: Value) -> Value:
        out = Reg(I64, "most")
        code.append(ir.Compute(out, name, (a, b)))
        return out

    if v is loop.index:
        return loop.low if sign < 0 else computed("sub", loop.high, ir.integer(1))
    if definitions.invariant(v):
        return v
    made = definitions.by.get(v) if isinstance(v, Reg) else None
    if made is None or made.name not in ("add", "sub", "min", "max"):
        return None
    one, two = made.args
    if definitions.invariant(one) or definitions.invariant(two):
        a = _most(one, loop, definitions, sign, code)
        b = _most(two, loop, definitions, -sign if made.name == "sub" else sign, code)
        if a is not None and b is not None:
            return computed(made.name, a, b)
    if made.name == "min" and sign > 0:
        return next((x for x in made.args if isinstance(x, Literal) and x.value <= STACK), None)
    return None


# --- logs -------------------------------------------------------------------------------------------------------------


def _kept_logs(body: list[Stmt], staying: set[Cell]) -> list[Stmt]:
    """Logs out of the loops that open them, the innermost first."""
    out: list[Stmt] = []
    for stmt in body:
        for inner in ir.blocks(stmt):
            inner[:] = _kept_logs(inner, staying)
        logs: list[ir.Grow] = []
        if isinstance(stmt, ir.While) or (isinstance(stmt, ir.For) and stmt.tag != "thread"):
            for inner in ir.blocks(stmt):
                logs += _opened(inner, staying)
        for capacity, columns in _by_log(logs).items():
            out += [*columns, ir.Put(capacity, columns[0].new)]
        out.append(stmt)
        for column in logs:
            pointer = Reg(ir.POINTER, "log")
            out.append(ir.Get(pointer, column.cell))
            out.append(ir.Free(Buffer(column.dtype, (column.new,), pointer, slot=column.slot)))
    return out


def _opened(body: list[Stmt], staying: set[Cell]) -> list[ir.Grow]:
    """Take the first blocks of the logs that a body opens and frees, or a branch of it."""
    branches = [c for s in body if isinstance(s, ir.If) for b in ir.blocks(s) for c in _opened(b, staying)]
    freed = {s.buffer.slot for s in body if isinstance(s, ir.Free)}
    first = [s for s in body if isinstance(s, ir.Grow) and s.capacity is not None]
    taken = {
        capacity: columns
        for capacity, columns in _by_log(first).items()
        if all(c.slot in freed and c.cell not in staying for c in columns)
    }
    found = [c for columns in taken.values() for c in columns]
    slots, gone = {c.slot for c in found}, {id(c) for c in found}
    body[:] = [
        s
        for s in body
        if id(s) not in gone
        and not (isinstance(s, ir.Put) and s.cell in taken)
        and not (isinstance(s, ir.Free) and s.buffer.slot in slots)
    ]
    return [*branches, *found]


def _by_log(columns: list[ir.Grow]) -> dict[Cell, list[ir.Grow]]:
    """First blocks by the capacity of their log."""
    logs: dict[Cell, list[ir.Grow]] = {}
    for c in columns:
        assert c.capacity is not None
        logs.setdefault(c.capacity, []).append(c)
    return logs

"""A loop in order whose turns don't depend on each other is a loop in any order; what may run in lanes is told to LLVM.

    for i seq:                             if 0 < n:
        v = a[k]                               v = a[k]
        b[k + 1 + i] += f(v)         ->        for i any; s = 0:
        b[k] += g(v)                               b[k + 1 + i] += f(v)
                                                   s = s <add> g(v)
                                               b[k] += s

`lanes` tags innermost loops whose accesses are proven to meet in equal turns only, and there at known places, as
`apart`: LLVM need not find out, and can't for rows of one array.  A sum in a place of memory is reassociated like any
other.  Loops of a few turns are written out where that makes the loop around them such a loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from iverson.backend import loopir as ir
from iverson.backend import unroll
from iverson.backend.invariance import inner_registers
from iverson.backend.lanes import contributions
from iverson.backend.loopir import Buffer, Carry, For, If, Join, Load, Program, Reg, Stmt, Store, Value, View
from iverson.backend.places import Access, Form, Places, accesses
from iverson.backend.rewrite import rewrite
from iverson.core.syntax import BOOL, I64, DType, Literal

MOST = 100  # statements of a loop in which others were written out
SHARED = 24  # accesses of a nest that are compared, each with each

_FLAT = ir.Compute | ir.Combine | Load | Store


def run(program: Program) -> None:
    """Rewrite loops in order, innermost first, in place."""
    places = Places(program.body)
    rewrite(program.body, lambda stmt: _rule(stmt, places, "seq"), wide=False)


def lanes(program: Program, reassociate: bool = True) -> None:
    """Tag the innermost loops that are proven to run in lanes, in place; sums in memory would keep one from it."""
    places = Places(program.body)
    if reassociate:
        rewrite(program.body, lambda stmt: _rule(stmt, places, "any"), wide=False)
    for stmt in ir.walk(program.body):
        if isinstance(stmt, For) and stmt.tag == "any" and _flat(stmt):
            mine = accesses([stmt])
            if _independent(stmt, mine, places) and _clear(mine, places):
                stmt.tag = "apart"


def _clear(among: Sequence[Access], places: Places) -> bool:
    """Is it known which accesses of a turn meet?  What LLVM is told of other turns it takes to hold in one, too."""
    each = _each(among, places)
    return all(places.apart(a, b) for n, (a, put) in enumerate(each) for b, puts in each[n + 1 :] if put or puts)


def _each(among: Iterable[Access], places: Places) -> list[tuple[View, bool]]:
    """The places that are accessed, each once, and whether something is stored there."""
    found: dict[tuple[Buffer, tuple[Form, ...]], tuple[View, bool]] = {}
    for a in among:
        key = a.view.buffer, tuple(map(places.form, a.view.prefix))
        view, put = found.get(key, (a.view, False))
        found[key] = view, put or isinstance(a, Store)
    return list(found.values())


def _flat(loop: For) -> bool:
    return all(isinstance(s, _FLAT) for s in loop.body)


def _separate(loop: For) -> bool:
    """Is it of loops only, and nothing handed on from turn to turn?"""
    known = (*_FLAT.__args__, For, ir.Alloc, ir.Free)
    return not loop.carries and not _flat(loop) and all(isinstance(s, known) for s in ir.walk(loop.body))


def _shared(loop: For) -> list[Access]:
    """The accesses of a loop, without those to arrays that a turn has for itself."""
    own = {s.buffer for s in ir.walk(loop.body) if isinstance(s, ir.Alloc)}
    return [a for a in accesses(loop.body) if a.view.buffer not in own]


def _independent(loop: For, among: Iterable[Access], places: Places) -> bool:
    """Do the turns meet only themselves?"""
    inside, each = frozenset(inner_registers(loop)), _each(among, places)
    return all(
        places.meet_in_turn(a, loop.index, b, loop.index, inside)
        for n, (a, put) in enumerate(each)
        for b, puts in each[n:]
        if put or puts
    )


def apart(nest: For, places: Places, reassociate: bool = True) -> bool:
    """Do the turns of a nest, those of its outermost loop, share no place that is written, but for sums in memory?"""
    if nest.carries or not all(isinstance(s, _FLAT | For) for s in ir.walk(nest.body)):
        return False
    mine = accesses([nest])
    if len(mine) > SHARED:
        return False
    fresh = {r: Reg(r.type, r.hint) for r in inner_registers(nest)}  # they have other values in other turns
    (other,) = ir.renamed([nest], fresh)
    assert isinstance(other, For)
    places.learn([other])
    summed = _summed([nest, other]) if reassociate else set()
    return all(
        places.meet_in_turn(a.view, nest.index, b.view, other.index)
        for a in mine
        for b in accesses([other])
        if (isinstance(a, Store) or isinstance(b, Store)) and not (id(a) in summed and id(b) in summed)
    )


def _summed(body: list[Stmt]) -> set[int]:
    """The loads and stores of sums in memory."""
    found = {
        id(s) for load, add, store in contributions(body) if add.free and add.monoid == "add" for s in (load, store)
    }
    return found.union(*(_summed(inner) for stmt in body for inner in ir.blocks(stmt)))


def _nest(loop: For, places: Places) -> list[Stmt] | None:
    """A nest whose turns are apart, in any order: that of the places in memory."""
    if loop.tag != "seq" or not apart(loop, places):
        return None
    slopes = {places.form(i).coefficient(loop.index) for a in accesses([loop]) for i in a.view.prefix} - {0}
    if slopes != {-1}:
        return [replace(loop, tag="any")]
    last, total, index = Reg(I64, "last"), Reg(I64, "ends"), Reg(I64, loop.index.hint)
    ends: list[Stmt] = [
        ir.Compute(total, "add", (loop.low, loop.high)),
        ir.Compute(last, "sub", (total, Literal(1, I64))),
    ]
    body = [ir.Compute(loop.index, "sub", (last, index)), *loop.body]
    new = [*ends, replace(loop, index=index, body=body, tag="any")]
    places.learn(new)
    return new


def _rule(stmt: Stmt, places: Places, tag: str) -> list[Stmt] | None:
    if not isinstance(stmt, For) or stmt.tag != tag:
        return None
    relaxed = _relaxed(stmt, places) if _flat(stmt) else _flattened(stmt, places) or _nest(stmt, places)
    if relaxed is None and tag == "seq" and _separate(stmt) and _independent(stmt, _shared(stmt), places):
        relaxed = [replace(stmt, tag="any")]
    return relaxed


def _flattened(loop: For, places: Places) -> list[Stmt] | None:
    """A loop whose only loops are short, with these written out, if its turns are apart then."""
    short = [s for s in loop.body if isinstance(s, For) and unroll.short(s)]
    if not short or not all(isinstance(s, (*_FLAT.__args__, ir.Alloc, ir.Free)) or s in short for s in loop.body):
        return None
    body, ends = unroll.in_registers(*unroll.written_out(loop.body, [c.next for c in loop.carries]))
    carries = [replace(c, next=end) for c, end in zip(loop.carries, ends, strict=True)]
    flat = replace(loop, body=body, carries=carries)
    if not _flat(flat):
        return None
    places.learn([flat])
    relaxed = _relaxed(flat, places) or [flat]
    (made,) = [s for s in ir.walk(relaxed) if isinstance(s, For)]
    fits = made.tag == "any" and len(made.body) <= MOST
    return relaxed if fits and _independent(made, accesses([made]), places) else None


@dataclass(frozen=True, eq=False)
class _Sum:
    """place <add>= value, in a turn."""

    load: Load
    combine: ir.Combine
    store: Store

    @property
    def value(self) -> Value:
        return self.combine.right if self.combine.left is self.load.out else self.combine.left

    @property
    def parts(self) -> tuple[Stmt, ...]:
        return self.load, self.combine, self.store

    def behind(self, total: Reg) -> list[Stmt]:
        """Once, behind the loop."""
        load = replace(self.load, out=Reg(self.load.out.type, self.load.out.hint))
        combine = replace(self.combine, out=Reg(self.load.out.type, "add"), left=load.out, right=total)
        return [load, combine, Store(load.view, combine.out)]


def _relaxed(loop: For, places: Places) -> list[Stmt] | None:
    """The loop with its turns in any order, and its sums in one place in a register; None if it may not be or was."""
    if not all(_is_sum(loop, c.reg, c.next) for c in loop.carries):
        return None
    sums = _sums(loop, places)
    inside = inner_registers(loop)
    steady = [s for s in sums if _invariant(s.load, inside)]
    moving = {id(p) for s in sums if s not in steady for p in s.parts}
    gone = {id(p) for s in steady for p in s.parts}
    rest = [a for a in accesses(loop.body) if id(a) not in gone]
    stores = [a for a in rest if isinstance(a, Store)] + [s.store for s in steady]
    fixed = [a for a in rest if isinstance(a, Load) and _invariant(a, inside) and id(a) not in moving]
    fixed = [a for a in fixed if all(places.apart(a.view, o.view) for o in stores)]
    rest = [a for a in rest if a not in fixed]
    if not all(places.apart(s.store.view, a.view) for s in steady for a in rest if id(a) not in moving):
        return None
    if not steady if loop.tag == "any" else not _independent(loop, rest, places):
        return None
    carries, after = list(loop.carries), []
    for s in steady:
        dtype = s.load.out.type
        assert isinstance(dtype, DType)
        total, end = Reg(dtype, s.load.out.hint), Reg(dtype, s.load.out.hint)
        (combine,) = ir.renamed([s.combine], {s.load.out: total})
        carries.append(Carry(total, Literal(0.0 if dtype.is_float else 0, dtype), s.combine.out, end))
        after += s.behind(end)
        gone.discard(id(s.combine))
        loop.body[loop.body.index(s.combine)] = combine
    gone |= {id(a) for a in fixed}
    new = For(loop.index, loop.low, loop.high, [s for s in loop.body if id(s) not in gone], carries, "any")
    return _guarded(new, fixed, after, len(loop.carries), places)


def _guarded(loop: For, before: Sequence[Stmt], after: list[Stmt], own: int, places: Places) -> list[Stmt]:
    """The loop with what is done once around it, if it turns at all."""
    if not before and not after:
        return [loop]
    turns = Reg(BOOL, "turns")
    joins: list[Join] = []
    for c in loop.carries[:own]:
        inner = Reg(c.out.type, c.out.hint)
        joins.append(Join(c.out, inner, c.init))
        c.out = inner
    guarded = If(turns, [*before, loop, *after], [], joins)
    places.learn([guarded])
    return [ir.Compute(turns, "lt", (loop.low, loop.high)), guarded]


def _is_sum(loop: For, reg: Reg, value: Value, end: Stmt | None = None) -> bool:
    """Is a value a register combined with something, which nothing in the loop sees (but for `end`)?"""
    made = [s for s in loop.body if isinstance(s, ir.Combine) and s.out is value]
    if len(made) != 1 or not made[0].free or (made[0].left is reg) == (made[0].right is reg):
        return False
    users = [s for s in loop.body if any(v is reg for v in ir.used(s))]
    seen = [s for s in loop.body if any(v is value for v in ir.used(s)) and s is not end]
    carried = [c for c in loop.carries if c.next is value and c.reg is not reg]
    return len(users) == 1 and not seen and not carried


def _invariant(s: Access, inside: set[Reg]) -> bool:
    return all(not isinstance(v, Reg) or v not in inside for v in s.view.prefix)


def _sums(loop: For, places: Places) -> list[_Sum]:
    """The sums in places of memory: loaded, added to, stored, and nothing between that may be there."""
    found: list[_Sum] = []
    for at, store in enumerate(loop.body):
        if not isinstance(store, Store):
            continue
        made = next((s for s in loop.body if isinstance(s, ir.Combine) and s.out is store.value), None)
        loads = [s for s in loop.body[:at] if isinstance(s, Load) and places.same(s.view, store.view)]
        if made is None or made.monoid != "add" or not loads or not _is_sum(loop, loads[-1].out, store.value, store):
            continue
        between = loop.body[loop.body.index(loads[-1]) : at]
        if all(places.apart(s.view, store.view) for s in between if isinstance(s, Store)):
            found.append(_Sum(loads[-1], made, store))
    return found

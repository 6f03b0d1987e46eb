"""Lanes: an outer parallel loop runs innermost, over a tile of its turns, where its inner loops would vectorise badly.

    for i in 0..n:                          for t in 0..n // 64:
        for j: s = 0                            for q: for l: packed[q, l] = x[64 t + l, q]
            for q: s += x[i, q] c[j, q]   ->    for j: for l: s[l] = 0
            m = min(m, s)                           for q: for l: s[l] += packed[q, l] c[j, q]
        y[i] = m                                    for l: m[l] = min(m[l], s[l])
                                                for l: y[64 t + l] = m[l]
                                            what is left over in tiles of 16 and 8, then as before

What varies with i becomes an array of 64 on the stack where it lives longer than one inner loop; what doesn't is
computed once for all lanes; arrays private to a turn get a last axis of lanes, and so do, for the time of a tile, rows
x[i] that are updated at strides.  A branch that holds loops, as over the row that a minimum picks, runs lane by lane.
Turns of a loop tagged `any` are independent but for what they combine, and each lane loop runs in the order of i, so
the fission changes no result.

It pays where the deepest loops are short, or read a packed element in many turns (a test at run time), or where an
innermost loop is strided or a recurrence; and if what is private to a turn is small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from iverson.backend import abreast, lanes, relax
from iverson.backend import loopir as ir
from iverson.backend.lanes import Writer, contributions
from iverson.backend.loopir import Buffer, For, If, Load, Program, Reg, Stmt, Store, Value, View, integer
from iverson.backend.places import Places
from iverson.core.syntax import BOOL, I64, DType, Literal

SHORT = 64  # turns: an innermost loop that is longer vectorises well itself
SMALL = 40  # statements of a nest that is written for tiles of middle width, too
REUSED = 32  # turns that read one packed element: then packing pays for long loops too
MEMORY = 2**15  # elements of an array that is private to a turn and gets an axis of lanes


def run(program: Program, reassociate: bool = True) -> None:
    """Rewrite the loops of a program for which it pays."""
    several = abreast.run(program, lambda loop: in_lanes(loop, Known(program), reassociate))
    program.body[:] = _block(program.body, Known(program, several), reassociate)


class Known:
    """What is known of a program: how many of its statements write a buffer, and where accesses are."""

    def __init__(self, program: Program, several: Collection[For] = ()) -> None:
        self.program = program
        self.several = several  # loops that run several turns of one around them
        self.writes: dict[Buffer, int] = {}
        for stmt in ir.walk(program.body):
            targets = [stmt.view.buffer] if isinstance(stmt, Store) else []
            targets += [stmt.target.buffer] if isinstance(stmt, ir.Copy) else []
            targets += [v.buffer for v in stmt.args if isinstance(v, View)] if isinstance(stmt, ir.Call) else []
            for buffer in targets:
                self.writes[buffer] = self.writes.get(buffer, 0) + 1

    @cached_property
    def places(self) -> Places:
        return Places(self.program.body)


def in_lanes(loop: For, known: Known, reassociate: bool) -> bool:
    """Would a loop run in lanes?"""
    plan = _Plan(loop, known, reassociate)
    return plan.legal() and plan.pays()


def _block(body: list[Stmt], known: Known, reassociate: bool) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For) and stmt.tag == "wide":
            out.append(stmt)
            continue
        plan = _best(stmt, known, reassociate) if isinstance(stmt, For) else None
        if plan is None:
            for inner in ir.blocks(stmt):
                inner[:] = _block(inner, known, reassociate)
            out.append(stmt)
        elif isinstance(stmt, For) and plan.loop is stmt:
            out += plan.write()
        else:
            _replace(stmt, plan)
            out.append(stmt)
    return out


def _best(stmt: For, known: Known, reassociate: bool) -> _Plan | None:
    """The loop of a nest that should run in lanes: rather one that scatters no stores, then one that needs nothing
    packed, then the outermost."""
    plans = []
    body: list[Stmt] = [stmt]
    while len(loops := [s for s in body if isinstance(s, For)]) == 1:
        (loop,) = loops
        if loop.tag == "any" and any(isinstance(s, For) for s in loop.body):
            plan = _Plan(loop, known, reassociate)
            if plan.legal() and plan.pays():
                plans.append(plan)
        body = loop.body
    best = min(plans, key=lambda p: (p.scatters, len(p.packed) > 0), default=None)
    if best is not None and best.lines and any(_easy(f, known, reassociate) for f in _loops(best.loop.body)):
        return None
    return best


def _easy(loop: For, known: Known, reassociate: bool) -> bool:
    """Would a loop run in lanes, with nothing taken in or packed?"""
    plan = _Plan(loop, known, reassociate)
    nest = loop.tag == "any" and any(isinstance(s, For) for s in loop.body)
    return nest and plan.legal() and plan.pays() and not plan.lines and not plan.packed


def _replace(stmt: Stmt, plan: _Plan) -> None:
    for inner in ir.blocks(stmt):
        if plan.loop in inner:
            at = inner.index(plan.loop)
            inner[at : at + 1] = plan.write()
            return
        for s in inner:
            _replace(s, plan)


def _loops(body: Iterable[Stmt]) -> list[For]:
    """The loops that lanes would run in; those of branches run in a lane each."""
    return [f for s in body if isinstance(s, For) for f in (s, *_loops(s.body))]


@dataclass(eq=False)
class _Plan:
    """What running a loop in lanes would take."""

    loop: For
    known: Known
    reassociate: bool
    varying: set[Reg] = field(default_factory=set)
    private: set[Buffer] = field(default_factory=set)
    stored: set[Buffer] = field(default_factory=set)
    rows: dict[Buffer, int] = field(default_factory=dict)  # arrays of which each turn has its own part, and its axis
    definitions: dict[Reg, ir.Compute] = field(default_factory=dict)
    packed: dict[int, list[int]] = field(default_factory=dict)  # load -> its axes that inner loops run over
    turns: list[list[Value]] = field(default_factory=list)  # of each packed load, the loops that read its element again
    own: dict[Buffer, int] = field(default_factory=dict)  # arrays touched at the loop's index only, and that axis
    parts: dict[Buffer, int] = field(default_factory=dict)  # those of them that a tile takes in and puts back
    scatters: bool = False  # does it store at strides in inner loops?

    def write(self) -> list[Stmt]:
        code, test = self.condition()
        loop = self.loop
        most = self.loop.high.value if isinstance(self.loop.high, Literal) else lanes.LANES
        most_statements = SMALL * (abreast.TURNS if self.loop in self.known.several else 1)
        small = sum(1 for _ in ir.walk(self.loop.body)) <= most_statements
        widths = (lanes.LANES, *([lanes.MIDDLE] if small else []), lanes.NARROW)
        for width in (w for w in widths if w <= most):
            plan = self.varying, self.private, self.rows, self.parts, self.packed
            tiles, loop = Writer(loop, width, *plan, test).run()
            code += tiles
        return [*code, loop]

    @property
    def lines(self) -> set[Buffer]:
        """The arrays that a tile takes in."""
        return {*self.rows, *self.parts}

    # --- may it? ------------------------------------------------------------------------------------------------------

    def legal(self) -> bool:
        body = self.loop.body
        if isinstance(self.loop.high, Literal) and self.loop.high.value < lanes.NARROW:
            return False
        if any(f.low != integer(0) for f in [self.loop, *_loops(body)]):
            return False
        if any(c.reg.type is ir.POINTER for f in ir.walk([self.loop]) if isinstance(f, For) for c in f.carries):
            return False
        self.definitions = {s.out: s for s in ir.walk(body) if isinstance(s, ir.Compute)}
        self.private = {s.buffer for s in ir.walk(body) if isinstance(s, ir.Alloc)}
        self.stored = {s.view.buffer for s in ir.walk(body) if isinstance(s, Store)}
        if not all(self._known(s) for s in ir.walk(body)):
            return False
        self._find_rows()
        self._vary()
        uniform = all(not self._varies(f.high) for f in _loops(body)) and all(
            not self._varies(e) for b in self.private for e in b.extents
        )
        return uniform and self._stores_apart() and self._carries_last()

    def _find_rows(self) -> None:
        """Arrays of which a turn has its own part; of those that are written here and nowhere else, all is known."""
        accesses = [s for s in ir.walk(self.loop.body) if isinstance(s, Load | Store)]
        stores = [s.view.buffer for s in accesses if isinstance(s, Store)]
        loads = {s.view.buffer for s in accesses if isinstance(s, Load)}
        buffers = {s.view.buffer for s in accesses}
        for b in self.stored - self.private:
            prefixes = [s.view.prefix for s in accesses if s.view.buffer is b]
            axes = [a for a in range(len(b.extents)) if all(p[a] is self.loop.index for p in prefixes)]
            if not axes or not b.scoped or b.slot is None or any(o.slot is b.slot for o in buffers - {b}):
                continue
            self.own[b] = axes[0]
            if b in loads and self.known.writes.get(b) == stores.count(b):
                self.rows[b] = axes[0]

    def _known(self, stmt: Stmt) -> bool:
        if isinstance(stmt, If):
            return not any(isinstance(s, ir.Alloc) for b in ir.blocks(stmt) for s in ir.walk(b))
        return isinstance(stmt, ir.Compute | ir.Combine | Load | Store | For | ir.Alloc | ir.Free)

    def _varies(self, value: Value) -> bool:
        return isinstance(value, Reg) and value in self.varying

    def _vary(self) -> None:
        """Everything that depends on the turn, to a fixpoint through the carries of inner loops."""
        self.varying = {self.loop.index, *(c.reg for c in self.loop.carries)}
        while True:
            before = len(self.varying)
            self._vary_block(self.loop.body)
            if len(self.varying) == before:
                return

    def _vary_block(self, body: list[Stmt]) -> None:
        for stmt in body:
            for inner in ir.blocks(stmt):
                self._vary_block(inner)
            match stmt:
                case For():
                    for c in stmt.carries:
                        if self._varies(c.init) or self._varies(c.next) or c.reg in self.varying:
                            self.varying |= {c.reg, c.out}
                case If():
                    apart = lanes.serial(stmt)
                    for j in stmt.joins:
                        if apart or any(map(self._varies, (stmt.pred, j.then, j.orelse))):
                            self.varying.add(j.out)
                case Load(out, view):
                    mutable = view.buffer in self.private or view.buffer in self.stored
                    if mutable or any(map(self._varies, view.prefix)):
                        self.varying.add(out)
                case ir.Compute() | ir.Combine():
                    if any(map(self._varies, ir.used(stmt))):
                        self.varying.add(stmt.out)

    def _stores_apart(self) -> bool:
        """A buffer is private, or only written, one element a turn, or only accumulated into; or none is shared."""
        if relax.apart(self.loop, self.known.places, self.reassociate):
            return True
        accumulated = _accumulations(self.loop.body) if self.reassociate else set()
        for stmt in ir.walk(self.loop.body):
            if (
                isinstance(stmt, Load)
                and stmt.view.buffer in self.stored - self.private - self.own.keys()
                and id(stmt) not in accumulated
            ):
                return False
            if isinstance(stmt, Store) and stmt.view.buffer not in self.private and id(stmt) not in accumulated:
                apart = any(map(self._unit, stmt.view.prefix))
                if not apart:
                    return False
        return True

    def _carries_last(self) -> bool:
        """What the loop itself carries is touched only behind its last inner loop."""
        carried = {c.reg for c in self.loop.carries}
        last = max(k for k, s in enumerate(self.loop.body) if isinstance(s, For))
        touched = [v for s in self.loop.body[: last + 1] for v in _all_used(s)]
        tail = {r for s in self.loop.body[last + 1 :] for r in ir.defined(s)}
        return not carried & set(touched) and all(c.next in tail or c.next is c.reg for c in self.loop.carries)

    # --- should it? ---------------------------------------------------------------------------------------------------

    def pays(self) -> bool:
        if len(self._temporaries()) > 24 or any(_too_large(b) for b in self.private):
            return False
        better = True
        accesses = list(_with_loops(self.loop.body, []))
        deepest = max(len(around) for _, around in accesses)
        for stmt, around in accesses:
            strided = isinstance(stmt, Load | Store) and not self._smooth(stmt.view, through=isinstance(stmt, Store))
            if strided and len(around) == deepest and self._takes(stmt.view, around):
                continue
            if not strided or not around:
                continue
            self.scatters |= isinstance(stmt, Store)
            free = [f for f in around if f.index in stmt.view.prefix]
            if isinstance(stmt, Load) and len(free) < len(around) and self._can_pack(stmt.view, free):
                indices = [f.index for f in free]
                self.packed[id(stmt)] = [a for a, v in enumerate(stmt.view.prefix) if v in indices]
                self.turns.append([f.high for f in around if f not in free])
            elif len(around) == deepest and self._strides(around[-1], least=0):
                better = any(self._strides(f, least=1) for f in self.innermost())
            elif len(around) == deepest:
                return False
        return better and any(map(self._innermost, self.innermost()))

    def _strides(self, f: For, least: int) -> bool:
        """Is so much less of an inner loop at strides with lanes than without them?"""
        views = [(s.view, isinstance(s, Store)) for s in f.body if isinstance(s, Load | Store)]
        with_, without = (
            (not self._smooth(v, through=w) for v, w in views),
            map(self._strided(f), (v for v, _ in views)),
        )
        return sum(without) - sum(with_) >= least

    def _takes(self, view: View, around: list[For]) -> bool:
        """Take a tile's part of an array in, if it may be and the loops around pass over all its other axes."""
        buffer = view.buffer
        if buffer in self.own and buffer not in self.rows and len(view.prefix) <= 3:
            others = [v for a, v in enumerate(view.prefix) if a != self.own[buffer]]
            if len({f.index for f in around} & set(others)) == len(others):
                self.parts[buffer] = self.own[buffer]
        return buffer in self.parts

    def _temporaries(self) -> list[Reg]:
        return [c.reg for f in _loops(self.loop.body) for c in f.carries]

    def _smooth(self, view: View, through: bool = False) -> bool:
        """Neighbouring lanes read neighbouring elements, or all the same one."""
        if view.buffer in self.private or (view.buffer in self.rows and not through):
            return True
        index = view.prefix
        contiguous = view.buffer.strides is None and self._unit(index[-1])
        return not any(map(self._varies, index[:-1] if contiguous else index))

    def _unit(self, value: Value) -> bool:
        """Does an index grow by one from turn to turn?"""
        return self._slope(value) == 1

    def _slope(self, value: Value) -> int | None:
        """By how much does a value grow from turn to turn, if that is known?"""
        if value is self.loop.index or not self._varies(value):
            return int(value is self.loop.index)
        made = self.definitions.get(value) if isinstance(value, Reg) else None
        if made is None or made.name not in ("add", "sub"):
            return None
        a, b = map(self._slope, made.args)
        return None if a is None or b is None else a + b if made.name == "add" else a - b

    def _moves(self, value: Value, index: Reg) -> bool:
        """Does a value move with an index, by additions alone?"""
        definition = self.definitions.get(value) if isinstance(value, Reg) else None
        sum_ = definition is not None and definition.name in ("add", "sub")
        return value is index or (
            definition is not None and sum_ and any(self._moves(a, index) for a in definition.args)
        )

    def _can_pack(self, view: View, free: list[For]) -> bool:
        plain = {self.loop.index, *(f.index for f in free)}
        inner = {r for s in ir.walk(self.loop.body) for r in (*ir.entered(s), *ir.defined(s))}
        outside = all(isinstance(i, Literal) or i in plain or i not in inner for i in view.prefix)
        return outside and view.buffer not in self.stored

    def innermost(self) -> list[For]:
        return [f for f in _loops(self.loop.body) if not _loops(f.body)]

    def _innermost(self, f: For) -> bool:
        """Is this a loop for which lanes may pay: one that vectorises badly, or a short one that adds things up?"""
        short = not isinstance(f.high, Literal) or f.high.value <= SHORT
        return self.always(f) or (short and (bool(f.carries) or any(contributions(f.body))))

    def always(self, f: For) -> bool:
        """Does a loop surely vectorise badly: strided, or a recurrence?"""
        strided = any(map(self._strided(f), (s.view for s in f.body if isinstance(s, Load | Store))))
        return strided or (f.tag == "seq" and bool(f.carries))

    def _strided(self, f: For) -> Callable[[View], bool]:
        return lambda view: any(self._moves(i, f.index) for i in view.prefix[:-1])

    def condition(self) -> tuple[list[Stmt], Value]:
        """What must hold at run time for it to pay."""
        code: list[Stmt] = []
        inner = {r for s in ir.walk(self.loop.body) for r in (*ir.entered(s), *ir.defined(s))}

        def compute(name: str, *args: Value, dtype: DType = BOOL) -> Value:
            out = Reg(dtype, "pays")
            code.append(ir.Compute(out, name, args))
            return out

        def any_of(values: Iterable[Value], name: str, bound: int) -> Value:
            total: Value = Literal(False, BOOL)
            for v in dict.fromkeys(values):
                if isinstance(v, Literal) or v not in inner:
                    total = compute("or", total, compute(name, v, integer(bound)))
            return total

        test: Value = Literal(True, BOOL)
        if not any(map(self.always, self.innermost())):
            often = [any_of(turns, "ge", REUSED) for turns in self.turns]
            for high in self._deepest():
                if not isinstance(high, Literal) and high not in inner:
                    enough: Value = Literal(bool(often), BOOL)
                    for again in often:
                        enough = compute("and", enough, again)
                    test = compute("and", test, compute("or", compute("le", high, integer(SHORT)), enough))
        for buffer in self.private:
            known = [e for e in buffer.extents if isinstance(e, Literal) or e not in inner]
            if not all(isinstance(e, Literal) for e in known):
                size: Value = integer(1)
                for e in known:
                    size = compute("mul", size, compute("min", e, integer(MEMORY + 1), dtype=I64), dtype=I64)
                test = compute("and", test, compute("le", size, integer(MEMORY)))
        return code, test

    def _deepest(self) -> list[Value]:
        """The extents of the loops that are nested most."""
        depths = [(s.high, len(around)) for s, around in _with_loops(self.loop.body, []) if isinstance(s, For)]
        return [high for high, depth in dict.fromkeys(depths) if depth == max(d for _, d in depths)]


def _too_large(buffer: Buffer) -> bool:
    return len(buffer.extents) > 2


def _with_loops(body: list[Stmt], around: list[For]) -> Iterable[tuple[Stmt, list[For]]]:
    for stmt in body:
        yield stmt, around
        deeper = [*around, stmt] if isinstance(stmt, For) else around
        for inner in [] if lanes.serial(stmt) else ir.blocks(stmt):
            yield from _with_loops(inner, deeper)


def _all_used(stmt: Stmt) -> list[Value]:
    return [*ir.used(stmt), *(v for b in ir.blocks(stmt) for s in b for v in _all_used(s))]


def _accumulations(body: list[Stmt]) -> set[int]:
    """The loads and stores of contributions: load, combine, store to the same element."""
    found: set[int] = set()
    for first, _, third in contributions(body):
        found |= {id(first), id(third)}
    for stmt in body:
        for inner in ir.blocks(stmt):
            found |= _accumulations(inner)
    return found

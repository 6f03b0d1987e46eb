"""Writing a loop in lanes, as backend/schedule.py has planned it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import inner_registers
from iverson.backend.loopir import Buffer, Carry, Combine, For, If, Load, Owner, Reg, Stmt, Store, Value, View, integer
from iverson.core import monoids
from iverson.core.syntax import BOOL, I64, DType, Literal

LANES = 64
MIDDLE, NARROW = 16, 8  # lanes of the tiles that what is left of full ones is run in
PACKED = 4096  # the longest axis that is packed
PART = 64  # the longest axis of which a tile takes all elements in and puts them back

Env = Mapping[Reg, Value]


@dataclass(eq=False, slots=True)
class Segment:
    """Statements that one lane loop runs; of loops only such as are in branches."""

    body: list[Stmt] = field(default_factory=list)

    @property
    def serial(self) -> bool:
        return any(map(serial, self.body))


@dataclass(eq=False, slots=True)
class Inner:
    loop: For
    items: list[Item]


Item = Segment | Inner | Stmt


def serial(stmt: Stmt) -> bool:
    """Is a statement a branch with loops, which one lane runs after the other?"""
    return isinstance(stmt, If) and any(isinstance(s, For) for b in ir.blocks(stmt) for s in ir.walk(b))


@dataclass(eq=False, slots=True)
class Pack:
    """The elements that a tile reads at a strided place, lanes last."""

    view: View
    axes: list[int]  # of the view, those that inner loops run over
    buffer: Buffer


def _sum_around(around: For | None, c: Carry) -> Carry | None:
    """The carry of the loop around that an inner one only goes on with: they may live in one place."""
    for outer in around.carries if around is not None else ():
        if outer.reg is c.init and outer.next is c.out:
            uses = [v for s in ir.walk(around.body) for v in ir.used(s)]  # type: ignore[union-attr]
            return outer if uses.count(outer.reg) == 1 and c.out not in uses else None
    return None


class Writer:
    """A loop as tiles of `width` turns, and the rest of it, which is left as it was."""

    def __init__(
        self,
        loop: For,
        width: int,
        varying: set[Reg],
        private: set[Buffer],
        rows: Mapping[Buffer, int],
        parts: Mapping[Buffer, int],
        packed: Mapping[int, list[int]],
        test: Value,
    ) -> None:
        self.loop = loop
        self.width = integer(width)
        self.varying = varying
        self.test = test
        self.before: list[Stmt] = []
        self.places: dict[Reg, Buffer] = {}  # what lives on the stack, a lane each
        self.spilled: set[Reg] = set()
        self.rows, self.parts = rows, parts
        self.lines = {**rows, **parts}  # arrays of which each lane has its own part, and the axis that tells them apart
        self.wide = {b: self._widened(b, b.extents) for b in private}
        self.wide |= {b: self._widened(b, _without(b.extents, axis)) for b, axis in self.lines.items()}
        self.packs: dict[tuple[Buffer, tuple[Value, ...]], Pack] = {}
        self.packed = packed
        self.base = Reg(I64, "base")
        self.origin: dict[Reg, Segment] = {}
        self.sums: dict[Reg, ir.Compute] = {}  # of integers

    def run(self) -> tuple[list[Stmt], For]:
        """The statements that take the loop's place, and behind them the loop over the rest."""
        items = self._items(self.loop.body, [])
        self._packs()
        self._spill(items)
        full = self._full()
        tile, rest, whole = Reg(I64, "tile"), Reg(I64, "rest"), self.loop.whole or self.loop.index
        through = [
            Carry(Reg(c.reg.type, c.reg.hint), c.init, c.reg, Reg(c.reg.type, c.reg.hint)) for c in self.loop.carries
        ]
        last = next((i for i in reversed(items) if isinstance(i, Segment)), None)
        begin = Reg(I64, "begin") if self.loop.low != integer(0) else self.base
        body: list[Stmt] = [
            ir.Compute(begin, "mul", (tile, self.width)),
            *([ir.Compute(self.base, "add", (self.loop.low, begin))] if begin is not self.base else []),
            *self._fills(),
            *self._moves(into=True),
        ]
        for item in items:
            body += self._write(item, through if item is last else [])
        body += self._moves(into=False)
        done = Reg(I64, "done") if begin is not self.base else rest
        behind: list[Stmt] = [ir.Compute(done, "mul", (full, self.width))]
        behind += [ir.Compute(rest, "add", (self.loop.low, done))] if done is not rest else []
        remaining = [Carry(c.reg, t.out, c.next, c.out) for c, t in zip(self.loop.carries, through, strict=True)]
        tiles = For(tile, integer(0), full, body, through, "tile")
        own = {r: Reg(r.type, r.hint) for r in inner_registers(tiles) if r.type is not ir.POINTER}
        (tiles,) = ir.renamed([tiles], own)
        assert isinstance(tiles, For)
        code = [
            *self.before,
            replace(tiles, whole=whole),
            *(ir.Free(p.buffer) for p in self.packs.values()),
            *(ir.Free(self.wide[b]) for b in self.lines),
            *behind,
        ]
        return code, replace(self.loop, low=rest, carries=remaining, whole=whole)

    def compute(self, name: str, *args: Value, dtype: DType = I64) -> Reg:
        out = Reg(dtype, "t")
        self.before.append(ir.Compute(out, name, args))
        return out

    def _full(self) -> Reg:
        """How many full tiles there are; none if lanes don't pay."""
        turns = self.loop.high if self.loop.low == integer(0) else self.compute("sub", self.loop.high, self.loop.low)
        tiles = self.compute("max", self.compute("floordiv", turns, self.width), integer(0))
        test = self.test
        wide = [self.wide[b] for b in self.lines]
        axes = [p.view.buffer.extents[a] for p in self.packs.values() for a in p.axes]
        limits = [(e, PACKED) for e in [*axes, *(e for b in self.rows for e in self.wide[b].extents[:-1])]]
        limits += [(e, PART) for b in self.parts for e in self.wide[b].extents[:-1]]
        for extent, limit in dict.fromkeys(limits):
            few = self.compute("le", extent, integer(limit), dtype=BOOL)
            test = self.compute("and", test, few, dtype=BOOL)
        full = self.compute("select", test, tiles, integer(0))
        some = self.compute("gt", full, integer(0), dtype=BOOL)
        for buffer in [*(p.buffer for p in self.packs.values()), *wide]:
            self.before.append(ir.Alloc(buffer, when=some))
        return full

    # --- segments -----------------------------------------------------------------------------------------------------

    def _items(self, body: Sequence[Stmt], tail: list[Stmt], around: For | None = None) -> list[Item]:
        """Split a body, of the loop around, at its loops; what is the same for all lanes goes before the segment it is
        found in."""
        items: list[Item] = []
        segment = Segment()
        carried = {c.reg for c in self.loop.carries}

        def close() -> None:
            nonlocal segment
            if segment.body:
                items.append(segment)
                segment = Segment()

        for stmt in body:
            if isinstance(stmt, For):
                own = [c for c in stmt.carries if c.reg in self.varying]
                for c in own:
                    outer = _sum_around(around, c)
                    self.places[c.reg] = self.places[c.out] = self.places[outer.reg] if outer else self._place(c.reg)
                begun = [c for c in own if not _sum_around(around, c)]
                segment.body += [Store(View(self.places[c.reg], (LANE,)), c.init) for c in begun]
                close()
                within = [_sum_around(stmt, c) for s in stmt.body if isinstance(s, For) for c in s.carries]
                nexts: list[Stmt] = [Store(View(self.places[c.reg], (LANE,)), c.next) for c in own if c not in within]
                items.append(Inner(stmt, self._items(stmt.body, nexts, stmt)))
            elif isinstance(stmt, ir.Free):
                close()
                items.append(ir.Free(self.wide[stmt.buffer]))
            elif isinstance(stmt, ir.Alloc):
                items.append(ir.Alloc(self.wide[stmt.buffer]))
            elif self._uniform(stmt):
                items.append(stmt)
            else:
                if serial(stmt) and carried.isdisjoint(v for s in segment.body for v in _all_used(s)):
                    close()  # what comes before may run in vector registers
                segment.body.append(stmt)
        segment.body += tail
        close()
        return items

    def _uniform(self, stmt: Stmt) -> bool:
        if isinstance(stmt, If):
            if serial(stmt):
                return False
            inner = [s for b in ir.blocks(stmt) for s in b]
            return all(map(self._uniform, inner)) and not any(j.out in self.varying for j in stmt.joins)
        return not isinstance(stmt, Store) and not any(r in self.varying for r in ir.defined(stmt))

    def _spill(self, items: Sequence[Item]) -> None:
        """Find what one segment defines and another uses."""
        segments = list(_segments(items))
        made = (stmt for s in segments for stmt in s.body if isinstance(stmt, ir.Compute))
        self.sums = {c.out: c for c in made if c.name in ("add", "sub") and c.out.type is I64}
        for s in segments:
            self.origin |= {r: s for stmt in s.body for r in ir.defined(stmt)}
        for s in segments:
            for stmt in s.body:
                for v in _all_used(stmt):
                    foreign = isinstance(v, Reg) and self.origin.get(v, s) is not s
                    if foreign and v not in self.places and not self._is_index(v):
                        self.spilled.add(v)
                        self.places[v] = self._place(v)

    def _is_index(self, value: Value) -> bool:
        """Is a value the loop's index plus what all lanes share? It is computed again where it is used."""
        if value is self.loop.index:
            return True
        made = self.sums.get(value) if isinstance(value, Reg) else None
        return made is not None and all(self._is_index(a) or a not in self.varying for a in made.args)

    def _index(self, value: Value, env: Env, code: list[Stmt]) -> None:
        """Compute an index again."""
        if isinstance(value, Reg) and value in self.sums and value not in env and self._is_index(value):
            made = self.sums[value]
            for a in made.args:
                self._index(a, env, code)
            env[value] = here = Reg(I64, value.hint)
            code.append(ir.Compute(here, made.name, tuple(_value(a, env) for a in made.args)))

    def _place(self, reg: Reg) -> Buffer:
        assert isinstance(reg.type, DType)
        buffer = Buffer(reg.type, (self.width,), Reg(ir.POINTER, reg.hint), hint=reg.hint, stored=True, slot=Owner())
        self.before.append(ir.Alloc(buffer, stack=True))
        return buffer

    def _widened(self, b: Buffer, extents: Sequence[Value]) -> Buffer:
        """A turn's own array, or its part of one, for every lane."""
        pointer = Reg(ir.POINTER, b.hint)
        return Buffer(b.dtype, (*extents, self.width), pointer, hint=b.hint, stored=True, slot=Owner())

    # --- packing ------------------------------------------------------------------------------------------------------

    def _packs(self) -> None:
        for stmt in ir.walk(self.loop.body):
            if isinstance(stmt, Load) and id(stmt) in self.packed:
                axes = self.packed[id(stmt)]
                key = (stmt.view.buffer, stmt.view.prefix)
                if key not in self.packs:
                    extents = [stmt.view.buffer.extents[a] for a in axes]
                    buffer = Buffer(
                        stmt.view.buffer.dtype,
                        (*extents, self.width),
                        Reg(ir.POINTER, "packed"),
                        hint="packed",
                        stored=True,
                        slot=Owner(),
                    )
                    self.packs[key] = Pack(stmt.view, axes, buffer)

    def _fills(self) -> list[Stmt]:
        """At the start of a tile: copy what it will read at strides."""
        code: list[Stmt] = []
        for pack in self.packs.values():
            lane, i, element = Reg(I64, "lane"), Reg(I64, "i"), Reg(pack.buffer.dtype, "x")
            index = {a: Reg(I64, "k") for a in pack.axes}
            prefix = [index.get(a) or _value(v, {self.loop.index: i}) for a, v in enumerate(pack.view.prefix)]
            source = View(pack.view.buffer, tuple(prefix))
            nest: list[Stmt] = [
                ir.Compute(i, "add", (self.base, lane)),
                Load(element, source),
                Store(View(pack.buffer, (*index.values(), lane)), element),
            ]
            for a in reversed(pack.axes):
                nest = [For(index[a], integer(0), source.buffer.extents[a], nest, [], "any")]
            code.append(For(lane, integer(0), self.width, nest, [], "any"))
        return code

    def _moves(self, into: bool) -> list[Stmt]:
        """At the start of a tile: take in its parts of arrays; at the end: put them back."""
        code: list[Stmt] = []
        for b, axis in self.parts.items():
            lane, i, element = Reg(I64, "lane"), Reg(I64, "i"), Reg(b.dtype, "x")
            index = [Reg(I64, "k") for _ in b.extents[1:]]
            here, there = View(self.wide[b], (*index, lane)), View(b, (*index[:axis], i, *index[axis:]))
            source, target = (there, here) if into else (here, there)
            nest: list[Stmt] = [ir.Compute(i, "add", (self.base, lane)), Load(element, source), Store(target, element)]
            for k, extent in reversed(list(zip(index, _without(b.extents, axis), strict=True))):
                nest = [For(k, integer(0), extent, nest, [], "any")]
            code.append(For(lane, integer(0), self.width, nest, [], "any"))
        return code

    # --- writing ------------------------------------------------------------------------------------------------------

    def _write(self, item: Item, through: list[Carry]) -> list[Stmt]:
        match item:
            case Segment():
                return self._segment(item, through)
            case Inner(loop, items):
                body = [s for i in items for s in self._write(i, [])]
                uniform = [c for c in loop.carries if c.reg not in self.varying]
                return [replace(loop, body=body, carries=[replace(c) for c in uniform])]
            case _:
                return [item]

    def _segment(self, segment: Segment, through: list[Carry]) -> list[Stmt]:
        """One lane loop.  It loads what it needs from the lanes' places, and leaves there what others need.

        What all lanes contribute to one element is reduced over them first.
        """
        lane, i = Reg(I64, "lane"), Reg(I64, self.loop.index.hint)
        env: dict[Reg, Value] = {self.loop.index: i, LANE: lane}
        code: list[Stmt] = [ir.Compute(i, "add", (self.base, lane))]
        own = {r for stmt in segment.body for r in ir.defined(stmt)}
        for v in dict.fromkeys(v for stmt in segment.body for v in _all_used(stmt)):
            if isinstance(v, Reg) and v in self.places and v not in own:
                here = Reg(v.type, v.hint)
                code.append(Load(here, View(self.places[v], (lane,))))
                env[v] = here
            elif isinstance(v, Reg) and v not in own:
                self._index(v, env, code)
        shared = self._shared(segment)
        carries: list[Carry] = []
        behind: list[Stmt] = []
        for stmt in segment.body:
            if id(stmt) in shared:
                (old, combine, store) = shared[id(stmt)]
                if stmt is combine:
                    carries.append(self._reduced(combine, env, code))
                    total = Reg(old.out.type, old.out.hint)
                    sum_ = Combine(total, combine.monoid, old.out, carries[-1].out, combine.free)
                    behind += [Load(old.out, old.view), sum_, Store(store.view, total)]
                continue
            code += self._renamed(stmt, env)
            code += [Store(View(self.places[r], (lane,)), r) for r in ir.defined(stmt) if r in self.spilled]
        for c, outer in zip(self.loop.carries, through, strict=False):
            out = Reg(c.reg.type, c.reg.hint)
            carries.append(Carry(c.reg, outer.reg, c.next, out))
            outer.next = out
        tag = "any" if segment.serial else "simd"
        return [For(lane, integer(0), self.width, code, carries, tag), *behind]

    def _shared(self, segment: Segment) -> dict[int, Contribution]:
        """The contributions of a segment that all lanes make to one element, by each of their statements."""
        return {
            id(s): c
            for c in contributions(segment.body)
            if c[0].view.buffer not in self.wide and not any(v in self.varying for v in c[0].view.prefix)
            for s in c
        }

    @staticmethod
    def _reduced(combine: Combine, env: Env, code: list[Stmt]) -> Carry:
        """A contribution as a carry of the lane loop."""
        kind = combine.out.type
        assert isinstance(kind, DType)
        (neutral,) = monoids.identity(combine.monoid, kind)
        carry = Carry(Reg(kind, "sum"), Literal(neutral, kind), combine.out, Reg(kind, "sum"))
        code.append(replace(combine, left=carry.reg, right=_value(combine.right, env)))
        return carry

    def _renamed(self, stmt: Stmt, env: Env) -> list[Stmt]:
        match stmt:
            case Load(out, view):
                return [Load(out, self._place_of(stmt, view, env))]
            case Store(view, value):
                here: Stmt = Store(self._place_of(stmt, view, env), _value(value, env))
                through = View(view.buffer, tuple(_value(v, env) for v in view.prefix))
                return [here, Store(through, _value(value, env))] if view.buffer in self.rows else [here]
            case ir.Compute(out, name, args):
                return [ir.Compute(out, name, tuple(_value(a, env) for a in args))]
            case Combine():
                return [replace(stmt, left=_value(stmt.left, env), right=_value(stmt.right, env))]
            case If(pred, then, orelse, joins):
                sides = [[r for s in side for r in self._renamed(s, env)] for side in (then, orelse)]
                outs = [ir.Join(j.out, _value(j.then, env), _value(j.orelse, env)) for j in joins]
                return [If(_value(pred, env), *sides, outs)]
            case For():
                body = [r for s in stmt.body for r in self._renamed(s, env)]
                carries = [replace(c, init=_value(c.init, env), next=_value(c.next, env)) for c in stmt.carries]
                low, high = _value(stmt.low, env), _value(stmt.high, env)
                return [replace(stmt, low=low, high=high, body=body, carries=carries)]
            case _:
                raise AssertionError(f"{stmt} in a lane")

    def _place_of(self, stmt: Stmt, view: View, env: Env) -> View:
        if id(stmt) in self.packed:
            pack = self.packs[view.buffer, view.prefix]
            return View(pack.buffer, (*(view.prefix[a] for a in pack.axes), env[LANE]))
        prefix = tuple(_value(v, env) for v in view.prefix)
        if view.buffer in self.lines:
            prefix = _without(prefix, self.lines[view.buffer])
        if view.buffer in self.wide:
            return View(self.wide[view.buffer], (*prefix, env[LANE]))
        return View(view.buffer, prefix)


Contribution = tuple[Load, Combine, Store]


def contributions(body: Sequence[Stmt]) -> Iterator[Contribution]:
    """Load, combine, store to the same element."""
    for first, second, third in zip(body, body[1:], body[2:], strict=False):
        match first, second, third:
            case Load(old, view), Combine(new, _, left, _), Store(target, value) if (
                left is old and value is new and target == view
            ):
                yield first, second, third


LANE = Reg(I64, "lane")  # stands for the lane's index until a segment is written


def _segments(items: Sequence[Item]) -> list[Segment]:
    found: list[Segment] = []
    for item in items:
        match item:
            case Segment():
                found.append(item)
            case Inner(_, inner):
                found += _segments(inner)
    return found


def _without(values: tuple[Value, ...], axis: int) -> tuple[Value, ...]:
    return values[:axis] + values[axis + 1 :]


def _value(value: Value, env: Env) -> Value:
    return value if isinstance(value, Literal) else env.get(value, value)


def _all_used(stmt: Stmt) -> list[Value]:
    return [*ir.used(stmt), *(v for b in ir.blocks(stmt) for s in b for v in _all_used(s))]

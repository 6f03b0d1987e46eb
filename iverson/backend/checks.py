"""Run-time checks leave innermost loops, so that these vectorise.

    for i: bound a i + b < n             ->  bound a low + b < n; bound a (high - 1) + b < n;  for i: ...
    for i: require p, p invariant        ->  require p;  for i: ...
    for i: k = x[i]; bound k < n; y[k]   ->  for i: k' = k if k < n else 0; bad |= k != k'; y[k'];  require not bad

A moved check is made only `when` the loop turns.  It may come before one that the program meets first, and a deferred
one after values that don't mean anything.  So a program with moved checks says only that it failed (abi.RERUN); the
same program with all checks in place then finds out how.  Indices stay in bounds whatever happens: a deferred check
clamps.
"""

from __future__ import annotations

from iverson.backend import loopir as ir
from iverson.backend.invariance import Definitions, inner_registers
from iverson.backend.loopir import Bound, For, Reg, Require, Stmt, Value, View, integer
from iverson.core.syntax import BOOL, I64, Literal

FAR = 1 << 40  # turns, and coefficients times turns: below this an affine index cannot wrap around
MOST = 8  # checks that one may become: two for each loop it leaves

_LINEAR = frozenset({"add", "sub", "mul", "neg"})


def run(program: ir.Program) -> bool:
    """Move what can be moved, in place; was anything?"""
    mover = _Mover()
    program.body[:] = mover.block(program.body)
    return mover.moved


class _Mover:
    def __init__(self) -> None:
        self.moved = False

    def block(self, body: list[Stmt]) -> list[Stmt]:
        out: list[Stmt] = []
        for stmt in body:
            for inner in ir.blocks(stmt):
                inner[:] = self.block(inner)
            before, after = self.loop(stmt) if isinstance(stmt, For) else ([], [])
            out += [*before, stmt, *after]
        return out

    def loop(self, loop: For) -> tuple[list[Stmt], list[Stmt]]:
        """What a loop leaves before and behind itself."""
        inside = inner_registers(loop)
        leaving = _Leaving(loop, inside)
        leaving.hoist()
        if not any(isinstance(s, For | ir.While) for s in ir.walk(loop.body)) and loop.tag == "any":
            leaving.defer()
        self.moved |= bool(leaving.before)
        return leaving.before, leaving.after


class _Leaving:
    """The checks of one loop on their way out."""

    def __init__(self, loop: For, inside: set[Reg]) -> None:
        self.loop = loop
        self.inside = inside
        self.definitions = Definitions(loop.body, inside)
        self.before: list[Stmt] = []
        self.after: list[Stmt] = []
        self._turns: Reg | None = None
        self._gone: set[int] = set()

    def compute(self, name: str, args: tuple[Value, ...], dtype: object = I64) -> Reg:
        out = Reg(dtype, "at")  # type: ignore[arg-type]
        self.before.append(ir.Compute(out, name, args))
        return out

    @property
    def turns(self) -> Reg:
        """Does the loop turn, and not absurdly often?"""
        if self._turns is None:
            self._turns = self.compute("lt", (self.loop.low, self.loop.high), BOOL)
            near = self.compute("le", (self.loop.high, integer(FAR)), BOOL)
            self.before.append(Require(near, 0, when=self._turns))
        return self._turns

    def when(self, also: Value | None) -> Value:
        return self.turns if also is None else self.compute("and", (self.turns, also), BOOL)

    # --- before the loop ----------------------------------------------------------------------------------------------

    def hoist(self) -> None:
        kept: list[Stmt] = []
        for stmt in self.loop.body:
            match stmt:
                case Require(pred, _, _, when) if self._known(pred, when):
                    self.before.append(Require(pred, stmt.site, when=self.when(when)))
                case Bound(index, extent, _, when) if self._known(extent, when) and self._affine(stmt):
                    for end in self._ends(index):
                        self.before.append(Bound(end, extent, stmt.site, self.when(when), 2 * stmt.weight))
                case _:
                    kept.append(stmt)
        self.loop.body[:] = [s for s in kept if id(s) not in self._gone]

    def _known(self, *values: Value | None) -> bool:
        """Make the values known before the loop, if that's possible."""
        moved = self.definitions.outside([v for v in values if v is not None])
        if moved is None:
            return False
        self._gone.update(map(id, moved))
        self.before += moved
        self.inside -= {r for s in moved for r in ir.defined(s)}
        return True

    def _affine(self, stmt: Bound) -> bool:
        return 2 * stmt.weight <= MOST and self._linear(stmt.index)

    def _linear(self, value: Value) -> bool:
        """Is this an affine function of the loop's index, which can be computed before the loop?"""
        if value is self.loop.index or self.definitions.invariant(value):
            return True
        definition = self.definitions.by.get(value) if isinstance(value, Reg) else None
        if definition is None:
            return False
        if definition.name not in _LINEAR or not all(map(self._linear, definition.args)):
            return self._invariant_tree(value)
        return definition.name != "mul" or any(map(self._invariant_tree, definition.args))

    def _invariant_tree(self, value: Value) -> bool:
        """Is this computed from invariants only?"""
        if self.definitions.invariant(value):
            return True
        definition = self.definitions.by.get(value) if isinstance(value, Reg) else None
        return definition is not None and all(map(self._invariant_tree, definition.args))

    def _ends(self, index: Value) -> tuple[Value, Value]:
        """An affine index at the first and at the last turn."""
        last = self.compute("sub", (self.loop.high, integer(1)))
        return self._at(index, self.loop.low, {}), self._at(index, last, {})

    def _at(self, value: Value, turn: Value, known: dict[Reg, Value]) -> Value:
        if value is self.loop.index:
            return turn
        if isinstance(value, Literal) or value not in self.inside:
            return value
        if value not in known:
            definition = self.definitions.by[value]
            args = tuple(self._at(a, turn, known) for a in definition.args)
            dtype = value.type
            if definition.name == "mul":
                self._small(args, definition.args)
            known[value] = self.compute(definition.name, args, dtype)
        return known[value]

    def _small(self, args: tuple[Value, ...], inner: tuple[Value, ...]) -> None:
        """The coefficient of a product is no absurd number."""
        for now, then in zip(args, inner, strict=True):
            if self._invariant_tree(then) and not isinstance(now, Literal):
                shifted = self.compute("add", (now, integer(1 << 20)))
                low = self.compute("ge", (shifted, integer(0)), BOOL)
                high = self.compute("le", (shifted, integer(1 << 21)), BOOL)
                self.before.append(Require(self.compute("and", (low, high), BOOL), 0, when=self.turns))
                return

    # --- behind the loop ----------------------------------------------------------------------------------------------

    def defer(self) -> None:
        """Clamp what data-dependent indices are left, and look afterwards whether that was needed."""
        bounds = [s for s in ir.walk(self.loop.body) if isinstance(s, Bound)]
        if not bounds or not self._may_defer(bounds):
            return
        flag = ir.Cell(I64, "bad")
        self.before.append(ir.Put(flag, integer(0)))
        for extent in {b.extent: None for b in bounds}:
            some = self.compute("gt", (extent, integer(0)), BOOL)
            self.before.append(Require(some, 0, when=self.turns))
        clamped: dict[Reg, Value] = {}
        self.loop.body[:] = _deferred(self.loop.body, flag, clamped)
        bad, fine = Reg(I64, "bad"), Reg(BOOL, "fine")
        self.after += [ir.Get(bad, flag), ir.Compute(fine, "eq", (bad, integer(0))), Require(fine, 0)]

    def _may_defer(self, bounds: list[Bound]) -> bool:
        """Only reads may be clamped, and no access may rely on a check that is deferred, except by the same index."""
        checked = {b.index for b in bounds}
        if not all(isinstance(b.index, Reg) and self.definitions.invariant(b.extent) for b in bounds):
            return False
        for stmt in ir.walk(self.loop.body):
            match stmt:
                case ir.Store(View(_, prefix)):
                    if not all(map(self._steady, prefix)):
                        return False
                case ir.Load(_, View(_, prefix)):
                    if not all(i in checked or self._steady(i) for i in prefix):
                        return False
                case ir.Copy() | ir.Alloc() | ir.Call() | ir.Grow() | Require():
                    return False
        return True

    def _steady(self, index: Value) -> bool:
        """Does an index depend on nothing but the loop's own and what is invariant?"""
        if index is self.loop.index or self.definitions.invariant(index):
            return True
        definition = self.definitions.by.get(index) if isinstance(index, Reg) else None
        return definition is not None and all(map(self._steady, definition.args))


def _deferred(body: list[Stmt], flag: ir.Cell, clamped: dict[Reg, Value]) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Bound(Reg() as index, extent, _, _):
                out += _clamp(index, extent, flag, clamped)
            case ir.Load(_, View(buffer, prefix)):
                stmt.view = View(buffer, tuple(clamped.get(i, i) if isinstance(i, Reg) else i for i in prefix))
                out.append(stmt)
            case _:
                for inner in ir.blocks(stmt):
                    inner[:] = _deferred(inner, flag, dict(clamped))
                out.append(stmt)
    return out


def _clamp(index: Reg, extent: Value, flag: ir.Cell, clamped: dict[Reg, Value]) -> list[Stmt]:
    """`index`, as clamped so far, clamped to this extent too."""
    low, high, inside = Reg(BOOL, "low"), Reg(BOOL, "high"), Reg(BOOL, "inside")
    good, old, new, wrong = Reg(I64, index.hint), Reg(I64, "bad"), Reg(I64, "bad"), Reg(I64, "wrong")
    outside = Reg(BOOL, "outside")
    now = clamped.get(index, index)
    clamped[index] = good
    return [
        ir.Compute(low, "ge", (now, integer(0))),
        ir.Compute(high, "lt", (now, extent)),
        ir.Compute(inside, "and", (low, high)),
        ir.Compute(good, "select", (inside, now, integer(0))),
        ir.Compute(outside, "not", (inside,)),
        ir.Compute(wrong, "int64", (outside,)),
        ir.Get(old, flag),
        ir.Compute(new, "bit_or", (old, wrong)),
        ir.Put(flag, new),
    ]

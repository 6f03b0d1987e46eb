"""Run-time checks leave innermost loops, so that these vectorise.

    for i in 0..n: bound i < n           ->  for i in 0..n
    for i: bound a i + b < n             ->  bound a low + b < n; bound a (high - 1) + b < n;  for i: ...
    for i: require p, p invariant        ->  require p;  for i: ...
    for i: require a i + b < n           ->  as for a bound
    for i: k = x[i]; bound k < n; y[k]   ->  for i: k' = k if k < n else 0; bad |= k != k'; y[k'];  require not bad

A moved check is made only `when` the loop turns.  It may come before one that the program meets first, and a deferred
one after values that don't mean anything.  So a program with moved checks says only that it failed (abi.RERUN); the
same program with all checks in place then finds out how.  Indices stay in bounds whatever happens: a deferred check
clamps.  Where vectors would gather most of what they read one by one, no check is deferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.invariance import PURE, Definitions, drop_unused, inner_registers
from iverson.backend.loopir import Bound, For, Reg, Require, Stmt, Type, Value, View, integer
from iverson.core.syntax import BOOL, I64, Literal

FAR = 1 << 40  # turns, and coefficients times turns: below this an affine index cannot wrap around
FEW = 5  # reads here and there, which a vector can still do with
MOST = 8  # checks that one may become: two for each loop it leaves

_ORDERS = frozenset({"lt", "le", "gt", "ge"})
_LINEAR = frozenset({"add", "sub", "mul", "neg"})


def run(program: ir.Program) -> bool:
    """Move what can be moved, in place; was anything?"""
    mover = _Mover()
    program.body[:] = mover.block(program.body)
    drop_unused(program.body)
    return mover.moved


class _List:
    """A list of statements in the making, which knows what has been computed and checked in it already."""

    def __init__(self) -> None:
        self.statements: list[Stmt] = []
        self._values: dict[tuple[str, tuple[Value, ...]], Value] = {}
        self._checks: set[tuple[object, ...]] = set()

    def append(self, stmt: Stmt) -> None:
        match stmt:
            case ir.Compute(out, name, args) if name in PURE:
                self._values.setdefault((name, args), out)
            case Bound(index, extent, _, when):
                if (index, extent, when) in self._checks:
                    return
                self._checks.add((index, extent, when))
            case Require(pred, _, _, when):
                if (pred, when) in self._checks:
                    return
                self._checks.add((pred, when))
        self.statements.append(stmt)

    def compute(self, name: str, args: tuple[Value, ...], dtype: Type) -> Value:
        zero = integer(0)
        if name == "and" and args[0] == args[1]:
            return args[0]
        if dtype is I64 and name in ("add", "sub"):
            a, b = args
            if b == zero or (name == "add" and a == zero):
                return a if b == zero else b
            if isinstance(a, Literal) and isinstance(b, Literal):
                return integer(int(a.value + b.value if name == "add" else a.value - b.value))
        if (name, args) not in self._values:
            self.append(ir.Compute(Reg(dtype, "at"), name, args))
        return self._values[name, args]


class _Mover:
    def __init__(self) -> None:
        self.moved = False

    def block(self, body: list[Stmt]) -> list[Stmt]:
        out = _List()
        for stmt in body:
            for inner in ir.blocks(stmt):
                inner[:] = self.block(inner)
            if isinstance(stmt, For):
                self.loop(stmt, out)
            else:
                out.append(stmt)
        return out.statements

    def loop(self, loop: For, out: _List) -> None:
        _drop_evident(loop.body, loop)
        leaving = _Leaving(loop, out)
        leaving.hoist()
        innermost = not any(isinstance(s, For | ir.While) for s in ir.walk(loop.body))
        if innermost and loop.tag == "any":
            leaving.defer()
        self.moved |= leaving.moved
        out.append(loop)
        for stmt in leaving.after:
            out.append(stmt)


def _drop_evident(body: list[Stmt], loop: For) -> None:
    """The range of a loop's index says that it is in bounds."""
    if isinstance(loop.low, Literal) and loop.low.value >= 0:
        for stmt in body:
            for inner in ir.blocks(stmt):
                _drop_evident(inner, loop)
        body[:] = [s for s in body if not (isinstance(s, Bound) and s.index is loop.index and s.extent is loop.high)]


class _Leaving:
    """The checks of one loop on their way into the list that the loop is about to join."""

    def __init__(self, loop: For, out: _List) -> None:
        self.loop = loop
        self.out = out
        self.inside = inner_registers(loop)
        self.definitions = Definitions(loop.body, self.inside)
        self.after: list[Stmt] = []
        self.moved = False
        self._turns: Value | None = None

    def compute(self, name: str, args: tuple[Value, ...], dtype: Type = I64) -> Value:
        return self.out.compute(name, args, dtype)

    def require(self, pred: Value, when: Value) -> None:
        self.out.append(Require(pred, 0, when=when))

    @property
    def turns(self) -> Value:
        """Does the loop turn, and not absurdly often?"""
        if self._turns is None:
            self._turns = self.compute("lt", (self.loop.low, self.loop.high), BOOL)
            if not isinstance(self.loop.high, Literal):
                self.out.append(Bound(self.loop.high, integer(FAR + 1), 0, self._turns))
        return self._turns

    def when(self, also: Sequence[Value]) -> Value:
        """If the loop turns, and whatever else a check depends on."""
        total = self.turns
        for value in also:
            total = self.compute("and", (total, self._lifted(value)), BOOL)
        return total

    # --- before the loop ----------------------------------------------------------------------------------------------

    def hoist(self) -> None:
        kept: list[Stmt] = []
        for stmt in self.loop.body:
            match stmt:
                case Require(pred, site) if self._invariant(pred) and (range_ := self._range(stmt.when)):
                    self.out.append(Require(self._lifted(pred), site, when=range_[0]))
                case Require(pred, site) if (test := self._comparison(pred)) and (range_ := self._range(stmt.when)):
                    for turn in (range_[1], self.compute("sub", (self.loop.high, integer(1)))):
                        args = tuple(self._at(a, turn) for a in test.args)
                        self.out.append(Require(self.compute(test.name, args, BOOL), site, when=range_[0]))
                case Bound(index, extent) if self._invariant(extent) and self._linear(index):
                    if not self._move(stmt):
                        kept.append(stmt)
                        continue
                case _:
                    kept.append(stmt)
                    continue
            self.moved = True
        self.loop.body[:] = kept

    def _comparison(self, pred: Value) -> ir.Compute | None:
        """An inequality of affine functions of the loop's index, which holds in all turns if in the first and last."""
        made = self.definitions.by.get(pred) if isinstance(pred, Reg) else None
        fits = made is not None and made.name in _ORDERS and all(map(self._linear, made.args))
        return made if fits else None

    def _move(self, stmt: Bound) -> bool:
        """Check an affine index at the first and at the last turn for which it is checked."""
        range_ = self._range(stmt.when) if 2 * stmt.weight <= MOST else None
        if range_ is None:
            return False
        when, first = range_
        last = self.compute("sub", (self.loop.high, integer(1)))
        ends = dict.fromkeys([self._at(stmt.index, first), self._at(stmt.index, last)])
        extent = self._lifted(stmt.extent)
        for end in ends:
            self.out.append(Bound(end, extent, stmt.site, when, stmt.weight * len(ends)))
        return True

    def _range(self, when: Value | None) -> tuple[Value, Value] | None:
        """Is something checked in any turn, and in which first?"""
        conditions = self._conditions(when)
        if conditions is None:
            return None
        others, above = conditions
        total, first = self.when(others), self.loop.low
        for bound in above:
            start = self.compute("add", (self._lifted(bound), integer(1)))
            first = start if first == integer(0) and bound == integer(0) else self.compute("max", (first, start))
        if above:
            total = self.compute("and", (total, self.compute("lt", (first, self.loop.high), BOOL)), BOOL)
        return total, first

    def _conditions(self, when: Value | None) -> tuple[list[Value], list[Value]] | None:
        """What a check depends on: conditions that are the same in all turns, and values its turns are above."""
        if when is None:
            return [], []
        if self._invariant(when):
            return [when], []
        match self.definitions.by.get(when) if isinstance(when, Reg) else None:
            case ir.Compute(_, "and", (a, b)):
                left, right = self._conditions(a), self._conditions(b)
                return None if left is None or right is None else (left[0] + right[0], left[1] + right[1])
            case ir.Compute(_, "lt", (a, b)) if b is self.loop.index and self._invariant(a):
                return [], [a]
            case _:
                return None

    def _invariant(self, value: Value) -> bool:
        """Is this computed from invariants only?"""
        if self.definitions.invariant(value):
            return True
        definition = self.definitions.by.get(value) if isinstance(value, Reg) else None
        return definition is not None and all(map(self._invariant, definition.args))

    def _linear(self, value: Value) -> bool:
        """Is this an affine function of the loop's index, which can be computed before the loop?"""
        if value is self.loop.index or self._invariant(value):
            return True
        definition = self.definitions.by.get(value) if isinstance(value, Reg) else None
        if definition is None or definition.name not in _LINEAR or not all(map(self._linear, definition.args)):
            return False
        return definition.name != "mul" or any(map(self._invariant, definition.args))

    def _lifted(self, value: Value) -> Value:
        return self._at(value, self.loop.index)

    def _at(self, value: Value, turn: Value) -> Value:
        """A value of the body at a turn, computed before the loop."""
        if value is self.loop.index:
            return turn
        if self.definitions.invariant(value):
            return value
        assert isinstance(value, Reg)
        definition = self.definitions.by[value]
        args = tuple(self._at(a, turn) for a in definition.args)
        if definition.name == "mul" and turn is not self.loop.index:
            self._small(args, definition.args)
        return self.compute(definition.name, args, value.type)

    def _small(self, args: tuple[Value, ...], inner: tuple[Value, ...]) -> None:
        """The coefficient of a product is no absurd number."""
        for now, then in zip(args, inner, strict=True):
            if self._invariant(then) and not isinstance(now, Literal):
                shifted = self.compute("add", (now, integer(1 << 20)))
                self.require(self.compute("ge", (shifted, integer(0)), BOOL), self.turns)
                self.require(self.compute("le", (shifted, integer(1 << 21)), BOOL), self.turns)
                return

    # --- behind the loop ----------------------------------------------------------------------------------------------

    def defer(self) -> None:
        """Clamp what data-dependent indices are left, and look afterwards whether that was needed."""
        bounds = [s for s in ir.walk(self.loop.body) if isinstance(s, Bound)]
        if not bounds or not self._may_defer(bounds) or self._scatters():
            return
        self.moved = True
        flag = ir.Cell(I64, "bad")
        self.out.append(ir.Put(flag, integer(0)))
        for extent in dict.fromkeys(b.extent for b in bounds):
            self.require(self.compute("gt", (extent, integer(0)), BOOL), self.turns)
        clamped: dict[Reg, Value] = {}
        self.loop.body[:] = _deferred(self.loop.body, flag, clamped)
        bad, fine = Reg(I64, "bad"), Reg(BOOL, "fine")
        self.after += [ir.Get(bad, flag), ir.Compute(fine, "eq", (bad, integer(0))), Require(fine, 0)]

    def _scatters(self) -> bool:
        """Are most elements read here and there, one by one?  Then vectors don't pay, and branches are quicker."""
        loads = [s.view.prefix for s in ir.walk(self.loop.body) if isinstance(s, ir.Load)]
        slopes = [[self._slope(i) for i in prefix] for prefix in loads if prefix]
        apart = [s for s in slopes if any(k != 0 for k in s[:-1]) or s[-1] not in (0, 1)]
        together = [s for s in slopes if s[-1] == 1 and s not in apart]
        return len(apart) >= FEW and len(apart) > 2 * len(together)

    def _slope(self, value: Value) -> int | None:
        """By how much an index grows from turn to turn, but for a jump; None if it isn't known."""
        if value is self.loop.index or self.definitions.invariant(value):
            return int(value is self.loop.index)
        match self.definitions.by.get(value) if isinstance(value, Reg) else None:
            case ir.Compute(_, "add" | "sub" as name, (a, b)):
                left, right = self._slope(a), self._slope(b)
                if left is None or right is None:
                    return None
                return left + right if name == "add" else left - right
            case ir.Compute(_, "select", (_, a, b)) if self._slope(a) == self._slope(b):
                return self._slope(a)
            case _:
                return None

    def _may_defer(self, bounds: list[Bound]) -> bool:
        """Only reads may be clamped, and no access may rely on a check that is deferred, except by the same index."""
        checked = {b.index for b in bounds}
        if not all(isinstance(b.index, Reg) and self.definitions.invariant(b.extent) for b in bounds):
            return False
        for stmt in ir.walk(self.loop.body):
            match stmt:
                case ir.Store(View(_, prefix)):
                    if not all(i not in checked and self._steady(i) for i in prefix):
                        return False
                case ir.Load(_, View(_, prefix)):
                    if not all(i in checked or self._steady(i) for i in prefix):
                        return False
                case ir.Copy() | ir.Alloc() | ir.Mapped() | ir.Call() | ir.Grow() | Require():
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


def tested(loop: For) -> For:
    """A loop in which what was deferred is checked at once: one that doesn't vectorise anyway."""
    made = {s.out: s for s in loop.body if isinstance(s, ir.Compute)}
    read = {s.out: s.cell for s in loop.body if isinstance(s, ir.Get)}
    flags: dict[Value, ir.Cell] = {}  # what says that an index is inside -> where it is noted if not
    for stmt in loop.body:
        match made.get(stmt.value) if isinstance(stmt, ir.Put) and isinstance(stmt.value, Reg) else None:
            case ir.Compute(_, "bit_or", (Reg() as old, Reg() as wrong)) if old in read:
                (outside,) = made[wrong].args
                assert isinstance(outside, Reg)
                flags[made[outside].args[0]] = read[old]
    body: list[Stmt] = []
    env: dict[Reg, Value] = {}
    for stmt in loop.body:
        match stmt:
            case ir.Compute(good, "select", (Reg() as inside, now, _)) if inside in flags:
                high = made[inside].args[1]
                assert isinstance(high, Reg)
                env[good] = env.get(now, now) if isinstance(now, Reg) else now
                body.append(Bound(env[good], made[high].args[1], 0))
            case ir.Put(flag) | ir.Get(_, flag) if flag in flags.values():
                continue
            case ir.Compute(_, "bit_or", (Reg() as old, _)) if old in read:
                continue
            case _:
                body += ir.renamed([stmt], env)
    carries: list[ir.Carry] = ir.renamed(loop.carries, env)
    drop_unused(body, {c.next for c in carries})
    return replace(loop, body=body, carries=carries)

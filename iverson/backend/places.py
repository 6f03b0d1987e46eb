"""Where accesses are, and whether two of them can meet: indices as affine forms of registers.

    aligned    a[.., k + i, ..] in a turn i of one loop and a[.., k + i', ..] in a turn i' of another meet where i = i'
    apart      an index of one exceeds that of the other by something positive: they never meet
    disjoint   two buffers share no memory

Forms are compared as integers of the machine; what is said of positive differences relies on indices that are in
bounds, and on loops that don't turn absurdly often (backend/checks.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import TypeAlias

from iverson.backend import loopir as ir
from iverson.backend.loopir import Buffer, Cell, For, Load, Reg, Stmt, Store, Value, View
from iverson.core.syntax import I64, Literal

STEPS = 6  # indices that are replaced by their bounds, at most


@dataclass(frozen=True)
class Form:
    """constant + sum of coefficient * register."""

    terms: tuple[tuple[Reg, int], ...] = ()
    constant: int = 0

    @staticmethod
    def of(terms: Mapping[Reg, int], constant: int) -> Form:
        return Form(tuple((r, c) for r, c in terms.items() if c), constant)

    def plus(self, other: Form, times: int = 1) -> Form:
        terms = dict(self.terms)
        for reg, c in other.terms:
            terms[reg] = terms.get(reg, 0) + times * c
        return Form.of(terms, self.constant + times * other.constant)

    def coefficient(self, reg: Reg) -> int:
        return next((c for r, c in self.terms if r is reg), 0)

    def with_(self, reg: Reg, form: Form) -> Form:
        c = self.coefficient(reg)
        return self.plus(form, c).plus(Form(((reg, 1),)), -c) if c else self


Access: TypeAlias = Load | Store


class Places:
    """What is known of the registers of a program."""

    def __init__(self, body: list[Stmt]) -> None:
        self.arguments: set[Reg] = set()
        self.computed: dict[Reg, ir.Compute] = {}
        self.loops: dict[Reg, For] = {}  # by index
        self.extents: set[Reg] = set()
        self.lengths: set[Reg] = set()  # of arguments: never negative
        self.logs: dict[Reg, Cell] = {}  # pointers that are blocks of a log
        self.carried: dict[Reg, Stmt] = {}  # pointers that change places, and the loop in which they do
        self.homes: dict[Reg, tuple[Value, ...]] = {}  # of these pointers: which others they may have been
        self._forms: dict[Reg, Form] = {}
        self._products: dict[tuple[Value, Value], Reg] = {}  # equal ones are one register here
        self.learn(body)

    def learn(self, body: Iterable[Stmt]) -> None:
        """Take statements into account, new ones or changed ones."""
        self._forms.clear()
        self._products.clear()
        for stmt in ir.walk(list(body)):
            match stmt:
                case ir.Compute(out):
                    self.computed[out] = stmt
                case For() | ir.While():
                    if isinstance(stmt, For):
                        self.loops[stmt.index] = stmt
                    pointers = [c for c in stmt.carries if c.reg.type is ir.POINTER]
                    self.carried.update((c.reg, stmt) for c in pointers)
                    homes = tuple(c.init for c in pointers)
                    self.homes.update((r, homes) for c in pointers for r in (c.reg, c.out))
                case ir.Get(out, cell) if out.type is ir.POINTER:
                    self.logs[out] = cell
                case ir.Argument(out):
                    self.arguments.add(out)
                case Load(_, view) | Store(view, _):
                    extents = {e for e in view.buffer.extents if isinstance(e, Reg)}
                    self.extents |= extents
                    if view.buffer.pointer in self.arguments:
                        self.lengths |= extents

    # --- forms --------------------------------------------------------------------------------------------------------

    def form(self, value: Value) -> Form:
        if isinstance(value, Literal):
            return Form((), int(value.value))
        if value not in self._forms:
            self._forms[value] = self._formed(value)
        return self._forms[value]

    def _formed(self, reg: Reg) -> Form:
        match self.computed.get(reg):
            case ir.Compute(Reg(t), "add" | "sub" as name, (a, b)) if t is I64:
                return self.form(a).plus(self.form(b), 1 if name == "add" else -1)
            case ir.Compute(Reg(t), "neg", (a,)) if t is I64:
                return Form().plus(self.form(a), -1)
            case ir.Compute(Reg(t), "mul", (Literal(k), a) | (a, Literal(k))) if t is I64:
                return Form().plus(self.form(a), int(k))
            case ir.Compute(Reg(t), "mul", (a, b)) if t is I64:
                return Form(((self._products.setdefault((a, b), reg), 1),))
            case _:
                return Form(((reg, 1),))

    def invariant(self, reg: Reg, inside: set[Reg] | frozenset[Reg]) -> bool:
        """Is a register made of others than these alone?"""
        made = self.computed.get(reg)
        if reg not in inside:
            return True
        return made is not None and all(self.invariant(a, inside) for a in made.args if isinstance(a, Reg))

    def positive(self, form: Form, steps: int = STEPS) -> bool:
        """Is a form above zero, whatever the turns of the loops whose indices it has?"""
        bad = [(r, c) for r, c in form.terms if not (c > 0 and self._natural(r))]
        if not bad or not steps:
            return not bad and form.constant > 0
        reg, bounds = next(((r, found) for r, c in bad if (found := self._bounds(r, c > 0))), (None, []))
        return reg is not None and any(self.positive(form.with_(reg, b), steps - 1) for b in bounds)

    def _bounds(self, reg: Reg, below: bool) -> list[Form]:
        """What a register isn't below, or isn't above."""
        loop, made = self.loops.get(reg), self.computed.get(reg)
        if loop is not None:
            return [self.form(loop.low) if below else self.form(loop.high).plus(Form((), -1))]
        if made is not None and made.name == ("max" if below else "min"):
            return [self.form(a) for a in made.args]
        return []

    def at_most(self, value: Value) -> int | None:
        """A number that a value isn't above, where the program says one."""
        if isinstance(value, Literal):
            return int(value.value)
        made = self.computed.get(value)
        known = [b for a in made.args if (b := self.at_most(a)) is not None] if made and made.name == "min" else []
        return min(known, default=None)

    def _natural(self, reg: Reg) -> bool:
        """Is a register never negative?"""
        if reg in self.lengths:
            return True
        if reg in self.loops:
            low = self.loops[reg].low
            return isinstance(low, Literal) and int(low.value) >= 0
        made = self.computed.get(reg)
        return (
            made is not None and made.name == "max" and any(isinstance(a, Literal) and a.value >= 0 for a in made.args)
        )

    # --- accesses -----------------------------------------------------------------------------------------------------

    def meet_in_turn(self, a: View, i: Reg, b: View, j: Reg, inside: frozenset[Reg] = frozenset()) -> bool:
        """Do accesses of turns i and j of two loops meet only where i = j?  (`inside`: registers that vary in them.)"""
        if a.buffer is not b.buffer:
            return self.disjoint(a.buffer, b.buffer)
        pairs = [(self.form(x), self.form(y)) for x, y in zip(a.prefix, b.prefix, strict=False)]
        if any(self._aligned(x, i, y, j, inside) for x, y in pairs):
            return True
        other = Reg(I64, "j")
        loop = self.loops.get(j)
        if loop is not None:
            self.loops[other] = loop
        try:
            for x, y in pairs:
                difference = x.plus(y.with_(j, Form(((other, 1),))), -1)
                if not all(self.invariant(r, inside) for r, _ in difference.terms if r not in (i, other)):
                    continue
                if self.positive(difference) or self.positive(Form().plus(difference, -1)):
                    return True
        finally:
            self.loops.pop(other, None)
        return False

    def _aligned(self, x: Form, i: Reg, y: Form, j: Reg, inside: frozenset[Reg]) -> bool:
        """Is x the same as y, with i for j, and another number in every turn?"""
        if not x.coefficient(i) or not all(self.invariant(r, inside) for r, _ in x.terms if r is not i):
            return False
        same = y if i is j else y.with_(j, Form(((i, 1),)))
        return x is same or x.plus(same, -1) == Form()

    def same(self, a: View, b: View) -> bool:
        """One place, at one time?"""
        return a.buffer is b.buffer and list(map(self.form, a.prefix)) == list(map(self.form, b.prefix))

    def apart(self, a: View, b: View) -> bool:
        """Two places, at one time?"""
        if a.buffer is not b.buffer:
            return self.disjoint(a.buffer, b.buffer)
        for x, y in zip(a.prefix, b.prefix, strict=False):
            difference = self.form(x).plus(self.form(y), -1)
            if self.positive(difference) or self.positive(Form().plus(difference, -1)):
                return True
        return False

    def disjoint(self, a: Buffer, b: Buffer) -> bool:
        """Do two buffers, of which one is written, share no memory?"""
        if a.pointer is b.pointer:
            return False
        cells = self.logs.get(a.pointer), self.logs.get(b.pointer)
        if cells != (None, None):
            return cells[0] is not cells[1]
        if a.scoped or b.scoped:
            return True
        loops = self.carried.get(a.pointer), self.carried.get(b.pointer)
        if loops[0] is not None and loops[0] is loops[1]:
            return True
        return not self._origins(a.pointer) & self._origins(b.pointer)

    def _origins(self, pointer: Value) -> frozenset[Value]:
        """The pointers that one may be, by way of loops in which they change places."""
        if not isinstance(pointer, Reg) or pointer not in self.homes:
            return frozenset([pointer])
        return frozenset().union(*(self._origins(home) for home in self.homes[pointer]))


def accesses(body: Iterable[Stmt]) -> list[Access]:
    return [s for s in ir.walk(list(body)) if isinstance(s, Load | Store)]


def only(body: list[Stmt], buffer: Buffer, kinds: UnionType) -> bool:
    """Is an array used by statements of some kinds alone, at any depth?"""
    return all(isinstance(s, kinds) or buffer.pointer not in ir.used(s) for s in ir.walk(body))

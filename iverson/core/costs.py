"""What a program costs, without running it: work, copies, span and peak memory as formulas in its sizes.

`cost(function)` counts what core/evaluate.py counts, statement by statement, with sizes (core/sizes.py) for numbers:

    For      work: the sum over the indices; span: the largest turn, and the levels of a tree as deep as its operators
    Loop     the sum over the turns
    While    the same, with a symbol for the number of turns
    If       the larger of its sides
    memory   the live elements before each turn are the sum of what the turns before it have left

So the counts are exact where sides of branches cost the same and nothing depends on data.  Otherwise they are upper
bounds in the program's sizes and further symbols, `unknown`: numbers of turns, extents that are computed from data.
Such a symbol stands for the number in every turn in which it is bound; in work, which is mostly linear in it, for its
average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from iverson.core import library, prims
from iverson.core.bounds import Sizes
from iverson.core.build import extents_of
from iverson.core.equalities import Equalities
from iverson.core.ownership import Owner, consumed, copies
from iverson.core.sizes import Size, maximum, size, substitute
from iverson.core.sums import formula, largest, levels, most, total, upper
from iverson.core.syntax import (
    I64,
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Map,
    Monoid,
    Operator,
    Prim,
    Read,
    Reduce,
    Scalar,
    Site,
    Var,
    While,
    Yield,
    width,
)

WHILE = "the turns of a while"


@dataclass(frozen=True)
class Unknown:
    """A number that only the data decide."""

    var: Var
    what: str
    site: Site | None


@dataclass(frozen=True)
class Cost:
    """Formulas in the function's parameters and in `unknown`; upper bounds if not `exact`."""

    work: Size
    copied: Size
    span: Size
    peak: Size
    exact: bool
    unknown: tuple[Unknown, ...]
    elements: Callable[[Atom], Size]  # of an array that the function's outermost block binds, in the same symbols


@dataclass(frozen=True)
class Prices:
    """What is counted: the work of a primitive, and whether the turns of a loop overlap, as those of a For do."""

    work: Callable[[str], int] = lambda name: prims.TABLE[name].cost
    overlaps: Callable[[Loop], bool] = lambda loop: False


def cost(function: Function, prices: Prices = Prices()) -> Cost:
    """What a program costs."""
    return _Counter(function, prices).result()


@dataclass
class _Account:
    """What statements cost one after the other; memory in elements, beyond what was alive before."""

    work: Size = field(default_factory=lambda: size(0))
    copied: Size = field(default_factory=lambda: size(0))
    span: Size = field(default_factory=lambda: size(0))
    live: Size = field(default_factory=lambda: size(0))
    peaks: list[Size] = field(default_factory=lambda: [size(0)])  # the most alive is the largest of these
    pushes: dict[Var, Size] = field(default_factory=dict)  # entries of logs

    def hold(self, elements: Size) -> None:
        self.live = self.live + elements
        self.peaks.append(self.live)

    def fresh(self, elements: Size) -> None:
        self.work = self.work + elements
        self.hold(elements)

    def copy(self, elements: Size) -> None:
        self.fresh(elements)
        self.copied = self.copied + elements

    def release(self, elements: Size) -> None:
        self.live = self.live - elements

    def push(self, log: Var, count: Size) -> None:
        self.pushes[log] = self.pushes.get(log, size(0)) + count

    def then(self, other: _Account) -> None:
        """What another account says happens next."""
        self.work, self.copied = self.work + other.work, self.copied + other.copied
        self.span = self.span + other.span
        self.peaks = upper([*self.peaks, *(self.live + p for p in other.peaks)])
        self.live = self.live + other.live
        for log, count in other.pushes.items():
            self.push(log, count)

    def repeated(self, index: Var, extent: Size) -> _Account:
        """The account of all turns, one after the other."""
        before = total(index, size(index), self.live)
        return _Account(
            total(index, extent, self.work),
            total(index, extent, self.copied),
            total(index, extent, self.span),
            total(index, extent, self.live),
            upper([size(0), *(largest(index, extent, before + p) for p in self.peaks)]),
            {log: total(index, extent, count) for log, count in self.pushes.items()},
        )

    def or_else(self, other: _Account) -> _Account:
        """The larger of two."""
        none = size(0)
        return _Account(
            most(self.work, other.work),
            most(self.copied, other.copied),
            most(self.span, other.span),
            most(self.live, other.live),
            upper([*self.peaks, *other.peaks]),
            {v: most(self.pushes.get(v, none), other.pushes.get(v, none)) for v in {**self.pushes, **other.pushes}},
        )

    def agrees(self, other: _Account) -> bool:
        """Do two cost the same?"""
        mine, theirs = maximum(*upper(self.peaks)), maximum(*upper(other.peaks))
        return (self.work, self.copied, self.span, self.live, mine, self.pushes) == (
            other.work,
            other.copied,
            other.span,
            other.live,
            theirs,
            other.pushes,
        )


class _Counter:
    def __init__(self, function: Function, prices: Prices) -> None:
        self.function, self.prices = function, prices
        self.copies = copies(function)
        self.sizes = Sizes(function)
        self.equalities = Equalities()
        self.equal: dict[Var, Size] = {}  # parameters that are checked to be equal to earlier ones
        self.exact = True
        self.unknown: dict[Var, Unknown] = {}
        self.turns: dict[Size, Var] = {}  # symbols for extents that data decide
        self.either: dict[Atom, Size] = {}  # integers that are one of two sizes: at most the larger one

    def result(self) -> Cost:
        account = _Account()
        for p in self.function.params:
            if p in self.function.donated:
                account.hold(self.elements(p))
        account.then(self.block(self.function.body, outermost=True))
        peak = maximum(*upper([self.settled(p) for p in account.peaks]))
        work, copied, span = self.settled(account.work), self.settled(account.copied), self.settled(account.span)
        symbols = {v for s in (work, copied, span, peak) for v in s.variables()} - set(self.function.params)
        unknown = [self.unknown.get(v, Unknown(v, "computed from data", None)) for v in symbols]
        self.exact = self.exact and not unknown
        ordered = tuple(sorted(unknown, key=lambda u: (u.site.line if u.site else 0, u.var.hint)))
        return Cost(work, copied, span, peak, self.exact, ordered, lambda a: self.settled(self.elements(a)))

    def settled(self, s: Size) -> Size:
        return substitute(s, self.equal)

    # --- sizes --------------------------------------------------------------------------------------------------------

    def extent(self, atom: Atom) -> Size:
        """How many turns an extent makes: none if it is negative; a symbol if it is computed from data."""
        if atom in self.either:
            self.exact = False
            return self.either[atom]
        n = self.sizes.of(atom)
        data = [self.unknown[v] for v in n.variables() if v in self.unknown and self.unknown[v].what != WHILE]
        if data:
            if n not in self.turns:
                self.turns[n] = Var(Scalar(I64), "turns")
                self.symbol(self.turns[n], "a length that the data decide", data[-1].site)
            return size(self.turns[n])
        return n if self.sizes.nonnegative(n) else maximum(n, size(0))

    def elements(self, atom: Atom) -> Size:
        """The elements of an array; 0 for a scalar."""
        extents = extents_of(atom)
        return self.product(extents) if extents else size(0)

    def product(self, extents: Sequence[Atom]) -> Size:
        count = size(1)
        for e in extents:
            count = count * self.extent(e)
        return count

    def symbol(self, v: Var, what: str, site: Site | None) -> None:
        """An integer whose value isn't known."""
        if v.type == Scalar(I64):
            self.unknown[v] = Unknown(v, what, site)

    # --- blocks -------------------------------------------------------------------------------------------------------

    def block(self, block: Block, outermost: bool = False) -> _Account:
        account = _Account()
        self.release(account, self.copies.on_entry(block))
        for let in block:
            self.statement(account, let)
            self.sizes.bind(let)
            if outermost:
                self.unify(let)
            self.release(account, self.copies.after(let))
        self.take(account, block, block.outs)
        self.release(account, self.copies.on_exit(block))
        return account

    def release(self, account: _Account, dead: Sequence[Var]) -> None:
        for v in dead:
            account.release(self.elements(v))

    def take(self, account: _Account, owner: Owner, atoms: Sequence[Atom]) -> None:
        for k, a in enumerate(atoms):
            if self.copies.of(owner, k):
                account.copy(self.elements(a))

    def unify(self, let: Let) -> None:
        """Learn from a check that two parameters are equal."""
        params = self.function.params
        both = [a for a in self.equalities.learn(let) or () if isinstance(a, Var) and a in params]
        if len(both) == 2:
            first, second = sorted(both, key=params.index)
            if second not in self.equal and first is not second:
                self.equal[second] = self.settled(size(first))

    # --- statements ---------------------------------------------------------------------------------------------------

    def statement(self, account: _Account, let: Let) -> None:
        match let.op:
            case Prim(name, args):
                self.own(account, self.prices.work(name), prims.TABLE[name].cost)
                self.symbol(let.vars[0], "computed from data", let.site)
                counts = name == "select" and let.vars[0].type == Scalar(I64)
                sizes = [self.sizes.of(a) for a in args[1:]] if counts else []
                if (
                    let.vars[0] in self.unknown
                    and sizes
                    and not any(v in self.unknown for n in sizes for v in n.variables())
                ):
                    self.either[let.vars[0]] = maximum(*sizes, size(0))
            case Read() | Check():
                self.own(account, 1)
                for v in let.vars:
                    self.symbol(v, "read from an array", let.site)
            case Contribute():
                self.own(account, 1)
                self.contribute(account, let.op)
            case For():
                account.then(self.for_(let, let.op))
            case Accumulate():
                self.accumulate(account, let, let.op)
            case Loop():
                self.loop(account, let, let.op)
            case While():
                self.while_(account, let, let.op)
            case If():
                self.if_(account, let, let.op)
            case Library():
                self.library(account, let, let.op)

    @staticmethod
    def own(account: _Account, work: int, span: int = 1) -> None:
        account.work, account.span = account.work + work, account.span + span

    def library(self, account: _Account, let: Let, op: Library) -> None:
        row, params = library.TABLE[op.name], library.with_defaults(op.name, op.params)
        shapes = tuple(tuple(map(self.extent, extents_of(a))) for a in op.args)

        def of_shapes(what: str, function: Callable[[Any], Any]) -> Size:
            try:
                return size(function(shapes))
            except (TypeError, AttributeError):
                return formula(f"{op.name}.{what}", function, shapes)

        account.work = account.work + of_shapes("cost", lambda s: row.cost(s, params))
        account.span = account.span + of_shapes("span", row.span)
        for v in let.vars:
            account.fresh(self.elements(v))

    # --- control ------------------------------------------------------------------------------------------------------

    def if_(self, account: _Account, let: Let, op: If) -> None:
        sides = []
        for side in (op.then, op.orelse):
            with self.sizes.inside(op, side):
                sides.append(self.block(side))
        self.exact = self.exact and sides[0].agrees(sides[1])
        account.then(sides[0].or_else(sides[1]))
        for v in let.vars:
            self.symbol(v, "chosen by a branch", let.site)

    def loop(self, account: _Account, let: Let, op: Loop) -> None:
        self.take(account, let, op.inits)
        turns, carried = self.extent(op.extent), len(op.carry)
        for out in op.body.outs[carried:]:
            if isinstance(out.type, Scalar):
                account.fresh(turns)
        for v in (*op.carry, *let.vars):
            self.symbol(v, "carried by a loop", let.site)
        self.counters(op, let, size(op.index), turns)
        with self.sizes.inside(op, op.body):
            turn = self.block(op.body)
        whole = turn.repeated(op.index, turns)
        if self.prices.overlaps(op):
            whole.span = largest(op.index, turns, turn.span)
        account.then(whole)

    def while_(self, account: _Account, let: Let, op: While) -> None:
        turns = Var(Scalar(I64), "turns")
        self.symbol(turns, WHILE, let.site)
        self.exact = False
        self.take(account, let, op.inits)
        for v in (*op.carry, *let.vars):
            self.symbol(v, "carried by a while", let.site)
        self.counters(op, let, None, size(turns))
        test = self.block(op.cond)
        turn = self.block(op.body)
        both = _Account()
        both.then(test)
        both.then(turn)
        account.then(both.repeated(Var(Scalar(I64), "turn"), size(turns)))
        account.then(test)

    def counters(self, op: Loop | While, let: Let, turn: Size | None, turns: Size) -> None:
        """Carries that grow by a number each turn are known after the loop, and in a turn that is numbered."""
        made = {inner.vars[0]: inner.op for inner in op.body if isinstance(inner.op, Prim)}
        for c, init, out, final in zip(op.carry, op.inits, op.body.outs, let.vars, strict=False):
            step = _step(c, made.get(out)) if isinstance(out, Var) else None
            if step is not None and c.type == Scalar(I64):
                start = self.sizes.of(init)
                self.sizes.define(final, start + turns * step)
                if turn is not None:
                    self.sizes.define(c, start + turn * step)

    # --- parallel -----------------------------------------------------------------------------------------------------

    def for_(self, let: Let, op: For) -> _Account:
        extents = [self.extent(e) for e in op.extent]
        count = self.product(op.extent)
        account, depth = _Account(), size(1)
        with self.sizes.inside(op, op.body):
            turn = self.block(op.body)
        span, at = turn.span, 0
        for y in op.yields:
            outs, results = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
            at += width(y)
            self.collect(account, y, outs, results, count)
            depth = most(depth, self.put(turn, y, outs))
        for i, n in reversed(list(zip(op.index, extents, strict=True))):
            span = largest(i, n, span)
            turn = turn.repeated(i, n)
        account.then(turn)
        account.span = span + levels(count) * depth
        for v in let.vars:
            self.symbol(v, "the result of a reduction", let.site)
        return account

    def collect(self, account: _Account, y: Yield, outs: Sequence[Atom], results: Sequence[Var], count: Size) -> None:
        """What is made where a For starts: a destination for scalars, the identity of arrays."""
        for out, result in zip(outs, results, strict=True):
            if isinstance(y, Reduce):
                account.fresh(self.elements(result))
            elif isinstance(out.type, Scalar):
                account.fresh(count)

    def put(self, turn: _Account, y: Yield, outs: Sequence[Atom]) -> Size:
        """Combine one turn's values; give the depth of one combination."""
        if isinstance(y, Map):
            return size(1)
        if isinstance(y.monoid, Operator):
            combined = self.block(y.monoid.body)
            turn.then(combined)
            return most(size(1), combined.span)
        turn.work = turn.work + (self.elements(outs[0]) if extents_of(outs[0]) else 1)
        for out in outs:
            elements = self.elements(out)
            turn.release(elements)
            if not isinstance(y, Reduce):
                turn.fresh(elements)
        return size(1)

    # --- accumulation -------------------------------------------------------------------------------------------------

    def accumulate(self, account: _Account, let: Let, op: Accumulate) -> None:
        self.take(account, let, consumed(op))
        body = self.block(op.body)
        finals = iter(let.vars)
        for acc in op.accs:
            t = _accumulator(acc)
            results = [next(finals) for _ in range(len(t.dtypes) + (t.monoid == "append"))]
            if t.monoid == "append":
                self.sizes.define(results[0], body.pushes.pop(acc, size(0)))
            else:
                for v in results:
                    self.symbol(v, "accumulated", let.site)
        account.then(body)
        for v, out in zip(finals, op.body.outs, strict=True):
            if v.type == Scalar(I64):
                self.sizes.define(v, self.sizes.of(out))

    def contribute(self, account: _Account, op: Contribute) -> None:
        monoid: Monoid = _accumulator(op.acc).monoid
        if monoid == "append":
            account.fresh(size(len(op.values)))
            account.push(op.acc, size(1))
        elif isinstance(monoid, Operator):
            account.then(self.block(monoid.body))


def _step(carry: Var, op: Prim | None) -> int | None:
    """What a carry's next value adds to it."""
    match op:
        case Prim("add", (a, Literal(step, _))) | Prim("add", (Literal(step, _), a)) if a is carry:
            return int(step)
        case Prim("sub", (a, Literal(step, _))) if a is carry:
            return -int(step)
        case _:
            return None


def _accumulator(acc: Var) -> Accumulator:
    assert isinstance(acc.type, Accumulator)
    return acc.type

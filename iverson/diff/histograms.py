"""Reductions by index over other monoids than add, and their derivatives: no loops, whatever the indices.

With k_i the place and v_i the value of contribution i, in arrays (`Gather`), and t the reduction that begins with the
identity, so that h = x ∘ t where it began with x:

    Accumulate [h = (m, x)] { For i { B; Contribute h[e] v } }
        ->  k, v = For i { B } yields Map e, Map v
            min, max:     w = Accumulate argmin { For i { Contribute w[k_i] (v_i, i) } };  t_b = v[w_b]
            mul:          t = Accumulate mul { For i { Contribute t[k_i] v_i } }           by the rule below
            an operator:  stable counting sort by place;  a Scan that starts anew in each bin, as an operator on
                          (first?, value): (f, x) ∘ (g, y) = (f or g, m(1 if g else x, y));  t_b the last of bin b

    the rule of mul:
            no t_k 0 or subnormal v̄_i += t̄_k t_k / v_i
            else                  v̄_i += t̄_k l_i r_i, the products of what comes before and after in the bin

(Schenck et al., AD for an Array Language with Nested Parallelism, 2022.)  Places are known to be in bounds: B checks
them.  A contribution that an If leaves out has the place of one bin more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from iverson.core.build import Builder, dtype_of, extents_of, literal, stacked
from iverson.core.equalities import Equalities
from iverson.core.monoids import highest, identity
from iverson.core.rewrite import contributed
from iverson.core.syntax import (
    I64,
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    If,
    Let,
    Map,
    Monoid,
    Operator,
    Read,
    Reduce,
    Scalar,
    Scan,
    Var,
)
from iverson.diff.adjoints import Frame, flatten, keeps_digits, product, unflatten
from iverson.diff.elements import element_of, fold
from iverson.diff.residuals import Step
from iverson.diff.sweep import Sweep


def can_gather(acc: Var, block: Block) -> bool:
    """Is there one contribution, in a nest of Fors over a box, under Ifs inside at most?"""
    lets = [let for let in block if acc in contributed(let.op)]
    return len(lets) == 1 and isinstance(lets[0].op, For) and _in_a_box(acc, lets[0].op, set())


def _in_a_box(acc: Var, op: For | If, bound: set[Var]) -> bool:
    bodies = [op.body] if isinstance(op, For) else [op.then, op.orelse]
    if isinstance(op, For):
        if any(e in bound for e in op.extent):
            return False
        bound = {*bound, *op.index, *(v for let in op.body for v in let.vars)}
    lets = [let.op for body in bodies for let in body if acc in contributed(let.op)]
    if len(lets) != 1:
        return False
    inside = For | If if isinstance(op, For) else If
    return isinstance(lets[0], Contribute) or (isinstance(lets[0], inside) and _in_a_box(acc, lets[0], bound))


class Gather:
    """Has the contributions to one accumulator gathered instead of made."""

    def __init__(self, b: Builder, acc: Var, equal: Equalities) -> None:
        assert isinstance(acc.type, Accumulator)
        self.b, self.acc, self.type, self.equal = b, acc, acc.type, equal
        self.size = product(b, acc.type.extents)
        self.extents: list[Atom] = []
        self.drops = False

    def block(self, block: Block) -> tuple[Atom, ...]:
        """Emit a block; what it contributes."""
        found: tuple[Atom, ...] = ()
        for let in block:
            match let.op:
                case Contribute() as op if op.acc is self.acc:
                    found = self.contribution(let, op)
                case For() | If() if self.acc in contributed(let.op):
                    found = self.nested(let)
                case _:
                    self.b.let(let)
        return found

    def contribution(self, let: Let, op: Contribute) -> tuple[Atom, ...]:
        b, o = self.b, self.b.o
        if not op.index:
            return op.values
        if not op.safe:
            outer, b.site = b.site, let.site
            for axis, (i, n) in enumerate(zip(op.index, self.type.extents, strict=True)):
                message = f"index {{}} is out of bounds for axis {axis} with size {{}}"
                inside = o.__getattr__("and")(o.ge(i, 0), o.lt(i, n))
                b.check(inside, message, i, n, error="IndexError")
            b.site = outer
        return flatten(b, op.index, self.type.extents), *op.values

    def nested(self, let: Let) -> tuple[Atom, ...]:
        op = let.op
        if isinstance(op, For):
            self.extents += op.extent
            with self.b.scope() as lets:
                inner = self.block(op.body)
            arrays = [element_of(op, a, self.equal) for a in inner]
            made = [a for a, array in zip(inner, arrays, strict=True) if array is None]
            new = tuple(Var(stacked(op.extent, a.type), "v") for a in made)
            body = Block(tuple(lets), (*op.body.outs, *made))
            whole: For | If = replace(op, body=body, yields=(*op.yields, *[Map()] * len(made)))
            names = iter(new)
            found = tuple(array or next(names) for array in arrays)
        else:
            assert isinstance(op, If)
            self.drops = True
            then, orelse = self.side(op.then), self.side(op.orelse)
            new = found = tuple(Var(Scalar(dtype_of(a)), "v") for a in self.nothing())
            whole = If(op.pred, then, orelse)
        self.b.let(Let((*let.vars, *new), whole, let.site))
        return found

    def side(self, block: Block) -> Block:
        with self.b.scope() as lets:
            found = self.block(block) or self.nothing()
        return Block(tuple(lets), (*block.outs, *found))

    def nothing(self) -> tuple[Atom, ...]:
        """What stands for a contribution that isn't made."""
        return (*([self.size] if self.type.extents else []), *self.unit())

    def unit(self) -> tuple[Atom, ...]:
        m, dtypes = self.type.monoid, self.type.dtypes
        return m.identity if isinstance(m, Operator) else (literal(identity(m, dtypes[0])[0], dtypes[0]),)

    # --- reduced ------------------------------------------------------------------------------------------------------

    def reduced(self, found: Sequence[Atom], inits: Sequence[Atom], neutral: bool) -> tuple[Atom, ...]:
        """The finals, from the arrays of contributions; `neutral`: the initial values are the identity."""
        b, m = self.b, self.type.monoid
        arrays = [v for v in found if isinstance(v, Var)]
        if not self.type.extents:
            return b.combine(m, inits, fold(b, Reduce(m), self.extents, arrays))
        place, *values = arrays
        if isinstance(m, Operator):
            totals = self.by_sorting(m, place, values)
        elif m == "mul":
            totals = self.accumulated(m, place, values, [literal(1.0, self.type.dtypes[0])])
        else:
            totals = self.by_winner(m, place, values[0])
        if neutral and len(self.type.extents) == 1:
            return totals

        def bin_(*at: Var) -> tuple[Atom, ...]:
            k = flatten(b, at, self.type.extents)
            total = [b.read(t, k, safe=True) for t in totals]
            return tuple(total) if neutral else b.combine(m, [b.read(x, *at, safe=True) for x in inits], total)

        return b.for_(self.type.extents, bin_, [Map()] * len(inits))

    def accumulated(
        self,
        monoid: Monoid,
        place: Var,
        values: Sequence[Var],
        units: Sequence[Atom],
        more: Callable[..., Sequence[Atom]] = lambda *i: (),
        of: Callable[[Atom], Atom] = lambda v: v,
    ) -> tuple[Var, ...]:
        """Something `of` the values, and `more` of the index, contributed to bins that begin with the units."""
        b = self.b

        def body(acc: Var) -> tuple[()]:
            def one(*i: Var) -> tuple[()]:
                k = b.read(place, *i, safe=True)
                columns = [*(of(b.read(v, *i, safe=True)) for v in values), *more(*i)]
                when(
                    b, b.o.lt(k, self.size) if self.drops else None, lambda: b.contribute(acc, [k], *columns, safe=True)
                )
                return ()

            b.for_(self.extents, one, ())
            return ()

        return b.accumulate([(monoid, [b.full([self.size], u) for u in units])], body)

    def by_winner(self, m: Monoid, place: Var, values: Var) -> tuple[Var, ...]:
        """A minimum or maximum in each bin: of whichever element wins there."""
        b, count = self.b, product(self.b, self.extents)
        (unit,) = self.unit()
        arg: Monoid = "argmin" if m == "min" else "argmax"
        none = literal(highest(I64))
        _, winners = self.accumulated(
            arg, place, [values], [unit, none], lambda *i: [flatten(b, i, self.extents)], b.o.stop
        )

        def best(k: Var) -> Atom:
            w = b.read(winners, k, safe=True)
            some = b.o.lt(w, count)
            return b.if_(some, lambda: b.read(values, *unflatten(b, w, self.extents), safe=True), lambda: unit)[0]

        return (b.map(self.size, best),)

    def by_sorting(self, m: Operator, place: Var, values: Sequence[Var]) -> tuple[Var, ...]:
        """An operator in each bin, from a scan of the values in the order of their bins."""
        b, o, count = self.b, self.b.o, product(self.b, self.extents)
        if len(self.extents) > 1:
            flat = b.map(count, lambda i, a=place: b.read(a, *unflatten(b, i, self.extents), safe=True))
        else:
            flat = place
        bins = InOrder(b, flat, o.add(self.size, 1) if self.drops else self.size)

        def ordered(j: Var) -> list[Atom]:
            at = unflatten(b, b.read(bins.order, j, safe=True), self.extents)
            return [b.read(v, *at, safe=True) for v in values]

        elements = (bins.first, *b.for_(count, ordered, [Map()] * len(values)))
        restarting = Scan(anew(b, m, m.identity))
        prefixes = b.for_(count, lambda j: [b.read(e, j, safe=True) for e in elements], [restarting])[1:]

        def last(k: Var) -> tuple[Atom, ...]:
            at = o.sub(b.read(bins.ends, k, safe=True), 1)
            some = o.gt(b.read(bins.sizes, k, safe=True), 0)
            return b.if_(some, lambda: [b.read(p, at, safe=True) for p in prefixes], lambda: m.identity)

        return b.for_(self.size, last, [Map()] * len(prefixes))


def anew(b: Builder, m: Monoid, unit: Sequence[Atom]) -> Operator:
    """The monoid as an operator that starts anew where its right operand is the first of a bin."""

    def then(*both: Atom) -> tuple[Atom, ...]:
        (f, *x), (g, *y) = both[: len(unit) + 1], both[len(unit) + 1 :]
        left = [b.o.select(g, u, a) for u, a in zip(unit, x, strict=True)]
        return (b.prim("or", f, g), *b.combine(m, left, y))

    return b.operator([literal(False), *unit], then)


class InOrder:
    """Places sorted by bin: how many a bin has, where they end, their order, and which are the first of theirs."""

    def __init__(self, b: Builder, places: Var, bins: Atom) -> None:
        o, (count,) = b.o, extents_of(places)

        def counting(acc: Var) -> tuple[()]:
            def one(i: Var) -> tuple[()]:
                b.contribute(acc, [b.read(places, i, safe=True)], 1, safe=True)
                return ()

            b.for_(count, one, ())
            return ()

        sizes = self.sizes = b.accumulate([("add", [b.zeros([bins], I64)])], counting)[0]
        ends = self.ends = b.scan("add", bins, lambda k: b.read(sizes, k, safe=True))
        starts = b.map(bins, lambda k: o.sub(b.read(ends, k, safe=True), b.read(sizes, k, safe=True)))
        (self.order,) = b.library("sort_by_bin", places, starts)

        def marking(acc: Var) -> tuple[()]:
            def one(k: Var) -> tuple[()]:
                some = o.gt(b.read(sizes, k, safe=True), 0)
                when(b, some, lambda: b.contribute(acc, [b.read(starts, k, safe=True)], True, safe=True))
                return ()

            b.for_(bins, one, ())
            return ()

        self.first = b.accumulate([("or", [b.full([count], False)])], marking)[0]


def when(b: Builder, p: Atom | None, do: Callable[[], None]) -> None:
    """Do it, if p."""
    if p is None:
        do()
        return

    def then() -> tuple[()]:
        do()
        return ()

    b.if_(p, then, tuple)


# --- the product in each bin ------------------------------------------------------------------------------------------


def is_product(op: Accumulate, active: set[Var]) -> bool:
    """Products gathered as above: the only ones that reverse mode sees."""
    return any(isinstance(a.type, Accumulator) and a.type.monoid == "mul" and a in active for a in op.accs)


def products(s: Sweep, frame: Frame, step: Step) -> None:
    """The return sweep of products in bins, by division where that is exact."""
    g = s.take(frame, step.let.vars[0])
    if g is not None:
        run = _Products(s, frame, step, g)
        b, o = s.b, s.b.o

        def element(k: Var) -> list[Atom]:
            total = b.read(run.total, k, safe=True)
            return [o.mul(b.read(g, k, safe=True), total), o.abs(total)]

        weight, least = b.for_(run.size, element, [Map(), Reduce("min")])
        exact = keeps_digits(b, least)
        s.add(frame, run.values, b.if_(exact, lambda: run.by_division(weight), run.from_the_others)[0])


class _Products:
    """The contributions to products in bins: element i, at[i] its bin, with g the adjoint of the products."""

    def __init__(self, s: Sweep, frame: Frame, step: Step, g: Atom) -> None:
        op = step.let.op
        assert isinstance(op, Accumulate)
        loop = op.body.lets[0].op
        assert isinstance(loop, For)
        self.b, self.g = s.b, g
        place, self.values = (let.op.array for let in loop.body if isinstance(let.op, Read))
        self.at, self.array, self.extents = frame.var(place), frame.var(self.values), list(map(frame.at, loop.extent))
        self.total, self.drops = frame.var(step.let.vars[0]), any(isinstance(let.op, If) for let in loop.body)
        self.dtype, (self.size,) = dtype_of(self.total), extents_of(self.total)
        self.one = literal(1.0, self.dtype)

    def made(self, k: Atom) -> Atom | None:
        """Is the contribution made?  None: all are."""
        return self.b.o.lt(k, self.size) if self.drops else None

    def by_division(self, weight: Var) -> Var:
        """From the products times their adjoints."""
        b, o = self.b, self.b.o

        def share(*i: Var) -> Atom:
            k, v = b.read(self.at, *i, safe=True), b.read(self.array, *i, safe=True)
            made = self.made(k)
            if made is None:
                return o.div(b.read(weight, k, safe=True), v)
            zero = literal(0.0, self.dtype)
            return b.if_(made, lambda: o.div(b.read(weight, k, safe=True), v), lambda: zero)[0]

        return b.map(self.extents, share)

    def from_the_others(self) -> Var:
        """From the products of what comes before and after in the bin, which have derivatives of any order."""
        b, o = self.b, self.b.o
        count = product(b, self.extents)
        flat = b.map(count, lambda i: b.read(self.at, *unflatten(b, i, self.extents), safe=True))
        bins = InOrder(b, flat, o.add(self.size, 1) if self.drops else self.size)
        others = self.others(bins, count)

        def shares(acc: Var) -> tuple[()]:
            def share(j: Var) -> tuple[()]:
                i = b.read(bins.order, j, safe=True)
                k = b.read(flat, i, safe=True)
                rest = others(j)

                def put() -> None:
                    at = unflatten(b, i, self.extents)
                    b.contribute(acc, at, o.mul(b.read(self.g, k, safe=True), rest), safe=True)

                when(b, self.made(k), put)
                return ()

            b.for_(count, share, ())
            return ()

        return b.accumulate([("add", [b.zeros(self.extents, self.dtype)])], shares)[0]

    def others(self, bins: InOrder, count: Atom) -> Callable[[Atom], Atom]:
        """Of a place in the order of bins, the product of the other elements in its bin."""
        b, o, one = self.b, self.b.o, self.one
        last = o.sub(count, 1)

        def value(j: Atom) -> Var:
            return b.read(self.array, *unflatten(b, b.read(bins.order, j, safe=True), self.extents), safe=True)

        def is_first(j: Atom) -> Atom:
            return b.read(bins.first, j, safe=True)

        def is_last(j: Atom) -> Atom:
            return b.if_(o.lt(j, last), lambda: is_first(o.add(j, 1)), lambda: literal(True))[0]

        before = b.scan(anew(b, "mul", [one]), count, lambda j: [is_first(j), value(j)])[1]
        after = b.scan(anew(b, "mul", [one]), count, lambda j: [is_last(o.sub(last, j)), value(o.sub(last, j))])[1]

        def product_at(j: Atom) -> Atom:
            starts, ends = is_first(j), is_last(j)
            left = b.if_(starts, lambda: one, lambda: b.read(before, o.sub(j, 1), safe=True))[0]
            right = b.if_(ends, lambda: one, lambda: b.read(after, o.sub(o.sub(last, j), 1), safe=True))[0]
            return o.mul(left, right)

        return product_at

"""Forward mode: `jvp`, core to core, by dual numbers.  Beside every active name x goes its tangent ẋ.

    y = Prim(a, b)                   ẏ = ȧ ∂y/∂a + ḃ ∂y/∂b: the primitive's row
    y = Read x[e]                    ẏ = Read ẋ[e]
    For yields Map / add e           the same of ė
    For yields min, max e            the winner's index beside the value, and ė read there
    For yields m e                   m lifted: (x, ẋ) ∘ (z, ż) = (m(x, z), ∂m), an operator with the identity (1, 0)
    Accumulate add, set              a second accumulator, of tangents;  append: more columns;  others lifted
    Loop, While, If                  tangents are carried, emitted and given as well
    custom                           the user's rule: custom.py

Names of the primal are kept, so the transform of a transform just adds names: there is no perturbation to confuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.core import monoids, prims
from iverson.core.build import Builder, dtype_of, extents_of, literal, make_type
from iverson.core.custom import call, called, custom, inlined
from iverson.core.dce import dce
from iverson.core.rewrite import rename, rename_function
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Builtin,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Loop,
    Map,
    Monoid,
    Operator,
    Prim,
    Read,
    Reduce,
    Scalar,
    Scan,
    Var,
    While,
    Yield,
    width,
)
from iverson.diff.activity import active, finals_of, is_float
from iverson.diff.adjoints import product, unflatten
from iverson.diff.custom import pushforward, require_rules
from iverson.diff.reverse import transpose
from iverson.diff.yields import EXTREMA, Yields


def jvp(function: Function, wrt: Sequence[int]) -> Function:
    """The function that also pushes tangents forward.

    Parameters: the primal's, then a tangent per parameter in `wrt`.  Outs: the primal's, then the tangent of each float
    out.
    """
    primal = dce(rename_function(function))
    inputs = [primal.params[k] for k in wrt]
    for p in inputs:
        if not is_float(p):
            raise TypeError(f"parameter {p.hint} of {function.name} has no derivative: it is {dtype_of(p)!r}")
    tangents = [Var(p.type, f"d{p.hint}") for p in inputs]
    dual = _Dual(active(primal.body, inputs), dict(zip(inputs, tangents, strict=True)))
    for let in primal.body:
        dual.let(let)
    outs = primal.body.outs
    more = [dual.tangent(out) for out in outs if is_float(out)]
    result = dual.b.function((*primal.params, *tangents), (*outs, *more), f"{primal.name}_jvp")
    return dce(replace(inlined(result, called), donated=primal.donated))


class _Dual:
    def __init__(self, names: set[Var], tangents: dict[Var, Atom]) -> None:
        self.active = names
        self.tangents = tangents
        self.lifted: dict[Var, Var] = {}  # accumulator -> of tangents, or of values and tangents
        self.b = Builder()

    # --- tangents -----------------------------------------------------------------------------------------------------

    def is_active(self, a: Atom) -> bool:
        return isinstance(a, Var) and a in self.active

    def tangent(self, a: Atom) -> Atom:
        """The tangent of a float atom, zeros if it has none."""
        if isinstance(a, Var) and a in self.tangents:
            return self.tangents[a]
        return self.b.zeros(extents_of(a), dtype_of(a))

    def dual(self, v: Var) -> Var:
        """A new name for the tangent of v."""
        d = Var(v.type, f"d{v.hint}")
        self.tangents[v] = d
        return d

    def duals(self, vs: Sequence[Var]) -> tuple[Var, ...]:
        return tuple(self.dual(v) for v in vs if v in self.active)

    def tangents_of(self, outs: Sequence[Atom], results: Sequence[Var]) -> tuple[Atom, ...]:
        """The tangents of the outs whose results are active."""
        return tuple(self.tangent(o) for o, v in zip(outs, results, strict=True) if v in self.active)

    # --- statements ---------------------------------------------------------------------------------------------------

    def let(self, let: Let) -> None:
        op, self.b.site = let.op, let.site
        match op:
            case Prim():
                self.b.let(let)
                self.prim(let.vars[0], op)
            case Read():
                self.b.let(let)
                if let.vars[0] in self.active:
                    self.tangents[let.vars[0]] = self.b.read(self.tangent(op.array), *op.index, safe=op.safe)
            case For():
                self.for_(let, op)
            case Accumulate():
                self.accumulate(let, op)
            case Contribute():
                self.contribute(let, op)
            case Loop() | While():
                self.loop(let, op)
            case If():
                sides = [self.block(side, let.vars) for side in (op.then, op.orelse)]
                self.b.let(Let((*let.vars, *self.duals(let.vars)), If(op.pred, sides[0], sides[1]), let.site))
            case Library(_, args) if (c := custom(op)) and any(v in self.active for v in let.vars):
                require_rules(c, args, self.active, let.site)
                tangents = [self.tangent(args[k]) for k in c.wrt]
                pushed = call(pushforward(c, transpose, let.site), (*args, *tangents))
                self.b.let(Let((*let.vars, *self.duals(let.vars)), pushed, let.site))
            case Library(name) if any(v in self.active for v in let.vars):
                raise NotImplementedError(f"the derivative of the library operation {name!r} is not defined")
            case _:
                self.b.let(let)

    def block(self, block: Block, results: Sequence[Var]) -> Block:
        """A block that also gives the tangents of the outs whose results are active."""
        with self.b.scope() as lets:
            for let in block:
                self.let(let)
            tangents = self.tangents_of(block.outs, results)
        return Block(tuple(lets), (*block.outs, *tangents))

    def prim(self, y: Var, op: Prim) -> None:
        total: Atom | None = None
        for a, rule in zip(op.args, prims.TABLE[op.name].linear, strict=True):
            if rule is None or not self.is_active(a):
                continue
            term = self.b.cast(rule(self.b.o, self.tangent(a), *op.args, y), dtype_of(y))
            total = term if total is None else self.b.o.add(total, term)
        if total is not None:
            self.tangents[y] = total

    def loop(self, let: Let, op: Loop | While) -> None:
        count = len(op.carry)
        moving = [(c, i) for c, i in zip(op.carry, op.inits, strict=True) if c in self.active]
        inits = tuple(self.tangent(i) for _, i in moving)
        carry = tuple(self.dual(c) for c, _ in moving)
        results = (*op.carry, *let.vars[count:])
        with self.b.scope() as lets:
            for inner in op.body:
                self.let(inner)
            following = self.tangents_of(op.body.outs[:count], op.carry)
            emits = self.tangents_of(op.body.outs[count:], let.vars[count:])
        outs = (*op.body.outs[:count], *following, *op.body.outs[count:], *emits)
        finals = tuple(self.dual(v) for v, c in zip(let.vars, op.carry, strict=False) if c in self.active)
        stacked = self.duals(results[count:])
        new = replace(op, carry=(*op.carry, *carry), inits=(*op.inits, *inits), body=Block(tuple(lets), outs))
        self.b.let(Let((*let.vars[:count], *finals, *let.vars[count:], *stacked), new, let.site))

    # --- For ----------------------------------------------------------------------------------------------------------

    def for_(self, let: Let, op: For) -> None:
        groups: list[tuple[Yield, tuple[Atom, ...], tuple[Var, ...], Operator | None]] = []
        at = 0
        for y in op.yields:
            outs, vs = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
            groups.append((y, outs, vs, self.needs_lift(y, vs)))
            at += width(y)
        new = Yields(op)
        picked: list[tuple[Var, Var, Var, Yield]] = []  # result, tangents everywhere, winner
        with self.b.scope() as lets:
            for inner in op.body:
                self.let(inner)
            for y, outs, vs, lift in groups:
                floats = [k for k, v in enumerate(vs) if is_float(v)]
                if not any(v in self.active for v in vs):
                    new.add(y, outs, vs)
                elif lift is not None and not isinstance(y, Map):
                    tangents = [self.tangent(outs[k]) for k in floats]
                    results = [self.dual(vs[k]) for k in floats]
                    new.add(replace(y, monoid=lift), [*outs, *tangents], [*vs, *results])
                elif isinstance(y, Map) or y.monoid == "add":
                    new.add(y, outs, vs)
                    new.add(y, [self.tangent(outs[0])], [self.dual(vs[0])])
                else:
                    winner = new.extremum(self.b, y, outs, vs)
                    every = Var(Array(dtype_of(outs[0]), op.extent), "d")
                    new.add(Map(), [self.tangent(outs[0])], [every])
                    picked.append((vs[0], every, winner, y))
        self.b.let(new.let(lets, let.site))
        for result, every, winner, y in picked:
            self.tangents[result] = self.pick(op, y, every, winner)

    def needs_lift(self, y: Yield, vs: Sequence[Var]) -> Operator | None:
        """The lifted monoid where there is no simpler way."""
        if isinstance(y, Map) or y.monoid == "add" or not any(v in self.active for v in vs):
            return None
        elements = [_element(v, 0 if isinstance(y, Reduce) else 1) for v in vs]
        if y.monoid in EXTREMA and not extents_of(elements[0]):
            return None
        return self.lift(y.monoid, elements)

    def pick(self, op: For, y: Yield, every: Var, winner: Var) -> Atom:
        """The tangents at the winners; an empty reduction has none."""
        b = self.b
        if isinstance(y, Scan):
            return b.map(op.extent, lambda i: b.read(every, b.read(winner, i, safe=True), safe=True))
        zero = literal(0.0, dtype_of(every))
        some = b.o.lt(winner, product(b, op.extent))
        return b.if_(some, lambda: b.read(every, *unflatten(b, winner, op.extent), safe=True), lambda: zero)[0]

    # --- monoids ------------------------------------------------------------------------------------------------------

    def lift(self, m: Monoid, like: Sequence[Atom]) -> Operator:
        """The monoid on (values..., tangents of the floats...)."""
        unit = m.identity if isinstance(m, Operator) else self.identity(m, like)
        floats = [k for k, u in enumerate(like) if is_float(u)]
        tangent_unit = [self.tangent(unit[k]) for k in floats]
        left = [Var(a.type, "l") for a in (*like, *(like[k] for k in floats))]
        right = [Var(a.type, "r") for a in (*like, *(like[k] for k in floats))]
        n = len(like)
        if not isinstance(m, Operator):
            combine = self.b.block(lambda: self.combine(m, left, right))
            return Operator((*unit, *tangent_unit), tuple(left), tuple(right), combine)
        body = rename(m.body, dict(zip((*m.left, *m.right), (*left[:n], *right[:n]), strict=True)))
        inner = _Dual(
            active(body, {*self.active, *(v for v in (*left[:n], *right[:n]) if is_float(v))}), dict(self.tangents)
        )
        for operands in (left, right):
            inner.tangents.update((operands[k], operands[n + j]) for j, k in enumerate(floats))
        for let in body:
            inner.let(let)
        tangents = [inner.tangent(body.outs[k]) for k in floats]
        whole = inner.b.function((), (*body.outs, *tangents)).body
        return Operator((*unit, *tangent_unit), tuple(left), tuple(right), whole)

    def identity(self, m: Builtin, like: Sequence[Atom]) -> tuple[Atom, ...]:
        values = monoids.identity(m, dtype_of(like[0]))
        return tuple(self.b.full(extents_of(a), literal(x, dtype_of(a))) for x, a in zip(values, like, strict=True))

    def combine(self, m: Builtin, left: Sequence[Atom], right: Sequence[Atom]) -> tuple[Atom, ...]:
        """A built-in monoid on duals, element by element if they are arrays."""
        b = self.b
        if extents := extents_of(left[0]):
            return b.for_(
                extents,
                lambda *i: self.combine(
                    m, [b.read(x, *i, safe=True) for x in left], [b.read(x, *i, safe=True) for x in right]
                ),
                [Map()] * len(left),
            )
        if m == "mul":
            (x, dx), (z, dz) = left, right
            return b.o.mul(x, z), b.o.add(b.o.mul(x, dz), b.o.mul(dx, z))
        if m in ("min", "max"):
            (x, _), (z, _) = left, right
            later = b.o.gt(x, z) if m == "min" else b.o.lt(x, z)
            return b.prim(m, x, z), b.o.select(later, right[1], left[1])
        stays = self.stays(m, left, right)
        return tuple(b.o.select(stays, x, z) for x, z in zip(left, right, strict=True))

    def stays(self, m: Builtin, left: Sequence[Atom], right: Sequence[Atom]) -> Atom:
        """Does the left pair win: the better value, the smaller index between equals, NaN before all?"""
        o, both, either = self.b.o, self.b.o.__getattr__("and"), self.b.o.__getattr__("or")
        better = o.lt if m == "argmin" else o.gt
        first = o.le(left[1], right[1])
        nan, other = o.isnan(left[0]), o.isnan(right[0])
        tie = either(o.eq(left[0], right[0]), both(nan, other))
        wins = both(o.__getattr__("not")(other), either(nan, better(left[0], right[0])))
        return either(wins, both(tie, first))

    # --- Accumulate ---------------------------------------------------------------------------------------------------

    def accumulate(self, let: Let, op: Accumulate) -> None:
        accs: list[Var] = []
        inits: list[tuple[Atom, ...]] = []
        finals: list[Var] = []
        for acc, init, vs in zip(op.accs, op.inits, finals_of(let), strict=True):
            monoid = _monoid(acc)
            if acc not in self.active:
                accs.append(acc)
                inits.append(init)
                finals += vs
                continue
            if monoid in ("add", "set"):
                lifted = self.lifted[acc] = Var(acc.type, f"d{acc.hint}")
                accs += [acc, lifted]
                inits += [init, (self.tangent(init[0]),)]
                finals += [*vs, self.dual(vs[0])]
                continue
            floats = [v for v in vs if is_float(v)]
            assert isinstance(acc.type, Accumulator)
            columns = (*acc.type.dtypes, *map(dtype_of, floats))
            lift: Monoid = "append" if monoid == "append" else self.lift(monoid, _elements(acc))
            lifted = self.lifted[acc] = Var(Accumulator(lift, columns, acc.type.extents), acc.hint)
            accs.append(lifted)
            inits.append((*init, *(self.tangent(a) for a in init if is_float(a))))
            finals += [*vs, *map(self.dual, floats)]
        outs = let.vars[sum(map(len, finals_of(let))) :]
        body = self.block(op.body, outs)
        self.b.let(Let((*finals, *outs, *self.duals(outs)), Accumulate(tuple(accs), tuple(inits), body), let.site))

    def contribute(self, let: Let, op: Contribute) -> None:
        if op.acc not in self.lifted:
            self.b.let(let)
            return
        lifted, monoid = self.lifted[op.acc], _monoid(op.acc)
        tangents = [self.tangent(v) for v in op.values if is_float(v)]
        if monoid not in ("add", "set"):
            self.b.let(Let((), Contribute(lifted, op.index, (*op.values, *tangents), op.safe), let.site))
            return
        self.b.let(let)
        if monoid == "set" or self.is_active(op.values[0]):
            self.b.let(Let((), Contribute(lifted, op.index, tuple(tangents), op.safe), let.site))


def _monoid(acc: Var) -> Monoid:
    assert isinstance(acc.type, Accumulator)
    return acc.type.monoid


def _element(v: Var, leading: int) -> Var:
    """What one element is like of an array stacked over `leading` axes."""
    return Var(make_type(dtype_of(v), extents_of(v)[leading:]), "e")


def _elements(acc: Var) -> list[Var]:
    """What one element of an accumulator is like."""
    assert isinstance(acc.type, Accumulator)
    return [Var(Scalar(d), "e") for d in acc.type.dtypes]

"""Forward mode, core to core: `jvp` by dual numbers, `jet` by truncated power series.  Beside every active name x goes
its tangent ẋ; at order K, the coefficients x_1 ... x_K of x(t), of which the tangent is the first.

    y = Prim(a, b)                   ẏ = ȧ ∂y/∂a + ḃ ∂y/∂b: the primitive's row; y_2 ... y_K from it, by taylor.py
    y = Read x[e]                    ẏ = Read ẋ[e]
    For yields Map / add e           the same of ė
    For yields min, max e            the winner's index beside the value, and ė read there
    For yields m e                   m lifted: (x, ẋ) ∘ (z, ż) = (m(x, z), ∂m), an operator with the identity (1, 0)
    Accumulate add, set              a second accumulator, of tangents;  append: more columns;  others lifted
    Loop, While, If                  tangents are carried, emitted and given as well
    Library                          the row's rule (library.py), or the user's (custom.py)

and the same for every coefficient, since all but Prim and the products of a monoid are linear.  Names of the primal are
kept, so the transform of a transform just adds names: there is no perturbation to confuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from iverson.core import monoids
from iverson.core.build import Builder, dtype_of, extents_of, literal, make_type
from iverson.core.custom import Custom, call, called, custom, inlined
from iverson.core.dce import dce
from iverson.core.flow import finals_of
from iverson.core.rewrite import rename, rename_function
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Builtin,
    Contribute,
    DType,
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
    Site,
    Var,
    While,
    Yield,
    width,
)
from iverson.diff import library
from iverson.diff.activity import active, is_float
from iverson.diff.adjoints import product, unflatten
from iverson.diff.custom import pushforward as custom_pushforward
from iverson.diff.custom import require_rules
from iverson.diff.reverse import transpose
from iverson.diff.taylor import cauchy, coefficients
from iverson.diff.yields import EXTREMA, Yields

Tail: TypeAlias = tuple[Atom, ...]  # coefficients 1 to K of a name


def jvp(function: Function, wrt: Sequence[int]) -> Function:
    """The function that also pushes tangents forward.

    Parameters: the primal's, then a tangent per parameter in `wrt`.  Outs: the primal's, then the tangent of each float
    out.
    """
    return pushforward(dce(rename_function(function)), wrt)


def jet(function: Function, wrt: Sequence[int], order: int) -> Function:
    """The function that also pushes Taylor coefficients forward: x(t) = x + x_1 t + ... + x_K tᴷ, K = `order`.

    Parameters: the primal's, then the coefficients from 1 on of each parameter in `wrt`.  Outs: the primal's, then
    those of each float out.
    """
    return pushforward(dce(rename_function(function)), wrt, order)


def pushforward(primal: Function, wrt: Sequence[int], order: int = 1) -> Function:
    """The same, where the primal's names are those of `primal`."""
    inputs = [primal.params[k] for k in wrt]
    for p in inputs:
        if not is_float(p):
            raise TypeError(f"parameter {p.hint} of {primal.name} has no derivative: it is {dtype_of(p)!r}")
    tails: dict[Var, Tail] = {p: tuple(Var(p.type, f"d{p.hint}") for _ in range(order)) for p in inputs}
    added = [c for p in inputs for c in tails[p] if isinstance(c, Var)]
    dual = Dual(active(primal.body, inputs), tails, order)
    for let in primal.body:
        dual.let(let)
    outs = primal.body.outs
    more = dual.all_tails([out for out in outs if is_float(out)])
    result = dual.b.function((*primal.params, *added), (*outs, *more), f"{primal.name}_jvp")
    return dce(replace(inlined(result, called), donated=primal.donated))


class Dual:
    """The transform.  What tangents are and how they add up, a subclass may say otherwise (dependence.py)."""

    def __init__(self, names: set[Var], tails: dict[Var, Tail], order: int) -> None:
        self.active = names
        self.tails = tails
        self.order = order
        self.lifted: dict[Var, tuple[Var, ...]] = {}  # accumulator -> of each coefficient, or one of all together
        self.b = Builder()

    # --- coefficients -------------------------------------------------------------------------------------------------

    def tangent_dtype(self, a: Atom) -> DType:
        """The dtype of a float's coefficients."""
        return dtype_of(a)

    def tangent_type(self, a: Atom) -> Scalar | Array:
        return make_type(self.tangent_dtype(a), extents_of(a))

    def is_active(self, a: Atom) -> bool:
        return isinstance(a, Var) and a in self.active

    def tail(self, a: Atom) -> Tail:
        """The coefficients from 1 on of a float atom, zeros if it has none."""
        if isinstance(a, Var) and a in self.tails:
            return self.tails[a]
        return (self.b.zeros(extents_of(a), self.tangent_dtype(a)),) * self.order

    def dual(self, v: Var) -> tuple[Var, ...]:
        """New names for the coefficients of v."""
        names = tuple(Var(self.tangent_type(v), f"d{v.hint}") for _ in range(self.order))
        self.tails[v] = names
        return names

    def duals(self, vs: Sequence[Var]) -> tuple[Var, ...]:
        return tuple(d for v in vs if v in self.active for d in self.dual(v))

    def all_tails(self, atoms: Sequence[Atom]) -> Tail:
        return tuple(c for a in atoms for c in self.tail(a))

    def tails_of(self, outs: Sequence[Atom], results: Sequence[Var]) -> Tail:
        """The coefficients of the outs whose results are active."""
        return self.all_tails([o for o, v in zip(outs, results, strict=True) if v in self.active])

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
                    read = [self.b.read(c, *op.index, safe=op.safe) for c in self.tail(op.array)]
                    self.tails[let.vars[0]] = tuple(read)
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
            case Library() if (c := custom(op)) and any(v in self.active for v in let.vars):
                self.custom(let, op, c)
            case Library() if any(v in self.active for v in let.vars):
                self.library(let, op)
            case _:
                self.b.let(let)

    def block(self, block: Block, results: Sequence[Var]) -> Block:
        """A block that also gives the coefficients of the outs whose results are active."""
        with self.b.scope() as lets:
            for let in block:
                self.let(let)
            tails = self.tails_of(block.outs, results)
        return Block(tuple(lets), (*block.outs, *tails))

    def prim(self, y: Var, op: Prim) -> None:
        if y in self.active:
            tails = [self.tails.get(a, ()) if isinstance(a, Var) and self.is_active(a) else () for a in op.args]
            if any(tails):
                self.tails[y] = coefficients(self.b, op, y, tails, self.order)

    def custom(self, let: Let, op: Library, c: Custom) -> None:
        require_rules(c, op.args, self.active, let.site)
        tails = self.all_tails([op.args[k] for k in c.wrt])
        pushed = call(_pushed(c, self.order, let.site), (*op.args, *tails))
        self.b.let(Let((*let.vars, *self.duals(let.vars)), pushed, let.site))

    def library(self, let: Let, op: Library) -> None:
        """The operation's rule, and from the second coefficient on the series of the rule: y_k = (y')_{k-1} / k."""
        self.b.let(let)
        inputs = {a: self.tail(a) for a in op.args if isinstance(a, Var) and self.is_active(a)}
        tangents: dict[Atom, Atom] = {a: tail[0] for a, tail in inputs.items()}
        found = library.forward(self.b, let, [tangents.get(a) for a in op.args])
        results = {v: [t] for v, t in zip(let.vars, found, strict=False) if t is not None}
        for k in range(2, self.order + 1):
            rule = _rule(let, op, list(inputs), list(results))
            made = jet(rule, range(len(rule.params)), k - 1)
            moved = [_scaled(self.b, c, j) for tail in inputs.values() for j, c in enumerate(tail[1:k], 2)]
            series = [c for tail in (*inputs.values(), *results.values()) for c in tail[: k - 1]]
            actual = (*inputs, *results, *tangents.values(), *series, *moved)
            outs = self.b.splice(rename(made.body, dict(zip(made.params, actual, strict=True))))[len(results) :]
            for n, tail in enumerate(results.values()):
                tail.append(_scaled(self.b, outs[(n + 1) * (k - 1) - 1], 1 / k))
        self.tails.update((v, tuple(tail)) for v, tail in results.items())

    def loop(self, let: Let, op: Loop | While) -> None:
        count = len(op.carry)
        moving = [(c, i) for c, i in zip(op.carry, op.inits, strict=True) if c in self.active]
        inits = self.all_tails([i for _, i in moving])
        carry = self.duals(op.carry)
        results = (*op.carry, *let.vars[count:])
        with self.b.scope() as lets:
            for inner in op.body:
                self.let(inner)
            following = self.tails_of(op.body.outs[:count], op.carry)
            emits = self.tails_of(op.body.outs[count:], let.vars[count:])
        outs = (*op.body.outs[:count], *following, *op.body.outs[count:], *emits)
        finals = tuple(d for v, c in zip(let.vars, op.carry, strict=False) if c in self.active for d in self.dual(v))
        stacked = self.duals(results[count:])
        new = replace(op, carry=(*op.carry, *carry), inits=(*op.inits, *inits), body=Block(tuple(lets), outs))
        self.b.let(Let((*let.vars[:count], *finals, *let.vars[count:], *stacked), new, let.site))

    # --- For ----------------------------------------------------------------------------------------------------------

    def for_(self, let: Let, op: For) -> None:
        groups: list[tuple[Yield, tuple[Atom, ...], tuple[Var, ...], Operator | None, Monoid]] = []
        at = 0
        for y in op.yields:
            outs, vs = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
            groups.append((y, outs, vs, self.needs_lift(y, vs), self.sum_of(y, vs)))
            at += width(y)
        new = Yields(op)
        picked: list[tuple[Var, list[Var], Var, Yield]] = []  # result, coefficients everywhere, winner
        with self.b.scope() as lets:
            for inner in op.body:
                self.let(inner)
            for y, outs, vs, lift, summing in groups:
                floats = [k for k, v in enumerate(vs) if is_float(v)]
                if not any(v in self.active for v in vs):
                    new.add(y, outs, vs)
                elif lift is not None and not isinstance(y, Map):
                    tails = self.all_tails([outs[k] for k in floats])
                    results = [d for k in floats for d in self.dual(vs[k])]
                    new.add(replace(y, monoid=lift), [*outs, *tails], [*vs, *results])
                elif isinstance(y, Map) or self.summed(y.monoid):
                    new.add(y, outs, vs)
                    apart = y if isinstance(y, Map) else replace(y, monoid=summing)
                    for c, d in zip(self.tail(outs[0]), self.dual(vs[0]), strict=True):
                        new.add(apart, [c], [d])
                else:
                    winner = new.extremum(self.b, y, outs, vs)
                    every = [Var(Array(dtype_of(outs[0]), op.extent), "d") for _ in range(self.order)]
                    for c, e in zip(self.tail(outs[0]), every, strict=True):
                        new.add(Map(), [c], [e])
                    picked.append((vs[0], every, winner, y))
        self.b.let(new.let(lets, let.site))
        for result, every, winner, y in picked:
            self.tails[result] = tuple(self.pick(op, y, e, winner) for e in every)

    def needs_lift(self, y: Yield, vs: Sequence[Var]) -> Operator | None:
        """The lifted monoid where there is no simpler way."""
        if isinstance(y, Map) or self.summed(y.monoid) or not any(v in self.active for v in vs):
            return None
        elements = [_element(v, 0 if isinstance(y, Reduce) else 1) for v in vs]
        if y.monoid in EXTREMA and not extents_of(elements[0]):
            return None
        return self.lift(y.monoid, elements)

    def pick(self, op: For, y: Yield, every: Var, winner: Var) -> Atom:
        """The coefficients at the winners; an empty reduction has none."""
        b = self.b
        if isinstance(y, Scan):
            return b.map(op.extent, lambda i: b.read(every, b.read(winner, i, safe=True), safe=True))
        zero = literal(0.0, dtype_of(every))
        some = b.o.lt(winner, product(b, op.extent))
        return b.if_(some, lambda: b.read(every, *unflatten(b, winner, op.extent), safe=True), lambda: zero)[0]

    def summed(self, m: Monoid) -> bool:
        """Do the coefficients of a monoid's elements just add up?"""
        return m == "add"

    def sum_of(self, y: Yield, results: Sequence[Var]) -> Monoid:
        """The monoid by which the coefficients of a yield add up, where they do."""
        return "add"

    # --- monoids ------------------------------------------------------------------------------------------------------

    def lift(self, m: Monoid, like: Sequence[Atom]) -> Operator:
        """The monoid on (values..., coefficients of each float...)."""
        unit = m.identity if isinstance(m, Operator) else self.identity(m, like)
        floats = [k for k, u in enumerate(like) if is_float(u)]
        unit_tails = self.all_tails([unit[k] for k in floats])
        types = [*(a.type for a in like), *(self.tangent_type(like[k]) for k in floats for _ in range(self.order))]
        left, right = [Var(t, "l") for t in types], [Var(t, "r") for t in types]
        n = len(like)
        if not isinstance(m, Operator):
            combine = self.b.block(lambda: self.combine(m, left, right))
            return Operator((*unit, *unit_tails), tuple(left), tuple(right), combine)
        body = rename(m.body, dict(zip((*m.left, *m.right), (*left[:n], *right[:n]), strict=True)))
        names = active(body, {*self.active, *(v for v in (*left[:n], *right[:n]) if is_float(v))})
        inner = type(self)(names, dict(self.tails), self.order)
        for operands in (left, right):
            for j, k in enumerate(floats):
                inner.tails[operands[k]] = tuple(operands[n + j * self.order : n + (j + 1) * self.order])
        for let in body:
            inner.let(let)
        tails = inner.all_tails([body.outs[k] for k in floats])
        whole = inner.b.function((), (*body.outs, *tails)).body
        return Operator((*unit, *unit_tails), tuple(left), tuple(right), whole)

    def identity(self, m: Builtin, like: Sequence[Atom]) -> tuple[Atom, ...]:
        values = monoids.identity(m, dtype_of(like[0]))
        return tuple(self.b.full(extents_of(a), literal(x, dtype_of(a))) for x, a in zip(values, like, strict=True))

    def combine(self, m: Builtin, left: Sequence[Atom], right: Sequence[Atom]) -> tuple[Atom, ...]:
        """A built-in monoid on values and coefficients, element by element if they are arrays."""
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
            return tuple(cauchy(b, left, right, k) for k in range(self.order + 1))
        if m in ("min", "max"):
            x, z = left[0], right[0]
            later = b.o.gt(x, z) if m == "min" else b.o.lt(x, z)
            return b.prim(m, x, z), *(b.o.select(later, r, l) for l, r in zip(left[1:], right[1:], strict=True))
        stays = b.wins(m, left[:2], right[:2])
        return tuple(b.o.select(stays, x, z) for x, z in zip(left, right, strict=True))

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
            if monoid == "set" or self.summed(monoid):
                self.lifted[acc] = tuple(Var(self.accumulator(acc), f"d{acc.hint}") for _ in range(self.order))
                accs += [acc, *self.lifted[acc]]
                inits += [init, *((c,) for c in self.tail(init[0]))]
                finals += [*vs, *self.dual(vs[0])]
                continue
            floats = [v for v in vs if is_float(v)]
            assert isinstance(acc.type, Accumulator)
            columns = (*acc.type.dtypes, *(self.tangent_dtype(v) for v in floats for _ in range(self.order)))
            lift: Monoid = "append" if monoid == "append" else self.lift(monoid, _elements(acc))
            lifted = Var(Accumulator(lift, columns, acc.type.extents), acc.hint)
            self.lifted[acc] = (lifted,)
            accs.append(lifted)
            inits.append((*init, *self.all_tails([a for a in init if is_float(a)])))
            finals += [*vs, *(d for v in floats for d in self.dual(v))]
        outs = let.vars[sum(map(len, finals_of(let))) :]
        body = self.block(op.body, outs)
        self.b.let(Let((*finals, *outs, *self.duals(outs)), Accumulate(tuple(accs), tuple(inits), body), let.site))

    def accumulator(self, acc: Var) -> Accumulator:
        """The type of the accumulator of coefficients beside a built-in one."""
        assert isinstance(acc.type, Accumulator)
        return acc.type

    def contribute(self, let: Let, op: Contribute) -> None:
        if op.acc not in self.lifted:
            self.b.let(let)
            return
        lifted, monoid = self.lifted[op.acc], _monoid(op.acc)
        tails = self.all_tails([v for v in op.values if is_float(v)])
        if monoid != "set" and not self.summed(monoid):
            self.b.let(Let((), Contribute(lifted[0], op.index, (*op.values, *tails), op.safe), let.site))
            return
        self.b.let(let)
        if monoid == "set" or self.is_active(op.values[0]):
            for acc, c in zip(lifted, tails, strict=True):
                self.b.let(Let((), Contribute(acc, op.index, (c,), op.safe), let.site))


def _pushed(c: Custom, order: int, site: Site | None) -> Function:
    """(args, the coefficients of each of `wrt`) -> (outs, those of each float out), by the rule of c.

    y' = J(x, x'), J the pushforward: series of x and x' give one of y', and y_k = (y')_{k-1} / k.
    """
    push = custom_pushforward(c, transpose, site)
    if order == 1:
        return push
    n, count = len(c.primal.params), len(c.primal.body.outs)
    series = jet(push, [*c.wrt, *range(n, len(push.params))], order - 1)
    b = Builder()
    args = push.params[:n]
    tails = [[Var(args[k].type, "d") for _ in range(order)] for k in c.wrt]

    given = [x for tail in tails for x in tail[:-1]]
    slopes = [_scaled(b, x, k) for tail in tails for k, x in enumerate(tail[1:], 2)]
    actual = (*args, *(tail[0] for tail in tails), *given, *slopes)
    results = b.splice(rename(series.body, dict(zip(series.params, actual, strict=True))))
    floats = sum(map(is_float, c.primal.body.outs))
    first = results[count : count + floats]
    rest = results[len(results) - floats * (order - 1) :]
    outs = list(results[:count])
    for j, slope in enumerate(first):
        higher = rest[j * (order - 1) : (j + 1) * (order - 1)]
        outs += [slope, *(_scaled(b, x, 1 / k) for k, x in enumerate(higher, 2))]
    return b.function((*args, *(x for tail in tails for x in tail)), outs, push.name)


def _scaled(b: Builder, x: Atom, by: float) -> Atom:
    """x times a number, element by element."""
    factor = literal(by, dtype_of(x))
    if not extents_of(x):
        return b.o.mul(x, factor)
    return b.map(extents_of(x), lambda *i: b.o.mul(b.read(x, *i, safe=True), factor))


def _rule(let: Let, op: Library, inputs: Sequence[Var], results: Sequence[Var]) -> Function:
    """An operation's rule as a function of inputs, results and the inputs' tangents."""
    env = {v: Var(v.type, v.hint) for v in (*inputs, *results)}
    tangents = {v: Var(v.type, "t") for v in inputs}
    b = Builder()
    given = replace(op, args=tuple(env.get(a, a) if isinstance(a, Var) else a for a in op.args))
    bound = tuple(env.get(v, v) for v in let.vars)
    found = library.forward(b, Let(bound, given, let.site), [tangents.get(a) for a in op.args])  # type: ignore[arg-type]
    outs = [t for v, t in zip(let.vars, found, strict=False) if v in results]
    assert all(t is not None for t in outs)
    return b.function((*env.values(), *tangents.values()), [t for t in outs if t is not None], f"{op.name}_rule")


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

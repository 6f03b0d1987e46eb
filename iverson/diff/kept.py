"""Sums over an estimate become sums over what was kept of it.

    z = estimate kept key k                     places p(s) of what was kept, s < k

    Σ_(i, j) z[j, e(i)] f(i, j)            ->   Σ_(i, s) [i in range] kept[j, s] f(i, j),   i solved of  e(i) = p(s)
    for i, j { acc[a(i, j)] <- f z[i] + g } ->  for i, j { acc[a(i, j)] <- g };
                                                for s, j { acc[a(p(s), j)] <- f kept[s] }
    a' z,  z b                             ->   rows of  a' kept  at the places;  kept b[p, :]
                                                (projections: (a' kept) R',  kept (R' b))

A nest of For loops is taken apart by its reads of z: what a read adds to an accumulator or a result is linear in it, so
its coefficient is collected, and the loops that the read's indices tell are replaced by one over s.  The work of the
rest, on which nothing of z has an influence, stays as it is.  Where a nest has another form the estimate is made as a
whole: the same numbers, at the price of the exact gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import map_blocks, needed, rename_let, uses, with_body
from iverson.core.sketch import ESTIMATE, sketch
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    Function,
    Let,
    Library,
    Literal,
    Map,
    Prim,
    Read,
    Reduce,
    Scalar,
    Var,
    width,
)
from iverson.diff.sampling import Draws, located


@dataclass
class Estimate:
    """What is known of one where it is made."""

    draws: Draws
    kept: Var
    matrix: Var  # the places, or the signs


class Unfit(Exception):
    """A nest of another form."""


def restricted(f: Function) -> Function:
    return with_body(f, _Uses({}).block(f.body))


class _Uses:
    """Estimates are made where they are first used: until then there is only what was kept."""

    def __init__(self, found: dict[Var, Estimate]) -> None:
        self.found = found
        self.waiting: dict[Atom, Let] = {}

    def block(self, block: Block) -> Block:
        b = Builder()
        with b.scope() as lets:
            for let in block:
                if sketch(let.op, ESTIMATE):
                    self.waiting[let.vars[0]] = let
                else:
                    self.made(b, uses(let))
                    b.site = let.site
                    self.let(b, let)
            self.made(b, block.outs)
        return Block(tuple(lets), block.outs)

    def made(self, b: Builder, names: Iterable[Atom]) -> None:
        for z in [a for a in names if a in self.waiting]:
            let = self.waiting.pop(z)
            b.site = let.site
            self.estimate(b, let)

    def let(self, b: Builder, let: Let) -> None:
        op = let.op
        used = any(v in self.found for v in uses(let))
        if used and isinstance(op, For) and self.short(b, let):
            pass
        elif not (used and isinstance(op, Library) and op.name == "matmul" and self.product(b, let, op)):
            b.let(map_blocks(let, self.block))

    def short(self, b: Builder, let: Let) -> bool:
        """Emit a nest of loops as loops over what was kept; False if it has another form."""
        try:
            made = Nest(self.found, let).lets()
        except Unfit:
            return False
        for new in made:
            b.let(new)
        return True

    def estimate(self, b: Builder, let: Let) -> None:
        of, (z,) = sketch(let.op), let.vars
        assert of is not None and isinstance(let.op, Library)
        kept, key, k = let.op.args
        assert isinstance(kept, Var)
        b.let(let)
        draws = Draws(b, of, key, k, extents_of(z))
        self.found[z] = Estimate(draws, kept, draws.signs(kept) if of.scheme == "projection" else draws.places())

    # --- products of matrices -----------------------------------------------------------------------------------------

    def product(self, b: Builder, let: Let, op: Library) -> bool:
        """Emit a product with what was kept; False if it must be the whole estimate."""
        params = dict(op.params)
        flags = [bool(params.get("transpose_a")), bool(params.get("transpose_b"))]
        sides = [k for k in (0, 1) if op.args[k] in self.found]
        if len(sides) != 1:
            return False
        (side,) = sides
        z = op.args[side]
        assert isinstance(z, Var)
        e, other = self.found[z], op.args[1 - side]
        assert isinstance(other, Var)
        rank = len(extents_of(z))
        if len(e.draws.shape) != 1 or e.draws.several:
            return e.draws.of.scheme == "sample" and self.nest(b, let, op, flags)
        last = side == 1  # whether the features of z are summed over, or an axis of the product
        summed = rank == 1 or (last == flags[side])
        if not summed:
            args = (e.kept, other) if side == 0 else (other, e.kept)
            part = b.library("matmul", *args, transpose_a=flags[0], transpose_b=flags[1])[0]
            made = self.spread(b, e, part, side, let.vars[0])
        else:
            args_ = [e.kept, e.kept]
            args_[1 - side] = self.taken(b, e, other, 1 - side, flags[1 - side])
            made = b.library("matmul", *args_, transpose_a=flags[0], transpose_b=flags[1])[0]
        _bind(b, let, made)
        return True

    def spread(self, b: Builder, e: Estimate, part: Var, axis: int, like: Var) -> Var:
        """A product with what was kept, along one axis, as one with the estimate."""
        rank = len(extents_of(part))
        axis = min(axis, rank - 1)
        if e.draws.of.scheme == "projection":
            left = axis == 0
            args = (e.matrix, part) if left else (part, e.matrix)
            return b.library("matmul", *args, transpose_a=False, transpose_b=not left)[0]

        def scatter(acc: Var) -> tuple[Atom, ...]:
            def one(*i: Atom) -> tuple[Atom, ...]:
                at = list(i)
                at[axis] = b.read(e.matrix, i[axis], safe=True)
                b.contribute(acc, at, b.read(part, *i, safe=True), safe=True)
                return ()

            b.for_(extents_of(part), one, ())
            return ()

        return b.accumulate([("add", [b.zeros(extents_of(like), dtype_of(like))])], scatter)[0]

    def taken(self, b: Builder, e: Estimate, other: Var, side: int, transposed: bool) -> Var:
        """The other factor, of the axis that is summed over only what was kept."""
        extents = extents_of(other)
        axis = 0 if len(extents) == 1 else int((side == 0) != transposed)
        if e.draws.of.scheme == "projection":
            if len(extents) == 1:
                return b.library("matmul", other, e.matrix, transpose_a=False, transpose_b=False)[0]
            args = (other, e.matrix) if axis else (e.matrix, other)
            return b.library("matmul", *args, transpose_a=not axis, transpose_b=False)[0]
        short = [e.draws.k if k == axis else n for k, n in enumerate(extents)]

        def element(*i: Atom) -> Atom:
            at = list(i)
            at[axis] = b.read(e.matrix, i[axis], safe=True)
            return b.read(other, *at, safe=True)

        return b.map(short, element)

    def nest(self, b: Builder, let: Let, op: Library, flags: Sequence[bool]) -> bool:
        """The product as loops."""
        x, y = op.args
        assert isinstance(x, Var) and isinstance(y, Var)
        inside = extents_of(x)[::-1] if flags[0] else extents_of(x)
        rows = len(inside) - 1

        def entry(*i: Atom) -> Atom:
            def term(c: Atom) -> Atom:
                left, right = [*i[:rows], c], [c, *i[rows:]]
                return b.o.mul(
                    b.read(x, *(left[::-1] if flags[0] else left), safe=True),
                    b.read(y, *(right[::-1] if flags[1] else right), safe=True),
                )

            total: Atom = b.reduce("add", inside[-1], term)
            return total

        if not extents_of(let.vars[0]):
            return False
        with b.scope() as lets:
            b.map(extents_of(let.vars[0]), entry)
        return self.short(b, Let(let.vars, lets[0].op, let.site))


def _bind(b: Builder, let: Let, made: Var) -> None:
    """Give what a statement binds another value, under its own names for the extents."""
    (v,) = let.vars
    if not extents_of(v):
        b.let(Let((v,), Prim("add", (made, literal(0, dtype_of(v)))), let.site))
        return
    with b.scope() as lets:
        b.map(extents_of(v), lambda *i: b.read(made, *i, safe=True))
    b.let(Let((v,), lets[0].op, let.site))


# --- nests of loops ---------------------------------------------------------------------------------------------------

Path = tuple[Var, ...]  # the indices of the loops around, outermost first


@dataclass(frozen=True)
class Sink:
    """read * coefficient is added to target[index]."""

    read: Var
    coefficient: Atom
    target: Var | int  # an accumulator from outside, or a result of the nest
    index: tuple[Atom, ...]
    path: Path
    safe: bool = True


class Nest:
    """One For with what it contains, taken apart by its reads of estimates."""

    def __init__(self, found: dict[Var, Estimate], let: Let) -> None:
        self.found, self.root = found, let
        self.b = Builder()
        self.log: list[Let] = []  # the scalar statements of all levels, in order
        self.extents: dict[Var, Atom] = {}  # of the loops
        self.opaque: set[Var] = set()  # what isn't a scalar statement's
        self.reads: dict[Var, tuple[Estimate, tuple[Atom, ...], Path]] = {}
        self.linear: dict[Var, dict[Var, Atom]] = {}  # name -> read -> its coefficient
        self.constant: dict[Var, Atom | None] = {}  # the rest of a linear name
        self.sinks: list[Sink] = []

    def lets(self) -> list[Let]:
        """The statements that it becomes; raises Unfit."""
        op = self.root.op
        assert isinstance(op, For)
        body = self.block(op.body, self.enter(op, ()))
        outs = list(body.outs)
        results: list[Var] = list(self.root.vars)
        moved: dict[int, Var] = {}
        at = 0
        for y in op.yields:
            for k in range(at, at + width(y)):
                if outs[k] not in self.linear:
                    continue
                if not isinstance(y, Map) and y.monoid != "add":
                    raise Unfit
                index = op.index if isinstance(y, Map) else ()
                out = outs[k]
                assert isinstance(out, Var)
                self.sink(out, k, index, op.index)
                outs[k] = self.rest(out)
                moved[k] = results[k] = Var(results[k].type, results[k].hint)
            at += width(y)
        exact = Let(tuple(results), replace(op, body=Block(body.lets, tuple(outs))), self.root.site)
        groups: dict[tuple[Var, Path], list[Sink]] = {}
        for s in self.sinks:
            groups.setdefault((s.read, self.whole(s)), []).append(s)
        plans = [_Short(self, read, path, sinks) for (read, path), sinks in groups.items()]
        return [exact, *self.short(plans, moved)]

    def short(self, plans: Sequence[_Short], moved: dict[int, Var]) -> list[Let]:
        accs = {k: Var(Accumulator("add", (dtype_of(v),), extents_of(v)), "acc") for k, v in moved.items()}
        b = Builder()
        b.site = self.root.site
        with b.scope() as lets:
            for plan in plans:
                plan.emit(b, accs)
        if not moved:
            return lets
        op = Accumulate(tuple(accs.values()), tuple((v,) for v in moved.values()), Block(tuple(lets), ()))
        return [Let(tuple(self.root.vars[k] for k in moved), op, self.root.site)]

    def whole(self, s: Sink) -> Path:
        """The loops around a read and where it goes: those of one, if it is inside the loops of the other."""
        inner = self.reads[s.read][2]
        short, long = sorted((inner, s.path), key=len)
        if long[: len(short)] != short:
            raise Unfit
        return long

    # --- collecting ---------------------------------------------------------------------------------------------------

    def enter(self, op: For, path: Path) -> Path:
        self.extents.update(zip(op.index, op.extent, strict=True))
        return (*path, *op.index)

    def block(self, block: Block, path: Path) -> Block:
        lets: list[Let] = []
        for let in block:
            lets += self.let(let, path)
        return Block(tuple(lets), block.outs)

    def let(self, let: Let, path: Path) -> list[Let]:
        """What is left of a statement without estimates."""
        op = let.op
        match op:
            case Read(array, index) if array in self.found:
                (v,) = let.vars
                if not isinstance(v.type, Scalar) or self.found[array].draws.of.scheme != "sample":
                    raise Unfit
                self.reads[v] = (self.found[array], index, path)
                self.linear[v], self.constant[v] = {v: literal(1.0, dtype_of(v))}, None
                return []
            case Prim() if any(a in self.linear for a in op.args):
                return self.prim(let.vars[0], op)
            case Contribute() if any(a in self.linear for a in op.values):
                return self.contribute(let, op, path)
        if not any(v in self.found or v in self.linear for v in uses(let)):
            if isinstance(op, Prim | Read):
                self.log.append(let)
                if not isinstance(let.vars[0].type, Scalar):
                    self.opaque.update(let.vars)
            else:
                self.opaque.update(let.vars)
            return [let]
        if not isinstance(op, For):
            raise Unfit
        return self.inner(let, op, path)

    def inner(self, let: Let, op: For, path: Path) -> list[Let]:
        within = self.enter(op, path)
        body = self.block(op.body, within)
        outs, at = list(body.outs), 0
        for y in op.yields:
            for k in range(at, at + width(y)):
                out = outs[k]
                if out not in self.linear:
                    self.opaque.add(let.vars[k])
                    continue
                if not isinstance(y, Reduce) or y.monoid != "add" or extents_of(out):
                    raise Unfit
                assert isinstance(out, Var)
                some = self.constant[out] is not None
                self.linear[let.vars[k]] = self.linear[out]
                self.constant[let.vars[k]] = let.vars[k] if some else None
                outs[k] = self.rest(out)
            at += width(y)
        return [Let(let.vars, replace(op, body=Block(body.lets, tuple(outs))), let.site)]

    def rest(self, a: Atom) -> Atom:
        """An atom without its linear part."""
        if not isinstance(a, Var) or a not in self.linear:
            return a
        rest = self.constant[a]
        return literal(0.0, dtype_of(a)) if rest is None else rest

    def prim(self, y: Var, op: Prim) -> list[Let]:
        """Coefficients of the result, and its constant part."""
        b, o = self.b, self.b.o
        parts = [self.linear.get(a, {}) if isinstance(a, Var) else {} for a in op.args]
        which = [k for k, p in enumerate(parts) if p]
        names = dict.fromkeys(r for p in parts for r in p)
        with b.scope() as more:

            def each(change) -> dict[Var, Atom]:  # type: ignore[no-untyped-def]
                return {r: change(*(p.get(r) for p in parts)) for r in names}

            match op.name:
                case "add":
                    made = each(lambda x, y: y if x is None else x if y is None else o.add(x, y))
                case "sub":
                    made = each(lambda x, y: x if y is None else o.neg(y) if x is None else o.sub(x, y))
                case "neg":
                    made = each(lambda x: o.neg(x))
                case "mul" if len(which) == 1:
                    other = op.args[1 - which[0]]
                    made = {r: _times(b, c, other) for r, c in parts[which[0]].items()}
                case "div" if which == [0]:
                    made = each(lambda x, _: o.div(x, op.args[1]))
                case "select" if 0 not in which:
                    zero = literal(0.0, dtype_of(y))
                    made = each(lambda _, x, y: o.select(op.args[0], x or zero, y or zero))
                case "float32" | "float64":
                    made = each(lambda x: b.cast(x, dtype_of(y)))
                case _:
                    raise Unfit
        self.log += more
        self.linear[y] = made
        values = op.args[1:] if op.name == "select" else op.args
        if all(map(self.vanishes, values if op.name in ("add", "sub", "select") else (op.args[k] for k in which))):
            self.constant[y] = None
            return []
        with b.scope() as lets:
            self.constant[y] = b.prim(op.name, *map(self.rest, op.args))
        return lets

    def vanishes(self, a: Atom) -> bool:
        """Is nothing left without the linear part?"""
        if isinstance(a, Literal):
            return a.value == 0
        return a in self.linear and self.constant[a] is None

    def contribute(self, let: Let, op: Contribute, path: Path) -> list[Let]:
        assert isinstance(op.acc.type, Accumulator)
        if op.acc.type.monoid != "add" or len(op.values) != 1 or op.acc in self.opaque:
            raise Unfit
        (value,) = op.values
        assert isinstance(value, Var)
        self.sink(value, op.acc, op.index, path, op.safe)
        rest = self.constant[value]
        return [] if rest is None else [Let((), replace(op, values=(rest,)), let.site)]

    def sink(self, value: Var, target: Var | int, index: tuple[Atom, ...], path: Path, safe: bool = True) -> None:
        self.sinks += [Sink(r, c, target, index, path, safe) for r, c in self.linear[value].items()]

    # --- what depends on which loops ----------------------------------------------------------------------------------

    def loops_of(self, atoms: Sequence[Atom]) -> set[Var]:
        used = {v for let in needed(self.log, atoms) for v in uses(let)} | set(atoms)
        return {v for v in used if v in self.extents}  # type: ignore[misc]

    def require_scalars(self, atoms: Sequence[Atom]) -> None:
        used = {v for let in needed(self.log, atoms) for v in uses(let)} | set(atoms)
        if any(v in self.opaque or v in self.linear for v in used):
            raise Unfit


def _times(b: Builder, c: Atom, other: Atom) -> Atom:
    return other if isinstance(c, Literal) and c.value == 1 else b.o.mul(c, other)


class _Short:
    """The loop over what was kept that stands for one read."""

    def __init__(self, nest: Nest, read: Var, path: Path, sinks: Sequence[Sink]) -> None:
        self.nest, self.sinks, self.path = nest, sinks, path
        self.estimate, index, _ = nest.reads[read]
        lead = self.estimate.draws.of.lead
        self.lead, self.index = index[:lead], index[lead:]
        self.made = {let.vars[0]: let.op for let in nest.log}
        nest.require_scalars([*index, *(a for s in sinks for a in (s.coefficient, *s.index))])
        self.solved = self.choose()
        told = set(self.solved)
        first = nest.loops_of(self.lead)
        if first & told:
            raise Unfit
        rests = nest.loops_of(self.index) - told
        self.outer = [i for i in path if i in first]
        self.middle = [i for i in path if i in rests - first]
        self.inner = [i for i in path if i not in first | rests | told]

    def choose(self) -> list[Var]:
        """For each index of the read the loop that it tells; those it needs for that come before."""
        chosen: list[Var] = []
        for e in self.index:
            loops = [i for i in self.path if i in self.nest.loops_of([e]) and i not in chosen and self.tells(e, i)]
            if not loops:
                raise Unfit
            chosen.append(max(loops, key=self.length))
        for k, e in enumerate(self.index):
            if self.nest.loops_of([e]) & set(chosen[k + 1 :]):
                raise Unfit
        return chosen

    def length(self, i: Var) -> float:
        n = self.nest.extents[i]
        return n.value if isinstance(n, Literal) else float("inf")

    def tells(self, e: Atom, i: Var) -> bool:
        """Is e = i or -i and something without i?"""
        if e is i:
            return True
        op = self.made.get(e) if isinstance(e, Var) else None
        if not isinstance(op, Prim) or op.name not in ("add", "sub"):
            return False
        with_i = [a for a in op.args if i in self.nest.loops_of([a])]
        return len(with_i) == 1 and self.tells(with_i[0], i)

    def solve(self, b: Builder, e: Atom, i: Var, value: Atom, env: dict[Var, Atom]) -> Atom:
        """The i for which e is `value`."""
        if e is i:
            return value
        op = self.made[e]  # type: ignore[index]
        assert isinstance(op, Prim)
        x, y = op.args
        first = i in self.nest.loops_of([x])
        other = self.replayed(b, y if first else x, env)
        if op.name == "add":
            return self.solve(b, x if first else y, i, b.o.sub(value, other), env)
        if first:
            return self.solve(b, x, i, b.o.add(value, other), env)
        return self.solve(b, y, i, b.o.sub(other, value), env)

    def replayed(self, b: Builder, a: Atom, env: dict[Var, Atom]) -> Atom:
        """An atom of the nest, here."""
        for let in needed(self.nest.log, [a]):
            if let.vars[0] not in env:
                b.let(rename_let(let, env))
        return env.get(a, a) if isinstance(a, Var) else a

    # --- emitting -----------------------------------------------------------------------------------------------------

    def emit(self, b: Builder, accs: dict[int, Var]) -> None:
        extents, draws = self.nest.extents, self.estimate.draws

        def outer(*i: Var) -> tuple[Atom, ...]:
            env: dict[Var, Atom] = dict(zip(self.outer, i, strict=False))
            lead = [self.replayed(b, e, env) for e in self.lead]
            at = b.read(self.estimate.matrix, *(lead if draws.several else ()), i[-1], safe=True)
            value = b.read(self.estimate.kept, *lead, i[-1], safe=True)
            self.loops(b, self.middle, env, lambda e: self.hit(b, accs, at, value, e))
            return ()

        b.for_((*(extents[i] for i in self.outer), draws.k), outer, ())

    def loops(self, b: Builder, which: Sequence[Var], env: dict[Var, Atom], body) -> None:  # type: ignore[no-untyped-def]
        if not which:
            body(env)
            return

        def inside(*i: Var) -> tuple[Atom, ...]:
            body({**env, **dict(zip(which, i, strict=True))})
            return ()

        b.for_([self.nest.extents[i] for i in which], inside, ())

    def hit(self, b: Builder, accs: dict[int, Var], at: Atom, value: Atom, env: dict[Var, Atom]) -> None:
        """Solve for the loops that the place tells, and contribute if it is in range."""
        env, inside = dict(env), []
        shape = self.estimate.draws.shape
        for e, i, n, w in zip(self.index, self.solved, shape, located(b, at, shape), strict=True):
            env[i] = found = self.solve(b, e, i, w, env)
            extent = self.nest.extents[i]
            if e is not i or extent != n:
                low = b.o.ge(found, 0)
                inside.append(b.prim("and", low, b.o.lt(found, extent)))

        def contribute(e: dict[Var, Atom]) -> None:
            for s in self.sinks:
                g = b.o.mul(self.replayed(b, s.coefficient, e), value)
                index = [self.replayed(b, a, e) for a in s.index]
                acc = s.target if isinstance(s.target, Var) else accs[s.target]
                b.contribute(acc, index, g, safe=s.safe)

        if not inside:
            self.loops(b, self.inner, env, contribute)
            return
        pred = inside[0]
        for more in inside[1:]:
            pred = b.prim("and", pred, more)

        def then() -> tuple[Atom, ...]:
            self.loops(b, self.inner, env, contribute)
            return ()

        b.if_(pred, then, lambda: ())

"""Programs brought into the form that reverse mode's rules expect.

    Accumulate [acc] { a; Contribute ...; b }  ->  a; b; Accumulate [acc] { Contribute ... }     a, b contribute nothing

    Accumulate [acc = (m, x)] { For i { Contribute acc[e] v } }                             m = mul, min, ..., or set
        ->  Loop i [x] { x with [e] := m(x[e], v) }                                         where two e may be equal

    For i { Contribute log v }  ->  Loop i { Contribute log v }                             log is an append

    For i yields Scan m e  ->  For i yields Map e;  Loop i [y] { m(y, e_i) } emits y        m an operator, or mul;
                                                                                            Reduce likewise

Only what carries derivatives is changed.  Sequential forms see the order that the derivative depends on; what a For
also yields stays a For of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from iverson.core.build import Builder, dtype_of, extents_of, literal, stacked
from iverson.core.monoids import identity
from iverson.core.rewrite import free, lookup, map_op, rename
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    For,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Map,
    Monoid,
    Op,
    Operator,
    Prim,
    Read,
    Reduce,
    Scan,
    Var,
    While,
    Yield,
    width,
)
from iverson.diff.contributions import change_let, contributed


def ordered(function: Function, active: set[Var]) -> Function:
    """The same function, every active Accumulate and For in a form that the rules know."""
    return replace(function, body=_Ordered(active).block(function.body))


def _type(acc: Var) -> Accumulator:
    assert isinstance(acc.type, Accumulator)
    return acc.type


class _Ordered:
    def __init__(self, active: set[Var]) -> None:
        self.active = active
        self.b = Builder()
        self.env: dict[Var, Atom] = {}  # results that have become other atoms

    def block(self, block: Block) -> Block:
        with self.b.scope() as lets:
            for let in block:
                self.let(Let(let.vars, map_op(let.op, self.now, self.block), let.site))
        return Block(tuple(lets), tuple(map(self.now, block.outs)))

    def now(self, atom: Atom) -> Atom:
        return lookup(atom, self.env)

    def let(self, let: Let) -> None:
        op = let.op
        if isinstance(op, Accumulate):
            self.accumulate(let, self.hoisted(op))
        elif isinstance(op, For):
            logs = [a for a in contributed(op) if _type(a).monoid == "append" and a in self.active]
            if logs:
                _Sequential(self.b).for_(let, op, {}, logs, self.for_)
            else:
                self.for_(let)
        else:
            self.b.let(let)

    def for_(self, let: Let) -> None:
        """A For, the yields that only have a sequential derivative taken out of it."""
        op = let.op
        assert isinstance(op, For)
        vs: list[Var] = []
        yields: list[Yield] = []
        folds: list[tuple[Reduce | Scan, list[Var], tuple[Var, ...]]] = []
        at = 0
        for y in op.yields:
            outs, names = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
            at += width(y)
            if isinstance(y, Map) or not self.is_sequential(y, names):
                vs += names
                yields.append(y)
                continue
            elements = [Var(stacked(op.extent, o.type), "e") for o in outs]
            vs += elements
            yields += [Map()] * len(elements)
            folds.append((y, elements, names))
        self.b.let(Let(tuple(vs), replace(op, yields=tuple(yields)), let.site))
        for y, elements, names in folds:
            self.fold(op.extent, y, elements, names)

    def is_sequential(self, y: Reduce | Scan, names: Sequence[Var]) -> bool:
        if not any(v in self.active for v in names):
            return False
        if not isinstance(y.monoid, str):
            return True
        rank = len(extents_of(names[0])) - isinstance(y, Scan)
        return y.monoid != "add" and (rank > 0 or (y.monoid == "mul" and isinstance(y, Scan)))

    def fold(self, extents: Sequence[Atom], y: Reduce | Scan, elements: Sequence[Var], names: Sequence[Var]) -> None:
        """names = the elements combined in sequence."""
        b = self.b
        unit = _identity(b, y.monoid, names, isinstance(y, Scan))
        run = _Sequential(b)

        def nest(index: tuple[Var, ...], carry: Sequence[Atom]) -> tuple[Atom, ...]:
            if len(index) < len(extents):
                return b.loop(extents[len(index)], carry, lambda i, *inner: nest((*index, i), inner))
            following = run.combine(y.monoid, carry, [b.read(e, *index, safe=True) for e in elements])
            return (*following, *following) if isinstance(y, Scan) else following

        self.env.update(zip(names, nest((), unit)[-len(names) :], strict=True))

    def hoisted(self, op: Accumulate) -> Accumulate:
        """The block without the statements that contribute to none of its accumulators, which go before it."""
        accs, stuck = set(op.accs), set[Var]()
        kept: list[Let] = []
        for let in op.body:
            stays = accs & contributed(let.op).keys() or stuck & free(Block((let,), ())).keys()
            if stays or (kept and not isinstance(let.op, Prim | Read | For)):  # never a consumer past a reader
                kept.append(let)
                stuck.update(let.vars)
            else:
                self.b.let(let)
        return replace(op, body=Block(tuple(kept), op.body.outs))

    def accumulate(self, let: Let, op: Accumulate) -> None:
        late = [a for a in op.accs if a in self.active and not _unordered(a, op.body)]
        if not late:
            self.b.let(Let(let.vars, op, let.site))
            return
        groups: dict[Var, tuple[Var, ...]] = {}
        at = 0
        for acc in op.accs:
            count = len(_type(acc).dtypes) + (_type(acc).monoid == "append")
            groups[acc] = let.vars[at : at + count]
            at += count
        state = {acc: init for acc, init in zip(op.accs, op.inits, strict=True) if acc in late}
        rest = [(acc, init) for acc, init in zip(op.accs, op.inits, strict=True) if acc not in late]
        keep = (*(v for acc, _ in rest for v in groups[acc]), *let.vars[at:])
        finals: list[Var] = [v for acc in late for v in groups[acc]]
        run = _Sequential(self.b)
        if not rest:
            outs = run.block(op.body, state)
            self.env.update(zip((*finals, *let.vars[at:]), (*_columns(state), *outs), strict=True))
            return
        with self.b.scope() as lets:
            outs = run.block(op.body, state)
        block = Block(tuple(lets), (*outs, *_columns(state)))
        new = Accumulate(tuple(a for a, _ in rest), tuple(i for _, i in rest), block)
        self.b.let(Let((*keep, *finals), new, let.site))


def _columns(state: Mapping[Var, tuple[Atom, ...]]) -> tuple[Atom, ...]:
    return tuple(a for columns in state.values() for a in columns)


class _Sequential:
    """Statements whose contributions to some accumulators become updates of arrays carried along (`state`)."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder

    def block(self, block: Block, state: dict[Var, tuple[Atom, ...]]) -> tuple[Atom, ...]:
        for let in block:
            op = let.op
            if isinstance(op, Contribute) and op.acc in state:
                state[op.acc] = self.put(op, state[op.acc])
            elif state.keys() & contributed(op).keys():
                self.nested(let, state)
            else:
                self.b.let(let)
        return block.outs

    def inner(self, block: Block, state: dict[Var, tuple[Atom, ...]], carries: int | None = None) -> Block:
        """A nested block whose outs also give the state, after the carries."""
        with self.b.scope() as lets:
            outs = self.block(block, state)
        at = len(outs) if carries is None else carries
        return Block(tuple(lets), (*outs[:at], *_columns(state), *outs[at:]))

    def put(self, op: Contribute, columns: tuple[Atom, ...]) -> tuple[Atom, ...]:
        """The columns with the contribution combined in."""
        b, monoid = self.b, _type(op.acc).monoid
        if monoid == "set":
            values: Sequence[Atom] = op.values
        else:
            old = [b.read(c, *op.index, safe=op.safe) if op.index else c for c in columns]
            values = self.combine(monoid, old, op.values)
        if not op.index:
            return tuple(values)
        return tuple(b.set(c, op.index, v) for c, v in zip(columns, values, strict=True))

    def combine(self, monoid: Monoid, old: Sequence[Atom], new: Sequence[Atom]) -> tuple[Atom, ...]:
        b = self.b
        if isinstance(monoid, Operator):
            env = dict(zip((*monoid.left, *monoid.right), (*old, *new), strict=True))
            return b.splice(rename(monoid.body, env))
        if extents_of(old[0]):
            return self.elementwise(monoid, old, new)
        if monoid in ("argmin", "argmax"):
            better = b.o.le if monoid == "argmin" else b.o.ge
            stays = b.prim("or", better(old[0], new[0]), b.o.isnan(old[0]))
            return tuple(b.o.select(stays, x, y) for x, y in zip(old, new, strict=True))
        return (b.prim(monoid, old[0], new[0]),)

    def elementwise(self, monoid: Monoid, old: Sequence[Atom], new: Sequence[Atom]) -> tuple[Atom, ...]:
        """Arrays combined element by element."""
        b = self.b

        def one(*i: Var) -> tuple[Atom, ...]:
            return self.combine(
                monoid, [b.read(x, *i, safe=True) for x in old], [b.read(x, *i, safe=True) for x in new]
            )

        return b.for_(extents_of(old[0]), one, [Map()] * len(old))

    def nested(self, let: Let, state: dict[Var, tuple[Atom, ...]]) -> None:
        op = let.op
        touched = {a: c for a, c in state.items() if a in contributed(op)}
        if isinstance(op, For):
            self.for_(let, op, touched, (), self.b.let)
        else:
            fresh = {a: tuple(Var(c.type, "acc") for c in columns) for a, columns in touched.items()}
            self.b.let(Let(*self.carrying(let, op, touched, fresh), let.site))
            touched = {a: tuple(columns) for a, columns in fresh.items()}
        state.update(touched)

    def carrying(
        self,
        let: Let,
        op: Op,
        state: dict[Var, tuple[Atom, ...]],
        finals: Mapping[Var, tuple[Var, ...]],
    ) -> tuple[tuple[Var, ...], Op]:
        """A statement that also hands the state through its block; its results and itself."""
        new = tuple(v for vs in finals.values() for v in vs)
        match op:
            case Loop(carry=carry) | While(carry=carry):
                inside = {a: tuple(Var(c.type, "acc") for c in columns) for a, columns in state.items()}
                body = self.inner(op.body, {a: tuple(vs) for a, vs in inside.items()}, len(carry))
                carries = (*carry, *(v for vs in inside.values() for v in vs))
                at = len(carry)
                op = replace(op, carry=carries, inits=(*op.inits, *_columns(state)), body=body)
                return (*let.vars[:at], *new, *let.vars[at:]), op
            case If(pred, then, orelse):
                return (*let.vars, *new), If(pred, self.inner(then, dict(state)), self.inner(orelse, dict(state)))
            case Accumulate(body=body):
                return (*let.vars, *new), replace(op, body=self.inner(body, dict(state)))
            case _:
                raise AssertionError(op)

    def for_(
        self,
        let: Let,
        op: For,
        state: dict[Var, tuple[Atom, ...]],
        logs: Sequence[Var],
        emit: Callable[[Let], None],
    ) -> None:
        """The For without these contributions, and a Loop nest that makes them; `state` becomes its results."""
        moved = {*state, *logs}
        stay = change_let(let, lambda one, c: () if c.acc in moved else (one,))
        if let.vars or contributed(stay.op):
            emit(stay)
        only = change_let(let, lambda one, c: (one,) if c.acc in moved else ())
        assert isinstance(only.op, For)
        body, index = only.op.body, op.index

        def nest(outer: dict[Var, Atom], columns: tuple[Atom, ...]) -> tuple[Atom, ...]:
            at = len(outer)
            if at < len(index):
                return self.b.loop(op.extent[at], columns, lambda i, *carry: nest({**outer, index[at]: i}, carry))
            inside = _regroup(state, columns)
            fresh = rename(body, outer)
            self.block(fresh, inside)
            return _columns(inside)

        state.update(_regroup(state, nest({}, _columns(state))))


def _regroup(state: Mapping[Var, tuple[Atom, ...]], columns: Sequence[Atom]) -> dict[Var, tuple[Atom, ...]]:
    rest = iter(columns)
    return {a: tuple(next(rest) for _ in old) for a, old in state.items()}


def _identity(b: Builder, monoid: Monoid, names: Sequence[Var], scan: bool) -> Sequence[Atom]:
    """The identity of a monoid for results of these types."""
    if isinstance(monoid, Operator):
        return monoid.identity
    values = identity(monoid, dtype_of(names[0]))
    extents = [extents_of(v)[scan:] for v in names]
    return [b.full(e, literal(x, dtype_of(v))) for e, x, v in zip(extents, values, names, strict=True)]


# --- where the order doesn't matter -----------------------------------------------------------------------------------


def _unordered(acc: Var, body: Block) -> bool:
    """Can the contributions be swept in any order: sums and logs, and `set` at provably distinct indices?"""
    monoid = _type(acc).monoid
    if monoid in ("add", "append"):
        return True
    if monoid != "set":
        return False
    sites = list(_sites(acc, body, (), {}))
    return len(sites) == 1 and all(sites)


def _sites(acc: Var, block: Block, loops: tuple[Var, ...], prims: dict[Var, Prim]) -> Sequence[bool]:
    """For each contribution to acc: are its indices distinct over the Fors around it?"""
    found: list[bool] = []
    for let in block:
        match let.op:
            case Prim():
                prims[let.vars[0]] = let.op
            case Contribute(a, index):
                if a is acc:
                    found.append(_injective(loops, index, prims))
            case For(index, _, body):
                found += _sites(acc, body, (*loops, *index), prims)
            case If(_, then, orelse):
                found += [*_sites(acc, then, loops, prims), *_sites(acc, orelse, loops, prims)]
            case op if acc in contributed(op):
                found.append(False)
            case _:
                pass
    return found


def _injective(loops: Sequence[Var], index: Sequence[Atom], prims: Mapping[Var, Prim]) -> bool:
    """Does each loop's index alone move one position of the index, and by distinct steps?"""
    movers = [_mover(a, loops, prims) for a in index]
    return all(i in movers for i in loops)


def _mover(a: Atom, loops: Sequence[Var], prims: Mapping[Var, Prim]) -> Var | None:
    """The one loop index i that a position is an affine, non-constant function of; None if not so, or not seen."""
    if isinstance(a, Literal):
        return None
    if a in loops:
        return a
    p = prims.get(a)
    if p is None or p.name not in ("add", "sub", "neg", "mul"):
        return None
    moved = [(x, _mover(x, loops, prims)) for x in p.args]
    inner = [v for _, v in moved if v is not None]
    others = [x for x, v in moved if v is None]
    if len(inner) != 1 or any(_varies(x, loops, prims) for x in others):
        return None
    if p.name == "mul" and not all(isinstance(x, Literal) and x.value != 0 for x in others):
        return None
    return inner[0]


def _varies(a: Atom, loops: Sequence[Var], prims: Mapping[Var, Prim]) -> bool:
    """Might an atom that no loop index moves alone still depend on one?"""
    if isinstance(a, Literal):
        return False
    p = prims.get(a)
    return a in loops or (p is not None)

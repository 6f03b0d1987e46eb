"""Programs brought into the form that reverse mode's rules expect.

    Accumulate [acc] { a; Contribute ...; b }  ->  a; b; Accumulate [acc] { Contribute ... }     a, b contribute nothing

    Accumulate [acc = (m, x)] { For i { Contribute acc[e] v } }                             m = set, where two e may be
        ->  Loop i [x] { x with [e] := m(x[e], v) }                                         equal, and what follows

    For i { Contribute log v }  ->  Loop i { Contribute log v }                             log is an append

Other monoids see no order: For is taken apart by elements.py, reductions by index by histograms.py.  What is not
gathered there is made a Loop here: contributions from a loop, and from a turn of a loop to an array that is not made in
that turn (in proportion to all its elements, the work might be more than the turn's).

Only what carries derivatives is changed.  Sequential forms see the order that the derivative depends on; what a For
also yields stays a For of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from iverson.core.build import Builder
from iverson.core.equalities import Equalities
from iverson.core.flow import finals_of
from iverson.core.rewrite import contributed, lookup, map_op, rename, uses
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
    Library,
    Literal,
    Loop,
    Map,
    Op,
    Operator,
    Prim,
    Read,
    Var,
    While,
)
from iverson.diff.contributions import change_let
from iverson.diff.elements import apart
from iverson.diff.histograms import Gather, can_gather


def ordered(function: Function, active: set[Var]) -> Function:
    """The same function, every active Accumulate and For in a form that the rules know."""
    return replace(function, body=_Ordered(set(active)).block(function.body))


def _type(acc: Var) -> Accumulator:
    assert isinstance(acc.type, Accumulator)
    return acc.type


class _Ordered:
    def __init__(self, active: set[Var]) -> None:
        self.active = active
        self.b = Builder()
        self.env: dict[Var, Atom] = {}  # results that have become other atoms
        self.equal = Equalities()
        self.turn: set[Atom] | None = None  # in a loop: the arrays made in the turn
        self.fills: dict[Atom, Atom] = {}  # arrays of one value

    def block(self, block: Block) -> Block:
        equal, self.equal = self.equal, Equalities(self.equal)
        with self.b.scope() as lets:
            for let in block:
                outer = self.turn
                if isinstance(let.op, Loop | While):
                    self.turn = set()
                op = map_op(self.operators(let.op), self.now, self.block)
                self.turn = outer
                self.let(Let(let.vars, op, let.site))
                self.make(let.vars, op)
                self.equal.learn(let)
        self.equal = equal
        return Block(tuple(lets), tuple(map(self.now, block.outs)))

    def operators(self, op: Op) -> Op:
        """The operators of accumulators in the same form; they are part of types, which traversals leave alone."""
        if not isinstance(op, Accumulate):
            return op
        for acc in op.accs:
            t = _type(acc)
            if isinstance(t.monoid, Operator) and acc in self.active:
                monoid = replace(t.monoid, body=self.block(t.monoid.body))
                self.env[acc] = new = Var(replace(t, monoid=monoid), acc.hint)
                self.active.add(new)
        return replace(op, accs=tuple(map(self.acc, op.accs)))

    def acc(self, acc: Var) -> Var:
        new = self.now(acc)
        assert isinstance(new, Var)
        return new

    def make(self, vs: Sequence[Var], op: Op) -> None:
        """Note which arrays are fresh, and which are full of one value."""
        if self.turn is not None:
            fresh = self.fresh(vs, op)
            self.turn.update((*fresh, *map(self.now, fresh)))
        if isinstance(op, For) and not op.body.lets and all(isinstance(y, Map) for y in op.yields):
            self.fills.update(zip(vs, op.body.outs, strict=True))

    def fresh(self, vs: Sequence[Var], op: Op) -> Sequence[Var]:
        """The results that are made in this turn, not arrays from before it."""
        if isinstance(op, For | Library):
            return vs
        if not isinstance(op, Accumulate):
            return ()
        turn = self.turn or set()
        groups = finals_of(Let(tuple(vs), op))
        finals = [v for init, group in zip(op.inits, groups, strict=True) if turn.issuperset(init) for v in group]
        outs = vs[sum(map(len, groups)) :]
        return [*finals, *(v for v, out in zip(outs, op.body.outs, strict=True) if out in turn)]

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
        self.env.update(apart(self.b, let, self.active, self.equal))

    def hoisted(self, op: Accumulate) -> Accumulate:
        """The block without the statements that contribute to none of its accumulators, which go before it."""
        accs, stuck = set(op.accs), set[Var]()
        kept: list[Let] = []
        for let in op.body:
            stays = accs & contributed(let.op).keys() or stuck & uses(let).keys()
            if stays or (kept and not isinstance(let.op, Prim | Read | For)):  # never a consumer past a reader
                kept.append(let)
                stuck.update(let.vars)
            else:
                self.b.let(let)
        return replace(op, body=Block(tuple(kept), op.body.outs))

    def accumulate(self, let: Let, op: Accumulate) -> None:
        let, op, gathered = self.gathered(let, op)
        late = [a for a in op.accs if self.is_late(a, op)]
        if late:
            self.in_sequence(let, op, late)
        elif op.accs:
            self.b.let(Let(let.vars, op, let.site))
        else:
            self.env.update(zip(let.vars, self.b.splice(op.body), strict=True))
        for gather, found, inits, finals in gathered:
            neutral = all(self.fills.get(x) == u for x, u in zip(inits, gather.unit(), strict=True))
            totals = gather.reduced(list(map(self.now, found)), inits, neutral)
            self.env.update(zip(finals, totals, strict=True))

    def is_late(self, acc: Var, op: Accumulate) -> bool:
        return acc in self.active and not _unordered(acc, op.body)

    def gathered(
        self, let: Let, op: Accumulate
    ) -> tuple[Let, Accumulate, list[tuple[Gather, Sequence[Atom], Sequence[Atom], Sequence[Var]]]]:
        """The statement without the accumulators that can be reduced from arrays of what is contributed."""
        out: list[tuple[Gather, Sequence[Atom], Sequence[Atom], Sequence[Var]]] = []
        groups = dict(zip(op.accs, finals_of(let), strict=True))
        results = let.vars[sum(map(len, groups.values())) :]
        for acc, inits in zip(op.accs, op.inits, strict=True):
            if not self.is_late(acc, op) or not self.is_paid(acc, inits) or not can_gather(acc, op.body):
                continue
            gather = Gather(self.b, acc, self.equal)
            with self.b.scope() as lets:
                found = gather.block(op.body)
            names = tuple(Var(a.type, "v") for a in found)
            rest = [(a, i) for a, i in zip(op.accs, op.inits, strict=True) if a is not acc]
            body = Block(tuple(lets), (*op.body.outs, *found))
            op = Accumulate(tuple(a for a, _ in rest), tuple(i for _, i in rest), body)
            results = (*results, *names)
            out.append((gather, names, inits, groups.pop(acc)))
        return Let((*(v for vs in groups.values() for v in vs), *results), op, let.site), op, out

    def is_paid(self, acc: Var, inits: Sequence[Atom]) -> bool:
        """May work in proportion to all bins be done?  In a loop's turn only if they were made there."""
        gathers = _type(acc).monoid in ("mul", "min", "max") or isinstance(_type(acc).monoid, Operator)
        return gathers and (self.turn is None or not _type(acc).extents or all(x in self.turn for x in inits))

    def in_sequence(self, let: Let, op: Accumulate, late: Sequence[Var]) -> None:
        groups = dict(zip(op.accs, finals_of(let), strict=True))
        at = sum(map(len, groups.values()))
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
            values = b.combine(monoid, old, op.values)
        if not op.index:
            return tuple(values)
        return tuple(b.set(c, op.index, v) for c, v in zip(columns, values, strict=True))

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
                    found.append(injective(loops, index, prims))
            case For(index, _, body):
                found += _sites(acc, body, (*loops, *index), prims)
            case If(_, then, orelse):
                found += [*_sites(acc, then, loops, prims), *_sites(acc, orelse, loops, prims)]
            case op if acc in contributed(op):
                found.append(False)
            case _:
                pass
    return found


def injective(loops: Sequence[Var], index: Sequence[Atom], prims: Mapping[Var, Prim]) -> bool:
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

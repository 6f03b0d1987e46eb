"""Dead code: what no result needs, goes.

    let x... = op in b   ->   b                            no x is live and op holds no live Check or Contribute
    For, Loop, While, If, Accumulate, Operator             the same, each result with its part of the op by itself
    set(m(x, e, v), e, x[e])   ->   x                      an update by a monoid m undone, where nothing else sees it
    Accumulate [] b   ->   b                               no accumulator is live

A result is live if a live statement or the block's outs mention it.  A carry is live if its final value is, or if the
body or the condition needs it for something live: a carry that only feeds itself is dead.  An accumulator is live if
its final value is, and keeps all its Contributes; an append keeps only its live columns, an operator only its live
components.  An If or a loop that holds something live keeps its predicate or its turns.  Contributes to accumulators
from outside the block are live.

Checks stay (those of an operator with its operator).  A Read out of bounds, an integer division by zero, a failing
library operation or a While that never ends may go when its result is dead.  Linear in the program's size; what is
known to hold no dead code is given back as it is.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from iverson.core.rewrite import (
    FLAT,
    Env,
    alike,
    atoms,
    blocks,
    kept,
    lookup,
    map_op,
    operators,
    remade,
    rename_type,
    type_atoms,
    with_body,
    with_lets,
)
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Loop,
    Map,
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

A = TypeVar("A", bound=Atom)
Part: TypeAlias = tuple[Let, int]  # a statement and the position of one of its results


_LEAN: dict[int, weakref.ref[Block]] = {}  # blocks without dead code, by identity


def dce(function: Function) -> Function:
    """The function without what none of its outs needs."""
    key = id(function.body)
    if key in _LEAN and _LEAN[key]() is function.body:
        return function
    lean = dce_block(function.body)
    _note(id(lean), lean)
    return with_body(function, lean)


def _note(key: int, lean: Block) -> None:
    _LEAN[key] = weakref.ref(lean, lambda _: _LEAN.pop(key, None))


def dce_block(block: Block, live: Sequence[int] | None = None) -> Block:
    """The block with only the outs at the positions `live` (all by default), and what they need."""
    outs: Sequence[int] = range(len(block.outs)) if live is None else live
    while True:
        same = _undone(block)
        marks = _Marks(block, same)
        marks.need_all([block.outs[k] for k in outs])
        marks.spread()
        block = _Sweep(marks).block(block, outs)
        if not same:
            return block
        outs = range(len(outs))


# --- updates undone ---------------------------------------------------------------------------------------------------


def _undone(block: Block) -> dict[Var, Atom]:
    """Results of updates that give back an earlier array: z -> x where z = set(m(x, e, v), e, x[e])."""
    reads: dict[Var, Read] = {}
    updates: dict[Var, tuple[Atom, Contribute]] = {}
    _collect(block, reads, updates)
    if not updates:
        return {}
    uses: dict[Atom, int] = {}
    _count(block, uses)
    same: dict[Var, Atom] = {}
    for z, (y, second) in updates.items():
        old = reads.get(second.values[0]) if isinstance(second.values[0], Var) else None
        inner = updates.get(y) if isinstance(y, Var) else None
        if old is None or old.index != second.index or _accumulator(second.acc).monoid != "set":
            continue
        if old.array is y:
            same[z] = y
        elif inner and inner[0] is old.array and inner[1].index == old.index and uses[y] == 1:
            same[z] = old.array
    return {z: _chase(x, same) for z, x in same.items()}


def _chase(x: Atom, same: Env) -> Atom:
    while isinstance(x, Var) and x in same:
        x = same[x]
    return x


def _collect(block: Block, reads: dict[Var, Read], updates: dict[Var, tuple[Atom, Contribute]]) -> None:
    """Element reads, and updates of one element."""
    for let in block:
        if type(let.op) in FLAT:
            if isinstance(let.op, Read) and not isinstance(let.vars[0].type, Array):
                reads[let.vars[0]] = let.op
            continue
        match let.op:
            case Accumulate((Var(type=Accumulator(str())),), ((init,),), Block((Let(_, Contribute() as one),), ())):
                updates[let.vars[0]] = init, one
        for _, inner in blocks(let.op):
            _collect(inner, reads, updates)


def _count(block: Block, uses: dict[Atom, int]) -> None:
    """How often each atom is mentioned."""
    for let in block:
        for a in atoms(let.op):
            uses[a] = uses.get(a, 0) + 1
        for _, inner in blocks(let.op):
            _count(inner, uses)
    for a in block.outs:
        uses[a] = uses.get(a, 0) + 1


# --- marking ----------------------------------------------------------------------------------------------------------


class _Marks:
    """What is live: `parts` of statements, and the `lets` that stay (some, for an effect alone, without any part)."""

    def __init__(self, block: Block, same: Env) -> None:
        self.same = same
        self.source: dict[Var, Part] = {}  # results, and the carries and operands that stand for them inside
        self.parent: dict[int, Let] = {}
        self.contributes: dict[Var, list[Let]] = {}
        self.guards: dict[int, list[Let]] = {}  # the Checks of an operator
        self.lets: set[int] = set()
        self.parts: dict[int, set[int]] = {}
        self.columns: dict[Var, set[int]] = {}  # of the live accumulators
        self.pending: list[tuple[Let, int | None]] = []
        self.bound: set[Var] = set()
        self.index(block, None, None)
        for acc in self.contributes.keys() - self.bound:
            self.contributions(acc, range(len(_accumulator(acc).dtypes)))

    def index(self, block: Block, parent: Let | None, operator: Operator | None) -> None:
        for let in block:
            op = let.op
            if parent:
                self.parent[id(let)] = parent
            for k, v in enumerate(let.vars):
                self.source[v] = let, k
            if isinstance(op, Prim | Read | Library):
                continue
            if isinstance(op, Loop | While):
                self.source.update({v: (let, k) for k, v in enumerate(op.carry)})
            if isinstance(op, Accumulate):
                self.bound.update(op.accs)
            if isinstance(op, Contribute):
                self.contributes.setdefault(op.acc, []).append(let)
            if isinstance(op, Check) and operator:
                self.guards.setdefault(id(operator), []).append(let)
            elif isinstance(op, Check):
                self.touch(let)
            if isinstance(op, For):
                self.operands(let, op)
            inside = {id(b): o for o in operators(op) for b in (o.body, o.inverse) if b is not None}
            for _, inner in blocks(op):
                self.index(inner, let, inside.get(id(inner), operator))

    def operands(self, let: Let, op: For) -> None:
        """Operand i of an operator stands for component i of its yield."""
        at = 0
        for y in op.yields:
            if isinstance(y, Reduce | Scan) and isinstance(y.monoid, Operator):
                for k in range(width(y)):
                    self.source[y.monoid.left[k]] = self.source[y.monoid.right[k]] = let, at + k
            at += width(y)

    def need(self, atom: Atom) -> None:
        atom = lookup(atom, self.same)
        if isinstance(atom, Var) and atom in self.source:
            self.part(*self.source[atom])

    def need_all(self, needed: Sequence[Atom]) -> None:
        for a in needed:
            self.need(a)

    def part(self, let: Let, k: int) -> None:
        parts = self.parts.setdefault(id(let), set())
        if k not in parts:
            parts.add(k)
            self.touch(let)
            self.pending.append((let, k))

    def touch(self, let: Let) -> None:
        if id(let) not in self.lets:
            self.lets.add(id(let))
            self.pending.append((let, None))

    def spread(self) -> None:
        """Mark everything that what is marked needs."""
        while self.pending:
            let, k = self.pending.pop()
            if k is None:
                self.statement(let)
            else:
                self.need_all(type_atoms(let.vars[k].type))
                self.result(let, k)

    def statement(self, let: Let) -> None:
        """What a statement needs whichever of its results are live."""
        if id(let) in self.parent:
            self.touch(self.parent[id(let)])
        match let.op:
            case Prim() | Read() | Library() | Check():
                self.need_all(tuple(atoms(let.op)))
            case For(_, extent):
                self.need_all(extent)
            case Loop(_, extent):
                self.need(extent)
            case While(_, _, cond):
                self.need_all(cond.outs)
            case If(pred):
                self.need(pred)
            case _:
                pass

    def result(self, let: Let, k: int) -> None:
        """What one result needs."""
        match let.op:
            case For() as op:
                self.for_part(let, op, k)
            case Loop(_, _, carry, inits, body) | While(carry, inits, _, body):
                self.need(body.outs[k])
                if k < len(carry):
                    self.need(inits[k])
                    self.need_all(type_atoms(carry[k].type))
            case If(_, then, orelse):
                self.need(then.outs[k])
                self.need(orelse.outs[k])
            case Accumulate() as op:
                self.accumulate_part(op, k)
            case _:
                pass

    def for_part(self, let: Let, op: For, k: int) -> None:
        at, y = _yield_of(op, k)
        self.need(op.body.outs[k])
        if isinstance(y, Map):
            return
        if not isinstance(y.monoid, Operator):
            for j in range(at, at + width(y)):
                self.part(let, j)
            return
        m, i = y.monoid, k - at
        self.need_all((m.identity[i], m.body.outs[i], *type_atoms(m.left[i].type), *type_atoms(m.right[i].type)))
        if m.inverse is not None:
            for j in range(at, at + width(y)):
                self.part(let, j)
            self.need_all(m.inverse.outs)
        for guard in self.guards.get(id(m), ()):
            self.touch(guard)

    def accumulate_part(self, op: Accumulate, k: int) -> None:
        for acc, inits in zip(op.accs, op.inits, strict=True):
            count = len(_accumulator(acc).dtypes)
            append = _accumulator(acc).monoid == "append"
            if k < count + append:
                self.accumulator(acc, inits)
                if append and k > 0:
                    self.column(acc, k - 1)
                return
            k -= count + append
        self.need(op.body.outs[k])

    def accumulator(self, acc: Var, inits: Sequence[Atom]) -> None:
        """A live accumulator: all its Contributes are; of an append one column at least."""
        if acc in self.columns:
            return
        t = _accumulator(acc)
        self.need_all((*inits, *t.extents))
        self.contributions(acc, range(1 if t.monoid == "append" else len(t.dtypes)))
        if isinstance(t.monoid, Operator):
            self.need_all((*t.monoid.identity, *t.monoid.body.outs))
            for guard in self.guards.get(id(t.monoid), ()):
                self.touch(guard)

    def contributions(self, acc: Var, columns: Sequence[int]) -> None:
        self.columns[acc] = set()
        for let in self.contributes.get(acc, ()):
            assert isinstance(let.op, Contribute)
            self.touch(let)
            self.need_all(let.op.index)
        for c in columns:
            self.column(acc, c)

    def column(self, acc: Var, c: int) -> None:
        if c not in self.columns[acc]:
            self.columns[acc].add(c)
            for let in self.contributes.get(acc, ()):
                assert isinstance(let.op, Contribute)
                self.need(let.op.values[c])


def _yield_of(op: For, k: int) -> tuple[int, Yield]:
    """The yield that result k belongs to, and where it begins."""
    at = 0
    for y in op.yields:
        if k < at + width(y):
            return at, y
        at += width(y)
    raise IndexError(k)


def _accumulator(acc: Var) -> Accumulator:
    assert isinstance(acc.type, Accumulator)
    return acc.type


# --- sweeping ---------------------------------------------------------------------------------------------------------


class _Sweep:
    """Rebuilds blocks from what is marked."""

    def __init__(self, marks: _Marks) -> None:
        self.marks = marks
        self.env: dict[Var, Atom] = dict(marks.same)

    def atom(self, a: Atom) -> Atom:
        return _chase(a, self.env)

    def atoms(self, several: tuple[Atom, ...], live: Collection[int] | None = None) -> tuple[Atom, ...]:
        return _same(several, tuple(self.atom(a) for k, a in enumerate(several) if live is None or k in live))

    def block(self, block: Block, live: Collection[int]) -> Block:
        lets: list[Let] = []
        for let in block:
            if id(let) in self.marks.lets:
                self.let(let, lets)
        outs = tuple(self.atom(block.outs[k]) for k in live)
        return with_lets(block, lets) if alike(outs, block.outs) else Block(tuple(lets), outs)

    def let(self, let: Let, into: list[Let]) -> None:
        if isinstance(let.op, Prim | Read | Library | Check):
            into.append(remade(let, self.vars(let.vars), map_op(let.op, self.atom, lambda b: b)))
            return
        parts = sorted(self.marks.parts.get(id(let), ()))
        op = let.op
        match op:
            case For():
                op = self.for_(op, parts)
            case Loop():
                op = self.loop(op, parts)
            case While():
                carry, inits = self.vars(_select(op.carry, parts)), self.atoms(op.inits, parts)
                op = While(carry, inits, self.block(op.cond, range(1)), self.block(op.body, parts))
            case If():
                op = If(self.atom(op.pred), self.block(op.then, parts), self.block(op.orelse, parts))
            case Accumulate():
                self.accumulate(let, op, parts, into)
                return
            case Contribute():
                columns = self.marks.columns[op.acc]
                acc = self.atom(op.acc)
                assert isinstance(acc, Var)
                op = Contribute(acc, self.atoms(op.index), self.atoms(op.values, columns), op.safe)
        into.append(remade(let, self.vars(_select(let.vars, parts)), kept(let.op, op)))

    def vars(self, variables: tuple[Var, ...]) -> tuple[Var, ...]:
        """Binders; new ones where their extents were replaced."""
        return _same(variables, tuple(map(self.var, variables)))

    def var(self, v: Var) -> Var:
        if isinstance(v.type, Scalar) or all(self.atom(e) is e for e in type_atoms(v.type)):
            return v
        renamed = Var(rename_type(v.type, {e: self.atom(e) for e in type_atoms(v.type) if isinstance(e, Var)}), v.hint)
        self.env[v] = renamed
        return renamed

    def for_(self, op: For, parts: list[int]) -> For:
        yields, at = [], 0
        for y in op.yields:
            live = [k - at for k in parts if at <= k < at + width(y)]
            at += width(y)
            if not live:
                continue
            if not isinstance(y, Map) and isinstance(y.monoid, Operator):
                m = self.operator(y.monoid, live)
                y = y if m is y.monoid else replace(y, monoid=m)
            yields.append(y)
        return For(op.index, self.atoms(op.extent), self.block(op.body, parts), tuple(yields))

    def operator(self, m: Operator, live: list[int]) -> Operator:
        left, right = self.vars(_select(m.left, live)), self.vars(_select(m.right, live))
        inverse = None if m.inverse is None else self.block(m.inverse, live)
        return kept(m, Operator(self.atoms(m.identity, live), left, right, self.block(m.body, live), inverse))

    def loop(self, op: Loop, parts: list[int]) -> Loop:
        carries = [k for k in parts if k < len(op.carry)]
        carry = self.vars(_select(op.carry, carries))
        inits = self.atoms(op.inits, carries)
        return Loop(op.index, self.atom(op.extent), carry, inits, self.block(op.body, parts))

    def accumulate(self, let: Let, op: Accumulate, parts: list[int], into: list[Let]) -> None:
        results, accs, inits, bound = list(let.vars), [], [], []
        for acc, init in zip(op.accs, op.inits, strict=True):
            t = _accumulator(acc)
            append = t.monoid == "append"
            finals, results = results[: len(t.dtypes) + append], results[len(t.dtypes) + append :]
            if acc not in self.marks.columns:
                continue
            columns = sorted(self.marks.columns[acc])
            accs.append(self.accumulator(acc, columns))
            inits.append(self.atoms(init))
            bound += [*finals[:append], *_select(finals[append:], columns)]
        first = len(let.vars) - len(op.body.outs)
        outs = [k - first for k in parts if k >= first]
        body = self.block(op.body, outs)
        if accs:
            binders = self.vars((*bound, *_select(results, outs)))
            into.append(remade(let, _same(let.vars, binders), kept(op, Accumulate(tuple(accs), tuple(inits), body))))
        else:
            into.extend(body.lets)
            self.env.update(zip(_select(results, outs), body.outs, strict=True))

    def accumulator(self, acc: Var, columns: list[int]) -> Var:
        t = _accumulator(acc)
        if isinstance(t.monoid, Operator):
            t = replace(t, monoid=self.operator(t.monoid, list(range(len(t.dtypes)))))
        dtypes = tuple(t.dtypes[c] for c in columns)
        extents = self.atoms(t.extents)
        if isinstance(t.monoid, str) and (dtypes, extents) == (t.dtypes, t.extents):
            return acc
        new = Var(Accumulator(t.monoid, dtypes, extents), acc.hint)
        self.env[acc] = new
        return new


def _select(items: Sequence[Var], chosen: Sequence[int]) -> tuple[Var, ...]:
    return _same(items, tuple(items[k] for k in chosen))


def _same(old: Sequence[A], new: tuple[A, ...]) -> tuple[A, ...]:
    """`new`, or the tuple that it is a copy of."""
    return old if isinstance(old, tuple) and alike(old, new) else new

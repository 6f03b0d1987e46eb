"""right-looking: a turn adds what it makes to the sums of later turns, where a sum over earlier ones reads at strides.

    a = Loop (j < n) [a = a0] { .. s = For (k < j) { B(a, k, j); e } yields [Reduce m]; .. }

        ->   a, _ = Loop (j < n) [a = a0, t = (identity of m)...] { .. s = t[j]; ..
                 Accumulate [acc = m t] { For (l < n - 1 - j) { B(a', j, j + 1 + l); acc[j + 1 + l] <- e } } }

where B is a few primitives and reads, and a' is what the turn has made of a: B reads no place that a turn after k may
write.  A read that may be out of bounds, but then whatever k is, is checked in turn j, and made ahead as far as it
isn't.  Linear algebra calls the first left-looking, the second right-looking: x[j] -= U[k, j] x[k] goes down a column
of U for all k < j, along a row for all j > k, in vectors and without a chain of additions.

Invariant: results are the same, to the bit: each sum takes its terms in the same order.  The count rises by n for the
array of sums, by a few for each turn, and for each term by the arithmetic of its indices.  That is why it is done only
where reads at strides become reads in a row; not within a For, whose turns may be the better lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from iverson.core import monoids
from iverson.core.bounds import Sizes
from iverson.core.build import Builder, Outs, dtype_of, literal
from iverson.core.rewrite import (
    atoms,
    fresh_all,
    map_blocks,
    rename,
    statements,
    with_body,
    with_lets,
    with_op,
)
from iverson.core.sizes import Size, size, substitute
from iverson.core.syntax import (
    Accumulate,
    Array,
    Atom,
    Block,
    For,
    Function,
    Let,
    Literal,
    Loop,
    Op,
    Prim,
    Read,
    Reduce,
    Scalar,
    Var,
    width,
)
from iverson.opt.effects import extents
from iverson.opt.history import History, Turns

MOST = 12  # statements of a sum's terms
FEW = 16  # turns, if known to be so few: the loop is written out


def run(f: Function) -> Function:
    """Every such sum that the sequential loops of a program have."""
    loops = (let.op for let in statements(f.body) if isinstance(let.op, Loop))
    if not any(isinstance(let.op, For) and _adds_up(let.op) for op in loops for let in op.body):
        return f
    return with_body(f, _Ahead(f).block(f.body))


@dataclass(frozen=True)
class _Sum:
    """Sums over the turns before, and what of the turn their terms are made of besides."""

    let: Let
    own: tuple[Let, ...]
    checks: list[tuple[Atom, Atom, int]]  # indices and extents of reads that may be out of bounds, and their axes
    ends: list[tuple[Atom, Atom, bool]]  # indices, extents that they must stay below, and if they grow with the turns

    @property
    def op(self) -> For:
        assert isinstance(self.let.op, For)
        return self.let.op

    @property
    def identities(self) -> list[Literal]:
        """One for each result."""
        found: list[Literal] = []
        for y in self.op.yields:
            assert isinstance(y, Reduce) and isinstance(y.monoid, str)
            first, *index = monoids.identity(y.monoid, dtype := dtype_of(self.let.vars[len(found)]))
            found += [literal(first, dtype), *map(literal, index)]
        return found


class _Ahead:
    def __init__(self, f: Function) -> None:
        self.sizes = Sizes(f)

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            new = let if isinstance(let.op, For) else map_blocks(let, self.within(let.op))
            lets += self.loop(new, new.op) if isinstance(new.op, Loop) else [new]
            self.sizes.bind(let)
        return with_lets(block, lets)

    def within(self, op: Op) -> Callable[[Block], Block]:
        def walk(inner: Block) -> Block:
            with self.sizes.inside(op, inner):
                return self.block(inner)

        return walk

    def loop(self, let: Let, op: Loop) -> list[Let]:
        """The loop, and the arrays of its sums before it."""
        if isinstance(op.extent, Literal) and op.extent.value <= FEW:
            return [let]
        histories = _Histories(self.sizes, op)
        with self.sizes.inside(op, op.body):
            found = self.sums(op, histories)
        return _ahead(let, op, found, histories.final()) if found else [let]

    def sums(self, op: Loop, histories: _Histories) -> list[_Sum]:
        """The sums of a turn that are of this kind."""
        found: list[_Sum] = []
        made: dict[Atom, Let] = {}
        for let in op.body:
            if isinstance(let.op, For) and _adds_up(let.op) and self.equal(let.op.extent[0], op.index):
                own = _own(op, let.op, made, histories)
                if own is not None and self.pays(op, let.op) and self.settled(let.op, histories):
                    checks = self.checks(let.op)
                    found += [] if checks is None else [_Sum(let, own, checks, [])]
            if isinstance(let.op, Prim):
                made[let.vars[0]] = let
            self.sizes.bind(let)
        return [s for s in found if self.reaches(op, s)]

    def equal(self, a: Atom, b: Atom) -> bool:
        return self.sizes.same(a, b) or (self.sizes.le(a, b) and self.sizes.le(b, a))

    def pays(self, op: Loop, inner: For) -> bool:
        """Do all reads go along rows from turn to turn, and not all of them from term to term?"""
        (k,), j = inner.index, op.index
        indices = [i for let in inner.body if isinstance(let.op, Read) for i in let.op.index]
        if not all(isinstance(let.op, Prim) for let in _cone(inner.body, indices)):
            return False
        bound = {v for block in (op.body, inner.body) for let in block for v in let.vars} - {k, j}
        now, later = [], []
        with self.sizes.inside(inner, inner.body):
            for let in inner.body:
                self.sizes.bind(let)
                if isinstance(let.op, Read):
                    at = [self.sizes.of(i) for i in let.op.index]
                    if any(v in bound for p in at for v in p.variables()):
                        return False
                    now.append(_in_row(at, k))
                    later.append(_in_row(at, j))
        return all(later) and not all(now)

    def settled(self, inner: For, histories: _Histories) -> bool:
        """Is what its reads see what turn k leaves?"""
        with self.sizes.inside(inner, inner.body):
            for let in inner.body:
                if isinstance(let.op, Read) and not histories.spares(let.op, inner.index[0]):
                    return False
                self.sizes.bind(let)
        return True

    def checks(self, inner: For) -> list[tuple[Atom, Atom, int]] | None:
        """Indices, extents and axes of reads that may be out of bounds; None if only some k are."""
        found: list[tuple[Atom, Atom, int]] = []
        with self.sizes.inside(inner, inner.body):
            for let in inner.body:
                if isinstance(let.op, Read) and not let.op.safe:
                    for axis, (i, n) in enumerate(zip(let.op.index, extents(let.op.array.type), strict=False)):
                        if not self.sizes.within(i, n):
                            found.append((i, n, axis))
                self.sizes.bind(let)
        return None if any(inner.index[0] in self.sizes.of(i).factors() for i, _, _ in found) else found

    def reaches(self, op: Loop, s: _Sum) -> bool:
        """Are the reads in bounds at the end of turn k, too, as far as that isn't tested (`ends`)?

        A turn that has an element beyond an end raises before it uses the sum.
        """
        later = Var(op.index.type, "later")
        self.sizes.later(later, op.index, op.extent)
        then = {s.op.index[0]: size(op.index), op.index: self.sizes.of(later)}
        for read in (let.op for let in s.op.body if isinstance(let.op, Read)):
            for axis, (i, n) in enumerate(zip(read.index, extents(read.array.type), strict=False)):
                here = self.sizes.of(i)
                p = substitute(here, then)
                positive, grows = self.sizes.nonnegative(p), op.index in here.factors()
                if positive and self.sizes.nonnegative(self.sizes.of(n) - p - 1):
                    continue
                if s.op.index[0] in here.factors() or (grows and not (positive and axis == len(read.index) - 1)):
                    return False
                s.ends.append((i, n, grows))
        return True


def _in_row(place: Sequence[Size], i: Var) -> bool:
    """Does a place stay, or move to the next element of its row, where an index grows by one?"""
    steps = [(p.replace(i, size(i) + 1) - p).constant for p in place]
    return all(step == 0 for step in steps[:-1]) and steps[-1] in (0, 1)


def _adds_up(op: For) -> bool:
    """One index, a few primitives and reads, and built-in reductions of scalars."""
    plain = all(isinstance(s.op, Prim | Read) for s in op.body)
    kinds = all(isinstance(y, Reduce) and y.monoid in monoids.MONOIDS for y in op.yields)
    small = len(op.index) == 1 and len(op.body.lets) <= MOST
    return small and plain and kinds and all(isinstance(v.type, Scalar) for s in op.body for v in s.vars)


def _own(op: Loop, inner: For, made: Mapping[Atom, Let], histories: _Histories) -> tuple[Let, ...] | None:
    """The primitives of the turn that the terms of a sum depend on; None if they depend on more."""
    turn = {v for let in op.body for v in let.vars} | set(op.carry)
    used = [a for let in inner.body for a in atoms(let.op)] + list(inner.body.outs)
    own = _cone(made.values(), used)
    used += [a for let in own for a in atoms(let.op)]
    return None if any(a in turn and a not in made and a not in histories.versions for a in used) else own


def _cone(lets: Iterable[Let], wanted: Iterable[Atom]) -> tuple[Let, ...]:
    """Those statements that some atoms depend on."""
    needed, found = set(wanted), list[Let]()
    for let in reversed(tuple(lets)):
        if not needed.isdisjoint(let.vars):
            found.insert(0, let)
            needed.update(atoms(let.op))
    return tuple(found)


def _starts(op: For) -> list[int]:
    """Where the results of each yield begin."""
    return [sum(map(width, op.yields[:k])) for k in range(len(op.yields))]


class _Histories:
    """Of the arrays that a loop carries, those of which all versions are known."""

    def __init__(self, sizes: Sizes, op: Loop) -> None:
        self.sizes, self.op = sizes, op

    @cached_property
    def versions(self) -> dict[Atom, tuple[History, int]]:
        found: dict[Atom, tuple[History, int]] = {}
        for k, carry in enumerate(self.op.carry):
            history = History(self.sizes, {carry: (Turns(self.op),)})
            if isinstance(carry.type, Array) and history.follows(self.op, k):
                found.update(dict.fromkeys(history.past, (history, k)))
        return found

    def spares(self, read: Read, k: Var) -> bool:
        """Does no turn after turn k write the place of a read?"""
        if read.array not in self.versions:
            return True
        history, _ = self.versions[read.array]
        env: dict[Var, Atom] = {}
        (later, *_) = fresh_all((self.op.index, *self.op.carry), env)
        with self.sizes.inside(Accumulate((), (), self.op.body), self.op.body):
            self.sizes.later(later, k, self.op.extent)
            return history.apart(self.op.body, env, read.index)

    def final(self) -> dict[Var, Atom]:
        """Each version of an array, and the one at the end of the turn."""
        return {v: self.op.body.outs[k] for v, (_, k) in self.versions.items() if isinstance(v, Var)}


def _ahead(let: Let, op: Loop, sums: list[_Sum], final: Mapping[Var, Atom]) -> list[Let]:
    """The loop with these sums made ahead; `final`: what versions of its arrays are at the end of the turn."""
    b = Builder()
    b.site = let.site
    with b.scope() as before:
        inits = [b.full([op.extent], identity) for s in sums for identity in s.identities]
    carry = tuple(Var(a.type, "ahead") for a in inits)
    at = dict(zip((v for s in sums for v in s.let.vars), carry, strict=True))
    found = {s.let.vars: s for s in sums}
    lets: list[Let] = []
    for stmt in op.body:
        if stmt.vars in found and stmt.vars:
            reads = [Let((v,), Read(at[v], (op.index,), safe=True), stmt.site) for v in stmt.vars]
            lets += [*_checked(op, found[stmt.vars]), *reads]
        else:
            lets.append(stmt)
    with b.scope() as after:
        ends = [e for s in sums for e in _contributed(b, op, s, [at[v] for v in s.let.vars], final)]
    known = len(op.carry)
    body = Block((*lets, *after), (*op.body.outs[:known], *ends, *op.body.outs[known:]))
    loop = Loop(op.index, op.extent, (*op.carry, *carry), (*op.inits, *inits), body, op.tape)
    binds = (*let.vars[:known], *(Var(c.type, c.hint) for c in carry), *let.vars[known:])
    return [*before, Let(binds, loop, let.site)]


def _checked(op: Loop, s: _Sum) -> list[Let]:
    """Raises what the first term's reads would raise, if there is a term."""
    b = Builder()
    b.site = s.let.site
    indices = [i for i, _, _ in s.checks]
    with b.scope() as lets:
        firsts = b.splice(rename(Block(_cone(s.op.body, indices), tuple(indices)), {s.op.index[0]: literal(0)}))
        for first, (_, n, axis) in zip(firsts, s.checks, strict=True):
            inside = b.prim("and", b.o.ge(first, 0), b.o.lt(first, n))
            message = f"index {{}} is out of bounds for axis {axis} with size {{}}"
            b.check(b.prim("or", inside, b.o.lt(op.index, 1)), message, first, n, error="IndexError")
    return lets


def _contributed(b: Builder, op: Loop, s: _Sum, columns: list[Var], final: Mapping[Var, Atom]) -> tuple[Var, ...]:
    """The sums of later turns, with the terms that this turn has made."""
    b.site = s.let.site
    groups = [columns[at : at + width(y)] for y, at in zip(s.op.yields, _starts(s.op), strict=True)]
    begin = b.o.add(op.index, 1)

    def at_turn(later: Atom, lets: Sequence[Let], outs: Sequence[Atom]) -> tuple[Atom, ...]:
        """What statements of the sum give in a later turn, for the term of this one."""
        env: dict[Var, Atom] = {**final, s.op.index[0]: op.index, op.index: later}
        safe = [with_op(x, replace(x.op, safe=True)) if isinstance(x.op, Read) else x for x in (*s.own, *lets)]
        return b.splice(rename(Block(tuple(safe), tuple(outs)), env))

    def terms(*accs: Var) -> Outs:
        def term(i: Var) -> Outs:
            later = b.o.add(begin, i)
            values = at_turn(later, s.op.body.lets, s.op.body.outs)
            for acc, group, at in zip(accs, groups, _starts(s.op), strict=True):
                b.contribute(acc, [later], *values[at : at + len(group)], safe=True)
            return ()

        b.for_(turns, term, [])
        return ()

    turns = b.o.sub(op.extent, begin)
    if s.ends:
        indices = [i for i, _, _ in s.ends]
        firsts = at_turn(begin, _cone(s.op.body, indices), indices)
        for first, (_, n, grows) in zip(firsts, s.ends, strict=True):
            inside = b.prim("and", b.o.ge(first, 0), b.o.lt(first, n))
            turns = b.o.min(turns, b.o.max(b.o.sub(n, first), 0)) if grows else b.o.select(inside, turns, 0)
    kinds = [y.monoid for y in s.op.yields if isinstance(y, Reduce)]
    return b.accumulate(list(zip(kinds, groups, strict=True)), terms)

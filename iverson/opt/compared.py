"""compared: what is kept only to be compared later is compared where it is made, and the answers are kept.

    r = Loop (t < n) { .. } emits a                  m = Loop (t < n) { ..; q = For [j < k] { p(a, j) } } emits q
    For [j < k] { .. p(r[n - 1 - t, .], j) .. }      ->      For [j < k] { .. m[n - 1 - t, j] .. }

where all that is read of r goes, through primitives, into bools, and what else those take is known where r is made; and
so for what a For maps.  Then r isn't needed any more, and a bool takes an eighth of a float64.  A return sweep reads so
what decided a minimum, a limiter, or a branch.

Invariant: nothing is compared that wasn't before, unless the later loop doesn't run.  What only the comparisons used
goes; so the count rises by at most two for each element, and by what the later loop has another use for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from iverson.core.build import dtype_of, extents_of, results
from iverson.core.dce import dce
from iverson.core.rewrite import map_blocks, statements, with_body, with_lets
from iverson.core.syntax import (
    BOOL,
    Accumulate,
    Array,
    Atom,
    Block,
    For,
    Function,
    Let,
    Literal,
    Loop,
    Map,
    Prim,
    Read,
    Scalar,
    Var,
)
from iverson.opt import bounds, siblings, simplify
from iverson.opt.stacked import Maker, Stacks

LONGEST = 24  # primitives and reads that a comparison may take
ROUNDS = 16


def run(f: Function) -> Function:
    """One array after the other, as long as there is one."""
    new, refused = f, set[Var]()
    for _ in range(ROUNDS):
        program = _Finder(new)
        found = next((c for r in program.candidates() if r not in refused and (c := program.kept(r, refused))), None)
        if found is None:
            break
        made = bounds.run(with_body(new, found.applied(new.body)))
        if all(let.op.safe for let in statements(made.body) if isinstance(let.op, Read) and let.vars[0] in found.reads):
            new = dce(made)
        else:
            refused.add(found.array)
    return f if new is f else simplify.run(siblings.run(new))


class _Refused(Exception):
    """A comparison takes what isn't known there."""


@dataclass
class _Mask:
    """A comparison, where it is made: its statements, the loops around them, and what it is read as later."""

    lets: list[Let]
    answer: Atom
    inner: dict[Var, tuple[Var, Atom]] = field(default_factory=dict)  # later index -> index here, its extent


@dataclass
class _Kept:
    """An array, and the comparisons that take its place."""

    array: Var
    maker: Maker
    masks: dict[Var, tuple[Var, _Mask, tuple[Atom, ...]]]  # later bool -> array of bools, comparison, later index
    reads: set[Var]

    def applied(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            if let is self.maker.let:
                lets.append(self.making())
            elif len(let.vars) == 1 and let.vars[0] in self.masks:
                mask, _, index = self.masks[let.vars[0]]
                lets.append(Let(let.vars, Read(mask, index, safe=True), let.site))
            else:
                lets.append(map_blocks(let, self.applied))
        return with_lets(block, lets)

    def making(self) -> Let:
        let, op = self.maker.let, self.maker.op
        lets, outs = list(op.body.lets), list(op.body.outs)
        for _, mask, _ in self.masks.values():
            if mask.inner:
                index, extent = zip(*mask.inner.values(), strict=True)
                each = For(index, extent, Block(tuple(mask.lets), (mask.answer,)), (Map(),))
                (answer,) = results(each)
                lets.append(Let((answer,), each, let.site))
                outs.append(answer)
            else:
                lets += mask.lets
                outs.append(mask.answer)
        body = Block(tuple(lets), tuple(outs))
        new = replace(op, body=body)
        if isinstance(new, For):
            new = replace(new, yields=(*new.yields, *(Map() for _ in self.masks)))
        return Let((*let.vars, *(m for m, _, _ in self.masks.values())), new, let.site)


class _Finder(Stacks):
    """What is only compared."""

    def candidates(self) -> Iterator[Var]:
        for r in self.makers:
            t = r.type
            if isinstance(t, Array) and t.dtype is not BOOL and not all(isinstance(n, Literal) for n in t.extents):
                yield r

    def answers(self, r: Var) -> dict[Var, Read] | None:
        """The bools that what is read of an array goes into, each with a read; None if it goes elsewhere too."""
        found: dict[Var, Read] = {}
        for user in self.users.get(r, []):
            read = user[0].op if user is not None else None
            if user is None or not isinstance(read, Read) or r in read.index or not read.safe:
                return None
            todo = list(user[0].vars)
            while todo:
                for by in self.users.get(todo.pop(), []):
                    if by is None or not isinstance(by[0].op, Prim):
                        return None
                    (v,) = by[0].vars
                    if v.type == Scalar(BOOL):
                        found[v] = read
                    else:
                        todo.append(v)
        return found

    def kept(self, r: Var, refused: set[Var]) -> _Kept | None:
        """An array and the comparisons that take its place, if that can be."""
        maker, answers = self.makers[r], self.answers(r)
        most = {"float64": 4, "int64": 4}.get(dtype_of(r).value, 2)
        if not answers or len(answers) > most or not self.lives(maker.stacked[r], maker):
            refused.add(r)
            return None
        kept = _Kept(r, maker, {}, set())
        own = extents_of(r)[len(maker.index) :]
        try:
            for v, read in answers.items():
                lead = read.index[: len(maker.index)]
                mask = _Comparison(self, maker, lead, v).mask(kept.reads)
                extent = tuple(n for _, n in mask.inner.values())
                if any(extent.count(n) > own.count(n) for n in extent):
                    raise _Refused
                t = Array(BOOL, (*maker.extent, *extent))
                kept.masks[v] = Var(t, "mask"), mask, (*lead, *mask.inner)
        except _Refused:
            refused.add(r)
            return None
        return kept


class _Comparison:
    """A bool of the later loop, made in a turn of the statement that makes what it compares."""

    def __init__(self, program: _Finder, maker: Maker, lead: Sequence[Atom], answer: Var) -> None:
        self.program, self.maker, self.lead, self.answer = program, maker, lead, answer
        self.env: dict[Var, Atom] = {}
        if len({*lead}) != len(lead) or not all(isinstance(a, Var) for a in lead):
            raise _Refused
        self.env.update(zip(lead, maker.index, strict=True))  # type: ignore[arg-type]
        self.inner: dict[Var, tuple[Var, Atom]] = {}
        self.lets: list[Let] = []
        self.there = {_key(let.op): let.vars[0] for let in maker.op.body if isinstance(let.op, Prim | Read)}
        self.extent: dict[Var, Atom] = {}  # of the indices of the later loops
        _, scope, _ = program.made[answer]
        for inside in scope.upwards():
            if inside is maker.scope:
                break
            if isinstance(inside.op, For):
                self.extent.update(zip(inside.op.index, inside.op.extent, strict=True))
            elif not isinstance(inside.op, Loop | Accumulate):
                raise _Refused

    def mask(self, reads: set[Var]) -> _Mask:
        answer = self.atom(self.answer)
        reads.update(let.vars[0] for let in self.lets if isinstance(let.op, Read))
        return _Mask(self.lets, answer, self.inner)

    def atom(self, a: Atom) -> Atom:
        if isinstance(a, Literal):
            return a
        if a not in self.env:
            self.env[a] = self.remade(a)
        return self.env[a]

    def remade(self, v: Var) -> Atom:
        if self.program.known(v, self.maker):
            return v
        if v in self.extent:
            n = self.extent[v]
            if isinstance(n, Var) and not self.program.known(n, self.maker):
                raise _Refused
            here = Var(v.type, v.hint)
            self.inner[v] = here, n
            return here
        let = self.program.made[v][0]
        op = None if let is None else let.op
        if isinstance(op, Prim):
            return self.emit(Prim(op.name, tuple(map(self.atom, op.args))), let)
        if not isinstance(op, Read) or not isinstance(v.type, Scalar):
            raise _Refused
        array, index = self.source(op)
        if not index:
            return array
        assert isinstance(array, Var)
        return self.emit(Read(array, tuple(map(self.atom, index))), let)

    def source(self, read: Read) -> tuple[Atom, tuple[Atom, ...]]:
        """What a read of the later loop reads of in the turn."""
        if self.program.known(read.array, self.maker):
            return read.array, read.index
        lead, index = read.index[: len(self.lead)], read.index[len(self.lead) :]
        given = self.maker.stacked.get(read.array)
        if given is None or lead != tuple(self.lead) or not self.program.lives(given, self.maker):
            raise _Refused
        return given, index

    def emit(self, op: Prim | Read, let: Let | None) -> Var:
        """What the turn has made already, or a statement of its own."""
        if _key(op) in self.there:
            return self.there[_key(op)]
        if len(self.lets) >= LONGEST or (isinstance(op, Prim) and self.program.effects.fails(op)):
            raise _Refused
        (v,) = results(op)
        self.lets.append(Let((v,), op, None if let is None else let.site))
        return v


def _key(op: Prim | Read) -> tuple[object, ...]:
    return (op.name, op.args) if isinstance(op, Prim) else (op.array, op.index)

"""Checkpoints: of a loop's states some are kept, and the turns between them run again.

    x' = Loop (i < n) [c = x] { B }   with s slots        turns in blocks of k, q = 0 .. last

    forward    descend(0, last); the last block
    return     for q = last .. 0:   record block q from its state, and sweep it back
                                    drop the top of the stack if it is the state of q
                                    descend(from the top of the stack, q - 1)

    descend(a, q)    runs from block a, whose state is on top of the stack, to the state of block q.  While a < q: run
                     m blocks, and push the state reached, unless it is q's.

With l = q + 1 - a blocks to go and c slots, that of a among them, C(c + r - 1, c) < l <= C(c + r, c):

    m = min(C(c + r - 1, c), l - C(c + r - 2, c - 1))

is optimal: the runs that l blocks take are t(l, c) = r l - C(c + r, r - 1), the least m + t(m, c) + t(l - m, c - 1)
(Griewank and Walther, Algorithm 799: revolve, ACM TOMS 26, 2000).  The sum of all m is t(n / k, s), the forward sweep's
but for its last block included; every block is run once more to be recorded.

Where there is room on a disk, the stack has more slots than those in memory: its bottom is in files, which are mapped
into memory.  The schedule is that of all slots, and what lies lowest is written and read least.

A state is what the loop carries, arrays as a whole.  Each block is one Loop that is recorded and swept as any other, on
arrays of its own, so what surrounds the loop has no part in it.  A nested loop keeps nothing in the forward sweep (its
surroundings would have to store it for each of their turns), nor does a While, whose turns are only counted there: the
return sweep begins by descending from the start, one run more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from iverson.core.build import Builder, as_atom, dtype_of, extents_of, literal, results
from iverson.core.rewrite import contributed, free, rename, rename_let
from iverson.core.syntax import I64, Atom, Block, Check, Checkpoint, Contribute, Let, Loop, Scalar, Var, While
from iverson.diff.adjoints import Frame, product
from iverson.diff.contributions import strip
from iverson.diff.residuals import CheckpointRecord, Held, Plan, Step
from iverson.diff.sweep import Sweep

AT_ONCE = 4096  # numbers in the states of the turns that are recorded at once


# --- the schedule -----------------------------------------------------------------------------------------------------


def split(b: Builder, length: Atom, slots: Atom) -> Atom:
    """How many of `length` >= 2 blocks to run before the next state is kept, with `slots` slots."""
    o = b.o

    def more(r: Atom, now: Atom, _: Atom) -> tuple[Atom, ...]:
        r = o.add(r, 1)
        return r, o.floordiv(o.mul(now, o.add(slots, r)), r), now

    r, _, before = b.while_((0, 1, 1), lambda _, now, __: o.lt(now, length), more, hints=("r", "now", "before"))
    least = o.floordiv(o.mul(before, slots), o.sub(o.add(slots, r), 1))
    return o.min(before, o.sub(length, least))


@dataclass(frozen=True)
class Rows:
    """What the states that are kept have of one carry: rows in memory, the lowest ones in a file if there is one."""

    memory: Atom
    file: Atom | None = None

    def put(self, b: Builder, low: Atom, row: Atom, x: Atom) -> Rows:
        """With x in a row; the `low` lowest ones are the file's."""
        file = self.file
        if file is None:
            return replace(self, memory=_put(b, self.memory, row, x))
        memory, file = b.if_(
            b.o.lt(row, low),
            lambda: (self.memory, _put(b, file, row, x)),
            lambda: (_put(b, self.memory, b.o.sub(row, low), x), file),
        )
        return Rows(memory, file)

    def get(self, b: Builder, low: Atom, row: Atom) -> Atom:
        file = self.file
        if file is None:
            return _get(b, self.memory, row)
        (found,) = b.if_(
            b.o.lt(row, low),
            lambda: (_get(b, file, row),),
            lambda: (_get(b, self.memory, b.o.sub(row, low)),),
        )
        return found


@dataclass(frozen=True)
class Stack:
    """The states that are kept, of which blocks, and how many they are; `low` of the places for them are in files."""

    kept: tuple[Rows, ...]
    at: Atom
    top: Atom
    low: Atom

    def atoms(self) -> tuple[Atom, ...]:
        files = (rows.file for rows in self.kept if rows.file is not None)
        return (*(rows.memory for rows in self.kept), *files, self.at, self.top)

    def push(self, b: Builder, state: Sequence[Atom], block: Atom) -> Stack:
        kept = tuple(rows.put(b, self.low, self.top, x) for rows, x in zip(self.kept, state, strict=True))
        at = b.set(self.at, (self.top,), block, safe=True)
        return replace(self, kept=kept, at=at, top=b.o.add(self.top, 1))

    def drop(self, b: Builder, block: Atom) -> Stack:
        """Without the state of this block, if that is on top."""
        last = b.read(self.at, b.o.sub(self.top, 1), safe=True)
        return replace(self, top=b.o.sub(self.top, b.o.int64(b.o.eq(last, block))))

    def load(self, b: Builder) -> tuple[Atom, tuple[Atom, ...]]:
        """The block on top and its state (of no meaning if there is none)."""
        row = b.o.max(b.o.sub(self.top, 1), 0)
        return b.read(self.at, row, safe=True), tuple(rows.get(b, self.low, row) for rows in self.kept)


def _put(b: Builder, rows: Atom, row: Atom, x: Atom) -> Atom:
    if not extents_of(x):
        return b.set(rows, (row,), x, safe=True)

    def body(acc: Var) -> tuple[Atom, ...]:
        def element(*i: Var) -> tuple[Atom, ...]:
            b.contribute(acc, (row, *i), b.read(x, *i, safe=True), safe=True)
            return ()

        b.for_(extents_of(x), element, ())
        return ()

    return b.accumulate([("set", [rows])], body)[0]


def _get(b: Builder, rows: Atom, row: Atom) -> Atom:
    extents = extents_of(rows)[1:]
    return b.map(extents, lambda *i: b.read(rows, row, *i, safe=True)) if extents else b.read(rows, row, safe=True)


class Schedule:
    """The turns of a loop in blocks, and how they are run."""

    def __init__(self, b: Builder, op: Loop | While, turns: Atom, at: Callable[[Atom], Atom] = lambda a: a) -> None:
        note = op.tape
        assert isinstance(note, Checkpoint)
        self.b, self.op, self.turns, self.at = b, op, turns, at
        self.size = self._at_once() if note.block is None else as_atom(note.block)
        self.blocks = b.o.floordiv(b.o.add(turns, b.o.sub(self.size, 1)), self.size)
        slots = as_atom(note.slots)
        self.disk = note.disk
        self.rows = b.o.max(b.o.min(slots, self.blocks), 1)
        self.low: Atom = literal(0)  # rows that are in files
        if self.disk is not None and any(map(self._filed, op.carry)):
            room = b.o.floordiv(literal(self.disk.bytes), b.o.max(self._total(self._filed), 1))
            self.low = b.o.max(b.o.min(room, b.o.sub(self.blocks, slots)), 0)
            self.rows = b.o.add(self.rows, self.low)

    def _at_once(self) -> Atom:
        b = self.b
        return b.o.max(b.o.floordiv(literal(AT_ONCE), b.o.max(self._total(lambda c: 1), 1)), 1)

    def _total(self, weight: Callable[[Var], int]) -> Atom:
        """The numbers of a state, with weights."""
        b = self.b
        total: Atom = literal(0)
        for c in self.op.carry:
            total = b.o.add(total, b.o.mul(product(b, tuple(map(self.at, extents_of(c)))), weight(c)))
        return total

    def _filed(self, c: Atom) -> int:
        """The bytes that an element of a carry has in files: arrays alone are there."""
        return np.dtype(dtype_of(c).value).itemsize if self.disk is not None and extents_of(c) else 0

    def count(self, block: Atom) -> Atom:
        """The turns of a block."""
        o = self.b.o
        return self.size if self.size == literal(1) else o.min(self.size, o.sub(self.turns, o.mul(block, self.size)))

    def stack(self, state: Sequence[Atom]) -> Stack:
        """The stack that holds the state of block 0."""
        b, inner = self.b, self.b.o.sub(self.rows, self.low)
        filed = [self._filed(x) > 0 for x in state]
        memory = [
            b.zeros((inner if f else self.rows, *extents_of(x)), dtype_of(x)) for f, x in zip(filed, state, strict=True)
        ]
        low = b.zeros((self.low,), I64) if any(filed) else None
        files = [self._file(low, x) if low is not None and f else None for f, x in zip(filed, state, strict=True)]
        kept = tuple(map(Rows, memory, files))
        return Stack(kept, b.zeros((self.rows,), I64), literal(0), self.low).push(b, state, literal(0))

    def _file(self, rows: Atom, x: Atom) -> Atom:
        assert self.disk is not None
        return self.b.library("mapped", rows, x, directory=self.disk.directory)[0]

    @property
    def width(self) -> int:
        """How many names a stack has."""
        return len(self.op.carry) + sum(self._filed(c) > 0 for c in self.op.carry) + 2

    def stacked(self, atoms: Sequence[Atom]) -> Stack:
        """The stack of these names."""
        *arrays, at, top = atoms
        memory, files = arrays[: len(self.op.carry)], iter(arrays[len(self.op.carry) :])
        kept = (Rows(m, next(files) if self._filed(c) else None) for m, c in zip(memory, self.op.carry, strict=True))
        return Stack(tuple(kept), at, top, self.low)

    def run(self, start: Atom, turns: Atom, state: Sequence[Atom], turn: Turn) -> tuple[Var, ...]:
        """So many turns from the start of a block."""
        first = self.b.o.mul(start, self.size)
        return self.b.loop(turns, state, lambda j, *carry: turn(self.b.o.add(first, j), carry))

    def descend(
        self, stack: Stack, start: Atom, state: Sequence[Atom], goal: Atom, turn: Turn
    ) -> tuple[Stack, Sequence[Atom]]:
        """From a block whose state is on top of the stack to the state of block `goal`."""
        b, o, count = self.b, self.b.o, len(state)

        def step(a: Atom, *atoms: Atom) -> tuple[Atom, ...]:
            now, stacked = atoms[:count], self.stacked(atoms[count:])
            m = split(b, o.sub(o.add(goal, 1), a), o.sub(o.add(self.rows, 1), stacked.top))
            reached, after = o.add(a, m), self.run(a, o.mul(m, self.size), now, turn)
            more = b.if_(
                o.lt(reached, goal),
                lambda: stacked.push(b, after[: len(stacked.kept)], reached).atoms(),
                stacked.atoms,
            )
            return reached, *after, *more

        _, *found = b.while_((start, *state, *stack.atoms()), lambda a, *_: o.lt(a, goal), step)
        return self.stacked(found[count:]), found[:count]


Turn = Callable[[Atom, Sequence[Atom]], Sequence[Atom]]


# --- the forward sweep ------------------------------------------------------------------------------------------------


def leaf(let: Let, op: Loop | While) -> tuple[Let, CheckpointRecord]:
    """The Loop over the turns of one block; the record lacks its plan."""
    start, count = Var(Scalar(I64), "start"), Var(Scalar(I64), "count")
    state = tuple(Var(c.type, c.hint) for c in op.carry)
    b, j = Builder(), Var(Scalar(I64), "j")
    carry = tuple(Var(c.type, c.hint) for c in op.carry)
    with b.scope() as lets:
        outs = _turn(b, op, b.o.add(start, j), carry)
    loop = Loop(j, count, carry, state, Block(tuple(lets), outs))
    turns = op.extent if isinstance(op, Loop) else Var(Scalar(I64), "turns")
    record = CheckpointRecord(Plan(Block((), ()), []), start, count, state, turns)
    return Let(results(loop), loop, let.site), record


def _turn(
    b: Builder, op: Loop | While, i: Atom, carry: Sequence[Atom], env: Mapping[Var, Atom] = {}, again: bool = False
) -> tuple[Atom, ...]:
    """Turn i from a state: its outs.  With `again`, what has happened doesn't happen once more."""
    names = {**env, **dict(zip(op.carry, carry, strict=True))}
    if isinstance(op, Loop):
        names[op.index] = i
    body = op.body
    if again:
        lets = tuple(strip(let) for let in body if not isinstance(let.op, Check | Contribute))
        body = Block(lets, body.outs[: len(op.carry)])
    return b.splice(rename(body, names))


def counting(let: Let, op: While, turns: Atom) -> Let:
    """The While that counts its turns."""
    turn, b = Var(Scalar(I64), "turn"), Builder()
    with b.scope() as tail:
        following = b.o.add(turn, 1)
    body = Block((*op.body.lets, *tail), (*op.body.outs, following))
    assert isinstance(turns, Var)
    return Let((*let.vars, turns), While((*op.carry, turn), (*op.inits, literal(0)), op.cond, body), let.site)


def forward(let: Let, op: Loop, record: CheckpointRecord) -> tuple[Let, ...]:
    """The loop as it runs in a forward sweep that keeps states for the return sweep."""
    b, carries = Builder(), len(op.carry)
    b.site = let.site

    def turn(i: Atom, carry: Sequence[Atom]) -> tuple[Atom, ...]:
        outs = _turn(b, op, i, carry[:carries])
        emitted = (_put(b, rows, i, e) for rows, e in zip(carry[carries:], outs[carries:], strict=True))
        return (*outs[:carries], *emitted)

    with b.scope() as lets:
        schedule = Schedule(b, op, op.extent)
        last = b.o.max(b.o.sub(schedule.blocks, 1), 0)
        emits = [b.zeros(extents_of(v), dtype_of(v)) for v in let.vars[carries:]]
        stack = schedule.stack(op.inits)
        stack, state = schedule.descend(stack, literal(0), (*op.inits, *emits), last, turn)
        schedule.run(last, b.o.sub(op.extent, b.o.mul(last, schedule.size)), state, turn)
    *before, whole = lets
    record.held = Held(stack.atoms(), tuple(state[:carries]))
    return (*before, Let(let.vars, whole.op, let.site))


# --- the return sweep -------------------------------------------------------------------------------------------------


def checkpointed(s: Sweep, frame: Frame, step: Step, op: Loop | While, record: CheckpointRecord) -> None:
    """The return sweep of a loop of whose states some are kept."""
    grads = [s.take(frame, v) for v in step.let.vars]
    if any(g is not None for g in grads) or s.reached(frame, op):
        _Return(s, frame, step, op, record).sweep(grads)


class _Return:
    def __init__(self, s: Sweep, frame: Frame, step: Step, op: Loop | While, record: CheckpointRecord) -> None:
        self.s, self.frame, self.step, self.op, self.record = s, frame, step, op, record
        self.schedule = Schedule(s.b, op, frame.at(record.turns), frame.at)
        self.active = [k for k, c in enumerate(op.carry) if c in s.active]
        self.outer = [acc for acc in contributed(op) if acc in frame.cursors]
        self.last = s.b.o.sub(self.schedule.blocks, 1)

    def again(self, i: Atom, carry: Sequence[Atom]) -> tuple[Atom, ...]:
        return _turn(self.s.b, self.op, i, carry, self.frame.env, again=True)

    def sweep(self, grads: Sequence[Atom | None]) -> None:
        s, frame, op = self.s, self.frame, self.op
        seeds = ((self.step.let.vars[k], grads[k]) for k in self.active)
        adjoints = [s.zeros(frame, v) if g is None else g for v, g in seeds]
        stack, state = self._held()
        inits = [*adjoints, *state, *stack.atoms(), *(frame.cursors[a] for a in self.outer)]
        emits = grads[len(op.carry) :]

        def backwards(child: Frame) -> tuple[Atom, ...]:
            return s.b.loop(
                self.schedule.blocks, inits, lambda r, *atoms: self.block(child, s.b.o.sub(self.last, r), atoms, emits)
            )

        binders = (*op.carry, op.index) if isinstance(op, Loop) else op.carry
        found = s.within(frame, free(op.body, binders), backwards)
        frame.cursors.update(zip(self.outer, found[len(found) - len(self.outer) :], strict=True))
        for k, a in zip(self.active, found, strict=False):
            s.add(frame, op.inits[k], a)

    def _held(self) -> tuple[Stack, Sequence[Atom]]:
        """The stack and the state at the start of the last block."""
        if self.record.held is not None:
            held = self.record.held
            return self.schedule.stacked([*map(self.frame.at, held.stack)]), [*map(self.frame.at, held.state)]
        inits = [*map(self.frame.at, self.op.inits)]
        return self.schedule.descend(self.schedule.stack(inits), literal(0), inits, self.last, self.again)

    def block(self, child: Frame, q: Atom, atoms: Sequence[Atom], emits: Sequence[Atom | None]) -> list[Atom]:
        """Record block q, sweep it back, and go to the state of the one before."""
        s, record, carries = self.s, self.record, len(self.op.carry)
        coming = iter(atoms)
        adjoints = {k: next(coming) for k in self.active}
        state: Sequence[Atom] = [next(coming) for _ in range(carries)]
        stack = self.schedule.stacked([next(coming) for _ in range(self.schedule.width)])
        turn = child.inside({})
        turn.env |= {
            record.start: s.b.o.mul(q, self.schedule.size),
            record.count: self.schedule.count(q),
            **dict(zip(record.state, state, strict=True)),
        }
        turn.cursors.update(zip(self.outer, coming, strict=True))
        for let in record.leaf.forward():
            s.b.let(rename_let(strip(let), turn.env))
        results = record.leaf.steps[0].let.vars
        for k, g in adjoints.items():
            s.add(turn, results[k], g)
        for v, emitted in zip(results[carries:], emits, strict=True):
            if emitted is not None:
                s.add(turn, v, self._part(turn, v, emitted))
        s.block(turn, record.leaf)
        found = [s.value(turn, record.state[k]) for k in self.active]
        stack = stack.drop(s.b, q)
        start, state = stack.load(s.b)
        stack, state = self.schedule.descend(stack, start, state, s.b.o.sub(q, 1), self.again)
        return [*found, *state, *stack.atoms(), *(turn.cursors[a] for a in self.outer)]

    def _part(self, turn: Frame, v: Var, g: Atom) -> Atom:
        """The adjoint of what a block emits, of the adjoint of all that the loop does."""
        b, first = self.s.b, turn.at(self.record.start)
        extents = extents_of(turn.at(v))
        return b.map(extents, lambda j, *i: b.read(g, b.o.add(first, j), *i, safe=True))

"""Return sweeps of Loop and While: a Loop over the recorded turns, from the last.

    turn i:   start of the turn    recorded carries are read, derived ones undone: their buffers are carried back
                                   (where its statements undo them themselves, the buffer is what the turn ended with);
                                   those of which all that is read was kept are left out
              enter and sweep      seeded with the adjoints of the next carries and of what the turn emitted
              leave                the adjoints of the carries at the start, and the restored buffers

Adjoints of carries are values, so that a turn that writes one element hands the rest on.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.rewrite import contributed, free, lookup, rename_let
from iverson.core.syntax import Atom, Loop, Var, While
from iverson.diff.adjoints import Frame
from iverson.diff.checkpoints import checkpointed
from iverson.diff.residuals import CheckpointRecord, LoopRecord, Step, Updates
from iverson.diff.sweep import Sweep


def loop(s: Sweep, frame: Frame, step: Step) -> None:
    op, record = step.let.op, step.record
    assert isinstance(op, Loop | While)
    if isinstance(record, CheckpointRecord):
        checkpointed(s, frame, step, op, record)
    if not isinstance(record, LoopRecord):
        return
    grads = [s.take(frame, v) for v in step.let.vars]
    if step.chained or any(g is not None for g in grads) or s.reached(frame, op):
        _Reversed(s, frame, step, op, record).sweep(grads)


class _Reversed:
    def __init__(self, s: Sweep, frame: Frame, step: Step, op: Loop | While, record: LoopRecord) -> None:
        self.s, self.frame, self.step, self.op, self.record = s, frame, step, op, record
        self.active = [k for k, c in enumerate(op.carry) if c in s.active]
        logs = (*(log.acc for log in record.logs), *contributed(op))
        self.logs = [acc for acc in logs if acc in frame.cursors]

    def sweep(self, grads: Sequence[Atom | None]) -> None:
        s, frame, op = self.s, self.frame, self.op
        results = self.step.let.vars
        coming = {k: grads[k] for k in self.active}
        adjoints = [s.zeros(frame, results[k]) if g is None else g for k, g in coming.items()]
        buffers = [frame.at(results[k]) for k in self.record.undo]
        inits = [*adjoints, *buffers, *(frame.cursors[a] for a in self.logs)]
        turns = frame.at(self.record.turns)
        last = s.b.o.sub(turns, 1)
        emits = grads[len(op.carry) :]
        binders = (*op.carry, op.index) if isinstance(op, Loop) else op.carry

        def backwards(child: Frame) -> tuple[Atom, ...]:
            return s.b.loop(turns, inits, lambda r, *state: self.turn(child, s.b.o.sub(last, r), state, emits))

        state = iter(s.within(frame, free(op.body, binders), backwards))
        final = {k: next(state) for k in self.active}
        taken = s.derivation.taken(self.step.let)
        for k in self.record.undo:
            buffer, x = next(state), op.inits[k]
            if isinstance(x, Var) and x in taken:
                s.restore(frame, x, buffer)
        frame.cursors.update(zip(self.logs, state, strict=True))
        for k, a in final.items():
            s.add(frame, op.inits[k], a)

    def turn(self, child: Frame, i: Atom, state: Sequence[Atom], emits: Sequence[Atom | None]) -> list[Atom]:
        s, op, record = self.s, self.op, self.record
        turn = child.inside({})
        coming = iter(state)
        adjoints = {k: next(coming) for k in self.active}
        buffers = [next(coming) for _ in record.undo]
        turn.cursors.update(zip(self.logs, coming, strict=True))
        for row in record.rows:
            turn.cursors[row.acc] = s.b.o.sub(turn.cursors[row.acc], 1)
        self._start(turn, i, buffers)
        found = {t.updates.left for t in record.undo.values() if t is not None}
        s.enter(turn, record.plan, record.slots, (i,), found)
        for k, g in adjoints.items():
            s.add(turn, op.body.outs[k], g)
        for out, emitted in zip(op.body.outs[len(op.carry) :], emits, strict=True):
            if emitted is not None:
                s.add(turn, out, s.b.read(emitted, i, safe=True))
        s.block(turn, record.plan)
        return [
            *(s.value(turn, op.carry[k]) for k in self.active),
            *(turn.at(op.carry[k]) for k in record.undo),
            *(turn.cursors[a] for a in self.logs),
        ]

    def _start(self, turn: Frame, i: Atom, buffers: Sequence[Atom]) -> None:
        """Bind the turn's index, the carries that are recorded or undone, and else what the turn ended with."""
        op, record = self.op, self.record
        if isinstance(op, Loop):
            turn.env[op.index] = i
        for c in op.carry:
            if c in record.slots and c not in record.plan.given_up:  # these are read on entering: a log gives once
                turn.env[c] = record.slots[c].read(self.s.b, turn, (i,))
        for (k, turned), buffer in zip(record.undo.items(), buffers, strict=True):
            if turned is not None:
                turn.env[op.carry[turned.of]] = self._undone(turn, i, turned.updates, buffer)
            elif k in record.plan.ends:
                turn.env[record.plan.ends[k]] = buffer
        for k, names in record.forgotten.items():  # of these only the extents matter
            turn.env.update(dict.fromkeys(names, turn.at(self.step.let.vars[k])))

    def _undone(self, turn: Frame, i: Atom, log: Updates, buffer: Atom) -> Atom:
        """The buffer before the updates of turn i."""
        env = dict(turn.env)
        for v in log.names():
            if v in self.record.slots:
                env[v] = self.record.slots[v].read(self.s.b, turn, (i,))
        for let in log.lets:
            self.s.b.let(rename_let(let, env))
        if log.left is not None:
            at = [lookup(a, env) for a in log.entries[-1][0]]
            turn.env[log.left] = self.s.b.read(buffer, *at, safe=True)
        for index, old in reversed(log.entries):
            buffer = self.s.b.set(buffer, [lookup(a, env) for a in index], lookup(old, env), safe=True)
        return buffer

"""The forward sweep: every statement extended by the residuals that its return sweep needs.

For         yields what its body keeps as well; min and max also yield the winner
Loop        emits what its body keeps, the scalar carries and the arrays that no later turn has anything of; of arrays
            that live on, the old values that single updates overwrite (residuals.py says how else they are undone)
While       the same, appended to a log with one entry a turn, and the turns counted
If          each branch gives what it keeps, the other side zeros
Accumulate  its block gives what it keeps; what it overwrites of arrays is kept, or logged where that isn't regular
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from iverson.core.build import Builder, dtype_of, extents_of, literal, stacked
from iverson.core.flow import finals_of
from iverson.core.rewrite import blocks, contributed, free, needed, single_update, statements, uses
from iverson.core.syntax import (
    I64,
    Accumulate,
    Array,
    Atom,
    Block,
    Check,
    Checkpoint,
    Contribute,
    For,
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
    Scalar,
    Scan,
    Var,
    While,
    width,
)
from iverson.diff.activity import active
from iverson.diff.checkpoints import counting, forward, leaf
from iverson.diff.derivation import Derivation, moved
from iverson.diff.footprint import places
from iverson.diff.histograms import is_product
from iverson.diff.logs import OpenLog, log_before, wrap
from iverson.diff.ordered import injective
from iverson.diff.reads import kept
from iverson.diff.residuals import (
    BranchRecord,
    CheckpointRecord,
    ForRecord,
    Keep,
    LoopRecord,
    MonoidRecord,
    Plan,
    Record,
    Region,
    Slot,
    Slots,
    Step,
    Turned,
    Updates,
    varies,
)
from iverson.diff.sampled import is_mask
from iverson.diff.tape import Mode, Named
from iverson.diff.yields import EXTREMA, Yields, monoid_of


class Undone(Enum):
    """How a scope undoes what it does to an array that it updates in place."""

    TURN = "single updates: undone together, before the scope's statements run again"
    WITHIN = "each statement by its own return sweep"
    AGAIN = "an array that the scope begins: updates of few elements, which run again on what is kept of it"
    NEVER = "what the scope reads of it is kept (see reads.py)"


FEW = 4  # elements: what is recorded whole, as scalars are
KEEPING = (Undone.WITHIN, Undone.NEVER)  # what the scope itself reads is kept


class Chain(NamedTuple):
    """Array carry `of` is updated by these statements, one element each."""

    of: int
    lets: list[Let]


class Planner:
    def __init__(
        self,
        active: set[Var],
        derivation: Derivation,
        mode: Mode = "auto",
        masks: bool = False,
        again: frozenset[Named] = frozenset(),
        cheaply: bool = False,
        answers: Collection[Var] = (),
    ) -> None:
        self.active = active
        self.derivation = derivation
        self.mode: Mode = mode
        self.masks = masks
        self.again = again  # what runs again
        self.cheaply = cheaply  # in the turns of loops what is cheap does, too
        self.answers = answers  # comparisons that are kept (choices.py)
        self.looped = False
        self.shared: tuple[Let, ...] = ()  # the statements whose forward and return sweep share one scope
        self.turn: frozenset[Var] = frozenset()  # what the turns of surrounding loops bind, back to the nearest For

    # --- blocks -------------------------------------------------------------------------------------------------------

    def top(self, block: Block) -> Plan:
        """The plan of a block whose forward and return sweep share one scope.

        All its names are had there, but what branches and accumulations overwrite: they undo it, lest it be copied
        (which does for an array of few elements).
        """
        self.shared = block.lets
        looped = {x for let in block if isinstance(let.op, Loop | While) for x in self.derivation.taken(let)}
        plan = self.block(block, {v: Undone.WITHIN for v in _begun(block) if v not in looped})
        for step in plan.steps:
            step.recorded = True
        return plan

    def block(self, block: Block, arrays: Mapping[Var, Undone], handed: Collection[int] | None = None) -> Plan:
        """Plan a block that updates `arrays` in place, and hands them on by the outs at these places (None: any)."""
        tracked = dict.fromkeys(_begun(block), Undone.AGAIN) | dict(arrays)
        plan = Plan(
            block, [self.step(let, tracked) for let in block], self.mode, self.again, self.cheaply and self.looped
        )
        within = dict.fromkeys(v for v, how in tracked.items() if how is Undone.WITHIN)
        for let in block:
            rows = let.vars if isinstance(let.op, Read) else ()
            for x in (*rows, *self.derivation.taken(let)):
                within.pop(x, None)
        outs = {k: v for k, v in enumerate(block.outs) if handed is None or k in handed}
        plan.ends = moved(outs, within)
        plan.given_up = {v: None for v in within if v not in plan.ends.values()}
        return plan

    def step(self, let: Let, tracked: dict[Var, Undone]) -> Step:
        if isinstance(let.op, Prim | Read | Check | Contribute):
            touches = isinstance(let.op, Read) and tracked.get(let.op.array) in KEEPING
            if touches and isinstance(let.vars[0].type, Array):
                tracked[let.vars[0]] = Undone.WITHIN
            mask = (self.masks and is_mask(let.op)) or any(v in self.answers for v in let.vars)
            return Step(let, (let,), scalar=True, mask=mask, touches=touches)
        touches = any(tracked.get(v) in KEEPING for v in uses(let))
        small = _is_small(let.op)
        taken = [x for x in self.derivation.taken(let) if x in tracked and (small or tracked[x] is not Undone.AGAIN)]
        if any(tracked[x] is Undone.NEVER for x in taken):
            tracked.update(dict.fromkeys(let.vars, Undone.NEVER))
            return self.forgotten(let)
        within = [x for x in taken if tracked[x] is Undone.WITHIN]
        inside = within + [x for x in taken if isinstance(let.op, If) and tracked[x] is Undone.AGAIN]
        again, record = self.augment(let, inside, [v for v in uses(let) if tracked.get(v) is Undone.NEVER])
        logs = tuple(record.logs) if isinstance(record, LoopRecord | BranchRecord) else ()
        passed, again = again, _closed(again, logs)
        chained = [v for v in let.vars if not self.derivation.sources(v).isdisjoint(taken)]
        tracked.update((v, Undone.WITHIN if within else tracked[taken[0]]) for v in chained)
        return Step(
            let,
            again,
            record,
            chained=frozenset(chained),
            within=bool(within),
            touches=touches,
            recorded=bool(chained),
            logs=logs,
            passed=passed,
        )

    def forgotten(self, let: Let) -> Step:
        """A single update that isn't undone, nor made again."""
        assert isinstance(let.op, Accumulate)
        record = BranchRecord((self.block(let.op.body, {}),), ({},))
        return Step(let, (let,), record, chained=frozenset(let.vars), within=True, recorded=True)

    def matters(self, let: Let) -> bool:
        """Does any derivative pass through a statement?"""
        return any(v in self.active for v in (*let.vars, *contributed(let.op)))

    def augment(self, let: Let, within: Sequence[Var], never: Sequence[Var]) -> tuple[tuple[Let, ...], Record | None]:
        """The statement with its residuals; it takes the arrays `within`, and is to undo what it does to them.

        What it reads of the arrays `never`, which are not undone, is kept.
        """
        update = single_update(let.op)
        if update is not None and isinstance(let.op, Accumulate):
            return self.update(let, let.op, update)
        if not within and not self.matters(let):
            return (let,), None
        match let.op:
            case For():
                return self.for_(let, let.op)
            case Loop() | While():
                return self.loop(let, let.op, within)
            case If():
                return self.if_(let, let.op, within, never)
            case Accumulate():
                return ((let,), None) if is_product(let.op, self.active) else self.accumulate(let, let.op, within)
            case Library():
                return (let,), None
            case _:
                raise AssertionError(let.op)

    def update(self, let: Let, op: Accumulate, c: Contribute) -> tuple[tuple[Let, ...], BranchRecord]:
        array = op.inits[0][0]
        assert isinstance(array, Var)
        old = Var(Scalar(dtype_of(array)), "old")
        record = BranchRecord((self.block(op.body, {}),), ({},))
        if array in self.derivation.taken(let):
            record.undo[array] = (let.vars[0], Updates(((c.index, old),)))
        return (Let((old,), Read(array, c.index, c.safe), let.site), let), record

    # --- For ----------------------------------------------------------------------------------------------------------

    def for_(self, let: Let, op: For) -> tuple[tuple[Let, ...], Record]:
        if any(v in self.active for v in let.vars) and isinstance(m := monoid_of(op), Operator):
            return self.fold(let, op, m)
        with self.turns(None):
            plan = self.block(op.body, {})
        names = plan.keep(op.index, Keep.STACKED)
        record = ForRecord(plan, {})
        b, new = Builder(), Yields(op)
        with b.scope() as tail:
            at = 0
            for y in op.yields:
                outs, vs = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
                if isinstance(y, Map) or vs[0] not in self.active or y.monoid not in EXTREMA:
                    new.add(y, outs, vs)
                else:
                    record.winners[at] = new.extremum(b, y, outs, vs)
                at += width(y)
        for name in names:
            stack = Var(Array(dtype_of(name), (*op.extent, *extents_of(name))), name.hint)
            record.slots[name] = Slot(stack, stacked=True)
            new.add(Map(), [name], [stack])
        return (new.let((*plan.forward(), *tail), let.site),), record

    def fold(self, let: Let, op: For, m: Operator) -> tuple[tuple[Let, ...], MonoidRecord]:
        """A reduction or scan by an operator, which elements.py has put by itself; a Reduce is a Scan's last."""
        (y,) = op.yields
        names = active(m.body, [v for v in (*m.left, *m.right) if v in self.active])
        read = {r.vars[0]: r.op.array for r in op.body if isinstance(r.op, Read)}
        elements = tuple(read[e] for e in op.body.outs if isinstance(e, Var))
        operands = Planner(names, self.derivation, self.mode).block(m.body, {})
        whole, left, right = self.block(m.body, {}), _depends(m, m.left, names), _depends(m, m.right, names)
        record = MonoidRecord(m, elements, let.vars, whole, operands, names, left, right)
        if isinstance(y, Scan):
            return (let,), record
        outside = [a for a in (*free(m.body, (*m.left, *m.right)), *m.identity) if a in self.active]
        if m.inverse is not None and not outside:
            record.prefixes = ()
            return (let,), record
        b, n = Builder(), op.extent[0]
        record.prefixes = tuple(Var(stacked((n,), v.type), "p") for v in let.vars)
        with b.scope() as lets:
            some = b.o.gt(n, 0)
            last = b.o.sub(n, 1)

            def total() -> list[Atom]:
                return [b.read(p, last, safe=True) for p in record.prefixes]

            sides = b.block(total), Block((), m.identity)
            b.let(Let(let.vars, If(some, *sides), let.site))
        return (Let(record.prefixes, replace(op, yields=(Scan(m),)), let.site), *lets), record

    # --- blocks that run at most once ---------------------------------------------------------------------------------

    def if_(
        self, let: Let, op: If, within: Sequence[Var], never: Sequence[Var]
    ) -> tuple[tuple[Let, ...], BranchRecord]:
        sides = op.then, op.orelse
        arrays = dict.fromkeys(within, Undone.WITHIN) | dict.fromkeys(never, Undone.NEVER)
        plans = [self.block(side, arrays) for side in sides]
        names = [plan.keep((), Keep.SCALARS) for plan in plans]
        logs, tails = _flat([v for side in names for v in side if isinstance(v.type, Array)])
        lets = [
            (*plan.forward(), *(let for v in side if v in tails for let in tails[v]))
            for plan, side in zip(plans, names, strict=True)
        ]
        names = [[v for v in side if v not in logs] for side in names]
        kept = [*names[0], *names[1]]
        stored = tuple(Var(v.type, v.hint) for v in kept)
        split = len(names[0])
        blanks = [literal(0, dtype_of(v)) for v in kept]
        then = Block(lets[0], (*op.then.outs, *names[0], *blanks[split:]))
        orelse = Block(lets[1], (*op.orelse.outs, *blanks[:split], *names[1]))
        new = Let((*let.vars, *stored), If(op.pred, then, orelse), let.site)
        slots = {v: Slot(w) for v, w in zip(kept, stored, strict=True)} | _found(logs)
        inner = [log for plan in plans for log in plan.logs]
        return (new,), BranchRecord(tuple(plans), (slots, slots), within=tuple(within), logs=[*logs.values(), *inner])

    def accumulate(self, let: Let, op: Accumulate, within: Sequence[Var]) -> tuple[tuple[Let, ...], BranchRecord]:
        finals = {v: acc for acc, vs in zip(op.accs, finals_of(let), strict=True) for v in vs}
        updated = {x: v for v in finals for x in self.derivation.sources(v) if x in within}
        inside = [x for x in within if x not in updated]
        plan = self.block(op.body, dict.fromkeys(inside, Undone.WITHIN))
        names = plan.keep(op.accs, Keep.BLOCK)
        inner = plan.inner(op.accs)
        logs, tails = _flat([v for v in names if varies(v, inner)])
        names = [v for v in names if v not in logs]
        stored = tuple(Var(v.type, v.hint) for v in names)
        body = Block((*plan.forward(), *(let for tail in tails.values() for let in tail)), (*op.body.outs, *names))
        new = Let((*let.vars, *stored), Accumulate(op.accs, op.inits, body), let.site)
        slots = {v: Slot(w) for v, w in zip(names, stored, strict=True)} | _found(logs)
        record = BranchRecord((plan,), (slots,), within=tuple(inside), logs=[*logs.values(), *plan.logs])
        b = Builder()
        with b.scope() as before:
            for x, v in updated.items():
                parts = places(op, finals[v], within)
                if parts is None:
                    record.undo[x] = (v, log_before(b, op, finals[v], x))
                else:
                    record.undo[x] = (v, Region(tuple((p, p.old(b, x)) for p in parts)))
        return (*before, new), record

    # --- loops --------------------------------------------------------------------------------------------------------

    @contextmanager
    def turns(self, body: Block | None, bound: Iterable[Var] = ()) -> Iterator[None]:
        """Plan a body of turns; None: of a For."""
        outer = self.turn, self.looped
        self.turn = frozenset() if body is None else self.turn.union(bound, (v for let in body for v in let.vars))
        self.looped |= body is not None
        yield
        self.turn, self.looped = outer

    def checkpointed(self, let: Let, op: Loop | While) -> tuple[tuple[Let, ...], CheckpointRecord]:
        inner, record = leaf(let, op)
        block = Block((inner,), inner.vars)
        self.derivation.include(block, record.state)
        reached = [v for v in free(block) if v in self.active]
        reached += [x for x, c in zip(record.state, op.carry, strict=True) if c in self.active]
        self.active |= active(block, reached)
        record.leaf = self.block(block, {})
        for step in record.leaf.steps:
            step.recorded = True
        if isinstance(op, While):
            return (counting(let, op, record.turns),), record
        return (forward(let, op, record) if any(let is shared for shared in self.shared) else (let,)), record

    def loop(self, let: Let, op: Loop | While, within: Sequence[Var]) -> tuple[tuple[Let, ...], Record]:
        if isinstance(op.tape, Checkpoint):
            return self.checkpointed(let, op)
        turn = op.index if isinstance(op, Loop) else Var(Scalar(I64), "turn")
        undone: dict[int, Chain | None] = {k: None for k, x in enumerate(op.inits) if x in within}
        chains = {k: self.chain(op, k, js) for k, js in self.derivation.survivors(op).items()}
        undone |= {k: c for k, c in chains.items() if c is not None or not is_few(op.carry[k])}
        never = {k: c for k, c in undone.items() if c is not None and self.read_alone(let, op, k, c)}
        carries = {op.carry[k]: Undone.WITHIN for k in undone}
        carries |= {op.carry[c.of]: Undone.TURN for c in undone.values() if c is not None}
        carries |= {op.carry[k]: Undone.NEVER for k in never}
        own = [c for c in op.carry if isinstance(c.type, Array) and not is_few(c)]
        carries = dict.fromkeys(own, Undone.AGAIN) | carries
        undone = {k: c for k, c in undone.items() if k not in never}
        with self.turns(op.body, (turn, *op.carry)):
            plan = self.block(op.body, carries, [k for k, c in undone.items() if c is None])
        record = LoopRecord(plan, {}, Literal(0, I64), {})
        record.forgotten = {k: (op.carry[k], *(v for let in c.lets for v in let.vars)) for k, c in never.items()}
        names = [c for c in op.carry if carries.get(c, Undone.AGAIN) is Undone.AGAIN]
        names += plan.keep((turn, *op.carry), Keep.ALL)
        local = {v for step in plan.steps for v in step.results}
        for k, chain in undone.items():
            record.undo[k] = turned = chain and Turned(chain.of, self.updates(op, k, chain, plan))
            if turned is not None:
                names += [v for v in turned.updates.names() if v in local]
        names = list(dict.fromkeys(names))
        inner = plan.inner((turn, *op.carry))
        flat = [v for v in names if isinstance(v.type, Array) and (isinstance(op, While) or varies(v, inner))]
        logs, tails = _flat(flat)
        names = [v for v in names if v not in logs]
        heads = [let for v, lets in tails.items() if v in op.carry for let in lets]
        ends = [let for v, lets in tails.items() if v not in op.carry for let in lets]
        record.slots |= _found(logs)
        record.logs += [*logs.values(), *plan.logs]
        body = (*heads, *plan.forward(), *ends)
        if isinstance(op, While):
            return (self.counting(let, op, turn, names, record, body),), record
        scalars = [v for v in names if isinstance(v.type, Scalar)]
        if op.extent in self.turn and any(v in op.carry for v in scalars):  # the stacks would vary from turn to turn
            body = (*body, *(let for v in scalars for let in self.row(record, [v])))
            names = [v for v in names if v not in scalars]
        return (self.emitting(let, op, names, record, body),), record

    def chain(self, op: Loop | While, k: int, sources: Collection[int]) -> Chain | None:
        """The statements by which one array carry becomes array carry k in a turn, if they are single updates."""
        if len(sources) != 1:
            return None
        (j,) = sources
        at, lets = op.carry[j], list[Let]()
        for let in op.body:
            if at in self.derivation.taken(let):
                if not single_update(let.op):
                    return None
                (at,) = let.vars
                lets.append(let)
        return Chain(j, lets) if at is op.body.outs[k] else None

    def read_alone(self, let: Let, op: Loop | While, k: int, chain: Chain) -> bool:
        """Is what the turns read of an array kept, so that nothing of it is undone, its initial value neither?"""
        versions = [op.carry[k], *(v for let in chain.lets for v in let.vars)]
        alone = chain.of == k and [a for a in op.body.outs if a in versions] == [versions[-1]]
        x = op.inits[k]
        mine = x not in self.derivation.taken(let) or self.derivation.passes(x)
        return alone and mine and kept(op.body, versions, chain.lets, self.blank(op, k, chain) is not None)

    def updates(self, op: Loop | While, k: int, chain: Chain, plan: Plan) -> Updates:
        """The log of a turn's updates."""
        updates = replace(_updates(plan, chain.lets, op.carry), left=_left(op, chain))
        fill = self.blank(op, k, chain)
        return updates if fill is None else replace(updates, entries=((updates.entries[0][0], fill),))

    def blank(self, op: Loop | While, k: int, chain: Chain) -> Literal | None:
        """What an array holds where a turn updates it: where it was one constant, and no turn has been before, that."""
        fill = self.derivation.fill(op.inits[k])
        if not isinstance(op, Loop) or chain.of != k or fill is None or len(chain.lets) != 1:
            return None
        c = single_update(chain.lets[0].op)
        prims = {let.vars[0]: let.op for let in op.body if isinstance(let.op, Prim)}
        return fill if c is not None and injective((op.index,), c.index, prims) else None

    def emitting(self, let: Let, op: Loop, names: Sequence[Var], record: LoopRecord, turn: Sequence[Let]) -> Let:
        """The Loop that also emits the named values of each turn."""
        stacks = [Var(Array(dtype_of(v), (op.extent, *extents_of(v))), v.hint) for v in names]
        record.turns = op.extent
        record.slots |= {v: Slot(w, stacked=True) for v, w in zip(names, stacks, strict=True)}
        body = Block(tuple(turn), (*op.body.outs, *names))
        return Let((*let.vars, *stacks), Loop(op.index, op.extent, op.carry, op.inits, body), let.site)

    def counting(
        self, let: Let, op: While, count: Var, names: Sequence[Var], record: LoopRecord, turn: Sequence[Let]
    ) -> Let:
        """The While that also counts its turns and logs the named scalars of each."""
        turns = Var(Scalar(I64), "turns")
        record.turns = turns
        b = Builder()
        with b.scope() as tail:
            following = b.o.add(count, 1)
        row = self.row(record, names) if names else ()
        body = Block((*turn, *row, *tail), (*op.body.outs, following))
        inner = While((*op.carry, count), (*op.inits, Literal(0, I64)), op.cond, body)
        return Let((*let.vars, turns), inner, let.site)

    def row(self, record: LoopRecord, names: Sequence[Var]) -> list[Let]:
        """Log scalars, once a turn."""
        row = OpenLog.row(names)
        record.rows.append(row)
        record.logs.append(row)
        record.slots |= {v: Slot(w, log=row.acc) for v, w in zip(names, row.columns, strict=True)}
        b = Builder()
        with b.scope() as lets:
            b.contribute(row.acc, (), *names)
        return lets


def is_few(v: Var) -> bool:
    """Is an array so small that it is no worse to keep it whole than to keep an element of it?"""
    extents = [int(e.value) for e in extents_of(v) if isinstance(e, Literal)]
    return len(extents) == len(extents_of(v)) and math.prod(extents) <= FEW


def _begun(block: Block) -> list[Var]:
    """The arrays that the statements of a block give, but for rows of others, and for those of few elements."""
    made = (v for let in block if not isinstance(let.op, Read) for v in let.vars)
    return [v for v in made if isinstance(v.type, Array) and not is_few(v)]


def _is_small(op: Op) -> bool:
    """Does an op do no more than update an element, or several, under conditions?"""
    if single_update(op) is not None:
        return True
    few = Prim | Read | Check | Contribute | Accumulate | If
    return isinstance(op, If) and all(isinstance(let.op, few) for _, side in blocks(op) for let in statements(side))


def _depends(m: Operator, operands: Sequence[Var], names: set[Var]) -> list[set[int]]:
    """For each component of an operator's result, on which components of one operand it depends differentiably."""
    reached = [active(m.body, [v]) if v in names else set[Var]() for v in operands]
    return [{k for k, found in enumerate(reached) if out in found} for out in m.body.outs]


def _updates(plan: Plan, chain: Sequence[Let], carry: Sequence[Var]) -> Updates:
    """The log of a chain of single updates."""
    entries: list[tuple[tuple[Atom, ...], Atom]] = []
    own = {*carry, *(v for let in plan.block for v in let.vars)}
    again = (step.let for step in plan.steps if step.scalar and not step.touches)
    prims = {
        let.vars[0]: let
        for let in again
        if isinstance(let.op, Prim) or (isinstance(let.op, Read) and let.op.array not in own and len(let.vars) == 1)
    }
    for step in plan.steps:
        if any(step.let is let for let in chain):
            assert isinstance(step.record, BranchRecord)
            for _, log in step.record.undo.values():
                assert isinstance(log, Updates)
                entries += log.entries
    needed = {a for index, _ in entries for a in index if isinstance(a, Var)}
    lets: list[Let] = []
    for v in reversed(prims):
        if v in needed:
            lets.insert(0, prims[v])
            needed.update(uses(prims[v]))
    return Updates(tuple(entries), tuple(lets))


def _left(op: Loop | While, chain: Chain) -> Var | None:
    """What a turn's last update of an array sets, if making it again would take what was there before."""
    if not chain.lets:
        return None
    last = chain.lets[-1].op
    c = single_update(last)
    assert isinstance(last, Accumulate) and c is not None
    if not isinstance(c.values[0], Var) or last.accs[0].type.monoid != "set":  # type: ignore[union-attr]
        return None
    versions = {op.carry[chain.of], *(v for let in chain.lets for v in let.vars)}
    made = [let.op for let in needed(op.body.lets, c.values) if isinstance(let.op, Read)]
    return c.values[0] if any(r.array in versions and r.index == c.index for r in made) else None


def _flat(arrays: Sequence[Var]) -> tuple[dict[Var, OpenLog], dict[Var, list[Let]]]:
    """For each array a log for its elements, and the statements that append them."""
    logs = {v: OpenLog.row([v]) for v in arrays}
    tails: dict[Var, list[Let]] = {}
    b = Builder()
    for v, log in logs.items():
        with b.scope() as tails[v]:
            _append_all(b, v, log)
    return logs, tails


def _found(logs: Mapping[Var, OpenLog]) -> Slots:
    """Where the elements of arrays that are logged are found."""
    return {v: Slot(log.columns[0], log=log.acc, extents=extents_of(v)) for v, log in logs.items()}


def _closed(lets: Sequence[Let], logs: Sequence[OpenLog]) -> tuple[Let, ...]:
    """Statements with the logs that they write opened at them."""
    mine = [[log for log in logs if log.acc in contributed(let.op)] for let in lets]
    return tuple(wrap(let, found) if found else let for let, found in zip(lets, mine, strict=True))


def _append_all(b: Builder, array: Var, log: OpenLog) -> None:
    def entry(*i: Var) -> tuple[Atom, ...]:
        b.contribute(log.acc, (), b.read(array, *i, safe=True))
        return ()

    b.for_(extents_of(array), entry, ())

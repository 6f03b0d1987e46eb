"""The forward sweep: every statement extended by the residuals that its return sweep needs.

For         yields what its body keeps as well; min and max also yield the winner
Loop        emits what its body keeps, the scalar carries and the carries that no next value derives from;
            derived carries are logged: old values emitted where a turn makes regular updates, else appended
While       the same, appended to a log with one entry a turn, and the turns counted
If          each branch gives what it keeps, the other side zeros; arrays are logged, or had again by running again
Accumulate  its block gives what it keeps
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import TypeAlias

from iverson.core.build import Builder, dtype_of, extents_of, literal, stacked
from iverson.core.rewrite import free, single_update
from iverson.core.syntax import (
    I64,
    Accumulate,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Map,
    Operator,
    Prim,
    Read,
    Scalar,
    Scan,
    Var,
    While,
    width,
)
from iverson.diff.activity import active, finals_of
from iverson.diff.contributions import contributed
from iverson.diff.derivation import Derivation
from iverson.diff.footprint import Places, places, uses
from iverson.diff.histograms import is_product
from iverson.diff.logs import Logger, OpenLog, wrap
from iverson.diff.residuals import (
    AppendLog,
    BranchRecord,
    ForRecord,
    Keep,
    LoopRecord,
    MonoidRecord,
    Plan,
    Record,
    Region,
    Slot,
    Step,
    Updates,
    Within,
    varies,
)
from iverson.diff.yields import EXTREMA, Yields, monoid_of


class Unlogged(Enum):
    """Updates of a loop's carry that need no appended log."""

    UPDATES = "a turn makes single updates: their old values are emitted"
    WITHIN = "a turn's statements undo their own updates: they keep their records"


Target: TypeAlias = OpenLog | Unlogged


class Planner:
    def __init__(self, active: set[Var], derivation: Derivation) -> None:
        self.active = active
        self.derivation = derivation

    # --- blocks -------------------------------------------------------------------------------------------------------

    def top(self, block: Block) -> Plan:
        """The plan of a block whose forward and return sweep share one scope."""
        plan = self.block(block, {})
        for step in plan.steps:
            step.forward = step.again
        return plan

    def block(self, block: Block, logs: Mapping[Var, Target]) -> Plan:
        """Plan a block that updates the arrays in `logs` in place."""
        tracked = dict(logs)
        return Plan(block, [self.step(let, tracked) for let in block])

    def step(self, let: Let, tracked: dict[Var, Target]) -> Step:
        if isinstance(let.op, Prim | Read | Check | Contribute):
            touches = isinstance(let.op, Read) and tracked.get(let.op.array) is Unlogged.WITHIN
            if touches and isinstance(let.vars[0].type, Array):
                tracked[let.vars[0]] = Unlogged.WITHIN
            return Step(let, (let,), (let,), scalar=True, touches=touches)
        sources = {v: self.derivation.source(v) for v in let.vars}
        chains = {v: x for v, x in sources.items() if x is not None and x in tracked}
        within = {v: x for v, x in chains.items() if tracked[x] is Unlogged.WITHIN}
        touches = any(tracked.get(v) is Unlogged.WITHIN for v in uses(let))
        again, record = self.augment(let, chains, within)
        forward: tuple[Let, ...] = (let,)
        if chains:
            logs = {x: log for x, log in tracked.items() if isinstance(log, OpenLog)}
            forward = Logger(self.derivation).forward(let, logs) if any(x in logs for x in chains.values()) else again
            tracked.update({v: tracked[x] for v, x in chains.items()})
        return Step(
            let,
            again,
            forward,
            record,
            chained=frozenset(chains),
            within=bool(within),
            agreed=within == chains and _undoes(record, within),
            touches=touches,
        )

    def matters(self, let: Let) -> bool:
        """Does any derivative pass through a statement?"""
        return any(v in self.active for v in (*let.vars, *contributed(let.op)))

    def augment(
        self, let: Let, chains: dict[Var, Var], within: dict[Var, Var]
    ) -> tuple[tuple[Let, ...], Record | None]:
        """The statement with its residuals.  `chains`: results that are updates of arrays to be undone (`within`: by
        its own return sweep)."""
        update = single_update(let.op)
        if update is not None and isinstance(let.op, Accumulate):
            return self.update(let, let.op, update)
        if not within and not self.matters(let):
            return self.inactive(let, chains)
        match let.op:
            case For():
                return self.for_(let, let.op)
            case Loop() | While():
                return self.loop(let, let.op)
            case If():
                return self.if_within(let, let.op, chains) if within else self.if_(let, let.op, chains)
            case Accumulate():
                return ((let,), None) if is_product(let.op, self.active) else self.accumulate(let, let.op, chains)
            case Library(name):
                raise NotImplementedError(f"the derivative of the library operation {name!r} is not defined")
            case _:
                raise AssertionError(let.op)

    def inactive(self, let: Let, chains: dict[Var, Var]) -> tuple[tuple[Let, ...], Record | None]:
        """No derivative: only what it overwrites is recorded."""
        if not chains:
            return (let,), None
        logs = {x: OpenLog.of(x, None) for x in chains.values()}
        lets = Logger(self.derivation).forward(let, dict(logs))
        return self.undoable(lets, logs, chains, BranchRecord((), ()))

    def undoable(
        self, lets: Sequence[Let], logs: dict[Var, OpenLog], chains: dict[Var, Var], record: BranchRecord
    ) -> tuple[tuple[Let, ...], BranchRecord]:
        """Statements, the last with logs to be opened around all of them, as one statement."""
        *before, let = lets
        whole, closed = wrap(let, list(logs.values()), before)
        last = {x: v for v, x in chains.items()}
        record.undo = {x: (last[x], log) for x, log in zip(logs, closed, strict=True)}
        return (whole,), record

    def update(self, let: Let, op: Accumulate, c: Contribute) -> tuple[tuple[Let, ...], BranchRecord]:
        array = op.inits[0][0]
        assert isinstance(array, Var)
        old = Var(Scalar(dtype_of(array)), "old")
        record = BranchRecord((self.block(op.body, {}),), ({},))
        if self.derivation.source(let.vars[0]) is array:
            record.undo[array] = (let.vars[0], Updates(((c.index, old),)))
        return (Let((old,), Read(array, c.index, c.safe), let.site), let), record

    # --- For ----------------------------------------------------------------------------------------------------------

    def for_(self, let: Let, op: For) -> tuple[tuple[Let, ...], Record]:
        if any(v in self.active for v in let.vars) and isinstance(m := monoid_of(op), Operator):
            return self.fold(let, op, m)
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
        operands = Planner(names, self.derivation).block(m.body, {})
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

    def if_(self, let: Let, op: If, chains: dict[Var, Var]) -> tuple[tuple[Let, ...], BranchRecord]:
        logs = {x: OpenLog.of(x, None) for x in chains.values()}
        logger = Logger(self.derivation)
        plans, before = [], []
        for branch in (op.then, op.orelse):
            plans.append(self.block(branch, dict(logs)))
            with logger.b.scope() as given_up:
                logger.given_up(let, branch, chains, logs)
            before.append(given_up)
        new, record = self.branches(let, op, plans, before)
        return self.undoable([new], logs, chains, record) if chains else ((new,), record)

    def if_within(self, let: Let, op: If, within: dict[Var, Var]) -> tuple[tuple[Let, ...], BranchRecord | None]:
        """An If whose sides undo what they update; no record if one can't."""
        sides = op.then, op.orelse
        ends = [(side, side.outs[let.vars.index(v)], x) for side in sides for v, x in within.items()]
        plans = [self.block(side, dict.fromkeys(within.values(), Unlogged.WITHIN)) for side in sides]
        updated = all(self.derivation.origin(side, end) is x for side, end, x in ends)
        if not updated or not all(plan.holds((), Keep.ALL) for plan in plans):
            return (let,), None
        new, record = self.branches(let, op, plans, ([], []))
        record.within = {x: v for v, x in within.items()}
        return (new,), record

    def branches(
        self, let: Let, op: If, plans: Sequence[Plan], before: Sequence[Sequence[Let]]
    ) -> tuple[Let, BranchRecord]:
        """The If that also gives what its sides keep."""
        names = [plan.keep((), Keep.SCALARS) for plan in plans]
        flat = {v: OpenLog.row([v]) for side in names for v in side if isinstance(v.type, Array)}
        b, lets = Builder(), []
        for plan, more, side in zip(plans, before, names, strict=True):
            with b.scope() as tail:
                for v in side:
                    if v in flat:
                        _append_all(b, v, flat[v])
            lets.append((*more, *plan.forward(), *tail))
        names = [[v for v in side if v not in flat] for side in names]
        kept = [*names[0], *names[1]]
        stored = tuple(Var(v.type, v.hint) for v in kept)
        split = len(names[0])
        blanks = [literal(0, dtype_of(v)) for v in kept]
        then = Block(lets[0], (*op.then.outs, *names[0], *blanks[split:]))
        orelse = Block(lets[1], (*op.orelse.outs, *blanks[:split], *names[1]))
        new, closed = wrap(Let((*let.vars, *stored), If(op.pred, then, orelse), let.site), list(flat.values()))
        slots = {v: Slot(w) for v, w in zip(kept, stored, strict=True)}
        slots |= {v: Slot(end.old, extents=extents_of(v)) for v, end in zip(flat, closed, strict=True)}
        return new, BranchRecord(tuple(plans), (slots, slots))

    def accumulate(self, let: Let, op: Accumulate, chains: dict[Var, Var]) -> tuple[tuple[Let, ...], BranchRecord]:
        regions = self.regions(let, op, chains)
        if chains and regions is not None:
            (new,), record = self.accumulate(let, op, {})
            b = Builder()
            with b.scope() as before:
                for v, x in chains.items():
                    record.undo[x] = (v, Region(tuple((p, p.old(b, x)) for p in regions[x])))
            return (*before, new), record
        logs = {x: OpenLog.of(x, None) for x in chains.values()}
        logger = Logger(self.derivation)
        with logger.b.scope() as before:
            for acc, vs in zip(op.accs, finals_of(let), strict=True):
                for v in vs:
                    if v in chains:
                        logger.before(op, acc, chains[v], logs[chains[v]])
        plan = self.block(op.body, dict(logs))
        names = plan.keep(op.accs, Keep.STACKED)
        stored = tuple(Var(v.type, v.hint) for v in names)
        record = BranchRecord((plan,), ({v: Slot(w) for v, w in zip(names, stored, strict=True)},))
        body = Block(plan.forward(), (*op.body.outs, *names))
        new = Let((*let.vars, *stored), Accumulate(op.accs, op.inits, body), let.site)
        return self.undoable([*before, new], logs, chains, record) if chains else ((new,), record)

    def regions(self, let: Let, op: Accumulate, chains: dict[Var, Var]) -> dict[Var, list[Places]] | None:
        """For each updated array what is written of it, if that is regular."""
        finals = {v: acc for acc, vs in zip(op.accs, finals_of(let), strict=True) for v in vs if len(vs) == 1}
        refuse = set(chains.values())
        found = {x: places(op, finals[v], refuse) if v in finals else None for v, x in chains.items()}
        regular = {x: parts for x, parts in found.items() if parts is not None}
        return regular if len(regular) == len(found) else None

    # --- loops --------------------------------------------------------------------------------------------------------

    def loop(self, let: Let, op: Loop | While) -> tuple[tuple[Let, ...], LoopRecord]:
        turn = op.index if isinstance(op, Loop) else Var(Scalar(I64), "turn")
        permutation = self.derivation.permutation(op)
        derived = {op.carry[j]: j for j in permutation.values()}
        logs: dict[Var, Target] = {c: self.target(op, c, turn) for c in derived}
        plan = self.block(op.body, logs)
        if not plan.holds((turn, *op.carry), Keep.ALL):
            logs = {c: OpenLog.of(c, turn) if log is Unlogged.WITHIN else log for c, log in logs.items()}
            plan = self.block(op.body, logs)
        record = LoopRecord(plan, {}, Literal(0, I64), permutation, {})
        names = [c for c in op.carry if c not in derived]
        names += plan.keep((turn, *op.carry), Keep.ALL)
        local = {v for step in plan.steps for v in step.results}
        for c, log in logs.items():
            if log is Unlogged.WITHIN:
                record.logs[derived[c]] = Within()
            elif log is Unlogged.UPDATES:
                updates = _updates(plan, self.chain(op.body, c))
                record.logs[derived[c]] = updates
                names += [v for v in updates.names() if v in local]
        names = list(dict.fromkeys(names))
        opened = [log for log in logs.values() if isinstance(log, OpenLog)]
        inner = plan.inner((turn, *op.carry))
        ragged = [v for v in names if varies(v, inner)]
        flat = [OpenLog.row([v]) for v in ragged]
        b = Builder()
        with b.scope() as tail:
            for v, log in zip(ragged, flat, strict=True):
                _append_all(b, v, log)
        names = [v for v in names if v not in ragged]
        if isinstance(op, Loop):
            whole, closed = wrap(self.emitting(let, op, names, record, tail), [*opened, *flat])
        else:
            whole, closed = self.counting(let, op, turn, names, record, [*opened, *flat], tail)
        appended = [j for c, j in derived.items() if isinstance(logs[c], OpenLog)]
        record.logs |= zip(appended, closed, strict=False)
        for v, end in zip(ragged, closed[len(opened) :], strict=False):
            record.slots[v] = Slot(end.old, stacked=True, extents=extents_of(v), ragged=True)
            record.ragged[end.old] = end.length
        return (whole,), record

    def target(self, op: Loop | While, carry: Var, turn: Var) -> Target:
        """How the updates of a carry in a turn are to be undone."""
        chain = self.chain(op.body, carry)
        if all(single_update(let.op) for let in chain):
            return Unlogged.UPDATES
        if all(self.regular(let, carry) for let in chain):
            return Unlogged.WITHIN
        return OpenLog.of(carry, turn)

    def regular(self, let: Let, carry: Var) -> bool:
        """May a statement be able to undo what it updates in place?"""
        match let.op:
            case Loop() | While() | If():
                return True
            case Accumulate() as op:
                chains = {v: x for v in let.vars if (x := self.derivation.source(v)) is not None}
                return single_update(op) is not None or self.regions(let, op, chains) is not None
        return False

    def chain(self, body: Block, carry: Var) -> list[Let]:
        """The statements that update a carry in a turn."""
        versions, chain = {carry}, []
        for let in body:
            derived = [v for v in let.vars if self.derivation.source(v) in versions]
            if derived:
                versions.update(derived)
                chain.append(let)
        return chain

    def emitting(self, let: Let, op: Loop, names: Sequence[Var], record: LoopRecord, tail: Sequence[Let]) -> Let:
        """The Loop that also emits the named values of each turn."""
        stacks = [Var(Array(dtype_of(v), (op.extent, *extents_of(v))), v.hint) for v in names]
        record.turns = op.extent
        record.slots |= {v: Slot(w, stacked=True) for v, w in zip(names, stacks, strict=True)}
        body = Block((*record.plan.forward(), *tail), (*op.body.outs, *names))
        return Let((*let.vars, *stacks), Loop(op.index, op.extent, op.carry, op.inits, body), let.site)

    def counting(
        self,
        let: Let,
        op: While,
        turn: Var,
        names: Sequence[Var],
        record: LoopRecord,
        logs: list[OpenLog],
        last: Sequence[Let],
    ) -> tuple[Let, list[AppendLog]]:
        """The While that also counts its turns and logs the named values of each; and what the logs become."""
        turns = Var(Scalar(I64), "turns")
        record.turns = turns
        scalars = [v for v in names if isinstance(v.type, Scalar)]
        arrays = [v for v in names if isinstance(v.type, Array)]
        b = Builder()
        rows = OpenLog.row(scalars)
        flat = [OpenLog.row([v]) for v in arrays]
        with b.scope() as head:
            for v, log in zip(arrays, flat, strict=True):
                if v in op.carry:
                    _append_all(b, v, log)
        with b.scope() as tail:
            for v, log in zip(arrays, flat, strict=True):
                if v not in op.carry:
                    _append_all(b, v, log)
            if scalars:
                b.contribute(rows.acc, (), *scalars)
            following = b.o.add(turn, 1)
        body = Block((*head, *record.plan.forward(), *last, *tail), (*op.body.outs, following))
        inner = While((*op.carry, turn), (*op.inits, Literal(0, I64)), op.cond, body)
        opened = [*logs, *flat, *([rows] if scalars else [])]
        whole, closed = wrap(Let((*let.vars, turns), inner, let.site), opened)
        for v, array_log in zip(arrays, closed[len(logs) :], strict=False):
            record.slots[v] = Slot(array_log.old, stacked=True, extents=extents_of(v))
        if scalars:
            record.slots |= {v: Slot(w, stacked=True) for v, w in zip(scalars, closed[-1].columns, strict=True)}
        return whole, closed


def _depends(m: Operator, operands: Sequence[Var], names: set[Var]) -> list[set[int]]:
    """For each component of an operator's result, on which components of one operand it depends differentiably."""
    reached = [active(m.body, [v]) if v in names else set[Var]() for v in operands]
    return [{k for k, found in enumerate(reached) if out in found} for out in m.body.outs]


def _undoes(record: Record | None, within: dict[Var, Var]) -> bool:
    """Does a statement's return sweep restore the arrays that it updated?"""
    if isinstance(record, BranchRecord):
        return all(x in record.undo or x in record.within for x in within.values())
    return isinstance(record, LoopRecord) or not within


def _updates(plan: Plan, chain: Sequence[Let]) -> Updates:
    """The log of a chain of single updates."""
    entries: list[tuple[tuple[Atom, ...], Var]] = []
    prims = {let.vars[0]: let for let in plan.block if isinstance(let.op, Prim)}
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
            needed |= uses(prims[v])
    return Updates(tuple(entries), tuple(lets))


def _append_all(b: Builder, array: Var, log: OpenLog) -> None:
    def entry(*i: Var) -> tuple[Atom, ...]:
        b.contribute(log.acc, (), b.read(array, *i, safe=True))
        return ()

    b.for_(extents_of(array), entry, ())

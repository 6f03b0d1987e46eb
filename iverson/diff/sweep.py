"""The return sweep over a block: the skeleton that the rules of the constructs share.

enter a scope       bind what is kept, run Prims and Reads again, and statements that are not kept
seed                the adjoints of the block's outs
sweep               each statement from the last to the first: its rule, which ends by restoring what it overwrote
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from iverson.core.build import Builder
from iverson.core.rewrite import contributed, rename_let, rename_type
from iverson.core.sketch import ESTIMATE, SKETCHED, sketch
from iverson.core.syntax import Array, Atom, Block, Check, Contribute, If, Let, Library, Op, Read, Var
from iverson.diff.adjoints import Adjoints, Frame, View
from iverson.diff.contributions import strip
from iverson.diff.derivation import Derivation
from iverson.diff.logs import AppendLog, undo
from iverson.diff.residuals import Log, Plan, Region, Slots, Step, Updates

Rule: TypeAlias = Callable[["Sweep", Frame, Step], None]


class Sweep(Adjoints):
    def __init__(
        self, builder: Builder, active: set[Var], derivation: Derivation, rules: Mapping[type[Op], Rule]
    ) -> None:
        super().__init__(builder, active)
        self.derivation = derivation
        self.rules = rules
        self.estimated: set[Var] = set()
        self.choices: Mapping[Var, Var] = {}  # maximum or minimum -> did it choose its second argument? (choices.py)

    # --- scopes -------------------------------------------------------------------------------------------------------

    def enter(
        self,
        frame: Frame,
        plan: Plan,
        slots: Slots,
        position: Sequence[Atom] = (),
        found: Collection[Var | None] = (),
    ) -> None:
        """Have the block's values again: kept ones from their slots at `position`, the others by running again.

        Scalars that are `found` in arrays as the block left them are there already.
        """
        own = {v for step in plan.steps for v in step.let.vars}
        for v in plan.given_up:
            if v not in own:
                frame.env[v] = slots[v].read(self.b, frame, position)
        for step in plan.steps:
            if isinstance(step.let.op, Check | Contribute) or (step.scalar and step.let.vars[0] in found):
                continue
            if step.kept:
                for v in (*step.results, *(v for v in step.let.vars if v in plan.given_up)):
                    frame.env[v] = slots[v].read(self.b, frame, position)
            else:
                for let in step.again:
                    self.b.let(rename_let(strip(let), frame.env))
            self.estimate(frame, step)
            if isinstance(step.let.op, Read) and isinstance(step.let.vars[0].type, Array):
                self.view(frame, step.let.vars[0], step.let.op)
                if step.kept and frame.views[step.let.vars[0]].base in frame.env:
                    self.show(frame, step.let.vars[0])

    def estimate(self, frame: Frame, step: Step) -> None:
        """Where its value is needed, a sketched array is what its sample says; what its adjoint gets is its array's."""
        op = step.let.op
        if isinstance(op, Library) and sketch(op, SKETCHED):
            y, kept = step.let.vars
            made = Var(rename_type(y.type, frame.env), y.hint)
            args = (frame.at(kept), *map(frame.at, op.args[1:]))
            self.b.let(Let((made,), Library(ESTIMATE, args, op.params), step.let.site))
            frame.env[y] = made
            frame.views[y] = frame.view(op.args[0])  # type: ignore[arg-type]
            self.estimated.add(y)

    def view(self, frame: Frame, row: Var, op: Read) -> None:
        base, prefix, safe = frame.view(op.array)
        frame.views[row] = View(base, (*prefix, *map(frame.at, op.index)), safe and op.safe)

    def show(self, frame: Frame, row: Var) -> None:
        """Read a row of its array as that is now."""
        base, prefix, safe = frame.views[row]
        frame.env[row] = self.b.read(frame.at(base), *prefix, safe=safe)

    def block(self, frame: Frame, plan: Plan) -> None:
        """Sweep back over the statements of a block whose outs are seeded."""
        outer = self.b.site
        for step in reversed(plan.steps):
            rule = self.rules.get(type(step.let.op))
            self.b.site = step.let.site  # an adjoint that fails does so at its statement's line
            if rule is not None:
                frame.cursors.update((log.acc, frame.at(log.length)) for log in step.opened)
                rule(self, frame, step)
                for log in step.opened:
                    del frame.cursors[log.acc]
        self.b.site = outer

    def visit(
        self,
        frame: Frame,
        plan: Plan,
        slots: Slots,
        position: Sequence[Atom],
        seeds: Callable[[Frame], None],
    ) -> None:
        """Enter, seed and sweep."""
        self.enter(frame, plan, slots, position)
        seeds(frame)
        self.block(frame, plan)

    def reached(self, frame: Frame, op: Op) -> bool:
        """Does an op contribute to accumulators whose finals have adjoints?"""
        return any(any(g is not None for g in frame.finals.get(acc, ())) for acc in contributed(op))

    # --- restoring ----------------------------------------------------------------------------------------------------

    def restore(self, frame: Frame, x: Var, atom: Atom) -> None:
        """x was overwritten; from here back it is `atom`, and its rows are rows of that."""
        frame.env[x] = atom
        for row, view in frame.views.items():
            if view.base is x and row not in self.estimated:
                self.show(frame, row)

    def undone(self, frame: Frame, log: Log, buffer: Atom) -> Atom:
        """The buffer before all logged updates."""
        if isinstance(log, AppendLog):
            return undo(self.b, frame, log, buffer)
        if isinstance(log, Region):
            for places, values in reversed(log.parts):
                buffer = places.put(self.b, buffer, frame.var(values), frame.env)
            return buffer
        assert isinstance(log, Updates)
        for index, old in reversed(log.entries):
            buffer = self.b.set(buffer, [frame.at(i) for i in index], frame.at(old), safe=True)
        return buffer

    # --- bodies that run at most once ---------------------------------------------------------------------------------

    def branches(
        self,
        frame: Frame,
        pred: Atom,
        sides: Sequence[Callable[[Frame], None]],
        restored: Sequence[Var] = (),
    ) -> None:
        """Emit an If whose sides sweep; adjoints held as values, restored arrays and cursors enter and leave it."""
        ends: list[tuple[Frame, Block]] = []
        for side in sides:
            child = frame.branch()
            with self.b.scope() as lets:
                side(child)
            ends.append((child, Block(tuple(lets), ())))
        children = [child for child, _ in ends]
        names = dict.fromkeys(v for child in children for v in child.values)
        changed = [v for v in names if any(c.values.get(v) is not frame.values.get(v) for c in children)]
        moved = [a for a in frame.cursors if any(c.cursors[a] is not frame.cursors[a] for c in children)]
        bodies = []
        for child, block in ends:
            with self.b.scope() as more:
                outs = (
                    *(self.value(child, v) for v in changed),
                    *map(child.at, restored),
                    *(child.cursors[a] for a in moved),
                )
            bodies.append(Block((*block.lets, *more), outs))
        results = self.b.emit(If(pred, bodies[0], bodies[1]))
        frame.values.update(zip(changed, results, strict=False))
        for x, v in zip(restored, results[len(changed) :], strict=False):
            self.restore(frame, x, v)
        frame.cursors.update(zip(moved, results[len(changed) + len(restored) :], strict=True))

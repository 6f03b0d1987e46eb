"""Which residuals a gradient has: the arrays of the forward sweep that its return sweep reads.

    stored        a result that the return sweep needs, one entry per index or turn of what surrounds it
    winner        the index that attained a minimum or maximum
    overwritten   elements that an in-place update replaced, put back by the return sweep
    logged        values of turns whose number, or whose extents, aren't known before they are run
    checkpoint    states of a loop, some at a time
    sampled       a random part of what the return sweep multiplies by (core/sketch.py)
    re-run        a statement in a loop or branch whose results aren't stored: it runs again; no memory

Read off the plan (residuals.py) and the transformed program, after dead code has gone.  Passes that run later may make
a residual unnecessary: forward and return sweep of one nest become one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iverson.core.rewrite import atoms, statements, uses
from iverson.core.sketch import SKETCHED, sketch
from iverson.core.syntax import Array, Atom, Block, For, Function, Let, Loop, Site, Var, While
from iverson.diff.cheap import cheap
from iverson.diff.logs import AppendLog
from iverson.diff.rerun import STORED
from iverson.diff.residuals import (
    BranchRecord,
    CheckpointRecord,
    ForRecord,
    Held,
    Log,
    LoopRecord,
    Plan,
    Record,
    Region,
    Slots,
    Step,
    Updates,
    Why,
    inner_plans,
)
from iverson.diff.reverse import reverse
from iverson.diff.tape import AUTO, Policy


@dataclass(frozen=True)
class Residual:
    name: str
    how: str
    site: Site | None  # of the statement that made the value
    arrays: tuple[Var, ...]  # of the transformed function's outermost block
    made: Let | None = None  # the statement that makes the value, in its scope
    uses: int = 0  # statements of the return sweep that read it
    why: str = ""  # what decided
    loop: Let | None = None  # an outermost loop that carries the value
    around: tuple[Atom, ...] | None = ()  # extents of what a statement that runs again is nested in; None: unknown


def residuals(
    function: Function, wrt: Sequence[int], seeded: bool = True, policy: Policy = AUTO
) -> tuple[Function, list[Residual]]:
    """The gradient (not `seeded`: the vjp) of a function as reverse.py makes it, and its residuals."""
    made, plan = reverse(function, wrt, seeded, policy)
    forward = {v for let in statements(Block(plan.forward(), ())) for v in let.vars} | plan.words.keys()
    held = {v for let in made.body if forward.isdisjoint(let.vars) for v in uses(let)} & forward
    arrays = [v for let in made.body for v in let.vars if v in held and isinstance(v.type, Array)]
    back = Block(tuple(let for let in made.body if forward.isdisjoint(let.vars)), ())
    labels = _Labels(plan, Counter(a for let in statements(back) for a in atoms(let.op)), policy)
    groups: dict[tuple[object, ...], list[Var]] = {}
    for v in arrays:
        groups.setdefault(labels.group(v), []).append(v)
    return made, [labels.residual(vs) for vs in groups.values()] + list(_rerun(plan, plan.prices))


class _Labels:
    """What each array that a plan records is."""

    def __init__(self, plan: Plan, reads: Counter[Atom], policy: Policy) -> None:
        self.reads, self.prices = reads, plan.prices
        self.checkpoint = "the plan within the budget" if policy.planned else "iv.tape.checkpoint says so"
        self.steps: dict[Var, Step] = {}  # of nested statements, by their results
        self.loops: dict[Var, Let | None] = {}  # by what a loop carries: the loop, if it is an outermost statement
        self.made: dict[Var, Let] = {}
        self.how: dict[Var, str] = {}
        self.of: dict[Var, Var] = {}  # a stored value -> its name in the scope that made it
        self.logged: dict[Var, AppendLog] = {}
        self.sites: dict[Var, Site | None] = {}
        self.of.update(plan.words)
        self._plan(plan, outermost=True)

    def _plan(self, plan: Plan, outermost: bool = False) -> None:
        for step in plan.steps:
            self.sites.update((v, step.let.site) for v in step.let.vars)
            self.made.update((v, step.let) for v in step.let.vars)
            if not outermost:
                self.steps.update((v, step) for v in step.let.vars)
            if isinstance(step.let.op, Loop | While):
                self.loops.update((c, step.let if outermost else None) for c in step.let.op.carry)
            for inner in inner_plans(step):
                self._plan(inner)
            self._record(step)
            if sketch(step.let.op, SKETCHED):
                self.how[step.let.vars[-1]] = "sampled"

    def _record(self, step: Step) -> None:
        record = step.record
        for slots in _tables(record):
            for v, slot in slots.items():
                self.of.setdefault(slot.var, v)
                self.sites.setdefault(slot.var, step.let.site)
                if slot.log is not None:
                    self.how[slot.var] = "logged"
        match record:
            case ForRecord():
                for winner in record.winners.values():
                    self.how[winner] = "winner"
                    self.sites[winner] = step.let.site
            case LoopRecord():
                for turned in record.undo.values():
                    if turned is not None:
                        self._log(turned.updates, step.let.site)
            case CheckpointRecord(held=Held(stack, state)):
                of = step.let.vars[: len(state)]
                arrays = [v for v in of if isinstance(v.type, Array)]
                files = arrays if len(stack) > len(of) + 2 else []
                for kept, named in zip((*stack, *state), (*of, *files, None, None, *of), strict=True):
                    if isinstance(kept, Var):
                        self.how[kept] = "checkpoint"
                        self.sites[kept] = step.let.site
                        if named is not None:
                            self.of.setdefault(kept, named)
            case BranchRecord():
                for x, (_, log) in record.undo.items():
                    self._log(log, step.let.site, x)

    def _log(self, log: Log, site: Site | None, array: Var | None = None) -> None:
        olds: list[Var] = []
        match log:
            case Updates(entries):
                olds = [old for _, old in entries if isinstance(old, Var)]
            case Region(parts):
                olds = [old for _, old in parts]
            case AppendLog():
                olds = [*log.columns]
                self.logged.update((v, log) for v in olds)
        for old in olds:
            self.how[old] = "overwritten"
            self.sites.setdefault(old, site)
            if array is not None and old not in self.of:
                self.of[old] = array

    def chain(self, v: Var) -> list[Var]:
        """v, and the names of the value in the scopes inside, outermost first."""
        names = [v]
        while names[-1] in self.of:
            names.append(self.of[names[-1]])
        return names

    def group(self, v: Var) -> tuple[object, ...]:
        """Columns of one log are one residual."""
        logs = [id(self.logged[w]) for w in self.chain(v) if w in self.logged]
        return ("log", logs[0]) if logs else (v,)

    def residual(self, vs: Sequence[Var]) -> Residual:
        names = [w for v in vs for w in self.chain(v)]
        how = next((self.how[w] for w in names if w in self.how), "stored")
        site = next((self.sites[w] for w in reversed(names) if self.sites.get(w)), None)
        made = next((self.made[w] for w in reversed(names) if w in self.made), None) if how == "stored" else None
        loop = next((self.loops[w] for w in names if w in self.loops), None)
        count = sum(self.reads[v] for v in vs)
        return Residual(self.chain(vs[0])[-1].hint, how, site, tuple(vs), made, count, self.why(how, names), loop)

    def why(self, how: str, names: Sequence[Var]) -> str:
        if how in REASONS:
            return REASONS[how]
        if how == "checkpoint":
            return self.checkpoint
        if any(v in self.loops for v in names):
            return "carried from turn to turn"
        step = next((self.steps[v] for v in names if v in self.steps), None)
        return _why(step, self.prices) if step is not None else "a value of the function itself"


REASONS = {
    "winner": "in place of all that it was chosen from",
    "overwritten": "puts an array back, in place of a copy for each turn",
    "logged": "how many there are is known when they are there",
    "sampled": "iv.sketch or iv.tape.sample says so",
}


def _why(step: Step, prices: tuple[int, int] | None) -> str:
    """What decided on the results of a nested statement."""
    if prices is None or not cheap(step.let) or step.why not in (Why.CHEAP, Why.NESTED):
        return step.why.value
    stored, again = prices
    but = ":" if step.why is Why.CHEAP else ", but"
    share = f"{again / max(stored, 1):.2f} of the operations (an element that is kept: {STORED})"
    return f"cheap{but} if all that is cheap runs again the gradient takes {share}"


def _tables(record: Record | None) -> Sequence[Slots]:
    match record:
        case BranchRecord():
            return record.slots
        case ForRecord() | LoopRecord():
            return [record.slots]
        case _:
            return []


def _rerun(plan: Plan, prices: tuple[int, int] | None, around: tuple[Atom, ...] | None = ()) -> Iterator[Residual]:
    """The nested statements that run once more in the return sweep."""
    for step in plan.steps:
        op = step.let.op
        turns = None if around is None or isinstance(op, While) else around
        if turns is not None and isinstance(op, For | Loop):
            turns = (*turns, *(op.extent if isinstance(op, For) else (op.extent,)))
        for inner in inner_plans(step):
            for nested in inner.steps:
                if not (nested.scalar or nested.kept or nested.chained) and nested.record and nested.let.vars:
                    between = isinstance(step.record, CheckpointRecord)
                    why = "turns between the states that are kept" if between else _why(nested, prices)
                    name, site = nested.let.vars[0].hint, nested.let.site
                    yield Residual(name, "re-run", site, (), nested.let, why=why, around=turns)
            yield from _rerun(inner, prices, turns)

"""`iv.tape.report`: what a gradient keeps, its memory over time, and what less memory would cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from textwrap import indent
from typing import Any

from iverson.backend.peak import Event
from iverson.run.budget import Budgeted
from iverson.run.cost import Residual, cost
from iverson.run.leaves import Argnums
from iverson.run.planner import Footprint, Plan
from iverson.run.priced import LoopInfo
from iverson.run.tape import Tape, policy
from iverson.run.transforms import value_and_grad

_ROWS, _WIDTH = 16, 40


@dataclass(frozen=True)
class Report:
    """What a gradient keeps, and what else could be done.

    residuals     as `iv.cost` has them
    history       bytes alive after each allocation and release, in the order of the program (two turns of a loop)
    loops         the outermost loops, with their turns at the arguments
    front         plans: bytes at once against time, from the fastest one to the one with the least memory
    primal        the time of the loops, beside which `front` is printed
    """

    name: str
    residuals: Sequence[Residual]
    history: Sequence[Event]
    loops: Sequence[LoopInfo]
    front: Sequence[Plan]
    primal: float

    @property
    def peak(self) -> int:
        return max((e.bytes for e in self.history), default=0)

    def again(self, plan: Plan) -> float:
        """What a plan does beyond the sweeps, by the cost model: what runs again or is kept, in runs of the loops."""
        return plan.extra / self.primal if self.primal else 0.0

    def __str__(self) -> str:
        lines = [f"value and gradient of {self.name}: {self.peak:,} bytes at once", "kept", ""]
        lines[-1:] = [indent(str(r), "  ") for r in self.residuals] or ["  nothing"]
        lines += ["memory over time", *self._bars()]
        lines.append("memory against time: bytes at once, and what is kept and run again, in runs of the loops")
        for plan in self.front:
            named = zip(self.loops, plan.decisions(), strict=True)
            what = "; ".join(f"line {loop.site.line if loop.site else '?'}: {d}" for loop, d in named) or "no loops"
            lines.append(f"  {plan.bytes:>15,}  {self.again(plan):5.2f}  {what}")
        return "\n".join(lines)

    __repr__ = __str__

    def _bars(self) -> list[str]:
        """A bar for each step of the program, the largest of those that share a row."""
        if not self.peak:
            return ["  none is allocated"]
        step = -(-len(self.history) // _ROWS)
        rows = [self.history[k : k + step] for k in range(0, len(self.history), step)]
        most = [max(row, key=lambda e: e.bytes) for row in rows]
        bars = ["█" * round(_WIDTH * e.bytes / self.peak) for e in most]
        return [f"  {e.bytes:>15,}  {bar:{_WIDTH}}  {_where(e)}" for e, bar in zip(most, bars, strict=True)]

    def plot(self) -> Any:
        """Both pictures, as a figure of matplotlib.  Raises ImportError without it: pip install iverson[demo]."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("pictures need matplotlib: pip install 'iverson[demo]'") from None
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.step(range(len(self.history)), [e.bytes / 1e6 for e in self.history], where="post")
        left.set(title="memory over time", xlabel="allocations and releases", ylabel="MB alive")
        left.set_ylim(bottom=0)
        right.plot([p.bytes / 1e6 for p in self.front], [self.again(p) for p in self.front], "o-")
        right.set(title="memory against time", xlabel="MB at once", ylabel="runs of the loops", xscale="log")
        return figure


def _where(e: Event) -> str:
    return f"{e.name}, line {e.site.line}" if e.site else e.name


def report(f: Callable[..., Any], argnums: Argnums, has_aux: bool, tape: Tape) -> Callable[..., Report]:
    """See `iv.tape.report`."""
    told = policy(tape)
    anything = replace(told, checkpoint=None, budget=1 << 62)
    planned = value_and_grad(f, argnums, has_aux, anything)
    given = value_and_grad(f, argnums, has_aux, told)
    assert isinstance(planned, Budgeted)

    def of(*args: Any, **kwargs: Any) -> Report:
        planner = planned.planner(args, kwargs)
        front = planner.front()
        jitted, actual = given.planned(*args, **kwargs) if isinstance(given, Budgeted) else (given, args)
        history = Footprint(jitted, actual, kwargs).at().history
        name = getattr(f, "__name__", "f")
        return Report(name, cost(given)(*args, **kwargs).residuals, history, planner.loops, front, planner.primal)

    return of

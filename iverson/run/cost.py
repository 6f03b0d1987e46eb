"""`iv.cost` and `iv.cheapness`: what a program costs, as formulas in its sizes, and its gradient beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from textwrap import indent
from typing import Any

import numpy as np

from iverson.core import costs
from iverson.core.bounds import Sizes
from iverson.core.build import dtype_of, extents_of
from iverson.core.formulas import settled, written
from iverson.core.rewrite import statements
from iverson.core.sizes import Size, size, substitute
from iverson.core.sums import leading
from iverson.core.syntax import I64, Atom, Library, Prim, Scalar, Site, Var
from iverson.diff import inventory
from iverson.diff.inventory import residuals
from iverson.lang.stage import Staged
from iverson.opt.pipeline import optimise, prepare
from iverson.run import rates
from iverson.run.budget import Budgeted
from iverson.run.derive import NAME, Derivative, expand, inlined_customs
from iverson.run.jit import Jit
from iverson.run.priced import PRICES, alone
from iverson.run.sizes import SizeNames
from iverson.run.transforms import Argnums, value_and_grad

STAGES = ("core", "optimised")


class Formula:
    """A count as a formula in the program's sizes: it prints as one, and called with sizes it gives its value.

    Sizes that aren't given have the value that they have at the arguments of `iv.cost(f)(*args)`; `.value` is the
    number for these.  Calling it raises TypeError for a name that isn't a size of the program, and for symbols that
    only the data decide, unless they are given.

    >>> iv.cost(f)(x).work(n=1000)
    """

    def __init__(self, exact: Size, names: SizeNames) -> None:
        self.size = exact
        self.names = names

    def __call__(self, **sizes: int) -> int:
        known = dict(self.names.at)
        by_name = {name: v for v, name in self.names.of.items()}
        for name, n in sizes.items():
            if name not in by_name:
                raise TypeError(f"{name!r} is not a size of this program: it has {', '.join(by_name) or 'none'}")
            known[by_name[name]] = int(n)
        missing = [self.names.of.get(v, v.hint) for v in self.size.variables() if v not in known]
        if missing:
            raise TypeError(f"the data decide {', '.join(missing)}: give a value, as in work({missing[0]}=10)")
        return self.size.value(known)

    @property
    def value(self) -> int:
        """The value at the arguments."""
        return self()

    @property
    def known(self) -> bool:
        """Has it a value at the arguments?"""
        return all(v in self.names.at for v in self.size.variables())

    def __int__(self) -> int:
        return self.value

    def __mul__(self, other: int) -> Formula:
        return Formula(self.size * other, self.names)

    def __str__(self) -> str:
        return written(self.size, self.names.of, self.names.least)

    __repr__ = __str__


@dataclass(frozen=True)
class Residual:
    """An array that the forward sweep of a gradient keeps for its return sweep."""

    name: str
    how: str  # "stored", "winner", "overwritten", "logged", "checkpoint" or "re-run": see iverson/diff/inventory.py
    site: Site | None  # the line that makes the value
    elements: Formula
    bytes: Formula
    uses: int = 0  # statements of the return sweep that read it
    again: Formula | None = None  # the work of computing it once more, where that is known and it needn't be kept
    saved: Formula | None = None  # the bytes that would be kept of what runs again, where that is known
    why: str = ""  # what decided
    keep_seconds: float | None = None  # to write and read it at the arguments, as the cost model has it (run/rates.py)
    again_seconds: float | None = None  # to compute it once more; what a loop carries: to run the loop once more

    @property
    def line(self) -> int | None:
        return self.site.line if self.site else None

    def __str__(self) -> str:
        where = f"line {self.line}" if self.site else ""
        many = self.bytes if self.saved is None else self.saved
        at = f"{_short(many)} bytes" + (f" = {many.value:,} bytes" if many.known else "")
        size = (
            f": {_short(self.elements)} elements, {at}" if self.how != "re-run" else f": saves {at}" * bool(self.saved)
        )
        times = {"keep": self.keep_seconds, "compute again": self.again_seconds}
        said = ", ".join(f"to {what} {time(s)}" for what, s in times.items() if s is not None)
        reason = ": ".join(filter(None, (said, self.why)))
        return f"{self.name:12} {where:10} {self.how}{size}" + (f"\n{'':23} {reason}" if reason else "")


def _short(formula: Formula, most: int = 80) -> str:
    """A formula, if a reader may want to read it."""
    text = str(formula)
    return text if len(text) <= most else f"(a formula of {len(text):,} characters)"


def time(seconds: float) -> str:
    """With its unit, to two digits."""
    for unit, factor in ("ns", 1e9), ("us", 1e6), ("ms", 1e3):
        if seconds * factor < 995:
            return f"{float(f'{seconds * factor:.2g}'):.{int(seconds * factor < 9.95)}f} {unit}"
    return f"{float(f'{seconds:.2g}'):,.{int(seconds < 9.95)}f} s"


class ProgramCost:
    """What a program costs in the cost model: `work`, `span`, `memory` (peak elements alive) and `copied`, each a
    `Formula`; `sizes`, the program's sizes and their values at the arguments; `residuals` of the gradients in it.

    `exact` says that the formulas are what the program does; else they are upper bounds (the larger side of each
    branch), in the program's sizes and the symbols `unknown`: numbers that only the data decide, such as the turns of
    a while loop.
    """

    def __init__(self, found: costs.Cost, names: SizeNames, kept: Sequence[Residual] = ()) -> None:
        self.names, self.exact, self.residuals = names, found.exact, list(kept)
        self.unknown = {names.of[u.var]: u for u in found.unknown}
        self.work, self.copied = self._formula(found.work), self._formula(found.copied)
        self.span, self.memory = self._formula(found.span), self._formula(found.peak)

    def _formula(self, s: Size) -> Formula:
        return Formula(s, self.names)

    @property
    def sizes(self) -> dict[str, int]:
        return {self.names.of[v]: n for v, n in self.names.at.items()}

    def __str__(self) -> str:
        lines = []
        for name in ("work", "span", "memory"):
            formula = getattr(self, name)
            at = f"    = {formula.value:,}" if formula.known else ""
            lines.append(f"{name:7} {_short(formula, 300)}{at}")
        used = {v for s in (self.work, self.span, self.memory) for v in s.size.variables()}
        at_sizes = [f"{self.names.of[v]} = {n:,}" for v, n in self.names.at.items() if v in used]
        if at_sizes:
            lines.append(f"at      {', '.join(at_sizes)}")
        if not self.exact:
            lines.append("an upper bound: of each branch, the larger side")
        for name, u in self.unknown.items():
            lines.append(f"{name}: {u.what}{f', line {u.site.line}' if u.site else ''}")
        if self.residuals:
            lines += ["residuals", *(indent(str(r), "  ") for r in self.residuals)]
        return "\n".join(lines)

    __repr__ = __str__


def cost(f: Callable[..., Any], stage: str = "optimised") -> Callable[..., ProgramCost]:
    """A function of f's arguments that gives the `ProgramCost` of the program that f is for them, without running it.

    f may be any function of the language, or a transform of one: `iv.cost(iv.grad(f))(*args)`.  An arithmetic
    operation, a read or a write of an element cost 1, an array that is made or copied its size, a library operation
    its textbook formula.  `stage` is "optimised", what is compiled, or "core", as staged.

    Sizes have the names that the function gives them (`n, d = x.shape`, `n = len(x)`), else `x_n0` for x.shape[0].
    Axes of length 4 or less are part of the program, and numbers in the formulas.

    >>> iv.cost(lambda x: sum(v * v for v in x))(np.ones(10))
    work    3·x_n0    = 30
    ...
    """
    if stage not in STAGES:
        raise ValueError(f"stage is one of {', '.join(STAGES)}, not {stage!r}")
    whole_call = f if isinstance(f, Jit | Budgeted) else Jit(f)

    def of(*args: Any, **kwargs: Any) -> ProgramCost:
        jitted, args = whole_call.planned(*args, **kwargs) if isinstance(whole_call, Budgeted) else (whole_call, args)
        staged = jitted.staged(args, kwargs, expanded=False)
        names = SizeNames(jitted, staged, args, kwargs)
        whole = expand(staged.function)
        found = costs.cost(optimise(whole) if stage == "optimised" else whole)
        for u in found.unknown:
            names.add(u.var)
        kept = list(_residuals(staged, names, found))
        return ProgramCost(found, names, kept)

    return of


def _residuals(staged: Staged, names: SizeNames, whole: costs.Cost) -> list[Residual]:
    """Those of the gradients that a staged program takes; `whole` is what it costs."""
    found: list[Residual] = []
    outer = Sizes(staged.function)
    for let in staged.function.body:
        outer.bind(let)
    for let in statements(staged.function.body):
        if not (isinstance(let.op, Library) and let.op.name == NAME):
            continue
        ((_, derivative),) = let.op.params
        assert isinstance(derivative, Derivative)
        if derivative.rule != "gradient":
            continue
        primal = prepare(inlined_customs(derivative.function))
        made, kept = residuals(primal, derivative.wrt, policy=derivative.policy)
        sizes = costs.cost(made)
        actual = _same_symbols(sizes, whole)
        actual |= {p: outer.of(a) for p, a in zip(made.params, let.op.args, strict=False) if p.type == Scalar(I64)}
        inner = Sizes(made)
        for own in made.body:
            inner.bind(own)
            if isinstance(own.op, Prim) and own.vars[0].type == Scalar(I64):
                actual[own.vars[0]] = substitute(inner.of(own.vars[0]), actual)
        priced = _Prices(inner, actual, names)
        for r in kept:
            counts = [substitute(sizes.elements(v), actual) for v in r.arrays]
            in_bytes = [n * _itemsize(v) for n, v in zip(counts, r.arrays, strict=True)]
            for s in counts:
                for v in s.variables():
                    names.add(v)
            elements, kept_bytes = (Formula(sum(x, size(0)), names) for x in (counts[:1], in_bytes))
            unkept = priced.unkept(r)
            saved = Formula(sum((n * _itemsize(v) for v, n in unkept.items()), size(0)), names) if unkept else None
            each = counts or [*unkept.values()]
            keeping = rates.keeping((saved or kept_bytes).value) if each and (saved or kept_bytes).known else None
            more = r.uses, priced.work(r, each), saved, r.why, keeping, priced.seconds(r, each)
            found.append(Residual(r.name, r.how, r.site, elements, kept_bytes, *more))
    return found


class _Prices:
    """What residuals cost, at the sizes of a call."""

    def __init__(self, sizes: Sizes, actual: dict[Var, Size], names: SizeNames) -> None:
        self.sizes, self.actual, self.names = sizes, actual, names

    def of(self, atom: Atom) -> Size:
        return substitute(self.sizes.of(atom), self.actual)

    def unkept(self, r: inventory.Residual) -> dict[Var, Size]:
        """The elements of what runs again, were it kept; none where the program's sizes don't say."""
        if r.how != "re-run" or r.made is None or r.around is None:
            return {}
        turns = prod(map(self.of, r.around), start=size(1))
        found = {v: prod(map(self.of, extents_of(v)), start=turns) for v in r.made.vars}
        return found if all(v in self.names.of for s in found.values() for v in s.variables()) else {}

    def entries(self, r: inventory.Residual, counts: Sequence[Size]) -> Size | None:
        """How often a statement runs again for what is kept of it."""
        if r.made is None or not counts or r.how == "sampled":
            return None
        return counts[0] // prod(map(self.of, extents_of(r.made.vars[0])), start=size(1))

    def work(self, r: inventory.Residual, counts: Sequence[Size]) -> Formula | None:
        """The work of making a value again: that of its statement, for each element (or array) that is kept."""
        entries = self.entries(r, counts)
        if r.made is None or entries is None:
            return None
        work = substitute(costs.cost(alone(r.made)).work, self.actual) * entries
        return Formula(work, self.names) if all(v in self.names.of for v in work.variables()) else None

    def seconds(self, r: inventory.Residual, counts: Sequence[Size]) -> float | None:
        """The same by the clock; of what a loop carries, those of the loop."""
        let = r.made or (r.loop if r.how == "stored" else None)
        entries = self.entries(r, counts) if r.made is not None else size(1)
        if let is None or entries is None:
            return None
        once = costs.cost(alone(let), PRICES)
        each = [substitute(s, self.actual) * entries for s in (once.work, once.span)]
        if not all(v in self.names.at for s in each for v in s.variables()):
            return None
        return rates.run(*(s.value(self.names.at) for s in each))


def _same_symbols(part: costs.Cost, whole: costs.Cost) -> dict[Var, Size]:
    """The unknowns of a part as those of the whole program, where it is clear which they are."""

    def places(of: costs.Cost) -> Counter[object]:
        return Counter((u.what, u.site) for u in of.unknown)

    alone = {(u.what, u.site): size(u.var) for u in whole.unknown if places(whole)[u.what, u.site] == 1}
    mine = places(part)
    return {
        u.var: alone[u.what, u.site] for u in part.unknown if mine[u.what, u.site] == 1 and (u.what, u.site) in alone
    }


def _itemsize(v: Var) -> int:
    return np.dtype(dtype_of(v).value).itemsize


# --- gradient beside primal -------------------------------------------------------------------------------------------


class Cheapness:
    """What value and gradient cost beside the function: `primal` and `gradient` are their `ProgramCost`, `value` is the
    ratio of their work at the arguments, `limit` the ratio as all sizes grow together.

    Called with sizes it gives the ratio there: `iv.cheapness(f)(x)(n=1000)`.
    """

    def __init__(self, primal: ProgramCost, gradient: ProgramCost) -> None:
        self.primal, self.gradient = primal, gradient

    def __call__(self, **sizes: int) -> float:
        return self.gradient.work(**sizes) / max(self.primal.work(**sizes), 1)

    @property
    def value(self) -> float:
        return self()

    @cached_property
    def limit(self) -> float | str:
        """The ratio as all sizes grow together: a number, or a formula if it depends on how they grow."""
        above, below = self._leading(self.gradient), self._leading(self.primal)
        if not below.terms:
            return float("inf") if above.terms else 1.0
        (m, c) = next(iter(below.terms.items()))
        factor = Fraction(above.terms.get(m, 0)) / c
        if above == below * factor:
            return float(factor)
        names = self.primal.names
        return f"({Formula(above, names)}) / ({Formula(below, names)})"

    def _leading(self, of: ProgramCost) -> Size:
        """The dominant terms, in the symbols of the primal."""
        by_name = {name: v for v, name in self.primal.names.of.items()}
        same = {v: size(by_name[name]) for v, name in of.names.of.items() if name in by_name}
        return leading(settled(substitute(of.work.size, same), self.primal.names.least))

    def __str__(self) -> str:
        limit = f"{self.limit:.3g}" if isinstance(self.limit, float) else self.limit
        at = f"{self.value:.3g} at the arguments, " if self.primal.work.known and self.gradient.work.known else ""
        return f"({self.gradient.work}) / ({self.primal.work}): {at}{limit} as all sizes grow"

    __repr__ = __str__


def cheapness(f: Callable[..., Any], argnums: Argnums = 0, stage: str = "optimised") -> Callable[..., Cheapness]:
    """A function of f's arguments that gives the `Cheapness` of its gradient: work(value and gradient) / work(f).

    Raises TypeError where f has no gradient.

    >>> iv.cheapness(lambda x: sum(v * v for v in x))(np.ones(10))
    (6·x_n0 ...) / (3·x_n0): ...
    """
    primal, gradient = cost(f, stage), cost(value_and_grad(f, argnums), stage)
    return lambda *args, **kwargs: Cheapness(primal(*args, **kwargs), gradient(*args, **kwargs))

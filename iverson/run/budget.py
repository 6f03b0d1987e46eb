"""Derivatives within a bound on memory: planned at the sizes of a call, and the plan kept for calls of these sizes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import update_wrapper
from types import MethodType
from typing import Any

import numpy as np

from iverson.diff.tape import Policy
from iverson.lang import state
from iverson.lang.errors import error
from iverson.lang.staging import active
from iverson.run.jit import Jit
from iverson.run.planner import Choice, Plan, Planner
from iverson.run.watch import Watch

_KEPT = 64  # plans


class Budgeted:
    """A derivative that allocates no more than the bound; `make` gives it for a policy, taking a plan's numbers last.

    `plan(*args)` is what a call does.
    """

    def __init__(self, make: Callable[[Policy], Jit], told: Policy, of: Callable[..., Any], what: str) -> None:
        self._make, self.told, self.what = make, told, what
        self._made: dict[Policy, Jit] = {}
        self._plans: dict[Hashable, Plan] = {}
        self._watch: Watch | None = None
        update_wrapper(self, of, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if active():
            self.__iverson_stage__(args, kwargs)
        jitted, args = self.planned(*args, **kwargs)
        return jitted(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound, as functions are."""
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<{self.what} of {getattr(self, '__name__', 'a function')}, within {self.told.budget:,} bytes>"

    def planned(self, *args: Any, **kwargs: Any) -> tuple[Jit, tuple[Any, ...]]:
        """The derivative that a call with these arguments is, and what that takes."""
        plan = self.plan(*args, **kwargs)
        return self.derivative(plan.policy(self.told)), (*args, plan.numbers)

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise error(
            TypeError,
            "a budget is planned at the sizes of a call: take this derivative outside of compiled functions and other "
            "transforms, or give it iv.tape.checkpoint(slots=...)",
        )

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """What a call with these arguments does.  Raises MemoryError where no plan keeps to the bound."""
        if self._watch is None or self._watch.changed():
            self._watch = Watch(self.__wrapped__)
            self._plans.clear()
        leaves, spec = state.flatten((args, kwargs))
        key = (spec, *map(_size, leaves))
        if key not in self._plans:
            while len(self._plans) >= _KEPT:
                self._plans.pop(next(iter(self._plans)))
            self._plans[key] = self._best(args, kwargs)
        return self._plans[key]

    def planner(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Planner:
        def make(choice: Choice) -> Jit:
            return self.derivative(choice.policy(self.told))

        return Planner(make, args, kwargs, 0 if self.told.disk is None else self.told.disk.bytes)

    def _best(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        bound = self.told.budget
        assert bound is not None
        planner = self.planner(args, kwargs)
        found = planner.best(bound)
        if found is not None:
            return found
        name = f"{self.what} of {getattr(self, '__name__', 'f')}"
        if planner.least is None:
            raise MemoryError(f"the memory that the {name} takes depends on the data: no bound can be planned")
        lines = ", ".join(sorted({f"line {loop.site.line}" for loop in planner.loops if loop.site}))
        where = f" with checkpoints in the loops at {lines}" if lines else ", and there is no loop to checkpoint"
        raise MemoryError(f"the {name} can't be had in {bound:,} bytes: the least is {planner.least:,}{where}")

    def derivative(self, told: Policy) -> Jit:
        if told not in self._made:
            self._made[told] = self._make(told)
            self._made[told].options["lean"] = True  # what chunks of loops take isn't planned
        return self._made[told]


def _size(x: Any) -> Hashable:
    """What plans depend on."""
    shape, dtype = np.shape(x), np.asarray(x).dtype
    if shape or dtype.kind in "fc":
        return shape, dtype.str
    try:
        hash(x)
    except TypeError:
        return id(x)
    return x  # type: ignore[no-any-return]

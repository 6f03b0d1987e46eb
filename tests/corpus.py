"""What the tests that run the whole corpus share: a program at a size, staged, its outcome and derivatives.

The outcome of a program is its result and the final contents of what it mutates.  Tests differentiate one number made
of it: <weights, outcome>, over the outcome's numbers in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from iverson.core.build import dtype_of, extents_of
from iverson.core.evaluate import evaluate
from iverson.core.syntax import Block, Function, Var
from iverson.diff import reverse
from iverson.diff.activity import is_float
from iverson.lang import state
from iverson.lang.stage import ParamSpec, Staged, stage_for
from iverson.opt.pipeline import prepare
from tests.programs.registry import Program, finite_difference, leaves, map_leaves, projection_weights

STEP = 1e-30


def flat(outcome: Any) -> np.ndarray:
    """The numbers of an outcome in a row."""
    return np.concatenate([np.zeros(0), *(np.ravel(x) for x in leaves(outcome))])


def tangent(args: Sequence[Any], wrt: Sequence[int], seed: int = 0) -> tuple[Any, ...]:
    """A random tangent in the structure of the arguments: zero for integers and for arguments not in `wrt`."""
    rng = np.random.default_rng([seed, 1])

    def direction(x: Any) -> Any:
        kind, shape = np.asarray(x).dtype.kind, np.shape(x)
        real = rng.normal(size=shape) if kind in "fc" else np.zeros(shape)
        return real + 1j * rng.normal(size=shape) if kind == "c" else real

    return tuple(map_leaves(direction if k in wrt else lambda x: np.zeros(np.shape(x)), a) for k, a in enumerate(args))


def split(x: Any) -> Any:
    """An array as the core has it: at least one axis, and a last one of real and imaginary parts if it is complex."""
    x = x.reshape(x.shape or (1,))
    return np.stack([x.real, x.imag], axis=-1) if np.iscomplexobj(x) else x


def joined(x: Any, like: Any) -> Any:
    """The array again."""
    whole = x[..., 0] + 1j * x[..., 1] if np.iscomplexobj(like) else x
    return whole.reshape(np.shape(like))


@dataclass(frozen=True)
class Part:
    """A leaf of the outcome: which out of the core function it is (a complex scalar: that and the next), its value."""

    position: int
    value: Any
    scalar: bool

    def cotangents(self, weights: np.ndarray) -> dict[int, Any]:
        """Those of Re <weights, value>, by out."""
        w = weights.reshape(np.shape(self.value))
        if not np.iscomplexobj(self.value):
            return {self.position: w.real}
        if self.scalar:
            return {self.position: w.real, self.position + 1: -w.imag}
        return {self.position: np.stack([w.real, -w.imag], axis=-1)}


class Case:
    """A program at a size: its arguments, and the staged program with its arguments."""

    def __init__(self, program: Program, n: int) -> None:
        self.program, self.n = program, n
        self.args = program.arguments(n)
        self.leaves, self._tree = state.flatten(self.args)
        self.staged: Staged = stage_for(program.function, self.args)
        self.values = [self._value(p, self.leaves) for p in self.staged.params]
        self._starts = np.cumsum([0, *(len(state.flatten(a)[0]) for a in self.args)])
        self._finals, self.function = self._with_finals()

    def _value(self, p: ParamSpec, given: Sequence[Any]) -> Any:
        """A parameter's part of the leaves of the arguments (or of their tangents)."""
        x = self.staged.captured[p.leaf] if p.kind == "captured" else given[p.leaf]
        if p.kind == "extent":
            return x.shape[p.axis]
        if p.kind != "scalar":
            return split(np.atleast_1d(x))
        return (np.imag(x) if p.part else np.real(x)) if np.iscomplexobj(x) else x

    def _with_finals(self) -> tuple[dict[int, int], Function]:
        """For each leaf of the arguments in `mutates` its out; those that no path writes are outs, too."""
        function, specs = self.staged.function, self.staged.params
        outs = list(function.body.outs)
        finals = {m.leaf: m.position for m in self.staged.mutated if m.kind == "array"}
        params = {p.leaf: v for p, v in zip(specs, function.params, strict=True) if p.kind == "array"}
        for leaf in self._leaves_of(self.program.mutates):
            if leaf not in finals and leaf in params:
                finals[leaf] = len(outs)
                outs.append(params[leaf])
        return finals, replace(function, body=Block(function.body.lets, tuple(outs)))

    def _leaves_of(self, arguments: Sequence[int]) -> list[int]:
        return [leaf for k in arguments for leaf in range(self._starts[k], self._starts[k + 1])]

    # --- the outcome --------------------------------------------------------------------------------------------------

    @cached_property
    def expected(self) -> Any:
        """(result, finals) of the plain function."""
        with np.errstate(all="ignore"):
            return self.program.outcome(self.args)

    def outcome(self, outs: Sequence[Any]) -> Any:
        """(result, finals), from the core function's outs."""
        finals = list(self.leaves)
        for leaf, position in self._finals.items():
            finals[leaf] = joined(outs[position], finals[leaf])
        args = state.unflatten(self._tree, finals)
        return self.staged.rebuild(outs), tuple(args[k] for k in self.program.mutates)

    def parts(self, outs: Sequence[Any]) -> list[Part]:
        """The leaves of the outcome, in order."""
        results = state.flatten(self.staged.rebuild(outs))[0]
        specs = self.staged.outs
        found = [
            Part(o.position, x, o.kind == "scalar") for o, x in zip(specs, results, strict=True) if o.kind != "static"
        ]
        for leaf in self._leaves_of(self.program.mutates):
            found.append(Part(self._finals[leaf], joined(outs[self._finals[leaf]], self.leaves[leaf]), scalar=False))
        return found

    @cached_property
    def weights(self) -> np.ndarray:
        return projection_weights(flat(self.expected), 0)

    def weights_of(self, parts: Sequence[Part]) -> list[np.ndarray]:
        return np.split(self.weights, np.cumsum([np.size(p.value) for p in parts])[:-1]) if parts else []

    # --- its derivative -----------------------------------------------------------------------------------------------

    @cached_property
    def direction(self) -> tuple[Any, ...]:
        """A tangent of the arguments."""
        return tangent(self.args, self.program.wrt)

    def projected(self, *args: Any) -> float:
        """<weights, outcome> of the plain function."""
        with np.errstate(all="ignore"):
            return float(np.sum(self.weights * flat(self.program.outcome(args))).real)

    @cached_property
    def by_differences(self) -> float:
        """The derivative of `projected` along `direction`."""
        wrt = self.program.wrt
        return finite_difference(self.projected, self.args, wrt, tuple(self.direction[k] for k in wrt))

    @cached_property
    def active(self) -> list[int]:
        """The parameters that have a derivative."""
        inside = self._leaves_of(self.program.wrt)
        params = enumerate(self.staged.params)
        return [
            k
            for k, p in params
            if p.kind in ("array", "scalar") and p.leaf in inside and is_float(self.function.params[k])
        ]

    @cached_property
    def tangents(self) -> list[Any]:
        """`direction` as values of the active parameters."""
        given = state.flatten(self.direction)[0]
        return [np.asarray(self._value(self.staged.params[k], given)) for k in self.active]

    @cached_property
    def primal(self) -> Function:
        """What is differentiated."""
        return prepare(self.function)

    @cached_property
    def vjp(self) -> Function:
        return reverse.vjp(self.primal, self.active)

    def seeds(self, outs: Sequence[Any]) -> list[Any]:
        """The cotangents of the core function's float outs, whose values are `outs`."""
        total: list[Any] = [np.zeros(np.shape(v)) for v in outs]
        parts = self.parts(outs)
        for part, w in zip(parts, self.weights_of(parts), strict=True):
            for position, ct in part.cotangents(w).items():
                total[position] = total[position] + np.reshape(ct, np.shape(outs[position]))
        return [
            np.asarray(t, dtype_of(o).value) for t, o in zip(total, self.function.body.outs, strict=True) if is_float(o)
        ]

    def added(self, vjp: Function, seeds: Sequence[Any]) -> list[Any]:
        """The arguments for the parameters that `vjp` has added: cotangents, and extents of theirs."""
        params = vjp.params[len(self.function.params) :]
        cotangents = dict(zip([p for p in params if is_float(p)], seeds, strict=True))
        known: dict[Any, Any] = dict(cotangents)
        for p, ct in cotangents.items():
            known.update((e, n) for e, n in zip(extents_of(p), ct.shape, strict=True) if isinstance(e, Var))
        return [known[p] for p in params]

    def by_complex_step(self, seeds: Sequence[Any]) -> float:
        """The derivative of <weights, outcome> of the staged program along `direction`."""
        stepped = list(self.values)
        for k, t in zip(self.active, self.tangents, strict=True):
            stepped[k] = np.asarray(stepped[k]) + 1j * STEP * t
        outs = evaluate(self.function, stepped).values
        floats = [y for y, o in zip(outs, self.function.body.outs, strict=True) if is_float(o)]
        return inner(seeds, [np.imag(y) / STEP for y in floats])

    # --- as a user's program ------------------------------------------------------------------------------------------

    def weights_like(self, outs: Sequence[Any]) -> list[Any]:
        """`weights` for each leaf of the outcome: the last argument of `weighed`."""
        parts = self.parts(outs)
        return [w.reshape(np.shape(p.value))[()] for p, w in zip(parts, self.weights_of(parts), strict=True)]

    def weighed(self) -> Callable[..., Any]:
        """A function of the program's arguments and `weights_like` that gives <weights, outcome>."""
        return weighed(self.program)


@lru_cache(maxsize=4)
def case_of(program: Program, n: int) -> Case:
    """The case, once for the tests of a program, which follow one another (tests/conftest.py)."""
    return Case(program, n)


def outcome_leaves(program: Program) -> Callable[..., list[Any]]:
    """A function of the program's arguments that gives the leaves of its outcome."""
    f, mutates = program.function, program.mutates

    def outcome(*args: Any) -> list[Any]:
        found = [f(*args)]
        for k in mutates:
            found.append(args[k])
        return [x for x in state.flatten(found)[0] if x is not None]

    return outcome


def weighed(program: Program) -> Callable[..., Any]:
    """A function of the program's arguments, and of a weight for each leaf of its outcome: the weighted sum."""
    outcome = outcome_leaves(program)

    def weighed(*args: Any) -> Any:
        args, weights = args[:-1], args[-1]
        total = 0.0
        for x, w in zip(outcome(*args), weights, strict=True):
            total = total + np.sum((w * x).real)
        return total

    return weighed


def inner(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    return float(sum(np.sum((np.asarray(x) * np.asarray(y)).real) for x, y in zip(xs, ys, strict=True)))

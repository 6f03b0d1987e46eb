"""What a program takes for granted of the lengths that it computes: they aren't 1.

Whether an axis stretches depends on its length being 1.  The length of an argument is known to be more, or part of the
type; a computed one (m - n, n // 2) is taken not to be 1, and where that decides something (`may_stretch`) the program
notes it.  The checks that it makes there fail where the assumption is wrong and matters.  The caller, who knows the
arguments, then has the function staged again with the length known to be 1:

    fitting(lambda ones: stage(f, args, ones=ones), leaves)

A length that depends on what the program computes from the elements of arrays can't be known at the call: there the
checks are errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from iverson.core.build import dtype_of
from iverson.core.prims import TABLE
from iverson.core.syntax import Atom, DType, If, Literal, Prim
from iverson.lang.num import Num, constant
from iverson.lang.ranges import at_most
from iverson.lang.staging import builder, current

_LARGEST = 64  # primitives of a length that is followed


@dataclass(frozen=True, slots=True)
class Input:
    """A scalar argument, or the length of an axis of an array: leaf `leaf` of the arguments."""

    leaf: int
    dtype: DType
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    name: str
    args: tuple[Term, ...]


Term: TypeAlias = Input | Literal | Apply
Terms: TypeAlias = frozenset[Term]


class Assuming(Protocol):
    """A staged program: `assumed` are the lengths that it takes not to be 1."""

    @property
    def assumed(self) -> Terms: ...


P = TypeVar("P", bound=Assuming)


def fitting(make: Callable[[Terms], P], leaves: Sequence[Any]) -> P:
    """make(ones), where `ones` are the lengths that are 1 with these leaves of the arguments, as must be known."""
    ones: Terms = frozenset()
    while True:
        program = make(ones)
        found = frozenset(t for t in program.assumed - ones if _value(t, leaves) == 1)
        if not found:
            return program
        ones |= found


# --- while a program is staged ----------------------------------------------------------------------------------------


def is_one(n: Any) -> bool:
    """Whether a length is known to be 1."""
    if isinstance(n, Num):
        ones = current().ones
        return bool(ones) and term(n.atom) in ones
    return isinstance(n, int) and n == 1


def may_stretch(n: Any) -> bool:
    """Note that a length is taken not to be 1; False if the call can't know that."""
    if isinstance(n, Num) and not at_most(constant(1), n, -1):
        found = term(n.atom)
        if found is None:
            return False
        current().assumed.add(found)
    return True


def require_ones() -> None:
    """At the start of a program: the lengths known to be 1 are."""
    state = current()
    terms = {t: var for var, t in state.inputs.items()}

    def atom(t: Term) -> Atom:
        if isinstance(t, Apply):
            return builder().prim(t.name, *map(atom, t.args))
        return t if isinstance(t, Literal) else terms[t]

    for t in sorted(state.ones, key=repr):
        b = builder()
        b.check(b.o.eq(atom(t), 1), "this program is for arguments with which a computed length is 1")


def term(atom: Atom) -> Term | None:
    """An atom in terms of the arguments; None for what can't be known at the call."""
    budget = _LARGEST

    def follow(a: Atom) -> Term | None:
        nonlocal budget
        if isinstance(a, Literal):
            return a
        a = state.resolve(a)
        if isinstance(a, Literal) or a in state.inputs:
            return a if isinstance(a, Literal) else state.inputs[a]
        budget -= 1
        let = state.builder.made.get(a)
        if let is None or budget < 0:
            return None
        match let.op:
            case Prim(name, operands):
                pass
            case If(pred, then, orelse):
                k = let.vars.index(a)
                name, operands = "select", (pred, then.outs[k], orelse.outs[k])
            case _:
                return None
        args = [follow(x) for x in operands]
        return None if any(x is None for x in args) else Apply(name, tuple(args))  # type: ignore[arg-type]

    state = current()
    return follow(atom)


# --- at the call ------------------------------------------------------------------------------------------------------


def _value(t: Term, leaves: Sequence[Any]) -> Any:
    """A term's value with these leaves of the arguments; None if it has none."""
    try:
        with np.errstate(all="ignore"):
            return _evaluate(t, leaves)
    except (ArithmeticError, ValueError):
        return None


def _evaluate(t: Term, leaves: Sequence[Any]) -> Any:
    if isinstance(t, Apply):
        args = [_evaluate(x, leaves) for x in t.args]
        if t.name in ("floordiv", "mod") and not args[1]:
            raise ZeroDivisionError
        return TABLE[t.name].meaning(*args)
    if isinstance(t, Literal):
        return np.dtype(t.dtype.value).type(t.value)
    x = leaves[t.leaf]
    return np.dtype(t.dtype.value).type(x if t.axis is None else x.shape[t.axis])


def input_of(var: Atom, leaf: int, axis: int | None = None) -> None:
    """Let a parameter be known as part of an argument."""
    current().inputs[var] = Input(leaf, dtype_of(var), axis)  # type: ignore[index]

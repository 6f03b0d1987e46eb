"""The form of a library operation's derivative: see diff/library.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from iverson.core.syntax import Atom
from iverson.diff.matrices import Matrices

Maybe: TypeAlias = Atom | None  # no tangent or adjoint: zero


@dataclass(frozen=True)
class Call:
    """One operation as its rule sees it."""

    m: Matrices
    args: tuple[Atom, ...]
    results: tuple[Atom, ...]
    params: Mapping[str, Any]

    def sum(self, terms: Sequence[Maybe]) -> Maybe:
        """The sum of the arrays that are there."""
        total: Maybe = None
        for t in terms:
            if t is not None:
                total = t if total is None else self.m.add(total, t)
        return total


@dataclass(frozen=True)
class Rule:
    """`arguments` are the positions of those that have derivatives; others are known from them, or are integers.

    jvp(call, a tangent or None per argument)                      tangents of the results
    vjp(call, an adjoint or None per result, wanted arguments)     adjoints of the first arguments, in order
    """

    arguments: tuple[int, ...]
    jvp: Callable[[Call, Sequence[Maybe]], Sequence[Maybe]]
    vjp: Callable[[Call, Sequence[Maybe], Sequence[bool]], Sequence[Maybe]]

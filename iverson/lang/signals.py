"""How a suite ended: by falling through (None), or by one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ABSENT = type("Absent", (), {"__repr__": lambda self: "<absent>"})()
NONE, BREAK_KIND, CONTINUE_KIND, RETURN_KIND = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Return:
    """The function returns this value."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Jump:
    """break, continue, or an exception that is certainly raised."""

    name: str


BREAK = Jump("break")
CONTINUE = Jump("continue")
NEVER = Jump("raise")


@dataclass(frozen=True, slots=True, eq=False)
class Leave:
    """It depends: `kind` is a number of the program, one of `kinds`; `sure` if it is certainly not NONE."""

    kind: Any
    value: Any = ABSENT
    sure: bool = False
    kinds: frozenset[int] = frozenset(range(4))


def surely_leaves(signal: Any) -> bool:
    return signal is not None and not (isinstance(signal, Leave) and not signal.sure)


def parts(signal: Any) -> tuple[Any, Any]:
    """A signal as its kind and the value returned."""
    if signal is None:
        return NONE, ABSENT
    if isinstance(signal, Return):
        return RETURN_KIND, signal.value
    if isinstance(signal, Leave):
        return signal.kind, signal.value
    return {"break": BREAK_KIND, "continue": CONTINUE_KIND}[signal.name], ABSENT


def kinds(signal: Any) -> frozenset[int]:
    """The kinds that a signal may turn out to be."""
    return signal.kinds if isinstance(signal, Leave) else frozenset((parts(signal)[0],))


def signal(kind: Any, value: Any, possible: frozenset[int]) -> Any:
    """The signal of a kind, which may be known by now."""
    if isinstance(kind, int):
        return (None, BREAK, CONTINUE, Return(value))[kind]
    return Leave(kind, value, NONE not in possible, possible)


def settled(signal: Leave) -> Leave:
    """A signal on the path on which it does leave."""
    return Leave(signal.kind, signal.value, True, signal.kinds - {NONE})

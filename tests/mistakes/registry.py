"""Where mistakes are listed: a program, what must be raised, where, and in which words."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

MARK = "# <-- here"

# Constructs outside the language have no category of their own in Python.
REFUSED = (NotImplementedError, SyntaxError, TypeError)


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A function that must fail, and how.

    error      the exception classes that may be raised
    match      a regex that the message contains
    args       fresh arguments
    transform  the name in `iverson` of what is applied to the function first; "" calls the function itself,
               where the mistake is in the call of a transform
    plain      plain Python raises too, and then one of `error`
    lenient    the function is legitimate Python that the design doesn't rule on: doing what Python does is right too
    good       arguments of the same types for which the program is right: a compiled function that has
               served them must still find the mistake
    """

    function: Callable[..., Any]
    error: tuple[type[BaseException], ...]
    match: str
    args: Callable[[], tuple[Any, ...]]
    transform: str = "jit"
    plain: bool = True
    lenient: bool = False
    good: Callable[[], tuple[Any, ...]] | None = None

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def file(self) -> str:
        return inspect.getsourcefile(self.function)

    @property
    def line(self) -> int:
        """The number of the marked line of the user's source."""
        lines, first = inspect.getsourcelines(self.function)
        (marked,) = [k for k, line in enumerate(lines) if MARK in line]
        return first + marked


MISTAKES: list[Mistake] = []


def mistake(
    error: type[BaseException] | tuple[type[BaseException], ...],
    match: str,
    args: Callable[[], tuple[Any, ...]] = lambda: (),
    **fields: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record a function as a mistake."""

    def record(function: Callable[..., Any]) -> Callable[..., Any]:
        classes = error if isinstance(error, tuple) else (error,)
        MISTAKES.append(Mistake(function, classes, match, args, **fields))
        return function

    return record


def unsupported(match: str, args: Callable[[], tuple[Any, ...]], **fields: Any) -> Callable[..., Any]:
    """Record legitimate Python that the language leaves out."""
    return mistake(REFUSED, match, args, plain=False, **fields)


def undecided(match: str, args: Callable[[], tuple[Any, ...]], **fields: Any) -> Callable[..., Any]:
    """Record legitimate Python the design is silent on: refused, or done as Python does it, never something else."""
    return mistake(REFUSED, match, args, plain=False, lenient=True, **fields)

"""What a compiled program took from around its function: globals and closures, guarded by identity.

Staging makes constants of the numbers, strings and functions that a function finds in its globals and closure, and
hidden inputs of the arrays.  If a name is bound to something else later, the program must be staged again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_ABSENT = object()
_LIBRARIES = {*sys.stdlib_module_names, "numpy", "scipy", "optree", "iverson"} - {"__main__"}


class Watch:
    """The bindings that a function, and the functions it calls, depend on."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.globals: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[CellType, Any]] = []
        seen: set[int] = set()
        stack = [f]
        while stack:
            for function in _python_functions(stack.pop()):
                if id(function.__code__) not in seen:
                    seen.add(id(function.__code__))
                    stack += [x for x in self._bindings(function) if callable(x)]

    def _bindings(self, function: FunctionType) -> Iterator[Any]:
        for cell in function.__closure__ or ():
            value = _contents(cell)
            self.cells.append((cell, value))
            yield value
        for name in _names(function.__code__):
            value = function.__globals__.get(name, _ABSENT)
            if value is not _ABSENT and not isinstance(value, ModuleType):
                self.globals.append((function.__globals__, name, value))
                yield value

    def changed(self) -> bool:
        """Whether a name means something else than it did."""
        return any(g.get(name, _ABSENT) is not value for g, name, value in self.globals) or any(
            _contents(cell) is not value for cell, value in self.cells
        )


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _ABSENT


def _python_functions(f: Any) -> Iterator[FunctionType]:
    """The user's functions behind a callable: itself, what it wraps, its defaults' code."""
    while not isinstance(f, FunctionType):
        if isinstance(f, MethodType):
            f = f.__func__
        elif hasattr(f, "__wrapped__"):
            f = f.__wrapped__
        else:
            return
    if (f.__module__ or "").split(".")[0] not in _LIBRARIES:
        yield f


def _names(code: CodeType) -> set[str]:
    """The global names that a function's code, nested functions included, may load."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found

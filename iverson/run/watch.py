"""What a compiled program took from around its function: globals, closures and objects, guarded by identity.

Staging makes constants of the numbers, strings and functions that a function finds in its globals and closure, in
lists, dicts and objects that it finds there, and in its static arguments; arrays become hidden inputs.  If a name, an
item or an attribute is bound to something else later, the program must be staged again.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from operator import is_
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from iverson.lang import state
from iverson.lang.num import Num
from iverson.lang.values import Arr

ABSENT = object()
_LIBRARIES = {*sys.stdlib_module_names, "numpy", "scipy", "optree", "iverson"} - {"__main__"}
_MOST = 10_000  # items of containers that are watched


class Watch:
    """The bindings that a function, the functions it calls, and the objects they use depend on."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.globals: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[CellType, Any]] = []
        self.lists: list[tuple[Sequence[Any], list[Any]]] = []
        self.dicts: list[tuple[Any, list[Any], list[Any]]] = []
        self.sets: list[tuple[set[Any], frozenset[Any]]] = []
        self._seen: set[int] = set()
        self._items = 0
        self.add(f)

    def add(self, *values: Any) -> None:
        """Watch what these values are made of, too."""
        stack = list(values)
        while stack:
            x = stack.pop()
            if id(x) not in self._seen and self._items < _MOST:
                self._seen.add(id(x))
                stack += self._parts(x)

    def _parts(self, x: Any) -> Sequence[Any]:
        """What a value depends on; its bindings are watched."""
        if isinstance(x, FunctionType):
            return list(self._bindings(x)) if _is_user(x) else ()
        if isinstance(x, MethodType) or (hasattr(x, "__func__") and hasattr(x, "__self__")):
            return x.__func__, x.__self__
        if isinstance(x, functools.partial):
            return x.func, *x.args, *x.keywords.values()
        if isinstance(x, tuple):
            return x
        if isinstance(x, list):
            self._items += len(x)
            self.lists.append((x, list(x)))
            return x
        if isinstance(x, set):
            self.sets.append((x, frozenset(x)))
            return ()
        if isinstance(x, dict):
            return self._dict(x)
        if hasattr(x, "__wrapped__"):
            return self._dict(vars(x)) if hasattr(x, "rules") else (x.__wrapped__,)
        if isinstance(x, type):
            return self._dict(vars(x)) + list(x.__mro__[1:]) if _is_user(x) else ()
        slots = getattr(x, "__dict__", None)
        return [type(x), *self._dict(slots)] if isinstance(slots, dict) and _is_user(type(x)) else ()

    def _dict(self, x: Any) -> list[Any]:
        values = list(x.values())
        self._items += len(values)
        self.dicts.append((x, list(x), values))
        return values

    def _bindings(self, function: FunctionType) -> Iterator[Any]:
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        for cell in function.__closure__ or ():
            value = _contents(cell)
            self.cells.append((cell, value))
            yield value
        names = _names(function.__code__)
        for name in names:
            value = function.__globals__.get(name, ABSENT)
            if isinstance(value, ModuleType):
                yield from self._attributes(value, names)
            elif value is not ABSENT:
                self.globals.append((function.__globals__, name, value))
                yield value

    def _attributes(self, module: ModuleType, names: set[str]) -> Iterator[Any]:
        """What a function may take from a module of the user's."""
        if module.__name__.split(".")[0] not in _LIBRARIES:
            for name in names & vars(module).keys():
                self.globals.append((vars(module), name, vars(module)[name]))
                if not isinstance(vars(module)[name], ModuleType):
                    yield vars(module)[name]

    def changed(self) -> bool:
        """Whether a name, an item or an attribute means something else than it did."""
        for g, name, value in self.globals:
            if g.get(name, ABSENT) is not value:
                return True
        for cell, value in self.cells:
            if _contents(cell) is not value:
                return True
        for x, then in self.lists:
            if len(x) != len(then) or not all(map(is_, x, then)):
                return True
        for x, keys, values in self.dicts:
            if len(x) != len(keys) or not all(map(is_, x.values(), values)) or list(x) != keys:
                return True
        return any(x != then for x, then in self.sets) if self.sets else False

    def repair(self) -> str:
        """Take values of the program out of what outlives its staging; where there were some."""
        found = ""
        for cell, value in self.cells:
            if is_traced(_contents(cell)):
                found = "a variable of an enclosing function"
                state.put(cell, state.UNBOUND if value is ABSENT else value)
        for x, then in self.lists:
            if isinstance(x, list) and is_traced(x):
                found = "a list that was there before"
                x[:] = then
        for slots, keys, values in self.dicts:
            if isinstance(slots, dict) and is_traced(slots):
                found = "an attribute or item of an object that was there before"
                slots.clear()
                slots.update(zip(keys, values, strict=True))
        return found


def is_traced(tree: Any) -> bool:
    """Whether a value of a staged program is in a pytree."""
    return any(isinstance(x, Num | Arr | state.Poison | state.Maybe) for x in state.flatten(tree)[0])


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return ABSENT


def _is_user(x: Any) -> bool:
    """Whether a function or class is not a library's."""
    return (x.__module__ or "").split(".")[0] not in _LIBRARIES


def _names(code: CodeType) -> set[str]:
    """The global names that a function's code, nested functions included, may load."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found

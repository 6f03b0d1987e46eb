"""What a suite of a program can change: the names of its function, the containers it can reach, and storage cells.

Names are closure cells shared by the suites of a function.  Lists, dicts and objects are Python's own: what a staged
branch or turn does to them is found by comparing them with a snapshot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import optree

from iverson.lang.errors import LIBRARIES, error
from iverson.lang.num import Num
from iverson.lang.values import Arr

NAMESPACE = "iverson"


class _Unbound:
    def __repr__(self) -> str:
        return "<unbound>"


UNBOUND = _Unbound()


# --- names ------------------------------------------------------------------------------------------------------------


def variables(*suites: FunctionType | None) -> dict[str, CellType]:
    """The variables that suites share."""
    found: dict[str, CellType] = {}
    for f in suites:
        if f is not None:
            found.update(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    found.pop("_iv", None)
    return found


def get(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return UNBOUND


def put(cell: CellType, value: Any) -> None:
    if value is UNBOUND:
        if get(cell) is not UNBOUND:
            del cell.cell_contents
    else:
        cell.cell_contents = value


# --- values that can't be used ----------------------------------------------------------------------------------------


class Poison:
    """What a name holds when no single value of the program can stand for it; any use says why."""

    __slots__ = ("_why",)

    def __init__(self, why: str) -> None:
        object.__setattr__(self, "_why", why)

    def raise_(self, *_: Any, **__: Any) -> Any:
        raise error(TypeError, self._why)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__array_ufunc__", "__array_function__"):
            raise AttributeError(name)
        return self.raise_()


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
_OTHERS = (
    "neg",
    "pos",
    "abs",
    "invert",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "bool",
    "iter",
    "len",
    "getitem",
    "setitem",
)
_NUMBERS = ("call", "index", "float", "int", "contains", "array")
for _name in (*_BINARY, *(f"r{n}" for n in _BINARY), *_OTHERS, *_NUMBERS):
    setattr(Poison, f"__{_name}__", Poison.raise_)
Poison.__hash__ = object.__hash__  # type: ignore[method-assign]


@dataclasses.dataclass(frozen=True, eq=False)
class Maybe:
    """A name that is bound only if `bound` holds when the program runs."""

    value: Any
    bound: Num
    name: str


# --- trees ------------------------------------------------------------------------------------------------------------


def register(value: Any) -> None:
    """Let optree look into dataclasses."""
    cls = type(value)
    if not _registered(cls):
        names = [f.name for f in dataclasses.fields(cls)]

        def flatten(x: Any) -> Any:
            return [getattr(x, n) for n in names], None, names

        def unflatten(_: Any, children: Iterable[Any]) -> Any:
            made = object.__new__(cls)
            for n, child in zip(names, children, strict=True):
                object.__setattr__(made, n, child)
            return made

        optree.register_pytree_node(cls, flatten, unflatten, namespace=NAMESPACE)


def _registered(cls: type) -> bool:
    return optree.register_pytree_node.get(cls, namespace=NAMESPACE) is not None


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a pytree (None is one) and its structure."""
    leaves, spec = split(tree)
    inner = [x for x in leaves if is_record(x)]
    if not inner:
        return leaves, spec
    for x in inner:
        register(x)
    return flatten(tree)


def split(tree: Any) -> tuple[list[Any], Any]:
    """The same where the user's dataclasses are registered; one that isn't is a leaf."""
    return optree.tree_flatten(tree, none_is_leaf=True, namespace=NAMESPACE)


def orders(spec: Any) -> tuple[Any, ...]:
    """The keys of a structure's dicts as they come in them, on which programs depend and equality doesn't."""
    found: list[tuple[Any, ...]] = []

    def visit(node: Any) -> Any:
        if isinstance(node, dict):
            found.append(tuple(node))
        return node

    spec.traverse([None] * spec.num_leaves, visit, None)
    return tuple(found)


def is_record(x: Any) -> bool:
    """A dataclass of the user's."""
    return dataclasses.is_dataclass(x) and not isinstance(x, type) and not type(x).__module__.startswith("iverson.")


def unflatten(spec: Any, leaves: Iterable[Any]) -> Any:
    return optree.tree_unflatten(spec, leaves)


# --- containers -------------------------------------------------------------------------------------------------------

_NUMBER_TYPES = (int, float, complex, bool, np.ndarray, np.generic, Num, Arr)
_OPAQUE = (*_NUMBER_TYPES, str, bytes, ModuleType, BuiltinFunctionType, type)


class Snapshot:
    """The variables, and the contents of all containers reachable from them."""

    def __init__(self, cells: dict[str, CellType], roots: Sequence[Any] = ()) -> None:
        self.cells = cells
        self.names = {name: _shadowed(get(cell)) for name, cell in cells.items()}
        self.containers: dict[int, tuple[Any, dict[Any, Any]]] = {}
        for value in (*self.names.values(), *roots):
            self._reach(value)

    def _reach(self, value: Any) -> None:
        stack = [value]
        while stack:
            x = stack.pop()
            if x is None or isinstance(x, _OPAQUE) or id(x) in self.containers:
                continue
            if isinstance(x, tuple):
                stack.extend(x)
                continue
            slots = contents(x)
            if slots is not None:
                self.containers[id(x)] = x, {k: _shadowed(v) for k, v in slots.items()}
                stack.extend(slots.values())

    def now(self) -> Snapshot:
        """The same variables and containers as they are now."""
        new = object.__new__(Snapshot)
        new.cells = self.cells
        new.names = {name: _shadowed(get(cell)) for name, cell in self.cells.items()}
        new.containers = {
            k: (x, {s: _shadowed(v) for s, v in (contents(x) or {}).items()}) for k, (x, _) in self.containers.items()
        }
        return new

    def restore(self) -> None:
        """Put everything back."""
        for name, cell in self.cells.items():
            put(cell, _revived(self.names[name]))
        for x, slots in self.containers.values():
            fill(x, {k: _revived(v) for k, v in slots.items()})


def _shadowed(value: Any) -> Any:
    return value.shadow() if isinstance(value, Arr) else value


def _revived(value: Any) -> Any:
    return value.revive() if isinstance(value, Arr) else value


def contents(x: Any) -> dict[Any, Any] | None:
    """The slots of a mutable container; None if x is none."""
    if isinstance(x, list):
        return dict(enumerate(x))
    if isinstance(x, dict):
        return dict(x)
    if isinstance(x, CellType):
        return {"": get(x)}
    if isinstance(x, FunctionType):
        return dict(enumerate(x.__closure__ or ())) if _is_staged(x) else None
    if isinstance(x, MethodType):
        return {"self": x.__self__}
    slots = getattr(x, "__dict__", None)
    mine = isinstance(slots, dict) and type(x).__module__.split(".")[0] not in LIBRARIES
    return dict(slots) if mine else None  # type: ignore[arg-type]


def _is_staged(f: FunctionType) -> bool:
    from iverson.lang.source import is_ready

    return is_ready(f)


def fill(x: Any, slots: dict[Any, Any]) -> None:
    """Give a container these slots."""
    now = contents(x) or {}
    if now.keys() == slots.keys() and all(same_value(now[k], v) for k, v in slots.items()):
        return
    if isinstance(x, list):
        x[:] = [slots[k] for k in sorted(slots)]
    elif isinstance(x, dict):
        x.clear()
        x.update(slots)
    elif isinstance(x, CellType):
        put(x, slots[""])
    else:
        x.__dict__.clear()
        x.__dict__.update(slots)


def same_value(x: Any, y: Any) -> bool:
    """Whether two values need no merging."""
    if x is y:
        return True
    if isinstance(x, Arr):
        return x.is_same(y)
    if isinstance(x, Num):
        return isinstance(y, Num) and x.atom is y.atom and x.im is y.im and x.weak == y.weak
    if isinstance(x, tuple) and isinstance(y, tuple):
        return type(x) is type(y) and len(x) == len(y) and all(map(same_value, x, y))
    if isinstance(x, bool | int | float | complex | str | bytes | np.generic) and type(x) is type(y):
        return bool(x == y) or bool(x != x and y != y)
    return False

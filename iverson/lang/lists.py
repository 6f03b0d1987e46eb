"""Comprehensions as arrays that keep the meaning of lists.

A comprehension over a loop of the program is an array, but Python calls it a list: `+`, `*` and the methods keep their
list meaning or raise, and never act elementwise.  NumPy's functions take it as an array, as they take a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.lang.errors import error
from iverson.lang.iterate import Steps
from iverson.lang.num import kind_of
from iverson.lang.state import is_record, unflatten
from iverson.lang.values import Arr, lift


class ListArr(Arr):
    """A list of numbers, or of lists or arrays of one shape: its first `levels` axes are lists."""

    __slots__ = ("levels",)

    def __init__(self, *args: Any, levels: int = 1) -> None:
        super().__init__(*args)
        self.levels = levels

    def like(self, other: Arr) -> Arr:
        return of_levels(self, other.levels if isinstance(other, ListArr) else 0)

    def shadow(self) -> Arr:
        other = super().shadow()
        other.levels = self.levels  # type: ignore[attr-defined]
        return other

    def revive(self) -> Arr:
        return of_levels(self, self.levels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            raise error(TypeError, "list indices must be integers or slices, not tuple")
        item = super().__getitem__(index)
        if isinstance(index, slice):
            return of_levels(item.copy(), self.levels)
        return of_levels(item, self.levels - 1) if isinstance(item, Arr) else item

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            raise error(TypeError, "a slice of a comprehension can't be assigned: it is an array of fixed length")
        given = _dtype(value)
        if self.levels == self.ndim and not np.can_cast(given, self.dtype, "same_kind"):
            raise error(
                TypeError,
                f"a number of type {given} is put into a list of {self.dtype}: in a staged program such a list is an "
                "array, with elements of one type; make it of the other type from the start (of 0.0 instead of 0, say)",
            )
        super().__setitem__(index, value)

    def updates(self, name: str, operand: Any) -> bool:
        """Whether self[i] op= operand is an update of the array: an element is no list and keeps its dtype."""
        if self.levels > 1 or self.ndim > 1:
            return self.levels == 1
        return name in ("add", "sub", "mul") and np.can_cast(_dtype(operand), self.dtype, "same_kind")

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED:
            raise error(
                TypeError,
                f"list.{name}: a comprehension is an array of fixed length in a staged program; write all of it as "
                "one comprehension, or use a NumPy function",
            )
        if name in ("shape", "ndim", "dtype", "T") or name.startswith("__"):
            return super().__getattr__(name)
        raise error(AttributeError, f"'list' object has no attribute {name!r}: np.array(...) makes it an array")

    def __bool__(self) -> bool:
        return bool(self.staged_truth())

    def staged_truth(self) -> Any:
        return self.length > 0


_REFUSED = ("append", "extend", "insert", "pop", "remove", "clear", "reverse", "sort", "index", "count")


def _dtype(value: Any) -> np.dtype[Any]:
    x = lift(value)
    return x.dtype if isinstance(x, Arr) else kind_of(x).dtype


def of_levels(a: Arr, levels: int) -> Arr:
    """An array as a list of `levels` levels; as an array if there are none."""
    made: Any = Arr if levels <= 0 else ListArr
    out = made(a.source, a.shape_, a.at, a.prefix, a.readonly)
    if levels > 0:
        out.levels = levels
    return out


def _unless_array(refuse: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Beside an array, a list is an array."""

    def operator(self: Any, *other: Any) -> Any:
        if other and isinstance(other[0], Arr) and not isinstance(other[0], ListArr):
            return getattr(Arr, name)(self, *other)
        return refuse(self, *other)

    return operator


def _list_operators() -> None:
    def refuse(symbol: str) -> Callable[..., Any]:
        def operator(self: Any, other: Any = None) -> Any:
            raise error(
                TypeError,
                f"unsupported operand type(s) for {symbol}: a comprehension is a list; np.array(...) makes it an array",
            )

        return operator

    def add(self: ListArr, other: Any) -> Any:
        from iverson.lang.table import lookup

        if not isinstance(other, ListArr | list):
            return NotImplemented if isinstance(other, Arr) else refuse("+")(self, other)
        return of_levels(lookup(np.concatenate)([self, other]), self.levels)  # type: ignore[misc]

    def radd(self: ListArr, other: Any) -> Any:
        from iverson.lang.table import lookup

        if not isinstance(other, list):
            return NotImplemented if isinstance(other, Arr) else refuse("+")(self, other)
        return of_levels(lookup(np.concatenate)([other, self]) if other else self.copy(), self.levels)  # type: ignore[misc]

    def mul(self: ListArr, other: Any) -> Any:
        from iverson.lang.table import lookup

        if isinstance(other, Arr):
            return NotImplemented
        if getattr(other, "dtype", np.asarray(0 if isinstance(other, int) else 0.0).dtype).kind != "i":
            raise error(TypeError, "can't multiply sequence by non-int of type 'float'")
        return of_levels(lookup(np.tile)(self, (other, *(1,) * (self.ndim - 1))), self.levels)  # type: ignore[misc]

    symbols = {"sub": "-", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@"}
    for name, symbol in symbols.items():
        setattr(ListArr, f"__{name}__", _unless_array(refuse(symbol), f"__{name}__"))
        setattr(ListArr, f"__r{name}__", _unless_array(refuse(symbol), f"__r{name}__"))
    for name in ("neg", "pos", "abs", "invert", "iadd", "isub", "imul", "itruediv", "lt", "le", "gt", "ge"):
        setattr(ListArr, f"__{name}__", _unless_array(refuse(name), f"__{name}__"))
    ListArr.__add__, ListArr.__radd__ = add, radd  # type: ignore[method-assign, attr-defined]
    ListArr.__mul__ = ListArr.__rmul__ = mul  # type: ignore[attr-defined, method-assign]


_list_operators()


class TreeList:
    """A list of tuples, dicts or objects of one structure: one array per leaf."""

    def __init__(self, spec: Any, arrays: list[Arr]) -> None:
        self.spec = spec
        self.arrays = arrays

    @property
    def length(self) -> Any:
        return self.arrays[0].length

    def __getitem__(self, index: Any) -> Any:
        items = [a[index] for a in self.arrays]
        return TreeList(self.spec, items) if isinstance(index, slice) else unflatten(self.spec, items)

    def staged_steps(self) -> Steps:
        return Steps(self.length, lambda k: self[k])

    def staged_array(self) -> Any:
        """np.array of a list of tuples: the members along a new last axis."""
        from iverson.lang.table import lookup

        return lookup(np.stack)(self.arrays, axis=-1)  # type: ignore[misc]

    def __iter__(self) -> Any:
        return iter(self.staged_steps())

    def __len__(self) -> int:
        return len(self.arrays[0])


def is_structure(value: Any) -> bool:
    """A tuple, dict or dataclass: an element that becomes several arrays."""
    return isinstance(value, tuple | dict) or is_record(value)

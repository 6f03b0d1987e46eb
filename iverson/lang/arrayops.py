"""The operators of arrays: NumPy's ufuncs, elementwise; in place they write the array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.lang import indexing
from iverson.lang.num import is_scalar
from iverson.lang.table import apply_ufunc
from iverson.lang.values import Arr

BINARY: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "divmod": np.divmod,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


def _operand(value: Any) -> bool:
    return isinstance(value, Arr | np.ndarray | list | tuple) or is_scalar(value) or hasattr(value, "staged_array")


def _binary(function: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    def forward(self: Arr, other: Any) -> Any:
        return apply_ufunc(function, "__call__", (self, other), {}) if _operand(other) else NotImplemented

    def backward(self: Arr, other: Any) -> Any:
        return apply_ufunc(function, "__call__", (other, self), {}) if _operand(other) else NotImplemented

    def in_place(self: Arr, other: Any) -> Any:
        indexing.update(function, self, Ellipsis, other)
        return self

    return forward, backward, in_place


def install() -> None:
    for name, function in BINARY.items():
        forward, backward, in_place = _binary(function)
        setattr(Arr, f"__{name}__", forward)
        setattr(Arr, f"__r{name}__", backward)
        if name != "divmod":
            setattr(Arr, f"__i{name}__", in_place)
    for name, function in _COMPARE.items():
        setattr(Arr, f"__{name}__", _binary(function)[0])
    for name, function in _UNARY.items():
        setattr(Arr, f"__{name}__", lambda self, function=function: apply_ufunc(function, "__call__", (self,), {}))

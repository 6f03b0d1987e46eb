"""Python's operators as NumPy's ufuncs: what scalars and arrays of a staged program have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

# the ufunc of each augmented assignment
AUGMENTED: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}


class Arithmetic:
    """Operators in terms of `operate(ufunc, *operands)`."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def operate(self, function: np.ufunc, *operands: Any) -> Any:
        """The ufunc of these operands, of which one is self; NotImplemented where it can't be."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self.operate(np.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self.operate(np.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self.operate(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.operate(np.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return self.operate(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.operate(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.operate(np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.operate(np.true_divide, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self.operate(np.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self.operate(np.floor_divide, other, self)

    def __mod__(self, other: Any) -> Any:
        return self.operate(np.remainder, self, other)

    def __rmod__(self, other: Any) -> Any:
        return self.operate(np.remainder, other, self)

    def __divmod__(self, other: Any) -> Any:
        return self.operate(np.divmod, self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return self.operate(np.divmod, other, self)

    def __pow__(self, other: Any) -> Any:
        return self.operate(np.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.operate(np.power, other, self)

    def __matmul__(self, other: Any) -> Any:
        return self.operate(np.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.operate(np.matmul, other, self)

    def __and__(self, other: Any) -> Any:
        return self.operate(np.bitwise_and, self, other)

    def __rand__(self, other: Any) -> Any:
        return self.operate(np.bitwise_and, other, self)

    def __or__(self, other: Any) -> Any:
        return self.operate(np.bitwise_or, self, other)

    def __ror__(self, other: Any) -> Any:
        return self.operate(np.bitwise_or, other, self)

    def __xor__(self, other: Any) -> Any:
        return self.operate(np.bitwise_xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return self.operate(np.bitwise_xor, other, self)

    def __lshift__(self, other: Any) -> Any:
        return self.operate(np.left_shift, self, other)

    def __rlshift__(self, other: Any) -> Any:
        return self.operate(np.left_shift, other, self)

    def __rshift__(self, other: Any) -> Any:
        return self.operate(np.right_shift, self, other)

    def __rrshift__(self, other: Any) -> Any:
        return self.operate(np.right_shift, other, self)

    def __eq__(self, other: Any) -> Any:  # type: ignore[override]
        return self.operate(np.equal, self, other)

    def __ne__(self, other: Any) -> Any:  # type: ignore[override]
        return self.operate(np.not_equal, self, other)

    def __lt__(self, other: Any) -> Any:
        return self.operate(np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return self.operate(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return self.operate(np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return self.operate(np.greater_equal, self, other)

    def __neg__(self) -> Any:
        return self.operate(np.negative, self)

    def __pos__(self) -> Any:
        return self.operate(np.positive, self)

    def __abs__(self) -> Any:
        return self.operate(np.absolute, self)

    def __invert__(self) -> Any:
        return self.operate(np.invert, self)


class InPlace(Arithmetic):
    """Augmented assignment in terms of `update(ufunc, operand)`, which writes self."""

    __slots__ = ()

    def update(self, function: np.ufunc, operand: Any) -> Any:
        """self op= operand"""
        raise NotImplementedError

    def __iadd__(self, other: Any) -> Any:
        return self.update(np.add, other)

    def __isub__(self, other: Any) -> Any:
        return self.update(np.subtract, other)

    def __imul__(self, other: Any) -> Any:
        return self.update(np.multiply, other)

    def __itruediv__(self, other: Any) -> Any:
        return self.update(np.true_divide, other)

    def __ifloordiv__(self, other: Any) -> Any:
        return self.update(np.floor_divide, other)

    def __imod__(self, other: Any) -> Any:
        return self.update(np.remainder, other)

    def __ipow__(self, other: Any) -> Any:
        return self.update(np.power, other)

    def __imatmul__(self, other: Any) -> Any:
        return self.update(np.matmul, other)

    def __iand__(self, other: Any) -> Any:
        return self.update(np.bitwise_and, other)

    def __ior__(self, other: Any) -> Any:
        return self.update(np.bitwise_or, other)

    def __ixor__(self, other: Any) -> Any:
        return self.update(np.bitwise_xor, other)

    def __ilshift__(self, other: Any) -> Any:
        return self.update(np.left_shift, other)

    def __irshift__(self, other: Any) -> Any:
        return self.update(np.right_shift, other)

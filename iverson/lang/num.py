"""Scalars of a staged program.

A `Num` behaves as the Python or NumPy scalar that it will be.  Python numbers beside it are constants of the program.
All arithmetic goes through `ufunc`, which asks NumPy itself which dtypes a ufunc computes in.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from iverson.core.build import dtype_of, literal
from iverson.core.syntax import BOOL, I64, Atom, Literal, Var
from iverson.lang import complexes, ranges, scalars, specials
from iverson.lang.arithmetic import Arithmetic
from iverson.lang.dtypes import (
    BOOL_,
    FLOAT64,
    INT32,
    INT64,
    Kind,
    complex_dtype,
    core_dtype,
    front_dtype,
    is_complex,
    promote,
    python_kind,
    supported,
)
from iverson.lang.errors import error
from iverson.lang.staging import builder, current

_BITS = (np.bitwise_and, np.bitwise_or, np.bitwise_xor)
_COMPARISONS = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)
_SIZES = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.minimum: "min", np.maximum: "max"}


class Num(Arithmetic):
    """A number that the program will know when it runs."""

    __slots__ = ("atom", "high", "im", "low", "weak")
    __array_priority__ = 1000.0

    def __init__(
        self,
        atom: Atom,
        weak: bool = False,
        im: Atom | None = None,
        low: int | None = None,
        high: ranges.High | None = None,
    ) -> None:
        self.atom = atom
        self.weak = weak  # a Python number in the sense of NEP 50
        self.im = im  # the imaginary part of a complex number
        self.low = low  # known bounds, of integers (see ranges.py)
        self.high = high

    # --- what NumPy scalars have --------------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        d = front_dtype(dtype_of(self.atom))
        return d if self.im is None else complex_dtype(d)

    @property
    def kind(self) -> Kind:
        return Kind(self.dtype, self.weak)

    shape: tuple[int, ...] = ()
    ndim = 0
    size = 1

    @property
    def real(self) -> Num:
        return Num(self.atom, self.weak)

    @property
    def imag(self) -> Num:
        return self * 0 if self.im is None else Num(self.im, self.weak)

    @property
    def T(self) -> Num:
        return self

    def conjugate(self) -> Num:
        return self if self.im is None else Num(self.atom, self.weak, builder().o.neg(self.im))

    conj = conjugate

    def item(self) -> Num:
        return self

    def copy(self) -> Num:
        return self

    def astype(self, dtype: Any, **_: Any) -> Num:
        return cast(self, supported(dtype))

    def is_integer(self) -> Any:
        return np.equal(np.floor(self), self)

    def bit_length(self) -> Any:
        raise error(TypeError, "int.bit_length is not available in staged programs")

    def __getattr__(self, name: str) -> Any:
        from iverson.lang.table import method

        return method(self, name)

    # --- NumPy's protocols --------------------------------------------------------------------------------------------

    def __array_ufunc__(self, function: np.ufunc, how: str, *inputs: Any, **kwargs: Any) -> Any:
        from iverson.lang.table import apply_ufunc

        return apply_ufunc(function, how, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from iverson.lang.table import apply_function

        return apply_function(function, args, kwargs)

    # --- what a staged number can't do --------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        raise error(
            TypeError,
            "Python needs to know here whether a number of the staged program is true; that is only known when it "
            "runs. Where the function's source can be found, if, while, and, or, not and comprehensions are staged; "
            "otherwise use np.where or iv.cond",
        )

    def _needs_number(self, what: str) -> BaseException:
        return error(
            TypeError,
            f"{what} needs a number while the program is staged, but this one is only known when it runs. If it is a "
            "size or an option, make it a static argument (iv.jit(f, static_argnames=...)); if it is the index of a "
            "loop with constant bounds, loop over iv.unroll(range(...))",
        )

    def __index__(self) -> int:
        raise self._needs_number("this use as a Python integer")

    def __int__(self) -> int:
        raise self._needs_number("int()")

    def __float__(self) -> float:
        raise self._needs_number("float()")

    def __complex__(self) -> complex:
        raise self._needs_number("complex()")

    def __len__(self) -> int:
        raise error(TypeError, f"object of type '{self.dtype.name}' has no len()")

    def __iter__(self) -> Any:
        raise error(TypeError, f"'{self.dtype.name}' object is not iterable")

    def __getitem__(self, index: Any) -> Any:
        if index == () or index is Ellipsis:
            return self
        raise error(TypeError, f"'{self.dtype.name}' object is not subscriptable: the array has fewer axes")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise error(TypeError, f"'{self.dtype.name}' object does not support item assignment")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise error(
            TypeError,
            "a number of the staged program is passed to code that isn't staged and needs its value (docs/names.md "
            "lists the functions of NumPy and SciPy that are staged)",
        )

    def __repr__(self) -> str:
        return f"<{'Python ' if self.weak else ''}{self.dtype.name} of a staged program>"

    def __format__(self, spec: str) -> str:
        from iverson.lang.messages import placeholder

        return placeholder(self, spec)

    def __str__(self) -> str:
        return format(self)

    # --- operators ----------------------------------------------------------------------------------------------------

    def operate(self, function: np.ufunc, *operands: Any) -> Any:
        if function is np.multiply and any(isinstance(x, list) for x in operands):
            from iverson.lang.comprehend import repeated

            return repeated(*(operands if isinstance(operands[0], list) else operands[::-1]))
        return ufunc(function, *operands) if all(map(is_scalar, operands)) else NotImplemented

    def __round__(self, digits: Any = None) -> Any:
        if digits is None:
            return cast(ufunc(np.rint, self), INT64, weak=True) if self.dtype.kind == "f" else self
        scale = 10.0**digits
        return ufunc(np.rint, self * scale) / scale

    def __trunc__(self) -> Any:
        return cast(self, INT64, weak=True)

    def __floor__(self) -> Any:
        return cast(ufunc(np.floor, self), INT64, weak=True)

    def __ceil__(self) -> Any:
        return cast(ufunc(np.ceil, self), INT64, weak=True)


# --- making and casting -----------------------------------------------------------------------------------------------


def is_scalar(value: Any) -> bool:
    """A number: staged, Python's or NumPy's."""
    return isinstance(value, Num) or python_kind(value) is not None


def kind_of(value: Any) -> Kind:
    """The kind of a scalar; TypeError for what is none."""
    if isinstance(value, Num):
        return value.kind
    kind = python_kind(value)
    if kind is None:
        raise error(TypeError, f"a number is needed here, not {type(value).__name__}")
    return kind


def constant(value: Any) -> Num:
    """A Python or NumPy scalar as a Num; a Num itself."""
    if isinstance(value, Num):
        return value
    kind = kind_of(value)
    value = value.item() if isinstance(value, np.generic) else value
    core = core_dtype(kind.dtype)
    if is_complex(kind.dtype):
        return Num(literal(value.real, core), kind.weak, literal(value.imag, core))
    return Num(_literal(value, kind.dtype), kind.weak)


def _literal(value: Any, dtype: np.dtype[Any]) -> Literal:
    if dtype.kind == "i" and not -(2**63) <= value < 2**63:
        raise error(OverflowError, f"{value} does not fit into 64 bits")
    return literal(value, core_dtype(dtype))


def cast(value: Any, dtype: np.dtype[Any], weak: bool = False) -> Num:
    """A scalar as another dtype, as NumPy's astype does it."""
    x = constant(value)
    if is_complex(dtype):
        core = core_dtype(dtype)
        im = literal(0.0, core) if x.im is None else builder().cast(x.im, core)
        return Num(builder().cast(x.atom, core), weak, im)
    if x.im is not None:
        raise error(TypeError, "a complex number can't become a real one: take its .real or abs()")
    if x.dtype == dtype and x.weak == weak:
        return x
    if dtype == INT32 and isinstance(x.atom, Literal) and x.dtype == INT64 and not -(2**31) <= x.atom.value < 2**31:
        raise error(OverflowError, f"Python integer {x.atom.value} out of bounds for int32")
    low, high = (x.low, x.high) if dtype.kind == "i" and x.dtype.kind == "i" else (None, None)
    atom = x.atom
    if dtype == BOOL_ and x.dtype != BOOL_:
        atom = builder().o.ne(atom, 0)
    return Num(builder().cast(atom, core_dtype(dtype)), weak, None, low, high)


def as_kind(value: Any, kind: Kind) -> Num:
    return cast(value, kind.dtype, kind.weak)


def atom_of(value: Any, dtype: np.dtype[Any]) -> Atom:
    """The core atom of a real scalar, cast to a dtype."""
    return cast(value, dtype).atom


def truth(value: Any) -> bool | Num:
    """bool(value): a Python bool where it is known."""
    if isinstance(value, Num):
        if value.im is not None:
            return truth(value != 0)
        b = cast(value, BOOL_, weak=True)
        return bool(b.atom.value) if isinstance(b.atom, Literal) else b
    if hasattr(value, "staged_truth"):
        return truth(value.staged_truth())
    return bool(value)


def integer(atom: Atom, low: int | None = 0, high: ranges.High | None = None) -> Num:
    """An integer of the program with what is known of it: a size, a loop index."""
    if high is not None and isinstance(atom, Var):
        current().highs[atom] = high
    return Num(atom, True, None, low, high)


def known(value: Any) -> Any:
    """A Num that is a constant as the Python or NumPy scalar it is; anything else itself (an array without axes: its
    number)."""
    if hasattr(value, "staged_number"):
        value = value.staged_number()
    if isinstance(value, Num) and isinstance(value.atom, Literal) and value.im is None:
        return value.atom.value if value.weak else value.dtype.type(value.atom.value)
    return value


# --- arithmetic -------------------------------------------------------------------------------------------------------


@cache
def _loop(function: np.ufunc, kinds: tuple[Kind, ...]) -> tuple[tuple[np.dtype[Any], ...], tuple[np.dtype[Any], ...]]:
    """The dtypes NumPy computes a ufunc in: of its inputs, of its outputs."""
    pythons = {"b": np.dtype(np.bool_), "i": int, "f": float, "c": complex}
    asked: list[Any] = [pythons[k.dtype.kind] if k.weak else k.dtype for k in kinds]
    if all(k.weak for k in kinds):
        asked = [k.dtype for k in kinds]
    found = function.resolve_dtypes((*asked, *[None] * function.nout))
    return found[: function.nin], found[function.nin :]


def _widened(dtype: np.dtype[Any]) -> np.dtype[Any]:
    name = scalars.WIDENED.get(dtype.name)
    return front_dtype(name) if name else supported(dtype)


def ufunc(function: np.ufunc, *values: Any) -> Any:
    """A NumPy ufunc of scalars: a Num, or one per output."""
    nums = [constant(v) for v in values]
    kinds = [n.kind for n in nums]
    weak = all(k.weak for k in kinds)
    if weak:
        special = _python(function, nums)
        if special is not None:
            return special
        if function not in _BITS and not function.__name__.startswith("logical"):
            kinds = [Kind(INT64, True) if k.dtype == BOOL_ and function not in _COMPARISONS else k for k in kinds]
    try:
        inputs, outputs = _loop(function, tuple(kinds))
    except TypeError as e:
        raise error(TypeError, f"np.{function.__name__}: {e}") from None
    inputs, outputs = tuple(map(_widened, inputs)), tuple(map(_widened, outputs))
    args = [cast(n, d) for n, d in zip(nums, inputs, strict=True)]
    if any(a.im is not None for a in args):
        return complexes.ufunc(function, args, weak)
    if function not in specials.ROWS:
        raise error(NotImplementedError, f"np.{function.__name__} is not available in staged programs")
    atoms = [a.atom for a in args]
    out = _size(function, atoms) if weak else None
    if out is None:
        out = specials.ROWS[function](builder(), *atoms)
    if isinstance(out, tuple):
        return tuple(Num(a, weak) for a in out)
    low, high = ranges.bounds(function, nums) if outputs[0].kind == "i" else (None, None)
    if low is not None and out in current().top:
        current().lows[out] = max(low, current().lows.get(out, low))
    return Num(builder().cast(out, core_dtype(outputs[0])), weak, None, low, high)


def _python(function: np.ufunc, nums: list[Num]) -> Num | None:
    """Where Python's numbers behave unlike NumPy's of the same dtype."""
    if function is np.power and all(n.dtype.kind in "ib" for n in nums):
        exponent = known(nums[1])
        if isinstance(exponent, int) and exponent < 0:
            return ufunc(np.power, cast(nums[0], FLOAT64, weak=True), float(exponent))
    if function in (np.left_shift, np.right_shift) and not ranges.not_negative(nums[1]):
        builder().check(builder().o.ge(nums[1].atom, 0), "negative shift count")
    if function in (np.floor, np.ceil, np.trunc, np.rint) and nums[0].dtype.kind in "ib":
        return nums[0]
    return None


def _size(function: np.ufunc, atoms: list[Atom]) -> Atom | None:
    """Arithmetic of sizes happens once, at the outermost level."""
    if any(dtype_of(a) is not I64 for a in atoms):
        return None
    if function in _SIZES:
        return current().size_prim(_SIZES[function], *atoms)
    if function in (np.floor_divide, np.remainder) and isinstance(atoms[1], Literal) and atoms[1].value > 0:
        return current().size_prim("floordiv" if function is np.floor_divide else "mod", *atoms)
    return None


def select(p: Num, x: Any, y: Any) -> Num:
    """x where p holds, else y; both are computed."""
    a, b = unify(x, y)
    im = None if a.im is None else builder().o.select(p.atom, a.im, b.im)
    return Num(builder().o.select(p.atom, a.atom, b.atom), a.weak and b.weak, im)


def unify(*values: Any) -> list[Num]:
    """Scalars as one kind."""
    kind = promote(kind_of(v) for v in values)
    return [as_kind(v, kind) for v in values]


def as_bool(atom: Atom) -> Num:
    assert dtype_of(atom) is BOOL
    return Num(atom, True)

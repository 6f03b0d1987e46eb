"""Writing straight-line LLVM IR so that it reads as its mathematics.

A `Code` collects instructions; `Value`s are its names, with operators that append to it.  Python numbers become
constants of the other operand's type.  No fast-math flag is set unless asked for: what is written is computed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

FLOATS = {"double", "float"}
SUFFIX = {"double": "f64", "float": "f32", "i64": "i64", "i32": "i32", "i16": "i16", "i8": "i8", "i1": "i1"}
BITS = {"double": 64, "float": 32, "i64": 64, "i32": 32, "i16": 16, "i8": 8, "i1": 1}

Number: TypeAlias = bool | int | float


def constant(type: str, value: Number) -> str:
    """A literal of the type; floats by their bits, so any value, of any sign, is exact."""
    if type == "i1":
        return "true" if value else "false"
    if type not in FLOATS:
        return str(int(value))
    if type == "float":
        value = struct.unpack("f", struct.pack("f", value))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    code: Code
    text: str
    type: str

    def _other(self, other: Value | Number) -> str:
        return other.text if isinstance(other, Value) else constant(self.type, other)

    def _binary(self, name: str, other: Value | Number, swapped: bool = False) -> Value:
        a, b = self.text, self._other(other)
        if swapped:
            a, b = b, a
        opcode = f"f{name}" if self.type in FLOATS else name
        flags = f" {self.code.flags}" if self.code.flags and self.type in FLOATS else ""
        return self.code.let(f"{opcode}{flags} {self.type} {a}, {b}", self.type)

    def __add__(self, other: Value | Number) -> Value:
        return self._binary("add", other)

    def __radd__(self, other: Number) -> Value:
        return self._binary("add", other, swapped=True)

    def __sub__(self, other: Value | Number) -> Value:
        return self._binary("sub", other)

    def __rsub__(self, other: Number) -> Value:
        return self._binary("sub", other, swapped=True)

    def __mul__(self, other: Value | Number) -> Value:
        return self._binary("mul", other)

    def __rmul__(self, other: Number) -> Value:
        return self._binary("mul", other, swapped=True)

    def __truediv__(self, other: Value | Number) -> Value:
        return self._binary("div", other)

    def __rtruediv__(self, other: Number) -> Value:
        return self._binary("div", other, swapped=True)

    def __neg__(self) -> Value:
        if self.type in FLOATS:
            return self.code.let(f"fneg {self.type} {self.text}", self.type)
        return self._binary("sub", 0, swapped=True)

    def __and__(self, other: Value | Number) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Value | Number) -> Value:
        return self._binary("or", other)

    def __xor__(self, other: Value | Number) -> Value:
        return self._binary("xor", other)

    def __invert__(self) -> Value:
        return self._binary("xor", 1 if self.type == "i1" else -1)

    def op(self, name: str, other: Value | Number) -> Value:
        """An integer instruction: shl, ashr, lshr, sdiv, ..."""
        return self._binary(name, other)

    def compare(self, predicate: str, other: Value | Number) -> Value:
        opcode = "fcmp" if self.type in FLOATS else "icmp"
        return self.code.let(f"{opcode} {predicate} {self.type} {self.text}, {self._other(other)}", "i1")

    def __lt__(self, other: Value | Number) -> Value:
        return self.compare("olt" if self.type in FLOATS else "slt", other)

    def __le__(self, other: Value | Number) -> Value:
        return self.compare("ole" if self.type in FLOATS else "sle", other)

    def __gt__(self, other: Value | Number) -> Value:
        return self.compare("ogt" if self.type in FLOATS else "sgt", other)

    def __ge__(self, other: Value | Number) -> Value:
        return self.compare("oge" if self.type in FLOATS else "sge", other)

    def equals(self, other: Value | Number) -> Value:
        return self.compare("oeq" if self.type in FLOATS else "eq", other)

    def convert(self, opcode: str, type: str) -> Value:
        return self.code.let(f"{opcode} {self.type} {self.text} to {type}", type)

    def bits(self) -> Value:
        """A float as the integer of its bits."""
        return self.convert("bitcast", f"i{BITS[self.type]}")

    def call(self, intrinsic: str, *others: Value | Number) -> Value:
        """An LLVM intrinsic overloaded on this type, such as `floor` or `fabs`."""
        args = ", ".join(f"{self.type} {t}" for t in (self.text, *map(self._other, others)))
        flags = f"{self.code.flags} " if self.code.flags and self.type in FLOATS else ""
        return self.code.let(f"call {flags}{self.type} @llvm.{intrinsic}.{SUFFIX[self.type]}({args})", self.type)


@dataclass(slots=True)
class Code:
    """Instructions in the making; `fresh` gives a new local name, `%` included."""

    fresh: Callable[[], str]
    flags: str = ""
    lines: list[str] = field(default_factory=list)

    def let(self, instruction: str, type: str) -> Value:
        name = self.fresh()
        self.lines.append(f"{name} = {instruction}")
        return Value(self, name, type)

    def value(self, text: str, type: str) -> Value:
        return Value(self, text, type)

    def number(self, type: str, number: Number) -> Value:
        return Value(self, constant(type, number), type)

    def select(self, p: Value, a: Value | Number, b: Value | Number) -> Value:
        of = a if isinstance(a, Value) else b
        assert isinstance(of, Value)
        left, right = of._other(a), of._other(b)
        return self.let(f"select i1 {p.text}, {of.type} {left}, {of.type} {right}", of.type)

    def either(self, type: str, p: Value, a: float, b: float) -> Value:
        """One of two constants of the type."""
        return self.select(p, self.number(type, a), b)

    def fma(self, a: Value, b: Value | Number, c: Value | Number) -> Value:
        args = ", ".join(f"{a.type} {t}" for t in (a.text, a._other(b), a._other(c)))
        return self.let(f"call {a.type} @llvm.fma.{SUFFIX[a.type]}({args})", a.type)

    def invoke(self, function: str, type: str, *args: Value) -> Value:
        """A call of a named function."""
        text = ", ".join(f"{a.type} {a.text}" for a in args)
        return self.let(f"call {type} @{function}({text})", type)

    def horner(self, x: Value, coefficients: Sequence[float]) -> Value:
        """c0 + c1 x + ... , most accurate where |x| is small."""
        total = self.number(x.type, coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = self.fma(total, x, c)
        return total

    def polynomial(self, x: Value, square: Value, coefficients: Sequence[float]) -> Value:
        """The same, given x^2, as E(x^2) + x O(x^2), and longer ones by fours likewise: short chains of dependent
        instructions for next to no more of them."""
        if len(coefficients) < 4:
            return self.horner(x, coefficients)
        if len(coefficients) < 8:
            even, odd = (self.horner(square, coefficients[k::2]) for k in range(2))
            return self.fma(odd, x, even)
        fourth = square * square
        quarters = [self.horner(fourth, coefficients[k::4]) for k in range(4)]
        low, high = self.fma(quarters[1], x, quarters[0]), self.fma(quarters[3], x, quarters[2])
        return self.fma(high, square, low)


def counter(prefix: str = "%t") -> Callable[[], str]:
    """Fresh names %t0, %t1, ..."""
    count = 0

    def fresh() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count - 1}"

    return fresh


def function(name: str, type: str, arity: int, body: Callable[..., Value]) -> str:
    """The text of an internal pure function of `arity` arguments of one type."""
    code = Code(counter())
    params = [code.value(f"%x{i}", type) for i in range(arity)]
    result = body(code, *params)
    signature = ", ".join(f"{type} {p.text}" for p in params)
    lines = "\n".join(f"  {line}" for line in code.lines)
    return (
        f"define internal {result.type} @{name}({signature}) alwaysinline nounwind willreturn memory(none) {{\n"
        f"{lines}\n  ret {result.type} {result.text}\n}}\n"
    )

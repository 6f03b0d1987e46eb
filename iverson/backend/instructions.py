"""LLVM's instructions on vectors, for the loops of backend/vectors.py: NATIVE says which primitives have them.

Flags are as for scalars (backend/arithmetic.py); elementary functions have none, they are called lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable

from iverson.backend import loopir as ir
from iverson.backend.abi import LLVM_TYPE
from iverson.backend.loopir import Literal, Reg, Value, Vector
from iverson.backend.text import constant
from iverson.core.syntax import DType

_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INT = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "bit_and": "and",
    "bit_or": "or",
}
_ORDERED = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_SIGNED = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"}
_MADE = ("splat", "iota", "lane", "vector", "some")
NATIVE = frozenset(
    [*("add", "sub", "mul", "div", "neg", "stop", "and", "or", "xor", "not", "select", "bit_and", "bit_or"), *_SIGNED]
)  # whatever the dtype; a division is one of floats
MONOIDS = ("add", "mul")


def is_vector(stmt: ir.Compute | ir.Combine) -> bool:
    """Has a statement a vector in it?"""
    return any(isinstance(v.type, Vector) for v in (stmt.out, *ir.used(stmt)) if isinstance(v, Reg))


class Instructions:
    """Writes the vector instructions of one statement at a time."""

    def __init__(self, text: Callable[[Value], str], fresh: Callable[[], str]) -> None:
        self.text, self.fresh = text, fresh

    def emit(self, name: str, out: ir.Type, args: tuple[Value, ...], flags: str) -> tuple[list[str], str]:
        """The instructions that compute a primitive, and the name of the result."""
        if name in _MADE:
            return getattr(self, f"_{name}")(out, args)  # type: ignore[no-any-return]
        assert isinstance(out, Vector)
        kind = next(a.type for a in reversed(args) if isinstance(a, Reg) and isinstance(a.type, Vector))
        assert isinstance(kind, Vector)
        texts = [self._of(a, kind) for a in args]
        if name == "stop":
            return [], texts[0]
        result = self.fresh()
        return [f"{result} = {_instruction(name, kind, texts, flags)}"], result

    def _of(self, value: Value, kind: Vector) -> str:
        return _splat(value, kind) if isinstance(value, Literal) else self.text(value)

    def _splat(self, out: Vector, args: tuple[Value, ...]) -> tuple[list[str], str]:
        (value,) = args
        if isinstance(value, Literal):
            result = self.fresh()
            kind = _type(out)
            return [f"{result} = select i1 true, {kind} {_splat(value, out)}, {kind} {_splat(value, out)}"], result
        kind, one = _type(out), LLVM_TYPE[out.dtype]
        first, result = self.fresh(), self.fresh()
        mask = f"<{out.lanes} x i32> zeroinitializer"
        return [
            f"{first} = insertelement {kind} poison, {one} {self.text(value)}, i64 0",
            f"{result} = shufflevector {kind} {first}, {kind} poison, {mask}",
        ], result

    def _iota(self, out: Vector, args: tuple[Value, ...]) -> tuple[list[str], str]:
        lines, base = self._splat(out, args)
        result = self.fresh()
        steps = ", ".join(f"i64 {k}" for k in range(out.lanes))
        return [*lines, f"{result} = add nsw {_type(out)} {base}, <{steps}>"], result

    def _lane(self, out: ir.Type, args: tuple[Value, ...]) -> tuple[list[str], str]:
        vector, k = args
        assert isinstance(vector, Reg) and isinstance(vector.type, Vector)
        result = self.fresh()
        return [f"{result} = extractelement {_type(vector.type)} {self.text(vector)}, i64 {self.text(k)}"], result

    def _some(self, out: ir.Type, args: tuple[Value, ...]) -> tuple[list[str], str]:
        (mask,) = args
        assert isinstance(mask, Reg) and isinstance(mask.type, Vector)
        bits, result, whole = self.fresh(), self.fresh(), f"i{mask.type.lanes}"
        return [
            f"{bits} = bitcast {_type(mask.type)} {self.text(mask)} to {whole}",
            f"{result} = icmp ne {whole} {bits}, 0",
        ], result

    def _vector(self, out: Vector, args: tuple[Value, ...]) -> tuple[list[str], str]:
        lines, result = [], "poison"
        kind, one = _type(out), LLVM_TYPE[out.dtype]
        for k, value in enumerate(args):
            before, result = result, self.fresh()
            lines.append(f"{result} = insertelement {kind} {before}, {one} {self.text(value)}, i64 {k}")
        return lines, result


def _type(vector: Vector) -> str:
    return f"<{vector.lanes} x {LLVM_TYPE[vector.dtype]}>"


def _splat(value: Literal, like: Vector) -> str:
    one = LLVM_TYPE[value.dtype]
    return f"splat ({one} {constant(one, value.value)})"


def _instruction(name: str, kind: Vector, texts: list[str], flags: str) -> str:
    text, is_float = _type(kind), kind.dtype.is_float
    spaced = f" {flags}" if flags and is_float else ""
    if name == "select":
        mask = f"<{kind.lanes} x i1>"
        return f"select {mask} {texts[0]}, {text} {texts[1]}, {text} {texts[2]}"
    if name in _SIGNED:
        test = f"fcmp {_ORDERED[name]}" if is_float else f"icmp {_unsigned(_SIGNED[name], kind.dtype)}"
        return f"{test} {text} {texts[0]}, {texts[1]}"
    if name == "neg":
        return f"fneg {text} {texts[0]}" if is_float else f"sub {text} zeroinitializer, {texts[0]}"
    if name == "not":
        return f"xor {text} {texts[0]}, splat ({LLVM_TYPE[kind.dtype]} {'true' if kind.dtype is DType.BOOL else -1})"
    return f"{_FLOAT[name] if is_float else _INT[name]}{spaced} {text} {texts[0]}, {texts[1]}"


def _unsigned(predicate: str, dtype: DType) -> str:
    """Of bools: false is less than true."""
    return predicate.replace("s", "u", 1) if dtype is DType.BOOL and predicate.startswith("s") else predicate

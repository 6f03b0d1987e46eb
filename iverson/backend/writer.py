"""LLVM IR text under construction: names, basic blocks, and index arithmetic that is written once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from iverson.backend.abi import ITEM_SIZE, LLVM_TYPE
from iverson.backend.loopir import Reg, Type, Value, Vector
from iverson.backend.text import constant
from iverson.core.syntax import DType, Literal


def string_constant(number: int, content: bytes) -> str:
    """A constant of the module, with the zero that ends it."""
    text = "".join(f"\\{byte:02x}" for byte in (*content, 0))
    return f'@string.{number} = private unnamed_addr constant [{len(content) + 1} x i8] c"{text}"'


def type_text(t: Type) -> str:
    if isinstance(t, Vector):
        return f"<{t.lanes} x {LLVM_TYPE[t.dtype]}>"
    return LLVM_TYPE[t] if isinstance(t, DType) else t.value


def alignment(kind: Type) -> str:
    """Vectors are aligned as their elements are."""
    return f", align {ITEM_SIZE[kind.dtype]}" if isinstance(kind, Vector) else ""


class Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[Reg, str] = {}
        self.known: list[dict[tuple[str, ...], str]] = [{}]  # arithmetic that has been written, by scope
        self.count = 0
        self.label = "entry"

    def fresh(self, hint: str = "t") -> str:
        """A new name. LLVM's are of ASCII letters and digits, the hints are the user's."""
        self.count += 1
        return f"%{hint if hint.isascii() and hint.isidentifier() else 't'}.{self.count}"

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def open(self, label: str) -> None:
        """Start a basic block."""
        self.lines.append(f"{label}:")
        self.label = label

    def jump(self, label: str) -> None:
        self.line(f"br label %{label}")

    def branch(self, pred: str, yes: str, no: str, suffix: str = "") -> None:
        self.line(f"br i1 {pred}, label %{yes}, label %{no}{suffix}")

    def labels(self, *hints: str) -> list[str]:
        self.count += 1
        return [f"{h}.{self.count}" for h in hints]

    def define(self, reg: Reg) -> str:
        self.names[reg] = name = self.fresh(reg.hint)
        return name

    def text(self, value: Value) -> str:
        return constant(LLVM_TYPE[value.dtype], value.value) if isinstance(value, Literal) else self.names[value]

    def typed(self, value: Value) -> str:
        return f"{type_text(value.dtype if isinstance(value, Literal) else value.type)} {self.text(value)}"

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What is computed inside is not known behind it."""
        self.known.append({})
        yield
        self.known.pop()

    def once(self, opcode: str, a: str, b: str, neutral: str = "") -> str:
        """An i64 instruction, or the name of the same one that was computed before."""
        if neutral and neutral in (a, b):
            return b if a == neutral else a
        if opcode.startswith("mul") and "0" in (a, b):
            return "0"
        if a.isdecimal() and b.isdecimal():
            return str(int(a) + int(b) if opcode.startswith("add") else int(a) * int(b))
        key = (opcode, a, b)
        for known in reversed(self.known):
            if key in known:
                return known[key]
        name = self.fresh("x")
        self.line(f"{name} = {opcode} i64 {a}, {b}")
        self.known[-1][key] = name
        return name

    def add(self, a: str, b: str) -> str:
        return self.once("add nsw", a, b, "0")

    def mul(self, a: str, b: str) -> str:
        return self.once("mul nsw", a, b, "1")

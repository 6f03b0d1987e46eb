"""Compiling a primitive by itself, in a loop over arrays (where it vectorises) or alone."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

from iverson.backend import cpu, recipes, special
from iverson.backend.abi import LLVM_TYPE, MEMORY_TYPE
from iverson.backend.text import counter
from iverson.core.prims import TABLE, argument_dtypes, result_dtype
from iverson.core.syntax import DType


def _load(i: int, dtype: DType) -> str:
    memory = MEMORY_TYPE[dtype]
    lines = f"  %p{i} = getelementptr {memory}, ptr %a{i}, i64 %i\n  %m{i} = load {memory}, ptr %p{i}\n"
    convert = f"trunc i8 %m{i} to i1" if dtype is DType.BOOL else f"select i1 true, {memory} %m{i}, {memory} %m{i}"
    return lines + f"  %v{i} = {convert}\n"


def loop_text(name: str, dtype: DType, *, scalar: bool = False, wide: bool = True) -> str:
    """y[i] = name(a0[i], ...)"""
    row = TABLE[name]
    dtypes = argument_dtypes(name, [None] * (row.arity - 1) + [dtype])
    result = result_dtype(name, dtypes)
    lines, value = recipes.emit(name, dtype, [f"%v{i}" for i in range(row.arity)], counter(), scalar=scalar)
    if result is DType.BOOL:
        lines, value = [*lines, f"%stored = zext i1 {value} to i8"], "%stored"
    params = ", ".join(f"ptr noalias %a{i}" for i in range(row.arity))
    body = "\n".join(f"  {line}" for line in lines)
    return f"""
define void @loop(i64 %n, ptr noalias %out, {params}) {cpu.WIDE if wide else ""} {{
entry:
  br label %head
head:
  %i = phi i64 [0, %entry], [%next, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
{"".join(_load(i, d) for i, d in enumerate(dtypes))}
{body}
  %q = getelementptr {MEMORY_TYPE[result]}, ptr %out, i64 %i
  store {MEMORY_TYPE[result]} {value}, ptr %q
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}}
"""


class Loop:
    def __init__(self, name: str, dtype: DType, level: int = 3, scalar: bool = False, wide: bool = True) -> None:
        row = TABLE[name]
        self.dtypes = argument_dtypes(name, [None] * (row.arity - 1) + [dtype])
        self.result = np.dtype(result_dtype(name, self.dtypes).value)
        self.text, symbols = recipes.complete(loop_text(name, dtype, scalar=scalar, wide=wide))
        self.library = cpu.load(cpu.compile(self.text, level=level), ["loop"], special.addresses(symbols))
        pointers = [ctypes.c_void_p] * (row.arity + 1)
        self.raw = ctypes.CFUNCTYPE(None, ctypes.c_int64, *pointers)(self.library.address("loop"))

    def __call__(self, *args: np.ndarray) -> np.ndarray:
        arrays = [np.ascontiguousarray(a, d.value) for a, d in zip(args, self.dtypes, strict=True)]
        out = np.empty(len(arrays[0]), self.result)
        self.raw(len(out), out.ctypes.data, *(a.ctypes.data for a in arrays))
        return out


@cache
def loop(name: str, dtype: DType, level: int = 3, scalar: bool = False) -> Loop:
    return Loop(name, dtype, level, scalar)


__all__ = ["LLVM_TYPE", "Loop", "loop", "loop_text"]

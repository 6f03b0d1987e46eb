"""The LLVM engine: compile, load, look, and what is not LLVM IR."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest

from iverson.backend import cpu, recipes, runtime, special

ADD = "define double @f(double %x, double %y) {\n  %z = fadd double %x, %y\n  ret double %z\n}"
SUM = """
define double @f(ptr %p, i64 %n) {
entry:
  br label %head
head:
  %i = phi i64 [0, %entry], [%next, %head]
  %s = phi double [0.0, %entry], [%t, %head]
  %q = getelementptr double, ptr %p, i64 %i
  %x = load double, ptr %q
  %t = fadd reassoc double %s, %x
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %head, label %done
done:
  ret double %t
}"""


@pytest.mark.parametrize("level", range(4))
def test_compile_and_load(level: int) -> None:
    library = cpu.load(cpu.compile(ADD, level=level), ["f"], {})
    f = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)(library.address("f"))
    assert f(1.5, 2.0) == 3.5


def test_an_object_can_be_loaded_many_times() -> None:
    image = cpu.compile(ADD)
    libraries = [cpu.load(image, ["f"], {}) for _ in range(3)]
    assert len({library.address("f") for library in libraries}) == 3
    del libraries
    gc.collect()
    assert cpu.load(image, ["f"], {}).address("f")


def test_compiling_is_deterministic() -> None:
    assert cpu.compile(SUM) == cpu.compile(SUM)


def test_a_sum_vectorises() -> None:
    assert "x double>" in cpu.optimised_ir(SUM)
    assert "x double>" not in cpu.optimised_ir(SUM, options=cpu.Options(vectorise=False))
    assert "x double>" not in cpu.optimised_ir(SUM.replace("reassoc ", ""))
    assert "f:" in cpu.assembly(SUM)


@pytest.mark.parametrize("text", ["nonsense", "define i64 @f() { ret i64 %x }", "define i64 @f() { ret double 1.0 }"])
def test_bad_text_is_an_error(text: str) -> None:
    with pytest.raises(cpu.CompileError):
        cpu.compile(text)


def test_bad_objects_and_missing_symbols_are_errors() -> None:
    image = cpu.compile("declare i64 @nowhere_at_all()\ndefine i64 @f() { %x = call i64 @nowhere_at_all() ret i64 %x }")
    for bad, names in [(b"", ["f"]), (b"rubbish", ["f"]), (image[: len(image) // 2], ["f"]), (image, ["f"])]:
        with pytest.raises(RuntimeError):
            cpu.load(bad, names, {})


@pytest.mark.parametrize("size", [-1, 0, 1, 63, 64, 65, 1 << 23, (1 << 63) - 1])
def test_memory(size: int) -> None:
    text, symbols = recipes.complete(
        "define ptr @f(i64 %n) { %p = call ptr @iv_zeroed(i64 %n) ret ptr %p }\n"
        "define ptr @g(ptr %p, i64 %n, i64 %m) { %q = call ptr @iv_grow(ptr %p, i64 %n, i64 %m) ret ptr %q }\n"
        "define void @h(ptr %p) { call void @iv_free(ptr %p) ret void }\n"
    )
    library = cpu.load(cpu.compile(text), ["f", "g", "h"], special.addresses(symbols))
    pointer, word = ctypes.c_void_p, ctypes.c_int64
    f = ctypes.CFUNCTYPE(pointer, word)(library.address("f"))
    g = ctypes.CFUNCTYPE(pointer, pointer, word, word)(library.address("g"))
    h = ctypes.CFUNCTYPE(None, pointer)(library.address("h"))
    p = f(size)
    if size < 0 or size > 1 << 40:
        assert p is None
        return
    assert p % runtime.ALIGNMENT == 0
    block = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(p))
    assert not block.any()
    block[:] = 7
    q = g(p, size, 2 * size + 1)
    assert (np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(q)) == 7).all()
    h(q)
    h(None)

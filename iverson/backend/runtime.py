"""The run-time support a kernel links in: memory.  LLVM IR text, appended to a module that names it.

    ptr  @iv_alloc(i64 bytes)             64-byte aligned, at least 64 bytes; null if there is no memory
    ptr  @iv_zeroed(i64 bytes)            the same, filled with zeros
    ptr  @iv_grow(ptr, i64 old, i64 new)  a block of `new` bytes that starts with the `old` bytes of the block, which is
                                          freed (null: of none); null if there is no memory, the old block still there
    void @iv_free(ptr)                    null is fine

A negative or absurd size gives null.  Large blocks are offered to the kernel's huge pages where there are any.
"""

from __future__ import annotations

import ctypes
import sys

NAMES = frozenset({"iv_alloc", "iv_zeroed", "iv_grow", "iv_free"})
ALIGNMENT = 64
# NumPy asks for huge pages above 4 MiB too: page faults dominate the first touch of a large array
HUGE = 1 << 22

_ADVISE = """
  %large = icmp uge i64 %rounded, {huge}
  br i1 %large, label %advise, label %out
advise:
  %base = ptrtoint ptr %block to i64
  %up = add i64 %base, 4095
  %page = and i64 %up, -4096
  %page.ptr = inttoptr i64 %page to ptr
  %skipped = sub i64 %page, %base
  %length = sub i64 %rounded, %skipped
  %ignored = call i32 @madvise(ptr %page.ptr, i64 %length, i32 14)
  br label %out
"""

_DEFINITIONS = """
declare noalias noundef ptr @aligned_alloc(i64 allocalign noundef, i64 noundef) #9001
declare void @free(ptr allocptr noundef captures(none)) #9002
attributes #9001 = {{ allockind("alloc,uninitialized,aligned") allocsize(1) "alloc-family"="malloc" }}
attributes #9002 = {{ allockind("free") "alloc-family"="malloc" }}
declare i32 @madvise(ptr, i64, i32)

define internal noalias ptr @iv_alloc(i64 %bytes) noinline nounwind {{
  %absurd = icmp ugt i64 %bytes, 4611686018427387904
  br i1 %absurd, label %none, label %sane
sane:
  %some = call i64 @llvm.umax.i64(i64 %bytes, i64 1)
  %over = add i64 %some, 63
  %rounded = and i64 %over, -64
  %block = call ptr @aligned_alloc(i64 {alignment}, i64 %rounded)
  %failed = icmp eq ptr %block, null
  br i1 %failed, label %none, label %got
got:
{advise}
out:
  ret ptr %block
none:
  ret ptr null
}}

define internal noalias ptr @iv_zeroed(i64 %bytes) noinline nounwind {{
  %block = call ptr @iv_alloc(i64 %bytes)
  %failed = icmp eq ptr %block, null
  br i1 %failed, label %out, label %fill
fill:
  call void @llvm.memset.p0.i64(ptr align {alignment} %block, i8 0, i64 %bytes, i1 false)
  br label %out
out:
  ret ptr %block
}}

define internal noalias ptr @iv_grow(ptr %old, i64 %old.bytes, i64 %new.bytes) noinline nounwind {{
  %block = call ptr @iv_alloc(i64 %new.bytes)
  %failed = icmp eq ptr %block, null
  %fresh = icmp eq ptr %old, null
  %done = or i1 %failed, %fresh
  br i1 %done, label %out, label %move
move:
  call void @llvm.memcpy.p0.p0.i64(ptr align {alignment} %block, ptr %old, i64 %old.bytes, i1 false)
  call void @free(ptr %old)
  br label %out
out:
  ret ptr %block
}}

define internal void @iv_free(ptr %block) alwaysinline nounwind {{
  call void @free(ptr %block)
  ret void
}}

declare i64 @llvm.umax.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


def definitions() -> str:
    """The text; all of it is internal, so what a module doesn't call vanishes."""
    advise = _ADVISE if sys.platform == "linux" else "  br label %out\n"
    return _DEFINITIONS.format(alignment=ALIGNMENT, advise=advise.format(huge=HUGE))


def symbols() -> dict[str, int]:
    """The addresses of what the text calls."""
    libc = ctypes.CDLL(None)
    names = ["aligned_alloc", "free"] + (["madvise"] if sys.platform == "linux" else [])
    found = {name: ctypes.cast(getattr(libc, name), ctypes.c_void_p).value for name in names}
    return {name: address for name, address in found.items() if address is not None}

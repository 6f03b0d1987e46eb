"""How much memory a compiled call allocates: kernels loaded inside `counted` go through an allocator that counts.

The most bytes alive at once, results included, arguments not.  The pool of freed blocks is left empty.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from iverson.backend import cpu, runtime

_TEXT = """
@live = internal global i64 0
@peak = internal global i64 0
declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)
declare i64 @malloc_usable_size(ptr)

define ptr @counting_alloc(i64 %alignment, i64 %bytes) {
  %block = call ptr @aligned_alloc(i64 %alignment, i64 %bytes)
  %size = call i64 @malloc_usable_size(ptr %block)
  %before = load i64, ptr @live
  %now = add i64 %before, %size
  store i64 %now, ptr @live
  %most = load i64, ptr @peak
  %more = icmp ugt i64 %now, %most
  %new = select i1 %more, i64 %now, i64 %most
  store i64 %new, ptr @peak
  ret ptr %block
}

define void @counting_free(ptr %block) {
  %size = call i64 @malloc_usable_size(ptr %block)
  %before = load i64, ptr @live
  %now = sub i64 %before, %size
  store i64 %now, ptr @live
  call void @free(ptr %block)
  ret void
}

define i64 @most() {
  %most = load i64, ptr @peak
  ret i64 %most
}

define void @start() {
  store i64 0, ptr @live
  store i64 0, ptr @peak
  ret void
}
"""


class Allocations:
    """What has been allocated since `start`."""

    def __init__(self) -> None:
        names = ("counting_alloc", "counting_free", "most", "start")
        known = runtime.symbols()
        self.library = cpu.load(
            cpu.compile(_TEXT), names, {k: known[k] for k in ("aligned_alloc", "free", "malloc_usable_size")}
        )
        self.symbols = {
            **known,
            "aligned_alloc": self.library.address("counting_alloc"),
            "free": self.library.address("counting_free"),
        }
        self.start = ctypes.CFUNCTYPE(None)(self.library.address("start"))
        self._most = ctypes.CFUNCTYPE(ctypes.c_int64)(self.library.address("most"))

    @property
    def most(self) -> int:
        """The most bytes alive at once."""
        return self._most()


@contextmanager
def counted() -> Iterator[Allocations]:
    """Kernels that are loaded meanwhile count what they allocate."""
    allocations = Allocations()
    with (
        patch.object(runtime, "symbols", lambda: allocations.symbols),
        patch.object(runtime, "LARGEST", 0),
        patch.object(runtime, "SMALLEST", 1 << 62),
    ):
        yield allocations

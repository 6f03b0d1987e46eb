"""How much memory a compiled call allocates: kernels loaded inside `counted` go through an allocator that counts.

The most bytes alive at once, results included, arguments not, and those held while a gradient turns from its forward
to its return sweep.  The pool of freed blocks is left empty.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from iverson.backend import cpu, runtime

ROOM = 1 << 16  # events that are noted

_TEXT = """
@live = internal global i64 0
@peak = internal global i64 0
@events = internal global i64 0
@blocks = internal global [ROOM x i64] zeroinitializer
@sizes = internal global [ROOM x i64] zeroinitializer
declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)
declare i64 @malloc_usable_size(ptr)

define internal void @note(ptr %block, i64 %size) {
  %at = load i64, ptr @events
  %fits = icmp ult i64 %at, ROOM
  br i1 %fits, label %store, label %done
store:
  %next = add i64 %at, 1
  store i64 %next, ptr @events
  %address = ptrtoint ptr %block to i64
  %where = getelementptr i64, ptr @blocks, i64 %at
  store i64 %address, ptr %where
  %there = getelementptr i64, ptr @sizes, i64 %at
  store i64 %size, ptr %there
  br label %done
done:
  ret void
}

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
  call void @note(ptr %block, i64 %size)
  ret ptr %block
}

define void @counting_free(ptr %block) {
  %size = call i64 @malloc_usable_size(ptr %block)
  %before = load i64, ptr @live
  %now = sub i64 %before, %size
  store i64 %now, ptr @live
  %less = sub i64 0, %size
  call void @note(ptr %block, i64 %less)
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
  store i64 0, ptr @events
  ret void
}

define i64 @count() {
  %n = load i64, ptr @events
  ret i64 %n
}

define ptr @blocks_at() {
  ret ptr @blocks
}

define ptr @sizes_at() {
  ret ptr @sizes
}
""".replace("ROOM", str(ROOM))


class Allocations:
    """What has been allocated since `start`."""

    def __init__(self) -> None:
        names = ("counting_alloc", "counting_free", "most", "start", "count", "blocks_at", "sizes_at")
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

    def history(self) -> list[tuple[int, int]]:
        """Blocks in the order of events: their address, and their size, negative where they were freed."""
        count = ctypes.CFUNCTYPE(ctypes.c_int64)(self.library.address("count"))()
        if count == ROOM:
            raise RuntimeError("more allocations than are noted")
        columns = []
        for name in ("blocks_at", "sizes_at"):
            start = ctypes.CFUNCTYPE(ctypes.c_void_p)(self.library.address(name))()
            columns.append((ctypes.c_int64 * count).from_address(start))
        return list(zip(*columns, strict=True))

    def held(self) -> int:
        """The bytes alive when the first of the blocks that outlive the call, a gradient's results, was made.

        To be asked while the results are alive.  A gradient makes them in its return sweep, the last layer's first.
        """
        history, alive = self.history(), dict[int, int]()
        for k, (block, size) in enumerate(history):
            if size < 0:
                alive.pop(block)
            elif all(other != block or more > 0 for other, more in history[k + 1 :]):
                return sum(alive.values())
            else:
                alive[block] = size
        return 0

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

"""The run-time support a kernel links in: memory.  LLVM IR text, appended to a module that names it.

    ptr  @iv_alloc(i64 bytes)             64-byte aligned, at least 64 bytes; null if there is no memory
    ptr  @iv_zeroed(i64 bytes)            the same, filled with zeros
    ptr  @iv_grow(ptr, i64 old, i64 new)  a block of `new` bytes that starts with the `old` bytes of the block, which is
                                          freed (null: of none); null if there is no memory, the old block still there
    void @iv_free(ptr)                    null is fine
    i1   @iv_pools(ptr)                   whether iv_free would keep the block

A negative or absurd size gives null.  Large blocks are offered to the kernel's huge pages where there are any.

Work space is kept between calls, and so are results that the caller drops: on Linux, a freed block of 64 kB to 16 MB
goes into a pool of 16, shared by all kernels of the process, and the next one of about its size is taken from there;
its pages are mapped already.  (Fresh pages cost a fault each, .25 us per 4 kB.)  Where there is none, but one that is
only a little too small, that is freed: else a call would hold both.  A thread that finds the pool in use goes without.
"""

from __future__ import annotations

import ctypes
import sys

NAMES = frozenset({"iv_alloc", "iv_zeroed", "iv_grow", "iv_free"})
MAP, UNMAP = "python_mapped", "python_unmapped"  # backend/mapped.py
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

SLOTS = 16
SMALLEST, LARGEST = 1 << 16, 1 << 24

# @iv_pool: a lock, the slot to be replaced next, then (block, bytes) per slot
_POOL = """
@iv_pool = external global [{words} x i64]
declare i64 @malloc_usable_size(ptr)

define internal i1 @iv_pool_enter() alwaysinline nounwind {{
  %pair = cmpxchg ptr @iv_pool, i64 0, i64 1 acquire monotonic
  %entered = extractvalue {{ i64, i1 }} %pair, 1
  ret i1 %entered
}}

define internal noalias ptr @iv_take(i64 %bytes) noinline nounwind {{
  %entered = call i1 @iv_pool_enter()
  br i1 %entered, label %look, label %none
look:
  %quarter = lshr i64 %bytes, 2
  %most = add i64 %bytes, %quarter
  %least = sub i64 %bytes, %quarter
  br label %slot
slot:
  %k = phi i64 [ 0, %look ], [ %next, %other ]
  %near = phi ptr [ null, %look ], [ %near.next, %other ]
  %word = shl i64 %k, 1
  %entry = add i64 %word, 2
  %at = getelementptr i64, ptr @iv_pool, i64 %entry
  %size.at = getelementptr i64, ptr %at, i64 1
  %size = load i64, ptr %size.at
  %enough = icmp uge i64 %size, %bytes
  %close = icmp ule i64 %size, %most
  %fits = and i1 %enough, %close
  br i1 %fits, label %take, label %other
other:
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, {slots}
  %large = icmp uge i64 %size, %least
  %small = icmp ult i64 %size, %bytes
  %misses = and i1 %large, %small
  %near.next = select i1 %misses, ptr %at, ptr %near
  br i1 %more, label %slot, label %missed
take:
  %block = load ptr, ptr %at
  store ptr null, ptr %at
  store i64 0, ptr %size.at
  br label %leave
missed:
  %none.near = icmp eq ptr %near.next, null
  br i1 %none.near, label %leave, label %drop
drop:
  %dropped = load ptr, ptr %near.next
  %dropped.size = getelementptr i64, ptr %near.next, i64 1
  store ptr null, ptr %near.next
  store i64 0, ptr %dropped.size
  br label %leave
leave:
  %found = phi ptr [ %block, %take ], [ null, %missed ], [ null, %drop ]
  %gone = phi ptr [ null, %take ], [ null, %missed ], [ %dropped, %drop ]
  store atomic i64 0, ptr @iv_pool release, align 8
  call void @free(ptr %gone)
  ret ptr %found
none:
  ret ptr null
}}

define internal i1 @iv_pools(ptr %block) nounwind {{
  %size = call i64 @malloc_usable_size(ptr %block)
  %large = icmp uge i64 %size, {smallest}
  %small = icmp ule i64 %size, {largest}
  %kind = and i1 %large, %small
  ret i1 %kind
}}

define internal void @iv_give(ptr %block) noinline nounwind {{
  %kind = call i1 @iv_pools(ptr %block)
  br i1 %kind, label %enter, label %free
enter:
  %entered = call i1 @iv_pool_enter()
  br i1 %entered, label %put, label %free
put:
  %turn.at = getelementptr i64, ptr @iv_pool, i64 1
  %turn = load i64, ptr %turn.at
  %after = add i64 %turn, 1
  %wrapped = urem i64 %after, {slots}
  store i64 %wrapped, ptr %turn.at
  %word = shl i64 %turn, 1
  %entry = add i64 %word, 2
  %at = getelementptr i64, ptr @iv_pool, i64 %entry
  %size.at = getelementptr i64, ptr %at, i64 1
  %old = load ptr, ptr %at
  %size = call i64 @malloc_usable_size(ptr %block)
  store ptr %block, ptr %at
  store i64 %size, ptr %size.at
  store atomic i64 0, ptr @iv_pool release, align 8
  br label %free
free:
  %gone = phi ptr [ %block, %0 ], [ %block, %enter ], [ %old, %put ]
  call void @free(ptr %gone)
  ret void
}}
"""
_FREE = """
define internal void @iv_free(ptr %block) alwaysinline nounwind {
  %nothing = icmp eq ptr %block, null
  br i1 %nothing, label %out, label %give
give:
  call void @iv_give(ptr %block)
  br label %out
out:
  ret void
}
"""
# of a kernel that maps files (backend/mapped.py); their blocks begin pages
_FREE_OR_UNMAP = """
define internal void @iv_free(ptr %block) noinline nounwind {
  %nothing = icmp eq ptr %block, null
  br i1 %nothing, label %out, label %some
some:
  %address = ptrtoint ptr %block to i64
  %within = and i64 %address, 4095
  %page = icmp eq i64 %within, 0
  br i1 %page, label %ask, label %give
ask:
  %was = call i8 @python_unmapped(ptr %block)
  %mapped = icmp ne i8 %was, 0
  br i1 %mapped, label %out, label %give
give:
  call void @iv_give(ptr %block)
  br label %out
out:
  ret void
}
"""
_NO_POOL = """
define internal noalias ptr @iv_take(i64 %bytes) alwaysinline nounwind {{
  ret ptr null
}}

define internal i1 @iv_pools(ptr %block) alwaysinline nounwind {{
  ret i1 false
}}

define internal void @iv_give(ptr %block) alwaysinline nounwind {{
  call void @free(ptr %block)
  ret void
}}
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
  %poolable = icmp uge i64 %rounded, {smallest}
  br i1 %poolable, label %pool, label %fresh
pool:
  %kept = call ptr @iv_take(i64 %rounded)
  %missed = icmp eq ptr %kept, null
  br i1 %missed, label %fresh, label %reuse
reuse:
  ret ptr %kept
fresh:
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
  call void @iv_free(ptr %old)
  br label %out
out:
  ret ptr %block
}}

declare i64 @llvm.umax.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""

# frees what a table of live allocations still has
RELEASE = """
define internal void @iv_release(ptr %live, i64 %count) noinline cold nounwind {
  %any = icmp ne i64 %count, 0
  br i1 %any, label %each, label %out
each:
  %k = phi i64 [ 0, %0 ], [ %next, %each ]
  %at = getelementptr ptr, ptr %live, i64 %k
  %block = load ptr, ptr %at
  call void @iv_free(ptr %block)
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %each, label %out
out:
  ret void
}
"""

# extents multiplied; too large a product saturates
EXTENT = """
define internal i64 @iv_times(i64 %a, i64 %b) alwaysinline nounwind memory(none) {
  %pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %a, i64 %b)
  %product = extractvalue { i64, i1 } %pair, 0
  %over = extractvalue { i64, i1 } %pair, 1
  %result = select i1 %over, i64 -1, i64 %product
  ret i64 %result
}
declare { i64, i1 } @llvm.umul.with.overflow.i64(i64, i64)
"""


_pool = (ctypes.c_int64 * (2 + 2 * SLOTS))()


def trim() -> None:
    """Free what is kept between calls.  No kernel may run meanwhile."""
    free = ctypes.CDLL(None).free if sys.platform == "linux" else None
    for at in range(2, len(_pool), 2) if free is not None else ():
        free(ctypes.c_void_p(_pool[at]))
        _pool[at] = _pool[at + 1] = 0


def definitions(maps: bool = False) -> str:
    """The text, of a module that maps files or not; all of it is internal, so what a module doesn't call vanishes."""
    linux = sys.platform == "linux"
    pool = (_POOL if linux else _NO_POOL).format(words=len(_pool), slots=SLOTS, smallest=SMALLEST, largest=LARGEST)
    advise = _ADVISE.format(huge=HUGE) if linux else "  br label %out\n"
    memory = _DEFINITIONS.format(alignment=ALIGNMENT, advise=advise, smallest=SMALLEST)
    return memory + (_FREE_OR_UNMAP if maps else _FREE) + pool


def symbols() -> dict[str, int]:
    """The addresses of what the text refers to."""
    libc = ctypes.CDLL(None)
    linux = sys.platform == "linux"
    names = ["aligned_alloc", "free"] + (["madvise", "malloc_usable_size"] if linux else [])
    found = {name: ctypes.cast(getattr(libc, name), ctypes.c_void_p).value for name in names}
    if linux:
        found["iv_pool"] = ctypes.addressof(_pool)
    return {name: address for name, address in found.items() if address is not None}

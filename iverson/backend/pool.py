"""The ticket pool: chunks of a loop on several threads, dispatched in about a microsecond.

    i64 @threads_run(ptr body, ptr context, i64 count, ptr held)     every chunk once; the status of the whole;
                                                                     -count: in order, on this thread
    i64 @threads_asked(ptr word)                                     what to do when a poll finds its word set
    void @threads_ready(ptr count)                                   how many would run a region now

`body(context, word, chunk)` gives a status of backend/abi.py, and looks at `word` where a long run may be left.

One 64-bit ticket, gen << 40 | count << 20 | next, is all that workers look at.  A worker claims a chunk by adding 1 to
it, and only then reads which body to run on what: as long as a claimed chunk isn't finished the region can't end.  The
end is when `count` chunks are finished, so nobody waits for a worker that sleeps.  The thread that dispatches works
too.  A region that finds the pool in use (by another Python thread) runs alone, as all do where there is no futex.

A worker that loses its core in the midst of a chunk keeps the region waiting.  Where other programs keep the cores so
busy that a region took longer than it would have alone, by t, all run alone for the next PATIENCE t.

Workers spin for some microseconds after a region, then sleep on a futex.  After a fork the child has none and starts
its own; at exit they are told to leave.  They block all signals, and know nothing of Python: Ctrl-C is seen by the
thread that dispatches, which sets the workers' word.  A thread that holds Python's lock gives it back before its first
region and notes that at `held`; the caller of the kernel takes it again (run/wrapper.py).
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

from iverson.backend import cpu, interrupt
from iverson.backend.abi import INTERRUPTED

RUN, ASKED, READY = "threads_run", "threads_asked", "threads_ready"
SYMBOLS = (RUN, ASKED, READY)
MOST_THREADS = 1024
SPIN = 2000  # looks at the ticket before a worker sleeps
PATIENCE = 16
STOPPED = 1  # the status of a chunk that was left because another failed

# byte offsets of the state, a cache line for each of what different threads write
TICKET, DONE, WAITING, BODY, CONTEXT, STOP, STATUS, LOCK = 0, 64, 128, 192, 200, 208, 216, 256
SLEEPERS, EPOCH, LIMIT, CREATED, LEAVING, RESUME, BYTES = 320, 384, 448, 456, 464, 472, 512

_FUTEX = {"x86_64": 202, "AMD64": 202, "aarch64": 98}
_PAUSE = {"x86_64": "call void @llvm.x86.sse2.pause()", "aarch64": "call void @llvm.aarch64.hint(i32 1)"}
_PAUSES = {"x86_64": "declare void @llvm.x86.sse2.pause()", "aarch64": "declare void @llvm.aarch64.hint(i32)"}

_memory = (ctypes.c_int64 * ((BYTES + 64) // 8))()
_base = (ctypes.addressof(_memory) + 63) & -64


def _word(offset: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(_base + offset)


_ALONE = """
declare i64 @llvm.abs.i64(i64, i1)

define internal i64 @alone(ptr %body, ptr %context, i64 %signed) nounwind {
  %count = call i64 @llvm.abs.i64(i64 %signed, i1 true)
  br label %each
each:
  %k = phi i64 [ 0, %0 ], [ %next, %run ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %run, label %fine
run:
  %status = call i64 %body(ptr %context, ptr $flag, i64 %k)
  %next = add i64 %k, 1
  %good = icmp eq i64 %status, 0
  br i1 %good, label %each, label %failed
failed:
  ret i64 %status
fine:
  ret i64 0
}

define internal void @give_lock(ptr %held) nounwind {
  %held.now = load i64, ptr %held
  %already = icmp ne i64 %held.now, 0
  br i1 %already, label %out, label %ask
ask:
  %holds = call i32 $check()
  %some = icmp ne i32 %holds, 0
  br i1 %some, label %give, label %out
give:
  %state = call ptr $save()
  store ptr %state, ptr %held
  br label %out
out:
  ret void
}

define i64 @threads_asked(ptr %word) nounwind {
  %mine = icmp eq ptr %word, $flag
  br i1 %mine, label %signals, label %stopped
signals:
  %signals.f = load ptr, ptr $signals
  %raised = call i32 %signals.f()
  %some = icmp ne i32 %raised, 0
  %status = select i1 %some, i64 $interrupted, i64 0
  ret i64 %status
stopped:
  ret i64 $stopped
}
"""

_SERIAL = """
define void @threads_ready(ptr %count) nounwind {
  store i64 1, ptr %count
  ret void
}

define i64 @threads_run(ptr %body, ptr %context, i64 %count, ptr %held) nounwind {
  call void @give_lock(ptr %held)
  %status = call i64 @alone(ptr %body, ptr %context, i64 %count)
  ret i64 %status
}
"""

_POOL = """
declare i64 @llvm.umin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
$pauses

define internal void @wake(ptr %word, i64 %count) nounwind {
  %r = call i64 (i64, ...) $syscall(i64 $futex, ptr %word, i32 129, i64 %count, ptr null, ptr null, i32 0)
  ret void
}

define internal void @sleep(ptr %word, i32 %seen) nounwind {
  %r = call i64 (i64, ...) $syscall(i64 $futex, ptr %word, i32 128, i32 %seen, ptr null, ptr null, i32 0)
  ret void
}

; in nanoseconds
define internal i64 @now() nounwind {
  %time = alloca [2 x i64]
  %r = call i32 $clock(i32 1, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest.at
  %whole = mul i64 %seconds, 1000000000
  %all = add i64 %whole, %rest
  ret i64 %all
}

; is there a chunk to claim?
define internal i1 @open() alwaysinline nounwind {
  %ticket = load atomic i64, ptr $TICKET seq_cst, align 8
  %next = and i64 %ticket, 1048575
  %shifted = lshr i64 %ticket, 20
  %count = and i64 %shifted, 1048575
  %some = icmp ult i64 %next, %count
  ret i1 %some
}

; claim and run chunks until there are none
define internal void @drain(ptr %word) nounwind {
  br label %look
look:
  %some = call i1 @open()
  br i1 %some, label %claim, label %out
claim:
  %ticket = atomicrmw add ptr $TICKET, i64 1 seq_cst, align 8
  %chunk = and i64 %ticket, 1048575
  %shifted = lshr i64 %ticket, 20
  %count = and i64 %shifted, 1048575
  %mine = icmp ult i64 %chunk, %count
  br i1 %mine, label %work, label %out
work:
  %so.far = load atomic i64, ptr $STATUS monotonic, align 8
  %fine = icmp eq i64 %so.far, 0
  br i1 %fine, label %run, label %finished
run:
  %body = load ptr, ptr $BODY
  %context = load ptr, ptr $CONTEXT
  %status = call i64 %body(ptr %context, ptr %word, i64 %chunk)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %finished, label %failed
failed:
  %before = atomicrmw min ptr $STATUS, i64 %status seq_cst, align 8
  store atomic i32 1, ptr $STOP seq_cst, align 4
  br label %finished
finished:
  %others = atomicrmw add ptr $DONE, i32 1 seq_cst, align 4
  %now = add i32 %others, 1
  %all = trunc i64 %count to i32
  %last = icmp eq i32 %now, %all
  br i1 %last, label %end, label %look
end:
  %waiting = load atomic i32, ptr $WAITING seq_cst, align 4
  %asleep = icmp ne i32 %waiting, 0
  br i1 %asleep, label %notify, label %look
notify:
  call void @wake(ptr $DONE, i64 1)
  br label %look
out:
  ret void
}

define internal ptr @worker(ptr %id.ptr) nounwind {
entry:
  %id = ptrtoint ptr %id.ptr to i64
  br label %awake
awake:
  br label %look
look:
  %spins = phi i64 [ 0, %awake ], [ %spins.next, %idle ]
  %leaving = load atomic i64, ptr $LEAVING seq_cst, align 8
  %stays = icmp eq i64 %leaving, 0
  br i1 %stays, label %may, label %leave
may:
  %limit = load atomic i64, ptr $LIMIT monotonic, align 8
  %allowed = icmp slt i64 %id, %limit
  %some = call i1 @open()
  %go = and i1 %allowed, %some
  br i1 %go, label %work, label %idle
work:
  call void @drain(ptr $STOP)
  br label %awake
idle:
  $pause
  %spins.next = add i64 %spins, 1
  %on = icmp ult i64 %spins.next, $spin
  br i1 %on, label %look, label %park
park:
  %sleepers = atomicrmw add ptr $SLEEPERS, i32 1 seq_cst, align 4
  %epoch = load atomic i32, ptr $EPOCH seq_cst, align 4
  %limit.now = load atomic i64, ptr $LIMIT seq_cst, align 8
  %allowed.now = icmp slt i64 %id, %limit.now
  %some.now = call i1 @open()
  %leaving.now = load atomic i64, ptr $LEAVING seq_cst, align 8
  %left.now = icmp ne i64 %leaving.now, 0
  %go.now = and i1 %allowed.now, %some.now
  %stay.up = or i1 %go.now, %left.now
  br i1 %stay.up, label %up, label %down
down:
  call void @sleep(ptr $EPOCH, i32 %epoch)
  br label %up
up:
  %fewer = atomicrmw sub ptr $SLEEPERS, i32 1 seq_cst, align 4
  br label %awake
leave:
  ret ptr null
}

define internal void @grow(i64 %limit) noinline nounwind {
  %all = alloca [16 x i64]
  %old = alloca [16 x i64]
  %thread = alloca i64
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  %masked = call i32 $sigmask(i32 2, ptr %all, ptr %old)
  %first = load i64, ptr $CREATED
  br label %each
each:
  %id = phi i64 [ %first, %0 ], [ %id.next, %made ]
  %id.next = add i64 %id, 1
  %more = icmp slt i64 %id.next, %limit
  br i1 %more, label %make, label %out
make:
  %id.ptr = inttoptr i64 %id.next to ptr
  %failed = call i32 $create(ptr %thread, ptr null, ptr @worker, ptr %id.ptr)
  %good = icmp eq i32 %failed, 0
  br i1 %good, label %made, label %out
made:
  %handle = load i64, ptr %thread
  %detached = call i32 $detach(i64 %handle)
  store i64 %id.next, ptr $CREATED
  br label %each
out:
  %restored = call i32 $sigmask(i32 2, ptr %old, ptr null)
  ret void
}

define void @threads_ready(ptr %count) nounwind {
  %limit = load atomic i64, ptr $LIMIT monotonic, align 8
  %lock = load atomic i64, ptr $LOCK monotonic, align 8
  %resume = load i64, ptr $RESUME
  %now = call i64 @now()
  %open = icmp eq i64 %lock, 0
  %late = icmp sge i64 %now, %resume
  %may = and i1 %open, %late
  %ready = select i1 %may, i64 %limit, i64 1
  store i64 %ready, ptr %count
  ret void
}

define i64 @threads_run(ptr %body, ptr %context, i64 %count, ptr %held) nounwind {
entry:
  %single = icmp eq i64 %count, 1
  br i1 %single, label %alone, label %release
release:
  call void @give_lock(ptr %held)
  %several = icmp sgt i64 %count, 1
  br i1 %several, label %may, label %alone
may:
  %limit = load atomic i64, ptr $LIMIT monotonic, align 8
  %many = icmp sgt i64 %limit, 1
  br i1 %many, label %try, label %alone
try:
  %pair = cmpxchg ptr $LOCK, i64 0, i64 1 seq_cst monotonic
  %entered = extractvalue { i64, i1 } %pair, 1
  br i1 %entered, label %busy, label %alone
busy:
  %start = call i64 @now()
  %resume = load i64, ptr $RESUME
  %early = icmp slt i64 %start, %resume
  br i1 %early, label %leave, label %begin
leave:
  store atomic i64 0, ptr $LOCK seq_cst, align 8
  br label %alone
alone:
  %status.alone = call i64 @alone(ptr %body, ptr %context, i64 %count)
  ret i64 %status.alone
begin:
  %created = load i64, ptr $CREATED
  %wanted = sub i64 %limit, 1
  %few = icmp slt i64 %created, %wanted
  br i1 %few, label %more, label %publish
more:
  call void @grow(i64 %limit)
  br label %publish
publish:
  store ptr %body, ptr $BODY
  store ptr %context, ptr $CONTEXT
  store atomic i64 0, ptr $STATUS monotonic, align 8
  store atomic i32 0, ptr $STOP monotonic, align 4
  store atomic i32 0, ptr $DONE monotonic, align 4
  store atomic i32 0, ptr $WAITING monotonic, align 4
  %old = load atomic i64, ptr $TICKET monotonic, align 8
  %gen.now = lshr i64 %old, 40
  %gen = add i64 %gen.now, 1
  %gen.bits = shl i64 %gen, 40
  %count.bits = shl i64 %count, 20
  %ticket = or i64 %gen.bits, %count.bits
  store atomic i64 %ticket, ptr $TICKET seq_cst, align 8
  %sleepers = load atomic i32, ptr $SLEEPERS seq_cst, align 4
  %some = icmp ne i32 %sleepers, 0
  br i1 %some, label %rouse, label %go
rouse:
  %epoch = atomicrmw add ptr $EPOCH, i32 1 seq_cst, align 4
  %workers = load i64, ptr $CREATED
  %exact = icmp eq i64 %workers, %wanted
  %others = sub i64 %count, 1
  %needed = select i1 %exact, i64 %others, i64 2147483647
  call void @wake(ptr $EPOCH, i64 %needed)
  br label %go
go:
  call void @drain(ptr $flag)
  %drained = call i64 @now()
  %all = trunc i64 %count to i32
  br label %wait
wait:
  %spins = phi i64 [ 0, %go ], [ %spins.next, %pause ]
  %done = load atomic i32, ptr $DONE seq_cst, align 4
  %finished = icmp eq i32 %done, %all
  br i1 %finished, label %end, label %pause
pause:
  $pause
  %spins.next = add i64 %spins, 1
  %on = icmp ult i64 %spins.next, $spin
  br i1 %on, label %wait, label %park
park:
  store atomic i32 1, ptr $WAITING seq_cst, align 4
  %done.now = load atomic i32, ptr $DONE seq_cst, align 4
  %finished.now = icmp eq i32 %done.now, %all
  br i1 %finished.now, label %end, label %down
down:
  call void @sleep(ptr $DONE, i32 %done.now)
  %flag = load volatile i32, ptr $flag
  %quiet = icmp eq i32 %flag, 0
  br i1 %quiet, label %park, label %asked
asked:
  %answer = call i64 @threads_asked(ptr $flag)
  %on.with.it = icmp eq i64 %answer, 0
  br i1 %on.with.it, label %park, label %stop
stop:
  %before = atomicrmw min ptr $STATUS, i64 %answer seq_cst, align 8
  store atomic i32 1, ptr $STOP seq_cst, align 4
  br label %park
end:
  %end.time = call i64 @now()
  %worked = sub i64 %drained, %start
  %waited = sub i64 %end.time, %drained
  %theirs = mul i64 %worked, %wanted
  %lost = sub i64 %waited, %theirs
  %loss = icmp sgt i64 %lost, 0
  %pause.time = mul i64 %lost, $patience
  %until = add i64 %end.time, %pause.time
  %resume.new = select i1 %loss, i64 %until, i64 0
  store i64 %resume.new, ptr $RESUME
  %status = load atomic i64, ptr $STATUS seq_cst, align 8
  store atomic i64 0, ptr $LOCK seq_cst, align 8
  ret i64 %status
}
"""


def module() -> tuple[str, dict[str, int]]:
    """The pool as text for this process, and the addresses that it has in place of names."""
    flag, python = interrupt.address(), ctypes.pythonapi
    there = {
        "flag": flag,
        "signals": flag + 8,
        "check": _function(python.PyGILState_Check),
        "save": _function(python.PyEval_SaveThread),
    }
    numbers = {"interrupted": INTERRUPTED, "stopped": STOPPED, "spin": SPIN, "patience": PATIENCE}
    text = _ALONE
    if has_futex():
        libc, machine = ctypes.CDLL(None), platform.machine()
        offsets = {
            "TICKET": TICKET, "DONE": DONE, "WAITING": WAITING, "BODY": BODY, "CONTEXT": CONTEXT, "STOP": STOP,
            "STATUS": STATUS, "LOCK": LOCK, "SLEEPERS": SLEEPERS, "EPOCH": EPOCH, "LIMIT": LIMIT, "CREATED": CREATED,
            "LEAVING": LEAVING, "RESUME": RESUME,
        }  # fmt: skip
        there |= {name: _base + offset for name, offset in offsets.items()}
        there |= {
            "syscall": _function(libc.syscall),
            "clock": _function(libc.clock_gettime),
            "sigmask": _function(libc.pthread_sigmask),
            "create": _function(libc.pthread_create),
            "detach": _function(libc.pthread_detach),
        }
        numbers["futex"] = _FUTEX[machine]
        text = (text + _POOL).replace("$pauses", _PAUSES[machine]).replace("$pause", _PAUSE[machine])
    else:
        text += _SERIAL
    for name, value in sorted((*there.items(), *numbers.items()), key=lambda pair: -len(pair[0])):
        text = text.replace(f"${name}", f"inttoptr (i64 {value} to ptr)" if name in there else str(value))
    return text, there


def has_futex() -> bool:
    """Can threads wait here?  Else every loop runs on the thread that calls."""
    return sys.platform == "linux" and platform.machine() in _FUTEX and ctypes.sizeof(ctypes.c_void_p) == 8


@cache
def _library() -> cpu.Library:
    text, _ = module()
    library = cpu.load(cpu.compile(text, level=0), SYMBOLS, {})  # a level more takes 30 ms, and saves nothing
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))  # workers run in it to the end
    if has_futex():
        os.register_at_fork(after_in_child=_alone_again)
        atexit.register(_leave)
    return library


def address(symbol: str) -> int:
    """Where a function of the pool is in this process."""
    return _library().address(symbol)


def _alone_again() -> None:
    """In the child of a fork: no workers, and nobody in the pool."""
    for offset in (LOCK, SLEEPERS, CREATED, WAITING, TICKET, RESUME):
        _word(offset).value = 0


def _leave() -> None:
    """At exit: workers leave, and what runs on runs alone."""
    _word(LIMIT).value = 1
    _word(LEAVING).value = 1
    ctypes.c_int32.from_address(_base + EPOCH).value += 1
    libc = ctypes.CDLL(None)
    libc.syscall(_FUTEX[platform.machine()], ctypes.c_void_p(_base + EPOCH), 129, 2**31 - 1, None, None, 0)


def _function(f: object) -> int:
    """The address of a C function."""
    return ctypes.cast(f, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


# --- how many ---------------------------------------------------------------------------------------------------------


def usable_cores() -> int:
    """The cores that this process may use: its affinity, and its share by cgroups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return cores


def _initial() -> int:
    setting = os.environ.get("IVERSON_NUM_THREADS", "").strip()
    if not setting:
        return min(usable_cores(), MOST_THREADS)
    if not setting.isdecimal() or not 1 <= int(setting) <= MOST_THREADS:
        raise ValueError(f"IVERSON_NUM_THREADS is {setting!r}: it must be a number from 1 to {MOST_THREADS}")
    return int(setting)


def try_again() -> None:
    """Don't wait with the next region because the last one found the cores busy."""
    _word(RESUME).value = 0


def limit() -> int:
    """How many threads a parallel loop may use."""
    return _word(LIMIT).value


def set_limit(n: int) -> None:
    _word(LIMIT).value = n


_word(LIMIT).value = _initial()

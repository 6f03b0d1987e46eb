"""Ctrl-C stops a long run.

Loops that hold loops, and Whiles, look at a flag once a turn; loops of a few turns, known in number, do not count.  A
signal handler in machine code sets it and then calls the handler that was there, Python's.  A kernel that sees the flag
clears it and lets the interpreter run its handlers; if they raise, the kernel frees what it has and returns
abi.INTERRUPTED, and `raised` is the exception.  Otherwise it goes on: it has written arrays of the caller, so it can't
begin again.  A kernel on another than Python's main thread leaves the flag to that.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from functools import cache

from iverson.backend import loopir as ir
from iverson.backend.loopir import For, Stmt, While
from iverson.core.syntax import Literal

FLAG = "iv_interrupted"
BRIEF = 64  # turns

# the flag, the function that a kernel calls when it is set, the exception that this found (type, value, traceback), and
# Python's main thread, the only one that runs handlers
_state = (ctypes.c_int64 * 6)()
_handlers: list[object] = []  # machine code that stays
_HANDLER = """
define void @iv_on_interrupt(i32 %signal) nounwind {{
  store volatile i32 1, ptr inttoptr (i64 {flag} to ptr)
  call void inttoptr (i64 {previous} to ptr)(i32 %signal)
  ret void
}}
"""
_MAIN = """
  %self = call i64 inttoptr (i64 {self} to ptr)()
  %main = load i64, ptr inttoptr (i64 {main} to ptr)
  %here = icmp eq i64 %self, %main
  br i1 %here, label %look, label %others
others:
  ret i32 0
look:
"""
_SIGNALS = """
define i32 @iv_signals() nounwind {{
{only_main}
  %gil = call i32 inttoptr (i64 {ensure} to ptr)()
  store volatile i32 0, ptr inttoptr (i64 {state} to ptr)
  %status = call i32 inttoptr (i64 {check} to ptr)()
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %done, label %raised
raised:
  call void inttoptr (i64 {fetch} to ptr)(ptr inttoptr (i64 {kind} to ptr), ptr inttoptr (i64 {value} to ptr),
                                          ptr inttoptr (i64 {trace} to ptr))
  br label %done
done:
  call void inttoptr (i64 {release} to ptr)(i32 %gil)
  ret i32 %status
}}
"""


def run(program: ir.Program) -> None:
    """Put a look at the flag into the loops of a program that may take long."""
    _insert(program.body, inside=False)


def _insert(body: list[Stmt], inside: bool) -> int:
    """Insert polls; the depth of the loops in a body."""
    deepest = 0
    for stmt in body:
        counts = isinstance(stmt, For) and stmt.tag != "thread" and not _brief(stmt)
        is_loop = isinstance(stmt, While) or counts
        depth = max((_insert(b, inside or is_loop) for b in ir.blocks(stmt)), default=0) + is_loop
        deepest = max(deepest, depth)
        if isinstance(stmt, While) or (isinstance(stmt, For) and is_loop and depth > 1 + inside):
            stmt.body.insert(0, ir.Poll())
    return deepest


def _brief(loop: For) -> bool:
    known = isinstance(loop.low, Literal) and isinstance(loop.high, Literal)
    return known and int(loop.high.value) - int(loop.low.value) <= BRIEF  # type: ignore[union-attr]


def address() -> int:
    """Where the flag is; the function follows it, 8 bytes on."""
    _install()
    return ctypes.addressof(_state)


def raised() -> BaseException:
    """The exception that interrupted a kernel."""
    found = [ctypes.c_void_p(x) for x in _state[2:5]]
    _state[2:5] = [0, 0, 0]
    try:
        ctypes.pythonapi.PyErr_Restore(*found)
    except BaseException as e:
        return e
    return KeyboardInterrupt()


@cache
def _install() -> None:
    """Chain our handler before Python's, where there is one; once per process."""
    from iverson.backend import cpu

    state, python = ctypes.addressof(_state), ctypes.pythonapi
    text = _SIGNALS.format(
        only_main=_only_main(state + 40),
        state=state,
        kind=state + 16,
        value=state + 24,
        trace=state + 32,
        ensure=_function(python.PyGILState_Ensure),
        check=_function(python.PyErr_CheckSignals),
        fetch=_function(python.PyErr_Fetch),
        release=_function(python.PyGILState_Release),
    )
    signals = cpu.load(cpu.compile(text, level=1), ["iv_signals"], {})
    _handlers.append(signals)
    _state[1] = signals.address("iv_signals")
    if os.name != "posix":
        return
    libc = ctypes.CDLL(None)
    libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
    previous = libc.signal(signal.SIGINT, None)
    if not previous or previous in (1, ctypes.c_size_t(-1).value):  # default, ignored, error
        libc.signal(signal.SIGINT, previous)
        return
    text = _HANDLER.format(flag=state, previous=previous)
    library = cpu.load(cpu.compile(text, level=1), ["iv_on_interrupt"], {})
    _handlers.append(library)
    libc.signal(signal.SIGINT, library.address("iv_on_interrupt"))
    signal.siginterrupt(signal.SIGINT, True)


def _only_main(place: int) -> str:
    """The beginning of a function that only the main thread goes through; where the latter is noted."""
    if os.name != "posix":
        return ""

    def note() -> None:
        _state[5] = threading.main_thread().ident or 0

    note()
    os.register_at_fork(after_in_child=note)
    return _MAIN.format(self=_function(ctypes.CDLL(None).pthread_self), main=place)


def _function(f: object) -> int:
    """The address of a C function."""
    return ctypes.cast(f, ctypes.c_void_p).value or 0  # type: ignore[arg-type]

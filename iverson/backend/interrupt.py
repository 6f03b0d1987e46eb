"""Ctrl-C stops a long run.

Loops that hold loops, and Whiles, look at a flag once a turn.  A signal handler in machine code sets it and then calls
the handler that was there, Python's; the kernel frees what it has and returns abi.INTERRUPTED, and the interpreter
raises.  A flag from a Ctrl-C that came while no kernel ran is cleared by its first reader, who calls the kernel again.
"""

from __future__ import annotations

import ctypes
import os
import signal
from functools import cache

from iverson.backend import loopir as ir
from iverson.backend.loopir import For, Stmt, While

FLAG = "iv_interrupted"

_flag = ctypes.c_int32(0)
_handlers: list[object] = []  # machine code that stays
_HANDLER = """
define void @iv_on_interrupt(i32 %signal) nounwind {{
  store volatile i32 1, ptr inttoptr (i64 {flag} to ptr)
  call void inttoptr (i64 {previous} to ptr)(i32 %signal)
  ret void
}}
"""


def run(program: ir.Program) -> None:
    """Put a look at the flag into the loops of a program that may take long."""
    _insert(program.body, inside=False)


def _insert(body: list[Stmt], inside: bool) -> int:
    """Insert polls; the depth of the loops in a body."""
    deepest = 0
    for stmt in body:
        is_loop = isinstance(stmt, For | While)
        depth = max((_insert(b, inside or is_loop) for b in ir.blocks(stmt)), default=0) + is_loop
        deepest = max(deepest, depth)
        if isinstance(stmt, While) or (isinstance(stmt, For) and depth > 1 + inside):
            stmt.body.insert(0, ir.Poll())
    return deepest


def address() -> int:
    """Where the flag is."""
    _install()
    return ctypes.addressof(_flag)


def clear() -> None:
    _flag.value = 0


@cache
def _install() -> None:
    """Chain our handler before Python's, where there is one; once per process."""
    if os.name != "posix":
        return
    from iverson.backend import cpu

    libc = ctypes.CDLL(None)
    libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
    previous = libc.signal(signal.SIGINT, None)
    if not previous or previous in (1, ctypes.c_size_t(-1).value):  # default, ignored, error
        libc.signal(signal.SIGINT, previous)
        return
    text = _HANDLER.format(flag=ctypes.addressof(_flag), previous=previous)
    library = cpu.load(cpu.compile(text, level=1), ["iv_on_interrupt"], {})
    _handlers.append(library)
    libc.signal(signal.SIGINT, library.address("iv_on_interrupt"))
    signal.siginterrupt(signal.SIGINT, True)

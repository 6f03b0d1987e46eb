"""Arrays in files: zeros that are mapped into memory, which the system writes to the disk as it needs room.

    b = mapped [n, m] in directory    ...    free b

From the start the file has no name in its directory, and all of its bytes: so the disk is full when it is made or
never, and whatever becomes of the process, nothing is left behind.  What makes and drops such files is Python
(`python_mapped`, `python_unmapped`); a kernel that has any asks for every block that it frees and that begins a page
whether it is one.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from functools import cache

from iverson.backend import loopir as ir
from iverson.backend.context import Context
from iverson.backend.loopir import Buffer, Reg, View
from iverson.backend.runtime import MAP, UNMAP
from iverson.core import library
from iverson.core.syntax import Array, Let, Library

PAGE = 4096  # a mapped block begins one
_CHUNK = 1 << 24  # bytes that are written at once where the system can't reserve them

_alive: dict[int, mmap.mmap] = {}
_reasons: list[str] = []  # why the last file could not be made


def lower(ctx: Context, let: Let) -> None:
    """Of its arguments only the extents are read."""
    op, (v,) = let.op, let.vars
    assert isinstance(op, Library) and isinstance(v.type, Array)
    directory = library.with_defaults(op.name, op.params)["directory"]
    told = directory.replace("{", "{{").replace("}", "}}")
    site = ctx.site("OSError", f"no file for the checkpoints of this loop in {told}", (), let.site)
    extents = ctx.values(v.type.extents)
    ctx.counts(extents, let.site)
    buffer = Buffer(v.type.dtype, extents, Reg(ir.POINTER, v.hint), hint=v.hint, slot=ir.Owner())
    ctx.emit(ir.Mapped(buffer, os.fsencode(directory), site))
    ctx.frames[-1].owned[buffer] = set()
    ctx.bind(v, View(buffer))


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p)
def _map(size: int, directory: bytes) -> int | None:
    """The address of so many zeros; None where that can't be."""
    try:
        if size < 0:
            raise OverflowError("more than a file can have")
        if size == 0:
            block = mmap.mmap(-1, PAGE)
        else:
            with tempfile.TemporaryFile(dir=os.fsdecode(directory)) as file:
                _reserve(file.fileno(), size)
                block = mmap.mmap(file.fileno(), size)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        _reasons[:] = [f"{f'{size:,} bytes: ' if size > 0 else ''}{getattr(error, 'strerror', None) or error}"]
        return None
    place = ctypes.c_char.from_buffer(block)
    at = ctypes.addressof(place)
    del place
    _alive[at] = block
    return at


def _reserve(file: int, size: int) -> None:
    """Make a file so long, and have its bytes on the disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    zeros = bytes(_CHUNK)
    for start in range(0, size, _CHUNK):
        os.write(file, zeros[: size - start])


@ctypes.CFUNCTYPE(ctypes.c_uint8, ctypes.c_void_p)
def _unmap(at: int) -> int:
    """Drop the block if it is one of these: was it?"""
    block = _alive.pop(at, None)
    if block is None:
        return 0
    block.close()
    return 1


@cache
def addresses() -> dict[str, int]:
    """Where the two functions are in this process."""
    return {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in ((MAP, _map), (UNMAP, _unmap))}


def reason() -> str:
    """Why the last file could not be made."""
    return _reasons.pop() if _reasons else ""

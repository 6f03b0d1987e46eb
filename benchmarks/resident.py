"""What of memory a process holds: keeping what is freed, for times, and the peak of a call, for memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iverson.backend import runtime

ALL, NONE = 2**31 - 1, 2**13  # bytes an array


def keep_freed_memory(above: int = ALL) -> None:
    """Have the C library keep what is freed, up to so many bytes an array.

    For times, all of it: faults of fresh pages would be most of what some programs measure. For peaks, next to nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for parameter in (-1, -3) if mallopt is not None else ():  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
        mallopt(parameter, above)


def peak(call: Callable[[], Any]) -> float | None:
    """Bytes by which the peak of the resident set grows in a call; None where the system doesn't say.

    The call is made twice, and the second counts, with nothing kept of the first: that may have compiled what it calls,
    touched code for the first time, and made a library's work space, which are of the process and not of a call.
    """

    def status(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    call()
    runtime.trim()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        call()
        return 1024.0 * (status("VmHWM") - before)
    except (OSError, AttributeError):
        return None

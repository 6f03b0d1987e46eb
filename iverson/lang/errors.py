"""Errors of staging: the right Python exception, the user's file and line, and what to do about it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
from traceback import walk_tb
from types import CodeType, FrameType

from iverson.core.syntax import Site

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_BETWEEN = (functools.__file__, contextlib.__file__)  # what this package runs its own functions through
_LIBRARY = re.compile(r"[\\/](numpy|scipy|optree)[\\/]")
_FOREIGN: dict[int, tuple[CodeType, bool]] = {}  # by identity: hashing a code object is slow
_SITES: dict[tuple[int, int], Site] = {}


# top-level modules whose code is not the user's: it is called, never staged or looked into
LIBRARIES = {*sys.stdlib_module_names, "numpy", "scipy", "optree", "iverson", "torch", "jax", "pytest"} - {"__main__"}


class StagingError(Exception):
    """Python that can't be staged, or is wrong; every instance is also a builtin exception (TypeError, ...)."""

    plain: tuple[str, Site | None]  # the message alone, and the line
    refused = False  # Python would go on


_CLASSES: dict[type[BaseException], type[StagingError]] = {}


def error(kind: type[BaseException], message: str, at: Site | None = None) -> StagingError:
    """An exception that is both a StagingError and a `kind`, with the user's position at its end."""
    if kind not in _CLASSES:
        _CLASSES[kind] = type(f"Staging{kind.__name__}", (StagingError, kind), {"__module__": __name__})
    at = at or site()
    where = f"\n  at {at.file}:{at.line}, in {at.function}" if at else ""
    made = _CLASSES[kind](message + where)
    made.plain = message, at
    return made


def refusal(kind: type[BaseException], message: str) -> StagingError:
    """An error of this package alone: Python would go on.  It is raised at once, wherever it stands."""
    made = error(kind, message)
    made.refused = True
    return made


def plain(e: BaseException) -> tuple[str, Site | None]:
    """What an exception says, and the line of user code that it comes from."""
    if isinstance(e, StagingError):
        return e.plain
    frames = [*walk_tb(e.__traceback__)]
    at = next((_site(f, line) for f, line in reversed(frames) if _is_foreign(f.f_code.co_filename)), None)
    return str(e.args[0]) if e.args else "", at


def site() -> Site | None:
    """The line of user code that is running: the innermost frame outside this package and NumPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        known = _FOREIGN.get(id(code))
        if known is None:
            known = _FOREIGN[id(code)] = code, _is_foreign(code.co_filename)
        if known[1]:
            key = id(code), frame.f_lineno
            found = _SITES.get(key)
            if found is None:
                found = _SITES[key] = _site(frame, frame.f_lineno)
            return found
        frame = frame.f_back
    return None


def _site(frame: FrameType, line: int) -> Site:
    return Site(frame.f_code.co_filename, line, _user_name(frame))


def _is_foreign(filename: str) -> bool:
    """Whether a file is the user's."""
    ours = filename.startswith((_HERE, "<frozen", "<__array_function__")) or filename in _BETWEEN
    return not ours and not _LIBRARY.search(filename)


def _user_name(frame: FrameType) -> str:
    """The name of the user's function, for frames of the suites that rewriting makes of its blocks too."""
    name = frame.f_code.co_qualname
    return next((part for part in reversed(name.split(".")) if not part.startswith(("<", "_iv_"))), name)

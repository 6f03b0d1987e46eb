"""The disk cache: compiled objects, found again by what they were made from.

    key(*parts)                 changes with any part, with Iverson's source, versions and the target machine
    get(key) -> bytes | None    None if there is none, or what is there is not what was put
    put(key, payload)           atomic; a failure to write is no failure

The directory is `IVERSON_CACHE_DIR`, else the user's cache directory; `IVERSON_CACHE_DIR=off` disables the cache.
Native code is read from it, so it is used only if nobody but the user (or root) can write to it or to what leads to it.
Above `LIMIT` bytes, or a little later, the entries used longest ago go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import llvmlite
import numpy as np

from iverson.backend import cpu

LIMIT = 256 << 20
VARIABLE = "IVERSON_CACHE_DIR"
_SHARE = 1 / 64  # of the limit that is put between two looks at all entries, on average; entries decide by their digest
_DIGEST = 32
_SUFFIX, _UNFINISHED = ".iv", ".tmp"
_ABANDONED = 3600.0  # seconds after which an unfinished file has no writer any more


@cache
def _versions() -> str:
    return f"Python {sys.version}, NumPy {np.__version__}, llvmlite {llvmlite.__version__}"


@cache
def _own_source() -> str:
    """A digest of this package's source, so that working on it never finds an older compiler's code."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        state = path.stat()
        digest.update(f"{path.relative_to(package)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def key(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in (_versions(), _own_source(), cpu.target_key(), *parts):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def _default() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "iverson"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iverson"


def _is_private(path: Path) -> bool:
    """Neither the directory nor one above it can be written by others (but for sticky ones, such as /tmp)."""
    if not hasattr(os, "getuid"):
        return True  # Windows: the user's own profile
    trusted = {0, os.getuid()}
    for place in (path, *path.parents):
        state = place.stat()
        open_to_others = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if state.st_uid not in trusted or (open_to_others and (place == path or not state.st_mode & stat.S_ISVTX)):
            return False
    return True


def directory() -> Path | None:
    """Where the cache is; None if it is off or would not be safe."""
    setting = os.environ.get(VARIABLE, "")
    if setting.lower() == "off":
        return None
    return _prepared(setting)


@cache
def _prepared(setting: str) -> Path | None:
    try:
        path = (Path(setting) if setting else _default()).absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        real = path.resolve()
        return real if real.is_dir() and _is_private(real) else None
    except (OSError, RuntimeError):
        return None


def get(name: str) -> bytes | None:
    where = directory()
    if where is None:
        return None
    path = where / f"{name}{_SUFFIX}"
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    digest, payload = content[:_DIGEST], content[_DIGEST:]
    return payload if _digest(name, payload) == digest else None


def put(name: str, payload: bytes) -> None:
    where = directory()
    if where is None:
        return
    temporary, digest = None, _digest(name, payload)
    try:
        with tempfile.NamedTemporaryFile(dir=where, suffix=_UNFINISHED, delete=False) as file:
            temporary = file.name
            file.write(digest + payload)
        os.replace(temporary, where / f"{name}{_SUFFIX}")
        if int.from_bytes(digest[:4], "little") * _SHARE * LIMIT <= len(payload) << 32:
            _trim(where)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def clear() -> None:
    """Remove every entry."""
    where = directory()
    for path in where.glob(f"*{_SUFFIX}") if where is not None else ():
        with contextlib.suppress(OSError):
            path.unlink()


def _digest(name: str, payload: bytes) -> bytes:
    """Of the content with its name: an entry that was renamed is as wrong as one that was damaged."""
    return hashlib.sha256(name.encode() + payload).digest()


def _trim(where: Path) -> None:
    entries = []
    with os.scandir(where) as found:
        for file in found:
            with contextlib.suppress(OSError):
                state = file.stat()
                if file.name.endswith(_SUFFIX):
                    entries.append((state.st_mtime, state.st_size, file.path))
                elif file.name.endswith(_UNFINISHED) and state.st_mtime < time.time() - _ABANDONED:
                    os.unlink(file.path)
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT:
            return
        with contextlib.suppress(OSError):
            os.unlink(path)
            total -= size

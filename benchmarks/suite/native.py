"""Peers in C++: a source compiled by g++ -O3 -march=native, whose functions are called on the memory of arrays.

A function takes its arguments in order, integers as int64_t, numbers as double, arrays as pointers, and last the array
that it writes its result to.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.registry import Args, Program

BUILT = Path(__file__).parents[1] / "out"
SHARED = Path(__file__).parents[1] / "common.hpp"  # what sources include
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")


def library(source: Path) -> ctypes.CDLL:
    """The source, compiled; once for each text."""
    text = SHARED.read_bytes() + source.read_bytes()
    key = hashlib.sha256(text + " ".join(FLAGS).encode()).hexdigest()[:16]
    made = BUILT / f"{source.stem}-{key}.so"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            fresh = Path(folder) / made.name
            subprocess.run(["g++", *FLAGS, str(source), "-o", str(fresh)], check=True, capture_output=True, text=True)
            fresh.rename(made)
    return ctypes.CDLL(str(made))


def passed(a: Any) -> Any:
    if a is None or isinstance(a, np.ndarray):
        return ctypes.c_void_p(None if a is None else a.ctypes.data)
    return ctypes.c_double(a) if isinstance(a, float | np.floating) else ctypes.c_int64(a)


def cpp(source: Path, name: str, given: Callable[..., tuple[Sequence[Any], np.ndarray]]) -> Program:
    """`given(*arguments)` are what the function takes, and the array for its result."""
    function = getattr(library(source), name)
    function.restype = None

    def prepare(args: Args) -> Args:
        taken, out = given(*args)
        held = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in taken]
        return ([passed(a) for a in (*held, out)], (held, out))

    def value(pointers: Any, arrays: Any) -> Any:
        function(*pointers)
        return arrays[1]

    return Program(value, prepare=prepare)

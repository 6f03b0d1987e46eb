"""Running compiled kernels on NumPy values, with every allocation counted."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from iverson import backend
from iverson.backend import abi, interrupt
from iverson.backend.abi import Layout
from iverson.core.syntax import Array, Function, Scalar

_libc = ctypes.CDLL(None)
_libc.aligned_alloc.restype = ctypes.c_void_p
_libc.aligned_alloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]

_LOCKED = (ctypes.c_int64 * 64)(1)  # a pool of freed blocks that is always in use
LIVE: dict[int, int] = {}
COUNT = [0]
FAIL_AFTER: list[int | None] = [None]  # allocations that still succeed


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
def _alloc(alignment: int, size: int) -> int | None:
    COUNT[0] += 1
    if FAIL_AFTER[0] is not None and COUNT[0] > FAIL_AFTER[0]:
        return None
    block = _libc.aligned_alloc(alignment, size)
    LIVE[block] = size
    ctypes.memset(block, 0xA5, size)
    return block


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _free(block: int | None) -> None:
    if block is not None:
        del LIVE[block]  # a KeyError here is a double free
        _libc.free(block)


def _address(callback: Any) -> int:
    found = ctypes.cast(callback, ctypes.c_void_p).value
    assert found is not None
    return found


class Native:
    """A function compiled and loaded; call it with a value for every parameter."""

    def __init__(self, function: Function, level: int = 0, count: bool = True, **options: Any) -> None:
        self.function = function
        self.options = options
        self.compiled = backend.compile(function, level=level, **options)
        self.committed: dict[int, int] = options.get("committed") or {}
        self.layouts = options.get("layouts") or [Layout.C] * len(function.params)
        symbols = dict(self.compiled.code.symbols)
        if count:
            symbols |= {
                "aligned_alloc": _address(_alloc),
                "free": _address(_free),
                "iv_pool": ctypes.addressof(_LOCKED),
            }
        self.library = backend.cpu.load(self.compiled.code.object, [backend.SYMBOL], symbols)
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.kernel = kind(self.library.address(backend.SYMBOL))
        self.free = _free if count else _libc.free

    def arguments(self, args: Sequence[Any]) -> tuple[np.ndarray, list[np.ndarray]]:
        """The table of argument slots, and the arrays to keep alive."""
        slots = np.zeros(abi.param_offsets(p.type for p in self.function.params)[-1] + 1, np.int64)
        alive = []
        offsets = abi.param_offsets(p.type for p in self.function.params)
        for p, layout, at, a in zip(self.function.params, self.layouts, offsets, args, strict=False):
            dtype = np.dtype(p.type.dtype.value)
            if isinstance(p.type, Scalar):
                slots[at : at + 1].view(np.uint8)[: dtype.itemsize] = np.array([a], dtype).view(np.uint8)
                continue
            array = np.asarray(a, dtype)
            if layout is Layout.C:
                array = np.ascontiguousarray(array)
            alive.append(array)
            slots[at] = array.ctypes.data
            slots[at + 1 : at + 1 + array.ndim] = array.strides
        return slots, alive

    def __call__(self, *args: Any) -> list[Any]:
        slots, alive = self.arguments(args)
        offsets = abi.result_offsets(self.function, frozenset(self.committed))
        results, error = np.zeros(offsets[-1] + 1, np.int64), np.zeros(abi.ERROR_SLOTS, np.int64)
        status = self.kernel(slots.ctypes.data, results.ctypes.data, error.ctypes.data)
        if status == abi.RERUN:
            return self.exact(*args)
        if status == abi.INTERRUPTED:
            raise interrupt.raised()
        if status != abi.OK:
            details = self.compiled.sites[status - 1].details if status > 0 else ()
            raise self.compiled.code.error(status, [_scalar(error, k, d.value) for k, d in enumerate(details)])
        outs: list[Any] = []
        for k, out in enumerate(self.function.body.outs):
            if k in self.committed:
                outs.append(alive[[p for p in range(len(args)) if self._is_array(p)].index(self.committed[k])])
            elif isinstance(out.type, Array):
                outs.append(self._take(results[offsets[k] : offsets[k] + 1 + out.type.rank], out.type.dtype.value))
            else:
                outs.append(_scalar(results, offsets[k], out.type.dtype.value))
        return outs

    @cached_property
    def exact(self) -> Native:
        return Native(self.function, exact=True, **self.options)

    def _is_array(self, p: int) -> bool:
        return isinstance(self.function.params[p].type, Array)

    def _take(self, slots: np.ndarray, dtype: str) -> np.ndarray:
        shape = tuple(int(n) for n in slots[1:])
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = (ctypes.c_char * size).from_address(int(slots[0]))
        array = np.frombuffer(raw, dtype).reshape(shape).copy()
        self.free(int(slots[0]))
        return array


def _scalar(slots: np.ndarray, k: int, dtype: str) -> Any:
    return slots[k : k + 1].view(np.dtype(dtype))[0]

"""A compiled core function as a Python callable on the values of its parameters (the slots of backend/abi.py)."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iverson.backend import SYMBOL, Compiled, interrupt
from iverson.backend.abi import ERROR_SLOTS, INTERRUPTED, OK, RERUN, SLOT, param_offsets, result_offsets
from iverson.core.build import dtype_of
from iverson.core.syntax import Array, DType
from iverson.run.call import C_TYPE, KERNEL, adopt


class Kernel:
    """The compiled function, loaded.

    `committed` maps outs to the donated parameters whose memory holds them after a call; they aren't returned.
    """

    def __init__(self, compiled: Compiled, committed: Mapping[int, int]) -> None:
        self.compiled = compiled
        self._committed = committed
        self.library = compiled.load()
        self.address = self.library.address(SYMBOL)
        self._run = KERNEL(self.address)
        function = compiled.function
        self._params = [(p.type, at) for p, at in zip(function.params, param_offsets(function), strict=False)]
        self._arg_slots = param_offsets(function)[-1]
        offsets = result_offsets(function, frozenset(committed))
        outs = enumerate(function.body.outs)
        self._results = [(dtype_of(o), o.type, offsets[k]) for k, o in outs if k not in committed]
        self._result_slots = offsets[-1]

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Values of all parameters, sizes included, arrays of the right dtype; gives the outs that aren't committed."""
        args = (ctypes.c_int64 * max(self._arg_slots, 1))()
        base = ctypes.addressof(args)
        for (type_, at), value in zip(self._params, values, strict=True):
            if isinstance(type_, Array):
                args[at] = value.ctypes.data
                args[at + 1 : at + 1 + value.ndim] = value.strides
            else:
                C_TYPE[type_.dtype].from_address(base + at * SLOT).value = value
        results = (ctypes.c_int64 * max(self._result_slots, 1))()
        error = (ctypes.c_int64 * ERROR_SLOTS)()
        status = self._run(base, ctypes.addressof(results), ctypes.addressof(error))
        if status == RERUN:
            return Kernel(self.compiled.exact, self._committed)(values)
        if status == INTERRUPTED:
            interrupt.clear()
            return self(values)  # unless the interpreter has raised KeyboardInterrupt by now
        if status != OK:
            raise self.failure(status, ctypes.addressof(error))
        return [_result(ctypes.addressof(results) + at * SLOT, dtype, t) for dtype, t, at in self._results]

    def failure(self, status: int, error: int) -> Exception:
        """The exception of a failed call, whose details lie at the address `error`."""
        site = self.compiled.sites[status - 1] if status > OK else None
        kinds = site.details if site else ()
        details = [C_TYPE[d].from_address(error + k * SLOT).value for k, d in enumerate(kinds)]
        return self.compiled.error(status, details)


def _result(address: int, dtype: DType, type_: Any) -> Any:
    """A NumPy scalar, or an array over the memory that the kernel allocated, freed with the array."""
    numpy_dtype = np.dtype(dtype.value)
    if not isinstance(type_, Array):
        return numpy_dtype.type(C_TYPE[dtype].from_address(address).value)
    slots = (ctypes.c_int64 * (1 + type_.rank)).from_address(address)
    return adopt(slots[0], dtype, tuple(slots[1:]))

"""A compiled core function as a Python callable on the values of its parameters (the slots of backend/abi.py)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from iverson.backend import SYMBOL, Code, interrupt
from iverson.backend.abi import ERROR_SLOTS, INTERRUPTED, OK, RERUN, SLOT, param_offsets
from iverson.core.syntax import Array, DType, Scalar
from iverson.run.call import C_TYPE, KERNEL, adopt


class Kernel:
    """A compiled function, loaded.

    `params` are the types of its parameters; `committed` maps outs to the donated parameters whose memory holds them
    after a call (they aren't returned); `exact` makes the code with every check in place.
    """

    def __init__(
        self, code: Code, params: Sequence[Scalar | Array], committed: Mapping[int, int], exact: Callable[[], Code]
    ) -> None:
        self.code, self.params, self.committed = code, params, committed
        self._exact = exact
        self.library = code.load()
        self.address = self.library.address(SYMBOL)
        self._run = KERNEL(self.address)
        self._offsets = param_offsets(params)
        self.outs = [out for k, out in enumerate(code.outs) if k not in committed]

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Values of all parameters, sizes included, arrays of the right dtype; gives the outs that aren't committed."""
        args = (ctypes.c_int64 * max(self._offsets[-1], 1))()
        base = ctypes.addressof(args)
        for type_, at, value in zip(self.params, self._offsets, values, strict=False):
            if isinstance(type_, Array):
                args[at] = value.ctypes.data
                args[at + 1 : at + 1 + value.ndim] = value.strides
            else:
                C_TYPE[type_.dtype].from_address(base + at * SLOT).value = value
        slots = sum(1 + rank if rank else 1 for _, rank in self.outs)
        results = (ctypes.c_int64 * max(slots, 1))()
        error = (ctypes.c_int64 * ERROR_SLOTS)()
        status = self._run(base, ctypes.addressof(results), ctypes.addressof(error))
        if status == RERUN:
            return Kernel(self._exact(), self.params, self.committed, self._exact)(values)
        if status != OK:
            raise self.failure(status, ctypes.addressof(error))
        return list(_results(ctypes.addressof(results), self.outs))

    def failure(self, status: int, error: int) -> BaseException:
        """The exception of a failed call, whose details lie at the address `error`."""
        if status == INTERRUPTED:
            return interrupt.raised()
        site = self.code.sites[status - 1] if status > OK else None
        kinds = site.details if site else ()
        details = [C_TYPE[d].from_address(error + k * SLOT).value for k, d in enumerate(kinds)]
        return self.code.error(status, details)


def _results(address: int, outs: Sequence[tuple[DType, int]]) -> Iterator[Any]:
    """NumPy scalars, and arrays over the memory that the kernel allocated, which is freed with them."""
    for dtype, rank in outs:
        if rank:
            slots = (ctypes.c_int64 * (1 + rank)).from_address(address)
            yield adopt(slots[0], dtype, tuple(slots[1:]))
        else:
            yield np.dtype(dtype.value).type(C_TYPE[dtype].from_address(address).value)
        address += SLOT * (1 + rank if rank else 1)

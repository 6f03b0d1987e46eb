"""The calling convention: a compiled kernel as a Python callable.

    bind(signature, address, slow, failed, keep) -> callable

The callable takes positional arguments.  If each is what the signature says, the kernel runs on their data, with
nothing copied, and the results are made; otherwise `slow(*args, **kwargs)` has the call: it converts, respecialises or
raises.  Overlapping arrays of which one is written go there too, and so do the statuses that ask for another run.  For
any other failure `failed(status, address of the error slots)` must raise.

Calls go through the native wrapper of `wrapper.py`, a few tens of nanoseconds, where the layouts of CPython's and
NumPy's objects are found to be the expected ones; else through `PythonCall`, the same in Python.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import sysconfig
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from types import CellType
from typing import Any

import numpy as np

from iverson.backend import cpu, runtime
from iverson.backend.abi import (
    ERROR_SLOTS,
    GUARD,
    ITEM_SIZE,
    OK,
    RERUN,
    SLOT,
    Argument,
    ArrayArgument,
    ArrayResult,
    Between,
    Data,
    Extent,
    Layout,
    Result,
    ReturnedArgument,
    Same,
    ScalarArgument,
    ScalarResult,
    Signature,
    Slot,
    StaticArgument,
    Stride,
    Value,
    result_width,
)
from iverson.core.syntax import DType
from iverson.run import disk, wrapper

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # NumPy's array flags
C_TYPE: dict[DType, Any] = {
    DType.BOOL: ctypes.c_uint8,
    DType.I32: ctypes.c_int32,
    DType.I64: ctypes.c_int64,
    DType.F32: ctypes.c_float,
    DType.F64: ctypes.c_double,
}
KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
WEAK = {DType.F64: wrapper.FLOAT, DType.F32: wrapper.FLOAT32, DType.I64: wrapper.INT, DType.I32: wrapper.INT32}

Failed = Callable[[int, int], Any]

_free = ctypes.CDLL(None).free
_free.argtypes, _free.restype = [ctypes.c_void_p], None


def bind(signature: Signature, address: int, slow: Callable[..., Any], failed: Failed, keep: object = None) -> Any:
    """The kernel at `address` as a callable; `keep` lives as long as it does (the library, at least)."""
    if _fits(signature) and native_layouts():
        return _bind_native(signature, address, slow, failed, keep)
    return PythonCall(signature, address, slow, failed, keep)


# --- in Python --------------------------------------------------------------------------------------------------------


class PythonCall:
    """The calling convention, plainly: the fallback, and what the native wrapper is tested against."""

    def __init__(
        self, signature: Signature, address: int, slow: Callable[..., Any], failed: Failed, keep: object = None
    ) -> None:
        self.signature, self.slow, self.failed, self.keep = signature, slow, failed, keep
        self.kernel = KERNEL(address)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        signature = self.signature
        given, args = args, args + signature.fixed
        if kwargs or not fits(signature, args):
            return self.slow(*given, **kwargs)
        slots = (ctypes.c_int64 * max(len(signature.slots), 1))()
        for k, slot in enumerate(signature.slots):
            _fill(ctypes.addressof(slots) + SLOT * k, slot, args, signature.arguments)
        results = (ctypes.c_int64 * max(signature.result_slots, 1))()
        error = (ctypes.c_int64 * ERROR_SLOTS)()
        status = self.kernel(slots, results, error)
        if status in (GUARD, RERUN):
            return self.slow(*given)
        if status != OK:
            return self.failed(status, ctypes.addressof(error))
        return self._results(ctypes.addressof(results), args)

    def _results(self, address: int, args: Sequence[Any]) -> Any:
        made = []
        for result in self.signature.results:
            made.append(_result(result, address, args))
            address += SLOT * result_width(result)
        if self.signature.single:
            return made[0]
        return tuple(made) if made else None


def fits(signature: Signature, args: Sequence[Any]) -> bool:
    """May the kernel run on these arguments as they are?"""
    arguments = signature.arguments
    if len(args) != len(arguments) or not all(map(_is, args, arguments)):
        return False
    for guard in signature.guards:
        match guard:
            case Between(Extent(arg, axis), low, high):
                if not low <= args[arg].shape[axis] <= high:
                    return False
            case Same(Extent(left, i), Extent(right, j)):
                if args[left].shape[i] != args[right].shape[j]:
                    return False
    return not any(np.may_share_memory(args[i], args[j]) for i, j in _apart(signature))


def _is(value: Any, argument: Argument) -> bool:
    match argument:
        case StaticArgument(wanted):
            return value is wanted
        case ScalarArgument(DType.I64, True):
            return type(value) is int and -(2**63) <= value < 2**63
        case ScalarArgument(DType.I32, True):
            return type(value) is int and -(2**31) <= value < 2**31
        case ScalarArgument(_, True):
            return type(value) is float
        case ScalarArgument(dtype, False):
            return type(value) is np.dtype(dtype.value).type
        case ArrayArgument(dtype, rank, layout, written):
            return (
                type(value) is np.ndarray
                and value.dtype is np.dtype(dtype.value)
                and value.ndim == rank
                and value.flags.aligned
                and (value.flags.c_contiguous or layout is Layout.ANY)
                and (value.flags.writeable or not written)
            )
    return False


def _apart(signature: Signature) -> list[tuple[int, int]]:
    """The pairs of arrays that may not overlap: those of which one is written."""
    arrays = [(k, a.written) for k, a in enumerate(signature.arguments) if isinstance(a, ArrayArgument)]
    return [(i, j) for n, (i, wi) in enumerate(arrays) for j, wj in arrays[n + 1 :] if wi or wj]


def _fill(address: int, slot: Slot, args: Sequence[Any], arguments: Sequence[Argument]) -> None:
    match slot:
        case Value(arg):
            argument = arguments[arg]
            assert isinstance(argument, ScalarArgument)
            C_TYPE[argument.dtype].from_address(address).value = np.asarray(args[arg]).item()
            return
        case Data(arg):
            word = args[arg].ctypes.data
        case Extent(arg, axis):
            word = args[arg].shape[axis]
        case Stride(arg, axis):
            word = args[arg].strides[axis]
    ctypes.c_int64.from_address(address).value = word


def _result(result: Result, address: int, args: Sequence[Any]) -> Any:
    match result:
        case ReturnedArgument(arg):
            return args[arg]
        case ScalarResult(dtype):
            return np.dtype(dtype.value).type(C_TYPE[dtype].from_address(address).value)
        case ArrayResult(dtype, rank):
            slots = (ctypes.c_int64 * (1 + rank)).from_address(address)
            return adopt(slots[0], dtype, tuple(slots[1:]))


def adopt(address: int, dtype: DType, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """An array over memory that a kernel allocated, which is freed with the array."""
    size = int(np.prod(shape, dtype=np.int64)) * ITEM_SIZE[dtype]
    if size == 0:
        _free(address)
        return np.empty(shape, dtype.value)
    memory: Any = (ctypes.c_char * size).from_address(address)
    weakref.finalize(memory, _free, address).atexit = False
    return np.frombuffer(memory, dtype.value).reshape(shape)


# --- natively ---------------------------------------------------------------------------------------------------------


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


METH_FASTCALL, METH_KEYWORDS = 0x80, 0x2


def _parts(signature: Signature) -> list[int]:
    """Where the parts of each argument begin, and at the end their number; see `wrapper.py` for what they are."""
    starts = [0]
    for a in signature.arguments:
        starts.append(starts[-1] + (3 + 2 * a.rank if isinstance(a, ArrayArgument) else 1))
    return starts


def _fits(signature: Signature) -> bool:
    """Is the wrapper's stack large enough?"""
    words = max(_parts(signature)[-1], len(signature.slots), signature.result_slots)
    return words <= wrapper.WORDS


def _record(argument: Argument, bounds: Sequence[tuple[int, int]]) -> list[int]:
    match argument:
        case StaticArgument(value):
            return [wrapper.STATIC, id(value), 0, 0, 0, 0]
        case ScalarArgument(dtype, weak):
            kind = WEAK[dtype] if weak else wrapper.NUMPY
            weak_type = float if dtype.is_float else int
            type_ = weak_type if weak else np.dtype(dtype.value).type
            return [kind, id(type_), 0, ITEM_SIZE[dtype], 0, 0]
        case ArrayArgument(dtype, rank, layout, written):
            mask = ALIGNED | (WRITEABLE if written else 0) | (C_CONTIGUOUS if layout is Layout.C else 0)
            head = [wrapper.ARRAY, id(np.ndarray), id(np.dtype(dtype.value)), rank, mask, ITEM_SIZE[dtype]]
            return [*head, *(word for pair in bounds for word in pair)]


def _bounds(signature: Signature) -> dict[Extent, tuple[int, int]]:
    """Per axis the least and the greatest length that all guards allow."""
    found: dict[Extent, tuple[int, int]] = {}
    for guard in signature.guards:
        if isinstance(guard, Between):
            low, high = found.get(guard.extent, (0, 2**62))
            found[guard.extent] = max(low, guard.low), min(high, guard.high)
    return found


def _table(signature: Signature, address: int) -> bytes:
    starts = _parts(signature)

    def part(slot: Slot) -> int:
        match slot:
            case Value(arg) | Data(arg):
                return starts[arg]
            case Extent(arg, axis):
                return starts[arg] + 1 + axis
            case Stride(arg, axis):
                argument = signature.arguments[arg]
                assert isinstance(argument, ArrayArgument)
                return starts[arg] + 1 + argument.rank + axis

    bounds = _bounds(signature)
    records: list[int] = []
    for k, argument in enumerate(signature.arguments):
        rank = argument.rank if isinstance(argument, ArrayArgument) else 0
        records += _record(argument, [bounds.get(Extent(k, axis), (0, 2**62)) for axis in range(rank)])
    gather = [part(s) for s in signature.slots]
    equal = [part(e) for g in signature.guards if isinstance(g, Same) for e in (g.left, g.right)]
    apart = [starts[k + 1] - 2 for pair in _apart(signature) for k in pair]
    results = [word for record in _result_records(signature) for word in record]
    at, offsets = wrapper.HEAD + len(records), []
    sections = gather, equal, apart, results, [id(x) for x in signature.fixed]
    for section in sections:
        offsets += [at, len(section)]
        at += len(section)
    offsets[7] = len(signature.results)
    head = [address, len(signature.arguments) - len(signature.fixed), *offsets]
    head += [int(signature.single), int(signature.release_gil), id(np.ndarray)]
    assert len(head) == wrapper.HEAD
    return np.array([*head, *records, *chain(*sections)], np.uint64).tobytes()


def _result_records(signature: Signature) -> list[list[int]]:
    records, slot = [], 0
    for result in signature.results:
        match result:
            case ArrayResult(dtype, rank):
                records.append([wrapper.ARRAY_RESULT, id(np.dtype(dtype.value)), slot, rank])
            case ScalarResult(dtype):
                records.append([wrapper.SCALAR_RESULT, id(np.dtype(dtype.value)), slot, 0])
            case ReturnedArgument(arg):
                records.append([wrapper.ARGUMENT_RESULT, 0, arg, 0])
        slot += result_width(result)
    return records


@cache
def _method() -> tuple[_MethodDef, cpu.Library]:
    """The wrapper, compiled (or found on disk) and loaded once for all signatures."""
    text = wrapper.module()
    name = disk.key("call wrapper", text)
    image = disk.get(name)
    if image is None:
        image = cpu.compile(text, level=2)
        disk.put(name, image)
    symbols = {s: ctypes.cast(getattr(ctypes.pythonapi, s), ctypes.c_void_p).value or 0 for s in wrapper.SYMBOLS}
    api = _numpy_api()
    numpy = {"iv_new_array": api[94], "iv_new_scalar": api[60], "iv_set_base": api[282]}
    library = cpu.load(image, ["iv_call", "iv_enter", "iv_give_back"], {**runtime.symbols(), **symbols, **numpy})
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))  # arrays that it gives may outlive all else
    flags = METH_FASTCALL | METH_KEYWORDS
    return _MethodDef(b"compiled", library.address("iv_call"), flags, None), library


def entry_address() -> int:
    """Where CPython's calls of an `entry.Entry` go."""
    return _method()[1].address("iv_enter")


def _numpy_api() -> Any:
    """NumPy's table of C functions; 60 is PyArray_Scalar, 94 PyArray_NewFromDescr, 282 PyArray_SetBaseObject."""
    module = importlib.import_module("numpy._core._multiarray_umath")
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.cast(pointer(module._ARRAY_API, None), ctypes.POINTER(ctypes.c_size_t))


def _bind_native(signature: Signature, address: int, slow: Callable[..., Any], failed: Failed, keep: object) -> Any:
    method, library = _method()
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype, create.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    statics = [a.value for a in signature.arguments if isinstance(a, StaticArgument)]
    # CPython lets a function's self own its definition
    self = (_table(signature, address), slow, failed, keep, statics, signature.fixed, method, library)
    return create(ctypes.addressof(method), self, None)


# --- is the native wrapper safe here? ---------------------------------------------------------------------------------


@cache
def native_layouts() -> bool:
    """Do the objects of this Python and NumPy look as the wrapper takes them to?  Read, never written, to find out."""
    unusual = any(map(sysconfig.get_config_var, ("Py_GIL_DISABLED", "Py_TRACE_REFS")))
    if sys.implementation.name != "cpython" or unusual:
        return False
    if ctypes.sizeof(ctypes.c_void_p) != 8 or ctypes.sizeof(ctypes.c_long) != 8 or sys.byteorder != "little":
        return False
    return _scalars_as_expected() and _arrays_as_expected()


def _field(value: object, offset: int, type_: Any) -> Any:
    return type_.from_address(id(value) + offset).value


def _scalars_as_expected() -> bool:
    payload = b"iverson!"
    (word,) = np.frombuffer(payload, np.int64)
    pair = (payload, word)
    number, ints = 2.718281828459045, [np.int64(-7), np.int32(-7), np.bool_(True)]
    kinds = [ctypes.c_int64, ctypes.c_int32, ctypes.c_uint8]
    return (
        _field(number, wrapper.TYPE, ctypes.c_size_t) == id(float)
        and _field(number, wrapper.VALUE, ctypes.c_double) == number
        and _field(np.float64(number), wrapper.VALUE, ctypes.c_double) == number
        and _field(np.float32(0.5), wrapper.VALUE, ctypes.c_float) == 0.5
        and all(_field(n, wrapper.VALUE, kind) == n for n, kind in zip(ints, kinds, strict=True))
        and _field(payload, wrapper.BYTES, ctypes.c_int64) == word
        and _field(pair, wrapper.ITEMS + 8, ctypes.c_size_t) == id(word)
        and _field([0] * 7, wrapper.LENGTH, ctypes.c_ssize_t) == 7
        and _field(CellType(word), wrapper.CONTENTS, ctypes.c_size_t) == id(word)
        and _field(CellType(), wrapper.CONTENTS, ctypes.c_size_t) == 0
    )


def _arrays_as_expected() -> bool:
    base = np.zeros((4, 6, 5))
    for array in (base, base[::2, 1:, ::-1], base.T, np.zeros((3, 0), np.float32)):
        rank = array.ndim
        flags = _field(array, wrapper.FLAGS, ctypes.c_int)
        extents = (ctypes.c_int64 * rank).from_address(_field(array, wrapper.EXTENTS, ctypes.c_size_t))
        strides = (ctypes.c_int64 * rank).from_address(_field(array, wrapper.STRIDES, ctypes.c_size_t))
        owns = bool(flags & wrapper.OWNS_DATA), bool(flags & C_CONTIGUOUS), bool(flags & WRITEABLE)
        if (
            _field(array, wrapper.RANK, ctypes.c_int) != rank
            or _field(array, wrapper.DATA, ctypes.c_size_t) != array.ctypes.data
            or _field(array, wrapper.DESCR, ctypes.c_size_t) != id(np.dtype(array.dtype.name))
            or (tuple(extents), tuple(strides)) != (array.shape, array.strides)
            or owns != (array.flags.owndata, array.flags.c_contiguous, array.flags.writeable)
        ):
            return False
    return True

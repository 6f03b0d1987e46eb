"""What is called when a compiled function is called: a type whose instances CPython calls natively.

    class Jit(Entry):  self.enter(*args, **kwargs)      the call, in Python
                       self.straight(target, watch)     from now on the native callable `target`, as long as nothing
                                                        that `watch` watches has changed
                       self.roundabout()                no longer

`iv_enter` compares what the globals and cells of `watch` hold, item by item, with what they held, a nanosecond or a few
each, sees that nothing is being staged in any thread, and goes on to `iv_call` (wrapper.py) with the target's table.
Where a comparison fails it calls `enter`, and so it does always if there is anything else to watch (lists, dicts and
sets that a function finds around it), or a target that isn't native.

An instance has two words behind its head: the address of `iv_enter`, where CPython looks for it (`Entry` is made with
`__vectorcalloffset__`, PEP 590), and `_state`, the tuple (guard, target's self, enter, what they borrow).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any

from iverson.lang import staging
from iverson.run import call, wrapper
from iverson.run.watch import ABSENT, Watch

CALL, STATE = 16, wrapper.STATE  # offsets of an instance's words
_TP_CALL, _TP_MEMBERS = 50, 72
_BASE_TYPE, _VECTORCALL = 1 << 10, 1 << 11
_SIZE_MEMBER, _READ_ONLY = 19, 1


class _Member(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("value", ctypes.c_void_p))


class _Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basic_size", ctypes.c_int),
        ("item_size", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


def _native_base() -> type:
    """A type of objects of three words, the last of which is the address of what a call calls."""
    members = (_Member * 2)(_Member(b"__vectorcalloffset__", _SIZE_MEMBER, CALL, _READ_ONLY, None))
    vectorcall = ctypes.cast(ctypes.pythonapi.PyVectorcall_Call, ctypes.c_void_p).value
    slots = (_Slot * 3)(_Slot(_TP_CALL, vectorcall), _Slot(_TP_MEMBERS, ctypes.addressof(members)))
    spec = _Spec(b"iverson.run.entry._Base", STATE, 0, _BASE_TYPE | _VECTORCALL, slots)
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, [ctypes.POINTER(_Spec)]
    return make(ctypes.byref(spec))  # type: ignore[no-any-return]


class _Plain:
    """The same in Python, where the layouts of objects aren't the expected ones."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.enter(*args, **kwargs)  # type: ignore[attr-defined]


_NATIVE = call.native_layouts()
_Base: Any = _native_base() if _NATIVE else _Plain


class Entry(_Base):  # type: ignore[misc]
    """A callable; see above."""

    __slots__ = ("__dict__", "__weakref__", "_state")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self.roundabout()
        if _NATIVE:
            ctypes.c_size_t.from_address(id(self) + CALL).value = call.entry_address()
        return self

    def enter(self, *args: Any, **kwargs: Any) -> Any:
        """A call that Python decides on."""
        raise NotImplementedError

    def roundabout(self) -> None:
        """Calls go to `enter`."""
        self._state: tuple[Any, ...] = (b"", None, self.enter, None)

    def straight(self, target: Callable[..., Any], watch: Watch | None = None) -> None:
        """Calls go to a native function, if that can be, while nothing has changed."""
        guard = _guard(watch)
        if guard is None or not isinstance(target, BuiltinFunctionType) or not _NATIVE:
            self.roundabout()
        else:
            self._state = guard, target.__self__, self.enter, (target, watch)


def _guard(watch: Watch | None) -> bytes | None:
    """What `iv_enter` compares, as words; None if it is more than that can."""
    names, cells = ([], []) if watch is None else (watch.globals, watch.cells)
    if watch is not None and (watch.lists or watch.dicts or watch.sets):
        return None
    words = [id(staging.OPEN), len(names), len(cells)]
    for where, name, value in names:
        words += [id(where), id(name), id(value)]
    for cell, value in cells:
        words += [id(cell), 0 if value is ABSENT else id(value)]
    return b"".join(word.to_bytes(8, "little") for word in words)

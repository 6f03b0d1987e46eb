"""Calls in staged programs: by the table, by staging the callee's source, or by just calling it."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

from iverson.lang import source
from iverson.lang.errors import LIBRARIES, StagingError, error, site
from iverson.lang.num import Num, python_kind
from iverson.lang.staging import current
from iverson.lang.table import lookup
from iverson.lang.values import Arr, captured

_DEEPEST = 100
_STAGED_HERE = (
    "iverson.lang.functional",
    "iverson.lang.algebra",
    "iverson.lang.iterative",
    "iverson.run.colouring",
    "iverson.run.pattern",
)


def load(value: Any) -> Any:
    """A value from outside of the function, or an attribute: NumPy arrays become inputs of the program."""
    return captured(value) if isinstance(value, np.ndarray) else value


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """function(*args, **kwargs), staged."""
    found = lookup(function)
    if found is not None:
        if isinstance(function, np.ufunc) and _plain(args) and not kwargs:
            return function(*args)
        return load(found(*args, **kwargs))
    stage = getattr(type(function), "__iverson_stage__", None)
    if stage is not None:
        return stage(function, args, kwargs)
    if isinstance(function, FunctionType):
        return _function(function, args, kwargs)
    if isinstance(function, MethodType):
        return call(function.__func__, function.__self__, *args, **kwargs)
    if isinstance(function, functools.partial):
        return call(function.func, *function.args, *args, **{**function.keywords, **kwargs})
    if isinstance(function, functools._lru_cache_wrapper):
        return call(function.__wrapped__, *args, **kwargs)  # numbers of the program can't be keys
    if isinstance(function, type):
        return _construct(function, args, kwargs)
    if isinstance(getattr(function, "__self__", None), list):
        current().lists[id(function.__self__)] = site()  # for the error, if its length may not change here
    own = inspect.getattr_static(type(function), "__call__", None)
    if isinstance(own, FunctionType) and not isinstance(function, Arr | Num):
        return call(own, function, *args, **kwargs)
    return load(_opaque(function, args, kwargs))


def _plain(args: tuple[Any, ...]) -> bool:
    return all(python_kind(a) is not None for a in args)


def _function(function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A Python function: staged if it is the user's."""
    module = (function.__module__ or "").split(".")[0]
    if module in LIBRARIES and function.__module__ not in _STAGED_HERE and not source.is_ready(function):
        return load(_opaque(function, args, kwargs))
    try:
        ready = source.staged(function)
    except source.NoSource:
        return load(function(*args, **kwargs))
    state = current()
    frame = sys._getframe(2)
    state.calls.append((frame.f_code, frame.f_lineno, function.__code__))
    try:
        if len(state.calls) > _DEEPEST:
            raise error(
                RecursionError,
                f"{function.__name__}: calls are more than {_DEEPEST} deep while it is staged: recursion must end at "
                "staging time, by a condition that is known then",
            )
        return ready(*args, **kwargs)
    finally:
        state.calls.pop()


def _construct(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An object: its __init__ is staged if the user wrote it."""
    init = cls.__dict__.get("__init__")
    module = cls.__module__.split(".")[0]
    user = isinstance(init, FunctionType) and module not in LIBRARIES and cls.__new__ is object.__new__
    if not user or type(cls) is not type or init.__code__.co_filename.startswith("<"):  # type: ignore[union-attr]
        return _opaque(cls, args, kwargs)
    made = object.__new__(cls)
    call(init, made, *args, **kwargs)
    return made


def _opaque(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Something that can only be called; what it does with staged values decides."""
    try:
        return function(*args, **kwargs)
    except Exception as e:
        if isinstance(e, StagingError) or not isinstance(function, BuiltinFunctionType | type):
            e.add_note(_instead(function))
        raise


# what there is for a library that isn't staged
_INSTEAD = {
    "scipy.optimize": "iv.minimize, iv.root and iv.fixed_point are; or call it outside, with iv.grad(f)",
    "scipy.integrate": "a loop over the steps is",
    "scipy.stats": "log-densities of NumPy and scipy.special (ndtr, log_ndtr, gammaln, betaln, xlogy, ...) are",
    "scipy.spatial": "distances by broadcasting or loops are",
    "scipy.ndimage": "slices and loops over the elements are, and scipy.signal.convolve",
    "scipy.interpolate": "np.interp and np.searchsorted are",
    "scipy.sparse": "loops over its arrays data, indices and indptr are, and iv.segment_sum",
}


def _instead(function: Callable[..., Any]) -> str:
    """That a function isn't staged, and what is."""
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or getattr(type(owner), "__module__", "")
    name = getattr(function, "__qualname__", repr(function))
    hint = next((f": {text}" for prefix, text in _INSTEAD.items() if module.startswith(prefix)), "")
    return f"in {name}{f' of {module}' * bool(module)}, which isn't staged{hint}"

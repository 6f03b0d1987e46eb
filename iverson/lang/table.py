"""The names that staged programs know: which of our functions stands for which of NumPy's, math's or Python's.

    @implements(np.sum, method="sum")         a function object, and the array method of that name
    @implements(np.linalg.det)

Implementations take the arguments that the original takes, with staged values anywhere, and give staged values.
`lang/numpy_*.py` and `lang/builtin.py` fill the table; `load()` imports them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from iverson.lang.errors import error

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}
UFUNC_METHODS: dict[str, Callable[..., Any]] = {}  # how -> implementation(ufunc, *inputs, **kwargs); "__call__" too

_MODULES = (
    "builtin",
    "numpy_ufuncs",
    "numpy_reductions",
    "numpy_creation",
    "numpy_shapes",
    "numpy_joins",
    "numpy_searching",
    "numpy_sorting",
    "numpy_sequences",
    "numpy_linalg",
    "numpy_solvers",
    "numpy_decompositions",
    "scipy_linalg",
    "numpy_fft",
    "numpy_refused",
    "scipy_special",
    "mathtable",
    "operators",
    "raising",
    "random",
    "sketching",
)


# modules that stand for packages which take long to import: filled in when the program has imported those
_waiting = {"scipy_signal": "scipy.signal"}


def load() -> None:
    """Fill the table."""
    _load_all()
    for name in [n for n, package in _waiting.items() if package in sys.modules]:
        del _waiting[name]
        importlib.import_module(f"iverson.lang.{name}")


@cache
def _load_all() -> None:
    for name in _MODULES:
        if importlib.util.find_spec(f"iverson.lang.{name}"):
            importlib.import_module(f"iverson.lang.{name}")


def implements(*functions: Any, method: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table."""

    def enter(implementation: Callable[..., Any]) -> Callable[..., Any]:
        for f in functions:
            FUNCTIONS[f] = implementation
        if method:
            METHODS[method] = implementation
        return implementation

    return enter


def lookup(function: Any) -> Callable[..., Any] | None:
    """What stands for a function in a staged program, if the table has it."""
    load()
    try:
        found = FUNCTIONS.get(function)
    except TypeError:  # an unhashable callable
        return None
    if found is None and isinstance(function, np.ufunc):
        return partial(apply_ufunc_call, function)
    return found or _refusal(function)


def _refusal(function: Any) -> Callable[..., Any] | None:
    from iverson.lang.numpy_refused import stateful

    return stateful(function)


def method(value: Any, name: str) -> Any:
    """A method of an array or a scalar, bound."""
    load()
    if name.startswith("__") or name not in METHODS:
        raise error(AttributeError, f"{type(value).__name__} of a staged program has no attribute {name!r}")
    return partial(METHODS[name], value)


def apply_ufunc_call(function: np.ufunc, *inputs: Any, **kwargs: Any) -> Any:
    return apply_ufunc(function, "__call__", inputs, kwargs)


def apply_ufunc(function: np.ufunc, how: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's __array_ufunc__ protocol."""
    load()
    if how not in UFUNC_METHODS:
        raise error(NotImplementedError, f"np.{function.__name__}.{how} is not available in staged programs")
    return UFUNC_METHODS[how](function, *inputs, **kwargs)


def apply_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's __array_function__ protocol."""
    found = lookup(function)
    if found is None:
        name = f"{getattr(function, '__module__', 'numpy')}.{getattr(function, '__name__', function)}"
        raise error(NotImplementedError, f"{name} is not available in staged programs")
    return found(*args, **kwargs)

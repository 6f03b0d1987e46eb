"""Arguments as NumPy has them, and results as other libraries do: torch's, JAX's, any that speaks DLPack.

No library is imported here: an argument says which one it is from.  Nothing is copied where both sides allow that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from iverson.lang import state

_CANNOT = (TypeError, ValueError, RuntimeError, BufferError)


def library(leaves: Sequence[Any]) -> Any:
    """The namespace of the first array that is another library's (it has `from_dlpack`); None if all are NumPy's."""
    for x in leaves:
        kind = type(x)
        if hasattr(kind, "__dlpack__") and not issubclass(kind, np.ndarray):
            own = getattr(x, "__array_namespace__", None)
            found = own() if own else sys.modules.get(kind.__module__.split(".")[0])
            if hasattr(found, "from_dlpack"):
                return found
    return None


def as_numpy(x: Any) -> np.ndarray[Any, Any]:
    """An array of whatever kind as NumPy's, its memory shared where that can be."""
    try:
        return np.asarray(x) if hasattr(x, "__array__") else np.from_dlpack(x)
    except _CANNOT as e:
        raise TypeError(f"an argument, a {type(x).__qualname__}, can't be taken as a NumPy array: {e}") from e


def plain(x: Any) -> Any:
    """A leaf as a NumPy array or scalar, a Python number, or something static."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("masked arrays aren't supported: pass the data and the mask as two arrays")
    if isinstance(x, np.matrix):
        raise TypeError("np.matrix isn't supported, its operators have another meaning: pass np.asarray(x)")
    if isinstance(x, np.ndarray):
        x = np.asarray(x)  # of subclasses, the array itself
        return x if x.ndim or x.flags.writeable else x[()]
    if (hasattr(x, "__array__") or hasattr(x, "__dlpack__")) and not isinstance(x, np.generic | type):
        return plain(as_numpy(x))
    return x


def as_theirs(x: Any, theirs: Any) -> Any:
    """A NumPy array or scalar as an array of another library."""
    array = np.asarray(x)
    try:
        return theirs.from_dlpack(array)
    except _CANNOT:
        return theirs.asarray(array)


def returned(result: Any, given: Sequence[Any], leaves: Sequence[Any], theirs: Any) -> Any:
    """A result with its arrays and numbers as those of another library; arguments (`leaves`, in NumPy) as given."""
    arguments = {id(y): x for x, y in zip(given, leaves, strict=True)}
    values, spec = state.flatten(result)
    return state.unflatten(spec, [_returned(x, arguments, theirs) for x in values])


def _returned(x: Any, arguments: dict[int, Any], theirs: Any) -> Any:
    if id(x) in arguments:
        return arguments[id(x)]
    return as_theirs(x, theirs) if isinstance(x, np.ndarray | np.generic) else x


def copies(tree: Any) -> Any:
    """The tree with its arrays copied."""
    leaves, spec = state.flatten(tree)
    return state.unflatten(spec, list(map(_copy, leaves)))


def _copy(x: Any) -> Any:
    """An array of its own library with the same contents; what is no array itself."""
    if isinstance(x, np.ndarray):
        return x.copy()
    theirs = library([x])
    return x if theirs is None else as_theirs(as_numpy(x).copy(), theirs)

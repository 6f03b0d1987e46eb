"""Ahead of time: `iv.jit(f).compile(iv.spec(...), ...)` compiles before there are arguments."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import numpy as np

from iverson.lang import state
from iverson.lang.assumptions import Terms, fitting
from iverson.lang.dtypes import python_kind, supported
from iverson.lang.stage import SMALL, AbstractArray, AbstractScalar
from iverson.lang.staging import active
from iverson.run import foreign
from iverson.run.entry import Entry
from iverson.run.program import Program

if TYPE_CHECKING:
    from iverson.run.jit import Jit

_PYTHON = (int, float, complex)


def spec(dtype: Any, shape: int | Sequence[int | str | None] | None = None) -> AbstractArray | AbstractScalar:
    """What is known of an argument that isn't there yet; see `iv.jit(f).compile`.

    With a shape an array, contiguous or not.  A length is a number, which becomes part of the type; None, any length
    above 4 (shorter ones are part of the type, and must be stated); or a name: equal names are equal lengths above 4.
    Without a shape a number: Python's for `int`, `float` and `complex`, else NumPy's.

    Raises TypeError for a dtype that programs don't have, ValueError for a negative length.

    >>> iv.spec(np.float64, (None, 3))
    float64[_, 3]
    """
    kind = supported(np.dtype(dtype))
    if shape is None:
        if dtype is bool:
            raise TypeError("a Python bool is a constant of the program: pass True or False itself")
        return AbstractScalar(kind, dtype in _PYTHON)
    lengths = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else (shape,)
    return AbstractArray(kind, tuple(map(_length, lengths)))


def _length(n: Any) -> int | str | None:
    if n is None or isinstance(n, str):
        return n
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"a length is a number, a name or None, not {n!r}")
    if n.__index__() < 0:
        raise ValueError("negative lengths are not allowed")
    return n.__index__()  # type: ignore[no-any-return]


class Compiled(Entry):
    """A function compiled for arguments of certain types.  Other arguments are a TypeError; nothing is compiled anew,
    but where a length that the program computes decides by being 1 (see lang/assumptions.py)."""

    def __init__(self, jit: Jit, leaves: Sequence[Any], tree: Any) -> None:
        self._jit, self._leaves, self._tree = jit, leaves, tree
        self._programs: dict[Terms, Program] = {}
        self._last = self._dispatch
        update_wrapper(self, jit, updated=())
        self._program(frozenset()).native(leaves)

    def enter(self, *args: Any, **kwargs: Any) -> Any:
        if active():
            return self._jit.__iverson_stage__(args, kwargs)
        return self._last(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self.__name__} compiled for {', '.join(map(repr, self._leaves))}>"  # type: ignore[attr-defined]

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._jit.__iverson_stage__(args, kwargs)

    def _program(self, ones: Terms) -> Program:
        if ones not in self._programs:
            staged = self._jit.contained(state.unflatten(self._tree, self._leaves), ones)
            self._programs[ones] = Program(staged, self._leaves, self._jit.options)
        return self._programs[ones]

    def _dispatch(self, *args: Any, **kwargs: Any) -> Any:
        given, tree = state.flatten((args, kwargs))
        if tree != self._tree:
            raise TypeError(f"this program was compiled for other arguments: their structure was {self._tree}")
        if self._orders(tree) != self._orders(self._tree):
            raise TypeError(
                "this program was compiled for dicts with their keys in another order, on which a program may depend: "
                "give them in the order of what was given to compile"
            )
        leaves = [foreign.plain(x) for x in given]
        self._require(leaves)
        program = fitting(self._program, leaves)
        result = program.run(leaves)
        self._last = program.direct(self._tree, self._dispatch) or self._dispatch
        self.straight(self._last)
        theirs = foreign.library(given)
        return result if theirs is None else foreign.returned(result, given, leaves, theirs)

    def _orders(self, tree: Any) -> tuple[Any, ...]:
        """The orders of keys; of named arguments only if the function takes any that there are."""
        orders = state.orders(tree)
        try:
            kinds = [p.kind for p in inspect.signature(self._jit.f).parameters.values()]
        except ValueError:  # a function without a signature
            return orders
        return orders if inspect.Parameter.VAR_KEYWORD in kinds else orders[:-1]

    def _require(self, leaves: Sequence[Any]) -> None:
        """Raise unless the arguments are what the program was compiled for."""
        named: dict[str, int] = {}
        for k, (wanted, x) in enumerate(zip(self._leaves, leaves, strict=True)):
            if not _fits(wanted, x, named):
                raise TypeError(f"argument {k} is {_word(x)}, but this program was compiled for {wanted!r}")


def _fits(wanted: Any, x: Any, named: dict[str, int]) -> bool:
    if isinstance(wanted, AbstractArray):
        if not isinstance(x, np.ndarray) or x.ndim != len(wanted.shape):
            return False
        lengths = zip(wanted.shape, x.shape, strict=True)
        return x.dtype.newbyteorder("=") == wanted.dtype and all(_is_length(m, n, named) for m, n in lengths)
    if isinstance(wanted, AbstractScalar):
        kind = None if isinstance(x, bool) else python_kind(x)
        return kind is not None and (kind.dtype, kind.weak) == (wanted.dtype, wanted.weak)
    return x is wanted or (type(x) is type(wanted) and bool(x == wanted))


def _is_length(wanted: int | str | None, n: int, named: dict[str, int]) -> bool:
    if isinstance(wanted, str):
        return n > SMALL and named.setdefault(wanted, n) == n
    return n > SMALL if wanted is None else n == wanted


def _word(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return repr(AbstractArray(x.dtype, x.shape))
    return f"{x!r}, a {type(x).__name__}"

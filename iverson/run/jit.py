"""`iv.jit`: calls of Python functions as calls of compiled programs.

A call's arguments are flattened to leaves; what staging needs to know of them (dtype, rank, small lengths, layout) is
the key of a compiled program.  The last program used is tried first, by the compiled calling convention, which checks
that the arguments fit; only a misfit comes here.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import update_wrapper
from typing import Any

import numpy as np

from iverson.lang import state
from iverson.lang.assumptions import Terms, fitting
from iverson.lang.calls import call
from iverson.lang.dtypes import python_kind
from iverson.lang.stage import SMALL, AbstractArray, AbstractScalar, Staged, abstract_leaf, stage
from iverson.lang.staging import active
from iverson.run import foreign
from iverson.run.ahead import Compiled
from iverson.run.derive import expand
from iverson.run.entry import Entry
from iverson.run.program import Program
from iverson.run.watch import Watch

_DEEP = 10_000  # Python frames while a function is staged


class Jit(Entry):
    """A compiled function; see `jit`."""

    def __init__(
        self,
        f: Callable[..., Any],
        *,
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
        static_shapes: bool = False,
        reassociate: bool = True,
        level: int | None = None,
        threads: bool = True,
    ) -> None:
        if not callable(f):
            raise TypeError(f"iv.jit takes a function, not {type(f).__name__}")
        self.f = f
        self.static_argnames = {static_argnames} if isinstance(static_argnames, str) else set(static_argnames)
        self.static_argnums = {static_argnums} if isinstance(static_argnums, int) else set(static_argnums)
        self._require_names()
        self.static_shapes = static_shapes
        level = _default_level() if level is None else level
        self.options = {"reassociate": reassociate, "level": level, "threaded": threads}
        self.programs: dict[Hashable, Program] = {}
        self._last: Callable[..., Any] = self._dispatch
        self._watch: Watch | None = None
        update_wrapper(self, f, updated=())

    def enter(self, *args: Any, **kwargs: Any) -> Any:
        if active():
            return self.__iverson_stage__(args, kwargs)
        if self._watch is None or self._watch.changed():
            self._look()
        return self._last(*args, **kwargs)

    def _look(self) -> None:
        """Watch what there is now around the function; what was compiled is for what there was."""
        self._watch = Watch(self.__wrapped__)
        self.programs.clear()
        self._last = self._dispatch
        self.roundabout()

    def compile(self, *args: Any, **kwargs: Any) -> Compiled:
        """Compile now, for arguments that are given by `iv.spec`; constants and static arguments by their values.

        What it gives takes such arguments and nothing else, and runs at the first call as fast as at any other.  It
        is for what its globals and closure hold now: numbers and functions that it finds there stay what they are.
        Dicts have their keys in the order that was given here.

        >>> step = iv.jit(f).compile(iv.spec(np.float64, (None, 3)), iv.spec(float))
        >>> step(np.ones((100, 3)), 0.5)
        """
        self._look()
        leaves, tree = state.flatten((args, kwargs))
        static = self._static_leaves(args, kwargs)
        return Compiled(
            self, [x if k in static else abstract_leaf(foreign.plain(x)) for k, x in enumerate(leaves)], tree
        )

    def __reduce__(self) -> Any:
        """Pickled and copied as functions are, by their name."""
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<compiled {getattr(self, '__qualname__', 'function')}>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound, as functions are."""
        return self if instance is None else _Bound(self, instance)

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Staged into the program that calls it."""
        return call(self.f, *args, **kwargs)

    # --- dispatch -----------------------------------------------------------------------------------------------------

    def _dispatch(self, *args: Any, **kwargs: Any) -> Any:
        """Find or make the program for these arguments, and run it."""
        program, leaves = self.program(args, kwargs)
        result = program.run(leaves)
        given, tree = state.flatten((args, kwargs))
        self._last = program.direct(tree, self._dispatch) or self._dispatch
        self.straight(self._last, self._watch)
        theirs = foreign.library(given)
        return result if theirs is None else foreign.returned(result, given, leaves, theirs)

    def program(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, list[Any]]:
        """The compiled program for these arguments, and their leaves."""
        leaves, spec = state.flatten((args, kwargs))
        static = self._static_leaves(args, kwargs)
        leaves = [x if k in static else foreign.plain(x) for k, x in enumerate(leaves)]
        key = (
            spec,
            state.orders(spec),
            *(("static", _hashable(x)) if k in static else self._key(x) for k, x in enumerate(leaves)),
        )

        def make(ones: Terms) -> Program:
            if (key, ones) not in self.programs:
                abstract = [x if k in static else abstract_leaf(x, self.static_shapes) for k, x in enumerate(leaves)]
                if self._watch is not None:
                    self._watch.add(*(x for x in abstract if not isinstance(x, AbstractArray | AbstractScalar)))
                staged = self.contained(state.unflatten(spec, abstract), ones)
                self.programs[key, ones] = Program(staged, abstract, self.options)
            return self.programs[key, ones]

        return fitting(make, leaves), leaves

    def staged(self, args: tuple[Any, ...], kwargs: dict[str, Any], expanded: bool = True) -> Staged:
        """The program for these arguments as it is staged, derivatives made (`expanded`), before any optimisation."""
        leaves, spec = state.flatten((args, kwargs))
        static = self._static_leaves(args, kwargs)
        leaves = [x if k in static else foreign.plain(x) for k, x in enumerate(leaves)]
        abstract = [x if k in static else abstract_leaf(x, self.static_shapes) for k, x in enumerate(leaves)]
        call = state.unflatten(spec, abstract)
        found = fitting(lambda ones: self._stage(*call, ones), leaves)
        if not expanded:
            return found
        return replace(found, function=expand(found.function, self.options["reassociate"]))

    def contained(self, call: Any, ones: Terms) -> Staged:
        """Stage, and let no value of the program escape."""
        escaped = ""
        limit = sys.getrecursionlimit()
        try:
            sys.setrecursionlimit(max(limit, _DEEP))  # long expressions are deep trees
            return self._stage(*call, ones)
        finally:
            sys.setrecursionlimit(limit)
            if self._watch is not None:
                escaped = self._watch.repair()
            if escaped and sys.exception() is None:
                raise TypeError(f"the function stores a value of the program in {escaped}: return the value instead")

    def _stage(self, args: tuple[Any, ...], kwargs: dict[str, Any], ones: Terms) -> Staged:
        return stage(self.f, args, kwargs, ones)

    def _require_names(self) -> None:
        """Raise unless `static_argnames` are arguments."""
        if not self.static_argnames:
            return
        known = inspect.signature(self.f).parameters
        unknown = sorted(self.static_argnames - set(known))
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            name = getattr(self.f, "__name__", "the function")
            raise ValueError(f"static_argnames has {unknown[0]!r}: {name} has no such argument")

    def _static_leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> set[int]:
        """The numbers of the leaves that `static_argnames` and `static_argnums` make static."""
        if not self.static_argnames and not self.static_argnums:
            return set()
        code = getattr(self.f, "__code__", None)
        names = code.co_varnames[: code.co_argcount] if code else ()
        chosen = self.static_argnames | {names[k] for k in self.static_argnums if -len(names) <= k < len(names)}
        names += ("",) * (len(args) - len(names))
        named = [*zip(names, args, strict=False), *((n, kwargs[n]) for n in sorted(kwargs))]
        found: set[int] = set()
        at = 0
        for k, (name, value) in enumerate(named):
            leaves = state.flatten(value)[0]
            if name in chosen or (not name and k in self.static_argnums):
                _require_hashable(name, leaves)
                found.update(range(at, at + len(leaves)))
            at += len(leaves)
        return found

    def _key(self, x: Any) -> Hashable:
        if isinstance(x, np.ndarray):
            small = x.shape if self.static_shapes else tuple([n if n <= SMALL else -1 for n in x.shape])
            return x.dtype, small, x.flags.c_contiguous, x.flags.writeable
        kind = None if isinstance(x, bool) else python_kind(x)
        return ("static", _hashable(x)) if kind is None else (kind.dtype, kind.weak)


class _Bound:
    """A compiled method, bound to its object."""

    def __init__(self, function: Jit, instance: Any) -> None:
        self.__func__, self.__self__ = function, instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.__func__.__iverson_stage__((self.__self__, *args), kwargs)


class Derived(Jit):
    """A function given by how it is staged: `rule(*args, **kwargs)` takes and gives staged values."""

    def __init__(self, rule: Callable[..., Any], of: Callable[..., Any], what: str) -> None:
        super().__init__(rule)
        name = getattr(of, "__name__", "f")
        self.__name__ = self.__qualname__ = f"{what}({name})"
        self.__wrapped__ = of

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.f(*args, **kwargs)

    def _stage(self, args: tuple[Any, ...], kwargs: dict[str, Any], ones: Terms) -> Staged:
        return stage(self, args, kwargs, ones)


def jit(f: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function of arrays and numbers.

    The function means what Python says it means.  It is staged, optimised and compiled when it is first called, once
    for all sizes; a new program is compiled for other dtypes, ranks, or lengths of at most 4, which are part of the
    type.

    Options: `static_argnames` and `static_argnums`, arguments that are constants of the program; `static_shapes=True`,
    all lengths are; `reassociate=False`, sums are added in the order written; `level`, of LLVM's optimisation, 0 to 3;
    `threads=False`, no loop runs on several threads (see `iv.set_threads`).

    Arrays of torch, JAX and other libraries that speak DLPack are taken without copies, and results are given as
    arrays of the first such argument's library.  `iv.jit(f).compile(...)` compiles before there are arguments.

    Raises TypeError, ValueError, ... with the line of your source for what can't be staged, IndexError and other
    exceptions of the program when it runs.

    >>> @iv.jit
    ... def dot(x, y):
    ...     return sum(x[i] * y[i] for i in range(len(x)))
    """
    if f is None:
        return lambda g: jit(g, **options)
    return Jit(f, **options)


# --- leaves -----------------------------------------------------------------------------------------------------------


def _default_level() -> int:
    return int(os.environ.get("IVERSON_LEVEL", "3"))


def _require_hashable(name: str, leaves: Sequence[Any]) -> None:
    for x in leaves:
        try:
            hash(x)
        except TypeError:
            raise TypeError(
                f"argument {name} is static, so it must be hashable, but it contains a {type(x).__name__}: pass a "
                "tuple or a frozenset, or take it out of static_argnames"
            ) from None


class _ByIdentity:
    """An unhashable static value, equal to itself alone."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.value is other.value


def _hashable(x: Any) -> Hashable:
    try:
        hash(x)
    except TypeError:
        return _ByIdentity(x)
    return type(x), x

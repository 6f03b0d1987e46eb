"""A compiled program: a staged function, optimised and compiled, as a callable on the leaves of its arguments."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from iverson import backend
from iverson.backend.abi import (
    Argument,
    ArrayArgument,
    ArrayResult,
    Between,
    Data,
    Extent,
    Guard,
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
)
from iverson.core.show import show
from iverson.core.syntax import Array, Block, Function
from iverson.lang import state
from iverson.lang.assumptions import Terms
from iverson.lang.dtypes import core_dtype, is_complex
from iverson.lang.stage import SMALL, AbstractArray, AbstractScalar, OutSpec, Staged
from iverson.opt.pipeline import optimise
from iverson.run import call, disk
from iverson.run.derive import expand
from iverson.run.kernel import Kernel
from iverson.run.limits import guarded
from iverson.run.trees import giver, taker

LONGEST = 2**48 - 1  # what proofs of bounds take a length to be at most


@dataclass(frozen=True)
class _Column:
    """A positional argument of the kernel's callable, and how it comes from the leaves."""

    argument: Argument
    fetch: Callable[[Sequence[Any]], Any]


class Program:
    """What one key of a jitted function compiles to."""

    def __init__(self, staged: Staged, leaves: Sequence[Any], options: dict[str, Any]) -> None:
        self.staged = staged
        self.leaves = leaves
        self.options = options
        self.written = {m.leaf for m in staged.mutated if m.kind == "array"}
        self._programs: dict[tuple[bool, ...], _Native] = {}

    @property
    def assumed(self) -> Terms:
        """The computed lengths that it takes not to be 1."""
        return self.staged.assumed

    def run(self, leaves: Sequence[Any]) -> Any:
        """The function's result on these leaves; arrays it mutates are written."""
        ready, write_back = self._ready(leaves)
        native = self.native(ready)
        values = native.call(*native.arguments(ready))
        for original, copy in write_back:
            original[...] = copy
        return self._rebuild(values, leaves)

    def direct(self, tree: Any, slow: Callable[..., Any]) -> Callable[..., Any] | None:
        """The callable for arguments of this structure that need no conversion; `slow` has the misfits.

        The compiled one itself, where the arguments are the leaves and the results a flat tuple or one.
        """
        if any(_is_complex(x) for x in (*self.leaves, *self.staged.captured, *self.staged.outs)):
            return None
        native = next(reversed(self._programs.values()), None)
        if native is None:
            return None
        outs_tree, outs = self.staged.out_tree, self.staged.outs
        single = len(outs) == 1 and outs_tree == _LEAF
        flat = (single and (outs[0].kind != "static" or outs[0].value is None)) or (
            outs and _is_flat_tuple(outs_tree, outs)
        )
        if flat and tree == state.flatten((tuple(self.leaves), {}))[1]:
            return native.bind(single and outs[0].kind != "static", slow)
        return _rebuilding(tree, self.results, native, slow, single and outs[0].kind != "static")

    @cached_property
    def results(self) -> Callable[[Sequence[Any]], Any]:
        """What puts results together: those that aren't constants, in order."""
        staged = self.staged
        fixed = {k: o.value for k, o in enumerate(staged.outs) if o.kind == "static"}

        def general(values: Sequence[Any]) -> Any:
            rest = iter(values)
            return state.unflatten(
                staged.out_tree, [fixed[k] if k in fixed else next(rest) for k in range(len(staged.outs))]
            )

        return giver(staged.out_tree, fixed) or general

    # --- compiling ----------------------------------------------------------------------------------------------------

    def native(self, leaves: Sequence[Any]) -> _Native:
        """The program for the layouts of these arrays."""
        layout = tuple(not isinstance(x, np.ndarray) or x.flags.c_contiguous for x in leaves)
        if layout not in self._programs:
            self._programs[layout] = _Native(self, layout)
        else:
            self._programs[layout] = self._programs.pop(layout)  # the last one used is the last
        return self._programs[layout]

    @cached_property
    def source(self) -> Function:
        """What is compiled: the staged function without results that are arguments, mutated arguments donated."""
        staged = self.staged
        keep = [o.position + k for o in self.kept for k in range(2 if _is_complex(o) and o.kind == "scalar" else 1)]
        outs = tuple(staged.function.body.outs[k] for k in (*keep, *(m.position for m in staged.mutated)))
        body = Block(staged.function.body.lets, outs)
        return replace(staged.function, body=body, donated=frozenset(map(self.parameter, staged.mutated)))

    @cached_property
    def function(self) -> Function:
        """The same, derivatives made and optimised."""
        reassociate = self.options["reassociate"]
        return guarded(optimise(expand(self.source, reassociate), reassociate))

    @property
    def kept(self) -> list[OutSpec]:
        """The results that the kernel makes."""
        return [o for o in self.staged.outs if o.kind != "static" and o.alias is None]

    @property
    def committed(self) -> dict[int, int]:
        """The outs that are left in the memory of a parameter."""
        params = list(self.staged.function.params)
        first = len(self.source.body.outs) - len(self.staged.mutated)
        return {first + k: params.index(self.parameter(m)) for k, m in enumerate(self.staged.mutated)}

    def parameter(self, mutation: Any) -> Any:
        """The core parameter that a mutated argument (or captured array) is."""
        wanted = mutation.kind, mutation.leaf
        pairs = zip(self.staged.params, self.staged.function.params, strict=True)
        return next(v for p, v in pairs if (p.kind, p.leaf) == wanted)

    # --- leaves in and out --------------------------------------------------------------------------------------------

    def _ready(self, leaves: Sequence[Any]) -> tuple[list[Any], list[tuple[Any, Any]]]:
        """Leaves as the machine wants them (aligned, native bytes); copies of written ones are to be copied back."""
        ready, write_back = [], []
        for k, x in enumerate(leaves):
            if isinstance(x, np.ndarray) and not (x.flags.aligned and x.dtype.isnative):
                y = np.array(x, dtype=x.dtype.newbyteorder("="))
                if k in self.written:
                    write_back.append((x, y))
                x = y
            ready.append(x)
        return ready, write_back

    def _rebuild(self, values: Sequence[Any] | None, leaves: Sequence[Any]) -> Any:
        fresh = iter(values or ())  # none is None
        results: list[Any] = []
        for o in self.staged.outs:
            if o.kind == "static":
                results.append(o.value)
            elif o.alias is not None:
                results.append(leaves[o.alias])
            elif _is_complex(o) and o.kind == "scalar":
                results.append(np.dtype(o.dtype).type(complex(next(fresh), next(fresh))))
            elif _is_complex(o):
                results.append(next(fresh).view(o.dtype)[..., 0])
            else:
                results.append(next(fresh))
        return state.unflatten(self.staged.out_tree, results)


class _Native:
    """A program compiled for arrays of certain layouts."""

    def __init__(self, program: Program, contiguous: Sequence[bool]) -> None:
        self.program = program
        self.columns: list[_Column] = []
        self.guards: list[Guard] = []
        self.named: dict[str, Extent] = {}  # lengths that are equal by name
        self.places: dict[tuple[str, int, str], int] = {}  # (kind, leaf, part) -> column
        for k, x in enumerate(program.leaves):
            self._leaf(k, x, Layout.C if contiguous[k] else Layout.ANY)
        for k, array in enumerate(program.staged.captured):
            self._array("captured", k, array.dtype, array.ndim, Layout.ANY, _captured(array))
        self.layouts = [self._layout(p) for p in program.staged.params]
        types = [p.type for p in program.source.params]
        self.kernel = Kernel(self._code(), types, program.committed, lambda: self.compiled.exact.code)  # type: ignore[arg-type]
        self.results: tuple[Result, ...] = tuple(
            ArrayResult(dtype, rank) if rank else ScalarResult(dtype) for dtype, rank in self.kernel.outs
        )
        self.slots = tuple(slot for k, p in enumerate(program.staged.params) for slot in self._slots(k, p))
        self.call = self._bind(self.results, False, self._misfit)

    @cached_property
    def compiled(self) -> backend.Compiled:
        """The program at every stage of the back end."""
        program = self.program
        tells = not program.staged.specialised
        return backend.compile(
            program.function, layouts=self.layouts, committed=program.committed, tells=tells, **program.options
        )

    def _code(self) -> backend.Code:
        """The code, from disk if this program has been compiled before."""
        text = show(self.program.source, sites=True, types=True)
        options = sorted(self.program.options.items())
        name = disk.key(text, repr((self.layouts, self.program.committed, self.program.staged.specialised, options)))
        image = disk.get(name)
        if image is not None:
            return pickle.loads(image)  # type: ignore[no-any-return]
        disk.put(name, pickle.dumps(self.compiled.code))
        return self.compiled.code

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        return [c.fetch(leaves) for c in self.columns]

    def bind(self, single: bool, slow: Callable[..., Any]) -> Callable[..., Any]:
        """The callable that takes the function's own arguments and gives its own results."""
        fresh = iter(self.results)
        results: list[Result] = []
        for o in self.program.staged.outs:
            if o.kind != "static":
                results.append(ReturnedArgument(o.alias) if o.alias is not None else next(fresh))
        return self._bind(tuple(results), single, slow, tuple(self.program.staged.captured))

    def _bind(
        self, results: tuple[Result, ...], single: bool, slow: Callable[..., Any], fixed: tuple[Any, ...] = ()
    ) -> Callable[..., Any]:
        arguments = tuple(c.argument for c in self.columns)
        signature = Signature(arguments, self.slots, tuple(self.guards), results, single, fixed=fixed)
        return call.bind(signature, self.kernel.address, slow, self._failed, self)  # type: ignore[no-any-return]

    # --- columns ------------------------------------------------------------------------------------------------------

    def _leaf(self, k: int, x: Any, layout: Layout) -> None:
        if isinstance(x, AbstractArray):
            pairs, scalar = is_complex(np.dtype(x.dtype)), not x.shape
            fetch = (
                (lambda leaves: _memory(leaves[k], pairs, scalar)) if pairs or scalar else (lambda leaves: leaves[k])
            )
            self._array("array", k, np.dtype(x.dtype), max(len(x.shape), 1), layout, fetch)
            for axis, n in enumerate(x.shape):
                extent = Extent(self.places["array", k, ""], axis)
                self.guards.append(Between(extent, n, n) if isinstance(n, int) else Between(extent, SMALL + 1, LONGEST))
                if isinstance(n, str):
                    self.guards.append(Same(self.named.setdefault(n, extent), extent))
        elif isinstance(x, AbstractScalar) and is_complex(np.dtype(x.dtype)):
            part = np.dtype(x.dtype).type(0).real.dtype
            for name in ("", "im"):
                take = np.imag if name else np.real
                argument = ScalarArgument(core_dtype(part))
                self._column("scalar", k, name, argument, lambda leaves, t=take: part.type(t(leaves[k])))
        elif isinstance(x, AbstractScalar):
            argument = ScalarArgument(core_dtype(np.dtype(x.dtype)), x.weak)
            self._column("scalar", k, "", argument, lambda leaves: leaves[k])
        else:
            self._column("static", k, "", StaticArgument(x), lambda leaves: x)

    def _array(
        self, kind: str, k: int, dtype: np.dtype[Any], rank: int, layout: Layout, fetch: Callable[[Sequence[Any]], Any]
    ) -> None:
        written = any(m.kind == kind and m.leaf == k for m in self.program.staged.mutated)
        rank += is_complex(dtype)
        self._column(kind, k, "", ArrayArgument(core_dtype(dtype), rank, layout, written), fetch)

    def _column(self, kind: str, k: int, part: str, argument: Argument, fetch: Callable[[Sequence[Any]], Any]) -> None:
        self.places[kind, k, part] = len(self.columns)
        self.columns.append(_Column(argument, fetch))

    def _layout(self, p: Any) -> Layout:
        column = self.places.get((p.kind, p.leaf, p.part))
        argument = self.columns[column].argument if column is not None else None
        return argument.layout if isinstance(argument, ArrayArgument) else Layout.C

    def _slots(self, number: int, p: Any) -> list[Slot]:
        if p.kind == "extent":
            return [Extent(self.places["array", p.leaf, ""], p.axis)]
        column = self.places[p.kind, p.leaf, p.part]
        type_ = self.program.staged.function.params[number].type
        if isinstance(type_, Array):
            return [Data(column), *(Stride(column, axis) for axis in range(type_.rank))]
        return [Value(column)]

    # --- what doesn't go well -----------------------------------------------------------------------------------------

    def _misfit(self, *values: Any) -> Any:
        """Arguments of the right kind that can't be used as they are, or a kernel that must be run again exactly."""
        arrays = [(k, v) for k, v in enumerate(values) if isinstance(v, np.ndarray)]
        if any(n > LONGEST for _, v in arrays for n in v.shape):
            raise ValueError(f"an axis of an argument is longer than {LONGEST}")
        for k, c in enumerate(self.columns):
            if not (isinstance(c.argument, ArrayArgument) and c.argument.written):
                continue
            if not values[k].flags.writeable:
                raise ValueError("a read-only array is written")
            for j, other in arrays:
                if j != k and np.may_share_memory(values[k], other):
                    raise ValueError(
                        f"arguments {min(j, k)} and {max(j, k)} overlap in memory, and one is written: pass a copy"
                    )
        if any(isinstance(c.argument, ScalarArgument) and not _in_range(c.argument, v)
               for c, v in zip(self.columns, values, strict=True)):  # fmt: skip
            raise OverflowError("a Python int argument is too large for int64")
        return self.kernel([self._slot_value(p, values) for p in self.program.staged.params])

    def _slot_value(self, p: Any, values: Sequence[Any]) -> Any:
        if p.kind == "extent":
            return values[self.places["array", p.leaf, ""]].shape[p.axis]
        return values[self.places[p.kind, p.leaf, p.part]]

    def _failed(self, status: int, error: int) -> Any:
        raise self.kernel.failure(status, error)


_LEAF = state.flatten(0)[1]


def _is_flat_tuple(tree: Any, outs: Sequence[OutSpec]) -> bool:
    return tree.type is tuple and all(c == _LEAF for c in tree.children()) and all(o.kind != "static" for o in outs)


_MISFIT = object()


def _rebuilding(
    tree: Any, give: Callable[[Sequence[Any]], Any], native: _Native, slow: Callable[..., Any], single: bool
) -> Callable[..., Any]:
    """The compiled callable between trees: arguments taken apart, results put together."""
    flat = native.bind(single, lambda *leaves: _MISFIT)
    take, orders = taker(tree), state.orders(tree)

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves = take((args, kwargs)) if take is not None else None
        if leaves is None:
            leaves, spec = state.split((args, kwargs))
            if spec != tree or state.orders(spec) != orders:
                return slow(*args, **kwargs)
        values = flat(*leaves)
        if values is _MISFIT:
            return slow(*args, **kwargs)
        return values if single else give(values or ())

    return call


def _in_range(argument: ScalarArgument, value: Any) -> bool:
    return argument.dtype.is_float or not isinstance(value, int) or -(2**63) <= value < 2**63


def _captured(array: np.ndarray) -> Callable[[Sequence[Any]], Any]:
    return (lambda leaves: _pairs(array)) if is_complex(array.dtype) else (lambda leaves: array)


def _is_complex(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype is not None and is_complex(np.dtype(dtype))


def _memory(x: np.ndarray, pairs: bool, scalar: bool) -> np.ndarray:
    """The memory of an array as an array of the core."""
    x = x.reshape(1) if scalar else x
    return _pairs(x) if pairs else x


def _pairs(x: np.ndarray) -> np.ndarray:
    """A complex array's memory as pairs of reals."""
    return np.lib.stride_tricks.as_strided(x.real, (*x.shape, 2), (*x.strides, x.itemsize // 2), writeable=True)

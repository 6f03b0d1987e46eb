"""Staging: a Python function and abstract arguments in, a core function out.

staged = stage(f, (AbstractArray("float64", (None, 3)), AbstractScalar("float64")), {})
staged.function      the core program: parameters as `staged.params` says, outs as `staged.outs` says, then the final
                     contents of the arrays in `staged.mutated`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np

from iverson.core.build import literal, make_type
from iverson.core.dce import dce
from iverson.core.syntax import I64, Atom, Block, Function, Scalar, Var
from iverson.lang import state
from iverson.lang.assumptions import Terms, fitting, input_of, require_ones
from iverson.lang.dtypes import INT64, core_dtype, is_complex, python_kind, supported
from iverson.lang.errors import StagingError, error
from iverson.lang.num import Num, constant, integer, is_scalar
from iverson.lang.raising import Unreachable, require_here
from iverson.lang.resolve import resolved
from iverson.lang.runtime import call
from iverson.lang.shapes import Extent
from iverson.lang.staging import Cell, Staging, staging
from iverson.lang.values import Arr, Storage, lift, materialise

SMALL = 4  # axes of at most this length are part of the type


@dataclass(frozen=True)
class AbstractArray:
    """What is known of an array argument.  A length is a number, a name (equal names, equal lengths) or None."""

    dtype: Any
    shape: tuple[int | str | None, ...]
    writable: bool = True

    def __repr__(self) -> str:
        return f"{self.dtype}[{', '.join('_' if n is None else str(n) for n in self.shape)}]"


@dataclass(frozen=True)
class AbstractScalar:
    """What is known of a scalar argument; weak: a Python number."""

    dtype: Any
    weak: bool = True

    def __repr__(self) -> str:
        return f"{'Python ' if self.weak else ''}{self.dtype}"


@dataclass(frozen=True)
class ParamSpec:
    """A parameter of the core function: where its value comes from.

    kind "extent": the length of an axis of leaf `leaf` of the arguments; "array", "scalar": that leaf itself ("im": the
    imaginary part of a complex scalar); "captured": `staged.captured[leaf]`.
    """

    kind: str
    leaf: int
    axis: int = 0
    part: str = ""


@dataclass(frozen=True)
class OutSpec:
    """A leaf of the result.

    kind "array" or "scalar" is out number `position` of the core function (a complex scalar: that and the next);
    "static" is `value` itself.  `alias` is the leaf of the arguments that it is the same array as, if it is one.
    """

    kind: str
    position: int = -1
    dtype: Any = None
    weak: bool = False
    value: Any = None
    alias: int | None = None


@dataclass(frozen=True)
class Mutation:
    """An argument (or captured array) that the program writes; `position` is the out with its final contents."""

    kind: str  # "array" or "captured"
    leaf: int
    position: int


@dataclass(frozen=True)
class Staged:
    function: Function
    params: list[ParamSpec]
    outs: list[OutSpec]
    out_tree: Any
    mutated: list[Mutation]
    captured: list[Any] = field(default_factory=list)
    assumed: Terms = frozenset()  # computed lengths that are taken not to be 1
    specialised: bool = False  # a failed check may mean that another program is for these arguments

    def rebuild(self, values: Sequence[Any], arguments: Sequence[Any] = ()) -> Any:
        """The result of the Python function, from the outs of the core function."""
        leaves = []
        for o in self.outs:
            if o.kind == "static":
                leaves.append(o.value)
            elif o.kind == "scalar" and is_complex(o.dtype):
                leaves.append(o.dtype.type(complex(values[o.position], values[o.position + 1])))
            elif o.kind == "scalar":
                leaves.append(o.dtype.type(values[o.position]))
            else:
                leaves.append(_joined(values[o.position], o.dtype))
        return state.unflatten(self.out_tree, leaves)


def _joined(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """A core array as NumPy's: pairs become complex numbers."""
    if not is_complex(dtype):
        return np.asarray(array, dtype=dtype)
    return np.asarray(array[..., 0] + 1j * array[..., 1], dtype=dtype)


def abstract(tree: Any, static_shapes: bool = False) -> Any:
    """Arguments as what staging needs to know of them."""
    leaves, spec = state.flatten(tree)
    return state.unflatten(spec, [abstract_leaf(x, static_shapes) for x in leaves])


def abstract_leaf(x: Any, static_shapes: bool = False) -> Any:
    """What staging needs to know of a leaf of the arguments; itself if it is a constant of the program."""
    if isinstance(x, np.ndarray):
        shape = tuple(n if static_shapes or n <= SMALL else None for n in x.shape)
        return AbstractArray(x.dtype.newbyteorder("="), shape, bool(x.flags.writeable))
    kind = None if isinstance(x, bool) else python_kind(x)
    return x if kind is None else AbstractScalar(kind.dtype, kind.weak)


# --- parameters -------------------------------------------------------------------------------------------------------


class _Inputs:
    """The parameters of a program, and the staged values that stand for them."""

    def __init__(self, program: Staging) -> None:
        self.program = program
        self.vars: list[Var] = []
        self.specs: list[ParamSpec] = []
        self.named: dict[str, Num] = {}
        self.arrays: dict[int, tuple[Cell, Atom]] = {}  # leaf -> its cell, and what that held at first

    def add(self, var: Var, spec: ParamSpec) -> Var:
        self.vars.append(var)
        self.specs.append(spec)
        return var

    def leaf(self, k: int, x: Any, name: str) -> Any:
        if isinstance(x, AbstractArray):
            return self.array(k, x, name)
        if isinstance(x, AbstractScalar):
            return self.scalar(k, x, name)
        return x

    def scalar(self, k: int, x: AbstractScalar, name: str) -> Num:
        dtype = supported(x.dtype)
        var = self.add(Var(Scalar(core_dtype(dtype)), name), ParamSpec("scalar", k))
        if is_complex(dtype):
            im = self.add(Var(Scalar(core_dtype(dtype)), f"{name}_im"), ParamSpec("scalar", k, part="im"))
            return Num(var, x.weak, im)
        input_of(var, k)
        if dtype == INT64:
            self.program.top[var] = None
        return Num(var, x.weak)

    def array(self, k: int, x: AbstractArray, name: str) -> Arr:
        dtype = supported(x.dtype)
        shape = tuple(self.extent(k, axis, n, name) for axis, n in enumerate(x.shape))
        extents = [literal(n) if isinstance(n, int) else n.atom for n in shape or (1,)]
        if is_complex(dtype):
            extents.append(literal(2))
        var = self.add(Var(make_type(core_dtype(dtype), extents), name), ParamSpec("array", k))
        cell = Cell(var, dtype, 0, name)
        self.arrays[k] = cell, var
        readonly = "" if x.writable else "assignment destination is read-only"
        if not shape:  # the core has no arrays without axes
            return Arr(Storage(cell), (), lambda index: (0,), None, readonly)
        return Arr(Storage(cell), shape, readonly=readonly)

    def extent(self, k: int, axis: int, n: int | str | None, name: str) -> Extent:
        if isinstance(n, int):
            return n
        if isinstance(n, str) and n in self.named:
            return self.named[n]
        var = self.add(Var(Scalar(I64), n or f"{name}_n{axis}"), ParamSpec("extent", k, axis))
        input_of(var, k, axis)
        self.program.top[var] = None
        self.program.lows[var] = SMALL + 1
        size = integer(var, SMALL + 1)
        if isinstance(n, str):
            self.named[n] = size
        return size


def _leaf_names(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
    """A name for each leaf of the arguments: that of its parameter."""
    code = getattr(f, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code else []
    names += [f"x{k}" for k in range(len(names), len(args))]
    out: list[str] = []
    for name, value in (*zip(names, args, strict=False), *sorted(kwargs.items())):
        count = len(state.flatten(value)[0])
        out += [name] if count == 1 else [f"{name}_{k}" for k in range(count)]
    return out


# --- staging ----------------------------------------------------------------------------------------------------------


def stage_for(f: Callable[..., Any], args: tuple[Any, ...], static_shapes: bool = False) -> Staged:
    """Stage f for these very arguments."""
    abstract_args = abstract(args, static_shapes)
    return fitting(lambda ones: stage(f, abstract_args, ones=ones), state.flatten(args)[0])


def stage(
    f: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any] | None = None, ones: Terms = frozenset()
) -> Staged:
    """Stage f on abstract arguments: pytrees of AbstractArray, AbstractScalar and static Python values.

    `ones` are computed lengths that are known to be 1 (see lang/assumptions.py).
    """
    args, kwargs = tuple(args), dict(kwargs or {})
    leaves, spec = state.flatten((args, kwargs))
    names = _leaf_names(f, args, kwargs)
    if len(names) != len(leaves):
        names = [f"x{k}" for k in range(len(leaves))]
    with staging() as program:
        inputs = _Inputs(program)
        values = [inputs.leaf(k, x, n) for k, (x, n) in enumerate(zip(leaves, names, strict=True))]
        program.ones = ones
        require_ones()
        actual, keywords = state.unflatten(spec, values)
        try:
            result = call(f, *actual, **keywords)
        except Unreachable as e:
            require_here(e)
            result = None  # the program always raises
        _reject_poison(result)
        _require_unchanged((actual, keywords), values, spec)
        return _finish(f, program, inputs, result)


def _reject_poison(result: Any) -> None:
    for leaf in state.flatten(result)[0]:
        if isinstance(leaf, state.Poison):
            leaf.raise_()


def _require_unchanged(arguments: Any, values: Sequence[Any], spec: Any) -> None:
    """Arrays may be written, but the lists, dicts and objects among the arguments are the caller's."""
    leaves, now = state.flatten(arguments)
    if now != spec or not all(map(state.same_value, leaves, values)):
        raise error(
            TypeError,
            "the function changes a list, dict or object among its arguments, and the caller would not see that: "
            "return the new one instead",
        )


def _finish(f: Callable[..., Any], program: Staging, inputs: _Inputs, result: Any) -> Staged:
    outs: list[Atom] = []
    specs: list[OutSpec] = []
    leaves, tree = state.flatten(result)
    for x in leaves:
        specs.append(_out(x, outs, inputs))
    mutated = []
    for leaf, (cell, before) in inputs.arrays.items():
        after = program.contents(cell)
        if after is not before:
            mutated.append(Mutation("array", leaf, len(outs)))
            outs.append(after)
    captured = []
    for k, (owner, var, arr) in enumerate(program.captured.values()):
        inputs.add(var, ParamSpec("captured", k))
        captured.append(owner)
        after = program.contents(arr.cell)
        if after is not var:
            mutated.append(Mutation("captured", k, len(outs)))
            outs.append(after)
    lets = tuple(program.builder.lets())
    body = resolved(Block(lets, tuple(outs)), program.resolve)
    name = getattr(f, "__name__", "f")
    function = dce(Function(tuple(inputs.vars), body, name if name.isidentifier() else "f"))
    return Staged(function, inputs.specs, specs, tree, mutated, captured, *_assumptions(program))


def _assumptions(program: Staging) -> tuple[Terms, bool]:
    return frozenset(program.assumed), bool(program.assumed or program.ones)


def _out(x: Any, outs: list[Atom], inputs: _Inputs) -> OutSpec:
    """Append a leaf of the result to the outs."""
    if isinstance(x, state.Maybe):
        from iverson.lang.runtime import use

        x = use(x)
    if isinstance(x, np.ndarray) or hasattr(x, "staged_array"):
        x = lift(x)
    position = len(outs)
    if isinstance(x, Arr):
        outs.append(materialise(x))
        alias = next((k for k, (cell, _) in inputs.arrays.items() if x.whole and x.cell is cell), None)
        if not x.ndim and not is_complex(x.dtype):
            return OutSpec("scalar", position, x.dtype)
        return OutSpec("array", position, x.dtype, alias=alias)
    if is_scalar(x):
        num = constant(x)
        outs += [num.atom] if num.im is None else [num.atom, num.im]
        return OutSpec("scalar", position, num.dtype, num.weak)
    if x is None or isinstance(x, str | bytes | type | FunctionType):
        return OutSpec("static", value=x)
    raise error(TypeError, f"the function returns a {type(x).__name__}, which is neither a number nor an array")


__all__ = [
    "AbstractArray",
    "AbstractScalar",
    "Mutation",
    "OutSpec",
    "ParamSpec",
    "Staged",
    "StagingError",
    "abstract",
    "abstract_leaf",
    "stage",
    "stage_for",
]

"""`iv.vmap`: a function of one example as a function of many.

    vmap f (x, c)   ->   For [k < n]  yields Map: f(x[k], c)

There are no batching rules: f is staged once, in the body of a parallel For over the lanes, on views of its arguments.
So a lane takes the branches and the turns of loops that it needs, and no others.  What no lane has a part in moves out
of the For where the result asks for it (`out_axes=None`, lengths).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

from iverson.core.build import extents_of
from iverson.core.rewrite import dependents, needed
from iverson.core.syntax import I64, Atom, Block, For, Map, Scalar, Var
from iverson.lang import runtime, state
from iverson.lang.dtypes import supported
from iverson.lang.errors import StagingError, error
from iverson.lang.num import is_scalar
from iverson.lang.shapes import Extent, extent, extent_atom, require_same
from iverson.lang.staging import Each, builder, current
from iverson.lang.values import Arr, element, indices, kind_or_array, lift, materialise, owned
from iverson.run.jit import Derived

Axes = Any  # a pytree of ints and None, a prefix of what it describes


def vmap(
    f: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0, axis_size: int | None = None
) -> Callable[..., Any]:
    """A function that applies f to each lane of its arguments and stacks the results.

    `in_axes` says which axis of each positional argument has the lanes: an int (negative ones count from the end), None
    for an argument that all lanes share, a tuple of these with one entry an argument; an entry may be a pytree of them
    where the argument is one.  Keyword arguments are mapped along axis 0.  `out_axes` says where the results have the
    lanes, in the same way; None gives a result that no lane has a part in without them.  `axis_size` is the number of
    lanes where no argument has it.

    Every lane runs its own number of turns of a loop and its own side of a branch.  f may change arrays of its own, its
    arguments among them; the caller's stay as they are.

    Raises ValueError for lengths that differ, an axis that isn't there, results whose shape depends on the lane, and
    TypeError for `in_axes` that don't fit the arguments.

    >>> iv.vmap(lambda x, c: c * x.sum(), in_axes=(0, None))(np.ones((2, 3)), 2.0)
    array([6., 6.])

    Method: a parallel map, as in array languages; names and meaning of the arguments are JAX's.
    """
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)

    def stage(*args: Any, **kwargs: Any) -> Any:
        lanes = _Lanes(f, args, kwargs, in_axes, axis_size)
        try:
            result, outs = lanes.run(own=False)
        except StagingError as problem:
            if getattr(problem, "cell", None) not in lanes.cells():
                raise
            result, outs = lanes.run(own=True)
        return lanes.placed(result, outs, out_axes)

    return Derived(stage, f, "vmap")


class Lane(Each):
    """The body of the For over the lanes."""

    refusal = (
        "a function under vmap writes an array from outside, which the lanes share: pass the array as an argument, or "
        "return the new one"
    )


@dataclass
class _Out:
    """A number or array of the result: what one lane makes, and what all of them do."""

    dtype: np.dtype[Any]
    one: Atom
    all: Atom | None = None


class _Lanes:
    """A call under vmap."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], axes: Axes, size: Any):
        self.f = f
        if isinstance(axes, tuple) and len(axes) != len(args):
            raise error(TypeError, f"in_axes has {len(axes)} entries, but there are {len(args)} positional arguments")
        self.leaves, self.spec = state.flatten((args, kwargs))
        per_argument = axes if isinstance(axes, tuple) else (axes,) * len(args)
        found: list[int | None] = []
        names: list[str] = []
        for k, (a, x) in enumerate(zip((*per_argument, *(0 for _ in kwargs)), (*args, *_sorted(kwargs)), strict=True)):
            name = f"argument {k}" if k < len(args) else f"argument {sorted(kwargs)[k - len(args)]!r}"
            given = _spread(a, x, f"in_axes of {name}")
            found += given
            names += [name] * len(given)
        self.axes = [None if x is None else a for a, x in zip(found, self.leaves, strict=True)]
        self.arrays = [
            _mapped(x, a, name) for x, a, name in zip(self.leaves, self.axes, names, strict=True)
        ]  # what has lanes, as arrays whose first axis they are
        self.n = self._length(names, size)

    def _length(self, names: Sequence[str], size: Any) -> Extent:
        """The number of lanes."""
        n, first = (None, "") if size is None else (extent(size), "axis_size")
        for x, axis, name in zip(self.arrays, self.axes, names, strict=True):
            if x is None:
                continue
            where = f"{name} along axis {axis}"
            what = f"vmap over axes of different lengths: {first} and {where}"
            n, first = (x.shape[0], where) if n is None else (require_same(n, x.shape[0], what), first)
        if n is None:
            raise error(ValueError, "vmap needs an argument with an axis to map over: all of in_axes is None")
        return n

    def cells(self) -> list[Any]:
        """The storage of the arguments."""
        return [x.cell for x in self.leaves if isinstance(x, Arr) and x.cell is not None]

    def run(self, own: bool) -> tuple[Any, list[_Out | None]]:
        """Stage the lanes: what one returned, and for each of its leaves the number or array that it is.

        `own`: the arguments are arrays of the lane's own, for functions that write them.
        """
        program, index = current(), Var(Scalar(I64), "lane")
        with program.scope(Lane()) as scope:
            (k,) = indices((self.n,), (index,))
            values = [x if array is None else _row(array, k) for x, array in zip(self.leaves, self.arrays, strict=True)]
            if own:
                values = [owned(materialise(x), x.dtype) if isinstance(x, Arr) else x for x in values]
            args, kwargs = state.unflatten(self.spec, values)
            result = runtime.call(self.f, *args, **kwargs)
            leaves, tree = state.flatten(result)
            leaves = [runtime.use(x) for x in leaves]
            outs = [_out(x) for x in leaves]
        self.lets, self.index = list(scope.lets), index
        self._require_rectangular([o for o in outs if o is not None])
        return state.unflatten(tree, leaves), outs

    def placed(self, result: Any, outs: list[_Out | None], axes: Axes) -> Any:
        """The result of all lanes, with the lanes where `axes` says."""
        places = _spread(axes, result, "out_axes")
        for o, axis in zip(outs, places, strict=True):
            if o is not None and axis is None:
                self._lift([o.one], "with out_axes=None a result may not depend on the lane, but this one does")
        mapped = [o for o, axis in zip(outs, places, strict=True) if o is not None and axis is not None]
        body = Block(tuple(self.lets), tuple(o.one for o in mapped))
        stacks = builder().emit(For((self.index,), (extent_atom(self.n),), body, (Map(),) * len(mapped)))
        for o, stack in zip(mapped, stacks, strict=True):
            o.all = stack
        leaves, tree = state.flatten(result)
        values = [x if o is None else _placed(o, a) for x, o, a in zip(leaves, outs, places, strict=True)]
        return state.unflatten(tree, values)

    def _require_rectangular(self, outs: Sequence[_Out]) -> None:
        lengths = [n for o in outs for n in extents_of(o.one)]
        self._lift(lengths, "the shape of a result under vmap depends on the lane: the results can't be stacked")

    def _lift(self, wanted: Sequence[Atom], problem: str) -> None:
        """Move the statements that give these atoms out of the lanes, which may have no part in them."""
        varying = dependents(self.lets, [self.index])
        if any(a in varying for a in wanted):
            raise error(ValueError, problem)
        moved = needed(self.lets, wanted)
        gone = set(map(id, moved))
        self.lets = [let for let in self.lets if id(let) not in gone]
        builder().splice(Block(tuple(moved), ()))


def _sorted(kwargs: dict[str, Any]) -> list[Any]:
    return [kwargs[name] for name in sorted(kwargs)]


def _spread(axes: Axes, tree: Any, what: str) -> list[int | None]:
    """The axis of each leaf of a tree, of which `axes` is a prefix."""
    state.flatten(tree)  # lets optree know the dataclasses in it
    try:
        spread = optree.broadcast_prefix(axes, tree, none_is_leaf=True, namespace=state.NAMESPACE)
    except ValueError as problem:
        reason = str(problem).splitlines()[0]
        raise error(
            TypeError, f"{what} must have the structure of what it is for, or a prefix of it: {reason}"
        ) from None
    for a in spread:
        if a is not None and (not isinstance(a, int | np.integer) or isinstance(a, bool)):
            raise error(TypeError, f"{what} must be ints and None, not {type(a).__name__}")
    return spread


def _mapped(x: Any, axis: int | None, name: str) -> Arr | None:
    """An argument with its lanes first; None if it has none."""
    if axis is None:
        return None
    try:
        array = lift(x)
    except TypeError:
        raise error(
            TypeError, f"{name} is a {type(x).__name__}, which has no axis to map over: its in_axes must be None"
        ) from None
    rank = array.ndim if isinstance(array, Arr) else 0
    if not -rank <= axis < rank:
        has = f"has {rank} dimension{'s' if rank > 1 else ''}" if rank else "is a scalar"
        raise error(ValueError, f"vmap maps {name} along axis {axis}, but it {has}")
    first = axis % rank
    return array.permuted((first, *(k for k in range(rank) if k != first)))  # type: ignore[no-any-return]


def _row(a: Arr, k: Any) -> Any:
    if a.ndim == 1:
        return a.read((k,))
    prefix = None if a.prefix is None else (*a.prefix, k)
    return a.view(a.shape[1:], lambda index: (k, *index), prefix)


def _out(x: Any) -> _Out | None:
    """A leaf of one lane's result; None for what isn't a number or an array."""
    if not (isinstance(x, Arr) or is_scalar(x) or hasattr(x, "__array__") or hasattr(x, "staged_array")):
        return None
    value = lift(x)
    dtype = supported(kind_or_array(value))
    return _Out(dtype, element(value, dtype))


def _placed(o: _Out, axis: int | None) -> Any:
    """A result with the lanes at an axis, or without them."""
    if axis is None:
        value = owned(o.one, o.dtype)
        return value if value.ndim else value.read(())
    assert o.all is not None
    array = owned(o.all, o.dtype)
    if not -array.ndim <= axis < array.ndim:
        raise error(ValueError, f"out_axes has {axis}, but a result with its lanes has {array.ndim} dimensions")
    order = list(range(1, array.ndim))
    order.insert(axis % array.ndim, 0)
    return array.permuted(tuple(order))

"""`iv.jacobian` and `iv.hessian`: dense, or sparse with a pattern that is found or given.

A sparse Jacobian is had from few products: its columns (or rows) are coloured, such that the entries of one colour
don't meet, and one product with the sum of the unit vectors of each colour says them all.  Pattern, colouring and the
places of the entries in the products are made once and kept, until the arguments have other shapes or other integers.
Where floats decide on the path, each call probes whether the pattern still holds.

    pattern        runs of the program on sets of inputs (pattern.py), or given by the user
    colouring      of columns or rows, whichever is cheaper; of a Hessian, star colouring (colouring.py)
    products       one compiled program for all colours (diff/compressed.py), of which the entries are picked
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from typing import Any

import numpy as np
import scipy.sparse

from iverson.core.build import dtype_of, extents_of
from iverson.core.control import decides
from iverson.core.syntax import Atom
from iverson.diff.tape import AUTO, Policy
from iverson.lang import state
from iverson.lang.errors import error
from iverson.lang.inner import Subprogram, numeric, subprogram, value_of
from iverson.lang.staging import active
from iverson.lang.values import materialise
from iverson.run import derive, jacobians
from iverson.run.colouring import Pattern, colour_columns, colour_star
from iverson.run.jit import Derived
from iverson.run.leaves import Argnums, Chosen, is_inexact
from iverson.run.pattern import find_pattern
from iverson.run.tape import Tape, unplanned
from iverson.run.transforms import grad
from iverson.run.watch import Watch

_REVERSE = 2.0  # what a product by reverse mode costs beside one by forward mode


def jacobian(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    sparsity: Any = None,
    tape: Tape = "auto",
) -> Callable[..., Any]:
    """The Jacobian of f.

    Without `sparsity` it is dense, as `iv.jacfwd` and `iv.jacrev` give it (see there for `has_aux` and `holomorphic`),
    by the mode that needs fewer products: where that depends on the lengths of arguments, the run decides.

    With `sparsity` it is a `scipy.sparse.csr_array` [outputs, inputs]: the floating-point numbers of f's result in a
    row against those of the arguments `argnums`.  `sparsity` is

    - "auto" (or True): the pattern is found by running f on sets of inputs, and kept for arguments of the same shapes
      with the same integers and bools.  Where floats or captured arrays decide on branches, indices or turns of loops,
      each call tests it by one more run, on 64 groups of inputs, and adds what is new.  The test sees a new entry
      unless it shares its group with another of its row; `.refresh()` forgets the pattern;
    - a sparse matrix, or (rows, columns): the pattern.  Entries outside of it are taken to be zero, unchecked.

    `tape` as in iv.value_and_grad, for reverse mode.

    Raises ValueError for a pattern of another shape, TypeError where a sparse Jacobian is taken inside a program.

    >>> J = iv.jacobian(lambda x: x[1:] * x[:-1], sparsity="auto")
    >>> J(np.arange(4.0)).toarray()
    array([[1., 0., 0., 0.],
           [0., 2., 1., 0.],
           [0., 0., 3., 2.]])

    Method: Curtis, Powell, Reid 1974; colourings as in Gebremedhin, Manne, Pothen, SIAM Review 2005.
    """
    if sparsity is None:
        return jacobians.jacobian(f, argnums, has_aux, holomorphic, tape)
    _require_real(has_aux, holomorphic)
    return SparseJacobian(f, argnums, sparsity, told=unplanned(tape))


def hessian(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    sparsity: Any = None,
    tape: Tape = "auto",
) -> Callable[..., Any]:
    """The Hessian of a scalar function, forward over reverse mode; with `sparsity` a `scipy.sparse.csr_array`.

    Without, it is [shape of the argument..., the same again...], of a pytree a block for each pair of leaves.

    `sparsity` as in `iv.jacobian`; a pattern must be symmetric.  The pattern found is that of second derivatives: what
    f is linear in has none.  By star colouring, so that a Hessian needs few products with vectors.

    >>> H = iv.hessian(lambda x: np.sum((x[1:] - x[:-1]) ** 4), sparsity="auto")
    """
    if sparsity is None:
        return jacobians.hessian(f, argnums, has_aux, holomorphic, tape)
    _require_real(has_aux, holomorphic)
    return SparseJacobian(grad(f, argnums, tape=tape), argnums, sparsity, symmetric=True)


def _require_real(has_aux: bool, holomorphic: bool) -> None:
    if has_aux or holomorphic:
        raise TypeError("a sparse Jacobian is of real numbers, and of a function without aux")


# --- sparse -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compression:
    """How a Jacobian of one pattern is had from products."""

    pattern: Pattern
    by_rows: bool  # reverse mode
    count: int  # of colours
    seeds: list[np.ndarray]  # the colours, for each leaf of the arguments, or (by_rows) of the result
    places: np.ndarray  # of each entry, in the products one after the other
    probe: Probe | None  # for calls with other floats, if these may change the pattern


@dataclass(frozen=True)
class Probe:
    """A pattern that floats have a part in, and what each output depended on of 64 groups of inputs."""

    pattern: Pattern
    groups: np.ndarray


class SparseJacobian:
    """A function that gives the Jacobian of f as a `scipy.sparse.csr_array`; see `iv.jacobian`.

    `pattern(*args)` and `colours(*args)` show what it works with, `refresh()` forgets it.
    """

    def __init__(
        self, f: Callable[..., Any], argnums: Argnums, sparsity: Any, symmetric: bool = False, told: Policy = AUTO
    ) -> None:
        self.argnums = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        self.given = None if _is_auto(sparsity) else _as_pattern(sparsity)
        self.symmetric = symmetric
        self._sets = Derived(_stage_sets(f, self.argnums), f, "dependences")
        self._products = {
            by_rows: Derived(_stage_products(f, self.argnums, by_rows, told), f, "compressed Jacobian")
            for by_rows in (False, True)
        }
        self._kept: list[tuple[Any, list[np.ndarray], Compression | None]] = []
        self._watch: Watch | None = None
        update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        c = self.compression(*args, **kwargs)
        products = self._products[c.by_rows](c.count, c.seeds, args, kwargs)
        flat = [p.ravel() for p in products]
        data = np.take(flat[0] if len(flat) == 1 else np.concatenate(flat), c.places)
        return scipy.sparse.csr_array((data, c.pattern.indices.copy(), c.pattern.indptr.copy()), shape=c.pattern.shape)

    def pattern(self, *args: Any, **kwargs: Any) -> Any:
        """The pattern at these arguments: a csr_array of True."""
        return self.compression(*args, **kwargs).pattern.copy()

    def colours(self, *args: Any, **kwargs: Any) -> int:
        """The number of products that the Jacobian takes."""
        return self.compression(*args, **kwargs).count

    def refresh(self) -> None:
        """Find pattern and colouring anew when next called."""
        self._kept.clear()

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise error(TypeError, "a sparse Jacobian is a scipy.sparse matrix: take it outside of compiled functions")

    # --- pattern and colouring ----------------------------------------------------------------------------------------

    def compression(self, *args: Any, **kwargs: Any) -> Compression:
        """What is kept for arguments of these shapes, with these integers; made if need be."""
        if active():
            self.__iverson_stage__(args, kwargs)
        if self._watch is None or self._watch.changed():
            self._watch = Watch(self.__wrapped__)
            self._kept.clear()
        leaves, spec = state.flatten((args, kwargs))
        arrays = [np.asarray(x) for x in leaves]
        key = (
            spec,
            *((x.shape, x.dtype) if x.dtype.kind in "biufc" else leaf for x, leaf in zip(arrays, leaves, strict=True)),
        )
        integers = [x for x in arrays if x.dtype.kind in "biu"]
        place = next(
            (n for n, (k, kept, _) in enumerate(self._kept) if k == key and all(map(np.array_equal, kept, integers))),
            None,
        )
        before = self._kept.pop(place) if place is not None else (key, [x.copy() for x in integers], None)
        now = self._current(before[2], _Run(self._sets, _inputs(args, self.argnums), args, kwargs))
        self._kept.insert(0, (*before[:2], now))
        del self._kept[8:]
        return now

    def _current(self, before: Compression | None, run: _Run) -> Compression:
        """What was kept before, or it anew if it doesn't hold for this run."""
        if before is not None and before.probe is None:
            return before
        if before is None and self.given is not None:
            return self._compressed(self.given((run.outputs, run.inputs)), None, run)
        groups = run.hashed() if before is not None or run.decides() else None
        if before is None:
            found = find_pattern(run, run.inputs, run.outputs)
        else:
            assert before.probe is not None and groups is not None
            same_rows = len(groups) == len(before.probe.groups)
            if same_rows and not np.any(groups & ~before.probe.groups):
                return before
            found = find_pattern(run, run.inputs, run.outputs)
            if same_rows:
                found, groups = Pattern(found + before.probe.pattern), groups | before.probe.groups
        return self._compressed(found, None if groups is None else Probe(found, groups), run)

    def _compressed(self, pattern: Pattern, probe: Probe | None, run: _Run) -> Compression:
        if self.symmetric:
            if self.given is not None and (pattern != pattern.T).nnz:
                raise ValueError("the sparsity pattern of a Hessian must be symmetric")
            pattern = scipy.sparse.csr_array(pattern + pattern.T)  # found: a derivative may see one of the two as 0
        pattern.sort_indices()
        small = np.int32 if max(*pattern.shape, pattern.nnz) < 2**31 else np.int64
        arrays = pattern.data, pattern.indices.astype(small), pattern.indptr.astype(small)
        return _compress(Pattern(arrays, shape=pattern.shape), self.symmetric, run.sizes, probe)


class _Run:
    """The program of sets at given arguments: from the sets of the inputs, in a row, to those of the outputs."""

    def __init__(self, program: Derived, like: Sequence[np.ndarray], args: Any, kwargs: Any) -> None:
        self.program, self.like, self.args, self.kwargs = program, like, args, kwargs
        self.inputs = sum(x.size for x in like)

    def __call__(self, flat: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int64), *(np.ravel(x) for x in self._answer(flat))])

    def _answer(self, flat: np.ndarray) -> list[Any]:
        parts = np.split(flat, np.cumsum([x.size for x in self.like])[:-1])
        sets = [p.reshape(x.shape)[()] for p, x in zip(parts, self.like, strict=True)]
        return self.program(sets, self.args, self.kwargs)  # type: ignore[no-any-return]

    @cached_property
    def sizes(self) -> tuple[list[int], list[int]]:
        """Of the leaves of the inputs, and of the outputs."""
        return [x.size for x in self.like], [np.size(x) for x in self._answer(np.zeros(self.inputs, np.int64))]

    @property
    def outputs(self) -> int:
        return sum(self.sizes[1])

    def hashed(self) -> np.ndarray:
        """Of which of 64 groups each output depends on some; neighbours are in different groups (Fibonacci hashing)."""
        group = np.arange(self.inputs, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(58)
        return self(np.left_shift(np.uint64(1), group).view(np.int64))

    def decides(self) -> bool:
        """May other floats, or other contents of captured arrays, take another path?"""
        sets = [np.zeros(x.shape, np.int64)[()] for x in self.like]
        staged = self.program.staged((sets, self.args, self.kwargs), {})
        pairs = zip(staged.params, staged.function.params, strict=True)
        inputs = [v for spec, v in pairs if spec.kind == "captured" or dtype_of(v).is_float]
        return decides(staged.function, inputs)


def _inputs(args: Sequence[Any], argnums: Sequence[int]) -> list[np.ndarray]:
    """The leaves that are differentiated."""
    for k in argnums:
        if not -len(args) <= k < len(args):
            raise TypeError(f"argnums has {k}, but there are {len(args)} positional arguments")
    return [np.asarray(x) for k in argnums for x in state.flatten(args[k])[0]]


def _is_auto(sparsity: Any) -> bool:
    return sparsity is True or (isinstance(sparsity, str) and sparsity == "auto")


def _as_pattern(sparsity: Any) -> Callable[[tuple[int, int]], Pattern]:
    """The user's pattern, as a matrix of a shape."""
    if isinstance(sparsity, str) or not (scipy.sparse.issparse(sparsity) or len(sparsity) == 2):
        raise ValueError('sparsity is "auto", a scipy.sparse matrix or (rows, columns)')

    def of_shape(shape: tuple[int, int]) -> Pattern:
        if scipy.sparse.issparse(sparsity):
            if sparsity.shape != shape:
                raise ValueError(f"the sparsity pattern has shape {sparsity.shape}, the Jacobian {shape}")
            matrix = scipy.sparse.coo_array(sparsity)
            rows, columns = matrix.coords
        else:
            rows, columns = (np.asarray(x, np.int64) for x in sparsity)
        if len(rows) and (min(rows.min(), columns.min()) < 0 or rows.max() >= shape[0] or columns.max() >= shape[1]):
            raise ValueError(f"the sparsity pattern has entries outside of the Jacobian, whose shape is {shape}")
        ones = np.ones(len(rows), bool)
        return scipy.sparse.csr_array(scipy.sparse.coo_array((ones, (rows, columns)), shape=shape), dtype=bool)

    return of_shape


def _compress(
    pattern: Pattern, symmetric: bool, sizes: tuple[Sequence[int], Sequence[int]], probe: Probe | None
) -> Compression:
    """Colour a pattern, and find the place of each entry in the products."""
    inputs, outputs = sizes
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    columns = pattern.indices.astype(np.int64)
    by_rows = False
    if symmetric:
        colours = colour_star(pattern)
    else:
        by_rows, colours = _cheaper(pattern)
    count = int(colours.max()) + 1 if pattern.nnz else 0
    if symmetric:
        mine = rows * count + colours[columns]
        alone = np.bincount(mine, minlength=pattern.shape[0] * count)[mine] == 1  # else the mirror image is
        colour, at = np.where(alone, colours[columns], colours[rows]), np.where(alone, rows, columns)
    else:
        colour, at = (colours[rows], columns) if by_rows else (colours[columns], rows)
    places = _places(colour, at, count, inputs if by_rows else outputs)
    seeds = np.split(colours.astype(np.int32), np.cumsum(outputs if by_rows else inputs)[:-1])
    return Compression(pattern, by_rows, count, seeds, places, probe)


def _cheaper(pattern: Pattern) -> tuple[bool, np.ndarray]:
    """Colours of the columns, or (True) of the rows if these are so few that reverse mode is quicker."""
    widest = int(np.diff(pattern.indptr).max(initial=0))
    mirrored = scipy.sparse.csr_array(pattern.T)
    tallest = int(np.diff(mirrored.indptr).max(initial=0))
    if widest > _REVERSE * tallest:
        colours = colour_columns(mirrored)
        if _REVERSE * (colours.max(initial=-1) + 1) <= widest:
            return True, colours
    return False, colour_columns(pattern)


def _places(colour: np.ndarray, at: np.ndarray, count: int, sizes: Sequence[int]) -> np.ndarray:
    """Where products [count, size], one array for each size, have the numbers of these colours, one after the other."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    leaf = np.searchsorted(starts, at, side="right") - 1
    return count * starts[leaf] + colour * np.asarray(sizes)[leaf] + at - starts[leaf]


# --- staged -----------------------------------------------------------------------------------------------------------


def _subprogram(f: Callable[..., Any], argnums: Argnums, args: Any, kwargs: Any) -> Subprogram:
    sub = subprogram(f, args, kwargs, Chosen(args, argnums).leaves)
    if not any(map(is_inexact, sub.outs)):
        raise error(TypeError, f"{getattr(f, '__name__', 'f')} has no floating-point result to be differentiated")
    if any(x.dtype.kind == "c" for x in sub.outs):
        raise error(TypeError, "a sparse Jacobian is of real results: return the real and the imaginary part")
    return sub


def _stage_sets(f: Callable[..., Any], argnums: Argnums) -> Callable[..., Any]:
    """(sets of the inputs, args, kwargs) -> the sets of the floating-point outs."""

    def stage(sets: Any, args: Any, kwargs: Any) -> Any:
        sub = _subprogram(f, argnums, args, kwargs)
        outs = derive.apply(sub, "dependence", lambda _: [materialise(numeric(s)) for s in sets])
        return [value_of(a) for a in outs[len(sub.function.body.outs) :]]

    return stage


def _stage_products(f: Callable[..., Any], argnums: Argnums, by_rows: bool, told: Policy) -> Callable[..., Any]:
    """(number of colours, colours, args, kwargs) -> the products, for each leaf [colours, shape]."""

    def stage(count: Any, colours: Any, args: Any, kwargs: Any) -> Any:
        sub = _subprogram(f, argnums, args, kwargs)

        def more(_: Any) -> list[Atom]:
            given = [materialise(numeric(count))]
            for c in colours:
                atom = materialise(numeric(c))
                given += [*extents_of(atom), atom]
            return given

        products = derive.apply(sub, "rows" if by_rows else "columns", more, told)
        return [value_of(p) for p in products]

    return stage

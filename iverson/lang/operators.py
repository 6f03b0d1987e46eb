"""Staging of `iv.reduce`, `iv.scan`, `iv.histogram`: the user's operator becomes a monoid of the core.

    reduce(op, e, xs)  ->  For i < n yields Reduce m      over the leaves of xs[i]
    scan(op, xs)       ->  For i < n yields Scan m
    histogram          ->  Accumulate m, one contribution an element

An operator that is a single primitive, with that primitive's identity, is the built-in monoid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from iverson.core import monoids
from iverson.core.build import extents_of, literal, make_type
from iverson.core.syntax import Block, Literal, Monoid, Operator, Prim, Reduce, Scalar, Scan, Var, Yield
from iverson.lang import functional, indexing, shapes, state
from iverson.lang.dtypes import INT64, core_dtype
from iverson.lang.errors import error
from iverson.lang.num import Num, cast, constant, kind_of
from iverson.lang.raising import attempt
from iverson.lang.shapes import Extent
from iverson.lang.signals import NEVER
from iverson.lang.staging import Each, builder, current
from iverson.lang.table import implements
from iverson.lang.values import Arr, element, elementwise, full, generate, in_parallel, lift, lift_array, owned

_COMMUTATIVE = ("add", "mul", "min", "max", "and", "or")


def _call(function: Callable[..., Any], *args: Any) -> Any:
    from iverson.lang.runtime import call

    return call(function, *args)


# --- the operator -----------------------------------------------------------------------------------------------------


class Element:
    """The element of a monoid: a pytree of scalars and rows, as core atoms and back."""

    def __init__(self, tree: Any) -> None:
        leaves, self.spec = optree.tree_flatten(tree)
        self.samples = [lift(leaf) for leaf in leaves]
        self.dtypes = [x.dtype if isinstance(x, Arr) else kind_of(x).dtype for x in self.samples]
        if any(d.kind == "c" for d in self.dtypes):
            raise error(TypeError, "operators on complex numbers are not available: use pairs of reals")

    def atoms(self, tree: Any, what: str, exact: bool = True) -> tuple[Any, ...]:
        """The leaves of a tree of this structure, as core atoms of this element's types.

        What isn't `exact`, the identity, is cast and broadcast to them.
        """
        leaves, spec = optree.tree_flatten(tree)
        if spec != self.spec:
            raise error(TypeError, functional.other_structure(what, spec, self.spec))
        return tuple(
            self.atom(lift(leaf), d, sample, what, exact)
            for leaf, d, sample in zip(leaves, self.dtypes, self.samples, strict=True)
        )

    @staticmethod
    def atom(x: Any, dtype: np.dtype[Any], sample: Any, what: str, exact: bool) -> Any:
        if isinstance(x, Arr) and not x.ndim:
            x = x.read(())
        rank, wanted = (v.ndim if isinstance(v, Arr) else 0 for v in (x, sample))
        if rank > wanted or (exact and rank != wanted):
            raise error(TypeError, functional.other_rank(what, rank, wanted))
        given = x.dtype if isinstance(x, Arr) else kind_of(x).dtype
        weak = not isinstance(x, Arr) and kind_of(x).weak
        if not functional.fits(given, dtype, exact and not weak):
            raise error(TypeError, functional.other_dtype(what, given, dtype))
        if isinstance(sample, Arr):
            if isinstance(x, Arr):
                for n, m in zip(x.shape, sample.shape[wanted - rank :], strict=True):
                    shapes.require_same(n, m, f"{what} must have the shape of an element")
            if rank < wanted:
                x = elementwise(lambda _, v: v, sample, x)
        return element(x, dtype)

    def tree(self, atoms: Sequence[Any]) -> Any:
        return optree.tree_unflatten(self.spec, [_value(a, d) for a, d in zip(atoms, self.dtypes, strict=True)])

    def variables(self, hint: str) -> tuple[Var, ...]:
        lengths = [shapes.atoms(x.shape) if isinstance(x, Arr) else () for x in self.samples]
        return tuple(Var(make_type(core_dtype(d), n), hint) for d, n in zip(self.dtypes, lengths, strict=True))


def _value(atom: Any, dtype: np.dtype[Any]) -> Any:
    return owned(atom, dtype) if extents_of(atom) else Num(atom)


def monoid_of(
    op: Callable[..., Any], identity: Any, elements: Element, inverse: Callable[..., Any] | None = None
) -> Monoid:
    """The core monoid of a Python operator."""
    unit = elements.atoms(identity, "the identity", exact=False)
    left, right = elements.variables("l"), elements.variables("r")

    def body_of(function: Callable[..., Any], what: str) -> Block:
        state = current()
        with state.scope(Each()) as scope:
            out = attempt(lambda: _call(function, elements.tree(left), elements.tree(right)))
            outs = elements.atoms(elements.tree(left) if out is NEVER else out, what)
        return state.block(scope, outs)

    body = body_of(op, "the operator's result")
    back = None if inverse is None else body_of(inverse, "the inverse's result")
    return _builtin(unit, left, right, body) or Operator(unit, left, right, body, back)


def _builtin(unit: Sequence[Any], left: Sequence[Var], right: Sequence[Var], body: Block) -> Monoid | None:
    """The built-in monoid that an operator is, if it is one."""
    if len(left) != 1 or not isinstance(left[0].type, Scalar) or len(body.lets) != 1:
        return None
    let = body.lets[0]
    if not isinstance(let.op, Prim) or let.op.name not in _COMMUTATIVE or body.outs != let.vars:
        return None
    if set(let.op.args) != {left[0], right[0]} or not isinstance(unit[0], Literal):
        return None
    dtype = left[0].type.dtype
    neutral = literal(monoids.identity(let.op.name, dtype)[0], dtype)
    return let.op.name if unit[0] == neutral else None  # type: ignore[return-value]


# --- reduce and scan --------------------------------------------------------------------------------------------------


def _rows(xs: Any) -> tuple[Extent, Callable[[Any], Any]]:
    """How many rows a tree of arrays has, and the tree of one of them."""
    leaves, spec = optree.tree_flatten(xs)
    arrays = [lift_array(leaf) for leaf in leaves]
    if not arrays or any(not a.ndim for a in arrays):
        raise error(ValueError, "arrays with an axis 0 are needed")
    n = arrays[0].shape[0]
    for a in arrays[1:]:
        n = shapes.require_same(n, a.shape[0], "the arrays must have one length along axis 0")
    return n, lambda i: optree.tree_unflatten(spec, [_row(a, i) for a in arrays])


def _row(a: Arr, i: Any) -> Any:
    if a.ndim == 1:
        return a.read((i,))
    return a.view(a.shape[1:], lambda index: (i, *index))


def _sample(row: Callable[[Any], Any]) -> Element:
    """The types of a row; what is emitted to find out is dropped."""
    with builder().scope():
        return Element(row(0))


@implements(functional.reduce)
def reduce(op: Callable[..., Any], identity: Any, xs: Any, inverse: Callable[..., Any] | None = None) -> Any:
    n, row = _rows(xs)
    elements = _sample(row)
    m = monoid_of(op, identity, elements, inverse)
    outs = in_parallel((n,), lambda i: elements.atoms(row(i), "a row"), (Reduce(m),))
    return elements.tree(outs)


@implements(functional.scan)
def scan(op: Callable[..., Any], xs: Any, identity: Any = None, exclusive: bool = False, reverse: bool = False) -> Any:
    n, row = _rows(xs)
    elements = _sample(row)
    if identity is None:
        if exclusive:
            raise error(ValueError, "an exclusive scan needs the identity of its operator")
        identity = _neutral(op, elements)
    m = monoid_of(op, identity, elements)
    at = (lambda i: n - 1 - i) if reverse else (lambda i: i)
    yields: tuple[Yield, ...] = (Scan(m),)
    outs = in_parallel((n,), lambda i: elements.atoms(row(at(i)), "a row"), yields)
    arrays = [owned(v, d) for v, d in zip(outs, elements.dtypes, strict=True)]
    if exclusive:
        unit = [
            _value(a, d)
            for a, d in zip(elements.atoms(identity, "the identity", exact=False), elements.dtypes, strict=True)
        ]
        arrays = [_shifted(a, u) for a, u in zip(arrays, unit, strict=True)]
    if reverse:
        arrays = [a.view(a.shape, lambda index: (n - 1 - index[0], *index[1:])) for a in arrays]
    return optree.tree_unflatten(elements.spec, arrays)


def _shifted(a: Arr, first: Any) -> Arr:
    """The identity, then all but the last."""
    from iverson.lang.numpy_support import lazily

    def at(i: Any, *rest: Any) -> Any:
        start = first.read(rest) if isinstance(first, Arr) else first
        return lazily(i == 0, lambda: start, lambda: a.read((i - 1, *rest)))

    return generate(a.shape, at, a.dtype)


def _neutral(op: Callable[..., Any], elements: Element) -> Any:
    """The identity of an operator that is a single primitive."""
    left, right = elements.variables("l"), elements.variables("r")
    with builder().scope() as lets:
        _call(op, elements.tree(left), elements.tree(right))
    op_ = lets[0].op if len(lets) == 1 and len(left) == 1 else None
    if isinstance(op_, Prim) and op_.name in _COMMUTATIVE and isinstance(left[0].type, Scalar):
        return elements.dtypes[0].type(monoids.identity(op_.name, left[0].type.dtype)[0])
    raise error(ValueError, "iv.scan of an operator of your own needs its identity: iv.scan(op, xs, identity=...)")


# --- reduce by index --------------------------------------------------------------------------------------------------


@implements(functional.histogram)
def histogram(
    op: Callable[..., Any],
    identity: Any,
    indices: Any,
    values: Any,
    size: Any,
    initial: Any = None,
    mode: str = "error",
) -> Any:
    if mode not in ("error", "drop"):
        raise error(ValueError, f"mode is 'error' or 'drop', not {mode!r}")
    many = isinstance(values, tuple)
    columns = [lift_array(v) for v in (values if many else (values,))]
    where = lift_array(indices)
    for v in (where, *columns):
        if v.ndim != 1:
            raise error(ValueError, functional.ONE_AXIS)
        shapes.require_same(where.shape[0], v.shape[0], "indices and values must have one length")
    elements = _sample(lambda i: tuple(v.read((i,)) for v in columns) if many else columns[0].read((i,)))
    m = monoid_of(op, identity, elements)
    n = shapes.extent(size)
    units = identity if many else (identity,)
    starts = (None,) * len(columns) if initial is None else initial if many else (initial,)
    inits = [
        lift_array(start).astype(v.dtype) if start is not None else full((n,), unit, v.dtype)
        for v, unit, start in zip(columns, units, starts, strict=True)
    ]
    finals = _accumulate(m, inits, where, columns, n, drop=mode == "drop")
    outs = tuple(owned(v, c.dtype) for v, c in zip(finals, columns, strict=True))
    return outs if many else outs[0]


def _accumulate(m: Monoid, inits: Sequence[Arr], where: Arr, columns: Sequence[Arr], n: Extent, drop: bool) -> Any:
    b = builder()

    def body(acc: Var) -> tuple[()]:
        def contribute(i: Num) -> tuple[()]:
            at = cast(where.read((i,)), INT64)
            inside = constant((at >= 0) & (at < n))

            def add() -> tuple[()]:
                b.contribute(acc, (at.atom,), *(v.read((i,)).atom for v in columns), safe=True)
                return ()

            if drop:
                b.if_(inside.atom, add, tuple)
            else:
                b.check(
                    inside.atom,
                    "index {} is out of bounds for {} bins",
                    at.atom,
                    shapes.extent_atom(n),
                    error="IndexError",
                )
                add()
            return ()

        in_parallel(columns[0].shape, contribute, ())
        return ()

    from iverson.lang.values import materialise

    return b.accumulate([(m, [materialise(x) for x in inits])], body)


@implements(functional.segment_sum)
def segment_sum(values: Any, indices: Any, size: Any) -> Any:
    x, where = lift_array(values), lift_array(indices)
    n = shapes.extent(size)
    shapes.require_same(where.shape[0], x.shape[0], "values and indices must have one length")
    out = full((n, *x.shape[1:]), 0, x.dtype)
    b = builder()

    def write(acc: Any, index: Any) -> None:
        at = cast(where.read((index[0],)), INT64)
        if len(index) == x.ndim:
            inside = constant((at >= 0) & (at < n))
            message = "index {} is out of bounds for {} segments"
            b.check(inside.atom, message, at.atom, shapes.extent_atom(n), error="IndexError")
        indexing.contribute(acc, (at, *index[1:]), x.read(index), True)

    indexing._accumulate(out, x.shape, write, "add")
    return out


# --- stop_gradient ----------------------------------------------------------------------------------------------------


@implements(functional.stop_gradient)
def stop_gradient(x: Any) -> Any:
    leaves, spec = state.flatten(x)
    return state.unflatten(spec, [_stopped(leaf) for leaf in leaves])


def _stopped(leaf: Any) -> Any:
    if not isinstance(leaf, Num | Arr) or leaf.dtype.kind not in "fc":
        return leaf

    def stop(v: Num) -> Num:
        o = builder().o
        return Num(o.stop(v.atom), v.weak, None if v.im is None else o.stop(v.im))

    return elementwise(stop, leaf)

"""The functional spellings: control flow as functions, and reductions with any associative operator.

`cond`, `fori_loop` and `while_loop` are ordinary Python, and staged like any other function.  `reduce`, `scan` and
`histogram` run as written here on NumPy values; in a staged program they become parallel constructs of the core
(`lang/operators.py`), which is why their operator must be associative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree


def cond(p: Any, then: Callable[..., Any], orelse: Callable[..., Any], *operands: Any) -> Any:
    """then(*operands) if p, else orelse(*operands); only that side runs."""
    return then(*operands) if p else orelse(*operands)


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """carry = body(i, carry) for i from lower to upper - 1, starting with init."""
    carry = init
    for i in range(lower, upper):
        carry = body(i, carry)
    return carry


def while_loop(test: Callable[[Any], Any], body: Callable[[Any], Any], init: Any) -> Any:
    """carry = body(carry) as long as test(carry) holds, starting with init."""
    carry = init
    while test(carry):
        carry = body(carry)
    return carry


def unroll(items: Any) -> list[Any]:
    """The items as a list: a loop over them is unrolled when it is staged.  Their number must be known then.

    >>> for k in iv.unroll(range(3)): ...
    """
    return list(items)


def stop_gradient(x: Any) -> Any:
    """x, taken as a constant by every derivative; x may be a pytree."""
    return x


# --- reductions, scans, histograms ------------------------------------------------------------------------------------

ONE_AXIS = "the values of a histogram are arrays with one axis: give the columns of a matrix as a tuple"


def other_structure(what: str, given: Any, wanted: Any) -> str:
    return f"{what} has the structure {given}, the elements have {wanted}"


def other_rank(what: str, given: int, wanted: int) -> str:
    kinds = [f"an array with {rank} axes" if rank else "a number" for rank in (given, wanted)]
    return f"{what} is {kinds[0]}, where an element is {kinds[1]}"


def other_dtype(what: str, given: Any, wanted: Any) -> str:
    return f"{what} has dtype {given}, the elements have {wanted}: use .astype"


def fits(given: Any, wanted: Any, exact: bool) -> bool:
    """May a value of a dtype stand for an element?"""
    return given == wanted if exact else np.can_cast(given, wanted, "same_kind")


class _Elements:
    """The elements of a tree of arrays, eagerly: rows along axis 0."""

    def __init__(self, xs: Any) -> None:
        leaves, self.spec = optree.tree_flatten(xs)
        self.arrays = [np.asarray(leaf) for leaf in leaves]
        if not leaves or any(not a.ndim for a in self.arrays):
            raise ValueError("arrays with an axis 0 are needed")
        lengths = {len(a) for a in self.arrays}
        if len(lengths) != 1:
            raise ValueError(f"the arrays must have one length along axis 0, not {sorted(lengths)}")
        self.length = lengths.pop()

    def tree(self, leaves: Any) -> Any:
        return optree.tree_unflatten(self.spec, leaves)

    def row(self, i: int) -> Any:
        return self.tree([a[i] for a in self.arrays])

    def leaves(self, tree: Any, what: str, exact: bool = True) -> list[Any]:
        """The leaves of an element; what isn't `exact`, the identity, is cast and broadcast."""
        leaves, spec = optree.tree_flatten(tree)
        if spec != self.spec:
            raise TypeError(other_structure(what, spec, self.spec))
        out = []
        for leaf, a in zip(leaves, self.arrays, strict=True):
            x, shape = np.asarray(leaf), a.shape[1:]
            if x.ndim > len(shape) or (exact and x.ndim != len(shape)):
                raise TypeError(other_rank(what, x.ndim, len(shape)))
            if exact and x.shape != shape:
                raise ValueError(f"{what} must have the shape of an element, {shape}, not {x.shape}")
            weak = isinstance(leaf, bool | int | float) and not isinstance(leaf, np.generic)
            if not fits(x.dtype, a.dtype, exact and not weak):
                raise TypeError(other_dtype(what, x.dtype, a.dtype))
            out.append(np.broadcast_to(x, shape).astype(a.dtype)[()])
        return out

    def identity(self, tree: Any) -> Any:
        return self.tree(self.leaves(tree, "the identity", exact=False))

    def combined(self, op: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        return self.tree(self.leaves(op(left, right), "the operator's result"))


def reduce(
    op: Callable[[Any, Any], Any],
    identity: Any,
    xs: Any,
    inverse: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """identity ∘ xs[0] ∘ xs[1] ∘ ..., along axis 0, in this order: op(a, b) is a ∘ b.

    `xs` may be a pytree of arrays of one length: op takes and gives such a tree of their rows, of the same shapes and
    dtypes, and so is `identity` (whose numbers are cast and broadcast).  op may use what is around it: derivatives
    reach that, too.

    In a program this is a parallel reduction, and so is its derivative, with no loop over the elements.  For that op
    must be associative, and `identity` neutral on both sides: it is no initial value.  Neither can be checked; an op
    that isn't associative gives a result and a derivative that depend on how the sequence is split.

    `inverse` is for the derivative of an op that is commutative and can be undone: inverse(op(b, a), a) is b, but for
    rounding, for every element a and b the rest of them.  Then nothing but the result is kept.  It is not used where op
    depends on something around it that has a derivative.

    Raises TypeError where op or identity has another structure, rank or dtype than the elements, ValueError where the
    lengths or shapes differ.

    >>> iv.reduce(lambda a, b: a * b, 1.0, np.array([2.0, 3.0, 4.0]))
    np.float64(24.0)
    >>> def compose(f, g):  # x -> f[0] x + f[1], then g
    ...     return f[0] * g[0], g[0] * f[1] + g[1]
    >>> a, b = iv.reduce(compose, (1.0, 0.0), (np.array([2.0, 3.0]), np.array([1.0, 1.0])))
    >>> float(a), float(b)
    (6.0, 4.0)

    Derivatives: Paszke et al., Parallelism-preserving automatic differentiation for second-order array languages
    (FHPNC 2021); Bruun et al., Reverse-mode AD of multi-reduce and scan in Futhark (IFL 2023).
    """
    elements = _Elements(xs)
    out = elements.identity(identity)
    for i in range(elements.length):
        out = elements.combined(op, out, elements.row(i))
    return out


def scan(
    op: Callable[[Any, Any], Any], xs: Any, identity: Any = None, exclusive: bool = False, reverse: bool = False
) -> Any:
    """xs[0], xs[0] ∘ xs[1], xs[0] ∘ xs[1] ∘ xs[2], ..., along axis 0: op(a, b) is a ∘ b.

    `xs` may be a pytree of arrays of one length, and so is the result; op and `identity` are as in `iv.reduce`.  The
    identity may be left out where op is a sum, product, minimum, maximum or the like of two numbers.  `exclusive`
    leaves xs[i] out of result i, which starts with the identity.  `reverse` reverses xs before and the result after.

    In a program this is a parallel scan, and so is its derivative.  Raises what `iv.reduce` raises, and ValueError for
    an exclusive scan without identity.

    >>> iv.scan(lambda a, b: a + b, np.array([1.0, 2.0, 3.0]))
    array([1., 3., 6.])
    >>> iv.scan(np.maximum, np.array([1.0, 3.0, 2.0]), -np.inf, exclusive=True, reverse=True)
    array([  3.,   2., -inf])
    """
    if exclusive and identity is None:
        raise ValueError("an exclusive scan needs the identity of its operator")
    elements = _Elements(xs)
    out = None if identity is None else elements.identity(identity)
    order = range(elements.length)
    results = [np.empty_like(a) for a in elements.arrays]
    for i in reversed(order) if reverse else order:
        before = out
        out = elements.row(i) if out is None else elements.combined(op, out, elements.row(i))
        for result, leaf in zip(results, optree.tree_leaves(before if exclusive else out), strict=True):
            result[i] = leaf
    return elements.tree(results)


def histogram(
    op: Callable[[Any, Any], Any],
    identity: Any,
    indices: Any,
    values: Any,
    size: int,
    initial: Any = None,
    mode: str = "error",
) -> Any:
    """Reduction by index: out[k] = initial[k] ∘ values[i] ∘ values[j] ∘ ... over the i < j < ... with indices[i] == k.

    `initial`, of length `size`, is the identity everywhere unless given.  `values` may be a tuple of arrays with one
    axis; op then takes and gives tuples of numbers, and so are `identity` and `initial`.  op is as in `iv.reduce`.  An
    index outside of 0 ... size - 1 is an IndexError, or with mode="drop" its value is left out.

    The derivative is parallel as well: for min and max it is that of the first value that attains it, for products that
    of the product without each, for other operators that of a scan of the values in the order of their bins.  Schenck
    et al., AD for an array language with nested parallelism (SC 2022).

    Raises IndexError, ValueError for another `mode` or lengths that differ, and the TypeErrors of `iv.reduce`.

    >>> iv.histogram(np.maximum, -np.inf, np.array([0, 2, 0]), np.array([1.0, 5.0, 3.0]), 3)
    array([  3., -inf,   5.])
    """
    if mode not in ("error", "drop"):
        raise ValueError(f"mode is 'error' or 'drop', not {mode!r}")
    elements, at = _Elements(values if isinstance(values, tuple) else (values,)), np.asarray(indices)
    if at.ndim != 1 or any(a.ndim != 1 for a in elements.arrays):
        raise ValueError(ONE_AXIS)
    if len(at) != elements.length:
        raise ValueError(f"indices and values must have one length ({len(at)} and {elements.length})")
    many = isinstance(values, tuple)
    unit = elements.identity(identity if many else (identity,))
    starts = unit if initial is None else initial if many else (initial,)
    outs = [np.broadcast_to(x, (size,)).astype(a.dtype) for x, a in zip(starts, elements.arrays, strict=True)]

    def combine(left: Any, right: Any) -> Any:
        return op(left, right) if many else (op(left[0], right[0]),)

    for i, k in enumerate(at):
        if 0 <= k < size:
            new = elements.combined(combine, tuple(o[k] for o in outs), elements.row(i))
            for out, x in zip(outs, new, strict=True):
                out[k] = x
        elif mode == "error":
            raise IndexError(f"index {k} is out of bounds for {size} bins")
    return tuple(outs) if many else outs[0]


def segment_sum(values: Any, indices: Any, size: int) -> Any:
    """The sums of the values (or rows) that have the same index: out[k] = sum of values[i] with indices[i] == k."""
    values = np.asarray(values)
    at = np.asarray(indices)
    for bad in at[(at < 0) | (at >= size)]:
        raise IndexError(f"index {bad} is out of bounds for {size} segments")
    out = np.zeros((size, *values.shape[1:]), values.dtype)
    np.add.at(out, at, values)
    return out

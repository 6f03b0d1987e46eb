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


def _length(xs: Any) -> int:
    lengths = {np.shape(leaf)[0] for leaf in optree.tree_leaves(xs)}
    if len(lengths) != 1:
        raise ValueError(f"the arrays must have one length along axis 0, not {sorted(lengths)}")
    return lengths.pop()


def _row(xs: Any, i: int) -> Any:
    return optree.tree_map(lambda leaf: leaf[i], xs)


def reduce(op: Callable[[Any, Any], Any], identity: Any, xs: Any) -> Any:
    """op over the rows xs[0], xs[1], ... along axis 0; op is associative and `identity` is neutral.

    `xs` may be a pytree of arrays of one length: op takes and gives such a tree of rows.
    """
    out = identity
    for i in range(_length(xs)):
        out = op(out, _row(xs, i))
    return out


def scan(
    op: Callable[[Any, Any], Any], xs: Any, identity: Any = None, exclusive: bool = False, reverse: bool = False
) -> Any:
    """The results of op over xs[0], ..., xs[i] for each i, along axis 0; op is associative.

    `exclusive` leaves xs[i] out, and starts with the identity.  `reverse` reverses xs before and the result after.
    """
    if exclusive and identity is None:
        raise ValueError("an exclusive scan needs the identity of its operator")
    n = _length(xs)
    order = range(n - 1, -1, -1) if reverse else range(n)
    out, rows = identity, []
    for i in order:
        before = out
        out = _row(xs, i) if out is None else op(out, _row(xs, i))
        rows.append(before if exclusive else out)
    if reverse:
        rows.reverse()
    if not rows:
        return optree.tree_map(np.copy, xs)
    return optree.tree_map(lambda leaf, *parts: np.stack(parts).astype(leaf.dtype, copy=False), xs, *rows)


def histogram(
    op: Callable[[Any, Any], Any],
    identity: Any,
    indices: Any,
    values: Any,
    size: int,
    initial: Any = None,
    mode: str = "error",
) -> Any:
    """Reduce by index: out[indices[i]] = op(out[indices[i]], values[i]) for all i, starting with `initial`.

    `initial` is the identity everywhere unless given.  `values` may be a tuple of arrays; op then takes and gives
    tuples.  An index outside of 0 ... size - 1 is an error, or with mode="drop" its value is left out.
    """
    if mode not in ("error", "drop"):
        raise ValueError(f"mode is 'error' or 'drop', not {mode!r}")
    many = isinstance(values, tuple)
    columns = [np.asarray(v) for v in (values if many else (values,))]
    units = identity if many else (identity,)
    starts = (None,) * len(columns) if initial is None else initial if many else (initial,)
    outs = [
        np.full(size, unit, v.dtype) if start is None else np.array(start, v.dtype)
        for v, unit, start in zip(columns, units, starts, strict=True)
    ]
    for i, at in enumerate(np.asarray(indices)):
        if 0 <= at < size:
            old, value = tuple(o[at] for o in outs), tuple(v[i] for v in columns)
            new = op(old, value) if many else (op(old[0], value[0]),)
            for out, x in zip(outs, new, strict=True):
                out[at] = x
        elif mode == "error":
            raise IndexError(f"index {at} is out of bounds for {size} bins")
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

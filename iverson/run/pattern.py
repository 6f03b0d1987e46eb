"""Finding the sparsity pattern of a Jacobian by asking which groups of inputs each output depends on.

A run of the program on sets (diff/dependence.py) says it for 64 groups.  From one group of all inputs on, groups are
split until they are single inputs: of the groups that an output depends on only the parts are asked for, and groups
that no output shares are asked together, which is a colouring of the groups.  So the number of runs grows with the
logarithm of the number of inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from iverson.run.colouring import Pattern, colour_columns
from iverson.run.jit import jit

_WORD = 64
_MOST = 1 << 28  # entries that are found before giving up


def find_pattern(sets: Callable[[np.ndarray], np.ndarray], inputs: int, outputs: int) -> Pattern:
    """The pattern [outputs, inputs] of a function; `sets` gives the outputs' sets (int64) from the inputs'."""
    width = max(2, 1 << max(inputs - 1, 0).bit_length())  # of a group: a power of two
    pattern = Pattern((np.ones(outputs, bool), np.zeros(outputs, int), np.arange(outputs + 1)), shape=(outputs, 1))
    if inputs == 0 or outputs == 0:
        return Pattern((outputs, inputs), dtype=bool)
    while width > 1:
        pattern, width = _split(pattern, sets, inputs, width)
    return pattern


def _split(pattern: Pattern, sets: Callable[[np.ndarray], np.ndarray], inputs: int, width: int) -> tuple[Pattern, int]:
    """The pattern of smaller groups, and their width."""
    outputs, position = pattern.shape[0], np.arange(inputs)
    colour = colour_columns(pattern)
    colours = int(colour.max(initial=0)) + 1
    parts = min(width, _WORD, 1 << max((_WORD // colours).bit_length() - 1, 1))
    together = _WORD // parts  # colours in a run
    narrow = width // parts
    mine = colour[position // width]
    member = np.left_shift(1, mine % together * parts + position % width // narrow)
    runs = range(-(-colours // together))
    answers = np.stack([sets(np.where(mine // together == run, member, 0)) for run in runs])
    arrays = (pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64))
    asked = (colour // together, colour % together * parts, answers, parts)
    counts = _count(*arrays, *asked)
    starts = np.concatenate([[0], np.cumsum(counts)])
    if starts[-1] > _MOST:
        raise MemoryError(f"the Jacobian has more than {_MOST} entries: give its pattern, or compute it densely")
    found = _list(*arrays, *asked, starts)
    shape = outputs, -(-inputs // narrow)
    return Pattern((np.ones(len(found), bool), found, starts), shape=shape), narrow


@jit
def _count(starts, groups, run, shift, answers, parts):  # type: ignore[no-untyped-def]
    """How many parts of its groups each output depends on."""
    outputs = len(starts) - 1
    counts = np.zeros(outputs, np.int64)
    for r in range(outputs):
        for e in range(starts[r], starts[r + 1]):
            g = groups[e]
            answer = answers[run[g], r] >> shift[g]
            for k in range(parts):
                counts[r] += (answer >> k) & 1
    return counts


@jit
def _list(starts, groups, run, shift, answers, parts, new_starts):  # type: ignore[no-untyped-def]
    """These parts, as groups of their own."""
    outputs = len(starts) - 1
    found = np.empty(new_starts[outputs], np.int64)
    for r in range(outputs):
        at = new_starts[r]
        for e in range(starts[r], starts[r + 1]):
            g = groups[e]
            answer = answers[run[g], r] >> shift[g]
            for k in range(parts):
                if (answer >> k) & 1 == 1:
                    found[at] = g * parts + k
                    at += 1
    return found

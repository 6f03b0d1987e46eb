"""Einsum notation: parsing, and the order in which several operands are contracted.

A subscript is a tuple of labels, one per axis; equal labels share an index, and labels that the output lacks are
summed.  Nothing here knows of values: `linear.py` emits what is planned.

    ops[0][s0] * ops[1][s1] * ...  ->  pairs, cheapest total first, each  left[l] * right[r] -> [what is needed later]
"""

from __future__ import annotations

import math
import string
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

from iverson.lang.errors import error

Label: TypeAlias = Hashable
Labels: TypeAlias = tuple[Label, ...]

_EXHAUSTIVE = 6  # operands up to which all orders are compared


def parse(subscripts: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of the operands and of the output.  Axes under an ellipsis are labelled -1 (the last), -2, ..."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise error(ValueError, f"einsum {subscripts!r} names {len(terms)} operands, {len(ranks)} are given")
    inputs = [_labels(term, rank, subscripts) for term, rank in zip(terms, ranks, strict=True)]
    widest = max((-min((x for x in labels if isinstance(x, int)), default=0) for labels in inputs), default=0)
    dots = tuple(range(-widest, 0))
    if arrow:
        return inputs, _output(right, inputs, dots, subscripts)
    letters = [x for labels in inputs for x in labels if isinstance(x, str)]
    return inputs, (*dots, *sorted(x for x in set(letters) if letters.count(x) == 1))


def parse_sublists(args: Sequence[object]) -> tuple[str, list[object]]:
    """einsum(x, [0, 1], y, [1, 2], [0, 2]) as subscripts and operands."""
    operands = list(args[0 : len(args) - len(args) % 2 : 2])
    lists = list(args[1::2])
    terms = [_term(entry) for entry in lists]
    text = ",".join(terms)
    return (text + "->" + _term(args[-1]) if len(args) % 2 else text), operands


def _term(labels: object) -> str:
    if not isinstance(labels, Sequence):
        raise error(
            TypeError, "einsum takes a string of subscripts first, or operands each followed by a list of labels"
        )
    return "".join("..." if x is Ellipsis else string.ascii_letters[int(str(x))] for x in labels)


def _labels(term: str, rank: int, subscripts: str) -> Labels:
    before, dots, after = term.partition("...")
    letters = before + after
    if not all(x in string.ascii_letters for x in letters):
        raise error(ValueError, f"einsum {subscripts!r}: {term!r} is not letters and at most one ellipsis")
    hidden = rank - len(letters)
    if hidden < 0 or (hidden and not dots):
        raise error(ValueError, f"einsum {subscripts!r}: {term!r} does not fit an operand with {rank} axes")
    return (*before, *range(-hidden, 0), *after)


def _output(term: str, inputs: Sequence[Labels], dots: Labels, subscripts: str) -> Labels:
    before, ellipsis, after = term.partition("...")
    known = {x for labels in inputs for x in labels}
    for letter in before + after:
        if letter not in known:
            raise error(ValueError, f"einsum {subscripts!r}: output label {letter!r} is in no operand")
        if (before + after).count(letter) > 1:
            raise error(ValueError, f"einsum {subscripts!r}: output label {letter!r} appears twice")
    if dots and not ellipsis:
        raise error(ValueError, f"einsum {subscripts!r}: the output lacks the ellipsis of the operands")
    return (*before, *dots, *after)


def plan(inputs: Sequence[Labels], output: Labels, sizes: Mapping[Label, float]) -> list[tuple[int, int, Labels]]:
    """Pairs to contract, in order: (i, j, labels of the result), which takes the next free position.

    `sizes` weighs a label; an unknown extent counts as a large one.  One or two operands need no pairs.
    """
    if len(inputs) <= 2:
        return []
    return _best_order(inputs, output, sizes) if len(inputs) <= _EXHAUSTIVE else _in_turn(inputs, output)


def _needed(labels: set[Label], others: Sequence[Labels], output: Labels) -> Labels:
    later = set(output).union(*map(set, others))
    return tuple(sorted(labels & later, key=repr))


def _in_turn(inputs: Sequence[Labels], output: Labels) -> list[tuple[int, int, Labels]]:
    pairs = []
    current, labels = 0, inputs[0]
    for k in range(1, len(inputs) - 1):
        labels = _needed({*labels, *inputs[k]}, inputs[k + 1 :], output)
        pairs.append((current, k, labels))
        current = len(inputs) + len(pairs) - 1
    return pairs


def _best_order(
    inputs: Sequence[Labels], output: Labels, sizes: Mapping[Label, float]
) -> list[tuple[int, int, Labels]]:
    """Compare all orders; the last two operands are left to the caller, who contracts them into the output."""

    @cache
    def search(terms: tuple[tuple[int, Labels], ...], fresh: int) -> tuple[float, tuple[tuple[int, int, Labels], ...]]:
        if len(terms) == 2:
            return _work(terms[0][1], terms[1][1], sizes), ()
        best: tuple[float, tuple[tuple[int, int, Labels], ...]] = (math.inf, ())
        for p in range(len(terms)):
            for q in range(p + 1, len(terms)):
                (i, left), (j, right) = terms[p], terms[q]
                rest = tuple(t for k, t in enumerate(terms) if k not in (p, q))
                labels = _needed({*left, *right}, [t[1] for t in rest], output)
                cost, pairs = search((*rest, (fresh, labels)), fresh + 1)
                cost += _work(left, right, sizes)
                if cost < best[0]:
                    best = cost, ((i, j, labels), *pairs)
        return best

    return list(search(tuple(enumerate(inputs)), len(inputs))[1])


def _work(left: Labels, right: Labels, sizes: Mapping[Label, float]) -> float:
    return math.prod(sizes[x] for x in {*left, *right})

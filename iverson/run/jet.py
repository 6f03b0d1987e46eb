"""`iv.jet`: derivatives of any order along a curve, by Taylor mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from iverson.lang import state
from iverson.lang.errors import error
from iverson.lang.inner import Inside, numeric, require_like, subprogram
from iverson.lang.staging import active
from iverson.lang.values import materialise
from iverson.run import derive
from iverson.run.jit import Derived
from iverson.run.leaves import Chosen, tangent_tree
from iverson.run.transforms import kept


def jet(f: Callable[..., Any], primals: Sequence[Any], series: Sequence[Sequence[Any]]) -> tuple[Any, list[Any]]:
    """(f(*primals), its derivatives along a curve), by Taylor mode: all orders 1 to K in one run.

    `series` has for each primal the derivatives at 0 of a curve x(s) that starts there: [x', x'', ...], K of them, each
    with the structure, shape and dtype of the primal.  Given are f(x(0)) and the K derivatives of f(x(s)) at 0, in the
    structure of the result.  The work is O(K²) times f's, where K nested `jvp`s take 2ᴷ.

    Raises TypeError for primals that aren't floating-point, for series of different lengths or another structure.

    >>> iv.jet(np.sin, (0.0,), ((1.0, 0.0, 0.0),))
    (0.0, [1.0, -0.0, -1.0])

    Method: Griewank and Walther, Evaluating Derivatives, chapter 13; iverson/diff/taylor.py.
    """
    primals, series = tuple(primals), tuple(list(terms) for terms in series)
    if len(primals) != len(series):
        raise TypeError(f"jet takes one series per primal: {len(primals)} primals, {len(series)} series")
    if len(orders := {len(terms) for terms in series}) != 1:
        raise TypeError(f"the series of jet must have one length, not {sorted(orders)}")
    if active():
        return _jet(f, primals, series)
    return kept(_curve, f)(primals, series)  # type: ignore[no-any-return]


def _curve(f: Callable[..., Any]) -> Callable[..., Any]:
    return Derived(lambda p, s: _jet(f, p, s), f, "jet")


def _jet(f: Callable[..., Any], primals: tuple[Any, ...], series: tuple[list[Any], ...]) -> tuple[Any, list[Any]]:
    order = len(series[0])
    chosen = Chosen(primals, range(len(primals)))
    sub = subprogram(f, primals, {}, chosen.leaves, scope=Inside(order))
    terms = []  # by order, in the order of the leaves
    for k in range(order):
        given, structure = state.flatten(tuple(s[k] for s in series))
        if structure != state.flatten(primals)[1]:
            raise error(TypeError, "each term of a series must have the structure of its primal")
        like = [(numeric(given[i]), numeric(chosen.values[i])) for i in chosen.leaves]
        terms.append([require_like(term, primal, "a term of a series") for term, primal in like])
    scaled = [materialise(x / math.factorial(k)) for leaf in zip(*terms, strict=True) for k, x in enumerate(leaf, 1)]
    outs = derive.jet(sub, order, scaled)
    count = len(sub.function.body.outs)
    tails = [outs[count + k :: order] for k in range(order)]
    trees = [tangent_tree(sub, tail, float(math.factorial(k))) for k, tail in enumerate(tails, 1)]
    return sub.rebuild(outs[:count]), trees

"""outer: a matrix that only outer products are added to is neither filled nor added to; others are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.core.build import extents_of
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Accumulate
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt.pipeline import optimise, prepare
from tests.lang.test_stage_corpus import inputs
from tests.opt.support import same


def two_ways(a: Any, x: Any, y: Any) -> Any:
    return np.sum((y @ a) ** 2) + np.sum((a @ x) ** 2)


def one_after_the_other(a: Any, x: Any, y: Any) -> Any:
    return np.sum(np.sin((a @ x) @ a))


def in_turns(a: Any, x: Any, y: Any) -> Any:
    """The matrix's adjoint is carried from turn to turn: it is added to in place."""
    for _ in range(3):
        y = np.tanh(a @ x + y)
        x = np.tanh(y @ a)
    return np.sum(x)


@pytest.mark.parametrize("n, m", [(0, 3), (1, 1), (2, 1), (5, 6)])
@pytest.mark.parametrize(
    "f, added", [(two_ways, 0), (one_after_the_other, 0), (in_turns, 1)], ids=lambda p: getattr(p, "__name__", None)
)
def test_adjoints(f: Callable[..., Any], added: int, n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    given = [rng.normal(size=(n, m)), rng.normal(size=m), rng.normal(size=n)]
    if n > 1:
        given[0][0, 0] = np.inf
    s = stage_for(f, given)
    args = inputs(s, given)
    wrt = [k for k, p in enumerate(s.function.params) if p.type.dtype.is_float]  # type: ignore[union-attr]
    slow, fast = gradient(s.function, wrt), optimise(gradient(prepare(s.function), wrt))
    with np.errstate(all="ignore"):
        for a, b in zip(evaluate(slow, args).values, evaluate(fast, args).values, strict=True):
            assert same(a, b, exact=False)
    if m > 4:
        accumulated = [let for let in statements(fast.body) if isinstance(let.op, Accumulate)]
        assert any(len(extents_of(v)) == 2 for let in accumulated for v in let.vars) == bool(added)

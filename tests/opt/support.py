"""What every pass is held to: the same values, a well-formed program, no more work and no more copies."""

from __future__ import annotations

import textwrap
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from iverson.core.check import check
from iverson.core.evaluate import Result, evaluate
from iverson.core.show import show
from iverson.core.syntax import Function

Pass = Callable[[Function], Function]


def outcome(f: Function, args: Sequence[Any]) -> Result | type[BaseException]:
    """What a program gives, or the error it raises."""
    try:
        return evaluate(f, args)
    except (IndexError, ZeroDivisionError, ValueError) as error:
        return type(error)


_RECENT: OrderedDict[tuple[int, int], tuple[Function, Sequence[Any], Result | type[BaseException]]] = OrderedDict()


def judged(f: Function, args: Sequence[Any]) -> Result | type[BaseException]:
    """The outcome of a program that is found well formed; once for the passes that are tried on it."""
    key = id(f), id(args)
    if key not in _RECENT:
        check(f)
        _RECENT[key] = f, args, outcome(f, args)  # these, too: an id is its own as long as they live
        if len(_RECENT) > 256:
            _RECENT.popitem(last=False)
    _RECENT.move_to_end(key)
    return _RECENT[key][2]


def same(a: Any, b: Any, exact: bool = True) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if exact:
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)


def assert_kept(
    f: Function, run: Pass, *arguments: Sequence[Any], exact: bool = True, slack: float = 0.0, extra: int = 0
) -> Function:
    """The pass's result on f, after asserting that it means and costs what it should on each list of arguments.

    `slack` and `extra` are by how much work may rise (a part of it, and a number), where a pass states that it may.
    """
    if not arguments:
        check(f)
    g = run(f)
    if not arguments:
        check(g)
    for args in arguments:
        before, after = judged(f, args), judged(g, args)

        def text(args: Sequence[Any] = args) -> str:
            return f"\n{show(f)}\nbecame\n{show(g)}\non {args}"

        if isinstance(before, type):
            assert before is after or not isinstance(after, type), f"{before} became {after}{text()}"
            continue
        assert not isinstance(after, type), f"raises {after}{text()}"
        for a, b in zip(before.values, after.values, strict=True):
            assert same(a, b, exact), f"{a} became {b}{text()}"
        assert after.cost.work <= before.cost.work * (1 + slack) + extra, f"{before.cost} became {after.cost}{text()}"
        assert after.cost.copied <= before.cost.copied, f"{before.cost} became {after.cost}{text()}"
    return g


def golden(
    f: Function, run: Pass, expected: str, *arguments: Sequence[Any], exact: bool = True, extra: int = 0
) -> None:
    """The pass's result is this text (its header aside), and is kept on the arguments."""
    g = assert_kept(f, run, *arguments, exact=exact, extra=extra)
    text = show(g).split("{\n", 1)[1]
    assert text.strip() == textwrap.dedent(expected).strip().removeprefix("{\n"), show(g)


def unchanged(f: Function, run: Pass) -> None:
    """The pass finds nothing to do."""
    assert show(run(f)) == show(f)

"""What a program itself says about its tape: `iv.range(n, tape=...)` of a loop, `iv.keep` and `iv.recompute` of values.

Like every function of the language they mean something without a compiler: `iv.range` is `range`, the others give their
argument.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from iverson.core.syntax import Tape as Note
from iverson.diff.tape import Policy
from iverson.lang import state
from iverson.lang.iterate import Steps, range_, steps
from iverson.lang.num import Num
from iverson.lang.staging import builder
from iverson.lang.table import implements
from iverson.lang.values import Arr, elementwise
from iverson.run.tape import Tape, unplanned


def range(*args: Any, tape: Tape = "auto") -> Any:
    """range(*args), for a loop that says how derivatives have the states of its turns again.

    `tape` is "auto", "store" (by recording every turn, whatever the derivative is told), or `iv.tape.checkpoint(...)`.
    It says nothing about a loop that is unrolled, or a comprehension.  Raises ValueError for another `tape`.

    >>> for t in iv.range(steps, tape=iv.tape.checkpoint(slots=20)): ...
    """
    _note(tape)
    return builtins.range(*args)


@implements(range)
def _range(*args: Any, tape: Tape = "auto") -> Any:
    found = steps(range_(*args))
    assert found is not None
    return Steps(found.length, found.at, _note(tape))


def keep(x: Any) -> Any:
    """x, which a derivative stores where it would compute it again: a number of a loop's turn, say.  x may be a pytree.

    >>> for i in range(n): s += weights[i] * iv.keep(np.exp(s))
    """
    return x


def recompute(x: Any) -> Any:
    """x, which a derivative computes again where it would store it: from what x is made of.  x may be a pytree.

    It is about values made inside of a loop or comprehension.  Work grows by that of making x once more.

    >>> for k in range(layers): h = np.tanh(iv.recompute(w[k] @ h))
    """
    return x


def _marking(name: str) -> Callable[[Any], Any]:
    def mark(v: Num) -> Num:
        prim = getattr(builder().o, name)
        return Num(prim(v.atom), v.weak, None if v.im is None else prim(v.im))

    def leaf(x: Any) -> Any:
        return elementwise(mark, x) if isinstance(x, Num | Arr) and x.dtype.kind in "fc" else x

    def staged(x: Any) -> Any:
        leaves, spec = state.flatten(x)
        return state.unflatten(spec, [leaf(x) for x in leaves])

    return staged


implements(keep)(_marking("keep"))
implements(recompute)(_marking("recompute"))


def _note(tape: Tape) -> Note | None:
    told = unplanned(tape)
    if told == Policy(mode="store"):
        return "store"
    if told != Policy(checkpoint=told.checkpoint):
        raise ValueError(f"a loop's tape is 'auto', 'store' or iv.tape.checkpoint(...), not {tape!r}")
    return told.checkpoint

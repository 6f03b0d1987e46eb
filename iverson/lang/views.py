"""Views made on one side of an If, as they are seen after it.

    if p: t = e; y = x[t:]   else: y = x      ->      t' = if p {t = e} t else {} 0;  y is x[t':] where p holds

The numbers of a side that a view's map of indices uses become results of the If.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iverson.core.rewrite import free, rename
from iverson.core.syntax import I64, Atom, Block, Let, Scalar, Var
from iverson.lang.num import Num
from iverson.lang.shapes import atoms
from iverson.lang.staging import builder
from iverson.lang.values import Arr


def numbers_of(x: Arr, lets: Iterable[Let]) -> list[Var]:
    """What a view's map of indices uses of these statements."""
    made = {v for let in lets for v in let.vars}
    index = tuple(Var(Scalar(I64), "i") for _ in range(x.ndim))
    return [v for v in free(_traced(x, index)) if v in made] if made else []


def renamed(x: Arr, env: Mapping[Var, Atom]) -> Arr:
    """The same view with other numbers in its map of indices."""
    if not env:
        return x

    def at(index: tuple[Any, ...]) -> tuple[Any, ...]:
        block = _traced(x, atoms(index))
        return tuple(Num(a, True) for a in builder().splice(rename(block, dict(env))))

    return type(x)(x.source, x.shape, at, None, x.readonly)


def _traced(x: Arr, index: tuple[Atom, ...]) -> Block:
    """The map of indices of a view as a block."""
    with builder().scope() as lets:
        outs = atoms(x.at(tuple(Num(i, True) for i in index)))
    return Block(tuple(lets), outs)

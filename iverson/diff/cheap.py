"""What is cheap to run once more.

cheap     Maps whose elements take so few scalar operations, and branches of such: where that is less than to keep them
tiny      a For of so few scalar operations that keeping anything of it is more: always

A function, as sin or pow, takes as long as many operations, and longer than keeping what it gives: it is never cheap.
"""

from __future__ import annotations

import math

from iverson.core.prims import TABLE
from iverson.core.rewrite import statements
from iverson.core.syntax import Array, Block, For, If, Let, Literal, Map, Op, Prim, Read

CHEAP = 24  # primitives and reads of an element
DEAR = frozenset({"pow", "lgamma", "digamma", "trigamma", "polygamma", "erfinv"})
FUNCTION, SPECIAL = 20, 120  # operations that an elementary function is, and one of the dear ones
SHORT = 4  # turns of an inner loop that are written out
TINY = 32  # statements that all turns of a For take


def operations(name: str) -> int:
    """How many operations a primitive is by the clock."""
    if not _is_function(name):
        return TABLE[name].cost
    return SPECIAL if name in DEAR else FUNCTION


def _is_function(name: str) -> bool:
    return TABLE[name].recipe.startswith("call:")


def cheap(let: Let) -> bool:
    """May a statement run once more: a Map of cheap elements, or a branch of cheap scalars?"""
    op = let.op
    maps = isinstance(op, For) and bool(let.vars) and all(isinstance(y, Map) for y in op.yields)
    return (maps or isinstance(op, If)) and _small(let) and 0 < _count(let) <= CHEAP


def _small(let: Let) -> bool:
    """Is all that it does for an element done by scalar operations, a bounded number of them?"""
    match let.op:
        case For(_, _, body):
            return all(_scalar(inner) for inner in body)
        case If(_, then, orelse):
            return all(_scalar(inner) for side in (then, orelse) for inner in side)
        case _:
            return False


def _scalar(let: Let) -> bool:
    if any(isinstance(v.type, Array) for v in let.vars):
        return False
    match let.op:
        case Prim(name):
            return not _is_function(name)
        case Read():
            return True
        case For(_, extent):
            return all(isinstance(n, Literal) and n.value <= SHORT for n in extent) and _small(let)
        case If():
            return _small(let)
        case _:
            return False


def _count(let: Let) -> int:
    """Primitives and reads of an element."""
    total = 0
    for inner in [let] if isinstance(let.op, If) else let.op.body:  # type: ignore[union-attr]
        times = 1
        if isinstance(inner.op, For):
            for n in inner.op.extent:
                times *= int(n.value) if isinstance(n, Literal) else 1
        total += times * sum(isinstance(s.op, Prim | Read) for s in statements(Block((inner,), ())))
    return total


def tiny(op: Op) -> bool:
    """Does a For do no more than a few scalars would?"""
    if not isinstance(op, For) or not all(isinstance(let.op, Prim | Read) for let in op.body):
        return False
    turns = [int(n.value) if isinstance(n, Literal) else TINY + 1 for n in op.extent]
    plain = all(isinstance(y, Map) or y.monoid == "add" for y in op.yields)
    return plain and math.prod(turns) * len(op.body.lets) <= TINY

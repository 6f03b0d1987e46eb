"""What rewritten functions call (`_iv` in them): one name per construct of lang/transform.py."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import numpy as np

from iverson.core.syntax import Literal
from iverson.lang import indexing
from iverson.lang.arithmetic import AUGMENTED
from iverson.lang.branch import and_, compare, if_, ifexp, not_, or_, value
from iverson.lang.calls import call, load
from iverson.lang.comprehend import Each, Generator, Where, dictcomp, listcomp, setcomp
from iverson.lang.errors import error
from iverson.lang.iterate import Steps
from iverson.lang.lists import ListArr
from iverson.lang.loops import for_, then, while_
from iverson.lang.num import Num, is_scalar, known
from iverson.lang.raising import assert_, raise_, warn
from iverson.lang.signals import BREAK, CONTINUE, Return
from iverson.lang.staging import builder, current
from iverson.lang.state import Maybe, Poison
from iverson.lang.values import Arr, stack, table

generator = Generator

WRITTEN_OUT = 4  # numbers that an index of the program chooses from: so few are built where they are used


def use(x: Any) -> Any:
    """A name that may not be bound."""
    if isinstance(x, Maybe):
        message = f"cannot access local variable '{x.name}' where it is not associated with a value"
        builder().check(x.bound.atom, message, error="UnboundLocalError")
        return x.value
    if isinstance(x, Poison):
        x.raise_()
    return x


def attribute(x: Any, name: str) -> Any:
    """x.name, where properties are staged as the functions that they are."""
    found = getattr(type(x), name, None)
    if isinstance(found, property) and isinstance(found.fget, FunctionType) and not isinstance(x, Arr | Num):
        return call(found.fget, x)
    return load(getattr(x, name))


def slice(start: Any, stop: Any, step: Any) -> Any:
    return _slice(known(start), known(stop), known(step))


_slice = type(np.s_[:])


def getitem(x: Any, index: Any) -> Any:
    """x[index]"""
    if x is np.mgrid or x is np.ogrid:
        return call(x, index)
    index = known(index)
    if isinstance(x, np.ndarray):
        x = load(x)
    if isinstance(index, Num) and isinstance(x, list | tuple | str | bytes | dict | range):
        return _choose(x, index)
    if isinstance(index, _slice) and isinstance(x, list | tuple):
        parts = (index.start, index.stop, index.step)
        if any(isinstance(p, Num) and not isinstance(p.atom, Literal) for p in parts):
            return stack(list(x))[index]
    return load(x[index])


def part(x: Any, key: Any) -> Any:
    """x[key] of a Python container at a key known now; a LookupError elsewhere, and nothing is staged."""
    key = known(key)
    if isinstance(x, list | tuple | dict) and isinstance(key, int | str):
        return x[key]
    raise LookupError(key)


def _choose(x: Any, index: Num) -> Any:
    """An element of a Python container at an index of the program."""
    if isinstance(x, range):
        x = list(x)
    if isinstance(x, list | tuple) and x and all(map(is_scalar, x)):
        return _numbers(x)[index]
    raise error(
        TypeError,
        f"a {type(x).__name__} is indexed by a number that is only known when the program runs: use an array, or loop "
        "over iv.unroll(range(...)) so that the index is known",
    )


def _numbers(items: list[Any] | tuple[Any, ...]) -> Arr:
    """Numbers as an array. Many of Python's own are an input: written out, they would be stored in every turn."""
    kinds = set(map(type, items))
    if len(items) > WRITTEN_OUT and len(kinds) == 1 and kinds <= {int, float}:
        found = np.array(items)
        if found.dtype in (np.int64, np.float64):
            return table(found)
    return stack(list(items))


class _ListPlace:
    """What x[index] = value is done to, x being a Python list: the index may be a number of the program."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __setitem__(self, index: Any, value: Any) -> None:
        index = known(index)
        if isinstance(index, Num) and self.items and all(map(is_scalar, [*self.items, value])):
            updated = stack([*self.items, value])[:-1]
            updated[index] = value
            self.items[:] = updated
        elif isinstance(index, Num):
            _choose(self.items, index)  # raises
        else:
            self.items[index] = value


def place(x: Any) -> Any:
    """What an element is assigned to."""
    return _ListPlace(x) if type(x) is list else x


def augitem(name: str, x: Any, index: Any, operand: Any) -> None:
    """x[index] op= operand"""
    if isinstance(x, np.ndarray):
        x = load(x)
    if isinstance(x, Arr) and (not isinstance(x, ListArr) or x.updates(name, operand)):
        indexing.update(AUGMENTED[name], x, index, operand)
    else:
        place(x)[index] = augmented(name, getitem(x, index), operand)


def augmented(name: str, x: Any, operand: Any) -> Any:
    """What x op= operand binds x to."""
    return getattr(operator, f"i{name}")(x, operand)


def unpack(x: Any, count: int) -> Iterator[Any]:
    """The members of x, for a pattern of `count` names."""
    if isinstance(x, Arr | Steps):
        n = x.length
        if not isinstance(n, int):
            raise error(
                TypeError, f"can't unpack an array of a length that is only known when it runs into {count} names"
            )
    return iter(x)


def bind(x: Any) -> Any:
    """The value of a := expression."""
    if current().lazy:
        raise error(
            TypeError,
            ":= in an operand that is only evaluated under a condition of the program: its name may be unbound "
            "afterwards; write an assignment in an if statement",
        )
    return x


def no_try() -> None:
    raise error(
        TypeError,
        "try: exceptions of a staged program are raised when it runs, where an except clause of the function can't see "
        "them; test the condition with an if",
    )


__all__ = [
    "BREAK",
    "CONTINUE",
    "Each",
    "Return",
    "Where",
    "and_",
    "assert_",
    "attribute",
    "augitem",
    "augmented",
    "bind",
    "call",
    "compare",
    "dictcomp",
    "for_",
    "generator",
    "getitem",
    "if_",
    "ifexp",
    "listcomp",
    "load",
    "no_try",
    "not_",
    "or_",
    "place",
    "raise_",
    "setcomp",
    "slice",
    "then",
    "unpack",
    "use",
    "value",
    "warn",
    "while_",
]

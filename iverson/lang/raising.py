"""raise and assert in staged programs: checks that fail when the program gets there."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.core.syntax import BOOL, Literal
from iverson.lang.messages import composing, readable, template
from iverson.lang.num import constant, truth
from iverson.lang.signals import NEVER
from iverson.lang.staging import builder, current
from iverson.lang.table import implements

Thunk = Callable[[], Any]


def raise_(make: Thunk) -> Any:
    """raise: at once if this surely runs, else when the program gets here."""
    with composing():
        exc = make()
        if isinstance(exc, type):
            exc = exc()
        if not current().scopes:
            exc.args = tuple(map(readable, exc.args))
            raise exc
        message, args = template(exc.args[0] if exc.args else type(exc).__name__)
    builder().check(Literal(False, BOOL), message, *args, error=builtin_name(type(exc)))
    return NEVER


def warn(function: Any, call: Callable[[Any], Any]) -> Any:
    """A call of something named `warn`: the arguments of Python's are a message."""
    if function is not warnings.warn:
        return call(function)
    with composing():
        return call(function)


@implements(warnings.warn)
def _warn(message: Any, category: Any = None, *_: Any, **__: Any) -> None:
    """warnings.warn, when the program gets here; of this line, whatever the stacklevel."""
    if isinstance(message, Warning):
        message, category = message.args[0] if message.args else "", type(message)
    text, args = template(message)
    builder().check(Literal(False, BOOL), text, *args, error=builtin_name(category or UserWarning))


def builtin_name(cls: type[BaseException]) -> str:
    """The nearest exception that a check can name: a builtin one, or np.linalg's."""
    return next(c.__name__ for c in cls.__mro__ for m in (builtins, np.linalg) if getattr(m, c.__name__, None) is c)


def assert_(test: Any, message: Thunk) -> None:
    p = truth(test)
    if p is True:
        return
    with composing():
        text = message()
        if p is False and not current().scopes:
            raise AssertionError(*(() if text is None else (readable(text),)))
        filled, args = template("" if text is None else text)
    builder().check(constant(p).atom, filled, *args, error="AssertionError")

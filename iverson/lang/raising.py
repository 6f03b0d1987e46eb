"""raise, assert, and exceptions of code that may not run: checks that fail when the program gets there.

    if p: 1 // 0      ->      if p { check false ZeroDivisionError }

An operation whose exception is decided by constants raises it while it is staged.  Where it certainly runs, that is the
exception of the call.  In a branch, a turn of a loop or an operand that may not be evaluated (`attempt`) it becomes a
check that always fails, and nothing after it is staged: `NEVER` is how the suite ends.  What can't be staged is an
error at once, wherever it stands.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from iverson.core.rewrite import statements
from iverson.core.syntax import BOOL, Atom, Block, Check, Let, Literal, Site
from iverson.lang.errors import StagingError, plain
from iverson.lang.messages import composing, readable, template
from iverson.lang.num import constant, truth
from iverson.lang.signals import NEVER
from iverson.lang.staging import builder, current, here

Thunk = Callable[[], Any]

_PYTHON_S = (ArithmeticError, LookupError, ValueError, AssertionError)  # what operations raise
_ONLY_PYTHON_S = (TypeError, AttributeError, NameError)  # where staging itself doesn't


class Unreachable(Exception):
    """An exception is certainly raised before what follows; the check that does it is staged."""

    def __init__(self, check: Let) -> None:
        self.check = check
        self.depth = builder().depth


def attempt(suite: Thunk) -> Any:
    """A suite that may not run: what it gives, or NEVER if it raises an exception when it does."""
    try:
        try:
            return suite()
        except (*_PYTHON_S, *_ONLY_PYTHON_S) as e:
            if isinstance(e, StagingError) and (e.refused or not isinstance(e, _PYTHON_S)):
                raise
            _fail(e)
    except Unreachable as e:
        require_here(e)
    return NEVER


def require_here(e: Unreachable) -> None:
    """Stage the check anew if it was in a block that has been given up."""
    if e.depth != builder().depth:
        builder().let(_without_numbers(e.check))


def _fail(e: Exception) -> NoReturn:
    """Raise an exception when the program gets here."""
    said, at = plain(e)
    message, args = template(said)
    never(message, *args, error=builtin_name(type(e)), at=at)


def never(message: str, *args: Atom, error: str, at: Site | None = None) -> NoReturn:
    """Raise an exception when the program gets here: a check, after which nothing is staged."""
    let = Let((), Check(Literal(False, BOOL), message, args, error), at or here())
    builder().let(let)
    raise Unreachable(let)


def unreachable(after: Let) -> NoReturn:
    """What follows a statement that always raises isn't reached."""
    inner = statements(Block((after,), ()))
    raise Unreachable(next(s for s in inner if isinstance(s.op, Check) and s.op.pred == Literal(False, BOOL)))


def _without_numbers(let: Let) -> Let:
    assert isinstance(let.op, Check)
    shown = let.op.message.format(*("?" for _ in let.op.args))
    return replace(let, op=replace(let.op, message=template(shown)[0], args=()))


def raise_(make: Thunk) -> NoReturn:
    """raise: at once if this surely runs, else when the program gets here."""
    with composing():
        exc = make()
        if isinstance(exc, type):
            exc = exc()
        if not current().scopes:
            exc.args = tuple(map(readable, exc.args))
            raise exc
        message, args = template(exc.args[0] if exc.args else type(exc).__name__)
    never(message, *args, error=builtin_name(type(exc)))


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
    if p is False:
        never(filled, *args, error="AssertionError")
    builder().check(constant(p).atom, filled, *args, error="AssertionError")

"""Messages with numbers of the program in them: f-strings in assert and raise are filled in when the program runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iverson.core.syntax import Atom
from iverson.lang.errors import error

_MARK = re.compile("\x00(\\d+)\x01([^\x02]*)\x02")


class _Message(threading.local):
    numbers: list[Any] | None = None  # those in the message being composed


_MESSAGE = _Message()


@contextmanager
def composing() -> Iterator[None]:
    """Numbers of the program may be formatted here: the text goes to `template` or `readable`, and nowhere else."""
    outer, _MESSAGE.numbers = _MESSAGE.numbers, []
    try:
        yield
    finally:
        _MESSAGE.numbers = outer


def placeholder(number: Any, spec: str) -> str:
    """What stands for a number in a message until it runs; an error where the text isn't a message."""
    numbers = _MESSAGE.numbers
    if numbers is None:
        raise _no_text("a number")
    numbers.append(number)
    return f"\x00{len(numbers) - 1}\x01{spec}\x02"


def sketch(text: str) -> str:
    """What an array is in a message; an error where the text isn't a message."""
    if _MESSAGE.numbers is None:
        raise _no_text("an array")
    return text


def _no_text(what: str) -> BaseException:
    return error(
        TypeError,
        f"{what} is only known when the program runs, so it can't be printed, formatted or made a str while the "
        "function is compiled: return it and print it outside (messages of assert and raise may contain numbers)",
    )


def template(message: Any) -> tuple[str, tuple[Atom, ...]]:
    """A message as a format string and the atoms that fill it."""
    atoms: list[Atom] = []
    out, end = "", 0
    text = str(message)
    for found in _MARK.finditer(text):
        out += _plain(text[end : found.start()])
        out += "{:" + found[2] + "}" if found[2] else "{}"
        atoms.append((_MESSAGE.numbers or [])[int(found[1])].atom)
        end = found.end()
    return out + _plain(text[end:]), tuple(atoms)


def readable(message: Any) -> Any:
    """A message that is shown now: its numbers aren't known."""
    return _MARK.sub("?", message) if isinstance(message, str) else message


def _plain(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")

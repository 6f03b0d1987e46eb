"""Messages with numbers of the program in them: f-strings in assert and raise are filled in when the program runs."""

from __future__ import annotations

import re
from typing import Any

from iverson.core.syntax import Atom

_NUMBERS: list[Any] = []
_MARK = re.compile("\x00(\\d+)\x01([^\x02]*)\x02")


def placeholder(number: Any, spec: str) -> str:
    """What stands for a number in a string until it runs."""
    _NUMBERS.append(number)
    return f"\x00{len(_NUMBERS) - 1}\x01{spec}\x02"


def template(message: Any) -> tuple[str, tuple[Atom, ...]]:
    """A message as a format string and the atoms that fill it."""
    atoms: list[Atom] = []
    out, end = "", 0
    text = str(message)
    for found in _MARK.finditer(text):
        out += _plain(text[end : found.start()])
        out += "{:" + found[2] + "}" if found[2] else "{}"
        atoms.append(_NUMBERS[int(found[1])].atom)
        end = found.end()
    return out + _plain(text[end:]), tuple(atoms)


def _plain(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")

"""Functions of a module that are the same but for names: one of them is enough.

Loops on the pool find what they work on in a table, so a layer's loops are those of the next one, and the copies that
threads add up are added up in the same way everywhere.  Texts are compared with names and metadata in order of
appearance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_NAME = re.compile(r"%[\w.]+|!\d+|^[\w.]+(?=:)", re.MULTILINE)


@dataclass
class Shared:
    """The functions of a module by length, with what they are apart from names, once that was asked for."""

    _found: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    _plain: dict[str, str] = field(default_factory=dict)

    def other(self, name: str, text: str, metadata: Sequence[str]) -> str:
        """The name of a function like this one, met before; its own if there is none.

        `text` is what follows the name; `metadata` that of the module so far: it may lose what only a twin uses.
        """
        alike = self._found.setdefault(text.count("\n"), [])
        if alike:
            self._plain[name] = plain(text, metadata)
        for other, its in alike:
            if other not in self._plain:
                self._plain[other] = plain(its, metadata)
            if self._plain[other] == self._plain[name]:
                return other
        alike.append((name, text))
        return name


def plain(text: str, metadata: Sequence[str]) -> str:
    """A function's text and the metadata it refers to, with numbers for names."""
    names: dict[str, str] = {}
    mentioned: list[int] = []

    def number(match: re.Match[str]) -> str:
        name = match[0]
        if name[0] == "!" and name not in names:
            mentioned.append(int(name[1:]))
        elif name[0] not in "%!":
            name = f"%{name}"  # a label, where its block begins
        return names.setdefault(name, f"{name[0]}{len(names)}")

    parts = [_NAME.sub(number, text)]
    for node in mentioned:  # grows
        parts.append(_NAME.sub(number, metadata[node]))
    return "\n".join(parts)

"""Python that can't be staged, found in the syntax tree: refused before anything runs, at its line."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from iverson.lang import analysis

_WHY: dict[type[ast.AST], str] = {
    ast.Yield: "yield: a generator function can't be staged; return an array or a list",
    ast.YieldFrom: "yield from: a generator function can't be staged; return an array or a list",
    ast.Await: "await: a coroutine can't be staged",
    ast.AsyncFor: "async for can't be staged",
    ast.AsyncWith: "async with can't be staged",
}


class Refused(Exception):
    """A construct outside the language, and its line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def inspect_body(body: Sequence[ast.stmt]) -> None:
    """Raise Refused for the first construct of a function body that can't be staged."""
    for node in sorted(analysis.walk(body), key=lambda n: getattr(n, "lineno", 0)):
        if type(node) in _WHY:
            raise Refused(_WHY[type(node)], node.lineno)  # type: ignore[attr-defined]
        if isinstance(node, ast.Global):
            written = sorted(set(node.names) & analysis.bound(body))
            if written:
                raise Refused(f"the global variable {written[0]} is assigned: pass it in and return it", node.lineno)

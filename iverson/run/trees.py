"""Structures as code: what takes trees of one structure apart, or builds them, several times as fast as what knows all.

    {"b": *, "a": (*, *)}   ->   def take(t):
                                     if type(t) is not dict or list(t) != ["b", "a"]: return None
                                     b, a, = t.values()
                                     if type(a) is not tuple or len(a) != 2: return None
                                     a0, a1, = a
                                     return [a0, a1, b]

    and for results         ->   def give(r): return {"b": r[2], "a": (r[0], r[1])}

Tuples, lists and dicts; other containers (dataclasses, named tuples, the user's own) are left to `lang/state.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from iverson.lang import state

Take = Callable[[Any], "list[Any] | None"]
Give = Callable[[Sequence[Any]], Any]


def taker(spec: Any) -> Take | None:
    """The function that gives a tree's leaves if it surely has this structure, and its dicts their keys in this order,
    else None; None if there is no such function."""
    return _taker(spec, state.orders(spec))


@lru_cache(maxsize=256)
def _taker(spec: Any, orders: tuple[Any, ...]) -> Take | None:
    """Made once: functions may be called with several structures in turns.  (Orders tell equal structures apart.)"""
    code = _Taking([""] * spec.num_leaves)
    if not code.visit(_example(spec), "t"):
        return None
    lines = [*code.lines, f"return [{', '.join(code.leaves)}]"]
    return _made("take", "def take(t):" + "".join(f"\n    {line}" for line in lines), {"k": code.keys})  # type: ignore[no-any-return]


def giver(spec: Any, fixed: Mapping[int, Any]) -> Give | None:
    """The function that puts results together: those of the tree's leaves that aren't `fixed`, in order; None if there
    is no such function."""
    given = iter(range(spec.num_leaves - len(fixed)))
    leaves = [f"c[{k}]" if k in fixed else f"r[{next(given)}]" for k in range(spec.num_leaves)]
    keys: list[Any] = []
    text = _built(_example(spec), leaves, keys)
    return None if text is None else _made("give", f"def give(r): return {text}", {"c": fixed, "k": keys})  # type: ignore[no-any-return]


class _Leaf(int):
    """A leaf, by its number."""


def _example(spec: Any) -> Any:
    return state.unflatten(spec, map(_Leaf, range(spec.num_leaves)))


def _made(name: str, text: str, constants: dict[str, Any]) -> Any:
    exec(text, constants)
    return constants[name]


class _Taking:
    """The lines that take a tree apart, and the names that its leaves have then."""

    def __init__(self, leaves: list[str]) -> None:
        self.leaves = leaves
        self.lines: list[str] = []
        self.keys: list[list[Any]] = []
        self.count = 0

    def visit(self, tree: Any, name: str) -> bool:
        """Take apart what has a name; False if it is another container."""
        if isinstance(tree, _Leaf):
            self.leaves[tree] = name
            return True
        if type(tree) not in (tuple, list, dict):
            return False
        parts = [f"t{self.count + k}" for k in range(len(tree))]
        self.count += len(parts)
        kind, size = type(tree).__name__, f"len({name}) != {len(parts)}"
        if type(tree) is dict:
            size = f"list({name}) != k[{len(self.keys)}]"
            self.keys.append(list(tree))
        self.lines.append(f"if type({name}) is not {kind} or {size}: return None")
        if parts:
            self.lines.append(f"{', '.join(parts)}, = {name}{'.values()' if type(tree) is dict else ''}")
        children = tree.values() if type(tree) is dict else tree
        return all(self.visit(child, part) for child, part in zip(children, parts, strict=True))


def _built(tree: Any, leaves: Sequence[str], keys: list[Any]) -> str | None:
    """The expression that builds a tree, the keys of its dicts apart; None if it has other containers."""
    if isinstance(tree, _Leaf):
        return leaves[tree]
    if type(tree) not in (tuple, list, dict):
        return None
    parts = [_built(x, leaves, keys) for x in (tree.values() if type(tree) is dict else tree)]
    if None in parts:
        return None
    inner = "".join(f"{part}, " for part in parts)
    if type(tree) is dict:
        at = range(len(keys), len(keys) + len(parts))
        keys += tree
        inner = "".join(f"k[{k}]: {part}, " for k, part in zip(at, parts, strict=True))
        return f"{{{inner}}}"
    return f"[{inner}]" if type(tree) is list else f"({inner})"

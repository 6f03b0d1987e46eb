"""The names that a function itself gives to its sizes, for `iv.cost`.

n, d = x.shape        k = len(centres)        m = x.shape[1]        n = x.size
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from iverson.core.syntax import I64, Scalar, Var
from iverson.lang import state
from iverson.lang.source import NoSource, find
from iverson.lang.stage import SMALL, ParamSpec, Staged


class SizeNames:
    """The size symbols of a staged program: their names (`of`), values at the arguments (`at`), least values."""

    def __init__(self, f: Callable[..., Any], staged: Staged, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.of: dict[Var, str] = {}
        self.at: dict[Var, int] = {}
        self.least: dict[Var, int] = {}
        function = inspect.unwrap(f)
        leaves = state.flatten((args, dict(kwargs)))[0]
        owners = _leaf_names(function, args, kwargs)
        given = dict(_given(function))
        for spec, v in zip(staged.params, staged.function.params, strict=True):
            if v.type != Scalar(I64):
                continue
            owner = owners[spec.leaf] if spec.leaf < len(owners) and spec.kind != "captured" else v.hint
            self.add(v, self._name(spec, owner, given))
            self.at[v] = _value(spec, staged, leaves)
            self.least[v] = SMALL + 1 if spec.kind == "extent" else 1

    @staticmethod
    def _name(spec: ParamSpec, owner: str, given: Mapping[tuple[str, int], str]) -> str:
        return given.get((owner, spec.axis), f"{owner}_n{spec.axis}") if spec.kind == "extent" else owner

    def add(self, v: Var, name: str = "") -> None:
        """Name a symbol."""
        if v in self.of:
            return
        base = name or v.hint
        taken, number = set(self.of.values()), 1
        name = base
        while name in taken:
            name, number = f"{base}{number}", number + 1
        self.of[v] = name


def _value(spec: ParamSpec, staged: Staged, leaves: list[Any]) -> int:
    x = staged.captured[spec.leaf] if spec.kind == "captured" else leaves[spec.leaf]
    return int(np.shape(x)[spec.axis]) if spec.kind == "extent" else int(x)


def _leaf_names(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
    """A name for each leaf of the arguments: that of its parameter, numbered where it has several."""
    code = getattr(function, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code else []
    names += [f"x{k}" for k in range(len(names), len(args))]
    found: list[str] = []
    for name, value in (*zip(names, args, strict=False), *sorted(kwargs.items())):
        count = len(state.flatten(value)[0])
        found += [name] if count == 1 else [f"{name}{k}" for k in range(count)]
    return found


def _given(function: Any) -> Iterator[tuple[tuple[str, int], str]]:
    """((parameter, axis), name) for each size that a function names."""
    if not isinstance(function, FunctionType):
        return
    try:
        tree = find(function)
    except NoSource:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield from _assigned(node.targets[0], node.value)


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[tuple[str, int], str]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for t, v in zip(target.elts, value.elts, strict=True):
            yield from _assigned(t, v)
        return
    match target, value:
        case ast.Tuple(elts), ast.Attribute(ast.Name(array), "shape"):
            for axis, t in enumerate(elts):
                if isinstance(t, ast.Name):
                    yield (array, axis), t.id
        case ast.Name(name), ast.Call(ast.Name("len"), [ast.Name(array)]) | ast.Attribute(ast.Name(array), "size"):
            yield (array, 0), name
        case ast.Name(name), ast.Subscript(ast.Attribute(ast.Name(array), "shape"), ast.Constant(int(axis))):
            yield (array, axis), name

"""Finding a function's source, and compiling what its rewriting gives: the same file and lines, globals and cells."""

from __future__ import annotations

import ast
import copy
import inspect
import linecache
import types
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from iverson.core.syntax import Site
from iverson.lang import transform
from iverson.lang.errors import error
from iverson.lang.refuse import Refused

_REWRITTEN: dict[CodeType, CodeType] = {}  # of a function as the user wrote it -> staged
_READY: set[CodeType] = set()  # codes that are staged already
_RUNTIME = "_iv"


class NoSource(Exception):
    """The function was typed into a prompt, made by exec, or written in C."""


def is_ready(function: FunctionType) -> bool:
    return function.__code__ in _READY


def staged(function: FunctionType) -> FunctionType:
    """The function with its source rewritten into calls of the staging runtime; NoSource if there is none."""
    code = function.__code__
    if code in _READY:
        return function
    if code not in _REWRITTEN:
        _REWRITTEN[code] = _compile(function)
    new = _REWRITTEN[code]
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[_RUNTIME] = _runtime_cell()
    closure = tuple(cells[name] for name in new.co_freevars)
    made = FunctionType(new, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    made.__dict__.update(function.__dict__)
    return made


@lru_cache(1)
def _runtime_cell() -> types.CellType:
    from iverson.lang import runtime

    return types.CellType(runtime)


def _compile(function: FunctionType) -> CodeType:
    """Rewrite, wrap into a factory that provides the free names, compile, and take the function's code out."""
    code = function.__code__
    node = find(function)
    free = [*code.co_freevars, _RUNTIME]
    try:
        new = transform.function(node, _owner(code))
    except Refused as e:
        raise error(NotImplementedError, str(e), Site(code.co_filename, e.line, code.co_name)) from None
    _forget_defaults(new.args)
    own = [] if new.name in free else [ast.Global([new.name])]  # or a recursive call would find the factory's name
    factory = ast.FunctionDef(
        name="_iv_factory",
        args=ast.arguments([], [ast.arg(name) for name in free], None, [], [], None, []),
        body=[*own, new, ast.Return(ast.Name(new.name, ast.Load()))],
        decorator_list=[],
        returns=None,
        type_params=[],
    )
    module = ast.Module([ast.copy_location(factory, node)], [])
    ast.fix_missing_locations(module)
    namespace: dict[str, Any] = {}
    exec(compile(module, code.co_filename, "exec", dont_inherit=True), namespace)
    made = namespace["_iv_factory"](*[None] * len(free)).__code__
    made = made.replace(co_name=code.co_name, co_qualname=code.co_qualname)
    _READY.update(_codes(made))
    return made


def _forget_defaults(arguments: ast.arguments) -> None:
    """The function object has its defaults already: they are not computed again."""
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [d and ast.Constant(None) for d in arguments.kw_defaults]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _owner(code: CodeType) -> str:
    """The class that a function's body stands in, whose private names are mangled."""
    parts = code.co_qualname.split(".")
    return parts[-2] if len(parts) > 1 and parts[-2] != "<locals>" else ""


# --- finding ----------------------------------------------------------------------------------------------------------


def find(function: FunctionType) -> ast.FunctionDef | ast.Lambda:
    """The syntax tree of a function, with the line numbers of its file."""
    code = function.__code__
    if code.co_name == "<lambda>":
        return _find_lambda(code)
    try:
        lines, first = inspect.getsourcelines(code)
    except (OSError, TypeError) as e:
        raise NoSource(str(e)) from None
    indented = lines[0][:1].isspace()
    text = "if 1:\n" + "".join(lines) if indented else "".join(lines)
    try:
        tree = ast.parse(text)
    except SyntaxError as e:
        raise NoSource(str(e)) from None
    ast.increment_lineno(tree, first - 1 - indented)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            return node
        if isinstance(node, ast.AsyncFunctionDef) and node.name == code.co_name:
            at = Site(code.co_filename, node.lineno, code.co_name)
            raise error(NotImplementedError, f"{code.co_name} is an async function: it can't be staged", at)
    raise NoSource(f"{code.co_filename}:{first} does not define {code.co_name}")


@lru_cache(16)
def _parsed(filename: str, text: str) -> ast.Module:
    return ast.parse(text)


def _find_lambda(code: CodeType) -> ast.Lambda:
    """The lambda whose body stands where the code's instructions say."""
    text = "".join(linecache.getlines(code.co_filename))
    if not text:
        raise NoSource(f"no source of {code.co_filename}")
    try:
        tree = _parsed(code.co_filename, text)
    except SyntaxError as e:
        raise NoSource(str(e)) from None
    spans = [p for p in code.co_positions() if None not in p and p[1] is not None]
    candidates = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and all(_holds(node, p) for p in spans if p[0] != p[1] or p[2] != p[3])
        and [a.arg for a in (*node.args.posonlyargs, *node.args.args)] == list(code.co_varnames[: code.co_argcount])
    ]
    if not candidates:
        raise NoSource(f"{code.co_filename}:{code.co_firstlineno} has no such lambda")
    best = min(candidates, key=lambda n: (n.end_lineno - n.lineno, n.end_col_offset - n.col_offset))  # type: ignore[operator]
    return copy.deepcopy(best)


def _holds(node: ast.Lambda, span: Any) -> bool:
    """Whether a position (line, end line, column, end column) lies in a lambda's body."""
    line, end_line, column, end_column = span
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    return start <= (line, column) and (end_line, end_column) <= end
